//! The Delta log of one table: which files are live, which versions of which applications are in.
//!
//! A commit is one put-if-absent of `_delta_log/<version>.json`. Whoever commits knows the last version, and writes the next one
//! directly instead of rebuilding the whole snapshot for every commit: the cost of an append does not depend on the number of live
//! files. Whoever else has written it makes the put fail, and is seen.
//!
//! Invariants: no predicate, user or row content in a commit's information; statistics on `time` only; deletion vectors and
//! column mapping are never on, so that every Delta reader can read the table. Not here: retries (`table`).

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use deltalake_core::kernel::{
    Action, Add, CommitInfo, Metadata, MetadataExt, Protocol, Remove, Transaction, new_metadata,
};
use deltalake_core::logstore::{LogStoreRef, StorageConfig, get_actions, logstore_with};
use deltalake_core::{DeltaTable, DeltaTableError, checkpoints};
use futures::FutureExt;
use shoal_files::{Objects, host};
use shoal_schemas::columns;

use crate::days::day_text;
use crate::error::{Result, StorageError};
use crate::keys::KeyId;
use crate::tables::live_file::LiveFile;
use crate::tables::log_damage;
use crate::tables::log_files::LogFiles;
use crate::tables::table_layout::TableLayout;
use crate::tables::tally::Tally;
use crate::tables::write::{WrittenFile, parse_path};
use crate::tables::{digest, encryption};

/// The properties of every table. Tombstones leave with the next checkpoint; nobody else checkpoints or cleans up.
const PROPERTIES: [(&str, &str); 5] = [
    ("delta.dataSkippingStatsColumns", columns::TIME),
    ("delta.deletedFileRetentionDuration", "interval 0 seconds"),
    ("delta.enableExpiredLogCleanup", "false"),
    ("delta.enableDeletionVectors", "false"),
    ("delta.columnMapping.mode", "none"),
];

const REMOVE: &[u8] = br#""remove""#;
const READER_VERSION: i32 = 1;
const WRITER_VERSION: i32 = 2;

/// What the log says at one version.
pub(crate) struct Loaded {
    pub(crate) version: u64,
    pub(crate) files: BTreeMap<String, LiveFile>,
    pub(crate) layout: TableLayout,
    /// What there is, as the newest commit says, too.
    pub(crate) tally: Tally,
    /// When the table was made, in milliseconds since 1970; none where another program made it and did not say.
    pub(crate) created_ms: Option<i64>,
    delta: DeltaTable,
}

/// Where a table has its log.
pub(crate) const LOG_FOLDER: &str = "_delta_log";

/// The log of one table.
pub(crate) struct Log {
    table: String,
    objects: Arc<dyn Objects>,
    /// The same objects, for what the Delta library does.
    store: LogStoreRef,
}

impl Log {
    /// The log of the table whose objects these are.
    pub(crate) fn open(table: &str, objects: Arc<dyn Objects>) -> Result<Log> {
        let files = Arc::new(LogFiles::new(Arc::clone(&objects)));
        let store = logstore_with(files, &LogFiles::location()?, StorageConfig::default())?;
        Ok(Log { table: table.to_owned(), objects, store })
    }

    pub(crate) async fn exists(&self) -> Result<bool> {
        Ok(self.store.is_delta_table_location().await?)
    }

    /// Reads everything, from the last checkpoint on.
    ///
    /// # Errors
    /// [`StorageError::Schema`] when a file in it was not written by Shoal, or lacks its row count.
    pub(crate) async fn load(&self) -> Result<Loaded> {
        // What libraries do not expect of a log that was damaged is an error like any other.
        let loaded = host::alone(AssertUnwindSafe(self.read()).catch_unwind()).await;
        let loaded = loaded.unwrap_or_else(|_| Err(self.damaged("cannot be read")));
        let Err(error) = loaded else { return loaded };
        Err(log_damage::named(&self.objects, LOG_FOLDER, error).await)
    }

