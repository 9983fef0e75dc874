//! Numbers that jump where noise crosses a condition (`CASE WHEN n > 100 ..`), that are rounded or kept within bounds, and the
//! largest or smallest of noisy numbers: what companions that are moved by one deviation say nothing of.
//!
//! Besides its other companions, a number has wide ones: computed from numbers that are moved as far as a 95 % interval goes,
//! all rows of a number the same way. A number that jumps has itself with the conditions alone moved so far, one that is rounded
//! is a step further up or down, and one that is kept within bounds is what the bound takes off. Whatever these differ
//! by is added to the interval. The largest of k numbers is as if each had an interval that all k of them hold together:
//! `sqrt(1 + 2 ln k / z^2)` times as wide, which is at least Bonferroni's.
//!
//! Invariants: a condition that itself follows from a jump, or from what noise decided, is told in a note. Not here: numbers that
//! are rounded and linear in one number (`linear`), which columns have noise (`exprs`).

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions::core::expr_fn::nullif;
use datafusion::functions::math::expr_fn::{ln, sqrt};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, ExprSchemable, LogicalPlan, Operator, lit, when};

use super::relation::{Noise, Noisy, Relation, Replication};
use crate::refuse::Stop;
use shoal_anonymity::budget::Z_95;

/// A largest or smallest number of a group: its column, its companions, and how many rows it is of.
pub(super) struct Extreme {
    pub(super) of: Column,
    pub(super) moved: Vec<Column>,
    pub(super) rows: Column,
}

/// Whether a function is the largest or smallest of its rows.
pub(super) fn is_extreme(name: &str) -> bool {
    matches!(name, "max" | "min")
}

/// Whether a function tells how far numbers are apart, which noise makes larger.
pub(super) fn is_spread(name: &str) -> bool {
    matches!(name, "corr" | "regr_slope" | "stddev" | "stddev_pop" | "var" | "var_pop")
}

/// What an expression does that companions do not follow.
enum Step<'e> {
    /// It rounds down or up to a multiple of this.
    Rounded(f64),
    /// It is the largest or smallest of these.
    Bounded(&'e ScalarFunction),
    /// It chooses by conditions.
    Case(&'e Case),
    /// It jumps as a whole.
    Whole,
}

impl Relation {
    /// Whether an expression has a number with noise in it.
    fn is_noisy(&self, expr: &Expr) -> bool {
        expr.column_refs().iter().any(|column| matches!(self.noise_of(column), Some(Noise::Noisy(_))))
    }

    /// What the outermost part of an expression does.
    fn step<'e>(&self, expr: &'e Expr) -> Option<Step<'e>> {
        let step = match expr {
            Expr::Case(case) => {
                let conditions = case.when_then_expr.iter().map(|(condition, _)| condition.as_ref());
                let is_noisy = case.expr.as_deref().into_iter().chain(conditions).any(|e| self.is_noisy(e));
                return is_noisy.then_some(Step::Case(case));
            }
            Expr::Cast(cast) if is_condition(&cast.expr) => Step::Whole,
            Expr::TryCast(cast) if is_condition(&cast.expr) => Step::Whole,
            Expr::Cast(cast) if cast.field.data_type().is_integer() => Step::Rounded(1.0),
            Expr::TryCast(cast) if cast.field.data_type().is_integer() => Step::Rounded(1.0),
            Expr::BinaryExpr(of) => match of.op {
                Operator::Modulo => Step::Whole,
                Operator::IntegerDivide => Step::Rounded(1.0),
                Operator::Divide if self.is_whole(&of.left) && self.is_whole(&of.right) => Step::Rounded(1.0),
                _ => return None,
            },
            Expr::ScalarFunction(call) => match call.func.name() {
                "ceil" | "floor" => Step::Rounded(1.0),
                "round" | "trunc" => Step::Rounded(unit(call.args.get(1))),
                "greatest" | "least" => Step::Bounded(call),
                "signum" => Step::Whole,
                _ => return None,
            },
            _ => return None,
        };
        self.is_noisy(expr).then_some(step)
    }

    fn is_whole(&self, expr: &Expr) -> bool {
        expr.get_type(self.schema.as_ref()).is_ok_and(|ty| ty.is_integer())
    }

    /// Whether any part of an expression does anything of this.
    pub(super) fn has_step(&self, expr: &Expr) -> bool {
        expr.exists(|e| Ok(self.step(e).is_some())).unwrap_or(true)
    }

    /// Whether what noise has decided, or a number that jumps, is in a condition of an expression.
    pub(super) fn is_chosen(&self, expr: &Expr) -> bool {
        let follows = |column: &&Column| match self.noise_of(column) {
            Some(Noise::Decided | Noise::Lost) => true,
            Some(Noise::Noisy(noisy)) => noisy.is_stepped,
            Some(Noise::Absent(_)) | None => false,
        };
        let found = expr.exists(|e| {
            Ok(match e {
                Expr::Case(case) => {
                    let conditions = case.when_then_expr.iter().map(|(condition, _)| condition.as_ref());
                    let mut all = case.expr.as_deref().into_iter().chain(conditions);
                    all.any(|e| e.column_refs().iter().any(follows))
                }
                _ => false,
            })
        });
        found.unwrap_or(true)
    }

    /// An expression that jumps, in one of the wide companions: with its conditions moved.
    fn decided(&self, expr: &Expr, wide: usize) -> Result<Expr> {
        let all = |e: &Expr| {
            e.clone().map_children(|child| Ok(Transformed::yes(self.decided(&child, wide)?))).map(|e| e.data)
        };
        match self.step(expr) {
            Some(Step::Whole) => self.moved_in(expr, wide),
            Some(Step::Rounded(unit)) => {
                Ok(all(expr)? + lit(if wide.is_multiple_of(2) { unit } else { -unit }))
            }
            Some(Step::Bounded(call)) => self.within(expr, call, wide),
            Some(Step::Case(case)) => {
                let mut case = case.clone();
                if let Some(operand) = &mut case.expr {
                    **operand = self.moved_in(operand, wide)?;
                }
                for (condition, then) in &mut case.when_then_expr {
                    **condition = self.moved_in(condition, wide)?;
                    **then = self.decided(then, wide)?;
                }
                if let Some(otherwise) = &mut case.else_expr {
                    **otherwise = self.decided(otherwise, wide)?;
                }
                Ok(Expr::Case(case))
            }
            None => match expr {
                Expr::Column(column) => match self.noise_of(column) {
                    Some(Noise::Noisy(Noisy { is_stepped: true, moved, .. })) => {
                        Ok(moved.get(wide).map_or_else(|| expr.clone(), |moved| Expr::Column(moved.clone())))
                    }
                    _ => Ok(expr.clone()),
                },
                _ => all(expr),
            },
        }
    }

    /// The one of the arguments that it is, and what it would be beyond that one if all were moved.
    fn within(&self, expr: &Expr, call: &ScalarFunction, wide: usize) -> Result<Expr> {
        let chosen = |of: &dyn Fn(&Expr) -> Result<Expr>| -> Result<Expr> {
            let Some((last, others)) = call.args.split_last() else { return Ok(expr.clone()) };
            let mut chosen = of(last)?;
            for arg in others {
                chosen = when(expr.clone().eq(arg.clone()), of(arg)?).otherwise(chosen)?;
            }
            Ok(chosen)
        };
        let moved = |arg: &Expr| self.moved_in(arg, wide);
        let beyond = moved(expr)? - chosen(&moved)?;
        Ok(chosen(&|arg| self.decided(arg, wide))? + beyond)
    }

    fn moved_in(&self, expr: &Expr, wide: usize) -> Result<Expr> {
        self.moved(expr, wide).map_err(|stop| match stop {
            Stop::Planning(error) => error,
            Stop::Refused(refusal) => DataFusionError::Plan(refusal.message),
        })
    }
}

