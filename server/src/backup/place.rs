//! The directory of a backup: objects under their digests, and the manifest that names them.
//!
//! Invariants: an object has its name when it is whole and durable, and what has a name never changes; the manifest is replaced in
//! one step; an object that the manifest names is never removed; in a directory that has no manifest, nothing is removed of which a
//! backup could not be the origin. What a backup that broke off has left goes when the next one begins, so that those which fail each
//! night do not fill the disk. Not here: what is put there.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shoal_files::{Digest, Disk, Lock, Medium, Source, copy, digest};
use shoal_schemas::Region;

use super::manifest::{FileThen, MANIFEST, Manifest};
use crate::error::Error;
use crate::key_file::folder;

const OBJECTS: &str = "objects";
const SCRATCH: &str = "scratch";
const LOCK: &str = "lock";
/// The copy of the ledger of budgets while it is scratch. That of the records of consent of a region has the region's name.
pub(super) const LEDGER_COPY: &str = "budget.redb";
/// What the root of a file system has.
const LOST_AND_FOUND: &str = "lost+found";

/// The directory of a backup.
pub(super) struct Place {
    medium: Arc<dyn Medium>,
    _lock: Option<Lock>,
}

/// The name of an object.
fn object(digest: &Digest) -> String {
    let digits = hex::encode(digest);
    format!("{OBJECTS}/{}/{digits}", &digits[..2])
}

/// Whether a name is that of an object, whatever is in it.
fn is_object(name: &str) -> bool {
    let mut digest = [0; 32];
    name.rsplit('/').next().is_some_and(|digits| hex::decode_to_slice(digits, &mut digest).is_ok())
        && name == object(&digest)
}

/// Whether a name is one under which a backup makes a copy of a store, or looks whether there is room for it.
fn is_scratch(name: &str) -> bool {
    let name = name.strip_prefix(SCRATCH).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    let name = name.strip_suffix(".room").unwrap_or(name);
    name == LEDGER_COPY || Region::ALL.iter().any(|region| name == folder(*region))
}

