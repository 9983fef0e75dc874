//! Objects of one folder, as a place of their own.
//!
//! Invariant: no name leads out of the folder, since every name is checked before the folder is put before it.
//! Not here: who else uses the place.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::name;
use crate::objects::{Entry, NewObject, Objects, Source};

/// The objects below a folder of another place, by their names from there. Clones are the same.
#[derive(Clone)]
pub struct Folder {
    inner: Arc<dyn Objects>,
    folder: String,
}

impl Folder {
    /// The folder of this name, which need not be there yet.
    ///
    /// # Errors
    /// `InvalidInput` when it is no folder's name, or that of the root.
    pub fn new(inner: Arc<dyn Objects>, folder: &str) -> io::Result<Folder> {
        name::check(folder)?;
        Ok(Folder { inner, folder: folder.to_owned() })
    }

    fn of(&self, name: &str) -> io::Result<String> {
        name::check(name)?;
        Ok(format!("{}/{name}", self.folder))
    }

    fn folder_of(&self, folder: &str) -> io::Result<String> {
        if folder.is_empty() { Ok(self.folder.clone()) } else { self.of(folder) }
    }
}

impl Objects for Folder {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.put(&self.of(name)?, bytes)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.put_if_absent(&self.of(name)?, bytes)
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        self.inner.write(&self.of(name)?)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        self.inner.open(&self.of(name)?)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.inner.read(&self.of(name)?)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let own = |entry: Entry| {
            let name = entry.name.strip_prefix(&self.folder)?.strip_prefix('/')?.to_owned();
            Some(Entry { name, ..entry })
        };
        Ok(self.inner.list(&self.folder_of(folder)?)?.into_iter().filter_map(own).collect())
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        let names = names.iter().map(|name| self.of(name)).collect::<io::Result<Vec<_>>>()?;
        self.inner.remove(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        self.inner.sync(&self.folder_of(folder)?)
    }

    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
        self.inner.sweep(&self.folder_of(folder)?, unchanged_since_ms)
    }

    fn path(&self, name: &str) -> PathBuf {
        match name {
            "" => self.inner.path(&self.folder),
            name => self.inner.path(&format!("{}/{name}", self.folder)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Disk, Memory, conformance};

    #[test]
    fn a_folder_conforms_and_leaves_its_neighbours_alone() {
        let dir = tempfile::tempdir().unwrap();
        for inner in [Arc::new(Memory::new()) as Arc<dyn Objects>, Arc::new(Disk::new(dir.path()))] {
            for beside in ["a", "ab/c", "a.b"] {
                inner.put(&format!("of/{beside}"), b"beside").unwrap();
            }
            conformance::objects(&Folder::new(Arc::clone(&inner), "of/b").unwrap());
            assert_eq!(inner.list("").unwrap().len(), 3);
            for wrong in ["", "/", "..", "a/../b", "a/"] {
                assert!(Folder::new(Arc::clone(&inner), wrong).is_err(), "{wrong}");
            }
        }
    }

    #[test]
    fn messages_name_where_it_is() {
        let folder = Folder::new(Arc::new(Disk::new("/data")), "de/tables").unwrap();
        assert_eq!(folder.path("usage/a").to_str(), Some("/data/de/tables/usage/a"));
        assert_eq!(folder.path("").to_str(), Some("/data/de/tables"));
    }
}
