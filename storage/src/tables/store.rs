//! One root, locked by one process; opens, creates and evolves the tables below it.
//!
//! ```text
//! <root>/.lock                                  held while any clone of the store or of a table lives
//! <root>/<region>/tables/<kind>/_delta_log/     the table of a region and kind
//! <root>/<region>/tables/<kind>/day=.../        its files
//! ```
//! Invariants: one [`Table`] for each (region, kind), however often it is asked for, so that it has one committer. Two
//! regions share no directory but the root. Not here: what a table does (`table`).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use object_store::ObjectStore;
use shoal_files::{Disk, Objects};
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Region, TableDef};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use crate::error::{Result, StorageError};
use crate::keys::DataKeys;
use crate::redb_file::broken;
use crate::tables::durable::SyncedFiles;
use crate::tables::encryption::TableKeys;
use crate::tables::lock::{RootLock, lock};
use crate::tables::log::Log;
use crate::tables::table::{LOG_FOLDER, Table};
use crate::tables::table_layout::TableLayout;
use crate::tables::watched::Health;

/// One root with the tables of every region and kind. Clones share everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    files: Arc<dyn ObjectStore>,
    /// None where nothing is encrypted.
    keys: Option<Arc<DataKeys>>,
    tables: Mutex<HashMap<(Region, Kind), Arc<OnceCell<Table>>>>,
    lock: Arc<RootLock>,
}

impl Store {
    /// Opens the root and locks it; makes the directory when it is missing.
    ///
    /// # Errors
    /// [`StorageError::Location`] for anything but an absolute `file://` URL, [`StorageError::Locked`] when another process
    /// (or this one) has it open.
    pub async fn open(root: &Url) -> Result<Store> {
        Store::open_with_keys(root, None).await
    }

