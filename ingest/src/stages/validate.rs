//! Decoded events against their definitions. Second stage of the pipeline.
//!
//! Invariants: every event of the batch has an outcome or is in the output, at its slot; a rejection names declared
//! fields only. Undeclared properties are dropped and counted, never kept; so is an invalid optional property of a vendor's
//! event. A native event with one is rejected. Of a property that is given twice the last counts that is not null. A placeholder is no
//! identifier.
//! Not here: the check of one value (`value.rs`), the place (`country.rs`), consent (`permit.rs`).

use std::{borrow::Cow, ops::Range};

use shoal_privacy::identifier::is_placeholder;
use shoal_schemas::{Class, EventDef, Kind, PropertyDef, Registry, calendar::DAY_MS, columns};

use crate::{
    answer::{Code, Outcome, Rejection},
    consents::{of_event, of_programme},
    near::{Among, Near},
    stages::{
        country::{Locator, Place},
        epoch::{BatchEpochs, Epoch, KnownEpochs},
        frames::{self, Frame},
        identifiers::Identifiers,
        row_layout::RowLayout,
        value::{self, Care, Checked},
    },
    wire::{
        batch::{Common, DecodedBatch, DecodedEvent, DecodedHead, Property},
        claim::Claim,
        json::Json,
        named::NO_IDENTIFIER,
        preferences::Decision,
        time::{self, Time},
    },
};

/// Events may be this much later than now, after the correction of the client's clock.
pub(crate) const FUTURE_MS: i64 = 10 * 60_000;
const KEYS_DESTROYED: &str = "the keys of its pseudonym epoch were destroyed";

/// What every stage hands on beside the events: outcomes by slot, and what was dropped.
pub(crate) struct Tally {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) dropped_properties: u64,
    /// Identifiers that name nobody, and were taken for none.
    pub(crate) placeholders: u64,
    /// What was probably meant by names that nothing has.
    pub(crate) near: Near,
}

/// A batch whose events are what their definitions say. No `Debug`.
pub(crate) struct ValidBatch<'a> {
    events: Vec<ValidEvent<'a>>,
    values: Vec<(u16, Checked<'a>)>,
    tally: Tally,
}

/// One valid event; still with raw identifiers.
pub(crate) struct ValidEvent<'a> {
    pub(crate) slot: u32,
    pub(crate) def: &'a EventDef,
    pub(crate) place: Place,
    pub(crate) time_ms: i64,
    pub(crate) epoch: Epoch,
    /// The time that the client says, without the correction of its clock; when it says none, that of the sending.
    pub(crate) claimed_ms: i64,
    /// The event's time by the client's clock, if it says one. When it was sent is another at each sending.
    pub(crate) client_ms: Option<i64>,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) ids: Identifiers<'a>,
    pub(crate) claim: Option<Claim<'a>>,
    /// Its range in the batch's values.
    pub(crate) values: Range<usize>,
    pub(crate) frames: Vec<Frame<'a>>,
}

impl<'a> ValidBatch<'a> {
    /// What the next stage takes.
    pub(crate) fn into_parts(self) -> (Vec<ValidEvent<'a>>, Vec<(u16, Checked<'a>)>, Tally) {
        (self.events, self.values, self.tally)
    }
}

/// What events are judged by.
pub(crate) struct Rules<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) locator: Locator<'a>,
    pub(crate) layout: &'a RowLayout,
    pub(crate) epochs: KnownEpochs<'a>,
    /// When the request came.
    pub(crate) received_ms: i64,
    pub(crate) now_ms: i64,
}

