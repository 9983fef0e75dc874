//! Where the log and the event-id runs keep their files: one flat directory, read and written by position.
//!
//! Invariants that every implementation keeps (one suite checks them, `medium_tests.rs`): `create`, `rename` and
//! `remove` are durable when they return; `write_at` is durable only after `sync`; a new file is filled with zeros.
//! Not here: what the files mean (`record.rs`, `dedup/run.rs`); the medium that loses, tears and fails (`faulty.rs`).

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// A directory of files.
pub(crate) trait Medium: Send + Sync {
    /// Names of all files; none when the directory does not exist yet.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes a file of `bytes` zeros; an older one of this name is replaced.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>>;
    /// Opens a file that exists.
    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>>;
    /// Gives a file another name; a file of that name is replaced.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Bytes that may still be written to the disk.
    fn free_bytes(&self) -> io::Result<u64>;
    /// The path of a file, for messages.
    fn path(&self, name: &str) -> PathBuf;
}

/// An open file.
pub(crate) trait LogFile: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset`; an error when the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all bytes at `offset`; the file grows when it has to.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything written is durable. After an error nothing is known about any of it.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the file system.
pub(crate) struct Disk {
    directory: PathBuf,
}

impl Disk {
    /// The directory is made with the first file.
    pub(crate) fn new(directory: impl Into<PathBuf>) -> Disk {
        Disk { directory: directory.into() }
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// Makes the directory, and syncs each parent that got a new entry.
    fn make_directory(&self) -> io::Result<()> {
        let missing: Vec<&Path> =
            self.directory.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
        std::fs::create_dir_all(&self.directory)?;
        for made in missing.into_iter().rev() {
            let parent = made.parent().filter(|p| !p.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }

    /// The nearest directory that exists.
    fn nearest(&self) -> &Path {
        self.directory.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."))
    }
}

impl Medium for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>> {
        self.make_directory()?;
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path(name))?;
        // Zeros are written, not only reserved: a reserved extent costs a journal commit at each fdatasync later.
        let zeros = vec![0; 1 << 20];
        let mut at = 0;
        while at < bytes {
            let length = (bytes - at).min(zeros.len() as u64);
            file.write_all_at(&zeros[..length as usize], at)?;
            at += length;
        }
        file.sync_all()?;
        self.sync_directory()?;
        Ok(Box::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path(from), self.path(to))?;
        self.sync_directory()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))?;
        self.sync_directory()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(self.nearest())?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl LogFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
