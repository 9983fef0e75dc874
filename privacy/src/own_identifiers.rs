//! The identifiers of an event, found in its own texts however they are written there.
//!
//! ```text
//! 7J0A123PAZ00001   also as   7j0a123paz00001, 7J0A-123P-AZ00-001, ７Ｊ０Ａ.., %37J0A.., 374a3041.., N0owQTEyM1BBWjAwMDAx
//! ```
//! Both sides are brought into one form: wide and other forms of characters are folded (Unicode's NFKC for what folds to
//! ASCII), accents and case dropped, escapes decoded, and everything that is neither letter nor digit left out. Base64 (at
//! each of its three positions in a longer text, both alphabets) and hexadecimal numbers of an identifier, as it is and in
//! either case, and base64 of the bytes that a hexadecimal identifier stands for, are looked for as well.
//!
//! How an identifier is looked for follows from what is left of it in that form:
//!
//! | letters and digits | found |
//! |---|---|
//! | fewer than 4, one character repeated, or words that programs use (`guest`, `camera`) | never: it would be in every text |
//! | 4 to 7; 8 to 11 without a digit | as a whole word; of the short ones separators only where the identifier has them |
//! | digits only, 8 or more | not within a longer number |
//! | 8 or more with a digit, 12 or more | anywhere, also within words, with up to 4 bytes between any two |
//!
//! Invariant: what [`OwnIdentifiers::redact`] returns has none of them any more.
//! Not here: patterns that know no identifier (`scrub.rs`), which values are looked at (`shoal-ingest`, `pseudonymise.rs`).

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use unicode_normalization::char::{decompose_canonical, is_combining_mark};

use crate::{
    fold::{decode, fold_char},
    route,
};

/// What is left of an identifier in a text.
const REPLACEMENT: &str = "<identifier>";
/// An identifier with fewer letters and digits is in every other word.
const LENGTH_MIN: usize = 4;
/// With a digit: from here on an identifier is found within words.
const LONG_MIN: usize = 8;
/// Without a digit: from here on an identifier is found within words.
const LONG_WORD_MIN: usize = 12;
/// Bytes of an identifier whose encodings are looked for.
const ENCODED_BYTES_MIN: usize = 6;
/// Bytes that may stand between two letters or digits of a long identifier.
const GAP_MAX: u32 = 4;
/// Longest identifier that is looked for, in bytes.
const BYTES_MAX: usize = 256;
/// Bits of the table of beginnings.
const TABLE_BITS: u32 = 16;
/// Identifiers that say nothing about whose they are, beside words of routes.
const COMMON: &[&str] = &["android", "anonymous", "exception", "iphone", "tester", "undefined", "windows"];

/// How a needle is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// As a whole word. The bits say before which of its bytes a separator may stand.
    Word {
        breaks: u32,
    },
    /// Not within a longer number.
    Number,
    Anywhere,
    /// As `Anywhere`, and letters keep their case.
    Cased,
}

/// A form of an identifier, as a range of the arena.
#[derive(Clone, Copy)]
struct Needle {
    start: usize,
    end: usize,
    found: Found,
}

/// The identifiers of one event, prepared. No `Debug`.
pub struct OwnIdentifiers {
    /// What they were prepared from.
    of: Vec<String>,
    arena: Vec<u8>,
    needles: Vec<Needle>,
    /// One bit for each hash of the first four bytes of a needle.
    table: Vec<u64>,
    view: View,
}

/// A text in the form that is searched, with the place of each byte in the text.
#[derive(Default)]
struct View {
    small: Vec<u8>,
    cased: Vec<u8>,
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl Default for OwnIdentifiers {
    fn default() -> OwnIdentifiers {
        OwnIdentifiers {
            of: Vec::new(),
            arena: Vec::new(),
            needles: Vec::new(),
            table: vec![0; 1 << (TABLE_BITS - 6)],
            view: View::default(),
        }
    }
}

impl OwnIdentifiers {
    /// Looks for these from now on. Events of one batch often have the same: then nothing is done.
    pub fn prepare<'i>(&mut self, identifiers: impl Iterator<Item = &'i str> + Clone) {
        if identifiers.clone().eq(self.of.iter().map(String::as_str)) {
            return;
        }
        self.of.clear();
        self.of.extend(identifiers.map(str::to_owned));
        self.arena.clear();
        self.needles.clear();
        let of = std::mem::take(&mut self.of);
        for identifier in of.iter().map(|id| id.trim()).filter(|id| id.len() <= BYTES_MAX) {
            self.add(identifier);
            if let Some((local, _)) = identifier.split_once('@') {
                self.add_plain(local);
            }
        }
        self.of = of;
        self.table.fill(0);
        for needle in &self.needles {
            let hash = hash(window(&self.arena[needle.start..needle.end]));
            self.table[hash >> 6] |= 1 << (hash & 63);
        }
    }

