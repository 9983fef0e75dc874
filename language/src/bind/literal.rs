//! Literals: constants that are typed by what they are compared with, and dates relative to now.
//!
//! Invariants: everything is worked out here, at bind time, from the text and `now`; nothing that could fail is left
//! for a row. A text is no longer than one of an event, so that no value of an expression is, but for its case.

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArguments, ObjectNamePart,
    Spanned, TimezoneInfo, TypedString, UnaryOperator, Value as SqlValue, ValueWithSpan,
};

use super::interval::{interval, moved};
use crate::calendar::{Grain, day_text, days_after, months_before, parse_day, parse_time, part_of};
use crate::error::{Refusal, Rule};
use crate::expr::{Type, Value};
use crate::syntax::plain_call;
use shoal_schemas::calendar::{DAY_MS, HOUR_MS, day_of, start_of};

const SINCE: &str = "SELECT COUNT(*) FROM usage WHERE day >= current_date - INTERVAL '7 days'";
const SINCE_HOUR: &str = "SELECT COUNT(*) FROM usage WHERE time >= now() - INTERVAL '24 hours'";
const PATTERN: &str = "SELECT COUNT(*) FROM usage WHERE app_version LIKE '4.%'";
const ABOVE: &str =
    "SELECT COUNT(*) FROM usage WHERE duration_ms > 1000 AND os = 'ios' AND day >= DATE '2026-11-01'";

/// Most bytes of a text: as many as a property of an event may have.
pub(super) const TEXT_BYTES_MAX: usize = 256;

/// The value of a literal, typed as `expected` where that is known; none when the expression is not a literal.
pub(crate) fn literal(expr: &Expr, expected: Option<Type>, now_ms: i64) -> Result<Option<Value>, Refusal> {
    let wrong = |wanted: &str, suggestion: &str| {
        let message = format!("This is not a {wanted}.");
        Refusal::new(Rule::Literal, expr.span(), message, suggestion)
    };
    let untyped = match untyped(expr, now_ms)
        .map_err(|reason| Refusal::new(Rule::Literal, expr.span(), reason, SINCE))?
    {
        Some(untyped) => untyped,
        None => return Ok(None),
    };
    let value = match (untyped, expected) {
        (Untyped::Null, _) => Value::Null,
        (Untyped::Boolean(b), None | Some(Type::Boolean)) => Value::Boolean(b),
        (Untyped::Text(text), None | Some(Type::Text)) if text.len() > TEXT_BYTES_MAX => {
            let message = format!(
                "Texts of events have at most {TEXT_BYTES_MAX} bytes, and no literal beside them has more."
            );
            return Err(Refusal::new(Rule::Literal, expr.span(), message, PATTERN));
        }
        (Untyped::Text(text), None | Some(Type::Text)) => Value::Text(text),
        (Untyped::Text(text), Some(Type::Day)) => {
            Value::Day(parse_day(&text).ok_or_else(|| wrong("date", SINCE))?)
        }
        (Untyped::Text(text), Some(Type::Time)) => {
            Value::Time(parse_time(&text).ok_or_else(|| wrong("timestamp", SINCE_HOUR))?)
        }
        (Untyped::Number(text), Some(Type::Number { scale })) => {
            let units =
                fixed_point(&text, scale).ok_or_else(|| wrong(&Type::Number { scale }.name(), ABOVE))?;
            Value::Number(units, scale)
        }
        (Untyped::Number(text), None) => {
            let scale = text.split_once('.').map_or(0, |(_, part)| part.trim_end_matches('0').len());
            let scale = u8::try_from(scale).unwrap_or(u8::MAX);
            let units = fixed_point(&text, scale);
            Value::Number(units.ok_or_else(|| wrong("number", ABOVE))?, scale)
        }
        (Untyped::Day(day), None | Some(Type::Day)) => Value::Day(day),
        (Untyped::Day(day), Some(Type::Time)) => Value::Time(start_of(day)),
        (Untyped::Time(ms), None | Some(Type::Time)) => Value::Time(ms),
        (Untyped::Time(ms), Some(Type::Day)) => Value::Day(day_of(ms)),
        (_, Some(ty)) => {
            let message = format!("A {} cannot be compared with a literal of another type.", ty.name());
            return Err(Refusal::new(Rule::Type, expr.span(), message, ABOVE));
        }
    };
    Ok(Some(value))
}

