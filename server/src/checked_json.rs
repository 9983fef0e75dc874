//! Small files of JSON with a digest: a bit of one that flips is found at the next read, and is not another key or another day.
//!
//! ```text
//! {"crc32":"<8 hexadecimal digits>",      CRC-32 of every byte behind the comma (ADR 24)
//!   "version": 1, ... }
//! ```
//! A file of before there were digests begins with its first member instead. Its reader refuses members that it does not know, so
//! that a damaged digest makes no file of before.
//!
//! Invariant: pure. The digest is for damage and not for malice: whoever may write the file can make it anew, or leave it out.
//! Not here: reading and writing (`access_keys.rs`, `canonical_day.rs`).

use std::borrow::Cow;

use serde::Serialize;

const BEFORE: &str = "{\"crc32\":\"";
const BEHIND: &str = "\",";
const DIGITS: usize = 8;

/// What a file holds.
pub(crate) struct Content<'t> {
    /// Its JSON, without the digest.
    pub(crate) json: Cow<'t, [u8]>,
    /// Whether it has a digest, which is right.
    pub(crate) is_checked: bool,
}

fn digest(bytes: &[u8]) -> String {
    format!("{:08x}", crc32fast::hash(bytes))
}

/// The bytes of a file that holds this value, which is an object with members.
///
/// # Errors
/// When the value is no JSON.
pub(crate) fn write<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    let text = serde_json::to_vec_pretty(value)?;
    // What stands behind the bracket of the object.
    let members = text.get(1..).unwrap_or_default();
    let mut bytes = [BEFORE, &digest(members), BEHIND].concat().into_bytes();
    bytes.extend_from_slice(members);
    Ok(bytes)
}

/// What a file holds; none when its digest says something else.
pub(crate) fn read(bytes: &[u8]) -> Option<Content<'_>> {
    let Some(rest) = bytes.strip_prefix(BEFORE.as_bytes()) else {
        return Some(Content { json: Cow::Borrowed(bytes), is_checked: false });
    };
    let (said, rest) = rest.split_at_checked(DIGITS)?;
    let members = rest.strip_prefix(BEHIND.as_bytes())?;
    let json = [b"{", members].concat();
    (said == digest(members).as_bytes()).then_some(Content { json: Cow::Owned(json), is_checked: true })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Kept {
        version: u32,
        name: String,
    }

    fn kept(bytes: &[u8]) -> Option<Kept> {
        serde_json::from_slice(&read(bytes)?.json).ok()
    }

    #[test]
    fn any_bit_that_flips_is_found_and_what_has_no_digest_is_read() {
        let value = Kept { version: 1, name: "crc32".to_owned() };
        let bytes = write(&value).unwrap();
        assert_eq!(kept(&bytes).as_ref(), Some(&value));
        assert!(read(&bytes).unwrap().is_checked);
        let as_json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(as_json["name"], "crc32", "other programs can read it");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(kept(&flipped), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(kept(&bytes[..length]), None, "cut at {length}");
        }
        let before = serde_json::to_vec(&value).unwrap();
        assert_eq!(kept(&before).as_ref(), Some(&value));
        assert!(!read(&before).unwrap().is_checked);
    }
}
