//! How made rows are counted: keys -> cell, aggregates -> the contribution of the subject to that cell.
//!
//! A key is made of the made row (a step, a person's value) or read from one event (the one that starts the chain or the
//! cohort); an aggregate's argument and filter are made. Anything else is a [`Failure`]: `bind` refuses it before.

use shoal_anonymity::bound::{Bounder, Totals};
use shoal_anonymity::noise::Entropy;

use super::evaluate::{Made, evaluate, is_made, is_true};
use super::gate::Gate;
use super::trees::Trees;
use crate::failure::Failure;
use crate::scan::Cells;
use crate::scan::accumulator::Accumulated;
use crate::scan::grounds::Grounds;
use crate::sensitivity::Slot;
use shoal_language::{Aggregate, AggregateOp};
use shoal_language::{Scalar, Value};

/// Keys, aggregates and bounds.
pub(super) struct Frame {
    keys: Vec<KeySource>,
    cells: Cells,
    aggregates: Vec<(Aggregate, Slot)>,
    bounder: Bounder,
    trees: Trees,
    /// The numbers of one made row.
    numbers: Vec<i64>,
    gate: Gate,
}

enum KeySource {
    Made(Scalar),
    /// By position among the keys that are read from an event.
    Event(usize),
}

/// The values of the keys that are read from one event.
pub(super) type EventKeys = Vec<Value>;

impl Frame {
    pub(super) fn new(grounds: &Grounds<'_>, entropy: &mut dyn Entropy) -> Result<Frame, Failure> {
        let Grounds { query, layout, groups_max, .. } = *grounds;
        let cells = Cells::new(query, groups_max, entropy)?;
        let mut events = 0;
        let keys = cells.scalars().map(|scalar| {
            if is_made(scalar) {
                return KeySource::Made(scalar.clone());
            }
            events += 1;
            KeySource::Event(events - 1)
        });
        let keys = keys.collect();
        for aggregate in query.aggregates() {
            let mut read = aggregate.op.argument().into_iter().chain(&aggregate.filter);
            if aggregate.op == AggregateOp::Sessions || !read.all(is_made) {
                return Err(Failure::Internal);
            }
        }
        let aggregates = query.aggregates().iter().cloned().zip(layout.slots.iter().copied()).collect();
        let bounder = Bounder::new(&layout.ranged, entropy)?;
        let trees = Trees::new(&layout.trees, entropy)?;
        let numbers = vec![0; layout.ranged.clamps().len()];
        let gate = Gate::new(query);
        Ok(Frame { keys, cells, aggregates, bounder, trees, numbers, gate })
    }

    /// The keys that are read from events, in order.
    pub(super) fn event_scalars(&self) -> Vec<Scalar> {
        let read = self.cells.scalars().zip(&self.keys);
        read.filter(|(_, key)| matches!(key, KeySource::Event(_))).map(|(scalar, _)| scalar.clone()).collect()
    }

    /// The keys of one event, whose values `value` gives by their position; none when the event has one that is not in a
    /// public domain.
    pub(super) fn event_keys(&self, value: impl Fn(usize) -> Value) -> Option<EventKeys> {
        let mut values = EventKeys::new();
        for (position, key) in self.keys.iter().enumerate() {
            if let KeySource::Event(at) = key {
                let value = value(*at);
                if !self.cells.has(position, &value) {
                    return None;
                }
                values.push(value);
            }
        }
        Some(values)
    }

    /// Counts a made row of the current subject in its group.
    pub(super) fn add(&mut self, made: &Made<'_>, event_keys: &[Value]) -> Result<(), Failure> {
        let value = |key: &KeySource| match key {
            KeySource::Made(scalar) => Ok(evaluate(scalar, made)),
            KeySource::Event(at) => event_keys.get(*at).cloned().ok_or(Failure::Internal),
        };
        let values = self.keys.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let Some(group) = self.cells.group(&values)? else { return Ok(()) };
        self.numbers.fill(0);
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
                        self.trees.push(at, group, units);
                    }
                    last_tree = Some(at);
                }
                (Slot::Tree(_), _) => {}
                // Sessions of several days are of events only.
                (Slot::Sessions(_), _) => return Err(Failure::Internal),
                (Slot::Daily(at) | Slot::Ranged(at), op) => {
                    *self.numbers.get_mut(at).ok_or(Failure::Internal)? = amount(op, made);
                }
            }
        }
        // A group is the subject's even if all its filters are false, as for events.
        self.bounder.take(group, &self.numbers)?;
        Ok(())
    }

    pub(super) fn member(&mut self, membership: usize) {
        self.gate.member(membership);
    }

    pub(super) fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        let cells = &mut self.cells;
        if self.gate.close() {
            let mut number = |group| cells.number(group);
            self.bounder.close(None, None, subject, &mut number)?;
            self.trees.close(None, None, subject, &mut number)?;
        } else {
            self.bounder.forget();
            self.trees.forget();
        }
        cells.close();
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bounder.bytes() + self.trees.bytes() + self.cells.bytes()
    }

    pub(super) fn finish(self) -> Result<Accumulated, Failure> {
        let (ranged, trees) = (self.bounder.finish(), self.trees.finish()?);
        let (daily, sessions) = (Totals::empty(0), Totals::empty(0));
        Ok(Accumulated { cells: self.cells, daily, ranged, sessions, trees })
    }
}

/// What a made row adds to a number.
fn amount(op: &AggregateOp, made: &Made<'_>) -> i64 {
    match op {
        AggregateOp::Rows | AggregateOp::Subjects => 1,
        AggregateOp::Present(item) => i64::from(evaluate(item, made) != Value::Null),
        AggregateOp::Sum(item) => match evaluate(item, made) {
            Value::Number(units, _) => units,
            _ => 0,
        },
        AggregateOp::Sessions | AggregateOp::Quantile { .. } => 0,
    }
}
