//! One table: its committer, and what its readers see.
//!
//! Invariants: one commit at a time; a commit's outcome is never guessed: after any error the log is read again before
//! anything else is committed. Readers see the last version that is known to be in the log, and the files of a list that one of
//! them holds stay on the disk. Not here: `append`, `compact`, `expire`, `purge`, the form of the log (`log`) and of the files
//! (`write`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use deltalake_core::kernel::Action;
use shoal_files::Objects;
use shoal_schemas::{Kind, Region};

use crate::error::{Result, StorageError};
use crate::tables::compact_report::CompactReport;
use crate::tables::encryption::TableKeys;
use crate::tables::live_file::LiveFile;
use crate::tables::lock::RootLock;
use crate::tables::log::{self, LOG_FOLDER, Loaded, Log};
use crate::tables::snapshot::Snapshot;
use crate::tables::table_layout::TableLayout;
use crate::tables::tally::Tally;
use crate::tables::write::WrittenFile;

/// The table of one region and kind. Clones share it.
#[derive(Clone)]
pub struct Table {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) keys: TableKeys,
    pub(crate) name: String,
    created_ms: Option<i64>,
    /// Its files and its log.
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) log: Log,
    pub(crate) committer: tokio::sync::Mutex<Committer>,
    live: Mutex<Live>,
    pub(crate) in_flight: Mutex<HashSet<String>>,
    /// Files that left the table and that a purge had to leave on the disk.
    pub(crate) left_behind: Mutex<HashSet<String>>,
    /// Held by the one merge of a compaction that runs, or that an append waits for.
    pub(crate) compacting: tokio::sync::Mutex<()>,
    /// What appends had merged, to make room, since the last compaction.
    pub(crate) made_room: Mutex<CompactReport>,
    /// Files that could not be merged to make room, since they are not what they should be: not tried again until the next start.
    pub(crate) defective: Mutex<HashSet<String>>,
    pub(crate) lock: Arc<RootLock>,
}

/// Files that are about to be written or are, and in no commit yet; forgotten when it is dropped.
pub(crate) struct InFlight {
    table: Arc<Inner>,
    paths: Vec<String>,
}

impl InFlight {
    pub(crate) fn new(table: &Arc<Inner>, paths: Vec<String>) -> InFlight {
        hold(&table.in_flight).extend(paths.iter().cloned());
        InFlight { table: Arc::clone(table), paths }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut in_flight = hold(&self.table.in_flight);
        for path in &self.paths {
            in_flight.remove(path);
        }
    }
}

/// Held by whoever commits.
pub(crate) struct Committer {
    /// The version of the last commit known.
    pub(crate) version: u64,
    /// What there is, as the next commit has to go on from.
    pub(crate) tally: Tally,
    /// Transaction versions by application, as far as anyone asked.
    pub(crate) transactions: HashMap<String, Option<i64>>,
    /// Whether all of this is what the log says; not so from the start of a commit until its answer.
    known: bool,
    /// A version that is not in the log, and that a commit may bring yet which was answered with an error: a request that a store was
    /// sent may arrive late.
    undecided: Option<u64>,
}

impl Committer {
    /// Whether what was to be committed, and is not in the log, will not come any more.
    pub(crate) fn is_decided(&self) -> bool {
        self.known && self.undecided.is_none()
    }
}

/// What readers see.
struct Live {
    version: u64,
    files: BTreeMap<String, LiveFile>,
    listed: Option<Arc<Vec<LiveFile>>>,
    /// Every list that a reader may still hold.
    lists: Vec<Weak<Vec<LiveFile>>>,
    layout: Arc<TableLayout>,
}

