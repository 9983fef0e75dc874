//! What a private SELECT reads: the rows of a table, a template or a subquery, with the names that are known of them, and the
//! windows in which it reads them.
//!
//! Invariants: what a name stands for is shared by all who use the source, so that a copy of it costs little.
//! Not here: how a source comes to be (`source`, `person`, `templates`, `windows`), and days (`days`).

use std::rc::Rc;

use shoal_schemas::Kind;
use sqlparser::ast::{Expr, Ident};
use sqlparser::tokenizer::Span;

use super::clocks::Clock;
use crate::bind::columns::Names;
use crate::expr::Scalar;
use crate::private_query::{Membership, Shape};

/// The name of the day that a window belongs to, while a statement is taken apart; no name in a statement can be it.
const WINDOW_DAY: &str = "\u{1}day";

/// The day that a window belongs to, as an expression.
pub(super) fn window_day(span: Span) -> Expr {
    Expr::Identifier(Ident::with_span(span, WINDOW_DAY))
}

/// Whether an expression is the day that a window belongs to.
pub(super) fn is_window_day(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(name) if name.value == WINDOW_DAY)
}

/// Days that a text tells: those of a series, or those by which a query groups.
#[derive(Clone, Debug)]
pub(super) struct Days {
    /// The name of the column that has them, and its position.
    pub(super) column: String,
    pub(super) at: usize,
    /// Ascending, each once.
    pub(super) days: Vec<i32>,
    /// Whether the column has times, the first moments of the days.
    pub(super) are_times: bool,
}

/// Windows: for each of some days, the events that these conditions let through.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    pub(super) days: Days,
    /// The day that a window belongs to is [`window_day`] in them.
    pub(super) conditions: Vec<Expr>,
    pub(super) span: Span,
}

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
    /// The windows in which it is read; none where it is read once.
    pub(super) windows: Option<Rc<Windows>>,
    /// The zones whose hours its conditions name, and what these were taken for.
    pub(super) clocks: Vec<Clock>,
    pub(super) notes: Vec<String>,
}
