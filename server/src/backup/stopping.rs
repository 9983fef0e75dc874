//! Whether a backup that a service makes must stop: whoever asked for it has gone, or the service ends.
//!
//! Invariant: a backup stops before the next file, and in one after the next part that is read of it, so that the end of a service
//! waits for no file however long it is. Not here: what is copied (`making`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shoal_files::Source;

use crate::error::Error;

/// Asked by whoever copies. Clones are the same; that of a backup which nobody can stop never says so.
#[derive(Clone, Debug, Default)]
pub(super) struct Stopping(Arc<AtomicBool>);

/// While it lives, the backup goes on.
pub(super) struct Wanted(Stopping);

impl Stopping {
    /// The backup must stop as soon as the returned value is dropped.
    pub(super) fn unless_wanted(&self) -> Wanted {
        Wanted(self.clone())
    }

    /// # Errors
    /// When the backup must stop.
    pub(super) fn look(&self) -> Result<(), Error> {
        match self.0.load(Ordering::Acquire) {
            true => {
                Err(Error::Service("the backup broke off: the service stops, or nobody waits for it".into()))
            }
            false => Ok(()),
        }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
    }
}

/// A source that can be read as long as the backup is wanted.
pub(super) struct Watched<'s> {
    pub(super) source: &'s dyn Source,
    pub(super) stopping: &'s Stopping,
}

impl Source for Watched<'_> {
    fn length(&self) -> io::Result<u64> {
        self.source.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.stopping.look().map_err(io::Error::other)?;
        self.source.read_at(offset, buffer)
    }
}