enum Untyped {
    Null,
    Boolean(bool),
    Text(String),
    Number(String),
    Day(i32),
    Time(i64),
}

fn untyped(expr: &Expr, now_ms: i64) -> Result<Option<Untyped>, &'static str> {
    Ok(Some(match expr {
        Expr::Nested(inner) => return untyped(inner, now_ms),
        Expr::Value(ValueWithSpan { value, span: _ }) => match value {
            SqlValue::Null => Untyped::Null,
            SqlValue::Boolean(b) => Untyped::Boolean(*b),
            SqlValue::SingleQuotedString(text) => Untyped::Text(text.clone()),
            SqlValue::Number(text, false) => Untyped::Number(text.clone()),
            _ => return Err("Literals are numbers, 'text', dates, true, false and NULL."),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match untyped(expr, now_ms)? {
            Some(Untyped::Number(text)) if !text.starts_with('-') => Untyped::Number(format!("-{text}")),
            _ => return Ok(None),
        },
        Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false }) => match &value.value {
            SqlValue::SingleQuotedString(text) => typed(text, data_type)?,
            _ => return Err("A date is written DATE '2026-11-22'."),
        },
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr,
            data_type,
            array: false,
            format: None,
        } => match untyped(expr, now_ms)? {
            Some(untyped) => cast(untyped, data_type)?,
            None => return Ok(None),
        },
        Expr::AtTimeZone { timestamp, time_zone } if is_utc(time_zone) => return untyped(timestamp, now_ms),
        Expr::Extract { field, expr: inner, .. } => {
            return Ok(part(&field.to_string(), untyped(inner, now_ms)?));
        }
        Expr::Function(function) => match clock(function) {
            Some("current_date") => Untyped::Day(day_of(now_ms)),
            Some(_) => Untyped::Time(now_ms),
            None => match called(function, now_ms)? {
                Some(ms) => Untyped::Time(ms),
                None => return part_called(function, now_ms),
            },
        },
        Expr::BinaryOp { left, op: op @ (BinaryOperator::Minus | BinaryOperator::Plus), right } => {
            let sign = if *op == BinaryOperator::Minus { -1 } else { 1 };
            match (untyped(left, now_ms)?, interval(right).as_ref()) {
                (Some(Untyped::Day(day)), Some(by)) => {
                    moved(start_of(day), by, sign).map(|ms| match ms % DAY_MS {
                        0 => Untyped::Day(day_of(ms)),
                        _ => Untyped::Time(ms),
                    })?
                }
                (Some(Untyped::Time(ms)), Some(by)) => Untyped::Time(moved(ms, by, sign)?),
                (Some(Untyped::Day(day)), None) => match untyped(right, now_ms)? {
                    Some(Untyped::Number(by)) => {
                        let by = by.parse::<i16>().map_err(|_| "The number of days is too large.")?;
                        let to = days_after(day, i32::from(by) * sign);
                        Untyped::Day(to.ok_or("The date is out of the calendar.")?)
                    }
                    _ => return Ok(None),
                },
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

fn typed(text: &str, data_type: &DataType) -> Result<Untyped, &'static str> {
    match data_type {
        DataType::Date => parse_day(text).map(Untyped::Day).ok_or("A date is written '2026-11-22'."),
        DataType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            let time = parse_time(text).map(Untyped::Time);
            time.ok_or("A timestamp is written '2026-11-22 10:00' (UTC).")
        }
        _ => Err("Literals can be DATE or TIMESTAMP only."),
    }
}

/// A constant as another type, where that cannot fail.
fn cast(untyped: Untyped, data_type: &DataType) -> Result<Untyped, &'static str> {
    match (untyped, data_type) {
        (
            Untyped::Text(text),
            DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None),
        ) => Ok(Untyped::Text(text)),
        (Untyped::Text(text), _) => typed(&text, data_type),
        (Untyped::Time(ms), DataType::Date) => Ok(Untyped::Day(day_of(ms))),
        (Untyped::Day(day), DataType::Date) => Ok(Untyped::Day(day)),
        (Untyped::Time(ms), DataType::Timestamp(None, _)) => Ok(Untyped::Time(ms)),
        (Untyped::Day(day), DataType::Timestamp(None, _)) => Ok(Untyped::Time(start_of(day))),
        (Untyped::Number(text), ty) if is_wide(ty) || !text.contains('.') && is_whole(ty) => {
            Ok(Untyped::Number(text))
        }
        (Untyped::Null, _) => Ok(Untyped::Null),
        (Untyped::Boolean(b), DataType::Bool | DataType::Boolean) => Ok(Untyped::Boolean(b)),
        _ => Err("This constant cannot be cast to that type."),
    }
}

