//! Retention: in which periods after its first one a subject came back.
//!
//! A subject's cohort is the period (day, week or month) of its first event that meets `cohort`, within the days of the
//! query; that event gives the keys that are columns. It counts once in (cohort, 0), and once in (cohort, n) for each n of
//! 1 and more when an event that meets `back` is n periods after the cohort.

use std::collections::BTreeSet;

use datafusion::arrow::array::ArrayRef;
use shoal_anonymity::noise::Entropy;

use super::columns::Columns;
use super::evaluate::Made;
use super::frame::{EventKeys, Frame};
use crate::failure::Failure;
use crate::scan::accumulator::{Accumulated, Accumulator};
use crate::scan::grounds::Grounds;
use crate::sensitivity::periods;
use shoal_language::Scalar;
use shoal_language::Shape;
use shoal_language::calendar::Grain;

/// The columns of the two conditions.
const COHORT: usize = 0;
const BACK: usize = 1;

/// The cohort and the periods of each subject.
pub(super) struct RetentionAccumulator {
    conditions: [Scalar; 2],
    period: Grain,
    /// The first days of all periods.
    starts: Vec<i32>,
    frame: Frame,
    columns: Columns,
    /// The position of the subject's cohort among the periods, and the keys of its event.
    cohort: Option<(usize, EventKeys)>,
    back: BTreeSet<usize>,
    failed: bool,
}

impl RetentionAccumulator {
    pub(super) fn new(
        grounds: &Grounds<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<RetentionAccumulator, Failure> {
        let Shape::Retention { cohort, back, period } = &grounds.query.shape else {
            return Err(Failure::Internal);
        };
        if grounds.query.buckets_of(grounds.days).len() > 1 {
            return Err(Failure::Internal);
        }
        let conditions = [cohort.clone(), back.clone()];
        let frame = Frame::new(grounds, entropy)?;
        let columns = Columns::new(&[conditions.to_vec(), frame.event_scalars()].concat());
        Ok(RetentionAccumulator {
            conditions,
            period: *period,
            starts: periods(grounds.days, *period),
            frame,
            columns,
            cohort: None,
            back: BTreeSet::new(),
            failed: false,
        })
    }

    fn take(&mut self, source: usize, row: usize, day: i32) -> Result<(), Failure> {
        let start = self.period.bucket(day);
        let Ok(at) = self.starts.binary_search(&start) else { return Ok(()) };
        if self.cohort.is_none() && self.columns.is_true(source, COHORT, row) {
            let keys = self.frame.event_keys(&self.columns, self.conditions.len(), source, row);
            self.cohort = keys.map(|keys| (at, keys));
        }
        if self.columns.is_true(source, BACK, row) {
            self.back.insert(at);
        }
        Ok(())
    }
}

impl Accumulator for RetentionAccumulator {
    fn scalars(&self) -> Vec<Scalar> {
        [self.conditions.to_vec(), self.frame.event_scalars()].concat()
    }

    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
        self.columns.load(source, columns)
    }

    /// Which of a day's events is the first matters only for its keys.
    fn is_timed(&self) -> bool {
        self.scalars().len() > self.conditions.len()
    }

    fn row(&mut self, source: usize, row: usize, day: i32, _time_us: i64) {
        self.failed |= self.take(source, row, day).is_err();
    }

    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        if self.failed {
            return Err(Failure::Internal);
        }
        let back = std::mem::take(&mut self.back);
        if let Some((cohort, keys)) = self.cohort.take() {
            let came = back.range(cohort + 1..).map(|at| at - cohort);
            for period in std::iter::once(0).chain(came) {
                let made = Made {
                    cohort: self.starts.get(cohort).copied(),
                    period: i64::try_from(period).ok(),
                    ..Made::default()
                };
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
