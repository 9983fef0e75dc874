//! A backup is put into an empty data directory, and opened as a start opens it: what was spent since counts as spent, and what
//! was withdrawn since is withdrawn.
//!
//! ```text
//! nobody writes the journal -> empty directory -> a file that says that it is not finished -> every file, compared with its digest
//!   -> withdrawals from the journal -> ledger raised to the high-water marks -> line of the audit -> that file goes
//! ```
//! Invariants: nothing starts over a directory that was not finished, at whichever step it broke off; the journal and the
//! high-water marks outside are those of now, and are never put back. Not here: what the commands show (`cli/backup.rs`).

use std::path::Path;
use std::sync::Arc;

use shoal_audit::{Act, Audit};
use shoal_files::{Disk, Objects, copy};
use shoal_schemas::Region;
use shoal_storage::{StorageError, hold_journals};

use super::line::{BackupLine, Fields};
use super::manifest::{FileThen, Manifest};
use super::names::{UNFINISHED, check_finished};
use super::place::Place;
use super::verify::manifest_of;
use crate::config::Config;
use crate::error::Error;
use crate::{ledger_start, startup, withdrawals_start};

/// What was put back.
pub(crate) struct Restored {
    pub(crate) manifest: Manifest,
    /// What is in force again over it.
    pub(crate) since: Since,
}

/// What was found outside of a backup.
pub(crate) struct Since {
    /// Withdrawals that the backup lacked and that are in force again.
    pub(crate) replayed: u64,
    /// The regions whose journal was not there, though the backup knows of one: what was withdrawn since is not known.
    pub(crate) lost: Vec<Region>,
    /// Why a start would be refused all the same, if it would.
    pub(crate) doubt: Option<String>,
}

/// Puts a backup into the data directory of a configuration.
///
/// # Errors
/// When the directory is not empty, a service writes the journal, something of the backup is missing or changed, or a file cannot
/// be read or written: nothing starts over the directory then.
pub(crate) async fn restore(config: &Config, dir: &Path, now_ms: i64) -> Result<Restored, Error> {
    let place = Place::to_read(dir);
    let manifest = manifest_of(&place, dir)?;
    // A service over the same journal is known before anything is copied.
    let held = hold_journals(&config.journal_dir())?;
    let disk = Disk::new(&config.data_dir).private();
    check_empty(&disk, &config.data_dir)?;
    fill(&place, &manifest, &disk)?;
    drop(held);
    let _store = startup::open_store_of_restore(&config.data_dir).await?;
    let audit = startup::build_audit(config)?;
    let line = BackupLine::begin(&audit, Act::BackupRestore, now_ms);
    let since = put_in_force(config, &audit, now_ms).await;
    let since = line.end(since, |_| fields(&manifest)).await?;
    disk.remove(&[UNFINISHED]).map_err(|e| Error::io(&config.data_dir, e))?;
    Ok(Restored { manifest, since })
}

fn fields(manifest: &Manifest) -> Fields {
    Fields {
        made_at_ms: Some(manifest.made_at_ms),
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
        rows: manifest.tables.iter().map(|table| table.rows).sum(),
    }
}

/// Makes the directory, and refuses one in which something is.
fn check_empty(disk: &Disk, to: &Path) -> Result<(), Error> {
    let io = |e| Error::io(to, e);
    disk.make().map_err(io)?;
    check_finished(to)?;
    let mut entries = std::fs::read_dir(to).map_err(io)?.flatten();
    match entries.any(|entry| entry.file_name() != "lost+found") {
        true => {
            let told = "is not empty: a backup is put into an empty directory only";
            Err(Error::Usage(format!("{} {told}", to.display())))
        }
        false => Ok(()),
    }
}

/// Copies every file into an empty place, and leaves it unfinished.
pub(super) fn fill(place: &Place, manifest: &Manifest, to: &dyn Objects) -> Result<(), Error> {
    let begun = to.put_if_absent(UNFINISHED, b"empty this directory, and restore again\n");
    begun.map_err(|e| Error::io(to.path(UNFINISHED), e))?;
    manifest.files.iter().try_for_each(|file| put(place, to, file))
}

fn put(place: &Place, to: &dyn Objects, file: &FileThen) -> Result<(), Error> {
    let io = |e| Error::io(to.path(&file.path), e);
    let changed = |reason: &str| Error::Service(format!("{} {reason} in the backup", file.path));
    let source = place.open(file).map_err(|_| changed("is missing"))?;
    let mut new = to.write(&file.path).map_err(io)?;
    if copy(&*source, &mut *new).map_err(io)? != file.digest {
        return Err(changed("was changed"));
    }
    new.finish().map(drop).map_err(io)
}

/// Does what a start does: withdrawals come back from the journal, and the ledger is raised.
async fn put_in_force(config: &Config, audit: &Arc<Audit>, now_ms: i64) -> Result<Since, Error> {
    let opened = withdrawals_start::open(config)?;
    let replayed = withdrawals_start::note(audit, &opened.journals, now_ms).await?;
    let lost = opened.journals.iter().filter(|journal| journal.was_lost).map(|journal| journal.region);
    let doubt = match ledger_start::open(config, audit, now_ms).await {
        Ok(_) => None,
        // Somebody has to put a file back, or to accept: the directory itself is whole.
        Err(Error::Storage(doubt @ (StorageError::HighWaterMark { .. } | StorageError::Damaged { .. }))) => {
            Some(doubt.to_string())
        }
        Err(error) => return Err(error),
    };
    Ok(Since { replayed, lost: lost.collect(), doubt })
}
