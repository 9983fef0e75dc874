//! Writes calls otherwise: aggregates that would tell of one person, and functions that cannot be used on columns.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    Query, Spanned, VisitMut, VisitorMut, visit_expressions,
};

use super::place::{Place, is_in_condition, parsed, replace};
use super::statement::Situation;
use crate::bind::aggregate_names::is_aggregate;

/// The arguments of a call that are expressions.
fn args(function: &Function) -> Vec<&Expr> {
    match &function.args {
        FunctionArguments::List(list) => list
            .args
            .iter()
            .filter_map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
            })
            .collect(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => Vec::new(),
    }
}

fn name(function: &Function) -> String {
    function.name.to_string().to_ascii_lowercase()
}

fn is_distinct(function: &Function) -> bool {
    matches!(&function.args, FunctionArguments::List(list)
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct))
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

/// An aggregate of many people instead of this one.
fn other(function: &Function) -> Option<Expr> {
    let args = args(function);
    let text = match (name(function).as_str(), args.as_slice()) {
        ("min", [of]) => format!("quantile({of}, 0.01)"),
        ("max", [of]) => format!("quantile({of}, 0.99)"),
        ("quantile" | "quantile_cont" | "approx_quantile" | "approx_percentile_cont", [of, ..]) => {
            format!("median({of})")
        }
        ("percentile_cont" | "percentile_disc", _) => {
            format!("median({})", function.within_group.first()?.expr)
        }
        ("approx_distinct", [of]) if of.to_string().ends_with("session") => {
            "COUNT(DISTINCT session)".to_owned()
        }
        ("approx_distinct", _) => "COUNT(DISTINCT subject)".to_owned(),
        ("count", [_, ..]) if is_distinct(function) => "COUNT(DISTINCT subject)".to_owned(),
        ("sum" | "avg" | "mean" | "median", [of]) if is_distinct(function) => {
            format!("{}({of})", name(function))
        }
        ("sum" | "avg" | "mean" | "median", [of]) => format!("COUNT({of})"),
        ("bool_or" | "bool_and" | "every", [of]) => format!("COUNT(*) FILTER (WHERE {of})"),
        ("corr" | "covar_pop" | "covar_samp", [of, _]) => format!("AVG({of})"),
        (
            "array_agg" | "string_agg" | "first_value" | "last_value" | "first" | "last" | "any_value",
            [of, ..],
        ) => of.to_string(),
        ("mode", _) => function.within_group.first()?.expr.to_string(),
        _ => return None,
    };
    with_filter(function, &text)
}

fn is_at(function: &Function, place: Place) -> bool {
    place.starts(function.span()) || args(function).iter().any(|arg| place.starts(arg.span()))
}

/// Writes the aggregate at the place as one that can be answered.
pub(super) fn aggregate(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| match expr {
        Expr::Function(function) if is_at(function, situation.place) => other(function),
        _ => None,
    })
}

/// Writes the aggregate at the place as a count of rows.
pub(super) fn count(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| match expr {
        Expr::Function(function) if is_at(function, situation.place) && is_aggregate(function) => {
            with_filter(function, "COUNT(*)")
        }
        _ => None,
    })
}

/// Writes an aggregate of something that is not a number as a count of it.
pub(super) fn counted(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| match expr {
        Expr::Function(function) if is_aggregate(function) => {
            let within = function.within_group.first().map(|by| &by.expr);
            let of =
                args(function).into_iter().chain(within).find(|arg| situation.place.starts(arg.span()))?;
            with_filter(function, &format!("COUNT({of})"))
        }
        _ => None,
    })
}

/// Writes `SUM(x / 2)` as `SUM(x) / 2`, because a released number can be divided.
pub(super) fn divided(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        let Expr::Function(function) = expr else { return None };
        let all = args(function);
        let [Expr::BinaryOp { left, op, right }] = all.as_slice() else { return None };
        let is_here = all.iter().any(|arg| situation.place.is_in(arg)) && is_aggregate(function);
        if !is_here || !matches!(op, BinaryOperator::Divide | BinaryOperator::Modulo) {
            return None;
        }
        let name = &function.name;
        match right.as_ref() {
            Expr::Value(_) => parsed(&format!("{name}({left}) / {right}")),
            _ => parsed(&format!("{name}({left}) / {name}({right})")),
        }
    })
}

/// Writes a function of time as one that tells the hour.
pub(super) fn of_time(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        if !situation.place.starts(expr.span()) {
            return None;
        }
        match expr {
            Expr::Extract { expr: of, .. } => parsed(&format!("extract(hour FROM {of})")),
            Expr::Function(function) => {
                let all = args(function);
                match (name(function).as_str(), all.as_slice()) {
                    ("date_trunc" | "date_bin", [_, of, ..]) => parsed(&format!("date_trunc('hour', {of})")),
                    ("date_part", [_, of]) => parsed(&format!("extract(hour FROM {of})")),
                    ("to_char" | "strftime" | "to_timestamp" | "date_format" | "to_char_utc", [of, ..]) => {
                        parsed(&format!("date_trunc('hour', {of})"))
                    }
                    ("width_bucket", [of, ..]) => parsed(&format!("bucket({of})")),
                    _ => None,
                }
            }
            _ => None,
        }
    })
}

/// Writes a function of a column as the column, unless it is in a condition.
pub(super) fn argument(query: &mut Query, situation: &Situation<'_>) -> bool {
    let is_condition = is_in_condition(query, situation.place);
    !is_condition
        && replace(query, &mut |expr| match expr {
            Expr::Function(function) if situation.place.starts(function.span()) => {
                let is_column =
                    |arg: &&&Expr| matches!(arg, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
                args(function).iter().find(is_column).map(|arg| (*arg).clone())
            }
            _ => None,
        })
}

/// Takes a function that cannot be used out of an arithmetic expression.
pub(super) fn operand(query: &mut Query, situation: &Situation<'_>) -> bool {
    let is_here = |expr: &Expr| matches!(expr, Expr::Function(f) if situation.place.starts(f.span()));
    replace(query, &mut |expr| match expr {
        Expr::BinaryOp {
            left,
            op:
                BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide,
            right,
        } => match (is_here(left), is_here(right)) {
            (true, false) => Some(right.as_ref().clone()),
            (false, true) => Some(left.as_ref().clone()),
            (true, true) | (false, false) => None,
        },
        _ => None,
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
    let _ = VisitMut::visit(query, &mut Calls);
}
