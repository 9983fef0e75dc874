//! `generate_series` with literal bounds: the rows that fill gaps between released rows.
//!
//! ```text
//! FROM generate_series(DATE '2026-11-01', DATE '2026-11-03', INTERVAL '1 day') AS d
//! FROM "series_0" AS "d" ("d"), with WITH "series_0" ("v") AS (SELECT CAST("v" AS DATE) AS "v" FROM (VALUES ('2026-11-01'), ..))
//! ```
//! Invariants: the rows are worked out here, from the text and the time of the request, and there are at most [`ROWS_MAX`] of
//! them in a statement; no planner sees the function. Days in steps of days are dates. Not here: other relations (`split`).

use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Interval, Spanned};
use sqlparser::tokenizer::Span;

use super::scope::Split;
use crate::bind::interval::{interval, moved};
use crate::bind::literal::literal;
use crate::calendar::{day_text, parse_time, time_text};
use crate::error::{Refusal, Rule};
use crate::expr::Value;
use crate::syntax::text_of;
use shoal_schemas::calendar::{DAY_MS, day_of, start_of};

/// Most rows of all series of a statement. `docs/sql.md` has it.
const ROWS_MAX: usize = 10_000;

const WORKS: &str = "WITH days AS (SELECT d AS day FROM generate_series(DATE '2026-11-01', DATE '2026-11-07', INTERVAL '1 day') AS d), \
    bought AS (SELECT day, COUNT(*) AS n FROM usage WHERE event = 'purchase' AND day BETWEEN '2026-11-01' AND '2026-11-07' GROUP BY \
    day) SELECT days.day, bought.n FROM days LEFT JOIN bought ON bought.day = days.day ORDER BY days.day";

/// The rows of a series, as literals of a type.
enum Rows {
    Numbers(Vec<i64>),
    Days(Vec<i32>),
    Times(Vec<i64>),
}

fn refused(message: &str, span: Span) -> Refusal {
    Refusal::new(Rule::Table, span, message, WORKS)
}

/// The step of a series: an interval, or the text of one.
fn step_of(by: &Expr) -> Option<Interval> {
    let of_text = || {
        text_of(by).map(|_| Interval {
            value: Box::new(by.clone()),
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        })
    };
    interval(by).or_else(of_text)
}

/// Values from the first to the last; none when there are too many.
fn steps<T: Copy>(first: T, is_in: &dyn Fn(T) -> bool, next: &dyn Fn(T) -> Option<T>) -> Option<Vec<T>> {
    let mut all = Vec::new();
    let mut at = Some(first);
    while let Some(value) = at.filter(|value| is_in(*value)) {
        if all.len() == ROWS_MAX {
            return None;
        }
        all.push(value);
        at = next(value);
    }
    Some(all)
}

