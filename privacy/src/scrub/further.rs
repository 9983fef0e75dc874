//! What follows a secret and is of the same kind: the further members of a list, and the further groups behind a telephone number.
//!
//! Invariant: it only ever moves the end of what goes anyhow, and looks at a bounded part of the text behind what goes.
//! Not here: what belongs to the secret itself (`rest.rs`).

use std::ops::{Range, RangeInclusive};

use super::numbers::{self, PHONE_DIGITS_MIN, digits_ahead};

/// How far away the end of a list is looked for, in bytes.
const LIST_BYTES_MAX: usize = 8192;
/// How far further groups of numbers are looked for, in bytes.
const NUMBERS_BYTES_MAX: usize = 1024;
/// Signs between two groups.
const SIGNS_MAX: usize = 3;
/// Fewest digits of what follows a number and is one as well.
const NUMBERS_DIGITS_MIN: usize = 4;
/// A dot behind fewer digits is that of decimals.
const DECIMALS_AFTER_MAX: usize = 3;
/// Digits of a group: a number in one row.
const GROUP_DIGITS: RangeInclusive<usize> = 2..=11;

/// Where a list ends of which the secret is the first member that goes: before the bracket, and before the closing quote of the last
/// member when the first one has an opening one. Without a bracket, as in a text that was cut off, the line belongs to it. Beside the
/// end how many bytes were looked at.
pub(super) fn list_end(text: &str, secret: &Range<usize>) -> (usize, usize) {
    let bytes = text.as_bytes();
    let reach = &bytes[..bytes.len().min(secret.end + LIST_BYTES_MAX)];
    let before = text[..secret.start].trim_end_matches(' ').as_bytes();
    let mut quote = before.last().copied().filter(|byte| matches!(byte, b'"' | b'\''));
    let quoted =
        Quoted { is_quoted: quote.is_some(), is_escaped: quote.is_some() && before.ends_with(b"\\\"") };
    let mut depth = 0;
    for at in secret.start..reach.len() {
        let byte = reach[at];
        let is_quote = quoted.is_quote(reach, at);
        match quote {
            Some(open) if byte == open && is_quote => quote = None,
            Some(_) => {}
            None if is_quote => quote = Some(byte),
            None if byte == b'[' => depth += 1,
            None if byte == b']' && depth == 0 => {
                return (secret.end.max(quoted.last_end(text, secret.start, at)), at - secret.start);
            }
            None if byte == b']' => depth -= 1,
            None => {}
        }
    }
    let line = reach[secret.end..].iter().take_while(|b| !matches!(b, b'\n' | b'\r')).count();
    (text.floor_char_boundary(secret.end + line), reach.len() - secret.start)
}

/// How the first member of a list is quoted, and so all of them.
struct Quoted {
    is_quoted: bool,
    is_escaped: bool,
}

impl Quoted {
    /// Whether a byte is a quote of a member, and no apostrophe.
    fn is_quote(&self, bytes: &[u8], at: usize) -> bool {
        let is_letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let is_apostrophe = bytes[at] == b'\'' && at > 0 && is_letter(at - 1) && is_letter(at + 1);
        let is_escaped = at > 0 && bytes[at - 1] == b'\\';
        matches!(bytes[at], b'"' | b'\'') && is_escaped == self.is_escaped && !is_apostrophe
    }

    /// Where the last member before a bracket ends, without its closing quote.
    fn last_end(&self, text: &str, start: usize, bracket: usize) -> usize {
        let mut members = text[start..bracket].trim_end();
        if self.is_quoted {
            members = members.strip_suffix(['"', '\'']).unwrap_or(members);
            members = members.strip_suffix('\\').filter(|_| self.is_escaped).unwrap_or(members);
        }
        start + members.len()
    }
}

