//! The refusals of expressions that are on no list, each with the reason and the nearest thing that works.
//!
//! Invariants: the `match` has no wildcard, so a parser that learns a new node does not compile until somebody has
//! decided about it. Nodes that are allowed in some form come here when their form is not.

use shoal_schemas::Kind;
use sqlparser::ast::{Expr, Spanned};

use crate::error::{Refusal, Rule};

/// A statement that does what ROLLUP would do, with one SELECT for each set of keys.
pub const SETS: &str =
    "SELECT os, COUNT(*) AS n FROM usage GROUP BY os UNION ALL SELECT 'all' AS os, COUNT(*) AS n FROM usage";

/// Why a text of events is not cut, and what can be asked instead.
pub(super) const CUT: (&str, &str) = (
    "Texts of events cannot be cut or joined. To count events, group by the whole text and cut what is released: SELECT \
        split_part(app_version, '.', 1), SUM(n) FROM (SELECT app_version, COUNT(*) AS n .. GROUP BY app_version) AS t GROUP BY 1. To count \
        people, who may have two versions, name the groups with CASE and LIKE, as in the example.",
    "SELECT CASE WHEN app_version LIKE '4.%' THEN '4' WHEN app_version LIKE '5.%' THEN '5' ELSE 'other' END AS major, COUNT(DISTINCT \
        subject) AS people FROM usage WHERE day >= current_date - 6 GROUP BY major",
);

/// A statement that counts the people of windows.
pub(crate) fn windows(kind: Kind, days: u32) -> String {
    format!(
        "SELECT d.day, COUNT(DISTINCT u.subject) AS people FROM generate_series(current_date - 13, current_date, INTERVAL '1 day') \
         AS d(day) JOIN {kind} AS u ON u.day BETWEEN d.day - {days} AND d.day GROUP BY d.day ORDER BY d.day"
    )
}

/// The refusal of an expression that is on no list.
pub(crate) fn unsupported(expr: &Expr) -> Refusal {
    let (message, suggestion) = match expr {
        Expr::InSubquery { .. } | Expr::Exists { .. } | Expr::Subquery(_) => (
            "A subquery cannot be used here.",
            "SELECT COUNT(*) FROM usage WHERE subject IN (SELECT subject FROM crash)",
        ),
        Expr::Cast { .. } | Expr::Convert { .. } => (
            "A cast that fails would tell a value, so columns of events cannot be cast.",
            "SELECT time::date AS d, COUNT(*) FROM usage WHERE day >= DATE '2026-11-01' GROUP BY d",
        ),
        Expr::SimilarTo { .. } | Expr::RLike { .. } => {
            ("Regular expressions cannot be used.", "SELECT COUNT(*) FROM usage WHERE app_version LIKE '4.%'")
        }
        Expr::Extract { .. } => (
            "This EXTRACT cannot be used.",
            "SELECT extract(hour FROM time) AS hour, COUNT(*) FROM usage GROUP BY hour",
        ),
        Expr::Like { .. } | Expr::ILike { .. } => (
            "LIKE ANY and ESCAPE cannot be used.",
            "SELECT COUNT(*) FROM usage WHERE app_version LIKE '4.%' OR app_version LIKE '5.%'",
        ),
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => (
            "IS DISTINCT FROM cannot be used here.",
            "SELECT COUNT(*) FROM usage WHERE os <> 'ios' OR os IS NULL",
        ),
        Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => {
            ("GROUPING SETS, CUBE and ROLLUP cannot be used: each set of keys is a SELECT of its own.", SETS)
        }
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => (
            "Rows cannot be shown, only keys and aggregates.",
            "SELECT event, COUNT(*) FROM usage GROUP BY event",
        ),
        Expr::AtTimeZone { .. } => (
            "Days are UTC. Hours of a zone can be keys (date_trunc('hour', time AT TIME ZONE ..), extract(hour FROM ..)), and times \
                and hours of a zone can be compared in WHERE, FILTER and CASE. A day of a zone is hours of two UTC days, which are released apart: group events by the \
                hour and add them up, as in the example; count the people of one such day at a time, with a condition on `time AT TIME \
                ZONE ..`.",
            "SELECT date_trunc('day', hour + INTERVAL '8 hours') AS day_in_singapore, SUM(n) AS events FROM (SELECT date_trunc('hour', \
                time) AS hour, COUNT(*) AS n FROM usage WHERE day >= current_date - 6 GROUP BY hour) AS hours GROUP BY 1 ORDER BY 1",
        ),
        Expr::Substring { .. } | Expr::Trim { .. } | Expr::Overlay { .. } | Expr::Position { .. } => CUT,
        Expr::Interval(_) => (
            "An interval can only be added to or taken from a date literal, or a whole bucket of time such as date_trunc('week', time). Weeks \
                begin on Monday.",
            "SELECT COUNT(*) FROM usage WHERE day >= current_date - INTERVAL '7 days'",
        ),
        other => plain(other),
    };
    Refusal::new(Rule::Expression, expr.span(), message, suggestion)
}

/// The refusal of the nodes that have no reason of their own.
fn plain(expr: &Expr) -> (&'static str, &'static str) {
    match expr {
        Expr::InSubquery { .. }
        | Expr::Exists { .. }
        | Expr::Subquery(_)
        | Expr::Cast { .. }
        | Expr::Convert { .. }
        | Expr::SimilarTo { .. }
        | Expr::RLike { .. }
        | Expr::Extract { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::IsDistinctFrom(..)
        | Expr::IsNotDistinctFrom(..)
        | Expr::GroupingSets(_)
        | Expr::Cube(_)
        | Expr::Rollup(_)
        | Expr::Wildcard(_)
        | Expr::QualifiedWildcard(..)
        | Expr::AtTimeZone { .. }
        | Expr::Interval(_)
        | Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::CompoundFieldAccess { .. }
        | Expr::JsonAccess { .. }
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsNormalized { .. }
        | Expr::InList { .. }
        | Expr::InUnnest { .. }
        | Expr::Between { .. }
        | Expr::BinaryOp { .. }
        | Expr::AnyOp { .. }
        | Expr::AllOp { .. }
        | Expr::UnaryOp { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Position { .. }
        | Expr::Substring { .. }
        | Expr::Trim { .. }
        | Expr::Overlay { .. }
        | Expr::Collate { .. }
        | Expr::Nested(_)
        | Expr::Value(_)
        | Expr::Prefixed { .. }
        | Expr::TypedString(_)
        | Expr::Function(_)
        | Expr::Case { .. }
        | Expr::Tuple(_)
        | Expr::Struct { .. }
        | Expr::Named { .. }
        | Expr::Dictionary(_)
        | Expr::Map(_)
        | Expr::Array(_)
        | Expr::MatchAgainst { .. }
        | Expr::OuterJoin(_)
        | Expr::Prior(_)
        | Expr::Lambda(_)
        | Expr::MemberOf(_) => (
            "This expression cannot be used here.",
            "SELECT CASE WHEN os IN ('ios', 'android') THEN 'phone' ELSE 'other' END AS kind, COUNT(*) FROM usage GROUP BY kind",
        ),
    }
}
