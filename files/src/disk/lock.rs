//! A lock that one holder has at a time, in this process and in all others of the machine.
//!
//! Invariant: it is free as soon as its holder is dropped or its process is gone. Not here: objects; exclusivity between
//! machines is made of `put_if_absent`.

use std::fs::{File, TryLockError};
use std::io;

/// A lock that is held.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    pub(super) fn wait(file: File) -> io::Result<Lock> {
        file.lock()?;
        Ok(Lock { file })
    }

    pub(super) fn take(file: File) -> io::Result<Option<Lock>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

impl Drop for Lock {
    /// Closing the file is not enough: a child that another thread is just starting holds a copy until it executes, and
    /// the lock with it. Should this fail, the system does it later.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::Disk;

    #[test]
    fn a_lock_is_free_at_once_though_a_child_that_is_starting_still_holds_a_copy_of_its_file() {
        let root = tempfile::tempdir().unwrap();
        let disk = Disk::new(root.path());
        let held = disk.lock("lock").unwrap();
        assert!(disk.try_lock("lock").unwrap().is_none());
        let copy_of_the_child = held.file.try_clone().unwrap();
        drop(held);
        assert!(disk.try_lock("lock").unwrap().is_some());
        drop(copy_of_the_child);
    }
}
