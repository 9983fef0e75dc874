//! Windows: a series of days that is joined with the events of the days around each of them.
//!
//! ```text
//! SELECT d.day, COUNT(DISTINCT u.subject) AS people
//! FROM generate_series(DATE '2026-11-01', DATE '2026-11-22', INTERVAL '1 day') AS d(day)
//! JOIN usage u ON u.day BETWEEN d.day - 6 AND d.day GROUP BY d.day
//! ```
//! It is one private query over `usage` whose key is the day that a window belongs to; each window is a part of it.
//! Invariants: a window is whole days, which the text tells, and no two windows are the same days. What is asked of the events
//! is the same in each, so the day of the series is a key, or shown, and nothing else.
//! Not here: which relations are days (`days`), windows in subqueries (`correlated`), what they cost (`shoal-query`).

use std::ops::ControlFlow;
use std::rc::Rc;

use shoal_schemas::Kind;
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    Join, JoinConstraint, JoinOperator, OrderBy, Select, SelectItem, Spanned, TableFactor, TableWithJoins,
    TimezoneInfo, TypedString, Value as SqlValue, ValueWithSpan, Visit, VisitMut,
};
use sqlparser::tokenizer::Span;

use super::days::{is_column, of_events};
use super::members::and;
use super::naming::{default_name, quoted};
use super::origin::{Days, Source, Windows, is_window_day, window_day};
use super::release::EventSelection;
use super::scope::Split;
use crate::bind::aggregate_names::is_aggregate;
use crate::bind::extent::asked_regions;
use crate::bind::scope::has_both_ends;
use crate::bind::unsupported::windows as example;
use crate::calendar::day_text;
use crate::error::{LanguageError, Refusal, Rule};
use crate::expr::{Scalar, filter};
use crate::private_query::{Bucket, DayRange, Shape};
use crate::syntax::{any, arms, called, plain_name};
use crate::walk::{visit_expressions, visit_expressions_mut};

/// Most windows of a query. `docs/sql.md` has it.
const WINDOWS_MAX: usize = 400;
/// Most days of all windows of a query together.
const WINDOW_DAYS_MAX: u64 = 4_000;

fn refused(span: Span, message: impl Into<String>) -> LanguageError {
    Refusal::new(Rule::Range, span, message, example(Kind::Usage, 6)).into()
}

/// Two relations of FROM, and which one has rows that stay without a partner.
struct Joined<'s> {
    first: &'s TableFactor,
    second: &'s TableFactor,
    on: Vec<&'s Expr>,
    is_left: bool,
    is_right: bool,
}

fn joined(select: &Select) -> Option<Joined<'_>> {
    let (first, second, on, is_left, is_right) = match select.from.as_slice() {
        [TableWithJoins { relation, joins }] => {
            let [Join { relation: second, global: false, join_operator }] = joins.as_slice() else {
                return None;
            };
            let (on, is_left, is_right) = match join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => {
                    (on, false, false)
                }
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (on, true, false),
                JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (on, false, true),
                _ => return None,
            };
            (relation, second, on, is_left, is_right)
        }
        [a, b] if a.joins.is_empty() && b.joins.is_empty() => {
            (&a.relation, &b.relation, &JoinConstraint::None, false, false)
        }
        _ => return None,
    };
    let on = match on {
        JoinConstraint::On(condition) => arms(condition),
        JoinConstraint::None => Vec::new(),
        JoinConstraint::Using(_) | JoinConstraint::Natural => return None,
    };
    Some(Joined { first, second, on, is_left, is_right })
}

/// Replaces the day of the series wherever it stands, and returns whether it stood there.
pub(super) fn replaced<V: VisitMut>(node: &mut V, is_day: &dyn Fn(&Expr) -> bool) -> bool {
    let mut is_there = false;
    let _: ControlFlow<()> = visit_expressions_mut(node, |expr| {
        if is_day(expr) {
            *expr = window_day(expr.span());
            is_there = true;
        }
        ControlFlow::Continue(())
    });
    is_there
}

/// Puts a day in the place of the series' day.
pub(super) fn of_day(condition: &mut Expr, day: Expr) {
    let _: ControlFlow<()> = visit_expressions_mut(condition, |expr| {
        if is_window_day(expr) {
            *expr = day.clone();
        }
        ControlFlow::Continue(())
    });
}

fn has_window_day(expr: &Expr) -> bool {
    any(expr, &mut is_window_day)
}

