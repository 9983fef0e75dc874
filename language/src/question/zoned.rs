//! `time AT TIME ZONE 'Asia/Singapore'`: hours on other clocks than those of UTC.
//!
//! ```text
//! date_trunc('hour', time AT TIME ZONE z)     to_char(date_trunc('hour', time) + INTERVAL '8 hours', '%Y-%m-%d %H:%M:%S')
//! extract(hour FROM time AT TIME ZONE z)      (extract(hour FROM time) + 8) % 24
//! time AT TIME ZONE z >= '2026-11-01'         time >= TIMESTAMP '2026-10-31 16:00'
//! (time AT TIME ZONE z)::date = '2026-11-01'  time >= TIMESTAMP '2026-10-31 16:00' AND time < TIMESTAMP '2026-11-01 16:00'
//! ```
//! Invariants: what is released are hours of UTC, which are hours of the zone one to one, and are shown as such: as texts, because a
//! time of an answer is UTC. A condition becomes the same condition in UTC. A day of the zone is hours of two days of UTC, which are
//! blocks, and released apart: it is no key, and is refused with what can be asked instead. Not here: zones (`zones`).

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DateTimeField, Expr, OrderBy, Select, SelectItem, Spanned,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Span;

use super::naming::{default_name, quoted};
use crate::bind::literal::{is_utc, literal};
use crate::calendar::{day_text, parse_time, time_text};
use crate::error::{Refusal, Rule};
use crate::expr::Value;
use crate::private_query::DayRange;
use crate::syntax::{any, expr_of, plain_call, plain_name, text_of};
use crate::walk::visit_expressions_mut;
use crate::zones::{NoHours, Zone};
use shoal_schemas::calendar::{DAY_MS, start_of};

/// How an hour of a zone is shown.
const SHOWN: &str = "%Y-%m-%d %H:%M:%S";

const BY_HOUR: &str = "SELECT date_trunc('hour', time AT TIME ZONE 'Asia/Singapore') AS hour, COUNT(*) AS n FROM usage WHERE day >= \
    current_date - 6 GROUP BY 1 ORDER BY 1";

fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

/// A time on the clocks of a zone.
struct Local<'e> {
    /// `time`, as it is written.
    time: &'e Expr,
    zone: Zone,
    span: Span,
}

/// The time of `time AT TIME ZONE 'name'`; `None` for every other expression, and for UTC.
fn local(expr: &Expr) -> Result<Option<Local<'_>>, Refusal> {
    let (time, zone) = match expr {
        Expr::Nested(inner) => return local(inner),
        Expr::AtTimeZone { timestamp, time_zone } if !is_utc(time_zone) => (timestamp.as_ref(), time_zone),
        _ => return Ok(None),
    };
    let is_time = match time {
        Expr::Identifier(name) => plain_name(name) == "time",
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|name| plain_name(name) == "time"),
        _ => false,
    };
    if !is_time {
        return Ok(None);
    }
    let found = text_of(zone).and_then(Zone::of).ok_or_else(|| {
        let message = "There is no such time zone. Zones have names, such as 'Europe/Berlin'; a distance such as '+08' would be west in \
            PostgreSQL and east elsewhere.";
        Refusal::new(Rule::Literal, zone.span(), message, BY_HOUR)
    })?;
    Ok(Some(Local { time, zone: found, span: expr.span() }))
}

fn has_zone(expr: &Expr) -> bool {
    any(expr, &mut |inner| matches!(inner, Expr::AtTimeZone { time_zone, .. } if !is_utc(time_zone)))
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq};
    matches!(op, Eq | Gt | GtEq | Lt | LtEq)
}

/// Writes conditions on times of zones in UTC.
struct Conditions {
    now_ms: i64,
}

