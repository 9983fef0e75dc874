//! Which event ids were accepted before: a resend is counted once, for at least the window, across restarts.
//!
//! ```text
//! active segment: a set, in the log's writer thread | sealed, no run yet: sets, shared | older: sorted runs on disk
//! ```
//! Ids are 64-bit fingerprints: the first half of the event id's keyed digest. Two different ids meet by chance with
//! probability n / 2^64 (a ten-millionth of a percent at 17 thousand million ids), and nobody without the key can aim.
//!
//! Invariants: only the writer thread decides, so of any number of equal ids at once exactly one is new; an id leaves
//! a set only after the run that holds it is durable and published.
//! Not here: the decision (`window.rs`), the file of a run (`run.rs`), which there are and when they are merged (`runs.rs`).

pub(crate) mod run;
mod runs;
#[cfg(test)]
mod tests;
mod window;

use rustc_hash::FxHashSet;

pub(crate) use runs::{RunLimits, Runs, RunsSize};
pub(crate) use window::Window;

/// The ids of one segment.
pub(crate) type Fingerprints = FxHashSet<u64>;