/// Every section under these locks leaves whole values, so a panic elsewhere does not make them wrong.
pub(crate) fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Table {
    pub(crate) async fn open(
        keys: TableKeys,
        objects: Arc<dyn Objects>,
        log: Log,
        lock: Arc<RootLock>,
    ) -> Result<Table> {
        let loaded = log.load().await?;
        keys.check(loaded.files.values())?;
        let inner = Inner {
            name: format!("{}/{}", keys.region, keys.kind),
            keys,
            created_ms: loaded.created_ms,
            objects,
            log,
            committer: tokio::sync::Mutex::new(Committer {
                version: loaded.version,
                tally: loaded.tally,
                transactions: HashMap::new(),
                known: true,
                undecided: None,
            }),
            live: Mutex::new(Live {
                version: loaded.version,
                files: loaded.files,
                listed: None,
                lists: Vec::new(),
                layout: Arc::new(loaded.layout),
            }),
            in_flight: Mutex::default(),
            left_behind: Mutex::default(),
            compacting: tokio::sync::Mutex::default(),
            made_room: Mutex::default(),
            defective: Mutex::default(),
            lock,
        };
        Ok(Table { inner: Arc::new(inner) })
    }

    /// The table's region.
    pub fn region(&self) -> Region {
        self.inner.keys.region
    }

    /// When it was made, in milliseconds since 1970: a fact about the service and not about any event. None where another program
    /// made it and did not say.
    pub fn created_ms(&self) -> Option<i64> {
        self.inner.created_ms
    }

    /// The kind of its events.
    pub fn kind(&self) -> Kind {
        self.inner.keys.kind
    }

    /// The version of this application's last append, if it ever appended.
    ///
    /// # Errors
    /// [`crate::StorageError::Delta`] when the log cannot be read.
    pub async fn committed(&self, app_id: &str) -> Result<Option<i64>> {
        let mut committer = self.inner.committer().await?;
        self.inner.transaction(&mut committer, app_id).await
    }

    /// The files that are live now. Does not touch the disk.
    ///
    /// # Errors
    /// None today; reading a shared store will have some.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let mut live = hold(&self.inner.live);
        let files = match &live.listed {
            Some(files) => Arc::clone(files),
            None => {
                let files = Arc::new(live.files.values().cloned().collect::<Vec<_>>());
                live.lists.retain(|list| list.strong_count() > 0);
                live.lists.push(Arc::downgrade(&files));
                files
            }
        };
        live.listed = Some(Arc::clone(&files));
        Ok(Snapshot {
            version: live.version,
            files,
            layout: Arc::clone(&live.layout),
            objects: Arc::clone(&self.inner.objects),
            keys: self.inner.keys.clone(),
            suppressed: Arc::default(),
        })
    }

    /// Whether it can grow to this.
    pub(crate) fn fits(&self, wanted: &TableLayout) -> Result<()> {
        self.inner.layout().grown(wanted).map(drop)
    }

    pub(crate) async fn grow(&self, wanted: &TableLayout) -> Result<()> {
        // The usual case must not wait behind a commit or a purge.
        if self.inner.layout().grown(wanted)?.is_none() {
            return Ok(());
        }
        let mut committer = self.inner.committer().await?;
        let loaded = self.inner.reload(&mut committer).await?;
        let Some(grown) = loaded.layout.grown(wanted)? else {
            return Ok(());
        };
        let actions = log::growth(&loaded, &grown)?;
        self.inner.commit(&mut committer, actions).await?;
        self.inner.reload(&mut committer).await?;
        Ok(())
    }
}

impl Inner {
    pub(crate) fn layout(&self) -> Arc<TableLayout> {
        Arc::clone(&hold(&self.live).layout)
    }

    /// Whether anything may be written.
    fn well(&self) -> Result<()> {
        match self.lock.health.is_broken() {
            true => Err(StorageError::Broken(self.objects.path(""))),
            false => Ok(()),
        }
    }

