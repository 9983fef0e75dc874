//! The plan gate: which nodes of a plan over released tables may run.
//!
//! Invariants: the `match` over plan nodes has no wildcard, so an upgrade that adds a node does not compile until somebody
//! has decided about it; what is allowed reads released tables and rows of the text, and nothing else. Plans are small:
//! nodes, joins and expressions are counted, subqueries included.
//! Not here: expressions (`gate_expr`), what is counted (`gate_counts`), limits at run time (`evaluate`).

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

use super::gate_counts::Counts;
use super::gate_expr::check_expr;
use super::refuse::{JOINED, NAMED, PLAIN, RUNNING, VALUES, refusal};
use super::replicate::PREFIX;
use super::slot::Slot;
use shoal_language::{Refusal, Rule};

/// Most rows of VALUES.
const VALUES_MAX: usize = 10_000;
/// Most columns of a node.
const COLUMNS_MAX: usize = 200;

const FIRST_OF_EACH: &str = "SELECT os, app_version, people FROM (SELECT os, app_version, people, row_number() OVER (PARTITION BY os \
    ORDER BY people DESC) AS place FROM (SELECT os, app_version, COUNT(DISTINCT subject) AS people FROM usage GROUP BY os, \
    app_version) AS versions) AS placed WHERE place = 1";
/// Whether a plan may run; how many nodes its expressions have.
///
/// # Errors
/// The refusal of the first node that may not.
pub(super) fn check(plan: &LogicalPlan) -> Result<usize, Refusal> {
    let mut counts = Counts::of(check_plan);
    check_plan(plan, &mut counts)?;
    Ok(counts.expressions)
}

fn check_plan(plan: &LogicalPlan, counts: &mut Counts) -> Result<(), Refusal> {
    counts.node()?;
    check_node(plan, counts)?;
    if plan.schema().fields().len() > COLUMNS_MAX {
        return Err(refusal(Rule::Size, "A subquery has too many columns.", PLAIN));
    }
    if plan.schema().fields().iter().any(|field| field.name().starts_with(PREFIX)) {
        let message = format!("A name cannot begin with `{PREFIX}`.");
        return Err(refusal(Rule::Name, &message, NAMED));
    }
    if let LogicalPlan::Values(values) = plan
        && values.values.iter().flatten().all(|value| matches!(value, Expr::Literal(..)))
    {
        return Ok(());
    }
    let mut outcome = Ok(());
    // The closure never fails, so neither does the walk.
    let _ = plan.apply_expressions(|expr| {
        outcome = check_expr(expr, counts);
        Ok::<_, DataFusionError>(match outcome {
            Ok(()) => TreeNodeRecursion::Continue,
            Err(_) => TreeNodeRecursion::Stop,
        })
    });
    outcome?;
    plan.inputs().into_iter().try_for_each(|input| check_plan(input, counts))
}

fn check_node(plan: &LogicalPlan, counts: &mut Counts) -> Result<(), Refusal> {
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => Ok(()),
        LogicalPlan::Join(_) => counts.join(),
        LogicalPlan::TableScan(scan) => match Slot::of(scan) {
            Some(_) => Ok(()),
            None => Err(refusal(Rule::Table, "Only released tables can be read here.", PLAIN)),
        },
        LogicalPlan::Values(values) if values.values.len() <= VALUES_MAX => Ok(()),
        LogicalPlan::Values(_) => {
            let message = format!("VALUES has at most {VALUES_MAX} rows.");
            Err(refusal(Rule::Size, &message, VALUES))
        }
        LogicalPlan::Distinct(Distinct::On(_)) => {
            Err(refusal(Rule::Clause, "DISTINCT ON cannot be used.", FIRST_OF_EACH))
        }
        LogicalPlan::Subquery(_) => Err(refusal(Rule::Clause, "LATERAL cannot be used.", JOINED)),
        LogicalPlan::RecursiveQuery(_) => {
            Err(refusal(Rule::Clause, "WITH RECURSIVE cannot be used.", RUNNING))
        }
        LogicalPlan::Unnest(_) => Err(refusal(Rule::Clause, "UNNEST cannot be used.", VALUES)),
        LogicalPlan::Repartition(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => Err(refusal(Rule::Statement, "Only a SELECT is answered.", PLAIN)),
    }
}
