//! Turns of those who ask: so many statements of one key are worked on at a time, and the rest of them wait for each other.
//!
//! Invariants: where there are several workers, one key never has all of them, so nobody's statements stop those of others.
//! A key that asks nothing is not kept. Not here: the workers themselves (`pool`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of all keys.
pub(crate) struct Askers {
    /// Statements of one key at a time.
    each_max: usize,
    keys: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// A turn of a key, until it is dropped.
#[must_use]
pub struct Turn {
    _place: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// Where nobody has to wait.
    pub(crate) fn free() -> Turn {
        Turn { _place: None }
    }
}

impl Askers {
    /// Of so many workers each key may have half, and one at least.
    pub(crate) fn of(workers_max: usize) -> Askers {
        Askers { each_max: (workers_max / 2).max(1), keys: Mutex::default() }
    }

    /// Waits for the key's turn.
    pub(crate) async fn turn(&self, key: &str) -> Turn {
        let places = self.places(key);
        // It is never closed.
        Turn { _place: places.acquire_owned().await.ok() }
    }

    fn places(&self, key: &str) -> Arc<Semaphore> {
        let mut keys = self.keys();
        if let Some(places) = keys.get(key).and_then(Weak::upgrade) {
            return places;
        }
        keys.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.each_max));
        keys.insert(key.to_owned(), Arc::downgrade(&places));
        places
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<String, Weak<Semaphore>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_key_has_half_of_the_workers_and_others_have_theirs() {
        for (workers, own) in [(1, 1), (2, 1), (3, 1), (8, 4)] {
            let askers = Askers::of(workers);
            let turns: Vec<Option<Turn>> = (0..own).map(|_| askers.turn("a").now_or_never()).collect();
            assert!(turns.iter().all(Option::is_some), "{workers}");
            assert!(askers.turn("a").now_or_never().is_none(), "{workers}: it waits for itself");
            assert!(askers.turn("b").now_or_never().is_some(), "{workers}: nobody else does");
            drop(turns);
            assert!(askers.turn("a").now_or_never().is_some(), "{workers}");
        }
    }
}
