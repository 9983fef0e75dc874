//! Groups that are not shown are not groups of zero: a join that finds no partner for a row among released groups may have
//! met one that was withheld, whose number is unknown.
//!
//! Besides the companions that noise moves, every number has one for each world. In the first world all withheld numbers are
//! at the lower of the two ends between which they are, and their groups are not there. Each side of a join has two worlds more, in
//! which its withheld groups are there with their keys and constants, and their numbers at the upper end or the lower one. What a
//! computed number differs by between the first world and those of a side is added to its interval, so it holds the truth as long
//! as it goes up or down with each withheld number. Where the ends or a key are not known, the number is not either.
//! Not here: the ends themselves (`shoal-query`), intervals (`answer`).

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ExprSchema};
use datafusion::logical_expr::logical_plan::{Join, Projection};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, JoinType, LogicalPlan, Operator, cast, lit, when};
use std::sync::Arc;

use super::exprs::{has_subquery, without_alias};
use super::relation::{Absent, Missing, Noise, Relation, Replication, Side, SideKey};
use crate::refuse::Stop;
use crate::released::ReleasedSchema;
use crate::slot::Slot;

impl ReleasedSchema {
    /// Why rows may be missing from it.
    pub(super) fn missing(&self) -> Missing {
        Missing { shown_from: self.shown_from, left_out: self.left_out }
    }
}

/// Most sides of joins that have worlds of their own.
const SIDES_MAX: usize = 8;

/// How many worlds a plan needs.
pub(super) fn count(plan: &LogicalPlan, releases: &[ReleasedSchema]) -> usize {
    if releases.iter().all(|release| release.shown_from.is_none() && !release.left_out) {
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
        sides => 2 * sides.min(SIDES_MAX) + 1,
    }
}

