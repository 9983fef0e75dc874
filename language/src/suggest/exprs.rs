//! Writes expressions otherwise: those that can fail on a value become expressions that cannot.

use std::collections::BTreeSet;

use shoal_schemas::{ColumnRole, Domain, columns};
use sqlparser::ast::{BinaryOperator, DataType, Expr, Query, Spanned, Value, ValueWithSpan};

use super::place::{parsed, replace};
use super::statement::Situation;
use crate::bind::literal::is_wide;
use crate::syntax::{plain_name, text_of};
use shoal_schemas::nearest::nearest;

/// Writes a comparison that divides, or takes a part of a text, as one that does not.
pub(super) fn compared(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        let Expr::BinaryOp { left, op, right } = expr else { return None };
        if !situation.place.starts(expr.span()) {
            return None;
        }
        match (left.as_ref(), op, right.as_ref()) {
            (
                Expr::BinaryOp { left: of, op: BinaryOperator::Divide, right: by },
                BinaryOperator::Gt | BinaryOperator::GtEq | BinaryOperator::Lt | BinaryOperator::LtEq,
                Expr::Value(to),
            ) => {
                let (by, to) = (by.to_string().parse::<i64>().ok()?, to.to_string().parse::<i64>().ok()?);
                parsed(&format!("{of} {op} {}", by.checked_mul(to).filter(|_| by > 0)?))
            }
            (
                Expr::Substring { expr: of, substring_from: Some(from), substring_for, .. },
                BinaryOperator::Eq,
                to,
            ) => {
                let text = text_of(to).filter(|_| from.to_string() == "1")?;
                let is_whole = |length: &Expr| length.to_string() == text.chars().count().to_string();
                let is_plain =
                    !text.contains(['%', '_', '\\']) && substring_for.as_deref().is_some_and(is_whole);
                is_plain.then(|| parsed(&format!("{of} LIKE '{}%'", text.replace('\'', "''"))))?
            }
            _ => None,
        }
    })
}

/// A pattern with another character before what stands for itself; `None` when it cannot be written.
fn escaped(pattern: &str, escape: char) -> Option<String> {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c == escape => out.extend(['\\', chars.next()?]),
            '\\' | '\'' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

/// What is between the ends of a regular expression, as a pattern: what stands for itself in the one does so in the other.
fn middle(regex: &str) -> Option<String> {
    let mut out = String::new();
    let mut letters = regex.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '.' if letters.next_if_eq(&'*').is_some() => out.push('%'),
            '.' if letters.next_if_eq(&'+').is_some() => out.push_str("_%"),
            '.' => out.push('_'),
            '%' | '_' => out.extend(['\\', letter]),
            '\\' => match letters.next()? {
                letter @ ('%' | '_') => out.extend(['\\', letter]),
                letter if letter.is_alphanumeric() || matches!(letter, '\\' | '\'') => return None,
                letter => out.push(letter),
            },
            '[' | ']' | '(' | ')' | '{' | '}' | '+' | '?' | '|' | '*' | '\'' | '^' | '$' => return None,
            letter => out.push(letter),
        }
        // What stands before it is repeated, or not.
        if letters.peek().is_some_and(|next| matches!(next, '*' | '+' | '?' | '{')) {
            return None;
        }
    }
    Some(out)
}

/// A regular expression as a pattern of LIKE; `None` when it means more than that.
fn like(regex: &str) -> Option<String> {
    let (from_start, regex) = match regex.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, regex),
    };
    let (to_end, regex) = match regex.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, regex),
    };
    let middle = middle(regex)?;
    let any = |is_there: bool| if is_there { "%" } else { "" };
    // What may be anything already need not be said twice.
    let (first, last) = (!from_start && !regex.starts_with(".*"), !to_end && !regex.ends_with(".*"));
    Some(format!("{}{middle}{}", any(first), any(last)))
}

/// Writes a regular expression or an unusual LIKE as a plain LIKE.
pub(super) fn pattern(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        let place = situation.place;
        let is_here = place.is_in(expr);
        match expr {
            Expr::BinaryOp { left, op, right } if is_here => {
                let (not, word) = match op {
                    BinaryOperator::PGRegexMatch | BinaryOperator::Regexp | BinaryOperator::Match => {
                        ("", "LIKE")
                    }
                    BinaryOperator::PGRegexIMatch => ("", "ILIKE"),
                    BinaryOperator::PGRegexNotMatch => ("NOT ", "LIKE"),
                    BinaryOperator::PGRegexNotIMatch => ("NOT ", "ILIKE"),
                    BinaryOperator::PGLikeMatch => {
                        return parsed(&format!("{left} LIKE {right}"));
                    }
                    _ => return None,
                };
                parsed(&format!("{left} {not}{word} '{}'", like(text_of(right)?)?))
            }
            Expr::SimilarTo { negated, expr: of, pattern, .. } if is_here => {
                let not = if *negated { "NOT " } else { "" };
                let text =
                    text_of(pattern).filter(|text| !text.contains(['|', '(', '[', '*', '+', '?', '{']))?;
                parsed(&format!("{of} {not}LIKE '{}'", text.replace('\'', "''")))
            }
            Expr::Like { negated, expr: of, pattern, escape_char: Some(escape), any: false } if is_here => {
                let not = if *negated { "NOT " } else { "" };
                let escape = escape.to_string();
                let escape = escape.trim_matches('\'').chars().next()?;
                parsed(&format!("{of} {not}LIKE '{}'", escaped(text_of(pattern)?, escape)?))
            }
            Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) if is_here => {
                parsed(&format!("({expr})")).filter(|other| other != expr)
            }
            _ => None,
        }
    })
}