/// Judges every event of a batch.
pub(crate) fn validate<'a>(batch: DecodedBatch<'a>, rules: &Rules<'a>) -> ValidBatch<'a> {
    let (mut head, decoded, mut properties) = batch.into_parts();
    let outcomes = Vec::with_capacity(decoded.len());
    let tally = Tally { outcomes, dropped_properties: 0, placeholders: 0, near: Near::default() };
    let mut stage = Stage {
        rules,
        strict: head.strict,
        values: Vec::with_capacity(properties.len() + 4 * decoded.len()),
        dropped: head.dropped,
        placeholders: 0,
        near: std::mem::take(&mut head.near),
        frames: Vec::new(),
        epochs: BatchEpochs::default(),
        of_batch: of_programme(&head.defaults.preferences, rules.locator.grant.consent_category.as_deref()),
    };
    let mut out = ValidBatch { events: Vec::with_capacity(decoded.len()), values: Vec::new(), tally };
    for (slot, event) in decoded.into_iter().enumerate() {
        let start = stage.values.len();
        match stage.event(slot, event, &head, &mut properties) {
            Ok(event) => {
                out.events.push(event);
                out.tally.outcomes.push(Outcome::Accepted);
            }
            Err(outcome) => {
                stage.values.truncate(start);
                out.tally.outcomes.push(outcome);
            }
        }
    }
    out.values = stage.values;
    out.tally.dropped_properties = stage.dropped;
    out.tally.placeholders = stage.placeholders;
    out.tally.near = stage.near;
    out
}

struct Stage<'x, 'a> {
    rules: &'x Rules<'a>,
    strict: bool,
    values: Vec<(u16, Checked<'a>)>,
    dropped: u64,
    placeholders: u64,
    near: Near,
    frames: Vec<Frame<'a>>,
    epochs: BatchEpochs,
    /// What a consent manager says for all events.
    of_batch: Option<Decision>,
}

impl<'a> Stage<'_, 'a> {
    fn event(
        &mut self,
        slot: usize,
        event: DecodedEvent<'a>,
        head: &DecodedHead<'a>,
        properties: &mut [Property<'a>],
    ) -> Result<ValidEvent<'a>, Outcome> {
        if let Some(outcome) = event.decided {
            return Err(outcome);
        }
        let rules = self.rules;
        let name = event
            .name
            .ok_or_else(|| Rejection::field(Code::MissingEvent, "event", "the event has no name"))?;
        let Some(def) = rules.registry.event(&name) else {
            return Err(self.unknown(&name).into());
        };
        let grant = rules.locator.grant;
        if grant.programme.is_some_and(|p| p != def.programme) {
            let reason = "the key is for another programme than the event's";
            return Err(Rejection::event(Code::ProgrammeNotAllowed, reason).into());
        }
        let sent_at = event.sent_at.unwrap_or(head.sent_at);
        let time = event.time.unwrap_or(Time::Missing);
        let time_ms = self.time(time, sent_at, def)?;
        let (own, shared) = (event.common, &head.defaults);
        let country = own.country.as_deref().or(shared.country.as_deref());
        let address = own.address.as_deref().or(shared.address.as_deref());
        let place = rules.locator.locate(country, address)?;
        let epoch = self.epochs.of(rules.epochs, place.region, time_ms);
        let epoch = epoch.ok_or_else(|| Rejection::field(Code::TooOld, "time", KEYS_DESTROYED))?;
        let start = self.values.len();
        self.context(&own, shared, def.kind)?;
        if own.has_unreadable_identifier || !own.unreadable.is_empty() {
            return Err(Rejection::event(Code::BadIdentifier, NO_IDENTIFIER).into());
        }
        let mut ids = Identifiers::of(&own, shared);
        let properties = self.properties(def, &mut properties[event.properties], &mut ids);
        self.placeholders += ids.placeholders;
        properties?;
        if ids.is_behind_unreadable_of(shared, def.programme) {
            let reason = "an identifier of the batch is none, and the event has none of its own in its place";
            return Err(Rejection::event(Code::BadIdentifier, reason).into());
        }
        let decision = of_event(&own.preferences, self.of_batch, grant.consent_category.as_deref());
        let claim = claim(own, shared, decision, time.at().is_none().then_some(rules.received_ms))?;
        Ok(ValidEvent {
            slot: u32::try_from(slot).unwrap_or(u32::MAX),
            def,
            place,
            time_ms,
            epoch,
            claimed_ms: time.at().unwrap_or_else(|| time::sent_ms(sent_at, rules.received_ms)),
            client_ms: time.at(),
            id: event.id.filter(|id| !is_placeholder(id)),
            ids,
            claim,
            values: start..self.values.len(),
            frames: std::mem::take(&mut self.frames),
        })
    }

