//! Identifiers become digests. Fourth stage of the pipeline.
//!
//! Invariant: nothing in the output holds a raw identifier, event id or session id; a value that quotes one of the event's
//! own identifiers, or one that it or its batch states beside them, in any form loses it here: a dimension is dropped and counted, free text has it replaced. The subject is the first identifier
//! present: user, install, device for the user-experience programme; serial, device, install, user for the other. Where
//! the key asserts consent for all, an event may name nobody (`permit.rs` lets no other one through): its subject is then
//! the unit of its sender's network, app and day. A session or an event is never a subject, since one person has many of
//! them. A hidden event is treated like any other. Identifiers are in their canonical form from the first pseudonym epoch on
//! that begins after the service knows of one, so that no subject changes its pseudonym within an epoch.
//! Not here: keys, hashes and the forms of identifiers (`shoal-privacy`), what an event id is a digest of (`event_id.rs`), the units
//! (`unit_keys`); free text, which is the scrub stage's.

use std::borrow::Cow;

use shoal_privacy::{
    consent::Basis,
    identifier::Forms,
    keyring::Keyring,
    own_identifiers::OwnIdentifiers,
    pseudonym::{Digester, PseudonymEpoch, Pseudonymiser},
    work::Work,
};
use shoal_schemas::{EventDef, Programme, Region, calendar::day_of};

use crate::{
    config::Epochs,
    stages::{
        country::Place,
        event_id::{Content, EventIds},
        frames::Frame,
        identifiers::Identifiers,
        permit::{PermittedBatch, Verdict},
        row::RowHead,
        validate::{Tally, ValidEvent},
        value::{Care, Checked, DROPPED},
    },
    unit_keys::open::Units,
};

/// A batch without raw identifiers. No `Debug`.
pub(crate) struct PseudonymousBatch<'a> {
    events: Vec<PseudonymousEvent<'a>>,
    values: Vec<(u16, Checked<'a>)>,
    tally: Tally,
}

/// One event without raw identifiers.
pub(crate) struct PseudonymousEvent<'a> {
    pub(crate) slot: u32,
    /// Whether it is withheld, so that nothing of it may be kept.
    pub(crate) is_hidden: bool,
    pub(crate) def: &'a EventDef,
    pub(crate) place: Place,
    pub(crate) head: RowHead,
    /// What else the event may be known under.
    pub(crate) other_ids: Vec<u64>,
    pub(crate) values: std::ops::Range<usize>,
    pub(crate) frames: Vec<Frame<'a>>,
}

impl<'a> PseudonymousBatch<'a> {
    /// What the next stage takes.
    #[allow(clippy::type_complexity)]
    pub(crate) fn into_parts(self) -> (Vec<PseudonymousEvent<'a>>, Vec<(u16, Checked<'a>)>, Tally) {
        (self.events, self.values, self.tally)
    }
}

/// The keys of one region, programme and pseudonym epoch.
struct Keys {
    region: Region,
    programme: Programme,
    epoch: PseudonymEpoch,
    /// Whether subjects are known under the canonical forms of their identifiers.
    is_canonical: bool,
    subjects: Pseudonymiser,
    sessions: Digester,
    events: Digester,
}

/// Makes digests of the identifiers, and takes them out of the texts within this much work.
pub(crate) fn pseudonymise<'a>(
    batch: PermittedBatch<'a>,
    epochs: Epochs,
    units: &Units<'_>,
    mut event_ids: EventIds<'_>,
    work: &mut Work,
) -> PseudonymousBatch<'a> {
    let (permitted, mut values, mut tally) = batch.into_parts();
    let mut keys: Vec<Keys> = Vec::new();
    let mut identifiers = OwnIdentifiers::default();
    let mut events = Vec::with_capacity(permitted.len());
    for (mut event, verdict) in permitted {
        let epoch = event.epoch.number;
        let is_canonical = epochs.is_canonical(epoch);
        let keys = keys_of(&mut keys, units.keyring, &event, is_canonical);
        let content = Content { event: &event, values: &values[event.values.clone()] };
        let event_id = event_ids.of(&keys.events, content);
        let subject = subject(keys, &event, units);
        let (is_hidden, consent) = match verdict {
            Verdict::Keep(basis) => (false, basis),
            // Its row is made and thrown away, so any basis will do.
            Verdict::Hide => (true, Basis::Carried),
        };
        let own = &mut values[event.values.clone()];
        tally.dropped_properties += redact(&mut identifiers, &event.ids, own, &mut event.frames, work);
        let head = RowHead {
            event: event.def.index,
            kind: event.def.kind,
            programme: event.def.programme,
            time_ms: event.time_ms,
            event_id: event_id.digest,
            subject,
            session: event.ids.session.as_deref().map(|s| keys.sessions.digest(s.trim())),
            consent,
            epoch: epoch.0,
        };
        events.push(PseudonymousEvent {
            slot: event.slot,
            is_hidden,
            def: event.def,
            place: event.place,
            head,
            other_ids: event_id.others,
            values: event.values,
            frames: event.frames,
        });
    }
    PseudonymousBatch { events, values, tally }
}

/// The keys for an event; made once a batch.
fn keys_of<'k>(
    keys: &'k mut Vec<Keys>,
    keyring: &Keyring,
    event: &ValidEvent<'_>,
    is_canonical: bool,
) -> &'k Keys {
    let (region, programme, epoch) = (event.place.region, event.def.programme, event.epoch.number);
    let same = |k: &Keys| k.region == region && k.programme == programme && k.epoch == epoch;
    let at = keys.iter().position(same).unwrap_or_else(|| {
        keys.push(Keys {
            region,
            programme,
            epoch,
            is_canonical,
            subjects: event.epoch.keys.pseudonymiser(programme),
            sessions: event.epoch.keys.session_digester(programme),
            events: keyring.event_digester(region),
        });
        keys.len() - 1
    });
    &keys[at]
}

fn subject(keys: &Keys, event: &ValidEvent<'_>, units: &Units<'_>) -> [u8; 16] {
    let subject = match event.ids.subject(event.def.programme) {
        Some((kind, value)) => {
            let forms = Forms::of(kind, value);
            let form = if keys.is_canonical { forms.canonical() } else { forms.spelled() };
            keys.subjects.pseudonym(kind, form)
        }
        None => units.unit(event.place.region, day_of(event.time_ms)),
    };
    subject.into_bytes()
}

/// Takes the event's own identifiers out of its values, in whatever form they are there; returns how many were dropped.
fn redact(
    own: &mut OwnIdentifiers,
    ids: &Identifiers<'_>,
    values: &mut [(u16, Checked<'_>)],
    frames: &mut [Frame<'_>],
    work: &mut Work,
) -> u64 {
    let mut dropped = 0;
    // What may be a model, or a number of anything, is no word to look for.
    let also = ids.also.iter().filter(|also| also.is_sure).map(|also| &*also.value);
    own.prepare(ids.stated().chain(also), work);
    for (column, value) in values.iter_mut() {
        match value {
            Checked::Text(text, Care::Dimension) if *column != DROPPED && own.are_in(text, work) => {
                *column = DROPPED;
                dropped += 1;
            }
            Checked::Text(text, Care::Text) => replace(text, own, work),
            _ => {}
        }
    }
    frames.iter_mut().flat_map(Frame::texts).for_each(|text| replace(text, own, work));
    dropped
}

fn replace(text: &mut Cow<'_, str>, own: &mut OwnIdentifiers, work: &mut Work) {
    if let Some(redacted) = own.redact(text, work) {
        *text = Cow::Owned(redacted);
    }
}
