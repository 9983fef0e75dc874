//! Relations whose rows are days that the text tells, before anything is read.
//!
//! ```text
//! FROM generate_series(DATE '2026-11-01', DATE '2026-11-07', INTERVAL '1 day') AS d       its days
//! FROM (SELECT d::date AS day FROM generate_series(..) AS d) AS days                      the same days
//! FROM (SELECT DISTINCT day FROM usage WHERE day >= '2026-11-01') AS days                 all days of the range
//! FROM (SELECT day, COUNT(*) AS n FROM usage WHERE .. GROUP BY day) AS daily              the same
//! FROM daily, with one of these behind the name in a WITH
//! ```
//! Invariants: a question that groups by day shows every day of its range, so the range is all that is asked of it here.
//! Not here: what is joined with the days (`windows`, `correlated`), other series (`series`).

use sqlparser::ast::{
    CastKind, DataType, Distinct, Expr, ObjectNamePart, Query, Select, SelectItem, SetExpr, Spanned,
    TableAlias, TableFactor, TableWithJoins,
};

use super::key_forms::key_expression;
use super::members::and;
use super::naming::default_name;
use super::origin::Days;
use super::rows::keys;
use super::scope::{Known, Split, kind, table_name};
use crate::bind::columns::Columns;
use crate::calendar::Grain;
use crate::expr::{Scalar, filter};
use crate::syntax::{arms, expr_of, plain_name};

/// Whether an expression is a column of the events that are joined with days of a table of this name.
pub(super) fn of_events(expr: &Expr, days: &str, is_of_events: &dyn Fn(&str) -> bool) -> bool {
    match expr {
        Expr::Identifier(name) => is_of_events(&plain_name(name)),
        Expr::CompoundIdentifier(parts) => parts.first().is_some_and(|table| plain_name(table) != days),
        _ => false,
    }
}

/// Whether an expression is this column, with this name of its table in front or none.
pub(super) fn is_column(expr: &Expr, table: &str, column: &str) -> bool {
    match expr {
        Expr::Identifier(name) => plain_name(name) == column,
        Expr::CompoundIdentifier(parts) => {
            matches!(parts.as_slice(), [of, name] if plain_name(of) == table && plain_name(name) == column)
        }
        Expr::Nested(inner) => is_column(inner, table, column),
        _ => false,
    }
}

/// With the column named as an alias has it.
fn renamed(days: Days, alias: Option<&TableAlias>) -> Days {
    match alias.and_then(|alias| alias.columns.get(days.at)) {
        Some(column) => Days { column: plain_name(&column.name), ..days },
        None => days,
    }
}

/// The name of an item's column.
fn name_of(item: &SelectItem, expr: &Expr) -> String {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => plain_name(alias),
        _ => default_name(expr),
    }
}

/// The days of a SELECT over a relation of days, all of which it shows.
fn shown(select: &Select, table: &str, of: &Days) -> Option<Days> {
    if select.selection.is_some() || select.distinct.is_some() || !keys(select).is_empty() {
        return None;
    }
    select.projection.iter().enumerate().find_map(|(at, item)| {
        let expr = expr_of(item)?;
        let are_times =
            match expr {
                Expr::Cast {
                    kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, ..
                } if is_column(inner, table, &of.column) => match data_type {
                    DataType::Date => false,
                    DataType::Timestamp(None, _) => true,
                    _ => return None,
                },
                other => is_column(other, table, &of.column).then_some(of.are_times)?,
            };
        Some(Days { column: name_of(item, expr), at, are_times, days: of.days.clone() })
    })
}

impl Split<'_> {
    /// The days of a relation, and the name in front of its columns; `None` for every other relation.
    pub(super) fn days_in(&self, factor: &TableFactor) -> Option<(String, Days)> {
        match factor {
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                let [ObjectNamePart::Identifier(function)] = name.0.as_slice() else { return None };
                let function = plain_name(function);
                let (days, are_times) = match function.as_str() {
                    "generate_series" => self.days_of_series(&args.args, factor.span())?,
                    _ => return None,
                };
                // The column is named like the table, as PostgreSQL has it.
                let own = alias.as_ref().map_or(function, |alias| plain_name(&alias.name));
                let days = Days { column: own.clone(), at: 0, days, are_times };
                Some((own, renamed(days, alias.as_ref())))
            }
            TableFactor::Table { name, alias, args: None, .. } => {
                let name = table_name(name)?;
                let scope = self.cte(&name)?;
                let Known::Free { days, .. } = &scope.cte else { return None };
                let days = days.as_deref()?.clone();
                let own = alias.as_ref().map_or(name, |alias| plain_name(&alias.name));
                Some((own, renamed(days, alias.as_ref())))
            }
            TableFactor::Derived { lateral: false, subquery, alias: Some(alias), .. } => {
                Some((plain_name(&alias.name), renamed(self.days_of(subquery)?, Some(alias))))
            }
            _ => None,
        }
    }

    /// The days of the rows of a WITH.
    pub(super) fn days_of_cte(&self, query: &Query, alias: &TableAlias) -> Option<Days> {
        Some(renamed(self.days_of(query)?, Some(alias)))
    }

    /// The days of a query's rows.
    fn days_of(&self, query: &Query) -> Option<Days> {
        if query.with.is_some() || query.limit_clause.is_some() {
            return None;
        }
        let select = match query.body.as_ref() {
            SetExpr::Select(select) => select,
            SetExpr::Query(inner) => return self.days_of(inner),
            _ => return None,
        };
        let [TableWithJoins { relation, joins }] = select.from.as_slice() else { return None };
        if !joins.is_empty() || select.having.is_some() {
            return None;
        }
        match self.days_in(relation) {
            Some((table, days)) => shown(select, &table, &days),
            None => self.days_grouped(select, relation),
        }
    }

    /// The days of a SELECT over events that groups by nothing else.
    fn days_grouped(&self, select: &Select, relation: &TableFactor) -> Option<Days> {
        let TableFactor::Table { name, alias, args: None, .. } = relation else { return None };
        let name = table_name(name)?;
        let kind = kind(&name).filter(|_| self.cte(&name).is_none())?;
        let alias = Some(alias.as_ref().map_or(name, |alias| plain_name(&alias.name)));
        let table = self.registry.table(kind);
        let columns = Columns { alias, ..Columns::of(self.registry, self.work, table, self.now_ms) };
        let items = || select.projection.iter().filter_map(expr_of);
        let key = match (keys(select), &select.distinct) {
            ([key], None) => key,
            ([], Some(Distinct::Distinct)) if select.projection.len() == 1 => items().next()?,
            _ => return None,
        };
        let scalar = columns.normal(key_expression(key, &select.projection, &columns).ok()?).ok()?;
        let are_times = match scalar.as_ref() {
            Scalar::Day => false,
            Scalar::Time(Grain::Day) => true,
            _ => return None,
        };
        let is_day = |expr: &Expr| columns.normal(expr).is_ok_and(|item| item == scalar);
        let mut all = select.projection.iter().enumerate();
        let (at, item) = all.find(|(_, item)| expr_of(item).is_some_and(is_day))?;
        let mut whole = None;
        for arm in select.selection.as_ref().map(arms).unwrap_or_default() {
            whole = and(whole, filter(columns.condition(arm).ok()?));
        }
        let found = self.readable(kind, whole.as_ref(), None).ok()?;
        let days = found.days.days().collect();
        Some(Days { column: name_of(item, expr_of(item)?), at, days, are_times })
    }
}
