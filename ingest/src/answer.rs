//! What the sender is told of a request that was read: an outcome for each event.
//!
//! ```text
//! server key   received = accepted + duplicate + withheld + rejected, and the code of each event
//! shipped key  received = taken + rejected: one word for all that depends on what is recorded
//! ```
//! Invariants: what a shipped key is told follows from its request, the definitions and the clock, never from what is
//! recorded about anybody; nothing here ever holds content of the body: codes are constants, fields are declared names,
//! reasons are built from definitions and limits.
//! Not here: a request that is refused as a whole (`refusal.rs`), the form that a vendor's SDK expects (`wire`), the
//! counters (`metrics.rs`).

use std::borrow::Cow;

use serde::{
    Serialize, Serializer,
    ser::{SerializeSeq, SerializeStruct},
};

use crate::{declared::Declared, grant::KeyKind, near::Meant};

/// Why an event is rejected. Stable: clients and dashboards depend on the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// Not a JSON object.
    BadEvent,
    /// No name.
    MissingEvent,
    /// A name that no definition has.
    UnknownEvent,
    /// A required property is absent.
    MissingProperty,
    /// A value of another type than declared.
    WrongType,
    /// A number outside its bounds.
    OutOfBounds,
    /// A text longer than declared.
    TooLong,
    /// A value that is not among the listed ones.
    NotListed,
    /// More properties than an event may have.
    TooManyProperties,
    /// An event id that is empty, too long, or neither a text nor a whole number.
    BadId,
    /// An identifier that is too long, neither a text nor a number, or a number whose digits are not known.
    BadIdentifier,
    /// A time that cannot be read.
    BadTime,
    /// Older than its retention.
    TooOld,
    /// Later than now by more than the tolerance.
    InFuture,
    /// A country that no region has.
    UnknownCountry,
    /// No identifier of a subject.
    NoIdentifier,
    /// Neither country nor address, and the key has several regions.
    NoRegion,
    /// A region that the key may not write to.
    RegionNotAllowed,
    /// A programme that the key is not for.
    ProgrammeNotAllowed,
    /// A consent that cannot be read.
    BadConsent,
}

impl Code {
    /// The code in answers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Code::BadEvent => "bad_event",
            Code::MissingEvent => "missing_event",
            Code::UnknownEvent => "unknown_event",
            Code::MissingProperty => "missing_property",
            Code::WrongType => "wrong_type",
            Code::OutOfBounds => "out_of_bounds",
            Code::TooLong => "too_long",
            Code::NotListed => "not_listed",
            Code::TooManyProperties => "too_many_properties",
            Code::BadId => "bad_id",
            Code::BadIdentifier => "bad_identifier",
            Code::BadTime => "bad_time",
            Code::TooOld => "too_old",
            Code::InFuture => "in_future",
            Code::UnknownCountry => "unknown_country",
            Code::NoIdentifier => "no_identifier",
            Code::NoRegion => "no_region",
            Code::RegionNotAllowed => "region_not_allowed",
            Code::ProgrammeNotAllowed => "programme_not_allowed",
            Code::BadConsent => "bad_consent",
        }
    }
}

/// The code of an event that is withheld because its subject has as many of that day in that table as it may.
pub(crate) const SUBJECT_DAY_LIMIT: &str = "subject_day_limit";

/// The code of what vendors' SDKs send and Shoal does not keep: `identify`, messages, logs.
pub(crate) const NOT_AN_EVENT: &str = "not_an_event";

/// A rejected event: code, the declared name it is about, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Stable code.
    pub code: Code,
    /// A declared property or a field of the protocol; never a name from the body.
    pub field: Option<Cow<'static, str>>,
    /// One sentence; never content of the body.
    pub reason: Cow<'static, str>,
    /// The declared name that was probably meant.
    pub did_you_mean: Option<Cow<'static, str>>,
}

impl Rejection {
    /// About the event as a whole.
    pub(crate) fn event(code: Code, reason: &'static str) -> Rejection {
        Rejection { code, field: None, reason: Cow::Borrowed(reason), did_you_mean: None }
    }

    /// About a field of the protocol.
    pub(crate) fn field(code: Code, field: &'static str, reason: &'static str) -> Rejection {
        Rejection { field: Some(Cow::Borrowed(field)), ..Rejection::event(code, reason) }
    }

    /// About a declared property.
    pub(crate) fn property(code: Code, name: &str, reason: impl Into<Cow<'static, str>>) -> Rejection {
        let field = Some(Cow::Owned(name.to_owned()));
        Rejection { code, field, reason: reason.into(), did_you_mean: None }
    }

