//! Numbers made of measures and constants, and casts that cannot fail.
//!
//! Invariants: the bounds of every result are known and within 2^52 units, so nothing overflows. The operands of an operation
//! have the same number of decimal places. The only division is `floor(measure / constant)`, which is a bucket.

use sqlparser::ast::{BinaryOperator, DataType, Expr, Spanned};

use super::columns::Columns;
use super::interval::interval;
use super::literal::{is_whole, is_wide, literal};
use super::unsupported::unsupported;
use crate::error::{Refusal, Rule};
use crate::expr::{Arithmetic, Compare, Scalar, Shared, Type, Value};

impl Columns<'_> {
    /// `floor(measure / 100) * 100`: the one division that cannot fail.
    pub(super) fn floor(&self, inner: &Expr, times: Option<&Expr>) -> Option<Scalar> {
        match inner {
            Expr::Nested(inner) => self.floor(inner, times),
            Expr::BinaryOp { left, op: BinaryOperator::Divide, right } => self.floored(left, right, times),
            _ => None,
        }
    }

    /// A number. A constant has as many decimal places as it is written with.
    pub(super) fn number(&self, expr: &Expr, expected: Option<Type>) -> Result<Shared<Scalar>, Refusal> {
        let item = match literal(expr, None, self.now_ms)? {
            Some(value) => Scalar::Value(value).into(),
            None => self.scalar(expr, expected)?,
        };
        match item.ty() {
            Some(Type::Number { .. }) | None => Ok(item),
            Some(other) => {
                let message = format!("This is a {}, where a number is needed.", other.name());
                let suggestion = "SELECT SUM(amount) FROM usage WHERE event = 'purchase'";
                Err(Refusal::new(Rule::Type, expr.span(), message, suggestion))
            }
        }
    }

    pub(super) fn arithmetic(
        &self,
        op: Arithmetic,
        left: &Expr,
        right: &Expr,
        whole: &Expr,
    ) -> Result<Scalar, Refusal> {
        if interval(right).is_some() {
            return Err(unsupported(right));
        }
        let (left, right) = (self.number(left, None)?, self.number(right, None)?);
        let (left, right) = match op {
            Arithmetic::Add | Arithmetic::Subtract => {
                let (mut left, mut right) = (left, right);
                let scale = scale_of(&left).max(scale_of(&right));
                left = finer(left, scale);
                right = finer(right, scale);
                (left, right)
            }
            Arithmetic::Multiply => (left, right),
        };
        self.bounded(Scalar::Arithmetic(op, left, right), whole)
    }

    /// A number whose bounds are known and small enough.
    pub(super) fn bounded(&self, item: Scalar, expr: &Expr) -> Result<Scalar, Refusal> {
        if self.interval(&item).is_some() {
            return Ok(item);
        }
        let message =
            "Numbers can be computed from measures and constants, as long as no result is above 2^52.";
        let suggestion = "SELECT SUM(items * 2) FROM usage WHERE event = 'purchase'";
        Err(Refusal::new(Rule::Expression, expr.span(), message, suggestion))
    }

    /// A cast that cannot fail.
    pub(super) fn cast(&self, inner: &Expr, to: &DataType, whole: &Expr) -> Result<Shared<Scalar>, Refusal> {
        let item = self.scalar(inner, None)?;
        let one = |n| Scalar::Value(Value::Number(n, 0)).into();
        match (item.ty(), to) {
            (Some(Type::Time), DataType::Date)
                if matches!(
                    *item,
                    Scalar::Time(crate::calendar::Grain::Hour | crate::calendar::Grain::Day)
                ) =>
            {
                Ok(Scalar::Day.into())
            }
            (Some(Type::Day), DataType::Date) | (Some(Type::Time), DataType::Timestamp(None, _)) => Ok(item),
            (Some(Type::Day), DataType::Timestamp(None, _)) if *item == Scalar::Day => {
                Ok(Scalar::Time(crate::calendar::Grain::Day).into())
            }
            (
                Some(Type::Text),
                DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None),
            ) => Ok(item),
            (Some(Type::Number { .. }), ty) if is_wide(ty) => Ok(item),
            (Some(Type::Number { scale: 0 }), ty)
                if is_whole(ty) || matches!(ty, DataType::Int(None) | DataType::Integer(None)) =>
            {
                Ok(item)
            }
            (Some(Type::Boolean), DataType::Bool | DataType::Boolean) => Ok(item),
            (Some(Type::Boolean), ty)
                if is_whole(ty)
                    || matches!(ty, DataType::Int(None) | DataType::Int4(None) | DataType::Integer(None)) =>
            {
                let not = Scalar::Not(item.clone()).into();
                Ok(Scalar::Case { branches: vec![(item, one(1)), (not, one(0))], otherwise: None }.into())
            }
            _ => Err(unsupported(whole)),
        }
    }
}

/// The decimal places of a number.
pub(crate) fn scale_of(item: &Scalar) -> u8 {
    match item.ty() {
        Some(Type::Number { scale }) => scale,
        _ => 0,
    }
}

/// The same number with more decimal places.
pub(super) fn finer(item: Shared<Scalar>, scale: u8) -> Shared<Scalar> {
    let by = scale.saturating_sub(scale_of(&item));
    let factor = 10_i64.checked_pow(u32::from(by)).unwrap_or(i64::MAX);
    match item.as_ref() {
        _ if by == 0 => item,
        Scalar::Value(Value::Number(units, _)) => {
            Scalar::Value(Value::Number(units.saturating_mul(factor), scale)).into()
        }
        Scalar::Value(_) => item,
        _ => {
            let factor = Scalar::Value(Value::Number(factor, by));
            Scalar::Arithmetic(Arithmetic::Multiply, item, factor.into()).into()
        }
    }
}

/// Two numbers with as many decimal places each.
pub(super) fn aligned(left: Shared<Scalar>, right: Shared<Scalar>) -> (Shared<Scalar>, Shared<Scalar>) {
    match (left.ty(), right.ty()) {
        (Some(Type::Number { scale: a }), Some(Type::Number { scale: b })) if a != b => {
            let scale = a.max(b);
            (finer(left, scale), finer(right, scale))
        }
        _ => (left, right),
    }
}

/// A comparison with a constant that lies above `units` and below the next unit.
pub(super) fn between_units(op: Compare, item: &Shared<Scalar>, units: i64, scale: u8) -> Scalar {
    let test = |op, units| Scalar::test(op, item.clone(), Value::Number(units, scale));
    let never = |value| {
        let is_known = Scalar::Not(Scalar::IsNull(item.clone()).into());
        let value = Scalar::Value(Value::Boolean(value));
        Scalar::Case { branches: vec![(is_known.into(), value.into())], otherwise: None }
    };
    match op {
        Compare::Lt | Compare::LtEq => test(Compare::LtEq, units),
        Compare::Gt | Compare::GtEq => test(Compare::GtEq, units.saturating_add(1)),
        Compare::Eq => never(false),
        Compare::NotEq => never(true),
    }
}