impl Split<'_> {
    /// The query of a series' rows, and how many there are.
    fn rows_of_series(&self, args: &[FunctionArg], span: Span) -> Result<Rows, Refusal> {
        let exprs: Option<Vec<&Expr>> = args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
            })
            .collect();
        let (from, to, by) = match exprs.as_deref() {
            Some([from, to]) => (*from, *to, None),
            Some([from, to, by]) => (*from, *to, Some(*by)),
            _ => return Err(refused("generate_series takes a first value, a last value and a step.", span)),
        };
        let bound = |expr: &Expr| match literal(expr, None, self.now_ms)? {
            Some(Value::Text(text)) => match parse_time(&text) {
                Some(ms) if ms.rem_euclid(DAY_MS) == 0 => Ok(Value::Day(day_of(ms))),
                Some(ms) => Ok(Value::Time(ms)),
                None => Err(refused(
                    "A series goes from a date, a time or a whole number to another.",
                    expr.span(),
                )),
            },
            Some(value) => Ok(value),
            None => {
                let message = "The bounds of generate_series are literals, such as DATE '2026-11-01' or current_date - 6; a subquery \
                    cannot be one.";
                Err(refused(message, expr.span()))
            }
        };
        let too_many = || {
            let message = format!("A statement has at most {ROWS_MAX} rows of generate_series.");
            Refusal::new(Rule::Size, span, message, WORKS)
        };
        let (first, last) = (bound(from)?, bound(to)?);
        if let (Value::Number(first, 0), Value::Number(last, 0)) = (&first, &last) {
            let by = match by.map(|by| literal(by, None, self.now_ms)).transpose()?.flatten() {
                None if by.is_none() => 1,
                Some(Value::Number(by, 0)) if by > 0 => by,
                _ => return Err(refused("The step of a series of numbers is a whole number above 0.", span)),
            };
            let rows = steps(*first, &|n| n <= *last, &|n| n.checked_add(by));
            return rows.map(Rows::Numbers).ok_or_else(too_many);
        }
        let ms = |value: &Value| match value {
            Value::Day(day) => Some(start_of(*day)),
            Value::Time(ms) => Some(*ms),
            Value::Null | Value::Boolean(_) | Value::Number(..) | Value::Text(_) => None,
        };
        let (Some(start), Some(end)) = (ms(&first), ms(&last)) else {
            return Err(refused("A series goes from a date, a time or a whole number to another.", span));
        };
        let step = by.and_then(step_of).ok_or_else(|| {
            refused("The step of a series of days or times is an interval, such as INTERVAL '1 day'.", span)
        })?;
        let next = |at: i64| moved(at, &step, 1).ok().filter(|next| *next > at);
        if next(start).is_none() {
            return Err(refused("The step of a series must go forward in time.", span));
        }
        let rows = steps(start, &|at| at <= end, &next).ok_or_else(too_many)?;
        let are_days = matches!(first, Value::Day(_)) && rows.iter().all(|at| at.rem_euclid(DAY_MS) == 0);
        Ok(match are_days {
            true => Rows::Days(rows.into_iter().map(day_of).collect()),
            false => Rows::Times(rows),
        })
    }

    /// The days of a series of days, or of first moments of days, and whether they are such moments; `None` for every other.
    pub(super) fn days_of_series(&self, args: &[FunctionArg], span: Span) -> Option<(Vec<i32>, bool)> {
        match self.rows_of_series(args, span).ok()? {
            Rows::Days(days) => Some((days, false)),
            Rows::Times(all) => {
                let is_first = |ms: &i64| ms.rem_euclid(DAY_MS) == 0;
                all.iter().all(is_first).then(|| (all.into_iter().map(day_of).collect(), true))
            }
            Rows::Numbers(_) => None,
        }
    }

    /// The name of a series in the postprocessing text.
    pub(super) fn series(&mut self, args: &[FunctionArg], span: Span) -> Result<String, Refusal> {
        let rows = self.rows_of_series(args, span)?;
        let quoted =
            |texts: Vec<String>| -> Vec<String> { texts.iter().map(|text| format!("('{text}')")).collect() };
        let (ty, all): (&str, Vec<String>) = match rows {
            Rows::Numbers(all) => ("BIGINT", all.iter().map(|n| format!("({n})")).collect()),
            Rows::Days(all) => ("DATE", quoted(all.into_iter().map(day_text).collect())),
            Rows::Times(all) => {
                ("TIMESTAMP WITH TIME ZONE", quoted(all.into_iter().map(time_text).collect::<Vec<_>>()))
            }
        };
        self.rows_of_text += all.len();
        if self.rows_of_text > ROWS_MAX {
            let message = format!("A statement has at most {ROWS_MAX} rows of generate_series.");
            return Err(Refusal::new(Rule::Size, span, message, WORKS));
        }
        let name = format!("series_{}", self.added.len());
        // A series without a row has one that is left out, because VALUES cannot be empty.
        let (rows, condition) = match all.is_empty() {
            true => ("(NULL)".to_owned(), " WHERE FALSE"),
            false => (all.join(", "), ""),
        };
        let query = format!(
            "WITH \"{name}\" (\"v\") AS (SELECT CAST(\"v\" AS {ty}) AS \"v\" FROM (VALUES {rows}) AS \"t\" (\"v\"){condition}) SELECT 1"
        );
        self.added.push((name.clone(), query));
        Ok(name)
    }
}
