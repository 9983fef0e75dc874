//! Retention: in which periods after its first one a subject came back.
//!
//! A subject's cohort is the period (day, week or month) of its first event that meets `cohort`, within the days of the
//! query; that event gives the keys that are columns. It counts once in (cohort, 0), and once in (cohort, n) for each n of
//! 1 and more when an event that meets `back` is n periods after the cohort.

use std::collections::BTreeSet;

use super::evaluate::Made;
use super::frame::{EventKeys, Frame};
use super::made_rows::{Event, SubjectState};
use crate::failure::Failure;
use crate::scan::grounds::Grounds;
use crate::sensitivity::periods;
use shoal_language::Scalar;
use shoal_language::calendar::Grain;

/// The positions of the two conditions.
const COHORT: usize = 0;
const BACK: usize = 1;

/// The cohort and the periods of the current subject.
pub(super) struct Retention {
    conditions: [Scalar; 2],
    period: Grain,
    /// The first days of all periods.
    starts: Vec<i32>,
    /// The position of the cohort among the periods, and the keys of its event.
    cohort: Option<(usize, EventKeys)>,
    back: BTreeSet<usize>,
}

impl Retention {
    /// The conditions are those of `COHORT` and `BACK`.
    pub(super) fn new(
        conditions: [Scalar; 2],
        period: Grain,
        grounds: &Grounds<'_>,
    ) -> Result<Retention, Failure> {
        if grounds.query.buckets_of(grounds.days).len() > 1 {
            return Err(Failure::Internal);
        }
        let starts = periods(grounds.days, period);
        Ok(Retention { conditions, period, starts, cohort: None, back: BTreeSet::new() })
    }
}

impl SubjectState for Retention {
    const HAS_EVENT_KEYS: bool = true;

    fn scalars(&self) -> Vec<Scalar> {
        self.conditions.to_vec()
    }

    fn take(&mut self, event: &Event<'_>) {
        let Ok(at) = self.starts.binary_search(&self.period.bucket(event.day)) else { return };
        if self.cohort.is_none() && event.is_true(COHORT) {
            self.cohort = event.keys().map(|keys| (at, keys));
        }
        if event.is_true(BACK) {
            self.back.insert(at);
        }
    }

    fn close(&mut self, frame: &mut Frame) -> Result<(), Failure> {
        let back = std::mem::take(&mut self.back);
        let Some((cohort, keys)) = self.cohort.take() else { return Ok(()) };
        let came = back.range(cohort + 1..).map(|at| at - cohort);
        for period in std::iter::once(0).chain(came) {
            let made = Made {
                cohort: self.starts.get(cohort).copied(),
                period: i64::try_from(period).ok(),
                ..Made::default()
            };
            frame.add(&made, &keys)?;
        }
        Ok(())
    }
}
