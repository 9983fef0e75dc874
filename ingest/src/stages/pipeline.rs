//! From the bytes of a request to clean batches: the list of the stages, in their order.
//!
//! Invariants: synchronous and pure (the time and the consents are arguments); every received event has exactly one
//! outcome; what comes out has passed every stage, because each takes only what the one before it makes.
//! Not here: the log, which turns `accepted` into `duplicate` where it knows the event (`ingest.rs`).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use shoal_privacy::{consent::ConsentIndex, keyring::Keyring, scrub::Scrubber};
use shoal_schemas::{Protocol, Registry};

use crate::{
    answer::{BatchAnswer, Outcome, Refusal},
    grant::IngestGrant,
    stages::clean::CleanBatch,
    stages::country::{GeoDb, Locator},
    stages::inflate::{Limits, inflate},
    stages::layout::Layout,
    stages::permit::{Permission, permit},
    stages::pseudonymise::pseudonymise,
    stages::scrub::scrub,
    stages::validate::{Rules, Tally, validate},
    wire::{decode, surrogate},
};

/// A request, as the server took it from the wire. No `Debug`: it holds the body.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Which door it came through.
    pub protocol: Protocol,
    /// The header `content-type`. Not relied on: SDKs send JSON under any.
    pub content_type: Option<&'a str>,
    /// The header `content-encoding`. The first bytes of the body count more.
    pub content_encoding: Option<&'a str>,
    /// The body as it came.
    pub body: &'a [u8],
    /// Where it came from, behind trusted proxies. Used for the country, then forgotten.
    pub peer: Option<IpAddr>,
    /// When it came, ms since 1970.
    pub received_ms: i64,
}

/// Settings of the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PipelineConfig {
    /// What a request may be, at the most.
    pub limits: Limits,
    /// Days after which a subject gets another pseudonym.
    pub epoch_days: u32,
}

impl Default for PipelineConfig {
    fn default() -> PipelineConfig {
        PipelineConfig { limits: Limits::default(), epoch_days: 90 }
    }
}

/// Everything that the stages judge by.
pub(crate) struct Gate<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) keyring: &'a Keyring,
    pub(crate) scrubber: &'a Scrubber,
    pub(crate) consents: &'a dyn ConsentIndex,
    pub(crate) config: &'a PipelineConfig,
    pub(crate) geo: Option<&'a GeoDb>,
}

/// What came out: rows for the log, and an outcome for every event. Events in the batches are `Accepted` here.
pub(crate) struct Piped {
    pub(crate) batches: Vec<CleanBatch>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) dropped_properties: u64,
    pub(crate) skipped_items: u64,
    pub(crate) sentry_event_id: Option<String>,
}

impl Piped {
    /// The answer; after the log's duplicates have been noted with [`Piped::duplicate`].
    pub(crate) fn into_answer(self) -> BatchAnswer {
        BatchAnswer {
            dropped_properties: self.dropped_properties,
            skipped_items: self.skipped_items,
            sentry_event_id: self.sentry_event_id,
            ..BatchAnswer::new(self.outcomes)
        }
    }

    /// The log had the event at this slot already.
    pub(crate) fn duplicate(&mut self, slot: u32) {
        if let Some(outcome) = self.outcomes.get_mut(slot as usize) {
            *outcome = Outcome::Duplicate;
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
/// When the request as a whole cannot be read, or exceeds a limit.
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
    let body = if request.protocol == Protocol::Native { body } else { surrogate::mend(body) };
    mark(Stage::Inflate);
    let decoded = decode(request.protocol, &body, gate.registry, &gate.config.limits)?;
    mark(Stage::Decode);
    let (skipped_items, sentry_event_id) = decoded.aside();
    let layout = Layout::new(gate.registry);
    let rules = Rules {
        registry: gate.registry,
        locator: Locator { registry: gate.registry, grant, geo: gate.geo, peer: request.peer },
        layout: &layout,
        received_ms: request.received_ms,
        now_ms,
    };
    let permission =
        Permission { registry: gate.registry, keyring: gate.keyring, consents: gate.consents, grant };
    let valid = validate(decoded, &rules);
    mark(Stage::Validate);
    let permitted = permit(valid, &permission);
    mark(Stage::Permit);
    let pseudonymous = pseudonymise(permitted, gate.keyring, gate.config.epoch_days, &grant.app);
    mark(Stage::Pseudonymise);
    let scrubbed = scrub(pseudonymous, gate.scrubber, &layout, &grant.app);
    mark(Stage::Scrub);
    let Tally { outcomes, dropped_properties } = scrubbed.tally;
    debug_assert_eq!(
        scrubbed.batches.iter().map(|b| b.rows().len()).sum::<usize>(),
        outcomes.iter().filter(|o| **o == Outcome::Accepted).count(),
    );
    Ok(Piped { batches: scrubbed.batches, outcomes, dropped_properties, skipped_items, sentry_event_id })
}

#[cfg(test)]
mod tests;
