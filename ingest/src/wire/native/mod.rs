//! Shoal's own protocol. It is strict: whoever sends it reads the answer.

mod answer;
mod decode;
pub(crate) mod fields;
mod members;
mod unknown;

use crate::{
    refusal::Refusal,
    wire::{
        batch::Sink,
        json,
        protocol::{Reply, Request, Told, Wire},
        repair,
    },
};

/// Shoal's own protocol.
pub(super) struct Native;

impl Wire for Native {
    fn is_strict(&self) -> bool {
        true
    }

    fn repair(&self, bytes: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
        repair::lines(bytes, bytes_max)
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
        answer::answer(told)
    }
}
