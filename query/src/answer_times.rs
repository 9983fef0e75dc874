//! When an answer leaves: at one of a few times after its question, so that the time tells little about the events.
//!
//! Invariants: an answer never leaves between two times; after the last one, at whole multiples of it. What depends on public
//! facts only (refusals, dry runs, answers that come whole from the ledger) does not wait: the engine does not ask here.
//! Not here: how long a query may run (`engine.rs`).

use std::time::Duration;

use tokio::time::Instant;

/// Runs from the question on.
#[derive(Clone, Copy)]
pub(crate) struct AnswerClock(Instant);

impl AnswerClock {
    pub(crate) fn start() -> AnswerClock {
        AnswerClock(Instant::now())
    }

    /// The next time at which an answer may leave, in ms after the question. `times_ms` ascend; without any it is now.
    pub(crate) fn next_ms(&self, times_ms: &[u64]) -> u64 {
        let elapsed_ms = self.0.elapsed().as_micros().div_ceil(1000);
        next_ms(times_ms, u64::try_from(elapsed_ms).unwrap_or(u64::MAX))
    }

    /// Waits for that time, and answers it.
    pub(crate) async fn wait(&self, times_ms: &[u64]) -> u64 {
        let at_ms = self.next_ms(times_ms);
        if !times_ms.is_empty() {
            tokio::time::sleep_until(self.0 + Duration::from_millis(at_ms)).await;
        }
        at_ms
    }
}

fn next_ms(times_ms: &[u64], elapsed_ms: u64) -> u64 {
    match (times_ms.iter().find(|at| **at >= elapsed_ms), times_ms.last()) {
        (Some(at), _) => *at,
        (None, Some(last)) => elapsed_ms.div_ceil((*last).max(1)).saturating_mul(*last),
        (None, None) => elapsed_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_leaves_between_two_times() {
        let times = [1_000, 2_000, 30_000];
        for (elapsed, at) in [
            (0, 1_000),
            (1_000, 1_000),
            (1_001, 2_000),
            (2_001, 30_000),
            (30_001, 60_000),
            (60_000, 60_000),
            (60_001, 90_000),
        ] {
            assert_eq!(next_ms(&times, elapsed), at, "{elapsed}");
        }
        assert_eq!(next_ms(&[], 17), 17);
    }
}
