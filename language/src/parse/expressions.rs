//! Expressions, functions, operators and literals. Each is allowed or refused by name; allowed ones are walked.
//!
//! Invariants: every enum is matched without `_`, and every struct without `..` where a part of it could mean more. Not here:
//! what may be used over events (`bind/`) and what over released rows (`question/`).

use sqlparser::ast::{
    Array, BinaryOperator, CaseWhen, CastKind, CeilFloorKind, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgOperator, FunctionArgumentList, FunctionArguments, Interval, OrderByExpr, OrderByOptions,
    Spanned, TypedString, UnaryOperator, Value, ValueWithSpan, WindowFrame, WindowFrameBound, WindowSpec,
    WindowType,
};
use sqlparser::tokenizer::Span;

use super::names::{plain, wildcard};
use super::types::{castable, field};
use super::walk::{SHAPE, Walk, clause};
use crate::bind::unsupported::unsupported;
use crate::error::{Refusal, Rule};

/// Walks an expression.
#[rustfmt::skip] // lists of names, packed
pub(super) fn expr(whole: &Expr, walk: Walk) -> Result<(), Refusal> {
    let walk = walk.deeper(|| whole.span())?;
    let down = |inner: &Expr| expr(inner, walk);
    match whole {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Ok(()),
        Expr::IsFalse(inner) | Expr::IsNotFalse(inner) | Expr::IsTrue(inner) | Expr::IsNotTrue(inner)
        | Expr::IsNull(inner) | Expr::IsNotNull(inner) | Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner)
        | Expr::Nested(inner) => down(inner),
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
            alone(right, whole)?;
            down(left)?;
            down(right)
        }
        Expr::InList { expr: item, list, negated: _ } => {
            down(item)?;
            list.iter().try_for_each(down)
        }
        Expr::InSubquery { expr: item, subquery, negated: _ } => {
            down(item)?;
            walk.query(subquery)
        }
        Expr::Exists { subquery, negated: _ } | Expr::Subquery(subquery) => walk.query(subquery),
        Expr::Between { expr: item, negated: _, low, high } => {
            down(item)?;
            down(low)?;
            down(high)
        }
        Expr::BinaryOp { left, op, right } => {
            binary(op, whole)?;
            down(left)?;
            down(right)
        }
        Expr::UnaryOp { op, expr: inner } => {
            unary(*op, whole)?;
            down(inner)
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            down(timestamp)?;
            down(time_zone)
        }
        Expr::Extract { field: part, syntax: _, expr: inner } => {
            field(part, whole.span())?;
            down(inner)
        }
        Expr::Value(value) => literal(value),
        Expr::Function(call) => function(call, walk),
        Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
            for CaseWhen { condition, result } in conditions {
                down(condition)?;
                down(result)?;
            }
            operand.iter().chain(else_result).try_for_each(|inner| down(inner))
        }
        Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
            sets.iter().flatten().try_for_each(down)
        }
        Expr::Like { .. } | Expr::ILike { .. } | Expr::AnyOp { .. } | Expr::Cast { .. } | Expr::Ceil { .. }
        | Expr::Floor { .. } | Expr::TypedString(_) | Expr::Interval(_) => formed(whole, walk),
        Expr::CompoundFieldAccess { .. } | Expr::JsonAccess { .. }
        | Expr::IsNormalized { .. } | Expr::InUnnest { .. } | Expr::SimilarTo { .. } | Expr::RLike { .. }
        | Expr::AllOp { .. } | Expr::Convert { .. } | Expr::Position { .. } | Expr::Substring { .. }
        | Expr::Trim { .. } | Expr::Overlay { .. } | Expr::Collate { .. } | Expr::Prefixed { .. }
        | Expr::Tuple(_) | Expr::Struct { .. } | Expr::Named { .. } | Expr::Dictionary(_) | Expr::Map(_)
        | Expr::Array(_) | Expr::MatchAgainst { .. } | Expr::Wildcard(_) | Expr::QualifiedWildcard(..)
        | Expr::OuterJoin(_) | Expr::Prior(_) | Expr::Lambda(_)
        | Expr::MemberOf(_) => Err(unsupported(whole)),
    }
}

