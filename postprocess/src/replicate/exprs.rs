//! How an expression depends on noise, and the expression over companions.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{Join, Projection};
use datafusion::logical_expr::{BinaryExpr, Expr, JoinConstraint, JoinType, LogicalPlan, Operator, lit};

use super::linear::{total_of_mean, with_wide_bounds};
use super::relation::{Absent, Caveat, Noise, Noisy, Relation, Replication, Side};
use super::units::{self, Unit};
use crate::refuse::{JOINED, Stop, stop};
use crate::slot::Slot;
use shoal_language::Rule;

/// A subquery in SELECT that gives one row.
const ONE_ROW: &str = "SELECT os, n, (SELECT COUNT(*) FROM usage) AS of_all FROM (SELECT os, COUNT(*) AS n FROM usage GROUP BY os) AS t";

/// Whether an expression has a subquery in it.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    let found =
        expr.exists(|e| Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_))));
    found.unwrap_or(true)
}

/// An expression without its aliases.
pub(super) fn without_alias(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => without_alias(&alias.expr),
        _ => expr,
    }
}

/// An expression without its aliases, and without a cast of a number to what it is.
fn plain(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => plain(&alias.expr),
        Expr::Cast(cast) if *cast.field.data_type() == DataType::Float64 => plain(&cast.expr),
        _ => expr,
    }
}

impl Relation {
    /// How a column depends on noise.
    pub(super) fn noise_of(&self, column: &Column) -> Option<&Noise> {
        if let Some((_, noise)) = self.subqueries.iter().find(|(c, _)| c == column) {
            return Some(noise);
        }
        self.noise.get(self.schema.maybe_index_of_column(column)?)?.as_ref()
    }

    /// How an expression of a type depends on noise. [`Noise::Noisy`] is without companions, unless it is a bare column.
    pub(super) fn noise(&self, expr: &Expr, ty: &DataType) -> Option<Noise> {
        if let Expr::Column(column) = plain(expr) {
            let noise = self.noise_of(column).cloned();
            let is_itself = matches!(without_alias(expr), Expr::Column(_));
            if is_itself || !matches!(noise, Some(Noise::Absent(_))) {
                return noise;
            }
        }
        if self.is_key_of_either_side(expr) {
            return None;
        }
        let (mut is_noisy, mut is_decided, mut is_lost) = (false, has_subquery(expr), false);
        let mut is_stepped = self.has_step(expr);
        let mut caveats = BTreeSet::new();
        // The closure never fails, so neither does the walk.
        let _ = expr.apply(|e| {
            if let Expr::Column(column) = e {
                match self.noise_of(column) {
                    None => (),
                    Some(Noise::Lost) => is_lost = true,
                    Some(Noise::Decided) => is_decided = true,
                    Some(Noise::Noisy(noisy)) => {
                        is_noisy = true;
                        is_stepped |= noisy.is_stepped;
                        caveats.extend(noisy.caveats.iter().copied());
                    }
                    // What is computed with it is another number where the group is there.
                    Some(Noise::Absent(absent)) => {
                        is_noisy = true;
                        is_lost |= is_number(ty) && absent.instead.is_none();
                        caveats.extend(absent.missing.unknown());
                    }
                }
            }
            Ok::<_, DataFusionError>(TreeNodeRecursion::Continue)
        });
        if is_lost {
            return Some(Noise::Lost);
        }
        match is_noisy {
            true if is_number(ty) => {
                let (unit, ends) = (self.unit(expr), self.ends(expr).map(Box::new));
                caveats.extend(self.is_chosen(expr).then_some(Caveat::Chosen));
                Some(Noise::Noisy(Noisy { unit, caveats, ends, is_stepped, ..Noisy::default() }))
            }
            true => Some(Noise::Decided),
            false => is_decided.then_some(Noise::Decided),
        }
    }

