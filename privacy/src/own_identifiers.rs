//! The identifiers of an event, found in its own texts however they are written there.
//!
//! ```text
//! 7J0A123PAZ00001   also as   7j0a123paz00001, 7J0A-123P-AZ00-001, ７Ｊ０Ａ.., %37J0A.., 374a3041.., N0owQTEyM1BBWjAwMDAx
//! ```
//! Both sides are brought into one form: wide and other forms of characters are folded (Unicode's NFKC for what folds to
//! ASCII), accents and case dropped, what takes no room and everything that is neither letter nor digit left out. An identifier
//! whose parts stand in the reverse order, and a long one from its end to its beginning, are looked for as well. So are hexadecimal
//! numbers of it, as it is and in either case, base64 (at each of its three positions in a longer text, both alphabets), and
//! base64 of the bytes that a hexadecimal identifier stands for, in texts that have a run of eight letters and digits or of
//! numbers; these forms are made when the first such text comes.
//!
//! A text in which nothing is found is read in other ways, each only when a look at its bytes says that it can be:
//!
//! | read | when the text has |
//! |---|---|
//! | letters of other alphabets as those of ASCII that they look like (`fold/lookalikes.rs`) | such letters |
//! | escapes decoded, without colours of terminals (`fold.rs`) | `%`, `\`, `&`, `=`, an escape character |
//! | the rest of quoted-printable, tags of Unicode, colours without their escape (`spelled.rs`) | `=`, `[`, a tag |
//! | numbers as the characters that they are: hexadecimal, decimal, octal, binary (`spelled.rs`) | numbers in a row |
//!
//! How an identifier is looked for follows from what is left of it in that form:
//!
//! | letters and digits | found |
//! |---|---|
//! | fewer than 4, one character repeated, or words that programs use (`guest`, `camera`) | never: it would be in every text |
//! | 4 to 7; 8 to 11 without a digit | as a whole word; of the short ones separators only where the identifier has them, or the same between any two |
//! | digits only, 8 or more | not within a longer number |
//! | 8 or more with a digit, 12 or more | anywhere, also within words, with up to 4 bytes between any two |
//!
//! Invariants: what [`OwnIdentifiers::redact`] returns has none of them any more; the time that it takes grows with the text and no
//! faster, since there are so many readings and rounds at the most.
//! Not here: patterns that know no identifier (`scrub.rs`), which values are looked at (`shoal-ingest`, `pseudonymise.rs`).

use crate::{fold::lookalikes, route};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};

mod spelled;
mod view;

use spelled::{first_found, has_long_run, has_numbers};
use view::{Found, View};

/// What is left of an identifier in a text.
const REPLACEMENT: &str = "<identifier>";
/// An identifier with fewer letters and digits is in every other word.
const LENGTH_MIN: usize = 4;
/// With a digit: from here on an identifier is found within words.
const LONG_MIN: usize = 8;
/// Without a digit: from here on an identifier is found within words.
const LONG_WORD_MIN: usize = 12;
/// Bytes of an identifier of which base64 is looked for.
const ENCODED_BYTES_MIN: usize = 6;
/// Longest identifier that is looked for, in bytes.
const BYTES_MAX: usize = 256;
/// A text in which one is still found after so many rounds was made for that. Nothing of it is kept.
const ROUNDS_MAX: usize = 8;
/// Bits of the table of beginnings.
const TABLE_BITS: u32 = 16;
/// Identifiers that say nothing about whose they are, beside words of routes.
const COMMON: &[&str] =
    &["android", "anonymous", "exception", "identifier", "iphone", "tester", "undefined", "windows"];

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
    /// Which of these are looked for.
    are_sought: Vec<bool>,
    /// Whether their encodings are among the needles.
    is_encoded: bool,
    arena: Vec<u8>,
    needles: Vec<Needle>,
    /// One bit for each hash of the first four bytes of a needle.
    table: Vec<u64>,
    view: View,
}

