//! The files that are live at one version of a table. Not here: how they are read (`provider`), how they came (`table`).

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::datasource::TableProvider;
use shoal_schemas::Programme;

use crate::error::Result;
use crate::layout::Layout;
use crate::provider::FilesProvider;

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
}

/// A table at one version. Cheap to clone, and unchanged by later commits; a purge may delete files that a commit after it
/// removed, so take a fresh one for each query.
#[derive(Clone)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) files: Arc<Vec<LiveFile>>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) dir: PathBuf,
}

impl Snapshot {
    /// The live files, in the order of their paths, so by day.
    pub fn files(&self) -> &[LiveFile] {
        &self.files
    }

    /// The Delta version.
    pub fn version(&self) -> i64 {
        i64::try_from(self.version).unwrap_or(i64::MAX)
    }

    /// A DataFusion table over exactly the live files that `keep` selects: DataFusion's own Parquet scan with its projection
    /// and filter pushdown, `day` (Date32) last, `time` in microseconds UTC. A column that an old file lacks is null.
    ///
    /// Files are read through the object store that the session's runtime has for `file://`, which every `RuntimeEnv` has.
    ///
    /// # Errors
    /// [`crate::StorageError::Location`] when the store's path cannot be an object store path.
    pub fn provider(&self, keep: &dyn Fn(&LiveFile) -> bool) -> Result<Arc<dyn TableProvider>> {
        let files = self.files.iter().filter(|f| keep(f));
        Ok(Arc::new(FilesProvider::new(&self.dir, &self.layout, files)?))
    }
}
