//! The files that are live at one version of a table. Not here: how they are read (`read`), how they came (`table`).

use std::io;
use std::sync::Arc;

use shoal_files::{Objects, Source};
use shoal_schemas::Programme;

use crate::tables::table_layout::TableLayout;

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
}

/// A table at one version. Cheap to clone, and unchanged by later commits. While it or a
/// reader of its rows lives, a purge leaves its files alone: take a fresh one for each query, and let go of it afterwards.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) files: Arc<Vec<LiveFile>>,
    pub(crate) layout: Arc<TableLayout>,
    /// The table's files, by path.
    pub(crate) objects: Arc<dyn Objects>,
}

impl Snapshot {
    /// The live files, in the order of their paths, so by day.
    pub fn files(&self) -> &[LiveFile] {
        &self.files
    }

    /// The same files, as if they had no digests: for tests of files that other programs and earlier versions have written.
    #[doc(hidden)]
    pub fn without_digests(&self) -> Snapshot {
        let files = self.files.iter().map(|file| LiveFile { digest: None, ..file.clone() });
        Snapshot { files: Arc::new(files.collect()), ..self.clone() }
    }

    /// The bytes of one of its files, to copy them: nothing is compared.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn source(&self, file: &LiveFile) -> io::Result<Box<dyn Source>> {
        self.objects.open(&file.path)
    }

    /// The Delta version.
    pub fn version(&self) -> i64 {
        i64::try_from(self.version).unwrap_or(i64::MAX)
    }
}