    /// Whether an expression is a key that one side of a join has at least, and that is the same in both: `coalesce(a.k, b.k)`.
    fn is_key_of_either_side(&self, expr: &Expr) -> bool {
        let Expr::ScalarFunction(call) = without_alias(expr) else { return false };
        let columns: Option<Vec<&Column>> = call.args.iter().map(Expr::try_as_col).collect();
        let Some(columns) = columns.filter(|_| call.func.name() == "coalesce") else { return false };
        columns.iter().all(|column| match self.noise_of(column) {
            None => true,
            Some(Noise::Absent(Absent { partner: Some(partner), .. })) => columns.contains(&partner),
            Some(_) => false,
        })
    }

    /// Whether noise decides what an expression of a filter, a partition or an order says.
    pub(super) fn decides(&self, expr: &Expr) -> bool {
        self.noise(expr, &DataType::Boolean).is_some()
    }

    /// The unit of an expression.
    pub(super) fn unit(&self, expr: &Expr) -> Option<String> {
        let of_column = |column: &Column| match self.noise_of(column) {
            Some(Noise::Noisy(Noisy { unit: Some(unit), .. })) => Unit::Of(unit.clone()),
            _ => Unit::None,
        };
        let known = |expr: &Expr| match total_of_mean(expr).unwrap_or(expr) {
            Expr::Column(column) => Some(of_column(column)),
            _ => None,
        };
        units::unit(expr, &known).named()
    }

    /// Constants between which an expression is where its group is not shown: known for one number times or plus constants.
    fn ends(&self, expr: &Expr) -> Option<[Expr; 2]> {
        let is_constant = |expr: &Expr| matches!(expr, Expr::Literal(..));
        match expr {
            Expr::Column(column) => match self.noise_of(column) {
                Some(Noise::Noisy(noisy)) => noisy.ends.as_deref().cloned(),
                _ => None,
            },
            Expr::Alias(alias) => self.ends(&alias.expr),
            Expr::Cast(cast) => Some(
                self.ends(&cast.expr)?
                    .map(|end| datafusion::logical_expr::cast(end, cast.field.data_type().clone())),
            ),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
                Operator::Plus | Operator::Minus | Operator::Multiply if is_constant(left) => {
                    Some(self.ends(right)?.map(|end| binary(left, *op, &end)))
                }
                Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide
                    if is_constant(right) =>
                {
                    Some(self.ends(left)?.map(|end| binary(&end, *op, right)))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The expression over the companions of one replicate.
    pub(super) fn moved(&self, expr: &Expr, replicate: usize) -> Result<Expr, Stop> {
        let moved = with_wide_bounds(expr.clone())?.transform_up(|e| {
            let Expr::Column(column) = &e else { return Ok(Transformed::no(e)) };
            let companion = match self.noise_of(column) {
                Some(Noise::Noisy(noisy)) => noisy.moved.get(replicate),
                Some(Noise::Absent(absent)) if absent.worlds.contains(&replicate) => absent.instead.as_ref(),
                _ => None,
            };
            Ok(match companion {
                Some(companion) => Transformed::yes(Expr::Column(companion.clone())),
                None => Transformed::no(e),
            })
        })?;
        Ok(moved.data.unalias())
    }
}

fn binary(left: &Expr, op: Operator, right: &Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left.clone()), op, Box::new(right.clone())))
}

/// Whether values of a type can have companions.
pub(super) fn is_number(ty: &DataType) -> bool {
    ty.is_numeric()
}