    /// With the declared name that was probably meant, if there is one.
    pub(crate) fn meant(self, name: Option<&str>) -> Rejection {
        Rejection { did_you_mean: name.map(|name| Cow::Owned(name.to_owned())), ..self }
    }
}

impl Serialize for Rejection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Rejection", 3)?;
        fields.serialize_field("code", self.code.as_str())?;
        if let Some(field) = &self.field {
            fields.serialize_field("field", field)?;
        }
        fields.serialize_field("reason", &self.reason)?;
        if let Some(name) = &self.did_you_mean {
            fields.serialize_field("did_you_mean", name)?;
        }
        fields.end()
    }
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable.
    Accepted,
    /// An event with this id was accepted before.
    Duplicate,
    /// Not kept, and nothing is wrong with it: no consent, or not an event that Shoal keeps. The stable code.
    Withheld(&'static str),
    /// Bad input.
    Rejected(Box<Rejection>),
}

impl Outcome {
    /// The word in answers and metrics.
    pub const fn status(&self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Duplicate => "duplicate",
            Outcome::Withheld(_) => "withheld",
            Outcome::Rejected(_) => "rejected",
        }
    }

    /// The stable code of a withheld or rejected event.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Outcome::Accepted | Outcome::Duplicate => None,
            Outcome::Withheld(code) => Some(code),
            Outcome::Rejected(rejection) => Some(rejection.code.as_str()),
        }
    }
}

/// The one word for all that is not rejected, where no word may tell what is recorded.
const TAKEN: &str = "taken";

/// An outcome as whoever holds a key of some kind is told it, in answers and in counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ToldOutcome {
    pub(crate) status: &'static str,
    pub(crate) code: Option<&'static str>,
}

impl ToldOutcome {
    /// What the holder of a key of this kind is told of an outcome.
    pub(crate) fn of(outcome: &Outcome, kind: KeyKind) -> ToldOutcome {
        match (kind, outcome) {
            (KeyKind::Shipped, Outcome::Accepted | Outcome::Duplicate | Outcome::Withheld(_)) => {
                ToldOutcome { status: TAKEN, code: None }
            }
            (_, outcome) => ToldOutcome { status: outcome.status(), code: outcome.code() },
        }
    }

    /// Whether it hides what became of the event.
    pub(crate) fn is_taken(self) -> bool {
        self.status == TAKEN
    }
}

impl From<Rejection> for Outcome {
    fn from(rejection: Rejection) -> Outcome {
        Outcome::Rejected(Box::new(rejection))
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Outcome", 4)?;
        fields.serialize_field("status", self.status())?;
        if let Some(code) = self.code() {
            fields.serialize_field("code", code)?;
        }
        if let Outcome::Rejected(rejection) = self {
            if let Some(field) = &rejection.field {
                fields.serialize_field("field", field)?;
            }
            fields.serialize_field("reason", &rejection.reason)?;
            if let Some(name) = &rejection.did_you_mean {
                fields.serialize_field("did_you_mean", name)?;
            }
        }
        fields.end()
    }
}

/// So many items of a category that a client did not send, for one reason. Both are constants: a client may make up any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientLoss {
    pub(crate) reason: &'static str,
    pub(crate) category: &'static str,
    pub(crate) quantity: u64,
}

/// The answer to a batch. `received = accepted + duplicate + withheld + rejected`. As JSON it says what the kind of its key
/// is told.
#[derive(Clone, Debug)]
pub struct BatchAnswer {
    pub(crate) kind: KeyKind,
    /// Events in the request.
    pub received: u64,
    /// Durable now.
    pub accepted: u64,
    /// Durable before.
    pub duplicate: u64,
    /// Not kept, though nothing is wrong with them.
    pub withheld: u64,
    /// Bad input.
    pub rejected: u64,
    /// Properties that were left out: not declared, not valid (vendors), or naming a person.
    pub dropped_properties: u64,
    /// Parts of a Sentry envelope that are no event and were skipped.
    pub skipped_items: u64,
    /// Identifiers that name nobody, as `undefined` or zeros, and were taken for none.
    pub placeholder_identifiers: u64,
    /// What is wrong with fields that the batch sets for all of its events. They were left out.
    pub batch_faults: Vec<Rejection>,
    /// Declared names that were probably meant by names that were left out.
    pub did_you_mean: Vec<Meant>,
    /// One for each event, in the order of the request.
    pub events: Vec<Outcome>,
    /// The id under which the client sent the request, where its protocol has one and expects it back.
    pub request_id: Option<String>,
    /// What the client says that it has lost.
    pub(crate) client_losses: Vec<ClientLoss>,
    /// The declared names of the events; no answer says them.
    pub(crate) declared: Declared,
}

