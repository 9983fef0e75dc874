//! What a condition certainly says about regions, days and events, so that less is read and less noise is needed.
//!
//! Invariants: only conditions that every row must satisfy (the arms of top-level ANDs) are used, so the result is always a
//! superset of what the condition selects. Retention follows from `now` alone: from the second of its expiry a day is in no
//! range.

use std::collections::{BTreeMap, BTreeSet};

use shoal_schemas::{Kind, Programme, Region, Registry, columns};
use sqlparser::tokenizer::Span;

use crate::calendar::{Grain, day_text};
use crate::error::{Refusal, Rule};
use crate::expr::{Compare, Scalar, Value};
use crate::private_query::DayRange;
use shoal_schemas::calendar::day_of;

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The regions that the key may ask.
    pub regions: &'a [Region],
    /// The day on which each region was first served, as far as that is known: a statement that names no first day asks of none
    /// before it.
    pub first_days: &'a BTreeMap<Region, i32>,
    /// Milliseconds since 1970, UTC.
    pub now_ms: i64,
}

/// The time of a question, and since when the regions are served that it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub(crate) now_ms: i64,
    /// The first day of the first of them; `None` where that is not known of all of them.
    pub(crate) first_day: Option<i32>,
}

impl When {
    /// Of the regions that a condition leaves.
    pub(crate) fn of(filter: Option<&Scalar>, asking: Asking<'_>) -> When {
        let pinned = pinned(filter, "region");
        let is_asked = |region: &&Region| pinned.as_ref().is_none_or(|names| names.contains(region.as_str()));
        let days =
            asking.regions.iter().filter(is_asked).map(|region| asking.first_days.get(region).copied());
        let all: Option<Vec<i32>> = days.collect();
        When { now_ms: asking.now_ms, first_day: all.and_then(|days| days.into_iter().min()) }
    }
}

/// Days of a query that names none.
const DAYS_DEFAULT: i32 = 30;
/// Most days of one query.
const DAYS_MAX: i32 = 400;

fn arms<'s>(filter: Option<&'s Scalar>, out: &mut Vec<&'s Scalar>) {
    match filter {
        Some(Scalar::And(left, right)) => {
            arms(Some(left.as_ref()), out);
            arms(Some(right.as_ref()), out);
        }
        Some(other) => out.push(other),
        None => {}
    }
}

