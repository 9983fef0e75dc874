//! The protocol of Segment's SDKs, which RudderStack's speak too.

mod answer;
mod decode;

use std::borrow::Cow;

use crate::{
    refusal::Refusal,
    wire::{
        batch::Sink,
        json,
        protocol::{Reply, Request, Told, Wire},
        surrogate,
    },
};

/// The protocol of Segment's SDKs.
pub(super) struct Segment;

impl Wire for Segment {
    fn repair<'b>(&self, bytes: Cow<'b, [u8]>) -> Cow<'b, [u8]> {
        surrogate::repair(bytes)
    }

    fn decode<'a>(
        &self,
        _request: &Request<'a>,
        bytes: &'a [u8],
        sink: &mut Sink<'_, 'a>,
    ) -> Result<(), Refusal> {
        decode::read(json::text(bytes)?, sink)
    }

    fn answer(&self, told: &Told<'_>) -> Option<Reply> {
        Some(answer::answer(told))
    }
}
