//! Columns of an answer: each number with its standard deviation and its 95 % interval.
//!
//! Invariants: a released number keeps its own deviation and its unit, and a count stays a whole number. A number is shown
//! with its interval, which holds it, or not at all: where the error is not known (a division by a count whose companion is
//! zero) the number is null too. Where a group was withheld the number is null and the interval has the ends between which it is.
//! What depends on noise and has no companions is a value, never a key, and its column has a note. Names of columns are all
//! different. Not here: the intervals themselves (`intervals`), how companions come to be (`replicate`).

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float64Type, Schema, TimeUnit};
use datafusion::arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::intervals::{Cell, Companions, computed, stated};
use super::refuse;
use super::replicate::{Caveat, Missing, Noise, Noisy, Output};
use crate::column::{Column, ColumnKind};
use crate::error::Failure;
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
        let of_key = output.unit.as_ref().filter(|_| output.noise.is_none());
        let unit = noisy(output).map_or(of_key, |noisy| noisy.unit.as_ref()).cloned();
        let mut push = |name: String, kind: ColumnKind, note: Option<String>| {
            columns.push(Column { name, kind, unit: unit.clone(), note });
        };
        let (name, note) = (&output.name, note(output, ty));
        match kind(output, ty) {
            ColumnKind::Estimate => {
                push(name.clone(), ColumnKind::Estimate, note);
                push(format!("{name}_sd"), ColumnKind::Deviation, None);
                push(format!("{name}_low"), ColumnKind::Low, None);
                push(format!("{name}_high"), ColumnKind::High, None);
            }
            kind => push(name.clone(), kind, note),
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

fn noisy(output: &Output) -> Option<&Noisy> {
    match &output.noise {
        Some(Noise::Noisy(noisy)) => Some(noisy),
        _ => None,
    }
}

/// What holds for every value of a column, and in that of the first one for the rows of the answer.
fn note(output: &Output, ty: &DataType) -> Option<String> {
    let of = |caveat: &Caveat| {
        let text = match caveat {
        Caveat::Partial(most) => {
            format!("Groups that are not shown, of fewer than about {most} people, are not in it.")
        }
        Caveat::Unknown(most) => format!(
            "Where a group is not shown because fewer than about {most} people are in it, its number is not zero but unknown; \
             the interval has the ends between which it can be."
        ),
        Caveat::LeftOut => {
            "Days that have expired and were never asked for are left out: there its number is not zero but unknown.".to_owned()
        }
        Caveat::Chosen => {
            "Noisy numbers decided what it is made of; its interval does not say how sure that is.".to_owned()
        }
        Caveat::Spread => {
            "Noise makes numbers differ, which is in it; its interval does not say by how much.".to_owned()
        }
        Caveat::WithExact => return None,
        Caveat::BesideExact => {
            "Some of its rows have exact numbers. Where such a row stands for a group that is not shown, its number is not zero but unknown."
                .to_owned()
        }
    };
        Some(text)
    };
    let mut texts: Vec<String> = Vec::new();
    match &output.noise {
        None => {}
        Some(Noise::Noisy(noisy)) => texts.extend(noisy.caveats.iter().filter_map(of)),
        Some(Noise::Absent(absent)) => texts.push(format!("It is NULL also where {}.", why(absent.missing))),
        Some(_) if ty.is_numeric() => texts.push(
            "It follows from noisy numbers and from which groups are shown, and has no error of its own."
                .to_owned(),
        ),
        Some(_) => texts.push(
            "It follows from noisy numbers and from which groups are shown, and can be wrong: a group that is not shown because few \
             people are in it is not one of nobody."
                .to_owned(),
        ),
    }
    if output.absence != Missing::default() {
        let why = why(output.absence);
        texts.push(format!(
            "Which rows there are was decided by which groups are shown: also where {why}, a group counts as one that is not there."
        ));
    }
    (!texts.is_empty()).then(|| texts.join(" "))
}

/// Why a group is not there.
fn why(missing: Missing) -> String {
    let small = missing
        .shown_from
        .map(|most| format!("a group is not shown because fewer than about {most} people are in it"));
    let left_out = missing.left_out.then(|| "days have expired and are left out".to_owned());
    small.into_iter().chain(left_out).collect::<Vec<_>>().join(", or ")
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

/// The number, its standard deviation and its 95 % interval. A number whose interval is known without companions keeps it; that
/// of a quantile has two unequal sides.
fn estimate(
    output: &Output,
    value: &ArrayRef,
    batch: &RecordBatch,
    arrays: &mut Vec<ArrayRef>,
) -> Result<(), Failure> {
    let value = floats(value)?;
    let column = |at: &usize| floats(batch.columns().get(*at).ok_or(Failure::Internal)?);
    let bare = noisy(output).and_then(|noisy| noisy.bare.as_ref());
    let is_whole = bare.is_some_and(|bare| bare.is_whole);
    let unit = noisy(output).and_then(|noisy| noisy.unit.as_deref());
    let is_count = is_whole && unit.is_some_and(|unit| COUNTED.contains(&unit));
    let at = |array: &Float64Array, row: usize| array.is_valid(row).then(|| array.value(row));
    let cells: Vec<Cell> = match &output.stated {
        Some(positions) => {
            let of = positions.iter().map(column).collect::<Result<Vec<_>, _>>()?;
            let one = |row| {
                let cell = stated(at(&value, row), of.iter().map(|array| at(array, row)));
                if is_count { cell.counted() } else { cell }
            };
            (0..value.len()).map(one).collect()
        }
        None => {
            let moved = output.moved.iter().map(column).collect::<Result<Vec<_>, _>>()?;
            let steps = output.steps.iter().map(column).collect::<Result<Vec<_>, _>>()?;
            let worlds = output.worlds.iter().map(column).collect::<Result<Vec<_>, _>>()?;
            let one = |row| {
                let of = |arrays: &[Float64Array]| arrays.iter().map(|array| at(array, row)).collect();
                let companions = Companions { moved: of(&moved), steps: of(&steps), worlds: of(&worlds) };
                computed(at(&value, row), &companions)
            };
            (0..value.len()).map(one).collect()
        }
    };
    let whole = |of: fn(&Cell) -> Option<f64>, round: fn(f64) -> f64| -> Result<ArrayRef, Failure> {
        let numbers: Float64Array = cells.iter().map(of).collect();
        Ok(match is_whole {
            true => cast(&numbers.unary::<_, Float64Type>(round), &DataType::Int64)?,
            false => Arc::new(numbers),
        })
    };
    arrays.push(whole(|cell| cell.value, f64::round)?);
    arrays.push(Arc::new(cells.iter().map(|cell| cell.sd).collect::<Float64Array>()));
    arrays.push(whole(|cell| cell.low, f64::floor)?);
    arrays.push(whole(|cell| cell.high, f64::ceil)?);
    Ok(())
}
