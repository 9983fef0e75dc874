//! Events: each row adds to the group of its keys.
//!
//! Invariants: the unit of daily numbers is a subject's day, that of ranged numbers a subject over the days of the piece.
//! With members, a subject that does not meet every membership leaves nothing. Distinct sessions are counted once for
//! each subject, day and group. Not here: quantiles, whose values are no sums.

use std::collections::HashSet;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::Int64Type;
use shoal_privacy::bound::{Bounder, Limits, Totals};
use shoal_schemas::columns;

use super::super::cells::{ABSENT, Cells};
use super::super::fold::{Fold, Outcome};
use super::super::rows::digests;
use super::super::{Failure, Grounds, Piece};
use crate::charge::Place;
use crate::expr::{Scalar, Type};
use crate::private_query::{Aggregate, AggregateOp};

/// Sessions of one subject that are told apart; more than any clamp lets through.
const SESSIONS_MAX: usize = 1 << 16;

/// The fold of events.
pub(super) struct Events {
    cells: Cells,
    keys: usize,
    terms: Vec<Term>,
    scalars: Vec<Scalar>,
    batches: Vec<Batch>,
    daily: Option<Bounder>,
    ranged: Option<Bounder>,
    widths: (usize, usize),
    /// The day of the open unit.
    day: Option<i32>,
    subject: [u8; 16],
    has_failed: bool,
    sessions: HashSet<(usize, i32, u32, u128)>,
    scratch: Vec<i64>,
    /// Whether a subject must be a member, and whether this one is.
    members: Vec<(bool, bool)>,
}

/// One aggregate.
struct Term {
    op: Op,
    place: Place,
    /// Positions in the fold's scalars.
    operand: Option<usize>,
    filter: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    One,
    Present,
    Sum,
    Sessions,
}

/// The batch of one source: a group and a row of numbers for each row.
#[derive(Default)]
struct Batch {
    cells: Vec<u32>,
    daily: Vec<i64>,
    ranged: Vec<i64>,
    /// By position of the aggregate; none where the row has no session that counts.
    sessions: Vec<(usize, Vec<Option<u128>>)>,
}

fn session() -> Scalar {
    Scalar::Column { name: columns::SESSION.to_owned(), ty: Type::Text }
}

impl Events {
    pub(super) fn new(grounds: Grounds<'_>) -> Result<Events, Failure> {
        let Grounds { charged, piece, cells_max, entropy } = grounds;
        let query = &charged.query;
        let cells = Cells::new(query, cells_max)?;
        let is_day = matches!(piece, Piece::Day(_));
        let mut bounder = |limits: &Limits, wanted: bool| -> Result<Option<Bounder>, Failure> {
            Ok(wanted.then(|| Bounder::new(limits, &mut *entropy)).transpose()?)
        };
        let daily = bounder(&charged.layout.daily, is_day || !charged.layout.daily.clamps().is_empty())?;
        let ranged = bounder(&charged.layout.ranged, !is_day)?;
        let mut scalars: Vec<Scalar> = cells.scalars().cloned().collect();
        let keys = scalars.len();
        let mut terms = Vec::with_capacity(query.aggregates.len());
        for (aggregate, place) in query.aggregates.iter().zip(&charged.layout.slots) {
            terms.push(Term::new(aggregate, *place, &mut scalars)?);
        }
        if scalars.is_empty() {
            scalars.push(Scalar::Day); // A batch must say how many rows it has.
        }
        let widths = (charged.layout.daily.clamps().len(), charged.layout.ranged.clamps().len());
        let members: Vec<(bool, bool)> = query.members.iter().map(|m| (!m.negated, false)).collect();
        if !members.is_empty() && daily.is_some() {
            return Err(Failure); // A day's part of the answer must not depend on other days.
        }
        Ok(Events {
            cells,
            keys,
            terms,
            scalars,
            batches: Vec::new(),
            daily,
            ranged,
            widths,
            day: None,
            subject: [0; 16],
            has_failed: false,
            sessions: HashSet::new(),
            scratch: Vec::new(),
            members,
        })
    }

    fn close_day(&mut self) {
        if let (Some(daily), Some(day)) = (&mut self.daily, self.day.take()) {
            self.has_failed |= daily.close(Some(day), &self.subject).is_err();
        }
    }

