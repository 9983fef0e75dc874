//! A disk, or a store, that has faults by a seed: the power fails, the process is killed, calls fail before or after their effect, or
//! have it later.
//!
//! A disk is [`Memory`] with what a killed process leaves unsynced. What a store has answered is durable; what it has answered with an
//! error may have happened, or happens later.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use shoal_files::{Entry, LogFile, Medium, Memory, NewObject, Objects, Source};
use shoal_ingest::Places;
use shoal_schemas::{Kind, Region};

use crate::power::{Fate, Power, trouble};

const SECTOR_BYTES: usize = 512;

/// A disk, or a store.
#[derive(Clone)]
pub struct Drive {
    memory: Memory,
    power: Arc<Power>,
    is_store: bool,
}

impl Drive {
    pub fn disk(memory: &Memory, power: &Arc<Power>) -> Drive {
        Drive { memory: memory.clone(), power: Arc::clone(power), is_store: false }
    }

    pub fn store(memory: &Memory, power: &Arc<Power>) -> Drive {
        Drive { is_store: true, ..Drive::disk(memory, power) }
    }

    fn change<T>(
        &self,
        name: &str,
        takes_room: bool,
        work: impl FnOnce(&Memory) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        match self.power.next(name, self.is_store, takes_room)? {
            Fate::Whole => work(&self.memory),
            Fate::Before(error) => Err(error),
            Fate::After(error) => work(&self.memory).and(Err(error)),
            Fate::Dying => work(&self.memory.dying()).and(Err(trouble("the process is killed"))),
            Fate::Later(error) => {
                let memory = self.memory.clone();
                let effect = move || drop(work(&memory));
                self.power.late.lock().unwrap().push_back(Box::new(effect));
                Err(error)
            }
        }
    }
}

impl Objects for Drive {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (owned, bytes) = (name.to_owned(), bytes.to_vec());
        self.change(name, true, move |memory| memory.put(&owned, &bytes))
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (owned, bytes) = (name.to_owned(), bytes.to_vec());
        self.change(name, true, move |memory| memory.put_if_absent(&owned, &bytes))
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        let (drive, name) = (self.clone(), name.to_owned());
        Ok(Box::new(Unfinished { drive, name, bytes: Vec::new() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        self.memory.open(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        self.memory.list(folder)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let (some, power) = (names.len() > 1, Arc::clone(&self.power));
        self.change(&names.concat(), false, move |memory| {
            // One after the other: an end in the middle leaves the others.
            if some && power.has_ended().is_some() {
                names.truncate(power.part_of(names.len()));
            }
            memory.remove(&names.iter().map(String::as_str).collect::<Vec<_>>())
        })
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        let owned = folder.to_owned();
        self.change(folder, false, move |memory| memory.sync(&owned))
    }

    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
        let owned = folder.to_owned();
        self.change(folder, false, move |memory| memory.sweep(&owned, unchanged_since_ms))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.memory.path(name)
    }
}

impl Medium for Drive {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>> {
        let owned = name.to_owned();
        self.change(name, true, move |memory| memory.create(&owned, bytes).map(drop))?;
        self.edit(name)
    }

    fn edit(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(File {
            inner: Arc::from(self.memory.edit(name)?),
            name: name.to_owned(),
            drive: self.clone(),
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (old, new) = (from.to_owned(), to.to_owned());
        self.change(to, false, move |memory| memory.rename(&old, &new))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(if self.power.is_full() { 0 } else { 1 << 40 })
    }
}

struct File {
    inner: Arc<dyn LogFile>,
    name: String,
    drive: Drive,
}

impl Source for File {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buffer)
    }
}

impl LogFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // The files of a log are made as long as they become, so a full disk has room for what is written into them.
        match self.drive.power.next(&self.name, false, false)? {
            Fate::Whole => self.inner.write_at(offset, bytes),
            Fate::Before(error) => {
                // A disk has whole sectors of it, and an operating system whole pages.
                let part = self.drive.power.part_of(bytes.len()) / SECTOR_BYTES * SECTOR_BYTES;
                self.inner.write_at(offset, &bytes[..part])?;
                Err(error)
            }
            Fate::After(error) | Fate::Later(error) => {
                self.inner.write_at(offset, bytes)?;
                Err(error)
            }
            Fate::Dying => self.inner.write_at(offset, bytes).and(Err(trouble("the process is killed"))),
        }
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        let inner = Arc::clone(&self.inner);
        self.drive.change(&self.name, false, move |_| inner.set_length(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        match self.drive.power.next(&self.name, false, false)? {
            Fate::Whole => self.inner.sync(),
            Fate::After(error) | Fate::Later(error) => self.inner.sync().and(Err(error)),
            Fate::Before(error) => Err(error),
            Fate::Dying => Err(trouble("the process is killed")),
        }
    }
}

struct Unfinished {
    drive: Drive,
    name: String,
    bytes: Vec<u8>,
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewObject for Unfinished {
    fn finish(self: Box<Self>) -> io::Result<u64> {
        self.drive.put(&self.name, &self.bytes)?;
        Ok(self.bytes.len() as u64)
    }
}

/// Directories of a simulated disk, and which tables there are.
pub struct Drives(pub Drive, pub Vec<(Region, Kind)>);

impl Places for Drives {
    fn at(&self, directory: &Path) -> Arc<dyn Medium> {
        let folder = directory.to_str().unwrap().trim_start_matches('/');
        Arc::new(Drive { memory: self.0.memory.below(folder), ..self.0.clone() })
    }

    fn private(&self, directory: &Path) -> Arc<dyn Medium> {
        self.at(directory)
    }

    fn has_table(&self, region: Region, kind: Kind) -> bool {
        self.1.contains(&(region, kind))
    }
}
