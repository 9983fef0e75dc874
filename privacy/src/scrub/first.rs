//! Where a regular expression need not be tried: what each match of it begins with, is made of, and how long it is at least.
//!
//! All of it follows from the expression. A necessary condition only, like the scan (`scan.rs`).

use regex_syntax::hir::{Class, Hir, HirKind};

/// Bytes that are looked at before a regular expression is tried, at the most.
const LOOKED_AT_MAX: usize = 40;

/// What the matches of an expression have in common.
pub(super) struct Start {
    /// Bytes with which one can begin.
    first: Box<[bool; 256]>,
    /// Bytes of which one can be made.
    any: Box<[bool; 256]>,
    /// Fewest bytes of one.
    len_min: usize,
}

impl Start {
    /// Of an expression in verbose mode; none when it does not parse, or can match the empty text.
    pub(super) fn of(pattern: &str) -> Option<Start> {
        let hir = regex_syntax::ParserBuilder::new().ignore_whitespace(true).build().parse(pattern).ok()?;
        let mut first = Box::new([false; 256]);
        let mut any = Box::new([false; 256]);
        let can_be_empty = add_first(&hir, &mut first);
        add_any(&hir, &mut any);
        let len_min = hir.properties().minimum_len()?.min(LOOKED_AT_MAX);
        (!can_be_empty).then_some(Start { first, any, len_min })
    }

    /// Whether a match can begin with this byte.
    pub(super) fn begins(&self, byte: u8) -> bool {
        self.first[usize::from(byte)]
    }

    /// Whether a match can be where these bytes begin.
    pub(super) fn may_be(&self, bytes: &[u8]) -> bool {
        bytes.get(..self.len_min).is_some_and(|bytes| bytes.iter().all(|b| self.any[usize::from(*b)]))
    }
}

/// Adds the first bytes of a part; true when it can match the empty text, so that what follows it comes first as well.
fn add_first(hir: &Hir, bytes: &mut [bool; 256]) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => match literal.0.first() {
            Some(byte) => {
                bytes[usize::from(*byte)] = true;
                false
            }
            None => true,
        },
        HirKind::Class(class) => {
            add_class(class, bytes);
            false
        }
        HirKind::Repetition(repeated) => add_first(&repeated.sub, bytes) || repeated.min == 0,
        HirKind::Capture(group) => add_first(&group.sub, bytes),
        HirKind::Concat(parts) => parts.iter().all(|part| add_first(part, bytes)),
        HirKind::Alternation(parts) => {
            let mut can_be_empty = false;
            for part in parts {
                can_be_empty |= add_first(part, bytes);
            }
            can_be_empty
        }
    }
}

/// Adds all bytes of a part.
fn add_any(hir: &Hir, bytes: &mut [bool; 256]) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => literal.0.iter().for_each(|byte| bytes[usize::from(*byte)] = true),
        HirKind::Class(class) => add_class(class, bytes),
        HirKind::Repetition(repeated) => add_any(&repeated.sub, bytes),
        HirKind::Capture(group) => add_any(&group.sub, bytes),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().for_each(|part| add_any(part, bytes));
        }
    }
}

/// Adds the bytes of a class. Of characters that are not ASCII all bytes that they may have.
fn add_class(class: &Class, bytes: &mut [bool; 256]) {
    match class {
        Class::Unicode(class) => {
            for range in class.ranges() {
                let (start, end) = (u32::from(range.start()), u32::from(range.end()));
                (start..=end.min(0x7f)).for_each(|byte| bytes[byte as usize] = true);
                if end >= 0x80 {
                    bytes[0x80..].fill(true);
                }
            }
        }
        Class::Bytes(class) => {
            for range in class.ranges() {
                bytes[usize::from(range.start())..=usize::from(range.end())].fill(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
    fn what_a_match_is_made_of_is_found() {
        let start = Start::of("[0-9]{4} (?: - [a-f] )+").unwrap();
        assert!(start.may_be(b"1234-a") && start.may_be(b"------"));
        assert!(!start.may_be(b"1234-") && !start.may_be(b"1234 a"));
    }
}
