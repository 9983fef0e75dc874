//! Shoal's own protocol: a batch, a bare list of events, one event, or one event a line (NDJSON).
//!
//! ```text
//! {"sent_at": time, "consent": {..}, "context": {..}, <identifiers>, "country": "DE", "events": [event, ..]}
//! event = {"id": "..", "event": "click", "time": time, "user_id", "install_id", "device_id", "serial_number",
//!          "session_id", "country", "consent": {"policy_version", "granted_at", "age", "granted", "status"},
//!          "context": {"app_version", "os", "os_version", "device_model", "ip", ..}, "properties": {..}}
//! ```
//! What the batch says is the default for each event. Unknown fields are ignored, coordinates in a context too, but for those of
//! a consent, and a consent under another spelling of its name: an event that has no other consent is rejected. Of what is said twice the last counts that is not null. A field that is longer or
//! deeper than a value may be is left out and counted. The
//! fields of an event are read straight into their slots, without a tree: this is the path that must be fast.
//! Not here: what a name or a property means (`stages/validate.rs`).

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{
    answer::{Code, Outcome, Rejection},
    refusal::{Refusal, RefusalCode},
    wire::{
        batch::{Common, DecodedEvent, IDENTIFIER_BYTES_MAX, Property, Sink},
        claim::{self, Claim},
        json::{Bounds, Broken, Json, Key, bad_json},
        time::Time,
    },
};

pub(super) fn read<'a>(text: &'a str, sink: &mut Sink<'_, 'a>) -> Result<(), Refusal> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut first = true;
    while deserializer.end().is_err() {
        let top = if first { Top::First } else { Top::Line };
        let found = Item { sink, top }.deserialize(&mut deserializer).map_err(|e| bad_json(&e))?;
        match found {
            Found::Batch(batch) => {
                sink.head.sent_at = batch.sent_at.unwrap_or(Time::Missing);
                if let Some(outcome) = batch.decided {
                    return Err(bad_batch(&outcome));
                }
                sink.head.defaults = batch.common;
                return deserializer.end().map_err(|e| bad_json(&e));
            }
            Found::List => return deserializer.end().map_err(|e| bad_json(&e)),
            Found::Event => {}
        }
        first = false;
    }
    if first { Err(Refusal::new(RefusalCode::EmptyBody, "the body has no event")) } else { Ok(()) }
}

fn bad_batch(outcome: &Outcome) -> Refusal {
    let code = match outcome {
        Outcome::Rejected(rejection) => RefusalCode::of_batch(rejection.code),
        _ => RefusalCode::BadBatch,
    };
    let reason = "a field that the batch sets for all of its events has a wrong type or length";
    Refusal::new(code, reason)
}

/// What stood at the place of an event or a batch.
enum Found<'a> {
    Batch(Box<DecodedEvent<'a>>),
    List,
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

/// Everything that is not an object is one answer.
macro_rules! scalars {
    () => {
        fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
            self.other()
        }
        fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
            self.other()
        }
    };
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

    /// Reads the value of one key into the event; true when it was a batch's `events`.
    fn field<A: MapAccess<'a>>(
        &mut self,
        key: &str,
        event: &mut DecodedEvent<'a>,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        let bounds = self.sink.bounds;
        match key {
            "properties" => {
                let start = self.sink.properties.len();
                let members =
                    Members { bounds, out: &mut self.sink.properties, max: self.sink.limits.properties_max };
                match map.next_value_seed(members)? {
                    Object::Whole => {}
                    Object::TooMany => {
                        event.reject(Rejection::event(Code::TooManyProperties, "too many properties"))
                    }
                    Object::Not => {
                        event.reject(Rejection::field(Code::WrongType, "properties", "must be an object"));
                    }
                }
                event.properties = start..self.sink.properties.len();
            }
            "context" => self.context(event, map)?,
            "events" if self.top == Top::First => {
                self.sink.events.clear();
                let found = map.next_value_seed(Events { sink: self.sink })?;
                if !found {
                    event.reject(Rejection::field(Code::WrongType, "events", "must be a list"));
                }
                return Ok(true);
            }
            _ => {
                let value = map.next_value_seed(bounds.value())?;
                if Common::is_lost(key, &value) {
                    self.sink.head.dropped += 1;
                } else {
                    scalar_field(key, value, event);
                }
            }
        }
        Ok(false)
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
            event.reject(Rejection::field(Code::WrongType, "context", "must be an object"));
        }
        for (key, value) in self.sink.properties.drain(start..) {
            if Common::is_lost(&key, &value) {
                self.sink.head.dropped += 1;
            } else if let Err(rejection) = event.common.set(&key, value) {
                event.reject(rejection);
            }
        }
        Ok(())
    }
}

