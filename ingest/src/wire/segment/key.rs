//! The write key in a body: where Segment's SDKs for phones put it, which send no header.
//!
//! Invariant: nobody knows yet whose body it is, so no more than [`SEARCHED_BYTES`] of a compressed one are decompressed. What
//! is beyond them is not found: the answer is then that there is no key.
//! Not here: what the key grants (`shoal-server`).

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::{
    stages::inflate::{beginning, without_mark},
    wire::{json::Key, repair},
};

/// Bytes of a compressed body that are decompressed before its key is known.
const SEARCHED_BYTES: usize = 64 * 1024;

/// The member `writeKey` of a body; the last one when there are several.
pub(in crate::wire) fn write_key(body: &[u8], content_encoding: Option<&str>) -> Option<String> {
    let (bytes, is_whole) = beginning(body, content_encoding, SEARCHED_BYTES)?;
    let bytes = without_mark(&bytes);
    if is_whole && let Ok(found) = serde_json::from_slice::<Found>(bytes) {
        return found.0;
    }
    let bytes_max = 2 * bytes.len().max(SEARCHED_BYTES);
    let repaired =
        if is_whole { repair::body(bytes, bytes_max) } else { repair::beginning(bytes, bytes_max) };
    serde_json::from_slice::<Found>(&repaired?).ok()?.0
}

struct Found(Option<String>);

impl<'de> Deserialize<'de> for Found {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Found, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Found;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key_seed(Key)? {
            if key == "writeKey" {
                found = map.next_value::<Option<String>>()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Found(found))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::stages::inflate::gzip;

    #[test]
    fn it_is_found_in_any_encoding_beside_anything() {
        for body in [
            r#"{"batch":[{"a":{"writeKey":"no"}}],"writeKey":"a.b"}"#,
            "\u{feff}{\"writeKey\":\"a.b\",\"batch\":[]}",
            r#"{"batch":[NaN,"\ud83d"],"writeKey":"a.b"}"#,
            r#"{"writeKey":"no","batch":[],"writeKey":"a.b"}"#,
        ] {
            let bytes = body.as_bytes();
            assert_eq!(write_key(bytes, None).as_deref(), Some("a.b"), "{body}");
            assert_eq!(write_key(&gzip(bytes), None).as_deref(), Some("a.b"), "{body}");
            assert_eq!(
                write_key(&zstd::encode_all(bytes, 1).unwrap(), None).as_deref(),
                Some("a.b"),
                "{body}"
            );
        }
        for body in ["", "{", "[]", "{}", r#"{"writeKey":null}"#, r#"{"writeKey":7}"#, "\x1f\u{8b}"] {
            assert_eq!(write_key(body.as_bytes(), None), None, "{body}");
        }
    }

    #[test]
    fn what_a_stranger_sends_is_decompressed_up_to_a_limit() {
        let filler = format!("{}7", "1,".repeat(SEARCHED_BYTES));
        let before = format!(r#"{{"writeKey":"a.b","batch":[{filler}]}}"#);
        let behind = format!(r#"{{"batch":[{filler}],"writeKey":"a.b"}}"#);
        assert_eq!(write_key(&gzip(before.as_bytes()), None).as_deref(), Some("a.b"));
        assert_eq!(write_key(&gzip(behind.as_bytes()), None), None);
        // What is not compressed has been paid for by its sender.
        assert_eq!(write_key(behind.as_bytes(), None).as_deref(), Some("a.b"));
    }
}
