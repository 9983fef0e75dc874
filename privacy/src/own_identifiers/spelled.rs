//! Texts in which characters are written as numbers, or with signs of mail and terminals between them, as they are meant.
//!
//! ```text
//! 61 6e 6e 61    0x61,0x6e,0x6e,0x61    616e:6e61    [97,110,110,97]    \141\156\156\141    01100001 ..    ->  anna
//! =61n=6Ea    a[31mn[0mna    tags of Unicode                                                             ->  anna
//! ```
//! All of these are readings that are searched and thrown away when nothing is found: a text that has numbers is no worse
//! for having been read as letters. They are made only of texts in which a look at the bytes finds four such numbers in a row.
//! Invariant: a reading is never longer than the text by more than the numbers in it, and takes one pass.
//! Not here: escapes (`fold.rs`), contiguous hexadecimal numbers and base64 (`own_identifiers.rs`).

use crate::{
    fold::{decode, quoted},
    work::Work,
};

/// Characters of a run of numbers, at the least.
const CHARACTERS_MIN: usize = 4;
/// Letters and digits of such a run, and of an encoding of an identifier, at the least.
const DIGITS_MIN: usize = 8;
/// Bytes between two numbers of a run, at the most.
const GAP_MAX: usize = 4;
/// Longest parameters of a colour, in bytes.
const COLOUR_BYTES_MAX: usize = 16;

/// How numbers are written.
#[derive(Clone, Copy)]
pub(super) struct Spelling {
    radix: u32,
    /// Digits of one number.
    digits: (usize, usize),
    /// What may stand before a number.
    prefixes: &'static [&'static str],
}

const SPELLINGS: [Spelling; 4] = [
    Spelling { radix: 16, digits: (2, 2), prefixes: &["0x", "0X", "x", "X", "u", "U", "00", "u00", "U00"] },
    Spelling { radix: 10, digits: (2, 3), prefixes: &[] },
    Spelling { radix: 8, digits: (3, 3), prefixes: &["0o", "o", "0"] },
    Spelling { radix: 2, digits: (7, 8), prefixes: &["0b", "b"] },
];

/// What a search finds in the first reading of a text in which it finds something, the text itself before all others.
/// Making a reading is work as searching it is, and there are no more when none is left.
pub(super) fn first_found<T>(
    text: &str,
    work: &mut Work,
    mut search: impl FnMut(&str, &mut Work) -> Option<T>,
) -> Option<T> {
    if let Some(found) = search(text, work) {
        return Some(found);
    }
    if !work.pass(text.len()) {
        return None;
    }
    let decoded = decode(text);
    if let Some(decoded) = &decoded {
        if !work.search(text.len()) {
            return None;
        }
        if let Some(found) = search(decoded, work) {
            return Some(found);
        }
    }
    for base in [Some(text), decoded.as_deref()].into_iter().flatten() {
        if let Some(read) = loosely(base) {
            if !work.search(base.len()) {
                return None;
            }
            if let Some(found) = search(&read, work) {
                return Some(found);
            }
        }
        if has_numbers(base) {
            for spelling in SPELLINGS {
                if !work.search(base.len()) {
                    return None;
                }
                if let Some(found) = spelled(base, spelling).and_then(|read| search(&read, work)) {
                    return Some(found);
                }
            }
        }
    }
    None
}

impl Spelling {
    /// The characters of a number, none when it is not one of this spelling: four and more hexadecimal digits are several.
    fn characters(self, token: &[u8]) -> Option<Vec<u8>> {
        if !is_number(token.len(), token.iter().filter(|b| b.is_ascii_digit()).count()) {
            return None;
        }
        if self.radix == 16 && token.len() >= 4 && token.len().is_multiple_of(2) && !token.starts_with(b"0") {
            return token.chunks(2).map(|pair| self.character(pair)).collect();
        }
        let bare = self
            .prefixes
            .iter()
            .filter_map(|prefix| token.strip_prefix(prefix.as_bytes()))
            .find(|rest| (self.digits.0..=self.digits.1).contains(&rest.len()));
        Some(vec![self.character(bare.unwrap_or(token))?])
    }

    fn character(self, digits: &[u8]) -> Option<u8> {
        if !(self.digits.0..=self.digits.1).contains(&digits.len()) {
            return None;
        }
        let add =
            |value: u32, digit: &u8| Some(value * self.radix + char::from(*digit).to_digit(self.radix)?);
        let value = u8::try_from(digits.iter().try_fold(0, add)?).ok()?;
        (!value.is_ascii_control()).then_some(value)
    }
}

/// Whether a text has a run of letters and digits that is long enough for an encoding of an identifier.
pub(super) fn has_long_run(text: &str) -> bool {
    let mut run = 0;
    text.bytes().any(|byte| {
        run = if byte.is_ascii_alphanumeric() || byte >= 0x80 { run + 1 } else { 0 };
        run >= DIGITS_MIN
    })
}

/// Whether numbers that can be characters stand in a row: a look at each byte.
pub(super) fn has_numbers(text: &str) -> bool {
    let (mut run, mut length, mut digits) = (0, 0, 0);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            length += 1;
            digits += usize::from(byte.is_ascii_digit());
            continue;
        }
        match length {
            0 => {}
            _ if is_number(length, digits) => run += length,
            // `U+0061`.
            1 => {}
            _ => run = 0,
        }
        if run >= DIGITS_MIN {
            return true;
        }
        (length, digits) = (0, 0);
    }
    is_number(length, digits) && run + length >= DIGITS_MIN
}

