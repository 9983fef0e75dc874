//! What a query makes of its events, one subject at a time: the interface between reading and meaning.
//!
//! ```text
//! files -rows-> Loaded batches -merge-> subject by subject -Accumulator-> Accumulated
//! ```
//! Invariants: an accumulator sees only rows that are readable and meet the query's filter, in order of (subject, time,
//! event id), each event once, whatever files they are in. What an accumulator keeps beyond a
//! subject is bounded, and is counted by [`Accumulator::bytes`]. Not here: how rows come (`rows`, `merge`), what is
//! made of them (`accumulators`).

use std::ops::Range;

use datafusion::arrow::array::ArrayRef;
use shoal_anonymity::bound::Totals;
use shoal_anonymity::tree::LeafCounts;

use super::cells::Cells;
use crate::failure::Failure;
use shoal_language::Scalar;

/// What a query makes of its events. One for each released part (a day, or a bucket of days) of one region.
pub(super) trait Accumulator: Send {
    /// The expressions it needs of each row, besides subject, day and time. A digest (`session`) is a
    /// `Scalar::Column` of its name, whatever its type says.
    fn scalars(&self) -> Vec<Scalar>;

    /// The expressions that it evaluates for each row which it makes of a subject's events. It makes no more rows of a subject
    /// than the subject has events.
    fn made(&self) -> Vec<Scalar> {
        Vec::new()
    }

    /// The next batch of `source` (a file's stream): its columns, in the order of `scalars`. They stay in force until the
    /// next call for the same source. Text is `Dictionary(Int32, Utf8)`, a number `Int64`, a time
    /// `Timestamp(Microsecond, UTC)`, a day `Date32`, a digest `Binary`; a scalar without a type is `Null`.
    fn load(&mut self, source: usize, columns: &[ArrayRef]) -> Result<(), Failure>;

    /// Another subject: its rows are next, up to [`Accumulator::close`].
    fn open(&mut self, _subject: &[u8; 16]) {}

    /// One row of the current subject, a position in the batch that `source` loaded last.
    fn row(&mut self, source: usize, row: usize, day: i32, time_us: i64);

    /// Some rows of the current subject that follow each other; the times of all rows of the batch.
    fn rows(&mut self, source: usize, rows: Range<usize>, day: i32, times_us: &[i64]) {
        for row in rows {
            self.row(source, row, day, times_us.get(row).copied().unwrap_or(0));
        }
    }

    /// The current subject has a row in the table of this membership that meets its filter. Comes before or after its
    /// own rows, any number of times.
    fn member(&mut self, _membership: usize) {}

    /// The subject has no more rows. Not called for a subject without any row, of its own or of a membership.
    fn close(&mut self, subject: &[u8; 16]) -> Result<(), Failure>;

    /// About how much memory it holds.
    fn bytes(&self) -> usize {
        0
    }

    /// The most bytes that a row of a batch takes, as long as the batch is in force.
    fn row_bytes(&self) -> usize {
        0
    }

    /// There are no more subjects.
    fn finish(self: Box<Self>) -> Result<Accumulated, Failure>;
}

/// What an accumulator made of one released part: exact totals. No `Debug`.
pub(super) struct Accumulated {
    pub(super) cells: Cells,
    /// By (day, group).
    pub(super) daily: Totals,
    /// By group, over all days of the released part.
    pub(super) ranged: Totals,
    /// By group: sessions that several days may have.
    pub(super) sessions: Totals,
    /// One for each (measure, filter) of which quantiles are asked.
    pub(super) trees: Vec<Tree>,
}

/// Exact values of each group, by leaf of a tree. No `Debug`.
pub(crate) struct Tree {
    pub(super) counts: LeafCounts,
}
