//! Shoal's own protocol: a batch, a bare list of events, one event, or one event a line (NDJSON).
//!
//! ```text
//! {"sent_at": time, "consent": {..}, "context": {..}, <identifiers>, "country": "DE", "events": [event, ..]}
//! event = {"id": "..", "event": "click", "time": time, "user_id", "install_id", "device_id", "serial_number",
//!          "session_id", "country", "consent": {"policy_version", "granted_at", "age", "granted", "status"},
//!          "context": {"app_version", "os", "os_version", "device_model", "ip", ..}, "properties": {..}}
//! ```
//! What the batch says is the default for each event; of that, what cannot be read is left out, and named in the answer. Fields
//! that the protocol does not have are ignored where they cannot be another name of one (`unknown.rs`), coordinates in a context
//! too. Unknown fields of a consent, and a consent under another spelling of its name or in a context, are not ignored: such a consent, and the one
//! beside which it stands, cannot be read, in whichever order they are. Of what is said twice the last counts that is not null. A
//! field that is longer or deeper than a value may be is left out and counted. The fields of an event are read straight into their
//! slots, without a tree: this is the path that must be fast.
//! Not here: what a name or a property means (`stages/validate.rs`).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use shoal_schemas::IdentifierKind;

use super::{
    members::{Members, Object, scalars},
    unknown,
};
use crate::{
    answer::{Code, Rejection},
    refusal::{Refusal, RefusalCode},
    wire::{
        batch::{Common, DecodedEvent, DecodedHead, IDENTIFIER_BYTES_MAX, Other, Sink},
        claim::{self, Claim},
        json::{Broken, Json, Key, bad_json},
        places, said,
        stream::after_first,
        time::Time,
    },
};

pub(super) fn read<'a>(text: &'a str, sink: &mut Sink<'_, 'a>) -> Result<(), Refusal> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    if deserializer.end().is_ok() {
        return Err(Refusal::new(RefusalCode::EmptyBody, "the body has no event"));
    }
    let first = Item { sink, top: Top::First }.deserialize(&mut deserializer).map_err(|e| bad_json(&e))?;
    match first {
        Found::Batch(batch) => {
            sink.head.sent_at = batch.sent_at.unwrap_or(Time::Missing);
            if sink.head.sent_at == Time::Bad {
                sink.head.fault(Rejection::field(Code::BadTime, "sent_at", "not a time"));
            }
            if let Some(Err(bad)) = &batch.common.consent {
                sink.head.fault(bad.rejection.clone());
            }
            sink.head.defaults = batch.common;
            return deserializer.end().map_err(|e| bad_json(&e));
        }
        Found::List => return deserializer.end().map_err(|e| bad_json(&e)),
        Found::NoList => return Err(Refusal::new(RefusalCode::WrongType, "events must be a list")),
        Found::Event => {}
    }
    if deserializer.end().is_err() {
        for line in after_first(text) {
            line.read(Item { sink, top: Top::Line })?;
        }
    }
    Ok(())
}

/// What stood at the place of an event or a batch.
enum Found<'a> {
    Batch(Box<DecodedEvent<'a>>),
    List,
    /// A batch in which something else stands in the place of the events.
    NoList,
    Event,
}

/// Where a value stands: only the first of a body may be a batch or a list.
#[derive(Clone, Copy, PartialEq)]
enum Top {
    First,
    Line,
    Inside,
}

/// Reads an event, or (at the top) a batch or a list.
struct Item<'x, 's, 'a> {
    sink: &'x mut Sink<'s, 'a>,
    top: Top,
}

