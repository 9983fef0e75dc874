//! Acts on the keys that lie in the key store: those that files of tables are encrypted with, one for each table and day, and those of
//! pseudonym epochs. A running service does them itself, because it has keys in its memory.
//!
//! ```json
//! {"seq":9,"prev":"..","at_ms":1795348800000,"act":"stored_key_shred","id":"<uuid>","key":null,"role":"operator","outcome":"done",
//!  "region":"DE","table":"usage","day":"2026-11-30","keys":1,"files":3,"rows":4711,"hash":".."}
//! ```
//! The line of an epoch has its first day as `day` and its `days`, and no `table`; that of a table which is encrypted has no `day`.
//!
//! Invariants: a day leaves the table, and the questions that read it end, before its keys go, so that none meets a file that cannot be
//! read; keys that are in use are
//! not destroyed by mistake: those of an epoch that is not over are kept unless they are lost. An act whose line of the audit cannot be
//! written is an error, and so is one whose receipt cannot be: what is repeated destroys nothing more and has a receipt of its own. Not here: the files of keys (`shoal-storage`, `keys`), the commands (`cli/keys_stored.rs`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin, Role};
use shoal_language::calendar::day_text;
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Region};
use shoal_storage::{DataKeys, EpochKeys, EpochScope, Kept, KeyScope, StorageError, Store, Table};
use uuid::Uuid;

use crate::error::Error;
use crate::receipts::{AllReceipts, KeysShredded};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyAct {
    /// A new key for a day of a table, since 1970-01-01, and its files written anew with it. The keys of before stay as long as the day,
    /// because backups need them.
    Rotate(Region, Kind, i32),
    /// The files of a table that are in the clear, written anew with the keys of their days.
    Encrypt(Region, Kind),
    /// The end of a day of a table: its rows, and its keys.
    ShredDay(Region, Kind, i32),
    /// The end of the keys of a pseudonym epoch: its first day, and how many days it has.
    ShredEpoch(Region, i32, u32),
}

/// What an act has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeysDone {
    /// Keys that were destroyed.
    pub(crate) keys: u64,
    /// Files that were written anew, or left the table.
    pub(crate) files: u64,
    /// Rows in them.
    pub(crate) rows: u64,
    /// Files of before that are still there, since questions read them: the next run of retention deletes them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(crate) left: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_none(number: &u64) -> bool {
    *number == 0
}

#[derive(Clone, Serialize)]
struct Fields {
    region: Region,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<u32>,
    #[serde(flatten)]
    done: KeysDone,
}

/// What became of the keys of an epoch.
enum Shredded {
    /// There are none any more; whether there were any.
    Done(bool),
    InUse,
    Unknown,
}

/// Where keys are, and what has to know of it.
pub(crate) struct StoredKeys<'k> {
    /// All of its tables are open.
    pub(crate) store: &'k Store,
    pub(crate) epochs: &'k EpochKeys,
    /// The epochs whose keys data were made with, as the check values beside the data tell.
    pub(crate) known_epochs: Vec<EpochScope>,
    pub(crate) audit: &'k Arc<Audit>,
    pub(crate) receipts: &'k Arc<AllReceipts>,
    /// Whether the key file is of version 1.
    pub(crate) derives_epochs: bool,
}