    /// Why an event whose name no definition has is rejected.
    fn unknown(&mut self, name: &str) -> Rejection {
        let Rules { registry, locator, .. } = self.rules;
        let may_be_sent = |event: &&EventDef| locator.grant.programme.is_none_or(|of| of == event.programme);
        let mut names = registry.events().iter().filter(may_be_sent).map(|event| event.name.as_str());
        let near = self.near.find(Among::Events, name, names.clone()).and_then(|at| names.nth(at));
        Rejection::field(Code::UnknownEvent, "event", "no definition has this name").meant(near)
    }

    /// The corrected time; the time of receipt when the event has none.
    fn time(&self, time: Time, sent_at: Time, def: &EventDef) -> Result<i64, Rejection> {
        let rules = self.rules;
        let at = match time {
            Time::Bad => {
                return Err(Rejection::field(
                    Code::BadTime,
                    "time",
                    "neither RFC 3339 nor a number of seconds, milliseconds, microseconds or nanoseconds since 1970",
                ));
            }
            Time::Missing => return Ok(rules.received_ms),
            Time::At(ms) => time::corrected_ms(ms, sent_at, rules.received_ms),
        };
        if at > rules.now_ms + FUTURE_MS {
            return Err(Rejection::field(
                Code::InFuture,
                "time",
                "more than ten minutes in the future; send sent_at, so that a clock that is wrong by up to a week can be corrected",
            ));
        }
        let kept_days = i64::from(rules.registry.retention_days(def.programme, def.kind));
        if at < 0 || rules.now_ms.div_euclid(DAY_MS) - at.div_euclid(DAY_MS) > kept_days {
            return Err(Rejection::field(Code::TooOld, "time", "older than events of this kind are kept"));
        }
        Ok(at)
    }

    /// The columns that every table has.
    fn context(&mut self, own: &Common<'a>, shared: &Common<'a>, kind: Kind) -> Result<(), Rejection> {
        let layout = self.rules.layout;
        let at = layout.kind(kind);
        if let Some(os) = own.os.as_ref().or(shared.os.as_ref()) {
            match layout.os(os) {
                Some(listed) => self.values.push((at.os, Checked::Text(Cow::Borrowed(listed), Care::Listed))),
                None if self.strict => {
                    return Err(Rejection::field(
                        Code::NotListed,
                        columns::OS,
                        "not one of the listed values",
                    ));
                }
                None => self.dropped += 1,
            }
        }
        let texts = [
            (at.app_version, columns::APP_VERSION, &own.app_version, &shared.app_version),
            (at.os_version, columns::OS_VERSION, &own.os_version, &shared.os_version),
            (at.device_model, columns::DEVICE_MODEL, &own.device_model, &shared.device_model),
        ];
        for (column, name, own, shared) in texts {
            if let Some(text) = own.as_ref().or(shared.as_ref()) {
                let text = value::template(name, text.clone());
                self.values.push((column, Checked::Text(text, Care::Dimension)));
            }
        }
        Ok(())
    }

