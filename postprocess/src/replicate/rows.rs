//! Rewrites aggregates and windows: the same function is computed over each companion, with the partitions, orders and
//! filters of the numbers themselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::logical_plan::{Aggregate, Window};
use datafusion::logical_expr::{Expr, LogicalPlan, WindowFunctionDefinition};

use super::exprs::is_number;
use super::relation::{Caveat, Missing, Noise, Noisy, Relation, Replication};
use super::steps::{self, Extreme};
use super::units::SAME_OVER_ROWS;
use crate::functions::is_aggregate;
use crate::refuse::{FILLED, Stop, stop};
use shoal_language::Rule;

/// A function of several rows.
struct Call<'a> {
    name: &'a str,
    args: &'a [Expr],
    ty: &'a DataType,
    /// Whether noise decided which rows there are, or in what order.
    is_chosen: bool,
    /// Whether noisy numbers did.
    is_picked: bool,
}

impl Replication<'_> {
    pub(super) fn aggregate(&mut self, node: &Aggregate) -> Result<Relation, Stop> {
        let input = self.relation(&node.input)?;
        let (mut is_decided, mut is_picked) = (input.is_decided, input.is_picked);
        let mut noise = Vec::with_capacity(node.group_expr.len() + node.aggr_expr.len());
        for (expr, field) in node.group_expr.iter().zip(node.schema.fields()) {
            let of =
                input.noise(expr, field.data_type()).map(|of| without_companions(&of, field.data_type()));
            is_decided |= of.is_some();
            is_picked |= of.is_some();
            noise.push(of);
        }
        let (mut aggregates, mut extremes) = (node.aggr_expr.clone(), Vec::new());
        let fields = node.schema.fields().iter().skip(node.group_expr.len());
        for (expr, field) in node.aggr_expr.iter().zip(fields) {
            let Some(function) = function_of(expr) else {
                noise.push(is_decided.then_some(Noise::Decided));
                continue;
            };
            let params = &function.params;
            let is_filtered = params.filter.as_deref().is_some_and(|filter| input.decides(filter));
            let (is_chosen, is_picked) = (is_decided || is_filtered, is_picked || is_filtered);
            let (name, args, ty) = (function.func.name(), params.args.as_slice(), field.data_type());
            // Without a key there is one row, in which it is said what is missing.
            if !node.group_expr.is_empty() {
                input.may_be_put_together(name, args)?;
            }
            noise.push(match input.over_rows(&Call { name, args, ty, is_chosen, is_picked }) {
                Some(Noise::Noisy(_)) if params.distinct => Some(Noise::Lost),
                Some(Noise::Noisy(noisy)) => {
                    let moved = self.fresh_moved();
                    if steps::is_extreme(name) && self.companions.wide > 0 {
                        let rows = self.fresh_column();
                        aggregates.push(counted(function).alias(&rows.name));
                        let of = Column::from((None, field));
                        extremes.push(Extreme { of, moved: moved.clone(), rows });
                    }
                    for (w, column) in moved.iter().enumerate() {
                        let mut one = function.clone();
                        // Of the largest number it is asked where each may be, and not what it jumps by.
                        let companion = |arg: &Expr| match steps::is_extreme(name) {
                            true => input.moved(arg, w),
                            false => self.companion(&input, arg, w),
                        };
                        one.params.args = params.args.iter().map(companion).collect::<Result<_, Stop>>()?;
                        aggregates.push(Expr::AggregateFunction(one).alias(&column.name));
                    }
                    Some(Noise::Noisy(Noisy { moved, ..noisy }))
                }
                other => other,
            });
        }
        let is_grouped = !node.group_expr.is_empty();
        let plan = Aggregate::try_new(Arc::new(input.plan), node.group_expr.clone(), aggregates)?;
        let plan = self.widened(LogicalPlan::Aggregate(plan), &extremes, &mut noise)?;
        Ok(Relation {
            plan,
            schema: Arc::clone(&node.schema),
            noise,
            subqueries: Vec::new(),
            row: None,
            is_decided: is_decided && is_grouped,
            is_picked: is_picked && is_grouped,
            // Without a key there is a row whatever the groups are.
            missing: if is_grouped { input.missing } else { Missing::default() },
        })
    }

    pub(super) fn window(&mut self, node: &Window) -> Result<Relation, Stop> {
        let mut input = self.relation(&node.input)?;
        let mut exprs = node.window_expr.clone();
        let fields = node.schema.fields().iter().skip(input.schema.fields().len());
        let mut noise = Vec::with_capacity(exprs.len());
        for (expr, field) in node.window_expr.iter().zip(fields) {
            let Some(function) = window_of(expr) else {
                noise.push(Some(Noise::Decided));
                continue;
            };
            let params = &function.params;
            let mut decided = params.filter.as_deref().is_some_and(|f| input.decides(f));
            decided |= params.partition_by.iter().any(|e| input.decides(e));
            decided |= params.order_by.iter().any(|sort| input.decides(&sort.expr));
            let (name, args, ty) = (name_of(&function.fun), params.args.as_slice(), field.data_type());
            input.may_be_put_together(name, args)?;
            // Of rows of a window that are not counted, the largest has no wider interval, but a note.
            let is_picked = input.is_picked || decided || steps::is_extreme(name);
            let is_chosen = input.is_decided || decided;
            noise.push(match input.over_rows(&Call { name, args, ty, is_chosen, is_picked }) {
                Some(Noise::Noisy(_)) if params.distinct => Some(Noise::Lost),
                Some(Noise::Noisy(noisy)) => {
                    let moved = self.fresh_moved();
                    for (w, column) in moved.iter().enumerate() {
                        let mut one = function.clone();
                        one.params.args = self.moved_all(&input, &params.args, w)?;
                        exprs.push(Expr::WindowFunction(Box::new(one)).alias(&column.name));
                    }
                    Some(Noise::Noisy(Noisy { moved, ..noisy }))
                }
                other => other,
            });
        }
        input.noise.extend(noise);
        input.plan = LogicalPlan::Window(Window::try_new(exprs, Arc::new(input.plan))?);
        input.schema = Arc::clone(&node.schema);
        Ok(input)
    }
}

