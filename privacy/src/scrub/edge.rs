//! What a match may not touch: letters and digits beside it, of which it would be a part only.
//!
//! An edge is not disturbed by an escape before the match: the `2` of `%22192.168.0.1` is part of `%22`.
//! Not here: where a match is looked for (`pattern.rs`).

use serde::Deserialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Edge {
    #[default]
    None,
    Digit,
    /// As `Digit`, and not the decimals of a number: `3.14159265358979`.
    Decimal,
    Word,
    /// As `Word`, but the last word of a name in camel case begins anew: `mobilePhone`, but not `iPhone`.
    Label,
    /// As `Word`, and not a part of a longer name with dots: `com.example.local.View`.
    Host,
    /// As `Word`, and not what a date or a time before it goes on with: `2024-01-05 10:30`.
    Number,
}

impl Edge {
    fn touches(self, byte: u8) -> bool {
        match self {
            Edge::None => false,
            Edge::Digit | Edge::Decimal => byte.is_ascii_digit(),
            Edge::Word | Edge::Label | Edge::Host | Edge::Number => byte.is_ascii_alphanumeric(),
        }
    }

    pub(super) fn free_before(self, text: &[u8], start: usize) -> bool {
        let (before, own) = text.split_at(start);
        match before {
            [.., digit, b'.'] if matches!(self, Edge::Decimal) => !digit.is_ascii_digit(),
            [.., b'.'] if matches!(self, Edge::Host) => false,
            _ if matches!(self, Edge::Number) && goes_on_with(before, own) => false,
            [.., one, other] if matches!(self, Edge::Label) && is_camel(*one, *other, own) => true,
            // An address in memory, which happens to have no letter.
            [.., b'0', b'x'] if matches!(self, Edge::Digit | Edge::Decimal) => false,
            [.., byte] if self.touches(*byte) => ends_with_escape(before),
            _ => true,
        }
    }

    pub(super) fn free_after(self, text: &[u8], end: usize) -> bool {
        match &text[end..] {
            [b'.', next, ..] if matches!(self, Edge::Host) => !self.touches(*next),
            [byte, ..] => !self.touches(*byte),
            [] => true,
        }
    }

    /// Where the last run of characters that may not be touched begins; none when that is at the beginning of the text.
    pub(super) fn last_run_start(self, text: &[u8]) -> Option<usize> {
        let last = text.iter().rposition(|byte| self.touches(*byte))?;
        text[..last].iter().rposition(|byte| !self.touches(*byte)).map(|before| before + 1)
    }
}

/// Whether a capital follows two small letters.
fn is_camel(one: u8, other: u8, own: &[u8]) -> bool {
    one.is_ascii_lowercase() && other.is_ascii_lowercase() && own.first().is_some_and(u8::is_ascii_uppercase)
}

/// Whether a date or a time goes on with what begins with these digits: `2024-01-|05 10:30`, `05-|01-2024`, `10:30:|05 2024`,
/// `10:30:05,|012 17`. What has other groups is a number of its own: `order 4711-|0151 12345678`.
fn goes_on_with(before: &[u8], own: &[u8]) -> bool {
    let ends =
        |form: &str| before.len() >= form.len() && has_form(&before[before.len() - form.len()..], form);
    let begins = |form: &str| own.get(..form.len()).is_some_and(|own| has_form(own, form));
    let ends_after = |at: usize| own.get(at).is_none_or(|byte| !byte.is_ascii_digit());
    let is_pair = begins("00") && ends_after(2);
    let is_date = (ends("0000-") && begins("00-"))
        || (ends("00-00-") && is_pair)
        || (ends("00-") && (begins("00-0000") || (begins("00-00") && ends_after(5))));
    let is_time = (is_pair && (ends("0:") || ends("00.00."))) || ends(":00.");
    is_date || is_time
}

/// Whether bytes are as a form: `0` is any digit, `-` a hyphen or a slash, `.` a dot or a comma.
fn has_form(bytes: &[u8], form: &str) -> bool {
    bytes.iter().zip(form.bytes()).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        b'-' => matches!(byte, b'-' | b'/'),
        b'.' => matches!(byte, b'.' | b','),
        other => *byte == other,
    })
}

/// `%22`, `\u0022`, `\x22`, `\n`.
pub(super) fn ends_with_escape(text: &[u8]) -> bool {
    let hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    let tail = |n: usize| text.len().checked_sub(n).map(|at| &text[at..]);
    tail(3).is_some_and(|t| t[0] == b'%' && hex(&t[1..]))
        || tail(2).is_some_and(|t| t[0] == b'\\' && b"nrtbf0".contains(&t[1]))
        || tail(4).is_some_and(|t| t.starts_with(b"\\x") && hex(&t[2..]))
        || tail(6).is_some_and(|t| t.starts_with(b"\\u") && hex(&t[2..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Edge;

    fn is_free(edge: Edge, marked: &str) -> bool {
        let start = marked.find('|').unwrap();
        edge.free_before(marked.replacen('|', "", 1).as_bytes(), start)
    }

    #[test]
    fn a_number_is_told_from_what_a_date_or_a_time_goes_on_with() {
        for part in [
            "2024-|01-05 103059",
            "2024-01-|05 1234567",
            "05/|01/2024 1234567",
            "22/11/|05 1234567",
            "12-|01-05 103059",
            "10:30:|05 14023456",
            "10:|05 14023456",
            "10:30:05,|012 1402345",
            "22.11.|05 1234567",
            "a|0151 12345678",
        ] {
            assert!(!is_free(Edge::Number, part), "{part}");
        }
        for own in [
            "12/|0171 7654321",
            "4711-|0151 12345678",
            "12:|0151 12345678",
            "91234567,|0151 12345678",
            "2024-01-05 |0151 12345678",
            "%22|0151 12345678",
            "|030 901820",
        ] {
            assert!(is_free(Edge::Number, own), "{own}");
        }
    }

    #[test]
    fn the_last_word_in_camel_case_begins_anew() {
        for free in ["mobile|Phone", "wifi|Ssid", "my_|phone", "%22|phone", "|phone"] {
            assert!(is_free(Edge::Label, free), "{free}");
        }
        for part in ["i|Phone", "head|phone", "HEAD|PHONE", "2|Phone"] {
            assert!(!is_free(Edge::Label, part), "{part}");
        }
        assert!(!is_free(Edge::Word, "mobile|Phone"));
    }
}