impl BatchAnswer {
    /// Counts the outcomes, for a key of this kind.
    pub(crate) fn new(kind: KeyKind, events: Vec<Outcome>) -> BatchAnswer {
        let mut answer = BatchAnswer {
            kind,
            received: events.len() as u64,
            accepted: 0,
            duplicate: 0,
            withheld: 0,
            rejected: 0,
            dropped_properties: 0,
            skipped_items: 0,
            placeholder_identifiers: 0,
            batch_faults: Vec::new(),
            did_you_mean: Vec::new(),
            events: Vec::new(),
            request_id: None,
            client_losses: Vec::new(),
            declared: Declared::default(),
        };
        for outcome in &events {
            match outcome {
                Outcome::Accepted => answer.accepted += 1,
                Outcome::Duplicate => answer.duplicate += 1,
                Outcome::Withheld(_) => answer.withheld += 1,
                Outcome::Rejected(_) => answer.rejected += 1,
            }
        }
        answer.events = events;
        debug_assert_eq!(
            answer.received,
            answer.accepted + answer.duplicate + answer.withheld + answer.rejected,
        );
        answer
    }
}

impl Serialize for BatchAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("BatchAnswer", 10)?;
        fields.serialize_field("received", &self.received)?;
        match self.kind {
            KeyKind::Shipped => {
                fields.serialize_field("taken", &(self.accepted + self.duplicate + self.withheld))?;
            }
            KeyKind::Server => {
                fields.serialize_field("accepted", &self.accepted)?;
                fields.serialize_field("duplicate", &self.duplicate)?;
                fields.serialize_field("withheld", &self.withheld)?;
            }
        }
        fields.serialize_field("rejected", &self.rejected)?;
        fields.serialize_field("dropped_properties", &self.dropped_properties)?;
        fields.serialize_field("skipped_items", &self.skipped_items)?;
        if self.placeholder_identifiers > 0 {
            fields.serialize_field("placeholder_identifiers", &self.placeholder_identifiers)?;
        }
        if !self.batch_faults.is_empty() {
            fields.serialize_field("batch_faults", &self.batch_faults)?;
        }
        if !self.did_you_mean.is_empty() {
            fields.serialize_field("did_you_mean", &self.did_you_mean)?;
        }
        match self.kind {
            KeyKind::Shipped => fields.serialize_field("events", &ToShipped(&self.events))?,
            KeyKind::Server => fields.serialize_field("events", &self.events)?,
        }
        fields.end()
    }
}

/// Outcomes as a shipped key is told them.
struct ToShipped<'a>(&'a [Outcome]);

/// The outcome of an event that is not rejected, as a shipped key is told it.
#[derive(Serialize)]
struct Taken {
    status: &'static str,
}

impl Serialize for ToShipped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for outcome in self.0 {
            let told = ToldOutcome::of(outcome, KeyKind::Shipped);
            match told.is_taken() {
                true => list.serialize_element(&Taken { status: told.status })?,
                false => list.serialize_element(outcome)?,
            }
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn told(kind: KeyKind, outcomes: Vec<Outcome>) -> serde_json::Value {
        serde_json::to_value(BatchAnswer::new(kind, outcomes)).unwrap()
    }

    #[test]
    fn a_shipped_key_is_told_one_word_for_all_that_depends_on_what_is_recorded() {
        let bad = || Outcome::from(Rejection::event(Code::BadEvent, "no object"));
        let outcomes = |first: Outcome| vec![first, bad()];
        let expected = json!({"received": 2, "taken": 1, "rejected": 1, "dropped_properties": 0, "skipped_items": 0,
            "events": [{"status": "taken"}, {"status": "rejected", "code": "bad_event", "reason": "no object"}]});
        for first in [Outcome::Accepted, Outcome::Duplicate, Outcome::Withheld("withdrawn")] {
            assert_eq!(told(KeyKind::Shipped, outcomes(first)), expected);
        }
        let detailed = told(KeyKind::Server, outcomes(Outcome::Withheld("withdrawn")));
        assert_eq!((&detailed["withheld"], &detailed["accepted"]), (&json!(1), &json!(0)));
        assert_eq!(detailed["events"][0], json!({"status": "withheld", "code": "withdrawn"}));
        assert!(detailed.get("taken").is_none());
    }
}
