//! A released answer as JSON, CSV, an Arrow IPC stream, and as text for a terminal.
//!
//! Invariants: the same columns in the same order in every format; an estimate `n` is followed by `n_sd`, `n_low` and
//! `n_high`. Days are `2026-11-22`, times RFC 3339 in UTC, numbers that are not finite are null. Columns have their units. In CSV a number has no more decimal places than its noise lets mean something, its interval is rounded
//! outwards, a key without a value is `NULL`, and a text that a spreadsheet would run has an apostrophe in front.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMillisecondType,
};
use arrow::ipc::writer::StreamWriter;
use arrow::util::display::array_value_to_string;
use serde_json::{Map, Value, json};

use crate::error::QueryError;
use crate::release::{Cost, Released};
use shoal_language::calendar::{day_text, time_text};
use shoal_postprocess::{Column, ColumnKind};

/// A key that has no value, in CSV and on a terminal.
const NULL: &str = "NULL";
/// With these a text begins that a spreadsheet takes for a formula; the last four are the wide forms of the first.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
/// Most bytes of the notes in a header.
const HEADER_BYTES_MAX: usize = 6_000;
/// In a header, what stands for the notes that do not fit.
const MORE_NOTES: &str = "There are more notes: ask for JSON to read them.";
/// Most decimal places of a number in CSV.
const PLACES_MAX: i32 = 9;

/// JSON in which every letter beyond ASCII is escaped.
fn ascii_json(value: &impl serde::Serialize) -> String {
    // What an answer is told with can always be written.
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            c if c.is_ascii() => ascii.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                // Writing to a text cannot fail.
                let _ = write!(ascii, "\\u{unit:04x}");
            }),
        }
    }
    ascii
}

impl Released {
    /// The columns, in the order of every format.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The rows as text, empty for null and `NULL` for a key without a value; for a table on a terminal. Floats have two
    /// decimal places.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let text = |(column, value): (&Column, Value)| match value {
            Value::Null if column.kind == ColumnKind::Key => NULL.to_owned(),
            Value::Null => String::new(),
            Value::String(text) => text,
            Value::Number(n) if n.is_f64() => format!("{:.2}", n.as_f64().unwrap_or(f64::NAN)),
            other => other.to_string(),
        };
        let pairs = || self.columns.iter().zip(self.batch.columns());
        let row = |at| pairs().map(|(column, array)| text((column, json_value(array, at)))).collect();
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

    /// `{columns, rows: [{name: value}], precision, cost, noise, notes, query, dry_run, explained}`.
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
            "noise": self.noise,
            "notes": self.notes,
            "query": self.query,
            "dry_run": self.dry_run,
            "explained": self.explained,
        })
    }

    /// Comma-separated values with a line of names and units (`p50 [ms]`), for machines and for spreadsheets.
    pub fn to_csv(&self) -> String {
        let mut out = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            for (at, cell) in cells.enumerate() {
                // Writing to a text cannot fail.
                let _ = write!(out, "{}{cell}", if at == 0 { "" } else { "," });
            }
            out.push('\n');
        };
        let heading = |Column { name, unit, .. }: &Column| match unit {
            Some(unit) => text_cell(&format!("{name} [{unit}]")),
            None => text_cell(name),
        };
        line(&mut self.columns.iter().map(heading));
        for row in 0..self.batch.num_rows() {
            line(&mut (0..self.columns.len()).map(|at| self.cell(row, at)));
        }
        out
    }

    /// The notes as JSON in ASCII, for a header beside a CSV, which has no place for them. There are as many as fit into a header.
    pub fn notes_header(&self) -> String {
        let (mut shown, mut bytes) = (Vec::new(), 0);
        for note in &self.notes {
            bytes += ascii_json(note).len() + 1;
            if bytes > HEADER_BYTES_MAX {
                shown.push(MORE_NOTES);
                break;
            }
            shown.push(note);
        }
        ascii_json(&shown)
    }

    /// What it cost, as JSON in ASCII, for a header.
    pub fn cost_header(&self) -> String {
        ascii_json(&self.cost)
    }

    /// One cell of the CSV.
    fn cell(&self, row: usize, at: usize) -> String {
        let (Some(column), Some(array)) = (self.columns.get(at), self.batch.columns().get(at)) else {
            return String::new();
        };
        let number = |at: usize| match json_value(self.batch.columns().get(at)?, row) {
            Value::Number(number) => number.as_f64(),
            _ => None,
        };
        let (first, round): (usize, fn(f64) -> f64) = match column.kind {
            ColumnKind::Estimate => (at, f64::round),
            ColumnKind::Deviation => (at.saturating_sub(1), f64::round),
            ColumnKind::Low => (at.saturating_sub(2), f64::floor),
            ColumnKind::High => (at.saturating_sub(3), f64::ceil),
            ColumnKind::Key | ColumnKind::Value => return plain_cell(column.kind, json_value(array, row)),
        };
        let Some(own) = number(at) else { return String::new() };
        if array.data_type() == &DataType::Int64 {
            return plain_cell(column.kind, json_value(array, row));
        }
        let width = || Some((number(first + 3)? - number(first + 2)?) / 4.0);
        let places = places(number(first + 1).or_else(width).unwrap_or(0.0));
        match places {
            None => format!("{own}"),
            Some(places) => {
                let units = 10_f64.powi(places);
                let places = usize::try_from(places).unwrap_or(0);
                format!("{:.places$}", round(own * units) / units)
            }
        }
    }

    /// An Arrow IPC stream. The schema's metadata has `shoal.cost`, `shoal.notes` and `shoal.precision`; that of a number its
    /// `shoal.unit`.
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
        let fields = self.batch.schema_ref().fields().iter().zip(&self.columns).map(|(field, column)| {
            let unit = column.unit.iter().map(|unit| ("shoal.unit".to_owned(), unit.clone()));
            field.as_ref().clone().with_metadata(unit.collect())
        });
        let schema = Schema::new(fields.collect::<Vec<Field>>()).with_metadata(metadata.into());
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

