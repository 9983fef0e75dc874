//! Expressions over rows that an accumulator has made of a subject's events: a person's row, a funnel's step, a
//! retention's period.
//!
//! ```text
//! expressions -add-> node, node, node .. (parts before what is made of them)     made row -values-> a value of each node
//! ```
//! Invariants: total: whatever the row, there is a value and never an error. Three-valued logic as SQL has it: what is
//! neither true nor false is NULL, and values of two types are neither equal nor different. Arithmetic is done in 128
//! bits and kept within 64 (`bind` has made sure that nothing is cut).
//! An expression that is used in several places is one node, and every node is evaluated once for every made row: no branch
//! is skipped and no condition is decided early. Patterns are compiled when they are added, and match in work that their words and
//! the text's bytes decide. So the work of a made row follows from the query (`units`), not from what the subject did.
//! Not here: expressions over events, which run as DataFusion's own (`graph`).

use std::cmp::Ordering;
use std::collections::HashMap;

use shoal_language::{Arithmetic, Casing, Compare, Pattern, Scalar, Value};

use crate::failure::Failure;
use crate::scan::counted::{Counted, What};
use crate::scan::patterns::compiled;

/// A row that an accumulator has made; what it does not have is NULL.
#[derive(Default)]
pub(super) struct Made<'a> {
    /// [`Scalar::Person`] by position.
    pub(super) values: &'a [Value],
    /// [`Scalar::PersonKey`] by position.
    pub(super) keys: &'a [Value],
    pub(super) step: Option<i64>,
    pub(super) cohort: Option<i32>,
    pub(super) period: Option<i64>,
}

/// Expressions that are evaluated together.
pub(super) struct Expressions {
    nodes: Vec<Node>,
    known: HashMap<Scalar, usize>,
    counted: Counted,
}

/// One expression over the values of other nodes.
struct Node {
    scalar: Scalar,
    /// Its parts, in their order.
    inputs: Vec<usize>,
    /// Of a LIKE.
    pattern: Option<Pattern>,
}

impl Expressions {
    pub(super) fn new(counted: &Counted) -> Expressions {
        Expressions { nodes: Vec::new(), known: HashMap::new(), counted: counted.clone() }
    }

    /// Adds an expression, and gives the position of its value.
    pub(super) fn add(&mut self, scalar: &Scalar) -> Result<usize, Failure> {
        if let Some(node) = self.known.get(scalar) {
            return Ok(*node);
        }
        let mut parts = Vec::new();
        scalar.each(&mut |part| parts.push(part));
        let inputs = parts.into_iter().map(|part| self.add(part)).collect::<Result<_, _>>()?;
        let pattern = match scalar {
            Scalar::Like { pattern, any_case, .. } => {
                self.counted.add(What::Patterns, 1);
                Some(compiled(pattern, *any_case)?)
            }
            _ => None,
        };
        self.nodes.push(Node { scalar: scalar.clone(), inputs, pattern });
        self.known.insert(scalar.clone(), self.nodes.len() - 1);
        Ok(self.nodes.len() - 1)
    }

    /// All expressions that are evaluated, parts too.
    pub(super) fn scalars(&self) -> impl Iterator<Item = &Scalar> {
        self.nodes.iter().map(|node| &node.scalar)
    }

    /// Their values for a made row, by position.
    pub(super) fn values(&self, row: &Made<'_>) -> Vec<Value> {
        self.counted.add(What::Made, 1);
        self.counted.add(What::OfMade, self.nodes.len());
        let mut values = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let value = node.value(&values, row);
            values.push(value);
        }
        values
    }
}

impl Node {
    /// The values of its parts, given those of all nodes before it.
    fn given<'v>(&self, values: &'v [Value]) -> impl Iterator<Item = &'v Value> {
        self.inputs.iter().map(|input| values.get(*input).unwrap_or(&Value::Null))
    }

    /// Its value; NULL for what made rows do not have (columns of events, regions, times).
    fn value(&self, values: &[Value], row: &Made<'_>) -> Value {
        let part =
            |at: usize| self.inputs.get(at).and_then(|input| values.get(*input)).unwrap_or(&Value::Null);
        match &self.scalar {
            Scalar::Column { .. } | Scalar::Region | Scalar::Day | Scalar::Time(_) | Scalar::Part(_) => {
                Value::Null
            }
            Scalar::Value(value) => value.clone(),
            Scalar::Compare(op, ..) => match order(part(0), part(1)) {
                Some(order) => Value::Boolean(holds(*op, order)),
                None => Value::Null,
            },
            Scalar::And(..) => decided_by(false, part(0), part(1)),
            Scalar::Or(..) => decided_by(true, part(0), part(1)),
            Scalar::Not(_) => match part(0) {
                Value::Boolean(b) => Value::Boolean(!b),
                _ => Value::Null,
            },
            Scalar::In(_, list) => is_in(part(0), list),
            Scalar::IsNull(_) => Value::Boolean(*part(0) == Value::Null),
            Scalar::Like { .. } => match (part(0), &self.pattern) {
                (Value::Text(text), Some(pattern)) => Value::Boolean(pattern.matches(text)),
                _ => Value::Null,
            },
            Scalar::Case { branches, .. } => {
                let taken = (0..branches.len()).find(|at| *part(2 * at) == Value::Boolean(true));
                // What stands after the branches is the value where none is taken, if there is one.
                part(taken.map_or(2 * branches.len(), |at| 2 * at + 1)).clone()
            }
            Scalar::Coalesce(_) => {
                self.given(values).find(|v| **v != Value::Null).cloned().unwrap_or(Value::Null)
            }
            Scalar::Upper(_) => mapped(part(0), |text| Casing::Upper.of(text)),
            Scalar::Lower(_) => mapped(part(0), |text| Casing::Lower.of(text)),
            Scalar::Arithmetic(op, ..) => arithmetic(*op, part(0), part(1)),
            Scalar::Least(_) => extreme(self.given(values), Ordering::Less),
            Scalar::Greatest(_) => extreme(self.given(values), Ordering::Greater),
            Scalar::Bucket { edges, labels, .. } => match part(0) {
                Value::Number(units, _) => {
                    let at = edges.partition_point(|edge| edge <= units);
                    labels.get(at).or(labels.last()).cloned().unwrap_or(Value::Null)
                }
                _ => Value::Null,
            },
            Scalar::Person { at, .. } => row.values.get(*at).cloned().unwrap_or(Value::Null),
            Scalar::PersonKey { at, .. } => row.keys.get(*at).cloned().unwrap_or(Value::Null),
            Scalar::Step => row.step.map_or(Value::Null, |step| Value::Number(step, 0)),
            Scalar::Cohort => row.cohort.map_or(Value::Null, Value::Day),
            Scalar::Period => row.period.map_or(Value::Null, |period| Value::Number(period, 0)),
        }
    }
}

