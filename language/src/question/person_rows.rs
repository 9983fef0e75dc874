//! How many rows one subject can have, where rows are subjects and have keys besides: one for each value of its keys.
//!
//! Invariants: a mean is only taken of rows that all count. Where a subject can have more rows in a group than count, their
//! sum and their number would be cut one by one, and the quotient would be of neither; so such a mean is refused.
//! Not here: what a row holds (`person`).

use shoal_schemas::{Kind, Registry};
use sqlparser::tokenizer::Span;

use super::origin::Source;
use crate::bind::call::Formula;
use crate::bind::scope::pinned;
use crate::error::{Refusal, Rule};
use crate::expr::{Compare, Public, Scalar};
use crate::private_query::{DayRange, DayValues, Key, L0_MAX, PerSubject, Shape, is_of_day};

/// The rows of one subject in one group.
pub(super) struct RowsOfGroup {
    /// How many count at the most.
    pub(super) most: u64,
    /// The first key because of which a subject may have more.
    cut_by: Option<Scalar>,
}

/// Most rows of one subject: one row for each value of their keys on a day, in each value that the days have.
pub(super) fn rows_of(person: &PerSubject, days: DayRange, public: &Public<'_>) -> u64 {
    let rows = person.keys.iter().fold(1_u64, |rows, key| rows.saturating_mul(key.keys_max(public)));
    let keys: Vec<&Scalar> = person.keys.iter().collect();
    rows.clamp(1, L0_MAX).saturating_mul(DayValues::of(&keys, &[days]).values)
}

/// The rows of one subject in one group; `None` where rows are events.
pub(super) fn rows_of_group(
    source: &Source,
    days: DayRange,
    keys: &[Key],
    registry: &Registry,
) -> Option<RowsOfGroup> {
    let person = match &source.shape {
        Shape::Events => return None,
        Shape::Funnel { .. } | Shape::Retention { .. } => return Some(RowsOfGroup { most: 1, cut_by: None }),
        Shape::Subjects(person) => person,
    };
    let public = Public::of(registry, source.kind);
    let is_grouped = |at: usize| {
        keys.iter().any(|key| matches!(key.scalar, Scalar::PersonKey { at: own, .. } if own == at))
    };
    let inside = person.keys.iter().enumerate().filter(|(at, _)| !is_grouped(*at));
    let (mut rows, mut usual, mut cut_by) = (1_u64, 1_u64, None);
    let mut moving: Vec<&Scalar> = Vec::new();
    for (at, key) in inside {
        if is_of_day(key) {
            moving.push(key);
            continue;
        }
        match listed(person, at, source.filter.as_ref(), &public) {
            Some(values) => rows = rows.saturating_mul(values.max(1)),
            None => {
                moving.push(key);
                cut_by.get_or_insert_with(|| key.clone());
            }
        }
        usual = usual.saturating_mul(key.keys_max(&public));
    }
    if rows > L0_MAX && cut_by.is_none() {
        cut_by = person.keys.iter().find(|key| !is_of_day(key)).cloned();
    }
    let rows = if cut_by.is_none() { rows } else { usual.clamp(1, L0_MAX) };
    let most = rows.saturating_mul(DayValues::of(&moving, &[days]).values);
    Some(RowsOfGroup { most, cut_by })
}

/// How many values a key has at the most, as far as conditions and the registry tell. A released part is of one region.
fn listed(person: &PerSubject, at: usize, filter: Option<&Scalar>, public: &Public<'_>) -> Option<u64> {
    let key = person.keys.get(at)?;
    let of_column = match key {
        Scalar::Column { name, .. } => pinned(filter, name).map(|values| values.len() as u64),
        Scalar::Region => Some(1),
        _ => None,
    };
    let named = of_column.or_else(|| named(person.having.as_ref()?, at));
    named.or_else(|| Some(key.domain(public)?.len() as u64))
}

fn named(condition: &Scalar, at: usize) -> Option<u64> {
    let is_it = |item: &Scalar| matches!(item, Scalar::PersonKey { at: own, .. } if *own == at);
    match condition {
        Scalar::And(left, right) => named(left, at).or_else(|| named(right, at)),
        Scalar::Compare(Compare::Eq, item, value) if is_it(item) && matches!(**value, Scalar::Value(_)) => {
            Some(1)
        }
        Scalar::In(item, values) if is_it(item) => Some(values.len() as u64),
        _ => None,
    }
}

/// The name of a key that is a column.
fn name(key: &Scalar) -> Option<&str> {
    match key {
        Scalar::Column { name, .. } => Some(name.as_str()),
        _ => None,
    }
}

impl RowsOfGroup {
    /// What the reader should know.
    pub(super) fn note(&self) -> Option<String> {
        let key = name(self.cut_by.as_ref()?).unwrap_or("a key");
        Some(format!(
            "Of one subject, at most {} rows count in a group, one for each value of {key}.",
            self.most
        ))
    }

    /// Refuses a mean of rows that may not all count.
    pub(super) fn fit(&self, formula: &Formula, kind: Kind, span: Span) -> Result<(), Refusal> {
        let (Some(key), Formula::Mean { .. } | Formula::Variance { .. }) = (&self.cut_by, formula) else {
            return Ok(());
        };
        let message = format!(
            "A person may have more than {} rows in a group, one for each value of {}, and not all of them count, so that their \
             mean would be wrong. Group by it outside too, or keep one row for each person, with the number of those values, and \
             divide the sums.",
            self.most,
            name(key).unwrap_or("a key")
        );
        let column = name(key).unwrap_or("screen");
        let example = format!(
            "SELECT SUM(n) / SUM(k) AS mean FROM (SELECT subject, COUNT(*) AS n, COUNT(DISTINCT {column}) AS k FROM {kind} \
             GROUP BY subject) AS p"
        );
        Err(Refusal::new(Rule::Aggregate, span, message, example))
    }
}
