//! The aggregates of one call, each with the bound of what one subject's day contributes.
//!
//! Invariants: a bound is a clamp, so a bound that is too small makes an answer biased but never unsafe. It is the registry's
//! where the registry has one for the number (`bounds`). Not here: names and arguments of calls (`aggregate.rs`).

use shoal_schemas::grid;
use sqlparser::ast::{Expr, Spanned};
use sqlparser::tokenizer::Span;

use super::bounds::Bounds;
use super::call::{Call, Formula, SESSIONS_DAY_MAX, WORKS};
use super::columns::{Columns, Named};
use super::literal::literal;
use super::numbers::scale_of;
use crate::error::{Refusal, Rule};
use crate::expr::{Arithmetic, Scalar, Shared, Type, Value, filter as kept, fixed_point_text, normal_of};
use crate::private_query::{Aggregate, AggregateOp};

/// Makes aggregates of one call.
pub(super) struct Binder<'b> {
    pub(super) scope: &'b Columns<'b>,
    pub(super) bounds: &'b Bounds<'b>,
    pub(super) span: Span,
}

fn both(a: Option<Scalar>, b: Shared<Scalar>) -> Option<Scalar> {
    let all: Shared<Scalar> = match a {
        Some(a) => Scalar::And(a.into(), b).into(),
        None => b,
    };
    kept(all)
}

/// Whether an expression is a constant that is not null.
fn is_constant(item: &Scalar) -> bool {
    matches!(item, Scalar::Value(value) if *value != Value::Null)
}

fn is_nothing(item: Option<&Scalar>) -> bool {
    matches!(item, None | Some(Scalar::Value(Value::Null)))
}

