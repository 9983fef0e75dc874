//! Events: each row adds to the group of its keys.
//!
//! Invariants: the unit of daily numbers is a subject's day, that of ranged numbers a subject over the days of the
//! released part. With members, a subject that does not meet every membership leaves nothing. A session counts once for
//! each subject and group of a released part, on however many of its days it is. A value of a measure counts once
//! in the tree of that measure and filter, however many quantiles are read from it.
//! Not here: which events count (`sampling`), what is kept of a unit (`bounded`).

use std::ops::Range;

use datafusion::arrow::array::ArrayRef;
use shoal_anonymity::noise::Entropy;

use super::bounded::Units;
use super::gate::Gate;
use super::sampling::{Sampling, chooses};
use super::terms::{Numbers, Op, Term};
use crate::failure::Failure;
use crate::scan::accumulator::{Accumulated, Accumulator};
use crate::scan::cells::Cells;
use crate::scan::grounds::Grounds;
use crate::scan::key_columns::ABSENT;
use crate::scan::span::Span;
use crate::sensitivity::Slot;
use shoal_language::Scalar;

/// Sessions of one subject that are told apart; more than any clamp lets through.
const SESSIONS_MAX: usize = 1 << 16;

/// The accumulator of events.
pub(super) struct Events {
    units: Units,
    keys: usize,
    terms: Vec<Term>,
    scalars: Vec<Scalar>,
    batches: Vec<Batch>,
    /// The numbers of one row: of the day, then of the range.
    widths: (usize, usize),
    /// Of the open day, or of the open subject where a unit is a subject over all days: (aggregate, group, session), some
    /// more than once.
    sessions: Vec<(usize, u64, u128)>,
    scratch: Vec<i64>,
    /// None where no number depends on which events of a day count.
    sampling: Option<Sampling>,
    gate: Gate,
}

/// The batch of one source.
#[derive(Default)]
struct Batch {
    /// Empty when there are no keys.
    cells: Vec<u64>,
    /// One for each number of a row: of the day, then of the range.
    numbers: Vec<Numbers>,
    /// Of each row, where events are chosen.
    classes: Vec<u8>,
    /// By position of the aggregate; none where the row has no session that counts.
    sessions: Vec<(usize, Vec<Option<u128>>)>,
    /// By tree; none where the row has no value that counts.
    values: Vec<(usize, Vec<Option<i64>>)>,
}

impl Events {
    /// For a part of one day that is released by itself, or for a bucket of days.
    pub(super) fn new(grounds: &Grounds<'_>, entropy: &mut dyn Entropy) -> Result<Events, Failure> {
        let Grounds { query, layout, groups_max, .. } = *grounds;
        let is_day = matches!(grounds.span, Span::Day(_));
        let cells = Cells::new(query, groups_max, entropy)?;
        let widths = (layout.daily.clamps().len(), layout.ranged.clamps().len());
        if !query.members().is_empty() && (is_day || widths.0 > 0) {
            return Err(Failure::Internal); // A day's part of the answer must not depend on other days.
        }
        let mut scalars: Vec<Scalar> = cells.scalars().cloned().collect();
        let keys = scalars.len();
        let mut terms: Vec<Term> = Vec::with_capacity(query.aggregates().len());
        for (aggregate, place) in query.aggregates().iter().zip(&layout.slots) {
            if !matches!(place, Slot::Tree(_)) || terms.iter().all(|term| term.place != *place) {
                terms.push(Term::new(aggregate, *place, &mut scalars));
            }
        }
        if scalars.is_empty() {
            scalars.push(Scalar::Day); // A batch must say how many rows it has.
        }
        let units = Units::new(layout, is_day, cells, entropy)?;
        let placed = query.aggregates().iter().zip(&layout.slots);
        let placed = placed.filter_map(|(aggregate, place)| Some((aggregate, number_of(*place, widths)?)));
        let sampling =
            chooses(query).then(|| Sampling::new(placed, widths.0 + widths.1, entropy)).transpose()?;
        let (batches, sessions, scratch) = (Vec::new(), Vec::new(), Vec::new());
        let gate = Gate::new(query);
        Ok(Events { units, keys, terms, scalars, batches, widths, sessions, scratch, sampling, gate })
    }

    /// The open day, or the subject, has no more rows: each of its sessions counts once in its group.
    fn count_sessions(&mut self) {
        if !self.sessions.is_empty() {
            self.sessions.sort_unstable();
            self.sessions.dedup();
            let (daily, ranged) = self.widths;
            let mut values = vec![0; daily + ranged];
            for (at, group, _) in self.sessions.drain(..) {
                let Some(place) = number_of(self.terms[at].place, self.widths) else { continue };
                values[place] = 1;
                self.units.take(group, values.split_at(daily), None);
                values[place] = 0;
            }
            self.sessions.shrink_to(1 << 10);
        }
    }

    /// The open day has no more rows: those that count are added to their groups.
    fn count_chosen(&mut self) {
        if let (Some(sampling), Some(day)) = (&mut self.sampling, self.units.day) {
            let (daily, subject) = (self.widths.0, self.units.subject);
            let units = &mut self.units;
            sampling.close(day, &subject, |group, numbers| {
                units.take(group, numbers.split_at(daily), None);
            });
        }
    }

    fn close_day(&mut self) {
        self.count_chosen();
        // Where a unit is a subject over all days, so is a session.
        if self.units.has_days() {
            self.count_sessions();
        }
        self.units.close_day();
    }

