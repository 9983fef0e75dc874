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
    /// A key or a constant of a side of a join: null where the join found no partner, which may be because it is not shown.
    Absent(Absent),
}

/// What is known of a key or a constant that may be null because its group is not shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Absent {
    /// A column with what it would be if its group were there; none when that is not known.
    pub(crate) instead: Option<Column>,
    /// The companions in whose worlds the group is there.
    pub(crate) worlds: [usize; 2],
    pub(crate) missing: Missing,
    /// The column of the other side that it is equal to where there is a partner.
    pub(crate) partner: Option<Column>,
}

/// Why rows may be missing from a relation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// About how many people a group needs for its row to be here; none when no row is missing for that.
    pub(crate) shown_from: Option<u64>,
    /// Whether days that have expired are left out.
    pub(crate) left_out: bool,
}

impl Missing {
    /// Whether none is.
    pub(super) fn is_nothing(self) -> bool {
        self == Missing::default()
    }

    /// For either reason.
    pub(super) fn or(self, other: Missing) -> Missing {
        Missing {
            shown_from: self.shown_from.max(other.shown_from),
            left_out: self.left_out || other.left_out,
        }
    }

    /// What a reader must know of a number that may stand for what is missing.
    pub(super) fn unknown(self) -> impl Iterator<Item = Caveat> {
        let left_out = self.left_out.then_some(Caveat::LeftOut);
        self.shown_from.map(Caveat::Unknown).into_iter().chain(left_out)
    }
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
    /// Whether it jumps where noise crosses a condition: then its wide companions are itself with the conditions moved, and
    /// otherwise itself computed from moved numbers.
    pub(crate) is_stepped: bool,
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
    /// Noise decided what it is made of.
    Chosen,
    /// Noise adds to it: it is a measure of how far numbers are apart.
    Spread,
    /// It may stand for days that have expired and are left out.
    LeftOut,
    /// A UNION put exact numbers into its column.
    WithExact,
    /// A UNION put exact numbers and those of groups that may not be shown into its column.
    BesideExact,
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
    /// Whether a condition or an order by noisy numbers did.
    pub(super) is_picked: bool,
    /// Why rows may not be here.
    pub(super) missing: Missing,
}

/// A side of a join, of which rows may be missing because their groups are not shown.
pub(super) struct Side {
    /// A column that is null where there is no partner.
    pub(super) mark: Column,
    pub(super) missing: Missing,
    /// Its keys and constants.
    pub(super) keys: Vec<SideKey>,
}

/// A key or a constant of such a side.
pub(super) struct SideKey {
    /// Its position in the side.
    pub(super) at: usize,
    /// Its column in the join.
    pub(super) column: Column,
    /// What it would be if its group were there, if that is known.
    pub(super) present: Option<Expr>,
    /// The column of the other side that it is equal to where there is a partner.
    pub(super) partner: Option<Column>,
}

/// The state of a rewriting.
pub(super) struct Replication<'a> {
    pub(super) releases: &'a [ReleasedSchema],
    pub(super) companions: Companions,
    next: usize,
    /// The world of the next side of a join whose rows may be withheld.
    world: usize,
    /// What may be missing from a relation by whose rows others were chosen.
    pub(super) absence: Missing,
}

impl<'a> Replication<'a> {
    /// The state at the beginning.
    pub(super) fn of(releases: &'a [ReleasedSchema], companions: Companions) -> Replication<'a> {
        Replication { releases, companions, next: 0, world: 0, absence: Missing::default() }
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

    /// The numbers of the companions in whose worlds the withheld rows of this side are there: at their upper end, and at their
    /// lower one. Sides beyond the number of worlds share the last two.
    pub(super) fn next_worlds(&mut self) -> [usize; 2] {
        let sides = self.companions.worlds / 2;
        let Some(last) = sides.checked_sub(1) else { return [usize::MAX; 2] };
        let first = self.companions.first_world() + 1 + 2 * self.world.min(last);
        self.world += 1;
        [first, first + 1]
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
