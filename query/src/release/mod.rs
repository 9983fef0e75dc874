//! Stage 5: what is asked -> [`Groups`] (from the ledger, or read, noised and sealed) and, after the postprocessing,
//! [`Released`].
//!
//! - `answer`: decide the time, reserve, run, assemble; `looked_up`: what is asked and what the ledger has of it; `make`: read and noise; `circumstances`: what a question is asked with
//! - `size`: how many rows blocks have, with noise; `size_bounds`: how far one subject can change that; `work`: how long a
//!   question may take, given that; `in_time`: work that comes back when that time is over
//! - `noisy`: exact totals -> noisy parts; the only place where totals meet noise
//! - `sealed`: a released part as bytes; `unsealed`: what is made, and is kept when its answer is ready
//! - `assemble`: released parts -> groups
//! - `groups`, `paid`, `released`: what comes of it; `reading`: what its reader should know of the numbers
//!
//! Invariants: numbers that are released day by day are added after their noise; so are those of several regions. Only
//! this module makes a [`Released`].
//! Not here: prices (`charge`), identities (`released_parts`), the ledger (`ledger.rs`).

mod answer;
mod assemble;
mod circumstances;
mod groups;
mod in_time;
mod looked_up;
mod make;
mod noisy;
mod paid;
mod reading;
mod released;
#[cfg(test)]
pub(crate) mod replay;
mod sealed;
mod size;
mod size_bounds;
#[cfg(test)]
pub(crate) mod tests;
mod unsealed;
mod work;

pub(crate) use self::answer::{ROWS_MAX, answer};
pub(crate) use self::circumstances::{Circumstances, Timing};
#[cfg(test)]
pub(crate) use self::groups::Groups;
pub(crate) use self::looked_up::LookedUp;
pub(crate) use self::paid::Paid;
pub use self::reading::NumberNoise;
pub use self::released::{Cost, Released};
pub(crate) use self::released::{Preamble, finish};
pub use self::size_bounds::SIZE_PRICE;
pub(crate) use self::size_bounds::SizeBounds;
pub(crate) use self::unsealed::Ready;