/// Whether an expression is true or false.
fn is_condition(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => {
            op.supports_propagation() || op.is_logic_operator() || matches!(op, Operator::NotEq)
        }
        Expr::Not(_)
        | Expr::Between(_)
        | Expr::InList(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_) => true,
        Expr::Alias(alias) => is_condition(&alias.expr),
        _ => false,
    }
}

/// The step of so many decimal places.
fn unit(places: Option<&Expr>) -> f64 {
    let literal = |value: &ScalarValue| match value {
        ScalarValue::Int64(Some(places)) => i32::try_from(*places).ok(),
        _ => None,
    };
    let places = match places {
        Some(Expr::Literal(value, _)) => literal(value),
        Some(Expr::Negative(inner)) => match inner.as_ref() {
            Expr::Literal(value, _) => literal(value).map(|places| -places),
            _ => None,
        },
        _ => None,
    };
    places.map_or(1.0, |places| 10_f64.powi(-places))
}

impl Replication<'_> {
    /// One companion of an expression.
    pub(super) fn companion(
        &self,
        input: &Relation,
        expr: &Expr,
        companion: usize,
    ) -> std::result::Result<Expr, Stop> {
        let is_stepped = || {
            let mut found = input.has_step(expr);
            // The closure never fails, so neither does the walk.
            let _ = expr.apply(|e| {
                if let Expr::Column(column) = e
                    && let Some(Noise::Noisy(noisy)) = input.noise_of(column)
                {
                    found |= noisy.is_stepped;
                }
                Ok::<_, DataFusionError>(TreeNodeRecursion::Continue)
            });
            found
        };
        match self.companions.is_wide(companion) && is_stepped() {
            true => Ok(input.decided(expr, companion)?.unalias()),
            false => input.moved(expr, companion),
        }
    }

    /// Puts the wide companions of largest and smallest numbers as far away as all rows of them together need.
    pub(super) fn widened(
        &mut self,
        plan: LogicalPlan,
        extremes: &[Extreme],
        noise: &mut [Option<Noise>],
    ) -> std::result::Result<LogicalPlan, Stop> {
        if extremes.is_empty() {
            return Ok(plan);
        }
        let mut exprs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        for extreme in extremes {
            let main = Expr::Column(extreme.of.clone());
            let rows = nullif(Expr::Column(extreme.rows.clone()), lit(0_i64));
            let rows = datafusion::logical_expr::cast(rows, datafusion::arrow::datatypes::DataType::Float64);
            let times = sqrt(lit(1.0) + lit(2.0 / (Z_95 * Z_95)) * ln(rows));
            let mut moved = extreme.moved.clone();
            let companions = self.companions;
            for (_, column) in moved.iter_mut().enumerate().filter(|(at, _)| companions.is_wide(*at)) {
                let far = (Expr::Column(column.clone()) - main.clone()) * times.clone() + main.clone();
                *column = self.fresh_column();
                exprs.push(far.alias(&column.name));
            }
            let mut all = noise.iter_mut().flatten();
            let own = all.find_map(|noise| match noise {
                Noise::Noisy(noisy) if noisy.moved == extreme.moved => Some(noisy),
                _ => None,
            });
            if let Some(noisy) = own {
                noisy.moved = moved;
            }
        }
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
    }
}
