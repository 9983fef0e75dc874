//! An erasure, and how far it is. Not here: its bytes (`form`), where it is kept (`places`).

use uuid::Uuid;

/// A person's erasure in one region. No `Debug`: it has pseudonyms.
#[derive(Clone)]
pub struct Erasure {
    /// What it is called in all regions.
    pub id: Uuid,
    /// When it was asked for, in milliseconds since 1970.
    pub asked_ms: i64,
    /// Pseudonyms of the person, ascending, each once; at most 1,000,000. There may be none.
    pub subjects: Vec<u128>,
}

/// What was done of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// When, in milliseconds since 1970.
    pub done_ms: i64,
    /// Files that were written anew or removed.
    pub files: u64,
    /// Rows that were removed.
    pub rows: u64,
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErasureState {
    /// The rows are in no new release, and may be there.
    Recorded,
    /// They are gone from this data directory.
    Done(Erased),
}
