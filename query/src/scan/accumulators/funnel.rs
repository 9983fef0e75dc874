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

use datafusion::arrow::array::ArrayRef;
use shoal_anonymity::noise::Entropy;

use super::columns::Columns;
use super::evaluate::Made;
use super::frame::{EventKeys, Frame};
use crate::failure::Failure;
use crate::scan::accumulator::{Accumulated, Accumulator};
use crate::scan::grounds::Grounds;
use shoal_language::Scalar;
use shoal_language::Shape;

/// The funnel of each subject.
pub(super) struct FunnelAccumulator {
    steps: Vec<Scalar>,
    within_us: i64,
    frame: Frame,
    columns: Columns,
    /// For each step: the latest start of a chain of the current subject that has reached it.
    starts: Vec<Option<Start>>,
    /// The longest chain's steps, and the keys of its first event.
    best: Option<(usize, EventKeys)>,
    failed: bool,
}

#[derive(Clone)]
struct Start {
    time_us: i64,
    keys: EventKeys,
}

impl FunnelAccumulator {
    pub(super) fn new(
        grounds: &Grounds<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<FunnelAccumulator, Failure> {
        let Shape::Funnel { steps, within_ms } = &grounds.query.shape else {
            return Err(Failure::Internal);
        };
        let frame = Frame::new(grounds, entropy)?;
        let columns = Columns::new(&[steps.clone(), frame.event_scalars()].concat());
        Ok(FunnelAccumulator {
            steps: steps.clone(),
            within_us: within_ms.saturating_mul(1_000),
            frame,
            columns,
            starts: vec![None; steps.len()],
            best: None,
            failed: false,
        })
    }

    fn take(&mut self, source: usize, row: usize, time_us: i64) -> Result<(), Failure> {
        let steps = self.steps.len();
        // The last step first, so that one event does not take a chain two steps on.
        for step in (0..steps).rev() {
            if !self.columns.is_true(source, step, row) {
                continue;
            }
            let start = match step {
                0 => match self.frame.event_keys(&self.columns, steps, source, row) {
                    Some(keys) => Start { time_us, keys },
                    None => continue,
                },
                _ => match &self.starts[step - 1] {
                    Some(start) if time_us.saturating_sub(start.time_us) <= self.within_us => start.clone(),
                    _ => continue,
                },
            };
            if self.best.as_ref().is_none_or(|(best, _)| *best < step + 1) {
                self.best = Some((step + 1, start.keys.clone()));
            }
            self.starts[step] = Some(start);
        }
        Ok(())
    }
}

impl Accumulator for FunnelAccumulator {
    fn scalars(&self) -> Vec<Scalar> {
        [self.steps.clone(), self.frame.event_scalars()].concat()
    }

    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
        self.columns.load(source, columns)
    }

    fn is_timed(&self) -> bool {
        true
    }

    fn row(&mut self, source: usize, row: usize, _day: i32, time_us: i64) {
        self.failed |= self.take(source, row, time_us).is_err();
    }

    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        if self.failed {
            return Err(Failure::Internal);
        }
        self.starts.fill(None);
        if let Some((steps, keys)) = self.best.take() {
            for step in 1..=steps {
                let made = Made { step: i64::try_from(step).ok(), ..Made::default() };
                self.frame.add(&made, &keys)?;
            }
        }
        self.frame.close(subject)
    }

    fn member(&mut self, membership: usize) {
        self.frame.member(membership);
    }

    fn bytes(&self) -> usize {
        self.frame.bytes()
    }

    fn finish(self: Box<Self>) -> Result<Accumulated, Failure> {
        self.frame.finish()
    }
}
