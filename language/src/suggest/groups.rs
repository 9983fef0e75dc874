//! Writes keys and items otherwise: rows become counted groups, a measure becomes its bucket, an item a key or a sum.

use std::ops::ControlFlow;

use shoal_schemas::{ColumnRole, columns};
use sqlparser::ast::{
    Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, Spanned, TableFactor, visit_expressions,
    visit_expressions_mut,
};

use super::calls::has_aggregate;
use super::place::{change, change_at, parsed, replace};
use super::statement::{Situation, query_of, statements};
use crate::bind::aggregate_names::is_aggregate;
use crate::syntax::{expr_of, plain_name};

/// Most columns of rows that become keys.
const KEYS_MAX: usize = 3;

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

fn count(keys: &[Expr]) -> Option<SelectItem> {
    let is_taken = keys.iter().any(|key| column(key).as_deref() == Some("n"));
    let alias = if is_taken { "number" } else { "n" };
    Some(SelectItem::ExprWithAlias { expr: parsed("COUNT(*)")?, alias: alias.into() })
}

/// Writes rows as groups: the columns that can be keys, and how many rows each group has.
pub(super) fn grouped(query: &mut Query, situation: &Situation<'_>) -> bool {
    change_at(query, situation.place, &mut |select| {
        let items = select.projection.iter().filter_map(expr_of);
        if items.clone().any(has_aggregate) {
            return false;
        }
        let mut keys: Vec<Expr> = Vec::new();
        for expr in items {
            let name = column(expr);
            let is_key =
                name.is_some_and(|name| !is_unit(&name) && !is_measure(&name, situation) && name != "time");
            if is_key && !keys.contains(expr) && keys.len() < KEYS_MAX {
                keys.push(expr.clone());
            }
        }
        if keys.is_empty() {
            keys.extend(parsed(columns::EVENT));
        }
        let mut projection: Vec<SelectItem> = keys.iter().cloned().map(SelectItem::UnnamedExpr).collect();
        projection.extend(count(&keys));
        select.projection = projection;
        select.group_by = GroupByExpr::Expressions(keys, Vec::new());
        select.distinct = None;
        select.having = None;
        true
    })
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
    let found = visit_expressions(expr, |inner| {
        match situation.place.starts(inner.span()) && column(inner).is_some() {
            true => ControlFlow::Break(inner.clone()),
            false => ControlFlow::Continue(()),
        }
    });
    found.break_value()
}

/// Writes a measure that is neither a key nor in an aggregate as its sum.
pub(super) fn summed(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        let name = column(expr).filter(|_| situation.place.starts(expr.span()))?;
        is_measure(&name, situation).then(|| parsed(&format!("SUM({expr})")))?
    })
}

/// Writes the item `subject` or `session` as the number of them.
pub(super) fn counted(query: &mut Query, situation: &Situation<'_>) -> bool {
    let place = situation.place;
    change_at(query, place, &mut |select| {
        let is_here =
            |expr: &Expr| place.starts(expr.span()) && column(expr).is_some_and(|name| is_unit(&name));
        if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
            keys.retain(|key| !is_here(key));
        }
        let mut is_done = false;
        for item in &mut select.projection {
            let Some(name) = expr_of(item).and_then(column).filter(|name| is_unit(name)) else { continue };
            let alias = if name == columns::SUBJECT { "people" } else { "sessions" };
            if let Some(expr) = parsed(&format!("COUNT(DISTINCT {name})")) {
                *item = SelectItem::ExprWithAlias { expr, alias: alias.into() };
                is_done = true;
            }
        }
        if is_done {
            select.distinct = None;
        }
        is_done
    })
}

/// Writes ROLLUP, CUBE and GROUPING SETS as their keys.
pub(super) fn flattened(query: &mut Query, _: &Situation<'_>) -> bool {
    change(query, &mut |select| {
        let GroupByExpr::Expressions(keys, modifiers) = &mut select.group_by else { return false };
        let is_set = |key: &Expr| matches!(key, Expr::Rollup(_) | Expr::Cube(_) | Expr::GroupingSets(_));
        if !keys.iter().any(is_set) {
            return false;
        }
        modifiers.clear();
        let mut flat: Vec<Expr> = Vec::new();
        for key in std::mem::take(keys) {
            let all: Vec<Expr> = match key {
                Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
                    sets.into_iter().flatten().collect()
                }
                other => vec![other],
            };
            for one in all {
                let one = match one {
                    Expr::Nested(inner) => *inner,
                    other => other,
                };
                if !flat.contains(&one) {
                    flat.push(one);
                }
            }
        }
        *keys = flat;
        true
    })
}

/// Counts people instead of rows where tables are joined on their subjects.
pub(super) fn people(query: &mut Query, _: &Situation<'_>) -> bool {
    change(query, &mut |select| {
        let is_joined = select.from.len() > 1 || select.from.iter().any(|from| !from.joins.is_empty());
        let first = select.from.first().and_then(|from| match &from.relation {
            TableFactor::Table { name, alias, args: None, .. } => {
                Some(alias.as_ref().map_or_else(|| name.to_string(), |alias| alias.name.to_string()))
            }
            _ => None,
        });
        let Some(counted) = first.and_then(|first| parsed(&format!("COUNT(DISTINCT {first}.subject)")))
        else {
            return false;
        };
        if !is_joined {
            return false;
        }
        let before = select.projection.clone();
        let _: ControlFlow<()> = visit_expressions_mut(&mut select.projection, |expr| {
            if let Expr::Function(call) = &*expr
                && is_aggregate(call)
            {
                *expr = counted.clone();
            }
            ControlFlow::Continue(())
        });
        before != select.projection
    })
}
