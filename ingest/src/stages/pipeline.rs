//! From the bytes of a request to clean batches: the list of the stages, in their order.
//!
//! Invariants: synchronous and pure (the time, the consents and the keys are arguments); every received event has exactly one
//! outcome; what comes out has passed every stage, because each takes only what the one before it makes.
//! Not here: the log, which turns `accepted` into `duplicate` where it knows the event, and into `withheld` where its
//! subject has as many as it may (`ingest.rs`).

use shoal_privacy::{consent::ConsentIndex, keyring::Keyring, scrub::Scrubber, unit_key::Network};
use shoal_schemas::Registry;

use crate::{
    answer::{BatchAnswer, Outcome},
    config::PipelineConfig,
    grant::{IngestGrant, KeyKind},
    refusal::Refusal,
    stages::{
        clean::CleanBatch,
        country::{GeoDb, Locator},
        event_id::EventIds,
        inflate::{inflate, without_mark},
        permit::{Permission, permit},
        pseudonymise::pseudonymise,
        row_layout::RowLayout,
        scrub::scrub,
        validate::{Rules, Tally, validate},
    },
    unit_keys::open::{OpenKeys, Units},
    wire::{self, batch::Aside, protocol::Request},
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
    pub(crate) aside: Aside,
}

impl Piped {
    /// The answer to a key of this kind; after what the log has decided was noted with [`Piped::decide`].
    pub(crate) fn into_answer(self, kind: KeyKind) -> BatchAnswer {
        BatchAnswer {
            dropped_properties: self.dropped_properties,
            skipped_items: self.aside.skipped_items,
            request_id: self.aside.request_id,
            client_losses: self.aside.client_losses,
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
    let body = inflate(request.body, request.content_encoding, &gate.config.limits)?;
    let body = without_mark(&body);
    mark(Stage::Inflate);
    let repaired;
    let mut decoded = wire::decode(request, body, gate.registry, &gate.config.limits);
    let is_damaged = match &decoded {
        Ok(batch) => batch.is_damaged(),
        Err(refusal) => refusal.code.is_of_form(),
    };
    // Only what could not be read is repaired, so that what is valid costs nothing more.
    if is_damaged && let Some(bytes) = wire::repaired(request.protocol, body, &gate.config.limits) {
        repaired = bytes;
        decoded = wire::decode(request, &repaired, gate.registry, &gate.config.limits);
    }
    let mut decoded = decoded?;
    mark(Stage::Decode);
    let aside = decoded.aside();
    // A server key's requests come from a server, which is not where the person is.
    let peer = request.peer.filter(|_| grant.kind == KeyKind::Shipped);
    let rules = Rules {
        registry: gate.registry,
        locator: Locator { registry: gate.registry, grant, geo: gate.geo, peer },
        layout: gate.layout,
        received_ms: request.received_ms,
        now_ms,
    };
    let permission =
        Permission { registry: gate.registry, keyring: gate.keyring, consents: gate.consents, grant };
    let valid = validate(decoded, &rules);
    mark(Stage::Validate);
    let permitted = permit(valid, &permission)?;
    mark(Stage::Permit);
    // Where the request came from, and not an address that an event states: an app can state any.
    let network = peer.map(Network::of);
    let units = Units { keys: gate.unit_keys, keyring: gate.keyring, network, app: &grant.app };
    let event_ids = EventIds::new(&grant.app, request.received_ms);
    let pseudonymous = pseudonymise(permitted, gate.config.epoch_days, &units, event_ids);
    mark(Stage::Pseudonymise);
    let scrubbed = scrub(pseudonymous, gate.scrubber, gate.layout, grant);
    mark(Stage::Scrub);
    let Tally { outcomes, dropped_properties } = scrubbed.tally;
    debug_assert_eq!(
        scrubbed.batches.iter().map(|b| b.rows().len()).sum::<usize>(),
        outcomes.iter().filter(|o| **o == Outcome::Accepted).count(),
    );
    Ok(Piped { batches: scrubbed.batches, outcomes, dropped_properties, aside })
}

#[cfg(test)]
mod tests;
