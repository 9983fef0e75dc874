//! Who withdraws in the messages that are whole in a batch which is refused: SDKs delete what is refused, and the person does not say it
//! again.
//!
//! Invariants: what such a batch allows does not count, because what says otherwise may be missing, and none of its events is kept;
//! no message is read that has not the word of a decision, and no more than [`MESSAGES_MAX`] are. Not here: which messages are whole, and have
//! such a word (`wire::whole_messages`), what a message says (`consents/decisions.rs`).

use std::{borrow::Cow, cell::OnceCell};

use super::judges::{Judge, Judged, OwnRequest};
use crate::{
    consents::{self, Change, Hearing},
    refusal::{Refusal, RefusalCode},
    stages::{
        inflate::beginning,
        pipeline::{self, Gate},
    },
    wire::{self, protocol::Request},
};

/// Messages that are read of a batch, at the most.
pub(super) const MESSAGES_MAX: usize = 50_000;
/// Messages that are read at a time, at the most.
const PART_MESSAGES: usize = 256;

impl Judge {
    /// Who withdraws in the messages that are whole in a body which is cut or has too much; the body as it was before compression, where
    /// that is known. Its events are refused with the others: what the body says of all of them may be missing. They are read in
    /// parts, because no limit that the body has broken may be one for them, and what is too much in a message costs that one alone.
    ///
    /// # Errors
    /// The refusal itself, when nobody does.
    pub(super) fn withdrawals(
        &self,
        own: &OwnRequest,
        gate: &Gate<'_>,
        body: Option<&[u8]>,
        refusal: Refusal,
    ) -> Result<Judged, Refusal> {
        if !leaves_whole_messages(refusal.code) {
            return Err(refusal);
        }
        let (request, limits) = (own.request(), self.limits());
        let begun = || beginning(request.body, request.content_encoding, limits.inflated_bytes_max);
        let Some(bytes) = body.map(Cow::Borrowed).or_else(|| begun().map(|(bytes, _)| bytes)) else {
            return Err(refusal);
        };
        let hearing = self.hearing(&request, &own.grant, gate);
        let of_body = |body: &[u8]| self.denials(&request, body, &hearing);
        let part_messages = PART_MESSAGES.min(limits.events_max).max(1);
        let parts = wire::whole_messages(request.protocol, &bytes, part_messages);
        let mut changes = Vec::new();
        for part in parts.take(MESSAGES_MAX.div_ceil(part_messages)) {
            match of_body(&part) {
                Some(denials) => changes.extend(denials),
                None => {
                    let each = wire::whole_messages(request.protocol, &part, 1);
                    changes.extend(each.filter_map(|message| of_body(&message)).flatten());
                }
            }
            if changes.len() >= consents::WITHDRAWALS_MAX {
                changes.truncate(consents::WITHDRAWALS_MAX);
                break;
            }
        }
        if changes.is_empty() { Err(refusal) } else { Ok(Judged::Refused(changes, refusal)) }
    }

    /// Who withdraws in a body; none when it cannot be read.
    fn denials(&self, request: &Request<'_>, body: &[u8], hearing: &Hearing<'_>) -> Option<Vec<Change>> {
        let (repaired, limits) = (OnceCell::new(), self.limits());
        let decoded = pipeline::decode(request, body, &repaired, hearing.registry, limits).ok()?;
        let mut changes = consents::changes(&decoded, hearing);
        changes.retain(|change| !change.is_grant());
        Some(changes)
    }
}

/// Whether a body that is refused for this may have messages that are whole.
fn leaves_whole_messages(code: RefusalCode) -> bool {
    use RefusalCode as C;
    code.is_of_form()
        || matches!(code, C::BadEncoding | C::CompressionRatio | C::TooManyEvents | C::TooManyValues)
}

#[cfg(test)]
mod tests {
    use shoal_schemas::Protocol;

    use crate::wire;

    #[test]
    fn messages_without_a_word_of_consent_are_not_read() {
        let dull = vec![r#"{"type":"track","event":"x","userId":"u","a":"the cons, and"}"#; 1_000].join(",");
        let denial = r#"{"type":"track","userId":"u","context":{"Con\u0073ent":{"x":{"Analytics":false}}}}"#;
        for (body, wanted) in [
            (format!(r#"{{"batch":[{dull}"#), vec![]),
            (format!(r#"{{"batch":[{dull},{denial},{dull},{denial},{{"#), vec![format!("{denial},{denial}")]),
        ] {
            let read = wire::whole_messages(Protocol::Segment, body.as_bytes(), 256);
            let read: Vec<String> = read.map(|body| String::from_utf8_lossy(&body).into_owned()).collect();
            let wanted: Vec<String> = wanted.iter().map(|of| format!(r#"{{"batch":[{of}]}}"#)).collect();
            assert_eq!(read, wanted);
        }
    }
}
