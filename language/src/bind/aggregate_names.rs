//! The names of aggregates: those that can be bound, and those that are known in order to be refused.
//!
//! Invariants: both lists are closed. Not here: what a call means (`aggregate`).

use sqlparser::ast::{Function, ObjectNamePart};

use crate::syntax::plain_name;

const NAMES: [&str; 25] = [
    "count",
    "sum",
    "avg",
    "mean",
    "var",
    "variance",
    "var_samp",
    "var_pop",
    "var_sample",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "quantile",
    "median",
    "approx_median",
    "percentile_cont",
    "percentile_disc",
    "approx_percentile_cont",
    "quantile_cont",
    "approx_quantile",
    "histogram",
    "min",
    "max",
    "bool_or",
    "bool_and",
];
const REFUSED: [&str; 18] = [
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
    "every",
];

/// The name of a call, in lower case unless quoted.
pub(super) fn name_of(function: &Function) -> Option<String> {
    match function.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] => Some(plain_name(name)),
        _ => None,
    }
}

/// Whether a call is an aggregate over rows: it has the name of one, and no OVER.
pub(crate) fn is_aggregate(function: &Function) -> bool {
    let known = |name: String| NAMES.contains(&name.as_str()) || REFUSED.contains(&name.as_str());
    function.over.is_none() && name_of(function).is_some_and(known)
}
