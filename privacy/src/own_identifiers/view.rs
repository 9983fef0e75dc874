//! A text in the form in which identifiers are compared: letters and digits only, without case and accents, and where each
//! of them stands in the text.
//!
//! Not here: which identifiers are looked for (`own_identifiers.rs`), how characters are folded (`fold.rs`).

use unicode_normalization::char::{decompose_canonical, is_combining_mark};

use crate::fold::{fold_char, lookalikes};

/// Bytes that may stand between two letters or digits of a long identifier.
const GAP_MAX: u8 = 4;
/// How a needle is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// As a whole word. The bits say before which of its bytes separators may stand; the same may stand before each.
    Word {
        breaks: u32,
    },
    /// Not within a longer number.
    Number,
    Anywhere,
    /// As `Anywhere`, and letters keep their case.
    Cased,
}

/// A text in the form that is searched, with the place of each byte in the text.
#[derive(Default)]
pub(super) struct View {
    /// With small letters.
    pub(super) small: Vec<u8>,
    /// With letters as they are.
    pub(super) cased: Vec<u8>,
    places: Vec<Place>,
    /// Bytes of characters that take no room since the last of them.
    hidden: u32,
}

/// Where a byte of the view is in the text.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    end: u32,
    /// Bytes between it and the one before it, without characters that take no room.
    gap: u8,
}

impl View {
    /// Takes the place of what was there. Characters are what they look like when they are to be read so.
    pub(super) fn fill(&mut self, text: &str, is_looked_at: bool) {
        let read = |c: char| if is_looked_at { lookalikes::ascii_of(c).unwrap_or(c) } else { c };
        self.small.clear();
        self.cased.clear();
        self.places.clear();
        self.hidden = 0;
        if text.is_ascii() {
            self.fill_ascii(text.as_bytes());
            return;
        }
        let mut folded = String::new();
        for (start, c) in text.char_indices() {
            let end = start + c.len_utf8();
            if c.is_ascii() {
                if c.is_ascii_alphanumeric() {
                    self.small.push((c as u8).to_ascii_lowercase());
                    self.cased.push(c as u8);
                    self.place(start, end);
                }
                continue;
            }
            folded.clear();
            fold_char(c, &mut folded);
            // What takes no room belongs to the character before it.
            if folded.is_empty() || is_combining_mark(c) {
                match self.places.last_mut().filter(|before| before.end == start as u32) {
                    Some(before) => before.end = end as u32,
                    None => self.hidden += c.len_utf8() as u32,
                }
                continue;
            }
            for c in folded.chars() {
                decompose_canonical(c, |part| {
                    let part = read(part);
                    if part.is_alphanumeric() && !is_combining_mark(part) {
                        self.push(part, start, end);
                    }
                });
            }
        }
    }

    /// The same as for other texts, and the quickest way for most.
    fn fill_ascii(&mut self, text: &[u8]) {
        self.small.reserve(text.len());
        self.cased.reserve(text.len());
        self.places.reserve(text.len());
        let mut last = None;
        for (start, byte) in (0u32..).zip(text).filter(|(_, byte)| byte.is_ascii_alphanumeric()) {
            let gap = start - last.unwrap_or(start);
            self.small.push(byte.to_ascii_lowercase());
            self.cased.push(*byte);
            self.places.push(Place { start, end: start + 1, gap: u8::try_from(gap).unwrap_or(u8::MAX) });
            last = Some(start + 1);
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
        self.place(start, end);
    }

    /// Says where the bytes are that were added since the last time.
    fn place(&mut self, start: usize, end: usize) {
        let (start, end) = (start as u32, end as u32);
        let last = self.places.last().map_or(start, |last| last.end + self.hidden);
        let gap = u8::try_from(start.saturating_sub(last)).unwrap_or(u8::MAX);
        self.places.push(Place { start, end, gap });
        self.places.resize(self.small.len(), Place { start, end, gap: 0 });
        self.hidden = 0;
    }

    /// Bytes of the text between a byte of the view and the one before it, without characters that take no room.
    pub(super) fn gap(&self, at: usize) -> u8 {
        self.places[at].gap
    }

    /// Where bytes of the view begin and end in the text.
    pub(super) fn range(&self, at: usize, length: usize) -> (usize, usize) {
        (self.places[at].start as usize, self.places[at + length - 1].end as usize)
    }

    /// Whether bytes of the view stand in the text as the kind of their needle asks.
    pub(super) fn is_valid(&self, text: &str, at: usize, length: usize, found: Found) -> bool {
        let gap = |n: usize| self.gap(at + n);
        let may_break = |n: usize| match found {
            Found::Word { breaks } => breaks >> n.min(31) & 1 == 1,
            _ => true,
        };
        let gaps_hold = (1..length).all(|n| gap(n) == 0 || (gap(n) <= GAP_MAX && may_break(n)))
            || self.is_spaced(text, at, length);
        let (start, end) = self.range(at, length);
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

    /// Whether the same separator stands between any two, as in `a-n-n-a`.
    fn is_spaced(&self, text: &str, at: usize, length: usize) -> bool {
        let separator = |n: usize| text.as_bytes().get(self.range(at + n - 1, 1).1);
        (1..=GAP_MAX).contains(&self.gap(at + 1))
            && (2..length).all(|n| self.gap(at + n) == self.gap(at + 1) && separator(n) == separator(1))
    }
}

/// The ways to look at the characters of a text: as they are, and as what they look like when that is another.
pub(super) fn looks(text: &str) -> impl Iterator<Item = bool> + use<> {
    [false, true].into_iter().take(1 + usize::from(lookalikes::are_in(text)))
}

/// Whether two characters are of one word: both letters or both digits, and no capital begins another word.
fn joins(left: Option<char>, right: Option<char>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return false };
    let letters =
        left.is_alphabetic() && right.is_alphabetic() && !(left.is_lowercase() && right.is_uppercase());
    letters || (left.is_numeric() && right.is_numeric())
}
