//! Which chunks of a Parquet file are to be read soon, so that a source far away begins before they are wanted.
//!
//! Invariants: chunks are told in the order of the row groups, each once, and so many bytes before their reader at the most as one
//! large row group has, so that what was brought is not given up again before it is read. Not here: who brings them (`shoal-files`,
//! `cached.rs`).

#[cfg(test)]
pub(crate) mod tests;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use parquet::arrow::ProjectionMask;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use shoal_files::Source;

/// Bytes of the row groups behind the one that is read, of which the source is told; one row group it is at the least.
const AHEAD_BYTES: u64 = 32 * 1024 * 1024;

/// Where the chunks of these columns are, row group by row group.
pub(crate) fn ranges(metadata: &ParquetMetaData, mask: &ProjectionMask) -> Vec<Vec<Range<u64>>> {
    let of_group = |group: &RowGroupMetaData| {
        let wanted = group.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
        let range = |column: &ColumnChunkMetaData| {
            let (start, bytes) = column.byte_range();
            start..start.saturating_add(bytes)
        };
        wanted.map(|(_, column)| range(column)).collect()
    };
    metadata.row_groups().iter().map(of_group).collect()
}

/// The chunks that are to be read of a file.
pub(crate) struct Ahead {
    groups: Vec<Group>,
    /// The first group that the source was not told of.
    next: Mutex<usize>,
}

struct Group {
    start: u64,
    bytes: u64,
    ranges: Vec<Range<u64>>,
}

impl Ahead {
    pub(crate) fn new(groups: Vec<Vec<Range<u64>>>) -> Ahead {
        let group = |ranges: Vec<Range<u64>>| {
            let start = ranges.iter().map(|range| range.start).min()?;
            let bytes = ranges.iter().map(|range| range.end.saturating_sub(range.start)).sum();
            Some(Group { start, bytes, ranges })
        };
        Ahead { groups: groups.into_iter().filter_map(group).collect(), next: Mutex::new(0) }
    }

    /// Tells the source what is read first.
    pub(crate) fn begin(&self, source: &dyn Source) {
        self.tell(0, source);
    }

    /// Tells the source what comes after what is read at this position.
    pub(crate) fn reach(&self, position: u64, source: &dyn Source) {
        // Row groups follow each other in a file that Shoal wrote. In another one some are told late.
        let after = self.groups.partition_point(|group| group.start <= position);
        self.tell(after.saturating_sub(1), source);
    }

    fn tell(&self, current: usize, source: &dyn Source) {
        let mut ahead = 0;
        let mut end = current;
        for group in self.groups.iter().skip(current) {
            if end > current + 1 && ahead + group.bytes > AHEAD_BYTES {
                break;
            }
            ahead += if end > current { group.bytes } else { 0 };
            end += 1;
        }
        // A number is whole whenever a panic can happen.
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let told = *next;
        *next = told.max(end);
        drop(next);
        for group in self.groups.iter().take(end).skip(told.max(current)) {
            source.will_read(&group.ranges);
        }
    }
}
