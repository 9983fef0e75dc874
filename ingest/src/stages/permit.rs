//! May each event be kept? Third stage of the pipeline.
//!
//! Invariants: no event gets past this without a basis for its programme, but for those that are hidden. A withdrawal, a
//! restriction or an erasure under any identifier that the event carries withholds it, whatever is recorded under the
//! others: who shares a phone does not consent for the others. So an app that records consent anew does it with the
//! identifiers it withdrew. An identifier is looked up in both of its forms, for good. Whether an event is rejected here does not depend on what is recorded.
//!
//! What a shipped key sends and is withheld is *hidden*: it goes through the remaining stages like any other, because the
//! time that they take must not tell what is recorded, and nothing but a number of bytes is left of it (`clean.rs`). For
//! the same reason every identifier is looked up, whatever was found under the one before it.
//! Not here: the rules themselves (`shoal_privacy::consent`), what is recorded (`consents/`).

use std::iter;

use rustc_hash::FxHashMap;
use shoal_privacy::{
    consent::{
        Basis, Carried, Claims, ConsentDigest, ConsentDigester, ConsentIndex, ConsentRecord, Moment,
        UnreadableConsents, Withheld, decide,
    },
    keyring::Keyring,
};
use shoal_schemas::{Programme, Region, Registry};

use crate::{
    answer::{Code, Outcome, Rejection},
    grant::{IngestGrant, KeyKind},
    refusal::{Refusal, RefusalCode},
    stages::{
        validate::{Tally, ValidBatch, ValidEvent},
        value::Checked,
    },
};

/// What is to become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is kept, on this basis.
    Keep(Basis),
    /// It is withheld, and takes as long as if it were kept.
    Hide,
}

/// A batch of events that may be kept or are hidden. No `Debug`.
pub(crate) struct PermittedBatch<'a> {
    events: Vec<(ValidEvent<'a>, Verdict)>,
    values: Vec<(u16, Checked<'a>)>,
    tally: Tally,
}

impl<'a> PermittedBatch<'a> {
    /// What the next stage takes.
    #[allow(clippy::type_complexity)]
    pub(crate) fn into_parts(self) -> (Vec<(ValidEvent<'a>, Verdict)>, Vec<(u16, Checked<'a>)>, Tally) {
        (self.events, self.values, self.tally)
    }
}

/// What decides.
pub(crate) struct Permission<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) keyring: &'a Keyring,
    pub(crate) consents: &'a dyn ConsentIndex,
    pub(crate) grant: &'a IngestGrant,
}

/// Takes out the events that may not be kept, or hides them.
///
/// # Errors
/// When the recorded consents cannot be read: the request may be sent again.
pub(crate) fn permit<'a>(
    batch: ValidBatch<'a>,
    permission: &Permission<'_>,
) -> Result<PermittedBatch<'a>, Refusal> {
    let (events, values, mut tally) = batch.into_parts();
    let mut looked_up = LookedUp { permission, digesters: Vec::new(), records: FxHashMap::default() };
    let mut kept = Vec::with_capacity(events.len());
    for event in events {
        let outcome = &mut tally.outcomes[event.slot as usize];
        if event.ids.subject(event.def.programme).is_none() && !permission.stands_alone(&event) {
            let reason = "none of user_id, install_id, device_id, serial_number";
            *outcome = Rejection::event(Code::NoIdentifier, reason).into();
            continue;
        }
        let records = looked_up.records_of(&event).map_err(|_| unavailable())?;
        match permission.event(&event, &records) {
            Ok(basis) => kept.push((event, Verdict::Keep(basis))),
            Err(withheld) => {
                *outcome = Outcome::Withheld(withheld.code());
                if permission.grant.kind == KeyKind::Shipped {
                    kept.push((event, Verdict::Hide));
                }
            }
        }
    }
    Ok(PermittedBatch { events: kept, values, tally })
}

fn unavailable() -> Refusal {
    let reason = "the recorded consents cannot be read; send it again";
    Refusal { retry_after_s: Some(5), ..Refusal::new(RefusalCode::Unavailable, reason) }
}

