//! A file that is part of a table, as the table's log tells of it. Not here: which files are live (`snapshot`), reading one (`object`).

use shoal_schemas::Programme;

use crate::keys::KeyId;

/// A Parquet file that is part of a table. It holds one programme and one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFile {
    /// Path relative to the table, `day=YYYY-MM-DD/<ux|dx>-<uuid>.parquet`.
    pub path: String,
    /// Days since 1970-01-01, UTC.
    pub day: i32,
    /// Whose consent its rows came under.
    pub programme: Programme,
    /// Number of rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Digest of its footer, which has one of each part of it; none in a file of before there were digests.
    pub digest: Option<u32>,
    /// What it is encrypted with; none of a file that is not.
    pub key: Option<KeyId>,
}
