//! Receipts as a whole. Here is what their tests share.

#![allow(clippy::unwrap_used)]

mod chain;
mod crashes;
mod documents;
mod python;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use shoal_files::{Memory, Objects};
use uuid::Uuid;

use crate::{Act, ActKind, FileState, PublicKey, Receipts, RemovedFile, Signer, TableState};

const SEED: [u8; 32] = [7; 32];

fn signer() -> Signer {
    Signer::from_seed(SEED)
}

fn key() -> PublicKey {
    signer().public_key()
}

fn file(number: u64) -> FileState {
    FileState { path: format!("day=2026-11-22/ux-{number:05}.parquet"), bytes: 1000 + number }
}

fn table(name: &str, version: u64, numbers: impl IntoIterator<Item = u64>) -> TableState {
    TableState { table: name.to_owned(), version, files: numbers.into_iter().map(file).collect() }
}

/// An erasure that has rewritten two files of one of two tables.
fn act(request: u128) -> Act {
    let removed = |number| RemovedFile { table: "usage".to_owned(), path: file(number).path };
    Act {
        kind: ActKind::SubjectErase,
        request: Uuid::from_u128(request),
        at_ms: 1_796_000_000_000,
        role: "privacy-officer".to_owned(),
        backups_until_ms: Some(1_799_000_000_000),
        told: BTreeMap::from([("programmes".to_owned(), vec!["user-experience".to_owned()])]),
        kept: BTreeMap::from([("key_epochs".to_owned(), vec!["2026-09-04.90".to_owned()])]),
        counts: BTreeMap::from([("rows".to_owned(), 4711), ("subjects".to_owned(), 1)]),
        before: vec![table("usage", 8, [3, 1, 2, 4]), table("crash", 5, [])],
        after: vec![table("crash", 5, []), table("usage", 9, [1, 4, 5])],
        removed: vec![removed(3), removed(2)],
    }
}

/// An act that removes nothing.
fn policy(request: u128) -> Act {
    Act { kind: ActKind::PolicyChange, before: vec![], after: vec![], removed: vec![], ..act(request) }
}

fn open(chain: &(impl Objects + Clone + 'static), openings: &Memory) -> Receipts {
    opened(chain, openings).unwrap()
}

fn opened(
    chain: &(impl Objects + Clone + 'static),
    openings: &(impl Objects + Clone + 'static),
) -> crate::error::Result<Receipts> {
    Receipts::open(Arc::new(chain.clone()), Arc::new(openings.clone()), signer(), "de")
}

fn begun() -> (Memory, Memory, Receipts) {
    let (chain, openings) = (Memory::new(), Memory::new());
    let receipts = open(&chain, &openings);
    (chain, openings, receipts)
}

/// All bytes of all objects of a place.
fn all_bytes(place: &dyn Objects) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    for entry in place.list("")? {
        all.extend(entry.name.bytes());
        all.extend(place.read(&entry.name)?);
    }
    Ok(all)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