/// The first day of a window as a literal.
pub(super) fn literal(day: i32, are_times: bool) -> Expr {
    let (data_type, text) = match are_times {
        true => (DataType::Timestamp(None, TimezoneInfo::None), format!("{} 00:00", day_text(day))),
        false => (DataType::Date, day_text(day)),
    };
    let value = ValueWithSpan::from(SqlValue::SingleQuotedString(text));
    Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false })
}

impl Split<'_> {
    /// Makes a join of days with events a SELECT over the events alone, and returns their source with its windows; `None` for any
    /// other SELECT, which stays as it is.
    pub(super) fn windowed(
        &mut self,
        select: &mut Select,
        order: Option<&mut OrderBy>,
    ) -> Result<Option<Source>, LanguageError> {
        let Some(Joined { first, second, on, is_left, is_right }) = joined(select) else { return Ok(None) };
        let of = |days: &TableFactor, events: &TableFactor| {
            self.days_in(days).filter(|_| self.is_protected(events))
        };
        let (table, days, events, is_outer, keeps_events) = match (of(first, second), of(second, first)) {
            (Some((table, days)), _) => (table, days, second.clone(), is_left, is_right),
            (None, Some((table, days))) => (table, days, first.clone(), is_right, is_left),
            (None, None) => return Ok(None),
        };
        let span = events.span();
        let wheres = select.selection.as_ref().map(arms).unwrap_or_default();
        let on_arms: Vec<&Expr> = on.into_iter().collect();
        let all: Vec<Expr> = on_arms.iter().copied().chain(wheres).cloned().collect();
        let Some(mut source) = self.source(&events)? else { return Ok(None) };
        if keeps_events || !matches!(source.shape, Shape::Events) || !source.members.is_empty() {
            let message = "Windows are of the events of a table, each day of the series with its own: write the series first, and JOIN or \
                LEFT JOIN the table.";
            return Err(refused(span, message));
        }
        let columns = self.columns(&source);
        let is_day = |expr: &Expr| {
            let is_of_events = matches!(expr, Expr::Identifier(name) if columns.column(name).is_ok());
            !matches!(expr, Expr::Nested(_)) && !is_of_events && is_column(expr, &table, &days.column)
        };
        let is_of_events = |name: &str| columns.column(&Ident::new(name)).is_ok();
        let is_alone = |arm: &Expr| {
            any(arm, &mut |inner| is_day(inner))
                && !any(arm, &mut |inner| of_events(inner, &table, &is_of_events))
        };
        if is_outer && on_arms.iter().any(|arm| is_alone(arm)) {
            let message = "A LEFT JOIN keeps the days that its ON leaves without events, so a condition on the day of the series alone \
                belongs into the series, or into WHERE.";
            return Err(refused(span, message));
        }
        let (mut conditions, mut rest) = (Vec::new(), None);
        for mut arm in all {
            match replaced(&mut arm, &is_day) {
                true => conditions.push(arm),
                false => rest = Some(both(rest, arm)),
            }
        }
        if conditions.is_empty() {
            return Ok(None);
        }
        let mut order = order;
        keyed(select, order.as_deref_mut(), &is_day);
        only_shown(&select.projection, is_outer)?;
        only_shown(&select.having, is_outer)?;
        only_shown(&select.distinct, is_outer)?;
        only_shown(&select.named_window, is_outer)?;
        only_shown(&order.as_deref().cloned(), is_outer)?;
        select.from = vec![TableWithJoins { relation: events, joins: Vec::new() }];
        select.selection = rest;
        source.windows = Some(Rc::new(Windows { days, conditions, span }));
        Ok(Some(source))
    }

    /// What is asked of each window.
    pub(super) fn selected(
        &self,
        source: &Source,
        windows: &Windows,
    ) -> Result<EventSelection, LanguageError> {
        let refused = |message: String| refused(windows.span, message);
        if !source.members.is_empty() {
            let message = "Windows are of one table: `subject IN (..)` would be about other days than those of the window.";
            return Err(refused(message.to_owned()));
        }
        let columns = self.columns(source);
        let Days { days, are_times, .. } = &windows.days;
        let (mut all, mut known): (Vec<Bucket>, Option<EventSelection>) = (Vec::new(), None);
        for day in days {
            let mut whole = source.filter.clone();
            for condition in &windows.conditions {
                let mut condition = condition.clone();
                of_day(&mut condition, literal(*day, *are_times));
                whole = and(whole, filter(columns.condition(&condition)?));
            }
            if whole.as_ref() == Some(&Scalar::FALSE) {
                continue;
            }
            if !has_both_ends(whole.as_ref()) {
                return Err(refused(
                    "A window has a first and a last day, which the conditions name.".to_owned(),
                ));
            }
            let found = self.readable(source.kind, whole.as_ref(), None).map_err(|refusal| {
                let message =
                    format!("{} The last window of a series begins today at the latest.", refusal.message);
                Refusal { message, example: example(source.kind, 6), ..refusal }
            })?;
            if all.iter().any(|window| window.days == found.days) {
                return Err(refused(
                    "Two days of the series have the same window: ask for it once.".to_owned(),
                ));
            }
            all.push(Bucket { start: *day, days: found.days });
            match &mut known {
                None => {
                    let regions = asked_regions(source.filter.as_ref(), self.regions)?;
                    let (cutoffs, filter, windows) = (found.cutoffs, found.filter, Vec::new());
                    let notes = source.notes.iter().cloned().chain(found.notes).collect();
                    known =
                        Some(EventSelection { regions, days: found.days, cutoffs, filter, windows, notes });
                }
                Some(known) if known.filter == found.filter => {
                    let DayRange { first, last } = &mut known.days;
                    (*first, *last) = (found.days.first.min(*first), found.days.last.max(*last));
                    known.notes.extend(found.notes);
                }
                Some(_) => {
                    let message = "A window is whole UTC days, and what else is asked of the events is the same in each window.";
                    return Err(refused(message.to_owned()));
                }
            }
            let together: u64 = all.iter().map(|window| window.days.len()).sum();
            if all.len() > WINDOWS_MAX || together > WINDOW_DAYS_MAX {
                return Err(refused(format!(
                    "A query has at most {WINDOWS_MAX} windows, and {WINDOW_DAYS_MAX} days in all of them together: ask for shorter \
                     windows, or for fewer, such as one in each week."
                )));
            }
        }
        let known = known.ok_or_else(|| refused("The series has no day.".to_owned()))?;
        Ok(EventSelection { windows: all, ..known })
    }
}

