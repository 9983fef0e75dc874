//! A backup is put into an empty data directory, and opened as a start opens it: what was spent since counts as spent, and what
//! was withdrawn since is withdrawn.
//!
//! ```text
//! nobody writes the journal -> empty directory -> a file that says that it is not finished -> records of consent: their journal is
//!   there, or its loss is accepted -> every other file, compared with its digest
//!   -> withdrawals from the journal -> ledger raised to the high-water marks -> line of the audit -> that file goes
//! ```
//! Invariants: nothing starts over a directory that was not finished, at whichever step it broke off; nothing is written to the
//! journal before the loss of what is missing of it is accepted by name, so that a second restore finds it as the first one did; the
//! journal and the high-water marks outside are those of now, and are never put back. Not here: what the commands show
//! (`cli/backup.rs`).

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shoal_audit::{Act, Audit};
use shoal_files::{Disk, Objects, Source, copy};
use shoal_privacy::keyring::Sealed;
use shoal_schemas::Region;
use shoal_storage::{JournalFound, StorageError, has_tables, hold_journals, look_at_sealed_journals};

use super::line::{BackupLine, Fields};
use super::manifest::{FileThen, Manifest};
use super::names::{UNFINISHED, What, check_finished, what};
use super::place::Place;
use super::verify::manifest_of;
use crate::config::Config;
use crate::consent_files::names;
use crate::error::Error;
use crate::file_keys::FileKeys;
use crate::tables_place::TablesPlace;
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
    /// The regions whose journal is lost, which was accepted: what was withdrawn since is not known.
    pub(crate) lost: Vec<Region>,
    /// The regions whose journal was written anew since.
    pub(crate) written_anew: Vec<Region>,
    /// Why a start would be refused all the same, if it would.
    pub(crate) doubt: Option<String>,
}

/// Puts a backup into the data directory of a configuration. Somebody has accepted that the journals of withdrawals of these regions
/// are lost, if they are.
///
/// # Errors
/// When the directory is not empty, a service writes the journal, one is lost and nobody has accepted it, something of the backup is
/// missing or changed, or a file cannot be read or written: nothing starts over the directory then.
pub(crate) async fn restore(
    config: &Config,
    dir: &Path,
    accepted: &[Region],
    now_ms: i64,
) -> Result<Restored, Error> {
    let place = Place::to_read(dir);
    let manifest = manifest_of(&place, dir)?;
    // A service over the same journal is known before anything is copied.
    let held = hold_journals(&config.journal_dir())?;
    let disk = Disk::new(&config.data_dir).private();
    check_empty(&disk, &config.data_dir)?;
    let keys = FileKeys::open(config)?;
    let sealings = |region| keys.of(Sealed::Consents(region));
    let (mut lost, mut written_anew): (Vec<Region>, Vec<Region>) = (Vec::new(), Vec::new());
    let tables = TablesPlace::look(config)?;
    check_no_tables(&tables)?;
    fill(&place, &manifest, &Targets { data: &disk, tables: &**tables.objects() }, &mut || {
        let found = look_at_sealed_journals(&config.data_dir, &config.journal_dir(), &sealings)?;
        let of = |is_it: fn(JournalFound) -> bool| -> Vec<Region> {
            found.iter().filter(|(_, found)| is_it(*found)).map(|(region, _)| *region).collect()
        };
        (lost, written_anew) = (of(JournalFound::is_lost), of(|found| found == JournalFound::Another));
        check_accepted(config, &lost, accepted)
    })?;
    drop(held);
    let _store = startup::open_store_of_restore(config).await?;
    let audit = startup::build_audit(config)?;
    let line = BackupLine::begin(&audit, Act::BackupRestore, now_ms);
    let done = put_in_force(config, &tables, &audit, now_ms).await;
    let told = Fields { accepted_lost: lost.clone(), ..fields(&manifest) };
    let InForce { replayed, doubt } = line.end(done, |_| told).await?;
    let since = Since { replayed, lost, written_anew, doubt };
    disk.remove(&[UNFINISHED]).map_err(|e| Error::io(&config.data_dir, e))?;
    Ok(Restored { manifest, since })
}

fn fields(manifest: &Manifest) -> Fields {
    Fields {
        made_at_ms: Some(manifest.made_at_ms),
        files: manifest.files.len() as u64,
        bytes: manifest.bytes(),
        rows: manifest.tables.iter().map(|table| table.rows).sum(),
        accepted_lost: Vec::new(),
    }
}

/// Refuses to go on when a journal is lost and nobody has accepted it.
fn check_accepted(config: &Config, lost: &[Region], accepted: &[Region]) -> Result<(), Error> {
    let open: Vec<Region> = lost.iter().copied().filter(|region| !accepted.contains(region)).collect();
    if open.is_empty() {
        return Ok(());
    }
    let (journal, data) = (config.journal_dir(), config.data_dir.display());
    Err(Error::Service(format!(
        "the journal of withdrawals of {} is not in {}, or is older than the backup: whoever withdrew after that would count as taking \
         part again. If it lies elsewhere, set withdrawals_dir, empty {data}, and restore again. If it is lost, empty {data}, and restore \
         again with --accept-lost-withdrawals {}: the audit has a line of it",
        names(&open),
        journal.display(),
        names(lost).replace(' ', "")
    )))
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

/// Where the files of a backup are put.
pub(super) struct Targets<'t> {
    /// The data directory.
    pub(super) data: &'t dyn Objects,
    /// The place of the files of tables, which may be the same.
    pub(super) tables: &'t dyn Objects,
}

