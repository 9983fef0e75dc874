//! Moves what was refused to where it can be, or leaves it out when the answer is the same without it.

use sqlparser::ast::{BinaryOperator, Expr, OrderByKind, Query};

use super::place::{change_at, each_query};
use super::statement::Situation;
use crate::bind::aggregate_names::has_aggregate;
use crate::syntax::arms;

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

/// Leaves out the order that the place is in: the rows are the same in another order.
pub(super) fn order(query: &mut Query, situation: &Situation<'_>) -> bool {
    let place = situation.place;
    let mut is_done = false;
    each_query(query, &mut |one| {
        // With a limit the order chooses the rows.
        if one.limit_clause.is_some() || one.fetch.is_some() {
            return;
        }
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
    is_done
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
