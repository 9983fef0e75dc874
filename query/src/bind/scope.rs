//! What a condition says about regions, days and events for certain, so that less is read and less noise is needed.
//!
//! Invariants: only conditions that every row must satisfy (the arms of top-level ANDs) are used, and what is learnt is
//! always a superset of what the condition selects. Retention is applied here from `now` alone: an expired day is in no
//! range, from the second of its expiry.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::tokenizer::Span;
use shoal_schemas::{Kind, Programme, Registry, columns};

use crate::calendar::{Grain, day_of, day_text};
use crate::error::{Refusal, Rule};
use crate::expr::{Compare, Scalar, Value};
use crate::private_query::DayRange;

/// Days of a query that names none.
const DAYS_DEFAULT: i32 = 30;
/// Most days of one query.
const DAYS_MAX: u64 = 400;

fn arms<'s>(filter: Option<&'s Scalar>, out: &mut Vec<&'s Scalar>) {
    match filter {
        Some(Scalar::And(left, right)) => {
            arms(Some(left), out);
            arms(Some(right), out);
        }
        Some(other) => out.push(other),
        None => {}
    }
}

/// The values that a text column (or `region`) must have; none when any.
pub(super) fn pinned(filter: Option<&Scalar>, column: &str) -> Option<BTreeSet<String>> {
    let is_it = |item: &Scalar| match item {
        Scalar::Region => column == "region",
        Scalar::Column { name, .. } => name == column,
        _ => false,
    };
    let mut all = Vec::new();
    arms(filter, &mut all);
    let mut pinned: Option<BTreeSet<String>> = None;
    for arm in all {
        let values = match arm {
            Scalar::Compare(Compare::Eq, item, other) if is_it(item) => match other.as_ref() {
                Scalar::Value(value) => vec![value],
                _ => continue,
            },
            Scalar::In(item, values) if is_it(item) => values.iter().collect(),
            _ => continue,
        };
        let texts = values.into_iter().filter_map(|value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        });
        let texts: BTreeSet<String> = texts.collect();
        pinned = Some(match pinned {
            Some(before) => before.intersection(&texts).cloned().collect(),
            None => texts,
        });
    }
    pinned
}

/// First and last day that a condition lets through, where it says so.
fn bounds(filter: Option<&Scalar>) -> (Option<i32>, Option<i32>) {
    let mut all = Vec::new();
    arms(filter, &mut all);
    let (mut first, mut last): (Option<i32>, Option<i32>) = (None, None);
    let mut narrow = |from: Option<i32>, to: Option<i32>| {
        first = first.max(from);
        last = match (last, to) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    };
    for arm in all {
        match arm {
            Scalar::Compare(op, item, other) => match (item.as_ref(), other.as_ref()) {
                (Scalar::Day, Scalar::Value(Value::Day(day))) => {
                    let (from, to) = (Some(*day), Some(*day));
                    match op {
                        Compare::Eq => narrow(from, to),
                        Compare::GtEq => narrow(from, None),
                        Compare::Gt => narrow(from.map(|d| d.saturating_add(1)), None),
                        Compare::LtEq => narrow(None, to),
                        Compare::Lt => narrow(None, to.map(|d| d.saturating_sub(1))),
                        Compare::NotEq => {}
                    }
                }
                (Scalar::Time(grain), Scalar::Value(Value::Time(ms))) => {
                    let wide = match grain {
                        Grain::Hour | Grain::Day => 0,
                        Grain::Week => 6,
                        Grain::Month => 30,
                    };
                    let to = |ms: i64| Some(day_of(ms).saturating_add(wide));
                    match op {
                        Compare::Eq => narrow(Some(day_of(*ms)), to(*ms)),
                        Compare::GtEq | Compare::Gt => narrow(Some(day_of(*ms)), None),
                        Compare::LtEq => narrow(None, to(*ms)),
                        Compare::Lt => narrow(None, to(ms.saturating_sub(1))),
                        Compare::NotEq => {}
                    }
                }
                _ => {}
            },
            Scalar::In(item, values) if **item == Scalar::Day => {
                let days = || {
                    values.iter().filter_map(|v| match v {
                        Value::Day(day) => Some(*day),
                        _ => None,
                    })
                };
                narrow(days().min(), days().max());
            }
            _ => {}
        }
    }
    (first, last)
}

/// The days that are read, and the first readable day of each programme among them.
pub(super) struct Readable {
    pub(super) days: DayRange,
    pub(super) cutoffs: Vec<(Programme, i32)>,
    pub(super) notes: Vec<String>,
}

/// Days from the condition, within what retention still allows.
///
/// # Errors
/// When no readable day is left, or there are too many.
pub(super) fn readable(
    registry: &Registry,
    kind: Kind,
    filter: Option<&Scalar>,
    now_ms: i64,
) -> Result<Readable, Refusal> {
    let refuse = |message: String| {
        let suggestion = "WHERE day >= current_date - 6";
        Refusal::new(Rule::Range, Span::empty(), message, suggestion)
    };
    let today = day_of(now_ms);
    let asked = pinned(filter, columns::PROGRAMME);
    let cutoffs: Vec<(Programme, i32)> = Programme::ALL
        .iter()
        .filter(|p| asked.as_ref().is_none_or(|asked| asked.contains(p.as_str())))
        .map(|p| {
            let days = registry.retention_days(*p, kind);
            (*p, today.saturating_sub(i32::try_from(days).unwrap_or(i32::MAX)))
        })
        .collect();
    let Some(oldest) = cutoffs.iter().map(|(_, day)| *day).min() else {
        return Err(refuse(format!("There is no such programme to read {kind} of.")));
    };
    let mut notes = Vec::new();
    let (from, to) = bounds(filter);
    let last = to.unwrap_or(today).min(today);
    let mut first = from.unwrap_or_else(|| last.saturating_sub(DAYS_DEFAULT - 1));
    if from.is_none() {
        notes.push(format!(
            "No first day was given: {} days are read, from {} on.",
            DAYS_DEFAULT,
            day_text(first)
        ));
    }
    if first < oldest {
        first = oldest;
        let day = day_text(oldest);
        notes.push(format!("Events before {day} have expired and are not read."));
    }
    for (programme, day) in &cutoffs {
        if *day > first && cutoffs.len() > 1 {
            let day = day_text(*day);
            notes.push(format!("Events of {programme} before {day} have expired."));
        }
    }
    let days = DayRange { first, last };
    if days.is_empty() {
        let (first, last) = (day_text(oldest), day_text(today));
        return Err(refuse(format!("No day is left; readable are {first} to {last}.")));
    }
    if days.len() > DAYS_MAX {
        return Err(refuse(format!("More than {DAYS_MAX} days cannot be asked at once.")));
    }
    Ok(Readable { days, cutoffs, notes })
}
