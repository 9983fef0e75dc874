//! The lock of a directory: one process serves it. Not here: what lies below it (`store`).

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use shoal_files::{Disk, Lock};

use crate::error::{Result, StorageError};
use crate::tables::watched::Health;

/// The name of a directory's lock.
const LOCK: &str = ".lock";

/// The exclusive lock of a directory; released when the last holder or the process is gone.
pub(crate) struct RootLock {
    root: PathBuf,
    /// None of tables that nobody else can have.
    _lock: Option<Lock>,
    /// Compactions of all its tables end as soon as they can.
    pub(crate) stop_compacting: AtomicBool,
    /// Whether any of its tables may be written.
    pub(crate) health: Health,
}

impl RootLock {
    /// What holds nothing.
    pub(crate) fn none(health: Health) -> RootLock {
        RootLock { root: PathBuf::new(), _lock: None, stop_compacting: AtomicBool::new(false), health }
    }

    /// The canonical path of the directory.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

/// Makes the directory when it is missing, and locks it.
pub(crate) fn lock(root: PathBuf, health: Health) -> Result<RootLock> {
    Disk::new(&root).make().map_err(StorageError::io(&root))?;
    let root = root.canonicalize().map_err(StorageError::io(&root))?;
    match Disk::new(&root).try_lock(LOCK).map_err(StorageError::io(root.join(LOCK)))? {
        Some(lock) => {
            Ok(RootLock { root, _lock: Some(lock), stop_compacting: AtomicBool::new(false), health })
        }
        None => Err(StorageError::Locked(root)),
    }
}
