//! The plan gate for expressions.
//!
//! Invariants: the matches over expressions and operators have no wildcard. A function is on a list of `functions`; a
//! cast is to a plain type; no regular expression, no pattern that is made of values, no array, struct or lambda.
//! Not here: plan nodes (`gate`).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{AggregateFunction, Like, WindowFunction};
use datafusion::logical_expr::{Case, Expr, Operator, WindowFunctionDefinition};

use super::functions::{WINDOWS, is_aggregate, is_scalar};
use super::gate_counts::Counts;
use super::refuse::{PLAIN, RUNNING, VALUES, refusal};
use shoal_language::{Refusal, Rule, SETS};

const LIKE: &str = "SELECT app_version, n FROM (SELECT app_version, COUNT(*) AS n FROM usage GROUP BY app_version) AS t WHERE \
    app_version LIKE '4.%'";
const CAST: &str = "SELECT os, CAST(COUNT(*) AS double precision) AS n FROM usage GROUP BY os";

/// Whether an expression may run.
///
/// # Errors
/// The refusal of the first node that may not.
pub(super) fn check_expr(expr: &Expr, counts: &mut Counts) -> Result<(), Refusal> {
    counts.expression()?;
    match expr {
        Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::Literal(..) => Ok(()),
        Expr::Alias(alias) => check_expr(&alias.expr, counts),
        Expr::Not(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsNotUnknown(inner)
        | Expr::Negative(inner) => check_expr(inner, counts),
        Expr::BinaryExpr(binary) => {
            check_operator(binary.op)?;
            all([&*binary.left, &*binary.right], counts)
        }
        Expr::Like(like) => check_like(like, counts),
        Expr::Between(between) => all([&*between.expr, &*between.low, &*between.high], counts),
        Expr::Case(case) => check_case(case, counts),
        Expr::Cast(cast) => {
            check_type(cast.field.data_type())?;
            check_expr(&cast.expr, counts)
        }
        Expr::TryCast(cast) => {
            check_type(cast.field.data_type())?;
            check_expr(&cast.expr, counts)
        }
        Expr::ScalarFunction(function) => {
            listed(function.func.name(), is_scalar(function.func.name()))?;
            all(&function.args, counts)
        }
        Expr::AggregateFunction(function) => check_aggregate(function, counts),
        Expr::WindowFunction(function) => check_window(function, counts),
        Expr::InList(list) => {
            check_expr(&list.expr, counts)?;
            all(&list.list, counts)
        }
        Expr::Exists(exists) => counts.subquery(&exists.subquery.subquery),
        Expr::InSubquery(membership) => {
            check_expr(&membership.expr, counts)?;
            counts.subquery(&membership.subquery.subquery)
        }
        Expr::ScalarSubquery(subquery) => counts.subquery(&subquery.subquery),
        Expr::SetComparison(_) => Err(refusal(Rule::Expression, "ANY and ALL cannot be used.", PLAIN)),
        Expr::SimilarTo(_) => Err(refusal(Rule::Expression, "Regular expressions cannot be used.", LIKE)),
        Expr::GroupingSet(_) => {
            Err(refusal(Rule::Expression, "GROUPING SETS, CUBE and ROLLUP cannot be used.", SETS))
        }
        Expr::ScalarVariable(..) | Expr::Placeholder(_) => {
            Err(refusal(Rule::Expression, "Variables and parameters cannot be used.", PLAIN))
        }
        #[expect(deprecated)]
        Expr::Wildcard { .. } => Err(refusal(Rule::Expression, "* cannot be used here.", PLAIN)),
        Expr::Unnest(_) | Expr::HigherOrderFunction(_) | Expr::Lambda(_) | Expr::LambdaVariable(_) => {
            Err(refusal(Rule::Expression, "Arrays and lambdas cannot be used.", VALUES))
        }
    }
}

fn all<'e>(exprs: impl IntoIterator<Item = &'e Expr>, counts: &mut Counts) -> Result<(), Refusal> {
    exprs.into_iter().try_for_each(|expr| check_expr(expr, counts))
}

