//! Postprocessing: rewrites expressions over released rows. Names are put in quotes, clocks are read and subqueries are taken
//! apart; inside a private SELECT, keys and aggregates become the names of released columns.
//!
//! Invariants: [`children`] names every node that the parser's walk lets through and refuses all others. Functions are on a
//! closed list. Not here: whether types fit together, which shows when the text is planned.

use shoal_schemas::Kind;
use sqlparser::ast::{
    Array, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectNamePart,
    Spanned, TypedString, Value as SqlValue, ValueWithSpan, WindowFrameBound, WindowSpec, WindowType,
};
use sqlparser::ast::{CastKind, TimezoneInfo};

use super::naming::quoted;
use super::scope::Split;
use crate::bind::literal::{is_utc, literal};
use crate::bind::unsupported::unsupported;
use crate::calendar::{day_text, time_text};
use crate::error::{LanguageError, Refusal, Rule};
use crate::expr::Value;
use crate::syntax::plain_name;
use shoal_schemas::nearest::nearest;

/// The functions that postprocessing can use: plain ones, aggregates and windows.
pub const POSTPROCESS_FUNCTIONS: [&str; 71] = [
    "abs",
    "ceil",
    "ceiling",
    "coalesce",
    "exp",
    "floor",
    "greatest",
    "least",
    "ln",
    "log",
    "log10",
    "log2",
    "nullif",
    "power",
    "pow",
    "round",
    "sign",
    "sqrt",
    "trunc",
    "upper",
    "lower",
    "length",
    "char_length",
    "character_length",
    "left",
    "right",
    "substr",
    "substring",
    "starts_with",
    "strpos",
    "trim",
    "btrim",
    "ltrim",
    "rtrim",
    "concat",
    "split_part",
    "to_char",
    "date_trunc",
    "date_part",
    "date_bin",
    "to_date",
    "count",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "median",
    "var",
    "var_samp",
    "var_pop",
    "variance",
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "corr",
    "approx_percentile_cont",
    "percentile_cont",
    "approx_median",
    "bool_and",
    "bool_or",
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
];

fn quote(ident: &mut Ident) {
    *ident = Ident { span: ident.span, ..quoted(plain_name(ident)) };
}

/// A constant date or time as SQL.
fn constant(value: &Value) -> Option<Expr> {
    let typed = |text: String, data_type| {
        let value = ValueWithSpan::from(SqlValue::SingleQuotedString(text));
        Some(Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false }))
    };
    match value {
        Value::Day(day) => typed(day_text(*day), DataType::Date),
        Value::Time(ms) => {
            let text = SqlValue::SingleQuotedString(time_text(*ms));
            Some(Expr::Cast {
                kind: CastKind::Cast,
                expr: Box::new(Expr::Value(text.into())),
                data_type: DataType::Timestamp(None, TimezoneInfo::WithTimeZone),
                array: false,
                format: None,
            })
        }
        Value::Null | Value::Boolean(_) | Value::Number(..) | Value::Text(_) => None,
    }
}

/// Returns the released column that an expression of a private SELECT stands for, and `None` for an expression that is made
/// of such columns.
type Released<'f> = &'f mut dyn FnMut(&Expr) -> Result<Option<Expr>, LanguageError>;

impl Split<'_> {
    /// Rewrites an expression over released rows.
    pub(super) fn postprocess(&mut self, expr: &mut Expr) -> Result<(), LanguageError> {
        self.postprocess_in(expr, &mut |_| Ok(None))
    }

    /// Rewrites an expression of a SELECT in which some expressions stand for released columns.
    pub(super) fn postprocess_in(
        &mut self,
        expr: &mut Expr,
        released: Released<'_>,
    ) -> Result<(), LanguageError> {
        self.work.step(|| expr.span())?;
        if let Some(column) = released(expr)? {
            *expr = column;
            return Ok(());
        }
        let is_written = matches!(expr, Expr::Value(_) | Expr::TypedString(_));
        if !is_written
            && let Ok(Some(value)) = literal(expr, None, self.now_ms)
            && let Some(value) = constant(&value)
        {
            *expr = value;
            return Ok(());
        }
        match expr {
            Expr::Identifier(name) => quote(name),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(quote),
            Expr::Function(function) => self.function(function)?,
            Expr::AtTimeZone { time_zone, .. } if !is_utc(time_zone) => return Err(unsupported(expr).into()),
            Expr::Subquery(query) | Expr::Exists { subquery: query, .. } => self.query(query)?,
            Expr::InSubquery { subquery, .. } => self.query(subquery)?,
            Expr::AnyOp { left, right, .. } => {
                let Expr::Array(Array { elem, named: _ }) = right.as_ref() else {
                    return Err(unsupported(expr).into());
                };
                *expr = Expr::InList { expr: left.clone(), list: elem.clone(), negated: false };
            }
            _ => {}
        }
        children(expr, &mut |inner| self.postprocess_in(inner, &mut *released))
    }

    fn function(&self, function: &mut Function) -> Result<(), LanguageError> {
        let name = match function.name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => plain_name(name),
            _ => String::new(),
        };
        if super::moving::is_moving(function) {
            return Err(super::moving::refusal(function, Kind::Usage).into());
        }
        if !POSTPROCESS_FUNCTIONS.contains(&name.as_str()) {
            let message = match nearest(&name, POSTPROCESS_FUNCTIONS.into_iter()) {
                Some(known) => {
                    format!("There is no such function for released rows; the nearest is `{known}`.")
                }
                None => {
                    "This function is not on the list of those that can be used on released rows.".to_owned()
                }
            };
            let suggestion = "SELECT os, round(COUNT(*) / 2, 1) AS half FROM usage GROUP BY os";
            return Err(Refusal::new(Rule::Function, function.span(), message, suggestion).into());
        }
        // The name is in lower case and without quotes, because it is not the name of a column.
        function.name.0 = vec![ObjectNamePart::Identifier(Ident::new(name))];
        if let Some(WindowType::NamedWindow(name)) = &mut function.over {
            quote(name);
        }
        Ok(())
    }

    /// Rewrites OVER, or a definition of WINDOW.
    pub(super) fn window(
        &mut self,
        spec: &mut WindowSpec,
        released: Released<'_>,
    ) -> Result<(), LanguageError> {
        inside(spec, &mut |inner| self.postprocess_in(inner, &mut *released))
    }
}

