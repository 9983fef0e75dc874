//! How large a plan's columns become when each is written out down to the released tables.
//!
//! ```text
//! SELECT s || s AS s FROM (SELECT s || s AS s FROM ..)    two levels: s is used four times, twenty levels: a million times
//! ```
//! The optimiser puts what a column stands for in the column's place, so a text whose levels use the one before twice grows
//! with the power of its levels, in the plan and in the values. It is measured before the optimiser sees the plan.
//! Invariants: a column counts what it stands for at each use; subqueries are measured too. The plan has passed the gate, so
//! it has few nodes. Not here: which nodes may run and how many there are (`gate`, `gate_counts`).

use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::refuse::{PLAIN, refusal};
use shoal_language::{Refusal, Rule};

/// Most parts of a column, written out: as many as a plan's expressions may have.
const GROWN_MAX: u64 = 4_000;

/// The columns of a plan, and the parts of each, written out.
struct Grown<'p> {
    plan: &'p LogicalPlan,
    parts: Vec<u64>,
}

impl Grown<'_> {
    fn of(&self, column: &Column) -> Option<u64> {
        let at = self.plan.schema().maybe_index_of_column(column)?;
        self.parts.get(at).copied()
    }
}

/// Refuses a plan whose columns grow too large.
///
/// # Errors
/// A refusal, which depends on the plan alone.
pub(super) fn check_growth(plan: &LogicalPlan) -> Result<(), Refusal> {
    grown(plan).map(|_| ())
}

fn grown(plan: &LogicalPlan) -> Result<Grown<'_>, Refusal> {
    let inputs = plan.inputs().into_iter().map(grown).collect::<Result<Vec<_>, _>>()?;
    let mut exprs = Vec::new();
    let mut outcome = Ok(());
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_expressions(|expr| {
        match parts(expr, &inputs) {
            Ok(parts) => exprs.push(parts),
            Err(refusal) => outcome = Err(refusal),
        }
        Ok::<_, DataFusionError>(match outcome {
            Ok(()) => TreeNodeRecursion::Continue,
            Err(_) => TreeNodeRecursion::Stop,
        })
    });
    outcome?;
    let columns = plan.schema().fields().len();
    let all = || inputs.iter().flat_map(|input| input.parts.iter().copied());
    let most = all().max().unwrap_or(1);
    let mut parts: Vec<u64> = match plan {
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) => exprs,
        LogicalPlan::Window(_) => all().chain(exprs).collect(),
        LogicalPlan::Values(_) => vec![exprs.iter().copied().max().unwrap_or(1); columns],
        LogicalPlan::Union(_) => {
            let at = |at: usize| inputs.iter().filter_map(|input| input.parts.get(at)).copied().max();
            (0..columns).map(|column| at(column).unwrap_or(1)).collect()
        }
        _ => all().collect(),
    };
    // A semi-join has the columns of one side, and GROUPING SETS have one more.
    parts.resize(columns, most);
    Ok(Grown { plan, parts })
}

/// The parts of an expression, written out.
fn parts(expr: &Expr, inputs: &[Grown<'_>]) -> Result<u64, Refusal> {
    let mut parts = 0_u64;
    let mut outcome = Ok(());
    let _ = expr.apply(|inner| {
        let own = match inner {
            Expr::Column(column) => Ok(inputs.iter().find_map(|input| input.of(column)).unwrap_or(1)),
            Expr::Exists(exists) => inside(&exists.subquery.subquery),
            Expr::InSubquery(membership) => inside(&membership.subquery.subquery),
            Expr::ScalarSubquery(subquery) => inside(&subquery.subquery),
            _ => Ok(1),
        };
        match own {
            Ok(own) => parts = parts.saturating_add(own),
            Err(refusal) => outcome = Err(refusal),
        }
        Ok::<_, DataFusionError>(match outcome {
            Ok(()) => TreeNodeRecursion::Continue,
            Err(_) => TreeNodeRecursion::Stop,
        })
    });
    outcome?;
    match parts > GROWN_MAX {
        true => {
            let message = format!(
                "Written out down to the releases, a column of the statement has more than {GROWN_MAX} parts. Use each column of a \
                 subquery fewer times."
            );
            Err(refusal(Rule::Size, &message, PLAIN))
        }
        false => Ok(parts),
    }
}

/// The parts of a subquery's largest column.
fn inside(plan: &LogicalPlan) -> Result<u64, Refusal> {
    Ok(grown(plan)?.parts.into_iter().max().unwrap_or(1).saturating_add(1))
}
