//! What a private SELECT reads: the rows of a table, a template or a subquery, with the names that are known of them.
//!
//! Invariants: what a name stands for is shared by all who use the source, so that a copy of it costs little.
//! Not here: how a source comes to be (`source`, `person`, `templates`).

use shoal_schemas::Kind;

use crate::bind::columns::Names;
use crate::expr::Scalar;
use crate::private_query::{Membership, Shape};

/// What a private SELECT reads.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) kind: Kind,
    /// The table's name or alias, which may stand in front of a column's name.
    pub(super) alias: Option<String>,
    pub(super) names: Names,
    pub(super) shape: Shape,
    /// The condition on events.
    pub(super) filter: Option<Scalar>,
    pub(super) members: Vec<Membership>,
    pub(super) notes: Vec<String>,
}
