//! From SQL text to a [`Question`]: the private queries of a statement, and the text that postprocesses their releases.
//!
//! ```text
//! text -parse-> one statement -question, bind-> Question { PrivateQuery.., postprocessing text }
//! ```
//! Invariants: everything here depends on the text, the public schema, the key's regions and the time of the request,
//! never on an event. Only this crate makes a [`PrivateQuery`], and no other can change one.
//!
//! - `parse`: text -> one statement, every node of it seen
//! - `work`: what taking a statement apart may cost; `zones`: clocks that are not those of UTC
//! - `walk`: walks over the parser's tree
//! - `syntax`: readings of the parser's tree that every stage shares
//! - `question`: a statement -> its private queries and the text that postprocesses their releases
//! - `bind`: names, types, bounds and retention of expressions over events
//! - `expr`: total expressions; [`calendar`]: days and hours
//! - `private_query`: what may touch events, as a closed value; `pattern`: what patterns of LIKE match;
//!   `casing`: upper and lower case
//! - [`suggest`]: what a refusal suggests: the refused statement, written otherwise
//!
//! Not here: prices, noise and what reads events (`shoal-query`), what runs on released rows (`shoal-postprocess`).

mod bind;
pub mod calendar;
mod casing;
mod error;
mod expr;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod parse;
mod pattern;
mod private_query;
mod question;
pub mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod walk;
mod work;
mod zones;

pub use bind::aggregate_names::{AGGREGATES, AggregateForm};
pub use bind::{Asking, CELLS_MAX, FUNCTIONS, SETS, pinned};
pub use casing::Casing;
pub use error::{LanguageError, Refusal, Rule, without_values};
pub use expr::{
    Arithmetic, Compare, EXPANDED_MAX, NODES_DEEP_MAX, NODES_MAX, Scalar, Shared, TimePart, Type, Value,
    filter, normal,
};
pub use parse::SHAPE;
pub use pattern::Pattern;
pub use private_query::{
    Aggregate, AggregateOp, Bucket, DayRange, DayValues, Key, KeyKind, Membership, PerSubject, PersonOp,
    PersonValue, PrivateQuery, Shape, Sizes,
};
pub use question::{
    POSTPROCESS_BYTES_MAX, POSTPROCESS_FUNCTIONS, POSTPROCESS_PARTS_MAX, PostprocessText, Question,
    TEMPLATES, TemplateForm, ask, ask_within, condition,
};
pub use work::{WORK_MAX, Work};
