//! Aggregate calls -> [`Aggregate`]s, with the bound that the registry gives for one subject's day, and how a number is
//! made of them above the release.
//!
//! Invariants: the list of names is closed. AVG is a sum and a count, VAR and STDDEV a sum, a sum of squares and a count,
//! each around the middle of the bounds where that takes less noise. Bounds come from the registry, never from data.

use shoal_schemas::Registry;
use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart,
    OrderByExpr, Spanned,
};

use super::binder::Binder;
use super::columns::{Columns, plain_name};
use crate::error::{Refusal, Rule};
use crate::expr::{Scalar, filter as kept, normal};
use crate::private_query::{Aggregate, AggregateOp};

/// Most sessions of one subject's day that count in one group.
pub(crate) const SESSIONS_DAY_MAX: u64 = 20;
pub(super) const WORKS: &str = "SELECT COUNT(*), COUNT(DISTINCT subject), AVG(duration_ms) FROM performance";

/// A call of an aggregate, bound.
pub(crate) struct Call {
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) formula: Formula,
    /// A histogram's key.
    pub(crate) key: Option<Scalar>,
}

/// How the number is made of the call's aggregates.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Formula {
    /// It is the first.
    One,
    /// The first divided by the second, and this added.
    Mean { center: String },
    /// Of sum, sum of squares and count.
    Variance { is_sample: bool, is_root: bool },
}

/// What bounds a count.
pub(crate) struct Bounds<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) filter: Option<&'a Scalar>,
    /// Whether `event` is a key, so that no group holds two events.
    pub(crate) by_event: bool,
    /// Most rows of one subject in one group, where rows are not events.
    pub(crate) rows_max: Option<u64>,
}

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

fn name_of(function: &Function) -> Option<String> {
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

/// Binds a call.
pub(crate) fn bind(scope: &Columns<'_>, bounds: &Bounds<'_>, function: &Function) -> Result<Call, Refusal> {
    let parts = parts(scope, function)?;
    let binder = Binder { scope, bounds, span: function.span() };
    let Parts { name, is_distinct, args, order, filter } = parts;
    let one = |aggregate| Call { aggregates: vec![aggregate], formula: Formula::One, key: None };
    match (name.as_str(), is_distinct, args.as_slice(), order) {
        ("count", false, [None], None) => Ok(one(binder.count(AggregateOp::Rows, filter))),
        ("count", false, [Some(expr)], None) => binder.present(expr, filter).map(one),
        ("count", true, [Some(expr)], None) => binder.distinct(expr, filter).map(one),
        ("sum", false, [Some(expr)], None) => binder.sum(scope.number(expr, None)?, filter).map(one),
        ("avg" | "mean", false, [Some(expr)], None) => binder.mean(scope.number(expr, None)?, filter),
        (
            "var" | "variance" | "var_samp" | "var_sample" | "var_pop" | "stddev" | "stddev_samp"
            | "stddev_pop",
            false,
            [Some(expr)],
            None,
        ) => {
            let (is_sample, is_root) = (!name.ends_with("_pop"), name.starts_with("stddev"));
            binder.variance(scope.number(expr, None)?, filter, Formula::Variance { is_sample, is_root })
        }
        ("median" | "approx_median", false, [Some(expr)], None) => {
            binder.quantile(scope.number(expr, None)?, 500_000, filter).map(one)
        }
        (
            "quantile" | "quantile_cont" | "approx_quantile" | "approx_percentile_cont",
            false,
            [Some(expr), Some(at)],
            None,
        ) => binder.quantile(scope.number(expr, None)?, binder.share(at)?, filter).map(one),
        (
            "percentile_cont" | "percentile_disc" | "approx_percentile_cont" | "quantile_cont",
            false,
            [Some(at)],
            Some(by),
        ) => {
            let share = binder.share(at)?;
            let share = if by.options.asc == Some(false) { 1_000_000 - share } else { share };
            binder.quantile(scope.number(&by.expr, None)?, share, filter).map(one)
        }
        ("histogram", false, [Some(expr)], None) => {
            let key = scope.grid_bucket(scope.number(expr, None)?, binder.span)?;
            Ok(Call { key: Some(normal(key)), ..one(binder.count(AggregateOp::Rows, filter)) })
        }
        _ => Err(binder.unknown(&name, &args)),
    }
}

/// A call, taken apart.
struct Parts<'f> {
    name: String,
    is_distinct: bool,
    /// None is `*`.
    args: Vec<Option<&'f Expr>>,
    order: Option<&'f OrderByExpr>,
    filter: Option<Scalar>,
}

fn parts<'f>(scope: &Columns<'_>, function: &'f Function) -> Result<Parts<'f>, Refusal> {
    let refused = |message: &str| Refusal::new(Rule::Aggregate, function.span(), message, WORKS);
    let (is_distinct, args) = match &function.args {
        FunctionArguments::None => (false, Vec::new()),
        FunctionArguments::Subquery(_) => return Err(refused("An aggregate takes expressions.")),
        FunctionArguments::List(list) => {
            let is_distinct = match list.duplicate_treatment {
                Some(DuplicateTreatment::Distinct) => true,
                Some(DuplicateTreatment::All) | None => false,
            };
            let args = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(Some(expr)),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok(None),
                FunctionArg::Unnamed(
                    FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_),
                )
                | FunctionArg::Named { .. }
                | FunctionArg::ExprNamed { .. } => {
                    Err(refused("An aggregate takes expressions without names."))
                }
            });
            (is_distinct, args.collect::<Result<_, _>>()?)
        }
    };
    if function.null_treatment.is_some() || function.over.is_some() || function.within_group.len() > 1 {
        return Err(refused(
            "An aggregate over events has no IGNORE NULLS, no OVER, and one ORDER BY at the most.",
        ));
    }
    let filter = match &function.filter {
        Some(filter) => kept(scope.condition(filter)?),
        None => None,
    };
    let name = name_of(function).unwrap_or_default();
    Ok(Parts { name, is_distinct, args, order: function.within_group.first(), filter })
}