impl Binder<'_> {
    fn refused(&self, message: impl Into<String>, suggestion: impl Into<String>) -> Refusal {
        Refusal::new(Rule::Aggregate, self.span, message, suggestion)
    }

    pub(super) fn unknown(&self, name: &str, args: &[Option<&Expr>]) -> Refusal {
        let measure = args.iter().flatten().find_map(|arg| self.scope.number(arg, None).ok());
        let table = self.scope.table.kind;
        match (name, measure) {
            ("min" | "max", Some(measure)) if matches!(*measure, Scalar::Column { .. }) => {
                let (at, word) = if name == "min" { ("0.01", "smallest") } else { ("0.99", "largest") };
                let message = format!(
                    "{} would tell the {word} value of one person. A quantile tells about many, which is another question.",
                    name.to_uppercase()
                );
                self.refused(message, format!("SELECT quantile({measure}, {at}) FROM {table}"))
            }
            ("min" | "max", _) => {
                let message = format!("{} would tell the value of one person.", name.to_uppercase());
                self.refused(message, format!("SELECT day, COUNT(*) FROM {table} GROUP BY day ORDER BY day"))
            }
            ("array_agg" | "string_agg" | "first_value" | "last_value" | "first" | "last" | "any_value" | "mode", _) => {
                let message = "This aggregate shows values of rows; group by the values instead.";
                self.refused(message, format!("SELECT os, COUNT(*) AS n FROM {table} GROUP BY os ORDER BY n DESC"))
            }
            ("bool_or" | "bool_and" | "every", _) => {
                let message = "This aggregate tells about one row; count instead.";
                let suggestion = "SELECT COUNT(*) FILTER (WHERE result = 'ok') AS ok, COUNT(*) AS n FROM usage";
                self.refused(message, suggestion)
            }
            _ => self.refused(
                "The aggregates over events are COUNT, SUM, AVG, VAR, STDDEV, MEDIAN, QUANTILE, PERCENTILE_CONT and \
                    HISTOGRAM, without DISTINCT except in COUNT(DISTINCT subject) and COUNT(DISTINCT session).",
                WORKS,
            ),
        }
    }

    /// A count, bounded by the day's maximum of the events it can meet in one group.
    pub(super) fn count(&self, op: AggregateOp, filter: Option<Scalar>) -> Aggregate {
        let linf = self.bounds.rows_max(self.scope.table, filter.as_ref());
        let unit = if self.bounds.rows_max.is_some() { "subjects" } else { "events" };
        Aggregate { op, filter, linf, unit: Some(unit.to_owned()), scale: 0 }
    }

    /// COUNT(expression): of a constant it is COUNT(*), of a CASE a filter.
    pub(super) fn present(&self, expr: &Expr, filter: Option<Scalar>) -> Result<Aggregate, Refusal> {
        if self.scope.unit(expr) == Some(Named::Subject) {
            return Ok(self.count(AggregateOp::Rows, filter));
        }
        match self.scope.normal(expr)?.into_node() {
            Scalar::Value(Value::Null) => Err(self.refused("COUNT(NULL) counts nothing.", WORKS)),
            Scalar::Value(_) => Ok(self.count(AggregateOp::Rows, filter)),
            item => Ok(self.presence(item, filter)),
        }
    }

    fn presence(&self, item: Scalar, filter: Option<Scalar>) -> Aggregate {
        match item {
            Scalar::Case { branches, otherwise } => {
                let constants = branches.iter().all(|(_, then)| is_constant(then));
                match (constants, otherwise.as_deref()) {
                    (true, None) => {
                        let any = branches.into_iter().map(|(when, _)| when);
                        let any = any.reduce(|a, b| Scalar::Or(a, b).into());
                        let filter = any.map_or(filter.clone(), |any| both(filter, any));
                        self.count(AggregateOp::Rows, filter)
                    }
                    (true, Some(other)) if is_constant(other) => self.count(AggregateOp::Rows, filter),
                    _ => self.count(AggregateOp::Present(Scalar::Case { branches, otherwise }), filter),
                }
            }
            item if is_constant(&item) || self.is_never_null(&item) => self.count(AggregateOp::Rows, filter),
            item => self.count(AggregateOp::Present(item), filter),
        }
    }

    fn is_never_null(&self, item: &Scalar) -> bool {
        match item {
            Scalar::Region | Scalar::Day | Scalar::Time(_) => true,
            Scalar::Column { name, .. } => {
                self.scope.table.column(name).is_some_and(|(_, column)| !column.nullable)
            }
            _ => false,
        }
    }

    /// COUNT(DISTINCT ..) of subjects or sessions, also of those inside a CASE.
    pub(super) fn distinct(&self, expr: &Expr, filter: Option<Scalar>) -> Result<Aggregate, Refusal> {
        let (unit, filter) = match expr {
            Expr::Nested(inner) => return self.distinct(inner, filter),
            Expr::Case { operand: None, conditions, else_result, .. } => {
                let is_null =
                    |expr: &Expr| matches!(literal(expr, None, self.scope.now_ms), Ok(Some(Value::Null)));
                match (conditions.as_slice(), else_result) {
                    ([one], otherwise) if otherwise.as_deref().is_none_or(is_null) => {
                        let when = self.scope.condition(&one.condition)?;
                        (self.scope.unit(&one.result), both(filter, when))
                    }
                    _ => (None, filter),
                }
            }
            other => (self.scope.unit(other), filter),
        };
        match unit {
            Some(Named::Subject) => {
                let unit = Some("subjects".to_owned());
                Ok(Aggregate { op: AggregateOp::Subjects, filter, linf: 1, unit, scale: 0 })
            }
            Some(Named::Session) => {
                let mut one = self.count(AggregateOp::Sessions, filter);
                one.linf = one.linf.min(SESSIONS_DAY_MAX);
                one.unit = Some("sessions".to_owned());
                Ok(one)
            }
            Some(Named::Value(_)) | None => {
                self.scope.scalar(expr, None)?;
                let message = "COUNT(DISTINCT ..) counts subjects or sessions. How many values there are can only be told of values that \
                    enough people have, by counting groups, which is another question.";
                let table = self.scope.table.kind;
                let suggestion = format!(
                    "SELECT COUNT(*) FROM (SELECT {expr} AS v, COUNT(*) AS n FROM {table} GROUP BY v) AS t"
                );
                Err(self.refused(message, suggestion))
            }
        }
    }

    /// Smallest and largest number that an expression can be in the rows that the filter lets through; none where it may
    /// overflow in any row of the table, because an aggregate's filter is applied after the expression.
    fn interval(&self, item: &Scalar, filter: Option<&Scalar>) -> Option<(i64, i64)> {
        self.scope.interval(item)?;
        item.interval(&|leaf| match leaf {
            Scalar::Column { name, .. } => self.bounds.values(self.scope.table, name, filter),
            other => self.scope.interval(other),
        })
    }

    pub(super) fn sum(&self, item: Shared<Scalar>, filter: Option<Scalar>) -> Result<Aggregate, Refusal> {
        // SUM(CASE WHEN c THEN x ELSE 0 END) is SUM(x) of the rows where c.
        let item = normal_of(&item);
        let (item, filter) = match item.as_ref() {
            Scalar::Case { branches, otherwise }
                if is_nothing(otherwise.as_deref())
                    || matches!(otherwise.as_deref(), Some(Scalar::Value(Value::Number(0, _)))) =>
            {
                match branches.as_slice() {
                    [(when, then)] => (then.clone(), both(filter, when.clone())),
                    _ => (item, filter),
                }
            }
            _ => (item, filter),
        };
        if *item == Scalar::Value(Value::Number(1, 0)) {
            return Ok(self.count(AggregateOp::Rows, filter));
        }
        let Some((low, high)) = self.interval(&item, filter.as_ref()) else {
            let suggestion = "SELECT SUM(amount) FROM usage WHERE event = 'purchase'";
            return Err(self.refused(
                "SUM, AVG, VAR and STDDEV take a measure, or a number made of measures.",
                suggestion,
            ));
        };
        let most = low.unsigned_abs().max(high.unsigned_abs());
        let (bounds, table) = (self.bounds, self.scope.table);
        let mut linf = bounds.rows_max(table, filter.as_ref()).saturating_mul(most);
        if let Some(name) = item.within(table)
            && let Some(day) = bounds.day_sum_max(table, &name, filter.as_ref())
        {
            let is_plain = matches!(*item, Scalar::Column { .. });
            linf = if is_plain { day } else { linf.min(day) };
        }
        // The bound of c times a number is c times the bound of the number.
        let factor = |item: &Scalar| match item {
            Scalar::Value(Value::Number(by, _)) => Some(*by),
            _ => None,
        };
        if let Scalar::Arithmetic(Arithmetic::Multiply, left, right) = item.as_ref()
            && let Some((by, of)) =
                factor(left).map(|by| (by, right)).or_else(|| factor(right).map(|by| (by, left)))
        {
            let of = self.sum(of.clone(), filter.clone());
            linf = of.map_or(linf, |of| linf.min(of.linf.saturating_mul(by.unsigned_abs())));
        }
        let (unit, scale) = (item.unit(self.scope.table), scale_of(&item));
        Ok(Aggregate { op: AggregateOp::Sum(item.into_node()), filter, linf: linf.max(1), unit, scale })
    }

    /// The sum of a number after the middle of its bounds is subtracted, and that middle, where this has a smaller bound than
    /// the plain sum.
    fn centered(&self, item: &Shared<Scalar>, filter: Option<&Scalar>) -> Result<(Aggregate, i64), Refusal> {
        let plain = self.sum(item.clone(), filter.cloned())?;
        if !matches!(plain.op, AggregateOp::Sum(_)) {
            return Ok((plain, 0));
        }
        let Some((low, high)) = self.interval(item, filter) else { return Ok((plain, 0)) };
        let center = low + (high - low) / 2;
        let value = Scalar::Value(Value::Number(center, scale_of(item)));
        let around = Scalar::Arithmetic(Arithmetic::Subtract, item.clone(), value.into());
        let around = self.sum(around.into(), filter.cloned())?;
        Ok(if around.linf < plain.linf {
            (Aggregate { unit: plain.unit, ..around }, center)
        } else {
            (plain, 0)
        })
    }

    pub(super) fn mean(&self, item: Shared<Scalar>, filter: Option<Scalar>) -> Result<Call, Refusal> {
        let item = normal_of(&item);
        let (total, center) = self.centered(&item, filter.as_ref())?;
        let Some((low, high)) = self.interval(&item, filter.as_ref()) else {
            return Err(self.refused("AVG takes a measure, or a number made of measures.", WORKS));
        };
        let text = |units: i64| fixed_point_text(units, scale_of(&item));
        let formula = Formula::Mean { center: text(center), low: text(low), high: text(high) };
        let number = self.presence(item.into_node(), filter);
        Ok(Call { aggregates: vec![total, number], formula, key: None })
    }

    pub(super) fn variance(
        &self,
        item: Shared<Scalar>,
        filter: Option<Scalar>,
        formula: Formula,
    ) -> Result<Call, Refusal> {
        let item = normal_of(&item);
        let Some((low, high)) = self.interval(&item, filter.as_ref()) else {
            return Err(self.refused("VAR and STDDEV take a measure, or a number made of measures.", WORKS));
        };
        let squares = |center: i64| -> Result<(Shared<Scalar>, Aggregate), Refusal> {
            let value = Scalar::Value(Value::Number(center, scale_of(&item)));
            let around = match center {
                0 => item.clone(),
                _ => Scalar::Arithmetic(Arithmetic::Subtract, item.clone(), value.into()).into(),
            };
            let square = Scalar::Arithmetic(Arithmetic::Multiply, around.clone(), around.clone());
            let mut total = self.sum(square.into(), filter.clone())?;
            // The sum of squares is not above the largest value times the sum of values.
            let values = self.sum(around.clone(), filter.clone())?;
            let most =
                low.saturating_sub(center).unsigned_abs().max(high.saturating_sub(center).unsigned_abs());
            total.linf = total.linf.min(most.saturating_mul(values.linf)).max(1);
            Ok((around, total))
        };
        let (plain, around) = (squares(0), squares(low + (high - low) / 2));
        let (item_used, squares) = match (plain, around) {
            (Ok(plain), Ok(around)) if plain.1.linf <= around.1.linf => plain,
            (_, Ok(around)) => around,
            (plain, Err(_)) => plain?,
        };
        let total = self.sum(item_used, filter.clone())?;
        let number = self.presence(item.into_node(), filter);
        Ok(Call { aggregates: vec![total, squares, number], formula, key: None })
    }

    /// A share between 0 and 1, in millionths.
    pub(super) fn share(&self, expr: &Expr) -> Result<u32, Refusal> {
        match literal(expr, Some(Type::Number { scale: 6 }), self.scope.now_ms) {
            Ok(Some(Value::Number(millionths @ 0..=1_000_000, _))) => {
                Ok(u32::try_from(millionths).unwrap_or(0))
            }
            _ => {
                let message = "A quantile is one constant between 0 and 1 with at most six decimal places.";
                let suggestion = "SELECT quantile(duration_ms, 0.5) AS p50, quantile(duration_ms, 0.95) AS p95 FROM performance";
                Err(Refusal::new(Rule::Aggregate, expr.span(), message, suggestion))
            }
        }
    }

    pub(super) fn quantile(
        &self,
        item: Shared<Scalar>,
        millionths: u32,
        filter: Option<Scalar>,
    ) -> Result<Aggregate, Refusal> {
        let measure = normal_of(&item).into_node();
        let bounds = self.interval(&measure, filter.as_ref());
        let Some((low, high)) = bounds.filter(|_| !is_constant(&measure)) else {
            let suggestion = "SELECT median(duration_ms) FROM performance WHERE event = 'page_load'";
            return Err(self.refused("A quantile takes a measure, or a number made of measures.", suggestion));
        };
        let (unit, scale, edges) = (measure.unit(self.scope.table), scale_of(&measure), grid(low, high));
        Ok(Aggregate {
            op: AggregateOp::Quantile { measure, millionths, edges },
            filter,
            linf: 1,
            unit,
            scale,
        })
    }
}
