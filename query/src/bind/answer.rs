//! What stands above the release: SELECT items, HAVING and ORDER BY, with keys and aggregates replaced by the names of
//! released columns (`k0`, `k1` .. and `a0`, `a1` ..). The rest is ordinary SQL over released rows.
//!
//! Invariants: after this no name of an event's column is left in any expression. The list of nodes and functions is
//! closed here too: nothing that allocates by its value. Numbers become floats, so that nothing overflows and division
//! is division. Not here: planning and running it (`free.rs`).

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, Spanned, UnaryOperator, Value as SqlValue, ValueWithSpan,
};

use super::AGGREGATES_MAX;
use super::aggregate::{self, Bounds, Call, Formula, is_aggregate};
use super::columns::{Columns, plain_name};
use super::scalar::plain_call;
use super::unsupported::unsupported;
use crate::error::{Refusal, Rule};
use crate::private_query::{Aggregate, Key};

/// Functions over released values.
pub(crate) const FUNCTIONS: [&str; 13] = [
    "abs", "ceil", "coalesce", "exp", "floor", "greatest", "least", "ln", "log10", "nullif", "power",
    "round", "sqrt",
];

/// Rewrites expressions and gathers the aggregates they need.
pub(super) struct Answer<'a> {
    pub(super) scope: &'a Columns<'a>,
    pub(super) bounds: Bounds<'a>,
    pub(super) keys: &'a [Key],
    /// SELECT's names, lower case, for HAVING and ORDER BY.
    pub(super) names: Vec<(String, Expr)>,
    pub(super) aggregates: Vec<Aggregate>,
}

/// The released column of a key.
pub(crate) fn key_name(index: usize) -> String {
    format!("k{index}")
}

/// The released column of an aggregate.
pub(crate) fn aggregate_name(index: usize) -> String {
    format!("a{index}")
}

fn ident(name: String) -> Expr {
    Expr::Identifier(Ident::with_quote('"', name))
}

fn number(text: &str) -> Expr {
    Expr::Value(SqlValue::Number(text.to_owned(), false).into())
}

