//! Rewrites aggregates and windows: the same function is computed over each companion, with the partitions, orders and
//! filters of the numbers themselves.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::logical_plan::{Aggregate, Window};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::exprs::is_number;
use super::relation::{Noise, Noisy, Relation, Replication};
use crate::refuse::Stop;

impl Replication<'_> {
    pub(super) fn aggregate(&mut self, node: &Aggregate) -> Result<Relation, Stop> {
        let input = self.relation(&node.input)?;
        let mut is_decided = input.is_decided;
        let mut noise = Vec::with_capacity(node.group_expr.len() + node.aggr_expr.len());
        for (expr, field) in node.group_expr.iter().zip(node.schema.fields()) {
            let of =
                input.noise(expr, field.data_type()).map(|of| without_companions(&of, field.data_type()));
            is_decided |= of.is_some();
            noise.push(of);
        }
        let mut aggregates = node.aggr_expr.clone();
        let fields = node.schema.fields().iter().skip(node.group_expr.len());
        for (expr, field) in node.aggr_expr.iter().zip(fields) {
            let Some(function) = function_of(expr) else {
                noise.push(is_decided.then_some(Noise::Decided));
                continue;
            };
            let params = &function.params;
            let chosen = is_decided || params.filter.as_deref().is_some_and(|filter| input.decides(filter));
            let of = self.over_arguments(&input, &params.args, field.data_type(), chosen);
            noise.push(match of {
                Some(Noise::Noisy(_)) if params.distinct => Some(Noise::Lost),
                Some(Noise::Noisy(_)) => {
                    let moved = self.fresh_moved();
                    for (w, column) in moved.iter().enumerate() {
                        let mut one = function.clone();
                        one.params.args = moved_all(&input, &params.args, w)?;
                        aggregates.push(Expr::AggregateFunction(one).alias(&column.name));
                    }
                    Some(Noise::Noisy(Noisy { bare: None, moved }))
                }
                other => other,
            });
        }
        let plan = Aggregate::try_new(Arc::new(input.plan), node.group_expr.clone(), aggregates)?;
        Ok(Relation {
            plan: LogicalPlan::Aggregate(plan),
            schema: Arc::clone(&node.schema),
            noise,
            subqueries: Vec::new(),
            row: None,
            is_decided: is_decided && !node.group_expr.is_empty(),
        })
    }

    /// How a function of several rows depends on noise; `chosen`: noise decided which rows, or in what order.
    fn over_arguments(&self, input: &Relation, args: &[Expr], ty: &DataType, chosen: bool) -> Option<Noise> {
        let mut of = chosen.then_some(Noise::Decided);
        for arg in args {
            match input.noise(arg, ty) {
                Some(Noise::Lost) => return Some(Noise::Lost),
                Some(Noise::Noisy(_)) if is_number(ty) => {
                    of = Some(Noise::Noisy(Noisy { bare: None, moved: Vec::new() }));
                }
                Some(Noise::Noisy(_)) => of = of.or(Some(Noise::Decided)),
                Some(Noise::Decided) => of = of.or(Some(Noise::Decided)),
                None => (),
            }
        }
        of
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
            let mut chosen = input.is_decided || params.filter.as_deref().is_some_and(|f| input.decides(f));
            chosen |= params.partition_by.iter().any(|e| input.decides(e));
            chosen |= params.order_by.iter().any(|sort| input.decides(&sort.expr));
            noise.push(match self.over_arguments(&input, &params.args, field.data_type(), chosen) {
                Some(Noise::Noisy(_)) if params.distinct => Some(Noise::Lost),
                Some(Noise::Noisy(_)) => {
                    let moved = self.fresh_moved();
                    for (w, column) in moved.iter().enumerate() {
                        let mut one = function.clone();
                        one.params.args = moved_all(&input, &params.args, w)?;
                        exprs.push(Expr::WindowFunction(Box::new(one)).alias(&column.name));
                    }
                    Some(Noise::Noisy(Noisy { bare: None, moved }))
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

/// What is left of a column's noise when equal values become one row.
pub(super) fn without_companions(noise: &Noise, ty: &DataType) -> Noise {
    match noise {
        Noise::Decided => Noise::Decided,
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

fn moved_all(input: &Relation, args: &[Expr], replicate: usize) -> Result<Vec<Expr>, Stop> {
    args.iter().map(|arg| input.moved(arg, replicate)).collect()
}
