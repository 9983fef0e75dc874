//! Conditions on times of zones, written in UTC. They may stand wherever a condition of events may: in WHERE, FILTER and CASE.
//!
//! ```text
//! time AT TIME ZONE z >= '2026-11-01'               time >= TIMESTAMP '2026-10-31 16:00'
//! (time AT TIME ZONE z)::date = '2026-11-01'        time >= TIMESTAMP '2026-10-31 16:00' AND time < TIMESTAMP '2026-11-01 16:00'
//! date_trunc('day', time AT TIME ZONE z) = '2026-11-01'                                            the same
//! date_trunc('hour', time AT TIME ZONE z) = '2026-11-01 09:00'    date_trunc('hour', time) = TIMESTAMP '2026-11-01 01:00'
//! extract(hour FROM time AT TIME ZONE z) < 9        extract(hour FROM time) IN (0, 16, 17, 18, 19, 20, 21, 22, 23)
//! time >= TIMESTAMP '2026-11-01' AT TIME ZONE z     time >= TIMESTAMP '2026-10-31 16:00'
//! ```
//! Invariants: the new condition lets the same events through. Not here: hours that are shown (`zoned`), the clocks (`clocks`).

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Spanned, TimezoneInfo, TypedString, Value as SqlValue, VisitMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::clocks::{BY_HOUR, Clocks, cut, has_zone, hour_of};
use crate::bind::literal::{is_utc, literal};
use crate::calendar::{parse_time, time_text};
use crate::error::{Refusal, Rule};
use crate::expr::Value;
use crate::syntax::{plain_call, text_of};
use crate::walk::visit_own_expressions_mut;
use crate::zones::Zone;
use shoal_schemas::calendar::{DAY_MS, start_of};

pub(super) fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

fn is_comparison(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Gt | GtEq | Lt | LtEq)
}

/// The same comparison with its sides exchanged.
fn exchanged(op: &BinaryOperator) -> BinaryOperator {
    match op {
        BinaryOperator::Gt => BinaryOperator::Lt,
        BinaryOperator::GtEq => BinaryOperator::LtEq,
        BinaryOperator::Lt => BinaryOperator::Gt,
        BinaryOperator::LtEq => BinaryOperator::GtEq,
        other => other.clone(),
    }
}