/// Whether so many letters and digits can be a number: `x6e` has one digit.
fn is_number(length: usize, digits: usize) -> bool {
    3 * digits >= length
}

/// The text with every run of such numbers as the characters that they are; none when it has none.
fn spelled(text: &str, spelling: Spelling) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = String::new();
    let mut copied = 0;
    let mut run = Run::default();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let length = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        let token = &bytes[at..at + length];
        at += length;
        if matches!(token, b"u" | b"U" | b"x") {
            continue;
        }
        let characters = spelling.characters(token);
        let start = at - length;
        if characters.is_none() || start > run.end + GAP_MAX {
            copied = run.end_into(text, copied, &mut out);
        }
        if let Some(characters) = characters {
            run.push(&characters, start, at);
        }
    }
    copied = run.end_into(text, copied, &mut out);
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

/// Numbers in a row.
#[derive(Default)]
struct Run {
    characters: Vec<u8>,
    start: usize,
    end: usize,
}

impl Run {
    fn push(&mut self, characters: &[u8], start: usize, end: usize) {
        if self.characters.is_empty() {
            self.start = start;
        }
        self.characters.extend_from_slice(characters);
        self.end = end;
    }

    /// Writes the characters when they are enough, as UTF-8 or else as numbers of characters; returns how much of the text is written.
    fn end_into(&mut self, text: &str, copied: usize, out: &mut String) -> usize {
        let characters = std::mem::take(&mut self.characters);
        if characters.len() < CHARACTERS_MIN {
            return copied;
        }
        out.push_str(&text[copied..self.start]);
        match std::str::from_utf8(&characters) {
            Ok(characters) => out.push_str(characters),
            Err(_) => out.extend(characters.iter().map(|c| char::from(*c))),
        }
        self.end
    }
}

/// The text without what mail and terminals put between characters: quoted-printable decoded wherever it is, colours without
/// their first character, and tags as what they repeat; none when it has none of it.
fn loosely(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(next) = bytes[at..].iter().position(|b| matches!(b, b'=' | b'[' | 0xf3)) {
        at += next;
        let Some((length, read)) = loose(&bytes[at..]) else {
            at += 1;
            continue;
        };
        out.extend_from_slice(&bytes[copied..at]);
        out.extend(read);
        at += length;
        copied = at;
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&bytes[copied..]);
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn loose(bytes: &[u8]) -> Option<(usize, Option<u8>)> {
    match bytes {
        [b'=', b'\r', b'\n', ..] => Some((3, None)),
        [b'=', b'\n', ..] => Some((2, None)),
        [b'=', ..] => quoted(bytes).map(|byte| (3, Some(byte))),
        [b'[', rest @ ..] => {
            let of_colour = |b: &&u8| b.is_ascii_digit() || **b == b';';
            let parameters = rest.iter().take(COLOUR_BYTES_MAX).take_while(of_colour).count();
            (parameters > 0 && rest.get(parameters) == Some(&b'm')).then_some((parameters + 2, None))
        }
        // U+E0020 to U+E007E in UTF-8.
        [0xf3, 0xa0, high @ 0x80..=0x81, low @ 0x80..=0xbf, ..] => {
            let code = (high - 0x80) << 6 | (low - 0x80);
            matches!(code, 0x20..=0x7e).then_some((4, Some(code)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<String> {
        SPELLINGS.iter().filter_map(|spelling| spelled(text, *spelling)).collect()
    }

    #[test]
    fn numbers_are_read_as_characters() {
        for written in [
            "61 6e 6e 61",
            "61:6E:6E:61",
            "616e 6e61",
            "616e:6e61",
            "0x61, 0x6e, 0x6e, 0x61",
            "U+0061 U+006E U+006E U+0061",
            "97,110,110,97",
            "097 110 110 097",
            "&#97&#110&#110&#97",
            "141 156 156 141",
            "01100001 01101110 01101110 01100001",
        ] {
            assert!(has_numbers(written), "{written}");
            assert!(
                read(written).iter().any(|text| text.ends_with("anna")),
                "{written}: {:?}",
                read(written)
            );
        }
        assert_eq!(spelled("id [74,246,114,103]!", SPELLINGS[1]).unwrap(), "id [Jörg]!");
        assert_eq!(spelled("4a c3 b6 72 67", SPELLINGS[0]).unwrap(), "Jörg");
        for text in ["what is it", "in 12 of 34 steps", "LiveView.kt:123:45", "v2.14.1", "at 10:30"] {
            assert!(!has_numbers(text), "{text}");
        }
        for text in ["1200 12000 1732240000123", "12 of 34 and 56", "61 6e"] {
            assert!(spelled(text, SPELLINGS[1]).is_none(), "{text}");
        }
    }

    #[test]
    fn what_stands_between_characters_goes() {
        for written in ["=61n=6Ea", "an=\r\nna", "an=\nna", "[31ma[0mn[1;32mna", "\u{e0061}n\u{e006e}a"] {
            assert_eq!(loosely(written).unwrap(), "anna", "{written}");
        }
        for same in ["a=b", "list[3] of [mode]", "x == y", "\u{e0001}"] {
            assert_eq!(loosely(same), None, "{same}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[0-9a-fux =\\[m;,\u{e0061}ä]{0,60}|\\PC{0,60}") {
            for reading in read(&text).into_iter().chain(loosely(&text)) {
                prop_assert!(reading.len() <= 2 * text.len());
            }
            let is_read = SPELLINGS.iter().any(|s| spelled(&text, *s).is_some());
            prop_assert!(!is_read || has_numbers(&text), "{}", text);
        }
    }
}
