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
    Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins,
};

use super::days::{is_column, of_events};
use super::naming::{default_name, quoted};
use super::origin::Days;
use super::rows::keys;
use super::scope::Split;
use crate::bind::aggregate_names::has_aggregate;
use crate::syntax::{any, arms, expr_of, plain_name};
use crate::walk::visit_expressions_mut;
use shoal_schemas::Kind;

/// The names of the columns of such a join, which no other relation has.
fn day_of(window: &str) -> String {
    format!("{window}_day")
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
        let _: ControlFlow<()> = visit_expressions_mut(&mut other.projection, |expr| {
            let name = format!("window_{}", joined.len());
            if let Expr::Subquery(query) = expr
                && let Some(subquery) = self.of_window(query, &outer, &name)
            {
                let alias =
                    TableAlias { explicit: true, name: quoted(name.clone()), columns: Vec::new(), at: None };
                let (subquery, alias) = (Box::new(subquery), Some(alias));
                let relation = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
                let (left, right) = (Box::new(column(&name, &day_of(&name))), Box::new(outer.day()));
                let on = Expr::BinaryOp { left, op: sqlparser::ast::BinaryOperator::Eq, right };
                joined.push(join(relation, on));
                *expr = column(&name, &number_of(&name));
            }
            ControlFlow::Continue(())
        });
        let from = other.from.first_mut().filter(|_| !joined.is_empty())?;
        from.joins = joined;
        Some(other)
    }

    /// The query of all windows of a subquery; `None` when it is of no window.
    fn of_window(&self, query: &Query, outer: &Outer<'_>, name: &str) -> Option<Query> {
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
        (own.projection, own.selection) = (items.to_vec(), None);
        own.group_by = GroupByExpr::Expressions(vec![outer.day()], Vec::new());
        Some(Query { body: Box::new(SetExpr::Select(Box::new(own))), ..query.clone() })
    }
}
