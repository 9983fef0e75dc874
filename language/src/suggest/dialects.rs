//! Calls of other dialects of SQL, as PostgreSQL writes them.
//!
//! ```text
//! COUNTIF(c)                          COUNT(*) FILTER (WHERE c)
//! IF(c, a, b)                         CASE WHEN c THEN a ELSE b END
//! DATEADD(day, -7, GETDATE())         now() + INTERVAL '-7 day'
//! ```
//! Invariants: the new form means the same, so that a statement is compared with a suggestion in this form. Not here: other names of
//! aggregates that are accepted as they are (`bind/aggregate_names.rs`).

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Function, Query, WindowType};

use super::place::parsed;
use super::statement::Situation;
use crate::bind::interval::interval;
use crate::syntax::{arguments, called, plain_name};
use crate::walk::visit_expressions_mut;

/// A unit of time as its name.
fn unit(expr: &Expr) -> Option<String> {
    let Expr::Identifier(name) = expr else { return None };
    let name = plain_name(name);
    ["hour", "day", "week", "month", "year"].contains(&name.as_str()).then_some(name)
}

/// A call as PostgreSQL writes it; `None` for one that it writes in the same way.
fn plain_form(function: &Function) -> Option<Expr> {
    let all = arguments(function);
    if let (Some(WindowType::WindowSpec(spec)), "ratio_to_report", [of]) =
        (&function.over, called(function).as_str(), all.as_slice())
    {
        return parsed(&format!("{of} / SUM({of}) OVER ({spec})"));
    }
    if function.over.is_some() || function.filter.is_some() {
        return None;
    }
    parsed(&match (called(function).as_str(), all.as_slice()) {
        ("countif" | "count_if", [condition]) => format!("COUNT(*) FILTER (WHERE {condition})"),
        ("approx_count_distinct" | "approx_distinct", [of]) => format!("COUNT(DISTINCT {of})"),
        ("count_big", []) => "COUNT(*)".to_owned(),
        ("if" | "iif", [condition, then, other]) => {
            format!("CASE WHEN {condition} THEN {then} ELSE {other} END")
        }
        ("curdate" | "today", []) => "current_date".to_owned(),
        ("getdate" | "sysdate" | "getutcdate" | "sysdatetime", []) => "now()".to_owned(),
        ("dateadd" | "date_add" | "timestampadd", [part, by, of]) => {
            format!("{of} + INTERVAL '{by} {}'", unit(part)?)
        }
        ("date_add", [of, by]) if interval(by).is_some() => format!("{of} + {by}"),
        ("date_sub", [of, by]) if interval(by).is_some() => format!("{of} - {by}"),
        ("safe_divide", [left, right]) => format!("{left} / NULLIF({right}, 0)"),
        ("isnull", [of, other]) => format!("COALESCE({of}, {other})"),
        (part @ ("year" | "quarter" | "month" | "week" | "hour"), [of]) => {
            format!("extract({part} FROM {of})")
        }
        _ => return None,
    })
}

/// Writes every call of another dialect as PostgreSQL does. Returns whether there was one.
pub(super) fn plain(query: &mut Query) -> bool {
    let mut is_changed = false;
    let _: ControlFlow<()> = visit_expressions_mut(query, |expr| {
        if let Expr::Function(function) = expr
            && let Some(other) = plain_form(function)
        {
            *expr = other;
            is_changed = true;
        }
        ControlFlow::Continue(())
    });
    is_changed
}

/// The statement in PostgreSQL's words.
pub(super) fn translated(query: &mut Query, _: &Situation<'_>) -> bool {
    plain(query)
}
