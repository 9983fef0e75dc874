//! Where a region's segments are, and with what they are encrypted: everything that reads or writes one goes through it.
//!
//! Files: `<sequence, 16 hex digits>.log`; `<number>.spare` is empty (zeros) and waits to become one.
//! Invariant: what was encrypted can be read whether new segments are or not. Not here: what is in the files (`segment.rs`), where
//! keys come from (`ingest/parts.rs`).

use std::{io, path::PathBuf, sync::Arc};

use shoal_files::{Medium, Sealing, SealingKey, Source};

/// The files of a region's log. No `Debug`: it has a key.
pub(crate) struct Shelf {
    medium: Arc<dyn Medium>,
    sealing: Option<Sealing>,
}

impl Shelf {
    /// The files of this medium. Without a key nothing is encrypted, and nothing that is can be read.
    pub(crate) fn new(medium: Arc<dyn Medium>, sealing: Option<Sealing>) -> Shelf {
        Shelf { medium, sealing }
    }

    pub(crate) fn medium(&self) -> &dyn Medium {
        &*self.medium
    }

    /// The path of a segment, for messages.
    pub(crate) fn path(&self, sequence: u64) -> PathBuf {
        self.medium.path(&file_name(sequence))
    }

    /// Opens a segment for reading.
    pub(super) fn open(&self, sequence: u64) -> io::Result<Box<dyn Source>> {
        self.medium.open(&file_name(sequence))
    }

    /// What opens encrypted records.
    pub(super) fn key(&self) -> Option<&SealingKey> {
        self.sealing.as_ref().map(|sealing| &sealing.key)
    }

    /// What new segments are encrypted with, if they are.
    pub(super) fn writing_key(&self) -> Option<SealingKey> {
        self.sealing.as_ref().filter(|sealing| sealing.is_writing).map(|sealing| sealing.key.clone())
    }
}

/// The name of a segment's file.
pub(crate) fn file_name(sequence: u64) -> String {
    format!("{sequence:016x}.log")
}

/// The sequence in a file's name; none when it is not a segment's.
pub(crate) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log").filter(|d| d.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}