impl Default for OwnIdentifiers {
    fn default() -> OwnIdentifiers {
        OwnIdentifiers {
            of: Vec::new(),
            are_sought: Vec::new(),
            is_encoded: false,
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
        self.are_sought.clear();
        self.is_encoded = false;
        let of = std::mem::take(&mut self.of);
        for identifier in of.iter().map(|id| id.trim()) {
            let is_sought = identifier.len() <= BYTES_MAX && self.add_plain(identifier);
            self.are_sought.push(is_sought);
            if let Some((local, _)) = identifier.split_once('@').filter(|_| is_sought) {
                self.add_plain(local);
            }
        }
        self.of = of;
        self.table.fill(0);
        self.note_beginnings(0);
    }

    /// Whether a text holds one of them, in any form.
    pub fn are_in(&mut self, text: &str) -> bool {
        self.may_search(text) && first_found(text, |reading| self.first_in(reading).then_some(())).is_some()
    }

    /// The text without them; none when it holds none. A text in which one is found only in another reading comes back in that.
    pub fn redact(&mut self, text: &str) -> Option<String> {
        if !self.may_search(text) {
            return None;
        }
        let mut current: Option<String> = None;
        for _ in 0..ROUNDS_MAX {
            match first_found(current.as_deref().unwrap_or(text), |reading| self.replace(reading)) {
                Some(next) => current = Some(next),
                None => return current,
            }
        }
        Some(REPLACEMENT.to_owned())
    }

    fn may_search(&self, text: &str) -> bool {
        !self.needles.is_empty() && text.len() >= LENGTH_MIN
    }

    /// Makes the encodings of the identifiers, once.
    fn encode(&mut self) {
        if self.is_encoded {
            return;
        }
        self.is_encoded = true;
        let (of, are_sought) = (std::mem::take(&mut self.of), std::mem::take(&mut self.are_sought));
        let known = self.needles.len();
        for (identifier, _) in of.iter().zip(&are_sought).filter(|(_, is_sought)| **is_sought) {
            self.add_encodings(identifier.trim());
        }
        (self.of, self.are_sought) = (of, are_sought);
        self.note_beginnings(known);
    }

    fn add_encodings(&mut self, identifier: &str) {
        self.add_encoded(identifier.as_bytes());
        for form in [identifier.to_ascii_lowercase(), identifier.to_ascii_uppercase()] {
            if form != identifier {
                self.add_encoded(form.as_bytes());
            }
        }
        let mut form = identifier.as_bytes().to_vec();
        form.retain(u8::is_ascii_alphanumeric);
        if let Ok(bytes) = hex::decode(form)
            && bytes.len() >= ENCODED_BYTES_MIN
        {
            self.add_base64(&bytes);
        }
    }

    fn add_encoded(&mut self, bytes: &[u8]) {
        if bytes.len() >= ENCODED_BYTES_MIN {
            self.add_base64(bytes);
        }
        let start = self.arena.len();
        self.arena.resize(start + 2 * bytes.len(), 0);
        // The room is as long as is asked for.
        let _ = hex::encode_to_slice(bytes, &mut self.arena[start..]);
        let is_number = self.arena[start..].iter().all(u8::is_ascii_digit);
        self.push(start, if is_number { Found::Number } else { Found::Anywhere });
    }

    /// Notes how needles from this one on begin.
    fn note_beginnings(&mut self, from: usize) {
        for needle in &self.needles[from..] {
            let hash = hash(window(&self.arena[needle.start..needle.end]));
            self.table[hash >> 6] |= 1 << (hash & 63);
        }
    }

    /// Adds the identifier itself, also as what it looks like; false when it is not looked for.
    fn add_plain(&mut self, identifier: &str) -> bool {
        let is_sought = self.add_read(identifier, false);
        (lookalikes::are_in(identifier) && self.add_read(identifier, true)) || is_sought
    }

    fn add_read(&mut self, identifier: &str, is_looked_at: bool) -> bool {
        self.view.fill(identifier, is_looked_at);
        let form = &self.view.small;
        let all_equal = form.iter().all(|b| Some(b) == form.first());
        let digits = form.iter().filter(|b| b.is_ascii_digit()).count();
        let is_common = || COMMON.iter().any(|word| identifier.eq_ignore_ascii_case(word));
        if form.len() < LENGTH_MIN
            || all_equal
            || (digits < 2 && (is_common() || route::is_named(identifier)))
        {
            return false;
        }
        let breaks: Vec<usize> = (1..form.len()).filter(|at| self.view.gaps[*at] > 0).collect();
        let found = |breaks: &mut dyn Iterator<Item = usize>| {
            let is_long = form.len() >= LONG_WORD_MIN || (digits > 0 && form.len() >= LONG_MIN);
            match is_long {
                true if digits == form.len() => Found::Number,
                true => Found::Anywhere,
                false if form.len() >= LONG_MIN => Found::Word { breaks: u32::MAX },
                false => Found::Word { breaks: breaks.fold(0, |bits, at| bits | 1 << at) },
            }
        };
        let (own, length) = (found(&mut breaks.iter().copied()), form.len());
        let reversed = found(&mut breaks.iter().map(|at| length - at));
        let start = self.arena.len();
        self.arena.extend_from_slice(form);
        self.push(start, own);
        if !breaks.is_empty() {
            self.add_reversed(start, length, &breaks, reversed);
        }
        if !matches!(own, Found::Word { .. }) {
            let each: Vec<usize> = (1..length).collect();
            self.add_reversed(start, length, &each, own);
        }
        true
    }

    /// Adds a form of the arena with its parts in the reverse order.
    fn add_reversed(&mut self, form: usize, length: usize, breaks: &[usize], found: Found) {
        let start = self.arena.len();
        let mut end = length;
        for begin in breaks.iter().rev().chain([&0]) {
            self.arena.extend_from_within(form + begin..form + end);
            end = *begin;
        }
        match self.arena[form..form + length] == self.arena[start..] {
            true => self.arena.truncate(start),
            false => self.push(start, found),
        }
    }

    /// Adds what base64 makes of these bytes wherever they begin in a longer text, without what depends on their neighbours.
    fn add_base64(&mut self, bytes: &[u8]) {
        let mut shifted = [0; BYTES_MAX + 2];
        let mut encoded = [0; 2 * BYTES_MAX];
        shifted[2..2 + bytes.len()].copy_from_slice(bytes);
        for (shift, begin) in [(0, 0), (1, 2), (2, 3)] {
            let shifted = &shifted[2 - shift..2 + bytes.len()];
            // Four thirds of so many bytes have room.
            let _ = BASE64_STANDARD_NO_PAD.encode_slice(shifted, &mut encoded);
            let end = shifted.len() * 8 / 6;
            let start = self.arena.len();
            self.arena.extend(encoded[begin..end].iter().filter(|b| b.is_ascii_alphanumeric()));
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
        self.may_hold(text)
            && view::looks(text).any(|is_looked_at| {
                self.view.fill(text, is_looked_at);
                (0..self.view.small.len()).any(|at| self.here(text, at).is_some())
            })
    }

    fn replace(&mut self, text: &str) -> Option<String> {
        if !self.may_hold(text) {
            return None;
        }
        view::looks(text).find_map(|is_looked_at| self.replace_read(text, is_looked_at))
    }

    fn replace_read(&mut self, text: &str, is_looked_at: bool) -> Option<String> {
        self.view.fill(text, is_looked_at);
        let mut out = String::new();
        let (mut copied, mut at) = (0, 0);
        while at < self.view.small.len() {
            let Some(length) = self.here(text, at) else {
                at += 1;
                continue;
            };
            let (start, end) = (self.view.starts[at] as usize, self.view.ends[at + length - 1] as usize);
            // One character may be the end of an identifier and the beginning of the next: the `ﬁ` is two letters.
            out.push_str(text.get(copied..start).unwrap_or_default());
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
    fn may_hold(&mut self, text: &str) -> bool {
        if has_long_run(text) || has_numbers(text) {
            self.encode();
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

#[cfg(test)]
mod tests;
