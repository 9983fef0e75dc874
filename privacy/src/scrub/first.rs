//! Where a regular expression need not be tried: what the first characters of each match of it can be, what the others are made
//! of, and how long it is at least.
//!
//! All of it follows from the expression. A necessary condition only, like the scan (`scan.rs`).

use regex_syntax::hir::{Class, Hir, HirKind};

/// Bytes that are looked at before a regular expression is tried, at the most.
const LOOKED_AT_MAX: usize = 40;
/// Bytes at the beginning of a match of which each place is known. The bit behind theirs is for all places.
const PLACES: usize = 7;
const ANYWHERE: u8 = 1 << PLACES;

/// What the matches of an expression have in common.
pub(super) struct Start {
    /// For each byte at which places of a match it can be: bit 0 is for the first one, the last bit for any.
    places: Box<[u8; 256]>,
    /// Fewest bytes of one.
    len_min: usize,
}

impl Start {
    /// Of an expression in verbose mode; none when it does not parse, or can match the empty text.
    pub(super) fn of(pattern: &str) -> Option<Start> {
        let hir = regex_syntax::ParserBuilder::new().ignore_whitespace(true).build().parse(pattern).ok()?;
        let len_min = hir.properties().minimum_len()?.min(LOOKED_AT_MAX);
        let mut places = Box::new([0; 256]);
        add(&hir, 1, &mut places);
        (len_min > 0).then_some(Start { places, len_min })
    }

    /// Whether a match can begin with this byte.
    pub(super) fn begins(&self, byte: u8) -> bool {
        self.places[usize::from(byte)] & 1 != 0
    }

    /// Whether a match can be where these bytes begin.
    pub(super) fn may_be(&self, bytes: &[u8]) -> bool {
        let Some(bytes) = bytes.get(..self.len_min) else { return false };
        let (first, others) = bytes.split_at(self.len_min.min(PLACES));
        let can_be = |byte: &u8, places: u8| self.places[usize::from(*byte)] & places != 0;
        first.iter().enumerate().all(|(at, byte)| can_be(byte, 1 << at))
            && others.iter().all(|byte| can_be(byte, ANYWHERE))
    }
}

/// Adds where the bytes of a part can be that begins at one of some places, a bit for each; gives where what follows it can begin.
/// Places behind the last one have no bit.
fn add(hir: &Hir, begins: u8, places: &mut [u8; 256]) -> u8 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => begins,
        HirKind::Literal(literal) => literal.0.iter().fold(begins, |at, byte| {
            places[usize::from(*byte)] |= at | ANYWHERE;
            next(at)
        }),
        HirKind::Class(class) => add_class(class, begins, places),
        HirKind::Repetition(repeated) => {
            let mut ends = if repeated.min == 0 { begins } else { 0 };
            let mut at = begins;
            // Once more than there are places: then all of them are known.
            for times in 1..=PLACES as u32 + 1 {
                if repeated.max.is_some_and(|max| times > max) {
                    break;
                }
                at = add(&repeated.sub, at, places);
                if times >= repeated.min.min(PLACES as u32 + 1) {
                    ends |= at;
                }
            }
            ends
        }
        HirKind::Capture(group) => add(&group.sub, begins, places),
        HirKind::Concat(parts) => parts.iter().fold(begins, |at, part| add(part, at, places)),
        HirKind::Alternation(parts) => parts.iter().fold(0, |ends, part| ends | add(part, begins, places)),
    }
}

/// The places behind some places.
fn next(at: u8) -> u8 {
    (at << 1) & !ANYWHERE
}

/// Adds the bytes of a class. Of characters that are not ASCII all bytes that they may have.
fn add_class(class: &Class, begins: u8, places: &mut [u8; 256]) -> u8 {
    let mut set = |from: usize, to: usize, at: u8| {
        places[from..=to].iter_mut().for_each(|place| *place |= at | ANYWHERE);
    };
    let mut ends = next(begins);
    match class {
        Class::Unicode(class) => {
            for range in class.ranges() {
                let (start, end) = (u32::from(range.start()) as usize, u32::from(range.end()) as usize);
                if start < 0x80 {
                    set(start, end.min(0x7f), begins);
                }
                if end >= 0x80 {
                    let mut at = begins;
                    for _ in 0..4 {
                        set(0x80, 0xff, at);
                        at = next(at);
                        ends |= at;
                    }
                }
            }
        }
        Class::Bytes(class) => {
            for range in class.ranges() {
                set(usize::from(range.start()), usize::from(range.end()), begins);
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::Start;

    fn of(pattern: &str) -> String {
        let start = Start::of(pattern).unwrap();
        (0..=0x7fu8).filter(|b| start.begins(*b)).map(char::from).collect()
    }

    #[test]
    fn what_may_come_first_is_found() {
        assert_eq!(of("a? [bc]+ d"), "abc");
        assert_eq!(of("(?: xy | (?P<n> [0-2] ) ) z"), "012x");
        assert_eq!(of("(?i: k | s/?n )"), "KSks");
        assert!(Start::of("(?i: k )").unwrap().begins(0xe2), "the Kelvin sign is a k, too");
        assert!(Start::of("a*").is_none() && Start::of("(").is_none());
    }

    #[test]
    fn each_of_the_first_places_is_known() {
        let start = Start::of("(?: user | member [0-9]{2} ) \\x20 [a-z]+").unwrap();
        for text in ["user anna", "member12 x"] {
            assert!(start.may_be(text.as_bytes()), "{text}");
        }
        for text in ["usual x", "sure no", "under x", "user", "UUUUUUU"] {
            assert!(!start.may_be(text.as_bytes()), "{text}");
        }
        let start = Start::of("[\u{e4}b]{2,} c? d").unwrap();
        for text in ["bbd", "\u{e4}bcd", "b\u{e4}\u{e4}\u{e4}\u{e4}d", "bbbbbbbbbbd"] {
            assert!(start.may_be(text.as_bytes()), "{text}");
        }
        assert!(!start.may_be(b"bd"));
        let start = Start::of("(?: a{3} b ){2} c").unwrap();
        assert!(start.may_be(b"aaabaaabc") && !start.may_be(b"aabaaabcc"));
    }

    proptest! {
        #[test]
        fn where_a_match_begins_one_can_be(text in "[ab\u{e4}c]{0,14}") {
            for pattern in ["a{2} (?: b | \u{e4}c )* c", "(?: a | b+c ){1,3} [\u{e4}c]", "a? b (?: c{2,4} | . )"] {
                let regex = regex::Regex::new(&format!("(?x)\\A(?:{pattern})")).unwrap();
                let start = Start::of(pattern).unwrap();
                let begins = text.bytes().next().is_some_and(|byte| start.begins(byte));
                prop_assert!(!regex.is_match(&text) || (begins && start.may_be(text.as_bytes())), "{} {}", pattern, text);
            }
        }
    }

    #[test]
    fn what_a_match_is_made_of_is_found() {
        let start = Start::of("[0-9]{4} (?: - [a-f] )+").unwrap();
        assert!(start.may_be(b"1234-a") && !start.may_be(b"------"));
        let long = Start::of("[0-9]{9} (?: - [a-f] )+").unwrap();
        assert!(long.may_be(b"1234567----"), "of what is far behind it is known what it is made of");
        assert!(!long.may_be(b"1234567-g--") && !long.may_be(b"123456-8---"));
        assert!(!start.may_be(b"1234-") && !start.may_be(b"1234 a"));
    }
}