impl StoredKeys<'_> {
    /// Does it, and writes the line of the audit; of keys that are destroyed, a receipt, too.
    ///
    /// # Errors
    /// When it is refused, when something cannot be read, written or destroyed: it can be repeated; and when the line or the receipt cannot be written.
    pub(crate) async fn act(&self, wanted: &KeyAct, now_ms: i64) -> Result<KeysDone, Error> {
        let (act, region, table, day, days) = match *wanted {
            KeyAct::Rotate(region, kind, day) => (Act::DataKeyRotate, region, Some(kind), Some(day), None),
            KeyAct::Encrypt(region, kind) => (Act::TableEncrypt, region, Some(kind), None, None),
            KeyAct::ShredDay(region, kind, day) => (Act::StoredKeyShred, region, Some(kind), Some(day), None),
            KeyAct::ShredEpoch(region, day, days) => {
                (Act::StoredKeyShred, region, None, Some(day), Some(days))
            }
        };
        let actor = Actor { key: None, role: Role::Operator };
        let id = Uuid::new_v4();
        let origin = Origin { at_ms: now_ms, act, id, actor };
        let fields = Fields { region, table, day: day.map(day_text), days, done: KeysDone::default() };
        let of_what = [
            ("table", table.map(|table| table.as_str().to_owned())),
            ("day", fields.day.clone()),
            ("days", days.map(|days| days.to_string())),
        ];
        let mut line = self.audit.begin(origin, fields);
        let done = self.run(wanted, now_ms).await;
        if let Ok(done) = &done {
            line.fields_mut().done = *done;
        }
        let written = line.end(if done.is_ok() { ActOutcome::Done } else { ActOutcome::Failed }).await;
        let done = done?;
        written?;
        if act == Act::StoredKeyShred {
            let KeysDone { keys, files, rows, .. } = done;
            let kept = of_what.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
            let counts = [("keys", keys), ("files", files), ("rows", rows)];
            let shredded = KeysShredded { region, number: id, at_ms: now_ms, kept, counts };
            let receipts = Arc::clone(self.receipts);
            let written = tokio::task::spawn_blocking(move || receipts.write_shredded(&shredded)).await;
            written.map_err(|e| Error::Service(e.to_string()))??;
        }
        Ok(done)
    }

    async fn run(&self, wanted: &KeyAct, now_ms: i64) -> Result<KeysDone, Error> {
        match *wanted {
            KeyAct::Rotate(region, kind, day) => self.rotate(KeyScope { region, kind, day }, now_ms).await,
            KeyAct::Encrypt(region, kind) => self.encrypt((region, kind), now_ms).await,
            KeyAct::ShredDay(region, kind, day) => self.shred_day(KeyScope { region, kind, day }).await,
            KeyAct::ShredEpoch(region, first_day, days) => {
                self.shred_epoch(EpochScope { region, first_day, days }, now_ms).await
            }
        }
    }

    async fn rotate(&self, scope: KeyScope, now_ms: i64) -> Result<KeysDone, Error> {
        let keys = self.data_keys()?;
        let table = self.table(scope.region, scope.kind).await?;
        check_writing(&keys)?;
        if !keys.list().iter().any(|(known, _)| *known == scope) {
            return Err(Error::Usage("no file of this day is encrypted: there is no key to replace".into()));
        }
        let own = Arc::clone(&keys);
        let newest = blocking(move || own.rotate(scope, now_ms)).await?;
        let rewritten =
            table.rewrite(now_ms, move |file| file.day == scope.day && file.key != Some(newest)).await?;
        if rewritten.aborted > 0 {
            let told = "files of this day changed meanwhile, and some have the key of before: repeat it";
            return Err(Error::Service(told.into()));
        }
        Ok(KeysDone { files: rewritten.files, rows: rewritten.rows, ..KeysDone::default() })
    }

    async fn encrypt(&self, (region, kind): (Region, Kind), now_ms: i64) -> Result<KeysDone, Error> {
        let keys = self.data_keys()?;
        let table = self.table(region, kind).await?;
        check_writing(&keys)?;
        let rewritten = table.rewrite(now_ms, |file| file.key.is_none()).await?;
        if rewritten.aborted > 0 {
            let told = "files of this table changed meanwhile, and some may be in the clear: repeat it";
            return Err(Error::Service(told.into()));
        }
        // What was in the clear is to leave the disk, also where an earlier call was cut off before this.
        let purged = table.purge(now_ms).await?;
        Ok(KeysDone { keys: 0, files: rewritten.files, rows: rewritten.rows, left: purged.pinned })
    }

    async fn shred_day(&self, scope: KeyScope) -> Result<KeysDone, Error> {
        let keys = self.data_keys()?;
        let table = self.table(scope.region, scope.kind).await?;
        // What is written from now on has a new key, and stays.
        let retired = keys.retire(scope);
        if !table.is_settled(scope.day).await {
            return Err(Error::Service("files of this day are still being written: repeat it".into()));
        }
        let expired = table
            .expire(&|file| file.day == scope.day && file.key.is_none_or(|key| retired.contains(&key)))
            .await?;
        if !table.is_unread(scope.day).await {
            let told = "the day has left the table, and its keys are still there, because questions read it: repeat it";
            return Err(Error::Service(told.into()));
        }
        let destroyed = blocking(move || keys.destroy(scope, &retired)).await?;
        let files = expired.removed.len() as u64;
        Ok(KeysDone { keys: destroyed, files, rows: expired.rows, left: 0 })
    }

    async fn shred_epoch(&self, scope: EpochScope, now_ms: i64) -> Result<KeysDone, Error> {
        if self.derives_epochs {
            let told = "the keys of epochs are derived from the key file, so none can be destroyed: run `shoal keys migrate` first";
            return Err(Error::Usage(told.into()));
        }
        let epochs = self.epochs.clone();
        let is_over = scope.last_day() < day_of(now_ms);
        let is_known = self.known_epochs.contains(&scope);
        let destroyed = blocking(move || match epochs.read(scope) {
            Ok(Kept::Keys(_)) if !is_over => Ok(Shredded::InUse),
            // Lost or damaged keys are given up, in whichever epoch.
            Ok(Kept::Keys(_)) | Err(StorageError::Damaged { .. }) => {
                epochs.destroy(scope).map(Shredded::Done)
            }
            Ok(Kept::None) if is_known => epochs.destroy(scope).map(Shredded::Done),
            Ok(Kept::None) => Ok(Shredded::Unknown),
            Ok(Kept::Destroyed) => Ok(Shredded::Done(false)),
            Err(error) => Err(error),
        });
        let told = match destroyed.await? {
            Shredded::Done(had) => return Ok(KeysDone { keys: u64::from(had), ..KeysDone::default() }),
            Shredded::InUse => {
                "this epoch is not over: events come in with its keys. Wait for its end, or set ingest.epoch_days to another number, with \
                 which another epoch begins"
            }
            Shredded::Unknown => "there is no such epoch: `shoal keys list --stored` shows which there are",
        };
        Err(Error::Usage(told.into()))
    }

    fn data_keys(&self) -> Result<Arc<DataKeys>, Error> {
        let keys = self.store.data_keys().cloned();
        keys.ok_or_else(|| Error::Usage("there is no key file, so there are no data keys either".into()))
    }

    async fn table(&self, region: Region, kind: Kind) -> Result<Table, Error> {
        let tables = self.store.tables().await;
        let found = tables.into_iter().find(|table| table.region() == region && table.kind() == kind);
        found.ok_or_else(|| Error::Usage("there is no such table".into()))
    }
}

fn check_writing(keys: &DataKeys) -> Result<(), Error> {
    match keys.is_writing() {
        true => Ok(()),
        false => {
            let told = "storage.encrypt is false: the files would be written anew in the clear";
            Err(Error::Usage(told.into()))
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, shoal_storage::StorageError> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::Service(e.to_string()))?.map_err(Error::Storage)
}
