//! t
use arrow::array::RecordBatch;
use shoal_schemas::{Kind, Programme, Region};
use crate::{LiveFile, Snapshot, error::Result};
/// Table.
#[derive(Clone)]
pub struct Table {}
/// Part.
#[derive(Clone)]
pub struct Part {
    /// P.
    pub programme: Programme,
    /// D.
    pub day: i32,
    /// B.
    pub batch: RecordBatch,
}
/// Append.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    /// F.
    pub files: u64,
    /// R.
    pub rows: u64,
    /// B.
    pub bytes: u64,
    /// Whether the version had been committed before, so that nothing was written now.
    pub repeated: bool,
}
/// Expire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpireReport {
    /// R.
    pub removed: Vec<LiveFile>,
    /// R.
    pub rows: u64,
    /// B.
    pub bytes: u64,
}
/// Purge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// F.
    pub files: u64,
    /// B.
    pub bytes: u64,
    /// L.
    pub log_entries: u64,
}
impl Table {
    /// R.
    pub fn region(&self) -> Region { todo!() }
    /// K.
    pub fn kind(&self) -> Kind { todo!() }
    /// C.
    pub async fn committed(&self, app_id: &str) -> Result<Option<i64>> { let _ = app_id; todo!() }
    /// A.
    pub async fn append(&self, parts: Vec<Part>, app_id: &str, version: i64) -> Result<AppendReport> { let _ = (parts, app_id, version); todo!() }
    /// S.
    pub async fn snapshot(&self) -> Result<Snapshot> { todo!() }
    /// E.
    pub async fn expire(&self, expired: &(dyn Fn(&LiveFile) -> bool + Sync)) -> Result<ExpireReport> { let _ = expired; todo!() }
    /// P.
    pub async fn purge(&self, now_ms: i64) -> Result<PurgeReport> { let _ = now_ms; todo!() }
}
