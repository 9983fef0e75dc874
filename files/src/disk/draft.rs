//! How an object comes to be whole or not at all.
//!
//! ```text
//! write `name#N` -> fsync -> link (the name must not exist) or rename (it may) to `name` -> fsync directory -> answer
//! ```
//! Invariant: a draft that is dropped before it has its name is deleted; one that a crash leaves is found by its name and
//! swept. Not here: who decides what is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::directory;
use super::shared::Shared;
use crate::name;
use crate::objects::NewObject;

/// A directory may be removed as an empty one between its making and the first file in it, so often at the most.
const ATTEMPTS: usize = 100;

/// The permissions of a new file, before the process's mask.
pub(super) fn file_mode(is_private: bool) -> u32 {
    if is_private { 0o600 } else { 0o666 }
}

/// An object being written under an unfinished name.
pub(super) struct Draft {
    unfinished: PathBuf,
    target: PathBuf,
    file: File,
    bytes: u64,
    shared: Arc<Shared>,
}

impl Draft {
    /// Begins the object that is to be at this path.
    pub(super) fn begin(target: PathBuf, is_private: bool, shared: &Arc<Shared>) -> io::Result<Draft> {
        let unfinished = name::unfinished(target.as_os_str());
        let parent = directory::parent_of(&target);
        shared.begin(&unfinished);
        let mut options = OpenOptions::new();
        options.create_new(true).write(true).mode(file_mode(is_private));
        let mut opened = Err(io::Error::from(ErrorKind::NotFound));
        for _ in 0..ATTEMPTS {
            opened = shared.make_directory(parent, is_private).and_then(|()| options.open(&unfinished));
            if !opened.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotFound) {
                break;
            }
        }
        match opened {
            Ok(file) => Ok(Draft { unfinished, target, file, bytes: 0, shared: Arc::clone(shared) }),
            Err(e) => {
                shared.end(&unfinished);
                Err(e)
            }
        }
    }

    pub(super) fn with(mut self, bytes: &[u8]) -> io::Result<Draft> {
        self.write_all(bytes)?;
        Ok(self)
    }

    /// Takes the name, from another object if one has it. Answers the bytes.
    pub(super) fn replace(self) -> io::Result<u64> {
        self.file.sync_all()?;
        fs::rename(&self.unfinished, &self.target)?;
        directory::sync(directory::parent_of(&self.target))?;
        Ok(self.bytes)
    }

    /// Takes the name, or fails when another object has it.
    pub(super) fn link(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::hard_link(&self.unfinished, &self.target)?;
        // The name counts. A second, unfinished one that stays behind is swept.
        let _ = fs::remove_file(&self.unfinished);
        directory::sync(directory::parent_of(&self.target))
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewObject for Draft {
    fn finish(self: Box<Self>) -> io::Result<u64> {
        self.replace()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it has its name, it has this one no more. One that cannot be deleted now is swept later.
        let _ = fs::remove_file(&self.unfinished);
        self.shared.end(&self.unfinished);
    }
}
