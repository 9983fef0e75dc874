//! What the reader of an answer should know of its numbers, and what would make them better.
//!
//! Invariants: from released numbers and public facts alone: the columns and rows of the answer, and the text's releases.
//! Not here: notes on days, regions and thresholds (`released`), notes at a number (`shoal-postprocess`).

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use serde::Serialize;
use shoal_anonymity::budget::Precision;
use shoal_language::{AggregateOp, KeyKind};
use shoal_postprocess::{Column, ColumnKind};

use crate::charge::{Accuracy, ChargedQuery};

/// The noise of one number of a release, known before anything is read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NumberNoise {
    /// The release, as `EXPLAIN` names it: `r0`, `r1` ..
    pub release: String,
    /// The number, as `EXPLAIN` shows it.
    pub number: String,
    /// Unit of the deviation.
    pub unit: Option<String>,
    /// Standard deviation of the noise in a group of the most days and regions that are added up.
    pub sd: f64,
    /// About how many people a group needs to be shown, on each day and in each region that is released by itself; none when
    /// every group is shown.
    pub shown_from: Option<u64>,
}

/// The noise of each number of each release.
pub(super) fn noise(charged: &[Arc<ChargedQuery>]) -> Vec<NumberNoise> {
    let mut all = Vec::new();
    for (at, charged) in charged.iter().enumerate() {
        let parts = charged.parts_of_a_group() as f64;
        let shown_from = charged.withheld().map(|withheld| withheld.shown_from());
        for (aggregate, noise) in charged.query.aggregates().iter().zip(&charged.noise) {
            let units = 10_f64.powi(i32::from(aggregate.scale));
            let sd = (noise.variance().to_f64() * parts).sqrt();
            // The noise of a quantile is that of the numbers of values in the parts of its grid.
            let (sd, unit) = match aggregate.op {
                AggregateOp::Quantile { .. } => (sd, Some("values in a part of the grid".to_owned())),
                _ => (sd / units, aggregate.unit.clone()),
            };
            let number = aggregate.to_string();
            all.push(NumberNoise { release: format!("r{at}"), number, unit, sd, shown_from });
        }
    }
    all
}

/// The noise in words, for a dry run.
pub(super) fn noise_notes(noise: &[NumberNoise]) -> Vec<String> {
    let text = |of: &NumberNoise| {
        let unit = of.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        format!(
            "The noise of {} in {} has a standard deviation of {}{unit}.",
            of.number,
            of.release,
            rounded(of.sd)
        )
    };
    noise.iter().map(text).collect()
}

/// With three digits.
fn rounded(sd: f64) -> String {
    let places = (2.0 - sd.max(1e-9).log10().floor()).clamp(0.0, 9.0) as usize;
    format!("{sd:.places$}")
}

/// What makes the numbers of these releases more exact, in words.
pub(super) fn advice(charged: &[Arc<ChargedQuery>], accuracy: Accuracy) -> String {
    let queries = || charged.iter().map(|charged| &charged.query);
    let is_people = |op: &AggregateOp| matches!(op, AggregateOp::Subjects | AggregateOp::Quantile { .. });
    let is_own = |kind: &KeyKind| matches!(kind, KeyKind::Public(_) | KeyKind::Private);
    let mut all = Vec::new();
    if queries().any(|query| query.aggregates().iter().any(|aggregate| !is_people(&aggregate.op))) {
        all.push("people instead of events: COUNT(DISTINCT subject)");
    }
    if queries().any(|query| query.keys().iter().any(|key| is_own(&key.kind))) {
        all.push("fewer keys");
    }
    all.push("more days in one number");
    if accuracy != Accuracy::Precision(Precision::High) {
        all.push("precision high");
    }
    format!("What helps: {}.", all.join(", "))
}

/// What holds for the rows of an answer.
pub(super) fn notes(columns: &[Column], batch: &RecordBatch, advice: &str) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let said =
        columns.iter().filter_map(|column| Some(format!("`{}`: {}", column.name, column.note.as_ref()?)));
    notes.extend(said);
    let mut is_poor = false;
    for (at, (column, array)) in columns.iter().zip(batch.columns()).enumerate() {
        let name = &column.name;
        let nulls = array.logical_null_count();
        match column.kind {
            ColumnKind::Key if nulls > 0 => {
                notes.push(format!("`{name}` is NULL in {}, for what has no value of it.", rows(nulls)));
            }
            ColumnKind::Estimate => {
                let of = Estimates::of(batch, at);
                if of.unknown > 0 {
                    let unknown = rows(of.unknown);
                    notes.push(format!(
                        "`{name}` is unknown in {unknown}, between `{name}_low` and `{name}_high`."
                    ));
                }
                if nulls > of.unknown {
                    let more = rows(nulls - of.unknown);
                    notes.push(format!(
                        "`{name}` is empty in {more}: it cannot be computed, or its error is not known."
                    ));
                }
                if of.poor > 0 && 2 * of.poor >= of.known {
                    notes.push(format!(
                        "The error of `{name}` is larger than the number in {}.",
                        rows(of.poor)
                    ));
                    is_poor = true;
                }
            }
            _ => {}
        }
    }
    if batch.num_rows() == 0 {
        notes.push("No group is shown: none has enough people, or none passes the conditions.".to_owned());
        is_poor = true;
    }
    if is_poor {
        notes.push(advice.to_owned());
    }
    notes
}

