//! Who writes to the file of a region's consents next: one at a time, and whoever forbids something before all who allow.
//!
//! Invariant: a change that forbids waits for one other change of those that allow, at the most, however many wait. Not
//! here: how many may wait (`shoal-ingest`, `consents`).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The turns of one file.
#[derive(Default)]
pub(super) struct Turns {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    is_taken: bool,
    urgent: usize,
}

/// A turn; over when it is dropped.
pub(super) struct Turn<'t>(&'t Turns);

impl Turns {
    /// Waits for a turn. Whoever is urgent is let through first.
    pub(super) fn take(&self, is_urgent: bool) -> Turn<'_> {
        let mut waiting = self.lock();
        waiting.urgent += usize::from(is_urgent);
        while waiting.is_taken || (!is_urgent && waiting.urgent > 0) {
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.urgent -= usize::from(is_urgent);
        waiting.is_taken = true;
        Turn(self)
    }

    /// Both numbers are whole after every statement, so a panic elsewhere does not matter.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.lock().is_taken = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn whoever_forbids_is_next_however_many_wait() {
        let turns = Turns::default();
        let order = Mutex::new(Vec::new());
        let first = turns.take(false);
        std::thread::scope(|scope| {
            let wait_for = |urgent: usize| {
                while turns.lock().urgent < urgent {
                    std::thread::yield_now();
                }
            };
            for _ in 0..8 {
                scope.spawn(|| {
                    let _turn = turns.take(false);
                    order.lock().unwrap().push("allows");
                });
            }
            scope.spawn(|| {
                let _turn = turns.take(true);
                order.lock().unwrap().push("forbids");
            });
            wait_for(1);
            drop(first);
        });
        let order = order.into_inner().unwrap();
        assert_eq!((order.len(), order[0]), (9, "forbids"));
    }
}
