//! What was begun before a moment, so that somebody can wait until all of it has ended.
//!
//! Invariants: what is begun after the moment is not waited for, and waits for nobody; what is dropped has ended. Not here: what is
//! begun (requests of apps in `shoal-ingest`, scans in `shoal-query`).

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Counts what is under way. Clones are the same.
#[derive(Clone, Default)]
pub struct Underway {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    numbers: Mutex<Numbers>,
    ended: Notify,
}

#[derive(Default)]
struct Numbers {
    next: u64,
    running: BTreeSet<u64>,
}

/// Something that is under way until this is dropped.
pub struct Begun {
    shared: Arc<Shared>,
    number: u64,
}

impl Shared {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Underway {
    /// Something begins.
    pub fn begin(&self) -> Begun {
        let mut numbers = self.shared.numbers();
        let number = numbers.next;
        numbers.next += 1;
        numbers.running.insert(number);
        Begun { shared: Arc::clone(&self.shared), number }
    }

    /// Returns when all that had begun when it was called has ended.
    pub async fn ended(&self) {
        let limit = self.shared.numbers().next;
        loop {
            let mut ended = pin!(self.shared.ended.notified());
            // Before it is looked, so that no end in between is missed.
            ended.as_mut().enable();
            if self.shared.numbers().running.first().is_none_or(|oldest| *oldest >= limit) {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.shared.numbers().running.remove(&self.number);
        self.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_had_begun_is_waited_for_and_nothing_else() {
        let underway = Underway::default();
        underway.ended().await;
        let (first, second) = (underway.begin(), underway.begin());
        let mut waits = pin!(underway.ended());
        assert!(waits.as_mut().now_or_never().is_none());
        let later = underway.begin();
        drop(second);
        assert!(waits.as_mut().now_or_never().is_none(), "the first one is under way");
        drop(first);
        assert!(waits.as_mut().now_or_never().is_some(), "the one that has begun later is not waited for");
        drop(later);
        underway.ended().await;
    }

    #[test]
    fn an_end_is_never_missed() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
        runtime.map_or_else(drop, |runtime| {
            runtime.block_on(async {
                for _ in 0..2000 {
                    let underway = Underway::default();
                    let begun = underway.begin();
                    let waits = tokio::spawn(async move { underway.ended().await });
                    drop(begun);
                    assert!(waits.await.is_ok());
                }
            });
        });
    }
}
