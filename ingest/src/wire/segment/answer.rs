//! What Segment's SDKs are told.
//!
//! An event that is bad or lacks consent is counted, and the request succeeds all the same, so that the SDK does not send
//! it for ever. After an overload, or when a service is unavailable, an SDK sends the same messages again with the same
//! ids; it knows no answer for a full disk, so that is presented as unavailable. After any other refusal it drops them.

use serde_json::json;

use crate::wire::protocol::{Later, Reply, Told};

/// Success for every batch that was read, with what was wrong with its own fields; code and message otherwise.
pub(super) fn answer(told: &Told<'_>) -> Reply {
    match told.outcome {
        Ok(answer) if answer.batch_faults.is_empty() => Reply::json(None, &json!({"success": true})),
        Ok(answer) => Reply::json(None, &json!({"success": true, "batch_faults": answer.batch_faults})),
        Err(refused) => {
            let later = refused.later.map(|later| match later {
                Later::DiskFull => Later::Unavailable,
                other => other,
            });
            Reply::json(later, &json!({"code": refused.code, "message": refused.reason}))
        }
    }
}