impl Answer<'_> {
    /// The expression over released columns.
    pub(super) fn rewrite(&mut self, expr: &Expr) -> Result<Expr, Refusal> {
        if let Expr::Function(function) = expr
            && is_aggregate(function)
        {
            return self.call(function);
        }
        if let Some(key) = self.key(expr) {
            return Ok(ident(key_name(key)));
        }
        Ok(match expr {
            Expr::Identifier(name) => return self.name(name, expr),
            Expr::Value(ValueWithSpan { value, span: _ }) => match value {
                SqlValue::Number(text, false) => number(&format!("{text}{}", dot(text))),
                SqlValue::SingleQuotedString(_) | SqlValue::Boolean(_) | SqlValue::Null => expr.clone(),
                _ => return Err(unsupported(expr)),
            },
            Expr::Nested(inner) => Expr::Nested(self.boxed(inner)?),
            Expr::IsNull(inner) => Expr::IsNull(self.boxed(inner)?),
            Expr::IsNotNull(inner) => Expr::IsNotNull(self.boxed(inner)?),
            Expr::UnaryOp { op, expr: inner } => match op {
                UnaryOperator::Minus | UnaryOperator::Plus | UnaryOperator::Not => {
                    Expr::UnaryOp { op: *op, expr: self.boxed(inner)? }
                }
                _ => return Err(unsupported(expr)),
            },
            Expr::BinaryOp { left, op, right } if is_free(op) => {
                Expr::BinaryOp { left: self.boxed(left)?, op: op.clone(), right: self.boxed(right)? }
            }
            Expr::Between { expr, negated, low, high } => Expr::Between {
                expr: self.boxed(expr)?,
                negated: *negated,
                low: self.boxed(low)?,
                high: self.boxed(high)?,
            },
            Expr::InList { expr, list, negated } => Expr::InList {
                expr: self.boxed(expr)?,
                list: list.iter().map(|e| self.rewrite(e)).collect::<Result<_, _>>()?,
                negated: *negated,
            },
            Expr::Case { case_token, end_token, operand, conditions, else_result } => Expr::Case {
                case_token: case_token.clone(),
                end_token: end_token.clone(),
                operand: operand.as_ref().map(|e| self.boxed(e)).transpose()?,
                conditions: conditions
                    .iter()
                    .map(|CaseWhen { condition, result }| {
                        let (condition, result) = (self.rewrite(condition)?, self.rewrite(result)?);
                        Ok(CaseWhen { condition, result })
                    })
                    .collect::<Result<_, Refusal>>()?,
                else_result: else_result.as_ref().map(|e| self.boxed(e)).transpose()?,
            },
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr: inner,
                data_type,
                array: false,
                format: None,
            } if is_float(data_type) => {
                // Every released number is a float already.
                Expr::Nested(self.boxed(inner)?)
            }
            Expr::TypedString(_) => expr.clone(),
            Expr::Function(function) => self.function(function)?,
            other => return Err(unsupported(other)),
        })
    }

    fn boxed(&mut self, expr: &Expr) -> Result<Box<Expr>, Refusal> {
        Ok(Box::new(self.rewrite(expr)?))
    }

    /// The key that an expression is, if it is one.
    pub(super) fn key(&self, expr: &Expr) -> Option<usize> {
        let bound = crate::expr::normal(self.scope.scalar(expr, None).ok()?);
        self.keys.iter().position(|key| key.scalar == bound)
    }

    fn name(&self, name: &Ident, expr: &Expr) -> Result<Expr, Refusal> {
        let plain = plain_name(name);
        if let Some((_, item)) = self.names.iter().find(|(known, _)| *known == plain) {
            return Ok(Expr::Nested(Box::new(item.clone())));
        }
        // An unknown name is refused for what it is; a known one because it is not a key.
        self.scope.column(name)?;
        let message = format!("`{plain}` is neither a key nor inside an aggregate.");
        let suggestion = format!("GROUP BY {plain}, or SUM({plain})");
        Err(Refusal::new(Rule::Key, expr.span(), message, suggestion))
    }

    /// The unit of an item that is one aggregate call.
    pub(super) fn unit(&self, expr: &Expr) -> Option<String> {
        match expr {
            Expr::Nested(inner) => self.unit(inner),
            Expr::Function(function) if is_aggregate(function) => {
                let call = aggregate::bind(self.scope, &self.bounds, function).ok()?;
                call.aggregates.into_iter().next()?.unit
            }
            _ => None,
        }
    }

    fn aggregate(&mut self, aggregate: Aggregate) -> usize {
        let known = self.aggregates.iter().position(|a| *a == aggregate);
        known.unwrap_or_else(|| {
            self.aggregates.push(aggregate);
            self.aggregates.len() - 1
        })
    }

    fn call(&mut self, function: &Function) -> Result<Expr, Refusal> {
        let call = aggregate::bind(self.scope, &self.bounds, function)?;
        let Call { aggregates, formula, key: None } = call else {
            return Err(Refusal::new(
                Rule::Aggregate,
                function.span(),
                "HISTOGRAM cannot be used here.",
                "COUNT(*)",
            ));
        };
        let mut numbers = aggregates.into_iter().map(|one| ident(aggregate_name(self.aggregate(one))));
        let bound = match (formula, numbers.next(), numbers.next()) {
            (Formula::One, Some(one), None) => one,
            (Formula::Mean { center }, Some(total), Some(count)) => {
                let mean = ratio(total, count);
                let (left, right) = (Box::new(mean), Box::new(number(&format!("{center}{}", dot(&center)))));
                Expr::Nested(Box::new(Expr::BinaryOp { left, op: BinaryOperator::Plus, right }))
            }
            _ => {
                let message = "This aggregate cannot be used here.";
                return Err(Refusal::new(Rule::Aggregate, function.span(), message, "AVG(duration_ms)"));
            }
        };
        if self.aggregates.len() > AGGREGATES_MAX {
            let message = format!("A query has at most {AGGREGATES_MAX} aggregates.");
            return Err(Refusal::new(Rule::Aggregate, function.span(), message, "two queries"));
        }
        Ok(bound)
    }

    fn function(&mut self, function: &Function) -> Result<Expr, Refusal> {
        let refusal = || {
            let message = "This function is not on the list.";
            let suggestion = format!("{}; aggregates: COUNT, SUM, AVG", FUNCTIONS.join(", "));
            Refusal::new(Rule::Function, function.span(), message, suggestion)
        };
        let (name, args) = plain_call(function).ok_or_else(refusal)?;
        if !FUNCTIONS.contains(&name.as_str()) {
            return Err(refusal());
        }
        let mut rewritten = Vec::with_capacity(args.len());
        for (at, arg) in args.into_iter().enumerate() {
            // The number of places of round() is the one number that must stay whole.
            let whole = name == "round" && at == 1 && matches!(arg, Expr::Value(_));
            let arg = if whole { arg.clone() } else { self.rewrite(arg)? };
            rewritten.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)));
        }
        let mut call = function.clone();
        if let FunctionArguments::List(list) = &mut call.args {
            list.args = rewritten;
        }
        Ok(Expr::Function(call))
    }
}

/// `CASE WHEN count > 0 THEN total / count END`: a noisy count can be zero or less.
fn ratio(total: Expr, count: Expr) -> Expr {
    let binary =
        |left: Expr, op, right: Expr| Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) };
    Expr::Case {
        case_token: datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        end_token: datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen {
            condition: binary(count.clone(), BinaryOperator::Gt, number("0.0")),
            result: binary(total, BinaryOperator::Divide, count),
        }],
        else_result: None,
    }
}

/// What makes a whole number a float; nothing for one that is.
fn dot(text: &str) -> &'static str {
    match text.bytes().all(|b| b.is_ascii_digit()) {
        true => ".0",
        false => "",
    }
}

fn is_free(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
            | BinaryOperator::And
            | BinaryOperator::Or
    )
}

fn is_float(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Float(_)
            | DataType::Real
            | DataType::Double(_)
            | DataType::DoublePrecision
            | DataType::Float8
    )
}
