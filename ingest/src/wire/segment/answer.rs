//! What Segment's SDKs are told.
//!
//! An event that is bad or lacks consent is counted, and the request succeeds all the same, so that the SDK does not send
//! it for ever. After an overload, or when a service is unavailable, an SDK sends the same messages again with the same
//! ids; it knows no answer for a full disk, so that is presented as unavailable. After any other refusal it drops them.

use serde_json::json;

use crate::wire::protocol::{Later, Reply, Told};

/// Success for every batch that was read; code and message otherwise.
pub(super) fn answer(told: &Told<'_>) -> Reply {
    match told.outcome {
        Ok(_) => Reply::json(None, &json!({"success": true})),
        Err(refused) => {
            let later = refused.later.map(|later| match later {
                Later::DiskFull => Later::Unavailable,
                other => other,
            });
            Reply::json(later, &json!({"code": refused.code, "message": refused.reason}))
        }
    }
}
