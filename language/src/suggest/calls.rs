//! Writes calls otherwise: other names of aggregates, divisions inside aggregates, and, for examples, aggregates that would tell
//! of one person.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Spanned,
    VisitorMut,
};

use super::place::{Place, change_at, parsed, replace};
use super::statement::Situation;
use crate::bind::aggregate_names::is_aggregate;
use crate::syntax::{arguments, called};
use crate::walk::{visit_expressions_mut, visit_mut};

fn with_filter(function: &Function, text: &str) -> Option<Expr> {
    match &function.filter {
        Some(filter) => parsed(&format!("{text} FILTER (WHERE {filter})")),
        None => parsed(text),
    }
}

/// Another name of an aggregate that means the same.
fn same(function: &Function) -> Option<Expr> {
    match (called(function).as_str(), arguments(function).as_slice()) {
        ("approx_distinct", [of]) => with_filter(function, &format!("COUNT(DISTINCT {of})")),
        _ => None,
    }
}

/// What can be asked of many people's values where the smallest or the largest is asked.
fn of_many(function: &Function) -> Option<Expr> {
    let at = match called(function).as_str() {
        "min" => "0.01",
        "max" => "0.99",
        _ => return None,
    };
    match arguments(function).as_slice() {
        [of] if function.over.is_none() => with_filter(function, &format!("quantile({of}, {at})")),
        _ => None,
    }
}

fn is_at(function: &Function, place: Place) -> bool {
    place.starts(function.span()) || arguments(function).iter().any(|arg| place.starts(arg.span()))
}

/// Writes the aggregate at the place by another name.
pub(super) fn aggregate(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| match expr {
        Expr::Function(function) if is_at(function, situation.place) => same(function),
        _ => None,
    })
}

/// Writes the smallest and the largest values of the SELECT at the place as quantiles: another question.
pub(super) fn extremes(query: &mut Query, situation: &Situation<'_>) -> bool {
    change_at(query, situation.place, &mut |select| {
        let mut is_done = false;
        let _: ControlFlow<()> = visit_expressions_mut(select, |expr| {
            if let Expr::Function(function) = expr
                && let Some(other) = of_many(function)
            {
                *expr = other;
                is_done = true;
            }
            ControlFlow::Continue(())
        });
        is_done
    })
}

/// Writes `SUM(x / 2)` as `SUM(x) / 2`, because a released number can be divided.
pub(super) fn divided(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        let Expr::Function(function) = expr else { return None };
        let all = arguments(function);
        let [Expr::BinaryOp { left, op, right }] = all.as_slice() else { return None };
        let is_here = all.iter().any(|arg| situation.place.is_in(arg)) && is_aggregate(function);
        if !is_here {
            return None;
        }
        let name = &function.name;
        let is_linear = matches!(called(function).as_str(), "sum" | "avg" | "mean" | "median");
        match right.as_ref() {
            Expr::Value(_) if is_linear && *op == BinaryOperator::Divide => {
                with_filter(function, &format!("{name}({left})"))
                    .and_then(|call| parsed(&format!("{call} / {right}")))
            }
            _ => None,
        }
    })
}

struct Calls;

impl VisitorMut for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            function.null_treatment = None;
            if let FunctionArguments::List(list) = &mut function.args {
                list.clauses.clear();
                for arg in &mut list.args {
                    if let FunctionArg::Unnamed(
                        FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_),
                    ) = arg
                    {
                        *arg = FunctionArg::Unnamed(FunctionArgExpr::Wildcard);
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// Takes the clauses out of every call.
pub(super) fn plain(query: &mut Query) {
    let _ = visit_mut(query, &mut Calls);
}