/// Whether an expression reads a made row, and not an event.
pub(super) fn is_made(scalar: &Scalar) -> bool {
    match scalar {
        Scalar::Column { .. } | Scalar::Region | Scalar::Day | Scalar::Time(_) | Scalar::Part(_) => false,
        Scalar::Person { .. }
        | Scalar::PersonKey { .. }
        | Scalar::Step
        | Scalar::Cohort
        | Scalar::Period
        | Scalar::Value(_) => true,
        Scalar::Compare(_, a, b) | Scalar::And(a, b) | Scalar::Or(a, b) | Scalar::Arithmetic(_, a, b) => {
            is_made(a) && is_made(b)
        }
        Scalar::Not(item)
        | Scalar::In(item, _)
        | Scalar::IsNull(item)
        | Scalar::Upper(item)
        | Scalar::Lower(item)
        | Scalar::Like { item, .. }
        | Scalar::Bucket { item, .. } => is_made(item),
        Scalar::Case { branches, otherwise } => {
            branches.iter().all(|(when, then)| is_made(when) && is_made(then))
                && otherwise.as_deref().is_none_or(is_made)
        }
        Scalar::Coalesce(items) | Scalar::Least(items) | Scalar::Greatest(items) => {
            items.iter().all(|item| is_made(item))
        }
    }
}

/// How two values compare; none when one is null or they are of two types.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (Value::Number(a, scale), Value::Number(b, other)) => {
            let most = *scale.max(other);
            let wide = |units: i64, scale: u8| {
                let factor = 10_i128.saturating_pow(u32::from(most - scale));
                i128::from(units).saturating_mul(factor)
            };
            Some(wide(*a, *scale).cmp(&wide(*b, *other)))
        }
        (Value::Day(a), Value::Day(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn holds(op: Compare, order: Ordering) -> bool {
    match op {
        Compare::Eq => order.is_eq(),
        Compare::NotEq => order.is_ne(),
        Compare::Lt => order.is_lt(),
        Compare::LtEq => order.is_le(),
        Compare::Gt => order.is_gt(),
        Compare::GtEq => order.is_ge(),
    }
}

/// What AND (false) and OR (true) give: the deciding value when a side has it, null when a side is neither true nor false.
fn decided_by(deciding: bool, left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Boolean(a), Value::Boolean(b)) if *a != deciding && *b != deciding => {
            Value::Boolean(!deciding)
        }
        (Value::Boolean(a), _) if *a == deciding => Value::Boolean(deciding),
        (_, Value::Boolean(b)) if *b == deciding => Value::Boolean(deciding),
        _ => Value::Null,
    }
}

/// Null when the item is, or when it is not found and the list holds a null.
fn is_in(item: &Value, list: &[Value]) -> Value {
    if *item == Value::Null {
        return Value::Null;
    }
    let is_same = |value: &&Value| order(item, value).is_some_and(Ordering::is_eq);
    // The whole list, wherever the value is in it.
    if list.iter().filter(is_same).count() > 0 {
        return Value::Boolean(true);
    }
    if list.contains(&Value::Null) { Value::Null } else { Value::Boolean(false) }
}

fn mapped(value: &Value, change: fn(&str) -> String) -> Value {
    match value {
        Value::Text(text) => Value::Text(change(text)),
        _ => Value::Null,
    }
}

fn arithmetic(op: Arithmetic, left: &Value, right: &Value) -> Value {
    let (Value::Number(a, scale), Value::Number(b, other)) = (left, right) else {
        return Value::Null;
    };
    let (a, b) = (i128::from(*a), i128::from(*b));
    let (wide, scale) = match op {
        Arithmetic::Add => (a + b, *scale),
        Arithmetic::Subtract => (a - b, *scale),
        Arithmetic::Multiply => (a * b, scale.saturating_add(*other)),
    };
    Value::Number(narrow(wide), scale)
}

/// The nearest 64 bit number.
pub(super) fn narrow(wide: i128) -> i64 {
    i64::try_from(wide).unwrap_or(if wide < 0 { i64::MIN } else { i64::MAX })
}

fn extreme<'v>(values: impl Iterator<Item = &'v Value>, wanted: Ordering) -> Value {
    let best = values.fold(&Value::Null, |best, value| match order(value, best) {
        Some(found) if found == wanted => value,
        None if *best == Value::Null => value,
        _ => best,
    });
    best.clone()
}
