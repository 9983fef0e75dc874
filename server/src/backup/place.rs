//! The directory of a backup: objects under their digests, and the manifest that names them.
//!
//! Invariants: an object has its name when it is whole and durable, and what has a name never changes; the manifest is replaced in
//! one step. Not here: what is put there.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use shoal_files::{Digest, Disk, Lock, Objects as _, Source, copy, digest};

use super::manifest::{FileThen, MANIFEST, Manifest};
use crate::error::Error;

const OBJECTS: &str = "objects";
const SCRATCH: &str = "scratch";
const LOCK: &str = "lock";

/// The directory of a backup.
pub(super) struct Place {
    disk: Disk,
    root: PathBuf,
    _lock: Option<Lock>,
}

/// The name of an object.
fn object(digest: &Digest) -> String {
    let digits = hex::encode(digest);
    format!("{OBJECTS}/{}/{digits}", &digits[..2])
}

impl Place {
    /// A directory that a backup is made in. It is made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made, when it holds something else, or when another backup is being made in it.
    pub(super) fn to_write(root: &Path) -> Result<Place, Error> {
        let disk = Disk::new(root).private();
        disk.make().map_err(|e| Error::io(root, e))?;
        let place = Place { disk: disk.clone(), root: root.to_path_buf(), _lock: None };
        if place.manifest()?.is_none() {
            let entries = std::fs::read_dir(root).map_err(|e| Error::io(root, e))?;
            let own = [OBJECTS, SCRATCH, LOCK];
            let is_other = |name: &str| !own.contains(&name) && !name.starts_with(MANIFEST);
            if entries.flatten().any(|entry| entry.file_name().to_str().is_none_or(is_other)) {
                let told =
                    format!("{} holds something that is no backup: name an empty directory", root.display());
                return Err(Error::Usage(told));
            }
        }
        let lock = disk.try_lock(LOCK).map_err(|e| Error::io(root, e))?;
        let busy = || Error::Service(format!("another backup is being made in {}", root.display()));
        let place = Place { _lock: Some(lock.ok_or_else(busy)?), ..place };
        place.clear_scratch()?;
        Ok(place)
    }

    /// A directory that holds a backup.
    pub(super) fn to_read(root: &Path) -> Place {
        Place { disk: Disk::new(root), root: root.to_path_buf(), _lock: None }
    }

    /// The error of an operation on something in it.
    pub(super) fn io(&self, name: &str) -> impl FnOnce(std::io::Error) -> Error + use<> {
        let path = self.disk.path(name);
        move |error| Error::io(path, error)
    }

    /// The manifest; none when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub(super) fn manifest(&self) -> Result<Option<Manifest>, Error> {
        match self.disk.read(MANIFEST) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.io(MANIFEST)(e)),
            Ok(bytes) => Manifest::decode(&bytes).map(Some).map_err(|reason| {
                Error::Service(format!("{}: {reason}", self.root.join(MANIFEST).display()))
            }),
        }
    }

    /// Where a file may be made before it is an object, and its name there.
    pub(super) fn scratch(&self, name: &str) -> (Disk, String) {
        (self.disk.clone(), format!("{SCRATCH}/{name}"))
    }

    /// Makes an object of a file that was made as scratch.
    pub(super) fn adopt(&self, name: &str) -> Result<(Digest, u64), Error> {
        let name = format!("{SCRATCH}/{name}");
        let source = self.disk.open(&name).map_err(self.io(&name))?;
        let bytes = source.length().map_err(self.io(&name))?;
        let (digest, _) = self.put(&*source)?;
        self.disk.remove(&[&name]).map_err(self.io(&name))?;
        Ok((digest, bytes))
    }

    /// Whether there is an object of so many bytes with this digest.
    pub(super) fn has(&self, digest: &Digest, bytes: u64) -> bool {
        self.disk.open(&object(digest)).and_then(|found| found.length()).is_ok_and(|found| found == bytes)
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
        let mut new = self.disk.write(&name).map_err(self.io(&name))?;
        if copy(source, &mut *new).map_err(self.io(&name))? != told {
            return Err(Error::Service("a file of the data changed while it was copied".into()));
        }
        new.finish().map_err(self.io(&name))?;
        Ok((told, true))
    }

    /// Opens an object.
    pub(super) fn open(&self, file: &FileThen) -> std::io::Result<Box<dyn Source>> {
        self.disk.open(&object(&file.digest))
    }

    /// Puts a manifest in the place of the one before, and then removes what only that one named.
    pub(super) fn finish(&self, manifest: &Manifest) -> Result<(), Error> {
        let bytes = manifest.encode().map_err(self.io(MANIFEST))?;
        self.disk.put(MANIFEST, &bytes).map_err(self.io(MANIFEST))?;
        let named: HashSet<String> = manifest.files.iter().map(|file| object(&file.digest)).collect();
        let listed = self.disk.list(OBJECTS).map_err(self.io(OBJECTS))?;
        let old: Vec<&str> =
            listed.iter().map(|e| e.name.as_str()).filter(|name| !named.contains(*name)).collect();
        self.disk.remove(&old).map_err(self.io(OBJECTS))?;
        self.disk.sweep(OBJECTS, i64::MAX).map(drop).map_err(self.io(OBJECTS))?;
        self.clear_scratch()
    }

    /// Removes what a backup that was cut off has left.
    fn clear_scratch(&self) -> Result<(), Error> {
        let listed = self.disk.list(SCRATCH).map_err(self.io(SCRATCH))?;
        let names: Vec<&str> = listed.iter().map(|entry| entry.name.as_str()).collect();
        self.disk.remove(&names).map_err(self.io(SCRATCH))
    }
}