    async fn read(&self) -> Result<Loaded> {
        let mut delta = DeltaTable::new(Arc::clone(&self.store));
        delta.load().await?;
        let state = delta.snapshot()?;
        let protocol = state.protocol();
        if protocol.min_reader_version() > READER_VERSION || protocol.min_writer_version() > WRITER_VERSION {
            return Err(StorageError::Schema {
                table: self.table.clone(),
                reason: "another program turned on Delta features that Shoal does not write".to_owned(),
            });
        }
        let layout = TableLayout::from_delta(&self.table, state.schema().as_ref())?;
        let mut files = BTreeMap::new();
        for view in state.log_data().iter() {
            #[expect(deprecated, reason = "nothing else has the tags of a file")]
            let tags = view.add_action().tags;
            let mut file = self.live_file(&view.path(), view.size(), view.num_records())?;
            if let Some(tags) = tags {
                file.digest = self.tag(&file, &tags, digest::FOOTER, "digest", digest::parse)?;
                file.key = self.tag(&file, &tags, encryption::KEY, "key", KeyId::parse)?;
            }
            files.insert(file.path.clone(), file);
        }
        let created_ms = created_ms(state.metadata());
        let mut tally = Tally::of(files.values());
        let version = state.version();
        let said = self.said(version).await?;
        tally.agree(&said).map_err(|reason| self.damaged(reason))?;
        Ok(Loaded { version, files, layout, tally, created_ms, delta })
    }

    /// What the commit of this version says besides its actions; nothing when its entry is gone.
    async fn said(&self, version: u64) -> Result<HashMap<String, serde_json::Value>> {
        let Some(bytes) = self.entry(version).await? else {
            return Ok(HashMap::new());
        };
        let told = get_actions(version, &bytes)?.into_iter().find_map(|action| match action {
            Action::CommitInfo(told) => Some(told.info),
            _ => None,
        });
        Ok(told.unwrap_or_default())
    }

    /// The log of the table is not as it was written.
    pub(crate) fn damaged(&self, reason: &str) -> StorageError {
        StorageError::Damaged {
            path: format!("the log of the table {}", self.table).into(),
            reason: reason.to_owned(),
        }
    }

    /// What one of the tags of a file says, if there is one.
    fn tag<T>(
        &self,
        file: &LiveFile,
        tags: &HashMap<String, Option<String>>,
        tag: &str,
        word: &str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(text) = tags.get(tag) else { return Ok(None) };
        match text.as_deref().and_then(parse) {
            Some(said) => Ok(Some(said)),
            None => Err(self.damaged(&format!("has no {word} for the file {}", file.path))),
        }
    }

    fn live_file(&self, path: &str, bytes: i64, rows: Option<usize>) -> Result<LiveFile> {
        let foreign = || StorageError::Schema {
            table: self.table.clone(),
            reason: format!("the file {path} was not written by Shoal"),
        };
        let (day, programme) = parse_path(path).ok_or_else(foreign)?;
        Ok(LiveFile {
            path: path.to_owned(),
            day,
            programme,
            rows: rows.ok_or_else(foreign)? as u64,
            bytes: u64::try_from(bytes).map_err(|_| foreign())?,
            digest: None,
            key: None,
        })
    }