/// The values that a text column (or `region`) must have; none when any.
pub fn pinned(filter: Option<&Scalar>, column: &str) -> Option<BTreeSet<String>> {
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

/// Smallest and largest number that a condition lets through for an expression, where it says so.
pub(super) fn between(filter: Option<&Scalar>, wanted: &Scalar) -> (Option<i64>, Option<i64>) {
    let mut all = Vec::new();
    arms(filter, &mut all);
    let (mut least, mut most): (Option<i64>, Option<i64>) = (None, None);
    for arm in all {
        if let Scalar::Compare(op, item, other) = arm
            && **item == *wanted
            && let Scalar::Value(Value::Number(units, _)) = other.as_ref()
        {
            match op {
                Compare::GtEq => least = least.max(Some(*units)),
                Compare::LtEq => most = Some(most.map_or(*units, |known| known.min(*units))),
                Compare::Eq | Compare::NotEq | Compare::Lt | Compare::Gt => {}
            }
        }
    }
    (least, most)
}

/// First and last day that one arm lets through, and whether it says nothing else.
fn span(arm: &Scalar) -> (Option<i32>, Option<i32>, bool) {
    match arm {
        Scalar::Compare(op, item, other) => match (item.as_ref(), other.as_ref(), op) {
            (Scalar::Day, Scalar::Value(Value::Day(day)), Compare::Eq) => (Some(*day), Some(*day), true),
            (Scalar::Day, Scalar::Value(Value::Day(day)), Compare::GtEq) => (Some(*day), None, true),
            (Scalar::Day, Scalar::Value(Value::Day(day)), Compare::LtEq) => (None, Some(*day), true),
            (Scalar::Time(Grain::Hour), Scalar::Value(Value::Time(ms)), Compare::Eq) => {
                (Some(day_of(*ms)), Some(day_of(*ms)), false)
            }
            (Scalar::Time(Grain::Hour), Scalar::Value(Value::Time(ms)), Compare::GtEq) => {
                (Some(day_of(*ms)), None, false)
            }
            (Scalar::Time(Grain::Hour), Scalar::Value(Value::Time(ms)), Compare::LtEq) => {
                (None, Some(day_of(*ms)), false)
            }
            _ => (None, None, false),
        },
        Scalar::In(item, values) if **item == Scalar::Day => {
            let days = || {
                values.iter().filter_map(|value| match value {
                    Value::Day(day) => Some(*day),
                    _ => None,
                })
            };
            let (first, last) = (days().min(), days().max());
            let span = DayRange { first: first.unwrap_or(0), last: last.unwrap_or(-1) };
            (first, last, span.len() == values.len() as u64)
        }
        _ => (None, None, false),
    }
}

/// First and last day that a condition lets through, where it says so, and the rest of the condition.
fn bounds(filter: Option<&Scalar>) -> (Option<i32>, Option<i32>, Option<Scalar>) {
    let mut all = Vec::new();
    arms(filter, &mut all);
    let (mut first, mut last): (Option<i32>, Option<i32>) = (None, None);
    let mut rest: Option<Scalar> = None;
    for arm in all {
        let (from, to, is_exact) = span(arm);
        first = first.max(from);
        last = match (last, to) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if !is_exact {
            rest = Some(match rest.take() {
                Some(before) => Scalar::And(before.into(), arm.clone().into()),
                None => arm.clone(),
            });
        }
    }
    (first, last, rest.and_then(crate::expr::filter))
}

/// Whether a condition says from which day on, and up to which.
pub(crate) fn has_both_ends(filter: Option<&Scalar>) -> bool {
    let (first, last, _) = bounds(filter);
    first.is_some() && last.is_some()
}

/// The days that are asked, the first readable day of each programme, and what the condition says besides the days.
pub(crate) struct Readable {
    pub(crate) days: DayRange,
    pub(crate) cutoffs: Vec<(Programme, i32)>,
    pub(crate) filter: Option<Scalar>,
    pub(crate) notes: Vec<String>,
    /// Whether the days are those that were given as usual, because the condition names none.
    pub(crate) is_usual: bool,
}

fn refused(message: String) -> Refusal {
    let suggestion = "SELECT day, COUNT(*) FROM usage WHERE day >= current_date - 6 GROUP BY day";
    Refusal::new(Rule::Range, Span::empty(), message, suggestion)
}

/// Days from the condition, up to today; where it names none, `usual`, or the last 30, but none before the regions were served.
/// Days whose events have expired are among them: answers that were released about them stay.
///
/// # Errors
/// When no day is left, or there are too many.
pub(crate) fn readable(
    registry: &Registry,
    kind: Kind,
    filter: Option<&Scalar>,
    when: When,
    usual: Option<DayRange>,
) -> Result<Readable, Refusal> {
    let today = day_of(when.now_ms);
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
        return Err(refused(format!("There is no such programme to read {kind} of.")));
    };
    let mut notes = Vec::new();
    let (from, to, rest) = bounds(filter);
    let usual = usual.filter(|_| from.is_none() && to.is_none());
    let last = to.or(usual.map(|days| days.last)).unwrap_or(today).min(today);
    let earliest = last.saturating_sub(DAYS_DEFAULT - 1);
    let served = when.first_day.filter(|day| (earliest..=last).contains(day));
    let mut first = from.or(usual.map(|days| days.first)).unwrap_or(served.unwrap_or(earliest));
    if from.is_none() && usual.is_none() {
        let from = day_text(first);
        notes.push(match served {
            Some(_) => {
                format!("No first day was given: days are read from {from} on, the first that was served.")
            }
            None => format!("No first day was given: {DAYS_DEFAULT} days are read, from {from} on."),
        });
    }
    let longest = last.saturating_sub(DAYS_MAX - 1);
    if first < longest && longest <= oldest {
        first = longest;
        notes.push(format!("The last {DAYS_MAX} days are read, from {} on.", day_text(first)));
    }
    let days = DayRange { first, last };
    if days.is_empty() {
        let today = day_text(today);
        return Err(refused(format!("No day is left; the last one that can be asked is {today}.")));
    }
    if days.first < longest {
        return Err(refused(format!("More than {DAYS_MAX} days cannot be asked at once.")));
    }
    expired(&cutoffs, oldest, days, &mut notes);
    Ok(Readable { days, cutoffs, filter: rest, notes, is_usual: usual.is_some() })
}

fn expired(cutoffs: &[(Programme, i32)], oldest: i32, days: DayRange, notes: &mut Vec<String>) {
    if days.first < oldest {
        let day = day_text(oldest);
        notes
            .push(format!("Events before {day} have expired; of those days only what was released is left."));
    }
    for (programme, day) in cutoffs {
        if *day > days.first && *day != oldest {
            let day = day_text(*day);
            notes.push(format!("Events of {programme} before {day} have expired."));
        }
    }
}
