//! What a text means rather than how it is written: one form for characters that look alike, and escapes decoded.
//!
//! Both are views that are searched. A text in which nothing is found stays as it was written.
//! Invariant: a folded text folds to itself, and a decoded one decodes to itself.
//! Not here: what is looked for (`patterns/`), identifiers of the event (`own_identifiers.rs`).

use std::borrow::Cow;

use unicode_normalization::char::decompose_compatible;

/// The first digits of scripts whose digits have a form of their own, which Unicode does not fold.
const ZEROS: &[u32] = &[
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20,
    0x1040, 0x17e0, 0x1810,
];

/// How often escapes are decoded within each other: `%252540` is an at sign. What is deeper stays.
const LAYERS_MAX: usize = 8;

/// Wide, bold, circled and other forms of ASCII characters as those, every script's digits as ASCII's, any blank as a
/// blank, any dash as a hyphen; without characters that take no room. Borrowed when nothing changes.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| fold_char(c, &mut out));
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Appends the folded form of one character.
pub(crate) fn fold_char(c: char, out: &mut String) {
    match c {
        '\0'..='\x7f' => out.push(c),
        // Letters with nothing to fold: Latin, Greek, Cyrillic, Chinese, Japanese, Korean.
        '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{52f}' | '\u{3041}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => {
            out.push(c);
        }
        '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}' => {}
        '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' => {}
        '\u{2010}'..='\u{2015}' | '\u{2212}' => out.push('-'),
        '\u{3002}' | '\u{ff61}' => out.push('.'),
        _ => {
            if let Some(digit) = digit(c) {
                return out.push(digit);
            }
            let start = out.len();
            decompose_compatible(c, |part| out.push(part));
            if !out[start..].is_ascii() {
                out.truncate(start);
                out.push(c);
            }
        }
    }
}

fn digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let value = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

/// The text with its escapes decoded, as `%40`, `%2540`, `\x40`, `\u0040`, `&#64;` and `=40` are an at sign; none when it has
/// none. Escapes of control characters stay.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut current = layer(text)?;
    for _ in 1..LAYERS_MAX {
        match layer(&current) {
            Some(next) => current = next,
            None => break,
        }
    }
    Some(current)
}

fn layer(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(next) = bytes[at..].iter().position(|b| matches!(b, b'%' | b'\\' | b'&' | b'=')) {
        at += next;
        match escape(&bytes[at..]) {
            Some((length, Escaped::Byte(byte))) => {
                out.extend_from_slice(&bytes[copied..at]);
                out.push(byte);
                at += length;
                copied = at;
            }
            Some((length, Escaped::Char(c))) => {
                out.extend_from_slice(&bytes[copied..at]);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                at += length;
                copied = at;
            }
            None => at += 1,
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&bytes[copied..]);
    Some(String::from_utf8_lossy(&out).into_owned())
}

enum Escaped {
    Byte(u8),
    Char(char),
}

/// The escape at the beginning of some bytes: how long it is, and what it stands for.
fn escape(bytes: &[u8]) -> Option<(usize, Escaped)> {
    let hex = |range: std::ops::Range<usize>| number(bytes.get(range)?, 16);
    match bytes {
        [b'%', ..] => byte(3, hex(1..3)?),
        [b'\\', b'x' | b'X', ..] => byte(4, hex(2..4)?),
        [b'\\', b'u' | b'U', ..] => char_of(6, hex(2..6)?),
        // Of quoted-printable only what e-mail addresses are made of: `a=2E` may be anything else.
        [b'=', b'4', b'0', ..] => Some((3, Escaped::Byte(b'@'))),
        [b'&', b'#', rest @ ..] => {
            let end = rest.iter().take(8).position(|b| *b == b';')?;
            let value = match &rest[..end] {
                [b'x' | b'X', digits @ ..] => number(digits, 16)?,
                digits => number(digits, 10)?,
            };
            char_of(end + 3, value)
        }
        [b'&', ..] => {
            let named = [(&b"&commat;"[..], '@'), (b"&period;", '.'), (b"&nbsp;", ' '), (b"&colon;", ':')];
            let (name, c) = named.into_iter().find(|(name, _)| bytes.starts_with(name))?;
            Some((name.len(), Escaped::Char(c)))
        }
        _ => None,
    }
}

fn byte(length: usize, value: u32) -> Option<(usize, Escaped)> {
    let byte = u8::try_from(value).ok().filter(|byte| !byte.is_ascii_control())?;
    Some((length, Escaped::Byte(byte)))
}

fn char_of(length: usize, value: u32) -> Option<(usize, Escaped)> {
    let c = char::from_u32(value).filter(|c| !c.is_control())?;
    Some((length, Escaped::Char(c)))
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    if digits.is_empty() || digits.len() > 6 {
        return None;
    }
    digits.iter().try_fold(0, |value, digit| Some(value * radix + char::from(*digit).to_digit(radix)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_alike_is_alike() {
        for (written, meant) in [
            ("＋４９ １５１", "+49 151"),
            ("anna＠example．com", "anna@example.com"),
            ("٠١٢٣ ०१२ 𝟙𝟚 ①", "0123 012 12 1"),
            ("a\u{a0}b\u{2013}c\u{200b}d\u{ad}e", "a b-cde"),
            ("ﬁn ＳＮ", "fin SN"),
        ] {
            assert_eq!(fold(written), meant);
        }
        for same in ["Jörg für 5 €", "升级失败", "Ελλάδα", "über ½"] {
            assert!(matches!(fold(same), Cow::Borrowed(_)), "{same}");
        }
    }

    #[test]
    fn escapes_are_decoded_in_all_layers() {
        for written in [
            "a%40b",
            "a%2540b",
            "a%252540b",
            "a\\x40b",
            "a\\u0040b",
            "a&#64;b",
            "a&#x40;b",
            "a=40b",
            "a&commat;b",
        ] {
            assert_eq!(decode(written).unwrap(), "a@b", "{written}");
        }
        assert_eq!(decode("%C3%A4").unwrap(), "ä");
        for same in ["100 %", "a%0Ab", "%zz", "C:\\users\\anna", "a && b", "x == y", "&#;", "\\u00"] {
            assert_eq!(decode(same), None, "{same}");
        }
    }

    proptest! {
        #[test]
        fn folding_again_changes_nothing(text in "\\PC{0,60}") {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once), once.as_str());
        }

        #[test]
        fn any_text_is_decoded(text in "[%\\\\xu&#;=0-9a-f]{0,40}|\\PC{0,40}") {
            let _ = decode(&text);
        }
    }
}
