//! Columns of an answer: each number with its standard deviation and its 95 % interval.
//!
//! Invariants: a released number keeps exactly its own deviation and its unit, and a count stays a whole number. Of any
//! other number the variance is the mean square of its companions' differences; where a companion has no value (a division
//! by a count whose companion is zero) nothing is known, and deviation and interval are null. A number without companions
//! that depends on noise is a value, never a key. Names of columns are all different.
//! Not here: how companions come to be (`replicate`).

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema, TimeUnit};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::refuse;
use super::replicate::{Noise, Output};
use crate::column::{Column, ColumnKind};
use crate::error::Failure;
use shoal_anonymity::budget::Z_95;
use shoal_language::{Refusal, Rule, without_values};

/// Units of counts, which are never below zero.
const COUNTED: [&str; 3] = ["events", "subjects", "sessions"];

/// The columns of the answer.
///
/// # Errors
/// A refusal when two of them have one name.
pub(super) fn columns(outputs: &[Output], types: &[DataType]) -> Result<Vec<Column>, Refusal> {
    let mut columns = Vec::new();
    for (output, ty) in outputs.iter().zip(types) {
        let mut push = |name: String, kind: ColumnKind| {
            columns.push(Column { name, kind, unit: unit(output).map(str::to_owned) });
        };
        let name = &output.name;
        match kind(output, ty) {
            ColumnKind::Estimate => {
                push(name.clone(), ColumnKind::Estimate);
                push(format!("{name}_sd"), ColumnKind::Deviation);
                push(format!("{name}_low"), ColumnKind::Low);
                push(format!("{name}_high"), ColumnKind::High);
            }
            kind => push(name.clone(), kind),
        }
    }
    let mut seen = HashSet::new();
    match columns.iter().find(|column| !seen.insert(column.name.as_str())) {
        None => Ok(columns),
        Some(column) => {
            let message = format!("Two columns of the answer are named `{}`.", column.name);
            Err(Refusal::whole(Rule::Name, without_values(&message), refuse::NAMED))
        }
    }
}

/// The answer's rows, from those of the plan with companions.
///
/// # Errors
/// [`Failure`] when a column has no plain type.
pub(super) fn rows(
    columns: &[Column],
    outputs: &[Output],
    batch: &RecordBatch,
) -> Result<RecordBatch, Failure> {
    let mut arrays = Vec::with_capacity(columns.len());
    for (at, output) in outputs.iter().enumerate() {
        let value = batch.columns().get(at).ok_or(Failure::Internal)?;
        match kind(output, value.data_type()) {
            ColumnKind::Estimate => estimate(output, value, batch, &mut arrays)?,
            _ => arrays.push(cast(value, &plain_type(value.data_type()))?),
        }
    }
    let fields: Vec<Field> =
        columns.iter().zip(&arrays).map(|(c, a)| Field::new(&c.name, a.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
}

fn kind(output: &Output, ty: &DataType) -> ColumnKind {
    match &output.noise {
        None => ColumnKind::Key,
        Some(Noise::Noisy(_)) if ty.is_numeric() => ColumnKind::Estimate,
        Some(_) => ColumnKind::Value,
    }
}

fn unit(output: &Output) -> Option<&str> {
    match &output.noise {
        Some(Noise::Noisy(noisy)) => noisy.bare.as_ref()?.unit.as_deref(),
        _ => None,
    }
}

/// The types that answers have.
fn plain_type(ty: &DataType) -> DataType {
    match ty {
        DataType::Boolean | DataType::Utf8 | DataType::Date32 | DataType::Null => ty.clone(),
        DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        ty if ty.is_integer() => DataType::Int64,
        ty if ty.is_numeric() => DataType::Float64,
        _ => DataType::Utf8,
    }
}

fn floats(array: &ArrayRef) -> Result<Float64Array, Failure> {
    let floats = cast(array, &DataType::Float64)?;
    Ok(floats.as_primitive::<Float64Type>().iter().map(|x| x.filter(|x| x.is_finite())).collect())
}

/// The number, its standard deviation and its 95 % interval. A count is a whole number, and its interval does not go below
/// zero unless the number does. A released number keeps the release's own interval; that of a quantile has two unequal sides.
fn estimate(
    output: &Output,
    value: &ArrayRef,
    batch: &RecordBatch,
    arrays: &mut Vec<ArrayRef>,
) -> Result<(), Failure> {
    let value = floats(value)?;
    let column = |at: usize| floats(batch.columns().get(at).ok_or(Failure::Internal)?);
    let [sd, low, high] = match output.stated {
        Some([sd, low, high]) => [column(sd)?, column(low)?, column(high)?],
        None => {
            let moved = output.moved.iter().map(|at| column(*at)).collect::<Result<Vec<_>, _>>()?;
            let sd = deviations(&value, &moved);
            let end = |side: f64| -> Float64Array {
                let ends = value.iter().zip(&sd).map(|(x, sd)| Some(x? + side * Z_95 * sd?));
                ends.map(|end| end.filter(|end| end.is_finite())).collect()
            };
            let (low, high) = (end(-1.0), end(1.0));
            [sd, low, high]
        }
    };
    let bare = match &output.noise {
        Some(Noise::Noisy(noisy)) => noisy.bare.as_ref(),
        _ => None,
    };
    let is_whole = bare.is_some_and(|bare| bare.scale == 0);
    let is_count = is_whole && unit(output).is_some_and(|unit| COUNTED.contains(&unit));
    let low: Float64Array = match is_count {
        true => value.iter().zip(&low).map(|(x, low)| Some(low?.max(0.0).min(x?))).collect(),
        false => low,
    };
    let whole = |numbers: Float64Array, round: fn(f64) -> f64| -> Result<ArrayRef, Failure> {
        Ok(match is_whole {
            true => cast(&numbers.unary::<_, Float64Type>(round), &DataType::Int64)?,
            false => Arc::new(numbers),
        })
    };
    arrays.push(whole(value.clone(), f64::round)?);
    arrays.push(Arc::new(sd));
    arrays.push(whole(low, f64::floor)?);
    arrays.push(whole(high, f64::ceil)?);
    Ok(())
}

/// The root of the mean square of the companions' differences from the number.
fn deviations(value: &Float64Array, moved: &[Float64Array]) -> Float64Array {
    let one = |row: usize| {
        if value.is_null(row) || moved.is_empty() || moved.iter().any(|m| m.is_null(row)) {
            return None;
        }
        let x = value.value(row);
        let squares: f64 = moved.iter().map(|m| (m.value(row) - x) * (m.value(row) - x)).sum();
        Some((squares / moved.len() as f64).sqrt())
    };
    (0..value.len()).map(one).collect()
}
