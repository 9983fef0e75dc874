//! What decodes bytes of this crate, for fuzzing: built for tests and under the feature `fuzzing` alone.
//!
//! Invariants: an entry takes any bytes and answers whether it could read them; it panics when a property does not hold. Keys are
//! those of no service. Where a checksum would keep nearly all inputs out, they are read with the right one, too.
//!
//! - `bodies`: what comes from outside; `stored`: what comes from a disk
//!
//! Not here: inputs (`fuzz/seeds`), the runs (`fuzz/fuzz_targets`).

mod bodies;
#[cfg(test)]
#[path = "../../fuzz/malformed.rs"]
mod malformed;
mod stored;
#[cfg(test)]
mod tests;

pub use bodies::{consents, inflate, native, segment, sentry};
pub use stored::{log, rows, runs};