/// What is recorded about the subjects of a batch. Each digest is looked up once, so that naming one person in many
/// events does not make a difference larger.
struct LookedUp<'x, 'a> {
    permission: &'x Permission<'a>,
    digesters: Vec<(Region, ConsentDigester)>,
    records: FxHashMap<(Region, Programme, ConsentDigest), Option<ConsentRecord>>,
}

/// What is recorded about the identifiers of an event.
struct Records {
    /// Of four identifiers, in two forms.
    named: [Option<ConsentRecord>; 8],
    /// Of the further names of the same person, which few events have.
    others: Vec<ConsentRecord>,
    /// Of those that stand in other places, what forbids: nobody agrees there for whoever the event is of.
    forbidding: Vec<ConsentRecord>,
}

impl LookedUp<'_, '_> {
    /// The records of all identifiers of an event.
    fn records_of(&mut self, event: &ValidEvent<'_>) -> Result<Records, UnreadableConsents> {
        let (region, programme) = (event.place.region, event.def.programme);
        let at = self.digesters.iter().position(|(r, _)| *r == region).unwrap_or_else(|| {
            self.digesters.push((region, self.permission.keyring.consent_digester(region)));
            self.digesters.len() - 1
        });
        let mut named_records = [const { None }; 8];
        for (found, named) in named_records.chunks_exact_mut(2).zip(event.ids.named()) {
            let (kind, Some(value)) = named else { continue };
            let digests = self.digesters[at].1.digests(kind, value);
            found[0] = self.record((region, programme, digests.canonical))?;
            if let Some(spelled) = digests.spelled {
                found[1] = self.record((region, programme, spelled))?;
            }
        }
        let mut others = Vec::new();
        for (kind, value) in event.ids.also_named() {
            let digests = self.digesters[at].1.digests(kind, value);
            for digest in iter::once(digests.canonical).chain(digests.spelled) {
                others.extend(self.record((region, programme, digest))?);
            }
        }
        let moment = moment(event);
        let mut forbidding = Vec::new();
        for also in &event.ids.also {
            let digests = self.digesters[at].1.digests(also.kind, &also.value);
            for digest in iter::once(digests.canonical).chain(digests.spelled) {
                let record = self.record((region, programme, digest))?;
                forbidding.extend(record.filter(|record| record.forbids(moment)));
            }
        }
        Ok(Records { named: named_records, others, forbidding })
    }

    fn record(
        &mut self,
        key: (Region, Programme, ConsentDigest),
    ) -> Result<Option<ConsentRecord>, UnreadableConsents> {
        if let Some(record) = self.records.get(&key) {
            return Ok(record.clone());
        }
        let record = self.permission.consents.lookup(key.0, key.1, &key.2)?;
        self.records.insert(key, record.clone());
        Ok(record)
    }
}

impl Permission<'_> {
    /// Whether the event may name nobody: the key asserts consent for everybody, and the event says nothing else.
    fn stands_alone(&self, event: &ValidEvent<'_>) -> bool {
        let programme = event.def.programme;
        let is_carried = event.claim.as_ref().is_some_and(|claim| !claim.policy_version.is_empty());
        let asserts = self.grant.asserted().is_some_and(|asserted| asserted.programme == programme);
        asserts && programme == Programme::UserExperience && !is_carried
    }

    fn event(&self, event: &ValidEvent<'_>, records: &Records) -> Result<Basis, Withheld> {
        let carried = event.claim.as_ref().map(|claim| Carried {
            policy_version: &claim.policy_version,
            granted_at_ms: claim.granted_at_ms,
            age: claim.age,
            is_refusal: claim.is_refusal,
        });
        let claims = Claims { moment: moment(event), carried, asserted: self.grant.asserted() };
        let records = records.named.iter().flatten().chain(&records.others).chain(&records.forbidding);
        decide(self.registry.programme(event.def.programme), &claims, records)
    }
}

fn moment(event: &ValidEvent<'_>) -> Moment {
    Moment { claimed_ms: event.claimed_ms, corrected_ms: event.time_ms }
}
