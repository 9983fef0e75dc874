//! FUNNEL and RETENTION: rows of a table that have a step, or a cohort and a period, besides its columns.
//!
//! ```text
//! funnel(usage, 'app_open', event = 'login' AND result = 'ok', within => INTERVAL '7 days')      step
//! retention(usage, 'app_open', 'app_open', period => 'week')                                     cohort, period
//! ```
//! Invariants: steps and events are conditions on one event and are bound like WHERE; a text stands for an event's name.
//! Not here: their names, and what an asker is told of them (`template_names`).

use shoal_schemas::columns;
use sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Spanned};
use sqlparser::tokenizer::Span;

use super::origin::Source;
use super::scope::{Split, kind};
use super::template_names::Template;
use crate::bind::columns::{Columns, Names};
use crate::bind::interval::length_ms;
use crate::bind::literal::literal;
use crate::calendar::Grain;
use crate::error::{Refusal, Rule};
use crate::expr::{Compare, Scalar, Shared, Type, Value, filter, normal};
use crate::private_query::Shape;
use crate::syntax::plain_name;
use shoal_schemas::calendar::{DAY_MS, HOUR_MS};

/// Most steps of a funnel.
const STEPS_MAX: usize = 10;
/// Longest time between a funnel's first and last step.
const WITHIN_MS_MAX: i64 = 31 * DAY_MS;

/// The arguments of a template, taken apart.
struct Arguments<'f> {
    table: Option<&'f Expr>,
    events: Vec<&'f Expr>,
    option: Option<(String, &'f Expr)>,
}

fn arguments(args: &[FunctionArg]) -> Option<Arguments<'_>> {
    let mut all = Arguments { table: None, events: Vec::new(), option: None };
    for arg in args {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if all.option.is_none() => match all.table {
                None => all.table = Some(expr),
                Some(_) => all.events.push(expr),
            },
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), operator: _ }
                if all.option.is_none() =>
            {
                all.option = Some((plain_name(name), expr));
            }
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(expr),
                operator: _,
            } if all.option.is_none() => {
                all.option = Some((plain_name(name), expr));
            }
            FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                return None;
            }
        }
    }
    Some(all)
}

impl Split<'_> {
    /// The source of a template.
    pub(super) fn template(
        &self,
        template: Template,
        args: &[FunctionArg],
        span: Span,
    ) -> Result<Source, Refusal> {
        let form = template.form();
        let refused = |message: &str, span: Span| Refusal::new(Rule::Table, span, message, form.example);
        let Some(Arguments { table: Some(table), events, option }) = arguments(args) else {
            return Err(refused(
                "The table comes first, then the events, then the option with its name.",
                span,
            ));
        };
        let kind = match table {
            Expr::Identifier(name) => {
                kind(&plain_name(name)).filter(|_| self.cte(&plain_name(name)).is_none())
            }
            _ => None,
        };
        let kind = kind.ok_or_else(|| refused("The first argument is the name of a table.", table.span()))?;
        let columns = Columns::of(self.registry, self.work, self.registry.table(kind), self.now_ms);
        let events =
            events.into_iter().map(|event| self.event(&columns, event)).collect::<Result<Vec<_>, _>>()?;
        let mut notes = Vec::new();
        let (shape, extra) = if template == Template::Funnel {
            let within_ms = match &option {
                Some((name, by)) if name == "within" => length_ms(by),
                Some(_) => None,
                None => {
                    notes.push("The steps of the funnel are within 7 days.".to_owned());
                    Some(7 * DAY_MS)
                }
            };
            let within_ms = within_ms
                .filter(|ms| (HOUR_MS..=WITHIN_MS_MAX).contains(ms))
                .ok_or_else(|| refused("`within` is an interval between an hour and 31 days.", span))?;
            if !(2..=STEPS_MAX).contains(&events.len()) {
                return Err(refused("A funnel has two to ten steps.", span));
            }
            (Shape::Funnel { steps: events, within_ms }, vec![("step", Scalar::Step)])
        } else {
            let period = match option {
                Some((name, by)) if name == "period" => match literal(by, Some(Type::Text), self.now_ms)? {
                    Some(Value::Text(text)) => Grain::parse(&text).filter(|grain| *grain != Grain::Hour),
                    _ => None,
                },
                _ => None,
            };
            let period = period.ok_or_else(|| refused("`period` is 'day', 'week' or 'month'.", span))?;
            let Ok([cohort, back]) = <[Scalar; 2]>::try_from(events) else {
                return Err(refused(
                    "A retention has the event of the cohort and the event of the return.",
                    span,
                ));
            };
            let extra = vec![("cohort", Scalar::Cohort), ("period", Scalar::Period)];
            (Shape::Retention { cohort, back, period }, extra)
        };
        let (alias, names) = (Some(form.name.to_owned()), Names::Table(extra));
        let (members, clocks) = (Vec::new(), Vec::new());
        Ok(Source { kind, alias, names, shape, filter: None, members, windows: None, clocks, notes })
    }

    /// A step: a condition, or the name of an event.
    fn event(&self, columns: &Columns<'_>, expr: &Expr) -> Result<Scalar, Refusal> {
        if let Some(Value::Text(name)) = literal(expr, None, self.now_ms)? {
            let event = Shared::new(Scalar::Column { name: columns::EVENT.to_owned(), ty: Type::Text });
            columns.listed_text(&event, expr)?;
            return Ok(normal(Scalar::test(Compare::Eq, event, Value::Text(name))));
        }
        let condition = columns.condition(expr)?;
        Ok(filter(condition).unwrap_or(Scalar::Value(Value::Boolean(true))))
    }
}
