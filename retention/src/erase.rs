//! The rows of subjects leave every table of a region, and their bytes the disk.
//!
//! Invariants: rows of others stay as they are; a run that was killed or failed is begun again and finds what is left. What a query still
//! reads stays until it has ended, and is told, so that whoever erases comes again. Not here: whose rows (`shoal-storage`, `subject_acts`),
//! how a file is written without them (`shoal-storage`, `tables/erase.rs`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Region};
use shoal_storage::{LiveFile, Subjects};

use crate::run::Retention;
use crate::{RetentionError, is_expired};

/// What an erasure did in a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsErased {
    /// Files that were written anew or removed.
    pub files: u64,
    /// Rows that are gone.
    pub rows: u64,
    /// Files that had rows and are still on the disk, because a query reads them.
    pub pinned: u64,
}

/// The live files of a table in one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableVersion {
    /// Which table of its region.
    pub kind: Kind,
    /// The version of its log.
    pub version: i64,
    /// Its files.
    pub files: Vec<FileVersion>,
}

/// A live file, as a receipt tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    /// Its path below the table.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its number of rows.
    pub rows: u64,
    /// Whether it was past its time at the moment that was asked for.
    pub is_expired: bool,
}

impl Retention {
    /// Erases the rows of these subjects in a region.
    ///
    /// # Errors
    /// When a table cannot be read or written: the others are done all the same, and it can be repeated.
    pub async fn erase(
        &self,
        region: Region,
        subjects: &Arc<Subjects>,
        now_ms: i64,
    ) -> Result<RowsErased, RetentionError> {
        let (mut all, mut failed) = (RowsErased::default(), None);
        for kind in Kind::ALL.iter().copied() {
            let erased = self.erase_in(region, kind, subjects, now_ms).await;
            match erased.map_err(|source| RetentionError::Table { region, kind, source }) {
                Ok(RowsErased { files, rows, pinned }) => {
                    all.files += files;
                    all.rows += rows;
                    all.pinned += pinned;
                }
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(all), Err)
    }

    /// What an erasure of these subjects would take in a region: changes nothing.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub async fn holding(
        &self,
        region: Region,
        subjects: &Arc<Subjects>,
    ) -> Result<RowsErased, RetentionError> {
        let mut all = RowsErased::default();
        for kind in Kind::ALL.iter().copied() {
            let held = async {
                let table = self.store.table(region, self.definitions.current().table(kind)).await?;
                table.holding(Arc::clone(subjects)).await
            };
            let held = held.await.map_err(|source| RetentionError::Table { region, kind, source })?;
            all.files += held.files;
            all.rows += held.rows;
        }
        Ok(all)
    }

    /// The live files of every table of a region, by kind, with the version of its log, and which of them are past their time at `now_ms`:
    /// what a receipt is about.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub async fn files_of(&self, region: Region, now_ms: i64) -> Result<Vec<TableVersion>, RetentionError> {
        let mut all = Vec::with_capacity(Kind::ALL.len());
        for kind in Kind::ALL.iter().copied() {
            all.push(self.files_of_table(region, kind, now_ms).await?);
        }
        Ok(all)
    }

    /// The same of one table.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn files_of_table(
        &self,
        region: Region,
        kind: Kind,
        now_ms: i64,
    ) -> Result<TableVersion, RetentionError> {
        let (registry, today) = (self.definitions.current(), day_of(now_ms));
        let snapshot = async { self.store.table(region, registry.table(kind)).await?.snapshot().await };
        let snapshot = snapshot.await.map_err(|source| RetentionError::Table { region, kind, source })?;
        let file = |file: &LiveFile| FileVersion {
            path: file.path.clone(),
            bytes: file.bytes,
            rows: file.rows,
            is_expired: is_expired(&registry, file.programme, kind, file.day, today),
        };
        let files = snapshot.files().iter().map(file).collect();
        Ok(TableVersion { kind, version: snapshot.version(), files })
    }

    async fn erase_in(
        &self,
        region: Region,
        kind: Kind,
        subjects: &Arc<Subjects>,
        now_ms: i64,
    ) -> Result<RowsErased, shoal_storage::StorageError> {
        let table = self.store.table(region, self.definitions.current().table(kind)).await?;
        let erased = table.erase(now_ms, Arc::clone(subjects)).await?;
        let purged = table.purge(now_ms).await?;
        Ok(RowsErased { files: erased.files, rows: erased.rows, pinned: purged.pinned })
    }
}
