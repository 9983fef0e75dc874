//! What belongs to a secret behind its first word: what is left of a text in quotes, the further groups of a number or a bank
//! account, and what follows an escape or a comma.
//!
//! A label's pattern takes the first word behind it. The rest of `0151 12345678`, of `"Anna Schmidt"` or of `p%40ssw0rd` would
//! stay, and without its beginning no pattern would know it any more.
//! Invariant: it only ever moves the end of what goes anyhow, and looks at a bounded part of the text behind what goes.
//! Not here: which patterns ask for it (`rest` in a pattern file).

use std::ops::Range;

use serde::Deserialize;

use super::{further, numbers, validate};

/// Groups behind the first one of a number.
const GROUPS_MAX: usize = 6;
/// Characters of such a group.
const GROUP_BYTES_MAX: usize = 15;
/// Digits of a number in groups: as many as a payment card has at the most.
const NUMBER_DIGITS_MAX: usize = 19;
/// Groups behind the first one of a bank account's number.
const ACCOUNT_GROUPS_MAX: usize = 8;
/// How far away the closing quote is looked for, in bytes.
const QUOTED_BYTES_MAX: usize = 256;

/// What goes with a secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Rest {
    #[default]
    None,
    /// What is in the same quotes or the same number, and what follows an escape.
    Value,
    /// The groups of further telephone numbers.
    Numbers,
    /// As `Value`, and what a comma, a semicolon, an ampersand or a bracket joins to it.
    Secret,
}

/// Where a secret ends with all that belongs to it.
pub(super) fn end(text: &str, secret: &Range<usize>, rest: Rest) -> usize {
    match rest {
        Rest::None => return secret.end,
        Rest::Numbers => return further::numbers_end(text, secret),
        Rest::Value | Rest::Secret => {}
    }
    if let Some(end) = quoted_end(text, secret).or_else(|| account_end(text, secret)) {
        return end.max(secret.end);
    }
    let end = match escaped_end(text, secret) {
        end if end > secret.end => end,
        _ => groups_end(text, secret),
    };
    match rest {
        Rest::Secret => joined_end(text, end),
        _ => end,
    }
}

/// Where the closing quote is when a quote is before the secret; it is escaped when the opening one is. Without a closing one, as
/// in a text that was cut off, the line belongs to it. None without an opening one.
fn quoted_end(text: &str, secret: &Range<usize>) -> Option<usize> {
    let before = &text.as_bytes()[..secret.start];
    let after = text.as_bytes()[secret.end..].iter().take(QUOTED_BYTES_MAX);
    if let [.., b'%', b'2', digit @ (b'2' | b'7')] = before {
        let after: Vec<u8> = after.copied().take_while(|b| !b.is_ascii_whitespace()).collect();
        let found = after.windows(3).position(|three| three == [b'%', b'2', *digit]);
        return Some(text.floor_char_boundary(secret.end + found.unwrap_or(after.len())));
    }
    let (is_escaped, quote) = match before {
        [.., b'\\', quote @ (b'"' | b'\'' | b'`')] => (true, *quote),
        [.., quote @ (b'"' | b'\'' | b'`')] => (false, *quote),
        _ => return None,
    };
    let bytes = text.as_bytes();
    let line = secret.end + after.take_while(|b| !matches!(b, b'\n' | b'\r')).count();
    let closes = |at: &usize| {
        let is_apostrophe = quote == b'\'' && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
        bytes[*at] == quote && (bytes[at - 1] == b'\\') == is_escaped && !is_apostrophe
    };
    if let Some(found) = (secret.end..line).find(closes) {
        return Some(found - usize::from(is_escaped));
    }
    // What was cut off within its quotes may be in others that are whole.
    let outer = (secret.end..line).find(|at| is_escaped && bytes[*at] == quote);
    Some(text.floor_char_boundary(outer.unwrap_or(line)))
}

/// Where the last run of characters of a value ends that an escape joins to the secret: `p%40ssw0rd`. Behind a sign that is an
/// escape itself, escapes of what separates values end it.
fn escaped_end(text: &str, secret: &Range<usize>) -> usize {
    let bytes = text.as_bytes();
    let is_hex = |escape: &[u8]| escape[0] == b'%' && escape[1..].iter().all(u8::is_ascii_hexdigit);
    let is_encoded = secret.start.checked_sub(3).is_some_and(|at| is_hex(&bytes[at..secret.start]));
    let ends = |escape: &[u8]| {
        let escape = escape.to_ascii_uppercase();
        let is_quote = [b"%22", b"%27", b"%0A", b"%0D"].iter().any(|end| escape == **end);
        let is_separator = [b"%09", b"%20", b"%26", b"%29", b"%2C", b"%3B", b"%3C", b"%3E", b"%5D", b"%7D"];
        is_quote || (is_encoded && is_separator.iter().any(|end| escape == **end))
    };
    let mut at = secret.end;
    while bytes.get(at..at + 3).is_some_and(|escape| is_hex(escape) && !ends(escape)) {
        at += 3;
        at += run_of_value(&bytes[at..]);
    }
    at
}

