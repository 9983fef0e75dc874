//! Expressions over rows that an accumulator has made of a subject's events: a person's row, a funnel's step, a
//! retention's period.
//!
//! Invariants: total: whatever the row, there is a value and never an error. Three-valued logic as SQL has it: what is
//! neither true nor false is NULL, and values of two types are neither equal nor different. Arithmetic is done in 128
//! bits and kept within 64 (`bind` has made sure that nothing is cut). Linear in the length of the texts, but for LIKE,
//! whose cost is at most length of the text times length of the pattern.
//! Not here: expressions over events, which run as DataFusion's own (`nodes`).

use std::cmp::Ordering;

use shoal_language::{Arithmetic, Compare, Scalar, Value};

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

/// Whether a condition is true: neither false nor null.
pub(super) fn is_true(condition: Option<&Scalar>, row: &Made<'_>) -> bool {
    condition.is_none_or(|condition| evaluate(condition, row) == Value::Boolean(true))
}

/// The value of an expression; NULL for what made rows do not have (columns of events, regions, times).
pub(super) fn evaluate(scalar: &Scalar, row: &Made<'_>) -> Value {
    let of = |scalar: &Scalar| evaluate(scalar, row);
    match scalar {
        Scalar::Column { .. } | Scalar::Region | Scalar::Day | Scalar::Time(_) | Scalar::Part(_) => {
            Value::Null
        }
        Scalar::Value(value) => value.clone(),
        Scalar::Compare(op, left, right) => match order(&of(left), &of(right)) {
            Some(order) => Value::Boolean(holds(*op, order)),
            None => Value::Null,
        },
        Scalar::And(left, right) => match (of(left), of(right)) {
            (Value::Boolean(false), _) | (_, Value::Boolean(false)) => Value::Boolean(false),
            (Value::Boolean(true), Value::Boolean(true)) => Value::Boolean(true),
            _ => Value::Null,
        },
        Scalar::Or(left, right) => match (of(left), of(right)) {
            (Value::Boolean(true), _) | (_, Value::Boolean(true)) => Value::Boolean(true),
            (Value::Boolean(false), Value::Boolean(false)) => Value::Boolean(false),
            _ => Value::Null,
        },
        Scalar::Not(item) => match of(item) {
            Value::Boolean(b) => Value::Boolean(!b),
            _ => Value::Null,
        },
        Scalar::In(item, list) => is_in(&of(item), list),
        Scalar::IsNull(item) => Value::Boolean(of(item) == Value::Null),
        Scalar::Like { item, pattern, any_case } => match of(item) {
            Value::Text(text) if *any_case => {
                Value::Boolean(is_like(&text.to_lowercase(), &pattern.to_lowercase()))
            }
            Value::Text(text) => Value::Boolean(is_like(&text, pattern)),
            _ => Value::Null,
        },
        Scalar::Case { branches, otherwise } => {
            let taken = branches.iter().find(|(when, _)| of(when) == Value::Boolean(true));
            taken.map(|(_, then)| then).or(otherwise.as_ref()).map_or(Value::Null, |then| of(then))
        }
        Scalar::Coalesce(items) => {
            items.iter().map(|item| of(item)).find(|v| *v != Value::Null).unwrap_or(Value::Null)
        }
        Scalar::Upper(item) => mapped(of(item), str::to_uppercase),
        Scalar::Lower(item) => mapped(of(item), str::to_lowercase),
        Scalar::Arithmetic(op, left, right) => arithmetic(*op, &of(left), &of(right)),
        Scalar::Least(items) => extreme(items.iter().map(|item| of(item)), Ordering::Less),
        Scalar::Greatest(items) => extreme(items.iter().map(|item| of(item)), Ordering::Greater),
        Scalar::Bucket { item, edges, labels } => match of(item) {
            Value::Number(units, _) => {
                let at = edges.partition_point(|edge| *edge <= units);
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

/// Null when the item is, or when it is not found and the list holds a null.
fn is_in(item: &Value, list: &[Value]) -> Value {
    if *item == Value::Null {
        return Value::Null;
    }
    if list.iter().any(|value| order(item, value).is_some_and(Ordering::is_eq)) {
        return Value::Boolean(true);
    }
    if list.contains(&Value::Null) { Value::Null } else { Value::Boolean(false) }
}

fn mapped(value: Value, change: fn(&str) -> String) -> Value {
    match value {
        Value::Text(text) => Value::Text(change(&text)),
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

fn extreme(values: impl Iterator<Item = Value>, wanted: Ordering) -> Value {
    values.fold(Value::Null, |best, value| match order(&value, &best) {
        Some(found) if found == wanted => value,
        None if best == Value::Null => value,
        _ => best,
    })
}

/// SQL's LIKE: `%` is any text, `_` any one character, `\` takes the next character as it is.
fn is_like(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '%' => PatternPart::Any,
            '_' => PatternPart::One,
            '\\' => PatternPart::Just(chars.next().unwrap_or('\\')),
            other => PatternPart::Just(other),
        });
    }
    let (mut at, mut part, mut retry) = (0, 0, None);
    while at < text.len() {
        match parts.get(part) {
            Some(PatternPart::Any) => {
                part += 1;
                retry = Some((at, part));
                continue;
            }
            Some(PatternPart::One) => {}
            Some(PatternPart::Just(c)) if *c == text[at] => {}
            _ => match retry {
                Some((from, after)) => {
                    (at, part) = (from + 1, after);
                    retry = Some((from + 1, after));
                    continue;
                }
                None => return false,
            },
        }
        (at, part) = (at + 1, part + 1);
    }
    parts[part..].iter().all(|part| matches!(part, PatternPart::Any))
}

/// A part of a LIKE pattern.
enum PatternPart {
    Any,
    One,
    Just(char),
}
