//! Joins of two tables on their subjects that mean a membership and nothing more.
//!
//! ```text
//! usage u JOIN crash c ON u.subject = c.subject WHERE c.os = 'ios'       u.subject IN (SELECT c.subject FROM crash c WHERE ..)
//! usage u LEFT JOIN crash c ON u.subject = c.subject WHERE c.subject IS NULL              u.subject NOT IN (SELECT ..)
//! ```
//! Invariants: the membership means the same as the join in SQL. A join repeats rows, so an inner or left join may have no
//! aggregate but COUNT(DISTINCT ..), and nothing but `subject` is taken from the second table. Any other join is left as it
//! is and refused later.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArguments, GroupByExpr, Ident, Join,
    JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr,
    TableFactor, TableWithJoins, Value, ValueWithSpan,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::scope::{Split, kind, table_name};
use super::sides::{About, Sides};
use crate::bind::aggregate_names::is_aggregate;
use crate::syntax::{any, arms, expr_of, plain_name};
use crate::walk::{visit_expressions, visit_expressions_mut};

impl Sides<'_> {
    /// Whether a SELECT over the join means the same over the first table's rows, where none is repeated.
    fn is_same_once(&self, select: &Select) -> bool {
        let is_first = |expr: &Expr| matches!(self.about(expr), About::First);
        let items = select.projection.iter().filter_map(expr_of);
        if items.clone().count() < select.projection.len() || select.distinct.is_some() {
            return false;
        }
        let mut has_call = false;
        let is_fine = items.chain(&select.having).all(|item| {
            let mut left = item.clone();
            let found = visit_expressions_mut(&mut left, |expr| {
                let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
                if call.over.is_some() || is_aggregate(call) && !is_distinct_count(call) {
                    return ControlFlow::Break(());
                }
                if is_aggregate(call) {
                    has_call = true;
                    if !is_first(expr) {
                        return ControlFlow::Break(());
                    }
                    *expr = Expr::Value(ValueWithSpan::from(Value::Null));
                }
                ControlFlow::Continue(())
            });
            // Names of items may be used in HAVING.
            found.is_continue()
        });
        let keys = match &select.group_by {
            GroupByExpr::Expressions(keys, _) => keys.as_slice(),
            GroupByExpr::All(_) => &[],
        };
        has_call && is_fine && !keys.iter().any(|key| matches!(self.about(key), About::Both | About::Second))
    }

    /// `subject [NOT] IN (SELECT subject FROM second WHERE ..)`.
    fn member(&self, select: &Select, second: &[Expr], negated: bool) -> Option<Expr> {
        let subject = |side: usize| {
            let names = [self.names.get(side)?.as_str(), "subject"];
            Some(Expr::CompoundIdentifier(names.map(|name| Ident::with_quote('"', name)).to_vec()))
        };
        let item = SelectItem::UnnamedExpr(subject(1)?);
        let inner = Select {
            projection: vec![item],
            from: vec![TableWithJoins { relation: self.second.clone(), joins: Vec::new() }],
            ..over(select, second)
        };
        let subquery = Box::new(query(inner)?);
        Some(Expr::InSubquery { expr: Box::new(subject(0)?), subquery, negated })
    }
}

/// A SELECT with these conditions and without keys.
fn over(select: &Select, conditions: &[Expr]) -> Select {
    Select {
        distinct: None,
        selection: conditions.iter().cloned().reduce(both),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        having: None,
        named_window: Vec::new(),
        ..select.clone()
    }
}

fn both(left: Expr, right: Expr) -> Expr {
    let nested = |arm| Box::new(Expr::Nested(Box::new(arm)));
    Expr::BinaryOp { left: nested(left), op: BinaryOperator::And, right: nested(right) }
}

/// A query of a SELECT.
fn query(select: Select) -> Option<Query> {
    let empty = Parser::new(&PostgreSqlDialect {}).try_with_sql("SELECT 1").ok()?.parse_query().ok()?;
    Some(Query { body: Box::new(SetExpr::Select(Box::new(select))), ..*empty })
}

fn is_distinct_count(call: &Function) -> bool {
    let is_distinct = matches!(&call.args, FunctionArguments::List(list)
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct));
    is_distinct && call.name.to_string().eq_ignore_ascii_case("count")
}

fn name_of(factor: &TableFactor) -> Option<String> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    match alias {
        Some(alias) => Some(plain_name(&alias.name)),
        None => table_name(name),
    }
}

