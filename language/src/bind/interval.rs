//! Intervals as they are written: of hours, days, weeks and months.
//!
//! Not here: the constants that they are added to (`literal`).

use sqlparser::ast::{
    BinaryOperator, DataType, DateTimeField, Expr, Interval, UnaryOperator, Value as SqlValue, ValueWithSpan,
};

use crate::calendar::{months_after, months_before};
use shoal_schemas::calendar::{DAY_MS, HOUR_MS, day_of, start_of};

/// `INTERVAL '7 days'`, or `'7 days'::interval`.
pub(crate) fn interval(expr: &Expr) -> Option<Interval> {
    match expr {
        Expr::Interval(by) => Some(by.clone()),
        Expr::Nested(inner) => interval(inner),
        Expr::Cast { expr: inner, data_type: DataType::Interval { .. }, .. } => Some(Interval {
            value: inner.clone(),
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }),
        _ => None,
    }
}

/// `from_ms` and an interval, or less it.
pub(crate) fn moved(from_ms: i64, by: &Interval, sign: i32) -> Result<i64, &'static str> {
    const FORM: &str = "An interval is written INTERVAL '7 days' (hours, days, weeks or months).";
    let Interval {
        value,
        leading_field,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    } = by
    else {
        return Err(FORM);
    };
    let text = joined(value).ok_or(FORM)?;
    let text = match leading_field {
        Some(field) => format!("{text} {}", field_name(field).ok_or(FORM)?),
        None => text.to_ascii_lowercase(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return Err(FORM);
    }
    words.chunks_exact(2).try_fold(from_ms, |ms, pair| {
        let [number, unit] = pair else { return Err(FORM) };
        let number: i16 = number.parse().map_err(|_| FORM)?;
        step(ms, i64::from(number) * i64::from(sign), unit.trim_end_matches('s')).ok_or(FORM)
    })
}

/// A text or a number, or some of them that are joined: `(-6 || ' day')`.
fn joined(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => joined(inner),
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
            Some(format!("{}{}", joined(left)?, joined(right)?))
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Some(format!("-{}", joined(expr)?)),
        Expr::Value(ValueWithSpan {
            value: SqlValue::SingleQuotedString(text) | SqlValue::Number(text, false),
            span: _,
        }) => Some(text.clone()),
        _ => None,
    }
}

fn step(ms: i64, by: i64, unit: &str) -> Option<i64> {
    let months = |by: i64| {
        let day = match u32::try_from(by.unsigned_abs()) {
            Ok(months) if by <= 0 => months_before(day_of(ms), months)?,
            Ok(months) => months_after(day_of(ms), months)?,
            Err(_) => return None,
        };
        Some(start_of(day) + ms.rem_euclid(DAY_MS))
    };
    match unit {
        "minute" | "min" => Some(ms + by * (HOUR_MS / 60)),
        "hour" => Some(ms + by * HOUR_MS),
        "day" => Some(ms + by * DAY_MS),
        "week" => Some(ms + by * 7 * DAY_MS),
        "month" | "mon" => months(by),
        "year" => months(by * 12),
        _ => None,
    }
}

/// The length of an interval of days, hours or minutes, in milliseconds.
pub(crate) fn length_ms(expr: &Expr) -> Option<i64> {
    moved(0, &interval(expr)?, 1).ok()
}

fn field_name(field: &DateTimeField) -> Option<&'static str> {
    match field {
        DateTimeField::Hour | DateTimeField::Hours => Some("hour"),
        DateTimeField::Day | DateTimeField::Days => Some("day"),
        DateTimeField::Week(None) | DateTimeField::Weeks => Some("week"),
        DateTimeField::Month | DateTimeField::Months => Some("month"),
        DateTimeField::Year | DateTimeField::Years => Some("year"),
        DateTimeField::Minute | DateTimeField::Minutes => Some("minute"),
        _ => None,
    }
}
