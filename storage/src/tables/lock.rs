//! The lock of a root: one process serves it. Not here: what lies below the root (`store`).

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use shoal_files::{Disk, Lock};

use crate::error::{Result, StorageError};
use crate::tables::watched::Health;

/// The name of a root's lock.
const LOCK: &str = ".lock";

/// The exclusive lock of a root; released when the last holder or the process is gone.
pub(crate) struct RootLock {
    _lock: Lock,
    /// Compactions of all its tables end as soon as they can.
    pub(crate) stop_compacting: AtomicBool,
    /// Whether any of its tables may be written.
    pub(crate) health: Health,
}

/// Makes the root when it is missing, and locks it; returns its canonical path with the lock.
pub(crate) fn lock(root: PathBuf, health: Health) -> Result<(PathBuf, RootLock)> {
    Disk::new(&root).make().map_err(StorageError::io(&root))?;
    let root = root.canonicalize().map_err(StorageError::io(&root))?;
    match Disk::new(&root).try_lock(LOCK).map_err(StorageError::io(root.join(LOCK)))? {
        Some(lock) => Ok((root, RootLock { _lock: lock, stop_compacting: AtomicBool::new(false), health })),
        None => Err(StorageError::Locked(root)),
    }
}
