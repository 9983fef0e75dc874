//! What the folds over made rows share: keys -> cell, aggregates -> the contribution of the subject to that cell.
//!
//! A key is made of the made row (a step, a person's value) or read from one event (the one that starts the chain or the
//! cohort); an aggregate's argument and filter are made. Anything else is a [`Failure`]: `bind` refuses it before.

use shoal_privacy::noise::Entropy;

use super::bounder::Bounder;
use super::columns::Columns;
use super::evaluate::{Made, evaluate, is_made, is_true};
use super::gate::Gate;
use crate::execute::fold::Outcome;
use crate::execute::{Cells, Failure};
use crate::expr::{Scalar, Value};
use crate::layout::{Layout, Slot};
use crate::private_query::{Aggregate, AggregateOp, PrivateQuery};
use shoal_privacy::bound::Totals;

/// How much one fold may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoldLimits {
    /// Most groups of a private key, before the threshold.
    pub(crate) cells_max: usize,
    /// Most (day, group) pairs and leaves of trees that hold anything.
    pub(crate) held_max: usize,
}

/// Keys, aggregates and bounds.
pub(super) struct Frame {
    keys: Vec<KeySource>,
    cells: Cells,
    aggregates: Vec<(Aggregate, Slot)>,
    bounder: Bounder,
    gate: Gate,
}

enum KeySource {
    Made(Scalar),
    /// By position among the keys that are read from an event.
    Event(usize),
}

/// The codes of the keys that are read from one event.
pub(super) type EventKeys = Vec<u32>;

impl Frame {
    pub(super) fn new<E: Entropy + ?Sized>(
        query: &PrivateQuery,
        layout: Layout,
        limits: FoldLimits,
        entropy: &mut E,
    ) -> Result<Frame, Failure> {
        let cells = Cells::new(query, limits.cells_max)?;
        let mut events = 0;
        let keys = cells.scalars().map(|scalar| {
            if is_made(scalar) {
                return KeySource::Made(scalar.clone());
            }
            events += 1;
            KeySource::Event(events - 1)
        });
        let keys = keys.collect();
        for aggregate in &query.aggregates {
            let argument = match &aggregate.op {
                AggregateOp::Rows | AggregateOp::Subjects => None,
                AggregateOp::Present(item) | AggregateOp::Sum(item) => Some(item),
                AggregateOp::Quantile { measure, .. } => Some(measure),
                AggregateOp::Sessions => return Err(Failure),
            };
            if !argument.into_iter().chain(&aggregate.filter).all(is_made) {
                return Err(Failure);
            }
        }
        let aggregates = query.aggregates.iter().cloned().zip(layout.slots).collect();
        let bounder = Bounder::new(layout.ranged, layout.trees, limits.held_max, entropy)?;
        Ok(Frame { keys, cells, aggregates, bounder, gate: Gate::new(query) })
    }

    /// The keys that are read from events, in order.
    pub(super) fn event_scalars(&self) -> Vec<Scalar> {
        let read = self.cells.scalars().zip(&self.keys);
        read.filter(|(_, key)| matches!(key, KeySource::Event(_))).map(|(scalar, _)| scalar.clone()).collect()
    }

    /// The codes of the keys of one event, which are the columns from `first` on; none when the event has a value that is
    /// not in a public domain.
    pub(super) fn event_keys(
        &mut self,
        columns: &Columns,
        first: usize,
        source: usize,
        row: usize,
    ) -> Result<Option<EventKeys>, Failure> {
        let mut codes = EventKeys::new();
        for (position, key) in self.keys.iter().enumerate() {
            if let KeySource::Event(at) = key {
                match self.cells.code(position, columns.value(source, first + at, row))? {
                    Some(code) => codes.push(code),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(codes))
    }

    /// Counts a made row of the current subject in its cell.
    pub(super) fn add(&mut self, made: &Made<'_>, event_keys: &[u32]) -> Result<(), Failure> {
        let mut codes = Vec::with_capacity(self.keys.len());
        for (position, key) in self.keys.iter().enumerate() {
            let code = match key {
                KeySource::Made(scalar) => self.cells.code(position, evaluate(scalar, made))?,
                KeySource::Event(at) => event_keys.get(*at).copied(),
            };
            match code {
                Some(code) => codes.push(code),
                None => return Ok(()),
            }
        }
        let cell = if codes.is_empty() { 0 } else { self.cells.cell(&codes)? };
        // A cell is the subject's even if all its filters are false, as for events.
        self.bounder.at(None, cell);
        // Several quantiles may share a tree: a value counts in it once.
        let mut last_tree = None;
        for (aggregate, slot) in &self.aggregates {
            if !is_true(aggregate.filter.as_ref(), made) {
                continue;
            }
            match (*slot, &aggregate.op) {
                (Slot::Tree(at), AggregateOp::Quantile { measure, .. })
                    if last_tree.is_none_or(|t| t < at) =>
                {
                    if let Value::Number(units, _) = evaluate(measure, made) {
                        self.bounder.push(None, cell, at, units);
                    }
                    last_tree = Some(at);
                }
                (Slot::Tree(_), _) => {}
                (Slot::Daily(at) | Slot::Ranged(at), op) => {
                    let number = self.bounder.at(None, cell).get_mut(at).ok_or(Failure)?;
                    *number = match op {
                        AggregateOp::Subjects => 1,
                        _ => number.saturating_add(amount(op, made)),
                    };
                }
            }
        }
        Ok(())
    }

    pub(super) fn member(&mut self, membership: usize) {
        self.gate.member(membership);
    }

    pub(super) fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        let counts = self.gate.close();
        self.bounder.close(subject, counts)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bounder.bytes().saturating_add(self.cells.bytes())
    }

    pub(super) fn finish(self) -> Result<Outcome, Failure> {
        let (ranged, trees) = self.bounder.finish()?;
        Ok(Outcome { cells: self.cells, daily: Totals::empty(0), ranged, trees })
    }
}

/// What a made row adds to a number.
fn amount(op: &AggregateOp, made: &Made<'_>) -> i64 {
    match op {
        AggregateOp::Rows => 1,
        AggregateOp::Present(item) => i64::from(evaluate(item, made) != Value::Null),
        AggregateOp::Sum(item) => match evaluate(item, made) {
            Value::Number(units, _) => units,
            _ => 0,
        },
        AggregateOp::Subjects | AggregateOp::Sessions | AggregateOp::Quantile { .. } => 0,
    }
}
