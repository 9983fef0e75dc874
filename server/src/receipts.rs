//! Receipts of what is done on behalf of persons, and of what expires: written when it is done, handed out, and forgotten.
//!
//! ```text
//! <withdrawals_dir>/receipts/<region>/chain/       signed lines, for ever
//! <withdrawals_dir>/receipts/<region>/openings/    what opens them, sealed with the key of consents, for a period
//! ```
//! Both lie outside of the data, so that no restore takes a line away that somebody has. The key is made of the key file, of each region its
//! own. Invariants: a receipt is durable before its act is noted as done; no document has an identifier, a pseudonym or a digest of one.
//! Not here: what a receipt says and how it is verified (`shoal-receipts`), who may have which document (the routes, the socket).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use shoal_files::{Disk, Encrypted};
use shoal_language::calendar::day_text;
use shoal_privacy::keyring::{Keyring, Sealed};
use shoal_receipts::{Act, ActKind, FileState, ReceiptError, Receipts, RemovedFile, Signer, TableState};
use shoal_retention::{FileVersion, RowsErased, TableVersion};
use shoal_schemas::{Kind, Region};
use shoal_storage::{ActKind as OnPersons, ActState, AskedBy, Lifted};
use uuid::Uuid;

use crate::config::Config;
use crate::error::Error;
use crate::file_keys::FileKeys;

/// The receipts of all regions.
pub(crate) struct AllReceipts {
    of: BTreeMap<Region, Receipts>,
}

/// The tables of a region before and after an act.
pub(crate) struct Change<'a> {
    pub(crate) before: &'a [TableVersion],
    pub(crate) after: &'a [TableVersion],
    pub(crate) erased: RowsErased,
}

/// What a run of retention did in a region.
pub(crate) struct Expired {
    /// Its random number.
    pub(crate) number: Uuid,
    /// When it began, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    pub(crate) role: &'static str,
    /// The tables when it began, with what was past its time.
    pub(crate) before: Vec<TableVersion>,
    /// The same tables when it had ended.
    pub(crate) after: Vec<TableVersion>,
}

