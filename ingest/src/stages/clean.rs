//! What the log takes: rows without anything that identifies a person, ready to be kept.
//!
//! Invariants: outside this crate nobody can make a [`CleanBatch`]; inside it only the scrub stage does. So nothing
//! raw can reach the log. Of its hidden events a batch has their number of bytes, its *cover*, and what the log looks for, and
//! nothing else: the log looks for them and writes as many empty bytes, so that the time of an answer does not tell
//! whether an event was kept.
//! Not here: the bytes of a row (`row.rs`), who may call (`scrub.rs`).

use std::sync::Arc;

use shoal_schemas::{Kind, Region, calendar::day_of};

use crate::{
    day_limit::counts,
    dictionary::Dictionary,
    grant::KeyKind,
    packed::packed_bytes,
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
/// let batch = shoal_ingest::CleanBatch::new(shoal_schemas::Region::De, shoal_ingest::KeyKind::Server, panic!());
/// ```
/// ```compile_fail,E0451
/// let batch = shoal_ingest::CleanBatch { region: shoal_schemas::Region::De };
/// ```
pub struct CleanBatch {
    region: Region,
    kind: KeyKind,
    /// What the positions in its rows mean.
    names: Arc<Dictionary>,
    bytes: Vec<u8>,
    rows: Vec<RowSpan>,
    /// What its events may be known under beside their fingerprints.
    other_ids: Vec<u64>,
    days: Vec<(Kind, i32)>,
    /// Rows of hidden events, until [`CleanBatch::finish`].
    hidden: Vec<u8>,
    /// Hidden events, which are looked for like others and remembered by nobody.
    probes: Vec<Probe>,
    /// Bytes of the rows of hidden events, as they were and as the log would have written them.
    hidden_bytes: u64,
    cover_bytes: u64,
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
    /// What else it may be known under.
    pub(crate) others: OtherIds,
}

/// A range of what a batch's events may be known under beside their fingerprints.
#[derive(Clone, Copy)]
pub(crate) struct OtherIds {
    start: u32,
    end: u32,
}

/// What the log looks for of a hidden event.
#[derive(Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) fingerprint: u64,
    pub(crate) others: OtherIds,
    pub(crate) subject: u64,
    pub(crate) day: u32,
}

impl CleanBatch {
    /// An empty batch that came with a key of this kind; the rows that it gets refer to these names.
    pub(crate) fn new(region: Region, kind: KeyKind, names: &Arc<Dictionary>) -> CleanBatch {
        CleanBatch {
            region,
            kind,
            names: Arc::clone(names),
            bytes: Vec::new(),
            rows: Vec::new(),
            other_ids: Vec::new(),
            days: Vec::new(),
            hidden: Vec::new(),
            probes: Vec::new(),
            hidden_bytes: 0,
            cover_bytes: 0,
        }
    }

    /// Adds an event; `slot` is its position in the received batch.
    pub(crate) fn push<'v>(
        &mut self,
        slot: u32,
        head: &RowHead,
        other_ids: &[u64],
        values: impl Iterator<Item = (u16, Value<'v>)>,
    ) {
        row::encode(head, values, &mut self.bytes);
        let (day, others) = (self.day_of(head), self.note(other_ids));
        self.rows.push(RowSpan {
            fingerprint: head.fingerprint(),
            subject: counts::short(&head.subject),
            day,
            end: self.bytes.len() as u32,
            slot,
            others,
        });
    }

    /// Counts an event that may not be kept.
    pub(crate) fn hide<'v>(
        &mut self,
        head: &RowHead,
        other_ids: &[u64],
        values: impl Iterator<Item = (u16, Value<'v>)>,
    ) {
        row::encode(head, values, &mut self.hidden);
        let (fingerprint, subject) = (head.fingerprint(), counts::short(&head.subject));
        let (day, others) = (self.day_of(head), self.note(other_ids));
        self.probes.push(Probe { fingerprint, others, subject, day });
    }

    fn note(&mut self, other_ids: &[u64]) -> OtherIds {
        let start = self.other_ids.len() as u32;
        self.other_ids.extend_from_slice(other_ids);
        OtherIds { start, end: self.other_ids.len() as u32 }
    }

    /// The position of an event's table and day among those of the batch.
    fn day_of(&mut self, head: &RowHead) -> u32 {
        let day = (head.kind, day_of(head.time_ms));
        let known = self.days.iter().rposition(|other| *other == day);
        let at = known.unwrap_or_else(|| {
            self.days.push(day);
            self.days.len() - 1
        });
        at as u32
    }

    /// Forgets the rows of hidden events, but for the bytes that they would have taken.
    pub(crate) fn finish(&mut self) {
        let hidden = std::mem::take(&mut self.hidden);
        if !hidden.is_empty() {
            self.hidden_bytes += hidden.len() as u64;
            self.cover_bytes += packed_bytes(&hidden);
        }
    }

    /// What the positions in its rows mean.
    pub(crate) fn names(&self) -> &Arc<Dictionary> {
        &self.names
    }

    /// Whether nobody may learn which of its events are written.
    pub(crate) fn is_covered(&self) -> bool {
        self.kind == KeyKind::Shipped
    }

    /// Its hidden events, as far as the log looks for them.
    pub(crate) fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// Bytes that are written in the place of hidden events.
    pub(crate) fn cover_bytes(&self) -> u64 {
        self.cover_bytes
    }

    /// Bytes of all of its rows, of hidden ones too: what room is made for. So whether there is room does not depend on what
    /// is hidden.
    pub(crate) fn weight(&self) -> u64 {
        self.bytes.len() as u64 + self.hidden_bytes
    }

    /// Where all of it is kept.
    pub(crate) fn region(&self) -> Region {
        self.region
    }

    /// The tables' days that its events are of, each once.
    pub(crate) fn days(&self) -> &[(Kind, i32)] {
        &self.days
    }

    /// What an event may be known under beside its fingerprint.
    pub(crate) fn others(&self, of: OtherIds) -> &[u64] {
        self.other_ids.get(of.start as usize..of.end as usize).unwrap_or_default()
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
