//! What a resend of an event is recognised by: the text whose keyed digest is the event's id in the tables.
//!
//! | the event has | its text is made of | so that |
//! |---|---|---|
//! | an id with at least 64 random bits | app and id | a login between two sends makes no second event |
//! | a shorter id, and somebody who counts | app, id, and the first of install, device, serial and user | two phones that both count from 1 lose nothing |
//! | none of these, and a time of its own by the client's clock | app and content with that time, uncorrected | a resend counts once however much later it comes |
//! | no time either | app, content, and the five seconds of its receipt | a resend counts once within a minute |
//!
//! Content is all that the event says: its names, its values by the names of their columns, its session, and a short id of nobody's.
//! A definition that has gained a property since, by which columns have other positions, makes no second event of a resend.
//!
//! Invariants: nothing that a client's library stamps anew at each sending (`sent_at`) is in a text, so that a retry is known;
//! neither are the country, the corrected time, and the subject, which a login changes. The
//! other digests of an event are those under which the same event may be known already: the forms of before there were
//! scopes and of when values went by the positions of their columns, and the five seconds before those of its receipt. Nothing is ever
//! remembered under these.
//! Not here: where ids are remembered (`dedup`), the key (`shoal_privacy::keyring`).

use std::fmt::{self, Write as _};

use shoal_privacy::{identifier::Forms, pseudonym::Digester};
use shoal_schemas::IdentifierKind;

use crate::{
    dictionary::Dictionary,
    stages::{frames::Frame, row, validate::ValidEvent, value::Checked},
};

/// Without an id and a time of the client, what comes in so many ms is told apart by nothing.
const RECEIPT_MS: i64 = 5_000;
/// Spans of receipt that are looked at before an event's own: whatever came within a minute before it is in one of them.
const RECEIPTS_BEFORE: i64 = 12;

/// What an event is remembered under, and what else it may be known under.
pub(crate) struct EventId {
    pub(crate) digest: [u8; 16],
    /// Fingerprints of the other digests.
    pub(crate) others: Vec<u64>,
}

/// What a value of the content goes by.
#[derive(Clone, Copy)]
enum Columns {
    /// The name of its column.
    Named,
    /// Its position, which is another one when a table gains columns: as events were known before.
    Numbered,
}

/// Makes the digests of one app's events. Its buffers are used again for each event.
pub(crate) struct EventIds<'x> {
    app: &'x str,
    /// When the request came, ms since 1970.
    received_ms: i64,
    /// The names of columns, by table.
    names: &'x Dictionary,
    text: String,
    order: Vec<usize>,
}

/// An event and its values, of which the content is made.
#[derive(Clone, Copy)]
pub(crate) struct Content<'x, 'a> {
    pub(crate) event: &'x ValidEvent<'a>,
    pub(crate) values: &'x [(u16, Checked<'a>)],
}

