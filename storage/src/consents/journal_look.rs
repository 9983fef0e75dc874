//! The directory of journals: its lock, and how a start would find each journal beside its file of consents.
//!
//! Invariant: looking changes no journal, and seals nothing. Not here: what a start does about what it finds (`journal_start`).

use std::path::{Path, PathBuf};

use shoal_files::{Disk, Lock, Sealing};
use shoal_schemas::Region;

use super::file::ConsentFile;
use super::journal::Journal;
use super::journal_start::JournalFound;
use crate::error::{Result, StorageError};

/// The name of the lock of the directory of journals.
const JOURNAL_LOCK: &str = "withdrawals.lock";

/// Holds a directory of journals, so that no service writes there; none when there is no such directory.
///
/// # Errors
/// [`StorageError::Locked`] when another process has it.
pub fn hold_journals(journal_dir: &Path) -> Result<Option<Lock>> {
    let is_there = journal_dir.try_exists().map_err(StorageError::io(journal_dir))?;
    is_there.then(|| lock_journals(&Disk::new(journal_dir).private(), journal_dir)).transpose()
}

/// How a start would find the journal of each region beside the files of a root, which nobody else has open. The journals are not
/// changed.
///
/// # Errors
/// [`StorageError::Damaged`] when one is, and when a file cannot be read.
pub fn look_at_journals(root: &Path, journal_dir: &Path) -> Result<Vec<(Region, JournalFound)>> {
    look_at_sealed_journals(root, journal_dir, &|_| None)
}

/// [`look_at_journals`] where files may be sealed. Nothing is sealed by it.
///
/// # Errors
/// As [`look_at_journals`], and [`StorageError::Sealed`] when a file is sealed and there is no key.
pub fn look_at_sealed_journals(
    root: &Path,
    journal_dir: &Path,
    sealings: &dyn Fn(Region) -> Option<Sealing>,
) -> Result<Vec<(Region, JournalFound)>> {
    let disk = Disk::new(journal_dir).private();
    let look = |region: &Region| {
        let path = path_in(root, *region);
        let sealing = sealings(*region).map(|sealing| Sealing { is_writing: false, ..sealing });
        let noted = match path.exists() {
            true => ConsentFile::open(&path, sealing.as_ref())?.journal_note()?,
            false => None,
        };
        let journal = Journal::look(&disk, *region, sealing.as_ref().map(|sealing| &sealing.key))?;
        Ok((*region, JournalFound::of(journal, noted)))
    };
    Region::ALL.iter().map(look).collect()
}

/// The file of a region below a root.
pub(super) fn path_in(root: &Path, region: Region) -> PathBuf {
    root.join(region.as_str().to_ascii_lowercase()).join("ledger.redb")
}

pub(super) fn lock_journals(disk: &Disk, journal_dir: &Path) -> Result<Lock> {
    let lock = disk.try_lock(JOURNAL_LOCK).map_err(StorageError::io(journal_dir))?;
    lock.ok_or_else(|| StorageError::Locked(journal_dir.to_path_buf()))
}