    /// Whether a text holds one of them, in any form.
    pub fn are_in(&mut self, text: &str) -> bool {
        self.first_in(text) || decode(text).is_some_and(|decoded| self.first_in(&decoded))
    }

    /// The text without them; none when it holds none. A text in which one is found only behind escapes comes back decoded.
    pub fn redact(&mut self, text: &str) -> Option<String> {
        let redacted = self.replace(text);
        let current = redacted.as_deref().unwrap_or(text);
        decode(current).and_then(|decoded| self.replace(&decoded)).or(redacted)
    }

    fn add(&mut self, identifier: &str) {
        if !self.add_plain(identifier) {
            return;
        }
        let (small, large) = (identifier.to_lowercase(), identifier.to_uppercase());
        let mut forms = vec![identifier.as_bytes()];
        for form in [small.as_bytes(), large.as_bytes()] {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
        for form in forms.into_iter().filter(|form| form.len() >= ENCODED_BYTES_MIN) {
            self.add_base64(form);
            let start = self.arena.len();
            self.arena.extend(hex::encode(form).bytes());
            self.push(start, Found::Anywhere);
        }
        let digits: String = identifier.chars().filter(char::is_ascii_alphanumeric).collect();
        if let Ok(bytes) = hex::decode(digits)
            && bytes.len() >= ENCODED_BYTES_MIN
        {
            self.add_base64(&bytes);
        }
    }

    /// Adds the identifier itself; false when it is not looked for.
    fn add_plain(&mut self, identifier: &str) -> bool {
        let view = View::of(identifier);
        let form = &view.small;
        let all_equal = form.iter().all(|b| Some(b) == form.first());
        let lower = identifier.to_lowercase();
        if form.len() < LENGTH_MIN || all_equal || route::is_named(identifier) || COMMON.contains(&&*lower) {
            return false;
        }
        let digits = form.iter().filter(|b| b.is_ascii_digit()).count();
        let is_long = form.len() >= LONG_WORD_MIN || (digits > 0 && form.len() >= LONG_MIN);
        let found = match is_long {
            true if digits == form.len() => Found::Number,
            true => Found::Anywhere,
            false if form.len() >= LONG_MIN => Found::Word { breaks: u32::MAX },
            false => {
                let gaps = (1..form.len()).filter(|at| view.starts[*at] > view.ends[at - 1]);
                Found::Word { breaks: gaps.fold(0, |bits, at| bits | 1 << at) }
            }
        };
        let start = self.arena.len();
        self.arena.extend_from_slice(form);
        self.push(start, found);
        true
    }

    /// Adds what base64 makes of these bytes wherever they begin in a longer text, without what depends on their neighbours.
    fn add_base64(&mut self, bytes: &[u8]) {
        let mut shifted = Vec::with_capacity(bytes.len() + 2);
        for (shift, begin) in [(0, 0), (1, 2), (2, 3)] {
            shifted.clear();
            shifted.resize(shift, 0);
            shifted.extend_from_slice(bytes);
            let encoded = BASE64_STANDARD_NO_PAD.encode(&shifted);
            let end = shifted.len() * 8 / 6;
            let start = self.arena.len();
            self.arena.extend(encoded.as_bytes()[begin..end].iter().filter(|b| b.is_ascii_alphanumeric()));
            if self.arena.len() - start >= LONG_MIN {
                self.push(start, Found::Cased);
            } else {
                self.arena.truncate(start);
            }
        }
    }

    fn push(&mut self, start: usize, found: Found) {
        self.needles.push(Needle { start, end: self.arena.len(), found });
    }

    fn first_in(&mut self, text: &str) -> bool {
        self.may_hold(text) && {
            self.view.fill(text);
            (0..self.view.small.len()).any(|at| self.here(text, at).is_some())
        }
    }

    fn replace(&mut self, text: &str) -> Option<String> {
        if !self.may_hold(text) {
            return None;
        }
        self.view.fill(text);
        let mut out = String::new();
        let (mut copied, mut at) = (0, 0);
        while at < self.view.small.len() {
            let Some(length) = self.here(text, at) else {
                at += 1;
                continue;
            };
            let (start, end) = (self.view.starts[at] as usize, self.view.ends[at + length - 1] as usize);
            out.push_str(&text[copied..start]);
            out.push_str(REPLACEMENT);
            copied = end;
            at += length;
        }
        if copied == 0 {
            return None;
        }
        out.push_str(&text[copied..]);
        Some(out)
    }

    /// One pass without memory, which tells most texts that hold none.
    fn may_hold(&self, text: &str) -> bool {
        if self.needles.is_empty() || text.len() < LENGTH_MIN {
            return false;
        }
        let (mut small, mut cased, mut count) = (0u32, 0u32, 0usize);
        for byte in text.bytes() {
            if !byte.is_ascii() {
                return true;
            }
            if byte.is_ascii_alphanumeric() {
                small = small << 8 | u32::from(byte.to_ascii_lowercase());
                cased = cased << 8 | u32::from(byte);
                count += 1;
                if count >= 4 && (self.begins(small) || self.begins(cased)) {
                    return true;
                }
            }
        }
        false
    }

    fn begins(&self, window: u32) -> bool {
        let hash = hash(window);
        self.table[hash >> 6] >> (hash & 63) & 1 == 1
    }

    /// The length of the longest identifier that begins at a byte of the view.
    fn here(&self, text: &str, at: usize) -> Option<usize> {
        let view = &self.view;
        let (small, cased) = (view.small.get(at..at + 4)?, view.cased.get(at..at + 4)?);
        if !self.begins(window(small)) && !self.begins(window(cased)) {
            return None;
        }
        let is_here = |needle: &&Needle| {
            let form = &self.arena[needle.start..needle.end];
            let of = if needle.found == Found::Cased { &view.cased } else { &view.small };
            of[at..].starts_with(form) && view.is_valid(text, at, form.len(), needle.found)
        };
        self.needles.iter().filter(is_here).map(|needle| needle.end - needle.start).max()
    }
}

fn window(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |window, byte| window << 8 | u32::from(*byte))
}

