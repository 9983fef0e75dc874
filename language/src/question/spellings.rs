//! Forms that tools write, in the form that everything else knows.
//!
//! ```text
//! FETCH NEXT 5 ROWS ONLY                           LIMIT 5
//! OFFSET 10 ROWS FETCH NEXT 5 ROWS ONLY            LIMIT 5 OFFSET 10
//! to_char(time, 'YYYY-MM') = '2026-11'             date_trunc('month', time) = TIMESTAMP '2026-11-01'
//! to_char(time, 'YYYY-MM')                         to_char(date_trunc('month', time), '%Y-%m')
//! floor(extract(epoch FROM time) / 3600) * 3600    extract(epoch FROM date_trunc('hour', time))
//! extract(epoch FROM time) >= 1763942400           time >= to_timestamp(1763942400)
//! time_bucket('1 day', time)                       date_bin(INTERVAL '1 day', time)
//! time_bucket('3600.000s', time)                   date_bin(INTERVAL '1 hour', time)
//! SELECT generate_series(a, b, c) AS d             SELECT d FROM generate_series(a, b, c) AS d
//! trunc(extract(year FROM day))                    extract(year FROM day)
//! version(), current_database()                    texts
//! time >= (SELECT now() - INTERVAL '7 days')       time >= (now() - INTERVAL '7 days')
//! ```
//! Invariants: the new form means the same in PostgreSQL, where times of events are UTC; a form that has none is left as it is
//! and refused later. Nothing here depends on the schema. Not here: what the new forms mean (`bind`), formats (`formats`).

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CeilFloorKind, DateTimeField, Expr, Fetch, Function, FunctionArguments, LimitClause,
    Offset, OffsetRows, Query, Select, SelectItem, SetExpr, TableWithJoins, Value, ValueWithSpan, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::formats::{Format, grain_of};
use crate::bind::aggregate_names::is_of_rows;
use crate::error::{Refusal, Rule};
use crate::parse::SHAPE;
use crate::syntax::{expr_of, plain_call, plain_name, text_of};
use crate::walk::visit_mut;

/// Parses an expression.
fn parsed(text: &str) -> Option<Expr> {
    Parser::new(&PostgreSqlDialect {}).try_with_sql(text).ok()?.parse_expr().ok()
}

fn number_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(text, _), span: _ }) => Some(text),
        Expr::Nested(inner) => number_of(inner),
        _ => None,
    }
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}

