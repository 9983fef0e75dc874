//! A table in the clear, for other programs, which cannot read what is encrypted: a Delta table of its own.
//!
//! ```text
//! the log -> each live file that has not expired: its rows -> a file in the clear under the same name -> the copy's log, in one commit
//!    ^                                |
//!    +--------------------------------+ it has left the table meanwhile, by a merge or a purge
//! ```
//! Nothing is locked, so a service may run: it replaces no file, and what it removes is missed and looked for in a newer version.
//! A file whose key is gone is left out, and is told. Rows of whoever is in no release (an erasure that is not done, a restriction) are
//! left out, and are not told.
//!
//! Invariants: the table is only read; a copy has the rows of one version of it, but for days that are expired when its log is written;
//! the log comes last, so that what a crash leaves is no table; what is made is for its owner alone; memory is a batch of rows, a page
//! of each column and a row group of the output. Not here: which days are expired (`shoal-retention`), where a copy may lie and what
//! the audit says of it (`shoal-server`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shoal_files::{Disk, Objects};
use shoal_schemas::{Kind, Region};

use crate::error::{Result, StorageError};
use crate::keys::DataKeys;
use crate::suppressed::{Subjects, Suppressed};
use crate::tables::encryption::TableKeys;
use crate::tables::live_file::LiveFile;
use crate::tables::log::{self, LOG_FOLDER, Log};
use crate::tables::snapshot::Snapshot;
use crate::tables::store::table_objects;
use crate::tables::write::{Draft, Place, WrittenFile, delete};

/// Rows that are decrypted at one time.
const BATCH_ROWS: usize = 1024;
/// So often a table is begun anew, since files of it have left it.
const VERSIONS_MAX: usize = 16;
/// So often a log is read: a purge removes entries that a reader may have listed.
const READINGS_MAX: u32 = 5;
/// Until it is read again.
const READING_PAUSE: Duration = Duration::from_millis(100);

/// Where tables are copied from, and where to.
pub struct TableCopies {
    from: Arc<dyn Objects>,
    keys: Option<Arc<DataKeys>>,
    to: Arc<dyn Objects>,
    suppressed: Suppressed,
}

/// What came of copying a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableCopied {
    /// The table's region.
    pub region: Region,
    /// The kind of its events.
    pub kind: Kind,
    /// Files of the copy.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are not in it, because their day is expired.
    pub expired_files: u64,
    /// Files that are not in it, because their keys are gone.
    pub unreadable_files: u64,
    /// Rows that their table's log counts in these.
    pub unreadable_rows: u64,
    /// The days of these, since 1970.
    pub unreadable_days: BTreeSet<i32>,
}

impl TableCopies {
    /// Copies from a place to a directory, which is laid out alike: `<region>/tables/<kind>`.
    pub fn new(from: Arc<dyn Objects>, keys: Option<Arc<DataKeys>>, to: &Path) -> TableCopies {
        TableCopies { from, keys, to: Arc::new(Disk::new(to).private()), suppressed: Suppressed::default() }
    }

    /// The same, in which rows of these are left out.
    pub fn without(self, suppressed: Suppressed) -> TableCopies {
        TableCopies { suppressed, ..self }
    }

    /// Whether there is such a table. Blocks.
    ///
    /// # Errors
    /// When the place cannot be asked.
    pub fn has(&self, region: Region, kind: Kind) -> Result<bool> {
        let objects = table_objects(&self.from, region, kind)?;
        Ok(!objects.list(LOG_FOLDER).map_err(StorageError::io(objects.path(LOG_FOLDER)))?.is_empty())
    }

    /// Copies a table in the clear, but for the files that are expired: this is asked again when all are copied.
    ///
    /// # Errors
    /// When a file of it cannot be read, is not what was written, or when files leave the table faster than they are copied. There may
    /// be files of the copy then, and no log.
    pub async fn copy(
        &self,
        region: Region,
        kind: Kind,
        is_expired: &dyn Fn(&LiveFile) -> bool,
    ) -> Result<TableCopied> {
        let from = table_objects(&self.from, region, kind)?;
        let from = Original::open(from, self.table_keys(region, kind), self.suppressed.of(region))?;
        let mut copy = Copy::new(table_objects(&self.to, region, kind)?, region, kind);
        let mut snapshot = from.newest().await?;
        for _ in 0..VERSIONS_MAX {
            let missed = copy.follow(&snapshot, is_expired);
            if missed.is_none() && copy.unreadable.is_empty() {
                return copy.finish(&snapshot, is_expired).await;
            }
            let newer = from.newest().await?;
            let is_live = |path: &str| newer.files().iter().any(|file| file.path == path);
            match missed {
                Some((path, error)) if is_live(&path) => return Err(error),
                // A run of retention removes a day's files before their keys.
                None if copy.unreadable.keys().all(|path| is_live(path)) => {
                    return copy.finish(&snapshot, is_expired).await;
                }
                _ => snapshot = newer,
            }
        }
        let told = "its files were merged or removed faster than they were copied: copy it again";
        Err(StorageError::Io { path: from.objects.path(""), source: io::Error::other(told) })
    }

    fn table_keys(&self, region: Region, kind: Kind) -> TableKeys {
        TableKeys { region, kind, keys: self.keys.clone() }
    }
}

/// The table that is copied.
struct Original {
    objects: Arc<dyn Objects>,
    log: Log,
    keys: TableKeys,
    suppressed: Arc<Subjects>,
}

