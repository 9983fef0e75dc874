//! What is read at once, and what comes of it.
//!
//! Invariants: exact totals are not private: only `release` takes them, and nothing shows them; so they have no `Debug`.

use std::sync::Arc;

use shoal_anonymity::bound::Totals;
use shoal_language::{Bucket, DayRange};
use shoal_schemas::Region;

use super::accumulator::{Accumulated, Tree};
use super::cells::Cells;
use super::span::Span;
use crate::charge::ChargedQuery;

/// A release in one region, over days that follow on each other and are paid: whole buckets of it, or (when each day is a
/// release of its own) any days.
#[derive(Clone)]
pub(crate) struct Due {
    pub(crate) charged: Arc<ChargedQuery>,
    pub(crate) region: Region,
    pub(crate) days: DayRange,
    /// The most passes over the files of a span that were planned for.
    pub(crate) passes_max: u64,
}

impl Due {
    /// The buckets of its days.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        self.charged.query.buckets_of(self.days)
    }

    /// What is totalled by itself.
    pub(crate) fn spans(&self) -> Vec<Span> {
        match self.charged.is_daily() {
            true => self.days.days().map(Span::Day).collect(),
            false => (0..self.buckets().len()).map(Span::Bucket).collect(),
        }
    }

    /// The days of a span, and those of each membership: they do not depend on the span.
    pub(crate) fn days_of(&self, buckets: &[Bucket], span: Span) -> Vec<Vec<i32>> {
        let own = match span {
            Span::Day(day) => vec![day],
            Span::Bucket(at) => {
                buckets.get(at).map(|bucket| bucket.days.days().collect()).unwrap_or_default()
            }
        };
        let members = self.charged.query.members().iter().map(|member| member.days.days().collect());
        std::iter::once(own).chain(members).collect()
    }
}

/// The exact totals of one span of what was due.
pub(crate) struct Raw {
    pub(crate) due: Due,
    pub(crate) span: Span,
    pub(crate) cells: Cells,
    /// By (day, group).
    pub(crate) daily: Totals,
    /// By group; of a bucket of days only.
    pub(crate) ranged: Totals,
    /// By group; sessions that several days may have.
    pub(crate) sessions: Totals,
    /// One for each (measure, filter) of which quantiles are asked.
    pub(crate) trees: Vec<Tree>,
}

impl Raw {
    /// What came of a span.
    pub(super) fn of(due: &Due, span: Span, accumulated: Accumulated) -> Raw {
        let Accumulated { cells, daily, ranged, sessions, trees } = accumulated;
        Raw { due: due.clone(), span, cells, daily, ranged, sessions, trees }
    }

    /// The days of its span; none when the bucket is not one of what was due.
    pub(crate) fn days(&self) -> Option<DayRange> {
        match self.span {
            Span::Day(day) => Some(DayRange { first: day, last: day }),
            Span::Bucket(at) => self.due.buckets().get(at).map(|bucket| bucket.days),
        }
    }
}
