//! Writes expressions otherwise: those that can fail on a value become expressions that cannot.

use sqlparser::ast::{BinaryOperator, Expr, Query, SelectItem, SetExpr, Spanned, Value, ValueWithSpan};

use super::place::{each_query, is_in_condition, parsed, replace};
use super::statement::Situation;

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
            (Expr::Substring { expr: of, substring_from: Some(from), .. }, BinaryOperator::Eq, to) => {
                let text = text_of(to).filter(|_| from.to_string() == "1")?;
                parsed(&format!("{of} LIKE '{}%'", text.replace('\'', "''")))
            }
            _ => None,
        }
    })
}

/// The text of a literal.
fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(text),
        _ => None,
    }
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
    let middle = regex.replace(".*", "%").replace(".+", "_%").replace("\\.", "\u{1}").replace('.', "_");
    if middle.contains(['[', ']', '(', ')', '{', '}', '+', '?', '|', '*', '\\', '\'', '^', '$']) {
        return None;
    }
    let middle = middle.replace('\u{1}', ".");
    let open = |is_anchored: bool| if is_anchored { "" } else { "%" };
    Some(format!("{}{middle}{}", open(from_start), open(to_end)).replace("%%", "%"))
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
            Expr::Like { negated, expr: of, pattern, .. }
            | Expr::ILike { negated, expr: of, pattern, .. }
                if is_here =>
            {
                let not = if *negated { "NOT " } else { "" };
                match text_of(pattern) {
                    Some(text) => parsed(&format!("{of} {not}LIKE '{}'", text.replace(['!', '\''], ""))),
                    None => parsed(&format!("{of} = {pattern}")),
                }
            }
            Expr::InList { expr: of, list, negated } if is_here => {
                let values: Vec<String> = list
                    .iter()
                    .filter(|one| matches!(one, Expr::Value(value) if value.value != Value::Null))
                    .map(ToString::to_string)
                    .collect();
                let not = if *negated { "NOT " } else { "" };
                let is_fewer = !values.is_empty() && values.len() < list.len();
                is_fewer.then(|| parsed(&format!("{of} {not}IN ({})", values.join(", "))))?
            }
            Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) if is_here => {
                parsed(&format!("({expr})")).filter(|other| other != expr)
            }
            _ => None,
        }
    })
}

/// Leaves only the operand of the expression at the place. Arithmetic in a condition stays, because without it the condition
/// would mean something else.
pub(super) fn inner(query: &mut Query, situation: &Situation<'_>) -> bool {
    let is_condition = is_in_condition(query, situation.place);
    replace(query, &mut |expr| {
        if !situation.place.starts(expr.span()) {
            return None;
        }
        match expr {
            Expr::Cast { expr: of, .. }
            | Expr::Collate { expr: of, .. }
            | Expr::Substring { expr: of, .. }
            | Expr::Trim { expr: of, .. }
            | Expr::Convert { expr: of, .. }
            | Expr::AtTimeZone { timestamp: of, .. }
            | Expr::JsonAccess { value: of, .. }
            | Expr::Ceil { expr: of, .. }
            | Expr::Floor { expr: of, .. } => Some(of.as_ref().clone()),
            Expr::BinaryOp {
                left,
                op:
                    BinaryOperator::Plus
                    | BinaryOperator::Minus
                    | BinaryOperator::Multiply
                    | BinaryOperator::Divide
                    | BinaryOperator::Modulo
                    | BinaryOperator::StringConcat
                    | BinaryOperator::Arrow
                    | BinaryOperator::LongArrow,
                right: _,
            } if !is_condition => Some(left.as_ref().clone()),
            _ => None,
        }
    })
}

/// Gives both sides of a comparison one type.
pub(super) fn typed(query: &mut Query, situation: &Situation<'_>) -> bool {
    let place = situation.place;
    let is_null = |expr: &Expr| matches!(expr, Expr::Value(value) if value.value == Value::Null);
    let compared = replace(query, &mut |expr| match expr {
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
    });
    if compared {
        return true;
    }
    let is_name = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    let mut is_done = false;
    each_query(query, &mut |one| {
        let SetExpr::Select(select) = one.body.as_mut() else { return };
        if let Some(condition) = &mut select.selection
            && is_name(condition)
            && place.starts(condition.span())
        {
            *condition = Expr::IsNotNull(Box::new(condition.clone()));
            is_done = true;
        }
    });
    is_done
}

/// Writes a literal as one of a kind that can be used.
pub(super) fn literal(query: &mut Query, situation: &Situation<'_>) -> bool {
    replace(query, &mut |expr| {
        let Expr::Value(ValueWithSpan { value, span }) = expr else { return None };
        if !situation.place.starts(*span) {
            return None;
        }
        let plain = |text: &str| {
            let kept: String =
                text.chars().filter(|c| !matches!(c, '\'' | '\\') && !c.is_control()).collect();
            parsed(&format!("'{kept}'"))
        };
        match value {
            Value::SingleQuotedString(text) => match text.to_ascii_lowercase().as_str() {
                "today" | "now" => parsed("current_date"),
                "yesterday" => parsed("current_date - 1"),
                _ if text.contains(['\'', '\\', '\0']) => plain(text),
                _ => parsed("current_date - 7"),
            },
            Value::DollarQuotedString(text) => plain(&text.value),
            Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text)
            | Value::HexStringLiteral(text)
            | Value::DoubleQuotedString(text) => plain(text),
            _ => None,
        }
    })
}

/// Writes a subquery of subjects as plainly as it must be.
pub(super) fn member(query: &mut Query, situation: &Situation<'_>) -> bool {
    let plain = |subquery: &Query| -> Option<String> {
        let SetExpr::Select(select) = subquery.body.as_ref() else { return None };
        let table = &select.from.first()?.relation;
        let condition = select.selection.as_ref().map(|all| format!(" WHERE {all}")).unwrap_or_default();
        Some(format!("SELECT subject FROM {table}{condition}"))
    };
    let is_here = |subquery: &Query| {
        let items = match subquery.body.as_ref() {
            SetExpr::Select(select) => select.projection.as_slice(),
            _ => &[],
        };
        let is_item = |item: &SelectItem| situation.place.starts(item.span());
        situation.place.starts(subquery.span())
            || items.iter().any(is_item)
            || situation.place.starts(subquery.body.span())
    };
    replace(query, &mut |expr| {
        let (subquery, negated, is_exists) = match expr {
            Expr::InSubquery { subquery, negated, .. } => (subquery, *negated, false),
            Expr::Exists { subquery, negated } => (subquery, *negated, true),
            _ => return None,
        };
        if !is_here(subquery) && !situation.place.starts(expr.span()) {
            return None;
        }
        let not = if negated { "NOT " } else { "" };
        let text = match is_exists {
            // The condition that refers to the outer statement cannot stay.
            true => match subquery.body.as_ref() {
                SetExpr::Select(select) => format!("SELECT subject FROM {}", select.from.first()?.relation),
                _ => return None,
            },
            false => plain(subquery)?,
        };
        parsed(&format!("subject {not}IN ({text})")).filter(|other| other.to_string() != expr.to_string())
    })
}
