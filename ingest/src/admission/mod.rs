//! Whose turn it is: so many requests are judged at one time, the others wait, and none waits for long.
//!
//! ```text
//! request -> a turn is free, or the wait is within patience -> judged -> log
//!                                  \-> refused at once: "overloaded", with the time to come back
//! ```
//! `queue` decides, as a pure function of what waits since when and of now. Here its decisions are carried out.
//!
//! Invariants: a turn that is given is given back, whatever becomes of who has it; who goes away while waiting leaves nothing.
//! Not here: how a client hears of it (`wire/<protocol>/answer.rs`, `shoal-server`), bytes in memory (`log/in_flight.rs`), changes
//! of consent, which have a queue of their own (`consents/room.rs`): no flood of events keeps a withdrawal out.

mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_files::host;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use crate::config::AdmissionConfig;
use queue::{Arrival, Queue};

/// Hands out turns.
pub(crate) struct Admission {
    queue: Mutex<Queue<oneshot::Sender<Turn>>>,
}

/// The right to be judged now, until it is dropped.
pub(crate) struct Turn(Arc<Admission>);

/// There is no turn within patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overloaded {
    /// When to come back, seconds.
    pub(crate) retry_after_s: u32,
}

impl Admission {
    pub(crate) fn new(config: AdmissionConfig) -> Arc<Admission> {
        Arc::new(Admission { queue: Mutex::new(Queue::new(config, host::instant())) })
    }

    /// Waits for a turn, not for longer than patience.
    ///
    /// # Errors
    /// When too much waits, or has waited for too long.
    pub(crate) async fn enter(self: &Arc<Self>) -> Result<Turn, Overloaded> {
        let (sender, mut receiver) = oneshot::channel();
        let arrival = self.queue().arrive(sender, host::instant());
        let (number, until) = match arrival {
            Arrival::Runs => return Ok(Turn(Arc::clone(self))),
            Arrival::Refused => return Err(self.overloaded()),
            Arrival::Waits { number, until } => (number, until),
        };
        let waiting = Waiting { admission: self, number };
        let decided = timeout_at(until.into(), &mut receiver).await;
        drop(waiting);
        // When the time was over just as the turn came, it is there.
        let turn = decided.ok().and_then(Result::ok).or_else(|| receiver.try_recv().ok());
        turn.ok_or_else(|| self.overloaded())
    }

    fn overloaded(&self) -> Overloaded {
        Overloaded { retry_after_s: self.queue().retry_after_s(host::instant()) }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<oneshot::Sender<Turn>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let left = self.0.queue().leave(host::instant());
        if let Some(next) = left.next {
            // Whoever went away gives the turn back: it comes here again.
            let _ = next.send(Turn(Arc::clone(&self.0)));
        }
    }
}

/// A place in the queue, which whoever goes away leaves.
struct Waiting<'a> {
    admission: &'a Admission,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.admission.queue().give_up(self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn admission() -> Arc<Admission> {
        let wait = Duration::from_secs(3600);
        Admission::new(AdmissionConfig { turns: 1, waiting_max: 2, wait, standing_wait: wait })
    }

    async fn waits(admission: &Arc<Admission>, how_many: usize) {
        while admission.queue().waiting() < how_many {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_turn_goes_on_to_who_waits_and_is_free_in_the_end() {
        let admission = admission();
        let first = admission.enter().await.unwrap();
        let second = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter().await.is_ok() }
        });
        waits(&admission, 1).await;
        drop(first);
        assert!(second.await.unwrap());
        assert!(admission.enter().await.is_ok());
        assert_eq!(admission.queue().running(), 0);
    }

    #[tokio::test]
    async fn who_goes_away_while_waiting_leaves_nothing() {
        let admission = admission();
        let first = admission.enter().await.unwrap();
        let gone = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter().await.is_ok() }
        });
        waits(&admission, 1).await;
        gone.abort();
        assert!(gone.await.is_err());
        assert_eq!(admission.queue().waiting(), 0);
        drop(first);
        assert_eq!(admission.queue().running(), 0);
    }

    #[tokio::test]
    async fn more_than_may_wait_are_refused_at_once() {
        let admission = admission();
        let _first = admission.enter().await.unwrap();
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let admission = Arc::clone(&admission);
                tokio::spawn(async move { admission.enter().await.is_ok() })
            })
            .collect();
        waits(&admission, 2).await;
        assert!(admission.enter().await.is_err_and(|refused| refused.retry_after_s >= 1));
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