    /// The numbers of a row that has sessions to tell apart.
    fn count_sessions(&mut self, source: usize, row: usize, day: i32, cell: u32) {
        let batch = &self.batches[source];
        let (daily, ranged) = self.widths;
        self.scratch.clear();
        self.scratch.extend_from_slice(&batch.daily[row * daily..(row + 1) * daily]);
        self.scratch.extend_from_slice(&batch.ranged[row * ranged..(row + 1) * ranged]);
        for (at, sessions) in &batch.sessions {
            let Some(session) = sessions[row] else { continue };
            if self.sessions.len() >= SESSIONS_MAX || !self.sessions.insert((*at, day, cell, session)) {
                continue;
            }
            match self.terms[*at].place {
                Place::Daily(slot) => self.scratch[slot] = 1,
                Place::Ranged(slot) => self.scratch[daily + slot] = 1,
                Place::Tree(_) => {}
            }
        }
    }
}

impl Term {
    fn new(aggregate: &Aggregate, place: Place, scalars: &mut Vec<Scalar>) -> Result<Term, Failure> {
        let mut add = |scalar: &Scalar| {
            scalars.push(scalar.clone());
            scalars.len() - 1
        };
        let (op, operand) = match &aggregate.op {
            AggregateOp::Rows | AggregateOp::Subjects => (Op::One, None),
            AggregateOp::Present(item) => (Op::Present, Some(add(item))),
            AggregateOp::Sum(measure) => (Op::Sum, Some(add(measure))),
            AggregateOp::Sessions => (Op::Sessions, Some(add(&session()))),
            AggregateOp::Quantile { .. } => return Err(Failure),
        };
        let filter = aggregate.filter.as_ref().map(add);
        Ok(Term { op, place, operand, filter })
    }

    /// Writes its number of each row into a table of `width` columns.
    fn amounts(&self, columns: &[ArrayRef], table: &mut [i64], width: usize) -> Result<(), Failure> {
        // Quantiles have a fold of their own.
        let (Place::Daily(slot) | Place::Ranged(slot)) = self.place else { return Err(Failure) };
        let out = table.chunks_exact_mut(width).filter_map(|row| row.get_mut(slot));
        let operand = self.operand.map(|at| columns.get(at).ok_or(Failure)).transpose()?;
        match (self.op, operand) {
            (Op::One, _) => out.for_each(|out| *out = 1),
            (Op::Present, Some(item)) => {
                let nulls = item.logical_nulls();
                let present = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                out.enumerate().for_each(|(row, out)| *out = i64::from(present(row)));
            }
            (Op::Sum, Some(item)) if item.null_count() == item.len() => {}
            (Op::Sum, Some(item)) => {
                let item = item.as_primitive_opt::<Int64Type>().ok_or(Failure)?;
                match item.null_count() {
                    0 => out.zip(item.values()).for_each(|(out, value)| *out = *value),
                    _ => out.zip(item).for_each(|(out, value)| *out = value.unwrap_or(0)),
                }
            }
            (Op::Sessions, _) => {}
            (Op::Present | Op::Sum, None) => return Err(Failure),
        }
        let Some(filter) = self.filter else { return Ok(()) };
        let filter = columns.get(filter).ok_or(Failure)?;
        let filter = filter.as_boolean_opt().ok_or(Failure)?;
        for (row, values) in table.chunks_exact_mut(width).enumerate() {
            if filter.is_null(row) || !filter.value(row) {
                values[slot] = 0;
            }
        }
        Ok(())
    }

    fn sessions(&self, columns: &[ArrayRef]) -> Result<Vec<Option<u128>>, Failure> {
        let array = columns.get(self.operand.ok_or(Failure)?).ok_or(Failure)?;
        let filter = self.filter.map(|at| columns.get(at).and_then(|c| c.as_boolean_opt()).ok_or(Failure));
        let filter = filter.transpose()?;
        let binary = array.as_binary_opt::<i32>().ok_or(Failure)?;
        let counts = |row: usize| {
            binary.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
        };
        if binary.null_count() == 0 && filter.is_none() {
            return Ok(digests(array)?.into_iter().map(Some).collect());
        }
        let session = |row: usize| -> Result<Option<u128>, Failure> {
            match counts(row) {
                true => Ok(Some(u128::from_be_bytes(binary.value(row).try_into().map_err(|_| Failure)?))),
                false => Ok(None),
            }
        };
        (0..binary.len()).map(session).collect()
    }
}

