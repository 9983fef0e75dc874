//! A disk, or a store, that has faults by a seed: the power fails, the process is killed, calls fail before or after their effect, or
//! have it later.
//!
//! A disk is [`Memory`] with what a killed process leaves unsynced. What a store has answered is durable; what it has answered with an
//! error may have happened, or happens later.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use shoal_files::{Entry, LogFile, Medium, Memory, NewObject, Objects, Source};
use shoal_ingest::Places;
use shoal_schemas::{Kind, Region};
use tokio::sync::Notify;

use crate::chance::Chance;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The machine lives on.
    Killed,
    /// What was not synced is there or not.
    PowerCut,
}

/// When a process ends.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    pub how: End,
    /// After how many changes.
    pub after: u64,
    /// Which are counted once the logs of tables were changed so often.
    pub after_commits: u64,
}

/// How often what fails, once in so many changes; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Troubles {
    /// A call on the disk fails, with or without its effect.
    pub disk: u64,
    /// A call on the store does.
    pub store: u64,
    /// Of those of a store, the effect comes later.
    pub late: bool,
}

/// What a process has its disks and stores by: nothing happens after its end.
pub struct Power {
    state: Mutex<State>,
    late: Late,
    pub ended: Notify,
}

/// Effects of calls on a store that were answered with an error, and come later.
pub type Late = Arc<Mutex<VecDeque<Box<dyn FnOnce() + Send>>>>;

struct State {
    chance: Chance,
    changes: u64,
    commits: u64,
    ending: Option<Ending>,
    ended: Option<End>,
    troubles: Troubles,
    is_full: bool,
    /// A digest of all changes, in their order.
    trace: u64,
    /// Whether anything has failed that may have lost something.
    has_failed: bool,
}

/// What becomes of a change.
enum Fate {
    Whole,
    Before(io::Error),
    After(io::Error),
    /// The process is killed meanwhile: it is seen, and not durable.
    Dying,
    Later(io::Error),
}

fn trouble(what: &'static str) -> io::Error {
    io::Error::other(what)
}

impl Power {
    pub fn new(chance: Chance, troubles: Troubles, ending: Option<Ending>, late: &Late) -> Arc<Power> {
        let state = State {
            chance,
            trace: 0,
            changes: 0,
            commits: 0,
            ending,
            ended: None,
            troubles,
            is_full: false,
            has_failed: false,
        };
        Arc::new(Power { state: Mutex::new(state), late: Arc::clone(late), ended: Notify::new() })
    }

    pub fn end(&self, end: End) {
        self.state.lock().unwrap().ended.get_or_insert(end);
        self.ended.notify_one();
    }

    pub fn has_ended(&self) -> Option<End> {
        self.state.lock().unwrap().ended
    }

    pub fn has_failed(&self) -> bool {
        self.state.lock().unwrap().has_failed
    }

    /// What has happened, in a number.
    pub fn trace(&self) -> u64 {
        self.state.lock().unwrap().trace
    }

    pub fn is_full(&self) -> bool {
        self.state.lock().unwrap().is_full
    }

    pub fn set_full(&self, is_full: bool) {
        self.state.lock().unwrap().is_full = is_full;
    }

    /// Lets what is late happen.
    pub fn settle(&self, most: usize) {
        for _ in 0..most {
            let next = self.late.lock().unwrap().pop_front();
            next.into_iter().for_each(|effect| effect());
        }
    }

    /// Counts a change, and says what becomes of it.
    fn next(&self, name: &str, is_store: bool, takes_room: bool) -> io::Result<Fate> {
        let mut guard = self.state.lock().unwrap();
        let state = &mut *guard;
        for byte in name.bytes().chain([u8::from(is_store), u8::from(takes_room)]) {
            state.trace = (state.trace ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if state.ended.is_some() {
            return Err(trouble("the process has ended"));
        }
        if name.contains("_delta_log") {
            state.commits += 1;
        }
        if let Some(ending) = state.ending
            && state.commits >= ending.after_commits
        {
            state.changes += 1;
        }
        if let Some(ending) = state.ending
            && state.changes > ending.after
        {
            state.ended = Some(ending.how);
            self.ended.notify_one();
            let error = trouble("the process ends");
            return Ok(match state.chance.below(3) {
                0 => Fate::Before(error),
                1 if !is_store => Fate::Dying,
                1 if state.troubles.late => Fate::Later(error),
                _ => Fate::After(error),
            });
        }
        if !is_store && takes_room && state.is_full {
            return Ok(Fate::Before(ErrorKind::StorageFull.into()));
        }
        let times = if is_store { state.troubles.store } else { state.troubles.disk };
        if state.chance.one_in(times) {
            state.has_failed = true;
            return Ok(match state.chance.below(3) {
                0 => Fate::Before(trouble("it fails")),
                1 if is_store && state.troubles.late => Fate::Later(trouble("it fails, and happens later")),
                _ => Fate::After(trouble("it fails, and has happened")),
            });
        }
        let is_due = is_store && state.chance.one_in(4);
        drop(guard);
        if is_due {
            self.settle(1);
        }
        Ok(Fate::Whole)
    }

    fn part_of(&self, bytes: usize) -> usize {
        self.state.lock().unwrap().chance.below(bytes as u64 + 1) as usize
    }
}

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
        Ok(if self.power.state.lock().unwrap().is_full { 0 } else { 1 << 40 })
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
                self.inner.write_at(offset, &bytes[..self.drive.power.part_of(bytes.len())])?;
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
