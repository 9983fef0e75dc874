//! A key that says which subjects are in a subquery becomes one SELECT for each of its values.
//!
//! ```text
//! SELECT CASE WHEN subject IN (q) THEN 'a' ELSE 'b' END AS k, COUNT(*) FROM usage GROUP BY k
//! SELECT 'a' AS k, COUNT(*) FROM usage WHERE subject IN (q) UNION ALL SELECT 'b' AS k, COUNT(*) FROM usage WHERE subject NOT IN (q)
//! ```
//! Invariants: no subject is in two of the SELECTs, and their union means what the one SELECT meant. A SELECT with a window,
//! which would look at all of them, is left as it is and refused later. Not here: memberships themselves (`members`).

use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, GroupByExpr, Select, SelectItem, SetExpr, SetOperator, SetQuantifier,
    Value, ValueWithSpan,
};

use super::naming::{default_name, position, quoted};
use super::rows::is_subject;
use crate::syntax::{any, expr_of, plain_name};

/// Most values of such a key.
const BRANCHES_MAX: usize = 4;

/// One value of the key, and who has it.
struct Branch {
    value: Expr,
    conditions: Vec<Expr>,
}

/// A membership, or its opposite.
fn member(expr: &Expr, is_opposite: bool) -> Option<Expr> {
    match expr {
        Expr::Nested(inner) => member(inner, is_opposite),
        Expr::InSubquery { expr, subquery, negated } if is_subject(expr) => Some(Expr::InSubquery {
            expr: expr.clone(),
            subquery: subquery.clone(),
            negated: *negated != is_opposite,
        }),
        _ => None,
    }
}

fn constant(expr: &Expr) -> Option<Expr> {
    matches!(expr, Expr::Value(_)).then(|| expr.clone())
}

/// The values of a CASE of memberships.
fn branches(expr: &Expr) -> Option<Vec<Branch>> {
    let (conditions, else_result) = match expr {
        Expr::Nested(inner) => return branches(inner),
        Expr::Case { operand: None, conditions, else_result, .. } => (conditions, else_result),
        _ => return None,
    };
    let mut before: Vec<Expr> = Vec::new();
    let mut all = Vec::new();
    for CaseWhen { condition, result } in conditions {
        let own = member(condition, false)?;
        let conditions = before.iter().cloned().chain([own]).collect();
        all.push(Branch { value: constant(result)?, conditions });
        before.push(member(condition, true)?);
    }
    let value = match else_result {
        Some(value) => constant(value)?,
        None => Expr::Value(ValueWithSpan::from(Value::Null)),
    };
    all.push(Branch { value, conditions: before });
    (all.len() <= BRANCHES_MAX).then_some(all)
}

/// The union of SELECTs that a SELECT with such a key stands for; `None` when it has no such key.
pub(super) fn of_members(select: &Select) -> Option<SetExpr> {
    let mut found = select.projection.iter().enumerate().filter_map(|(at, item)| {
        let expr = expr_of(item)?;
        Some((at, expr, branches(expr)?))
    });
    let (at, whole, all) = found.next().filter(|_| select.distinct.is_none())?;
    let has_window = |expr: &Expr| {
        any(expr, &mut |inner| matches!(inner, Expr::Function(function) if function.over.is_some()))
    };
    if select.projection.iter().filter_map(expr_of).any(has_window) {
        return None;
    }
    let name = match select.projection.get(at)? {
        SelectItem::ExprWithAlias { alias, .. } => plain_name(alias),
        _ => default_name(whole),
    };
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return None };
    let is_it = |key: &Expr| {
        position(key) == Some(at)
            || key == whole
            || matches!(key, Expr::Identifier(written) if plain_name(written) == name)
    };
    let others: Vec<Expr> = keys.iter().filter(|key| !is_it(key)).cloned().collect();
    if others.len() == keys.len() {
        return None;
    }
    let one = |branch: Branch| {
        let mut own = select.clone();
        own.group_by = GroupByExpr::Expressions(others.clone(), Vec::new());
        let alias = quoted(name.clone());
        if let Some(item) = own.projection.get_mut(at) {
            *item = SelectItem::ExprWithAlias { expr: branch.value, alias };
        }
        own.selection = own.selection.into_iter().chain(branch.conditions).reduce(|left, right| {
            let left = Box::new(Expr::Nested(Box::new(left)));
            Expr::BinaryOp { left, op: BinaryOperator::And, right: Box::new(right) }
        });
        SetExpr::Select(Box::new(own))
    };
    all.into_iter().map(one).reduce(|left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    })
}
