//! s
use std::sync::Arc;
use datafusion::datasource::TableProvider;
use shoal_schemas::Programme;
use crate::error::Result;
/// A live file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFile {
    /// Path.
    pub path: String,
    /// Day.
    pub day: i32,
    /// Programme.
    pub programme: Programme,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}
/// Snapshot.
#[derive(Clone)]
pub struct Snapshot {}
impl Snapshot {
    /// Files.
    pub fn files(&self) -> &[LiveFile] { todo!() }
    /// Version.
    pub fn version(&self) -> i64 { todo!() }
    /// Provider.
    pub fn provider(&self, keep: &dyn Fn(&LiveFile) -> bool) -> Result<Arc<dyn TableProvider>> { let _ = keep; todo!() }
}
