//! A chain of lines: each is sealed with a hash over itself and the hash of the line before it, so that no line can be
//! changed, removed, inserted or moved without breaking every line after it.
//!
//! ```text
//! {"seq":7,"prev":"<hash of line 6, 64 hex>", <fields> ,"hash":"<hash of line 7, 64 hex>"}
//! |------------------------- body ------------------|
//! hash(n) = BLAKE3(derive key CONTEXT, hash(n - 1) || body(n))        hash(0) = BLAKE3(derive key CONTEXT, "")
//! ```
//! Every byte of a line counts: the form is exact, with no other white space, digits or order. The hash has no key: whoever
//! can write the lines can make a whole chain anew, up to its head. A copy of the head that is kept elsewhere finds that.
//!
//! Invariants: pure; [`check`] accepts exactly what [`seal`] makes.
//! Not here: files, the head, and what is durable (`chain.rs`); what the fields say (`lib.rs`).

const CONTEXT: &str = "Shoal 2026-11-22 link of a chain of audit lines, version 1";
const PREV: &str = ",\"prev\":\"";
const HASH: &str = ",\"hash\":\"";
const END: &str = "\"}";
const HEX_LEN: usize = 64;

/// The hash of a line, and with it of all lines before it.
pub type LineHash = [u8; 32];

/// Why a line is none of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// It has not the form of a line.
    #[error("not a line of the chain")]
    Form,
    /// It has another number than its place: a line is missing, inserted or moved.
    #[error("the number is not the next one: a line is missing, inserted or moved")]
    Number,
    /// It does not follow the line before it.
    #[error("does not follow the line before it")]
    Previous,
    /// It was changed.
    #[error("the line was changed")]
    Changed,
}

/// What the first line follows.
pub(crate) fn first() -> LineHash {
    blake3::derive_key(CONTEXT, b"")
}

/// The line with this number (from 1) after `prev`, without a line feed, and its hash. `fields` are the members of a JSON
/// object without its braces; they must hold no line feed, which JSON never needs.
pub(crate) fn seal(seq: u64, prev: &LineHash, fields: &str) -> (String, LineHash) {
    let mut line = format!("{{\"seq\":{seq}{PREV}{}\",{fields}", hex::encode(prev));
    let hash = link(prev, line.as_bytes());
    line.push_str(HASH);
    line.push_str(&hex::encode(hash));
    line.push_str(END);
    (line, hash)
}

/// The hash of the line `seq`, when it is whole and follows `prev`. Without `prev` it may follow anything: for the first
/// line of a part of a chain.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(seq: u64, prev: Option<&LineHash>, line: &[u8]) -> Result<LineHash, Broken> {
    let text = std::str::from_utf8(line).map_err(|_| Broken::Form)?;
    let rest = text.strip_prefix("{\"seq\":").ok_or(Broken::Form)?;
    let (number, rest) = rest.split_once(PREV).ok_or(Broken::Form)?;
    let (own_prev, rest) = split_hash(rest).ok_or(Broken::Form)?;
    if !rest.starts_with("\",") || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Broken::Form);
    }
    let end = text.strip_suffix(END).ok_or(Broken::Form)?;
    let hash_at =
        end.len().checked_sub(HEX_LEN).filter(|at| end.is_char_boundary(*at)).ok_or(Broken::Form)?;
    let (own_hash, nothing) = split_hash(&end[hash_at..]).ok_or(Broken::Form)?;
    let body = end[..hash_at].strip_suffix(HASH).ok_or(Broken::Form)?;
    if !nothing.is_empty() {
        return Err(Broken::Form);
    }
    if number != seq.to_string() {
        return Err(Broken::Number);
    }
    if prev.is_some_and(|prev| *prev != own_prev) {
        return Err(Broken::Previous);
    }
    if link(&own_prev, body.as_bytes()) != own_hash {
        return Err(Broken::Changed);
    }
    Ok(own_hash)
}

fn link(prev: &LineHash, body: &[u8]) -> LineHash {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(prev).update(body);
    *hasher.finalize().as_bytes()
}

/// A hash in lower-case digits at the start of a text, and what follows it.
fn split_hash(text: &str) -> Option<(LineHash, &str)> {
    let (digits, rest) = text.split_at_checked(HEX_LEN)?;
    let mut hash = [0; 32];
    hex::decode_to_slice(digits, &mut hash).ok()?;
    digits.bytes().all(|b| !b.is_ascii_uppercase()).then_some((hash, rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_json_and_follows_the_one_before_it() {
        let (one, after) = seal(1, &first(), r#""who":"a""#);
        let (two, last) = seal(2, &after, r#""who":"b","hash":"no""#);
        assert_eq!(check(1, Some(&first()), one.as_bytes()), Ok(after));
        assert_eq!(check(2, Some(&after), two.as_bytes()), Ok(last));
        assert_eq!(check(2, None, two.as_bytes()), Ok(last));
        let parsed: serde_json::Value = serde_json::from_str(&one).unwrap();
        assert_eq!((parsed["seq"].as_u64(), parsed["who"].as_str()), (Some(1), Some("a")));
        assert_eq!(parsed["hash"], hex::encode(after));
        assert_eq!(check(2, Some(&first()), two.as_bytes()), Err(Broken::Previous));
        assert_eq!(check(3, Some(&after), two.as_bytes()), Err(Broken::Number));
        assert_eq!(check(1, Some(&first()), b""), Err(Broken::Form));
        assert_ne!(seal(1, &after, r#""who":"a""#).1, after, "the same line elsewhere has another hash");
    }

    #[test]
    fn the_hash_is_what_the_drawing_says() {
        let (line, hash) = seal(1, &first(), "\"a\":1");
        let body = line.split(",\"hash\"").next().unwrap();
        let mut bytes = blake3::derive_key(CONTEXT, b"").to_vec();
        bytes.extend_from_slice(body.as_bytes());
        assert_eq!(hash, blake3::derive_key(CONTEXT, &bytes));
    }

    proptest! {
        #[test]
        fn no_byte_can_be_changed_dropped_or_added(
            text in "[a-zA-Z0-9 äß\"\\\\]{0,40}", at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let fields = format!("\"text\":{}", serde_json::to_string(&text).unwrap());
            let (line, hash) = seal(41, &first(), &fields);
            prop_assert_eq!(check(41, Some(&first()), line.as_bytes()), Ok(hash));
            let at = at.index(line.len());
            let mut changed = line.clone().into_bytes();
            if changed[at] != byte {
                changed[at] = byte;
                prop_assert!(check(41, Some(&first()), &changed).is_err());
            }
            let mut dropped = line.clone().into_bytes();
            dropped.remove(at);
            prop_assert!(check(41, Some(&first()), &dropped).is_err());
            let mut added = line.into_bytes();
            added.insert(at, byte);
            prop_assert!(check(41, Some(&first()), &added).is_err());
        }
    }
}