/// The parser reads `a IS DISTINCT FROM b AND c` as `a IS DISTINCT FROM (b AND c)`.
fn alone(right: &Expr, whole: &Expr) -> Result<(), Refusal> {
    if !matches!(right, Expr::BinaryOp { .. } | Expr::Between { .. } | Expr::InList { .. }) {
        return Ok(());
    }
    let suggestion = "SELECT COUNT(*) FROM usage WHERE (os IS DISTINCT FROM 'ios') AND country = 'DE'";
    let message = "IS DISTINCT FROM needs parentheses around it.";
    Err(Refusal::new(Rule::Syntax, whole.span(), message, suggestion))
}

/// Nodes that are allowed in some of their forms.
fn formed(whole: &Expr, walk: Walk) -> Result<(), Refusal> {
    let down = |inner: &Expr| expr(inner, walk);
    match whole {
        Expr::Like { negated: _, any: false, expr: item, pattern, escape_char: None }
        | Expr::ILike { negated: _, any: false, expr: item, pattern, escape_char: None } => {
            down(item)?;
            down(pattern)
        }
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, is_some: _ } => match right.as_ref() {
            Expr::Array(Array { elem, named: _ }) => {
                down(left)?;
                elem.iter().try_for_each(down)
            }
            _ => Err(unsupported(whole)),
        },
        Expr::Cast { kind, expr: inner, data_type, array: false, format: None } => {
            match kind {
                CastKind::Cast | CastKind::DoubleColon => {}
                CastKind::TryCast | CastKind::SafeCast => return Err(unsupported(whole)),
            }
            castable(data_type, whole.span())?;
            down(inner)
        }
        Expr::Ceil { expr: inner, field } | Expr::Floor { expr: inner, field } => match field {
            CeilFloorKind::DateTimeField(sqlparser::ast::DateTimeField::NoDateTime) => down(inner),
            CeilFloorKind::DateTimeField(_) | CeilFloorKind::Scale(_) => Err(unsupported(whole)),
        },
        Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false }) => {
            castable(data_type, whole.span())?;
            literal(value)
        }
        Expr::Interval(Interval {
            value,
            leading_field,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }) => {
            if let Some(part) = leading_field {
                field(part, whole.span())?;
            }
            down(value)
        }
        // Any other form of a node that `expr` has named.
        _ => Err(unsupported(whole)),
    }
}

/// A call.
fn function(call: &Function, walk: Walk) -> Result<(), Refusal> {
    let Function { name, uses_odbc_syntax, parameters, args, filter, null_treatment: _, over, within_group } =
        call;
    let at = || call.span();
    clause(*uses_odbc_syntax, at(), "{fn ..}")?;
    plain(name)?;
    match parameters {
        FunctionArguments::None => {}
        FunctionArguments::Subquery(_) | FunctionArguments::List(_) => {
            clause(true, at(), "A call's parameters")?
        }
    }
    match args {
        FunctionArguments::None => {}
        FunctionArguments::Subquery(_) => clause(true, at(), "A subquery as the argument of a function")?,
        FunctionArguments::List(FunctionArgumentList { duplicate_treatment: _, args, clauses }) => {
            clause(!clauses.is_empty(), at(), "ORDER BY, LIMIT or another clause in a function's arguments")?;
            args.iter().try_for_each(|arg| argument(arg, false, walk))?;
        }
    }
    match over {
        None | Some(WindowType::NamedWindow(_)) => {}
        Some(WindowType::WindowSpec(spec)) => window(spec, walk)?,
    }
    if let Some(filter) = filter {
        expr(filter, walk)?;
    }
    order(within_group, walk)
}

