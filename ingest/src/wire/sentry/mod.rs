//! The protocol of Sentry's SDKs.

mod answer;
mod client_report;
mod decode;
mod envelope;
mod exception;
mod person;

use crate::{
    refusal::Refusal,
    wire::{
        batch::Sink,
        protocol::{Reply, Request, Told, Wire},
    },
};

/// The protocol of Sentry's SDKs.
pub(super) struct Sentry;

impl Wire for Sentry {
    fn repair(&self, bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
        envelope::repaired(bytes, bytes_max)
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
