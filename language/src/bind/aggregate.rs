//! Binds aggregate calls: a [`Call`] has its aggregates, each with the bound that the registry gives for one subject's day,
//! and the formula by which postprocessing makes a number of them.
//!
//! Invariants: AVG is a sum and a count, VAR and STDDEV a sum, a sum of squares and a count, each around the middle of its
//! bounds where that takes less noise. Bounds come from the registry, never from data.
//! Not here: the list of names (`aggregate_names`), the bounds (`binder`).

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, OrderByExpr, Spanned,
};

use super::aggregate_names::{Computes, computes, name_of};
use super::binder::Binder;
use super::bounds::Bounds;
use super::call::{Call, Formula, WORKS};
use super::columns::Columns;
use crate::error::{Refusal, Rule};
use crate::expr::{Scalar, filter as kept, normal};
use crate::private_query::AggregateOp;

/// Binds a call.
pub(crate) fn bind(scope: &Columns<'_>, bounds: &Bounds<'_>, function: &Function) -> Result<Call, Refusal> {
    let parts = function_call(scope, function)?;
    let binder = Binder { scope, bounds, span: function.span() };
    let FunctionCall { name, is_distinct, args, order, filter } = parts;
    let one = |aggregate| Call { aggregates: vec![aggregate], formula: Formula::One, key: None };
    let Some(computed) = computes(&name, order.is_some()) else {
        return Err(binder.unknown(&name, &args));
    };
    match (computed, is_distinct, args.as_slice(), order) {
        (Computes::Count, false, [None], None) => Ok(one(binder.count(AggregateOp::Rows, filter))),
        (Computes::Count, false, [Some(expr)], None) => binder.present(expr, filter).map(one),
        (Computes::Count, true, [Some(expr)], None) => binder.distinct(expr, filter).map(one),
        (Computes::Sum, false, [Some(expr)], None) => binder.sum(scope.number(expr, None)?, filter).map(one),
        (Computes::Mean, false, [Some(expr)], None) => binder.mean(scope.number(expr, None)?, filter),
        (Computes::Variance { is_sample, is_root }, false, [Some(expr)], None) => {
            binder.variance(scope.number(expr, None)?, filter, Formula::Variance { is_sample, is_root })
        }
        (Computes::Median, false, [Some(expr)], None) => {
            binder.quantile(scope.number(expr, None)?, 500_000, filter).map(one)
        }
        (Computes::Quantile, false, [Some(expr), Some(at)], None) => {
            binder.quantile(scope.number(expr, None)?, binder.share(at)?, filter).map(one)
        }
        (Computes::QuantileWithin, false, [Some(at)], Some(by)) => {
            let share = binder.share(at)?;
            let share = if by.options.asc == Some(false) { 1_000_000 - share } else { share };
            binder.quantile(scope.number(&by.expr, None)?, share, filter).map(one)
        }
        (Computes::Histogram, false, [Some(expr)], None) => {
            let key = scope.grid_bucket(scope.number(expr, None)?, binder.span)?;
            Ok(Call { key: Some(normal(key)), ..one(binder.count(AggregateOp::Rows, filter)) })
        }
        _ => Err(binder.unknown(&name, &args)),
    }
}

/// A call, taken apart.
struct FunctionCall<'f> {
    name: String,
    is_distinct: bool,
    /// `None` stands for `*`.
    args: Vec<Option<&'f Expr>>,
    order: Option<&'f OrderByExpr>,
    filter: Option<Scalar>,
}

fn function_call<'f>(scope: &Columns<'_>, function: &'f Function) -> Result<FunctionCall<'f>, Refusal> {
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
    Ok(FunctionCall { name, is_distinct, args, order: function.within_group.first(), filter })
}
