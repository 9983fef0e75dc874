//! Refuses `COUNT(DISTINCT subject) OVER (.. 6 PRECEDING ..)`: the people of a window are not the sum of its days' people. And the
//! statement that shows what can be asked instead.
//!
//! Not here: windows that are answered (`windows`).

use std::ops::ControlFlow;

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArguments, Select, Spanned, WindowFrameBound, WindowType,
};

use crate::bind::interval::length_ms;
use crate::bind::unsupported::windows as example;
use crate::error::{Refusal, Rule};
use crate::walk::visit_expressions;
use shoal_schemas::Kind;
use shoal_schemas::calendar::DAY_MS;

/// Days before the day itself where the statement does not tell them.
const USUAL_DAYS: u32 = 6;

/// Whether a call counts different values over the rows of a window.
pub(super) fn is_moving(function: &Function) -> bool {
    let is_distinct = matches!(&function.args, FunctionArguments::List(list)
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct));
    is_distinct && function.over.is_some()
}

/// How many days before its own day the frame of a window has.
fn days_before(function: &Function) -> Option<u32> {
    let Some(WindowType::WindowSpec(spec)) = &function.over else { return None };
    let WindowFrameBound::Preceding(Some(by)) = &spec.window_frame.as_ref()?.start_bound else { return None };
    let days = length_ms(by).map(|ms| ms / DAY_MS).or_else(|| by.to_string().parse().ok())?;
    u32::try_from(days).ok().filter(|days| (1..=400).contains(days))
}

/// The refusal of such a call.
pub(super) fn refusal(function: &Function, kind: Kind) -> Refusal {
    let message = "The people of a moving window are not the sum of its days' people, so each window is counted, and paid, by itself: \
        join a series of days with the events of each window.";
    let days = days_before(function).unwrap_or(USUAL_DAYS);
    Refusal::new(Rule::Aggregate, function.span(), message, example(kind, days))
}

/// Refuses such calls among the items of a private SELECT.
pub(super) fn counted_by_itself(select: &Select, kind: Kind) -> Result<(), Refusal> {
    let found = visit_expressions(&select.projection, |expr| match expr {
        Expr::Function(function) if is_moving(function) => ControlFlow::Break(refusal(function, kind)),
        _ => ControlFlow::Continue(()),
    });
    found.break_value().map_or(Ok(()), Err)
}
