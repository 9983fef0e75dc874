//! The forms in which identifiers are looked for.
//!
//! An identifier as it is makes one form. The others, from its end to its beginning and encoded, are many, and are made only when
//! a text has a beginning of one of them. Invariant: each form that is made begins as was noted before.
//! Not here: how a text is read (`spelled.rs`, `view.rs`).

use std::ops::Range;

use super::beginnings::Beginnings;
use super::encodings::{self, Encoding};
use super::view::{Found, View};
use crate::{route, work::Work};

/// An identifier with fewer letters and digits is in every other word.
pub(super) const LENGTH_MIN: usize = 4;
/// With a digit: from here on an identifier is found within words.
const LONG_MIN: usize = 8;
/// Without a digit: from here on an identifier is found within words.
const LONG_WORD_MIN: usize = 12;
/// Identifiers that say nothing about whose they are, beside words of routes.
const COMMON: &[&str] =
    &["android", "anonymous", "exception", "identifier", "iphone", "tester", "undefined", "windows"];

/// A form of an identifier.
#[derive(Clone)]
struct Form {
    /// Where its bytes are in the arena.
    bytes: Range<usize>,
    found: Found,
}

/// The form of an identifier as it is.
struct Plain {
    form: Form,
    /// Where separators stand in it, as a range of all of them.
    breaks: Range<usize>,
    /// How its parts in the reverse order are found.
    reversed: Found,
}

/// The forms of some identifiers.
#[derive(Default)]
pub(super) struct Forms {
    arena: Vec<u8>,
    breaks: Vec<usize>,
    plain: Vec<Plain>,
    /// The other ones, as far as they were made.
    others: Vec<Form>,
    beginnings: Beginnings,
    /// Which of the identifiers have encodings that are looked for.
    encodable: Vec<usize>,
    are_reversed_made: bool,
    encodings: Encodings,
}

/// What is known of the encodings.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Encodings {
    #[default]
    Unknown,
    /// With what they begin.
    Noted,
    Made,
}

impl Forms {
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.breaks.clear();
        self.plain.clear();
        self.others.clear();
        self.beginnings.clear();
        self.encodable.clear();
        self.are_reversed_made = false;
        self.encodings = Encodings::Unknown;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty()
    }

    /// Adds an identifier as it is in this view of it; false when it is not looked for.
    pub(super) fn add_plain(&mut self, identifier: &str, view: &View) -> bool {
        let form = &view.small;
        let all_equal = form.iter().all(|b| Some(b) == form.first());
        let digits = form.iter().filter(|b| b.is_ascii_digit()).count();
        let is_common = || COMMON.iter().any(|word| identifier.eq_ignore_ascii_case(word));
        if form.len() < LENGTH_MIN
            || all_equal
            || (digits < 2 && (is_common() || route::is_named(identifier)))
        {
            return false;
        }
        let (start, first_break) = (self.arena.len(), self.breaks.len());
        self.arena.extend_from_slice(form);
        self.breaks.extend((1..form.len()).filter(|at| view.gap(*at) > 0));
        let breaks = &self.breaks[first_break..];
        let found = found(form.len(), digits, breaks.iter().copied());
        let reversed = self::found(form.len(), digits, breaks.iter().map(|at| form.len() - at));
        self.beginnings.note(form.iter().copied());
        if !breaks.is_empty() {
            self.beginnings.note(parts_reversed(form, breaks));
        }
        if !matches!(found, Found::Word { .. }) {
            self.beginnings.note(form.iter().rev().copied());
        }
        let form = Form { bytes: start..self.arena.len(), found };
        self.plain.push(Plain { form, breaks: first_break..self.breaks.len(), reversed });
        true
    }

    /// Encodings of the identifier with this number are looked for, too.
    pub(super) fn add_encodable(&mut self, identifier: usize) {
        self.encodable.push(identifier);
    }

    /// From now on texts may hold encodings of these identifiers.
    pub(super) fn note_encodings(&mut self, identifiers: &[String]) {
        if self.encodings == Encodings::Unknown {
            self.encodings = Encodings::Noted;
            for at in &self.encodable {
                encodings::each_beginning(identifiers[*at].trim(), &mut |bytes| {
                    self.beginnings.note(bytes.iter().copied());
                });
            }
        }
    }

    /// Whether a form may begin somewhere in a text.
    pub(super) fn may_begin_in(&self, text: &str) -> bool {
        self.beginnings.may_be_in(text)
    }

    /// Makes the forms whose beginnings were noted; returns how many bytes were made.
    pub(super) fn make(&mut self, identifiers: &[String]) -> usize {
        let before = self.arena.len();
        if !self.are_reversed_made {
            self.are_reversed_made = true;
            self.make_reversed();
        }
        if self.encodings == Encodings::Noted {
            self.encodings = Encodings::Made;
            self.make_encodings(identifiers);
        }
        self.arena.len() - before
    }

    fn make_reversed(&mut self) {
        for plain in &self.plain {
            let form = self.arena[plain.form.bytes.clone()].to_vec();
            let breaks = &self.breaks[plain.breaks.clone()];
            let parts = (!breaks.is_empty()).then(|| parts_reversed(&form, breaks).collect());
            let is_long = !matches!(plain.form.found, Found::Word { .. });
            let letters = is_long.then(|| form.iter().rev().copied().collect());
            for (other, found) in [(parts, plain.reversed), (letters, plain.form.found)] {
                let other: Vec<u8> = other.unwrap_or_default();
                if !other.is_empty() && other != form {
                    push(&mut self.arena, &mut self.others, &other, found);
                }
            }
        }
    }

    fn make_encodings(&mut self, identifiers: &[String]) {
        for at in &self.encodable {
            encodings::each(identifiers[*at].trim(), &mut |encoding, bytes| {
                let found = match encoding {
                    Encoding::Hexadecimal if bytes.iter().all(u8::is_ascii_digit) => Found::Number,
                    Encoding::Hexadecimal => Found::Anywhere,
                    Encoding::Base64 if bytes.len() >= LONG_MIN => Found::Cased,
                    Encoding::Base64 => return,
                };
                push(&mut self.arena, &mut self.others, bytes, found);
            });
        }
    }

    /// The length of the longest form that begins at a byte of the view of a text. Comparing takes a step for each form, and one
    /// for each byte of a form that is there.
    pub(super) fn longest_at(&self, view: &View, text: &str, at: usize, work: &mut Work) -> Option<usize> {
        let (small, cased) = (view.small.get(at..at + LENGTH_MIN)?, view.cased.get(at..at + LENGTH_MIN)?);
        if !self.beginnings.has(small) && !self.beginnings.has(cased) {
            return None;
        }
        if !work.spend((self.plain.len() + self.others.len()) as u64) {
            return None;
        }
        let is_here = |form: &&Form| {
            let bytes = &self.arena[form.bytes.clone()];
            let of = if form.found == Found::Cased { &view.cased } else { &view.small };
            of[at..].starts_with(bytes)
                && work.spend(bytes.len() as u64)
                && view.is_valid(text, at, bytes.len(), form.found)
        };
        let forms = self.plain.iter().map(|plain| &plain.form).chain(&self.others);
        forms.filter(is_here).map(|form| form.bytes.len()).max()
    }
}

