//! The units that rows of events are added to: a subject's day, and a subject over the days of a released part.
//!
//! Invariants: what a day keeps follows from the rows of that day alone. Its first `UNIT_KEYS_MAX` groups are told
//! apart, by a set of its own; its numbers, its sessions and, where a unit of a tree is a day, its values are of
//! those groups, however many groups other days have. What a subject keeps over a range is likewise of the first
//! groups of the range. A group of either set is met before anything of it is kept, so that what is kept has a
//! number: no subject has so many groups that reading fails.
//! Not here: rows and batches (`events`).

use shoal_anonymity::bound::{Bounder, DistinctBounder, Limits, Taken, Totals, UNIT_KEYS_MAX};
use shoal_anonymity::noise::Entropy;

use super::trees::Trees;
use crate::failure::Failure;
use crate::scan::accumulator::Accumulated;
use crate::scan::cells::Cells;
use crate::sensitivity::SensitivityLayout;

/// The units at hand, and what was kept of those before.
pub(super) struct Units {
    pub(super) cells: Cells,
    /// The groups of the open day. None where nothing is bounded by days.
    daily: Option<Bounder>,
    /// Whether a day has numbers; otherwise its set of groups is for sessions and trees alone.
    has_daily_numbers: bool,
    ranged: Option<Bounder>,
    /// Sessions that several days may have.
    sessions: Option<DistinctBounder>,
    trees: Trees,
    /// Whether a unit of the trees is a subject's day.
    trees_are_daily: bool,
    /// The day of the open unit.
    pub(super) day: Option<i32>,
    pub(super) subject: [u8; 16],
    pub(super) failure: Option<Failure>,
}

/// Whether a group is one of those that are told apart: of the open day, and of the open subject.
#[derive(Clone, Copy)]
pub(super) struct Known {
    of_day: bool,
    of_range: bool,
}

impl Known {
    /// Whether anything of the group can be kept.
    pub(super) fn is_any(self) -> bool {
        self.of_day || self.of_range
    }
}

/// Keeps the first failure: rows are taken one by one, and what failed is asked for when the unit ends.
fn note<T, E: Into<Failure>>(failure: &mut Option<Failure>, done: Result<T, E>) {
    if let Err(error) = done {
        failure.get_or_insert(error.into());
    }
}

impl Units {
    pub(super) fn new(
        layout: &SensitivityLayout,
        is_day: bool,
        cells: Cells,
        entropy: &mut dyn Entropy,
    ) -> Result<Units, Failure> {
        let has_daily_numbers = is_day || !layout.daily.clamps().is_empty();
        let has_sessions = !layout.sessions.clamps().is_empty();
        let has_days =
            has_daily_numbers || has_sessions || layout.trees_are_daily && !layout.trees.is_empty();
        let mut bounder = |limits: &Limits, wanted: bool| -> Result<Option<Bounder>, Failure> {
            Ok(wanted.then(|| Bounder::new(limits, &mut *entropy)).transpose()?)
        };
        let daily = bounder(&layout.daily, has_days)?;
        let ranged = bounder(&layout.ranged, !is_day)?;
        let sessions =
            has_sessions.then(|| DistinctBounder::new(&layout.sessions, &mut *entropy)).transpose()?;
        Ok(Units {
            cells,
            daily,
            has_daily_numbers,
            ranged,
            sessions,
            trees: Trees::new(&layout.trees, entropy)?,
            trees_are_daily: layout.trees_are_daily,
            day: None,
            subject: [0; 16],
            failure: None,
        })
    }

    /// Whether anything is bounded by days. Otherwise a unit is a subject over all days.
    pub(super) fn has_days(&self) -> bool {
        self.daily.is_some()
    }

