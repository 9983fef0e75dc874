//! A rewritten node and how its columns depend on noise, the rewriting on its way, and the columns of companions.
//!
//! Invariants: names of companions begin with [`PREFIX`], and no two of them are the same.
//! Not here: what becomes of each node (`nodes`, `rows`, `sets`) and of expressions (`exprs`).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::logical_expr::LogicalPlan;

use crate::released::{ReleasedSchema, STATED};
use crate::signs::Signs;

/// What names of companions begin with.
pub(crate) const PREFIX: char = '~';

/// How a column depends on noise. A column without noise is made of keys and of the text alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Noise {
    /// A number that depends on noise and has no companions any more (it went through DISTINCT or GROUP BY).
    Lost,
    /// Noise decided it: a rank, a label, the number of rows that pass a condition.
    Decided,
    /// A number with companions.
    Noisy(Noisy),
}

/// A number's companions.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Noisy {
    /// Present when the number is one of a release, as it is.
    pub(crate) bare: Option<Bare>,
    pub(crate) moved: Vec<Column>,
}

/// A released number, as it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bare {
    /// The columns of what is stated of it, in the order of [`STATED`].
    pub(crate) stated: Box<[Column; STATED.len()]>,
    pub(crate) unit: Option<String>,
    pub(crate) scale: u8,
}

/// A rewritten node.
pub(super) struct Relation {
    pub(super) plan: LogicalPlan,
    /// The schema before the node was rewritten, to which the expressions of outer nodes refer.
    pub(super) schema: DFSchemaRef,
    /// By position in `schema`.
    pub(super) noise: Vec<Option<Noise>>,
    /// Columns that stand for scalar subqueries.
    pub(super) subqueries: Vec<(Column, Noise)>,
    /// The number of the row in its release, while there is one.
    pub(super) row: Option<Column>,
    /// Whether noise decided which rows there are.
    pub(super) is_decided: bool,
}

/// The state of a rewriting.
pub(super) struct Replication<'a> {
    pub(super) releases: &'a [ReleasedSchema],
    pub(super) signs: Signs,
    next: usize,
}

impl<'a> Replication<'a> {
    /// The state at the beginning.
    pub(super) fn of(releases: &'a [ReleasedSchema], signs: Signs) -> Replication<'a> {
        Replication { releases, signs, next: 0 }
    }

    /// A name that no other column has.
    pub(super) fn fresh(&mut self) -> String {
        self.next += 1;
        format!("{PREFIX}{}", self.next)
    }

    /// Fresh names of companions.
    pub(super) fn fresh_moved(&mut self) -> Vec<Column> {
        let name = self.fresh();
        (0..self.signs.replicates()).map(|w| Column::new_unqualified(format!("{name}.{w}"))).collect()
    }
}

/// The columns of a released table with its companions: keys and numbers, then the row's number, then for each number what is
/// stated of it and its companions.
pub(super) struct Wide {
    pub(super) fields: SchemaRef,
}

impl Wide {
    /// The names are such that no other table's columns have them.
    pub(super) fn of(release: &ReleasedSchema, replicates: usize, name: &str) -> Wide {
        let mut fields = release.named();
        fields.push(Field::new(format!("{name}.row"), DataType::Int64, false));
        for at in 0..release.numbers.len() {
            for stated in STATED {
                fields.push(Field::new(format!("{name}.{at}.{stated}"), DataType::Float64, true));
            }
            for w in 0..replicates {
                fields.push(Field::new(format!("{name}.{at}.{w}"), DataType::Float64, true));
            }
        }
        Wide { fields: Arc::new(Schema::new(fields)) }
    }
}
