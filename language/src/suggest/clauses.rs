//! Writes whole clauses otherwise: a clause that cannot be used becomes one that can, or is left out when the answer is the same
//! without it.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, LimitClause, Offset, OffsetRows, OrderByKind, Query, Select, SelectFlavor, SetExpr, TableFactor,
    TopQuantity, Value, ValueWithSpan, VisitorMut,
};

use super::place::{change, each_query, parsed};
use super::statement::Situation;
use crate::parse::clear_clauses;
use crate::walk::visit_mut;

/// The limit that is written where the refused one is not a number.
const ROWS: &str = "10";

fn number(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(text, _), .. }) if text.parse::<u32>().is_ok() => {
            Some(expr.clone())
        }
        _ => None,
    }
}

fn limit(rows: Option<Expr>) -> Option<LimitClause> {
    let rows = rows.as_ref().and_then(number).or_else(|| parsed(ROWS));
    Some(LimitClause::LimitOffset { limit: rows, offset: None, limit_by: Vec::new() })
}

fn of_query(query: &mut Query) {
    if let Some(fetch) = query.fetch.take() {
        query.limit_clause = limit(fetch.quantity);
    }
    query.locks.clear();
    query.for_clause = None;
    query.settings = None;
    query.format_clause = None;
    if let Some(with) = &mut query.with {
        with.recursive = false;
    }
    query.limit_clause = match query.limit_clause.take() {
        Some(LimitClause::LimitOffset { limit: rows, offset, limit_by: _ }) => {
            let offset = offset.filter(|offset| number(&offset.value).is_some());
            let rows = rows.map(|rows| number(&rows).or_else(|| parsed(ROWS)));
            Some(LimitClause::LimitOffset { limit: rows.flatten(), offset, limit_by: Vec::new() })
        }
        Some(LimitClause::OffsetCommaLimit { offset, limit: rows }) => Some(LimitClause::LimitOffset {
            limit: Some(rows),
            offset: Some(Offset { value: offset, rows: OffsetRows::None }),
            limit_by: Vec::new(),
        }),
        None => None,
    };
    if query.order_by.as_ref().is_some_and(|by| matches!(by.kind, OrderByKind::All(_))) {
        query.order_by = None;
    }
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(top) = select.top.take()
    {
        query.limit_clause = match top.quantity {
            Some(TopQuantity::Constant(rows)) => limit(parsed(&rows.to_string())),
            Some(TopQuantity::Expr(rows)) => limit(Some(rows)),
            None => limit(None),
        };
    }
}

fn of_select(select: &mut Select) {
    select.optimizer_hints.clear();
    select.select_modifiers = None;
    select.into = None;
    if select.selection.is_none() {
        select.selection = select.prewhere.take();
    }
    select.cluster_by.clear();
    select.distribute_by.clear();
    select.sort_by.clear();
    select.flavor = SelectFlavor::Standard;
    for join in select.from.iter_mut().flat_map(|from| &mut from.joins) {
        join.global = false;
    }
}

struct Relations;

impl VisitorMut for Relations {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        clear_clauses(factor);
        ControlFlow::Continue(())
    }
}

/// Leaves out the clauses that no statement can have.
pub(super) fn plain(query: &mut Query, _: &Situation<'_>) -> bool {
    let before = query.to_string();
    each_query(query, &mut of_query);
    change(query, &mut |select| {
        of_select(select);
        false
    });
    let _ = visit_mut(query, &mut Relations);
    super::calls::plain(query);
    query.to_string() != before
}
