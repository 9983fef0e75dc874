//! What a compaction did. Not here: the compaction (`compact`).

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
}
