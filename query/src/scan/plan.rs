//! Expressions as DataFusion's, over the rows of one region's table.
//!
//! Invariants: types fit together, so nothing is left to coerce at run time that could fail. Not here: values of a
//! subject's row, of funnels and of retentions, which `accumulators` know.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{self as df, expr::Like};
use datafusion::prelude::{Expr, col, lit};
use shoal_schemas::{Region, columns};

use shoal_language::{Arithmetic, Casing, Compare, Scalar, TimePart, Value};

const fn comparison(op: Compare) -> df::Operator {
    match op {
        Compare::Eq => df::Operator::Eq,
        Compare::NotEq => df::Operator::NotEq,
        Compare::Lt => df::Operator::Lt,
        Compare::LtEq => df::Operator::LtEq,
        Compare::Gt => df::Operator::Gt,
        Compare::GtEq => df::Operator::GtEq,
    }
}

const fn arithmetic(op: Arithmetic) -> df::Operator {
    match op {
        Arithmetic::Add => df::Operator::Plus,
        Arithmetic::Subtract => df::Operator::Minus,
        Arithmetic::Multiply => df::Operator::Multiply,
    }
}

/// As an expression over the rows of one region's table.
pub(crate) fn plan(scalar: &Scalar, region: Region) -> Expr {
    let of = |inner: &Scalar| plan(inner, region);
    match scalar {
        Scalar::Column { name, .. } => column(name),
        Scalar::Region => lit(region.as_str()),
        Scalar::Day => column(columns::DAY),
        Scalar::Time(grain) => {
            datafusion::functions::datetime::expr_fn::date_trunc(lit(grain.as_str()), column(columns::TIME))
        }
        Scalar::Value(value) => constant(value),
        Scalar::Compare(op, left, right) => df::binary_expr(of(left), comparison(*op), of(right)),
        Scalar::And(left, right) => of(left).and(of(right)),
        Scalar::Or(left, right) => of(left).or(of(right)),
        Scalar::Not(item) => df::not(of(item)),
        Scalar::In(item, list) => {
            let list = list.iter().map(constant).collect();
            df::in_list(of(item), list, false)
        }
        Scalar::IsNull(item) => of(item).is_null(),
        Scalar::Like { item, pattern, any_case } => {
            Expr::Like(Like::new(false, Box::new(of(item)), Box::new(lit(pattern.as_str())), None, *any_case))
        }
        Scalar::Case { branches, otherwise } => {
            let boxed = |s: &Scalar| Box::new(of(s));
            let branches = branches.iter().map(|(w, t)| (boxed(w), boxed(t))).collect();
            let otherwise = otherwise.as_deref().map(boxed);
            Expr::Case(df::Case::new(None, branches, otherwise))
        }
        Scalar::Coalesce(items) => {
            datafusion::functions::core::expr_fn::coalesce(items.iter().map(|item| of(item)).collect())
        }
        Scalar::Upper(item) => match &**item {
            Scalar::Value(Value::Text(text)) => lit(Casing::Upper.of(text)),
            _ => datafusion::functions::string::expr_fn::upper(of(item)),
        },
        Scalar::Lower(item) => match &**item {
            Scalar::Value(Value::Text(text)) => lit(Casing::Lower.of(text)),
            _ => datafusion::functions::string::expr_fn::lower(of(item)),
        },
        Scalar::Arithmetic(op, left, right) => df::binary_expr(of(left), arithmetic(*op), of(right)),
        Scalar::Least(items) => {
            datafusion::functions::core::expr_fn::least(items.iter().map(|item| of(item)).collect())
        }
        Scalar::Greatest(items) => {
            datafusion::functions::core::expr_fn::greatest(items.iter().map(|item| of(item)).collect())
        }
        Scalar::Bucket { item, edges, labels } => bucket(of(item), edges, labels),
        Scalar::Part(TimePart::DayNumber) => {
            df::cast(df::cast(column(columns::DAY), DataType::Int32), DataType::Int64)
        }
        Scalar::Part(part) => df::cast(
            datafusion::functions::datetime::expr_fn::date_part(lit(part.as_str()), column(columns::TIME)),
            DataType::Int64,
        ),
        // Not columns of events: `accumulators` know them.
        Scalar::Person { .. } | Scalar::PersonKey { .. } | Scalar::Step | Scalar::Cohort | Scalar::Period => {
            lit(ScalarValue::Null)
        }
    }
}

/// The label of the first edge that is above the value; null of a null.
fn bucket(value: Expr, edges: &[i64], labels: &[Value]) -> Expr {
    let null = (Box::new(value.clone().is_null()), Box::new(lit(ScalarValue::Null)));
    let below = edges
        .iter()
        .zip(labels)
        .map(|(edge, label)| (Box::new(value.clone().lt(lit(*edge))), Box::new(constant(label))));
    let branches = std::iter::once(null).chain(below).collect();
    Expr::Case(df::Case::new(None, branches, labels.last().map(|label| Box::new(constant(label)))))
}

fn column(name: &str) -> Expr {
    col(datafusion::common::Column::new_unqualified(name))
}

fn constant(value: &Value) -> Expr {
    match value {
        Value::Null => lit(ScalarValue::Null),
        Value::Boolean(b) => lit(*b),
        Value::Number(units, _) => lit(*units),
        Value::Day(day) => lit(ScalarValue::Date32(Some(*day))),
        Value::Time(ms) => lit(ScalarValue::TimestampMillisecond(Some(*ms), Some("UTC".into()))),
        Value::Text(text) => lit(text.as_str()),
    }
}
