//! What the sender of native events is told: the outcome of each event.
//!
//! Not here: a refusal of the whole request, which is a problem document (`shoal-server`, `problem.rs`).

use crate::wire::protocol::{Reply, Told};

/// The counts and the outcomes, in the order of the request.
pub(super) fn answer(told: &Told<'_>) -> Option<Reply> {
    told.outcome.ok().map(|answer| Reply::json(None, answer))
}
