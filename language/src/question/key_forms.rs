//! Which expression a key of GROUP BY is: positions and names of items are looked up, and forms in which a key is shown, one to one,
//! are left to postprocessing.
//!
//! Not here: what can be a key (`bind/group_keys.rs`).

use shoal_schemas::calendar::HOUR_MS;
use sqlparser::ast::{BinaryOperator, CastKind, DataType, DateTimeField, Expr, SelectItem};

use super::clocks::is_whole_number;
use super::formats::grain_of;
use super::naming::{no_such_position, position};
use super::origin::is_window_day;
use crate::bind::columns::Columns;
use crate::bind::interval::length_ms;
use crate::error::Refusal;
use crate::expr::{Scalar, TimePart};
use crate::syntax::{expr_of, plain_call, plain_name, text_of};

/// A time before it is moved by an interval.
fn moved(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => moved(inner),
        Expr::BinaryOp { left, op: BinaryOperator::Plus, right } if matches!(**right, Expr::Interval(_)) => {
            left
        }
        other => other,
    }
}

/// Whether an expression is the day of a window, in whatever form.
fn is_window(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, data_type: DataType::Date, .. } => is_window(inner),
        Expr::Function(function) => match plain_call(function) {
            Some((name, args)) if name == "date_trunc" => match args.as_slice() {
                [unit, of] => {
                    text_of(unit).is_some_and(|unit| unit.eq_ignore_ascii_case("day")) && is_window(of)
                }
                _ => false,
            },
            _ => false,
        },
        other => is_window_day(other),
    }
}

/// The expression of a key of GROUP BY, which may be the position or the name of a SELECT item. A cast to text, or of a week
/// to its date, the text of a time, and its seconds are left to postprocessing.
pub(super) fn key_expression<'p>(
    expr: &'p Expr,
    items: &'p [SelectItem],
    columns: &Columns<'_>,
) -> Result<&'p Expr, Refusal> {
    let found = match (position(expr), expr) {
        (Some(at), _) => items.get(at).and_then(expr_of).ok_or_else(|| no_such_position(expr))?,
        (None, Expr::Identifier(name)) if columns.unit(expr).is_none() && columns.column(name).is_err() => {
            let plain = plain_name(name);
            let is_it = |item: &&SelectItem| matches!(item, SelectItem::ExprWithAlias { alias, .. } if plain_name(alias) == plain);
            items.iter().find(is_it).and_then(expr_of).unwrap_or(expr)
        }
        (None, Expr::Nested(inner)) => inner,
        (None, _) => expr,
    };
    let mut found = found;
    while columns.scalar(found, None).is_err()
        && let Some(inner) = shown(found, columns)
    {
        found = inner;
    }
    Ok(found)
}

/// Whether an expression is an hour that is moved around the clock (`zoned`).
fn is_turned(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_turned(inner),
        Expr::BinaryOp { op: BinaryOperator::Modulo, right, .. } => right.to_string() == "24",
        _ => false,
    }
}

/// The time that is moved or shown as a text.
fn told_by(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => told_by(inner),
        Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, .. } => told_by(left),
        Expr::Function(function) => match plain_call(function) {
            Some((name, args)) if name == "to_char" => args.first().map_or(expr, |of| told_by(of)),
            _ => expr,
        },
        _ => expr,
    }
}

/// What an expression shows in another form, one to one, where the form is left to postprocessing.
fn shown<'e>(expr: &'e Expr, columns: &Columns<'_>) -> Option<&'e Expr> {
    let grain = |inner: &Expr| match *columns.scalar(inner, None).ok()? {
        Scalar::Time(grain) => Some(grain.as_str()),
        Scalar::Day => Some("day"),
        _ => None,
    };
    match expr {
        Expr::Nested(inner)
        | Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr: inner,
            data_type: DataType::Text | DataType::Varchar(None),
            ..
        } => Some(inner),
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, .. }
            if is_whole_number(data_type) && is_turned(inner) =>
        {
            Some(inner)
        }
        // An hour has one date and a date has many hours, which are other groups.
        Expr::Cast {
            kind: CastKind::Cast | CastKind::DoubleColon,
            expr: inner,
            data_type: DataType::Date,
            ..
        } => Some(inner.as_ref()).filter(|inner| grain(told_by(inner)) != Some("hour")),
        // Seconds of the time itself would be finer than the hour that it is known by.
        Expr::Extract { field: DateTimeField::Epoch, expr: inner, .. } if !matches!(inner.as_ref(), Expr::Identifier(name) if plain_name(name) == "time") => {
            Some(inner)
        }
        // A time that is moved by hours, days or weeks, and an hour of a day that is moved around the clock (`zoned`).
        Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } => {
            let text = right.to_string().to_ascii_lowercase();
            let is_length = length_ms(right).is_some_and(|ms| ms % HOUR_MS == 0)
                && !["mon", "year"].iter().any(|unit| text.contains(unit));
            is_length.then_some(left.as_ref()).filter(|left| grain(left).is_some())
        }
        Expr::BinaryOp { left, op: BinaryOperator::Modulo, right } if right.to_string() == "24" => {
            match left.as_ref() {
                Expr::Nested(sum) => match sum.as_ref() {
                    Expr::BinaryOp { left, op: BinaryOperator::Plus, right }
                        if matches!(**right, Expr::Value(_)) =>
                    {
                        let item = columns.scalar(left, None).ok()?;
                        (*item == Scalar::Part(TimePart::Hour)).then_some(left.as_ref())
                    }
                    _ => None,
                },
                _ => None,
            }
        }
        Expr::Function(function) => match plain_call(function)? {
            (name, args) if name == "date_trunc" => match args.as_slice() {
                [unit, of] if is_window(of) && text_of(unit)?.eq_ignore_ascii_case("day") => Some(*of),
                _ => None,
            },
            (name, args) if name == "to_char" => match args.as_slice() {
                [of, Expr::Value(format)] => {
                    let format = format.value.clone().into_string()?;
                    let own = if is_window(of) { Some("day") } else { grain(moved(of)) };
                    grain_of(&format).filter(|grain_of| own == Some(*grain_of)).map(|_| *of)
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
