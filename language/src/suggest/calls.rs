//! Writes calls otherwise: aggregates that would tell of one person, and divisions inside aggregates.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Spanned,
    VisitorMut,
};

use super::place::{Place, parsed, replace};
use super::statement::Situation;
use crate::bind::aggregate_names::is_aggregate;
use crate::syntax::expressions_in;
use crate::walk::{visit_expressions, visit_mut};

fn name(function: &Function) -> String {
    function.name.to_string().to_ascii_lowercase()
}

/// Whether an aggregate is in an expression.
pub(super) fn has_aggregate(expr: &Expr) -> bool {
    let found = visit_expressions(expr, |inner| match inner {
        Expr::Function(function) if is_aggregate(function) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn with_filter(function: &Function, text: &str) -> Option<Expr> {
    match &function.filter {
        Some(filter) => parsed(&format!("{text} FILTER (WHERE {filter})")),
        None => parsed(text),
    }
}

/// An aggregate that answers the same question about many people.
fn other(function: &Function) -> Option<Expr> {
    let args = expressions_in(function);
    let text = match (name(function).as_str(), args.as_slice()) {
        ("min", [of]) => format!("quantile({of}, 0.01)"),
        ("max", [of]) => format!("quantile({of}, 0.99)"),
        ("approx_distinct", [of]) => format!("COUNT(DISTINCT {of})"),
        _ => return None,
    };
    with_filter(function, &text)
}

fn is_at(function: &Function, place: Place) -> bool {
    place.starts(function.span()) || expressions_in(function).iter().any(|arg| place.starts(arg.span()))
}

/// Writes the aggregate at the place as one that can be answered.
pub(super) fn aggregate(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| match expr {
        Expr::Function(function) if is_at(function, situation.place) => other(function),
        _ => None,
    })
}

/// Writes `SUM(x / 2)` as `SUM(x) / 2`, because a released number can be divided.
pub(super) fn divided(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        let Expr::Function(function) = expr else { return None };
        let all = expressions_in(function);
        let [Expr::BinaryOp { left, op, right }] = all.as_slice() else { return None };
        let is_here = all.iter().any(|arg| situation.place.is_in(arg)) && is_aggregate(function);
        if !is_here {
            return None;
        }
        let name = &function.name;
        let is_linear = matches!(self::name(function).as_str(), "sum" | "avg" | "mean" | "median");
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
