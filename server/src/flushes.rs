//! How the flushes of a running service go, for `/readyz`.
//!
//! One that fails is tried again within a second, and says nothing yet; one that keeps failing leaves the events in the log, which
//! is safe, and fills the disk. Invariant: one that succeeds ends the trouble. Not here: the flush (`shoal-ingest`), when it is
//! called (`jobs.rs`).

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use shoal_files::is_full;
use shoal_storage::Trouble;

/// So many in a row are no accident.
const FAILED_MIN: u32 = 3;

/// How the last flushes went.
#[derive(Default)]
pub(crate) struct Flushes {
    /// Those that failed since one succeeded.
    failed: AtomicU32,
    /// Whether the last one failed for want of room.
    is_full: AtomicBool,
}

impl Flushes {
    pub(crate) fn succeeded(&self) {
        self.failed.store(0, Ordering::Release);
    }

    pub(crate) fn failed(&self, error: &(dyn Error + 'static)) {
        self.is_full.store(is_want_of_room(error), Ordering::Release);
        self.failed.fetch_add(1, Ordering::AcqRel);
    }

    /// What keeps events out of the tables. `is_broken`: nothing is written to them any more.
    pub(crate) fn trouble(&self, is_broken: bool) -> Option<Trouble> {
        if is_broken {
            return Some(Trouble::Broken);
        }
        let keeps_failing = self.failed.load(Ordering::Acquire) >= FAILED_MIN;
        keeps_failing.then(|| match self.is_full.load(Ordering::Acquire) {
            true => Trouble::Full,
            false => Trouble::Broken,
        })
    }
}

/// Whether the disk was full, however many libraries have put the error into one of their own.
fn is_want_of_room(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(is_full) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use shoal_ingest::IngestError;

    use super::*;

    #[test]
    fn what_keeps_failing_is_told_until_one_succeeds() {
        let flushes = Flushes::default();
        let source = io::Error::from(ErrorKind::StorageFull);
        let full = io::Error::other(IngestError::Io { path: "x".into(), source });
        let other = io::Error::other("another");
        flushes.failed(&full);
        flushes.failed(&full);
        assert_eq!(flushes.trouble(false), None);
        flushes.failed(&full);
        assert_eq!(flushes.trouble(false), Some(Trouble::Full));
        flushes.failed(&other);
        assert_eq!(flushes.trouble(false), Some(Trouble::Broken));
        flushes.succeeded();
        assert_eq!((flushes.trouble(false), flushes.trouble(true)), (None, Some(Trouble::Broken)));
    }
}