    /// Numbers of the open unit in a group: of its day and of its range; and the row that the group was met in, if it
    /// may not have been met before.
    pub(super) fn take(
        &mut self,
        group: u64,
        (daily, ranged): (&[i64], &[i64]),
        met: Option<(usize, usize)>,
    ) -> Known {
        let mut taken = [None; 2];
        let bounders = [(&mut self.daily, daily), (&mut self.ranged, ranged)];
        for (taken, (bounder, values)) in taken.iter_mut().zip(bounders) {
            match bounder.as_mut().map(|bounder| bounder.take(group, values)) {
                Some(Ok(found)) => *taken = Some(found),
                Some(Err(error)) => note(&mut self.failure, Err::<(), _>(error)),
                None => {}
            }
        }
        if let Some((source, row)) = met.filter(|_| taken.contains(&Some(Taken::New))) {
            note(&mut self.failure, self.cells.meet(group, source, row));
        }
        let [of_day, of_range] = taken.map(|taken| matches!(taken, Some(Taken::New | Taken::Known)));
        Known { of_day, of_range }
    }

    /// A value of the open unit in a tree.
    pub(super) fn push_value(&mut self, known: Known, tree: usize, group: u64, units: i64) {
        let is_known = if self.trees_are_daily { known.of_day } else { known.of_range };
        if is_known {
            self.trees.push(tree, group, units);
        }
    }

    /// A session of the open day that other days may have too.
    pub(super) fn push_session(&mut self, known: Known, slot: usize, group: u64, session: u128) {
        if let Some(sessions) = self.sessions.as_mut().filter(|_| known.of_day) {
            sessions.take(group, u32::try_from(slot).unwrap_or(u32::MAX), session);
        }
    }

    /// The day has no more rows.
    pub(super) fn close_day(&mut self) {
        let (cells, subject, Some(day)) = (&mut self.cells, &self.subject, self.day.take()) else { return };
        let mut number = |group| cells.number(group);
        // In a bucket of days, totals and trees are of all its days together.
        let under = self.ranged.is_none().then_some(day);
        match &mut self.daily {
            Some(daily) if self.has_daily_numbers => {
                note(&mut self.failure, daily.close(Some(day), under, subject, &mut number));
            }
            Some(daily) => daily.forget(),
            None => {}
        }
        if let Some(sessions) = &mut self.sessions {
            note(&mut self.failure, sessions.close_day(day, subject, &mut number));
        }
        if self.trees_are_daily {
            note(&mut self.failure, self.trees.close(Some(day), subject, &mut number));
        }
        match &self.ranged {
            None => cells.close(),
            Some(ranged) => cells.keep(UNIT_KEYS_MAX, |group| ranged.has(group)),
        }
    }

    /// The subject has no more rows.
    pub(super) fn close(&mut self, counts: bool) {
        let (cells, subject) = (&mut self.cells, &self.subject);
        let mut number = |group| cells.number(group);
        if let Some(sessions) = &mut self.sessions {
            note(&mut self.failure, sessions.close());
        }
        match &mut self.ranged {
            Some(ranged) if counts => {
                note(&mut self.failure, ranged.close(None, None, subject, &mut number));
                note(&mut self.failure, self.trees.close(None, subject, &mut number));
            }
            Some(ranged) => {
                ranged.forget();
                self.trees.forget();
            }
            None => {}
        }
        cells.close();
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let bounders = [&self.daily, &self.ranged].into_iter().flatten().map(Bounder::bytes).sum::<usize>();
        bounders
            + self.sessions.as_ref().map_or(0, DistinctBounder::bytes)
            + self.trees.bytes()
            + self.cells.bytes()
    }

    /// There are no more subjects. `widths`: the numbers of a day, and of the range.
    pub(super) fn finish(self, widths: (usize, usize)) -> Accumulated {
        let totals = |bounder: Option<Bounder>, width| match bounder {
            Some(bounder) => bounder.finish(),
            None => Totals::empty(width),
        };
        let daily = self.daily.filter(|_| self.has_daily_numbers);
        let (daily, ranged) = (totals(daily, widths.0), totals(self.ranged, widths.1));
        let sessions = self.sessions.map_or_else(|| Totals::empty(0), DistinctBounder::finish);
        Accumulated { cells: self.cells, daily, ranged, sessions, trees: self.trees.finish() }
    }
}
