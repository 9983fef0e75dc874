//! Numbers that are computed from released aggregates, and the numbers in the aggregates' names.
//!
//! Invariants: while a SELECT is rewritten, its aggregates have names that no statement can have. At the end they are numbered
//! in the order of their texts. A noisy count can be zero or less, and nothing is divided by such a count.

use std::ops::ControlFlow;

use sqlparser::ast::{CastKind, DataType, Expr};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::naming::aggregate_name;
use crate::bind::call::Formula;
use crate::private_query::Aggregate;

/// Starts the name of an aggregate whose number is not final; no name in a statement can have it.
pub(super) const MARK: char = '\u{1}';

/// The date of a day that is counted from 1970-01-01.
pub(super) fn day(number: Expr) -> Expr {
    let cast = |expr, data_type| Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type,
        array: false,
        format: None,
    };
    cast(cast(number, DataType::Int(None)), DataType::Date)
}

/// The number that a call's aggregates make. It is NULL where the noisy count is too small to divide by.
pub(super) fn written(formula: &Formula, names: &[String]) -> Option<Expr> {
    let text = match (formula, names) {
        // The postprocessing knows a mean by this form, and how its interval is made.
        (Formula::Mean { center, low, high }, [total, count]) => {
            let mean = match center.chars().all(|c| matches!(c, '0' | '.')) {
                true => format!(r#""{total}" / "{count}""#),
                false => format!(r#""{total}" / "{count}" + ({center})"#),
            };
            format!(r#"CASE WHEN "{count}" > 0 THEN least(greatest({mean}, {low}), {high}) END"#)
        }
        (Formula::Variance { is_sample, is_root }, [total, squares, count]) => {
            let (less, least) = if *is_sample { (1, 1) } else { (0, 0) };
            let around =
                format!(r#"("{squares}" - "{total}" * "{total}" / "{count}") / ("{count}" - {less})"#);
            let value = format!("greatest({around}, 0.0)");
            let value = if *is_root { format!("sqrt({value})") } else { value };
            format!(r#"CASE WHEN "{count}" > {least} THEN {value} END"#)
        }
        _ => return None,
    };
    let expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).ok()?.parse_expr().ok()?;
    Some(Expr::Nested(Box::new(expr)))
}

/// Sorts aggregates by their text and returns the new place of each old one.
pub(super) fn sorted(aggregates: &mut Vec<Aggregate>) -> Vec<usize> {
    let texts: Vec<String> = aggregates.iter().map(ToString::to_string).collect();
    let mut order: Vec<usize> = (0..aggregates.len()).collect();
    order.sort_by(|a, b| texts.get(*a).cmp(&texts.get(*b)));
    let old = std::mem::take(aggregates);
    aggregates.extend(order.iter().filter_map(|at| old.get(*at).cloned()));
    let mut ranks = vec![0; order.len()];
    for (rank, at) in order.into_iter().enumerate() {
        if let Some(place) = ranks.get_mut(at) {
            *place = rank;
        }
    }
    ranks
}

/// Gives an aggregate its final number.
pub(super) fn rename(expr: &mut Expr, ranks: &[usize]) -> ControlFlow<()> {
    if let Expr::Identifier(name) = expr
        && let Some(old) = name.value.strip_prefix(MARK).and_then(|name| name.strip_prefix('a'))
        && let Some(rank) = old.parse::<usize>().ok().and_then(|old| ranks.get(old))
    {
        name.value = aggregate_name(*rank);
    }
    ControlFlow::Continue(())
}
