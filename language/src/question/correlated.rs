//! Subqueries that count the events of a window around the day of an outer row.
//!
//! ```text
//! SELECT d.day, (SELECT COUNT(DISTINCT u.subject) FROM usage u WHERE u.day BETWEEN d.day - 6 AND d.day) AS week FROM days d
//! SELECT d.day, w.n AS week FROM days d JOIN (SELECT d.day, COUNT(DISTINCT u.subject) AS n FROM days d JOIN usage u
//!     ON u.day BETWEEN d.day - 6 AND d.day GROUP BY d.day) w ON w.day = d.day
//! ```
//! Invariants: the outer rows are days that the text tells, each once, so that the join has a row for each of them and means what
//! the subquery meant. Any other subquery is left as it is and refused later. Not here: the inner SELECT (`windows`).

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins,
};

use super::days::{is_column, of_events};
use super::naming::{default_name, quoted};
use super::origin::{Days, is_window_day};
use super::rows::keys;
use super::scope::Split;
use super::windows::{literal, of_day, replaced};
use crate::bind::aggregate_names::has_aggregate;
use crate::bind::columns::Columns;
use crate::expr::{Scalar, filter};
use crate::syntax::{any, arms, expr_of, plain_name};
use crate::walk::visit_expressions_mut;
use shoal_schemas::Kind;

/// The names of the columns of such a join, which no other relation has.
fn day_of(window: &str) -> String {
    format!("{window}_day")
}

/// The name of such a join.
fn name_of(at: usize) -> String {
    format!("window_{at}")
}

fn number_of(window: &str) -> String {
    format!("{window}_n")
}

/// The days of the outer rows.
struct Outer<'o> {
    relation: &'o TableFactor,
    table: String,
    days: Days,
}

fn column(table: &str, name: &str) -> Expr {
    Expr::CompoundIdentifier([table, name].map(|name| Ident::with_quote('"', name)).to_vec())
}

fn join(relation: TableFactor, on: Expr) -> Join {
    Join { relation, global: false, join_operator: JoinOperator::Join(JoinConstraint::On(on)) }
}

impl Outer<'_> {
    fn day(&self) -> Expr {
        column(&self.table, &self.days.column)
    }
}

