//! The bytes of a body become events with borrowed fields, whatever the protocol. First stage of the pipeline.
//!
//! Invariants: nothing is copied that can be borrowed; nothing is judged but the form: names, types and bounds are for
//! `stages/validate.rs`. A field that is not what the protocol says makes its event a rejected one, not the batch (native), or
//! is left out (vendors). Errors say line and column, never content.
//! Not here: decompression (`stages/inflate.rs`), which vendor name is which event (`shoal-schemas`, `defs/vendors/`).
//!
//! To add a protocol: a file here with one function that fills a [`Sink`], and its arm in [`decode`].

pub(crate) mod json;
mod native;
mod segment;
mod sentry;
pub(crate) mod surrogate;
pub(crate) mod time;
mod vendor;

use std::{borrow::Cow, cell::Cell, ops::Range};

use json::{Bounds, Broken, Json};
use shoal_schemas::{Protocol, Registry};

use crate::{
    answer::{Code, Outcome, Refusal, Rejection},
    stages::inflate::Limits,
    wire::time::Time,
};

/// Longest identifier, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 256;
/// Longest value of a field of the context, in bytes.
const CONTEXT_BYTES_MAX: usize = 64;
/// Frames that are kept of one stack: the innermost ones.
pub(crate) const FRAMES_MAX: usize = 64;
/// The code of what vendors' SDKs send and Shoal does not keep: `identify`, messages, logs.
pub(crate) const NOT_AN_EVENT: &str = "not_an_event";

/// A property as it came: name and value.
pub(crate) type Property<'a> = (Cow<'a, str>, Json<'a>);

/// A body, decoded. No `Debug`: it holds what somebody sent.
pub(crate) struct DecodedBatch<'a> {
    head: DecodedHead<'a>,
    events: Vec<DecodedEvent<'a>>,
    properties: Vec<Property<'a>>,
}

/// What a body says about all of its events.
pub(crate) struct DecodedHead<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) sent_at: Time,
    /// For events that do not say themselves.
    pub(crate) defaults: Common<'a>,
    /// Sentry items that are no event.
    pub(crate) skipped_items: u64,
    /// The id that a Sentry SDK expects back.
    pub(crate) sentry_event_id: Option<String>,
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
}

impl DecodedEvent<'_> {
    /// Keeps the first reason.
    fn reject(&mut self, rejection: Rejection) {
        self.decided.get_or_insert(rejection.into());
    }

    fn decided(outcome: Outcome) -> Self {
        DecodedEvent { decided: Some(outcome), ..DecodedEvent::default() }
    }
}

/// What an event says, or its batch for all of them.
#[derive(Default)]
pub(crate) struct Common<'a> {
    pub(crate) user: Option<Cow<'a, str>>,
    pub(crate) install: Option<Cow<'a, str>>,
    pub(crate) device: Option<Cow<'a, str>>,
    pub(crate) serial: Option<Cow<'a, str>>,
    pub(crate) session: Option<Cow<'a, str>>,
    pub(crate) country: Option<Cow<'a, str>>,
    pub(crate) address: Option<Cow<'a, str>>,
    pub(crate) app_version: Option<Cow<'a, str>>,
    pub(crate) os: Option<Cow<'a, str>>,
    pub(crate) os_version: Option<Cow<'a, str>>,
    pub(crate) device_model: Option<Cow<'a, str>>,
    pub(crate) consent: Option<Claim<'a>>,
}

/// Consent carried in a body.
#[derive(Clone)]
pub(crate) struct Claim<'a> {
    pub(crate) policy_version: Cow<'a, str>,
    pub(crate) granted_at_ms: Option<i64>,
    pub(crate) age: Option<u8>,
}

impl<'a> Claim<'a> {
    /// `{"policy_version": "..", "granted_at": time, "age": years}`; none without a policy version.
    fn read(value: &Json<'a>) -> Option<Claim<'a>> {
        let age = match value.get("age") {
            Some(Json::Integer(years)) => Some(u8::try_from((*years).clamp(0, 255)).unwrap_or(0)),
            _ => None,
        };
        Some(Claim {
            policy_version: value.get("policy_version")?.text()?.clone(),
            granted_at_ms: value.get("granted_at").and_then(|v| Time::millis(v).at()),
            age,
        })
    }
}

/// Where decoders put what they find.
struct Sink<'s, 'a> {
    bounds: &'s Bounds,
    limits: &'s Limits,
    events: Vec<DecodedEvent<'a>>,
    properties: Vec<Property<'a>>,
}

impl<'a> Sink<'_, 'a> {
    /// Adds an event; false when the batch is full.
    fn push(&mut self, event: DecodedEvent<'a>) -> bool {
        let room = self.events.len() < self.limits.events_max;
        if room {
            self.events.push(event);
        } else {
            self.bounds.broken.set(Some(Broken::Events));
        }
        room
    }
}