/// A type that holds every number of events as it is.
pub(crate) fn is_wide(ty: &DataType) -> bool {
    matches!(
        ty,
        DataType::Numeric(ExactNumberInfo::None)
            | DataType::Decimal(ExactNumberInfo::None)
            | DataType::Dec(ExactNumberInfo::None)
            | DataType::Float(_)
            | DataType::Float8
            | DataType::Float64
            | DataType::Double(_)
            | DataType::DoublePrecision
    )
}

/// A type that holds every whole number of events as it is.
pub(crate) fn is_whole(ty: &DataType) -> bool {
    matches!(ty, DataType::BigInt(None) | DataType::Int8(None) | DataType::Int64)
}

pub(crate) fn is_utc(zone: &Expr) -> bool {
    matches!(zone, Expr::Value(ValueWithSpan { value: SqlValue::SingleQuotedString(zone), span: _ })
        if ["UTC", "GMT", "Z", "Etc/UTC"].iter().any(|known| known.eq_ignore_ascii_case(zone)))
}

/// The time of `date_trunc('month', current_date)`, `to_date` or `to_timestamp` of a constant, in milliseconds.
fn called(function: &Function, now_ms: i64) -> Result<Option<i64>, &'static str> {
    const FORM: &str = "A date is written DATE '2026-11-22', a time TIMESTAMP '2026-11-22 10:00' (UTC).";
    let Some((name, args)) = plain_call(function) else { return Ok(None) };
    if !matches!(name.as_str(), "to_date" | "to_timestamp" | "date_trunc") {
        return Ok(None);
    }
    let args = args.iter().map(|arg| untyped(arg, now_ms)).collect::<Result<Option<Vec<_>>, _>>()?;
    let iso = |format: &str| format.to_ascii_lowercase().starts_with("yyyy-mm-dd");
    match (name.as_str(), args.as_deref()) {
        ("to_date", Some([Untyped::Text(day), Untyped::Text(format)])) if iso(format) => {
            parse_time(day).map(|ms| Some(start_of(day_of(ms)))).ok_or(FORM)
        }
        ("to_timestamp", Some([Untyped::Text(time), Untyped::Text(format)])) if iso(format) => {
            parse_time(time).map(Some).ok_or(FORM)
        }
        ("to_timestamp", Some([Untyped::Text(time)])) => parse_time(time).map(Some).ok_or(FORM),
        // Seconds since 1970.
        ("to_timestamp", Some([Untyped::Number(seconds)])) => {
            fixed_point(seconds, 3).map(Some).ok_or("A time of TO_TIMESTAMP is in seconds since 1970.")
        }
        ("date_trunc", Some([Untyped::Text(unit), Untyped::Day(day)])) => {
            truncated(unit, start_of(*day)).map(Some)
        }
        ("date_trunc", Some([Untyped::Text(unit), Untyped::Time(ms)])) => truncated(unit, *ms).map(Some),
        ("date_trunc", _) => Ok(None),
        _ => Err(FORM),
    }
}

