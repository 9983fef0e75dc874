//! Whose rows are in no new release, of each region: their erasure is recorded and their rows may still be there, or processing is restricted.
//!
//! Invariants: a reader sees every subject that was put in before it began, for as long as it reads; whoever puts some in can wait until
//! the readers have ended that may not. Not here: why they are in it and for how long (`subject_acts`), what reads (`shoal-query`).

use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashSet;
use shoal_schemas::Region;

use crate::underway::{Begun, Underway};

/// Pseudonyms of subjects, as numbers: their 16 bytes, big-endian.
pub type Subjects = FxHashSet<u128>;

/// The suppressed subjects of all regions, and who reads without them. Clones are the same. No `Debug`: it has pseudonyms.
#[derive(Clone, Default)]
pub struct Suppressed {
    /// By [`Region::index`].
    regions: Arc<[Mutex<Arc<Subjects>>; Region::ALL.len()]>,
    readers: Underway,
}

impl Suppressed {
    /// Begins to read without those of a region as they are now, until what it answers beside them is dropped.
    pub fn read(&self, region: Region) -> (Begun, Arc<Subjects>) {
        // In this order: whoever puts some in and then waits, waits for this reader, or is seen by it.
        let begun = self.readers.begin();
        (begun, self.of(region))
    }

    /// Those of a region as they are now.
    pub fn of(&self, region: Region) -> Arc<Subjects> {
        Arc::clone(&self.regions[region.index()].lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Exactly these are suppressed in a region from now on.
    pub fn set(&self, region: Region, subjects: Subjects) {
        *self.regions[region.index()].lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(subjects);
    }

    /// Returns when every reader that had begun has ended.
    pub async fn readers_have_ended(&self) {
        self.readers.ended().await;
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_reader_sees_who_was_put_in_before_it_or_is_waited_for() {
        let suppressed = Suppressed::default();
        let (before, nobody) = suppressed.read(Region::De);
        suppressed.set(Region::De, [7].into_iter().collect());
        let mut waits = pin!(suppressed.readers_have_ended());
        assert!(nobody.is_empty() && waits.as_mut().now_or_never().is_none());
        let (_after, somebody) = suppressed.read(Region::De);
        assert!(somebody.contains(&7) && suppressed.of(Region::Us).is_empty());
        drop(before);
        assert!(waits.as_mut().now_or_never().is_some());
    }
}