impl Split<'_> {
    /// The same SELECT with its subqueries of windows as joins; `None` when it has none.
    pub(super) fn correlated(&self, select: &Select) -> Option<Select> {
        let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
        let is_subquery = |expr: &Expr| any(expr, &mut |inner| matches!(inner, Expr::Subquery(_)));
        if !joins.is_empty() || !select.projection.iter().filter_map(expr_of).any(is_subquery) {
            return None;
        }
        let (table, days) = self.days_in(relation)?;
        let outer = Outer { relation, table, days };
        let wheres = select.selection.as_ref().map(arms).unwrap_or_default();
        let kept: Vec<Expr> = wheres.into_iter().filter_map(|arm| self.on_day(arm, &outer)).collect();
        let mut other = select.clone();
        for item in &mut other.projection {
            if let SelectItem::Wildcard(options) = item {
                let table = ObjectName::from(vec![Ident::with_quote('"', outer.table.clone())]);
                let table = SelectItemQualifiedWildcardKind::ObjectName(table);
                *item = SelectItem::QualifiedWildcard(table, options.clone());
            } else if let SelectItem::UnnamedExpr(expr) = item {
                let alias = quoted(default_name(expr));
                if is_subquery(expr) {
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
            }
        }
        let mut joined: Vec<Join> = Vec::new();
        // The texts of the subqueries that are joined: what stands twice is joined once.
        let mut texts: Vec<String> = Vec::new();
        let _: ControlFlow<()> = visit_expressions_mut(&mut other.projection, |expr| {
            let Expr::Subquery(query) = expr else { return ControlFlow::Continue(()) };
            let text = query.to_string();
            self.work.add(text.len() as u64 / 32);
            if let Some(known) = texts.iter().position(|known| *known == text) {
                let name = name_of(known);
                *expr = column(&name, &number_of(&name));
                return ControlFlow::Continue(());
            }
            let name = name_of(joined.len());
            if let Some(subquery) = self.of_window(query, &kept, &outer, &name) {
                texts.push(text);
                let alias =
                    TableAlias { explicit: true, name: quoted(name.clone()), columns: Vec::new(), at: None };
                let (subquery, alias) = (Box::new(subquery), Some(alias));
                let relation = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
                let (left, right) = (Box::new(column(&name, &day_of(&name))), Box::new(outer.day()));
                let on = Expr::BinaryOp { left, op: BinaryOperator::Eq, right };
                joined.push(join(relation, on));
                *expr = column(&name, &number_of(&name));
            }
            ControlFlow::Continue(())
        });
        let from = other.from.first_mut().filter(|_| !joined.is_empty())?;
        from.joins = joined;
        Some(other)
    }

    /// An arm of the outer WHERE that is about the outer day alone, and which the text decides for each day: a window of a day
    /// that it leaves out need not be read, because the outer row is not there.
    fn on_day(&self, arm: &Expr, outer: &Outer<'_>) -> Option<Expr> {
        let is_day = |expr: &Expr| {
            !matches!(expr, Expr::Nested(_)) && is_column(expr, &outer.table, &outer.days.column)
        };
        let mut of_windows = arm.clone();
        if !replaced(&mut of_windows, &is_day) {
            return None;
        }
        let is_other = |expr: &Expr| match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => !is_window_day(expr),
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => true,
            _ => false,
        };
        if any(&of_windows, &mut |inner| is_other(inner)) {
            return None;
        }
        let columns = Columns::of(self.registry, self.work, self.registry.table(Kind::Usage), self.now_ms);
        let are_decided = outer.days.days.iter().all(|day| {
            let mut own = of_windows.clone();
            of_day(&mut own, literal(*day, outer.days.are_times));
            let bound = columns.condition(&own).map(filter);
            matches!(bound, Ok(None | Some(Scalar::FALSE)))
        });
        of_day(&mut of_windows, outer.day());
        are_decided.then_some(of_windows)
    }

    /// The query of all windows of a subquery; `None` when it is of no window.
    fn of_window(&self, query: &Query, kept: &[Expr], outer: &Outer<'_>, name: &str) -> Option<Query> {
        let SetExpr::Select(select) = query.body.as_ref() else { return None };
        let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
        let [item] = select.projection.as_slice() else { return None };
        let number = expr_of(item).filter(|expr| has_aggregate(expr))?;
        let is_plain = query.with.is_none() && query.limit_clause.is_none() && query.order_by.is_none();
        let is_plain = is_plain && joins.is_empty() && select.distinct.is_none() && select.having.is_none();
        if !is_plain || !keys(select).is_empty() || !self.is_protected(relation) {
            return None;
        }
        let condition = select.selection.clone()?;
        // A name without a table's in front is the inner table's where that has it.
        let is_of_events = |name: &str| {
            name == "region" || Kind::ALL.iter().any(|kind| self.registry.table(*kind).column(name).is_some())
        };
        let is_day = |expr: &Expr| match expr {
            Expr::Identifier(name) if is_of_events(&plain_name(name)) => false,
            other => is_column(other, &outer.table, &outer.days.column),
        };
        if !any(&condition, &mut |inner| is_day(inner)) {
            return None;
        }
        // A condition on the outer day alone would leave its row out of the join, where the subquery is empty.
        if arms(&condition)
            .into_iter()
            .any(|arm| !any(arm, &mut |inner| of_events(inner, &outer.table, &is_of_events)))
        {
            return None;
        }
        let items = [(outer.day(), day_of(name)), (number.clone(), number_of(name))];
        let items = items.map(|(expr, name)| SelectItem::ExprWithAlias { expr, alias: quoted(name) });
        let mut own = select.as_ref().clone();
        own.from = vec![TableWithJoins {
            relation: outer.relation.clone(),
            joins: vec![join(relation.clone(), condition)],
        }];
        let kept = kept.iter().cloned().reduce(|left, right| Expr::BinaryOp {
            left: Box::new(left),
            op: BinaryOperator::And,
            right: Box::new(Expr::Nested(Box::new(right))),
        });
        (own.projection, own.selection) = (items.to_vec(), kept);
        own.group_by = GroupByExpr::Expressions(vec![outer.day()], Vec::new());
        Some(Query { body: Box::new(SetExpr::Select(Box::new(own))), ..query.clone() })
    }
}
