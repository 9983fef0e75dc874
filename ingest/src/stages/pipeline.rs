//! From the bytes of a request to clean batches: the list of the stages, in their order.
//!
//! Invariants: synchronous and pure (the time, the consents and the keys are arguments); every received event has exactly one
//! outcome; what comes out has passed every stage, because each takes only what the one before it makes.
//! Not here: the log, which turns `accepted` into `duplicate` where it knows the event, and into `withheld` where its
//! subject has as many as it may (`ingest.rs`).

use std::{borrow::Cow, cell::OnceCell};

use shoal_privacy::{
    consent::ConsentIndex, keyring::Keyring, scrub::Scrubber, unit_key::Network, work::Work,
};
use shoal_schemas::Registry;

use crate::{
    answer::{BatchAnswer, Outcome},
    config::{Limits, PipelineConfig},
    declared::Declared,
    grant::{IngestGrant, KeyKind},
    near::Near,
    refusal::Refusal,
    stages::{
        clean::CleanBatch,
        country::{GeoDb, Locator},
        epoch::KnownEpochs,
        event_id::EventIds,
        inflate::inflate,
        permit::{Permission, permit},
        pseudonymise::pseudonymise,
        row_layout::RowLayout,
        scrub::{Scrubbed, scrub},
        validate::{Rules, Tally, validate},
    },
    unit_keys::open::{OpenKeys, Units},
    wire::{
        self,
        batch::{Aside, DecodedBatch},
        protocol::Request,
    },
};

/// Everything that the stages judge by.
pub(crate) struct Gate<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) layout: &'a RowLayout,
    pub(crate) keyring: &'a Keyring,
    pub(crate) scrubber: &'a Scrubber,
    pub(crate) consents: &'a dyn ConsentIndex,
    pub(crate) config: &'a PipelineConfig,
    pub(crate) geo: Option<&'a GeoDb>,
    pub(crate) unit_keys: &'a OpenKeys,
}

/// What came out: rows for the log, and an outcome for every event. Events in the batches are `Accepted` here.
pub(crate) struct Piped {
    pub(crate) batches: Vec<CleanBatch>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) dropped_properties: u64,
    pub(crate) placeholder_identifiers: u64,
    pub(crate) near: Near,
    pub(crate) aside: Aside,
    /// The declared names of the events.
    pub(crate) declared: Declared,
    /// What scrubbing has left of its work, and the texts that were withheld for want of it.
    pub(crate) work: Work,
}

impl Piped {
    /// The answer to a key of this kind; after what the log has decided was noted with [`Piped::decide`].
    pub(crate) fn into_answer(self, kind: KeyKind) -> BatchAnswer {
        BatchAnswer {
            dropped_properties: self.dropped_properties,
            skipped_items: self.aside.skipped_items,
            batch_faults: self.aside.batch_faults,
            did_you_mean: self.near.into_found(),
            placeholder_identifiers: self.placeholder_identifiers,
            request_id: self.aside.request_id,
            client_losses: self.aside.client_losses,
            declared: self.declared,
            ..BatchAnswer::new(kind, self.outcomes)
        }
    }

    /// The log has decided otherwise about the event at this slot.
    pub(crate) fn decide(&mut self, slot: u32, decided: Outcome) {
        if let Some(outcome) = self.outcomes.get_mut(slot as usize) {
            *outcome = decided;
        }
    }
}

/// A stage that has ended, for whoever measures them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Bytes as sent to bytes as meant.
    Inflate,
    /// Bytes to events.
    Decode,
    /// Against the registry; clock and region.
    Validate,
    /// Against the consents.
    Permit,
    /// Identifiers to pseudonyms.
    Pseudonymise,
    /// Free text, and the encoding of rows.
    Scrub,
}

/// Runs all stages, the cheapest refusal first.
///
/// # Errors
/// When the request as a whole cannot be read, or exceeds a limit, or the recorded consents cannot be read.
pub(crate) fn run<'a>(
    request: &Request<'a>,
    grant: &'a IngestGrant,
    gate: &Gate<'a>,
    now_ms: i64,
) -> Result<Piped, Refusal> {
    run_marked(request, grant, gate, now_ms, |_| ())
}

/// [`run`], and tells `mark` when each stage has ended.
pub(crate) fn run_marked<'a>(
    request: &Request<'a>,
    grant: &'a IngestGrant,
    gate: &Gate<'a>,
    now_ms: i64,
    mut mark: impl FnMut(Stage),
) -> Result<Piped, Refusal> {
    let (body, repaired) = (open(request, gate.config)?, OnceCell::new());
    mark(Stage::Inflate);
    let decoded = decode(request, &body, &repaired, gate.registry, &gate.config.limits)?;
    mark(Stage::Decode);
    judge(decoded, &Sent { request, grant, now_ms }, gate, mark)
}

