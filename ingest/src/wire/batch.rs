//! A body that is decoded: its events, with fields borrowed from it, and where decoders put what they find.
//!
//! Invariant: what a batch says about all of its events is kept once, beside them.
//! Not here: how a protocol's bytes are read (`<protocol>/decode.rs`), what an event may hold (`stages/validate.rs`).

use std::{borrow::Cow, ops::Range};

use shoal_schemas::{IdentifierKind, Registry};

use crate::{
    answer::{ClientLoss, Code, Outcome, Rejection},
    config::Limits,
    near::Near,
    wire::{
        claim::{ReadClaim, is_misspelled},
        json::{Bounds, Broken, Json, is_damaged},
        named::{Also, OtherNamed, Said, said},
        places::{self, Kinds},
        preferences::Preferences,
        time::Time,
    },
};

/// Identifiers that are noted beside those that count, at the most: each event of a batch has those of the batch, too.
const OTHERS_MAX: usize = 16;
/// Longest value of a field of the context, in bytes.
const CONTEXT_BYTES_MAX: usize = 64;
/// Frames that are kept of one stack: the innermost ones.
pub(crate) const FRAMES_MAX: usize = 64;
/// Faults of a batch that its answer names, at the most.
const FAULTS_MAX: usize = 16;

/// The longest identifier, which is asked for here by whoever reads events.
pub(crate) use super::places::IDENTIFIER_BYTES_MAX;

/// A property as it came: name and value.
pub(crate) type Property<'a> = (Cow<'a, str>, Json<'a>);

/// A body, decoded. No `Debug`: it holds what somebody sent.
pub(crate) struct DecodedBatch<'a> {
    head: DecodedHead<'a>,
    events: Vec<DecodedEvent<'a>>,
    properties: Vec<Property<'a>>,
}

/// What a body says about all of its events.
#[derive(Default)]
pub(crate) struct DecodedHead<'a> {
    /// Whether what is not as declared is refused; otherwise it is left out.
    pub(crate) strict: bool,
    pub(crate) sent_at: Time,
    /// For events that do not say themselves.
    pub(crate) defaults: Common<'a>,
    /// Sentry items that are no event.
    pub(crate) skipped_items: u64,
    /// Parts that are not of the protocol's form; repaired they might be.
    pub(crate) unreadable: u64,
    /// Fields that were left out: longer or deeper than a value may be, or identifiers of which a part is lost.
    pub(crate) dropped: u64,
    /// What is wrong with fields that the batch sets for all of its events. They are left out.
    pub(crate) faults: Vec<Rejection>,
    /// What the client has lost itself, as it says.
    pub(crate) client_losses: Vec<ClientLoss>,
    /// Fields that were probably meant by names that the protocol does not have.
    pub(crate) near: Near,
    /// The id under which the client sent the request, if its protocol has one.
    pub(crate) request_id: Option<String>,
}

impl DecodedHead<'_> {
    /// A field that the batch sets for all of its events is left out, and the answer says why.
    pub(in crate::wire) fn fault(&mut self, fault: Rejection) {
        self.dropped += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }

    /// What was taken for a batch is an event: its faults are its own.
    pub(in crate::wire) fn no_batch(&mut self) {
        self.dropped = self.dropped.saturating_sub(self.faults.len() as u64);
        self.faults.clear();
    }
}

/// One event, decoded.
#[derive(Default)]
pub(crate) struct DecodedEvent<'a> {
    /// Shoal's name; a vendor's has been mapped.
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) time: Option<Time>,
    pub(crate) sent_at: Option<Time>,
    pub(crate) common: Common<'a>,
    /// Its range in the batch's properties.
    pub(crate) properties: Range<usize>,
    /// Already decided: no object, a field of a wrong type, not an event.
    pub(crate) decided: Option<Outcome>,
    /// Whether it tells that its person has decided anew about consent.
    pub(crate) is_decision: bool,
    /// Fields that were probably meant by names that the protocol does not have.
    pub(in crate::wire) others: Vec<Other<'a>>,
    /// What stands in the place of an identifier under another name than the field's.
    pub(in crate::wire) named: Vec<OtherNamed<'a>>,
}

/// A field that was probably meant, and what stood there when nobody can have meant another.
pub(in crate::wire) struct Other<'a> {
    pub(in crate::wire) field: &'static str,
    pub(in crate::wire) value: Option<Json<'a>>,
}

impl DecodedEvent<'_> {
    /// Keeps the first reason.
    pub(in crate::wire) fn reject(&mut self, rejection: Rejection) {
        self.decided.get_or_insert(rejection.into());
    }

    /// An event whose outcome is known already.
    pub(in crate::wire) fn decided(outcome: Outcome) -> Self {
        DecodedEvent { decided: Some(outcome), ..DecodedEvent::default() }
    }
}

