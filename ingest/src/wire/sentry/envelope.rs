//! The framing of a Sentry envelope, read tolerantly.
//!
//! ```text
//! header line (JSON, may be {} or empty) \n
//! item header line (JSON: type, length?, item_count?) \n payload (length bytes, or up to the next newline) \n
//! .. more items
//! ```
//! Payloads may be binary. What is whole before the body is cut, or an item header is unreadable, is kept; the rest is
//! counted as one skipped item. Not here: what is in a payload (`decode.rs`).

use std::cell::Cell;

use crate::wire::{
    json::{self, Bounds, Json},
    repair,
};

/// Items whose payload is JSON that is read.
pub(super) const READ: [&str; 5] = ["event", "transaction", "span", "session", "client_report"];

/// One item.
pub(super) struct Item<'a> {
    pub(super) header: Json<'a>,
    pub(super) payload: &'a [u8],
}

/// A header may be no larger than this.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// The items of an envelope.
pub(super) struct Items<'a> {
    rest: &'a [u8],
    /// Parts that could not be read.
    pub(super) broken: u64,
}

/// The envelope's header and its items; none when the first line is no header.
pub(super) fn open(body: &[u8]) -> Option<(Json<'_>, Items<'_>)> {
    let (line, rest) = split_line(body);
    let header = if line.trim_ascii().is_empty() { Json::Null } else { header(line)? };
    Some((header, Items { rest, broken: 0 }))
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        while let Some(rest) = self.rest.strip_prefix(b"\n") {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = split_line(self.rest);
        let Some(header) = header(line).filter(|h| matches!(h, Json::Map(_))) else {
            return self.stop();
        };
        let payload = match header.get("length") {
            Some(Json::Integer(length)) => {
                let Some((payload, rest)) =
                    usize::try_from(*length).ok().and_then(|l| rest.split_at_checked(l))
                else {
                    return self.stop();
                };
                self.rest = rest;
                payload
            }
            _ => {
                let (payload, rest) = split_line(rest);
                self.rest = rest;
                payload
            }
        };
        Some(Item { header, payload })
    }
}

impl<'a> Items<'a> {
    /// Nothing after this can be told apart.
    fn stop(&mut self) -> Option<Item<'a>> {
        self.rest = &[];
        self.broken += 1;
        None
    }
}

/// The same envelope with its headers, and the payloads of items that are read, repaired; `None` when nothing is left of it.
pub(super) fn repaired(body: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let (line, mut rest) = split_line(body);
    let mut out = whole(line, bytes_max)?;
    out.push(b'\n');
    loop {
        while let Some(after) = rest.strip_prefix(b"\n") {
            rest = after;
        }
        let (line, after) = split_line(rest);
        let Some(line) = whole(line, bytes_max).filter(|line| !line.is_empty()) else { break };
        let Some(header) = header(&line).filter(|h| matches!(h, Json::Map(_))) else { break };
        let length = match header.get("length") {
            Some(Json::Integer(length)) => usize::try_from(*length).ok(),
            _ => Some(split_line(after).0.len()),
        };
        let Some((payload, after)) = length.and_then(|length| after.split_at_checked(length)) else { break };
        put(&mut out, &header, payload, bytes_max);
        if out.len() > bytes_max {
            return None;
        }
        rest = after;
    }
    // What cannot be told apart is counted as one part that is broken.
    out.extend_from_slice(rest);
    (out.len() <= bytes_max).then_some(out)
}

/// Adds an item, with its payload repaired when it is one that is read.
fn put(out: &mut Vec<u8>, header: &Json<'_>, payload: &[u8], bytes_max: usize) {
    let kind = header.get("type").and_then(Json::text).map_or("", |kind| &**kind);
    let repaired = if READ.contains(&kind) { repair::json(payload, bytes_max) } else { None };
    let payload = repaired.as_deref().map_or(payload, <[u8]>::trim_ascii_end);
    let header = serde_json::json!({"length": payload.len(), "type": kind});
    out.extend_from_slice(header.to_string().as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload);
    out.push(b'\n');
}

/// A line of a header, repaired when it must be.
fn whole(line: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    if line.trim_ascii().is_empty() || header(line).is_some() {
        return Some(line.to_vec());
    }
    let mut repaired = repair::json(line, bytes_max)?;
    repaired.truncate(repaired.trim_ascii_end().len());
    Some(repaired)
}

fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|b| *b == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

fn header(line: &[u8]) -> Option<Json<'_>> {
    if line.len() > HEADER_BYTES_MAX {
        return None;
    }
    let bounds = Bounds {
        depth_max: 4,
        string_bytes_max: HEADER_BYTES_MAX,
        strict: false,
        broken: Cell::new(None),
        values_left: Cell::new(1000),
    };
    json::parse(std::str::from_utf8(line).ok()?, &bounds).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn payloads(body: &[u8]) -> (Vec<Vec<u8>>, u64) {
        let (_, mut items) = open(body).unwrap();
        let found = items.by_ref().map(|i| i.payload.to_vec()).collect();
        (found, items.broken)
    }

    #[test]
    fn lengths_are_optional_and_payloads_binary() {
        let body = b"{}\n{\"type\":\"session\"}\n{\"sid\":1}\n\n{\"type\":\"attachment\",\"length\":4}\n\n\x00\xff\n\n{\"type\":\"event\",\"length\":2}\n{}";
        assert_eq!(
            payloads(body),
            (vec![b"{\"sid\":1}".to_vec(), b"\n\x00\xff\n".to_vec(), b"{}".to_vec()], 0)
        );
        assert_eq!(payloads(b"\n{\"type\":\"event\"}\n{}").0.len(), 1);
        assert_eq!(payloads(b"{}").0.len(), 0);
    }

    #[test]
    fn what_is_whole_before_the_cut_is_kept() {
        let body = b"{}\n{\"type\":\"event\",\"length\":2}\n{}\n{\"type\":\"event\",\"length\":900}\n{";
        assert_eq!(payloads(body), (vec![b"{}".to_vec()], 1));
        assert_eq!(
            payloads(b"{}\n{\"type\":\"event\",\"length\":2}\n{}\nnonsense\n{}"),
            (vec![b"{}".to_vec()], 1)
        );
        assert_eq!(payloads(b"{}\n{\"length\":-5}\n{}").1, 1);
    }

    #[test]
    fn what_is_broken_in_an_item_leaves_the_others_and_their_lengths() {
        let body = b"{\"sent_at\":NaN}\n{\"type\":\"event\",\"length\":14}\n{\"a\":\"\\ud83d\"}\n{\"type\":\"attachment\",\"length\":3}\n\xff\n\x00\n{\"type\":\"session\"}\n{\"sid\":1e400}\n{\"type\":\"event\",\"x\":NaN}\n{}";
        let repaired = super::repaired(body, 1 << 20).unwrap();
        let (payloads, broken) = payloads(&repaired);
        assert_eq!(broken, 0);
        assert_eq!(payloads.len(), 4);
        assert_eq!(payloads[0], "{\"a\":\"\u{fffd}\"}".as_bytes());
        assert_eq!(payloads[2..], [b"{\"sid\":null}".to_vec(), b"{}".to_vec()]);
        assert_eq!(super::repaired(b"\xff\xff\n{}", 1 << 20), None);
        assert_eq!(super::repaired(body, 20), None, "more than there is room for");
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut body = b"{}\n{\"type\":\"event\",\"length\":3}\n".to_vec();
            body.extend(bytes);
            let (_, mut items) = open(&body).unwrap();
            prop_assert!(items.by_ref().count() <= body.len());
            let _ = super::repaired(&body, 1 << 20);
        }
    }
}