/// Refuses a bucket in which there are tables.
fn check_no_tables(place: &TablesPlace) -> Result<(), Error> {
    let at = place.objects().path("");
    if !place.is_apart() || !has_tables(&**place.objects()).map_err(|e| Error::io(&at, e))? {
        return Ok(());
    }
    let told = "holds tables: a backup is put where there are none. Name another prefix in storage.url";
    Err(Error::Usage(format!("{} {told}", at.display())))
}

/// Copies every file into an empty place, and leaves it unfinished. The records of consent come first, and then it is asked whether the
/// others shall come.
pub(super) fn fill(
    place: &Place,
    manifest: &Manifest,
    to: &Targets<'_>,
    go_on: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(), Error> {
    let begun = to.data.put_if_absent(UNFINISHED, b"empty this directory, and restore again\n");
    begun.map_err(|e| Error::io(to.data.path(UNFINISHED), e))?;
    let are_consents = |file: &&FileThen| matches!(what(&file.path), What::Consents(_));
    let (first, others): (Vec<_>, Vec<_>) = manifest.files.iter().partition(are_consents);
    first.into_iter().try_for_each(|file| put(place, to, file))?;
    go_on()?;
    others.into_iter().try_for_each(|file| put(place, to, file))
}

fn put(place: &Place, to: &Targets<'_>, file: &FileThen) -> Result<(), Error> {
    let to = if matches!(what(&file.path), What::Table) { to.tables } else { to.data };
    let missing = || Error::Service(format!("{} is missing in the backup", file.path));
    let source = place.open(file).map_err(|_| missing())?;
    put_from(&*source, &place.path(&file.digest), to, file)
}

/// Copies a file of the backup, which lies at this path.
fn put_from(source: &dyn Source, path: &Path, to: &dyn Objects, file: &FileThen) -> Result<(), Error> {
    let io = |e| Error::io(to.path(&file.path), e);
    let source = Told { source, has_failed: AtomicBool::new(false) };
    let mut new = to.write(&file.path).map_err(io)?;
    let copied = copy(&source, &mut *new).map_err(|e| match source.has_failed.load(Ordering::Relaxed) {
        true => Error::io(path, e),
        false => io(e),
    })?;
    if copied != file.digest {
        return Err(Error::Service(format!("{} was changed in the backup", file.path)));
    }
    new.finish().map(drop).map_err(io)
}

/// A source that tells whether it was the one that failed, and not what was written.
struct Told<'s> {
    source: &'s dyn Source,
    has_failed: AtomicBool,
}

impl Told<'_> {
    fn noted<T>(&self, read: io::Result<T>) -> io::Result<T> {
        self.has_failed.fetch_or(read.is_err(), Ordering::Relaxed);
        read
    }
}

impl Source for Told<'_> {
    fn length(&self) -> io::Result<u64> {
        self.noted(self.source.length())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.noted(self.source.read_at(offset, buffer))
    }
}

/// What is in force again.
struct InForce {
    replayed: u64,
    doubt: Option<String>,
}

/// Does what a start does: withdrawals come back from the journal, and the ledger is raised.
async fn put_in_force(
    config: &Config,
    tables: &TablesPlace,
    audit: &Arc<Audit>,
    now_ms: i64,
) -> Result<InForce, Error> {
    let opened = withdrawals_start::open(config)?;
    let replayed = withdrawals_start::note(audit, &opened.journals, now_ms).await?;
    let doubt = match ledger_start::open(config, &**tables.objects(), audit, now_ms).await {
        Ok(_) => None,
        // Somebody has to put a file back, or to accept: the directory itself is whole.
        Err(Error::Storage(doubt @ (StorageError::HighWaterMark { .. } | StorageError::Damaged { .. }))) => {
            Some(doubt.to_string())
        }
        Err(error) => return Err(error),
    };
    Ok(InForce { replayed, doubt })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_files::{Faulty, Memory};

    use super::*;

    /// The disk of a backup that cannot be read any more.
    struct Unreadable;

    impl Source for Unreadable {
        fn length(&self) -> io::Result<u64> {
            Ok(3)
        }

        fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
            Err(io::Error::other("the disk is gone"))
        }
    }

    #[test]
    fn an_error_of_the_disk_of_a_backup_names_the_backup_and_one_of_the_data_names_the_data() {
        let file = FileThen { path: "de/key-check".to_owned(), bytes: 3, digest: [0; 32] };
        let object = Path::new("/backup/objects/00/0000");
        let told = put_from(&Unreadable, object, &Memory::new(), &file).unwrap_err().to_string();
        assert!(told.contains("/backup/objects/00/0000") && !told.contains("key-check"), "{told}");
        let full = Faulty::new(Memory::new());
        full.refuse_writes(Some(io::ErrorKind::StorageFull));
        let told = put_from(&b"abc".as_slice(), object, &full, &file).unwrap_err().to_string();
        assert!(told.contains("key-check") && !told.contains("/backup"), "{told}");
    }
}