    /// Writes one commit. An error may have happened before or after the commit became visible, unless it says that the name is
    /// taken: another commit has this version then.
    pub(crate) async fn write(&self, version: u64, actions: Vec<Action>) -> Result<()> {
        let lines = actions
            .iter()
            .map(serde_json::to_string)
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|e| DeltaTableError::generic(e.to_string()))?;
        let (objects, name, bytes) = (Arc::clone(&self.objects), entry_name(version), lines.join("\n"));
        let path = objects.path(&name);
        let put = host::blocking(move || objects.put_if_absent(&name, bytes.as_bytes()));
        put.await.map_err(|_| StorageError::Stopped)?.map_err(StorageError::io(path))
    }

    /// The commit of this version; none when its entry is gone, or was never there.
    async fn entry(&self, version: u64) -> Result<Option<Bytes>> {
        let (objects, name) = (Arc::clone(&self.objects), entry_name(version));
        let path = objects.path(&name);
        let read = host::blocking(move || objects.read(&name));
        match read.await.map_err(|_| StorageError::Stopped)? {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StorageError::io(path)(error)),
        }
    }

    /// The version of an application's last transaction, as of `loaded`.
    pub(crate) async fn transaction(&self, loaded: &Loaded, app_id: &str) -> Result<Option<i64>> {
        let state = loaded.delta.snapshot()?;
        Ok(host::alone(state.transaction_version(&self.store, app_id)).await?)
    }

    /// Writes a checkpoint of `loaded`. It holds the live files and the transactions, and no tombstones.
    pub(crate) async fn checkpoint(&self, loaded: &Loaded) -> Result<()> {
        Ok(host::alone(checkpoints::create_checkpoint(&loaded.delta, None)).await?)
    }

    /// The paths that the commit of this version removed; none when its entry is gone.
    pub(crate) async fn removed(&self, version: u64) -> Result<Option<Vec<String>>> {
        let Some(bytes) = self.entry(version).await? else {
            return Ok(None);
        };
        // Most commits remove nothing; reading their statistics to find that out takes most of a purge.
        if !bytes.windows(REMOVE.len()).any(|text| text == REMOVE) {
            return Ok(Some(Vec::new()));
        }
        let removed = get_actions(version, &bytes)?.into_iter().filter_map(|action| match action {
            Action::Remove(remove) => Some(remove.path),
            _ => None,
        });
        Ok(Some(removed.collect()))
    }
}

/// The name of the commit of a version.
fn entry_name(version: u64) -> String {
    format!("{LOG_FOLDER}/{version:020}.json")
}

/// The actions of version 0.
pub(crate) fn creation(layout: &TableLayout) -> Result<Vec<Action>> {
    let protocol: Protocol = serde_json::from_value(
        serde_json::json!({"minReaderVersion": READER_VERSION, "minWriterVersion": WRITER_VERSION}),
    )
    .map_err(|e| DeltaTableError::generic(e.to_string()))?;
    let metadata =
        new_metadata(&layout.to_delta()?, [columns::DAY], PROPERTIES).map_err(DeltaTableError::from)?;
    let mut actions =
        vec![commit_info("CREATE TABLE"), Action::Protocol(protocol), Action::Metadata(metadata)];
    sign(&mut actions, &Tally::default());
    Ok(actions)
}

/// The actions of version 0 of a table that has files from its beginning.
pub(crate) fn creation_with(layout: &TableLayout, files: &[WrittenFile]) -> Result<Vec<Action>> {
    let now_ms = host::now_ms();
    let mut actions = creation(layout)?;
    actions.extend(files.iter().map(|written| add(written, true, now_ms)));
    sign(&mut actions, &Tally::of(files.iter().map(|written| &written.file)));
    Ok(actions)
}

/// When a table was made. What changes its columns keeps it.
fn created_ms(metadata: &Metadata) -> Option<i64> {
    serde_json::to_value(metadata).ok()?.get("createdTime")?.as_i64()
}

/// The actions that give a table more columns.
pub(crate) fn growth(loaded: &Loaded, layout: &TableLayout) -> Result<Vec<Action>> {
    let metadata: Metadata = loaded.delta.snapshot()?.metadata().clone();
    let metadata = metadata.with_schema(&layout.to_delta()?).map_err(DeltaTableError::from)?;
    Ok(vec![commit_info("ADD COLUMNS"), Action::Metadata(metadata)])
}

/// The actions that make files part of the table, some in the place of others, and record who brought them.
pub(crate) fn addition(
    files: &[WrittenFile],
    replaced: &[LiveFile],
    app_id: &str,
    version: i64,
) -> Vec<Action> {
    let now_ms = host::now_ms();
    let adds = files.iter().map(|written| add(written, true, now_ms));
    let removes = replaced.iter().map(|file| remove(file, true, now_ms));
    [commit_info("WRITE")]
        .into_iter()
        .chain(adds)
        .chain(removes)
        .chain([Action::Txn(Transaction::new(app_id, version))])
        .collect()
}

/// The actions that take files out of the table.
pub(crate) fn removal(files: &[LiveFile]) -> Vec<Action> {
    let now_ms = host::now_ms();
    let removes = files.iter().map(|file| remove(file, true, now_ms));
    [commit_info("DELETE")].into_iter().chain(removes).collect()
}

