//! Receipts: for each act (an erasure, a run of retention, a shred of keys, a change of policy or role) a signed line that
//! anyone can verify offline, chained so that none can be changed, removed, inserted or moved unseen.
//!
//! ```text
//! Act -check-> -close-> commitments -sign-> line -append-> chain                    for ever
//!                    \-> openings, parts -----put--------> openings                 until they are forgotten
//! line + openings -> full receipt (officer, auditor) | personal receipt (person) -> verify_document, docs/verify_receipt.py
//! ```
//! - `act`: what the caller hands over; `closed`: the same with everything hidden that must not stand in the chain
//! - `commitment`: salted hashes and what opens them; `hash`: SHA-256 by purpose; `key`: who signs
//! - `tree` and `proof`: a Merkle tree over a table's live files, and that files are in it or are not; `part`: the list of removed files
//! - `entry`: a line; `segments`: the objects of a chain; `verify`: whether lines are one
//! - `receipts`: the receipts of a region; `document`: what is handed out, and its verification
//!
//! Invariants: the chain holds random numbers, salted commitments, times, roles and regions, and nothing of a subject: no digest and no count;
//! the form on the disk and in documents is exactly that of `docs/receipts.md`, which another verifier (`docs/verify_receipt.py`) was written from; a
//! signature is checked by the strict rules of Ed25519.
//! Not here: who a request was about (the record of the request, which has an end of its own), when an act is done and by whom it may be asked for
//! (`shoal-server`), the audit (`shoal-audit`), where the seed of the key comes from.

mod act;
mod closed;
mod commitment;
mod document;
mod entry;
mod error;
mod hash;
mod key;
mod part;
mod proof;
mod receipts;
mod segments;
#[cfg(test)]
mod tests;
mod tree;
mod verify;

pub use act::{Act, ActKind, FILES_MAX, FileState, RemovedFile, TableState};
pub use document::{DOCUMENT_BYTES_MAX, DocumentKind, Verified, verify_document};
pub use error::{Fault, ReceiptError};
pub use hash::Hash;
pub use key::{KeyId, PublicKey, Signer};
pub use part::PART_FILES;
pub use proof::{Leaf, Proof};
pub use receipts::{Receipt, ReceiptId, Receipts};
pub use segments::export_chain;
pub use tree::Tree;
pub use verify::{ChainEnd, verify_chain};