impl<'a> DeserializeSeed<'a> for Item<'_, '_, 'a> {
    type Value = Found<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Found<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Item<'_, '_, 'a> {
    fn other<E: serde::de::Error>(self) -> Result<Found<'a>, E> {
        self.push(DecodedEvent::decided(
            Rejection::event(Code::BadEvent, "an event must be an object").into(),
        ))
    }

    fn push<E: serde::de::Error>(self, event: DecodedEvent<'a>) -> Result<Found<'a>, E> {
        if self.sink.push(event) { Ok(Found::Event) } else { Err(self.sink.bounds.stop(Broken::Events)) }
    }

    /// What is wrong with a field. It rejects an event; of a batch the field is left out.
    fn fault(&mut self, event: &mut DecodedEvent<'a>, fault: Rejection) {
        let may_be_batch = self.top == Top::First;
        note(&mut self.sink.head, may_be_batch, event, fault);
    }

    /// Reads the value of one key into the event; says what stood there when the key was a batch's `events`.
    fn field<A: MapAccess<'a>>(
        &mut self,
        key: &str,
        event: &mut DecodedEvent<'a>,
        map: &mut A,
    ) -> Result<Option<Listed>, A::Error> {
        let bounds = self.sink.bounds;
        match key {
            "properties" | "props" if key == "properties" || event.properties.is_empty() => {
                let start = self.sink.properties.len();
                let members =
                    Members { bounds, out: &mut self.sink.properties, max: self.sink.limits.properties_max };
                match map.next_value_seed(members)? {
                    Object::Whole => {}
                    Object::TooMany => {
                        self.fault(event, Rejection::event(Code::TooManyProperties, "too many properties"));
                    }
                    Object::Not => {
                        let fault = Rejection::field(Code::WrongType, "properties", "must be an object");
                        self.fault(event, fault);
                    }
                }
                event.properties = start..self.sink.properties.len();
            }
            "context" => self.context(event, map)?,
            "events" if self.top == Top::First => {
                return map.next_value_seed(Events { sink: self.sink }).map(Some);
            }
            _ => {
                let value = map.next_value_seed(bounds.value())?;
                if Common::is_lost(key, &value) {
                    self.sink.head.dropped += 1;
                } else {
                    match scalar_field(key, value, event) {
                        Ok(Some(value)) => unknown::note(key, value, event, &mut self.sink.head),
                        Ok(None) => {}
                        Err(fault) => self.fault(event, fault),
                    }
                }
            }
        }
        Ok(None)
    }

    fn context<A: MapAccess<'a>>(
        &mut self,
        event: &mut DecodedEvent<'a>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        // The properties' vector serves as scratch space: what is behind `start` is taken out again.
        let start = self.sink.properties.len();
        let bounds = self.sink.bounds;
        let members = Members { bounds, out: &mut self.sink.properties, max: usize::MAX };
        if map.next_value_seed(members)? == Object::Not {
            self.fault(event, Rejection::field(Code::WrongType, "context", "must be an object"));
        }
        let may_be_batch = self.top == Top::First;
        for (key, value) in self.sink.properties.drain(start..) {
            if Common::is_lost(&key, &value) {
                self.sink.head.dropped += 1;
                continue;
            }
            match event.common.set(&key, value) {
                Ok(None) => {}
                // A context has no such field, and others have their consent, and whose it is, in it.
                Ok(Some(value)) => {
                    event.others.extend(said::misplaced(&key, &value).into_iter().map(consent));
                    _ = unknown::note_named(&key, &value, event);
                }
                Err(fault) => note(&mut self.sink.head, may_be_batch, event, fault),
            }
        }
        Ok(())
    }
}

/// Notes what is wrong with a field of what may be a batch; that is not known before its end.
fn note(head: &mut DecodedHead<'_>, may_be_batch: bool, event: &mut DecodedEvent<'_>, fault: Rejection) {
    if may_be_batch {
        head.fault(fault.clone());
    }
    let is_of = |kind: &IdentifierKind| fault.field.as_deref() == Some(places::field(*kind));
    if fault.code == Code::BadIdentifier
        && let Some(kind) = places::KINDS.into_iter().find(is_of)
    {
        event.common.unreadable.insert(kind);
    }
    event.reject(fault);
}

