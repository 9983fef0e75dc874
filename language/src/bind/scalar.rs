//! SQL expressions over columns -> [`Scalar`]. Any other expression is refused with the nearest thing that works.
//!
//! Invariants: every node that is not named here goes to `unsupported.rs`, whose `match` has no wildcard. Refusals depend on the
//! text and the public schema only.

use sqlparser::ast::{
    Array, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DateTimeField, Expr, Spanned, UnaryOperator,
};

use super::columns::Columns;
use super::literal::{TEXT_BYTES_MAX, is_utc, literal};
use super::numbers::{aligned, between_units, scale_of};
use super::unsupported::unsupported;
use crate::error::{Refusal, Rule};
use crate::expr::{Arithmetic, Compare, EXPANDED_MAX, NODES_DEEP_MAX, Scalar, Shared, Type, Value};

/// FLOOR of a number, as opposed to FLOOR to a part of a time.
fn is_floor(field: &DateTimeField) -> bool {
    *field == DateTimeField::NoDateTime
}

impl Columns<'_> {
    /// A condition.
    pub(crate) fn condition(&self, expr: &Expr) -> Result<Shared<Scalar>, Refusal> {
        let bound = self.scalar(expr, Some(Type::Boolean))?;
        self.work.add(bound.size());
        self.expect(bound, Type::Boolean, expr)
    }

    pub(super) fn expect(
        &self,
        bound: Shared<Scalar>,
        ty: Type,
        expr: &Expr,
    ) -> Result<Shared<Scalar>, Refusal> {
        match bound.ty() {
            Some(found) if found != ty => {
                let message = format!("This is a {}, where a {} is needed.", found.name(), ty.name());
                Err(Refusal::new(Rule::Type, expr.span(), message, self.condition_that_works()))
            }
            _ => Ok(bound),
        }
    }

    /// A statement with a condition that works.
    fn condition_that_works(&self) -> String {
        format!("SELECT COUNT(*) FROM {} WHERE os = 'ios'", self.table.kind)
    }

    fn is_literal(&self, expr: &Expr) -> bool {
        !matches!(literal(expr, None, self.now_ms), Ok(None))
    }

    /// Refuses an expression that is too large when the names in it are written out.
    pub(super) fn sized(&self, item: &Shared<Scalar>, expr: &Expr) -> Result<(), Refusal> {
        if item.size() <= EXPANDED_MAX && item.depth() <= NODES_DEEP_MAX {
            return Ok(());
        }
        let message = format!(
            "Written out, with each name of a subquery replaced by what it stands for, this expression has more than \
             {EXPANDED_MAX} parts or more than {NODES_DEEP_MAX} levels. Use such a name in fewer places, or group by it and \
             compare what is released."
        );
        Err(Refusal::new(Rule::Size, expr.span(), message, crate::parse::SHAPE))
    }

    /// An expression; literals take the `expected` type.
    pub(crate) fn scalar(&self, expr: &Expr, expected: Option<Type>) -> Result<Shared<Scalar>, Refusal> {
        self.work.step(|| expr.span())?;
        if let Some(value) = literal(expr, expected, self.now_ms)? {
            return Ok(Scalar::Value(value).into());
        }
        if let Some(found) = self.person(expr)? {
            return Ok(found.into());
        }
        let made: Shared<Scalar> = match expr {
            Expr::Identifier(name) => self.column(name)?,
            Expr::CompoundIdentifier(parts) => self.qualified(parts, expr.span())?,
            Expr::Nested(inner) => return self.scalar(inner, expected),
            Expr::Floor { expr: inner, field: CeilFloorKind::DateTimeField(field) } if is_floor(field) => {
                self.floor(inner, None).ok_or_else(|| unsupported(expr))?.into()
            }
            Expr::BinaryOp { left, op: BinaryOperator::Multiply, right }
                if matches!(**left, Expr::Floor { .. }) =>
            {
                match left.as_ref() {
                    Expr::Floor { expr: inner, field: _ } => self.floor(inner, Some(right)),
                    _ => None,
                }
                .ok_or_else(|| unsupported(left))?
                .into()
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, expr)?.into(),
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => return self.scalar(expr, expected),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => {
                let item = self.number(inner, expected)?;
                let zero = Scalar::Value(Value::Number(0, scale_of(&item)));
                self.bounded(Scalar::Arithmetic(Arithmetic::Subtract, zero.into(), item), expr)?.into()
            }
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr: inner,
                data_type,
                array: false,
                format: None,
            } => self.cast(inner, data_type, expr)?,
            Expr::AtTimeZone { timestamp, time_zone } if is_utc(time_zone) => {
                return self.scalar(timestamp, expected);
            }
            Expr::Extract { field, syntax: _, expr: inner } => {
                self.part(&field.to_string(), inner, expr.span())?.into()
            }
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), expected)?.into()
            }
            Expr::Function(function) => self.function(function, expected)?,
            other => self.test(other)?,
        };
        self.sized(&made, expr)?;
        Ok(made)
    }

    /// A test: true, false or unknown.
    fn test(&self, expr: &Expr) -> Result<Shared<Scalar>, Refusal> {
        let not = |negated: bool, bound: Scalar| -> Shared<Scalar> {
            match negated {
                true => Scalar::Not(bound.into()).into(),
                false => bound.into(),
            }
        };
        let boolean = |inner: &Expr, value: bool, negated: bool| {
            let test = Scalar::test(Compare::Eq, self.condition(inner)?, Value::Boolean(value));
            Ok(not(negated, known(test)))
        };
        match expr {
            Expr::IsTrue(inner) => boolean(inner, true, false),
            Expr::IsNotTrue(inner) => boolean(inner, true, true),
            Expr::IsFalse(inner) => boolean(inner, false, false),
            Expr::IsNotFalse(inner) => boolean(inner, false, true),
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => {
                Ok(not(false, Scalar::IsNull(self.scalar(inner, None)?)))
            }
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => {
                Ok(not(true, Scalar::IsNull(self.scalar(inner, None)?)))
            }
            Expr::InList { expr, list, negated } => Ok(not(*negated, self.in_list(expr, list)?)),
            Expr::Between { expr, negated, low, high } => {
                let item = self.operand(expr)?;
                let from = self.compared(&item, Compare::GtEq, low)?;
                let to = self.compared(&item, Compare::LtEq, high)?;
                Ok(not(*negated, Scalar::And(from.into(), to.into())))
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(Scalar::Not(self.condition(expr)?).into()),
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                Ok(not(*negated, self.like(expr, pattern, false)?))
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                Ok(not(*negated, self.like(expr, pattern, true)?))
            }
            Expr::IsDistinctFrom(left, right) => Ok(not(true, self.same_value(left, right)?)),
            Expr::IsNotDistinctFrom(left, right) => Ok(not(false, self.same_value(left, right)?)),
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, is_some: _ } => match right.as_ref() {
                Expr::Array(Array { elem, named: _ }) => Ok(not(false, self.in_list(left, elem)?)),
                _ => Err(unsupported(expr)),
            },
            other => Err(unsupported(other)),
        }
    }

    fn binary(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
        whole: &Expr,
    ) -> Result<Scalar, Refusal> {
        let op = match op {
            BinaryOperator::And => return Ok(Scalar::And(self.condition(left)?, self.condition(right)?)),
            BinaryOperator::Or => return Ok(Scalar::Or(self.condition(left)?, self.condition(right)?)),
            BinaryOperator::Eq => Compare::Eq,
            BinaryOperator::NotEq => Compare::NotEq,
            BinaryOperator::Lt => Compare::Lt,
            BinaryOperator::LtEq => Compare::LtEq,
            BinaryOperator::Gt => Compare::Gt,
            BinaryOperator::GtEq => Compare::GtEq,
            BinaryOperator::Plus => return self.arithmetic(Arithmetic::Add, left, right, whole),
            BinaryOperator::Minus => return self.arithmetic(Arithmetic::Subtract, left, right, whole),
            BinaryOperator::Multiply => return self.arithmetic(Arithmetic::Multiply, left, right, whole),
            BinaryOperator::Divide => {
                let message = "A division that fails would tell a value. Divide what is released.";
                let suggestion =
                    "SELECT AVG(duration_ms) / 1000 AS seconds FROM performance WHERE event = 'page_load'";
                return Err(Refusal::new(Rule::Expression, whole.span(), message, suggestion));
            }
            BinaryOperator::StringConcat => {
                let (message, suggestion) = super::unsupported::CUT;
                return Err(Refusal::new(Rule::Expression, whole.span(), message, suggestion));
            }
            other => {
                let message = format!("The operator {other} cannot be used on columns of events.");
                let suggestion =
                    "SELECT os, COUNT(*) FROM usage WHERE country = 'DE' AND NOT (os = 'ios') GROUP BY os";
                return Err(Refusal::new(Rule::Expression, whole.span(), message, suggestion));
            }
        };
        self.compare(left, op, right)
    }

    fn compare(&self, left: &Expr, op: Compare, right: &Expr) -> Result<Scalar, Refusal> {
        let (left, op, right) = match self.is_literal(left) && !self.is_literal(right) {
            true => (right, op.flipped(), left),
            false => (left, op, right),
        };
        let item = self.operand(left)?;
        self.listed_text(&item, right)?;
        self.compared(&item, op, right)
    }

    /// What is compared. It is bound once, whatever it is compared with.
    pub(super) fn operand(&self, expr: &Expr) -> Result<Shared<Scalar>, Refusal> {
        self.scalar(expr, None)
    }

    /// A comparison of an operand, which is bound already, with an expression.
    pub(super) fn compared(
        &self,
        item: &Shared<Scalar>,
        op: Compare,
        right: &Expr,
    ) -> Result<Scalar, Refusal> {
        if item.ty() == Some(Type::Day)
            && let Some(Value::Time(ms)) = literal(right, None, self.now_ms)?
        {
            // The first moment of the day is compared.
            let day = || Scalar::Time(crate::calendar::Grain::Day).into();
            let item = if **item == Scalar::Day { day() } else { item.clone() };
            return Ok(Scalar::test(op, item, Value::Time(ms)));
        }
        // A subject's first or last day is the number of the day.
        if self.is_persons_day(item)
            && let Ok(Some(Value::Day(day))) = literal(right, Some(Type::Day), self.now_ms)
        {
            return Ok(Scalar::test(op, item.clone(), Value::Number(day.into(), 0)));
        }
        let (item, other) = match (item.ty(), literal(right, None, self.now_ms)) {
            // The constant has more decimal places than the column.
            (Some(Type::Number { scale }), Ok(Some(Value::Number(units, finer)))) if finer > scale => {
                let by = 10_i64.checked_pow(u32::from(finer - scale)).unwrap_or(1);
                match units % by {
                    0 => (item.clone(), Scalar::Value(Value::Number(units / by, scale)).into()),
                    _ => return Ok(between_units(op, item, units.div_euclid(by), scale)),
                }
            }
            (ty, _) => {
                let other = self.scalar(right, ty)?;
                aligned(item.clone(), other)
            }
        };
        if let (Some(ty), Some(_)) = (item.ty(), other.ty()) {
            let other = self.expect(other, ty, right)?;
            return Ok(Scalar::Compare(op, item, other));
        }
        let message = "A comparison with NULL is never true; IS NULL and IS NOT NULL ask for it.";
        let table = self.table.kind;
        let suggestion = format!("SELECT COUNT(*) FROM {table} WHERE app_version IS NULL");
        Err(Refusal::new(Rule::Type, right.span(), message, suggestion))
    }

    /// IS NOT DISTINCT FROM: never unknown.
    fn same_value(&self, left: &Expr, right: &Expr) -> Result<Scalar, Refusal> {
        let is_null = |expr: &Expr| literal(expr, None, self.now_ms).map(|value| value == Some(Value::Null));
        match (is_null(left)?, is_null(right)?) {
            (_, true) => return Ok(Scalar::IsNull(self.scalar(left, None)?)),
            (true, false) => return Ok(Scalar::IsNull(self.scalar(right, None)?)),
            (false, false) => {}
        }
        let test = self.compare(left, Compare::Eq, right)?;
        let is_constant = self.is_literal(left) || self.is_literal(right);
        let Scalar::Compare(_, item, other) = &test else { return Ok(known(test)) };
        if is_constant {
            return Ok(known(test));
        }
        let nulls = Scalar::And(Scalar::IsNull(item.clone()).into(), Scalar::IsNull(other.clone()).into());
        Ok(Scalar::Or(known(test).into(), nulls.into()))
    }

    fn in_list(&self, expr: &Expr, list: &[Expr]) -> Result<Scalar, Refusal> {
        let item = self.scalar(expr, None)?;
        let mut values = Vec::with_capacity(list.len());
        for entry in list {
            self.work.step(|| entry.span())?;
            match literal(entry, item.ty(), self.now_ms)? {
                Some(Value::Null) | None => {
                    let message = "IN takes a list of literals.";
                    let suggestion =
                        format!("SELECT COUNT(*) FROM {} WHERE os IN ('ios', 'android')", self.table.kind);
                    return Err(Refusal::new(Rule::Expression, entry.span(), message, suggestion));
                }
                Some(value) => {
                    self.listed_text(&item, entry)?;
                    values.push(value);
                }
            }
        }
        Ok(Scalar::In(item, values))
    }

    fn like(&self, expr: &Expr, pattern: &Expr, any_case: bool) -> Result<Scalar, Refusal> {
        let item = self.scalar(expr, None)?;
        let item = self.expect(item, Type::Text, expr)?;
        match literal(pattern, Some(Type::Text), self.now_ms)? {
            Some(Value::Text(pattern)) => Ok(Scalar::Like { item, pattern, any_case }),
            _ => {
                let message = format!("LIKE takes a literal of at most {TEXT_BYTES_MAX} bytes.");
                let suggestion =
                    format!("SELECT COUNT(*) FROM {} WHERE app_version LIKE '4.%'", self.table.kind);
                Err(Refusal::new(Rule::Expression, pattern.span(), message, suggestion))
            }
        }
    }

    fn case(
        &self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
        expected: Option<Type>,
    ) -> Result<Scalar, Refusal> {
        let mut branches = Vec::with_capacity(conditions.len());
        let mut ty = expected;
        let item = operand.map(|operand| self.operand(operand)).transpose()?;
        for CaseWhen { condition, result } in conditions {
            let when = match &item {
                Some(item) => {
                    self.listed_text(item, condition)?;
                    self.compared(item, Compare::Eq, condition)?.into()
                }
                None => self.condition(condition)?,
            };
            let then = self.same(result, &mut ty)?;
            branches.push((when, then));
        }
        let otherwise = otherwise.map(|expr| self.same(expr, &mut ty)).transpose()?;
        Ok(Scalar::Case { branches, otherwise })
    }

    /// An expression that must have the type of its siblings.
    pub(super) fn same(&self, expr: &Expr, ty: &mut Option<Type>) -> Result<Shared<Scalar>, Refusal> {
        let bound = self.scalar(expr, *ty)?;
        match *ty {
            Some(ty) => self.expect(bound, ty, expr),
            None => {
                *ty = bound.ty();
                Ok(bound)
            }
        }
    }
}

/// A test that is false where it would be unknown.
fn known(test: Scalar) -> Scalar {
    Scalar::Coalesce(vec![test.into(), Scalar::FALSE.into()])
}
