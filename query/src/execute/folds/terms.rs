//! The aggregates of events, over a batch: what each row adds to each number.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array};
use datafusion::arrow::datatypes::Int64Type;
use shoal_schemas::columns;

use crate::execute::Failure;
use crate::execute::rows::digests;
use crate::expr::{Scalar, Type};
use crate::layout::Slot;
use crate::private_query::{Aggregate, AggregateOp};

/// One aggregate.
pub(super) struct Term {
    pub(super) op: Op,
    pub(super) place: Slot,
    /// Positions in the fold's scalars.
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

    /// Writes its number of each row into a table of `width` columns.
    pub(super) fn amounts(
        &self,
        columns: &[ArrayRef],
        table: &mut [i64],
        width: usize,
    ) -> Result<(), Failure> {
        let (Slot::Daily(slot) | Slot::Ranged(slot)) = self.place else { return Err(Failure) };
        let out = table.chunks_exact_mut(width).filter_map(|row| row.get_mut(slot));
        match self.op {
            Op::One => out.for_each(|out| *out = 1),
            Op::Present => {
                let nulls = self.operand(columns)?.logical_nulls();
                let present = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                out.enumerate().for_each(|(row, out)| *out = i64::from(present(row)));
            }
            Op::Sum => match self.numbers(columns)? {
                None => {}
                Some(item) if item.null_count() == 0 => {
                    out.zip(item.values()).for_each(|(out, value)| *out = *value);
                }
                Some(item) => out.zip(item).for_each(|(out, value)| *out = value.unwrap_or(0)),
            },
            Op::Sessions => {}
            Op::Value => return Err(Failure),
        }
        let Some(filter) = self.filter(columns)? else { return Ok(()) };
        for (row, values) in table.chunks_exact_mut(width).enumerate() {
            if !is_true(filter, row) {
                values[slot] = 0;
            }
        }
        Ok(())
    }

    /// The session of each row that counts.
    pub(super) fn sessions(&self, columns: &[ArrayRef]) -> Result<Vec<Option<u128>>, Failure> {
        let (array, filter) = (self.operand(columns)?, self.filter(columns)?);
        let binary = array.as_binary_opt::<i32>().ok_or(Failure)?;
        if binary.null_count() == 0 && filter.is_none() {
            return Ok(digests(array)?.into_iter().map(Some).collect());
        }
        let session = |row: usize| -> Result<Option<u128>, Failure> {
            match binary.is_valid(row) && filter.is_none_or(|filter| is_true(filter, row)) {
                true => Ok(Some(u128::from_be_bytes(binary.value(row).try_into().map_err(|_| Failure)?))),
                false => Ok(None),
            }
        };
        (0..binary.len()).map(session).collect()
    }

    /// The value of each row that counts.
    pub(super) fn values(&self, columns: &[ArrayRef]) -> Result<Vec<Option<i64>>, Failure> {
        let filter = self.filter(columns)?;
        let Some(item) = self.numbers(columns)? else { return Ok(Vec::new()) };
        let counts = |row: usize| filter.is_none_or(|filter| is_true(filter, row));
        Ok(item.iter().enumerate().map(|(row, value)| value.filter(|_| counts(row))).collect())
    }

    fn operand<'c>(&self, columns: &'c [ArrayRef]) -> Result<&'c ArrayRef, Failure> {
        self.operand.and_then(|at| columns.get(at)).ok_or(Failure)
    }

    /// None when all are null.
    fn numbers<'c>(&self, columns: &'c [ArrayRef]) -> Result<Option<&'c Int64Array>, Failure> {
        let item = self.operand(columns)?;
        match item.logical_null_count() == item.len() {
            true => Ok(None),
            false => item.as_primitive_opt::<Int64Type>().map(Some).ok_or(Failure),
        }
    }

    fn filter<'c>(&self, columns: &'c [ArrayRef]) -> Result<Option<&'c BooleanArray>, Failure> {
        let Some(at) = self.filter else { return Ok(None) };
        columns.get(at).and_then(|filter| filter.as_boolean_opt()).map(Some).ok_or(Failure)
    }
}

fn is_true(filter: &BooleanArray, row: usize) -> bool {
    filter.is_valid(row) && filter.value(row)
}
