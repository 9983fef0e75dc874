//! Where tables are; opens, creates and evolves them.
//!
//! ```text
//! <directory>/.lock                       held while any clone of the store or of a table lives
//! <region>/tables/<kind>/_delta_log/      the table of a region and kind: below the directory, or in a place apart
//! <region>/tables/<kind>/day=.../         its files
//! ```
//! Invariants: one [`Table`] for each (region, kind), however often it is asked for, so that it has one committer. Two
//! regions share no folder. Tables on a disk are written as long as all is well (`watched`); a place apart that fails is asked again.
//! Not here: what a table does (`table`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use shoal_files::{Disk, Folder, Objects, host};
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Region, TableDef};
use tokio::sync::{Mutex, OnceCell};
use url::Url;

use crate::error::{Result, StorageError};
use crate::keys::DataKeys;
use crate::redb_file::broken;
use crate::suppressed::Suppressed;
use crate::tables::encryption::TableKeys;
use crate::tables::lock::{RootLock, lock};
use crate::tables::log::{self, LOG_FOLDER, Log};
use crate::tables::stored_days::stored_days;
use crate::tables::table::Table;
use crate::tables::table_layout::TableLayout;
use crate::tables::watched::{Health, Watched};

/// One place with the tables of every region and kind. Clones share everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    /// The files of all tables.
    objects: Arc<dyn Objects>,
    /// None where nothing is encrypted.
    keys: Option<Arc<DataKeys>>,
    tables: Mutex<HashMap<(Region, Kind), Arc<OnceCell<Table>>>>,
    suppressed: Suppressed,
    lock: Arc<RootLock>,
}

impl Store {
    /// Opens a directory with the tables below it, and locks it; makes the directory when it is missing.
    ///
    /// # Errors
    /// [`StorageError::Location`] for anything but an absolute `file://` URL, [`StorageError::Locked`] when another process
    /// (or this one) has it open.
    pub async fn open(directory: &Url) -> Result<Store> {
        Store::open_with_keys(directory, None).await
    }

    /// The same with data keys, with which every file is encrypted that is written from now on.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with_keys(directory: &Url, keys: Option<Arc<DataKeys>>) -> Result<Store> {
        let lock = locked(directory, Health::new()).await?;
        let objects = Watched::new(Disk::new(lock.root()), &lock.health);
        Ok(Store::with(Arc::new(objects), keys, lock))
    }

    /// Tables on another disk than the directory, which is locked all the same, for what else is kept in it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_on_disk(directory: &Url, disk: Disk, keys: Option<Arc<DataKeys>>) -> Result<Store> {
        let lock = locked(directory, Health::new()).await?;
        let objects = Watched::new(disk, &lock.health);
        Ok(Store::with(Arc::new(objects), keys, lock))
    }

    /// Tables in a place apart, such as a bucket. The directory is locked all the same, for what else is kept in it. A failure of the
    /// place loses nothing, so that what failed is tried again.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_apart(
        directory: &Url,
        objects: Arc<dyn Objects>,
        keys: Option<Arc<DataKeys>>,
    ) -> Result<Store> {
        Ok(Store::with(objects, keys, locked(directory, Health::new()).await?))
    }

    /// Tables in a place that nobody else uses, which is for the caller to see to, and which fails as a disk does: nothing is written to
    /// it any more after a failure. Nothing is locked.
    pub fn open_unlocked(objects: impl Objects + 'static, keys: Option<Arc<DataKeys>>) -> Store {
        let health = Health::new();
        let objects = Watched::new(objects, &health);
        Store::with(Arc::new(objects), keys, RootLock::none(health))
    }

    fn with(objects: Arc<dyn Objects>, keys: Option<Arc<DataKeys>>, lock: RootLock) -> Store {
        let (tables, suppressed) = (Mutex::default(), Suppressed::default());
        let inner = Inner { objects, keys, tables, suppressed, lock: Arc::new(lock) };
        Store { inner: Arc::new(inner) }
    }

    /// Whose rows are in no new release. What reads events for one leaves them out.
    pub fn suppressed(&self) -> &Suppressed {
        &self.inner.suppressed
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

    /// The days of which a region has files of events, live or not, from their names. Blocks.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn stored_days(&self, region: Region) -> io::Result<BTreeSet<i32>> {
        stored_days(&*self.inner.objects, region)
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
        let objects = table_objects(&self.inner.objects, region, kind)?;
        let log = Log::open(&format!("{region}/{kind}"), Arc::clone(&objects))?;
        if !log.exists().await? {
            match log.write(0, log::creation(wanted)?).await {
                // Another process has made it at the same time.
                Err(error) if error.is_taken() => {}
                made => made?,
            }
        }
        // What a process has committed that was killed, or whose sync failed, is seen; what it is the end of is let go of only
        // when it is durable.
        let synced = Arc::clone(&objects);
        let synced = host::blocking(move || synced.sync(LOG_FOLDER)).await;
        synced.map_err(|_| StorageError::Stopped)?.map_err(StorageError::io(objects.path(LOG_FOLDER)))?;
        let keys = TableKeys { region, kind, keys: self.inner.keys.clone() };
        Table::open(keys, objects, log, Arc::clone(&self.inner.lock)).await
    }
}

/// The files of the table of a region and kind.
pub(crate) fn table_objects(
    objects: &Arc<dyn Objects>,
    region: Region,
    kind: Kind,
) -> Result<Arc<dyn Objects>> {
    let folder = format!("{}/tables/{kind}", region.as_str().to_ascii_lowercase());
    let own = Folder::new(Arc::clone(objects), &folder);
    Ok(Arc::new(own.map_err(StorageError::io(objects.path(&folder)))?))
}

/// The lock of a directory, which is made when it is missing.
async fn locked(directory: &Url, health: Health) -> Result<RootLock> {
    let location =
        |reason: &str| StorageError::Location { location: directory.to_string(), reason: reason.to_owned() };
    if directory.scheme() != "file" {
        return Err(location("a directory is an absolute file:// URL"));
    }
    let root = directory.to_file_path().map_err(|()| location("not an absolute path of this machine"))?;
    let held = host::blocking(move || lock(root, health)).await;
    held.map_err(|_| StorageError::Stopped)?
}
