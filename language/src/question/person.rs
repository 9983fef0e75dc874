//! Rows of subjects: `SELECT subject, COUNT(*) AS n FROM usage GROUP BY subject HAVING ..`.
//!
//! Invariants: each value of a row is clamped to bounds that follow from the registry and from how many days are asked. The
//! values are in the order of their text, and each is there once, so that their names make no difference.

use std::cell::RefCell;

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart,
    Select, SelectItem, Spanned,
};

use super::key_forms::key_expression;
use super::naming::default_name;
use super::origin::Source;
use super::release::Places;
use super::rows::{keys, no_rows};
use super::scope::Split;
use crate::bind::aggregate;
use crate::bind::aggregate_names::{Computes, computes};
use crate::bind::bounds::Bounds;
use crate::bind::call::{Formula, SESSIONS_DAY_MAX};
use crate::bind::columns::{Columns, Named, Names, PersonScope};
use crate::bind::numbers::scale_of;
use crate::error::{LanguageError, Refusal, Rule};
use crate::expr::{INTERVAL_MAX, Public, Scalar, Shared, TimePart, Type, filter};
use crate::private_query::{AggregateOp, DayRange, DayValues, PerSubject, PersonOp, PersonValue, Shape};
use crate::syntax::{expr_of, plain_name};

/// Most days of activity that a value of a subject's row counts.
const DAYS_COUNTED_MAX: u64 = 31;
const FUNNEL: &str = "SELECT step, COUNT(DISTINCT subject) AS people FROM funnel(usage, 'app_open', event = 'login' AND \
    result = 'ok', event = 'purchase' AND result = 'ok', within => INTERVAL '7 days') WHERE day >= current_date - 28 \
    GROUP BY step ORDER BY step";
const WORKS: &str =
    "SELECT AVG(n) FROM (SELECT subject, COUNT(*) AS n FROM usage GROUP BY subject) AS people";

/// Binds the aggregates of a subject's row.
struct Values<'v> {
    events: &'v Columns<'v>,
    filter: Option<&'v Scalar>,
    days: DayRange,
    /// The most days that one row can have.
    days_of_row: u64,
}

impl Values<'_> {
    fn call(&self, function: &Function) -> Result<PersonValue, Refusal> {
        let refused = |message: &str| Refusal::new(Rule::Aggregate, function.span(), message, WORKS);
        let name = match function.name.0.as_slice() {
            [ObjectNamePart::Identifier(name)] => plain_name(name),
            _ => String::new(),
        };
        let (arg, is_distinct) = match &function.args {
            FunctionArguments::List(list) => match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))] => {
                    (Some(arg), list.duplicate_treatment == Some(DuplicateTreatment::Distinct))
                }
                _ => (None, false),
            },
            FunctionArguments::None | FunctionArguments::Subquery(_) => (None, false),
        };
        let own = match &function.filter {
            Some(condition) => filter(self.events.condition(condition)?),
            None => None,
        };
        let days = self.days_of_row.min(DAYS_COUNTED_MAX);
        let count =
            |op, most: u64| PersonValue { op, filter: own.clone(), scale: 0, min: 0, max: units(most) };
        match (computes(&name, false), arg) {
            (Some(computed @ (Computes::Smallest | Computes::Largest)), Some(arg)) => {
                let item = self.events.normal(arg)?;
                let is_min = computed == Computes::Smallest;
                let made = |item| if is_min { PersonOp::Min(item) } else { PersonOp::Max(item) };
                if *item == Scalar::Day {
                    let (min, max) = (i64::from(self.days.first), i64::from(self.days.last));
                    let op = made(Scalar::Part(TimePart::DayNumber));
                    return Ok(PersonValue { op, filter: own, scale: 0, min, max });
                }
                // A statement that asks for each subject's first time of an event usually compares it with another event's.
                if matches!(arg, Expr::Identifier(name) if plain_name(name) == "time") {
                    let message = "Times of single events do not leave a subject's events; steps in order are a funnel.";
                    return Err(Refusal::new(Rule::Aggregate, function.span(), message, FUNNEL));
                }
                let Some((min, max)) = self.events.interval(&item) else {
                    let message = "MIN and MAX of a subject's row take `day`, a measure, or a number made of constants; the week of \
                         a first day is date_trunc('week', MIN(day)).";
                    return Err(refused(message));
                };
                let scale = scale_of(&item);
                let op = made(item.into_node());
                Ok(PersonValue { op, filter: own, scale, min, max })
            }
            (Some(Computes::Count), Some(arg)) if is_distinct && self.events.unit(arg).is_none() => {
                let item = self.events.normal(arg)?.into_node();
                let public = Public::of(self.events.registry, self.events.table.kind);
                let most = match &item {
                    Scalar::Day => self.days_of_row,
                    item => item.keys_max(&public).min(1_000).saturating_mul(days),
                };
                Ok(count(PersonOp::Distinct(item), most))
            }
            _ => self.made(function),
        }
    }

    /// A count or a sum.
    fn made(&self, function: &Function) -> Result<PersonValue, Refusal> {
        let refused = |message: &str| Refusal::new(Rule::Aggregate, function.span(), message, WORKS);
        let days = self.days_of_row.min(DAYS_COUNTED_MAX);
        let bounds =
            Bounds { registry: self.events.registry, filter: self.filter, by_event: false, rows_max: None };
        let call = aggregate::bind(self.events, &bounds, function)?;
        let (Formula::One, Ok([one])) =
            (call.formula, <[crate::private_query::Aggregate; 1]>::try_from(call.aggregates))
        else {
            return Err(refused("A subject's row has counts, sums, minima and maxima."));
        };
        let most = one.linf.saturating_mul(days);
        let made = |op| PersonValue { op, filter: one.filter.clone(), scale: 0, min: 0, max: units(most) };
        match one.op {
            AggregateOp::Rows => Ok(made(PersonOp::Rows)),
            AggregateOp::Present(item) => Ok(made(PersonOp::Present(item))),
            AggregateOp::Sessions => {
                let max = units(SESSIONS_DAY_MAX.saturating_mul(days));
                Ok(PersonValue { max, ..made(PersonOp::Sessions) })
            }
            AggregateOp::Sum(item) => {
                let min = self
                    .events
                    .interval(&item)
                    .map_or(-units(most), |(min, _)| min.signum().min(0) * units(most));
                Ok(PersonValue { min, scale: one.scale, ..made(PersonOp::Sum(item)) })
            }
            AggregateOp::Subjects | AggregateOp::Quantile { .. } => {
                Err(refused("A subject's row has counts, sums, minima and maxima."))
            }
        }
    }
}

