//! Expressions as DataFusion's, over the rows of one region's table.
//!
//! Invariants: types fit together, so nothing is left to coerce at run time that could fail. Not here: values of a
//! subject's row, of funnels and of retentions, which `execute` knows.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{self as df, expr::Like};
use datafusion::prelude::{Expr, col, lit};
use shoal_schemas::{Region, columns};

use super::{Arithmetic, Compare, Part, Scalar, Value};

impl Compare {
    const fn operator(self) -> df::Operator {
        match self {
            Compare::Eq => df::Operator::Eq,
            Compare::NotEq => df::Operator::NotEq,
            Compare::Lt => df::Operator::Lt,
            Compare::LtEq => df::Operator::LtEq,
            Compare::Gt => df::Operator::Gt,
            Compare::GtEq => df::Operator::GtEq,
        }
    }
}

impl Arithmetic {
    const fn operator(self) -> df::Operator {
        match self {
            Arithmetic::Add => df::Operator::Plus,
            Arithmetic::Subtract => df::Operator::Minus,
            Arithmetic::Multiply => df::Operator::Multiply,
        }
    }
}

impl Scalar {
    /// As an expression over the rows of one region's table.
    pub(crate) fn plan(&self, region: Region) -> Expr {
        match self {
            Scalar::Column { name, .. } => column(name),
            Scalar::Region => lit(region.as_str()),
            Scalar::Day => column(columns::DAY),
            Scalar::Time(grain) => datafusion::functions::datetime::expr_fn::date_trunc(
                lit(grain.as_str()),
                column(columns::TIME),
            ),
            Scalar::Value(value) => value.plan(),
            Scalar::Compare(op, left, right) => {
                df::binary_expr(left.plan(region), op.operator(), right.plan(region))
            }
            Scalar::And(left, right) => left.plan(region).and(right.plan(region)),
            Scalar::Or(left, right) => left.plan(region).or(right.plan(region)),
            Scalar::Not(item) => df::not(item.plan(region)),
            Scalar::In(item, list) => {
                let list = list.iter().map(Value::plan).collect();
                df::in_list(item.plan(region), list, false)
            }
            Scalar::IsNull(item) => item.plan(region).is_null(),
            Scalar::Like { item, pattern, any_case } => Expr::Like(Like::new(
                false,
                Box::new(item.plan(region)),
                Box::new(lit(pattern.as_str())),
                None,
                *any_case,
            )),
            Scalar::Case { branches, otherwise } => {
                let boxed = |s: &Scalar| Box::new(s.plan(region));
                let branches = branches.iter().map(|(w, t)| (boxed(w), boxed(t))).collect();
                let otherwise = otherwise.as_deref().map(boxed);
                Expr::Case(df::Case::new(None, branches, otherwise))
            }
            Scalar::Coalesce(items) => datafusion::functions::core::expr_fn::coalesce(
                items.iter().map(|item| item.plan(region)).collect(),
            ),
            Scalar::Upper(item) => datafusion::functions::string::expr_fn::upper(item.plan(region)),
            Scalar::Lower(item) => datafusion::functions::string::expr_fn::lower(item.plan(region)),
            Scalar::Arithmetic(op, left, right) => {
                df::binary_expr(left.plan(region), op.operator(), right.plan(region))
            }
            Scalar::Least(items) => {
                datafusion::functions::core::expr_fn::least(items.iter().map(|i| i.plan(region)).collect())
            }
            Scalar::Greatest(items) => {
                datafusion::functions::core::expr_fn::greatest(items.iter().map(|i| i.plan(region)).collect())
            }
            Scalar::Bucket { item, edges, labels } => bucket(item.plan(region), edges, labels),
            Scalar::Part(Part::DayNumber) => {
                df::cast(df::cast(column(columns::DAY), DataType::Int32), DataType::Int64)
            }
            Scalar::Part(part) => df::cast(
                datafusion::functions::datetime::expr_fn::date_part(
                    lit(part.as_str()),
                    column(columns::TIME),
                ),
                DataType::Int64,
            ),
            // Not columns of events: `execute` knows them.
            Scalar::Person { .. }
            | Scalar::PersonKey { .. }
            | Scalar::Step
            | Scalar::Cohort
            | Scalar::Period => lit(ScalarValue::Null),
        }
    }
}

/// The label of the first edge that is above the value; null of a null.
fn bucket(value: Expr, edges: &[i64], labels: &[Value]) -> Expr {
    let null = (Box::new(value.clone().is_null()), Box::new(lit(ScalarValue::Null)));
    let below = edges
        .iter()
        .zip(labels)
        .map(|(edge, label)| (Box::new(value.clone().lt(lit(*edge))), Box::new(label.plan())));
    let branches = std::iter::once(null).chain(below).collect();
    Expr::Case(df::Case::new(None, branches, labels.last().map(|label| Box::new(label.plan()))))
}

fn column(name: &str) -> Expr {
    col(datafusion::common::Column::new_unqualified(name))
}

impl Value {
    fn plan(&self) -> Expr {
        match self {
            Value::Null => lit(ScalarValue::Null),
            Value::Boolean(b) => lit(*b),
            Value::Number(units, _) => lit(*units),
            Value::Day(day) => lit(ScalarValue::Date32(Some(*day))),
            Value::Time(ms) => lit(ScalarValue::TimestampMillisecond(Some(*ms), Some("UTC".into()))),
            Value::Text(text) => lit(text.as_str()),
        }
    }
}