/// An argument; those of FUNNEL and RETENTION may have names.
pub(super) fn argument(arg: &FunctionArg, may_be_named: bool, walk: Walk) -> Result<(), Refusal> {
    let (arg, is_fine) = match arg {
        FunctionArg::Unnamed(arg) => (arg, true),
        FunctionArg::Named { name: _, arg, operator } => match operator {
            FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment => (arg, may_be_named),
            FunctionArgOperator::Equals | FunctionArgOperator::Colon | FunctionArgOperator::Value => {
                (arg, false)
            }
        },
        FunctionArg::ExprNamed { name: Expr::Identifier(_), arg, operator } => match operator {
            FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment => (arg, may_be_named),
            FunctionArgOperator::Equals | FunctionArgOperator::Colon | FunctionArgOperator::Value => {
                (arg, false)
            }
        },
        FunctionArg::ExprNamed { name: _, arg, operator: _ } => (arg, false),
    };
    let span = match arg {
        FunctionArgExpr::Expr(inner) => inner.span(),
        FunctionArgExpr::QualifiedWildcard(name) => name.span(),
        FunctionArgExpr::Wildcard | FunctionArgExpr::WildcardWithOptions(_) => Span::empty(),
    };
    clause(!is_fine, span, "An argument with a name")?;
    match arg {
        // PERCENTILE_CONT of several shares; any other array is refused where it is bound.
        FunctionArgExpr::Expr(Expr::Array(Array { elem, named: _ })) => {
            elem.iter().try_for_each(|inner| expr(inner, walk))
        }
        FunctionArgExpr::Expr(inner) => expr(inner, walk),
        FunctionArgExpr::Wildcard => Ok(()),
        FunctionArgExpr::QualifiedWildcard(_) => clause(true, span, "A wildcard of a table"),
        FunctionArgExpr::WildcardWithOptions(options) => wildcard(options, span),
    }
}

/// ORDER BY.
pub(super) fn order(list: &[OrderByExpr], walk: Walk) -> Result<(), Refusal> {
    for item in list {
        let OrderByExpr { expr: by, options, with_fill } = item;
        let OrderByOptions { asc: _, nulls_first: _ } = options;
        clause(with_fill.is_some(), by.span(), "WITH FILL")?;
        expr(by, walk)?;
    }
    Ok(())
}

/// OVER.
pub(super) fn window(spec: &WindowSpec, walk: Walk) -> Result<(), Refusal> {
    let WindowSpec { window_name: _, partition_by, order_by, window_frame } = spec;
    partition_by.iter().try_for_each(|inner| expr(inner, walk))?;
    order(order_by, walk)?;
    let Some(WindowFrame { units: _, start_bound, end_bound }) = window_frame else {
        return Ok(());
    };
    for bound in std::iter::once(start_bound).chain(end_bound) {
        match bound {
            WindowFrameBound::CurrentRow
            | WindowFrameBound::Preceding(None)
            | WindowFrameBound::Following(None) => {}
            WindowFrameBound::Preceding(Some(by)) | WindowFrameBound::Following(Some(by)) => expr(by, walk)?,
        }
    }
    Ok(())
}

fn refuse(whole: &Expr, message: String, suggestion: &str) -> Result<(), Refusal> {
    Err(Refusal::new(Rule::Expression, whole.span(), message, suggestion))
}

#[rustfmt::skip] // lists of names, packed
fn literal(value: &ValueWithSpan) -> Result<(), Refusal> {
    let refuse = |message: &str| Err(Refusal::new(Rule::Literal, value.span, message, SHAPE));
    match &value.value {
        Value::Number(_, false) | Value::Boolean(_) | Value::Null => Ok(()),
        // The text is written again for postprocessing, where such a literal would be read otherwise.
        Value::SingleQuotedString(text) if text.contains("''") || text.contains("\\'") => {
            refuse("A text has no two quotes one after the other, and no backslash before one.")
        }
        Value::SingleQuotedString(text) if text.contains('\0') => refuse("A text has no zero byte."),
        Value::SingleQuotedString(_) => Ok(()),
        Value::Placeholder(_) => refuse("There are no parameters: write the value itself."),
        Value::Number(..) | Value::DollarQuotedString(..) | Value::TripleSingleQuotedString(..)
        | Value::TripleDoubleQuotedString(..) | Value::EscapedStringLiteral(..)
        | Value::UnicodeStringLiteral(..) | Value::SingleQuotedByteStringLiteral(..)
        | Value::DoubleQuotedByteStringLiteral(..) | Value::TripleSingleQuotedByteStringLiteral(..)
        | Value::TripleDoubleQuotedByteStringLiteral(..) | Value::SingleQuotedRawStringLiteral(..)
        | Value::DoubleQuotedRawStringLiteral(..) | Value::TripleSingleQuotedRawStringLiteral(..)
        | Value::TripleDoubleQuotedRawStringLiteral(..) | Value::NationalStringLiteral(..)
        | Value::QuoteDelimitedStringLiteral(..) | Value::NationalQuoteDelimitedStringLiteral(..)
        | Value::HexStringLiteral(..) | Value::DoubleQuotedString(..) => {
            refuse("Literals are numbers, 'text', dates, true, false and NULL.")
        }
    }
}