/// Where the last group ends that follows a telephone number and may be of another one: `+65 9123 4567 9876| 5432`. A date, a
/// time, a status of HTTP, what has a unit and a number that begins with the zero of an area, which is found by itself, are none.
pub(super) fn numbers_end(text: &str, secret: &Range<usize>) -> usize {
    let bytes = text.as_bytes();
    let mut end = secret.end;
    let mut digits = 0;
    while end < secret.end + NUMBERS_BYTES_MAX {
        let signs = bytes[end..].iter().take_while(|b| b" -./(),".contains(b)).count();
        let begin = end + signs;
        let group =
            bytes[begin..].iter().take(1 + GROUP_DIGITS.end()).take_while(|b| b.is_ascii_digit()).count();
        if signs == 0 || signs > SIGNS_MAX || !GROUP_DIGITS.contains(&group) {
            break;
        }
        let after = &bytes[begin + group..];
        let goes_on = match after {
            [b':', next, ..] => next.is_ascii_digit(),
            [b'.', next, ..] => group < DECIMALS_AFTER_MAX && next.is_ascii_digit(),
            [next, ..] => next.is_ascii_alphanumeric() || *next == b'%',
            [] => false,
        };
        let is_area = bytes[begin] == b'0' && digits_ahead(&bytes[begin..]) >= PHONE_DIGITS_MIN;
        let is_joined = matches!(after, [b'.' | b'-' | b')', ..]);
        let is_status = !is_joined && numbers::is_status(&text[begin..begin + group]);
        let is_other = is_status || numbers::has_unit(&text[begin + group..]);
        let is_date =
            numbers::begins_with_date(&text[begin..text.floor_char_boundary(bytes.len().min(begin + 11))]);
        if goes_on || is_area || is_other || is_date {
            break;
        }
        end = begin + group;
        digits += group;
    }
    if digits < NUMBERS_DIGITS_MIN { secret.end } else { end }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// The text, and the part of it that stands between bars.
    fn marked(marked: &str) -> (String, Range<usize>) {
        let start = marked.find('|').unwrap();
        let text = marked.replacen('|', "", 1);
        let end = text.find('|').unwrap();
        (text.replacen('|', "", 1), start..end)
    }

    #[test]
    fn all_members_of_a_list_go() {
        for (list, members) in [
            (r#"["|anna|","bob"],"n":1"#, r#"anna","bob"#),
            (r#"[ "|anna|" , "bob" ] x"#, r#"anna" , "bob"#),
            (r#"[\"|anna|\",\"bob\"]"#, r#"anna\",\"bob"#),
            (r#"["|a|]b","c \" d"]"#, r#"a]b","c \" d"#),
            ("['|anna|', 'bob']", "anna', 'bob"),
            ("[|anna|, o'neil, bob] x", "anna, o'neil, bob"),
            ("['|Miles| O'Neil', 'bob'] 'x'", "Miles O'Neil', 'bob"),
            ("[\" |anna|\", \"bob\"] x", "anna\", \"bob"),
            ("[|1|,[2,3],4] 5", "1,[2,3],4"),
            ("[\n \"|anna|\",\n \"bob\"\n]", "anna\",\n \"bob"),
            ("[\"|anna|\",\"bo\nnext", "anna\",\"bo"),
        ] {
            let (text, secret) = marked(list);
            assert_eq!(&text[secret.start..list_end(&text, &secret).0], members, "{list}");
        }
    }

    #[test]
    fn all_groups_behind_a_telephone_number_go() {
        for (number, whole) in [
            ("|+65 9123 4567 9876| 5432", "+65 9123 4567 9876 5432"),
            ("|+1 (415) 555-2671 (415|) 555-0199 x", "+1 (415) 555-2671 (415) 555-0199"),
            ("|+4915112345678| 171 7654321", "+4915112345678 171 7654321"),
            ("|+6591234567|, 98765432 / 61234567", "+6591234567, 98765432 / 61234567"),
            ("|+6591234567|,98765432,61234567", "+6591234567,98765432,61234567"),
            ("|+14155552671| 415.555.0199", "+14155552671 415.555.0199"),
            ("|+6591234567| 200 OK", "+6591234567"),
            ("|+6591234567| 1234 ms", "+6591234567"),
            ("|+6591234567| 12ms", "+6591234567"),
            ("|+6591234567| 12.5", "+6591234567"),
            ("|+6591234567| 10:30", "+6591234567"),
            ("|+6591234567| 2024-01-05", "+6591234567"),
            ("|+6591234567| 0151 12345678", "+6591234567"),
            ("|+6591234567| 1732240000123", "+6591234567"),
            ("|+6591234567| 5 x", "+6591234567"),
            ("|+6591234567| 12 of 15", "+6591234567"),
        ] {
            let (text, secret) = marked(number);
            assert_eq!(&text[secret.start..numbers_end(&text, &secret)], whole, "{number}");
        }
    }

    proptest! {
        #[test]
        fn the_end_is_one_of_a_character(text in "[\"'2 0-9(,a\\\\\\]\\[\u{e4}\n-]{1,40}", start in 0usize..40, length in 1usize..8) {
            let start = text.floor_char_boundary(start.min(text.len() - 1));
            let secret = start..text.ceil_char_boundary((start + length).min(text.len()));
            for end in [list_end(&text, &secret).0, numbers_end(&text, &secret)] {
                prop_assert!(end >= secret.end && text.is_char_boundary(end));
            }
        }
    }
}
