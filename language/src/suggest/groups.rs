//! Writes keys and items otherwise: a measure becomes its bucket, an item a key, a count of values a count of groups.

use shoal_schemas::{ColumnRole, columns};
use sqlparser::ast::{Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, Spanned};

use super::place::{change_at, parsed};
use super::statement::{Situation, query_of, statements};
use crate::bind::aggregate_names::has_aggregate;
use crate::syntax::{any, expr_of, plain_name};

/// The name of a column, with a table's in front or not.
fn column(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(plain_name(name)),
        Expr::CompoundIdentifier(parts) => parts.last().map(plain_name),
        _ => None,
    }
}

/// Whether a name is a measure of one of the statement's tables.
fn is_measure(name: &str, situation: &Situation<'_>) -> bool {
    situation.kinds.iter().any(|kind| {
        let column = situation.registry.table(*kind).column(name);
        matches!(column.map(|(_, column)| &column.role), Some(ColumnRole::Measure(_)))
    })
}

fn is_unit(name: &str) -> bool {
    name == columns::SUBJECT || name == columns::SESSION
}

/// Writes a measure that is a key as its bucket.
pub(super) fn bucketed(query: &mut Query, situation: &Situation<'_>) -> bool {
    change_at(query, situation.place, &mut |select| {
        let keys = match &select.group_by {
            GroupByExpr::Expressions(keys, _) => keys.as_slice(),
            GroupByExpr::All(_) => &[],
        };
        let all = keys.iter().chain(select.projection.iter().filter_map(expr_of));
        let mut here = all.filter(|expr| situation.place.starts(expr.span()) && !has_aggregate(expr));
        let Some(found) = here.next().cloned() else { return false };
        // The key may be `amount * 2`; its bucket is the column's.
        let of = match &found {
            Expr::BinaryOp { left, .. } => left,
            other => other,
        };
        if !column(of).is_some_and(|name| is_measure(&name, situation)) {
            return false;
        }
        let Some(bucket) = parsed(&format!("bucket({of})")) else { return false };
        exchange(select, &found, &bucket);
        true
    })
}

/// Writes a count of a column's values as a count of its groups.
pub(super) fn distinct(query: &mut Query, _: &Situation<'_>) -> bool {
    let SetExpr::Select(select) = query.body.as_mut() else { return false };
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return false };
    let [
        SelectItem::UnnamedExpr(Expr::Function(call))
        | SelectItem::ExprWithAlias { expr: Expr::Function(call), .. },
    ] = select.projection.as_slice()
    else {
        return false;
    };
    let call = call.to_string();
    let of = call.strip_prefix("COUNT(DISTINCT ").and_then(|of| of.strip_suffix(')')).and_then(parsed);
    let Some(of) = of.filter(|of| keys.is_empty() && column(of).is_some_and(|name| !is_unit(&name))) else {
        return false;
    };
    let from: Vec<String> = select.from.iter().map(ToString::to_string).collect();
    let condition = select.selection.as_ref().map(|all| format!(" WHERE {all}")).unwrap_or_default();
    let text = format!(
        "SELECT COUNT(*) AS number FROM (SELECT {of}, COUNT(*) AS n FROM {}{condition} GROUP BY {of}) AS t",
        from.join(", ")
    );
    let Some(other) = statements(&text).and_then(|mut all| query_of(all.pop()?)) else {
        return false;
    };
    *query = other.1;
    true
}

/// Replaces an expression wherever it is an item or a key of the SELECT.
fn exchange(select: &mut Select, old: &Expr, new: &Expr) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
            && expr == old
        {
            *expr = new.clone();
        }
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys.iter_mut().filter(|key| *key == old).for_each(|key| *key = new.clone());
    }
}

/// Makes a key of an item that is neither a key nor in an aggregate.
pub(super) fn keyed(query: &mut Query, situation: &Situation<'_>) -> bool {
    change_at(query, situation.place, &mut |select| {
        let all = select.projection.iter().filter_map(expr_of).chain(&select.having);
        let here = all.filter_map(|expr| column_at(expr, situation)).next();
        let Some(expr) = here.filter(|expr| column(expr).is_some_and(|name| !is_measure(&name, situation)))
        else {
            return false;
        };
        match &mut select.group_by {
            GroupByExpr::Expressions(keys, _) if !keys.contains(&expr) => keys.push(expr),
            GroupByExpr::Expressions(..) | GroupByExpr::All(_) => return false,
        }
        true
    })
}

/// The column at the place.
fn column_at(expr: &Expr, situation: &Situation<'_>) -> Option<Expr> {
    let mut found = None;
    any(expr, &mut |inner| {
        if situation.place.starts(inner.span()) && column(inner).is_some() {
            found = Some(inner.clone());
        }
        found.is_some()
    });
    found
}
