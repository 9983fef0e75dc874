//! Per-person rows: values of each subject's events, grouped by the subject and perhaps keys, then asked about like any
//! rows; which of them count (HAVING) the `frame` decides.
//!
//! Invariants: a value is clamped to its bounds before anything is made of it. A subject has at most `GROUPS_MAX` rows (the
//! groups of its first events; later events of others are left out), a distinct count ends at its upper bound, and all of them
//! together at `DISTINCT_MAX`: both depend on that subject's events alone, and keep a subject's memory bounded.
//! As in SQL: a subject without events has no row; SUM, MIN and MAX of nothing are null, counts are 0.

use std::collections::{BTreeMap, HashSet};

use shoal_schemas::columns;

use super::evaluate::{Made, narrow};
use super::frame::Frame;
use super::made_rows::{Event, SubjectState};
use crate::failure::Failure;
use shoal_language::{PerSubject, PersonOp, PersonValue};
use shoal_language::{Scalar, Type, Value};

/// Most rows of one subject in one released part.
const GROUPS_MAX: usize = 1 << 12;
/// Most distinct values of one subject that are told apart, in all its rows together.
const DISTINCT_MAX: usize = 1 << 14;

/// The rows of the current subject.
pub(super) struct SubjectRows {
    person: PerSubject,
    /// For each value: the positions of its argument and of its filter.
    places: Vec<(Option<usize>, Option<usize>)>,
    scalars: Vec<Scalar>,
    /// By their keys.
    rows: BTreeMap<Vec<Value>, Vec<Total>>,
    /// Distinct values in them.
    distinct: usize,
}

/// A value while its events come.
enum Total {
    Count(i64),
    Distinct(HashSet<Value>),
    Sum(Option<i128>),
    Least(Option<i64>),
    Greatest(Option<i64>),
}

impl SubjectRows {
    pub(super) fn new(person: &PerSubject) -> SubjectRows {
        let mut scalars = person.keys.clone();
        let mut place = |scalar: Option<Scalar>| {
            scalar.map(|scalar| {
                scalars.push(scalar);
                scalars.len() - 1
            })
        };
        let values = person.values.iter();
        let places = values.map(|value| (place(argument(&value.op)), place(value.filter.clone()))).collect();
        SubjectRows { person: person.clone(), places, scalars, rows: BTreeMap::new(), distinct: 0 }
    }
}

fn argument(op: &PersonOp) -> Option<Scalar> {
    match op {
        PersonOp::Rows => None,
        PersonOp::Sessions => Some(Scalar::Column { name: columns::SESSION.to_owned(), ty: Type::Text }),
        PersonOp::Present(item)
        | PersonOp::Distinct(item)
        | PersonOp::Sum(item)
        | PersonOp::Min(item)
        | PersonOp::Max(item) => Some(item.clone()),
    }
}

impl Total {
    fn of(op: &PersonOp) -> Total {
        match op {
            PersonOp::Rows | PersonOp::Present(_) => Total::Count(0),
            PersonOp::Distinct(_) | PersonOp::Sessions => Total::Distinct(HashSet::new()),
            PersonOp::Sum(_) => Total::Sum(None),
            PersonOp::Min(_) => Total::Least(None),
            PersonOp::Max(_) => Total::Greatest(None),
        }
    }

    /// One event more, whose argument of the value is at this position; so many values are told apart already.
    fn take(
        &mut self,
        event: &Event<'_>,
        value: &PersonValue,
        argument: Option<usize>,
        distinct: &mut usize,
    ) {
        let number = || argument.and_then(|at| event.number(at));
        let is_present = || argument.is_none_or(|at| event.is_present(at));
        match self {
            Total::Count(count) if is_present() => *count = count.saturating_add(1),
            Total::Count(_) => {}
            Total::Distinct(set) => {
                let most = usize::try_from(value.max).unwrap_or(0);
                if is_present() && set.len() < most && *distinct < DISTINCT_MAX {
                    let item = argument.map_or(Value::Null, |at| event.value(at));
                    *distinct += usize::from(set.insert(item));
                }
            }
            Total::Sum(sum) => {
                if let Some(units) = number() {
                    *sum = Some(sum.unwrap_or(0).saturating_add(i128::from(units)));
                }
            }
            Total::Least(least) => {
                if let Some(units) = number() {
                    *least = Some(least.map_or(units, |known| known.min(units)));
                }
            }
            Total::Greatest(greatest) => {
                if let Some(units) = number() {
                    *greatest = Some(greatest.map_or(units, |known| known.max(units)));
                }
            }
        }
    }

    /// The clamped value; null stays null.
    fn value(&self, value: &PersonValue) -> Value {
        let units = match self {
            Total::Count(count) => Some(*count),
            Total::Distinct(set) => i64::try_from(set.len()).ok(),
            Total::Sum(sum) => sum.map(narrow),
            Total::Least(least) => *least,
            Total::Greatest(greatest) => *greatest,
        };
        // Not `clamp`, which panics when the bounds are the wrong way round.
        units.map_or(Value::Null, |units| Value::Number(units.min(value.max).max(value.min), value.scale))
    }
}

impl SubjectState for SubjectRows {
    const HAS_EVENT_KEYS: bool = false;

    fn scalars(&self) -> Vec<Scalar> {
        self.scalars.clone()
    }

    fn take(&mut self, event: &Event<'_>) {
        let keys: Vec<Value> = (0..self.person.keys.len()).map(|at| event.value(at)).collect();
        let rows = &mut self.rows;
        if rows.len() >= GROUPS_MAX && !rows.contains_key(&keys) {
            return;
        }
        let values = &self.person.values;
        let totals = rows.entry(keys).or_insert_with(|| values.iter().map(|v| Total::of(&v.op)).collect());
        for ((total, value), (argument, filter)) in totals.iter_mut().zip(values).zip(&self.places) {
            if filter.is_none_or(|at| event.is_true(at)) {
                total.take(event, value, *argument, &mut self.distinct);
            }
        }
    }

    fn close(&mut self, frame: &mut Frame) -> Result<(), Failure> {
        self.distinct = 0;
        for (keys, totals) in std::mem::take(&mut self.rows) {
            let values: Vec<Value> =
                totals.iter().zip(&self.person.values).map(|(total, value)| total.value(value)).collect();
            frame.add(&Made { values: &values, keys: &keys, ..Made::default() }, &[])?;
        }
        Ok(())
    }
}
