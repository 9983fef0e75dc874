//! One grant or withdrawal, and what it makes of the record before it.
//!
//! Invariant: an older act never undoes a newer one, and no act undoes a restriction or an erasure. Not here: the bytes of
//! a record (`shoal_privacy::consent`).

use shoal_privacy::consent::{ConsentDigest, ConsentRecord};
use shoal_schemas::{Programme, Region};

/// One grant or withdrawal, without raw identifiers.
pub(crate) struct Change {
    pub(super) region: Region,
    pub(super) programme: Programme,
    pub(super) controller: String,
    pub(super) digests: Vec<ConsentDigest>,
    pub(super) act: Act,
}

pub(super) enum Act {
    Grant { policy_version: String, at_ms: i64 },
    Withdraw { at_ms: i64 },
}

impl Change {
    /// Whether it allows something.
    pub(crate) fn is_grant(&self) -> bool {
        matches!(self.act, Act::Grant { .. })
    }

    /// The record after it.
    pub(super) fn after(&self, before: Option<ConsentRecord>) -> ConsentRecord {
        let mut record = before.unwrap_or_else(|| ConsentRecord {
            policy_version: "".into(),
            granted_at_ms: None,
            withdrawn_at_ms: None,
            controller: "".into(),
            restricted: false,
            erased: false,
        });
        match &self.act {
            Act::Grant { policy_version, at_ms }
                if record.granted_at_ms.is_none_or(|before| before <= *at_ms) =>
            {
                record.granted_at_ms = Some(*at_ms);
                record.policy_version = policy_version.as_str().into();
                record.controller = self.controller.as_str().into();
            }
            Act::Grant { .. } => {}
            Act::Withdraw { at_ms } => {
                record.withdrawn_at_ms =
                    Some(record.withdrawn_at_ms.map_or(*at_ms, |before| before.max(*at_ms)));
                if record.controller.is_empty() {
                    record.controller = self.controller.as_str().into();
                }
            }
        }
        record
    }
}