#[rustfmt::skip] // lists of names, packed
fn unary(op: UnaryOperator, whole: &Expr) -> Result<(), Refusal> {
    match op {
        UnaryOperator::Plus | UnaryOperator::Minus | UnaryOperator::Not => Ok(()),
        UnaryOperator::AtDashAt | UnaryOperator::BangNot | UnaryOperator::BitwiseNot | UnaryOperator::DoubleAt
        | UnaryOperator::Hash | UnaryOperator::PGAbs | UnaryOperator::PGCubeRoot
        | UnaryOperator::PGPostfixFactorial | UnaryOperator::PGPrefixFactorial | UnaryOperator::PGSquareRoot
        | UnaryOperator::QuestionDash
        | UnaryOperator::QuestionPipe => refuse(whole, format!("The operator {op} cannot be used."), SHAPE),
    }
}

#[rustfmt::skip] // lists of names, packed
fn binary(op: &BinaryOperator, whole: &Expr) -> Result<(), Refusal> {
    match op {
        BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply | BinaryOperator::Divide
        | BinaryOperator::Modulo | BinaryOperator::StringConcat | BinaryOperator::Gt | BinaryOperator::Lt
        | BinaryOperator::GtEq | BinaryOperator::LtEq | BinaryOperator::Eq | BinaryOperator::NotEq
        | BinaryOperator::And | BinaryOperator::Or => Ok(()),
        BinaryOperator::Match | BinaryOperator::Regexp | BinaryOperator::PGRegexMatch
        | BinaryOperator::PGRegexIMatch | BinaryOperator::PGRegexNotMatch
        | BinaryOperator::PGRegexNotIMatch => {
            let suggestion = "SELECT COUNT(*) FROM usage WHERE app_version LIKE '4.%'";
            refuse(whole, "Regular expressions cannot be used.".to_owned(), suggestion)
        }
        BinaryOperator::Spaceship | BinaryOperator::Xor | BinaryOperator::BitwiseOr
        | BinaryOperator::BitwiseAnd | BinaryOperator::BitwiseXor | BinaryOperator::DuckIntegerDivide
        | BinaryOperator::MyIntegerDivide | BinaryOperator::Custom(..) | BinaryOperator::PGBitwiseXor
        | BinaryOperator::PGBitwiseShiftLeft | BinaryOperator::PGBitwiseShiftRight | BinaryOperator::PGExp
        | BinaryOperator::PGOverlap | BinaryOperator::PGLikeMatch | BinaryOperator::PGILikeMatch
        | BinaryOperator::PGNotLikeMatch | BinaryOperator::PGNotILikeMatch | BinaryOperator::PGStartsWith
        | BinaryOperator::Arrow | BinaryOperator::LongArrow | BinaryOperator::HashArrow
        | BinaryOperator::HashLongArrow | BinaryOperator::AtAt | BinaryOperator::AtArrow
        | BinaryOperator::ArrowAt | BinaryOperator::HashMinus | BinaryOperator::AtQuestion
        | BinaryOperator::Question | BinaryOperator::QuestionAnd | BinaryOperator::QuestionPipe
        | BinaryOperator::PGCustomBinaryOperator(..) | BinaryOperator::Overlaps | BinaryOperator::DoubleHash
        | BinaryOperator::LtDashGt | BinaryOperator::AndLt | BinaryOperator::AndGt | BinaryOperator::LtLtPipe
        | BinaryOperator::PipeGtGt | BinaryOperator::AndLtPipe | BinaryOperator::PipeAndGt
        | BinaryOperator::LtCaret | BinaryOperator::GtCaret | BinaryOperator::QuestionHash
        | BinaryOperator::QuestionDash | BinaryOperator::QuestionDashPipe | BinaryOperator::QuestionDoublePipe
        | BinaryOperator::At | BinaryOperator::TildeEq
        | BinaryOperator::Assignment => refuse(whole, format!("The operator {op} cannot be used."), SHAPE),
    }
}
