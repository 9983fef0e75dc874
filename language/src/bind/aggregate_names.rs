//! The aggregates, each with its names, how it is written and what it tells: what can be asked is this list and nothing else.
//! And the names of others, which are known in order to be refused.
//!
//! Invariants: both lists are closed. Calls are bound by [`Computes`], which only [`computes`] gives out, so nothing can be
//! bound that [`AGGREGATES`] does not tell of; a test asks each of them by each of its names.
//! Not here: what a call means (`aggregate`), the aggregates of a subject's row (`question/person.rs`).

use sqlparser::ast::{Expr, Function, ObjectNamePart};

use crate::syntax::{any, plain_name};

/// What an aggregate computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Computes {
    Count,
    Sum,
    Mean,
    Variance {
        is_sample: bool,
        is_root: bool,
    },
    Median,
    Quantile,
    /// The quantile of a call that names its measure in `WITHIN GROUP (ORDER BY measure)`.
    QuantileWithin,
    Histogram,
    /// The smallest value of a subject's row.
    Smallest,
    /// The largest value of a subject's row.
    Largest,
}

/// One way to call an aggregate.
#[derive(Clone, Copy, Debug)]
pub struct AggregateForm {
    pub(crate) computes: Computes,
    /// Its name, and others that mean the same.
    pub names: &'static [&'static str],
    /// What stands after the name. `measure`, `expression` and `share` stand for what the asker writes.
    pub arguments: &'static str,
    /// What it tells.
    pub meaning: &'static str,
    /// Whether it is for subqueries alone that group by `subject`.
    pub is_per_subject: bool,
}

/// A form over the rows of a table.
const fn form(
    computes: Computes,
    names: &'static [&'static str],
    arguments: &'static str,
    meaning: &'static str,
) -> AggregateForm {
    AggregateForm { computes, names, arguments, meaning, is_per_subject: false }
}

impl AggregateForm {
    const fn per_subject(self) -> AggregateForm {
        AggregateForm { is_per_subject: true, ..self }
    }
}

const SAMPLE: Computes = Computes::Variance { is_sample: true, is_root: false };
const POPULATION: Computes = Computes::Variance { is_sample: false, is_root: false };
const SAMPLE_ROOT: Computes = Computes::Variance { is_sample: true, is_root: true };
const POPULATION_ROOT: Computes = Computes::Variance { is_sample: false, is_root: true };

/// Every aggregate that can be asked.
#[rustfmt::skip] // a table
pub const AGGREGATES: [AggregateForm; 17] = [
    form(Computes::Count, &["count"], "(*)", "events"),
    form(Computes::Count, &["count"], "(expression)", "events where it is not null"),
    form(Computes::Count, &["count"], "(DISTINCT subject)", "subjects; over several days each once"),
    form(Computes::Count, &["count"], "(DISTINCT session)", "sessions; over several days each once"),
    form(Computes::Sum, &["sum"], "(measure)", "sum of a measure"),
    form(Computes::Mean, &["avg", "mean"], "(measure)", "noisy sum by noisy count"),
    form(SAMPLE, &["variance", "var", "var_samp", "var_sample"], "(measure)", "variance, estimated from a sample"),
    form(POPULATION, &["var_pop"], "(measure)", "variance of exactly these events"),
    form(SAMPLE_ROOT, &["stddev", "stddev_samp"], "(measure)", "standard deviation, estimated from a sample"),
    form(POPULATION_ROOT, &["stddev_pop"], "(measure)", "standard deviation of exactly these events"),
    form(Computes::Median, &["median", "approx_median"], "(measure)", "value that half of the events do not exceed"),
    form(Computes::Quantile, &["quantile", "quantile_cont", "approx_quantile", "approx_percentile_cont"],
        "(measure, share)", "value that this share of the events, from 0 to 1, does not exceed"),
    form(Computes::QuantileWithin, &["percentile_cont", "percentile_disc", "approx_percentile_cont", "quantile_cont"],
        "(share) WITHIN GROUP (ORDER BY measure)", "the same, as PostgreSQL writes it"),
    form(Computes::Histogram, &["histogram"], "(measure)", "events in each step of the measure, a row for each step"),
    form(Computes::Count, &["count"], "(DISTINCT expression)", "different values of one subject's events").per_subject(),
    form(Computes::Smallest, &["min"], "(measure)", "smallest value of one subject's events").per_subject(),
    form(Computes::Largest, &["max"], "(measure)", "largest value of one subject's events").per_subject(),
];

const REFUSED: [&str; 20] = [
    "array_agg",
    "string_agg",
    "first_value",
    "last_value",
    "first",
    "last",
    "any_value",
    "mode",
    "corr",
    "covar_pop",
    "covar_samp",
    "approx_distinct",
    "grouping",
    "json_agg",
    "jsonb_agg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "every",
];

/// The name of a call, in lower case unless quoted.
pub(super) fn name_of(function: &Function) -> Option<String> {
    match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(plain_name(name)),
        _ => None,
    }
}

/// What the aggregate of this name computes, in a call with WITHIN GROUP or without.
pub(crate) fn computes(name: &str, is_within_group: bool) -> Option<Computes> {
    let is_called_so = |form: &&AggregateForm| {
        form.names.contains(&name) && (form.computes == Computes::QuantileWithin) == is_within_group
    };
    AGGREGATES.iter().find(is_called_so).map(|form| form.computes)
}

/// Whether a call is an aggregate over rows: it has the name of one, and no OVER.
pub(crate) fn is_aggregate(function: &Function) -> bool {
    let known = |name: String| {
        AGGREGATES.iter().any(|form| form.names.contains(&name.as_str())) || REFUSED.contains(&name.as_str())
    };
    function.over.is_none() && name_of(function).is_some_and(known)
}

/// Whether an aggregate over rows is in an expression.
pub(crate) fn has_aggregate(expr: &Expr) -> bool {
    any(expr, &mut |inner| matches!(inner, Expr::Function(function) if is_aggregate(function)))
}

/// Whether an expression is made of several rows: an aggregate or a window is in it.
pub(crate) fn is_of_rows(expr: &Expr) -> bool {
    any(
        expr,
        &mut |inner| matches!(inner, Expr::Function(function) if is_aggregate(function) || function.over.is_some()),
    )
}
