//! Values of the rows that are read, by source, in a few plain types.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit};
use shoal_schemas::columns;

use crate::failure::Failure;
use crate::text_bytes::Texts;
use shoal_language::{Scalar, Type, Value};

/// Where a text is; a digest, and where it is.
const TEXT_BYTES: usize = 8;
const DIGEST_BYTES: usize = 16 + 8;

/// The columns of the batch that each source is at. No `Debug`: they are events.
pub(super) struct Columns {
    kinds: Vec<Kind>,
    row_bytes: usize,
    sources: Vec<Vec<ArrayRef>>,
}

/// What a column's values become.
#[derive(Clone, Copy)]
enum Kind {
    Of(Type),
    /// A keyed digest: equal or not, no more.
    Digest,
    /// Always null.
    Null,
}

impl Columns {
    /// For these expressions, in this order.
    pub(super) fn new(scalars: &[Scalar]) -> Columns {
        let kind = |scalar: &Scalar| match scalar {
            Scalar::Column { name, .. } if name == columns::SESSION => Kind::Digest,
            other => other.ty().map_or(Kind::Null, Kind::Of),
        };
        let kinds: Vec<Kind> = scalars.iter().map(kind).collect();
        let bytes = |(kind, scalar): (&Kind, &Scalar)| match kind {
            Kind::Of(Type::Text) => Texts::default().bytes(scalar) + TEXT_BYTES,
            Kind::Of(_) => size_of::<i64>() + 1,
            Kind::Digest => DIGEST_BYTES,
            Kind::Null => 0,
        };
        let row_bytes = kinds.iter().zip(scalars).map(bytes).sum();
        Columns { kinds, row_bytes, sources: Vec::new() }
    }

    pub(super) fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure> {
        if columns.len() != self.kinds.len() {
            return Err(Failure::Internal);
        }
        let mut plain = Vec::with_capacity(columns.len());
        for (column, kind) in columns.iter().zip(&self.kinds) {
            let ty = match kind {
                Kind::Of(Type::Text) => DataType::Utf8,
                Kind::Of(Type::Boolean) => DataType::Boolean,
                Kind::Of(Type::Number { .. }) => DataType::Int64,
                Kind::Of(Type::Day) => DataType::Date32,
                Kind::Of(Type::Time) => {
                    let time = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
                    plain.push(cast(&time, &DataType::Int64)?);
                    continue;
                }
                Kind::Digest => DataType::Binary,
                Kind::Null => DataType::Null,
            };
            plain.push(match kind {
                Kind::Null => datafusion::arrow::array::new_null_array(&ty, column.len()),
                _ => cast(column, &ty)?,
            });
        }
        if self.sources.len() <= source {
            self.sources.resize_with(source + 1, Vec::new);
        }
        self.sources[source] = plain;
        Ok(())
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        self.sources.iter().flatten().map(|column| column.get_array_memory_size()).sum()
    }

    /// The most bytes of a row.
    pub(super) fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    fn array(&self, source: usize, column: usize, row: usize) -> Option<&ArrayRef> {
        let array = self.sources.get(source)?.get(column)?;
        (row < array.len() && array.is_valid(row)).then_some(array)
    }

    /// Whether a condition is true: neither false nor null.
    pub(super) fn is_true(&self, source: usize, column: usize, row: usize) -> bool {
        let array = self.array(source, column, row).and_then(|array| array.as_boolean_opt());
        array.is_some_and(|array| array.value(row))
    }

    /// The units of a number; none for null.
    pub(super) fn number(&self, source: usize, column: usize, row: usize) -> Option<i64> {
        let array = self.array(source, column, row)?.as_primitive_opt::<Int64Type>()?;
        Some(array.value(row))
    }

    /// Whether it is not null.
    pub(super) fn is_present(&self, source: usize, column: usize, row: usize) -> bool {
        self.array(source, column, row).is_some()
    }

    /// Any value. A digest is given as text, of no meaning but its own.
    pub(super) fn value(&self, source: usize, column: usize, row: usize) -> Value {
        let (Some(array), Some(kind)) = (self.array(source, column, row), self.kinds.get(column)) else {
            return Value::Null;
        };
        match kind {
            Kind::Of(Type::Text) => Value::Text(array.as_string::<i32>().value(row).to_owned()),
            Kind::Of(Type::Boolean) => Value::Boolean(array.as_boolean().value(row)),
            Kind::Of(Type::Number { scale }) => {
                Value::Number(array.as_primitive::<Int64Type>().value(row), *scale)
            }
            Kind::Of(Type::Time) => Value::Time(array.as_primitive::<Int64Type>().value(row)),
            Kind::Of(Type::Day) => Value::Day(array.as_primitive::<Date32Type>().value(row)),
            Kind::Digest => {
                let bytes = array.as_binary::<i32>().value(row);
                Value::Text(bytes.iter().map(|byte| char::from(*byte)).collect())
            }
            Kind::Null => Value::Null,
        }
    }
}
