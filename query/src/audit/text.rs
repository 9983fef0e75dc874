//! A text as it may be kept: without what identifies a person, and not too long.
//!
//! Invariant: a private query is made of the public schema and of the statement's literals, and an analyst can type an
//! address into a literal. So the text passes the scrub patterns: each part between quotes by itself first, and then the
//! whole. Nothing is kept when the patterns do not hold.
//! Not here: the patterns (`shoal-privacy`).

use std::sync::OnceLock;

use shoal_privacy::{scrub::Scrubber, work::Work};

/// Longest text of a private query that is kept; longer ones are cut.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// Most steps of looking at such a text, whatever is in it; the longest ordinary one takes less. What is left then is withheld.
const SCRUB_STEPS_MAX: u64 = 50_000_000;

/// The text without what identifies a person, and cut to the length that is kept.
pub(crate) fn without_identifiers(text: &str) -> String {
    static SCRUBBER: OnceLock<Option<Scrubber>> = OnceLock::new();
    let Some(scrubber) = SCRUBBER.get_or_init(|| Scrubber::embedded().ok()) else { return String::new() };
    let begun = beginning(text);
    let mut clean = scrubbed(scrubber, begun);
    if begun.len() < text.len() {
        clean.push_str(" ..");
    }
    clean
}

/// As much of a text as is kept. What is too long ends before a quote, or between words where there is none: no pattern knows
/// the half of an identifier.
fn beginning(text: &str) -> &str {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let end = (0..=TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let begun = text.get(..end).unwrap_or_default();
    let at = begun.rfind(['\'', '"']).or_else(|| begun.rfind(char::is_whitespace)).unwrap_or(0);
    begun.get(..at).unwrap_or_default()
}

/// Without what identifies a person: a literal by itself first, and its parts between the signs of LIKE, because what stands
/// around it may hide its form. A literal of many digits that is no time may be a number that no pattern knows (a
/// device's, an account's) and is not kept at all.
fn scrubbed(scrubber: &Scrubber, text: &str) -> String {
    let mut work = Work::of(SCRUB_STEPS_MAX);
    let mut scrub = |part: &str| scrubber.scrub(part, &mut work).into_owned();
    let literal = |(at, part): (usize, &str)| {
        if at % 2 == 1 && is_numbered(part) {
            return "..".to_owned();
        }
        let whole = scrub(part);
        whole.split('%').map(&mut scrub).collect::<Vec<_>>().join("%")
    };
    let joined = text.split('\'').enumerate().map(literal).collect::<Vec<_>>().join("'");
    joined.split('\n').map(&mut scrub).collect::<Vec<_>>().join("\n")
}

/// Whether a literal has so many digits that it may number one person or device, and is no day or time.
fn is_numbered(literal: &str) -> bool {
    let digits = literal.bytes().filter(u8::is_ascii_digit).count();
    let is_time = literal.len() <= 25
        && literal.bytes().all(|b| b.is_ascii_digit() || b"-: TZ+.".contains(&b))
        && literal.as_bytes().get(4) == Some(&b'-');
    digits >= 5 && !is_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_where_no_identifier_is_cut_in_two() {
        let long = |literal: &str| {
            let mut text = "WHERE (screen = 'home')".to_owned();
            while text.len() < 2 * TEXT_BYTES_MAX {
                text.push_str(&format!(" OR (screen = '{literal}')"));
            }
            without_identifiers(&text)
        };
        for pad in 0..60 {
            let kept = long(&format!("{}anna@example.org", "x".repeat(pad)));
            assert!(kept.len() < 2 * TEXT_BYTES_MAX && kept.ends_with(" .."), "{} bytes", kept.len());
            assert!(kept.contains("'home'") && !kept.contains("anna"), "{kept}");
        }
        let numbers = format!("WHERE duration_ms {}", "> 491711234567 ".repeat(2_000));
        assert!(beginning(&numbers).len() < TEXT_BYTES_MAX && beginning(&numbers).ends_with(['7', '>']));
        let short = "WHERE (screen = 'home')";
        assert_eq!(without_identifiers(short), short);
    }

    #[test]
    fn the_longest_text_is_looked_at_within_the_steps_that_there_are() {
        let text = "(screen = 'a-place') OR ".repeat(TEXT_BYTES_MAX / 24);
        assert_eq!(without_identifiers(&text).matches("a-place").count(), TEXT_BYTES_MAX / 24);
    }
}
