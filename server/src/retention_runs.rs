//! Runs of retention, with a receipt in each region where days go.
//!
//! ```text
//! <data_dir>/<region>/retention-run.json, durable: number, role, what the tables have and what of it is past its time
//!     -> the run (`shoal-retention`) -> a receipt -> the file is removed
//! ```
//! Invariants: nothing leaves a table before the file is there, so that a run that was cut off gets its receipt from the next one, or from
//! the next start; it is one receipt, whoever writes it. A run that removes nothing in a region has none there.
//! Not here: the run, its line of the audit (`retention_line.rs`), what a receipt says (`receipts.rs`).

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shoal_files::{Disk, Objects};
use shoal_retention::{Mode, Progress, Report, Retention, RetentionError, TableVersion};
use shoal_schemas::{Kind, Region};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::error::Error;
use crate::key_file::folder;
use crate::receipts::{AllReceipts, Expired};

const FILE: &str = "retention-run.json";

/// On whose behalf a run happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RunBy {
    Schedule,
    Officer,
    Operator,
}

impl RunBy {
    const fn as_str(self) -> &'static str {
        match self {
            RunBy::Schedule => "schedule",
            RunBy::Officer => "officer",
            RunBy::Operator => "operator",
        }
    }
}

/// Why a run came to no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Retention(#[from] RetentionError),
    /// Nothing was removed: without what there was, no receipt could be written.
    #[error("what there is could not be written down, so nothing was removed: {0}")]
    Unrecorded(Error),
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Error {
        match error {
            RunError::Retention(error) => Error::Retention(error),
            RunError::Unrecorded(_) => Error::Service(error.to_string()),
        }
    }
}

/// What a run has found in a region before it removed anything.
#[derive(Serialize, Deserialize)]
struct Begun {
    number: Uuid,
    at_ms: i64,
    by: RunBy,
    tables: Vec<TableVersion>,
}

/// Runs retention, one at a time.
pub(crate) struct RetentionRuns {
    retention: Retention,
    receipts: Arc<AllReceipts>,
    data_dir: PathBuf,
    running: Mutex<()>,
}

impl RetentionRuns {
    pub(crate) fn new(retention: Retention, receipts: Arc<AllReceipts>, data_dir: PathBuf) -> RetentionRuns {
        RetentionRuns { retention, receipts, data_dir, running: Mutex::new(()) }
    }

    /// Runs once, and writes the receipts. One that cannot be written is an error in the log, and is written by the next run or start.
    ///
    /// # Errors
    /// As [`Retention::run_once`], and when it cannot be written down what there is.
    pub(crate) async fn run_once(
        &self,
        now_ms: i64,
        by: RunBy,
        mode: Mode,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Report, RunError> {
        let _running = self.running.lock().await;
        if matches!(mode, Mode::Dry) {
            return Ok(self.retention.run_once(now_ms, mode, progress).await?);
        }
        self.begin(now_ms, by).await.map_err(RunError::Unrecorded)?;
        let report = self.retention.run_once(now_ms, mode, progress).await;
        self.write_receipts(now_ms).await;
        Ok(report?)
    }

    /// Writes the receipts of a run that was cut off before this start.
    pub(crate) async fn finish(&self, now_ms: i64) {
        let _running = self.running.lock().await;
        self.write_receipts(now_ms).await;
    }

    /// Writes down what there is in each region where something is past its time.
    async fn begin(&self, now_ms: i64, by: RunBy) -> Result<(), Error> {
        for region in Region::ALL.iter().copied() {
            let tables = self.tables(region, now_ms).await;
            let any_expired = tables.iter().any(|table| table.files.iter().any(|file| file.is_expired));
            if !any_expired || self.begun(region)?.is_some() {
                continue;
            }
            let begun = Begun { number: Uuid::new_v4(), at_ms: now_ms, by, tables };
            let bytes = serde_json::to_vec(&begun)
                .map_err(|_| Error::Service("a run of retention has no form in JSON".into()))?;
            self.disk(region).put(FILE, &bytes).map_err(|e| Error::io(&self.data_dir, e))?;
        }
        Ok(())
    }

    /// The tables of a region. One that cannot be read is told by the run, which removes nothing of it.
    async fn tables(&self, region: Region, now_ms: i64) -> Vec<TableVersion> {
        let mut tables = Vec::with_capacity(Kind::ALL.len());
        for kind in Kind::ALL.iter().copied() {
            tables.extend(self.retention.files_of_table(region, kind, now_ms).await);
        }
        tables
    }

    async fn write_receipts(&self, now_ms: i64) {
        for region in Region::ALL.iter().copied() {
            if let Err(error) = self.write_receipt(region, now_ms).await {
                tracing::error!(%region, %error, "the receipt of a run of retention waits for the next one");
            }
        }
    }

    async fn write_receipt(&self, region: Region, now_ms: i64) -> Result<(), Error> {
        let Some(Begun { number, at_ms, by, mut tables }) = self.begun(region)? else { return Ok(()) };
        let after = self.tables(region, now_ms).await;
        // Of a table that could be read at one of the two times only there is nothing to compare.
        tables.retain(|table| after.iter().any(|after| after.kind == table.kind));
        let after: Vec<TableVersion> =
            after.into_iter().filter(|after| tables.iter().any(|table| table.kind == after.kind)).collect();
        let expired = Expired { number, at_ms, role: by.as_str(), before: tables, after };
        let receipts = Arc::clone(&self.receipts);
        let written = tokio::task::spawn_blocking(move || receipts.write_expired(region, &expired)).await;
        written.map_err(|_| Error::Service("a receipt could not be written".into()))??;
        self.disk(region).remove(&[FILE]).map_err(|e| Error::io(&self.data_dir, e))
    }

    fn begun(&self, region: Region) -> Result<Option<Begun>, Error> {
        match self.disk(region).read(FILE) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| {
                let path = self.data_dir.join(folder(region)).join(FILE);
                Error::Service(format!("{}: it cannot be read; remove it", path.display()))
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io(&self.data_dir, error)),
        }
    }

    fn disk(&self, region: Region) -> Disk {
        Disk::new(self.data_dir.join(folder(region))).private()
    }
}