impl<'x> EventIds<'x> {
    pub(crate) fn new(app: &'x str, received_ms: i64, names: &'x Dictionary) -> EventIds<'x> {
        EventIds { app, received_ms, names, text: String::new(), order: Vec::new() }
    }

    /// The digests of one event.
    pub(crate) fn of(&mut self, digester: &Digester, content: Content<'_, '_>) -> EventId {
        let event = content.event;
        match &event.id {
            Some(id) if has_random_bits(id) => self.unscoped(digester, id),
            Some(id) => {
                let mut event_id = match self.scoped(digester, id, event) {
                    Some(scoped) => scoped,
                    None => self.of_content(digester, content),
                };
                let before = self.unscoped(digester, id);
                event_id.others.push(row::fingerprint(&before.digest));
                event_id
            }
            None => self.of_content(digester, content),
        }
    }

    /// App and id.
    fn unscoped(&mut self, digester: &Digester, id: &str) -> EventId {
        self.begin("id");
        self.text.push('\u{1f}');
        self.text.push_str(id);
        EventId { digest: digester.digest(&self.text), others: Vec::new() }
    }

    /// App, whoever counts ids, and the id; none when nobody is named.
    fn scoped(&mut self, digester: &Digester, id: &str, event: &ValidEvent<'_>) -> Option<EventId> {
        let ids = &event.ids;
        let scopes = [
            ("install", IdentifierKind::Install, &ids.install),
            ("device", IdentifierKind::Device, &ids.device),
            ("serial", IdentifierKind::Serial, &ids.serial),
            ("user", IdentifierKind::User, &ids.user),
        ];
        let (name, forms) = scopes
            .into_iter()
            .find_map(|(name, kind, value)| Some((name, Forms::of(kind, value.as_deref()?))))?;
        let value = forms.canonical();
        self.begin("scoped");
        let _ = write!(self.text, "\u{1f}{name}\u{1f}{}:{value}\u{1f}{id}", value.len());
        Some(EventId { digest: digester.digest(&self.text), others: Vec::new() })
    }

    fn of_content(&mut self, digester: &Digester, content: Content<'_, '_>) -> EventId {
        if let Some(client_ms) = content.event.client_ms {
            self.begin("named content of client time");
            self.put_content(content, Some(client_ms), Columns::Named);
            let digest = digester.digest(&self.text);
            self.begin("content of client time");
            self.put_content(content, Some(client_ms), Columns::Numbered);
            let mut others = vec![row::fingerprint(&digester.digest(&self.text))];
            if content.event.id.is_none() {
                self.put_former_content(content);
                others.push(row::fingerprint(&digester.digest(&self.text)));
            }
            return EventId { digest, others };
        }
        self.begin("named content of receipt");
        self.put_content(content, None, Columns::Named);
        let end = self.text.len();
        let receipt = self.received_ms.div_euclid(RECEIPT_MS);
        let mut digest_of = |receipt: i64| {
            self.text.truncate(end);
            let _ = write!(self.text, "\u{1f}{receipt}");
            digester.digest(&self.text)
        };
        let before = (receipt - RECEIPTS_BEFORE..receipt).rev();
        let others = before.map(|before| row::fingerprint(&digest_of(before))).collect();
        EventId { digest: digest_of(receipt), others }
    }

    fn begin(&mut self, form: &str) {
        self.text.clear();
        self.text.push_str(self.app);
        self.text.push('\u{1f}');
        self.text.push_str(form);
    }

    /// Everything that the event says, in an order of its own, and the time.
    fn put_content(&mut self, content: Content<'_, '_>, time_ms: Option<i64>, columns: Columns) {
        self.put_names(content.event);
        if let Some(id) = &content.event.id {
            let _ = write!(self.text, "\u{1f}id={}:{id}", id.len());
        }
        if let Some(time_ms) = time_ms {
            let _ = write!(self.text, "\u{1f}{time_ms}");
        }
        self.order.clear();
        self.order.extend(0..content.values.len());
        let of_table = self.names.columns.get(content.event.def.kind.index()).map_or(&[][..], Vec::as_slice);
        let name = |column: u16| of_table.get(usize::from(column)).map_or("", String::as_str);
        match columns {
            Columns::Named => self.order.sort_by_key(|at| name(content.values[*at].0)),
            Columns::Numbered => self.order.sort_by_key(|at| content.values[*at].0),
        }
        for at in &self.order {
            let (column, value) = &content.values[*at];
            match columns {
                Columns::Named => put_value(&mut self.text, name(*column), value),
                Columns::Numbered => put_value(&mut self.text, column, value),
            }
        }
        content.event.frames.iter().for_each(|frame: &Frame<'_>| frame.put_into(&mut self.text));
    }

    /// The text of an event without an id as it was before there were scopes.
    fn put_former_content(&mut self, content: Content<'_, '_>) {
        self.begin("content");
        self.put_names(content.event);
        let _ = write!(self.text, "\u{1f}{}", content.event.time_ms);
        for (column, value) in content.values {
            put_value(&mut self.text, column, value);
        }
    }

    fn put_names(&mut self, event: &ValidEvent<'_>) {
        let ids = &event.ids;
        let parts = [
            Some(event.def.name.as_str()),
            ids.user.as_deref(),
            ids.install.as_deref(),
            ids.device.as_deref(),
            ids.serial.as_deref(),
            ids.session.as_deref(),
        ];
        for part in parts {
            let part = part.unwrap_or_default();
            let _ = write!(self.text, "\u{1f}{}:{part}", part.len());
        }
    }
}

fn put_value(out: &mut String, column: impl fmt::Display, value: &Checked<'_>) {
    let _ = match value {
        Checked::Text(text, _) => write!(out, "\u{1f}{column}={}:{text}", text.len()),
        Checked::Integer(number) => write!(out, "\u{1f}{column}={number}"),
        Checked::Boolean(flag) => write!(out, "\u{1f}{column}={flag}"),
    };
}

/// Different hexadecimal digits that 16 random ones have, but for one in ten thousand.
const HEX_DISTINCT_MIN: u32 = 6;
const HEX_DIGITS_MIN: usize = 16;
/// Characters of a random token; 20 of an alphabet of 36 are more than 100 bits.
const TOKEN_CHARS_MIN: usize = 20;
const TOKEN_DISTINCT_MIN: u32 = 10;
const ULID_CHARS: usize = 26;
const UUID_CHARS: usize = 36;

