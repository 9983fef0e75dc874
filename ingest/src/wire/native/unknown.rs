//! Fields of a native event or batch that the protocol does not have: other spellings and other names of one that it has, and what
//! is near to one.
//!
//! ```text
//! userId, UserID, user-id -> user_id        timestamp -> time        name -> event        props -> properties
//! ```
//! Where the event does not say the field itself, and the value is one that the field may have, another name is understood: nobody
//! can have meant anything else. Otherwise it is left out, and the answer names the field that was probably meant.
//!
//! Identifiers are understood in every place in which a change of consent may name somebody (`wire/places.rs`), also beside the field,
//! so that whoever has withdrawn under one is not kept under another.
//!
//! Invariants: what is understood rejects nothing that would be taken without it, except by its time, by a country in whose region the
//! key may not write, or because it stands in the place of an identifier and is none; a batch's own `name` is no event's; a consent under another spelling rejects, whatever stands before or behind it.
//! Not here: fields under their own names (`decode.rs`), what is another spelling of a consent (`wire/claim.rs`).

use shoal_schemas::Registry;

use super::fields::NATIVE_FIELDS;
use crate::{
    answer::{Code, Rejection},
    near::Among,
    wire::{
        batch::{self, Common, DecodedEvent, DecodedHead, IDENTIFIER_BYTES_MAX, Other},
        json::Json,
        named::{self, Named, OtherNamed},
        places, said,
        taken::Taken,
        time::Time,
    },
};

/// The field of a consent.
pub(super) const CONSENT: &str = "consent";
/// Longest name that is looked for, in letters and digits.
const LETTERS_MAX: usize = 16;

/// Notes a field that the protocol does not have.
pub(super) fn note<'a>(key: &str, value: Json<'a>, event: &mut DecodedEvent<'a>, head: &mut DecodedHead<'a>) {
    if matches!(value, Json::Null) {
        return;
    }
    if note_named(key, &value, event) {
        return;
    }
    match other_name(key) {
        Some(field) if Common::is_lost(field, &value) => head.dropped += 1,
        // The same one in many events may be that of their kind, and would make all of them one event.
        Some("id") if !key.eq_ignore_ascii_case("id") => {
            event.others.push(Other { field: "id", value: None })
        }
        Some(field) => event.others.push(Other { field, value: Some(value) }),
        None => {
            let all = NATIVE_FIELDS.iter().flat_map(|fields| fields.iter().map(|field| field.name));
            // A member of a consent is no field of an event.
            let mut fields = all.filter(|name| !name.contains('.'));
            let near = head.near.find(Among::Fields, key, fields.clone());
            if let Some(field) = near.and_then(|at| fields.nth(at)) {
                event.others.push(Other { field, value: None });
            }
        }
    }
}

/// Notes the identifiers that stand in a member; says whether there is one that can be nothing else.
pub(super) fn note_named<'a>(key: &str, value: &Json<'a>, event: &mut DecodedEvent<'a>) -> bool {
    let mut is_sure = false;
    named::each(key, value, &mut |found| {
        is_sure |= found.is_sure;
        let value = found.value.clone();
        event.named.push(OtherNamed { kind: found.kind, value, is_sure: found.is_sure });
    });
    is_sure
}

/// Decides about the identifiers that were noted, when the fields of an event or a batch are known.
fn settle_named(event: &mut DecodedEvent<'_>, is_batch: bool, head: &mut DecodedHead<'_>) {
    for OtherNamed { kind, value, is_sure } in std::mem::take(&mut event.named) {
        match event.common.take_named(&Named { kind, value: &value, is_sure }) {
            Taken::Nothing => {}
            Taken::Damaged => head.dropped += 1,
            Taken::Beside if is_sure => head.near.field(places::field(kind)),
            Taken::Beside => {}
            Taken::Unreadable(reason) => {
                let fault = Rejection::field(Code::BadIdentifier, places::field(kind), reason);
                match is_batch {
                    true => head.fault(fault),
                    false => event.reject(fault),
                }
            }
        }
    }
}

/// Decides about what was noted, when everything that an event or a batch says is known.
pub(super) fn settle<'a>(
    event: &mut DecodedEvent<'a>,
    is_batch: bool,
    head: &mut DecodedHead<'a>,
    registry: &Registry,
) {
    settle_named(event, is_batch, head);
    let near = &mut head.near;
    for Other { field, value } in std::mem::take(&mut event.others) {
        // What is only near to one has no value here.
        if field == CONSENT
            && let Some(value) = &value
        {
            let claim = said::misspelled(value, event.common.consent.as_ref());
            event.common.consent = Some(claim);
            continue;
        }
        let is_of_event = matches!(field, "event" | "id" | "time");
        if is_batch && is_of_event {
            continue;
        }
        // An event may well have a name beside what it is.
        let is_said = is_said(field, event);
        let is_quiet = is_said && (value.is_none() || field == "event");
        let is_understood = !is_said && value.is_some_and(|value| is_taken(field, value, event, registry));
        match field {
            _ if is_understood || is_quiet => {}
            "event" => {
                let nameless = Rejection::field(Code::MissingEvent, "event", "the event has no name");
                event.reject(nameless.meant(Some(field)));
            }
            _ => near.field(field),
        }
    }
}

/// The field that others write, or call, so.
fn other_name(key: &str) -> Option<&'static str> {
    let (mut letters, mut len) = ([0; LETTERS_MAX], 0);
    for byte in key.bytes().filter(u8::is_ascii_alphanumeric) {
        *letters.get_mut(len)? = byte.to_ascii_lowercase();
        len += 1;
    }
    Some(match letters.get(..len)? {
        b"event" | b"eventname" | b"name" => "event",
        b"id" | b"eventid" | b"messageid" => "id",
        b"time" | b"timestamp" | b"eventtime" => "time",
        b"sentat" => "sent_at",
        b"properties" | b"props" => "properties",
        b"context" => "context",
        b"events" => "events",
        b"sessionid" => "session_id",
        b"country" | b"countrycode" => "country",
        b"ip" => "ip",
        b"appversion" => "app_version",
        b"os" => "os",
        b"osversion" => "os_version",
        b"devicemodel" => "device_model",
        _ => return None,
    })
}

fn is_said(field: &str, event: &DecodedEvent<'_>) -> bool {
    match field {
        "event" => event.name.is_some(),
        "id" => event.id.is_some(),
        "time" => event.time.is_some(),
        "sent_at" => event.sent_at.is_some(),
        _ => event.common.says(field),
    }
}

/// Takes the value for the field's, when it is one that the field may have.
fn is_taken<'a>(field: &str, value: Json<'a>, event: &mut DecodedEvent<'a>, registry: &Registry) -> bool {
    let time = || Some(Time::millis(&value)).filter(|time| time.at().is_some());
    match field {
        "event" => {
            event.name = value.text().filter(|name| registry.event(name).is_some()).cloned();
            event.name.is_some()
        }
        "id" => {
            event.id = value.identifier().filter(|id| id.len() <= IDENTIFIER_BYTES_MAX);
            event.id.is_some()
        }
        "time" => {
            event.time = time();
            event.time.is_some()
        }
        "sent_at" => {
            event.sent_at = time();
            event.sent_at.is_some()
        }
        "country" => {
            event.common.country = batch::country(Some(&value), registry);
            event.common.country.is_some()
        }
        _ => matches!(event.common.set(field, value), Ok(None)),
    }
}