/// What an event says, or its batch for all of them. Each of its texts is short, so that many events may have it.
#[derive(Clone, Default)]
pub(crate) struct Common<'a> {
    pub(crate) user: Option<Cow<'a, str>>,
    pub(crate) install: Option<Cow<'a, str>>,
    pub(crate) device: Option<Cow<'a, str>>,
    pub(crate) serial: Option<Cow<'a, str>>,
    pub(crate) session: Option<Cow<'a, str>>,
    /// Identifiers that it states beside these.
    pub(crate) others: Vec<OtherIdentifier<'a>>,
    pub(crate) country: Option<Cow<'a, str>>,
    pub(crate) address: Option<Cow<'a, str>>,
    pub(crate) app_version: Option<Cow<'a, str>>,
    pub(crate) os: Option<Cow<'a, str>>,
    pub(crate) os_version: Option<Cow<'a, str>>,
    pub(crate) device_model: Option<Cow<'a, str>>,
    pub(crate) consent: Option<ReadClaim<'a>>,
    /// What a consent manager says, by category.
    pub(crate) preferences: Preferences<'a>,
    /// Identifiers beside those above, under other names: whoever has withdrawn under one is meant, and they say nothing else.
    pub(crate) also: Vec<Also<'a>>,
    /// The kinds of which something stands in the place of an identifier and is none.
    pub(crate) unreadable: Kinds,
    /// Whether something stands in the place of an identifier and is none: nobody knows whose the event is.
    pub(crate) has_unreadable_identifier: bool,
}

/// An identifier that is stated and is not the one of its kind.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct OtherIdentifier<'a> {
    /// The kind under which it names the same person; none when it may be another's, or is no identifier that consent is
    /// recorded under. It is in no text either way.
    pub(crate) kind: Option<IdentifierKind>,
    pub(crate) value: Cow<'a, str>,
}

/// What an answer says beside the events.
#[derive(Default)]
pub(crate) struct Aside {
    pub(crate) skipped_items: u64,
    pub(crate) batch_faults: Vec<Rejection>,
    pub(crate) request_id: Option<String>,
    pub(crate) client_losses: Vec<ClientLoss>,
}

/// Where decoders put what they find, and what they read by.
pub(crate) struct Sink<'s, 'a> {
    pub(in crate::wire) registry: &'a Registry,
    pub(in crate::wire) bounds: &'s Bounds,
    pub(in crate::wire) limits: &'s Limits,
    pub(in crate::wire) head: DecodedHead<'a>,
    pub(in crate::wire) events: Vec<DecodedEvent<'a>>,
    pub(in crate::wire) properties: Vec<Property<'a>>,
}

impl<'a> Sink<'_, 'a> {
    /// Adds an event; false when the batch is full.
    pub(in crate::wire) fn push(&mut self, event: DecodedEvent<'a>) -> bool {
        let room = self.events.len() < self.limits.events_max;
        if room {
            self.events.push(event);
        } else {
            self.bounds.broken.set(Some(Broken::Events));
        }
        room
    }

    /// Whether a limit is broken, so that whatever is read from now on is read in vain.
    pub(in crate::wire) fn is_over(&self) -> bool {
        self.bounds.broken.get().is_some()
    }

    /// What was found.
    pub(in crate::wire) fn into_batch(self) -> DecodedBatch<'a> {
        DecodedBatch { head: self.head, events: self.events, properties: self.properties }
    }
}

impl<'a> DecodedBatch<'a> {
    /// What the body says about all of its events, and its events.
    pub(crate) fn parts(&self) -> (&DecodedHead<'a>, &[DecodedEvent<'a>]) {
        (&self.head, &self.events)
    }

    /// The properties of one of its events.
    pub(crate) fn properties_of(&self, event: &DecodedEvent<'a>) -> &[Property<'a>] {
        self.properties.get(event.properties.clone()).unwrap_or_default()
    }

    /// What the answer says beside the events: skipped items, faults of the batch, and the id that the client expects back.
    pub(crate) fn aside(&mut self) -> Aside {
        Aside {
            skipped_items: self.head.skipped_items,
            batch_faults: std::mem::take(&mut self.head.faults),
            request_id: self.head.request_id.take(),
            client_losses: std::mem::take(&mut self.head.client_losses),
        }
    }

    /// Whether a part of it could not be read at all.
    pub(crate) fn is_damaged(&self) -> bool {
        self.head.unreadable > 0
    }

    /// What the next stage takes.
    pub(crate) fn into_parts(self) -> (DecodedHead<'a>, Vec<DecodedEvent<'a>>, Vec<Property<'a>>) {
        (self.head, self.events, self.properties)
    }
}

/// An identifier of a vendor's event: left out when it is none.
pub(in crate::wire) fn identifier<'a>(value: Option<&Json<'a>>) -> Option<Cow<'a, str>> {
    value?.identifier().filter(|id| id.len() <= IDENTIFIER_BYTES_MAX)
}

/// Whether one of these stands in the place of an identifier and is none.
pub(in crate::wire) fn are_unreadable(of: &Json<'_>, paths: &[&str]) -> bool {
    paths.iter().any(|path| of.path(path).is_some_and(|value| matches!(said(value), Said::Unreadable)))
}