    /// Rows of one group that follow each other.
    fn take_rows(&mut self, source: usize, rows: Range<usize>, group: u64) {
        let batch = &self.batches[source];
        self.scratch.clear();
        let sampling = self.sampling.as_ref();
        let of_all = |at: usize| sampling.is_none_or(|sampling| !sampling.has(at));
        let sums = batch.numbers.iter().enumerate();
        let sums = sums.map(|(at, numbers)| if of_all(at) { numbers.sum(rows.clone()) } else { 0 });
        self.scratch.extend(sums);
        let met = Some((source, rows.start));
        let known = self.units.take(group, self.scratch.split_at(self.widths.0), met);
        if let Some(sampling) = self.sampling.as_mut().filter(|_| known.is_any()) {
            sampling.push(group, rows.clone(), &batch.numbers, &batch.classes);
        }
        for (tree, values) in &batch.values {
            for units in values.get(rows.clone()).unwrap_or_default().iter().flatten() {
                self.units.push_value(known, *tree, group, *units);
            }
        }
        for (at, sessions) in &batch.sessions {
            let place = self.terms[*at].place;
            for session in sessions.get(rows.clone()).unwrap_or_default().iter().flatten() {
                if let Slot::Sessions(slot) = place {
                    self.units.push_session(known, slot, group, *session);
                    continue;
                }
                if self.sessions.len() >= 2 * SESSIONS_MAX {
                    self.sessions.sort_unstable();
                    self.sessions.dedup();
                    self.sessions.truncate(SESSIONS_MAX);
                }
                self.sessions.push((*at, group, *session));
            }
        }
    }
}

/// Where among the numbers of a row that of a slot is: those of the day come first.
fn number_of(place: Slot, (daily, _): (usize, usize)) -> Option<usize> {
    match place {
        Slot::Daily(slot) => Some(slot),
        Slot::Ranged(slot) => Some(daily + slot),
        Slot::Sessions(_) | Slot::Tree(_) => None,
    }
}

impl Accumulator for Events {
    fn scalars(&self) -> Vec<Scalar> {
        self.scalars.clone()
    }

    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
        let rows = columns.first().ok_or(Failure::Internal)?.len();
        if self.batches.len() <= source {
            self.batches.resize_with(source + 1, Batch::default);
        }
        let cells = match self.keys {
            0 => Vec::new(),
            keys => self.units.cells.encode(source, columns.get(..keys).ok_or(Failure::Internal)?, rows)?,
        };
        let batch = &mut self.batches[source];
        batch.cells = cells;
        batch.numbers.resize_with(self.widths.0 + self.widths.1, Numbers::default);
        batch.sessions.clear();
        batch.values.clear();
        for (at, term) in self.terms.iter().enumerate() {
            if let Some(number) = number_of(term.place, self.widths) {
                batch.numbers[number] = term.numbers(columns, rows)?;
            }
            if let Slot::Tree(tree) = term.place {
                batch.values.push((tree, term.values(columns)?));
            }
            if term.op == Op::Sessions {
                batch.sessions.push((at, term.sessions(columns)?));
            }
        }
        if let Some(sampling) = &self.sampling {
            batch.classes = sampling.classes(&batch.numbers, rows);
        }
        Ok(())
    }

    fn open(&mut self, subject: &[u8; 16]) {
        self.units.subject = *subject;
    }

    fn row(&mut self, source: usize, row: usize, day: i32, _: i64) {
        self.rows(source, row..row + 1, day, &[]);
    }

    fn rows(&mut self, source: usize, rows: Range<usize>, day: i32, _: &[i64]) {
        if self.units.day.is_some_and(|open| open != day) {
            self.close_day();
        }
        if self.keys == 0 {
            self.units.day = Some(day);
            return self.take_rows(source, rows, 0);
        }
        let mut row = rows.start;
        while row < rows.end {
            let Some(groups) = self.batches[source].cells.get(row..rows.end) else { return };
            let group = groups.first().copied().unwrap_or(ABSENT);
            let next = row + groups.iter().take_while(|other| **other == group).count();
            if group != ABSENT {
                self.units.day = Some(day);
                self.take_rows(source, row..next, group);
            }
            row = next;
        }
    }

    fn member(&mut self, membership: usize) {
        self.gate.member(membership);
    }

    fn close(&mut self, _: &[u8; 16]) -> Result<(), Failure> {
        self.close_day();
        self.count_sessions();
        self.units.close(self.gate.close());
        self.units.failure.map_or(Ok(()), Err)
    }

    fn bytes(&self) -> usize {
        let batch = |batch: &Batch| {
            let sessions: usize = batch.sessions.iter().map(|(_, all)| all.capacity() * 32).sum();
            let values: usize = batch.values.iter().map(|(_, all)| all.capacity() * 16).sum();
            (batch.cells.capacity() * 8)
                + batch.classes.capacity()
                + batch.numbers.iter().map(Numbers::bytes).sum::<usize>()
                + sessions
                + values
        };
        let batches: usize = self.batches.iter().map(batch).sum();
        let chosen = self.sampling.as_ref().map_or(0, Sampling::bytes);
        batches + self.units.bytes() + self.sessions.capacity() * 48 + chosen
    }

    fn row_bytes(&self) -> usize {
        let of = |term: &Term| match term.place {
            Slot::Tree(_) => size_of::<Option<i64>>(),
            _ if term.op == Op::Sessions => size_of::<i64>() + size_of::<Option<u128>>(),
            _ => size_of::<i64>(),
        };
        let group = if self.keys == 0 { 0 } else { size_of::<u64>() };
        group + self.terms.iter().map(of).sum::<usize>() + usize::from(self.sampling.is_some())
    }

    fn finish(self: Box<Self>) -> Result<Accumulated, Failure> {
        Ok(self.units.finish(self.widths))
    }
}
