//! Keys that noise picked: a column of exact rows that a condition compares with a noisy number of others.
//!
//! ```text
//! SELECT t.region, g.x FROM t JOIN generate_series(1, 1200) AS g(x) ON g.x = t.n      x is t.n, so it is no key
//! ```
//! Invariants: what is compared within a row of one release stays what it is: the condition only chooses rows. Of other rows, the
//! compared column and those beside it in its table follow from noise. Not here: filters that only choose (`worlds`).

use std::collections::HashSet;

use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::logical_plan::{Filter, Join};
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

use super::relation::{Noise, Relation, Replication};

/// The columns of each condition that must hold.
type Conditions = Vec<HashSet<Column>>;

/// Whether noise is in a column, or has picked it.
fn is_noise(noise: Option<&Noise>) -> bool {
    matches!(noise, Some(Noise::Noisy(_) | Noise::Decided | Noise::Lost))
}

/// The columns without noise that these conditions compare with noise. A column that is picked picks others.
fn picked(conditions: &Conditions, is_noisy: impl Fn(&Column) -> bool) -> HashSet<Column> {
    let mut all: HashSet<Column> = HashSet::new();
    loop {
        let before = all.len();
        for columns in conditions {
            if columns.iter().any(|column| is_noisy(column) || all.contains(column)) {
                all.extend(columns.iter().filter(|column| !is_noisy(column)).cloned());
            }
        }
        if all.len() == before {
            return all;
        }
    }
}

/// What a condition compares, without what puts conditions together.
fn leaves(condition: &Expr) -> Vec<&Expr> {
    match condition {
        Expr::BinaryExpr(of) if matches!(of.op, Operator::And | Operator::Or) => {
            leaves(&of.left).into_iter().chain(leaves(&of.right)).collect()
        }
        Expr::Not(inner) => leaves(inner),
        Expr::Alias(alias) => leaves(&alias.expr),
        leaf => vec![leaf],
    }
}

fn columns(expr: &Expr) -> HashSet<Column> {
    expr.column_refs().into_iter().cloned().collect()
}

/// The keys of each side of a join that its conditions pick, by their position in the join of all columns.
pub(super) fn of_join(join: &Join, left: &Relation, right: &Relation) -> Vec<bool> {
    let pairs = join.on.iter().map(|(left, right)| columns(left).into_iter().chain(columns(right)).collect());
    let others = join.filter.iter().flat_map(leaves).map(columns);
    let side = |column: &Column| left.schema.maybe_index_of_column(column).is_some();
    // What compares columns of one side alone only chooses its rows.
    let across = |columns: &HashSet<Column>| columns.iter().any(&side) && !columns.iter().all(&side);
    let conditions: Conditions = pairs.chain(others).filter(across).collect();
    let noise_of = |column: &Column| left.noise_of(column).or_else(|| right.noise_of(column));
    let all = picked(&conditions, |column| is_noise(noise_of(column)));
    let (in_left, in_right) = (all.iter().any(&side), all.iter().any(|column| !side(column)));
    let of = |relation: &Relation, is_picked: bool| vec![is_picked; relation.noise.len()];
    of(left, in_left).into_iter().chain(of(right, in_right)).collect()
}

/// Marks what is picked; a column that has noise keeps it.
pub(super) fn mark(noise: &mut [Option<Noise>], is_picked: &[bool]) {
    for (noise, _) in noise.iter_mut().zip(is_picked).filter(|(noise, is)| noise.is_none() && **is) {
        *noise = Some(Noise::Decided);
    }
}

impl Replication<'_> {
    /// Marks the keys that the condition of a filter picks.
    pub(super) fn pick(&mut self, filter: &Filter, input: &mut Relation) {
        // Rows of one release, as they are: what they are compared with is in the same row.
        if input.row.is_some() {
            return;
        }
        let mut conditions = Conditions::new();
        let mut at_once = HashSet::new();
        for condition in leaves(&filter.predicate) {
            conditions.push(columns(condition));
            at_once.extend(self.compared_in_subqueries(condition));
        }
        let is_noisy = |column: &Column| is_noise(input.noise_of(column));
        let mut all = picked(&conditions, |column| is_noisy(column) || at_once.contains(column));
        all.extend(at_once);
        let noisy: HashSet<_> = conditions
            .iter()
            .flatten()
            .filter(|column| is_noisy(column))
            .map(|c| c.relation.clone())
            .collect();
        let beside: HashSet<_> =
            all.iter().map(|c| c.relation.clone()).filter(|of| !noisy.contains(of)).collect();
        let is_picked: Vec<bool> = input
            .schema
            .columns()
            .iter()
            .map(|column| all.contains(column) || beside.contains(&column.relation))
            .collect();
        mark(&mut input.noise, &is_picked);
    }

    /// The columns that a subquery of a condition compares with noise.
    fn compared_in_subqueries(&mut self, condition: &Expr) -> HashSet<Column> {
        let mut all = HashSet::new();
        // The closure never fails, so neither does the walk.
        let _ = condition.apply(|expr| {
            let plan = match expr {
                Expr::InSubquery(within) => {
                    let inner = self.relation(&within.subquery.subquery);
                    if inner.is_ok_and(|inner| is_noise(inner.noise.first().and_then(Option::as_ref))) {
                        all.extend(columns(&within.expr));
                    }
                    &within.subquery.subquery
                }
                Expr::Exists(exists) => &exists.subquery.subquery,
                Expr::ScalarSubquery(subquery) => &subquery.subquery,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            all.extend(self.compared_with_outer(plan));
            Ok::<_, DataFusionError>(TreeNodeRecursion::Continue)
        });
        all
    }

    fn compared_with_outer(&mut self, plan: &LogicalPlan) -> HashSet<Column> {
        let mut all = HashSet::new();
        let _ = plan.apply(|node| {
            if let LogicalPlan::Filter(filter) = node
                && let Ok(inner) = self.relation(&filter.input)
            {
                for condition in leaves(&filter.predicate) {
                    if columns(condition).iter().any(|column| is_noise(inner.noise_of(column))) {
                        all.extend(outer(condition));
                    }
                }
            }
            Ok::<_, DataFusionError>(TreeNodeRecursion::Continue)
        });
        all
    }
}

/// The columns of the statement around that an expression names.
fn outer(expr: &Expr) -> HashSet<Column> {
    let mut all = HashSet::new();
    let _ = expr.apply(|expr| {
        if let Expr::OuterReferenceColumn(_, column) = expr {
            all.insert(column.clone());
        }
        Ok::<_, DataFusionError>(TreeNodeRecursion::Continue)
    });
    all
}
