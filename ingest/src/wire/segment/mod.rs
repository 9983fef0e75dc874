//! The protocol of Segment's SDKs, which RudderStack's speak too.

mod answer;
mod decode;
mod key;

pub(super) use key::write_key;

use crate::{
    refusal::Refusal,
    wire::{
        batch::Sink,
        json,
        protocol::{Bodies, Reply, Request, Told, Wire},
        repair,
        whole::{Within, objects},
        words::{Word, has_letters},
    },
};

/// No message that tells whose it is and what is denied has fewer bytes:
/// `{"userId":1,"consent.categoryPreferences":{"A":0}}` has 50.
const DENIAL_BYTES_MIN: usize = 48;
/// No message that denies something has no member with these letters in its name: `consent`, or `consentManagement`.
const CONSENT: Word = Word::of("consent");

/// The protocol of Segment's SDKs.
pub(super) struct Segment;

impl Wire for Segment {
    fn repair(&self, bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
        repair::body(bytes, bytes_max)
    }

    fn decode<'a>(
        &self,
        request: &Request<'a>,
        bytes: &'a [u8],
        sink: &mut Sink<'_, 'a>,
    ) -> Result<(), Refusal> {
        decode::read(json::text(bytes)?, request.message_type, sink)
    }

    fn whole_messages<'b>(&self, bytes: &'b [u8], messages_max: usize) -> Bodies<'b> {
        let may_deny = |message: &&[u8]| message.len() >= DENIAL_BYTES_MIN && has_letters(message, CONSENT);
        let mut messages = objects(bytes, Within::Batch).filter(may_deny);
        Box::new(std::iter::from_fn(move || {
            let some: Vec<&[u8]> = messages.by_ref().take(messages_max).collect();
            let body = || [br#"{"batch":["#.as_slice(), &some.join(&b','), b"]}"].concat();
            (!some.is_empty()).then(body)
        }))
    }

    fn answer(&self, told: &Told<'_>) -> Option<Reply> {
        Some(answer::answer(told))
    }
}