impl Replication<'_> {
    /// Puts scalar subqueries that give a noisy number beside the input's rows, so that their companions are there too.
    pub(super) fn inline(&mut self, expr: &Expr, input: &mut Relation) -> Result<Expr, Stop> {
        if !has_subquery(expr) {
            return Ok(expr.clone());
        }
        let name = NamePreserver::new_for_projection().save(expr);
        let mut outcome = Ok(());
        let inlined = expr.clone().transform_up(|e| {
            let Expr::ScalarSubquery(subquery) = &e else { return Ok(Transformed::no(e)) };
            if outcome.is_err() {
                return Ok(Transformed::no(e));
            }
            match self.beside(subquery, input) {
                Ok(Some(column)) => Ok(Transformed::yes(Expr::Column(column))),
                Ok(None) => Ok(Transformed::no(e)),
                Err(refusal) => {
                    outcome = Err(refusal);
                    Ok(Transformed::no(e))
                }
            }
        })?;
        outcome?;
        Ok(name.restore(inlined.data))
    }

    /// Joins a subquery's one row to every row of the input; nothing to do when it has no noise.
    fn beside(
        &mut self,
        subquery: &datafusion::logical_expr::Subquery,
        input: &mut Relation,
    ) -> Result<Option<Column>, Stop> {
        let inner = self.relation(&subquery.subquery);
        if !subquery.outer_ref_columns.is_empty() {
            return Err(stop(
                Rule::Expression,
                "A subquery in SELECT cannot refer to the statement around it.",
                JOINED,
            ));
        }
        let inner = inner?;
        let Some(Some(noise)) = inner.noise.first().cloned() else { return Ok(None) };
        if !self.is_one_row(&subquery.subquery) {
            return Err(stop(Rule::Expression, "A subquery in SELECT must give one row.", ONE_ROW));
        }
        let column = self.fresh_column();
        let main = inner.schema.columns().into_iter().next().map(Expr::Column);
        let mut exprs = vec![main.unwrap_or_else(|| lit(0)).alias(&column.name)];
        let mut noise = match noise {
            Noise::Noisy(noisy) => {
                let moved = self.fresh_moved();
                for (from, to) in noisy.moved.iter().zip(&moved) {
                    exprs.push(Expr::Column(from.clone()).alias(&to.name));
                }
                Noise::Noisy(Noisy { bare: None, moved, ..noisy })
            }
            other => other,
        };
        let missing = inner.missing;
        let side =
            (!missing.is_nothing()).then(|| Side { mark: self.fresh_column(), missing, keys: Vec::new() });
        exprs.extend(side.iter().map(|side| lit(true).alias(&side.mark.name)));
        let right = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(inner.plan))?);
        input.plan = LogicalPlan::Join(Join::try_new(
            Arc::new(input.plan.clone()),
            Arc::new(right),
            Vec::new(),
            Some(lit(true)),
            JoinType::Left,
            JoinConstraint::On,
            datafusion::common::NullEquality::NullEqualsNothing,
            false,
        )?);
        if let Some(side) = side {
            let mut of = [Some(noise.clone())];
            input.plan = self.unmatched(input.plan.clone(), &side, &mut of)?;
            let [of] = of;
            noise = of.unwrap_or(noise);
        }
        input.subqueries.push((column.clone(), noise));
        Ok(Some(column))
    }

    /// Whether a plan gives one row at the most.
    fn is_one_row(&self, plan: &LogicalPlan) -> bool {
        match plan {
            LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
            LogicalPlan::Limit(limit) => {
                let one = |fetch: &Expr| {
                    matches!(fetch, Expr::Literal(datafusion::common::ScalarValue::Int64(Some(1)), _))
                };
                limit.fetch.as_deref().is_some_and(one) || self.is_one_row(&limit.input)
            }
            LogicalPlan::EmptyRelation(_) => true,
            // A release without a key is one group.
            LogicalPlan::TableScan(scan) => Slot::of(scan)
                .and_then(|slot| self.releases.get(slot.at))
                .is_some_and(|release| release.keys.is_empty()),
            LogicalPlan::Projection(projection) => self.is_one_row(&projection.input),
            LogicalPlan::Filter(filter) => self.is_one_row(&filter.input),
            LogicalPlan::Sort(sort) => self.is_one_row(&sort.input),
            LogicalPlan::SubqueryAlias(alias) => self.is_one_row(&alias.input),
            _ => false,
        }
    }
}
