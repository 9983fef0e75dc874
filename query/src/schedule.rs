//! When an answer leaves: decided before anything is read, from public facts alone.
//!
//! ```text
//! lane 1: |-- work of a question --|-- of the next one --|
//!                                  ....| answer             ....| answer
//! lane 2: |-- of another one --|
//! ```
//! A question that reads events gets a turn: a lane, a beginning and an end. How long its work takes at most follows from what
//! the question is (`release/work.rs`); so long it has its lane, and its answer leaves when that time, rounded up to one of the
//! configured times, is over. When it begins follows from the turns that were given before. Reading begins at the beginning;
//! the answer, or the failure, leaves at the end, however long the work took. So neither the time of an answer, nor that of
//! the one behind it, tells anything about events.
//!
//! Invariants: the work of one lane does not overlap; a turn that is paid is kept to, also when its asker goes away. Without
//! configured times nothing is decided: for tests and benches, which want to know how long the work takes.
//! Not here: how much work a question is, keeping to a turn (`release/in_time.rs`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;

/// The turns of a service.
pub(crate) struct Schedule {
    clock: Arc<dyn Clock>,
    /// Ascending, in ms.
    times_ms: Vec<u64>,
    /// When the work of each lane is done.
    lanes: Mutex<Vec<Instant>>,
}

/// When a question is read, and when its answer leaves.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    lane: usize,
    /// When the lane was free before, and when it is free after.
    free: Instant,
    free_after: Instant,
}

impl Turn {
    /// What share of the work that it was made for a time is.
    pub(crate) fn share_of_work(&self, took: Duration) -> f64 {
        took.as_secs_f64() / self.free_after.saturating_duration_since(self.begin).as_secs_f64().max(1e-9)
    }
}

/// A turn that is given back unless it is kept: whatever ends a question before it is paid leaves no lane idle.
pub(crate) struct Unpaid<'s> {
    schedule: &'s Schedule,
    turn: Option<Turn>,
}

impl<'s> Unpaid<'s> {
    /// A turn of this schedule.
    pub(crate) fn of(schedule: &'s Schedule, turn: Turn) -> Unpaid<'s> {
        Unpaid { schedule, turn: Some(turn) }
    }

    /// The turn: it is paid.
    pub(crate) fn keep(mut self) -> Option<Turn> {
        self.turn.take()
    }
}

impl Drop for Unpaid<'_> {
    fn drop(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.schedule.give_back(turn);
        }
    }
}

/// When a turn is too late.
#[derive(Clone, Copy)]
pub(crate) struct Latest {
    pub(crate) begin: Instant,
    /// For a question that reads a day which expires.
    pub(crate) end: Option<Instant>,
}

impl Schedule {
    /// For so many questions at one time.
    pub(crate) fn new(clock: Arc<dyn Clock>, lanes: usize, times_ms: &[u64]) -> Schedule {
        let lanes = Mutex::new(vec![clock.now(); lanes.max(1)]);
        Schedule { clock, times_ms: times_ms.to_vec(), lanes }
    }

    /// What its times are of.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Whether times are decided at all.
    pub(crate) fn is_timed(&self) -> bool {
        !self.times_ms.is_empty()
    }