    /// The same with data keys, with which every file is encrypted that is written from now on.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with_keys(root: &Url, keys: Option<Arc<DataKeys>>) -> Result<Store> {
        let health = Health::new();
        Store::open_on(root, Arc::new(SyncedFiles::new(&health)), keys, health).await
    }

    /// The keys of the files; none where nothing is encrypted.
    pub fn data_keys(&self) -> Option<&Arc<DataKeys>> {
        self.inner.keys.as_ref()
    }

    /// Returns when a file of a table has failed so that something may be lost; never, while all is well. Nothing is written to any
    /// table from then on, and the process must end.
    pub fn broken(&self) -> impl Future<Output = ()> + Send + use<> {
        broken(self.inner.lock.health.watch())
    }

    /// Whether that has happened.
    pub fn is_broken(&self) -> bool {
        self.inner.lock.health.is_broken()
    }

    /// The tables that this process has opened, in no order.
    pub async fn tables(&self) -> Vec<Table> {
        self.inner.tables.lock().await.values().filter_map(|slot| slot.get().cloned()).collect()
    }

    /// The day, since 1970, on which the first table of each region was made, of the tables that this process has opened.
    pub async fn first_days(&self) -> BTreeMap<Region, i32> {
        let mut days: BTreeMap<Region, i32> = BTreeMap::new();
        for table in self.inner.tables.lock().await.values().filter_map(|slot| slot.get()) {
            if let Some(day) = table.created_ms().map(day_of) {
                days.entry(table.region()).and_modify(|first| *first = day.min(*first)).or_insert(day);
            }
        }
        days
    }

    /// Ends the compactions that run, between two batches, and begins none any more: for the end of a process, which must
    /// not wait for a long merge. What was committed stays; what was not is left as it was.
    pub fn stop_compacting(&self) {
        self.inner.lock.stop_compacting.store(true, Ordering::Relaxed);
    }

    /// [`Store::open`] with another object store beneath the Delta logs, for fault injection.
    #[cfg(test)]
    pub(crate) async fn open_with(root: &Url, files: Arc<dyn ObjectStore>) -> Result<Store> {
        Store::open_on(root, files, None, Health::new()).await
    }

    async fn open_on(
        root: &Url,
        files: Arc<dyn ObjectStore>,
        keys: Option<Arc<DataKeys>>,
        health: Health,
    ) -> Result<Store> {
        let location =
            |reason: &str| StorageError::Location { location: root.to_string(), reason: reason.to_owned() };
        if root.scheme() != "file" {
            return Err(location("only file:// is supported by this build"));
        }
        let root = root.to_file_path().map_err(|()| location("not an absolute path of this machine"))?;
        let held = tokio::task::spawn_blocking(move || lock(root, health)).await;
        let (root, lock) = held.map_err(|_| StorageError::Stopped)??;
        let inner = Inner { root, files, keys, tables: Mutex::default(), lock: Arc::new(lock) };
        Ok(Store { inner: Arc::new(inner) })
    }

    /// The table of this region and of the definition's kind: opened, or created when there is none. Commits new nullable
    /// columns when the definition has grown; columns that only an older definition had stay, and are null in new rows.
    ///
    /// # Errors
    /// [`StorageError::Schema`] when the definition changed a column's type or gained one that is not nullable.
    pub async fn table(&self, region: Region, def: &TableDef) -> Result<Table> {
        let name = format!("{region}/{}", def.kind);
        let wanted = TableLayout::from_def(&name, def)?;
        self.table_with(region, def.kind, wanted).await
    }

    /// Whether [`Store::table`] would take this definition. Looks at a table that this process has opened, and changes nothing.
    ///
    /// # Errors
    /// [`StorageError::Schema`] with every reason why not.
    pub async fn fits(&self, region: Region, def: &TableDef) -> Result<()> {
        let wanted = TableLayout::from_def(&format!("{region}/{}", def.kind), def)?;
        let slot = self.inner.tables.lock().await.get(&(region, def.kind)).cloned();
        match slot.as_ref().and_then(|slot| slot.get()) {
            Some(table) => table.fits(&wanted),
            None => Ok(()),
        }
    }

    pub(crate) async fn table_with(&self, region: Region, kind: Kind, wanted: TableLayout) -> Result<Table> {
        // One lock for each: tables are opened beside each other, and each once.
        let slot = Arc::clone(self.inner.tables.lock().await.entry((region, kind)).or_default());
        let open = || self.open_table(region, kind, &wanted);
        let table = slot.get_or_try_init(open).await?.clone();
        table.grow(&wanted).await?;
        Ok(table)
    }

    async fn open_table(&self, region: Region, kind: Kind, wanted: &TableLayout) -> Result<Table> {
        let dir = table_dir(&self.inner.root, region, kind);
        let dir_of_log = dir.join(LOG_FOLDER);
        Disk::new(&dir_of_log).make().map_err(StorageError::io(&dir))?;
        let log = Log::open(&format!("{region}/{kind}"), &table_url(&dir)?, Arc::clone(&self.inner.files))?;
        if !log.exists().await? {
            log.write(0, crate::tables::log::creation(wanted)?).await?;
        }
        // What a process has committed that was killed, or whose sync failed, is seen; what it is the end of is let go of only
        // when it is durable.
        let synced = tokio::task::spawn_blocking(move || Disk::new(dir_of_log).sync("")).await;
        synced.map_err(|_| StorageError::Stopped)?.map_err(StorageError::io(&dir))?;
        let keys = TableKeys { region, kind, keys: self.inner.keys.clone() };
        Table::open(keys, dir, log, Arc::clone(&self.inner.lock)).await
    }
}

/// Where a root has the table of a region and kind.
pub(crate) fn table_dir(root: &Path, region: Region, kind: Kind) -> PathBuf {
    root.join(region.as_str().to_ascii_lowercase()).join("tables").join(kind.as_str())
}

/// The URL of a table's directory.
pub(crate) fn table_url(dir: &Path) -> Result<Url> {
    Url::from_directory_path(dir).map_err(|()| StorageError::Location {
        location: dir.display().to_string(),
        reason: "not an absolute path".to_owned(),
    })
}