impl Fold for Events {
    fn scalars(&self) -> Vec<Scalar> {
        self.scalars.clone()
    }

    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
        let rows = columns.first().ok_or(Failure)?.len();
        if self.batches.len() <= source {
            self.batches.resize_with(source + 1, Batch::default);
        }
        let cells = match self.keys {
            0 => vec![0; rows],
            keys => self.cells.encode(source, columns.get(..keys).ok_or(Failure)?, rows)?,
        };
        let batch = &mut self.batches[source];
        batch.cells = cells;
        for (table, width) in [(&mut batch.daily, self.widths.0), (&mut batch.ranged, self.widths.1)] {
            table.clear();
            table.resize(rows * width, 0);
        }
        batch.sessions.clear();
        for (at, term) in self.terms.iter().enumerate() {
            match term.place {
                Place::Daily(_) => term.amounts(columns, &mut batch.daily, self.widths.0)?,
                Place::Ranged(_) => term.amounts(columns, &mut batch.ranged, self.widths.1)?,
                Place::Tree(_) => return Err(Failure),
            }
            if term.op == Op::Sessions {
                batch.sessions.push((at, term.sessions(columns)?));
            }
        }
        Ok(())
    }

    fn open(&mut self, subject: &[u8; 16]) {
        self.subject = *subject;
    }

    fn row(&mut self, source: usize, row: usize, day: i32, _: i64) {
        if self.day.is_some_and(|open| open != day) {
            self.close_day();
        }
        let batch = &self.batches[source];
        let cell = batch.cells[row];
        if cell == ABSENT {
            return;
        }
        self.day = Some(day);
        let (daily, ranged) = self.widths;
        if !batch.sessions.is_empty() {
            self.count_sessions(source, row, day, cell);
            let (for_days, for_range) = self.scratch.split_at(daily);
            self.has_failed |= self.daily.as_mut().is_some_and(|b| b.take(cell, for_days).is_err());
            self.has_failed |= self.ranged.as_mut().is_some_and(|b| b.take(cell, for_range).is_err());
            return;
        }
        if let Some(bounder) = &mut self.daily {
            self.has_failed |= bounder.take(cell, &batch.daily[row * daily..(row + 1) * daily]).is_err();
        }
        if let Some(bounder) = &mut self.ranged {
            self.has_failed |= bounder.take(cell, &batch.ranged[row * ranged..(row + 1) * ranged]).is_err();
        }
    }

    fn member(&mut self, membership: usize) {
        if let Some((_, is_member)) = self.members.get_mut(membership) {
            *is_member = true;
        }
    }

    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        self.close_day();
        let counts = self.members.iter().all(|(wanted, is_member)| wanted == is_member);
        if let Some(ranged) = &mut self.ranged {
            match counts {
                true => ranged.close(None, subject)?,
                false => ranged.forget(),
            }
        }
        self.day = None;
        self.members.iter_mut().for_each(|(_, is_member)| *is_member = false);
        if !self.sessions.is_empty() {
            match self.sessions.capacity() > 1024 {
                true => self.sessions = HashSet::new(),
                false => self.sessions.clear(),
            }
        }
        if self.has_failed { Err(Failure) } else { Ok(()) }
    }

    fn bytes(&self) -> usize {
        let batch = |batch: &Batch| {
            let sessions: usize = batch.sessions.iter().map(|(_, all)| all.capacity() * 32).sum();
            (batch.cells.capacity() * 4) + (batch.daily.capacity() + batch.ranged.capacity()) * 8 + sessions
        };
        let batches: usize = self.batches.iter().map(batch).sum();
        let bounders = [&self.daily, &self.ranged].into_iter().flatten().map(Bounder::bytes).sum::<usize>();
        batches + bounders + self.cells.bytes() + self.sessions.capacity() * 56
    }

    fn finish(self: Box<Self>) -> Result<Outcome, Failure> {
        let totals = |bounder: Option<Bounder>, width| match bounder {
            Some(bounder) => bounder.finish(),
            None => Totals::empty(width),
        };
        let daily = totals(self.daily, self.widths.0);
        let ranged = totals(self.ranged, self.widths.1);
        Ok(Outcome { cells: self.cells, daily, ranged, trees: Vec::new() })
    }
}
