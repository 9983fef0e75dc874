//! The framing of a Sentry envelope, read tolerantly.
//!
//! ```text
//! header line (JSON, may be {} or empty) \n
//! item header line (JSON: type, length?, item_count?) \n payload (length bytes, or up to the next newline) \n
//! .. more items
//! ```
//! Payloads may be binary, and lines may end in CR LF. A `length` is believed when a line or the body ends with it, or when the
//! header of another item follows at once; where it is not, a payload that is read is its line when that is JSON. What is broken
//! otherwise costs its item: the next one begins with the first line that is certainly a header, because it has the type and
//! the members of one, and with it a payload that fits. What no such line follows is one part that is broken.
//!
//! Invariants: parts that are broken are counted; the work is bounded by the size of the body, whatever the lengths say.
//! Not here: what is in a payload (`decode.rs`).

use std::cell::Cell;

use crate::wire::{
    json::{self, Bounds, Json},
    repair,
};

/// Items whose payload is JSON that is read.
pub(super) const READ: [&str; 5] = ["event", "transaction", "span", "session", "client_report"];
/// Other types of items that SDKs send.
const OTHER: [&str; 20] = [
    "attachment",
    "check_in",
    "feedback",
    "form_data",
    "log",
    "metric_buckets",
    "metric_meta",
    "nel",
    "otel_log",
    "profile",
    "profile_chunk",
    "raw_security",
    "replay_event",
    "replay_recording",
    "replay_video",
    "security",
    "sessions",
    "statsd",
    "trace_metric",
    "user_report",
];
/// What the header of an item says.
const HEADER_MEMBERS: [&str; 7] =
    ["type", "length", "item_count", "content_type", "filename", "attachment_type", "platform"];
/// What only payloads say, some of which have a `type` too.
const PAYLOAD_MEMBERS: [&str; 7] =
    ["contexts", "discarded_events", "event_id", "exception", "sid", "spans", "timestamp"];

/// One item.
pub(super) struct Item<'a> {
    pub(super) kind: String,
    pub(super) payload: &'a [u8],
}

/// A header may be no larger than this.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// An item in the place of a part that is broken. Nothing reads it.
const BROKEN: &[u8] = b"{\"length\":0,\"type\":\"broken\"}\n\n";

/// The items of an envelope.
pub(super) struct Items<'a> {
    rest: &'a [u8],
    /// Parts that could not be read.
    pub(super) broken: u64,
    /// Bytes that may still be looked at for the sake of lengths that are wrong.
    looks_left: usize,
}

/// The envelope's header and its items; none when the first line is no header and no item follows.
pub(super) fn open(body: &[u8]) -> Option<(Json<'_>, Items<'_>)> {
    let (line, rest) = split_line(body);
    let mut items = Items::new(rest);
    if line.trim_ascii().is_empty() {
        return Some((Json::Null, items));
    }
    if let Some(header) = header(line) {
        return Some((header, items));
    }
    items.broken += 1;
    items.seek();
    (!items.rest.is_empty()).then_some((Json::Null, items))
}

/// The header of an item.
struct Header {
    kind: String,
    length: Length,
    /// Whether nothing else can look like it.
    is_certain: bool,
}

enum Length {
    /// Up to the end of the line.
    Line,
    Bytes(usize),
    /// Less than nothing.
    Wrong,
}

impl Header {
    /// Of a line, repaired when it must be.
    fn read(line: &[u8]) -> Option<Header> {
        if line.len() > HEADER_BYTES_MAX || !line.trim_ascii_start().starts_with(b"{") {
            return None;
        }
        if let Some(read) = header(line) {
            return Header::of(&read);
        }
        let repaired = repair::json(line, HEADER_BYTES_MAX)?;
        Header::of(&header(&repaired)?)
    }

    fn of(read: &Json<'_>) -> Option<Header> {
        let kind = read.get("type").and_then(Json::text)?;
        let has = |names: &[&str], name: &str| names.contains(&name);
        if read.members().iter().any(|(name, _)| has(&PAYLOAD_MEMBERS, name)) {
            return None;
        }
        let length = match read.get("length") {
            Some(Json::Integer(length)) => usize::try_from(*length).map_or(Length::Wrong, Length::Bytes),
            _ => Length::Line,
        };
        let is_known = has(&READ, kind) || has(&OTHER, kind);
        let is_certain = is_known && read.members().iter().all(|(name, _)| has(&HEADER_MEMBERS, name));
        Some(Header { kind: kind.to_string(), length, is_certain })
    }

    fn is_read(&self) -> bool {
        READ.contains(&&*self.kind)
    }
}

