//! Work that comes back at a decided time, whatever it does until then.
//!
//! Invariants: with what was made in time, and with a failure: what is late, what fails at once and what panics all come back at that
//! time. Not here: which time that is (`schedule.rs` for questions, `size` for sizes).

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use tokio::time::Instant;

use super::circumstances::Timing;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::schedule::Turn;

/// Works, and comes back at the end.
pub(super) async fn until_end<T>(
    clock: &dyn Clock,
    end: Instant,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let done = tokio::select! {
        biased;
        done = failing(work) => done,
        () = clock.late(end) => Err(Failure::Time),
    };
    // Work that held its thread until after the end was seen to be done first.
    let done = if clock.now() > end { Err(Failure::Time) } else { done };
    clock.until(end).await;
    done
}

/// Works in a turn: begins when it begins, and comes back when it ends.
pub(super) async fn in_turn<T>(
    turn: &Turn,
    timing: &Timing<'_>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let clock = timing.schedule.clock();
    clock.until(turn.begin).await;
    let begun = clock.now();
    let used = || turn.share_of_work(clock.now().saturating_duration_since(begun));
    let mut noted = false;
    let done = until_end(clock, turn.end, async {
        let done = failing(work).await;
        timing.metrics.turn_used(used());
        noted = true;
        done
    })
    .await;
    if !noted {
        timing.metrics.turn_used(used());
    }
    done
}

/// A panic is a failure like others.
async fn failing<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(Failure::Panic))
}