/// A part of a constant day or time, as `extract` has it.
fn part(name: &str, of: Option<Untyped>) -> Option<Untyped> {
    let number = match of? {
        Untyped::Day(day) => part_of(day, name)?,
        Untyped::Time(ms) if name.eq_ignore_ascii_case("hour") => ms.rem_euclid(DAY_MS) / HOUR_MS,
        Untyped::Time(ms) => part_of(day_of(ms), name)?,
        Untyped::Null | Untyped::Boolean(_) | Untyped::Text(_) | Untyped::Number(_) => return None,
    };
    Some(Untyped::Number(number.to_string()))
}

/// The part that `date_part('dow', ..)` of a constant is.
fn part_called(function: &Function, now_ms: i64) -> Result<Option<Untyped>, &'static str> {
    let Some((name, args)) = plain_call(function) else { return Ok(None) };
    match (name.as_str(), args.as_slice()) {
        ("date_part", [name, of]) => match untyped(name, now_ms)? {
            Some(Untyped::Text(name)) => Ok(part(&name, untyped(of, now_ms)?)),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

/// A time, cut to a unit.
fn truncated(unit: &str, ms: i64) -> Result<i64, &'static str> {
    let (day, month) = (day_of(ms), Grain::Month.bucket(day_of(ms)));
    let months = |day: i32, months: u32| months_before(day, months).unwrap_or(day);
    Ok(match unit.to_ascii_lowercase().as_str() {
        "hour" => ms - ms.rem_euclid(HOUR_MS),
        "day" => start_of(day),
        "week" => start_of(Grain::Week.bucket(day)),
        "month" => start_of(month),
        "quarter" => start_of(months(month, month_of(month) % 3)),
        "year" => start_of(months(month, month_of(month))),
        _ => return Err("date_trunc takes 'hour', 'day', 'week', 'month', 'quarter' or 'year'."),
    })
}

/// The month of a day, from 0.
fn month_of(day: i32) -> u32 {
    day_text(day).get(5..7).and_then(|text| text.parse::<u32>().ok()).unwrap_or(1).saturating_sub(1)
}

/// The lower-case name, when the call is one of the clock's names without arguments.
fn clock(function: &Function) -> Option<&'static str> {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return None;
    };
    let plain = function.filter.is_none() && function.over.is_none();
    let empty = match &function.args {
        FunctionArguments::None => true,
        FunctionArguments::List(list) => list.args.is_empty() && list.clauses.is_empty(),
        FunctionArguments::Subquery(_) => false,
    };
    let names = ["current_date", "current_timestamp", "now"];
    names.into_iter().find(|known| plain && empty && known.eq_ignore_ascii_case(&name.value))
}

/// A decimal as units of 10^-scale; none when it has more places, or does not fit.
fn fixed_point(text: &str, scale: u8) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part = part.trim_end_matches('0');
    if part.len() > usize::from(scale) {
        return None;
    }
    let padded = format!("{whole}{part:0<width$}", width = usize::from(scale));
    let padded = if padded.is_empty() { "0" } else { &padded };
    if !padded.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let units: i64 = padded.parse().ok()?;
    Some(if negative { -units } else { units })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn decimals_become_units_or_nothing() {
        assert_eq!(fixed_point("1.5", 2), Some(150));
        assert_eq!(fixed_point("-0.05", 2), Some(-5));
        assert_eq!(fixed_point("1.500", 1), Some(15));
        assert_eq!(fixed_point("1.5", 0), None);
        assert_eq!(fixed_point("1e3", 0), None);
        assert_eq!(fixed_point("99999999999999999999", 0), None);
    }
}