/// The time whose day an expression is.
fn day_of(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Nested(inner) => day_of(inner),
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type: DataType::Date, ..
        } => Some(expr),
        Expr::Function(function) => match plain_call(function)? {
            (name, args) if name == "date" => match args.as_slice() {
                [of] => Some(of),
                _ => None,
            },
            (name, args) if name == "date_trunc" => match args.as_slice() {
                [unit, of] if text_of(unit)?.eq_ignore_ascii_case("day") => Some(of),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Whether a literal is a time without a zone, which `AT TIME ZONE` reads as one on the zone's clocks.
fn is_without_zone(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_without_zone(inner),
        Expr::TypedString(TypedString { data_type, value, .. }) => {
            matches!(data_type, DataType::Timestamp(None, TimezoneInfo::None))
                && matches!(value.value, SqlValue::SingleQuotedString(_))
        }
        Expr::Cast { expr: inner, data_type: DataType::Timestamp(None, TimezoneInfo::None), .. } => {
            text_of(inner).is_some()
        }
        _ => false,
    }
}

impl Clocks<'_> {
    /// The time of a literal on the clocks of a zone; `None` for what is no literal.
    fn local_ms(&self, expr: &Expr) -> Result<Option<i64>, Refusal> {
        Ok(match literal(expr, None, self.now_ms)? {
            Some(Value::Day(day)) => Some(start_of(day)),
            Some(Value::Time(ms)) => Some(ms),
            Some(Value::Text(text)) => parse_time(&text),
            Some(Value::Null | Value::Boolean(_) | Value::Number(..)) | None => None,
        })
    }

    /// A time of a zone's clocks as a literal in UTC.
    fn moment(&self, zone: Zone, local_ms: i64, at: &Expr) -> Result<String, Refusal> {
        self.work.step(|| at.span())?;
        let utc_ms = zone.utc_ms(local_ms).ok_or_else(|| {
            let message = "The clocks of this zone have this time twice or not at all, or are not whole hours from UTC; times of events are \
                known to the hour.";
            Refusal::new(Rule::Range, at.span(), message, BY_HOUR)
        })?;
        Ok(format!("TIMESTAMP '{}'", time_text(utc_ms)))
    }

    /// `time op literal` in UTC.
    fn time_compared(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<Expr>, Refusal> {
        let (item, is_day, is_hour) = match (day_of(left), cut(left)) {
            (Some(of), _) => (of, true, false),
            (None, Some(of)) => (of, false, true),
            (None, None) => (left, false, false),
        };
        let (Some(of), Some(local_ms)) = (self.local(item)?, self.local_ms(right)?) else { return Ok(None) };
        let time = of.time;
        let moment = |local_ms| self.moment(of.zone, local_ms, right);
        if is_hour {
            return Ok(parsed(&format!("date_trunc('hour', {time}) {op} {}", moment(local_ms)?)));
        }
        if !is_day {
            return Ok(parsed(&format!("{time} {op} {}", moment(local_ms)?)));
        }
        let first = local_ms - local_ms.rem_euclid(DAY_MS);
        // A time within a day is after the day's first moment.
        let is_first = first == local_ms;
        let (start, end) = (moment(first)?, moment(first + DAY_MS)?);
        Ok(parsed(&match op {
            BinaryOperator::Eq if is_first => format!("({time} >= {start} AND {time} < {end})"),
            BinaryOperator::NotEq if is_first => format!("({time} < {start} OR {time} >= {end})"),
            BinaryOperator::Eq | BinaryOperator::NotEq => return Ok(None),
            BinaryOperator::GtEq if is_first => format!("{time} >= {start}"),
            BinaryOperator::GtEq | BinaryOperator::Gt => format!("{time} >= {end}"),
            BinaryOperator::Lt if is_first => format!("{time} < {start}"),
            _ => format!("{time} < {end}"),
        }))
    }

    /// The hours of UTC at which the clocks of a zone show one of some hours.
    fn at_hours(&mut self, item: &Expr, is_meant: &dyn Fn(i64) -> bool) -> Result<Option<Expr>, Refusal> {
        let Some(of) = hour_of(item) else { return Ok(None) };
        let Some(of) = self.local(of)? else { return Ok(None) };
        let Some(ahead) = self.hours(&of)? else { return Ok(None) };
        let utc = (0..24).filter(|hour| is_meant((hour + ahead).rem_euclid(24)));
        let utc: Vec<String> = utc.map(|hour| hour.to_string()).collect();
        Ok(parsed(&match utc.is_empty() {
            true => format!("(extract(hour FROM {}) < 0)", of.time),
            false => format!("(extract(hour FROM {}) IN ({}))", of.time, utc.join(", ")),
        }))
    }

    /// A number of hours, with its decimal places, as a literal has it.
    fn number(&self, expr: &Expr) -> Result<Option<(i64, i64)>, Refusal> {
        Ok(match literal(expr, None, self.now_ms)? {
            Some(Value::Number(units, scale)) => 10_i64.checked_pow(scale.into()).map(|one| (units, one)),
            _ => None,
        })
    }

    fn hour_compared(
        &mut self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
    ) -> Result<Option<Expr>, Refusal> {
        let Some((units, one)) = self.number(right)? else { return Ok(None) };
        let is_meant = |hour: i64| {
            let ordering = i128::from(hour * one).cmp(&i128::from(units));
            match op {
                BinaryOperator::Eq => ordering.is_eq(),
                BinaryOperator::NotEq => ordering.is_ne(),
                BinaryOperator::Lt => ordering.is_lt(),
                BinaryOperator::LtEq => ordering.is_le(),
                BinaryOperator::Gt => ordering.is_gt(),
                _ => ordering.is_ge(),
            }
        };
        self.at_hours(left, &is_meant)
    }

    fn compared(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<Expr>, Refusal> {
        match self.time_compared(left, op, right)? {
            Some(found) => Ok(Some(found)),
            None => self.hour_compared(left, op, right),
        }
    }

    fn between(&mut self, expr: &Expr, low: &Expr, high: &Expr) -> Result<Option<Expr>, Refusal> {
        let from = self.compared(expr, &BinaryOperator::GtEq, low)?;
        let to = self.compared(expr, &BinaryOperator::LtEq, high)?;
        Ok(from.zip(to).and_then(|(from, to)| parsed(&format!("({from} AND {to})"))))
    }

    fn one_of(&mut self, expr: &Expr, list: &[Expr]) -> Result<Option<Expr>, Refusal> {
        let mut all = Vec::with_capacity(list.len());
        for entry in list {
            match self.compared(expr, &BinaryOperator::Eq, entry)? {
                Some(one) => all.push(one.to_string()),
                None => return Ok(None),
            }
        }
        Ok(parsed(&format!("({})", all.join(" OR "))))
    }

    /// `CASE item WHEN value ..` as `CASE WHEN item = value ..`.
    fn each_compared(&mut self, expr: &Expr) -> Result<Option<Expr>, Refusal> {
        let mut own = expr.clone();
        let Expr::Case { operand, conditions, .. } = &mut own else { return Ok(None) };
        let Some(item) = operand.take() else { return Ok(None) };
        for one in conditions {
            match self.compared(&item, &BinaryOperator::Eq, &one.condition)? {
                Some(condition) => one.condition = condition,
                None => return Ok(None),
            }
        }
        Ok(Some(own))
    }

    /// A condition in UTC; `None` for one that is about no time of a zone.
    fn other(&mut self, expr: &Expr) -> Result<Option<Expr>, Refusal> {
        let negated = |made: Expr, is_negated: bool| match is_negated {
            true => parsed(&format!("(NOT {made})")),
            false => Some(made),
        };
        match expr {
            Expr::AtTimeZone { timestamp, time_zone } if !is_utc(time_zone) && is_without_zone(timestamp) => {
                let Some(local_ms) = self.local_ms(timestamp)? else { return Ok(None) };
                let zone = self.zone(time_zone)?;
                Ok(parsed(&self.moment(zone, local_ms, expr)?))
            }
            Expr::Case { operand: Some(operand), .. } if has_zone(operand) => self.each_compared(expr),
            Expr::BinaryOp { left, op, right } if is_comparison(op) && has_zone(expr) => {
                match self.compared(left, op, right)? {
                    Some(found) => Ok(Some(found)),
                    None => self.compared(right, &exchanged(op), left),
                }
            }
            Expr::Between { expr: item, negated: is_negated, low, high } if has_zone(item) => {
                Ok(self.between(item, low, high)?.and_then(|made| negated(made, *is_negated)))
            }
            Expr::InList { expr: item, list, negated: is_negated } if has_zone(item) => {
                Ok(self.one_of(item, list)?.and_then(|made| negated(made, *is_negated)))
            }
            _ => Ok(None),
        }
    }

    /// Writes conditions on times of zones in UTC, but for those of subqueries.
    pub(super) fn in_utc<V: VisitMut>(&mut self, node: &mut V) -> Result<(), Refusal> {
        let found = visit_own_expressions_mut(node, |expr| match self.other(expr) {
            Ok(Some(other)) => {
                *expr = other;
                ControlFlow::Continue(())
            }
            Ok(None) => ControlFlow::Continue(()),
            Err(refusal) => ControlFlow::Break(refusal),
        });
        found.break_value().map_or(Ok(()), Err)
    }
}
