//! What the clones of a disk have in common: the directories being made, and the objects being written.
//!
//! Invariants: nobody uses a directory whose entry is not synced yet; a path is known as being written from before its
//! file exists until after it is gone. Not here: how either is done (`directory`, `draft`).

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::directory;

/// Shared by all clones.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Held while directories are made.
    making: Mutex<()>,
    /// Unfinished objects that are being written.
    drafts: Mutex<HashSet<PathBuf>>,
}

/// The values under these locks are whole whenever a panic can happen.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn make_directory(&self, path: &Path, is_private: bool) -> io::Result<()> {
        let _one = hold(&self.making);
        directory::make(path, if is_private { 0o700 } else { 0o777 })
    }

    pub(super) fn begin(&self, draft: &Path) {
        hold(&self.drafts).insert(draft.to_path_buf());
    }

    pub(super) fn end(&self, draft: &Path) {
        hold(&self.drafts).remove(draft);
    }

    pub(super) fn is_being_written(&self, draft: &Path) -> bool {
        hold(&self.drafts).contains(draft)
    }
}
