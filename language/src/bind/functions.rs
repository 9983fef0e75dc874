//! Functions over columns that are total and cheap.
//!
//! Invariants: the list is closed. An argument is a literal wherever the cost of the function, or whether it can fail, would
//! otherwise depend on a row.

use shoal_schemas::grid;
use sqlparser::ast::{BinaryOperator, Expr, Function, Spanned};
use sqlparser::tokenizer::Span;

use super::bounds::Bounds;
use super::columns::Columns;
use super::interval::length_ms;
use super::literal::literal;
use super::numbers::{finer, scale_of};
use crate::calendar::Grain;
use crate::error::{Refusal, Rule};
use crate::expr::{Arithmetic, Compare, Scalar, Shared, TimePart, Type, Value};
use crate::syntax::plain_call;
use shoal_schemas::calendar::{DAY_MS, HOUR_MS};
use shoal_schemas::nearest::nearest;

/// The functions that can be used on columns of events. No other name is bound.
pub const FUNCTIONS: [&str; 17] = [
    "upper",
    "lower",
    "coalesce",
    "ifnull",
    "nvl",
    "nullif",
    "least",
    "greatest",
    "abs",
    "starts_with",
    "contains",
    "date_trunc",
    "date_bin",
    "date_part",
    "date",
    "bucket",
    "width_bucket",
];

/// Most buckets of WIDTH_BUCKET and FLOOR.
const BUCKETS_MAX: i64 = 1_000;