impl Split<'_> {
    /// The same SELECT over one table with a membership; `None` when the join means more than that.
    pub(super) fn semi_join(&self, select: &Select) -> Option<Select> {
        let sides = self.sides(select)?;
        let conditions = sides.conditions(select)?;
        let has_second = |expr: &Expr| {
            any(
                expr,
                &mut |inner| matches!(inner, Expr::CompoundIdentifier(parts) if sides.side(parts) == Some(1)),
            )
        };
        let is_once = conditions.is_anti || !sides.is_left;
        let mut other = select.clone();
        other.from = vec![TableWithJoins { relation: sides.first.clone(), joins: Vec::new() }];
        if is_once {
            // In an inner join the subjects of both sides are the same.
            let _: ControlFlow<()> = visit_expressions_mut(&mut other.projection, |expr| {
                if !sides.is_left && sides.is_column(expr, 1, "subject") {
                    sides.take_first(expr);
                }
                ControlFlow::Continue(())
            });
        }
        let member = sides.member(select, &conditions.second, conditions.is_anti)?;
        let mut of_first = conditions.first.clone();
        match is_once {
            true if conditions.is_anti => {
                let uses = visit_expressions(&other.projection, |expr| match has_second(expr) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                });
                if uses.is_break() {
                    return None;
                }
            }
            true if !sides.is_same_once(&other) => return None,
            true => {}
            false => {
                of_first.push(member);
                return self.left(other, &sides, &conditions.first, &of_first);
            }
        }
        of_first.push(member);
        other.selection = of_first.into_iter().reduce(both);
        Some(other)
    }

    /// A left join without keys: each count of the second table's subjects is a query of its own.
    fn left(&self, mut other: Select, sides: &Sides<'_>, first: &[Expr], members: &[Expr]) -> Option<Select> {
        let is_plain = matches!(&other.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
        if !is_plain || other.having.is_some() {
            return None;
        }
        let whole = over(&other, members);
        let mut is_known = true;
        let _: ControlFlow<()> = visit_expressions_mut(&mut other.projection, |expr| {
            let Expr::Function(call) = &mut *expr else { return ControlFlow::Continue(()) };
            let is_second = is_distinct_count(call) && call.filter.is_none() && call.over.is_none();
            let is_second = is_second
                && matches!(sides.about(expr), About::Second)
                && any(expr, &mut |inner| sides.is_column(inner, 1, "subject"));
            if is_second {
                let mut item = expr.clone();
                let _: ControlFlow<()> = visit_expressions_mut(&mut item, |inner| {
                    if sides.is_column(inner, 1, "subject") {
                        sides.take_first(inner);
                    }
                    ControlFlow::Continue(())
                });
                is_known &= matches!(sides.about(&item), About::First);
                let of_second = Select { projection: vec![SelectItem::UnnamedExpr(item)], ..whole.clone() };
                if let Some(query) = query(of_second) {
                    *expr = Expr::Subquery(Box::new(query));
                }
            }
            ControlFlow::Continue(())
        });
        other.selection = first.iter().cloned().reduce(both);
        let mut kept = other.clone();
        let _: ControlFlow<()> = visit_expressions_mut(&mut kept.projection, |expr| {
            if matches!(expr, Expr::Subquery(_)) {
                *expr = Expr::Value(ValueWithSpan::from(Value::Null));
            }
            ControlFlow::Continue(())
        });
        (is_known && sides.is_same_once(&kept)).then_some(other)
    }

    fn sides<'s>(&self, select: &'s Select) -> Option<Sides<'s>> {
        let (first, second, on, is_left) = match select.from.as_slice() {
            [TableWithJoins { relation, joins }] => {
                let [Join { relation: second, global: false, join_operator }] = joins.as_slice() else {
                    return None;
                };
                let (on, is_left) = match join_operator {
                    JoinOperator::Join(on) | JoinOperator::Inner(on) => (on.clone(), false),
                    JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (on.clone(), true),
                    JoinOperator::CrossJoin(on) => (on.clone(), false),
                    _ => return None,
                };
                (relation, second, on, is_left)
            }
            [a, b] if a.joins.is_empty() && b.joins.is_empty() => {
                (&a.relation, &b.relation, JoinConstraint::None, false)
            }
            _ => return None,
        };
        let is_table = |factor: &TableFactor| match factor {
            TableFactor::Table { name, args: None, .. } => {
                table_name(name).is_some_and(|name| self.cte(&name).is_none() && kind(&name).is_some())
            }
            _ => false,
        };
        let names = [name_of(first)?, name_of(second)?];
        if !is_table(first) || !is_table(second) || names[0] == names[1] {
            return None;
        }
        let is_subject = |name: &ObjectName| match name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => plain_name(name) == "subject",
            _ => false,
        };
        let (on, using) = match &on {
            JoinConstraint::On(condition) => (arms(condition).into_iter().cloned().collect(), false),
            JoinConstraint::Using(names) => {
                (Vec::new(), matches!(names.as_slice(), [one] if is_subject(one)))
            }
            JoinConstraint::None => (Vec::new(), false),
            JoinConstraint::Natural => return None,
        };
        Some(Sides { first, second, names, is_left, on, using })
    }
}
