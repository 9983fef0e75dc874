//! Whose the events are that name nobody: the keys of their units, one for each region and day.
//!
//! ```text
//! <unit_key_dir>/<region>/<day>.key        the key of a region's day, mode 0600, outside of the data and of its backups
//! <data_dir>/<region>/unit-days/<day>      what the key is recognised by; tells nothing about it
//! ```
//! A key is there from the day before its day until the day's late window is over, by the clock and by a time that no clock which
//! was set ahead brings forward. Then it is overwritten and removed, and from that moment nobody can find out any more from which address an event came. An event of that day that comes later,
//! and one whose address is not known, belongs to the one unit that its app has on that day.
//!
//! Invariants: a day never has two keys. A key that has been used has its check value beside the data, so that one that is
//! lost, or another one, is noticed: then the day has no key, and whoever comes still belongs to its app's unit. This
//! counts too few people, never too many. A key is durable before it is used; an address never reaches a disk.
//!
//! The keys of pseudonym epochs (`epoch_keys.rs`) are renewed together with them.
//!
//! - `open`: the keys in memory, and the unit of an event; `store`: the files, and when keys are made and destroyed
//!
//! Not here: the digest (`shoal_privacy::unit_key`), which events name nobody (`stages/pseudonymise.rs`).

pub(crate) mod open;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use store::UnitKeys;
pub use store::UnitKeysReport;
