//! A released answer as JSON, CSV, an Arrow IPC stream, and as text for a terminal.
//!
//! Invariants: the same columns in the same order in every format; an estimate `n` is followed by `n_sd`, `n_low` and
//! `n_high`. Days are `2026-11-22`, times RFC 3339 in UTC, numbers that are not finite are null.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::array_value_to_string;
use serde_json::{Map, Value, json};

use crate::error::QueryError;
use crate::release::{Cost, Released};
use shoal_language::calendar::{day_text, time_text};
use shoal_postprocess::Column;

impl Released {
    /// The columns, in the order of every format.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The rows as text, empty for null; for a table on a terminal. Floats have two decimal places.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let text = |value: Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            Value::Number(n) if n.is_f64() => format!("{:.2}", n.as_f64().unwrap_or(f64::NAN)),
            other => other.to_string(),
        };
        let row = |at| self.batch.columns().iter().map(|c| text(json_value(c, at))).collect();
        (0..self.batch.num_rows()).map(row).collect()
    }

    /// What it cost, or would cost.
    pub fn cost(&self) -> &Cost {
        &self.cost
    }

    /// What a reader should know: default ranges, expired days, thresholds.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The private query in its canonical form.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// Whether nothing was read: the price is known, there are no rows.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// `{columns, rows: [{name: value}], precision, cost, notes, query, dry_run, explained}`.
    pub fn to_json(&self) -> Value {
        let rows: Vec<Value> = (0..self.batch.num_rows())
            .map(|at| {
                let pairs = self.columns.iter().zip(self.batch.columns());
                let row: Map<String, Value> =
                    pairs.map(|(c, array)| (c.name.clone(), json_value(array, at))).collect();
                Value::Object(row)
            })
            .collect();
        json!({
            "columns": self.columns,
            "rows": rows,
            "precision": self.accuracy.to_string(),
            "cost": self.cost,
            "notes": self.notes,
            "query": self.query,
            "dry_run": self.dry_run,
            "explained": self.explained,
        })
    }

    /// Comma-separated values with a line of names.
    pub fn to_csv(&self) -> String {
        let mut out = Vec::new();
        let mut writer = WriterBuilder::new().with_header(true).build(&mut out);
        // A vector takes every byte, and every type of an answer has a text.
        let written = writer.write(&self.batch);
        drop(writer);
        match written {
            Ok(()) => String::from_utf8(out).unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// An Arrow IPC stream. The schema's metadata has `shoal.cost`, `shoal.notes` and `shoal.precision`.
    ///
    /// # Errors
    /// [`QueryError::Failed`] when the batch cannot be written.
    pub fn to_arrow_ipc(&self) -> Result<Vec<u8>, QueryError> {
        let failed = |_| QueryError::Failed;
        let metadata = [
            ("shoal.cost".to_owned(), json!(self.cost).to_string()),
            ("shoal.notes".to_owned(), json!(self.notes).to_string()),
            ("shoal.precision".to_owned(), self.accuracy.to_string()),
        ];
        let schema = self.batch.schema().as_ref().clone().with_metadata(metadata.into());
        let batch = self.batch.clone().with_schema(schema.into()).map_err(failed)?;
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(failed)?;
        writer.write(&batch).map_err(failed)?;
        writer.into_inner().map_err(failed)
    }
}

fn json_value(array: &ArrayRef, at: usize) -> Value {
    if array.is_null(at) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Utf8 => json!(array.as_string::<i32>().value(at)),
        DataType::Boolean => json!(array.as_boolean().value(at)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(at)),
        DataType::Float64 => json!(array.as_primitive::<Float64Type>().value(at)),
        DataType::Date32 => json!(day_text(array.as_primitive::<Date32Type>().value(at))),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            json!(time_text(array.as_primitive::<TimestampMillisecondType>().value(at)))
        }
        _ => array_value_to_string(array, at).map_or(Value::Null, Value::String),
    }
}
