//! The protocol of Segment's SDKs, which RudderStack's speak too.

mod answer;
mod decode;
mod key;

pub(super) use key::write_key;

use crate::{
    config::Limits,
    refusal::Refusal,
    wire::{
        batch::Sink,
        json,
        protocol::{Reply, Request, Told, Wire},
        repair,
        whole::{Within, objects},
    },
};

/// The protocol of Segment's SDKs.
pub(super) struct Segment;

impl Wire for Segment {
    fn repair(&self, bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
        repair::json(bytes, bytes_max)
    }

    fn decode<'a>(
        &self,
        request: &Request<'a>,
        bytes: &'a [u8],
        sink: &mut Sink<'_, 'a>,
    ) -> Result<(), Refusal> {
        decode::read(json::text(bytes)?, request.message_type, sink)
    }

    fn whole_messages(&self, bytes: &[u8], limits: &Limits) -> Option<Vec<u8>> {
        let messages = objects(bytes, Within::Batch);
        let messages = &messages[..messages.len().min(limits.events_max)];
        let body = [br#"{"batch":["#.as_slice(), &messages.join(&b','), b"]}"].concat();
        (!messages.is_empty()).then_some(body)
    }

    fn answer(&self, told: &Told<'_>) -> Option<Reply> {
        Some(answer::answer(told))
    }
}
