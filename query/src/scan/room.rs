//! What reading a span may take in memory, from public facts alone: the configuration and the query.
//!
//! ```text
//! share of a span = one subject + rows at hand + files, which are open or whose rows are in memory
//! ```
//! What files need is no public fact: it is found when they are opened. Files that do not fit beside each other are read in
//! passes (`passes`), which need no more than their room: how many rows a pass may hold follows from the configuration and the
//! query as well ([`held_rows`]).
//! Invariants: the room of a span is the same whatever its files hold, and whatever else is read at the time; what a row takes
//! is an upper bound, of texts that are as long as they may be and all different. Not here: what groups may take
//! (`charge/reserve.rs`).

use shoal_language::{Scalar, Type};

use super::runs::{ORDERED_BYTES, ROW_BYTES};
use crate::text_bytes::Texts;

/// Memory for reading, of all queries together.
pub(crate) const BYTES_MAX: usize = 1 << 30;
/// Of a span at least, however many run at one time.
const SHARE_MIN: usize = 96 << 20;
/// What is kept of the subject at hand, at the most: its groups and their values, its sessions, the ids of its events.
const SUBJECT_BYTES: usize = 48 << 20;
/// Rows of all batches at hand.
const ROWS_AT_HAND: usize = 1 << 17;
/// Rows of a batch.
const BATCH_ROWS_MAX: usize = 1 << 14;
/// Files of a span that are open at the same time.
pub(super) const OPEN_MAX: usize = 256;

/// Rows that are held are put in order in parts of so many of them.
pub(super) const CHUNKS: usize = 64;
/// What a text that is held takes besides its bytes: where it is, and which one it is.
const TEXT_BYTES: usize = 4 + 4 + 1;
const DIGEST_BYTES: usize = 16 + 4 + 1;

/// What one row takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowBytes {
    /// While it is at hand, in the accumulator.
    pub(super) kept: usize,
    /// While its batch is made, in the expressions.
    pub(super) made: usize,
    /// While it is held in memory with others.
    pub(super) held: usize,
}

impl RowBytes {
    /// When all rows that are held are put in order at once: they are there, in order, and a column of them in between.
    pub(super) fn in_one(self) -> usize {
        3 * self.held + ORDERED_BYTES
    }

    /// When they are put in order part by part: of one part there are also its rows by themselves, with their texts packed
    /// anew, and what the part before has given.
    pub(super) fn in_chunks(self) -> usize {
        self.held + (5 * self.held + ORDERED_BYTES).div_ceil(CHUNKS)
    }
}

/// The most bytes of a row that is held with the values of these expressions.
pub(super) fn held_bytes(scalars: &[Scalar]) -> usize {
    let of = |scalar: &Scalar| match scalar.ty() {
        Some(Type::Text) => Texts::default().bytes(scalar) + TEXT_BYTES,
        Some(Type::Boolean) => 1,
        Some(Type::Number { .. } | Type::Time | Type::Day) => size_of::<i64>() + 1,
        None => DIGEST_BYTES,
    };
    ROW_BYTES + scalars.iter().map(of).sum::<usize>()
}

/// How many rows a pass may hold, whatever its files are: of seven eighths of the least that a room has. The rest is for the file
/// that is read and for what each batch takes besides its rows.
pub(super) fn held_rows(share: usize, row: RowBytes) -> usize {
    let others = SUBJECT_BYTES + at_hand(share, row).saturating_mul(row.kept) + share / 8;
    let least = share.saturating_sub(others).max(share / 8);
    (least - least / 8) / row.in_chunks()
}

/// Rows of all batches at hand.
fn at_hand(share: usize, row: RowBytes) -> usize {
    ROWS_AT_HAND.min(share / 4 / row.kept.max(1)).max(OPEN_MAX)
}

/// The room of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes for its files.
    pub(super) files: usize,
    /// Rows that a pass may hold.
    pub(super) held_rows: usize,
    pub(super) row: RowBytes,
    rows: usize,
    batch_rows_max: usize,
}

/// The memory of each span that is read, of so much for all, where so many queries and spans of each are read at one time.
pub(super) fn share(bytes_max: usize, queries: usize, spans: usize) -> usize {
    (bytes_max / queries.max(1) / spans.max(1)).max(SHARE_MIN.min(bytes_max))
}

impl Room {
    /// What a share is used for.
    pub(super) fn of(share: usize, row: RowBytes) -> Room {
        let rows = at_hand(share, row);
        let batch_rows_max = BATCH_ROWS_MAX.min(share / 8 / row.made.max(1)).max(1);
        let others = SUBJECT_BYTES + rows.saturating_mul(row.kept) + batch_rows_max.saturating_mul(row.made);
        let files = share.saturating_sub(others).max(share / 8);
        Room { files, held_rows: held_rows(share, row), row, rows, batch_rows_max }
    }

    /// Rows of a batch, where so many streams have one at hand.
    pub(super) fn batch_rows(self, streams: usize) -> usize {
        (self.rows / streams.clamp(1, OPEN_MAX)).clamp(1, self.batch_rows_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_no_larger_than_its_share() {
        for (queries, spans) in [(1, 1), (2, 2), (2, 1), (64, 16)] {
            for (kept, made) in [(0, 0), (8, 20), (60, 400), (900, 5_000), (5_000, 600_000)] {
                let (share, row) =
                    (share(BYTES_MAX, queries, spans), RowBytes { kept, made, held: 100 + kept });
                let room = Room::of(share, row);
                let at_hand = |streams: usize| streams * room.batch_rows(streams) * kept;
                let most = (1..=OPEN_MAX).map(at_hand).max().unwrap_or(0);
                let batch = room.batch_rows(1) * made;
                let all = room.files + SUBJECT_BYTES + most + batch;
                assert!(all <= share + share / 8, "{all} of {share}: {room:?}");
                assert!(room.batch_rows(OPEN_MAX) >= 1 && room.files >= share / 8);
                let held = room.held_rows * row.in_chunks();
                assert!(held <= room.files - room.files / 8 + 1, "{held} of {room:?}");
            }
        }
        let usual = Room::of(share(BYTES_MAX, 2, 2), RowBytes { kept: 40, made: 300, held: 80 });
        assert_eq!((usual.batch_rows(1), usual.batch_rows(64), usual.batch_rows(256)), (16_384, 2_048, 512));
        assert!(usual.files > 160 << 20, "{usual:?}");
    }
}