/// Whether a file at the root of the directory is a manifest that was being written.
fn is_unfinished_manifest(name: &str) -> bool {
    let digits = name.strip_prefix(MANIFEST).and_then(|rest| rest.strip_prefix('#'));
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

impl Place {
    /// A directory that a backup is made in. It is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made, when it holds something else, or when another backup is being made in it.
    pub(super) fn to_write(root: &Path) -> Result<Place, Error> {
        let disk = Disk::new(root).private();
        disk.make().map_err(|e| Error::io(root, e))?;
        let place = Place::over(Arc::new(disk.clone()));
        if place.manifest()?.is_none() && place.has_others(root)? {
            let told =
                format!("{} holds something that is no backup: name an empty directory", root.display());
            return Err(Error::Usage(told));
        }
        let lock = disk.try_lock(LOCK).map_err(|e| Error::io(root, e))?;
        let busy = || Error::Service(format!("another backup is being made in {}", root.display()));
        let place = Place { _lock: Some(lock.ok_or_else(busy)?), ..place };
        place.clear()?;
        for entry in std::fs::read_dir(root).map_err(|e| Error::io(root, e))?.flatten() {
            if entry.file_name().to_str().is_some_and(is_unfinished_manifest) {
                std::fs::remove_file(entry.path()).map_err(|e| Error::io(entry.path(), e))?;
            }
        }
        Ok(place)
    }

    /// A directory that holds a backup.
    pub(super) fn to_read(root: &Path) -> Place {
        Place::over(Arc::new(Disk::new(root)))
    }

    /// A place that nobody else uses.
    pub(super) fn over(medium: Arc<dyn Medium>) -> Place {
        Place { medium, _lock: None }
    }

    /// Whether there is something that no backup has made.
    fn has_others(&self, root: &Path) -> Result<bool, Error> {
        for entry in std::fs::read_dir(root).map_err(|e| Error::io(root, e))? {
            let entry = entry.map_err(|e| Error::io(root, e))?;
            let is_dir = entry.file_type().map_err(|e| Error::io(entry.path(), e))?.is_dir();
            let is_own = match entry.file_name().to_str() {
                Some(OBJECTS | SCRATCH | LOST_AND_FOUND) => is_dir,
                Some(LOCK | MANIFEST) => !is_dir,
                name => !is_dir && name.is_some_and(is_unfinished_manifest),
            };
            if !is_own {
                return Ok(true);
            }
        }
        let objects = self.medium.list(OBJECTS).map_err(self.io(OBJECTS))?;
        let scratch = self.medium.list(SCRATCH).map_err(self.io(SCRATCH))?;
        let are_own = objects.iter().all(|entry| is_object(&entry.name));
        Ok(!are_own || !scratch.iter().all(|entry| is_scratch(&entry.name)))
    }

    /// The error of an operation on something in it.
    pub(super) fn io(&self, name: &str) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = self.medium.path(name);
        move |error| Error::io(path, error)
    }

    /// The manifest; none when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub(super) fn manifest(&self) -> Result<Option<Manifest>, Error> {
        match self.medium.read(MANIFEST) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.io(MANIFEST)(e)),
            Ok(bytes) => Manifest::decode(&bytes).map(Some).map_err(|reason| {
                Error::Service(format!("{}: {reason}", self.medium.path(MANIFEST).display()))
            }),
        }
    }

    /// Where a file may be made before it is an object, and its name there.
    pub(super) fn scratch(&self, name: &str) -> (&Arc<dyn Medium>, String) {
        (&self.medium, format!("{SCRATCH}/{name}"))
    }

    /// Opens a file that was made as scratch.
    pub(super) fn open_scratch(&self, name: &str) -> Result<Box<dyn Source>, Error> {
        let (_, name) = self.scratch(name);
        self.medium.open(&name).map_err(self.io(&name))
    }

    /// Removes a file that was made as scratch.
    pub(super) fn remove_scratch(&self, name: &str) -> Result<(), Error> {
        let (_, name) = self.scratch(name);
        self.medium.remove(&[&name]).map_err(self.io(&name))
    }

    /// Whether there is an object of so many bytes with this digest. Its bytes are not read: `shoal backup verify` does that.
    pub(super) fn has(&self, digest: &Digest, bytes: u64) -> bool {
        self.medium.open(&object(digest)).and_then(|found| found.length()).is_ok_and(|found| found == bytes)
    }

    /// Where an object lies, for messages.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.medium.path(&object(digest))
    }

    /// Copies bytes that do not change meanwhile, unless they are there. Whether they were copied.
    pub(super) fn put(&self, source: &dyn Source) -> Result<(Digest, bool), Error> {
        let read = |e| Error::Service(format!("a file of the data could not be read: {e}"));
        let bytes = source.length().map_err(read)?;
        let told = digest(source).map_err(read)?;
        if self.has(&told, bytes) {
            return Ok((told, false));
        }
        let name = object(&told);
        let mut new = self.medium.write(&name).map_err(self.io(&name))?;
        if copy(source, &mut *new).map_err(self.io(&name))? != told {
            return Err(Error::Service("a file of the data changed while it was copied".into()));
        }
        new.finish().map_err(self.io(&name))?;
        Ok((told, true))
    }

    /// Opens an object.
    pub(super) fn open(&self, file: &FileThen) -> std::io::Result<Box<dyn Source>> {
        self.medium.open(&object(&file.digest))
    }

    /// Puts a manifest in the place of the one before, and then removes what only that one named.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), Error> {
        let bytes = manifest.encode().map_err(self.io(MANIFEST))?;
        self.medium.put(MANIFEST, &bytes).map_err(self.io(MANIFEST))?;
        self.keep(manifest)
    }

    /// Removes what a backup that broke off has left. The caller holds the lock, so that no backup is being made.
    pub(super) fn clear(&self) -> Result<(), Error> {
        self.keep(&self.manifest()?.unwrap_or_default())
    }

    /// Removes everything but the manifest, which is this one, and what it names.
    fn keep(&self, manifest: &Manifest) -> Result<(), Error> {
        let named: HashSet<String> = manifest.files.iter().map(|file| object(&file.digest)).collect();
        for folder in [OBJECTS, SCRATCH] {
            let listed = self.medium.list(folder).map_err(self.io(folder))?;
            let names = listed.iter().map(|entry| entry.name.as_str());
            let old: Vec<&str> = names.filter(|name| !named.contains(*name)).collect();
            self.medium.remove(&old).map_err(self.io(folder))?;
            self.medium.sweep(folder, i64::MAX).map_err(self.io(folder))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_by_its_digest_is_taken_for_an_object() {
        let digits = "ab".repeat(32);
        assert!(is_object(&format!("objects/ab/{digits}")));
        let others = ["objects/ac/", "objects/", "other/ab/", "objects/ab/ab/"];
        assert!(others.iter().all(|folder| !is_object(&format!("{folder}{digits}"))));
        assert!(
            !is_object("objects/ab/letter.txt")
                && !is_object(&format!("objects/AB/{}", digits.to_uppercase()))
        );
        for name in ["budget.redb", "de", "us", "de.room", "budget.redb.room"] {
            assert!(is_scratch(&format!("scratch/{name}")), "{name}");
        }
        for name in ["scratch/thesis", "scratch/de/thesis", "scratch/de.txt", "scratch/", "de", "budget.redb"]
        {
            assert!(!is_scratch(name), "{name}");
        }
        assert!(is_unfinished_manifest("manifest#17"));
        assert!(
            ["manifest", "manifest#", "manifest#a", "manifest.txt"]
                .iter()
                .all(|n| !is_unfinished_manifest(n))
        );
    }
}
