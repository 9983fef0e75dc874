//! The seals of one file: each part of it is sealed as what it is, and where it is.
//!
//! Invariants: the context of a seal is the file's id, the kind of part and its number, so that no part can be moved within its
//! file or into another. Bytes that are all zero were never written, and say nothing but zeros. Not here: where the parts are.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::sealing::SealingKey;

/// Bytes of a block before it is sealed.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Bytes of a file's id.
pub(super) const ID_BYTES: usize = 16;

/// A part of a file.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// What tells whether the key is the file's.
    Head,
    /// A block, by its number.
    Block(u64),
    /// A sector of one of the two places of the first block.
    Sector { place: usize, sector: usize },
}

/// Seals and opens the parts of one file.
pub(super) struct Seals {
    key: SealingKey,
    id: [u8; ID_BYTES],
}

/// Bytes that were not sealed with this key in this place.
#[derive(Debug)]
struct NotAuthentic;

impl fmt::Display for NotAuthentic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it has bytes that were not written there with this key")
    }
}

impl std::error::Error for NotAuthentic {}

/// Whether this failure says that bytes were changed since they were sealed, or were sealed with another key.
pub fn is_not_authentic(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<NotAuthentic>())
}

pub(super) fn not_authentic() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, NotAuthentic)
}

impl Seals {
    pub(super) fn new(key: SealingKey, id: [u8; ID_BYTES]) -> Seals {
        Seals { key, id }
    }

    /// Puts the sealed part behind what is in `out`.
    pub(super) fn seal_into(&self, part: Part, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.key.seal_into(&self.context(part), bytes, out)
    }

    /// What is in a sealed part, in its own place; none when it was never written.
    pub(super) fn open<'s>(&self, part: Part, sealed: &'s mut [u8]) -> io::Result<Option<&'s mut [u8]>> {
        if sealed.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        self.key.open_in_place(&self.context(part), sealed).ok_or_else(not_authentic).map(Some)
    }

    fn context(&self, part: Part) -> [u8; ID_BYTES + 9] {
        let (kind, number) = match part {
            Part::Head => (0, 0),
            Part::Block(block) => (1, block),
            Part::Sector { place, sector } => (2, (place as u64) << 32 | sector as u64),
        };
        let mut context = [0; ID_BYTES + 9];
        context[..ID_BYTES].copy_from_slice(&self.id);
        context[ID_BYTES] = kind;
        context[ID_BYTES + 1..].copy_from_slice(&u64::to_le_bytes(number));
        context
    }
}
