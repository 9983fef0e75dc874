//! A walk over a statement: how deep it is, how it goes on in a subquery, and the refusals of a clause and of a body.
//!
//! Invariants: no node is deeper than a fixed number of levels, so that whatever walks a statement later can recurse.
//! Not here: which nodes are allowed (`clauses`, `expressions`).

use sqlparser::ast::Query;
use sqlparser::tokenizer::Span;

use crate::error::{Refusal, Rule};

/// Deepest tree of nodes; a list of ANDs is as deep as it is long.
const NODES_DEEP_MAX: usize = 200;

/// A statement that works, for refusals that have no better one.
pub const SHAPE: &str = "SELECT os, COUNT(*) AS n FROM usage WHERE day >= current_date - 6 GROUP BY os";

/// Where a walk is. Clauses hold expressions and expressions hold queries: an expression hands a query back to what
/// walks the clauses.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    depth: usize,
    /// Walks the query of a subquery.
    query: fn(&Query, Walk) -> Result<(), Refusal>,
}

impl Walk {
    /// A walk that begins, with what walks a query.
    pub(super) fn of(query: fn(&Query, Walk) -> Result<(), Refusal>) -> Walk {
        Walk { depth: 0, query }
    }

    /// Walks a subquery.
    pub(super) fn query(self, query: &Query) -> Result<(), Refusal> {
        (self.query)(query, self)
    }

    /// One level further down.
    pub(super) fn deeper(self, span: impl FnOnce() -> Span) -> Result<Walk, Refusal> {
        if self.depth >= NODES_DEEP_MAX {
            let message = format!("A list of AND, OR or of operators is longer than {NODES_DEEP_MAX}.");
            let suggestion = "SELECT COUNT(*) FROM usage WHERE os IN ('ios', 'android')";
            return Err(Refusal::new(Rule::Size, span(), message, suggestion));
        }
        Ok(Walk { depth: self.depth + 1, ..self })
    }
}

/// Refuses a clause that is there.
pub(super) fn clause(present: bool, span: Span, name: &str) -> Result<(), Refusal> {
    match present {
        true => Err(Refusal::new(Rule::Clause, span, format!("{name} cannot be used."), SHAPE)),
        false => Ok(()),
    }
}

/// The refusal of a query whose body is something else: INSERT, UPDATE, DELETE, MERGE or TABLE.
pub(crate) fn not_a_query(span: Span) -> Refusal {
    let message = "A query is made of SELECT, set operations and VALUES.";
    Refusal::new(Rule::Statement, span, message, SHAPE)
}
