//! Leaves out the part of a statement that was refused.

use sqlparser::ast::{BinaryOperator, Expr, GroupByExpr, OrderByKind, Query, Select, SelectItem, SetExpr};

use super::calls::has_aggregate;
use super::place::{Place, change, change_at, each_query};
use super::statement::Situation;
use crate::syntax::{arms, expr_of};

/// Keeps only some arms of a condition, and returns whether any was left out.
fn kept(condition: &mut Option<Expr>, stays: &mut dyn FnMut(&Expr) -> bool) -> bool {
    let Some(whole) = condition.take() else { return false };
    let all: Vec<Expr> = arms(&whole).into_iter().cloned().collect();
    let before = all.len();
    let left: Vec<Expr> = all.into_iter().filter(|arm| stays(arm)).collect();
    if left.len() == before {
        *condition = Some(whole);
        return false;
    }
    *condition = left.into_iter().reduce(and);
    true
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

fn of_select(select: &mut Select, place: Place) -> bool {
    let mut stays = |arm: &Expr| !place.is_in(arm);
    if kept(&mut select.selection, &mut stays) || kept(&mut select.having, &mut stays) {
        return true;
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        let before = keys.len();
        keys.retain(|key| !place.is_in(key));
        if keys.len() < before {
            return true;
        }
    }
    let is_in = |item: &SelectItem| expr_of(item).is_some_and(|expr| place.is_in(expr));
    let others = select.projection.iter().filter(|item| !is_in(item)).count();
    if others > 0 && others < select.projection.len() {
        select.projection.retain(|item| !is_in(item));
        return true;
    }
    false
}

/// Leaves out the condition, the key, the item or the order that the place is in.
pub(super) fn part(query: &mut Query, situation: &Situation<'_>) -> bool {
    let place = situation.place;
    let mut is_done = false;
    each_query(query, &mut |one| {
        if let Some(order) = &mut one.order_by
            && let OrderByKind::Expressions(list) = &mut order.kind
        {
            let before = list.len();
            list.retain(|by| !place.is_in(&by.expr));
            is_done |= list.len() < before;
            if list.is_empty() {
                one.order_by = None;
            }
        }
    });
    is_done || change_at(query, place, &mut |select| of_select(select, place))
}

/// Moves a condition on an aggregate from WHERE to HAVING.
pub(super) fn to_having(query: &mut Query, situation: &Situation<'_>) -> bool {
    let place = situation.place;
    change_at(query, place, &mut |select| {
        let mut moved: Vec<Expr> = Vec::new();
        kept(&mut select.selection, &mut |arm| {
            let goes = place.is_in(arm) && has_aggregate(arm);
            if goes {
                moved.push(arm.clone());
            }
            !goes
        });
        let is_some = !moved.is_empty();
        select.having = select.having.take().into_iter().chain(moved).reduce(and);
        is_some
    })
}

fn names(arm: &Expr, names: &[&str]) -> bool {
    let text = arm.to_string().to_ascii_lowercase();
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.any(|word| names.contains(&word))
}

fn without(query: &mut Query, words: &[&str]) -> bool {
    change(query, &mut |select| kept(&mut select.selection, &mut |arm| !names(arm, words)))
}

/// Leaves out the conditions on time.
pub(super) fn times(query: &mut Query, _: &Situation<'_>) -> bool {
    without(query, &["day", "time"])
}

/// Leaves out the conditions on regions.
pub(super) fn regions(query: &mut Query, _: &Situation<'_>) -> bool {
    without(query, &["region"])
}

fn fewer(select: &mut Select) -> bool {
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return false };
    if keys.len() < 2 {
        return false;
    }
    // Positions are written out, so that the items can go.
    let items = select.projection.clone();
    for key in keys.iter_mut() {
        let at = key.to_string().parse::<usize>().ok().and_then(|at| items.get(at.checked_sub(1)?));
        if let Some(expr) = at.and_then(expr_of) {
            *key = expr.clone();
        }
    }
    let Some(last) = keys.pop() else { return false };
    let is_last = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { expr, alias } => *expr == last || last.to_string() == alias.value,
        item => expr_of(item) == Some(&last),
    };
    select.projection.retain(|item| !is_last(item));
    !select.projection.is_empty()
}

/// Leaves out the last key.
pub(super) fn last_key(query: &mut Query, _: &Situation<'_>) -> bool {
    change(query, &mut fewer)
}

/// Leaves out the definitions of windows or, where there are none, the last key of the SELECT that the place is in.
pub(super) fn keys(query: &mut Query, situation: &Situation<'_>) -> bool {
    if let SetExpr::Select(select) = query.body.as_mut()
        && !select.named_window.is_empty()
    {
        select.named_window.clear();
        return true;
    }
    change_at(query, situation.place, &mut fewer)
}
