//! The fields of the native protocol, for who wants to send events and for who has misspelt one.
//!
//! Invariant: a test reads each of them. Not here: how they are read (`decode.rs`), properties of events (`shoal-schemas`).

/// A field of the native protocol.
#[derive(Clone, Copy, Debug)]
pub struct NativeField {
    /// Its name; dotted for a member of another field.
    pub name: &'static str,
    /// What stands there.
    pub ty: &'static str,
    /// The longest text, in bytes.
    pub bytes_max: Option<u32>,
    /// What it means, one sentence or two.
    pub doc: &'static str,
}

const fn field(name: &'static str, ty: &'static str, doc: &'static str) -> NativeField {
    NativeField { name, ty, bytes_max: None, doc }
}

const fn text(name: &'static str, bytes_max: u32, doc: &'static str) -> NativeField {
    NativeField { name, ty: "string", bytes_max: Some(bytes_max), doc }
}

const fn identifier(name: &'static str, doc: &'static str) -> NativeField {
    NativeField { name, ty: "string or whole number", bytes_max: Some(256), doc }
}

/// What an event has alone.
const OF_EVENT: [NativeField; 4] = [
    field("event", "string", "Name of the event, as a definition has it. Required."),
    identifier("id", "Makes a resend known. Without one, content and time do."),
    field(
        "time",
        "time",
        "When it happened: RFC 3339, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970. Without one it \
            happened when it was received.",
    ),
    field(
        "properties",
        "object",
        "The properties that the event's definition has. Others are left out and counted.",
    ),
];

/// What an event may say, and a batch for all of its events.
const OF_BOTH: [NativeField; 18] = [
    field("sent_at", "time", "When the client sent it, by its own clock, which is corrected with it."),
    identifier("user_id", "Who uses the app. Becomes a pseudonym; the value is forgotten."),
    identifier("install_id", "The installation of the app. Becomes a pseudonym; the value is forgotten."),
    identifier("device_id", "The device. Becomes a pseudonym; the value is forgotten."),
    identifier(
        "serial_number",
        "The device, by its serial number. Becomes a pseudonym; the value is forgotten.",
    ),
    identifier("session_id", "The session. Becomes a pseudonym; the value is forgotten."),
    text("country", 64, "Two letters, as DE. Decides the region. Without it the address of the client does."),
    text("ip", 64, "The client's address, for its country only. Never kept."),
    text("app_version", 64, "Version of the app."),
    text("os", 64, "Operating system, one of those that are listed."),
    text("os_version", 64, "Version of the operating system."),
    text("device_model", 64, "Model of the device."),
    field("context", "object", "May hold the fields from `user_id` to `device_model`, as SDKs group them."),
    field(
        "consent",
        "object",
        "The consent under which the event is sent, where none was recorded and the key asserts none.",
    ),
    field("consent.policy_version", "string", "The policy version that the person has accepted."),
    field("consent.granted_at", "time", "When they accepted it."),
    field("consent.age", "number", "Their age in years."),
    field(
        "consent.granted",
        "boolean",
        "`false` when there is no consent. `status`, `granted` or `denied`, says the same.",
    ),
];

/// What a batch has alone.
const OF_BATCH: [NativeField; 1] = [field("events", "list of events", "The events of a batch.")];

/// All fields of the native protocol.
pub const NATIVE_FIELDS: [&[NativeField]; 3] = [&OF_EVENT, &OF_BOTH, &OF_BATCH];
