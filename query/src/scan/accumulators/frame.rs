//! How made rows are counted: keys -> cell, aggregates -> the contribution of the subject to that cell.
//!
//! A key is made of the made row (a step, a person's value) or read from one event (the one that starts the chain or the
//! cohort); an aggregate's argument and filter are made. Anything else is a [`Failure`]: `bind` refuses it before. Which made
//! rows count at all (the HAVING of rows of subjects) is one of the expressions that are evaluated for all of them.

use shoal_anonymity::bound::{Bounder, Totals};
use shoal_anonymity::noise::Entropy;

use super::evaluate::{Expressions, Made, is_made};
use super::gate::Gate;
use super::trees::Trees;
use crate::failure::Failure;
use crate::scan::Cells;
use crate::scan::accumulator::Accumulated;
use crate::scan::grounds::Grounds;
use crate::sensitivity::Slot;
use shoal_language::{Aggregate, AggregateOp};
use shoal_language::{Scalar, Shape, Value};

/// Keys, aggregates and bounds. Positions of what is made are those of `expressions`.
pub(super) struct Frame {
    expressions: Expressions,
    /// Which made rows count; none is all.
    having: Option<usize>,
    keys: Vec<KeySource>,
    cells: Cells,
    terms: Vec<Term>,
    bounder: Bounder,
    trees: Trees,
    /// The numbers of one made row.
    numbers: Vec<i64>,
    gate: Gate,
}

enum KeySource {
    Made(usize),
    /// By position among the keys that are read from an event.
    Event(usize),
}

/// An aggregate of made rows.
struct Term {
    slot: Slot,
    adds: Adds,
    argument: Option<usize>,
    /// Which made rows it is of; none is all.
    filter: Option<usize>,
}

/// What a made row adds to an aggregate.
#[derive(Clone, Copy)]
enum Adds {
    One,
    /// One where the argument is not null.
    Present,
    /// The argument, to a sum or to a tree.
    Number,
}

/// The values of the keys that are read from one event.
pub(super) type EventKeys = Vec<Value>;

impl Frame {
    pub(super) fn new(grounds: &Grounds<'_>, entropy: &mut dyn Entropy) -> Result<Frame, Failure> {
        let Grounds { query, layout, groups_max, .. } = *grounds;
        let cells = Cells::new(query, groups_max, entropy)?;
        let mut expressions = Expressions::new(grounds.counted);
        let mut made = |scalar: &Scalar| match is_made(scalar) {
            true => expressions.add(scalar),
            false => Err(Failure::Internal),
        };
        let having = match query.shape() {
            Shape::Subjects(person) => person.having.as_ref().map(&mut made).transpose()?,
            Shape::Events | Shape::Funnel { .. } | Shape::Retention { .. } => None,
        };
        let (mut keys, mut events) = (Vec::new(), 0);
        for scalar in cells.scalars() {
            keys.push(match is_made(scalar) {
                true => KeySource::Made(made(scalar)?),
                false => {
                    events += 1;
                    KeySource::Event(events - 1)
                }
            });
        }
        let aggregates = query.aggregates().iter().zip(&layout.slots);
        let terms = aggregates.map(|(aggregate, slot)| Term::new(aggregate, *slot, &mut made));
        let terms = terms.collect::<Result<_, _>>()?;
        let bounder = Bounder::new(&layout.ranged, entropy)?;
        let trees = Trees::new(&layout.trees, entropy)?;
        let numbers = vec![0; layout.ranged.clamps().len()];
        let gate = Gate::new(query);
        Ok(Frame { expressions, having, keys, cells, terms, bounder, trees, numbers, gate })
    }

    /// What is evaluated for every made row.
    pub(super) fn made(&self) -> Vec<Scalar> {
        self.expressions.scalars().cloned().collect()
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

    /// Counts a made row of the current subject in its group, if it is one that counts.
    pub(super) fn add(&mut self, made: &Made<'_>, event_keys: &[Value]) -> Result<(), Failure> {
        let values = self.expressions.values(made);
        let is_true = |at: Option<usize>| at.is_none_or(|at| values.get(at) == Some(&Value::Boolean(true)));
        if !is_true(self.having) {
            return Ok(());
        }
        let key = |key: &KeySource| match key {
            KeySource::Made(at) => values.get(*at).cloned().ok_or(Failure::Internal),
            KeySource::Event(at) => event_keys.get(*at).cloned().ok_or(Failure::Internal),
        };
        let keys = self.keys.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        let Some(group) = self.cells.group(&keys)? else { return Ok(()) };
        self.numbers.fill(0);
        // Several quantiles may share a tree: a value counts in it once.
        let mut last_tree = None;
        for term in self.terms.iter().filter(|term| is_true(term.filter)) {
            match term.slot {
                Slot::Tree(at) if last_tree.is_none_or(|t| t < at) => {
                    if let Some(Value::Number(units, _)) = term.argument.and_then(|at| values.get(at)) {
                        self.trees.push(at, group, *units);
                    }
                    last_tree = Some(at);
                }
                Slot::Tree(_) => {}
                // Sessions of several days are of events only.
                Slot::Sessions(_) => return Err(Failure::Internal),
                Slot::Daily(at) | Slot::Ranged(at) => {
                    *self.numbers.get_mut(at).ok_or(Failure::Internal)? = term.amount(&values);
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
            self.trees.close(None, subject, &mut number)?;
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
        let (ranged, trees) = (self.bounder.finish(), self.trees.finish());
        let (daily, sessions) = (Totals::empty(0), Totals::empty(0));
        Ok(Accumulated { cells: self.cells, daily, ranged, sessions, trees })
    }
}

impl Term {
    /// `made` takes its expressions in.
    fn new(
        aggregate: &Aggregate,
        slot: Slot,
        made: &mut dyn FnMut(&Scalar) -> Result<usize, Failure>,
    ) -> Result<Term, Failure> {
        let adds = match &aggregate.op {
            AggregateOp::Rows | AggregateOp::Subjects => Adds::One,
            AggregateOp::Present(_) => Adds::Present,
            AggregateOp::Sum(_) | AggregateOp::Quantile { .. } => Adds::Number,
            AggregateOp::Sessions => return Err(Failure::Internal),
        };
        let argument = aggregate.op.argument().map(&mut *made).transpose()?;
        let filter = aggregate.filter.as_ref().map(made).transpose()?;
        Ok(Term { slot, adds, argument, filter })
    }

    /// What a made row adds to its number, given the values of all expressions.
    fn amount(&self, values: &[Value]) -> i64 {
        let argument = self.argument.and_then(|at| values.get(at)).unwrap_or(&Value::Null);
        match (self.adds, argument) {
            (Adds::One, _) => 1,
            (Adds::Present, argument) => i64::from(*argument != Value::Null),
            (Adds::Number, Value::Number(units, _)) => *units,
            (Adds::Number, _) => 0,
        }
    }
}
