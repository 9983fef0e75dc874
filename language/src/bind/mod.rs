//! Stage 2: names, types and bounds of expressions over events.
//!
//! Invariants: everything here depends on the text, the public schema, the key's regions and the time of the request,
//! never on events. Not here: which part of a statement is private (`question/`), prices (`charge`).
//!
//! - `literal`: constants, and dates relative to now (`interval`); `listed`: texts that a listed column never is
//! - `columns`: names; `scalar`, `functions`: total expressions over columns (`unsupported`: all others)
//! - `numbers`: arithmetic and casts
//! - `aggregate`, `binder`: aggregate calls and their bounds; `call`: such a call, bound; `aggregate_names`: their names
//! - `bounds`: what bounds rows and measures of the events that the conditions let through
//! - `scope`: regions, days, events and retention
//! - `group_keys`: what can be grouped by
//! - `extent`: regions, and the size of an answer

pub(crate) mod aggregate;
pub(crate) mod aggregate_names;
mod binder;
pub(crate) mod bounds;
pub(crate) mod call;
pub(crate) mod columns;
pub(crate) mod extent;
mod functions;
pub(crate) mod group_keys;
pub(crate) mod interval;
pub(crate) mod listed;
pub(crate) mod literal;
pub(crate) mod numbers;
pub(crate) mod scalar;
pub(crate) mod scope;
pub(crate) mod unsupported;

pub use self::functions::FUNCTIONS;
pub use self::scope::{Asking, pinned};
pub use self::unsupported::SETS;

/// Most groups of one answer.
pub const CELLS_MAX: u64 = 10_000;
/// Most keys of one query.
pub(crate) const KEYS_MAX: usize = 8;
/// Most samples of noise of one query.
pub(crate) const DRAWS_MAX: u64 = 4_000_000;
/// Most distinct aggregates of one query.
pub(crate) const AGGREGATES_MAX: usize = 20;
