//! Halves of surrogate pairs in JSON escapes, which JavaScript SDKs send when they cut a text inside an emoji.
//!
//! JSON's grammar allows `\ud83d` alone and Unicode does not; serde refuses the whole text for it. Here each half becomes
//! `\ufffd`, which has the same length: the lengths in a Sentry envelope stay true. Binary payloads may be changed by it;
//! none is read.

use std::borrow::Cow;

/// Replaces lone halves; borrowed when there is none.
pub(crate) fn repair(body: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    let lone = if body.contains(&b'\\') { lone(&body) } else { Vec::new() };
    if lone.is_empty() {
        return body;
    }
    let mut body = body.into_owned();
    for at in lone {
        body[at..at + 6].copy_from_slice(b"\\ufffd");
    }
    Cow::Owned(body)
}

/// Where lone halves begin.
fn lone(body: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(next) = body.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'\\')) {
        at += next;
        match unit(body, at) {
            Some(0xd800..=0xdbff) if matches!(unit(body, at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                found.push(at);
                at += 6;
            }
            // An escaped backslash does not begin the next escape.
            _ => at += 2,
        }
    }
    found
}

/// The code unit of `\u` and four hex digits at this place.
fn unit(body: &[u8], at: usize) -> Option<u16> {
    let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits
        .iter()
        .try_fold(0u16, |sum, digit| Some(sum << 4 | u16::try_from((*digit as char).to_digit(16)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lone_halves_are_replaced() {
        for (body, wanted) in [
            (r#""plain""#, r#""plain""#),
            (r#""\ud83d\ude00 \\ud83d""#, r#""\ud83d\ude00 \\ud83d""#),
            (r#""a\ud83d""#, r#""a\ufffd""#),
            (r#""\ude00\ud83dx\uD83D\n""#, r#""\ufffd\ufffdx\ufffd\n""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r"\ud83", r"\ud83"),
            (r"\", r"\"),
        ] {
            let repaired = repair(Cow::Borrowed(body.as_bytes()));
            assert_eq!(String::from_utf8_lossy(&repaired), wanted);
        }
    }
}