/// A short text of a vendor's event: left out when it is none.
pub(in crate::wire) fn short<'a>(value: Option<&Json<'a>>) -> Option<Cow<'a, str>> {
    value?.text().filter(|text| text.len() <= CONTEXT_BYTES_MAX).cloned()
}

/// A country that a vendor's event names: left out when no region has it.
pub(in crate::wire) fn country<'a>(value: Option<&Json<'a>>, registry: &Registry) -> Option<Cow<'a, str>> {
    let code = value?.text()?;
    registry.region_of(shoal_schemas::Country::parse(code)?)?;
    Some(code.clone())
}

impl<'a> Common<'a> {
    /// Takes a field of a native event or batch; gives the value back when there is no such field.
    pub(in crate::wire) fn set(&mut self, key: &str, value: Json<'a>) -> Result<Option<Json<'a>>, Rejection> {
        let (slot, field, bytes_max): (_, &'static str, _) = match key {
            "user_id" => (&mut self.user, "user_id", IDENTIFIER_BYTES_MAX),
            "install_id" => (&mut self.install, "install_id", IDENTIFIER_BYTES_MAX),
            "device_id" => (&mut self.device, "device_id", IDENTIFIER_BYTES_MAX),
            "serial_number" => (&mut self.serial, "serial_number", IDENTIFIER_BYTES_MAX),
            "session_id" => (&mut self.session, "session_id", IDENTIFIER_BYTES_MAX),
            "country" => (&mut self.country, "country", CONTEXT_BYTES_MAX),
            "ip" => (&mut self.address, "ip", CONTEXT_BYTES_MAX),
            "app_version" => (&mut self.app_version, "app_version", CONTEXT_BYTES_MAX),
            "os" => (&mut self.os, "os", CONTEXT_BYTES_MAX),
            "os_version" => (&mut self.os_version, "os_version", CONTEXT_BYTES_MAX),
            "device_model" => (&mut self.device_model, "device_model", CONTEXT_BYTES_MAX),
            _ => return Ok(Some(value)),
        };
        let identifier = bytes_max == IDENTIFIER_BYTES_MAX;
        let text = match value {
            Json::Null => return Ok(None),
            Json::Text(text) => text,
            number if identifier && number.number().is_some() => number.identifier().ok_or_else(|| {
                Rejection::field(Code::BadIdentifier, field, "a number whose digits are not known")
            })?,
            _ if identifier => return Err(Rejection::field(Code::BadIdentifier, field, "must be a string")),
            _ => return Err(Rejection::field(Code::WrongType, field, "must be a string")),
        };
        if text.len() > bytes_max {
            let code = if identifier { Code::BadIdentifier } else { Code::TooLong };
            return Err(Rejection::field(code, field, "too long"));
        }
        if !text.trim().is_empty() {
            let before = slot.replace(text).filter(|before| identifier && slot.as_ref() != Some(before));
            if let Some(value) = before {
                self.note(OtherIdentifier { kind: None, value });
            }
        }
        Ok(None)
    }

    /// Notes an identifier that is stated beside those that count.
    pub(in crate::wire) fn note(&mut self, other: OtherIdentifier<'a>) {
        if self.others.len() < OTHERS_MAX && !self.others.contains(&other) {
            self.others.push(other);
        }
    }

    /// The identifier of a kind.
    pub(crate) fn named(&self, kind: IdentifierKind) -> Option<&Cow<'a, str>> {
        match kind {
            IdentifierKind::User => self.user.as_ref(),
            IdentifierKind::Install => self.install.as_ref(),
            IdentifierKind::Device => self.device.as_ref(),
            IdentifierKind::Serial => self.serial.as_ref(),
            IdentifierKind::Session => self.session.as_ref(),
        }
    }

    /// Whether it says this field.
    pub(in crate::wire) fn says(&self, field: &str) -> bool {
        let slot = match field {
            "user_id" => &self.user,
            "install_id" => &self.install,
            "device_id" => &self.device,
            "serial_number" => &self.serial,
            "session_id" => &self.session,
            "country" => &self.country,
            "ip" => &self.address,
            "app_version" => &self.app_version,
            "os" => &self.os,
            "os_version" => &self.os_version,
            "device_model" => &self.device_model,
            "consent" => return self.consent.is_some(),
            _ => return false,
        };
        slot.is_some()
    }

    /// Whether the value of a field was lost on its way: it is left out, and whoever it names is not who was meant.
    pub(in crate::wire) fn is_lost(key: &str, value: &Json<'_>) -> bool {
        match value {
            // What is too long to be a consent, or to be an identifier, is one that cannot be read.
            Json::Beyond => key != "consent" && !is_misspelled(key) && !places::is_whose(key),
            Json::Text(text) => (key == "serial_number" || key.ends_with("_id")) && is_damaged(text),
            _ => false,
        }
    }
}
