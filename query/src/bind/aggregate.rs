//! Aggregate calls -> [`Aggregate`], with the bound that the registry gives for one subject's day.
//!
//! Invariants: the list is COUNT(*), COUNT(expression), COUNT(DISTINCT subject | session), SUM(measure), AVG(measure),
//! each with FILTER; and SUM(CASE WHEN .. THEN 1 END), which is a COUNT with a filter. AVG is two aggregates, divided
//! above the release.

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, ObjectNamePart, Spanned,
};
use datafusion::sql::sqlparser::tokenizer::Span;
use shoal_schemas::{ColumnRole, Registry, columns};

use super::scalar::{Columns, plain_name};
use super::scope::pinned;
use crate::error::{Refusal, Rule};
use crate::expr::{Scalar, Type, Value};
use crate::private_query::{Aggregate, AggregateOp};

/// Most sessions of one subject's day that count in one group.
const SESSIONS_DAY_MAX: u64 = 20;

/// A call of an aggregate, bound.
pub(super) enum Call {
    One(Aggregate),
    /// The first divided by the second.
    Ratio(Aggregate, Aggregate),
}

/// What bounds a count.
pub(super) struct Bounds<'a> {
    pub(super) registry: &'a Registry,
    pub(super) filter: Option<&'a Scalar>,
    /// Whether `event` is a key, so that no group holds two events.
    pub(super) by_event: bool,
}

/// Whether a call has the name of an aggregate.
pub(super) fn is_aggregate(function: &Function) -> bool {
    matches!(function.name.0.as_slice(), [ObjectNamePart::Identifier(name)]
        if matches!(plain_name(name).as_str(), "count" | "sum" | "avg"))
}

/// Binds a call.
pub(super) fn bind(scope: &Columns<'_>, bounds: &Bounds<'_>, function: &Function) -> Result<Call, Refusal> {
    let Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment, args, clauses }),
        filter,
        null_treatment: None,
        over: None,
        within_group,
    } = function
    else {
        return Err(refuse(function.span(), "An aggregate has no OVER and no other additions."));
    };
    let ([ObjectNamePart::Identifier(name)], [arg], true) =
        (name.0.as_slice(), args.as_slice(), clauses.is_empty() && within_group.is_empty())
    else {
        return Err(refuse(function.span(), "An aggregate takes one argument."));
    };
    let distinct = match duplicate_treatment {
        Some(DuplicateTreatment::Distinct) => true,
        Some(DuplicateTreatment::All) | None => false,
    };
    let filter = match filter {
        Some(filter) => Some(scope.condition(filter)?),
        None => None,
    };
    let arg = argument(arg).map_err(|()| refuse(function.span(), "An aggregate takes one argument."))?;
    match (plain_name(name).as_str(), distinct, arg) {
        ("count", false, None) => Ok(Call::One(count(scope, bounds, AggregateOp::Rows, filter))),
        ("count", false, Some(expr)) => {
            let op = match scope.scalar(expr, None)? {
                Scalar::Value(value) if value != Value::Null => AggregateOp::Rows,
                item => AggregateOp::Present(item),
            };
            Ok(Call::One(count(scope, bounds, op, filter)))
        }
        ("count", true, Some(Expr::Identifier(unit))) if plain_name(unit) == columns::SUBJECT => {
            Ok(Call::One(Aggregate {
                op: AggregateOp::Subjects,
                filter,
                linf: 1,
                unit: Some("subjects".to_owned()),
                scale: 0,
            }))
        }
        ("count", true, Some(Expr::Identifier(unit))) if plain_name(unit) == columns::SESSION => {
            let mut one = count(scope, bounds, AggregateOp::Sessions, filter);
            one.linf = one.linf.min(SESSIONS_DAY_MAX);
            one.unit = Some("sessions".to_owned());
            Ok(Call::One(one))
        }
        ("sum", false, Some(expr)) => sum(scope, bounds, expr, filter).map(Call::One),
        ("avg", false, Some(expr)) => {
            let total = sum(scope, bounds, expr, filter.clone())?;
            let AggregateOp::Sum(Scalar::Column { name: measure, .. }) = &total.op else {
                return Err(refuse(expr.span(), "AVG takes a measure."));
            };
            let present = Scalar::Column { name: measure.clone(), ty: Type::Number { scale: total.scale } };
            let op = AggregateOp::Present(present);
            let number = count(scope, bounds, op, total.filter.clone());
            Ok(Call::Ratio(total, number))
        }
        _ => Err(refuse(function.span(), "This aggregate cannot be used over events.")),
    }
}

