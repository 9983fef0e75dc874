//! What decodes bytes of this crate, for fuzzing: built for tests and under the feature `fuzzing` alone.
//!
//! Invariants: an entry takes any bytes and answers whether it could read them; it panics when a property does not hold. Keys are
//! those of no service. Where a checksum would keep nearly all inputs out, they are read with the right one, too. Not here: inputs
//! (`fuzz/seeds`), the runs (`fuzz/fuzz_targets`), tables and files of redb, whose libraries decode them.

use crate::{consents, spending};

/// A journal of withdrawals, and one act after the other of it.
pub fn journal(bytes: &[u8]) -> bool {
    let is_read = consents::fuzzing::journal(bytes);
    consents::fuzzing::journal(&consents::fuzzing::with_checksums(bytes)) || is_read
}

/// A high-water mark, and the limits of a subject's day. Either says what it said when it is written again.
pub fn spent(bytes: &[u8]) -> bool {
    spending::fuzzing::spent(bytes)
}

#[cfg(test)]
#[path = "../../fuzz/malformed.rs"]
mod malformed;
#[cfg(test)]
mod tests;
