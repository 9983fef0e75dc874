//! Joins of events with released groups that only choose among the values of a column, as tools write a limit on series.
//!
//! ```text
//! FROM usage JOIN (SELECT os AS o, COUNT(*) AS n FROM usage GROUP BY os ORDER BY n DESC LIMIT 3) AS best ON os = o
//! FROM usage WHERE os IN (SELECT best.o FROM (SELECT ..) AS best)
//! ```
//! Invariants: the groups have each value once and nothing else of them is used, so that the join repeats no event and means the
//! condition. Any other join is left as it is and refused later. Not here: the condition (`members`, `private`).

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, OrderBy, Query, Select,
    SelectItem, SetExpr, TableFactor, TableWithJoins, Visit,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::naming::{default_name, position};
use super::rows::keys;
use super::scope::Split;
use crate::syntax::{arms, expr_of, plain_name};
use crate::walk::visit_expressions;
use shoal_schemas::Kind;

/// Released groups that are joined with events.
struct Groups<'g> {
    relation: &'g TableFactor,
    name: String,
    /// The names of its columns.
    columns: Vec<String>,
    /// The column that it groups by, alone.
    key: String,
}

/// The name of an item's column.
fn name_of(item: &SelectItem, expr: &Expr) -> String {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => plain_name(alias),
        _ => default_name(expr),
    }
}

impl<'g> Groups<'g> {
    /// Of a subquery that groups by one column, which it shows.
    fn of(relation: &'g TableFactor) -> Option<Groups<'g>> {
        let TableFactor::Derived { lateral: false, subquery, alias: Some(alias), .. } = relation else {
            return None;
        };
        let (SetExpr::Select(select), None) = (subquery.body.as_ref(), &subquery.with) else { return None };
        let items = select.projection.iter().map(|item| Some((item, expr_of(item)?)));
        let items: Vec<(&SelectItem, &Expr)> = items.collect::<Option<_>>()?;
        let [key] = keys(select) else { return None };
        let is_key = |(at, (item, expr)): &(usize, &(&SelectItem, &Expr))| match (position(key), key) {
            (Some(wanted), _) => wanted == *at,
            (None, Expr::Identifier(name)) => *expr == key || name_of(item, expr) == plain_name(name),
            (None, _) => *expr == key,
        };
        let (_, (item, expr)) = items.iter().enumerate().find(is_key)?;
        let is_plain = alias.columns.is_empty() && matches!(select.group_by, GroupByExpr::Expressions(..));
        is_plain.then(|| Groups {
            relation,
            name: plain_name(&alias.name),
            columns: items.iter().map(|(item, expr)| name_of(item, expr)).collect(),
            key: name_of(item, expr),
        })
    }

    /// Whether an expression is the column that is grouped by. `is_of_events` tells the names of the other side.
    fn is_key(&self, expr: &Expr, is_of_events: &dyn Fn(&str) -> bool) -> bool {
        match expr {
            Expr::Nested(inner) => self.is_key(inner, is_of_events),
            Expr::Identifier(name) => {
                let name = plain_name(name);
                name == self.key && !is_of_events(&name)
            }
            Expr::CompoundIdentifier(parts) => {
                matches!(parts.as_slice(), [table, name] if plain_name(table) == self.name && plain_name(name) == self.key)
            }
            _ => false,
        }
    }

    /// Whether a clause uses any of its columns.
    fn is_used(&self, clause: &impl Visit, is_of_events: &dyn Fn(&str) -> bool) -> bool {
        let found = visit_expressions(clause, |expr| {
            let is_own = match expr {
                Expr::Identifier(name) => {
                    let name = plain_name(name);
                    self.columns.contains(&name) && !is_of_events(&name)
                }
                Expr::CompoundIdentifier(parts) => {
                    parts.first().is_some_and(|table| plain_name(table) == self.name)
                }
                Expr::QualifiedWildcard(..) | Expr::Wildcard(_) => true,
                _ => false,
            };
            if is_own { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found.is_break()
    }
}

fn parsed(text: &str) -> Option<Query> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_query().ok().map(|query| *query)
}

impl Split<'_> {
    /// The same SELECT with such a join as a condition; `None` when it has none.
    pub(super) fn chosen(&self, select: &Select, order: Option<&OrderBy>) -> Option<Select> {
        let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
        let [Join { relation: second, global: false, join_operator }] = joins.as_slice() else { return None };
        let (JoinOperator::Join(JoinConstraint::On(on)) | JoinOperator::Inner(JoinConstraint::On(on))) =
            join_operator
        else {
            return None;
        };
        let (events, other) = match (self.is_protected(relation), self.is_protected(second)) {
            (true, false) => (relation, second),
            (false, true) => (second, relation),
            _ => return None,
        };
        let groups = Groups::of(other)?;
        let is_of_events = |name: &str| {
            name == "region" || Kind::ALL.iter().any(|kind| self.registry.table(*kind).column(name).is_some())
        };
        let on = arms(on);
        let [Expr::BinaryOp { left, op: BinaryOperator::Eq, right }] = on.as_slice() else { return None };
        let of_events = match (groups.is_key(left, &is_of_events), groups.is_key(right, &is_of_events)) {
            (false, true) => left,
            (true, false) => right,
            _ => return None,
        };
        let is_used = groups.is_used(of_events.as_ref(), &is_of_events)
            || groups.is_used(&select.projection, &is_of_events)
            || groups.is_used(&select.selection, &is_of_events)
            || groups.is_used(&select.group_by, &is_of_events)
            || groups.is_used(&select.having, &is_of_events)
            || groups.is_used(&order.cloned(), &is_of_events);
        let has_star = select.projection.iter().any(|item| expr_of(item).is_none());
        if is_used || has_star {
            return None;
        }
        let mut subquery = parsed(&format!(
            "SELECT \"{0}\".\"{1}\" AS \"{1}\" FROM \"{0}\"",
            groups.name.replace('"', "\"\""),
            groups.key.replace('"', "\"\"")
        ))?;
        let SetExpr::Select(inner) = subquery.body.as_mut() else { return None };
        inner.from = vec![TableWithJoins { relation: groups.relation.clone(), joins: Vec::new() }];
        let chosen =
            Expr::InSubquery { expr: of_events.clone(), subquery: Box::new(subquery), negated: false };
        let selection = match &select.selection {
            Some(before) => Expr::BinaryOp {
                left: Box::new(Expr::Nested(Box::new(before.clone()))),
                op: BinaryOperator::And,
                right: Box::new(chosen),
            },
            None => chosen,
        };
        let from = vec![TableWithJoins { relation: events.clone(), joins: Vec::new() }];
        Some(Select { from, selection: Some(selection), ..select.clone() })
    }
}
