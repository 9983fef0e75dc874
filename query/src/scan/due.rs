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
use crate::failure::Failure;

/// A release in one region, over days that follow on each other and are paid: whole buckets of it, or (when each day is a
/// release of its own) any days.
#[derive(Clone)]
pub(crate) struct Due {
    pub(crate) charged: Arc<ChargedQuery>,
    pub(crate) region: Region,
    pub(crate) days: DayRange,
}

impl Due {
    /// The buckets of its days.
    pub(crate) fn buckets(&self) -> Vec<Bucket> {
        self.charged.query.buckets_of(self.days)
    }

    /// What is totalled by itself.
    pub(super) fn spans(&self) -> Vec<Span> {
        match self.charged.is_daily() {
            true => self.days.days().map(Span::Day).collect(),
            false => (0..self.buckets().len()).map(Span::Bucket).collect(),
        }
    }

    /// The days of a span, and those of each membership: they do not depend on the span.
    pub(super) fn days_of(&self, buckets: &[Bucket], span: Span) -> Vec<Vec<i32>> {
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

/// The exact totals of what was due.
pub(crate) struct Raw {
    pub(crate) due: Due,
    pub(crate) cells: Cells,
    pub(crate) daily: Totals,
    /// One for each bucket of days.
    pub(crate) ranged: Vec<Totals>,
    /// One for each (measure, filter) of which quantiles are asked, for each span.
    pub(crate) trees: Vec<(Span, Vec<Tree>)>,
}

impl Raw {
    /// Adds what came of a span.
    pub(super) fn add(&mut self, span: Span, accumulated: Accumulated) -> Result<(), Failure> {
        let Accumulated { cells, daily, ranged, trees } = accumulated;
        let numbers = self.cells.absorb(&cells)?;
        let number = |key: u32| match &numbers {
            None => Some(key),
            Some(numbers) => numbers.get(key as usize).copied(),
        };
        self.daily.append(&daily, number)?;
        if let Span::Bucket(at) = span {
            self.ranged.get_mut(at).ok_or(Failure::Internal)?.append(&ranged, number)?;
        }
        let mut own = Vec::with_capacity(trees.len());
        for Tree { nodes, totals } in trees {
            let node = |key: u32| {
                let (cell, node) = (key.checked_div(nodes)?, key.checked_rem(nodes)?);
                number(cell)?.checked_mul(nodes)?.checked_add(node)
            };
            let mut renumbered = Totals::empty(totals.width());
            renumbered.append(&totals, node)?;
            own.push(Tree { nodes, totals: renumbered });
        }
        if !own.is_empty() {
            self.trees.push((span, own));
        }
        Ok(())
    }
}