/// A cell that is no estimate.
fn plain_cell(kind: ColumnKind, value: Value) -> String {
    match value {
        Value::Null if kind == ColumnKind::Key => NULL.to_owned(),
        Value::Null => String::new(),
        Value::String(text) => text_cell(&text),
        other => other.to_string(),
    }
}

/// A text as a cell of CSV. A negative number is no text and stays one.
fn text_cell(text: &str) -> String {
    let quoted = text.replace('"', "\"\"");
    match text.starts_with(FORMULA) {
        true => format!("\"'{quoted}\""),
        // A text that looks like no value is told from it.
        false if text.is_empty() || text == NULL || text.contains(['"', ',', '\n', '\r']) => {
            format!("\"{quoted}\"")
        }
        false => quoted,
    }
}

/// The decimal places that a deviation lets mean something: two digits of it. None when it is zero.
fn places(sd: f64) -> Option<i32> {
    let is_some = sd.is_finite() && sd > 0.0;
    is_some.then(|| (1 - sd.log10().floor() as i32).clamp(0, PLACES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_a_spreadsheet_would_run_is_quoted() {
        for (text, cell) in [
            ("=1+1", "\"'=1+1\""),
            ("+cmd", "\"'+cmd\""),
            ("-2", "\"'-2\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\tx", "\"'\tx\""),
            ("\rx", "\"'\rx\""),
            ("=\"a\",b", "\"'=\"\"a\"\",b\""),
            ("＝1", "\"'＝1\""),
            ("4.1", "4.1"),
            ("a=b", "a=b"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("", "\"\""),
            ("NULL", "\"NULL\""),
        ] {
            assert_eq!(text_cell(text), cell, "{text}");
        }
        assert_eq!(plain_cell(ColumnKind::Key, json!(-5)), "-5");
        assert_eq!(plain_cell(ColumnKind::Key, Value::Null), "NULL");
        assert_eq!(plain_cell(ColumnKind::Value, Value::Null), "");
    }

    #[test]
    fn decimal_places_follow_the_noise() {
        let sds = [316.0, 15.8, 9.9, 1.0, 0.8, 0.0123, 0.0];
        assert_eq!(sds.map(places), [Some(0), Some(0), Some(1), Some(1), Some(2), Some(3), None]);
    }
}
