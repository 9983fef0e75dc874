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
    pub(super) starts: Vec<u32>,
    pub(super) ends: Vec<u32>,
    /// Bytes between each of them and the one before it, without characters that take no room.
    pub(super) gaps: Vec<u8>,
    /// Bytes of such characters since the last of them.
    hidden: u32,
}

impl View {
    /// Takes the place of what was there. Characters are what they look like when they are to be read so.
    pub(super) fn fill(&mut self, text: &str, is_looked_at: bool) {
        let read = |c: char| if is_looked_at { lookalikes::ascii_of(c).unwrap_or(c) } else { c };
        self.small.clear();
        self.cased.clear();
        self.starts.clear();
        self.ends.clear();
        self.gaps.clear();
        self.hidden = 0;
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
            if folded.is_empty() || is_combining_mark(c) {
                match self.ends.last_mut().filter(|before| **before == start as u32) {
                    Some(before) => *before = end as u32,
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

    fn push(&mut self, c: char, start: usize, end: usize) {
        let before = self.small.len();
        let last = self.ends.last().map_or(start as u32, |last| last + self.hidden);
        let gap = (start as u32).saturating_sub(last);
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
        self.gaps.push(u8::try_from(gap).unwrap_or(u8::MAX));
        self.gaps.resize(self.small.len(), 0);
        self.hidden = 0;
    }

    /// Whether bytes of the view stand in the text as the kind of their needle asks.
    pub(super) fn is_valid(&self, text: &str, at: usize, length: usize, found: Found) -> bool {
        let gap = |n: usize| self.gaps[at + n];
        let may_break = |n: usize| match found {
            Found::Word { breaks } => breaks >> n.min(31) & 1 == 1,
            _ => true,
        };
        let gaps_hold = (1..length).all(|n| gap(n) == 0 || (gap(n) <= GAP_MAX && may_break(n)))
            || self.is_spaced(text, at, length);
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

    /// Whether the same separator stands between any two, as in `a-n-n-a`.
    fn is_spaced(&self, text: &str, at: usize, length: usize) -> bool {
        let separator = |n: usize| text.as_bytes().get(self.ends[at + n - 1] as usize);
        (1..=GAP_MAX).contains(&self.gaps[at + 1])
            && (2..length).all(|n| self.gaps[at + n] == self.gaps[at + 1] && separator(n) == separator(1))
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