/// Keys that were destroyed by hand.
pub(crate) struct KeysShredded {
    pub(crate) region: Region,
    /// That of the line in the audit.
    pub(crate) number: Uuid,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Of which table and day, or which epoch.
    pub(crate) kept: Vec<(&'static str, String)>,
    pub(crate) counts: [(&'static str, u64); 3],
}

/// What is handed out of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// To the person.
    Personal,
    /// To officers and auditors, with this part of the list of removed files, from 1.
    Full(u64),
}

impl AllReceipts {
    /// Opens those of all regions.
    ///
    /// # Errors
    /// When a chain is not as it was written: nothing is served then, because what was promised cannot be shown.
    pub(crate) fn open(config: &Config, keyring: &Keyring) -> Result<AllReceipts, Error> {
        let keys = FileKeys::open(config)?;
        let mut of = BTreeMap::new();
        for region in Region::ALL.iter().copied() {
            let word = word(region);
            let openings = Disk::new(dir_of(config, region).join("openings")).private();
            let openings = Encrypted::new(openings, keys.of(Sealed::Consents(region))).reading_plain();
            let signer = Signer::from_seed(*keyring.receipt_seed(region));
            let opened =
                Receipts::open(Arc::new(chain_of(config, region)), Arc::new(openings), signer, &word);
            of.insert(region, opened.map_err(|error| cannot_begin(&error, config, region))?);
        }
        Ok(AllReceipts { of })
    }

    /// Writes the receipt of an act that erases rows, once however often it is called. Blocks.
    ///
    /// # Errors
    /// When it cannot be written: repeat it.
    pub(crate) fn write_erased(
        &self,
        region: Region,
        state: &ActState,
        done_ms: i64,
        change: &Change<'_>,
    ) -> Result<(), Error> {
        let receipts = self.of(region)?;
        let (before, after) = (states(change.before), states(change.after));
        let counts = BTreeMap::from([
            ("rows".to_owned(), change.erased.rows),
            ("files".to_owned(), change.erased.files),
        ]);
        let removed = removed_of(change.before, change.after);
        let removed = removed.map(|(table, file)| removed_file(table, file)).collect();
        write_with_tables(receipts, Act { counts, before, after, removed, ..act_of(state, done_ms) })
    }

    /// Writes the receipt of a run of retention that removed something, once however often it is called. Blocks.
    ///
    /// # Errors
    /// When it cannot be written: repeat it.
    pub(crate) fn write_expired(&self, region: Region, run: &Expired) -> Result<(), Error> {
        let gone: Vec<(Kind, &FileVersion)> =
            removed_of(&run.before, &run.after).filter(|(_, file)| file.is_expired).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let sum = |of: fn(&FileVersion) -> u64| gone.iter().map(|(_, file)| of(file)).sum::<u64>();
        let counts =
            [("files", sum(|_| 1)), ("rows", sum(|file| file.rows)), ("bytes", sum(|file| file.bytes))];
        let act = Act {
            counts: counts.map(|(name, count)| (name.to_owned(), count)).into(),
            before: states(&run.before),
            after: states(&run.after),
            removed: gone.iter().map(|(table, file)| removed_file(*table, file)).collect(),
            ..bare(ActKind::RetentionRun, run.number, run.at_ms, run.role)
        };
        write_with_tables(self.of(region)?, act)
    }

    /// Writes the receipts of acts that need no rows to be gone, restrictions and ends of acts, each once however often it is called. Blocks.
    ///
    /// # Errors
    /// When one cannot be written: repeat it.
    pub(crate) fn write_without_rows(&self, region: Region, acts: &[ActState]) -> Result<(), Error> {
        let receipts = self.of(region)?;
        let write = |act: &Act| match receipts.is_written(act.kind, act.request) {
            true => Ok(()),
            false => receipts.write(act).map(drop).map_err(failed),
        };
        for state in acts {
            if !state.kind.erases() {
                write(&act_of(state, state.asked_ms))?;
            }
            if let Some(Lifted { at_ms, by }) = state.lifted {
                let role = role(by).to_owned();
                write(&Act { kind: ActKind::SubjectLift, role, ..act_of(state, at_ms) })?;
            }
        }
        Ok(())
    }

    /// Writes the receipt of keys that were destroyed, once however often it is called. Blocks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_shredded(&self, shredded: &KeysShredded) -> Result<(), Error> {
        let KeysShredded { region, number, at_ms, .. } = *shredded;
        let kept = shredded.kept.iter().map(|(name, text)| ((*name).to_owned(), vec![text.clone()]));
        let counts = shredded.counts.iter().map(|(name, count)| ((*name).to_owned(), *count));
        let act = Act {
            kept: kept.collect(),
            counts: counts.collect(),
            ..bare(ActKind::KeyShred, number, at_ms, role(AskedBy::Operator))
        };
        self.of(region)?.write(&act).map(drop).map_err(failed)
    }

    /// The documents of what has this number in a region: of an act, and of its end. None where there is none, or what opens it was forgotten.
    /// Blocks.
    ///
    /// # Errors
    /// When one does not verify.
    pub(crate) fn documents(&self, region: Region, number: Uuid, which: Which) -> Result<Vec<String>, Error> {
        let receipts = self.of(region)?;
        let mut documents = Vec::new();
        for id in receipts.of_request(number).map_err(failed)? {
            let receipt = match which {
                Which::Personal => receipts.personal(&id),
                Which::Full(part) => receipts.full(&id, part),
            };
            documents.extend(receipt.map_err(failed)?.map(|receipt| receipt.text().to_owned()));
        }
        Ok(documents)
    }

    /// The public key of a region, as text.
    ///
    /// # Errors
    /// When the region is not kept here.
    pub(crate) fn public_key(&self, region: Region) -> Result<String, Error> {
        Ok(self.of(region)?.public_key().to_string())
    }

    /// Forgets what opens receipts of acts from before a time (milliseconds since 1970). Blocks.
    ///
    /// # Errors
    /// When something cannot be removed: repeat it.
    pub(crate) fn forget(&self, before_ms: i64) -> Result<(), Error> {
        self.of.values().try_for_each(|receipts| receipts.forget(before_ms).map(drop).map_err(failed))
    }

    fn of(&self, region: Region) -> Result<&Receipts, Error> {
        self.of.get(&region).ok_or_else(|| Error::Service("the region is not kept here".into()))
    }
}

/// Where the chain of a region lies, for whoever reads it.
pub(crate) fn chain_of(config: &Config, region: Region) -> Disk {
    Disk::new(dir_of(config, region).join("chain")).private()
}

fn dir_of(config: &Config, region: Region) -> PathBuf {
    config.journal_dir().join("receipts").join(word(region))
}

fn word(region: Region) -> String {
    region.as_str().to_ascii_lowercase()
}

fn failed(error: ReceiptError) -> Error {
    Error::Service(format!("a receipt: {error}"))
}

fn write_with_tables(receipts: &Receipts, act: Act) -> Result<(), Error> {
    match receipts.write(&act) {
        // Tables of more files than a receipt can have.
        Err(ReceiptError::Act(reason)) => {
            let kept = BTreeMap::from([("tables_left_out".to_owned(), vec![reason.to_owned()])]);
            let (before, after, removed) = (Vec::new(), Vec::new(), Vec::new());
            receipts.write(&Act { kept, before, after, removed, ..act }).map(drop).map_err(failed)
        }
        written => written.map(drop).map_err(failed),
    }
}

/// What to do where the receipts of a region are not as they were written.
fn cannot_begin(error: &ReceiptError, config: &Config, region: Region) -> Error {
    let dir = dir_of(config, region);
    let dir = dir.display();
    Error::Service(match error {
        ReceiptError::Damaged { .. } => format!(
            "the receipts of {region} are not as they were written: {error}. Put {dir} back from a copy. If there is none, move it away and keep it: a \
             new chain begins then, which is not the one that whoever has a receipt knows"
        ),
        _ => format!("the receipts of {region} cannot be opened: {error}"),
    })
}

fn act_of(state: &ActState, at_ms: i64) -> Act {
    let kind = match state.kind {
        OnPersons::Erase => ActKind::SubjectErase,
        OnPersons::Exclude => ActKind::SubjectExclude,
        OnPersons::Restrict(_) => ActKind::SubjectRestrict,
    };
    let programmes = state.programmes.iter().map(|programme| programme.as_str().to_owned()).collect();
    let mut told = BTreeMap::from([("programmes".to_owned(), programmes)]);
    if let OnPersons::Restrict(restriction) = state.kind {
        told.insert("ground".to_owned(), vec![restriction.ground.as_str().to_owned()]);
        told.insert("review_on".to_owned(), vec![day_text(restriction.review_day)]);
    }
    Act { told, ..bare(kind, state.number, at_ms, role(state.by)) }
}

/// An act of which nothing is told.
fn bare(kind: ActKind, request: Uuid, at_ms: i64, role: &str) -> Act {
    Act {
        kind,
        request,
        at_ms,
        role: role.to_owned(),
        backups_until_ms: None,
        told: BTreeMap::new(),
        kept: BTreeMap::new(),
        counts: BTreeMap::new(),
        before: Vec::new(),
        after: Vec::new(),
        removed: Vec::new(),
    }
}

const fn role(by: AskedBy) -> &'static str {
    match by {
        AskedBy::Operator => "operator",
        AskedBy::Officer => "officer",
        AskedBy::AccountService => "account-service",
    }
}

fn states(tables: &[TableVersion]) -> Vec<TableState> {
    let file = |file: &FileVersion| FileState { path: file.path.clone(), bytes: file.bytes };
    let state = |table: &TableVersion| TableState {
        table: table.kind.as_str().to_owned(),
        version: u64::try_from(table.version).unwrap_or_default(),
        files: table.files.iter().map(file).collect(),
    };
    tables.iter().map(state).collect()
}

/// What was there before and is not any more.
fn removed_of<'a>(
    before: &'a [TableVersion],
    after: &'a [TableVersion],
) -> impl Iterator<Item = (Kind, &'a FileVersion)> {
    before.iter().flat_map(move |before| {
        let after = after.iter().filter(|after| after.kind == before.kind);
        let left: BTreeSet<&str> =
            after.flat_map(|after| after.files.iter().map(|file| file.path.as_str())).collect();
        let gone = before.files.iter().filter(move |file| !left.contains(file.path.as_str()));
        gone.map(|file| (before.kind, file))
    })
}

fn removed_file(table: Kind, file: &FileVersion) -> RemovedFile {
    RemovedFile { table: table.as_str().to_owned(), path: file.path.clone() }
}
