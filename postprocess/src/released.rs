//! Released rows as tables that postprocessing SQL reads: `r0`, `r1` .. with keys `k0` .. and numbers `a0` ...
//!
//! Invariants: a table's columns are its keys, its numbers and, in the same order, the standard deviation of each number
//! (`a0_sd`), then the lower end of its 95 % interval (`a0_low`), then the upper end (`a0_high`); a number is a double, and
//! what is stated of it is never null where it is not. Everything here is anonymous.
//! Not here: how a release is made (`release`).

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};
use serde::{Deserialize, Serialize};

use crate::column::Estimate;
use crate::error::Failure;
use shoal_anonymity::budget::Z_95;
use shoal_language::{Type, Value};

/// What is stated of a number besides itself.
pub(super) const STATED: [&str; 3] = ["sd", "low", "high"];

/// What is known of a release before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedSchema {
    /// The table's name in the postprocessing text.
    pub name: String,
    /// The keys.
    pub keys: Vec<KeyColumn>,
    /// The noisy numbers.
    pub numbers: Vec<NumberColumn>,
    /// About how many people a group needs to be shown; none when every group is.
    pub shown_from: Option<u64>,
    /// Whether days of it are left out because they have expired and were never asked for.
    #[serde(default)]
    pub left_out: bool,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// Its column in the postprocessing text.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// `ms`, `events` .., where its values are numbers of something.
    pub unit: Option<String>,
}

/// A noisy number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberColumn {
    /// Its column in the postprocessing text.
    pub name: String,
    /// `ms`, `events`, `subjects` ..
    pub unit: Option<String>,
    /// Decimal places.
    pub scale: u8,
    /// Between what the number of a group is that is not shown, in units of 10^-scale; none when every group is shown.
    pub withheld: Option<(i64, i64)>,
}

impl ReleasedSchema {
    /// The columns a text can name: keys and numbers.
    pub(super) fn named(&self) -> Vec<Field> {
        let keys = self.keys.iter().map(|key| Field::new(&key.name, arrow_type(key.ty), true));
        let numbers = self.numbers.iter().map(|n| Field::new(&n.name, DataType::Float64, true));
        keys.chain(numbers).collect()
    }

    /// All columns of the table.
    pub fn arrow(&self) -> SchemaRef {
        let mut fields = self.named();
        for stated in STATED {
            let of = |n: &NumberColumn| Field::new(format!("{}_{stated}", n.name), DataType::Float64, true);
            fields.extend(self.numbers.iter().map(of));
        }
        Arc::new(Schema::new(fields))
    }
}

/// A release's rows.
#[derive(Clone, Debug)]
pub struct ReleasedTable {
    /// Its columns.
    pub schema: ReleasedSchema,
    /// Its rows.
    pub batch: RecordBatch,
}

impl ReleasedTable {
    /// The table of released groups, in their order.
    ///
    /// # Errors
    /// [`Failure`] when a row has other columns than the schema says.
    pub fn of(schema: &ReleasedSchema, rows: &[(&[Value], &[Estimate])]) -> Result<ReleasedTable, Failure> {
        let (keys, numbers) = (schema.keys.len(), schema.numbers.len());
        if rows.iter().any(|(k, n)| k.len() != keys || n.len() != numbers) {
            return Err(Failure::Internal);
        }
        let mut columns = Vec::with_capacity(keys + (1 + STATED.len()) * numbers);
        for (at, key) in schema.keys.iter().enumerate() {
            columns.push(key_array(rows.iter().map(|(k, _)| k.get(at)), key.ty));
        }
        let stated: [fn(&Estimate) -> f64; 4] =
            [|e| e.units as f64, |e| e.sd, |e| interval(e).0, |e| interval(e).1];
        for number in stated {
            for (at, column) in schema.numbers.iter().enumerate() {
                let unit = 10_f64.powi(i32::from(column.scale));
                let values = rows.iter().map(|(_, n)| n.get(at).map(|e| number(e) / unit));
                columns.push(Arc::new(values.collect::<Float64Array>()) as ArrayRef);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(schema.arrow(), columns, &options)?;
        Ok(ReleasedTable { schema: schema.clone(), batch })
    }

    /// A table without rows.
    pub(super) fn empty(schema: &ReleasedSchema) -> ReleasedTable {
        ReleasedTable { schema: schema.clone(), batch: RecordBatch::new_empty(schema.arrow()) }
    }

    /// Whether the batch is what the schema says; types only, so that another's table is noticed.
    pub(super) fn is_sound(&self) -> bool {
        let (is, must) = (self.batch.schema(), self.schema.arrow());
        is.fields().len() == must.fields().len()
            && is.fields().iter().zip(must.fields()).all(|(a, b)| a.data_type() == b.data_type())
    }
}

fn interval(estimate: &Estimate) -> (f64, f64) {
    let (value, half) = (estimate.units as f64, Z_95 * estimate.sd);
    estimate.interval.unwrap_or((value - half, value + half))
}

fn arrow_type(ty: Type) -> DataType {
    match ty {
        Type::Text => DataType::Utf8,
        Type::Boolean => DataType::Boolean,
        Type::Number { scale: 0 } => DataType::Int64,
        Type::Number { .. } => DataType::Float64,
        Type::Day => DataType::Date32,
        Type::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
    }
}

fn key_array<'v>(values: impl Iterator<Item = Option<&'v Value>>, ty: Type) -> ArrayRef {
    match ty {
        Type::Text => Arc::new(
            values
                .map(|v| if let Some(Value::Text(t)) = v { Some(t.as_str()) } else { None })
                .collect::<StringArray>(),
        ),
        Type::Boolean => Arc::new(
            values
                .map(|v| if let Some(Value::Boolean(b)) = v { Some(*b) } else { None })
                .collect::<BooleanArray>(),
        ),
        Type::Number { scale: 0 } => Arc::new(
            values
                .map(|v| match v {
                    Some(Value::Number(units, 0)) => Some(*units),
                    _ => None,
                })
                .collect::<Int64Array>(),
        ),
        Type::Number { .. } => Arc::new(
            values
                .map(|v| match v {
                    Some(Value::Number(units, scale)) => Some(*units as f64 / 10_f64.powi(i32::from(*scale))),
                    _ => None,
                })
                .collect::<Float64Array>(),
        ),
        Type::Day => Arc::new(
            values
                .map(|v| if let Some(Value::Day(day)) = v { Some(*day) } else { None })
                .collect::<Date32Array>(),
        ),
        Type::Time => {
            let times = values.map(|v| if let Some(Value::Time(ms)) = v { Some(*ms) } else { None });
            Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
        }
    }
}
