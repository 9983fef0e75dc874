//! Memory as a redb backend, which can be told to fail: so that what fails with it can be tested, here and in other crates.
//!
//! Not here: files; the ledger of a service is never in memory.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;
use redb::backends::InMemoryBackend;

/// Memory whose syncs fail once so many have succeeded.
#[derive(Debug)]
pub(super) struct MemoryUntil {
    memory: InMemoryBackend,
    syncs_left: Option<AtomicU64>,
}

impl MemoryUntil {
    pub(super) fn new(syncs: Option<u64>) -> MemoryUntil {
        MemoryUntil { memory: InMemoryBackend::new(), syncs_left: syncs.map(AtomicU64::new) }
    }
}

impl StorageBackend for MemoryUntil {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let Some(left) = &self.syncs_left else {
            return Ok(());
        };
        let took = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        took.map(|_| ()).map_err(|_| io::Error::other("the sync was told to fail"))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}
