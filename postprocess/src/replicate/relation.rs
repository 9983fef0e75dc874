//! A rewritten node and how its columns depend on noise, the rewriting on its way, and the columns of companions.
//!
//! Invariants: names of companions begin with [`PREFIX`], and no two of them are the same.
//! Not here: what becomes of each node (`nodes`, `rows`, `sets`) and of expressions (`exprs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{Column, DFSchemaRef};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::released::{ReleasedSchema, STATED};
use crate::signs::Companions;

/// What names of companions begin with.
pub(crate) const PREFIX: char = '~';

/// How a column depends on noise. A column without noise is made of keys and of the text alone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Noise {
    /// A number that depends on noise and has no companions any more (it went through DISTINCT or GROUP BY).
    Lost,
    /// Noise decided it: a rank, a label, the number of rows that pass a condition or that are shown at all.
    Decided,
    /// A number with companions.
    Noisy(Noisy),
}

/// A number's companions.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Noisy {
    /// Present when the number's own interval is known without companions.
    pub(crate) bare: Option<Bare>,
    /// Those that noise moves, then one for each world.
    pub(crate) moved: Vec<Column>,
    pub(crate) unit: Option<String>,
    pub(crate) caveats: BTreeSet<Caveat>,
    /// Constants between which the number is where its group is not shown, if they are known.
    pub(crate) ends: Option<Box<[Expr; 2]>>,
}

/// What a reader must know of a number besides its interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Caveat {
    /// Groups that are not shown, of fewer than about so many people, are not in it.
    Partial(u64),
    /// It may stand for a group that is not shown, of fewer than about so many people.
    Unknown(u64),
}

/// A number whose interval is known: a released one as it is, a mean of two, or one that is linear in such a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bare {
    /// The columns of what is stated of it, in the order of [`STATED`].
    pub(crate) stated: Box<[Column; STATED.len()]>,
    /// Whether it has no decimal places.
    pub(crate) is_whole: bool,
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
    /// About how many people a group needs for its row to be here; none when no row is missing for that.
    pub(super) shown_from: Option<u64>,
}

/// A side of a join, of which rows may be missing because their groups are not shown.
pub(super) struct Side {
    /// A column that is null where there is no partner.
    pub(super) mark: Column,
    /// About how many people a group of it needs to be shown.
    pub(super) shown_from: u64,
}

/// The state of a rewriting.
pub(super) struct Replication<'a> {
    pub(super) releases: &'a [ReleasedSchema],
    pub(super) companions: Companions,
    next: usize,
    /// The world of the next side of a join whose rows may be withheld.
    world: usize,
}

impl<'a> Replication<'a> {
    /// The state at the beginning.
    pub(super) fn of(releases: &'a [ReleasedSchema], companions: Companions) -> Replication<'a> {
        Replication { releases, companions, next: 0, world: 0 }
    }

    /// A name that no other column has.
    pub(super) fn fresh(&mut self) -> String {
        self.next += 1;
        format!("{PREFIX}{}", self.next)
    }

    /// A column of a name that no other column has.
    pub(super) fn fresh_column(&mut self) -> Column {
        Column::new_unqualified(self.fresh())
    }

    /// Fresh names of companions.
    pub(super) fn fresh_moved(&mut self) -> Vec<Column> {
        let name = self.fresh();
        (0..self.companions.count()).map(|w| Column::new_unqualified(format!("{name}.{w}"))).collect()
    }

    /// The number of the companion in whose world the withheld rows of this side are at their upper end. Sides beyond the
    /// number of worlds share the last one.
    pub(super) fn next_world(&mut self) -> usize {
        self.world += 1;
        self.companions.signs.replicates() + self.world.min(self.companions.worlds.saturating_sub(1))
    }
}

/// The columns of a released table with its companions: keys and numbers, then the row's number, then for each number what is
/// stated of it and its companions.
pub(super) struct Wide {
    pub(super) fields: SchemaRef,
}

impl Wide {
    /// The names are such that no other table's columns have them.
    pub(super) fn of(release: &ReleasedSchema, companions: usize, name: &str) -> Wide {
        let mut fields = release.named();
        fields.push(Field::new(format!("{name}.row"), DataType::Int64, false));
        for at in 0..release.numbers.len() {
            for stated in STATED {
                fields.push(Field::new(format!("{name}.{at}.{stated}"), DataType::Float64, true));
            }
            for w in 0..companions {
                fields.push(Field::new(format!("{name}.{at}.{w}"), DataType::Float64, true));
            }
        }
        Wide { fields: Arc::new(Schema::new(fields)) }
    }
}
