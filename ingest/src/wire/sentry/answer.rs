//! What Sentry's SDKs are told.
//!
//! The event id of the envelope is given back. An SDK that is refused for any reason loses what it sent; only after an
//! overload does it count that and hold back for the time that it is told, so every refusal for now is presented as one.

use serde_json::json;

use crate::wire::protocol::{Later, Reply, Told};

/// The id of the envelope for every one that was read; reason and code otherwise.
pub(super) fn answer(told: &Told<'_>) -> Reply {
    match told.outcome {
        Ok(answer) => match &answer.request_id {
            Some(id) => Reply::json(None, &json!({"id": id})),
            None => Reply::json(None, &json!({})),
        },
        Err(refused) => Reply::json(
            refused.later.map(|_| Later::Overloaded),
            &json!({"detail": refused.reason, "causes": [refused.code]}),
        ),
    }
}