/// A field of an event that is neither `properties`, `context` nor `events`.
fn scalar_field<'a>(key: &str, value: Json<'a>, event: &mut DecodedEvent<'a>) {
    match key {
        "event" => match value {
            Json::Text(name) => event.name = Some(name),
            Json::Null => {}
            _ => event.reject(Rejection::field(Code::WrongType, "event", "must be a string")),
        },
        "id" | "time" | "sent_at" if matches!(value, Json::Null) => {}
        "id" => match value.identifier() {
            Some(id) if id.len() <= IDENTIFIER_BYTES_MAX => event.id = Some(id),
            _ => event.reject(Rejection::field(Code::BadId, "id", "must be a string of 1 to 256 bytes")),
        },
        "time" => event.time = Some(Time::millis(&value)),
        "sent_at" => event.sent_at = Some(Time::millis(&value)),
        "consent" => {
            if let Some(claim) = Claim::read(&value, true) {
                event.common.consent = Some(claim);
            }
        }
        _ if claim::is_misspelled(key) && !matches!(value, Json::Null) => {
            event.common.consent = Some(claim::misspelled());
        }
        _ => {
            if let Err(rejection) = event.common.set(key, value) {
                event.reject(rejection);
            }
        }
    }
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
        let mut batch = false;
        while let Some(key) = map.next_key_seed(Key)? {
            batch |= self.field(&key, &mut event, &mut map)?;
        }
        if batch {
            return Ok(Found::Batch(Box::new(event)));
        }
        self.push(event)
    }
}

/// Reads the list `events`; false when it is none.
struct Events<'x, 's, 'a> {
    sink: &'x mut Sink<'s, 'a>,
}

impl<'a> DeserializeSeed<'a> for Events<'_, '_, 'a> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Events<'_, '_, '_> {
    fn other<E: serde::de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }
}

impl<'a> Visitor<'a> for Events<'_, '_, 'a> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    scalars!();

    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        self.other()
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<bool, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.other()
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element_seed(Item { sink: self.sink, top: Top::Inside })?.is_some() {}
        Ok(true)
    }
}

/// Reads the members of an object onto the end of a vector.
struct Members<'x, 'a> {
    bounds: &'x Bounds,
    out: &'x mut Vec<Property<'a>>,
    max: usize,
}

/// What stood where an object should.
#[derive(PartialEq)]
enum Object {
    Whole,
    TooMany,
    Not,
}

impl<'a> DeserializeSeed<'a> for Members<'_, 'a> {
    type Value = Object;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Object, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Members<'_, '_> {
    fn other<E: serde::de::Error>(self) -> Result<Object, E> {
        Ok(Object::Not)
    }
}

impl<'a> Visitor<'a> for Members<'_, 'a> {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    scalars!();

    fn visit_unit<E: serde::de::Error>(self) -> Result<Object, E> {
        Ok(Object::Whole)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Object, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.other()
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Object, A::Error> {
        let start = self.out.len();
        let mut object = Object::Whole;
        while let Some(key) = map.next_key_seed::<Key>(Key)? {
            if self.out.len() - start >= self.max {
                map.next_value::<IgnoredAny>()?;
                object = Object::TooMany;
                continue;
            }
            let value: Json<'a> = map.next_value_seed(self.bounds.value())?;
            let key: Cow<'a, str> = key;
            self.out.push((key, value));
        }
        if self.bounds.spend(self.out.len() - start) {
            return Ok(object);
        }
        Err(self.bounds.stop(Broken::Values))
    }
}
