//! What the log takes: rows without anything that identifies a person, ready to be kept.
//!
//! Invariant: outside this crate nobody can make a [`CleanBatch`]; inside it only the scrub stage does. So nothing
//! raw can reach the log. Not here: the bytes of a row (`row.rs`), who may call (`scrub.rs`).

use shoal_schemas::{Kind, Region, calendar::day_of};

use crate::{
    day_limit::counts,
    stages::row::{self, RowHead, Value},
};

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
/// let batch = shoal_ingest::CleanBatch { region: shoal_schemas::Region::De, bytes: Vec::new(), rows: Vec::new(), days: Vec::new() };
/// ```
pub struct CleanBatch {
    region: Region,
    bytes: Vec<u8>,
    rows: Vec<RowSpan>,
    days: Vec<(Kind, i32)>,
}

/// Where a row of the batch ends, and what it is.
#[derive(Clone, Copy)]
pub(crate) struct RowSpan {
    /// What a resend is recognised by.
    pub(crate) fingerprint: u64,
    /// Whose it is: what counts know the subject by.
    pub(crate) subject: u64,
    /// Which of the batch's days it is on.
    pub(crate) day: u32,
    /// End of the row in the batch's bytes; it starts where the one before it ends.
    pub(crate) end: u32,
    /// Position of the event in the received batch.
    pub(crate) slot: u32,
}

impl CleanBatch {
    /// An empty batch.
    pub(crate) fn new(region: Region) -> CleanBatch {
        CleanBatch { region, bytes: Vec::new(), rows: Vec::new(), days: Vec::new() }
    }

    /// Adds an event; `slot` is its position in the received batch.
    pub(crate) fn push<'v>(
        &mut self,
        slot: u32,
        head: &RowHead,
        values: impl Iterator<Item = (u16, Value<'v>)>,
    ) {
        row::encode(head, values, &mut self.bytes);
        let day = (head.kind, day_of(head.time_ms));
        let known = self.days.iter().rposition(|other| *other == day);
        let at = known.unwrap_or_else(|| {
            self.days.push(day);
            self.days.len() - 1
        });
        self.rows.push(RowSpan {
            fingerprint: head.fingerprint(),
            subject: counts::short(&head.subject),
            day: at as u32,
            end: self.bytes.len() as u32,
            slot,
        });
    }

    /// Where all of it is kept.
    pub(crate) fn region(&self) -> Region {
        self.region
    }

    /// The tables' days that its events are of, each once.
    pub(crate) fn days(&self) -> &[(Kind, i32)] {
        &self.days
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
