//! Receipts of what is done on behalf of persons: written when it is done, handed out, and forgotten.
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
use shoal_retention::{RowsErased, TableVersion};
use shoal_schemas::Region;
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
            of.insert(
                region,
                Receipts::open(Arc::new(chain_of(config, region)), Arc::new(openings), signer, &word)
                    .map_err(failed)?,
            );
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
        let act = Act { counts, before, after, removed: removed_files(change), ..act_of(state, done_ms) };
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

    /// The document of an act's receipt in a region; none where there is none, or what opens it was forgotten. Blocks.
    ///
    /// # Errors
    /// When it does not verify.
    pub(crate) fn document(
        &self,
        region: Region,
        number: Uuid,
        is_of: &dyn Fn(ActKind) -> bool,
        which: Which,
    ) -> Result<Option<String>, Error> {
        let receipts = self.of(region)?;
        let ids = receipts.of_request(number).map_err(failed)?;
        let Some(id) = ids.into_iter().rev().find(|id| is_of(id.act)) else { return Ok(None) };
        let receipt = match which {
            Which::Personal => receipts.personal(&id),
            Which::Full(part) => receipts.full(&id, part),
        };
        Ok(receipt.map_err(failed)?.map(|receipt| receipt.text().to_owned()))
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

/// Whether a line is of a request's own act, or of its end.
pub(crate) fn is_lift(act: ActKind) -> bool {
    act == ActKind::SubjectLift
}

fn word(region: Region) -> String {
    region.as_str().to_ascii_lowercase()
}

fn failed(error: ReceiptError) -> Error {
    Error::Service(format!("a receipt: {error}"))
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
    Act {
        kind,
        request: state.number,
        at_ms,
        role: role(state.by).to_owned(),
        backups_until_ms: None,
        told,
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
    let file = |(path, bytes): &(String, u64)| FileState { path: path.clone(), bytes: *bytes };
    let state = |table: &TableVersion| TableState {
        table: table.kind.as_str().to_owned(),
        version: u64::try_from(table.version).unwrap_or_default(),
        files: table.files.iter().map(file).collect(),
    };
    tables.iter().map(state).collect()
}

/// What was there before and is not any more.
fn removed_files(change: &Change<'_>) -> Vec<RemovedFile> {
    let mut removed = Vec::new();
    for before in change.before {
        let after = change.after.iter().find(|after| after.kind == before.kind);
        let left: BTreeSet<&str> =
            after.into_iter().flat_map(|after| after.files.iter().map(|(path, _)| path.as_str())).collect();
        let table = before.kind.as_str();
        let gone = before.files.iter().filter(|(path, _)| !left.contains(path.as_str()));
        removed.extend(gone.map(|(path, _)| RemovedFile { table: table.to_owned(), path: path.clone() }));
    }
    removed
}
