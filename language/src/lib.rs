//! From SQL text to a [`Question`]: the private queries of a statement, and the text that postprocesses their releases.
//!
//! ```text
//! text -parse-> one statement -question, bind-> Question { PrivateQuery.., postprocessing text }
//! ```
//! Invariants: everything here depends on the text, the public schema, the key's regions and the time of the request,
//! never on an event. Only this crate makes a [`PrivateQuery`], and no other can change one.
//!
//! - `parse`: text -> one statement, every node of it seen
//! - `syntax`: readings of the parser's tree that every stage shares
//! - `question`: a statement -> its private queries and the text that postprocesses their releases
//! - `bind`: names, types, bounds and retention of expressions over events
//! - `expr`: total expressions; [`calendar`]: days and hours
//! - `private_query`: what may touch events, as a closed value
//! - [`suggest`]: what a refusal suggests: the refused statement, written otherwise
//!
//! Not here: prices, noise and what reads events (`shoal-query`), what runs on released rows (`shoal-postprocess`).

mod bind;
pub mod calendar;
mod error;
mod expr;
mod parse;
mod private_query;
mod question;
pub mod suggest;
mod syntax;
#[cfg(test)]
mod tests;

pub use bind::aggregate_names::{AGGREGATES, AggregateForm};
pub use bind::{CELLS_MAX, SETS};
pub use error::{LanguageError, Refusal, Rule, without_values};
pub use expr::{Arithmetic, Compare, Scalar, TimePart, Type, Value, filter, normal};
pub use parse::SHAPE;
pub use private_query::{
    Aggregate, AggregateOp, Bucket, DayRange, Key, KeyKind, Membership, PerSubject, PersonOp, PersonValue,
    PrivateQuery, Shape,
};
pub use question::{
    POSTPROCESS_FUNCTIONS, PostprocessText, Question, TEMPLATES, TemplateForm, ask, condition,
};