type Each<'f> = &'f mut dyn FnMut(&mut Expr) -> Result<(), LanguageError>;

/// Calls `f` with the expressions of a window.
fn inside(spec: &mut WindowSpec, f: Each<'_>) -> Result<(), LanguageError> {
    let WindowSpec { window_name, partition_by, order_by, window_frame } = spec;
    if let Some(name) = window_name {
        quote(name);
    }
    partition_by.iter_mut().try_for_each(&mut *f)?;
    order_by.iter_mut().try_for_each(|by| f(&mut by.expr))?;
    let Some(frame) = window_frame else { return Ok(()) };
    for bound in std::iter::once(&mut frame.start_bound).chain(&mut frame.end_bound) {
        if let WindowFrameBound::Preceding(Some(by)) | WindowFrameBound::Following(Some(by)) = bound {
            f(by)?;
        }
    }
    Ok(())
}

/// Calls `f` with the expressions of a call.
fn of_call(function: &mut Function, f: Each<'_>) -> Result<(), LanguageError> {
    if let FunctionArguments::List(list) = &mut function.args {
        for arg in &mut list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) = arg {
                f(inner)?;
            }
        }
    }
    if let Some(filter) = &mut function.filter {
        f(filter)?;
    }
    function.within_group.iter_mut().try_for_each(|by| f(&mut by.expr))?;
    match &mut function.over {
        Some(WindowType::WindowSpec(spec)) => inside(spec, f),
        Some(WindowType::NamedWindow(_)) | None => Ok(()),
    }
}

/// Calls `f` with each expression directly inside. Subqueries are left alone.
#[rustfmt::skip] // lists of names, packed
fn children(expr: &mut Expr, f: Each<'_>) -> Result<(), LanguageError> {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) | Expr::TypedString(_)
        | Expr::Interval(_) | Expr::Subquery(_) | Expr::Exists { .. } => Ok(()),
        Expr::IsFalse(inner) | Expr::IsNotFalse(inner) | Expr::IsTrue(inner) | Expr::IsNotTrue(inner)
        | Expr::IsNull(inner) | Expr::IsNotNull(inner) | Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner)
        | Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } | Expr::Cast { expr: inner, .. }
        | Expr::Extract { expr: inner, .. } | Expr::Ceil { expr: inner, .. } | Expr::Floor { expr: inner, .. }
        | Expr::InSubquery { expr: inner, .. } => f(inner),
        Expr::AtTimeZone { timestamp: left, time_zone: right } | Expr::IsDistinctFrom(left, right)
        | Expr::IsNotDistinctFrom(left, right) | Expr::BinaryOp { left, right, .. }
        | Expr::Like { expr: left, pattern: right, .. } | Expr::ILike { expr: left, pattern: right, .. } => {
            f(left)?;
            f(right)
        }
        Expr::InList { expr: inner, list, .. } => {
            f(inner)?;
            list.iter_mut().try_for_each(f)
        }
        Expr::Between { expr: inner, low, high, .. } => {
            f(inner)?;
            f(low)?;
            f(high)
        }
        Expr::Function(function) => of_call(function, f),
        Expr::Case { operand, conditions, else_result, .. } => {
            for one in conditions {
                f(&mut one.condition)?;
                f(&mut one.result)?;
            }
            operand.iter_mut().chain(else_result).try_for_each(|inner| f(inner))
        }
        Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
            sets.iter_mut().flatten().try_for_each(f)
        }
        Expr::CompoundFieldAccess { .. } | Expr::JsonAccess { .. } | Expr::IsNormalized { .. }
        | Expr::InUnnest { .. } | Expr::SimilarTo { .. } | Expr::RLike { .. } | Expr::AnyOp { .. }
        | Expr::AllOp { .. } | Expr::Convert { .. } | Expr::Position { .. } | Expr::Substring { .. }
        | Expr::Trim { .. } | Expr::Overlay { .. } | Expr::Collate { .. } | Expr::Prefixed { .. }
        | Expr::Tuple(_) | Expr::Struct { .. } | Expr::Named { .. } | Expr::Dictionary(_) | Expr::Map(_)
        | Expr::Array(_) | Expr::MatchAgainst { .. } | Expr::Wildcard(_) | Expr::QualifiedWildcard(..)
        | Expr::OuterJoin(_) | Expr::Prior(_) | Expr::Lambda(_)
        | Expr::MemberOf(_) => Err(unsupported(expr).into()),
    }
}
