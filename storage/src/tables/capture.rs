//! A table at one version, with what of its log is needed to read it there: for a backup.
//!
//! Invariants: nobody commits while the log is read, so the log is that of one version; the files of that version stay on the
//! disk while the snapshot lives. Entries before the last checkpoint are left out, as a purge leaves them out.
//! Not here: copying (`shoal-server`, `backup`), the log itself (`log`).

use std::sync::Arc;

use shoal_files::{Memory, Objects as _};
use shoal_schemas::{Kind, Region};

use crate::error::{Result, StorageError};
use crate::tables::live_file::LiveFile;
use crate::tables::log::{LOG_FOLDER, Log};
use crate::tables::snapshot::Snapshot;
use crate::tables::table::Table;

/// Digits of a version in the name of a log's file.
const DIGITS: usize = 20;
const LAST_CHECKPOINT: &str = "_last_checkpoint";

/// A file of a table's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its path in the table, `_delta_log/..`.
    pub path: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A table at one version.
pub struct Captured {
    /// Its files, which stay while this lives.
    pub snapshot: Snapshot,
    /// The files of its log.
    pub log: Vec<LogFile>,
}

impl Table {
    /// The table as it is now. Writes a checkpoint first, so that the log is short.
    ///
    /// # Errors
    /// When the log cannot be read or written.
    pub async fn capture(&self) -> Result<Captured> {
        let inner = &self.inner;
        let mut committer = inner.committer().await?;
        if committer.version > inner.last_checkpoint()? {
            let loaded = inner.reload(&mut committer).await?;
            inner.log.checkpoint(&loaded).await?;
        }
        let first = inner.last_checkpoint()?;
        let listed = inner.objects.list(LOG_FOLDER);
        let listed = listed.map_err(StorageError::io(inner.objects.path(LOG_FOLDER)))?;
        let mut log = Vec::new();
        for entry in listed {
            if is_needed(&entry.name, first) {
                let bytes = inner.objects.read(&entry.name);
                let bytes = bytes.map_err(StorageError::io(inner.objects.path(&entry.name)))?;
                log.push(LogFile { path: entry.name, bytes });
            }
        }
        log.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Captured { snapshot: self.snapshot().await?, log })
    }
}

/// Whether a file of the log is of the checkpoint of this version, or later.
fn is_needed(name: &str, first: u64) -> bool {
    let file = name.strip_prefix(LOG_FOLDER).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    let version = file.get(..DIGITS).and_then(|digits| digits.parse::<u64>().ok());
    file == LAST_CHECKPOINT || version.is_some_and(|version| version >= first)
}

/// What a copy of a table's log lists, when it is whole.
///
/// # Errors
/// As opening the table: the log cannot be read, or does not say what its newest commit tells of.
pub async fn read_log(region: Region, kind: Kind, files: Vec<LogFile>) -> Result<Vec<LiveFile>> {
    let copy = Memory::new();
    for LogFile { path, bytes } in files {
        copy.put(&path, &bytes).map_err(StorageError::io(&path))?;
    }
    let log = Log::open(&format!("{region}/{kind}"), Arc::new(copy))?;
    if !log.exists().await? {
        return Err(log.damaged("is not there"));
    }
    Ok(log.load().await?.files.into_values().collect())
}
