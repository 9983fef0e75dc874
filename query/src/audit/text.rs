//! A text as it may be kept: without what identifies a person, and not too long.
//!
//! Invariant: a private query is made of the public schema and of the statement's literals, and an analyst can type an
//! address into a literal. So the text passes the scrub patterns: each part between quotes by itself first, and then the
//! whole. Nothing is kept when the patterns do not hold.
//! Not here: the patterns (`shoal-privacy`).

use std::sync::OnceLock;

use shoal_privacy::scrub::{Scrubber, Work};

/// Longest text of a private query in a line of the audit; longer ones are cut.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Without what identifies a person.
pub(crate) fn without_identifiers(text: &str) -> String {
    static SCRUBBER: OnceLock<Option<Scrubber>> = OnceLock::new();
    let scrubber = SCRUBBER.get_or_init(|| Scrubber::embedded().ok());
    scrubber.as_ref().map(|scrubber| scrubbed(scrubber, text)).unwrap_or_default()
}

/// As [`without_identifiers`], and cut to the length that a line may have.
pub(super) fn for_a_line(text: &str) -> String {
    let mut clean = without_identifiers(text);
    if clean.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|at| clean.is_char_boundary(*at)).unwrap_or(0);
        clean.truncate(end);
        clean.push_str(" ..");
    }
    clean
}

/// Without what identifies a person: a literal by itself first, and its parts between the signs of LIKE, because what stands
/// around it may hide its form. A literal of many digits that is no time may be a number that no pattern knows (a
/// device's, an account's) and is not kept at all.
fn scrubbed(scrubber: &Scrubber, text: &str) -> String {
    // A statement is short, so what looking at it takes needs no end.
    let scrub = |part: &str| scrubber.scrub(part, &mut Work::unlimited()).into_owned();
    let literal = |(at, part): (usize, &str)| {
        if at % 2 == 1 && is_numbered(part) {
            return "..".to_owned();
        }
        let whole = scrub(part);
        whole.split('%').map(scrub).collect::<Vec<_>>().join("%")
    };
    let joined = text.split('\'').enumerate().map(literal).collect::<Vec<_>>().join("'");
    joined.split('\n').map(scrub).collect::<Vec<_>>().join("\n")
}

/// Whether a literal has so many digits that it may number one person or device, and is no day or time.
fn is_numbered(literal: &str) -> bool {
    let digits = literal.bytes().filter(u8::is_ascii_digit).count();
    let is_time = literal.len() <= 25
        && literal.bytes().all(|b| b.is_ascii_digit() || b"-: TZ+.".contains(&b))
        && literal.as_bytes().get(4) == Some(&b'-');
    digits >= 5 && !is_time
}
