//! A backup is put into an empty data directory, and opened as a start opens it: what was spent since counts as spent, and what
//! was withdrawn since is withdrawn.
//!
//! ```text
//! empty directory -> a file that says that it is not finished -> every file, compared with its digest -> that file goes
//!                 -> line of the audit -> withdrawals from the journal -> ledger raised to the high-water marks
//! ```
//! Invariants: nothing starts over a directory that was not finished; the journal and the high-water marks outside are those of
//! now, and are never put back. Not here: what the commands show (`cli/backup.rs`).

use std::path::Path;

use shoal_audit::Act;
use shoal_files::{Disk, Objects as _, copy};

use super::line::{BackupLine, Fields};
use super::manifest::{FileThen, Manifest};
use super::names::UNFINISHED;
use super::place::Place;
use super::verify::manifest_of;
use crate::config::Config;
use crate::error::Error;
use crate::{ledger_start, startup, withdrawals_start};

/// What was put back.
pub(crate) struct Restored {
    pub(crate) manifest: Manifest,
    /// Withdrawals that the backup lacked and that are in force again.
    pub(crate) replayed: u64,
    /// Why a start would be refused all the same, if it would.
    pub(crate) doubt: Option<String>,
}

/// Puts a backup into the data directory of a configuration.
///
/// # Errors
/// When the directory is not empty, or something of the backup is missing or changed: nothing starts over it then.
pub(crate) async fn restore(config: &Config, dir: &Path, now_ms: i64) -> Result<Restored, Error> {
    let place = Place::to_read(dir);
    let manifest = manifest_of(&place, dir)?;
    fill(&place, &manifest, &config.data_dir)?;
    let _store = startup::open_store(&config.data_dir).await?;
    let audit = startup::build_audit(config)?;
    let line = BackupLine::begin(&audit, Act::BackupRestore, now_ms);
    let files = manifest.files.len() as u64;
    let rows = manifest.tables.iter().map(|table| table.rows).sum();
    let fields =
        |made: &Manifest| Fields { made_at_ms: Some(made.made_at_ms), files, bytes: made.bytes(), rows };
    let manifest = line.end(Ok(manifest), fields).await?;
    let opened = withdrawals_start::open(config)?;
    let replayed = withdrawals_start::note(&audit, &opened.journals, now_ms).await?;
    let doubt = ledger_start::open(config, &audit, now_ms).await.err().map(|error| error.to_string());
    Ok(Restored { manifest, replayed, doubt })
}

/// Copies every file into an empty directory.
fn fill(place: &Place, manifest: &Manifest, to: &Path) -> Result<(), Error> {
    let io = |e| Error::io(to, e);
    let disk = Disk::new(to).private();
    disk.make().map_err(io)?;
    let mut entries = std::fs::read_dir(to).map_err(io)?.flatten();
    if entries.any(|entry| entry.file_name() != "lost+found") {
        let told = format!("{} is not empty: a backup is put into an empty directory only", to.display());
        return Err(Error::Usage(told));
    }
    disk.put_if_absent(UNFINISHED, b"empty this directory, and restore again\n").map_err(io)?;
    for file in &manifest.files {
        put(place, &disk, file)?;
    }
    disk.remove(&[UNFINISHED]).map_err(io)
}

fn put(place: &Place, disk: &Disk, file: &FileThen) -> Result<(), Error> {
    let io = |e| Error::io(disk.path(&file.path), e);
    let changed = |reason: &str| Error::Service(format!("{} {reason} in the backup", file.path));
    let source = place.open(file).map_err(|_| changed("is missing"))?;
    let mut new = disk.write(&file.path).map_err(io)?;
    if copy(&*source, &mut *new).map_err(io)? != file.digest {
        return Err(changed("was changed"));
    }
    new.finish().map(drop).map_err(io)
}
