//! The protocol of Sentry's SDKs.

mod answer;
mod decode;
mod envelope;

use std::borrow::Cow;

use crate::{
    refusal::Refusal,
    wire::{
        batch::Sink,
        protocol::{Reply, Request, Told, Wire},
        surrogate,
    },
};

/// The protocol of Sentry's SDKs.
pub(super) struct Sentry;

impl Wire for Sentry {
    /// The payloads that are read are JSON. Those that are binary may be changed by this; none is read, and their lengths
    /// stay.
    fn repair<'b>(&self, bytes: Cow<'b, [u8]>) -> Cow<'b, [u8]> {
        surrogate::repair(bytes)
    }

    fn decode<'a>(
        &self,
        _request: &Request<'a>,
        bytes: &'a [u8],
        sink: &mut Sink<'_, 'a>,
    ) -> Result<(), Refusal> {
        decode::read(bytes, sink)
    }

    fn answer(&self, told: &Told<'_>) -> Option<Reply> {
        Some(answer::answer(told))
    }
}