impl Conditions {
    /// The time of a literal on the clocks of a zone; `None` for what is no literal.
    fn local_ms(&self, expr: &Expr) -> Result<Option<i64>, Refusal> {
        Ok(match literal(expr, None, self.now_ms)? {
            Some(Value::Day(day)) => Some(start_of(day)),
            Some(Value::Time(ms)) => Some(ms),
            Some(Value::Text(text)) => parse_time(&text),
            Some(Value::Null | Value::Boolean(_) | Value::Number(..)) | None => None,
        })
    }

    /// `time op literal` in UTC.
    fn compared(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<Expr>, Refusal> {
        let (item, is_day) = match left {
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type: DataType::Date,
                ..
            } => (expr.as_ref(), true),
            other => (other, false),
        };
        let (Some(of), Some(local_ms)) = (local(item)?, self.local_ms(right)?) else { return Ok(None) };
        let moment = |local_ms: i64| {
            let utc_ms = of.zone.utc_ms(local_ms).ok_or_else(|| {
                let message = "The clocks of this zone have this time twice or not at all, or are not whole hours from UTC; times of events \
                    are known to the hour.";
                Refusal::new(Rule::Range, right.span(), message, BY_HOUR)
            })?;
            Ok::<String, Refusal>(format!("TIMESTAMP '{}'", time_text(utc_ms)))
        };
        let time = of.time;
        if !is_day {
            return Ok(parsed(&format!("{time} {op} {}", moment(local_ms)?)));
        }
        let first = local_ms - local_ms.rem_euclid(DAY_MS);
        let (start, end) = (moment(first)?, moment(first + DAY_MS)?);
        Ok(parsed(&match op {
            BinaryOperator::Eq => format!("({time} >= {start} AND {time} < {end})"),
            BinaryOperator::GtEq => format!("{time} >= {start}"),
            BinaryOperator::Gt => format!("{time} >= {end}"),
            BinaryOperator::Lt => format!("{time} < {start}"),
            _ => format!("{time} < {end}"),
        }))
    }

    fn other(&self, expr: &Expr) -> Result<Option<Expr>, Refusal> {
        match expr {
            Expr::BinaryOp { left, op, right } if is_comparison(op) => self.compared(left, op, right),
            Expr::Between { expr, negated: false, low, high } => {
                let from = self.compared(expr, &BinaryOperator::GtEq, low)?;
                let to = self.compared(expr, &BinaryOperator::LtEq, high)?;
                Ok(from.zip(to).and_then(|(from, to)| parsed(&format!("({from} AND {to})"))))
            }
            _ => Ok(None),
        }
    }
}

/// A condition with the times of zones in UTC; `None` when there are none.
pub(super) fn in_utc(condition: &Expr, now_ms: i64) -> Result<Option<Expr>, Refusal> {
    if !has_zone(condition) {
        return Ok(None);
    }
    let mut own = condition.clone();
    let conditions = Conditions { now_ms };
    let found = visit_expressions_mut(&mut own, |expr| match conditions.other(expr) {
        Ok(Some(other)) => {
            *expr = other;
            ControlFlow::Continue(())
        }
        Ok(None) => ControlFlow::Continue(()),
        Err(refusal) => ControlFlow::Break(refusal),
    });
    found.break_value().map_or(Ok(Some(own)), Err)
}

/// How many hours a zone is ahead of UTC on these days.
fn hours(of: &Local<'_>, days: DayRange) -> Result<i64, Refusal> {
    of.zone.hours(days).map_err(|no| {
        let message = match no {
            NoHours::Change(day) => format!(
                "The clocks of {} change on {}, within the days that are asked: ask for the days before and after it apart.",
                of.zone.name(),
                day_text(day)
            ),
            NoHours::Part => format!(
                "Times of events are known to the hour of UTC, and the clocks of {} are not whole hours from it.",
                of.zone.name()
            ),
        };
        Refusal::new(Rule::Range, of.span, message, BY_HOUR)
    })
}

