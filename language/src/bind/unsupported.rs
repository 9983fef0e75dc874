//! The refusals of expressions that are on no list, each with the reason and the nearest thing that works.
//!
//! Invariants: the `match` has no wildcard, so a parser that learns a new node does not compile until somebody has
//! decided about it. Nodes that are allowed in some form come here when their form is not.

use sqlparser::ast::{Expr, Spanned};

use crate::error::{Refusal, Rule};

/// A statement that does what ROLLUP would do, with one SELECT for each set of keys.
pub const SETS: &str =
    "SELECT os, COUNT(*) AS n FROM usage GROUP BY os UNION ALL SELECT 'all' AS os, COUNT(*) AS n FROM usage";

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
            "Days and hours are UTC. Group by the hour, and move the released hours by the distance of the zone.",
            "SELECT hour + INTERVAL '8 hours' AS hour_in_singapore, n FROM (SELECT date_trunc('hour', time) AS hour, COUNT(*) AS n \
                FROM usage WHERE day >= current_date - 6 GROUP BY hour) AS hours ORDER BY 1",
        ),
        Expr::Interval(_) => (
            "An interval can only be added to or taken from a date literal.",
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
