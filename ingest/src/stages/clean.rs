//! What the log takes: rows without anything that identifies a person, ready to be kept.
//!
//! Invariant: outside this crate nobody can make a [`CleanBatch`]; inside it only the scrub stage does. So nothing
//! raw can reach the log. Not here: the bytes of a row (`row.rs`), who may call (`scrub.rs`).

use shoal_schemas::Region;

use crate::stages::row::{self, RowHead, Value};

/// Events of one request and one region after the whole pipeline. No `Debug`: it holds pseudonyms.
///
/// The type can be named from outside, but neither built from its fields nor by a function:
///
/// ```
/// fn name(_: Option<shoal_ingest::CleanBatch>) {}
/// name(None);
/// ```
/// ```compile_fail,E0624
/// let batch = shoal_ingest::CleanBatch::new(shoal_schemas::Region::De);
/// ```
/// ```compile_fail,E0451
/// let batch = shoal_ingest::CleanBatch { region: shoal_schemas::Region::De, bytes: Vec::new(), rows: Vec::new() };
/// ```
pub struct CleanBatch {
    region: Region,
    bytes: Vec<u8>,
    rows: Vec<RowSpan>,
}

/// Where a row of the batch ends, and what it is.
#[derive(Clone, Copy)]
pub(crate) struct RowSpan {
    /// What a resend is recognised by.
    pub(crate) fingerprint: u64,
    /// End of the row in the batch's bytes; it starts where the one before it ends.
    pub(crate) end: u32,
    /// Position of the event in the received batch.
    pub(crate) slot: u32,
}

impl CleanBatch {
    /// An empty batch.
    pub(crate) fn new(region: Region) -> CleanBatch {
        CleanBatch { region, bytes: Vec::new(), rows: Vec::new() }
    }

    /// Adds an event; `slot` is its position in the received batch.
    pub(crate) fn push<'v>(
        &mut self,
        slot: u32,
        head: &RowHead,
        values: impl Iterator<Item = (u16, Value<'v>)>,
    ) {
        row::encode(head, values, &mut self.bytes);
        self.rows.push(RowSpan { fingerprint: head.fingerprint(), end: self.bytes.len() as u32, slot });
    }

    /// Where all of it is kept.
    pub(crate) fn region(&self) -> Region {
        self.region
    }

    /// The rows, one after the other.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where each ends.
    pub(crate) fn rows(&self) -> &[RowSpan] {
        &self.rows
    }
}