    /// How long a turn for this work takes: the next configured time, or the next multiple of the last one.
    pub(crate) fn takes(&self, work: Duration) -> Duration {
        let work_ms = u64::try_from(work.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
        Duration::from_millis(match (self.times_ms.iter().find(|at| **at >= work_ms), self.times_ms.last()) {
            (Some(at), _) => *at,
            (None, Some(last)) => work_ms.div_ceil((*last).max(1)).saturating_mul(*last),
            (None, None) => work_ms,
        })
    }

    /// The next turn for work that takes so long, in the lane that is free first; none when it would be too late.
    pub(crate) fn turn(&self, work: Duration, latest: Latest) -> Option<Turn> {
        let now = self.clock.now();
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let (lane, free) = lanes.iter().copied().enumerate().min_by_key(|(_, free)| *free)?;
        let begin = Some(free.max(now)).filter(|begin| *begin <= latest.begin)?;
        let (free_after, end) = (begin.checked_add(work)?, begin.checked_add(self.takes(work))?);
        if latest.end.is_some_and(|latest| end > latest) {
            return None;
        }
        *lanes.get_mut(lane)? = free_after;
        Some(Turn { begin, end, lane, free, free_after })
    }

    /// Takes back a turn whose question was not paid, unless another one stands behind it already.
    fn give_back(&self, turn: Turn) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(free) = lanes.get_mut(turn.lane).filter(|free| **free == turn.free_after) {
            *free = turn.free;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::TestClock;

    const SECOND: Duration = Duration::from_secs(1);

    fn of(lanes: usize, times_ms: &[u64]) -> (Arc<TestClock>, Schedule) {
        let clock = Arc::new(TestClock::new());
        (Arc::clone(&clock), Schedule::new(clock, lanes, times_ms))
    }

    #[test]
    fn a_turn_takes_one_of_the_configured_times() {
        let schedule = of(1, &[1_000, 2_000, 30_000]).1;
        for (work_ms, takes_ms) in [
            (0, 1_000),
            (1_000, 1_000),
            (1_001, 2_000),
            (2_001, 30_000),
            (30_001, 60_000),
            (60_000, 60_000),
            (60_001, 90_000),
        ] {
            let takes = schedule.takes(Duration::from_millis(work_ms));
            assert_eq!(takes, Duration::from_millis(takes_ms), "{work_ms}");
        }
        assert!(!of(1, &[]).1.is_timed());
    }

    #[test]
    fn turns_of_a_lane_follow_each_other_and_nothing_else_counts() {
        let (clock, schedule) = of(2, &[1_000]);
        let now = clock.now();
        let latest = Latest { begin: now + 2 * SECOND, end: Some(now + 5 * SECOND) };
        let turn = |work: u32| schedule.turn(work * SECOND, latest).map(|turn| (turn.begin, turn.end));
        assert_eq!(turn(2), Some((now, now + 2 * SECOND)));
        assert_eq!(turn(1), Some((now, now + SECOND)));
        assert_eq!(turn(5), None, "it would end too late");
        assert_eq!(turn(3), Some((now + SECOND, now + 4 * SECOND)));
        assert_eq!(turn(3), Some((now + 2 * SECOND, now + 5 * SECOND)));
        assert_eq!(turn(1), None, "it would begin too late");
        let later = now + 20 * SECOND;
        clock.move_to(20 * SECOND);
        let latest = Latest { begin: later, end: None };
        assert_eq!(schedule.turn(SECOND, latest).unwrap().begin, later);
    }

    #[test]
    fn a_lane_is_taken_for_the_work_and_not_for_the_wait() {
        let (clock, schedule) = of(1, &[4_000]);
        let now = clock.now();
        let turn = || schedule.turn(SECOND, Latest { begin: now + 9 * SECOND, end: None }).unwrap();
        let (first, second) = (turn(), turn());
        assert_eq!((first.begin, first.end), (now, now + 4 * SECOND));
        assert_eq!((second.begin, second.end), (now + SECOND, now + 5 * SECOND));
    }

    #[test]
    fn the_share_of_a_turn_is_of_its_work_and_not_of_its_wait() {
        let (clock, schedule) = of(1, &[4_000]);
        let latest = Latest { begin: clock.now(), end: None };
        let turn = schedule.turn(2 * SECOND, latest).unwrap();
        assert!((turn.share_of_work(SECOND) - 0.5).abs() < 1e-9);
        assert!((turn.share_of_work(4 * SECOND) - 2.0).abs() < 1e-9, "late");
    }

    #[test]
    fn a_turn_that_was_not_paid_leaves_no_gap() {
        let (clock, schedule) = of(1, &[1_000]);
        let now = clock.now();
        let latest = Latest { begin: now + 9 * SECOND, end: None };
        let turn = || schedule.turn(SECOND, latest).unwrap();
        let (first, second) = (turn(), turn());
        let begin = second.begin;
        schedule.give_back(second);
        let again = turn();
        assert_eq!(again.begin, begin);
        // One that another stands behind stays.
        schedule.give_back(first);
        assert_eq!(turn().begin, again.free_after);
    }
}
