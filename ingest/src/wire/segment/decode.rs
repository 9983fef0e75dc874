//! What Segment's SDKs (and RudderStack's) send to `POST /v1/batch`, or one message to a path that may name its type.
//!
//! ```text
//! {"batch": [{"type", "messageId", "timestamp", "userId" | "anonymousId", "event" | "name", "properties", "context"}], "sentAt"}
//! ```
//! `track`, `page` and `screen` are events. `identify`, `group` and `alias` are traits and links between identifiers,
//! which Shoal does not keep: withheld as `not_an_event`. So is the message by which a consent manager tells a decision. Consent
//! may be carried in `context.consent`, decisions by category there or in `context.consentManagement`, country in
//! `context.country` or `context.location.country`, a session in `context.sessionId`.
//! What a batch says for all messages and cannot be read is left out, and counted. Identifiers are read beside the documented places
//! too (`wire/places.rs`); a message with something else in the place of one is a rejected event.
//! Not here: the write key (`shoal-server`), names and properties of events (`defs/vendors/segment.toml`).

use std::borrow::Cow;

use shoal_schemas::{IdentifierKind, Protocol, Registry};

use crate::{
    answer::{Code, NOT_AN_EVENT, Outcome, Rejection},
    refusal::{Refusal, RefusalCode},
    wire::{
        batch::{Common, DecodedEvent, Sink, country, identifier, short},
        json::{self, Json, bad_json},
        named::{self, NO_IDENTIFIER},
        places,
        preferences::{Preferences, denials, preferences},
        said::{of_vendor, speaks_of_consent},
        time::Time,
        vendor::{self, Sources},
    },
};

/// The name of the message by which a consent manager tells a decision.
const DECISION: &str = "Segment Consent Preference Updated";

pub(super) fn read<'a>(
    text: &'a str,
    message_type: Option<&'static str>,
    sink: &mut Sink<'_, 'a>,
) -> Result<(), Refusal> {
    let body = json::parse(text, sink.bounds).map_err(|e| bad_json(&e))?;
    sink.head.sent_at = body.get("sentAt").map_or(Time::Missing, Time::millis);
    sink.head.defaults = common(&body, sink.registry);
    take_named(&body, &mut sink.head.defaults);
    let batches = || body.members().iter().rev().filter(|(name, _)| name == "batch").map(|(_, value)| value);
    let lists = batches().find_map(|value| match value {
        Json::List(messages) => Some(messages),
        _ => None,
    });
    if let Some(messages) = lists {
        faults(&body, sink);
        for message in messages {
            let event = event(message, None, sink);
            if !sink.push(event) {
                break;
            }
        }
        return Ok(());
    }
    // The single-message endpoints send the message itself.
    let is_message = body.get("type").is_some() || message_type.is_some();
    if is_message && matches!(body, Json::Map(_)) {
        let event = event(&body, message_type, sink);
        sink.push(event);
        return Ok(());
    }
    match batches().find(|value| !matches!(value, Json::Null)) {
        Some(_) => Err(Refusal::new(RefusalCode::BadBatch, "batch must be a list")),
        None if batches().next().is_some() => {
            sink.head.fault(Rejection::field(Code::WrongType, "batch", "must be a list"));
            Ok(())
        }
        None => Err(Refusal::new(RefusalCode::BadBatch, "there is no batch")),
    }
}

/// What is wrong with what a batch says for all of its messages.
fn faults(body: &Json<'_>, sink: &mut Sink<'_, '_>) {
    let head = &mut sink.head;
    if head.sent_at == Time::Bad {
        head.fault(Rejection::field(Code::BadTime, "sentAt", "not a time"));
    }
    if body.get("context").is_some_and(|context| !matches!(context, Json::Map(_))) {
        head.fault(Rejection::field(Code::WrongType, "context", "must be an object"));
    }
    let unreadable = head.defaults.unreadable;
    for kind in places::KINDS.into_iter().filter(|kind| unreadable.contains(*kind)) {
        head.fault(Rejection::field(Code::BadIdentifier, field(kind), NO_IDENTIFIER));
    }
    if let Some(Err(bad)) = &head.defaults.consent {
        let rejection = bad.rejection.clone();
        head.fault(rejection);
    }
    let is_list = |(name, value): &(Cow<'_, str>, Json<'_>)| {
        name != "batch" || matches!(value, Json::List(_) | Json::Null)
    };
    if !body.members().iter().all(is_list) {
        head.fault(Rejection::field(Code::WrongType, "batch", "must be a list"));
    }
}

/// A message, which is of the type that its path names when it says none itself.
fn event<'a>(
    message: &Json<'a>,
    message_type: Option<&'static str>,
    sink: &mut Sink<'_, 'a>,
) -> DecodedEvent<'a> {
    let registry = sink.registry;
    let text = |key| message.get(key).and_then(Json::text);
    let vendor_name = match text("type").map(|t| &**t).or(message_type) {
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
    let mut common = Common {
        user: identifier(message.get("userId")),
        install: identifier(message.get("anonymousId")),
        ..common(message, registry)
    };
    take_named(message, &mut common);
    common
}

/// Takes the identifiers in every place in which a change of consent may have them: beside the documented ones, and what stands in
/// these and is none.
fn take_named<'a>(root: &Json<'a>, common: &mut Common<'a>) {
    for (name, value) in root.members() {
        named::each(name, value, &mut |found| {
            common.take_named(&found);
        });
    }
}

/// Where Segment has an identifier of this kind.
fn field(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::User => "userId",
        IdentifierKind::Install => "anonymousId",
        IdentifierKind::Device => "context.device.id",
        other => places::field(other),
    }
}

/// What the context of a message, or of a body, says. Whoever refuses is understood wherever that stands.
fn common<'a>(root: &Json<'a>, registry: &Registry) -> Common<'a> {
    let context = root.get("context").unwrap_or(&Json::Null);
    let at = |path: &str| context.path(path);
    let (mut said, mut consent) = (Preferences::new(), None);
    if speaks_of_consent(root) {
        said = preferences(context);
        said.extend(denials(root));
        consent = of_vendor(at("consent"), root);
    }
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
        preferences: said,
        ..Common::default()
    }
}