impl Replication<'_> {
    /// Marks the rows of a side that a join may find no partner in, if rows of it may be missing because they were withheld.
    pub(super) fn marked(&mut self, relation: &mut Relation) -> Result<Option<Side>, Stop> {
        let missing = relation.missing;
        if missing.is_nothing() {
            return Ok(None);
        }
        let mark = self.fresh_column();
        let mut exprs: Vec<Expr> = relation.plan.schema().columns().into_iter().map(Expr::Column).collect();
        exprs.push(lit(true).alias(&mark.name));
        let plan = Projection::try_new(exprs, Arc::new(relation.plan.clone()))?;
        relation.plan = LogicalPlan::Projection(plan);
        Ok(Some(Side { mark, missing, keys: Vec::new() }))
    }

    /// Says of the numbers, keys and constants of such a side what they may be where the join, `plan`, found no partner. They
    /// themselves stay null there.
    pub(super) fn unmatched(
        &mut self,
        plan: LogicalPlan,
        side: &Side,
        noise: &mut [Option<Noise>],
    ) -> Result<LogicalPlan, Stop> {
        let mut exprs: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let is_missing = Expr::Column(side.mark.clone()).is_null();
        let mut instead = |column: &mut Column, by: &Expr, to: Column| -> Result<(), Stop> {
            let by = cast(by.clone(), DataType::Float64);
            let is = when(is_missing.clone(), by).otherwise(Expr::Column(column.clone()))?;
            exprs.push(is.alias(&to.name));
            *column = to;
            Ok(())
        };
        let (replicates, worlds) = (self.companions.first_world(), self.next_worlds());
        for noisy in noise.iter_mut().flatten() {
            let Noise::Noisy(noisy) = noisy else { continue };
            noisy.caveats.extend(side.missing.unknown());
            let unknown = || [lit(f64::NAN), lit(f64::NAN)];
            let [low, high] = noisy.ends.as_deref().cloned().unwrap_or_else(unknown);
            if let Some(bare) = &mut noisy.bare {
                let [_, at_low, at_high] = bare.stated.as_mut();
                instead(at_low, &low, self.fresh_column())?;
                instead(at_high, &high, self.fresh_column())?;
            }
            for (w, column) in noisy.moved.iter_mut().enumerate().skip(replicates) {
                let by = if w == worlds[0] { &high } else { &low };
                instead(column, by, self.fresh_column())?;
            }
        }
        for key in &side.keys {
            let Some(of) = noise.get_mut(key.at).filter(|of| of.is_none()) else { continue };
            let column = match &key.present {
                None => None,
                Some(present) => {
                    let ty = plan.schema().data_type(&key.column)?.clone();
                    let mut present = when(is_missing.clone(), cast(present.clone(), ty));
                    let to = self.fresh_column();
                    exprs.push(present.otherwise(Expr::Column(key.column.clone()))?.alias(&to.name));
                    Some(to)
                }
            };
            let (missing, partner) = (side.missing, key.partner.clone());
            *of = Some(Noise::Absent(Absent { instead: column, worlds, missing, partner }));
        }
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
    }

    /// Notes that rows were chosen by what is in a relation from which groups may be missing.
    pub(super) fn is_chosen_by(&mut self, missing: Missing) {
        self.absence = self.absence.or(missing);
    }

    /// Notes what of this a condition chooses rows by: keys that are null where a group is not shown, and subqueries.
    pub(super) fn chooses(&mut self, condition: &Expr, input: &Relation) -> Result<(), Stop> {
        let mut missing = Missing::default();
        condition.apply(|expr| {
            let plan = match expr {
                Expr::Column(column) => {
                    if let Some(Noise::Absent(absent)) = input.noise_of(column) {
                        missing = missing.or(absent.missing);
                    }
                    return Ok(TreeNodeRecursion::Continue);
                }
                Expr::Exists(exists) => &exists.subquery.subquery,
                Expr::InSubquery(within) => &within.subquery.subquery,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            plan.apply_with_subqueries(|node| {
                if let LogicalPlan::TableScan(scan) = node
                    && let Some(release) = Slot::of(scan).and_then(|slot| self.releases.get(slot.at))
                {
                    missing = missing.or(release.missing());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        self.is_chosen_by(missing);
        Ok(())
    }
}

/// The keys and constants of a side of a join, whose columns are those of the join from `from` on.
pub(super) fn keys(join: &Join, side: &LogicalPlan, from: usize) -> Vec<SideKey> {
    let columns = join.schema.columns();
    let all = columns.iter().skip(from).take(side.schema().fields().len()).enumerate();
    all.map(|(at, column)| {
        let partner = partner(join, column);
        let is_text = side.schema().field(at).data_type().is_string();
        let other = || partner.clone().map(Expr::Column);
        let present = constant(side, at).or_else(other).or_else(|| is_text.then(|| lit("")));
        SideKey { at, column: column.clone(), present, partner }
    })
    .collect()
}

/// The column that another one is equal to where a join finds a partner.
fn partner(join: &Join, column: &Column) -> Option<Column> {
    let is = |expr: &Expr| matches!(expr, Expr::Column(other) if other == column);
    let of = |left: &Expr, right: &Expr| match (left, right) {
        (Expr::Column(other), own) | (own, Expr::Column(other)) if is(own) && other != column => {
            Some(other.clone())
        }
        _ => None,
    };
    let equal = |expr: &Expr| match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            of(left, right).or_else(|| of(right, left))
        }
        _ => None,
    };
    let in_on = join.on.iter().find_map(|(left, right)| of(left, right).or_else(|| of(right, left)));
    in_on.or_else(|| join.filter.iter().flat_map(split_conjunction).find_map(equal))
}

/// The constant that a column of a plan is.
pub(super) fn constant(plan: &LogicalPlan, at: usize) -> Option<Expr> {
    match plan {
        LogicalPlan::Projection(node) => match without_alias(node.expr.get(at)?) {
            literal @ Expr::Literal(..) => Some(literal.clone()),
            Expr::Cast(of) => Some(&*of.expr).filter(|of| matches!(of, Expr::Literal(..))).cloned(),
            Expr::Column(column) => constant(&node.input, node.input.schema().maybe_index_of_column(column)?),
            _ => None,
        },
        LogicalPlan::SubqueryAlias(node) => constant(&node.input, at),
        LogicalPlan::Filter(node) => constant(&node.input, at),
        LogicalPlan::Sort(node) => constant(&node.input, at),
        LogicalPlan::Limit(node) => constant(&node.input, at),
        _ => None,
    }
}
