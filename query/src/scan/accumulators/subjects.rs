//! Per-person rows: values of each subject's events, grouped by the subject and perhaps keys, then asked about like any
//! rows.
//!
//! Invariants: a value is clamped to its bounds before anything is made of it. A subject has at most `GROUPS_MAX` rows (the
//! groups of its first events; later events of others are left out) and a distinct count ends at `DISTINCT_MAX` or at its
//! upper bound: both depend on that subject's events alone, and keep a subject's memory bounded.
//! As in SQL: a subject without events has no row; SUM, MIN and MAX of nothing are null, counts are 0.

use std::collections::{BTreeMap, HashSet};

use datafusion::arrow::array::ArrayRef;
use shoal_anonymity::noise::Entropy;
use shoal_schemas::columns;

use super::columns::Columns;
use super::evaluate::{Made, is_made, is_true, narrow};
use super::frame::Frame;
use crate::failure::Failure;
use crate::scan::accumulator::{Accumulated, Accumulator};
use crate::scan::grounds::Grounds;
use shoal_language::{PerSubject, PersonOp, PersonValue, Shape};
use shoal_language::{Scalar, Type, Value};

/// Most rows of one subject in one released part.
const GROUPS_MAX: usize = 1 << 12;
/// Most distinct values of one row that are told apart.
const DISTINCT_MAX: usize = 1 << 16;

/// The rows of each subject.
pub(super) struct SubjectsAccumulator {
    person: PerSubject,
    /// For each value: the columns of its argument and of its filter.
    places: Vec<(Option<usize>, Option<usize>)>,
    scalars: Vec<Scalar>,
    frame: Frame,
    columns: Columns,
    /// The current subject's, by their keys.
    rows: BTreeMap<Vec<Value>, Vec<Total>>,
}

/// A value while its events come.
enum Total {
    Count(i64),
    Distinct(HashSet<(Option<i32>, Value)>),
    Sum(Option<i128>),
    Least(Option<i64>),
    Greatest(Option<i64>),
}

impl SubjectsAccumulator {
    pub(super) fn new(
        grounds: &Grounds<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<SubjectsAccumulator, Failure> {
        let Shape::Subjects(person) = &grounds.query.shape else {
            return Err(Failure::Internal);
        };
        let frame = Frame::new(grounds, entropy)?;
        // Nothing of an event is left in a row but its keys and values.
        if !frame.event_scalars().is_empty() || !person.having.as_ref().is_none_or(is_made) {
            return Err(Failure::Internal);
        }
        let mut scalars = person.keys.clone();
        let mut place = |scalar: Option<Scalar>| {
            scalar.map(|scalar| {
                scalars.push(scalar);
                scalars.len() - 1
            })
        };
        let values = person.values.iter();
        let places = values.map(|value| (place(argument(&value.op)), place(value.filter.clone()))).collect();
        let columns = Columns::new(&scalars);
        let person = person.clone();
        Ok(SubjectsAccumulator { person, places, scalars, frame, columns, rows: BTreeMap::new() })
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

/// One event more.
struct Event<'a> {
    columns: &'a Columns,
    source: usize,
    row: usize,
    day: i32,
}

impl Event<'_> {
    fn add(&self, total: &mut Total, value: &PersonValue, argument: Option<usize>) {
        let number = || argument.and_then(|at| self.columns.number(self.source, at, self.row));
        let present = || argument.is_none_or(|at| self.columns.is_present(self.source, at, self.row));
        match total {
            Total::Count(count) if present() => *count = count.saturating_add(1),
            Total::Count(_) => {}
            Total::Distinct(set) => {
                let most = usize::try_from(value.max).unwrap_or(0).min(DISTINCT_MAX);
                if present() && set.len() < most {
                    let item =
                        argument.map_or(Value::Null, |at| self.columns.value(self.source, at, self.row));
                    // Sessions of a day are counted on their day.
                    let day = matches!(value.op, PersonOp::Sessions).then_some(self.day);
                    set.insert((day, item));
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
}

impl Accumulator for SubjectsAccumulator {
    fn scalars(&self) -> Vec<Scalar> {
        self.scalars.clone()
    }

    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
        self.columns.load(source, columns)
    }

    fn row(&mut self, source: usize, row: usize, day: i32, _time_us: i64) {
        let keys: Vec<Value> =
            (0..self.person.keys.len()).map(|at| self.columns.value(source, at, row)).collect();
        let rows = &mut self.rows;
        if rows.len() >= GROUPS_MAX && !rows.contains_key(&keys) {
            return;
        }
        let values = &self.person.values;
        let totals = rows.entry(keys).or_insert_with(|| values.iter().map(|v| Total::of(&v.op)).collect());
        let event = Event { columns: &self.columns, source, row, day };
        for ((total, value), (argument, filter)) in totals.iter_mut().zip(values).zip(&self.places) {
            if filter.is_none_or(|at| self.columns.is_true(source, at, row)) {
                event.add(total, value, *argument);
            }
        }
    }

    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure> {
        for (keys, totals) in std::mem::take(&mut self.rows) {
            let values: Vec<Value> =
                totals.iter().zip(&self.person.values).map(|(total, value)| total.value(value)).collect();
            let made = Made { values: &values, keys: &keys, ..Made::default() };
            if is_true(self.person.having.as_ref(), &made) {
                self.frame.add(&made, &[])?;
            }
        }
        self.frame.close(subject)
    }

    fn member(&mut self, membership: usize) {
        self.frame.member(membership);
    }

    fn bytes(&self) -> usize {
        self.frame.bytes()
    }

    fn finish(self: Box<Self>) -> Result<Accumulated, Failure> {
        self.frame.finish()
    }
}