/// How a form is found that has so many letters and digits, so many of them digits, and separators before these.
fn found(length: usize, digits: usize, breaks: impl Iterator<Item = usize>) -> Found {
    let is_long = length >= LONG_WORD_MIN || (digits > 0 && length >= LONG_MIN);
    match is_long {
        true if digits == length => Found::Number,
        true => Found::Anywhere,
        false if length >= LONG_MIN => Found::Word { breaks: u32::MAX },
        false => Found::Word { breaks: breaks.fold(0, |bits, at| bits | 1 << at) },
    }
}

/// The bytes of a form with its parts, which begin at these breaks, in the reverse order.
fn parts_reversed<'f>(form: &'f [u8], breaks: &'f [usize]) -> impl Iterator<Item = u8> + 'f {
    let begins = breaks.iter().rev().copied().chain([0]);
    let ends = [form.len()].into_iter().chain(breaks.iter().rev().copied());
    begins.zip(ends).flat_map(|(begin, end)| form[begin..end].iter().copied())
}

fn push(arena: &mut Vec<u8>, forms: &mut Vec<Form>, bytes: &[u8], found: Found) {
    let start = arena.len();
    arena.extend_from_slice(bytes);
    forms.push(Form { bytes: start..arena.len(), found });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_form_begins_as_was_noted(identifier in "[A-Za-z0-9ÿß+/@._ -]{4,40}|[0-9a-fA-F-]{12,36}|[Ff]{15}[0-9]") {
            let (mut forms, mut view) = (Forms::default(), View::default());
            view.fill(&identifier, false);
            forms.add_plain(&identifier, &view);
            let identifiers = [identifier];
            forms.add_encodable(0);
            forms.note_encodings(&identifiers);
            forms.make(&identifiers);
            for form in forms.plain.iter().map(|plain| &plain.form).chain(&forms.others) {
                let bytes = &forms.arena[form.bytes.clone()];
                prop_assert!(forms.beginnings.has(bytes), "{:?} of {}", String::from_utf8_lossy(bytes), identifiers[0]);
            }
        }
    }
}
