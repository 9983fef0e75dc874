//! The protocols. Each is one folder: `decode.rs` says how its bytes become events, `answer.rs` how what became of them
//! becomes its answer. What protocols share is beside the folders. First stage of the pipeline.
//!
//! Invariants: nothing is copied that can be borrowed; nothing is judged but the form: names, types and bounds are for
//! `stages/validate.rs`. A field that is not what the protocol says makes its event a rejected one, not the batch (native),
//! or is left out (vendors), but for what is no identifier in the place of one. Errors say line and column, never content.
//! Not here: decompression (`stages/inflate.rs`), which vendor name is which event (`shoal-schemas`, `defs/vendors/`).
//!
//! To add a protocol: its name in `shoal_schemas::Protocol`, a folder here whose type is a [`Wire`], and its line in
//! [`wire`].

pub(crate) mod batch;
pub(crate) mod claim;
pub(crate) mod json;
pub(crate) mod named;
pub(crate) mod native;
pub(crate) mod places;
pub(crate) mod preferences;
pub(crate) mod protocol;
mod repair;
mod said;
mod segment;
mod sentry;
pub(crate) mod spelled;
pub(crate) mod stream;
mod taken;
pub(crate) mod time;
mod vendor;
pub(crate) mod which;
pub(crate) mod whole;
pub(crate) mod words;

use std::cell::Cell;

use batch::{DecodedBatch, DecodedHead, Sink};
use json::{Bounds, Broken};
use protocol::{Bodies, Reply, Request, Told, Wire};
use shoal_schemas::{Protocol, Registry};

use crate::{
    config::Limits,
    refusal::{Refusal, RefusalCode},
};

/// The table of protocols.
fn wire(protocol: Protocol) -> &'static dyn Wire {
    match protocol {
        Protocol::Native => &native::Native,
        Protocol::Segment => &segment::Segment,
        Protocol::Sentry => &sentry::Sentry,
    }
}

/// The answer that a protocol's clients expect; `None` when that is a problem document.
pub fn answer(protocol: Protocol, told: &Told<'_>) -> Option<Reply> {
    wire(protocol).answer(told)
}

/// Bytes that [`decode`] could not read, as far as something can be made of them: one bad value then costs itself or its
/// event, and not all the others.
pub(crate) fn repaired(protocol: Protocol, bytes: &[u8], limits: &Limits) -> Option<Vec<u8>> {
    wire(protocol).repair(bytes, limits.inflated_bytes_max)
}

/// Bodies of the messages that are whole in one that could not be read or has too much, of so many messages at the most. What they allow
/// does not count, because nobody knows what is missing.
pub(crate) fn whole_messages(protocol: Protocol, bytes: &[u8], messages_max: usize) -> Bodies<'_> {
    wire(protocol).whole_messages(bytes, messages_max)
}

/// The ingest key that a Segment SDK without a header puts into its body, if it is there. No more than 64 KiB are
/// decompressed for it, because nobody knows yet whose they are.
pub fn segment_write_key(body: &[u8], content_encoding: Option<&str>) -> Option<String> {
    segment::write_key(body, content_encoding)
}

/// Reads the decompressed bytes of a request's body.
///
/// # Errors
/// When they are not what the protocol says, or a limit is exceeded.
pub(crate) fn decode<'a>(
    request: &Request<'a>,
    bytes: &'a [u8],
    registry: &'a Registry,
    limits: &Limits,
) -> Result<DecodedBatch<'a>, Refusal> {
    let wire = wire(request.protocol);
    let bounds = Bounds {
        depth_max: limits.depth_max,
        string_bytes_max: limits.string_bytes_max,
        strict: wire.is_strict(),
        broken: Cell::new(None),
        values_left: Cell::new(limits.values_max),
        held: Cell::new(0),
    };
    let head = DecodedHead { strict: wire.is_strict(), ..DecodedHead::default() };
    let mut sink =
        Sink { registry, bounds: &bounds, limits, head, events: Vec::new(), properties: Vec::new() };
    let read = wire.decode(request, bytes, &mut sink);
    if let Some(broken) = bounds.broken.get() {
        return Err(over_limit(broken, limits));
    }
    read?;
    Ok(sink.into_batch())
}

fn over_limit(broken: Broken, limits: &Limits) -> Refusal {
    let (code, reason) = match broken {
        Broken::Values => {
            (RefusalCode::TooManyValues, format!("more than {} values in a body", limits.values_max))
        }
        Broken::Events => {
            (RefusalCode::TooManyEvents, format!("more than {} events in a body", limits.events_max))
        }
    };
    Refusal::new(code, reason)
}

#[cfg(test)]
mod tests;
