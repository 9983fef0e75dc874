//! Groups that are not shown are not groups of zero: a join that finds no partner for a row among released groups may have
//! met one that was withheld, whose number is unknown.
//!
//! Besides the companions that noise moves, every number has one for each world. In the first world all withheld numbers are
//! at the lower of the two ends between which they are; in each other world those of one side of one join are at the upper
//! one. What a computed number differs by between the first world and the others is added to its interval, so it holds the
//! truth as long as it goes up or down with each withheld number. Where the ends are not known, the number is not either.
//! Not here: the ends themselves (`shoal-query`), intervals (`answer`).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::logical_plan::Projection;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, cast, lit, when};
use std::sync::Arc;

use super::exprs::has_subquery;
use super::relation::{Caveat, Noise, Relation, Replication, Side};
use crate::refuse::Stop;
use crate::released::ReleasedSchema;

/// Most sides of joins that have a world of their own.
const SIDES_MAX: usize = 8;

/// How many worlds a plan needs.
pub(super) fn count(plan: &LogicalPlan, releases: &[ReleasedSchema]) -> usize {
    if releases.iter().all(|release| release.shown_from.is_none()) {
        return 0;
    }
    let mut sides = 0;
    // The closures never fail, so neither do the walks.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            sides += match join.join_type {
                JoinType::Left | JoinType::Right => 1,
                JoinType::Full => 2,
                _ => 0,
            };
        }
        node.apply_expressions(|expr| {
            sides += usize::from(has_subquery(expr));
            Ok(TreeNodeRecursion::Continue)
        })
    });
    match sides {
        0 => 0,
        sides => sides.min(SIDES_MAX) + 1,
    }
}

impl Replication<'_> {
    /// Marks the rows of a side that a join may find no partner in, if rows of it may be missing because they were withheld.
    pub(super) fn marked(&mut self, relation: &mut Relation) -> Result<Option<Side>, Stop> {
        let Some(shown_from) = relation.shown_from else { return Ok(None) };
        let mark = self.fresh_column();
        let mut exprs: Vec<Expr> = relation.plan.schema().columns().into_iter().map(Expr::Column).collect();
        exprs.push(lit(true).alias(&mark.name));
        let plan = Projection::try_new(exprs, Arc::new(relation.plan.clone()))?;
        relation.plan = LogicalPlan::Projection(plan);
        Ok(Some(Side { mark, shown_from }))
    }

    /// Says of the numbers of such a side what they may be where the join, `plan`, found no partner. The numbers themselves
    /// stay null there.
    pub(super) fn unmatched(
        &mut self,
        plan: LogicalPlan,
        side: &Side,
        noise: &mut [Option<Noise>],
    ) -> Result<LogicalPlan, Stop> {
        let mut exprs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let mut instead = |column: &mut Column, by: &Expr, to: Column| -> Result<(), Stop> {
            let (is_missing, by) =
                (Expr::Column(side.mark.clone()).is_null(), cast(by.clone(), DataType::Float64));
            let is = when(is_missing, by).otherwise(Expr::Column(column.clone()))?;
            exprs.push(is.alias(&to.name));
            *column = to;
            Ok(())
        };
        let (replicates, world) = (self.companions.signs.replicates(), self.next_world());
        for noisy in noise.iter_mut().flatten() {
            let Noise::Noisy(noisy) = noisy else { continue };
            noisy.caveats.insert(Caveat::Unknown(side.shown_from));
            let unknown = || [lit(f64::NAN), lit(f64::NAN)];
            let [low, high] = noisy.ends.as_deref().cloned().unwrap_or_else(unknown);
            if let Some(bare) = &mut noisy.bare {
                let [_, at_low, at_high] = bare.stated.as_mut();
                instead(at_low, &low, self.fresh_column())?;
                instead(at_high, &high, self.fresh_column())?;
            }
            for (w, column) in noisy.moved.iter_mut().enumerate().skip(replicates) {
                let by = if w == world { &high } else { &low };
                instead(column, by, self.fresh_column())?;
            }
        }
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
    }
}