/// Reads a body.
///
/// # Errors
/// 400 when it is not what the protocol says, 413 and 422 when a limit is exceeded.
pub(crate) fn decode<'a>(
    protocol: Protocol,
    body: &'a [u8],
    registry: &'a Registry,
    limits: &Limits,
) -> Result<DecodedBatch<'a>, Refusal> {
    let bounds = Bounds {
        depth_max: limits.depth_max,
        string_bytes_max: limits.string_bytes_max,
        strict: protocol == Protocol::Native,
        broken: Cell::new(None),
        values_left: Cell::new(limits.values_max),
    };
    let mut sink = Sink { bounds: &bounds, limits, events: Vec::new(), properties: Vec::new() };
    let mut head = DecodedHead {
        protocol,
        sent_at: Time::Missing,
        defaults: Common::default(),
        skipped_items: 0,
        sentry_event_id: None,
    };
    let read = match protocol {
        Protocol::Native => text(body).and_then(|text| native::decode::read(text, &mut sink, &mut head)),
        Protocol::Segment => {
            text(body).and_then(|text| segment::decode::read(text, registry, &mut sink, &mut head))
        }
        Protocol::Sentry => sentry::decode::read(body, registry, &mut sink, &mut head),
    };
    let Sink { events, properties, .. } = sink;
    if let Some(broken) = bounds.broken.get() {
        return Err(over_limit(broken, limits));
    }
    read?;
    Ok(DecodedBatch { head, events, properties })
}

impl<'a> DecodedBatch<'a> {
    /// What the answer says beside the events: skipped items, and the event id that a Sentry SDK expects.
    pub(crate) fn aside(&self) -> (u64, Option<String>) {
        (self.head.skipped_items, self.head.sentry_event_id.clone())
    }

    /// What the next stage takes.
    pub(crate) fn into_parts(self) -> (DecodedHead<'a>, Vec<DecodedEvent<'a>>, Vec<Property<'a>>) {
        (self.head, self.events, self.properties)
    }
}

fn text(body: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(body).map_err(|e| {
        Refusal::new(400, "not_utf8", format!("the body is not UTF-8 from byte {} on", e.valid_up_to()))
    })
}

fn bad_json(error: &serde_json::Error) -> Refusal {
    let place = format!("not JSON of the expected form at line {} column {}", error.line(), error.column());
    Refusal::new(400, "bad_json", place)
}

fn over_limit(broken: Broken, limits: &Limits) -> Refusal {
    match broken {
        Broken::Depth => {
            Refusal::new(422, "too_deep", format!("values nest deeper than {}", limits.depth_max))
        }
        Broken::StringLength => Refusal::new(
            422,
            "string_too_long",
            format!("a string is longer than {} bytes", limits.string_bytes_max),
        ),
        Broken::Values => {
            Refusal::new(413, "too_many_values", format!("more than {} values in a body", limits.values_max))
        }
        Broken::Events => {
            Refusal::new(413, "too_many_events", format!("more than {} events in a body", limits.events_max))
        }
    }
}

/// An identifier of a vendor's event: left out when it is none.
fn identifier<'a>(value: Option<&Json<'a>>) -> Option<Cow<'a, str>> {
    value?.identifier().filter(|id| id.len() <= IDENTIFIER_BYTES_MAX)
}

/// A short text of a vendor's event: left out when it is none.
fn short<'a>(value: Option<&Json<'a>>) -> Option<Cow<'a, str>> {
    value?.text().filter(|text| text.len() <= CONTEXT_BYTES_MAX).cloned()
}

/// A country that a vendor's event names: left out when no region has it.
fn country<'a>(value: Option<&Json<'a>>, registry: &Registry) -> Option<Cow<'a, str>> {
    let code = value?.text()?;
    registry.region_of(shoal_schemas::Country::parse(code)?)?;
    Some(code.clone())
}

impl<'a> Common<'a> {
    /// Takes a field of a native event or batch; false when there is no such field.
    fn set(&mut self, key: &str, value: Json<'a>) -> Result<bool, Rejection> {
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
            _ => return Ok(false),
        };
        let identifier = bytes_max == IDENTIFIER_BYTES_MAX;
        let text = match value {
            Json::Null => return Ok(true),
            Json::Text(text) => text,
            Json::Integer(number) if identifier => Cow::Owned(number.to_string()),
            _ if identifier => return Err(Rejection::field(Code::BadIdentifier, field, "must be a string")),
            _ => return Err(Rejection::field(Code::WrongType, field, "must be a string")),
        };
        if text.len() > bytes_max {
            let code = if identifier { Code::BadIdentifier } else { Code::TooLong };
            return Err(Rejection::field(code, field, "too long"));
        }
        if !text.trim().is_empty() {
            *slot = Some(text);
        }
        Ok(true)
    }
}
