//! A key file that was wrapped anew takes the place of the one of before.
//!
//! ```text
//! 1  the new text                        -> <key file>.next, durable
//! 2  <key file>.next                     read again, and opened by its custody: it has the same secrets
//! 3  <key file>.next                     -> <key file>, in one step; the bytes of before are overwritten
//! ```
//! A run that was cut off leaves one of the two files whole under the name of the key file. What it leaves beside it is overwritten by the
//! next one.
//!
//! Invariants: the file of before is there until the new one is durable and was opened; one process at a time, by `<key file>.lock`.
//! Not here: what is in the file (`envelope`), the line of the audit (`shoal-server`).

use std::io::{self, ErrorKind};
use std::path::Path;

use shoal_files::{Disk, Lock, Medium as _, Objects as _, overwrite};
use zeroize::Zeroizing;

/// The place of a key file, for the one process that may change it.
pub struct KeyFilePlace {
    disk: Disk,
    name: String,
    _lock: Lock,
}

impl KeyFilePlace {
    /// Takes the lock. The file itself need not be there.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it; else when it cannot be taken.
    pub fn lock(path: &Path) -> io::Result<KeyFilePlace> {
        let (disk, name) = Disk::of_file(path)?;
        let disk = disk.private();
        let lock = disk.try_lock(&format!("{name}.lock"))?.ok_or_else(|| {
            io::Error::new(
                ErrorKind::WouldBlock,
                "another command is changing the key file; wait for its end",
            )
        })?;
        Ok(KeyFilePlace { disk, name, _lock: lock })
    }

    /// Puts `text` in the place of the file, once `verify` has found that what was read back is what is wanted, and `announce` was able to
    /// say so. The outer error is of a file, the inner one is theirs.
    ///
    /// # Errors
    /// When a step fails. The file of before is in its place then; only when it could not be overwritten, the new one is.
    pub fn replace<E>(
        &self,
        text: &str,
        verify: impl FnOnce(Zeroizing<String>) -> Result<(), E>,
        announce: impl FnOnce() -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        let next = format!("{}.next", self.name);
        self.leave_nothing(&next)?;
        self.disk.put(&next, text.as_bytes())?;
        if let Err(error) = verify(self.read(&next)?).and_then(|()| announce()) {
            // It may be in the clear, and nobody looks for it there.
            self.leave_nothing(&next)?;
            return Ok(Err(error));
        }
        // Whoever opened it before the rename has the file, and it is this file that is overwritten.
        let before = self.disk.edit(&self.name)?;
        self.disk.rename(&next, &self.name)?;
        overwrite(&*before)?;
        Ok(Ok(()))
    }

    /// Overwrites a file and removes it, where there is one.
    fn leave_nothing(&self, name: &str) -> io::Result<()> {
        match self.disk.edit(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            file => {
                overwrite(&*file?)?;
                self.disk.remove(&[name])
            }
        }
    }

    fn read(&self, name: &str) -> io::Result<Zeroizing<String>> {
        let mut bytes = Zeroizing::new(self.disk.read(name)?);
        let not_text = |_| io::Error::new(ErrorKind::InvalidData, "it is not text");
        String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(not_text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;

    fn place(dir: &Path) -> (PathBuf, KeyFilePlace) {
        let path = dir.join("shoal.key");
        fs::write(&path, "before").unwrap();
        let place = KeyFilePlace::lock(&path).unwrap();
        (path, place)
    }

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_new_file_is_read_back_before_it_takes_the_place_and_the_one_of_before_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let (path, place) = place(dir.path());
        let mut open = fs::File::open(&path).unwrap();
        fs::write(dir.path().join("shoal.key.next"), "of a run that was cut off").unwrap();
        let verify = |read: Zeroizing<String>| {
            assert_eq!((read.as_str(), fs::read_to_string(&path).unwrap().as_str()), ("after", "before"));
            Ok::<_, String>(())
        };
        let announce = || {
            assert_eq!(fs::read_to_string(&path).unwrap(), "before", "it is said before it is done");
            Ok(())
        };
        place.replace("after", verify, announce).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut left = String::new();
        open.read_to_string(&mut left).unwrap();
        assert_eq!(left, "\0".repeat(6));
        assert_eq!(names(dir.path()), ["shoal.key", "shoal.key.lock"]);
    }

    #[test]
    fn a_file_that_was_not_verified_or_not_announced_changes_nothing_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, place) = place(dir.path());
        assert_eq!(place.replace("after", |_| Err("no"), || Ok(())).unwrap(), Err("no"));
        assert_eq!(place.replace("after", |_| Ok(()), || Err("no")).unwrap(), Err("no"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(names(dir.path()), ["shoal.key", "shoal.key.lock"]);
        fs::remove_file(&path).unwrap();
        assert!(
            place.replace("after", |_| Ok::<_, String>(()), || Ok(())).is_err(),
            "there is nothing to replace"
        );
    }

    #[test]
    fn one_process_changes_a_key_file_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (path, place) = place(dir.path());
        assert_eq!(KeyFilePlace::lock(&path).err().unwrap().kind(), ErrorKind::WouldBlock);
        drop(place);
        assert!(KeyFilePlace::lock(&path).is_ok());
    }
}
