//! Which protocol a body is of, for an endpoint that takes the bodies of all.
//!
//! ```text
//! {.. "batch": ..}  {.. "type": "track" ..}     Segment
//! {..}\n{.. "type": ..}                         Sentry, when the first line has no event
//! everything else                               native
//! ```
//! Invariant: no more than [`SEARCHED_BYTES`] are looked at, whatever the body is. Not here: what the body says (`<protocol>/`).

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use shoal_schemas::Protocol;

use crate::{
    stages::inflate::{beginning, without_mark},
    wire::json::Key,
};

/// Bytes of a body that are looked at.
const SEARCHED_BYTES: usize = 64 * 1024;
/// The types of Segment's messages.
const MESSAGES: [&str; 6] = ["track", "identify", "page", "screen", "group", "alias"];

/// The protocol that a body is of, as far as its beginning shows it.
pub fn protocol_of(body: &[u8], content_encoding: Option<&str>) -> Protocol {
    let Some((bytes, _)) = beginning(body, content_encoding, SEARCHED_BYTES) else {
        return Protocol::Native;
    };
    let bytes = without_mark(&bytes);
    let bytes = bytes.get(..SEARCHED_BYTES).unwrap_or(bytes);
    let first = Seen::of(bytes);
    if first.has_events {
        return Protocol::Native;
    }
    if first.has_batch || first.is_message {
        return Protocol::Segment;
    }
    let second = bytes.split(|byte| *byte == b'\n').nth(1).map(Seen::of);
    match second.is_some_and(|item| item.has_type) && !first.has_event {
        true => Protocol::Sentry,
        false => Protocol::Native,
    }
}

/// The members of an object that tell protocols apart.
#[derive(Default)]
struct Seen {
    has_events: bool,
    has_batch: bool,
    has_event: bool,
    has_type: bool,
    is_message: bool,
}

impl Seen {
    /// Of the first object of a text, as far as the text has it.
    fn of(text: &[u8]) -> Seen {
        let mut seen = Seen::default();
        // What cannot be read any further has shown what it has.
        let _ = Look(&mut seen).deserialize(&mut serde_json::Deserializer::from_slice(text));
        seen
    }
}

struct Look<'s>(&'s mut Seen);

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Look(seen) = self;
        while let Some(key) = map.next_key_seed(Key)? {
            match &*key {
                // Nothing after it changes what the body is, and it is most of it.
                "events" => {
                    seen.has_events = true;
                    return Err(A::Error::custom("enough is seen"));
                }
                "batch" => {
                    seen.has_batch = true;
                    return Err(A::Error::custom("enough is seen"));
                }
                "type" => {
                    seen.has_type = true;
                    let value = map.next_value::<serde_json::Value>()?;
                    seen.is_message = value.as_str().is_some_and(|word| MESSAGES.contains(&word));
                }
                other => {
                    seen.has_event |= other == "event";
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::inflate::gzip;

    #[test]
    fn each_protocol_is_told_by_its_body() {
        for (protocol, body) in [
            (Protocol::Native, r#"{"sent_at": 1, "events": [{"event": "click"}]}"#),
            (Protocol::Native, r#"[{"event": "click"}]"#),
            (Protocol::Native, "{\"event\": \"click\"}\n{\"event\": \"click\", \"type\": \"x\"}"),
            (Protocol::Native, "no JSON"),
            (Protocol::Native, ""),
            (Protocol::Segment, r#"{"batch": [{"type": "track"}], "sentAt": "x"}"#),
            (Protocol::Segment, r#"{"writeKey": "k", "batch": [{"type": "#),
            (Protocol::Segment, r#"{"event": "click", "type": "track"}"#),
            (Protocol::Sentry, "{\"event_id\": \"a\"}\n{\"type\": \"event\"}\n{}"),
            (Protocol::Sentry, "{}\n{\"type\":\"session\",\"length\":2}\n{}\n"),
        ] {
            assert_eq!(protocol_of(body.as_bytes(), None), protocol, "{body}");
            assert_eq!(protocol_of(&gzip(body.as_bytes()), Some("gzip")), protocol, "{body}");
        }
    }
}
