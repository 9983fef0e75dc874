//! Backups: a directory with a copy of everything that a data directory needs, and a manifest that says what is in it.
//!
//! ```text
//! DIR/manifest                 what there is: paths in the data directory, sizes, digests (`manifest`); written last, in one step
//! DIR/objects/ab/<digest>      the bytes; what a backup before had already is not copied again
//! DIR/scratch/..               being made; gone when the next backup begins
//! DIR/lock                     one backup at a time
//! ```
//! - `manifest`: what a backup says of itself; `place`: its directory; `making`: a backup that is being made
//! - `running`: a backup of what a service serves; `stopped`: of a data directory that none does; `names`: which file is what;
//!   `stopping`: when a service gives one up
//! - `verify`: whether it is whole; `restore`: into an empty data directory; `line`: what the audit says
//!
//! Invariants: no key is in a backup: the key file and the unit keys lie outside of the data, and of access keys there are hashes. What is
//! outside so that no copy brings it back (high-water marks, withdrawals) is not in it either. Until the manifest is written, the
//! backup before is whole, at whichever step it breaks off. Not here: the command (`cli/backup.rs`).

mod line;
pub(crate) mod making;
pub(crate) mod manifest;
pub(crate) mod names;
mod place;
pub(crate) mod restore;
pub(crate) mod running;
pub(crate) mod stopped;
mod stopping;
#[cfg(test)]
mod tests;
pub(crate) mod verify;
