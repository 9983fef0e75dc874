//! The local file of a cache: slots of one block each.
//!
//! Invariants: the file has no name, so that it is gone with the process, and nothing of an earlier one is ever read. What is erased
//! cannot be read from the file any more; a file in which nothing can be erased is let go as a whole, and with it what is in it.
//! Not here: what is in which slot (`index`).

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::{CWD, FallocateFlags, Mode, OFlags, fallocate, openat};
use rustix::io::Errno;

use crate::name;

/// Bytes of a block, and of a slot.
pub(super) const BLOCK_BYTES: u64 = 1 << 20;

/// Slots in a file without a name.
pub(super) struct Local {
    /// None once it was let go. It goes with the last reader that has it in its hands.
    file: RwLock<Option<Arc<File>>>,
}

impl Local {
    /// A new file in this directory, for its owner only.
    pub(super) fn create(directory: &Path) -> io::Result<Local> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(Local::of(file.into())),
            // The file system has no such files, or the kernel does not know them.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                Ok(Local::of(Local::create_and_unlink(directory)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The same in a directory where a file needs a name to begin with. A crash at this moment leaves it, empty.
    fn create_and_unlink(directory: &Path) -> io::Result<File> {
        let path = directory.join(name::unfinished(OsStr::new("cache")));
        let file = OpenOptions::new().create_new(true).read(true).write(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }

    pub(super) fn of(file: File) -> Local {
        Local { file: RwLock::new(Some(Arc::new(file))) }
    }

    fn file(&self) -> io::Result<Arc<File>> {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        file.clone().ok_or_else(|| io::Error::other("the file of the cache was let go"))
    }

    /// Fills the buffer from a slot.
    pub(super) fn read(&self, slot: usize, within: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file()?.read_exact_at(buffer, slot as u64 * BLOCK_BYTES + within)
    }

    /// Fills a slot, and erases what is left in it of a longer block.
    pub(super) fn write(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all_at(bytes, slot as u64 * BLOCK_BYTES)?;
        self.erase(slot, bytes.len() as u64)
    }

    /// Erases a slot from a position in it on. Let go of is everything when that is not possible.
    pub(super) fn erase(&self, slot: usize, from: u64) -> io::Result<()> {
        let Ok(file) = self.file() else { return Ok(()) };
        let (start, length) = (slot as u64 * BLOCK_BYTES + from, BLOCK_BYTES.saturating_sub(from));
        if length == 0 {
            return Ok(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&*file, hole, start, length).or_else(|_| zero(&file, start, length)).inspect_err(|_| {
            *self.file.write().unwrap_or_else(PoisonError::into_inner) = None;
        })
    }
}

/// Overwrites what there is of a range.
fn zero(file: &File, start: u64, length: u64) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ErrorKind::Unsupported.into());
    }
    let there = metadata.len().saturating_sub(start).min(length);
    file.write_all_at(&vec![0; usize::try_from(there).map_err(io::Error::other)?], start)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn files(dir: &Path) -> Vec<Local> {
        vec![Local::create(dir).unwrap(), Local::of(Local::create_and_unlink(dir).unwrap())]
    }

    #[test]
    fn the_file_has_no_name_and_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        for local in files(dir.path()) {
            local.write(3, b"bytes").unwrap();
            let metadata = local.file().unwrap().metadata().unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
            assert_eq!(metadata.nlink(), 0);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
        assert!(Local::create(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn a_shorter_block_leaves_nothing_of_a_longer_one_and_an_erased_slot_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        for local in files(dir.path()) {
            let block = vec![7; BLOCK_BYTES as usize];
            for slot in 0..3 {
                local.write(slot, &block).unwrap();
            }
            local.write(1, &[8; 10]).unwrap();
            let mut found = vec![1; BLOCK_BYTES as usize];
            local.read(1, 0, &mut found).unwrap();
            assert!(found[..10] == [8; 10] && found[10..].iter().all(|b| *b == 0));
            local.erase(0, 0).unwrap();
            local.read(0, 0, &mut found).unwrap();
            assert!(found.iter().all(|b| *b == 0));
            local.read(2, 0, &mut found).unwrap();
            assert!(found == block, "the neighbour is as it was");
            let blocks = local.file().unwrap().metadata().unwrap().blocks() * 512;
            assert!(blocks < 2 * BLOCK_BYTES, "what is erased takes no room: {blocks}");
            zero(&local.file().unwrap(), 2 * BLOCK_BYTES, BLOCK_BYTES).unwrap();
            local.read(2, 0, &mut found).unwrap();
            assert!(found.iter().all(|b| *b == 0));
        }
    }

    #[test]
    fn a_file_in_which_nothing_can_be_erased_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, b"bytes of a block").unwrap();
        let local = Local::of(File::open(&path).unwrap());
        let mut found = [0; 5];
        local.read(0, 0, &mut found).unwrap();
        assert!(local.write(0, b"x").is_err());
        local.read(0, 0, &mut found).unwrap();
        assert!(local.erase(0, 0).is_err());
        assert!(local.read(0, 0, &mut found).is_err() && local.write(0, b"x").is_err());
        local.erase(0, 0).unwrap();
    }
}
