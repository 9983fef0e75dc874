//! An entry of the chain: its members, its line, its signature.
//!
//! ```text
//! body = {"v":1,"seq":..,"prev":"..","at_ms":..,"region":"..","act":"..","request":"..","role":"..","backups_until_ms":..,
//!         "key":"..","commitments":{..}}                        JSON without spaces, members in this order, names of commitments sorted
//! line = body without its last brace | ,"sig":" | 128 hexadecimal digits | "}
//! sig  = Ed25519 of ("Shoal receipt entry 1\n" | body)          RFC 8032
//! prev = SHA-256("Shoal receipt line 1\n" | line before it)     64 zeros in the first line
//! ```
//! Invariants: a body that is read is byte for byte the one that would be written of it; the salted commitments aside there is nothing of
//! a subject in an entry, and no count. Not here: the chain (`chain.rs`), what is committed to (`commitment.rs`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::act::{Act, ActKind, is_region};
use crate::error::{ReceiptError, Result};
use crate::hash::{Hash, Tag, bytes_of};
use crate::key::{KeyId, PublicKey, Signer};

/// The most bytes of a line.
pub(crate) const LINE_BYTES_MAX: usize = 32 << 10;
/// The version of the form.
const VERSION: u8 = 1;
const SIGNATURE_AT: &str = ",\"sig\":\"";
const END: &str = "\"}";

/// What stands in the chain of an act.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    v: u8,
    pub(crate) seq: u64,
    pub(crate) prev: Hash,
    pub(crate) at_ms: i64,
    pub(crate) region: String,
    pub(crate) act: ActKind,
    pub(crate) request: Uuid,
    pub(crate) role: String,
    pub(crate) backups_until_ms: Option<i64>,
    key: KeyId,
    pub(crate) commitments: BTreeMap<String, Hash>,
}

/// Where an entry stands.
pub(crate) struct Place<'a> {
    pub(crate) seq: u64,
    pub(crate) prev: Hash,
    pub(crate) region: &'a str,
}

/// A line that was read. Whether it is signed is another question.
pub(crate) struct Line {
    pub(crate) entry: Entry,
    body: String,
    signature: [u8; 64],
}

/// The signed line of an act, without an end of line.
pub(crate) fn sign(
    act: &Act,
    commitments: BTreeMap<String, Hash>,
    place: &Place<'_>,
    by: &Signer,
) -> Result<String> {
    let entry = Entry {
        v: VERSION,
        seq: place.seq,
        prev: place.prev,
        at_ms: act.at_ms,
        region: place.region.to_owned(),
        act: act.kind,
        request: act.request,
        role: act.role.clone(),
        backups_until_ms: act.backups_until_ms,
        key: by.public_key().id(),
        commitments,
    };
    let body = serde_json::to_string(&entry).map_err(|_| ReceiptError::Act("it has no form in JSON"))?;
    let signature = hex::encode(by.sign(&body));
    let members = body.strip_suffix('}').unwrap_or(&body);
    let line = format!("{members}{SIGNATURE_AT}{signature}{END}");
    match line.len() <= LINE_BYTES_MAX {
        true => Ok(line),
        false => Err(ReceiptError::Act("its entry would be too long")),
    }
}

/// The hash that the next line has of this one.
pub(crate) fn hash_of(line: &str) -> Hash {
    Hash::of(Tag::Line, &[line.as_bytes()])
}

impl Line {
    /// Reads a line, which must be the one that would be written.
    pub(crate) fn read(line: &str) -> std::result::Result<Line, &'static str> {
        if line.len() > LINE_BYTES_MAX {
            return Err("the entry is too long");
        }
        let (members, signature) = line
            .strip_suffix(END)
            .and_then(|line| line.rsplit_once(SIGNATURE_AT))
            .ok_or("the entry does not end with a signature")?;
        let signature = bytes_of(signature).ok_or("the entry does not end with a signature")?;
        let body = format!("{members}}}");
        let entry: Entry = serde_json::from_str(&body).map_err(|_| "the entry cannot be read")?;
        if entry.v != VERSION {
            return Err("the entry has a version that this program does not know");
        }
        if serde_json::to_string(&entry).ok().as_ref() != Some(&body) || !is_region(&entry.region) {
            return Err("the entry does not have the form of an entry");
        }
        Ok(Line { entry, body, signature })
    }

    /// Whether the one of these keys that the entry names has signed it.
    pub(crate) fn check_signature(&self, keys: &[PublicKey]) -> std::result::Result<(), &'static str> {
        let mut named = keys.iter().filter(|key| key.id() == self.entry.key).peekable();
        if named.peek().is_none() {
            return Err("the entry is signed with another key");
        }
        match named.any(|key| key.has_signed(&self.body, &self.signature)) {
            true => Ok(()),
            false => Err("the signature is not that of the key"),
        }
    }
}
