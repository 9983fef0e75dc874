//! Funnels: how far each subject gets through steps in order, all within a time of the first.
//!
//! A chain is an event that meets step 1, then one that meets step 2, and so on, none more than `within` after the
//! first. As in ClickHouse's windowFunnel, any events may lie between; other than there, one event is one step of a chain.
//! Events of one time come in the order of the first step that each of them meets, those of one such step in the order
//! of their ids: what an app reports together counts as one step after the other, and no number depends on how rows lie.
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

/// More steps than a funnel may have.
const STEPS_MAX: usize = u32::BITS as usize;

/// Most events of one subject and one time that are looked at: the others are left out.
const NOW_MAX: usize = 1 << 13;

/// The funnel of the current subject.
pub(super) struct Funnel {
    steps: Vec<Scalar>,
    within_us: i64,
    /// Those of the time at hand, in the order in which they came.
    now: Vec<Met>,
    now_us: i64,
    /// For each step: the latest start of a chain that has reached it.
    starts: Vec<Option<Start>>,
    /// The longest chain's steps, and the keys of its first event.
    best: Option<(usize, EventKeys)>,
}

/// An event that meets some step.
struct Met {
    /// A bit for each step that it meets.
    steps: u32,
    /// If it can be the first of a chain.
    keys: EventKeys,
}

#[derive(Clone)]
struct Start {
    time_us: i64,
    keys: EventKeys,
}

impl Funnel {
    pub(super) fn new(steps: &[Scalar], within_ms: i64) -> Result<Funnel, Failure> {
        if steps.len() > STEPS_MAX {
            return Err(Failure::Internal);
        }
        let (steps, starts) = (steps.to_vec(), vec![None; steps.len()]);
        let within_us = within_ms.saturating_mul(1_000);
        Ok(Funnel { steps, within_us, now: Vec::new(), now_us: 0, starts, best: None })
    }

    /// There are no more events of the time at hand.
    fn end_time(&mut self) {
        let mut events = std::mem::take(&mut self.now);
        events.sort_by_key(|event| event.steps.trailing_zeros());
        for event in events.drain(..) {
            self.follow(&event);
        }
        self.now = events;
    }

    fn follow(&mut self, event: &Met) {
        let time_us = self.now_us;
        let is_in_time = |start: &&Start| time_us.saturating_sub(start.time_us) <= self.within_us;
        // The last step first, so that one event does not take a chain two steps on.
        for step in (0..self.steps.len()).rev().filter(|step| event.steps & 1 << step != 0) {
            let start = match step {
                0 => Some(Start { time_us, keys: event.keys.clone() }),
                _ => self.starts[step - 1].as_ref().filter(is_in_time).cloned(),
            };
            let Some(start) = start else { continue };
            if self.best.as_ref().is_none_or(|(best, _)| *best < step + 1) {
                self.best = Some((step + 1, start.keys.clone()));
            }
            self.starts[step] = Some(start);
        }
    }
}

impl SubjectState for Funnel {
    const HAS_EVENT_KEYS: bool = true;

    fn scalars(&self) -> Vec<Scalar> {
        self.steps.clone()
    }

    fn take(&mut self, event: &Event<'_>) {
        if event.time_us != self.now_us {
            self.end_time();
            self.now_us = event.time_us;
        }
        let is_met = |step: &usize| event.is_true(*step);
        let mut steps = (0..self.steps.len()).filter(is_met).fold(0, |steps: u32, step| steps | 1 << step);
        let mut keys = EventKeys::new();
        if steps & 1 != 0 {
            // An event with a value that is not in a public domain begins no chain.
            match event.keys() {
                Some(own) => keys = own,
                None => steps &= !1,
            }
        }
        if steps != 0 && self.now.len() < NOW_MAX {
            self.now.push(Met { steps, keys });
        }
    }

    fn close(&mut self, frame: &mut Frame) -> Result<(), Failure> {
        self.end_time();
        self.starts.fill(None);
        let Some((steps, keys)) = self.best.take() else { return Ok(()) };
        for step in 1..=steps {
            let made = Made { step: i64::try_from(step).ok(), ..Made::default() };
            frame.add(&made, &keys)?;
        }
        Ok(())
    }
}
