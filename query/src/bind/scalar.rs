//! SQL expressions over columns -> [`Scalar`]. What is not on the list is refused with the nearest thing that works.
//!
//! Invariants: what is not named here goes to `unsupported.rs`, whose `match` has no wildcard. Refusals depend on the
//! text and the public schema only.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectNamePart, Spanned, UnaryOperator,
};
use datafusion::sql::sqlparser::tokenizer::Span;
use shoal_schemas::{ColumnRole, ColumnType, TableDef, columns};

use super::literal::literal;
use super::unsupported::unsupported;
use crate::calendar::Grain;
use crate::error::{Refusal, Rule};
use crate::expr::{Compare, Scalar, Type, Value};

/// Longest LIKE pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 256;

/// Resolves expressions over one table.
pub(super) struct Columns<'a> {
    pub(super) table: &'a TableDef,
    pub(super) alias: Option<&'a str>,
    pub(super) now_ms: i64,
}

impl Columns<'_> {
    /// A condition.
    pub(super) fn condition(&self, expr: &Expr) -> Result<Scalar, Refusal> {
        let bound = self.scalar(expr, Some(Type::Boolean))?;
        self.expect(bound, Type::Boolean, expr)
    }

    fn expect(&self, bound: Scalar, ty: Type, expr: &Expr) -> Result<Scalar, Refusal> {
        match bound.ty() {
            Some(found) if found != ty => {
                let message = format!("This is a {}, where a {} is needed.", found.name(), ty.name());
                Err(Refusal::new(Rule::Type, expr.span(), message, "a comparison, as os = 'iOS'"))
            }
            _ => Ok(bound),
        }
    }

    fn is_literal(&self, expr: &Expr) -> bool {
        !matches!(literal(expr, None, self.now_ms), Ok(None))
    }

    /// An expression; literals take the `expected` type.
    pub(super) fn scalar(&self, expr: &Expr, expected: Option<Type>) -> Result<Scalar, Refusal> {
        if let Some(value) = literal(expr, expected, self.now_ms)? {
            return Ok(Scalar::Value(value));
        }
        let not = |negated: bool, bound: Scalar| match negated {
            true => Scalar::Not(Box::new(bound)),
            false => bound,
        };
        let boolean = |inner: &Expr, value: bool, negated: bool| {
            let test = Scalar::Compare(
                Compare::Eq,
                Box::new(self.condition(inner)?),
                Box::new(Scalar::Value(Value::Boolean(value))),
            );
            let known = Scalar::Coalesce(vec![test, Scalar::Value(Value::Boolean(false))]);
            Ok(not(negated, known))
        };
        match expr {
            Expr::Identifier(name) => self.column(name),
            Expr::CompoundIdentifier(parts) => self.qualified(parts, expr.span()),
            Expr::Nested(inner) => self.scalar(inner, expected),
            Expr::IsTrue(inner) => boolean(inner, true, false),
            Expr::IsNotTrue(inner) => boolean(inner, true, true),
            Expr::IsFalse(inner) => boolean(inner, false, false),
            Expr::IsNotFalse(inner) => boolean(inner, false, true),
            Expr::IsNull(inner) | Expr::IsUnknown(inner) => {
                Ok(Scalar::IsNull(Box::new(self.scalar(inner, None)?)))
            }
            Expr::IsNotNull(inner) | Expr::IsNotUnknown(inner) => {
                Ok(not(true, Scalar::IsNull(Box::new(self.scalar(inner, None)?))))
            }
            Expr::InList { expr, list, negated } => Ok(not(*negated, self.in_list(expr, list)?)),
            Expr::Between { expr, negated, low, high } => {
                let from = self.compare(expr, Compare::GtEq, low)?;
                let to = self.compare(expr, Compare::LtEq, high)?;
                Ok(not(*negated, Scalar::And(Box::new(from), Box::new(to))))
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right, expr),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(not(true, self.condition(expr)?)),
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                Ok(not(*negated, self.like(expr, pattern, false)?))
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                Ok(not(*negated, self.like(expr, pattern, true)?))
            }
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), expected)
            }
            Expr::Function(function) => self.function(function, expected),
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
            BinaryOperator::And => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                return Ok(Scalar::And(Box::new(left), Box::new(right)));
            }
            BinaryOperator::Or => {
                let (left, right) = (self.condition(left)?, self.condition(right)?);
                return Ok(Scalar::Or(Box::new(left), Box::new(right)));
            }
            BinaryOperator::Eq => Compare::Eq,
            BinaryOperator::NotEq => Compare::NotEq,
            BinaryOperator::Lt => Compare::Lt,
            BinaryOperator::LtEq => Compare::LtEq,
            BinaryOperator::Gt => Compare::Gt,
            BinaryOperator::GtEq => Compare::GtEq,
            other => {
                let message = format!("The operator {other} cannot be used on columns of events.");
                let suggestion = "comparisons, AND, OR, NOT; arithmetic on aggregates, as SUM(a) / COUNT(*)";
                return Err(Refusal::new(Rule::Expression, whole.span(), message, suggestion));
            }
        };
        self.compare(left, op, right)
    }

    fn compare(&self, left: &Expr, op: Compare, right: &Expr) -> Result<Scalar, Refusal> {
        if self.is_literal(left) && !self.is_literal(right) {
            return self.compare(right, op.flipped(), left);
        }
        let item = self.scalar(left, None)?;
        let other = self.scalar(right, item.ty())?;
        if let (Some(ty), Some(_)) = (item.ty(), other.ty()) {
            let other = self.expect(other, ty, right)?;
            return Ok(Scalar::Compare(op, Box::new(item), Box::new(other)));
        }
        let message = "A comparison with NULL is never true.";
        Err(Refusal::new(Rule::Type, right.span(), message, "IS NULL or IS NOT NULL"))
    }

    fn in_list(&self, expr: &Expr, list: &[Expr]) -> Result<Scalar, Refusal> {
        let item = self.scalar(expr, None)?;
        let mut values = Vec::with_capacity(list.len());
        for entry in list {
            match literal(entry, item.ty(), self.now_ms)? {
                Some(Value::Null) | None => {
                    let message = "IN takes a list of literals.";
                    let suggestion = "os IN ('iOS', 'Android')";
                    return Err(Refusal::new(Rule::Expression, entry.span(), message, suggestion));
                }
                Some(value) => values.push(value),
            }
        }
        Ok(Scalar::In(Box::new(item), values))
    }

    fn like(&self, expr: &Expr, pattern: &Expr, any_case: bool) -> Result<Scalar, Refusal> {
        let item = self.scalar(expr, None)?;
        let item = Box::new(self.expect(item, Type::Text, expr)?);
        match literal(pattern, Some(Type::Text), self.now_ms)? {
            Some(Value::Text(pattern)) if pattern.len() <= PATTERN_BYTES_MAX => {
                Ok(Scalar::Like { item, pattern, any_case })
            }
            _ => {
                let message = format!("LIKE takes a literal of at most {PATTERN_BYTES_MAX} bytes.");
                let suggestion = "app_version LIKE '4.%'";
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
        for CaseWhen { condition, result } in conditions {
            let when = match operand {
                Some(operand) => self.compare(operand, Compare::Eq, condition)?,
                None => self.condition(condition)?,
            };
            let then = self.same(result, &mut ty)?;
            branches.push((when, then));
        }
        let otherwise = match otherwise {
            Some(expr) => Some(Box::new(self.same(expr, &mut ty)?)),
            None => None,
        };
        Ok(Scalar::Case { branches, otherwise })
    }

    /// An expression of the type that its siblings have.
    fn same(&self, expr: &Expr, ty: &mut Option<Type>) -> Result<Scalar, Refusal> {
        let bound = self.scalar(expr, *ty)?;
        match *ty {
            Some(ty) => self.expect(bound, ty, expr),
            None => {
                *ty = bound.ty();
                Ok(bound)
            }
        }
    }

    fn function(&self, function: &Function, expected: Option<Type>) -> Result<Scalar, Refusal> {
        let span = function.span();
        let Some((name, args)) = plain_call(function) else {
            return Err(not_a_function(span));
        };
        match (name.as_str(), args.as_slice()) {
            ("upper" | "lower", [item]) => {
                let bound = self.scalar(item, Some(Type::Text))?;
                let bound = Box::new(self.expect(bound, Type::Text, item)?);
                Ok(if name == "upper" { Scalar::Upper(bound) } else { Scalar::Lower(bound) })
            }
            ("coalesce", [_, ..]) => {
                let mut ty = expected;
                let items = args.iter().map(|arg| self.same(arg, &mut ty));
                Ok(Scalar::Coalesce(items.collect::<Result<_, _>>()?))
            }
            ("date_trunc", [grain, item]) => {
                let grain = match literal(grain, Some(Type::Text), self.now_ms)? {
                    Some(Value::Text(text)) => Grain::parse(&text),
                    _ => None,
                };
                let item = self.scalar(item, None)?;
                match (grain, item) {
                    (Some(grain), Scalar::Time(_)) => Ok(Scalar::Time(grain)),
                    (Some(grain @ (Grain::Day | Grain::Week | Grain::Month)), Scalar::Day) => {
                        Ok(Scalar::Time(grain))
                    }
                    _ => {
                        let message = "date_trunc takes 'hour', 'day', 'week' or 'month', and time.";
                        let suggestion = "date_trunc('day', time)";
                        Err(Refusal::new(Rule::Function, span, message, suggestion))
                    }
                }
            }
            _ => Err(not_a_function(span)),
        }
    }

    fn qualified(&self, parts: &[Ident], span: Span) -> Result<Scalar, Refusal> {
        match parts {
            [table, name]
                if self.alias.unwrap_or(self.table.kind.as_str()).eq_ignore_ascii_case(&table.value) =>
            {
                self.column(name)
            }
            _ => {
                let message = "This name does not belong to the table of the query.";
                Err(Refusal::new(Rule::Column, span, message, "the column's name alone"))
            }
        }
    }

    /// The column of a name, in lower case unless quoted.
    pub(super) fn column(&self, ident: &Ident) -> Result<Scalar, Refusal> {
        let name = plain_name(ident);
        match name.as_str() {
            "region" => return Ok(Scalar::Region),
            columns::DAY => return Ok(Scalar::Day),
            columns::TIME => return Ok(Scalar::Time(Grain::Hour)),
            _ => {}
        }
        let column = self.table.column(&name).map(|(_, column)| column);
        let (role, ty) = match column {
            Some(column) => (&column.role, column.ty),
            None => return Err(self.unknown(ident)),
        };
        let ty = match (role, ty) {
            (ColumnRole::Measure(measure), _) => Type::Number { scale: measure.scale },
            (ColumnRole::Dimension { .. }, ColumnType::Boolean) => Type::Boolean,
            (ColumnRole::Dimension { .. }, ColumnType::Text) => Type::Text,
            (ColumnRole::Dimension { .. }, ColumnType::Integer) => Type::Number { scale: 0 },
            (ColumnRole::Unit, _) => {
                let message = format!("`{name}` exists inside COUNT(DISTINCT {name}) only.");
                let suggestion = format!("COUNT(DISTINCT {name})");
                return Err(Refusal::new(Rule::Column, ident.span, message, suggestion));
            }
            (ColumnRole::Dimension { .. } | ColumnRole::Hidden | ColumnRole::Time, _) => {
                return Err(self.unknown(ident));
            }
        };
        Ok(Scalar::Column { name, ty })
    }

    /// Hidden columns and columns that never were are told apart by nobody.
    fn unknown(&self, ident: &Ident) -> Refusal {
        let shown = |role: &ColumnRole| !matches!(role, ColumnRole::Hidden | ColumnRole::Unit);
        let names: Vec<&str> = std::iter::once("region")
            .chain(self.table.columns.iter().filter(|c| shown(&c.role)).map(|c| c.name.as_str()))
            .collect();
        let message = format!("There is no such column in {}.", self.table.kind);
        Refusal::new(Rule::Column, ident.span, message, format!("one of {}", names.join(", ")))
    }
}

/// An identifier as SQL reads it: in lower case unless quoted.
pub(super) fn plain_name(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    }
}

/// Name (lower case) and arguments of a call that has nothing else.
pub(super) fn plain_call(function: &Function) -> Option<(String, Vec<&Expr>)> {
    let Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group,
    } = function
    else {
        return None;
    };
    let [ObjectNamePart::Identifier(name)] = name.0.as_slice() else {
        return None;
    };
    let args: Option<Vec<&Expr>> = args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
        })
        .collect();
    (clauses.is_empty() && within_group.is_empty()).then_some((plain_name(name), args?))
}

fn not_a_function(span: Span) -> Refusal {
    let message = "This function cannot be used on columns of events.";
    let suggestion = "upper, lower, coalesce, date_trunc, CASE; aggregates: COUNT, SUM, AVG";
    Refusal::new(Rule::Function, span, message, suggestion)
}