fn hash(window: u32) -> usize {
    (window.wrapping_mul(0x9e37_79b1) >> (32 - TABLE_BITS)) as usize
}

impl View {
    fn of(text: &str) -> View {
        let mut view = View::default();
        view.fill(text);
        view
    }

    fn fill(&mut self, text: &str) {
        self.small.clear();
        self.cased.clear();
        self.starts.clear();
        self.ends.clear();
        let mut folded = String::new();
        for (start, c) in text.char_indices() {
            let end = start + c.len_utf8();
            if c.is_ascii() {
                if c.is_ascii_alphanumeric() {
                    self.push(c, start, end);
                }
                continue;
            }
            folded.clear();
            fold_char(c, &mut folded);
            // What takes no room belongs to the character before it.
            if (folded.is_empty() || is_combining_mark(c))
                && let Some(before) = self.ends.last_mut().filter(|before| **before == start as u32)
            {
                *before = end as u32;
                continue;
            }
            for c in folded.chars() {
                decompose_canonical(c, |part| {
                    if part.is_alphanumeric() && !is_combining_mark(part) {
                        self.push(part, start, end);
                    }
                });
            }
        }
    }

    fn push(&mut self, c: char, start: usize, end: usize) {
        let before = self.small.len();
        if c.is_ascii() {
            self.small.push((c as u8).to_ascii_lowercase());
            self.cased.push(c as u8);
        } else {
            for small in c.to_lowercase() {
                self.small.extend_from_slice(small.encode_utf8(&mut [0; 4]).as_bytes());
            }
            self.cased.extend_from_slice(&self.small[before..]);
        }
        self.starts.resize(self.small.len(), start as u32);
        self.ends.resize(self.small.len(), end as u32);
    }

    /// Whether bytes of the view stand in the text as the kind of their needle asks.
    fn is_valid(&self, text: &str, at: usize, length: usize, found: Found) -> bool {
        let gaps_hold = (1..length).all(|n| {
            let gap = self.starts[at + n].saturating_sub(self.ends[at + n - 1]);
            match found {
                Found::Word { breaks } => gap <= breaks >> n.min(31) & 1,
                _ => gap <= GAP_MAX,
            }
        });
        let (start, end) = (self.starts[at] as usize, self.ends[at + length - 1] as usize);
        let (before, after) = (text[..start].chars().next_back(), text[end..].chars().next());
        gaps_hold
            && match found {
                Found::Anywhere | Found::Cased => true,
                Found::Number => ![before, after].into_iter().flatten().any(|c| c.is_ascii_digit()),
                Found::Word { .. } => {
                    let (first, last) = (text[start..].chars().next(), text[..end].chars().next_back());
                    !joins(before, first) && !joins(last, after)
                }
            }
    }
}

/// Whether two characters are of one word: both letters or both digits, and no capital begins another word.
fn joins(left: Option<char>, right: Option<char>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return false };
    let letters =
        left.is_alphabetic() && right.is_alphabetic() && !(left.is_lowercase() && right.is_uppercase());
    letters || (left.is_numeric() && right.is_numeric())
}

#[cfg(test)]
mod tests;
