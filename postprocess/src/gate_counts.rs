//! How large a plan is: what the gate has counted so far, and how it goes on in a subquery.
//!
//! Invariants: subqueries count like the plan that they stand in. Not here: which nodes may run (`gate`, `gate_expr`).

use datafusion::logical_expr::LogicalPlan;
use shoal_language::{Refusal, Rule};

use super::refuse::{JOINED, PLAIN, refusal};

/// Most nodes of a plan.
const NODES_MAX: usize = 300;
/// Most joins of a plan.
const JOINS_MAX: usize = 8;
/// Most nodes of a plan's expressions.
const EXPRESSIONS_MAX: usize = 4_000;

/// What checks the plan of a subquery.
type CheckPlan = fn(&LogicalPlan, &mut Counts) -> Result<(), Refusal>;

/// What was counted so far. Plans hold expressions and expressions hold plans: an expression hands a subquery back to
/// what checks plans.
pub(super) struct Counts {
    nodes: usize,
    joins: usize,
    pub(super) expressions: usize,
    check_plan: CheckPlan,
}

impl Counts {
    /// Nothing yet, with what checks the plan of a subquery.
    pub(super) fn of(check_plan: CheckPlan) -> Counts {
        Counts { nodes: 0, joins: 0, expressions: 0, check_plan }
    }

    /// Checks the plan of a subquery.
    pub(super) fn subquery(&mut self, plan: &LogicalPlan) -> Result<(), Refusal> {
        (self.check_plan)(plan, self)
    }

    /// Counts a node of a plan.
    pub(super) fn node(&mut self) -> Result<(), Refusal> {
        self.nodes += 1;
        match self.nodes > NODES_MAX {
            true => Err(refusal(Rule::Size, "The postprocessing has too many parts.", PLAIN)),
            false => Ok(()),
        }
    }

    /// Counts a join.
    pub(super) fn join(&mut self) -> Result<(), Refusal> {
        self.joins += 1;
        match self.joins > JOINS_MAX {
            true => {
                let message =
                    format!("A statement has at most {JOINS_MAX} joins, those of its subqueries included.");
                Err(refusal(Rule::Size, &message, JOINED))
            }
            false => Ok(()),
        }
    }

    /// Counts a node of an expression.
    pub(super) fn expression(&mut self) -> Result<(), Refusal> {
        self.expressions += 1;
        match self.expressions > EXPRESSIONS_MAX {
            true => Err(refusal(Rule::Size, "The postprocessing is too long.", PLAIN)),
            false => Ok(()),
        }
    }
}