/// Whether an id holds at least 64 bits that look random, so that no two devices make the same: a UUID of version 4 or 7, 16
/// or more hexadecimal digits (letters among them), a ULID, or 20 or more letters and digits without an order. Counters,
/// clocks and words are none of these, however long they are: what is in doubt is not random, since an id that is taken for
/// random without being so loses the events of others.
fn has_random_bits(id: &str) -> bool {
    let bytes = id.as_bytes();
    if bytes.len() < HEX_DIGITS_MIN {
        return false;
    }
    bytes.windows(UUID_CHARS).any(is_random_uuid)
        || bytes.split(|b| !b.is_ascii_alphanumeric()).any(|word| is_random_hex(word) || is_ulid(word))
        || bytes.split(|b| !b.is_ascii_alphanumeric() && !b"-_".contains(b)).any(is_random_token)
}

fn is_uuid(text: &[u8]) -> bool {
    let is_formed = |(at, b): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *b == b'-',
        _ => b.is_ascii_hexdigit(),
    };
    text.len() == UUID_CHARS && text.iter().enumerate().all(is_formed)
}

fn is_random_uuid(text: &[u8]) -> bool {
    is_uuid(text)
        && matches!(text[14], b'4' | b'7')
        && b"89abAB".contains(&text[19])
        // Both versions are random in the last two groups.
        && distinct(&text[19..]) > HEX_DISTINCT_MIN
}

fn is_random_hex(word: &[u8]) -> bool {
    word.len() >= HEX_DIGITS_MIN
        && word.iter().all(u8::is_ascii_hexdigit)
        && word.iter().any(u8::is_ascii_alphabetic)
        && distinct(word) >= HEX_DISTINCT_MIN
}

fn is_ulid(word: &[u8]) -> bool {
    let is_crockford = |b: &u8| b.is_ascii_alphanumeric() && !b"ILOU".contains(&b.to_ascii_uppercase());
    word.len() == ULID_CHARS
        && matches!(word[0], b'0'..=b'7')
        && word.iter().all(is_crockford)
        && distinct(word) >= TOKEN_DISTINCT_MIN
        && changes(word) * 4 >= word.len()
}

fn is_random_token(word: &[u8]) -> bool {
    word.len() >= TOKEN_CHARS_MIN
        && !is_uuid(word)
        && word.iter().any(u8::is_ascii_digit)
        && word.iter().any(u8::is_ascii_alphabetic)
        && distinct(word) >= TOKEN_DISTINCT_MIN
        && changes(word) * 3 >= word.len()
}

/// How many different characters there are, without regard to case.
fn distinct(word: &[u8]) -> u32 {
    word.iter().fold(0u128, |seen, b| seen | 1 << (b.to_ascii_lowercase() & 0x7f)).count_ones()
}

/// How often a small letter, a capital one and a digit follow one of another kind, without regard to signs between them. Words
/// and numbers do so rarely.
fn changes(word: &[u8]) -> usize {
    let kinds = word.iter().filter_map(|b| match b {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        _ => None,
    });
    let mut last = None;
    kinds.filter(|kind| last.replace(*kind).is_some_and(|last| last != *kind)).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn random_ids_are_told_from_counters_clocks_and_words() {
        for random in [
            "5f0c6f0e-6f0a-4b62-8f0c-0d4a0f7f9a11",
            "018F2C6E-7D40-7A3B-9C1D-2E3F4A5B6C7D",
            "node-next-1795317552512-3f2a1c9e-8b7d-4e6f-a5c4-1b2d3e4f5a6b",
            "7fb795e5a72c4384ac91789f6072bd4b",
            "7fb795e5a72c4384ac91789f6072bd4b/9e107d9d372bb682",
            "ajs-next-1795317552512-7fb795e5a72c4384",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "V1StGXR8_Z5jdHi6B-myT",
            "0ujtsYcgvSTl8PAuAdqWYSMnLOv",
        ] {
            assert!(has_random_bits(random), "{random}");
        }
        for short in [
            "",
            "7",
            "1795348800000",
            "1795348800000000000",
            "1795348800000-17",
            "00000000000000000000000000000007",
            "00000000-0000-0000-0000-000000000007",
            "00000000-0000-4000-8000-000000000007",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
            "2026-11-22T12:00:00.000Z-0017",
            "Order-2026-11-22-T12-User",
            "app_open_of_the_living_room_camera_17",
            "screenviewofthelivingroom",
            "00000000ffffffff",
            "user42session17event3",
        ] {
            assert!(!has_random_bits(short), "{short}");
        }
    }

    proptest! {
        #[test]
        fn every_uuid_of_version_4_is_random(bytes in any::<[u8; 16]>()) {
            let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
            // The generator of cases makes some that nobody draws.
            prop_assume!(distinct(&uuid.to_string().as_bytes()[19..]) > HEX_DISTINCT_MIN);
            prop_assert!(has_random_bits(&uuid.to_string()));
        }

        #[test]
        fn no_number_is_random_and_any_text_is_judged(number in any::<u128>(), text in ".{0,60}") {
            prop_assert!(!has_random_bits(&number.to_string()));
            let _ = has_random_bits(&text);
        }
    }
}