impl Original {
    fn open(objects: Arc<dyn Objects>, keys: TableKeys, suppressed: Arc<Subjects>) -> Result<Original> {
        // A disk refuses to list symbolic links.
        objects.list("").map_err(StorageError::io(objects.path("")))?;
        let log = Log::open(&format!("{}/{}", keys.region, keys.kind), Arc::clone(&objects))?;
        Ok(Original { objects, log, keys, suppressed })
    }

    /// The table at its newest version.
    async fn newest(&self) -> Result<Snapshot> {
        let mut pause = READING_PAUSE;
        for _ in 1..READINGS_MAX {
            match self.log.load().await {
                Ok(loaded) => return Ok(self.snapshot(loaded)),
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause *= 2;
        }
        Ok(self.snapshot(self.log.load().await?))
    }

    fn snapshot(&self, loaded: log::Loaded) -> Snapshot {
        Snapshot {
            version: loaded.version,
            files: Arc::new(loaded.files.into_values().collect()),
            layout: Arc::new(loaded.layout),
            objects: Arc::clone(&self.objects),
            keys: self.keys.clone(),
            suppressed: Arc::clone(&self.suppressed),
        }
    }
}

/// A copy that has no log yet.
struct Copy {
    objects: Arc<dyn Objects>,
    /// Which are none: it is in the clear.
    keys: TableKeys,
    /// By their path, which is that of the file that was copied.
    files: BTreeMap<String, WrittenFile>,
    /// Those of the version at hand that were left out, by their path.
    unreadable: BTreeMap<String, LiveFile>,
    /// How many of them are expired.
    expired: u64,
}

impl Copy {
    fn new(objects: Arc<dyn Objects>, region: Region, kind: Kind) -> Copy {
        Copy {
            objects,
            keys: TableKeys { region, kind, keys: None },
            files: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            expired: 0,
        }
    }

    /// Makes it a copy of this version; or says which file could not be copied, and why.
    fn follow(
        &mut self,
        snapshot: &Snapshot,
        is_expired: &dyn Fn(&LiveFile) -> bool,
    ) -> Option<(String, StorageError)> {
        let live: BTreeSet<&str> = snapshot.files().iter().map(|file| file.path.as_str()).collect();
        self.leave_out(&|written| !live.contains(written.path.as_str()));
        self.unreadable.clear();
        self.expired = 0;
        for file in snapshot.files() {
            if is_expired(file) {
                self.expired += 1;
                continue;
            }
            if self.files.contains_key(&file.path) {
                continue;
            }
            match self.take(snapshot, file) {
                Ok(written) => drop(self.files.insert(file.path.clone(), written)),
                Err(StorageError::KeyGone(_)) => {
                    drop(self.unreadable.insert(file.path.clone(), file.clone()));
                }
                Err(error) => return Some((file.path.clone(), error)),
            }
        }
        None
    }

    /// Copies one file.
    fn take(&self, snapshot: &Snapshot, file: &LiveFile) -> Result<WrittenFile> {
        let place = Place { objects: &*self.objects, keys: &self.keys };
        let (layout, schema) = (&snapshot.layout, snapshot.layout.file_schema());
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut rows = snapshot.rows(file, &columns, BATCH_ROWS)?;
        let mut draft = Draft::create(place, file.path.clone(), Arc::clone(&schema), file.rows)?;
        for batch in rows.by_ref() {
            draft.write(&layout.conform(&batch?)?)?;
        }
        let written = draft.publish(place)?;
        let found = rows.passed();
        if found != file.rows {
            delete(&*self.objects, &[written]);
            return Err(StorageError::RowCount { table: file.path.clone(), expected: file.rows, found });
        }
        Ok(written)
    }

    /// Takes files out of it again. Answers how many.
    fn leave_out(&mut self, is_out: &dyn Fn(&LiveFile) -> bool) -> u64 {
        let out: Vec<WrittenFile> =
            self.files.extract_if(.., |_, written| is_out(&written.file)).map(|(_, w)| w).collect();
        delete(&*self.objects, &out);
        out.len() as u64
    }

    /// Writes the log: from now on it is a table.
    async fn finish(
        mut self,
        snapshot: &Snapshot,
        is_expired: &dyn Fn(&LiveFile) -> bool,
    ) -> Result<TableCopied> {
        let TableKeys { region, kind, .. } = self.keys;
        let log = Log::open(&format!("{region}/{kind}"), Arc::clone(&self.objects))?;
        // The day may have changed since they were copied.
        self.expired += self.leave_out(is_expired);
        self.unreadable.retain(|_, file| !is_expired(file));
        // All of their rows were left out.
        self.leave_out(&|written| written.rows == 0);
        let files: Vec<WrittenFile> = self.files.into_values().collect();
        log.write(0, log::creation_with(&snapshot.layout, &files)?).await?;
        let loaded = log.load().await?;
        let rows = |files: &mut dyn Iterator<Item = &LiveFile>| files.map(|file| file.rows).sum::<u64>();
        let (expected, found) = (rows(&mut files.iter().map(|w| &w.file)), rows(&mut loaded.files.values()));
        if expected != found {
            return Err(StorageError::RowCount { table: format!("{region}/{kind}"), expected, found });
        }
        Ok(TableCopied {
            region,
            kind,
            files: files.len() as u64,
            rows: found,
            bytes: files.iter().map(|written| written.file.bytes).sum(),
            expired_files: self.expired,
            unreadable_files: self.unreadable.len() as u64,
            unreadable_rows: rows(&mut self.unreadable.values()),
            unreadable_days: self.unreadable.values().map(|file| file.day).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
