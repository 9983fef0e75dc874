//! What redb reads and writes through: a file, whose failures are noted.
//!
//! Invariant: what was noted as broken stays so. Not here: what is done about it (`redb_file`).

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use redb::StorageBackend;
use shoal_files::{LogFile, is_full};
use tokio::sync::watch;

pub(super) const WELL: u8 = 0;
pub(super) const FULL: u8 = 1;
pub(super) const BROKEN: u8 = 2;

/// The trouble of a file, which its backend and its owner know.
#[derive(Debug)]
pub(super) struct Troubles {
    pub(super) now: AtomicU8,
    pub(super) broken: watch::Sender<bool>,
}

impl Troubles {
    fn note<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &done {
            match is_full(error) {
                // Broken stays broken.
                true => drop(self.now.compare_exchange(WELL, FULL, Ordering::AcqRel, Ordering::Acquire)),
                false => self.fail(),
            }
        }
        done
    }

    fn fail(&self) {
        self.now.store(BROKEN, Ordering::Release);
        self.broken.send_replace(true);
    }
}

/// A file that redb reads and writes.
pub(super) struct Backend {
    pub(super) file: Box<dyn LogFile>,
    pub(super) troubles: Arc<Troubles>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Backend")
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.troubles.note(self.file.length())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.troubles.note(self.file.read_at(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.troubles.note(self.file.set_length(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        // Also for want of room: what was written before may be gone then, and a second sync would not tell.
        self.file.sync().inspect_err(|_| self.troubles.fail())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.troubles.note(self.file.write_at(offset, data))
    }
}