fn listed(name: &str, is_listed: bool) -> Result<(), Refusal> {
    match is_listed {
        true => Ok(()),
        false => {
            let message = format!("The function {name} is not on the list (GET /v1/tables has it).");
            Err(refusal(Rule::Function, &message, PLAIN))
        }
    }
}

fn check_like(like: &Like, counts: &mut Counts) -> Result<(), Refusal> {
    match like.pattern.as_ref() {
        Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Utf8View(_), _) => check_expr(&like.expr, counts),
        _ => Err(refusal(Rule::Expression, "A pattern must be a literal.", LIKE)),
    }
}

fn check_case(case: &Case, counts: &mut Counts) -> Result<(), Refusal> {
    all(case.expr.as_deref(), counts)?;
    for (when, then) in &case.when_then_expr {
        all([&**when, &**then], counts)?;
    }
    all(case.else_expr.as_deref(), counts)
}

fn check_aggregate(function: &AggregateFunction, counts: &mut Counts) -> Result<(), Refusal> {
    let name = function.func.name();
    listed(name, is_aggregate(name))?;
    let params = &function.params;
    if !params.order_by.is_empty() {
        let message = "ORDER BY inside an aggregate cannot be used.";
        return Err(refusal(Rule::Aggregate, message, RUNNING));
    }
    all(&params.args, counts)?;
    all(params.filter.as_deref(), counts)
}

fn check_window(window: &WindowFunction, counts: &mut Counts) -> Result<(), Refusal> {
    match &window.fun {
        WindowFunctionDefinition::AggregateUDF(function) => {
            listed(function.name(), is_aggregate(function.name()))?;
        }
        WindowFunctionDefinition::WindowUDF(function) => {
            listed(function.name(), WINDOWS.contains(&function.name()))?;
        }
    }
    let params = &window.params;
    all(&params.args, counts)?;
    all(&params.partition_by, counts)?;
    all(params.order_by.iter().map(|sort| &sort.expr), counts)?;
    all(params.filter.as_deref(), counts)
}

fn check_type(ty: &DataType) -> Result<(), Refusal> {
    match ty {
        DataType::Boolean
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Utf8View
        | DataType::Date32
        | DataType::Timestamp(..)
        | DataType::Interval(_) => Ok(()),
        // `numeric` has this type. It has at most 38 digits, so it does not grow.
        DataType::Decimal128(..) => Ok(()),
        _ => Err(refusal(Rule::Type, "A cast to this type cannot be used.", CAST)),
    }
}

fn check_operator(op: Operator) -> Result<(), Refusal> {
    match op {
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq
        | Operator::Plus
        | Operator::Minus
        | Operator::Multiply
        | Operator::Divide
        | Operator::Modulo
        | Operator::And
        | Operator::Or
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom
        | Operator::StringConcat
        | Operator::IntegerDivide => Ok(()),
        // `~~` and the like are LIKE with a pattern that may be a value.
        Operator::LikeMatch | Operator::ILikeMatch | Operator::NotLikeMatch | Operator::NotILikeMatch => {
            Err(refusal(Rule::Expression, "`~~` cannot be used.", LIKE))
        }
        Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch => {
            Err(refusal(Rule::Expression, "Regular expressions cannot be used.", LIKE))
        }
        Operator::BitwiseAnd
        | Operator::BitwiseOr
        | Operator::BitwiseXor
        | Operator::BitwiseShiftRight
        | Operator::BitwiseShiftLeft
        | Operator::AtArrow
        | Operator::ArrowAt
        | Operator::Arrow
        | Operator::LongArrow
        | Operator::HashArrow
        | Operator::HashLongArrow
        | Operator::AtAt
        | Operator::HashMinus
        | Operator::AtQuestion
        | Operator::Question
        | Operator::QuestionAnd
        | Operator::QuestionPipe
        | Operator::Colon => Err(refusal(Rule::Expression, "This operator cannot be used.", PLAIN)),
    }
}