/// A request, who sent it, and what time it is.
pub(crate) struct Sent<'r, 'a> {
    pub(crate) request: &'r Request<'a>,
    pub(crate) grant: &'a IngestGrant,
    pub(crate) now_ms: i64,
}

/// The bytes of a body as they were before compression.
///
/// # Errors
/// When they cannot be decompressed within the limits.
pub(crate) fn open<'a>(request: &Request<'a>, config: &PipelineConfig) -> Result<Cow<'a, [u8]>, Refusal> {
    inflate(request.body, request.content_encoding, &config.limits)
}

/// Reads a body. Only one that cannot be read as it is is repaired, into `repaired`, and read again, so that what is valid costs
/// nothing more.
///
/// # Errors
/// When the body as a whole is not what the protocol says, or exceeds a limit.
pub(crate) fn decode<'a>(
    request: &Request<'a>,
    body: &'a [u8],
    repaired: &'a OnceCell<Vec<u8>>,
    registry: &'a Registry,
    limits: &Limits,
) -> Result<DecodedBatch<'a>, Refusal> {
    let decoded = wire::decode(request, body, registry, limits);
    let is_damaged = match &decoded {
        Ok(batch) => batch.is_damaged(),
        Err(refusal) => refusal.code.is_of_form(),
    };
    if !is_damaged {
        return decoded;
    }
    match wire::repaired(request.protocol, body, limits) {
        Some(bytes) => wire::decode(request, repaired.get_or_init(|| bytes), registry, limits),
        None => decoded,
    }
}

/// Runs the stages after the decoding, and tells `mark` when each has ended.
///
/// # Errors
/// When the recorded consents cannot be read.
pub(crate) fn judge<'a>(
    mut decoded: DecodedBatch<'a>,
    sent: &Sent<'_, 'a>,
    gate: &Gate<'a>,
    mut mark: impl FnMut(Stage),
) -> Result<Piped, Refusal> {
    let Sent { request, grant, now_ms } = *sent;
    let (aside, declared) = (decoded.aside(), declared(&decoded, gate.registry));
    let locator = gate.locator(request, grant);
    // Where the request came from, and not an address that an event states: an app can state any.
    let network = locator.peer.map(Network::of);
    let rules = Rules {
        registry: gate.registry,
        locator,
        layout: gate.layout,
        epochs: KnownEpochs { keyring: gate.keyring, keys: gate.unit_keys, days: gate.config.epochs.days },
        received_ms: request.received_ms,
        now_ms,
    };
    let permission =
        Permission { registry: gate.registry, keyring: gate.keyring, consents: gate.consents, grant };
    let valid = validate(decoded, &rules);
    mark(Stage::Validate);
    let permitted = permit(valid, &permission)?;
    mark(Stage::Permit);
    let units = Units { keys: gate.unit_keys, keyring: gate.keyring, network, app: &grant.app };
    let event_ids = EventIds::new(&grant.app, request.received_ms, gate.layout.names());
    let mut work = Work::of(gate.config.limits.scrub_steps_max);
    let pseudonymous = pseudonymise(permitted, gate.config.epochs, &units, event_ids, &mut work);
    mark(Stage::Pseudonymise);
    let scrubbed = scrub(pseudonymous, gate.scrubber, gate.layout, grant, work);
    mark(Stage::Scrub);
    let Tally { outcomes, dropped_properties, placeholders: placeholder_identifiers, near } = scrubbed.tally;
    debug_assert_eq!(
        scrubbed.batches.iter().map(|b| b.rows().len()).sum::<usize>(),
        outcomes.iter().filter(|o| **o == Outcome::Accepted).count(),
    );
    let Scrubbed { batches, work, .. } = scrubbed;
    Ok(Piped { batches, outcomes, dropped_properties, placeholder_identifiers, near, aside, declared, work })
}

/// The declared names of a batch's events.
fn declared(batch: &DecodedBatch<'_>, registry: &Registry) -> Declared {
    let (_, events) = batch.parts();
    let is_declared = |name: &str| registry.event(name).is_some();
    Declared::of(events.iter().map(|event| event.name.as_deref()), is_declared)
}

impl<'a> Gate<'a> {
    /// What decides about the place of what is in a request. A server key's requests come from a server, which is not where the
    /// person is.
    pub(crate) fn locator(&self, request: &Request<'_>, grant: &'a IngestGrant) -> Locator<'a> {
        let peer = request.peer.filter(|_| grant.kind == KeyKind::Shipped);
        Locator { registry: self.registry, grant, geo: self.geo, peer }
    }
}

#[cfg(test)]
mod tests;