fn units(most: u64) -> i64 {
    i64::try_from(most).unwrap_or(INTERVAL_MAX).min(INTERVAL_MAX)
}

impl Split<'_> {
    /// The rows of a SELECT that groups by `subject`.
    pub(super) fn person(&mut self, select: &Select, mut source: Source) -> Result<Source, LanguageError> {
        let span = select.span();
        let refused =
            |message: &str| LanguageError::from(Refusal::new(Rule::Aggregate, span, message, WORKS));
        if !matches!(source.shape, Shape::Events) {
            return Err(refused("Rows of subjects are made of events, not of other rows of subjects."));
        }
        let wheres = self.wheres(select, &mut source)?;
        if !wheres.released.is_empty() {
            return Err(refused("Rows of subjects cannot be filtered by another query's answer."));
        }
        let found = self.readable(source.kind, source.filter.as_ref(), None)?;
        let events = self.columns(&source);
        let keys = person_keys(select, &events)?;
        if keys.iter().any(|key| matches!(key.ty(), Some(Type::Day | Type::Time) | None)) {
            return Err(refused(
                "Rows of subjects are over all days of the query; days and times are no keys of theirs.",
            ));
        }
        let of_days: Vec<&Scalar> = keys.iter().map(AsRef::as_ref).collect();
        let days_of_row = DayValues::of(&of_days, &[found.days]).days;
        let values =
            Values { events: &events, filter: source.filter.as_ref(), days: found.days, days_of_row };
        let call = |function: &Function| values.call(function);
        let scope = PersonScope {
            events: &events,
            keys: keys.clone(),
            values: RefCell::new(Vec::new()),
            call: &call,
        };
        let columns = Columns { person: Some(scope), ..self.columns(&source) };
        let mut names: Vec<(String, Named)> = Vec::new();
        for item in &select.projection {
            let (expr, name) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, default_name(expr)),
                SelectItem::ExprWithAlias { expr, alias } => (expr, plain_name(alias)),
                other => return Err(no_rows(other.span()).into()),
            };
            let named = match events.unit(expr) {
                Some(Named::Subject) => Named::Subject,
                Some(_) => return Err(no_rows(expr.span()).into()),
                None => Named::Value(columns.normal(expr)?),
            };
            names.push((name, named));
        }
        let having = match &select.having {
            Some(having) => filter(columns.condition(having)?),
            None => None,
        };
        let values = columns.person.map(|person| person.values.into_inner()).unwrap_or_default();
        let (values, ranks) = sorted(values);
        let place = |at: usize| ranks.get(at).copied().unwrap_or(at);
        let mut places = Places::of(&place);
        let having = having.map(|having| places.moved(having));
        for (_, named) in &mut names {
            if let Named::Value(scalar) = named {
                *scalar = places.shared(scalar);
            }
        }
        let keys = keys.into_iter().map(Shared::into_node).collect();
        source.shape = Shape::Subjects(PerSubject { keys, values, having });
        source.names = Names::Listed(names.into());
        Ok(source)
    }
}

/// What the rows are grouped by besides the subject.
fn person_keys(select: &Select, events: &Columns<'_>) -> Result<Vec<Shared<Scalar>>, Refusal> {
    let grouped = keys(select);
    let mut all: Vec<&Expr> = Vec::new();
    for key in grouped {
        all.push(key_expression(key, &select.projection, events)?);
    }
    if grouped.is_empty() {
        all.extend(select.projection.iter().filter_map(expr_of));
    }
    let mut keys: Vec<(String, Shared<Scalar>)> = Vec::new();
    let mut has_subject = false;
    for expr in all {
        if events.unit(expr) == Some(Named::Subject) {
            has_subject = true;
            continue;
        }
        let scalar = events.normal(expr)?;
        keys.push((scalar.to_string(), scalar));
    }
    if !has_subject {
        return Err(no_rows(select.span()));
    }
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    keys.dedup_by(|a, b| a.0 == b.0);
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// Sorts values by their text and returns the new place of each old one.
fn sorted(values: Vec<PersonValue>) -> (Vec<PersonValue>, Vec<usize>) {
    let mut all: Vec<(String, usize, PersonValue)> =
        values.into_iter().enumerate().map(|(at, value)| (value.to_string(), at, value)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let mut ranks = vec![0; all.len()];
    for (rank, (_, at, _)) in all.iter().enumerate() {
        if let Some(place) = ranks.get_mut(*at) {
            *place = rank;
        }
    }
    (all.into_iter().map(|(_, _, value)| value).collect(), ranks)
}
