//! Tests of postprocessing SQL: one conformance suite for both places it runs in, error bars against simulation,
//! hostile texts.
#![allow(clippy::unwrap_used)]

mod coverage;
mod hostile;
mod joined;
mod noise;
mod refusals;
mod refused;
mod suite;
mod truthless;
mod withheld;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, Date32Array, Float64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::arrow::record_batch::RecordBatch;
use tokio::time::Instant;

use self::refused::{schemas, usage};
use super::worker::WorkerLimits;
use super::*;
use shoal_anonymity::budget::Z_95;

/// So many days of two countries; `noise` is added in standard deviations (20 and 500) by row and column.
pub(super) fn table(name: &str, days: i32, noise: impl Fn(usize, usize) -> f64) -> ReleasedTable {
    let rows = usize::try_from(days).unwrap() * 2;
    let day = Date32Array::from_iter_values((0..days).flat_map(|day| [20_000 + day; 2]));
    let country = StringArray::from_iter_values((0..rows).map(|row| ["DE", "US"][row % 2]));
    let events = Float64Array::from_iter_values(
        (0..rows).map(|r| 1_000.0 + (r * 37 % 200) as f64 + 20.0 * noise(r, 0)),
    );
    let time = Float64Array::from_iter_values(
        (0..rows).map(|r| 50_000.0 + (r * 91 % 700) as f64 + 500.0 * noise(r, 1)),
    );
    let around = |x: &Float64Array, by: f64| Arc::new(x.unary::<_, Float64Type>(|x| x + by)) as ArrayRef;
    let (lows, highs) = (
        [around(&events, -Z_95 * 20.0), around(&time, -Z_95 * 500.0)],
        [around(&events, Z_95 * 20.0), around(&time, Z_95 * 500.0)],
    );
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(day),
        Arc::new(country),
        Arc::new(events),
        Arc::new(time),
        Arc::new(Float64Array::from_value(20.0, rows)),
        Arc::new(Float64Array::from_value(500.0, rows)),
    ];
    columns.extend(lows.into_iter().chain(highs));
    let schema = usage(name);
    ReleasedTable { batch: RecordBatch::try_new(schema.arrow(), columns).unwrap(), schema }
}

pub(super) fn tables() -> Vec<ReleasedTable> {
    vec![table("r0", 15, |_, _| 0.0), table("r1", 15, |_, _| 0.0)]
}

pub(super) fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// The example `worker`, which a test run of the whole crate builds.
pub(super) fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/worker");
    assert!(path.exists(), "build it first: cargo build -p shoal-postprocess --example worker");
    path
}

pub(super) fn workers() -> Postprocessor {
    Postprocessor::in_workers(PoolConfig::of(program()))
}

/// A column of an answer as floats.
pub(super) fn numbers(batch: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    let array = batch.column_by_name(name).unwrap_or_else(|| panic!("{name} in {:?}", batch.schema()));
    cast(array, &DataType::Float64).unwrap().as_primitive::<Float64Type>().iter().collect()
}

pub(super) fn texts(batch: &RecordBatch, name: &str) -> Vec<String> {
    let array = batch.column_by_name(name).unwrap();
    let array = cast(array, &DataType::Utf8).unwrap();
    (0..array.len()).map(|at| array.as_string::<i32>().value(at).to_owned()).collect()
}