    fn properties(
        &mut self,
        def: &'a EventDef,
        properties: &mut [Property<'a>],
        ids: &mut Identifiers<'a>,
    ) -> Result<(), Rejection> {
        // One bit a property: a definition has at most 64.
        let (mut seen, mut kept, mut meant) = (0u64, 0u64, 0u64);
        let first = self.values.len();
        for (name, value) in properties.iter_mut().rev() {
            let Ok(at) = def.properties.binary_search_by(|p| p.name.as_str().cmp(name)) else {
                self.dropped += 1;
                let declared = def.properties.iter().map(|property| property.name.as_str());
                let near = self.near.find(Among::Properties(def.index), name, declared);
                meant |= near.and_then(|at| 1u64.checked_shl(at as u32)).unwrap_or(0);
                continue;
            };
            let bit = 1u64.checked_shl(at as u32).unwrap_or(0);
            let value = std::mem::replace(value, Json::Null);
            if matches!(value, Json::Null) {
                continue;
            }
            if seen & bit != 0 {
                self.dropped += 1;
                continue;
            }
            seen |= bit;
            let property = &def.properties[at];
            match self.property(property, value, ids) {
                Ok(()) => kept |= bit,
                // Whoever is meant by an identifier that is none is not nobody.
                Err(rejection)
                    if self.strict || property.required || matches!(property.class, Class::Identifier(_)) =>
                {
                    return Err(rejection);
                }
                Err(_) => self.dropped += 1,
            }
        }
        // In the order of the event, in which earlier versions made ids of them.
        self.values[first..].reverse();
        let has = |bits: u64, at: usize| bits & 1u64.checked_shl(at as u32).unwrap_or(0) != 0;
        for (at, property) in def.properties.iter().enumerate() {
            if property.required && !has(kept, at) {
                let name = property.name.as_str();
                let meant = has(meant & !seen, at).then_some(name);
                return Err(
                    Rejection::property(Code::MissingProperty, name, "required and absent").meant(meant)
                );
            }
        }
        for (at, property) in def.properties.iter().enumerate() {
            if has(meant & !seen, at) {
                self.near.property(&def.name, &property.name);
            }
        }
        Ok(())
    }

    fn property(
        &mut self,
        def: &'a PropertyDef,
        value: Json<'a>,
        ids: &mut Identifiers<'a>,
    ) -> Result<(), Rejection> {
        match (&def.class, def.column) {
            (Class::Drop, _) => Ok(()),
            (Class::Identifier(kind), _) => ids.take(def, *kind, &value),
            (Class::Location, _) => {
                self.dropped += 1;
                Ok(())
            }
            (_, Some(column)) => {
                let checked = value::check(def, value, self.strict)?;
                self.values.push((column, checked));
                Ok(())
            }
            (_, None) => {
                let frames = frames::read(value);
                self.frames = frames.ok_or_else(|| {
                    Rejection::property(Code::WrongType, &def.name, "must be a list of frames")
                })?;
                Ok(())
            }
        }
    }
}

/// The consent that an event or its batch carries, and what a consent manager says. What refuses in the consent of the batch counts
/// for an event with a consent of its own, too; what is wrong with it does not. Without a time of its own the event is of
/// its receipt, and what was granted by a clock that is fast was not granted after it.
fn claim<'a>(
    own: Common<'a>,
    shared: &Common<'a>,
    decision: Option<Decision>,
    at_most_ms: Option<i64>,
) -> Result<Option<Claim<'a>>, Rejection> {
    let claim = match (own.consent, &shared.consent) {
        (Some(own), Some(of_batch)) => Some(own?.with_refusals_of(of_batch)),
        (Some(own), None) => Some(own?),
        (None, of_batch) => of_batch.clone().transpose()?,
    };
    let is_refusal = matches!(decision, Some(Decision::Denied | Decision::Unclear));
    let claim = match (claim, is_refusal) {
        (None, true) => Some(Claim::refusal()),
        (claim, _) => claim.map(|claim| Claim { is_refusal: claim.is_refusal || is_refusal, ..claim }),
    };
    Ok(claim.map(|claim| {
        let granted_at_ms = claim.granted_at_ms.map(|at| at.min(at_most_ms.unwrap_or(at)));
        Claim { granted_at_ms, ..claim }
    }))
}
