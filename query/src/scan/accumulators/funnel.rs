//! Funnels: how far each subject gets through steps in order, all within a time of the first.
//!
//! A chain is an event that meets step 1, later one that meets step 2, and so on, none more than `within` after the
//! first. As in ClickHouse's windowFunnel, any events may lie between; other than there, one event is one step of a chain.
//! Of all chains of a subject in a released part the longest counts; of several that are as long, the one that was that
//! long first. Its first event gives the keys that are columns. A subject counts once in each of the steps 1 to m.
//!
//! The search is exact in one pass: for each step it keeps the chain with the latest start, since that one stays within
//! the time whenever any other does. A later start never has fewer steps left to try, and starts of longer chains are
//! never later than those of shorter ones.

use super::evaluate::Made;
use super::frame::{EventKeys, Frame};
use super::made_rows::{Event, SubjectState};
use crate::failure::Failure;
use shoal_language::Scalar;

/// The funnel of the current subject.
pub(super) struct Funnel {
    steps: Vec<Scalar>,
    within_us: i64,
    /// For each step: the latest start of a chain that has reached it.
    starts: Vec<Option<Start>>,
    /// The longest chain's steps, and the keys of its first event.
    best: Option<(usize, EventKeys)>,
}

#[derive(Clone)]
struct Start {
    time_us: i64,
    keys: EventKeys,
}

impl Funnel {
    pub(super) fn new(steps: &[Scalar], within_ms: i64) -> Funnel {
        let within_us = within_ms.saturating_mul(1_000);
        Funnel { steps: steps.to_vec(), within_us, starts: vec![None; steps.len()], best: None }
    }
}

impl SubjectState for Funnel {
    const IS_TIMED: bool = true;
    const HAS_EVENT_KEYS: bool = true;

    fn scalars(&self) -> Vec<Scalar> {
        self.steps.clone()
    }

    fn take(&mut self, event: &Event<'_>) {
        let is_in_time = |start: &&Start| event.time_us.saturating_sub(start.time_us) <= self.within_us;
        // The last step first, so that one event does not take a chain two steps on.
        for step in (0..self.steps.len()).rev().filter(|step| event.is_true(*step)) {
            let start = match step {
                0 => event.keys().map(|keys| Start { time_us: event.time_us, keys }),
                _ => self.starts[step - 1].as_ref().filter(is_in_time).cloned(),
            };
            let Some(start) = start else { continue };
            if self.best.as_ref().is_none_or(|(best, _)| *best < step + 1) {
                self.best = Some((step + 1, start.keys.clone()));
            }
            self.starts[step] = Some(start);
        }
    }

    fn close(&mut self, frame: &mut Frame) -> Result<(), Failure> {
        self.starts.fill(None);
        let Some((steps, keys)) = self.best.take() else { return Ok(()) };
        for step in 1..=steps {
            let made = Made { step: i64::try_from(step).ok(), ..Made::default() };
            frame.add(&made, &keys)?;
        }
        Ok(())
    }
}