impl Columns<'_> {
    /// The refusal of a call, with the nearest function that can be used.
    fn no_such(&self, name: &str, span: Span) -> Refusal {
        const OF_TEXTS: [&str; 10] = [
            "split_part",
            "left",
            "right",
            "substr",
            "substring",
            "concat",
            "trim",
            "replace",
            "length",
            "btrim",
        ];
        if OF_TEXTS.contains(&name) {
            let (message, suggestion) = super::unsupported::CUT;
            return Refusal::new(Rule::Function, span, message, suggestion);
        }
        if name == "to_char" {
            let message = "A key that to_char shows has a format that names a whole hour, day, week or month, with its year. A part of it \
                alone is a number: extract(hour FROM time), and dow, isodow, day, week, month, quarter or year.";
            let suggestion = "SELECT extract(isodow FROM time) AS weekday, COUNT(*) AS n FROM usage GROUP BY weekday ORDER BY weekday";
            return Refusal::new(Rule::Function, span, message, suggestion);
        }
        match nearest(name, FUNCTIONS.into_iter()).filter(|known| *known != name) {
            Some(known) => {
                let Refusal { example, .. } = not_a_function(span);
                let message =
                    format!("There is no such function for columns of events; the nearest is `{known}`.");
                Refusal::new(Rule::Function, span, message, example)
            }
            None => not_a_function(span),
        }
    }

    /// A call.
    pub(super) fn function(
        &self,
        function: &Function,
        expected: Option<Type>,
    ) -> Result<Shared<Scalar>, Refusal> {
        let span = function.span();
        let Some((name, args)) = plain_call(function) else {
            return Err(not_a_function(span));
        };
        if !FUNCTIONS.contains(&name.as_str()) {
            return Err(self.no_such(&name, span));
        }
        let made = match (name.as_str(), args.as_slice()) {
            ("upper" | "lower", [item]) => {
                let bound = self.scalar(item, Some(Type::Text))?;
                let bound = self.expect(bound, Type::Text, item)?;
                Ok(if name == "upper" { Scalar::Upper(bound) } else { Scalar::Lower(bound) })
            }
            ("coalesce" | "ifnull" | "nvl", [_, ..]) => {
                let mut ty = expected;
                let items = args.iter().map(|arg| self.same(arg, &mut ty)).collect::<Result<_, _>>()?;
                Ok(Scalar::Coalesce(alike(items)))
            }
            ("nullif", [left, right]) => {
                let item = self.scalar(left, expected)?;
                // A value that is not listed is fine here: tools write `NULLIF(os, '')`.
                let same = self.compared(&item, Compare::Eq, right)?;
                let branches = vec![(same.into(), Scalar::Value(Value::Null).into())];
                Ok(Scalar::Case { branches, otherwise: Some(item) })
            }
            ("least" | "greatest", [_, ..]) => {
                let items = args.iter().map(|arg| self.number(arg, None)).collect::<Result<Vec<_>, _>>()?;
                let items = alike(items);
                let item = if name == "least" { Scalar::Least(items) } else { Scalar::Greatest(items) };
                self.checked(item, span)
            }
            ("abs", [item]) => {
                let item = self.number(item, None)?;
                let zero = Scalar::Value(Value::Number(0, scale_of(&item)));
                let minus = Scalar::Arithmetic(Arithmetic::Subtract, zero.into(), item.clone());
                self.checked(Scalar::Greatest(vec![item, minus.into()]), span)
            }
            ("starts_with" | "contains", [item, text]) => self.has(&name, item, text),
            ("date_trunc", [grain, item]) => self.date_trunc(grain, item, span),
            ("date_bin", [width, item]) => self.date_bin(width, item, span),
            ("date_part", [part, item]) => match literal(part, Some(Type::Text), self.now_ms)? {
                Some(Value::Text(part)) => self.part(&part, item, span),
                _ => Err(not_a_function(span)),
            },
            ("date", [item]) => match *self.scalar(item, None)? {
                Scalar::Time(Grain::Hour | Grain::Day) | Scalar::Day => Ok(Scalar::Day),
                _ => Err(not_a_function(span)),
            },
            ("bucket", [item]) => {
                let item = self.number(item, None)?;
                self.grid_bucket(item, span)
            }
            ("width_bucket", [item, low, high, count]) => self.width_bucket(item, [low, high, count], span),
            _ => Err(self.no_such(&name, span)),
        };
        made.map(Shared::new)
    }

    fn checked(&self, item: Scalar, span: Span) -> Result<Scalar, Refusal> {
        self.interval(&item).is_some().then_some(item).ok_or_else(|| no_bounds(span))
    }

    fn has(&self, name: &str, item: &Expr, text: &Expr) -> Result<Scalar, Refusal> {
        let bound = self.scalar(item, Some(Type::Text))?;
        let bound = self.expect(bound, Type::Text, item)?;
        let Some(Value::Text(text)) = literal(text, Some(Type::Text), self.now_ms)? else {
            return Err(not_a_function(text.span()));
        };
        let mut pattern = String::new();
        for c in text.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        if name == "contains" {
            pattern.insert(0, '%');
        }
        Ok(Scalar::Like { item: bound, pattern, any_case: false })
    }

    /// The first day of the week or month that a subject's first or last day is in, as a bucket of days.
    fn bucket_of_days(&self, grain: Grain, item: Shared<Scalar>) -> Option<Scalar> {
        let (first, last) = self.interval(&item)?;
        let (first, last) = (i32::try_from(first).ok()?, i32::try_from(last).ok()?);
        let starts: Vec<i64> =
            (first..=last).skip(1).filter(|day| grain.bucket(*day) == *day).map(i64::from).collect();
        let labels = std::iter::once(i64::from(grain.bucket(first))).chain(starts.iter().copied());
        let labels = labels.map(|day| Value::Number(day, 0)).collect();
        Some(Scalar::Bucket { item, edges: starts, labels })
    }

    fn date_trunc(&self, grain: &Expr, item: &Expr, span: Span) -> Result<Scalar, Refusal> {
        if is_moved(item) {
            let message = "A time is not moved before it is cut, because weeks, days and hours are those of UTC, and weeks begin on Monday. \
                Events can be added up to other weeks after their release, as in the example; people of other weeks are windows.";
            let suggestion = "SELECT date_trunc('week', day + INTERVAL '1 day') - INTERVAL '1 day' AS week_from_sunday, SUM(n) AS events FROM \
                (SELECT day, COUNT(*) AS n FROM usage WHERE day >= current_date - 27 GROUP BY day) AS days GROUP BY 1 ORDER BY 1";
            return Err(Refusal::new(Rule::Function, span, message, suggestion));
        }
        let grain = match literal(grain, Some(Type::Text), self.now_ms)? {
            Some(Value::Text(text)) => Grain::parse(&text),
            _ => None,
        };
        let bound = self.scalar(item, None)?;
        if let Some(grain @ (Grain::Week | Grain::Month)) = grain
            && self.is_persons_day(&bound)
            && let Some(bucket) = self.bucket_of_days(grain, bound.clone())
        {
            return Ok(bucket);
        }
        match (grain, &*bound) {
            (Some(grain), Scalar::Time(Grain::Hour)) => Ok(Scalar::Time(grain)),
            (
                Some(grain @ (Grain::Day | Grain::Week | Grain::Month)),
                Scalar::Day | Scalar::Time(Grain::Day),
            ) => Ok(Scalar::Time(grain)),
            // Cut to what it is cut to.
            (Some(grain), Scalar::Time(inner)) if grain == *inner => Ok(Scalar::Time(grain)),
            _ => {
                let message = "date_trunc takes 'hour', 'day', 'week' or 'month', and time.";
                let suggestion = "SELECT date_trunc('week', time) AS week, COUNT(*) FROM usage GROUP BY week";
                Err(Refusal::new(Rule::Function, span, message, suggestion))
            }
        }
    }

    fn date_bin(&self, width: &Expr, item: &Expr, span: Span) -> Result<Scalar, Refusal> {
        match (length_ms(width), &*self.scalar(item, None)?) {
            (Some(HOUR_MS), Scalar::Time(Grain::Hour)) => Ok(Scalar::Time(Grain::Hour)),
            (Some(DAY_MS), Scalar::Time(Grain::Hour) | Scalar::Day) => Ok(Scalar::Time(Grain::Day)),
            _ => {
                let message = "date_bin takes an hour or a day, and time.";
                let suggestion = "SELECT date_trunc('week', time) AS week, COUNT(*) FROM usage GROUP BY week";
                Err(Refusal::new(Rule::Function, span, message, suggestion))
            }
        }
    }

    /// EXTRACT.
    pub(super) fn part(&self, part: &str, item: &Expr, span: Span) -> Result<Scalar, Refusal> {
        const PARTS: [TimePart; 8] = [
            TimePart::Hour,
            TimePart::Dow,
            TimePart::Isodow,
            TimePart::Day,
            TimePart::Week,
            TimePart::Month,
            TimePart::Quarter,
            TimePart::Year,
        ];
        let part = PARTS.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(part));
        match (part, &*self.scalar(item, None)?) {
            (Some(part), Scalar::Time(Grain::Hour)) => Ok(Scalar::Part(part)),
            (Some(part), Scalar::Day | Scalar::Time(Grain::Day)) if part != TimePart::Hour => {
                Ok(Scalar::Part(part))
            }
            _ => {
                let message = "EXTRACT takes hour, dow, isodow, day, week, month, quarter or year, and time.";
                let suggestion = "SELECT extract(hour FROM time) AS hour, COUNT(*) FROM usage GROUP BY hour";
                Err(Refusal::new(Rule::Function, span, message, suggestion))
            }
        }
    }

    /// The lower edge on the number's grid.
    pub(crate) fn grid_bucket(&self, item: Shared<Scalar>, span: Span) -> Result<Scalar, Refusal> {
        if self.interval(&item).is_none() {
            return Err(no_bounds(span));
        }
        let scale = scale_of(&item);
        let (low, high) = self.interval(&item).unwrap_or((0, 0));
        let edges = grid(low, high);
        let inner = edges.len().saturating_sub(1);
        let labels = edges.iter().take(inner).map(|edge| Value::Number(*edge, scale)).collect();
        let edges = edges.into_iter().take(inner).skip(1).collect();
        Ok(Scalar::Bucket { item, edges, labels })
    }

    fn width_bucket(
        &self,
        item: &Expr,
        [low, high, count]: [&Expr; 3],
        span: Span,
    ) -> Result<Scalar, Refusal> {
        let item = self.number(item, None)?;
        let scale = scale_of(&item);
        let constant = |expr: &Expr, scale| match literal(expr, Some(Type::Number { scale }), self.now_ms) {
            Ok(Some(Value::Number(units, _))) => Some(units),
            _ => None,
        };
        let (Some(low), Some(high), Some(count)) =
            (constant(low, scale), constant(high, scale), constant(count, 0))
        else {
            return Err(not_a_function(span));
        };
        if !(1..=BUCKETS_MAX).contains(&count) || low >= high || high.saturating_sub(low) < count {
            let message =
                "WIDTH_BUCKET takes a low and a higher edge and at most 1000 buckets of a unit or more.";
            let suggestion =
                "SELECT width_bucket(duration_ms, 0, 5000, 20) AS b, COUNT(*) FROM performance GROUP BY b";
            return Err(Refusal::new(Rule::Function, span, message, suggestion));
        }
        let edge = |n: i64| {
            let wide = i128::from(high - low) * i128::from(n);
            let count = i128::from(count);
            i64::try_from(i128::from(low) + (wide + count - 1).div_euclid(count)).unwrap_or(i64::MAX)
        };
        let edges = (0..=count).map(edge).collect();
        let labels = (0..=count + 1).map(|n| Value::Number(n, 0)).collect();
        Ok(Scalar::Bucket { item, edges, labels })
    }

    /// `floor(measure / 100) * 100`, as a bucket.
    pub(super) fn floored(&self, item: &Expr, width: &Expr, times: Option<&Expr>) -> Option<Scalar> {
        let item = self.number(item, None).ok()?;
        self.interval(&item)?;
        // Of the events that the filter names.
        let bounds =
            Bounds { registry: self.registry, filter: self.filter.as_ref(), by_event: false, rows_max: None };
        let (low, high) = item.interval(&|leaf| match leaf {
            Scalar::Column { name, .. } => bounds.values(self.table, name, None),
            other => self.interval(other),
        })?;
        let (least, most) = super::scope::between(self.filter.as_ref(), &item);
        let (low, high) = (low.max(least.unwrap_or(low)), high.min(most.unwrap_or(high)));
        let constant = |expr: &Expr| match literal(expr, Some(Type::Number { scale: 0 }), self.now_ms) {
            Ok(Some(Value::Number(units, _))) => Some(units),
            _ => None,
        };
        let width = constant(width).filter(|width| *width > 0)?;
        let by = times.map_or(Some(1), constant)?;
        let (first, last) = (low.div_euclid(width), high.div_euclid(width));
        if scale_of(&item) != 0 || last - first >= BUCKETS_MAX {
            return None;
        }
        let edges = (first + 1..=last).map(|n| n * width).collect();
        let labels =
            (first..=last).map(|n| Some(Value::Number(n.checked_mul(by)?, 0))).collect::<Option<_>>()?;
        Some(Scalar::Bucket { item, edges, labels })
    }
}

