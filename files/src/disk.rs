//! A directory of the local file system: objects and files that change in place.
//!
//! A name is a path below the directory; folders are directories, made when they are needed. Bytes are synced before the
//! name exists, and the name is synced before anyone is told.
//!
//! Invariants: a file whose name does not end in `#` and digits is complete. A private disk makes files that only their
//! owner can read (0600), in directories that only their owner can enter (0700). The directory itself may be a symbolic link.
//! One below it is an error wherever a folder is listed or swept: what is behind it would be read and never deleted.
//! Not here: the traits (`objects`, `medium`).

mod directory;
mod draft;
mod link;
mod lock;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::medium::{LogFile, Medium};
use crate::name;
use crate::objects::{Entry, NewObject, Objects, Source};
use draft::Draft;
use shared::Shared;

pub use link::Link;
pub use lock::Lock;

/// A directory. Clones are the same disk. One that is not there is made with the first file.
#[derive(Clone, Debug)]
pub struct Disk {
    root: PathBuf,
    is_private: bool,
    shared: Arc<Shared>,
}

impl Disk {
    /// The objects below this directory.
    pub fn new(root: impl Into<PathBuf>) -> Disk {
        Disk { root: root.into(), is_private: false, shared: Arc::default() }
    }

    /// The directory of a file, and the file's name in it.
    ///
    /// # Errors
    /// `InvalidInput` when the path names no file.
    pub fn of_file(path: &Path) -> io::Result<(Disk, String)> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path names no file"))?;
        Ok((Disk::new(directory::parent_of(path)), name.to_owned()))
    }

    /// The same disk, but what it makes is for its owner only.
    pub fn private(mut self) -> Disk {
        self.is_private = true;
        self
    }

    /// Makes the directory itself, durably.
    ///
    /// # Errors
    /// When it cannot be made, or one above it cannot.
    pub fn make(&self) -> io::Result<()> {
        self.make_directory(&self.root)
    }

    /// The symbolic links below the directory, where there may be none.
    ///
    /// # Errors
    /// When a directory cannot be read. One that is not there has none, and one below that may not be entered is passed over.
    pub fn links(&self) -> io::Result<Vec<Link>> {
        directory::links(&self.root)
    }

    /// Opens a file for reading, whatever kind of file it is.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn open_file(&self, name: &str) -> io::Result<DiskFile> {
        Ok(DiskFile { file: File::open(self.resolve(name)?)? })
    }

    /// Waits until this process has the lock of this name.
    ///
    /// # Errors
    /// When the file of the lock cannot be made or locked.
    pub fn lock(&self, name: &str) -> io::Result<Lock> {
        Lock::wait(self.open_to_write(name)?)
    }

    /// The lock of this name; none when another holder has it.
    ///
    /// # Errors
    /// As [`Disk::lock`].
    pub fn try_lock(&self, name: &str) -> io::Result<Option<Lock>> {
        Lock::take(self.open_to_write(name)?)
    }

    /// A file that holds nothing but a lock is made without a sync: after a power cut nobody holds it.
    fn open_to_write(&self, name: &str) -> io::Result<File> {
        let path = self.resolve(name)?;
        self.make_directory(directory::parent_of(&path))?;
        OpenOptions::new().create(true).truncate(false).write(true).mode(self.file_mode()).open(path)
    }

    fn resolve(&self, name: &str) -> io::Result<PathBuf> {
        name::check(name)?;
        Ok(self.root.join(name))
    }

    fn folder(&self, folder: &str) -> io::Result<PathBuf> {
        name::check_folder(folder)?;
        Ok(if folder.is_empty() { self.root.clone() } else { self.root.join(folder) })
    }

    /// The path of a folder that is to be listed.
    fn folder_without_links(&self, folder: &str) -> io::Result<PathBuf> {
        let path = self.folder(folder)?;
        let mut below = path.ancestors().take_while(|above| *above != self.root);
        below.try_for_each(directory::refuse_link)?;
        Ok(path)
    }

    fn draft(&self, name: &str) -> io::Result<Draft> {
        Draft::begin(self.resolve(name)?, self.is_private, &self.shared)
    }

    fn file_mode(&self) -> u32 {
        draft::file_mode(self.is_private)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.shared.make_directory(path, self.is_private)
    }
}

impl Objects for Disk {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.draft(name)?.with(bytes)?.replace().map(drop)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.draft(name)?.with(bytes)?.link()
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        Ok(Box::new(self.draft(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        let file = self.open_file(name)?;
        if !file.is_regular()? {
            return Err(io::Error::new(ErrorKind::InvalidInput, "this is not a regular file"));
        }
        Ok(Box::new(file))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        directory::walk(&self.folder_without_links(folder)?, folder, &mut |name, metadata| {
            if !name::is_unfinished(&name) {
                let modified_ms = directory::modified_ms(metadata)?;
                found.push(Entry { name, bytes: metadata.len(), modified_ms });
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        let paths = names.iter().map(|name| self.resolve(name)).collect::<io::Result<Vec<_>>>()?;
        let mut folders = BTreeSet::new();
        let mut outcome = Ok(());
        for path in &paths {
            // Also where nothing is: it may have been removed by a call whose sync failed.
            folders.insert(directory::parent_of(path));
            match std::fs::remove_file(path) {
                // The others go all the same.
                Err(e) if e.kind() != ErrorKind::NotFound => outcome = outcome.and(Err(e)),
                _ => {}
            }
        }
        for folder in folders.into_iter().rev() {
            directory::prune(folder, &self.root)?;
        }
        outcome
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        directory::sync(&self.folder(folder)?)
    }

    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
        let path = self.folder_without_links(folder)?;
        let mut old = Vec::new();
        directory::walk(&path, folder, &mut |name, metadata| {
            let path = self.root.join(&name);
            if name::is_unfinished(&name)
                && directory::modified_ms(metadata)? <= unchanged_since_ms
                && !self.shared.is_being_written(&path)
            {
                old.push(path);
            }
            Ok(())
        })?;
        for draft in &old {
            std::fs::remove_file(draft)?;
        }
        directory::prune_below(&path)?;
        Ok(old.len() as u64)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

impl Medium for Disk {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>> {
        let path = self.resolve(name)?;
        let parent = directory::parent_of(&path);
        self.make_directory(parent)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true).mode(self.file_mode());
        let file = options.open(&path)?;
        // Zeros are written, not only reserved: a reserved extent costs a journal commit at each fdatasync later.
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < bytes {
            let length = (bytes - at).min(zeros.len() as u64);
            file.write_all_at(&zeros[..length as usize], at)?;
            at += length;
        }
        file.sync_all()?;
        directory::sync(parent)?;
        Ok(Box::new(DiskFile { file }))
    }

    fn edit(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.resolve(name)?)?;
        Ok(Box::new(DiskFile { file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.resolve(from)?, self.resolve(to)?);
        std::fs::rename(&from, &to)?;
        directory::sync(directory::parent_of(&to))?;
        if from.parent() == to.parent() { Ok(()) } else { directory::sync(directory::parent_of(&from)) }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let nearest = self.root.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
        let found = rustix::fs::statvfs(nearest)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// An open file of a disk.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
}

impl DiskFile {
    /// Its permission bits. Asked of the open file, so that it cannot be exchanged in between.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn mode(&self) -> io::Result<u32> {
        Ok(self.file.metadata()?.mode() & 0o7777)
    }

    /// Whether it is a regular file, and not a directory, a pipe or a device.
    ///
    /// # Errors
    /// When the system cannot tell.
    pub fn is_regular(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.is_file())
    }
}

impl Source for DiskFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

impl LogFile for DiskFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
