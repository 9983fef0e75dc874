//! The plan gate: which nodes of a plan above a release may run.
//!
//! Invariants: the `match` over plan nodes has no wildcard, so an upgrade that adds a node does not compile until somebody
//! has decided about it; what is allowed reads released tables and rows of the text, and nothing else. Plans are small:
//! nodes, joins and expressions are counted, subqueries included.
//! Not here: expressions (`gate_expr`), limits at run time (`evaluate`).

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Distinct, LogicalPlan};

use super::gate_expr::check_expr;
use super::refuse::{JOINED, NAMED, PLAIN};
use super::replicate::PREFIX;
use super::slot::Slot;
use shoal_language::{Refusal, Rule};

/// Most nodes of a plan, joins among them, nodes of its expressions, rows of VALUES and columns of a node.
const NODES_MAX: usize = 300;
const JOINS_MAX: usize = 8;
const EXPRESSIONS_MAX: usize = 4_000;
const VALUES_MAX: usize = 1_000;
const COLUMNS_MAX: usize = 200;

pub(super) const VALUES: &str = "SELECT os, n FROM (SELECT os, COUNT(*) AS n FROM usage GROUP BY os) AS t WHERE os IN (SELECT v.os FROM \
    (VALUES ('ios'), ('android')) AS v (os))";
const FIRST_OF_EACH: &str = "SELECT os, app_version, people FROM (SELECT os, app_version, people, row_number() OVER (PARTITION BY os \
    ORDER BY people DESC) AS place FROM (SELECT os, app_version, COUNT(DISTINCT subject) AS people FROM usage GROUP BY os, \
    app_version) AS versions) AS placed WHERE place = 1";
pub(super) const RUNNING: &str = "SELECT day, n, SUM(n) OVER (ORDER BY day) AS so_far FROM (SELECT day, COUNT(*) AS n FROM usage \
    GROUP BY day) AS days ORDER BY day";

/// What was counted so far.
#[derive(Default)]
pub(super) struct Counts {
    nodes: usize,
    joins: usize,
    pub(super) expressions: usize,
}

/// Whether a plan may run.
///
/// # Errors
/// The refusal of the first node that may not.
pub(super) fn check_plan(plan: &LogicalPlan, counts: &mut Counts) -> Result<(), Refusal> {
    counts.nodes += 1;
    if counts.nodes > NODES_MAX {
        return Err(refusal(Rule::Size, "The statement above the release has too many parts.", PLAIN));
    }
    check_node(plan, counts)?;
    if plan.schema().fields().len() > COLUMNS_MAX {
        return Err(refusal(Rule::Size, "A subquery has too many columns.", PLAIN));
    }
    if plan.schema().fields().iter().any(|field| field.name().starts_with(PREFIX)) {
        let message = format!("A name cannot begin with `{PREFIX}`.");
        return Err(refusal(Rule::Name, &message, NAMED));
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
        LogicalPlan::Join(_) => check_join(counts),
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

fn check_join(counts: &mut Counts) -> Result<(), Refusal> {
    counts.joins += 1;
    match counts.joins > JOINS_MAX {
        true => {
            let message =
                format!("A statement has at most {JOINS_MAX} joins, those of its subqueries included.");
            Err(refusal(Rule::Size, &message, JOINED))
        }
        false => Ok(()),
    }
}

impl Counts {
    /// Counts a node of an expression.
    pub(super) fn expression(&mut self) -> Result<(), Refusal> {
        self.expressions += 1;
        match self.expressions > EXPRESSIONS_MAX {
            true => Err(refusal(Rule::Size, "The statement above the release is too long.", PLAIN)),
            false => Ok(()),
        }
    }
}

/// A refusal of the free text; it has no place of its own, since the text was rewritten.
pub(super) fn refusal(rule: Rule, message: &str, suggestion: &str) -> Refusal {
    Refusal::whole(rule, message, suggestion)
}