/// Where the last word ends that a sign joins to a secret, as in `ab12,cd34`. A word that is assigned something is another value.
fn joined_end(text: &str, end: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = end;
    while let [b',' | b';' | b'&' | b'(' | b')', next, ..] = &bytes[at..] {
        let word = at + 1 + run_of_value(&bytes[at + 1..]);
        let is_other = bytes[at + 1..word].iter().any(|b| matches!(b, b'=' | b':'))
            || matches!(bytes.get(word), Some(b'"' | b'\'' | b'%'));
        if !next.is_ascii_alphanumeric() || is_other {
            break;
        }
        at = word;
    }
    at
}

/// Length of the characters of a value at the beginning of some bytes, in bytes.
fn run_of_value(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| !b.is_ascii_whitespace() && !b"\"'<>&;,\\)]}%".contains(b)).count()
}

/// Where a bank account's number ends that the secret is the first group of: `GB82 WEST 1234 5698 7654 32`.
fn account_end(text: &str, secret: &Range<usize>) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut ends = Vec::new();
    let mut at = secret.end;
    while secret.len() == 4 && ends.len() < ACCOUNT_GROUPS_MAX && bytes.get(at) == Some(&b' ') {
        let length = bytes[at + 1..].iter().take(5).take_while(|b| b.is_ascii_alphanumeric()).count();
        if !(1..=4).contains(&length) {
            break;
        }
        at += 1 + length;
        ends.push(at);
    }
    ends.into_iter().rev().find(|end| validate::iban(&text[secret.start..*end]).is_some())
}

/// Where the last group of a number ends that the secret is the first group of. A date, a time, a single digit, a status of HTTP
/// and what has a unit are none.
fn groups_end(text: &str, secret: &Range<usize>) -> usize {
    let bytes = text.as_bytes();
    let mut end = secret.end;
    if !is_number(&bytes[secret.clone()]) {
        return end;
    }
    let first = &text[secret.clone()];
    let mut seen = first.bytes().filter(u8::is_ascii_digit).count();
    let is_whole = seen >= 4 && !first.starts_with(['0', '(', '+']);
    let mut at = end;
    for _ in 0..GROUPS_MAX {
        let begin = match &bytes[at..] {
            [b' ', ..] => at + 1,
            [b'%', b'2', b'0', ..] => at + 3,
            _ => break,
        };
        let length =
            bytes[begin..].iter().take(GROUP_BYTES_MAX + 1).take_while(|b| is_of_number(**b)).count();
        let group = &text[begin..begin + length];
        let digits = group.bytes().filter(u8::is_ascii_digit).count();
        let begins = group.starts_with(|c: char| c.is_ascii_digit() || c == '(');
        let goes_on = match &bytes[begin + length..] {
            [b':', next, ..] => next.is_ascii_digit(),
            [next, ..] => next.is_ascii_alphanumeric(),
            [] => false,
        };
        let is_counted = numbers::is_status(group) || numbers::has_unit(&text[begin + length..]);
        let is_other = goes_on || (is_whole && is_counted);
        seen += digits;
        if !begins || is_other || digits == 0 || length > GROUP_BYTES_MAX || seen > NUMBER_DIGITS_MAX {
            break;
        }
        if numbers::begins_with_date(group) {
            break;
        }
        at = begin + length;
        if digits > 1 {
            end = at;
        }
    }
    end
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || b"./()-".contains(&byte)
}