/// An expression of a key or item in the form that is released in UTC and shown on the clocks of its zone.
fn shifted(expr: &Expr, days: DayRange, zones: &mut Vec<(Zone, i64)>) -> Result<Option<Expr>, Refusal> {
    let (of, is_part) = match expr {
        Expr::Extract { field: DateTimeField::Hour | DateTimeField::Hours, expr: of, .. } => {
            (of.as_ref(), true)
        }
        Expr::Function(function) => match plain_call(function) {
            Some((name, args)) => match (name.as_str(), args.as_slice()) {
                ("date_part", [part, of])
                    if text_of(part).is_some_and(|p| p.eq_ignore_ascii_case("hour")) =>
                {
                    (*of, true)
                }
                ("date_trunc", [unit, of])
                    if text_of(unit).is_some_and(|u| u.eq_ignore_ascii_case("hour")) =>
                {
                    (*of, false)
                }
                _ => return Ok(None),
            },
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    let Some(of) = local(of)? else { return Ok(None) };
    let by = hours(&of, days)?;
    if !zones.contains(&(of.zone, by)) {
        zones.push((of.zone, by));
    }
    let time = of.time;
    Ok(match is_part {
        true => parsed(&format!("((extract(hour FROM {time}) + {}) % 24)", by.rem_euclid(24))),
        false => parsed(&format!("(date_trunc('hour', {time}) + INTERVAL '{by} hours')")),
    })
}

/// Whether an expression is an hour that is moved, and so no time of UTC any more.
fn is_moved(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_moved(inner),
        Expr::BinaryOp { left, op: BinaryOperator::Plus, right } => {
            let is_hour = |inner: &Expr| {
                matches!(inner, Expr::Function(function)
                if plain_call(function).is_some_and(|(name, _)| name == "date_trunc"))
            };
            matches!(right.as_ref(), Expr::Interval(_)) && is_hour(left)
        }
        _ => false,
    }
}

/// Writes the items, keys and orders of a SELECT over events so that hours of zones are hours of UTC that are moved. Returns what
/// a reader should know.
pub(super) fn keys(
    select: &mut Select,
    order: Option<&mut OrderBy>,
    days: DayRange,
) -> Result<Vec<String>, Refusal> {
    let items = select.projection.iter().filter_map(expr_of);
    let grouped = super::rows::keys(select).iter();
    if !items.chain(grouped).chain(&select.having).any(has_zone) {
        return Ok(Vec::new());
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && has_zone(expr)
        {
            let alias = quoted(default_name(expr));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
    let mut zones = Vec::new();
    let mut one = |expr: &mut Expr| match shifted(expr, days, &mut zones) {
        Ok(other) => {
            if let Some(other) = other {
                *expr = other;
            }
            ControlFlow::Continue(())
        }
        Err(refusal) => ControlFlow::Break(refusal),
    };
    let mut done = visit_expressions_mut(&mut select.projection, &mut one);
    if done.is_continue() {
        done = visit_expressions_mut(&mut select.group_by, &mut one);
    }
    if done.is_continue() {
        done = visit_expressions_mut(&mut select.having, &mut one);
    }
    if let Some(order) = order.filter(|_| done.is_continue()) {
        done = visit_expressions_mut(order, &mut one);
    }
    done.break_value().map_or(Ok(()), Err)?;
    for item in &mut select.projection {
        if let SelectItem::ExprWithAlias { expr, .. } = item
            && is_moved(expr)
            && let Some(shown) = parsed(&format!("to_char({expr}, '{SHOWN}')"))
        {
            *expr = shown;
        }
    }
    let note = |(zone, by): (Zone, i64)| {
        let way = if by < 0 { "behind" } else { "ahead of" };
        let hours = if by.abs() == 1 { "one hour".to_owned() } else { format!("{} hours", by.abs()) };
        format!(
            "Hours are shown on the clocks of {}, {hours} {way} UTC; the days that are asked are UTC.",
            zone.name()
        )
    };
    Ok(zones.into_iter().map(note).collect())
}