fn rows(count: usize) -> String {
    if count == 1 { "one row".to_owned() } else { format!("{count} rows") }
}

/// The rows of an estimate.
#[derive(Default)]
struct Estimates {
    /// With a number.
    known: usize,
    /// Of these, with an error that is larger than the number.
    poor: usize,
    /// Without a number, but with an interval.
    unknown: usize,
}

impl Estimates {
    /// Of the estimate at a position, which its deviation and the ends of its interval follow.
    fn of(batch: &RecordBatch, at: usize) -> Estimates {
        let numbers = |at: usize| {
            let array = cast(batch.columns().get(at)?, &DataType::Float64).ok()?;
            array.as_primitive_opt::<Float64Type>().cloned()
        };
        let (Some(value), Some(low), Some(high)) = (numbers(at), numbers(at + 2), numbers(at + 3)) else {
            return Estimates::default();
        };
        let mut all = Estimates::default();
        for ((value, low), high) in value.iter().zip(&low).zip(&high) {
            let (Some(low), Some(high)) = (low, high) else { continue };
            match value {
                Some(value) => {
                    all.known += 1;
                    all.poor += usize::from((high - low) / 2.0 > value.abs());
                }
                None => all.unknown += 1,
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::arrow::array::{ArrayRef, Float64Array, StringArray};

    use super::*;

    fn column(name: &str, kind: ColumnKind) -> Column {
        Column { name: name.to_owned(), kind, unit: None, note: None }
    }

    fn noted(rows: &[(Option<&str>, [Option<f64>; 4])]) -> Vec<String> {
        let names = ["n", "n_sd", "n_low", "n_high"];
        let kinds = [ColumnKind::Estimate, ColumnKind::Deviation, ColumnKind::Low, ColumnKind::High];
        let mut columns = vec![column("country", ColumnKind::Key)];
        columns.extend(names.iter().zip(kinds).map(|(name, kind)| column(name, kind)));
        let keys: ArrayRef = Arc::new(rows.iter().map(|(key, _)| *key).collect::<StringArray>());
        let mut arrays = vec![("country", keys, true)];
        for (at, name) in names.iter().enumerate() {
            let numbers: ArrayRef = Arc::new(rows.iter().map(|(_, of)| of[at]).collect::<Float64Array>());
            arrays.push((name, numbers, true));
        }
        let batch = RecordBatch::try_from_iter_with_nullable(arrays).unwrap();
        notes(&columns, &batch, "What helps: precision high.")
    }

    #[test]
    fn an_answer_that_says_little_says_what_would_help() {
        let good = [Some(900.0), Some(5.0), Some(890.0), Some(910.0)];
        let poor = [Some(-3.0), Some(16.0), Some(-3.0), Some(31.0)];
        assert_eq!(noted(&[(Some("DE"), good)]), Vec::<String>::new());
        let found = noted(&[(Some("DE"), poor)]);
        assert!(
            found[0].contains("The error of `n` is larger") && found[1].starts_with("What helps"),
            "{found:?}"
        );
        // One of three rows is no reason.
        assert_eq!(noted(&[(Some("DE"), good), (Some("FR"), good), (Some("IT"), poor)]).len(), 0);
        let found = noted(&[]);
        assert!(found[0].starts_with("No group is shown") && found[1].starts_with("What helps"), "{found:?}");
    }

    #[test]
    fn what_is_null_is_explained() {
        let good = [Some(900.0), Some(5.0), Some(890.0), Some(910.0)];
        let found = noted(&[
            (None, good),
            (Some("DE"), [None, None, Some(0.0), Some(140.0)]),
            (Some("FR"), [None; 4]),
        ]);
        assert!(found[0].contains("`country` is NULL in one row"), "{found:?}");
        assert!(found[1].contains("`n` is unknown in one row, between `n_low` and `n_high`"), "{found:?}");
        assert!(found[2].contains("`n` is empty in one row"), "{found:?}");
    }
}