/// A field of an event that is neither `properties`, `context` nor `events`; its value, when there is no such field.
fn scalar_field<'a>(
    key: &str,
    value: Json<'a>,
    event: &mut DecodedEvent<'a>,
) -> Result<Option<Json<'a>>, Rejection> {
    match key {
        "event" => match value {
            Json::Text(name) => event.name = Some(name),
            Json::Null => {}
            _ => return Err(Rejection::field(Code::WrongType, "event", "must be a string")),
        },
        "id" | "time" | "sent_at" if matches!(value, Json::Null) => {}
        "id" => match value.identifier() {
            Some(id) if id.len() <= IDENTIFIER_BYTES_MAX => event.id = Some(id),
            _ => return Err(Rejection::field(Code::BadId, "id", "must be a string of 1 to 256 bytes")),
        },
        "time" => event.time = Some(Time::millis(&value)),
        "sent_at" => event.sent_at = Some(Time::millis(&value)),
        "consent" => {
            if let Some(claim) = Claim::read(&value, true) {
                event.common.consent = Some(claim);
            }
        }
        _ => {
            let Some(value) = event.common.set(key, value)? else { return Ok(None) };
            event.others.extend(said::misplaced(key, &value).into_iter().map(consent));
            return Ok(Some(value).filter(|_| !claim::is_misspelled(key)));
        }
    }
    Ok(None)
}

/// A consent that stands under another name than it should.
fn consent(value: Json<'_>) -> Other<'_> {
    Other { field: unknown::CONSENT, value: Some(value) }
}

impl<'a> Visitor<'a> for Item<'_, '_, 'a> {
    type Value = Found<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event or a batch")
    }

    scalars!();

    fn visit_unit<E: serde::de::Error>(self) -> Result<Found<'a>, E> {
        self.other()
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Found<'a>, A::Error> {
        if self.top != Top::First {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return self.other();
        }
        while seq.next_element_seed(Item { sink: self.sink, top: Top::Inside })?.is_some() {}
        Ok(Found::List)
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<Found<'a>, A::Error> {
        let mut event = DecodedEvent::default();
        let mut events = None;
        while let Some(key) = map.next_key_seed(Key)? {
            events = events.max(self.field(&key, &mut event, &mut map)?);
        }
        let (is_batch, is_unnamed) = (events == Some(Listed::Events), event.name.is_none());
        unknown::settle(&mut event, is_batch, &mut self.sink.head, self.sink.registry);
        match events {
            Some(Listed::Events) => Ok(Found::Batch(Box::new(event))),
            Some(Listed::Other) if is_unnamed => Ok(Found::NoList),
            // Null is as if it were not there, but what has no name is no event either.
            Some(Listed::Null) if is_unnamed => {
                self.fault(&mut event, Rejection::field(Code::WrongType, "events", "must be a list"));
                Ok(Found::Batch(Box::new(event)))
            }
            _ => {
                if self.top == Top::First {
                    self.sink.head.no_batch();
                }
                self.push(event)
            }
        }
    }
}

/// What stood in the place of a batch's events. Of several the greatest counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Listed {
    Null,
    Other,
    Events,
}

/// Reads the list `events`. Only a list takes the place of one that stood before it.
struct Events<'x, 's, 'a> {
    sink: &'x mut Sink<'s, 'a>,
}

impl<'a> DeserializeSeed<'a> for Events<'_, '_, 'a> {
    type Value = Listed;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Listed, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Events<'_, '_, '_> {
    fn other<E: serde::de::Error>(self) -> Result<Listed, E> {
        self.sink.head.fault(Rejection::field(Code::WrongType, "events", "must be a list"));
        Ok(Listed::Other)
    }
}

impl<'a> Visitor<'a> for Events<'_, '_, 'a> {
    type Value = Listed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    scalars!();

    fn visit_unit<E: serde::de::Error>(self) -> Result<Listed, E> {
        Ok(Listed::Null)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Listed, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.other()
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Listed, A::Error> {
        self.sink.events.clear();
        while seq.next_element_seed(Item { sink: self.sink, top: Top::Inside })?.is_some() {}
        Ok(Listed::Events)
    }
}
