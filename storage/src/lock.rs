//! The lock of a root: one process serves it. Not here: what lies below the root (`store`).

use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use crate::durable;
use crate::error::{Result, StorageError};

/// The exclusive lock of a root; released when the last holder or the process is gone.
pub(crate) struct RootLock {
    file: File,
    /// Compactions of all its tables end as soon as they can.
    pub(crate) stop_compacting: AtomicBool,
}

impl Drop for RootLock {
    /// Closing the file is not enough: a child that another thread is just starting holds a copy until it executes, and
    /// the lock with it. Should this fail, the system does it later.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// Makes the root when it is missing, and locks it; returns its canonical path with the lock.
pub(crate) fn lock(root: PathBuf) -> Result<(PathBuf, RootLock)> {
    durable::create_dir(&root).map_err(StorageError::io(&root))?;
    let root = root.canonicalize().map_err(StorageError::io(&root))?;
    let path = root.join(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StorageError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok((root, RootLock { file, stop_compacting: AtomicBool::new(false) })),
        Err(TryLockError::WouldBlock) => Err(StorageError::Locked(root)),
        Err(TryLockError::Error(e)) => Err(StorageError::io(&path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_free_at_once_though_a_child_that_is_starting_still_holds_a_copy_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let (_, held) = lock(dir.path().to_path_buf()).unwrap();
        assert!(matches!(lock(dir.path().to_path_buf()), Err(StorageError::Locked(_))));
        let copy_of_the_child = held.file.try_clone().unwrap();
        drop(held);
        assert!(lock(dir.path().to_path_buf()).is_ok());
        drop(copy_of_the_child);
    }
}
