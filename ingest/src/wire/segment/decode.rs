//! What Segment's SDKs (and RudderStack's) send to `POST /v1/batch`.
//!
//! ```text
//! {"batch": [{"type", "messageId", "timestamp", "userId" | "anonymousId", "event" | "name", "properties", "context"}], "sentAt"}
//! ```
//! `track`, `page` and `screen` are events. `identify`, `group` and `alias` are traits and links between identifiers,
//! which Shoal does not keep: withheld as `not_an_event`. So is the message by which a consent manager tells a decision. Consent
//! may be carried in `context.consent`, decisions by category there or in `context.consentManagement`, country in
//! `context.country` or `context.location.country`, a session in `context.sessionId`.
//! Not here: the write key (`shoal-server`), names and properties of events (`defs/vendors/segment.toml`).

use shoal_schemas::{Protocol, Registry};

use crate::{
    answer::{Code, Outcome, Rejection},
    refusal::{Refusal, RefusalCode},
    wire::{
        batch::{Common, DecodedEvent, NOT_AN_EVENT, Sink, are_unreadable, country, identifier, short},
        claim::{Claim, refuses},
        json::{self, Json, bad_json},
        preferences::{denials, preferences},
        time::Time,
        vendor::{self, Sources},
    },
};

/// The name of the message by which a consent manager tells a decision.
const DECISION: &str = "Segment Consent Preference Updated";

pub(super) fn read<'a>(text: &'a str, sink: &mut Sink<'_, 'a>) -> Result<(), Refusal> {
    let body = json::parse(text, sink.bounds).map_err(|e| bad_json(&e))?;
    sink.head.sent_at = body.get("sentAt").map_or(Time::Missing, Time::millis);
    sink.head.defaults = common(&body, sink.registry);
    let one = std::slice::from_ref(&body);
    let messages = match body.get("batch") {
        Some(Json::List(messages)) => messages.as_slice(),
        Some(_) => return Err(Refusal::new(RefusalCode::BadBatch, "batch must be a list")),
        // The single-message endpoints send the message itself.
        None if body.get("type").is_some() => one,
        None => return Err(Refusal::new(RefusalCode::BadBatch, "there is no batch")),
    };
    for message in messages {
        let event = event(message, sink);
        if !sink.push(event) {
            break;
        }
    }
    Ok(())
}

fn event<'a>(message: &Json<'a>, sink: &mut Sink<'_, 'a>) -> DecodedEvent<'a> {
    let registry = sink.registry;
    let text = |key| message.get(key).and_then(Json::text);
    let vendor_name = match text("type").map(|t| &**t) {
        Some("track") => match text("event") {
            Some(name) if name.trim().eq_ignore_ascii_case(DECISION) => {
                return DecodedEvent { is_decision: true, ..not_an_event(message, registry) };
            }
            Some(name) => &**name,
            None => {
                let reason = "a track without a name";
                return decided(
                    message,
                    registry,
                    Rejection::field(Code::MissingEvent, "event", reason).into(),
                );
            }
        },
        Some(name @ ("page" | "screen")) => name,
        Some("identify" | "group" | "alias") => {
            return not_an_event(message, registry);
        }
        _ => {
            let reason = "not a message type of Segment";
            return decided(message, registry, Rejection::field(Code::BadEvent, "type", reason).into());
        }
    };
    let Some(mapped) = vendor::find(registry, Protocol::Segment, vendor_name) else {
        let reason = "neither declared nor mapped to a declared event";
        return decided(message, registry, Rejection::field(Code::UnknownEvent, "event", reason).into());
    };
    let start = sink.properties.len();
    let properties = message.get("properties").unwrap_or(&Json::Null);
    // `page` and `screen` carry what was seen in `name`, beside the properties.
    let sources = Sources { roots: &[properties, message], computed: Vec::new() };
    mapped.properties(sources, &mut sink.properties);
    DecodedEvent {
        name: Some((&*mapped.def.name).into()),
        id: identifier(message.get("messageId")),
        time: time(message),
        sent_at: message.get("sentAt").map(Time::millis),
        common: of_message(message, registry),
        properties: start..sink.properties.len(),
        ..DecodedEvent::default()
    }
}

fn not_an_event<'a>(message: &Json<'a>, registry: &Registry) -> DecodedEvent<'a> {
    decided(message, registry, Outcome::Withheld(NOT_AN_EVENT))
}

/// A message of which no event comes; it may say what its person has decided all the same.
fn decided<'a>(message: &Json<'a>, registry: &Registry, outcome: Outcome) -> DecodedEvent<'a> {
    DecodedEvent {
        time: time(message),
        sent_at: message.get("sentAt").map(Time::millis),
        common: of_message(message, registry),
        ..DecodedEvent::decided(outcome)
    }
}

fn time(message: &Json<'_>) -> Option<Time> {
    let time = ["timestamp", "originalTimestamp"].into_iter().find_map(|key| message.get(key));
    time.map(Time::millis)
}

/// What a message says that every event has.
fn of_message<'a>(message: &Json<'a>, registry: &Registry) -> Common<'a> {
    let common = common(message, registry);
    Common {
        user: identifier(message.get("userId")),
        install: identifier(message.get("anonymousId")),
        has_unreadable_identifier: common.has_unreadable_identifier
            || are_unreadable(message, &["userId", "anonymousId"]),
        ..common
    }
}

/// What the context of a message, or of a body, says. Whoever refuses is understood wherever it stands.
fn common<'a>(root: &Json<'a>, registry: &Registry) -> Common<'a> {
    let context = root.get("context").unwrap_or(&Json::Null);
    let at = |path: &str| context.path(path);
    let mut preferences = preferences(context);
    preferences.extend(denials(root));
    let consent = match refuses(root) {
        true => Some(Ok(Claim::refusal())),
        false => at("consent").and_then(|claim| Claim::read(claim, false)),
    };
    Common {
        device: identifier(at("device.id")),
        session: identifier(at("sessionId")),
        country: country(at("country"), registry).or_else(|| country(at("location.country"), registry)),
        address: short(at("ip")),
        app_version: short(at("app.version")),
        os: short(at("os.name")),
        os_version: short(at("os.version")),
        device_model: short(at("device.model")),
        consent,
        preferences,
        has_unreadable_identifier: are_unreadable(context, &["device.id"]),
        ..Common::default()
    }
}