fn both(left: Option<Expr>, right: Expr) -> Expr {
    let right = Box::new(Expr::Nested(Box::new(right)));
    match left {
        Some(left) => Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right },
        None => *right,
    }
}

/// Replaces the day of the series in every clause but the conditions. An item keeps the name that it would have had, and a key
/// that is an item's name means the item.
fn keyed(select: &mut Select, order: Option<&mut OrderBy>, is_day: &dyn Fn(&Expr) -> bool) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item {
            let name = default_name(expr);
            if replaced(expr, is_day) {
                *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(name) };
            }
        } else {
            replaced(item, is_day);
        }
    }
    let named = |key: &Expr| {
        let Expr::Identifier(name) = key else { return None };
        select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if plain_name(alias) == plain_name(name) => {
                has_window_day(expr).then(|| expr.clone())
            }
            _ => None,
        })
    };
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        for key in keys {
            match named(key) {
                Some(item) => *key = item,
                None => drop(replaced(key, is_day)),
            }
        }
    }
    replaced(&mut select.having, is_day);
    replaced(&mut select.distinct, is_day);
    replaced(&mut select.named_window, is_day);
    if let Some(order) = order {
        replaced(order, is_day);
    }
}

/// Refuses the day of the series inside an aggregate, and a count of rows that counts a day without events.
fn only_shown(clause: &impl Visit, is_outer: bool) -> Result<(), LanguageError> {
    let found = visit_expressions(clause, |inner| {
        let Expr::Function(function) = inner else { return ControlFlow::Continue(()) };
        if !is_aggregate(function) {
            return ControlFlow::Continue(());
        }
        let is_of_rows = matches!(&function.args, FunctionArguments::List(list)
            if matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard | FunctionArgExpr::Expr(Expr::Value(_)))]));
        if has_window_day(inner) {
            let message = "An aggregate is the same in every window, so it cannot look at the day of the series. Ask for each window as a \
                subquery of its own, `(SELECT COUNT(DISTINCT subject) FROM .. WHERE day BETWEEN d.day - 6 AND d.day)`, or join them on \
                the day.";
            return ControlFlow::Break(refused(function.span(), message));
        }
        if is_outer && is_of_rows && called(function) == "count" {
            let message = "COUNT(*) of a LEFT JOIN counts a day without events as one: count a column of the events, or use JOIN, \
                which shows such a day too.";
            return ControlFlow::Break(refused(function.span(), message));
        }
        ControlFlow::Continue(())
    });
    found.break_value().map_or(Ok(()), Err)
}
