//! The two documents that are made of an entry and its openings, and their verification with the public key alone.
//!
//! ```text
//! {"shoal_receipt":1,"kind":"full","entry":"<the line>","openings":{name:{"salt":"..","value":..},..},"part":1,"tables":[..]}
//! {"shoal_receipt":1,"kind":"personal","entry":"<the line>","openings":{only names that begin with "told."}}
//! ```
//! The full receipt opens every commitment and has one part of the list of removed files (`part.rs`). The person's receipt opens what concerns the
//! act, and its form has no place for more.
//!
//! Invariants: a document that is accepted is byte for byte the one that would be written of it, and each member is bound by the signature of the
//! entry; a document has no `Debug`. Not here: whether the entry is in the chain, which the chain tells (`chain.rs`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::act::{ActKind, RemovedFile};
use crate::commitment::{Opening, REMOVED, Removed, TOLD};
use crate::entry::{Line, hash_of};
use crate::error::Fault;
use crate::hash::Hash;
use crate::key::PublicKey;
use crate::part;

/// The most bytes of a document.
pub const DOCUMENT_BYTES_MAX: usize = 16 << 20;
const VERSION: u8 = 1;

/// For whom a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// For officers and auditors: everything.
    Full,
    /// For the person: what concerns the act.
    Personal,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    shoal_receipt: u8,
    kind: DocumentKind,
    entry: String,
    openings: BTreeMap<String, Opening>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tables: Option<Box<RawValue>>,
}

/// What a document says, when it is what the owner of the key has signed. No `Debug`: it may have counts of one person.
pub struct Verified {
    /// For whom it is.
    pub kind: DocumentKind,
    /// The number of its line in the chain.
    pub seq: u64,
    /// The hash of that line.
    pub line: Hash,
    /// What was done.
    pub act: ActKind,
    /// The number of the request.
    pub request: Uuid,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Where.
    pub region: String,
    /// In which role.
    pub role: String,
    /// Until when backups may still have what was removed, in milliseconds since 1970.
    pub backups_until_ms: Option<i64>,
    /// What is opened: names, and values as JSON.
    pub opened: BTreeMap<String, String>,
    /// Which part of how many, of a full receipt.
    pub part: Option<(u64, u64)>,
    /// The removed files that this part lists, each of which is proved to have been there before and not to be there after.
    pub removed: Vec<RemovedFile>,
}

impl Document {
    /// The full receipt, with the part of this number and text.
    pub(crate) fn full(
        line: &str,
        openings: BTreeMap<String, Opening>,
        part: (u64, Box<RawValue>),
    ) -> Document {
        let (number, tables) = part;
        Document {
            shoal_receipt: VERSION,
            kind: DocumentKind::Full,
            entry: line.to_owned(),
            openings,
            part: Some(number),
            tables: Some(tables),
        }
    }

    /// The person's receipt: what is not for the person is left out of the openings.
    pub(crate) fn personal(line: &str, mut openings: BTreeMap<String, Opening>) -> Document {
        openings.retain(|name, _| name.starts_with(TOLD));
        Document {
            shoal_receipt: VERSION,
            kind: DocumentKind::Personal,
            entry: line.to_owned(),
            openings,
            part: None,
            tables: None,
        }
    }

    /// Its bytes; none when it has no form in JSON.
    pub(crate) fn text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

/// Verifies a document of either kind with the public key alone, and whichever of these keys has signed it. The cheapest refusal comes first.
///
/// # Errors
/// [`Fault`] with the reason when any byte of it is not as it was signed.
pub fn verify_document(text: &[u8], keys: &[PublicKey]) -> Result<Verified, Fault> {
    verified(text, keys).map_err(|reason| Fault::new(1, reason))
}

fn verified(text: &[u8], keys: &[PublicKey]) -> Result<Verified, String> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err("the document is too large".to_owned());
    }
    // An end of line behind it is what editors and shells add, and no part of it.
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let document: Document = serde_json::from_slice(text).map_err(|_| "the document cannot be read")?;
    if document.shoal_receipt != VERSION {
        return Err("the document has a version that this program does not know".to_owned());
    }
    if document.text().is_none_or(|written| written.as_bytes() != text) {
        return Err("the document does not have the form in which it was written".to_owned());
    }
    let line = Line::read(&document.entry)?;
    let (kind, openings) = (document.kind, &document.openings);
    for (name, opening) in openings {
        if line.entry.commitments.get(name) != Some(&opening.commitment(name)) {
            return Err(format!("{name} is not what was committed to"));
        }
    }
    let (part, removed) = match (kind, &document.part, &document.tables) {
        (DocumentKind::Full, Some(number), Some(tables)) => {
            if openings.len() != line.entry.commitments.len() {
                return Err("a full receipt must open every commitment".to_owned());
            }
            let removed = part::check(*number, tables.get(), openings)?;
            let parts = openings.get(REMOVED).and_then(Opening::read::<Removed>);
            (Some((*number, parts.map_or(1, |removed| removed.parts.len() as u64))), removed)
        }
        (DocumentKind::Personal, None, None) if openings.keys().all(|name| name.starts_with(TOLD)) => {
            (None, Vec::new())
        }
        _ => return Err("the document has other members than one of its kind".to_owned()),
    };
    line.check_signature(keys)?;
    let hash = hash_of(&document.entry);
    let entry = line.entry;
    let opened = document.openings.iter();
    Ok(Verified {
        kind,
        seq: entry.seq,
        line: hash,
        act: entry.act,
        request: entry.request,
        at_ms: entry.at_ms,
        region: entry.region,
        role: entry.role,
        backups_until_ms: entry.backups_until_ms,
        opened: opened.map(|(name, opening)| (name.clone(), opening.value.get().to_owned())).collect(),
        part,
        removed,
    })
}
