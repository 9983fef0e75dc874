//! May each event be kept? Third stage of the pipeline.
//!
//! Invariant: no event gets past this without a basis for its programme. A withdrawal, a restriction or an erasure under
//! any identifier that the event carries withholds it, whatever is recorded under the others: who shares a phone does not
//! consent for the others. So an app that records consent anew does it with the identifiers it withdrew.
//! Not here: the rules themselves (`shoal_privacy::consent`), what is recorded (`consents.rs`).

use shoal_privacy::{
    consent::{Basis, Carried, ConsentDigester, ConsentIndex, Withheld, decide},
    keyring::Keyring,
};
use shoal_schemas::{IdentifierKind, Region, Registry};

use crate::{
    answer::Outcome,
    grant::IngestGrant,
    stages::{
        validate::{Identifiers, Tally, ValidBatch, ValidEvent},
        value::Checked,
    },
};

/// A batch of events that may be kept. No `Debug`.
pub(crate) struct PermittedBatch<'a> {
    events: Vec<(ValidEvent<'a>, Basis)>,
    values: Vec<(u16, Checked<'a>)>,
    tally: Tally,
}

impl<'a> PermittedBatch<'a> {
    /// What the next stage takes.
    #[allow(clippy::type_complexity)]
    pub(crate) fn into_parts(self) -> (Vec<(ValidEvent<'a>, Basis)>, Vec<(u16, Checked<'a>)>, Tally) {
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

/// Takes out the events that may not be kept.
pub(crate) fn permit<'a>(batch: ValidBatch<'a>, permission: &Permission<'_>) -> PermittedBatch<'a> {
    let (events, values, mut tally) = batch.into_parts();
    let mut digesters: Vec<(Region, ConsentDigester)> = Vec::new();
    let mut kept = Vec::with_capacity(events.len());
    for event in events {
        let region = event.place.region;
        let at = digesters.iter().position(|(r, _)| *r == region).unwrap_or_else(|| {
            digesters.push((region, permission.keyring.consent_digester(region)));
            digesters.len() - 1
        });
        match permission.event(&event, &digesters[at].1) {
            Ok(basis) => kept.push((event, basis)),
            Err(withheld) => tally.outcomes[event.slot as usize] = Outcome::Withheld(withheld.code()),
        }
    }
    PermittedBatch { events: kept, values, tally }
}

impl Permission<'_> {
    fn event(&self, event: &ValidEvent<'_>, digester: &ConsentDigester) -> Result<Basis, Withheld> {
        let programme = event.def.programme;
        let carried = event.claim.as_ref().map(|claim| Carried {
            policy_version: &claim.policy_version,
            granted_at_ms: claim.granted_at_ms,
            age: claim.age,
        });
        let asserted = self.grant.asserted();
        let mut allowed = None;
        let mut reason = None;
        for (kind, value) in known(&event.ids).into_iter().flatten() {
            let digest = digester.digest(kind, value);
            let Some(record) = self.consents.lookup(event.place.region, programme, &digest) else { continue };
            match decide(self.registry, programme, carried, Some(&record), asserted) {
                Ok(basis) => allowed = allowed.or(Some(basis)),
                Err(why @ (Withheld::Erased | Withheld::Restricted | Withheld::Withdrawn)) => {
                    return Err(why);
                }
                Err(why) => reason = reason.or(Some(why)),
            }
        }
        match (allowed, reason) {
            (Some(basis), _) => Ok(basis),
            (None, Some(why)) => Err(why),
            (None, None) => decide(self.registry, programme, carried, None, asserted),
        }
    }
}

/// The identifiers under which consent may be recorded.
fn known<'i>(ids: &'i Identifiers<'_>) -> [Option<(IdentifierKind, &'i str)>; 4] {
    [
        ids.user.as_deref().map(|v| (IdentifierKind::User, v)),
        ids.install.as_deref().map(|v| (IdentifierKind::Install, v)),
        ids.device.as_deref().map(|v| (IdentifierKind::Device, v)),
        ids.serial.as_deref().map(|v| (IdentifierKind::Serial, v)),
    ]
}