/// The time of `extract(epoch FROM time)`.
fn epoch(expr: &Expr) -> Option<&Expr> {
    match bare(expr) {
        Expr::Extract { field: DateTimeField::Epoch, expr, syntax: _ } => Some(expr),
        Expr::Function(function) => match plain_call(function)? {
            (name, args) if name == "date_part" => match args.as_slice() {
                [part, of] if text_of(part)?.eq_ignore_ascii_case("epoch") => Some(of),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The time and the format of `to_char(time, 'YYYY-MM-DD')`.
fn shown(expr: &Expr) -> Option<(&Expr, Format)> {
    let Expr::Function(function) = bare(expr) else { return None };
    match plain_call(function)? {
        (name, args) if name == "to_char" => match args.as_slice() {
            [of, format] => Some((of, Format::of(text_of(format)?)?)),
            _ => None,
        },
        _ => None,
    }
}

/// A comparison of what a time is shown as with a text: the bucket of the time, and the bucket's first moment.
fn compared(left: &Expr, right: &Expr) -> Option<(Expr, Expr)> {
    let (of, format) = shown(left)?;
    let (grain, first) = format.first_moment(text_of(right)?)?;
    Some((parsed(&format!("date_trunc('{grain}', {of})"))?, parsed(&format!("TIMESTAMP '{first}'"))?))
}

/// `time >= to_timestamp(..)` of a comparison of seconds.
fn seconds(left: &Expr, right: &Expr) -> Option<(Expr, Expr)> {
    let of = epoch(left)?;
    Some((of.clone(), parsed(&format!("to_timestamp({})", number_of(right)?))?))
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// `floor(extract(epoch FROM time) / 3600) * 3600`, for an hour or a day.
fn time_group(left: &Expr, right: &Expr) -> Option<Expr> {
    let of = match bare(left) {
        Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => expr,
        _ => return None,
    };
    let Expr::BinaryOp { left: epochs, op: BinaryOperator::Divide, right: by } = bare(of) else {
        return None;
    };
    let width = number_of(right).filter(|width| number_of(by) == Some(*width))?;
    let (whole, part) = width.split_once('.').unwrap_or((width, ""));
    let grain = match whole {
        _ if part.chars().any(|c| c != '0') => return None,
        "3600" => "hour",
        "86400" => "day",
        _ => return None,
    };
    parsed(&format!("extract(epoch FROM date_trunc('{grain}', {}))", epoch(epochs)?))
}

/// The hour or the day that a width such as `3600.000s`, `60m` or `1d` is.
fn whole_bucket(width: &str) -> Option<&'static str> {
    let at = width.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = width.split_at_checked(at)?;
    let (whole, part) = number.trim().split_once('.').unwrap_or((number.trim(), ""));
    let seconds = match unit {
        "s" | "second" | "seconds" => 1,
        "m" | "min" | "minute" | "minutes" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let is_whole = part.chars().all(|c| c == '0');
    match whole.parse::<u32>().ok().filter(|_| is_whole)?.checked_mul(seconds)? {
        3_600 => Some("1 hour"),
        86_400 => Some("1 day"),
        _ => None,
    }
}

/// What a call stands for.
fn called(function: &Function) -> Option<Expr> {
    let name = function.name.to_string().to_ascii_lowercase();
    let is_empty = match &function.args {
        FunctionArguments::None => true,
        FunctionArguments::List(list) => list.args.is_empty() && list.duplicate_treatment.is_none(),
        FunctionArguments::Subquery(_) => false,
    };
    match (name.as_str(), is_empty) {
        ("version", true) => return parsed("'PostgreSQL 15.0 (Shoal)'"),
        ("current_database" | "current_catalog", true) => return parsed("'shoal'"),
        ("current_schema", true) => return parsed("'public'"),
        _ => {}
    }
    let (name, args) = plain_call(function)?;
    match (name.as_str(), args.as_slice()) {
        ("time_bucket", [width, of]) => {
            let width = text_of(width)?;
            let width = whole_bucket(width).unwrap_or(width);
            parsed(&format!("date_bin(INTERVAL '{width}', {of})"))
        }
        // A part of a time is a whole number.
        ("trunc" | "floor", [of @ Expr::Extract { field, .. }])
            if !matches!(field, DateTimeField::Epoch | DateTimeField::Second | DateTimeField::Seconds) =>
        {
            Some((*of).clone())
        }
        ("to_char", [of, format]) => {
            let format = Format::of(text_of(format)?)?;
            let pattern = format.pattern();
            match grain_of(&pattern) {
                Some(grain) => parsed(&format!("to_char(date_trunc('{grain}', {of}), '{pattern}')")),
                None => parsed(&format!("to_char({of}, '{pattern}')")),
            }
        }
        _ => None,
    }
}

/// The other form of an expression, whose parts are in their other forms already.
fn other(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryOp { left, op, right } if is_comparison(op) => {
            let swapped = || match op {
                BinaryOperator::Lt => BinaryOperator::Gt,
                BinaryOperator::LtEq => BinaryOperator::GtEq,
                BinaryOperator::Gt => BinaryOperator::Lt,
                BinaryOperator::GtEq => BinaryOperator::LtEq,
                other => other.clone(),
            };
            let one = |left: &Expr, right: &Expr| compared(left, right).or_else(|| seconds(left, right));
            let made =
                |(left, right), op| Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) };
            match one(left, right) {
                Some(sides) => Some(made(sides, op.clone())),
                None => one(right, left).map(|sides| made(sides, swapped())),
            }
        }
        Expr::Between { expr, negated, low, high } => {
            let one = |bound: &Expr| compared(expr, bound).or_else(|| seconds(expr, bound));
            let ((item, low), (_, high)) = (one(low)?, one(high)?);
            let (expr, low, high) = (Box::new(item), Box::new(low), Box::new(high));
            Some(Expr::Between { expr, negated: *negated, low, high })
        }
        Expr::InList { expr, list, negated } => {
            let all: Vec<(Expr, Expr)> = list.iter().map(|one| compared(expr, one)).collect::<Option<_>>()?;
            let item = Box::new(all.first()?.0.clone());
            let list = all.into_iter().map(|(_, moment)| moment).collect();
            Some(Expr::InList { expr: item, list, negated: *negated })
        }
        Expr::BinaryOp { left, op: BinaryOperator::Multiply, right } => time_group(left, right),
        _ => None,
    }
}

#[derive(Default)]
struct Forms {
    refusal: Option<Refusal>,
}

impl VisitorMut for Forms {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(Fetch { quantity, .. }) = query.fetch.take() {
            let limit = quantity.or_else(|| parsed("1"));
            let offset = match query.limit_clause.take() {
                Some(LimitClause::LimitOffset { offset, .. }) => offset.map(|Offset { value, .. }| value),
                Some(LimitClause::OffsetCommaLimit { .. }) | None => None,
            };
            let offset = offset.map(|value| Offset { value, rows: OffsetRows::None });
            query.limit_clause = Some(LimitClause::LimitOffset { limit, offset, limit_by: Vec::new() });
        }
        if let SetExpr::Select(select) = query.body.as_mut() {
            series(select);
        }
        ControlFlow::Continue(())
    }

    /// Comparisons come before their sides: a side that is written otherwise could not be compared any more.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(other) = other(expr) {
            *expr = other;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Subquery(query) = expr
            && let Some(other) = of_nothing(query)
        {
            *expr = other;
        }
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        if let Some(other) = called(function) {
            *expr = other;
        } else if plain_call(function).is_some_and(|(name, _)| name == "to_char") {
            use sqlparser::ast::Spanned;
            let message = "to_char shows a date or a time with a literal format of YYYY, MM, Mon, DD, Dy, IYYY, IW, HH24, MI, SS and \
                the like. Numbers are rounded with round.";
            self.refusal = Some(Refusal::new(Rule::Function, expr.span(), message, SHAPE));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// The one item of a subquery that reads nothing.
fn of_nothing(query: &Query) -> Option<Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let is_plain = query.with.is_none() && query.limit_clause.is_none() && query.order_by.is_none();
    let is_plain =
        is_plain && select.from.is_empty() && select.selection.is_none() && select.having.is_none();
    let [item] = select.projection.as_slice() else { return None };
    let item = expr_of(item).filter(|item| is_plain && !is_of_rows(item))?;
    Some(Expr::Nested(Box::new(item.clone())))
}

/// Moves a series from the items of a SELECT without FROM into its FROM.
fn series(select: &mut Select) {
    if !select.from.is_empty() {
        return;
    }
    let is_series = |expr: &Expr| matches!(expr, Expr::Function(function) if plain_call(function).is_some_and(|(name, _)| name == "generate_series"));
    let mut found: Option<Expr> = None;
    let [item] = select.projection.as_mut_slice() else { return };
    let name = match &*item {
        SelectItem::ExprWithAlias { alias, .. } => plain_name(alias),
        _ => "generate_series".to_owned(),
    };
    let Some(column) = parsed(&format!("\"{name}\"")) else { return };
    let is_plain = expr_of(item).is_some();
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return };
    let inside = match expr {
        Expr::Cast { expr: inner, .. } => inner.as_mut(),
        other => other,
    };
    if is_plain && is_series(inside) {
        found = Some(std::mem::replace(inside, column));
    }
    let from = found.and_then(|call| {
        let text = format!("SELECT 1 FROM {call} AS \"{name}\"");
        let query = Parser::new(&PostgreSqlDialect {}).try_with_sql(&text).ok()?.parse_query().ok()?;
        match *query.body {
            SetExpr::Select(select) => Some(select.from),
            _ => None,
        }
    });
    let from: Vec<TableWithJoins> = from.unwrap_or_default();
    select.from = from;
}

/// Writes the forms of a query otherwise.
///
/// # Errors
/// The refusal of a format that cannot be shown.
pub(super) fn plain(query: &mut Query) -> Result<(), Refusal> {
    let mut forms = Forms::default();
    let _ = visit_mut(query, &mut forms);
    forms.refusal.map_or(Ok(()), Err)
}
