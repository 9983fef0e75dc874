//! What a text means rather than how it is written: one form for characters that look alike, and escapes decoded.
//!
//! Both are views that are searched. A text in which nothing is found stays as it was written.
//! Invariant: a folded text folds to itself, and a decoded one decodes to itself.
//! Not here: what is looked for (`patterns/`), identifiers of the event (`own_identifiers.rs`).

pub(crate) mod lookalikes;

use std::borrow::Cow;

use unicode_normalization::char::decompose_compatible;

/// The first digits of scripts whose digits have a form of their own, which Unicode does not fold.
const ZEROS: &[u32] = &[
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20,
    0x1040, 0x17e0, 0x1810,
];

/// Signs that HTML and XML have names for.
const NAMED: &[(&str, char)] = &[
    ("&commat;", '@'),
    ("&period;", '.'),
    ("&nbsp;", ' '),
    ("&colon;", ':'),
    ("&quot;", '"'),
    ("&apos;", '\''),
    ("&amp;", '&'),
    ("&sol;", '/'),
    ("&equals;", '='),
    ("&lt;", '<'),
    ("&gt;", '>'),
];

/// How often escapes are decoded within each other: `%252540` is an at sign. What is deeper stays.
const LAYERS_MAX: usize = 8;

/// Wide, bold, circled and other forms of ASCII characters as those, every script's digits as ASCII's, any blank as a
/// blank, any dash as a hyphen, letters that look like ASCII's as those in words that are a mixture; without characters that
/// take no room. Borrowed when nothing changes.
pub(crate) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| fold_char(c, &mut out));
    if let Some(read) = lookalikes::read_mixed_words(&out) {
        out = read;
    }
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// Appends the folded form of one character.
pub(crate) fn fold_char(c: char, out: &mut String) {
    match c {
        '\0'..='\x7f' => out.push(c),
        _ if takes_no_room(c) => {}
        // The long s, which patterns that do not look at letter case take for an s.
        '\u{17f}' => out.push('s'),
        // Letters with nothing to fold: Latin, Greek, Cyrillic, Chinese, Japanese, Korean.
        '\u{c0}'..='\u{24f}' | '\u{370}'..='\u{52f}' | '\u{3041}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => {
            out.push(c);
        }
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

/// What Unicode calls default ignorable (`Default_Ignorable_Code_Point` of Unicode 17.0): joiners, directions, fillers, choices
/// of a form, and tags, which repeat ASCII without being seen.
pub(crate) fn takes_no_room(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let value = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

/// The text as it is meant: each escape is decoded, what it stands for is folded, and what tells a terminal its colours is taken
/// out. None when there is no escape. `%40`, `%2540`, `\x40`, `\u0040`, `\u{40}`, `&#64;`, `&commat;` and `=40` are an at sign, `\/`
/// is a slash. Escapes of control characters stay. Of quoted-printable only an at sign before a domain and three in a row are
/// read: `a=2E` may be anything else.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut current = fold(&layer(text)?).into_owned();
    for _ in 1..LAYERS_MAX {
        match layer(&current) {
            Some(next) => current = fold(&next).into_owned(),
            None => break,
        }
    }
    Some(current)
}

fn layer(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let (mut at, mut copied) = (0, 0);
    let begins = |b: &u8| matches!(b, b'%' | b'\\' | b'&' | b'=' | 0x1b | 0xc2);
    // Where the last escape of quoted-printable ended, that the next one belongs to.
    let mut quoted_end = usize::MAX;
    while let Some(next) = bytes[at..].iter().position(begins) {
        at += next;
        if quoted(&bytes[at..]).is_some() && (quoted_end == at || is_quoted_run(&bytes[at..])) {
            quoted_end = at + 3;
        }
        match escape(&bytes[at..], quoted_end == at + 3) {
            Some((length, Escaped::Nothing)) => {
                out.extend_from_slice(&bytes[copied..at]);
                at += length;
                copied = at;
            }
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
    Nothing,
}

/// Three escapes of quoted-printable in a row.
fn is_quoted_run(bytes: &[u8]) -> bool {
    bytes.get(..9).is_some_and(|run| run.chunks(3).all(|escape| quoted(escape).is_some()))
}

/// The byte of an escape of quoted-printable, `=6E`.
pub(crate) fn quoted(bytes: &[u8]) -> Option<u8> {
    let [b'=', digits @ ..] = bytes.get(..3)? else { return None };
    u8::try_from(number(digits, 16)?).ok().filter(|byte| !byte.is_ascii_control())
}

/// How long what tells a terminal its colours is at the beginning of some bytes, also where its first character is written as an
/// escape: `ESC [ 31 m`, after ECMA-48.
fn colour(bytes: &[u8]) -> Option<usize> {
    const BEGINNINGS: [&[u8]; 10] =
        [b"\x1b", b"\\x1b", b"\\x1B", b"\\u001b", b"\\u001B", b"\\033", b"\\e", b"%1b", b"%1B", b"&#27;"];
    let begin = match bytes {
        [0xc2, 0x9b, ..] => 2,
        _ => {
            let begin = BEGINNINGS.iter().find(|begin| bytes.starts_with(begin))?.len();
            match bytes.get(begin)? {
                b'(' => {
                    return bytes.get(begin + 1).filter(|b| b.is_ascii_alphanumeric()).map(|_| begin + 2);
                }
                b'[' => begin + 1,
                _ => return None,
            }
        }
    };
    let parameters = bytes[begin..].iter().take(24).take_while(|b| matches!(b, 0x20..=0x3f)).count();
    let last = begin + parameters;
    bytes.get(last).filter(|b| matches!(b, 0x40..=0x7e)).map(|_| last + 1)
}

/// The escape at the beginning of some bytes: how long it is, and what it stands for. `=6E` is one when it is said to be.
fn escape(bytes: &[u8], is_quoted: bool) -> Option<(usize, Escaped)> {
    if let Some(length) = colour(bytes) {
        return Some((length, Escaped::Nothing));
    }
    let hex = |range: std::ops::Range<usize>| number(bytes.get(range)?, 16);
    match bytes {
        [b'%', ..] => byte(3, hex(1..3)?),
        [b'\\', b'x' | b'X', ..] => byte(4, hex(2..4)?),
        [b'\\', b'u', b'{', rest @ ..] => {
            let end = rest.iter().take(7).position(|b| *b == b'}')?;
            char_of(end + 4, number(&rest[..end], 16)?)
        }
        [b'\\', b'u' | b'U', ..] => char_of(6, hex(2..6)?),
        // As JSON in JSON has them, and paths and addresses in the JSON of some libraries.
        [b'\\', sign @ (b'/' | b'"'), ..] => Some((2, Escaped::Byte(*sign))),
        // `status=404.html` has none.
        [b'=', b'4', b'0', next, ..] if next.is_ascii_alphabetic() || matches!(next, b'[' | 0x80..) => {
            Some((3, Escaped::Byte(b'@')))
        }
        [b'=', b'4', b'0', domain @ ..] if is_domain_of_digits(domain) => Some((3, Escaped::Byte(b'@'))),
        [b'=', ..] if is_quoted => Some((3, Escaped::Byte(quoted(bytes)?))),
        [b'&', b'#', rest @ ..] => {
            let end = rest.iter().take(8).position(|b| *b == b';')?;
            let value = match &rest[..end] {
                [b'x' | b'X', digits @ ..] => number(digits, 16)?,
                digits => number(digits, 10)?,
            };
            char_of(end + 3, value)
        }
        [b'&', ..] => {
            let (name, c) = NAMED.iter().find(|(name, _)| bytes.starts_with(name.as_bytes()))?;
            Some((name.len(), Escaped::Char(*c)))
        }
        _ => None,
    }
}

/// A domain that begins with a digit, `163.com`, and is no file: `404.html`.
fn is_domain_of_digits(bytes: &[u8]) -> bool {
    const ENDINGS: &[&[u8]] = &[
        b"at", b"ch", b"cn", b"co", b"com", b"de", b"edu", b"eu", b"fr", b"hk", b"in", b"info", b"it", b"jp",
        b"kr", b"my", b"net", b"nl", b"org", b"ru", b"sg", b"tw", b"uk", b"us", b"vn",
    ];
    let name = bytes.iter().take(63).take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
    let Some([b'.', ending @ ..]) = bytes.get(name..) else { return false };
    let length = ending.iter().take(8).take_while(|b| b.is_ascii_alphanumeric()).count();
    name > 0 && bytes[0].is_ascii_digit() && ENDINGS.contains(&&ending[..length])
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
            ("a\u{e0041}n\u{e007f}n\u{34f}a\u{3164} b", "anna b"),
            ("7Ј0А123РАZ00001 от", "7J0A123PAZ00001 от"),
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
            "a&amp;#64;b",
        ] {
            assert_eq!(decode(written).unwrap(), "a@b", "{written}");
        }
        assert_eq!(decode("%C3%A4").unwrap(), "ä");
        assert_eq!(
            decode(r#"rtsp:\/\/cam \\\"a\\\" &quot;&apos;&amp;&sol;&equals;&lt;&gt;"#).unwrap(),
            r#"rtsp://cam "a" "'&/=<>"#
        );
        for domain in ["163.com", "126.com.cn", "1and1.de"] {
            assert_eq!(decode(&format!("anna=40{domain}")).unwrap(), format!("anna@{domain}"));
        }
        for written in ["a\\uff20b", "a&#160;b", "a%C2%A0b", "a%EF%BC%A0b", "a&#x2011;b", "%EF%BC%8540"] {
            let decoded = decode(written).unwrap();
            assert!(decoded.is_ascii() && !decoded.contains(['%', '&', '\\']), "{written}: {decoded}");
        }
        for written in [
            "\u{1b}[31ma\u{1b}[0mb\u{1b}(B",
            "\\x1b[1;31ma\\u001b[0mb",
            "\\033[31ma\\e[0mb",
            "%1B%5B31ma%1b[mb",
            "\u{9b}31ma&#27;[0mb",
            "a\\u{62}",
        ] {
            assert_eq!(decode(written).unwrap(), "ab", "{written}");
        }
        assert_eq!(decode("x =61=6E=6E=61=C3=A4 =6E").unwrap(), "x annaä =6E");
        for same in ["100 %", "a%0Ab", "%zz", "C:\\users\\anna", "a && b", "x == y", "&#;", "\\u00"] {
            assert_eq!(decode(same), None, "{same}");
        }
        for same in [
            "status=404.html",
            "v=4096.mp4",
            "a=40",
            "a=2E",
            "x=10=20",
            "\u{1b}",
            "\u{1b}[31",
            "C:\\e[1",
            "\\u{zz}",
            "\\u{}",
        ] {
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
        fn any_text_is_decoded(text in "[%\\\\xu&#;=0-9a-f\u{1b}\\[{}m\u{9b}]{0,40}|\\PC{0,40}") {
            if let Some(decoded) = decode(&text) {
                prop_assert!(decoded.len() <= 2 * text.len(), "some signs stand for several letters");
                prop_assert_eq!(fold(&decoded), decoded.as_str());
            }
        }
    }
}