/// A payload, and what is behind it.
struct Framed<'a> {
    payload: &'a [u8],
    behind: &'a [u8],
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            let is_line_end = |rest: &&[u8]| rest.starts_with(b"\n") || rest.starts_with(b"\r\n");
            while let Some(rest) = Some(self.rest).filter(is_line_end) {
                self.rest = split_line(rest).1;
            }
            if self.rest.is_empty() {
                return None;
            }
            let (line, behind) = split_line(self.rest);
            if let Some(header) = Header::read(line)
                && let Some(framed) = self.frame(&header, behind)
            {
                self.rest = framed.behind;
                return Some(Item { kind: header.kind, payload: framed.payload });
            }
            self.broken += 1;
            self.rest = behind;
            self.seek();
        }
    }
}

impl<'a> Items<'a> {
    fn new(rest: &'a [u8]) -> Items<'a> {
        Items { rest, broken: 0, looks_left: rest.len().saturating_mul(4) }
    }

    /// Where the payload of an item ends; none when nothing tells.
    fn frame(&mut self, header: &Header, rest: &'a [u8]) -> Option<Framed<'a>> {
        let (payload, behind) = split_line(rest);
        let line = Framed { payload, behind };
        let stated = match header.length {
            Length::Line => return Some(line),
            Length::Bytes(length) => rest.split_at_checked(length),
            Length::Wrong => None,
        };
        let stated = stated.map(|(payload, behind)| Framed { payload, behind });
        if let Some(stated) = stated {
            let is_end = stated.behind.is_empty()
                || stated.behind.starts_with(b"\n")
                || stated.behind.starts_with(b"\r\n");
            let is_believed = match (is_end, header.is_read()) {
                (true, false) => true,
                // On one line it is the only thing that it can be.
                (true, true) => !stated.payload.contains(&b'\n') || self.is_value(stated.payload),
                (false, false) => self.is_header(stated.behind),
                (false, true) => self.is_header(stated.behind) && self.is_value(stated.payload),
            };
            if is_believed || (is_end && !self.is_value(line.payload)) {
                return Some(stated);
            }
        }
        (header.is_read() && self.is_value(line.payload)).then_some(line)
    }

    /// Goes to the next line that is certainly the header of an item, or to the end.
    fn seek(&mut self) {
        while !self.rest.is_empty() {
            let (line, behind) = split_line(self.rest);
            if let Some(header) = Header::read(line).filter(|header| header.is_certain)
                && let Some(framed) = self.frame(&header, behind)
                && (!header.is_read() || self.is_value(framed.payload))
            {
                return;
            }
            self.rest = behind;
        }
    }

    /// Whether an item begins here.
    fn is_header(&mut self, bytes: &[u8]) -> bool {
        let line = split_line(bytes).0;
        self.spend(line.len().min(HEADER_BYTES_MAX))
            && Header::read(line).is_some_and(|header| header.is_certain)
    }

    /// Whether it is one value in JSON, as far as it can be repaired.
    fn is_value(&mut self, payload: &[u8]) -> bool {
        let bytes_max = 64 + payload.len().saturating_mul(4);
        self.spend(payload.len())
            && payload.trim_ascii_start().starts_with(b"{")
            // Repaired, each value ends its line.
            && repair::json(payload, bytes_max).is_some_and(|made| made.iter().filter(|b| **b == b'\n').count() == 1)
    }

    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.looks_left.checked_sub(bytes);
        self.looks_left = left.unwrap_or(0);
        left.is_some()
    }
}

/// The same envelope with its headers, and the payloads of items that are read, repaired; `None` when nothing is left of it.
pub(super) fn repaired(body: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let (line, rest) = split_line(body);
    let (mut out, mut items) = match whole(line, bytes_max) {
        Some(line) => (line, Items::new(rest)),
        None => (b"{}".to_vec(), open(body)?.1),
    };
    out.push(b'\n');
    for item in items.by_ref() {
        put(&mut out, &item, bytes_max);
        if out.len() > bytes_max {
            return None;
        }
    }
    for _ in 0..items.broken {
        out.extend_from_slice(BROKEN);
        if out.len() > bytes_max {
            return None;
        }
    }
    Some(out)
}

/// Adds an item, with its payload repaired when it is one that is read.
fn put(out: &mut Vec<u8>, item: &Item<'_>, bytes_max: usize) {
    let is_read = READ.contains(&&*item.kind);
    let repaired = if is_read { repair::json(item.payload, bytes_max) } else { None };
    let payload = repaired.as_deref().map_or(item.payload, <[u8]>::trim_ascii_end);
    let header = serde_json::json!({"length": payload.len(), "type": item.kind});
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
        held: Cell::new(0),
    };
    json::parse(std::str::from_utf8(line).ok()?, &bounds).ok()
}

#[cfg(test)]
mod tests;