impl Relation {
    /// Refuses to make one number of several rows of a UNION of exact numbers and released ones: where a group is not shown, only the
    /// exact number is left, and would look as if it were the truth.
    fn may_be_put_together(&self, name: &str, args: &[Expr]) -> Result<(), Stop> {
        let is_beside_exact = |arg: &Expr| match self.noise(arg, &DataType::Float64) {
            Some(Noise::Noisy(noisy)) => noisy.caveats.contains(&Caveat::BesideExact),
            _ => false,
        };
        if name == "count" || !args.iter().any(is_beside_exact) {
            return Ok(());
        }
        let message = "Exact numbers of a UNION cannot be put together with those of groups of which some may not be shown: the number \
                       of such a group is not zero, but unknown. LEFT JOIN the groups to a list of their keys instead.";
        Err(stop(Rule::Clause, message, FILLED))
    }

    /// How a function of several rows depends on noise; a number is without companions.
    fn over_rows(&self, call: &Call<'_>) -> Option<Noise> {
        let mut of = call.is_chosen.then_some(Noise::Decided);
        let mut caveats = BTreeSet::new();
        let (mut is_noisy, mut is_stepped) = (false, steps::is_extreme(call.name));
        for arg in call.args {
            match self.noise(arg, call.ty) {
                Some(Noise::Lost) => return Some(Noise::Lost),
                Some(Noise::Noisy(noisy)) if is_number(call.ty) => {
                    is_noisy = true;
                    // The largest of numbers that jump is not known as that of others is.
                    caveats.extend((is_stepped && noisy.is_stepped).then_some(Caveat::Chosen));
                    is_stepped |= noisy.is_stepped;
                    caveats.extend(noisy.caveats);
                }
                Some(Noise::Noisy(_) | Noise::Absent(_) | Noise::Decided) => of = Some(Noise::Decided),
                None => (),
            }
        }
        if !is_noisy {
            return of;
        }
        // What is added up misses the groups that are not shown.
        caveats.extend(self.missing.shown_from.filter(|_| is_aggregate(call.name)).map(Caveat::Partial));
        caveats.extend(call.is_picked.then_some(Caveat::Chosen));
        caveats.extend(steps::is_spread(call.name).then_some(Caveat::Spread));
        let unit =
            call.args.first().filter(|_| SAME_OVER_ROWS.contains(&call.name)).and_then(|arg| self.unit(arg));
        Some(Noise::Noisy(Noisy { unit, caveats, is_stepped, ..Noisy::default() }))
    }
}

fn name_of(function: &WindowFunctionDefinition) -> &str {
    match function {
        WindowFunctionDefinition::AggregateUDF(function) => function.name(),
        WindowFunctionDefinition::WindowUDF(function) => function.name(),
    }
}

/// What is left of a column's noise when equal values become one row.
pub(super) fn without_companions(noise: &Noise, ty: &DataType) -> Noise {
    match noise {
        Noise::Decided | Noise::Absent(_) => Noise::Decided,
        Noise::Lost | Noise::Noisy(_) if is_number(ty) => Noise::Lost,
        Noise::Lost | Noise::Noisy(_) => Noise::Decided,
    }
}

fn function_of(expr: &Expr) -> Option<&AggregateFunction> {
    match expr {
        Expr::Alias(alias) => function_of(&alias.expr),
        Expr::AggregateFunction(function) => Some(function),
        _ => None,
    }
}

fn window_of(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => window_of(&alias.expr),
        Expr::WindowFunction(function) => Some(function),
        _ => None,
    }
}

/// How many rows an aggregate is of.
fn counted(function: &AggregateFunction) -> Expr {
    let mut one = function.clone();
    one.func = count_udaf();
    one.params.args.truncate(1);
    Expr::AggregateFunction(one)
}

impl Replication<'_> {
    fn moved_all(&self, input: &Relation, args: &[Expr], companion: usize) -> Result<Vec<Expr>, Stop> {
        args.iter().map(|arg| self.companion(input, arg, companion)).collect()
    }
}