/// The expression of an argument; none for `*`.
fn argument(arg: &FunctionArg) -> Result<Option<&Expr>, ()> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(Some(expr)),
        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => Ok(None),
        FunctionArg::Unnamed(
            FunctionArgExpr::QualifiedWildcard(_) | FunctionArgExpr::WildcardWithOptions(_),
        )
        | FunctionArg::Named { .. }
        | FunctionArg::ExprNamed { .. } => Err(()),
    }
}

fn refuse(span: Span, message: &str) -> Refusal {
    let suggestion = "COUNT(*), COUNT(DISTINCT subject), COUNT(DISTINCT session), SUM(measure), AVG(measure)";
    Refusal::new(Rule::Aggregate, span, message, suggestion)
}

fn both(a: Option<Scalar>, b: Scalar) -> Option<Scalar> {
    Some(match a {
        Some(a) => Scalar::And(Box::new(a), Box::new(b)),
        None => b,
    })
}

fn sum(
    scope: &Columns<'_>,
    bounds: &Bounds<'_>,
    expr: &Expr,
    filter: Option<Scalar>,
) -> Result<Aggregate, Refusal> {
    let item = scope.scalar(expr, None)?;
    let zero = |s: &Scalar| matches!(s, Scalar::Value(Value::Number(0, _) | Value::Null));
    let (item, filter) = match item {
        Scalar::Case { mut branches, otherwise }
            if branches.len() == 1 && otherwise.as_deref().is_none_or(zero) =>
        {
            let (when, then) = branches.remove(0);
            (then, both(filter, when))
        }
        other => (other, filter),
    };
    match item {
        Scalar::Value(Value::Number(1, 0)) => Ok(count(scope, bounds, AggregateOp::Rows, filter)),
        Scalar::Column { name, ty: ty @ Type::Number { .. } } => {
            match scope.table.column(&name).map(|(_, column)| &column.role) {
                Some(ColumnRole::Measure(measure)) => Ok(Aggregate {
                    op: AggregateOp::Sum(Scalar::Column { name, ty }),
                    filter,
                    linf: measure.day_sum_max.unsigned_abs().max(1),
                    unit: Some(measure.unit.clone()),
                    scale: measure.scale,
                }),
                _ => Err(refuse(expr.span(), "SUM and AVG take a measure.")),
            }
        }
        _ => Err(refuse(expr.span(), "SUM and AVG take a measure.")),
    }
}

/// A count, bounded by the day's maximum of the events it can meet in one group.
fn count(scope: &Columns<'_>, bounds: &Bounds<'_>, op: AggregateOp, filter: Option<Scalar>) -> Aggregate {
    let pins = [pinned(bounds.filter, columns::EVENT), pinned(filter.as_ref(), columns::EVENT)];
    let kind = scope.table.kind;
    let each = bounds
        .registry
        .events()
        .iter()
        .filter(|event| event.kind == kind)
        .filter(|event| pins.iter().flatten().all(|pin| pin.contains(&event.name)))
        .map(|event| u64::from(event.day_max));
    let most = if bounds.by_event { each.max() } else { Some(each.sum()) };
    let linf = most.unwrap_or(1).min(u64::from(scope.table.day_max)).max(1);
    Aggregate { op, filter, linf, unit: Some("events".to_owned()), scale: 0 }
}