    /// The committer, knowing what the log says.
    ///
    /// # Errors
    /// [`StorageError::Broken`] after a failure of a file: nobody knows then what of the log is durable.
    pub(crate) async fn committer(&self) -> Result<tokio::sync::MutexGuard<'_, Committer>> {
        let mut committer = self.committer.lock().await;
        self.well()?;
        if !committer.known {
            self.reload(&mut committer).await?;
        }
        Ok(committer)
    }

    /// Reads the log again and shows readers what it says.
    ///
    /// # Errors
    /// When it cannot be read; [`StorageError::Broken`] where what it says may not be durable, and is not believed.
    pub(crate) async fn reload(&self, committer: &mut Committer) -> Result<Loaded> {
        self.well()?;
        let mut loaded = self.log.load().await?;
        committer.version = loaded.version;
        committer.tally = loaded.tally.clone();
        committer.transactions.clear();
        committer.known = true;
        committer.undecided = committer.undecided.filter(|version| *version > loaded.version);
        let mut live = hold(&self.live);
        live.version = loaded.version;
        live.files = std::mem::take(&mut loaded.files);
        live.listed = None;
        live.layout = Arc::new(loaded.layout.clone());
        Ok(loaded)
    }

    /// Commits the next version. After an error the committer must be had anew.
    pub(crate) async fn commit(&self, committer: &mut Committer, mut actions: Vec<Action>) -> Result<()> {
        let tally = self.tally_after(&committer.tally, &actions)?;
        log::sign(&mut actions, &tally);
        let version = committer.version + 1;
        committer.known = false;
        if let Err(error) = self.log.write(version, actions).await {
            if !error.is_without_effect() {
                committer.undecided = Some(version);
            }
            return Err(error);
        }
        committer.tally = tally;
        committer.version = version;
        committer.known = true;
        committer.undecided = None;
        Ok(())
    }

    /// What there is once these actions are committed.
    fn tally_after(&self, before: &Tally, actions: &[Action]) -> Result<Tally> {
        let unknown = |path: &str| {
            self.log.damaged(&format!("is about to change a file that it does not list: {path}"))
        };
        let live = hold(&self.live);
        let mut tally = before.clone();
        for action in actions {
            match action {
                Action::Add(add) => tally.turn(&log::added(add).ok_or_else(|| unknown(&add.path))?),
                Action::Remove(gone) => {
                    tally.turn(live.files.get(&gone.path).ok_or_else(|| unknown(&gone.path))?)
                }
                Action::Txn(transaction) => tally.note(&transaction.app_id, transaction.version),
                _ => {}
            }
        }
        Ok(tally)
    }

    pub(crate) async fn transaction(&self, committer: &mut Committer, app_id: &str) -> Result<Option<i64>> {
        if let Some(version) = committer.transactions.get(app_id) {
            return Ok(*version);
        }
        // The newest commit tells it. Only a log of before there were tallies is read again for it.
        let version = match committer.tally.transaction(app_id) {
            Some(version) => Some(version),
            None => {
                let loaded = self.reload(committer).await?;
                self.log.transaction(&loaded, app_id).await?
            }
        };
        committer.transactions.insert(app_id.to_owned(), version);
        Ok(version)
    }

    /// Shows readers what a commit took out and brought in.
    pub(crate) fn show(&self, version: u64, removed: &[LiveFile], added: &[WrittenFile]) {
        let mut live = hold(&self.live);
        live.version = version;
        live.listed = None;
        for file in removed {
            live.files.remove(&file.path);
        }
        for written in added {
            let file = written.file.clone();
            live.files.insert(file.path.clone(), file);
        }
    }

    /// The paths in any list that a reader holds, and so may be reading.
    pub(crate) fn pinned(&self) -> HashSet<String> {
        let live = hold(&self.live);
        let lists = live.lists.iter().filter_map(Weak::upgrade);
        lists.flat_map(|list| list.iter().map(|f| f.path.clone()).collect::<Vec<_>>()).collect()
    }

    /// Makes what the log shows durable: a commit may have landed though it was answered with an error.
    pub(crate) fn sync_log(&self) -> Result<()> {
        let synced = self.objects.sync(LOG_FOLDER);
        synced.map_err(StorageError::io(self.objects.path(LOG_FOLDER)))
    }

    pub(crate) fn is_live(&self, path: &str) -> bool {
        hold(&self.live).files.contains_key(path)
    }
}
