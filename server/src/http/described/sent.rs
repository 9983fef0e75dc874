//! Events and consents as apps send them in Shoal's own form (`shoal-ingest`, `wire/native/decode.rs`, `consents/forms.rs`).
//!
//! More spellings are understood than these; a client that is generated needs one.
#![allow(dead_code, reason = "the types are descriptions, and nothing makes them")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

use super::{ProgrammeWord, RegionWord, Scalar, TextOrNumber, forms};

forms! {
    /// The body of `POST /v1/events`.
    Events: "Events", "A batch of events, a list of them, or one",
        AnyOfBuilder [EventBatch, EventList, Event];
    /// The body of `POST /v1/consents`.
    Consents: "Consents", "A change of consent, or a list of them",
        AnyOfBuilder [ConsentBatch, ConsentList, ConsentChange];
    /// The value of a property.
    PropertyValue: "PropertyValue", "A value, or the frames of a stack",
        AnyOfBuilder [Scalar, FrameList];
}

/// The frames of a stack, each with what is known of it.
#[derive(ToSchema)]
struct FrameList(Vec<BTreeMap<String, Scalar>>);

/// A batch. What it says is the default for each of its events; `GET /v1/schema` lists events and properties.
#[derive(ToSchema)]
struct EventBatch {
    /// When the batch was sent, by the clock of whoever sends it
    sent_at: Option<TextOrNumber>,
    consent: Option<EventConsent>,
    context: Option<EventContext>,
    user_id: Option<TextOrNumber>,
    install_id: Option<TextOrNumber>,
    device_id: Option<TextOrNumber>,
    serial_number: Option<TextOrNumber>,
    session_id: Option<TextOrNumber>,
    /// ISO 3166-1, two letters
    country: Option<String>,
    events: Vec<Event>,
}

/// A list of events.
#[derive(ToSchema)]
struct EventList(Vec<Event>);

/// An event. What is not declared is left out and counted.
#[derive(ToSchema)]
pub(super) struct Event {
    /// So that the same event is kept once, however often it is sent
    #[schema(min_length = 1, max_length = 256)]
    id: Option<String>,
    /// The declared name
    event: Option<String>,
    /// When it happened
    time: Option<TextOrNumber>,
    user_id: Option<TextOrNumber>,
    install_id: Option<TextOrNumber>,
    device_id: Option<TextOrNumber>,
    serial_number: Option<TextOrNumber>,
    session_id: Option<TextOrNumber>,
    /// ISO 3166-1, two letters; it decides the region
    country: Option<String>,
    consent: Option<EventConsent>,
    context: Option<EventContext>,
    /// Declared properties
    #[schema(nullable = false)]
    properties: Option<BTreeMap<String, PropertyValue>>,
}

/// The consent under which an event is sent.
#[derive(ToSchema)]
struct EventConsent {
    policy_version: Option<String>,
    /// When it was granted
    granted_at: Option<TextOrNumber>,
    /// The person's age in years
    age: Option<f64>,
    /// `false` refuses
    granted: Option<bool>,
    /// `granted`, or a word that refuses
    status: Option<String>,
}

/// What an event happened in.
#[derive(ToSchema)]
struct EventContext {
    app_version: Option<String>,
    os: Option<String>,
    os_version: Option<String>,
    device_model: Option<String>,
    /// The person's address, where the sender is a server; used for the country, then forgotten
    ip: Option<String>,
}

/// A list of changes under a name.
#[derive(ToSchema)]
struct ConsentBatch {
    #[schema(min_items = 1)]
    consents: Vec<ConsentChange>,
}

/// A list of changes.
#[derive(ToSchema)]
struct ConsentList(Vec<ConsentChange>);

/// A grant or a withdrawal. It names a person or a thing by one of the identifiers.
#[derive(ToSchema)]
struct ConsentChange {
    action: ConsentAction,
    /// A withdrawal with a key for one programme may leave it out
    programme: ProgrammeWord,
    /// Of a grant: the version of the policy that the person has read
    policy_version: Option<String>,
    user_id: Option<TextOrNumber>,
    install_id: Option<TextOrNumber>,
    device_id: Option<TextOrNumber>,
    serial_number: Option<TextOrNumber>,
    /// ISO 3166-1, two letters; a grant needs it, or `region`, unless the key has one region
    country: Option<String>,
    region: Option<RegionWord>,
    /// When the person decided; now, where it is left out
    at: Option<TextOrNumber>,
    /// The person's age in years
    age: Option<f64>,
}

/// What is decided
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum ConsentAction {
    Grant,
    Withdraw,
}