/// Whether a secret can be the first groups of a number: up to two letters or a plus, then digits and what is between them.
fn is_number(secret: &[u8]) -> bool {
    let head = secret.iter().take(2).take_while(|b| b.is_ascii_alphabetic() || **b == b'+').count();
    let rest = &secret[head..];
    rest.first().is_some_and(|b| b.is_ascii_digit() || *b == b'(')
        && rest.iter().all(|b| is_of_number(*b) || *b == b' ')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// The secret of a text in which it stands between bars, with what belongs to it.
    fn with_rest(marked: &str) -> String {
        let start = marked.find('|').unwrap();
        let text = marked.replacen('|', "", 1);
        let end_of = text.find('|').unwrap();
        let text = text.replacen('|', "", 1);
        text[start..end(&text, &(start..end_of), Rest::Value)].to_owned()
    }

    #[test]
    fn all_groups_of_a_number_belong_to_it() {
        for (marked, whole) in [
            ("uid |0151| 12345678 now", "0151 12345678"),
            ("uid |4111| 1111 1111 1111", "4111 1111 1111 1111"),
            ("uid |AB12| 34 5 67, x", "AB12 34 5 67"),
            ("uid |(0151)| 123-45 (67)", "(0151) 123-45 (67)"),
            ("uid |0151|%2012345678", "0151%2012345678"),
            ("uid |4711| 5 ms", "4711"),
            ("uid |4711| 12ms", "4711"),
            ("uid |4711| 2024-01-05 10:30", "4711"),
            ("uid |4711| 10:30:59", "4711"),
            ("uid |GB82| WEST 1234 5698 7654 32 and", "GB82 WEST 1234 5698 7654 32"),
            ("uid |GB82| WEST 1234 5698 7654 33", "GB82"),
            ("uid |4711| 200 12 ms", "4711"),
            ("uid |4711| 12 ms", "4711"),
            ("uid |8842| 404 Not Found", "8842"),
            ("uid |0151| 200 4567", "0151 200 4567"),
            ("uid |1234| 567 890", "1234 567 890"),
            ("uid |123456789012| 34567890", "123456789012"),
            ("uid |anna| 4711", "anna"),
            ("uid |4711|", "4711"),
        ] {
            assert_eq!(with_rest(marked), whole, "{marked}");
        }
    }

    #[test]
    fn what_is_in_quotes_belongs_together() {
        for (marked, whole) in [
            (r#"{"name":"|Anna| Maria Schmidt","n":1}"#, "Anna Maria Schmidt"),
            (r#"{\"name\":\"|Anna| \\\"M\\\" Schmidt\",\"n\":1}"#, r#"Anna \\"#),
            (r#""|Schmidt|, \"Anna\"" x"#, r#"Schmidt, \"Anna\""#),
            ("'|Miles| O'Neil' x", "Miles O'Neil"),
            ("%22|Anna|%20Schmidt%22", "Anna%20Schmidt"),
            ("%22|Anna| Schmidt%22", "Anna"),
            ("\"|Anna|\nSchmidt\"", "Anna"),
            ("\"|Anna|\" and \"x\"", "Anna"),
        ] {
            assert_eq!(with_rest(marked), whole, "{marked}");
        }
    }

    #[test]
    fn what_is_cut_off_within_its_quotes_goes_to_the_end_of_the_line() {
        for (marked, whole) in [
            ("\"|Anna| Maria Schmi", "Anna Maria Schmi"),
            ("\"|Anna| Schmidt\r\nnext", "Anna Schmidt"),
            ("%22|Anna|%20Schmi next", "Anna%20Schmi"),
            (r#"{"m":"\"|Anna| Schmi"}"#, "Anna Schmi"),
        ] {
            assert_eq!(with_rest(marked), whole, "{marked}");
        }
        let far = format!("\"|a|{}\"", "\u{20ac}".repeat(200));
        assert_eq!(with_rest(&far).len(), 1 + QUOTED_BYTES_MAX - 1, "to the beginning of a character");
    }

    #[test]
    fn what_follows_an_escape_belongs_to_it() {
        for (marked, whole) in [
            ("x=|p|%40ssw0rd&n=1", "p%40ssw0rd"),
            ("x=|Anna|%20Maria%20Schmidt next", "Anna%20Maria%20Schmidt"),
            ("x=|Zm9v|%2Bbar%2Fbaz%3D", "Zm9v%2Bbar%2Fbaz%3D"),
            ("x=|a|%22b", "a"),
            ("x=|a|%0Ab", "a"),
            ("x=|a|%zz", "a"),
            ("x=|a|%4", "a"),
            ("x%3D|p|%40ss%20next", "p%40ss"),
            ("x%3D|p|%26y%3D1", "p"),
        ] {
            assert_eq!(with_rest(marked), whole, "{marked}");
        }
    }

    #[test]
    fn what_is_joined_to_a_secret_belongs_to_it() {
        for (text, whole) in [
            ("ab12,cd34 next", "ab12,cd34"),
            ("ab;cd&ef(gh)ij", "ab;cd&ef(gh)ij"),
            ("ab&y=1", "ab"),
            ("ab,user:anna", "ab"),
            ("ab, cd", "ab"),
            ("ab,cd\":1", "ab"),
            ("ab)", "ab"),
        ] {
            assert_eq!(
                &text[..joined_end(text, 2 + 2 * usize::from(text.starts_with("ab1")))],
                whole,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_end_is_one_of_a_character(text in "[\"'%2 0-9(,a\\\\\u{e4}\n-]{1,40}", start in 0usize..40, length in 1usize..8) {
            let start = text.floor_char_boundary(start.min(text.len() - 1));
            let secret = start..text.ceil_char_boundary((start + length).min(text.len()));
            for rest in [Rest::None, Rest::Value, Rest::Secret] {
                let end = end(&text, &secret, rest);
                prop_assert!(end >= secret.end && text.is_char_boundary(end));
            }
        }
    }
}
