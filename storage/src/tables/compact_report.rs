//! What a compaction did. Not here: the compaction (`compact`).

use shoal_schemas::Programme;

/// Files of a day that could not be merged. They are in the table as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedMerge {
    /// Days since 1970-01-01, UTC.
    pub day: i32,
    /// Whose consent the rows came under.
    pub programme: Programme,
    /// Why; no content of any row.
    pub reason: String,
}

/// What a compaction did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Merges committed; each has put one file in the place of others.
    pub groups: u64,
    /// Files that left the table.
    pub files: u64,
    /// Rows rewritten.
    pub rows: u64,
    /// Bytes of the files that left; on the disk until the next purge.
    pub bytes_in: u64,
    /// Bytes of the files that came.
    pub bytes_out: u64,
    /// Rows dropped, because another row had their event id.
    pub duplicates: u64,
    /// Merges given up, because an expiry took one of their files or the store is to be left.
    pub aborted: u64,
    /// Merges that failed. The others were done.
    pub failed: Vec<FailedMerge>,
}