/// Leaves only the operand of a cast or a collation at the place, where its values stay what they are: a cast to whole numbers or
/// days makes others of them.
pub(super) fn inner(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        if !situation.place.starts(expr.span()) {
            return None;
        }
        match expr {
            Expr::Collate { expr: of, .. } => Some(of.as_ref().clone()),
            Expr::Cast { expr: of, data_type, .. } => {
                let is_text =
                    matches!(data_type, DataType::Text | DataType::String(None) | DataType::Varchar(None));
                (is_text || is_wide(data_type)).then(|| of.as_ref().clone())
            }
            _ => None,
        }
    })
}

/// Gives both sides of a comparison one type.
pub(super) fn typed(query: &mut Query, situation: &Situation<'_>) -> bool {
    let place = situation.place;
    let is_null = |expr: &Expr| matches!(expr, Expr::Value(value) if value.value == Value::Null);
    replace(query, &mut |expr| match expr {
        Expr::BinaryOp { left, op, right } if place.starts(right.span()) && is_null(right) => match op {
            BinaryOperator::Eq => Some(Expr::IsNull(left.clone())),
            BinaryOperator::NotEq => Some(Expr::IsNotNull(left.clone())),
            _ => None,
        },
        Expr::Value(ValueWithSpan { value, span }) if place.starts(*span) => match value {
            Value::Number(text, _) => parsed(&format!("'{text}'")),
            Value::SingleQuotedString(text) => parsed(text).filter(|_| text.parse::<f64>().is_ok()),
            _ => None,
        },
        _ => None,
    })
}

/// Writes a literal as one of a kind that can be used.
pub(super) fn literal(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        let Expr::Value(ValueWithSpan { value, span }) = expr else { return None };
        if !situation.place.starts(*span) {
            return None;
        }
        // The same text, or none: what has escapes may mean another one.
        let plain = |text: &str| {
            let is_plain = !text.contains('\\') && !text.chars().any(char::is_control);
            is_plain.then(|| parsed(&format!("'{}'", text.replace('\'', "''"))))?
        };
        match value {
            Value::SingleQuotedString(text) => match text.to_ascii_lowercase().as_str() {
                "today" => parsed("current_date"),
                "now" => parsed("now()"),
                "yesterday" => parsed("current_date - 1"),
                _ => None,
            },
            Value::DollarQuotedString(text) => plain(&text.value),
            Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text)
            | Value::DoubleQuotedString(text) => plain(text),
            _ => None,
        }
    })
}

/// The name of a column, with a table's in front or not.
fn column(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(name) => Some(plain_name(name)),
        Expr::CompoundIdentifier(parts) => parts.last().map(plain_name),
        Expr::Nested(inner) => column(inner),
        _ => None,
    }
}

/// The value of a listed column that is near to a literal.
fn value_near(of: &Expr, literal: &Expr, situation: &Situation<'_>) -> Option<Expr> {
    if !situation.place.starts(literal.span()) {
        return None;
    }
    let (name, written) = (column(of)?, text_of(literal)?);
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for kind in &situation.kinds {
        if name == columns::EVENT {
            let events = situation.registry.events().iter().filter(|event| event.kind == *kind);
            known.extend(events.map(|event| event.name.as_str()));
        } else if let Some((_, column)) = situation.registry.table(*kind).column(&name)
            && let ColumnRole::Dimension { domain: Domain::Listed(values), .. } = &column.role
        {
            known.extend(values.iter().map(String::as_str));
        }
    }
    let found = nearest(written, known.into_iter()).filter(|found| *found != written)?;
    parsed(&format!("'{found}'"))
}

/// Writes a value that a listed column never has as the nearest one that it has.
pub(super) fn listed(query: &mut Query, situation: &Situation<'_>) -> bool {
    let near = |of: &Expr, literal: &Expr| value_near(of, literal, situation);
    replace(query, &mut |expr| match expr {
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = match (near(left, right), near(right, left)) {
                (Some(value), _) => (left.clone(), Box::new(value)),
                (None, Some(value)) => (Box::new(value), right.clone()),
                (None, None) => return None,
            };
            Some(Expr::BinaryOp { left, op: op.clone(), right })
        }
        Expr::InList { expr: of, list, negated } => {
            let mut list = list.clone();
            let (one, value) = list.iter_mut().find_map(|one| near(of, one).map(|value| (one, value)))?;
            *one = value;
            Some(Expr::InList { expr: of.clone(), list, negated: *negated })
        }
        Expr::Case { operand: Some(of), conditions, .. } => {
            let at = conditions.iter().position(|one| near(of, &one.condition).is_some())?;
            let mut other = expr.clone();
            if let Expr::Case { conditions, .. } = &mut other {
                let one = conditions.get_mut(at)?;
                one.condition = near(of, &one.condition)?;
            }
            Some(other)
        }
        _ => None,
    })
}