/// Numbers with as many decimal places each.
pub(super) fn alike(items: Vec<Shared<Scalar>>) -> Vec<Shared<Scalar>> {
    let scale = items.iter().map(|item| scale_of(item)).max().unwrap_or(0);
    let is_number = |item: &Shared<Scalar>| matches!(item.ty(), Some(Type::Number { .. }));
    items.into_iter().map(|item| if is_number(&item) { finer(item, scale) } else { item }).collect()
}

/// Whether an expression is moved by an interval.
fn is_moved(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_moved(inner),
        Expr::BinaryOp { op: BinaryOperator::Plus | BinaryOperator::Minus, right, .. } => {
            matches!(**right, Expr::Interval(_))
        }
        _ => false,
    }
}

fn no_bounds(span: Span) -> Refusal {
    let message = "This function takes measures and constants.";
    let suggestion = "SELECT SUM(least(duration_ms, 10000)) FROM performance WHERE event = 'page_load'";
    Refusal::new(Rule::Function, span, message, suggestion)
}

/// The refusal of a function that is not on the list.
pub(super) fn not_a_function(span: Span) -> Refusal {
    let message = "This function cannot be used on columns of events (upper, lower, coalesce, nullif, least, greatest, \
        abs, starts_with, date_trunc, date_bin, date_part, bucket and width_bucket can).";
    let suggestion = "SELECT upper(os) AS system, date_trunc('week', time) AS week, COUNT(*) FROM usage GROUP BY system, week";
    Refusal::new(Rule::Function, span, message, suggestion)
}
