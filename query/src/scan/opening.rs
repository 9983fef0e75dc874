//! The files of a span beside each other: the large ones open, the small ones of many in memory.
//!
//! Invariants: no more than [`OPEN_MAX`] files are open, and what all of them take, and rows in memory with them, stays
//! within the room; where it would not, there are no streams, no row has been read, and the span is read in passes (`passes`).
//! Not here: the room (`room`), rows in memory (`held`).

use std::cmp::Reverse;

use super::held::Held;
use super::merge::Stream;
use super::room::{OPEN_MAX, Room};
use super::source::{Rows, SpanFile};
use crate::failure::Failure;

/// A stream for each open file, and one for all rows of a day that are in memory; none when they do not fit.
pub(super) fn beside(files: &[SpanFile], room: Room) -> Result<Option<Vec<Rows>>, Failure> {
    let mut by_size: Vec<usize> = (0..files.len()).collect();
    by_size.sort_by_key(|at| Reverse(files[*at].bytes()));
    let (open, small) = by_size.split_at(by_size.len().min(OPEN_MAX));
    let rows = small.iter().fold(0, |sum: usize, at| sum.saturating_add(files[*at].rows()));
    let mut bytes = rows.saturating_mul(room.row.in_one());
    let batch_rows = room.batch_rows(files.len());
    let (mut streams, mut largest) = (Vec::with_capacity(open.len()), 0);
    for at in open {
        if bytes > room.files {
            break;
        }
        let (rows, file_bytes) = files[*at].open(batch_rows)?;
        bytes = bytes.saturating_add(file_bytes);
        largest = largest.max(file_bytes);
        streams.push(rows);
    }
    // The small ones are open one after the other.
    let one = if small.is_empty() { 0 } else { largest };
    if bytes.saturating_add(one) > room.files {
        return Ok(None);
    }
    let mut held = Held::default();
    for at in small {
        let (mut rows, _) = files[*at].open(batch_rows)?;
        while let Some(batch) = rows.next()? {
            held.take(files[*at].role, batch)?;
        }
    }
    streams.append(&mut Rows::in_memory(held, &[u128::MAX], batch_rows));
    Ok(Some(streams))
}
