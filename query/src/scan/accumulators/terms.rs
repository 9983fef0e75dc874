//! The aggregates of events, over a batch: what each row adds to each number.

use std::ops::Range;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::datatypes::Int64Type;
use shoal_schemas::columns;

use crate::failure::Failure;
use crate::scan::runs::digests;
use crate::sensitivity::Slot;
use shoal_language::{Aggregate, AggregateOp};
use shoal_language::{Scalar, Type};

/// One aggregate.
pub(super) struct Term {
    pub(super) op: Op,
    pub(super) place: Slot,
    /// Positions in the accumulator's scalars.
    operand: Option<usize>,
    filter: Option<usize>,
}

/// What a row adds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    One,
    Present,
    Sum,
    Sessions,
    /// A value of a tree.
    Value,
}

fn session() -> Scalar {
    Scalar::Column { name: columns::SESSION.to_owned(), ty: Type::Text }
}

/// A number of each row of a batch.
#[derive(Default)]
pub(super) enum Numbers {
    #[default]
    Zero,
    One,
    Each(Vec<i64>),
}

impl Term {
    pub(super) fn new(aggregate: &Aggregate, place: Slot, scalars: &mut Vec<Scalar>) -> Term {
        let mut add = |scalar: &Scalar| {
            scalars.push(scalar.clone());
            scalars.len() - 1
        };
        let (op, operand) = match &aggregate.op {
            AggregateOp::Rows | AggregateOp::Subjects => (Op::One, None),
            AggregateOp::Present(item) => (Op::Present, Some(add(item))),
            AggregateOp::Sum(measure) => (Op::Sum, Some(add(measure))),
            AggregateOp::Sessions => (Op::Sessions, Some(add(&session()))),
            AggregateOp::Quantile { measure, .. } => (Op::Value, Some(add(measure))),
        };
        let filter = aggregate.filter.as_ref().map(add);
        Term { op, place, operand, filter }
    }

    /// Its number of each of so many rows.
    pub(super) fn numbers(&self, columns: &[ArrayRef], rows: usize) -> Result<Numbers, Failure> {
        let mut numbers: Vec<i64> = match self.op {
            Op::One if self.filter.is_none() => return Ok(Numbers::One),
            Op::One => vec![1; rows],
            Op::Present => match self.operand(columns)?.logical_nulls() {
                None => vec![1; rows],
                Some(nulls) => nulls.iter().map(i64::from).collect(),
            },
            Op::Sum => match self.measure(columns)? {
                None => return Ok(Numbers::Zero),
                Some(item) if item.null_count() == 0 => item.values().to_vec(),
                Some(item) => item.iter().map(|value| value.unwrap_or(0)).collect(),
            },
            Op::Sessions => return Ok(Numbers::Zero),
            Op::Value => return Err(Failure::Internal),
        };
        if let Some(filter) = self.filter(columns)? {
            for (row, number) in numbers.iter_mut().enumerate() {
                if !is_true(filter, row) {
                    *number = 0;
                }
            }
        }
        Ok(Numbers::Each(numbers))
    }

    /// The session of each row that counts.
    pub(super) fn sessions(&self, columns: &[ArrayRef]) -> Result<Vec<Option<u128>>, Failure> {
        let (array, filter) = (self.operand(columns)?, self.filter(columns)?);
        let binary = array.as_binary_opt::<i32>().ok_or(Failure::Internal)?;
        if binary.null_count() == 0 && filter.is_none() {
            return Ok(digests(array)?.into_iter().map(Some).collect());
        }
        let session = |row: usize| -> Result<Option<u128>, Failure> {
            match binary.is_valid(row) && filter.is_none_or(|filter| is_true(filter, row)) {
                true => Ok(Some(u128::from_be_bytes(
                    binary.value(row).try_into().map_err(|_| Failure::Internal)?,
                ))),
                false => Ok(None),
            }
        };
        (0..binary.len()).map(session).collect()
    }

    /// The value of each row that counts.
    pub(super) fn values(&self, columns: &[ArrayRef]) -> Result<Vec<Option<i64>>, Failure> {
        let filter = self.filter(columns)?;
        let Some(item) = self.measure(columns)? else { return Ok(Vec::new()) };
        let counts = |row: usize| filter.is_none_or(|filter| is_true(filter, row));
        Ok(item.iter().enumerate().map(|(row, value)| value.filter(|_| counts(row))).collect())
    }

    fn operand<'c>(&self, columns: &'c [ArrayRef]) -> Result<&'c ArrayRef, Failure> {
        self.operand.and_then(|at| columns.get(at)).ok_or(Failure::Internal)
    }

    /// None when all are null.
    fn measure<'c>(&self, columns: &'c [ArrayRef]) -> Result<Option<&'c Int64Array>, Failure> {
        let item = self.operand(columns)?;
        match item.logical_null_count() == item.len() {
            true => Ok(None),
            false => item.as_primitive_opt::<Int64Type>().map(Some).ok_or(Failure::Internal),
        }
    }

    fn filter<'c>(&self, columns: &'c [ArrayRef]) -> Result<Option<&'c BooleanArray>, Failure> {
        let Some(at) = self.filter else { return Ok(None) };
        columns.get(at).and_then(|filter| filter.as_boolean_opt()).map(Some).ok_or(Failure::Internal)
    }
}

impl Numbers {
    /// Saturating.
    pub(super) fn sum(&self, rows: Range<usize>) -> i64 {
        match self {
            Numbers::Zero => 0,
            Numbers::One => i64::try_from(rows.len()).unwrap_or(i64::MAX),
            Numbers::Each(all) => {
                let all = all.get(rows).unwrap_or_default();
                all.iter().fold(0, |sum: i64, number| sum.saturating_add(*number))
            }
        }
    }

    /// Of one row; 0 for one that is not there.
    pub(super) fn at(&self, row: usize) -> i64 {
        match self {
            Numbers::Zero => 0,
            Numbers::One => 1,
            Numbers::Each(all) => all.get(row).copied().unwrap_or(0),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Numbers::Zero | Numbers::One => 0,
            Numbers::Each(all) => all.capacity() * 8,
        }
    }
}

fn is_true(filter: &BooleanArray, row: usize) -> bool {
    filter.is_valid(row) && filter.value(row)
}
