//! What belongs to a secret behind a blank: the further groups of a number or a bank account, and what is left of a text in
//! quotes.
//!
//! A label's pattern takes the first word behind it. The rest of `0151 12345678` or of `"Anna Schmidt"` would stay, and without its
//! beginning no pattern would know it any more.
//! Invariant: it only ever moves the end of what goes anyhow, and looks at a bounded part of the text.
//! Not here: which patterns ask for it (`rest` in a pattern file).

use std::ops::Range;

use super::{numbers, validate};

/// Groups behind the first one of a number.
const GROUPS_MAX: usize = 6;
/// Characters of such a group.
const GROUP_BYTES_MAX: usize = 15;
/// Groups behind the first one of a bank account's number.
const ACCOUNT_GROUPS_MAX: usize = 8;
/// How far away the closing quote is looked for, in bytes.
const QUOTED_BYTES_MAX: usize = 256;

/// Where a secret ends with all that belongs to it.
pub(super) fn end(text: &str, secret: &Range<usize>) -> usize {
    let end = quoted_end(text, secret).or_else(|| account_end(text, secret));
    end.unwrap_or_else(|| groups_end(text, secret)).max(secret.end)
}

/// Where the closing quote is when a quote is before the secret; it is escaped when the opening one is. None without either.
fn quoted_end(text: &str, secret: &Range<usize>) -> Option<usize> {
    let before = &text.as_bytes()[..secret.start];
    let after = text.as_bytes()[secret.end..].iter().take(QUOTED_BYTES_MAX);
    if let [.., b'%', b'2', digit @ (b'2' | b'7')] = before {
        let after: Vec<u8> = after.copied().take_while(|b| !b.is_ascii_whitespace()).collect();
        let found = after.windows(3).position(|three| three == [b'%', b'2', *digit])?;
        return Some(secret.end + found);
    }
    let (is_escaped, quote) = match before {
        [.., b'\\', quote @ (b'"' | b'\'' | b'`')] => (true, *quote),
        [.., quote @ (b'"' | b'\'' | b'`')] => (false, *quote),
        _ => return None,
    };
    let bytes = text.as_bytes();
    let line = after.take_while(|b| **b != b'\n').count();
    let closes = |at: &usize| {
        let is_apostrophe = quote == b'\'' && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
        bytes[*at] == quote && (bytes[at - 1] == b'\\') == is_escaped && !is_apostrophe
    };
    let found = (secret.end..secret.end + line).find(closes)?;
    Some(found - usize::from(is_escaped))
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

/// Where the last group of a number ends that the secret is the first group of. A date, a time and a single digit are none.
fn groups_end(text: &str, secret: &Range<usize>) -> usize {
    let bytes = text.as_bytes();
    let mut end = secret.end;
    if !is_number(&bytes[secret.clone()]) {
        return end;
    }
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
        if !begins || goes_on || digits == 0 || length > GROUP_BYTES_MAX || numbers::begins_with_date(group) {
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
        text[start..end(&text, &(start..end_of))].to_owned()
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
            ("\"|Anna| Schmidt", "Anna"),
            ("\"|Anna|\nSchmidt\"", "Anna"),
            ("\"|Anna|\" and \"x\"", "Anna"),
        ] {
            assert_eq!(with_rest(marked), whole, "{marked}");
        }
        let far = format!("\"|a|{}\"", " b".repeat(200));
        assert_eq!(with_rest(&far), "a");
    }

    proptest! {
        #[test]
        fn the_end_is_one_of_a_character(text in "[\"'%2 0-9(a\\\\\u{e4}\n-]{1,40}", start in 0usize..40, length in 1usize..8) {
            let start = text.floor_char_boundary(start.min(text.len() - 1));
            let secret = start..text.ceil_char_boundary((start + length).min(text.len()));
            let end = end(&text, &secret);
            prop_assert!(end >= secret.end && text.is_char_boundary(end));
        }
    }
}