/// The actions that put one file in the place of others. `changed` says whether its rows are not just theirs.
pub(crate) fn replacement(files: &[LiveFile], by: &WrittenFile, changed: bool, now_ms: i64) -> Vec<Action> {
    let removes = files.iter().map(|file| remove(file, changed, now_ms));
    [commit_info("OPTIMIZE"), add(by, changed, now_ms)].into_iter().chain(removes).collect()
}

fn add(written: &WrittenFile, data_change: bool, now_ms: i64) -> Action {
    Action::Add(Add {
        path: written.file.path.clone(),
        partition_values: partition(written.file.day),
        size: i64::try_from(written.file.bytes).unwrap_or(i64::MAX),
        modification_time: now_ms,
        data_change,
        stats: Some(statistics(written)),
        tags: tags(&written.file),
        ..Add::default()
    })
}

/// What the log says of a file beside what every Delta reader knows.
fn tags(file: &LiveFile) -> Option<HashMap<String, Option<String>>> {
    let digest = file.digest.map(|digest| (digest::FOOTER, digest::text_of(digest)));
    let key = file.key.map(|key| (encryption::KEY, key.to_string()));
    let tags: HashMap<_, _> =
        digest.into_iter().chain(key).map(|(tag, said)| (tag.to_owned(), Some(said))).collect();
    (!tags.is_empty()).then_some(tags)
}

fn remove(file: &LiveFile, data_change: bool, now_ms: i64) -> Action {
    Action::Remove(Remove {
        path: file.path.clone(),
        data_change,
        deletion_timestamp: Some(now_ms),
        extended_file_metadata: Some(true),
        partition_values: Some(partition(file.day)),
        size: i64::try_from(file.bytes).ok(),
        ..Remove::default()
    })
}

/// The commit says what there is once it is made.
pub(crate) fn sign(actions: &mut [Action], tally: &Tally) {
    for action in actions {
        if let Action::CommitInfo(told) = action {
            told.info.extend(tally.members());
        }
    }
}

/// The file that an action brings, as reading the log will find it.
pub(crate) fn added(add: &Add) -> Option<LiveFile> {
    let (day, programme) = parse_path(&add.path)?;
    let stats: serde_json::Value = serde_json::from_str(add.stats.as_deref()?).ok()?;
    let tag = |tag: &str| add.tags.as_ref()?.get(tag)?.as_deref();
    let digest = tag(digest::FOOTER).and_then(digest::parse);
    let key = tag(encryption::KEY).and_then(KeyId::parse);
    let (rows, bytes) = (stats["numRecords"].as_u64()?, u64::try_from(add.size).ok()?);
    Some(LiveFile { path: add.path.clone(), day, programme, rows, bytes, digest, key })
}

/// A commit that changes nothing, so that the one before it need not stay.
pub(crate) fn nothing() -> Vec<Action> {
    vec![commit_info("CHECKPOINT")]
}

fn commit_info(operation: &str) -> Action {
    Action::CommitInfo(CommitInfo {
        timestamp: Some(host::now_ms()),
        operation: Some(operation.to_owned()),
        operation_parameters: Some(HashMap::new()),
        engine_info: Some(concat!("shoal/", env!("CARGO_PKG_VERSION")).to_owned()),
        ..CommitInfo::default()
    })
}

fn partition(day: i32) -> HashMap<String, Option<String>> {
    HashMap::from([(columns::DAY.to_owned(), day_text(day))])
}

/// Row count and the range of `time`, which Delta keeps in whole milliseconds: the latest is rounded up.
fn statistics(written: &WrittenFile) -> String {
    let text = |ms: i64| {
        let time = DateTime::from_timestamp_millis(ms)?;
        Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
    };
    let range = written.time_us.and_then(|(first, last)| {
        let last_ms = last.div_euclid(1000) + i64::from(last.rem_euclid(1000) > 0);
        Some((text(first.div_euclid(1000))?, text(last_ms)?))
    });
    let rows = written.file.rows;
    match range {
        Some((first, last)) => serde_json::json!({
            "numRecords": rows,
            "minValues": {"time": first},
            "maxValues": {"time": last},
            "nullCount": {"time": 0},
        }),
        None => serde_json::json!({"numRecords": rows}),
    }
    .to_string()
}
