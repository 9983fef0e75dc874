//! Objects and files in memory, which know what a power cut would leave of them.
//!
//! Objects, names, and files with their zeros are durable when a call returns. What was written into a file and not synced
//! is there or not after a power cut, sector by sector; a file that was cut and not synced has either length. What a process that was
//! killed in the middle of a call has left can be seen and is not durable ([`Memory::dying`]), as on a disk, until somebody syncs it.
//! Not here: failing (`faulty`).

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host::now_ms;
use crate::medium::{LogFile, Medium};
use crate::name;
use crate::objects::{Entry, NewObject, Objects, Source};

const SECTOR: usize = 512;

/// A place in memory. Clones are the same place; it is gone with the last of them.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    place: Arc<Mutex<Place>>,
    /// What all names begin with, unseen: empty, or ends with a slash.
    folder: String,
    is_dying: bool,
}

#[derive(Debug, Default)]
struct Place {
    names: BTreeMap<String, File>,
    /// Changes of names that a power cut may undo, in their order: what each of their names stood for before.
    unsettled: Vec<Step>,
}

/// What names stood for before they were changed, all at once.
type Step = Vec<(String, Option<File>)>;

/// One file, which an open handle keeps when the name changes.
#[derive(Clone, Debug)]
struct File(Arc<Mutex<Bytes>>);

#[derive(Clone, Debug)]
struct Bytes {
    /// What a power cut leaves for sure.
    durable: Vec<u8>,
    /// What was written.
    current: Vec<u8>,
    /// Where the two may differ: from here to there.
    unsynced: Option<(usize, usize)>,
    modified_ms: i64,
}

/// Every section under these locks leaves whole values, so a panic elsewhere does not make them wrong.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing() -> io::Error {
    ErrorKind::NotFound.into()
}

fn size(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(|_| ErrorKind::FileTooLarge.into())
}

impl Memory {
    /// An empty place.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// A folder of it, as a place of its own.
    pub fn below(&self, folder: &str) -> Memory {
        Memory { folder: format!("{}{folder}/", self.folder), ..self.clone() }
    }

    /// The same place for a process that is killed in the middle of its next call: what that does to a name is seen by the next
    /// process, and a power cut may undo it, until the folder is synced or another name in it is made durable.
    pub fn dying(&self) -> Memory {
        Memory { is_dying: true, ..self.clone() }
    }

    /// The place as the next process finds it when the power is cut now. `seed` chooses which unsynced names and sectors made it.
    pub fn after_power_cut(&self, mut seed: u64) -> Memory {
        let place = hold(&self.place);
        let mut found = place.names.clone();
        // As with a journal of a file system, what comes later is not there when what came before is not.
        let kept = place.unsettled.iter().take_while(|_| is_kept(&mut seed)).count();
        for (name, before) in place.unsettled.iter().skip(kept).rev().flatten() {
            match before {
                Some(file) => found.insert(name.clone(), file.clone()),
                None => found.remove(name),
            };
        }
        let left =
            |(name, file): (String, File)| (name, File::durable(hold(&file.0).after_power_cut(&mut seed)));
        let place = Place { names: found.into_iter().map(left).collect(), unsettled: Vec::new() };
        Memory { place: Arc::new(Mutex::new(place)), folder: self.folder.clone(), is_dying: false }
    }

    /// Spoils one byte of a file or object, durably; nothing happens when it is not there.
    pub fn flip(&self, name: &str, at: usize) {
        if let Ok(file) = self.find(name) {
            let mut bytes = hold(&file.0);
            if let Some(byte) = bytes.current.get_mut(at) {
                *byte ^= 0xff;
            }
            bytes.durable = bytes.current.clone();
            bytes.unsynced = None;
        }
    }

    fn find(&self, name: &str) -> io::Result<File> {
        let name = self.whole(name)?;
        hold(&self.place).names.get(&name).cloned().ok_or_else(missing)
    }

    /// The name from the root of the place.
    fn whole(&self, name: &str) -> io::Result<String> {
        name::check(name)?;
        Ok(format!("{}{name}", self.folder))
    }

    /// Lets names stand for other files, or for none, all at once.
    fn set(&self, place: &mut Place, changes: Step) {
        let folders: Vec<String> = changes.iter().map(|(name, _)| parent_of(name).to_owned()).collect();
        let replace = |(name, file): (String, Option<File>)| {
            let before = match file {
                Some(file) => place.names.insert(name.clone(), file),
                None => place.names.remove(&name),
            };
            (name, before)
        };
        let step = changes.into_iter().map(replace).collect();
        match self.is_dying {
            true => place.unsettled.push(step),
            false => folders.iter().for_each(|folder| place.settle(folder)),
        }
    }
}

/// The folder that a name is directly in.
fn parent_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Place {
    /// What is seen directly in a folder is durable.
    fn settle(&mut self, folder: &str) {
        let is_in = |step: &Step| step.iter().any(|(name, _)| parent_of(name) == folder);
        if let Some(last) = self.unsettled.iter().rposition(is_in) {
            self.unsettled.drain(..=last);
        }
    }
}

/// The next of the decisions that follow from a seed.
fn is_kept(seed: &mut u64) -> bool {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *seed >> 63 != 0
}

impl File {
    fn durable(bytes: Vec<u8>) -> File {
        let (durable, current) = (bytes.clone(), bytes);
        File(Arc::new(Mutex::new(Bytes { durable, current, unsynced: None, modified_ms: now_ms() })))
    }
}

impl Bytes {
    fn after_power_cut(&self, seed: &mut u64) -> Vec<u8> {
        let mut is_kept = || is_kept(seed);
        let (durable, current) = (&self.durable, &self.current);
        let is_cut = current.len() < durable.len() && is_kept();
        let length = if is_cut { current.len() } else { current.len().max(durable.len()) };
        let mut found = vec![0; length];
        for (at, sector) in found.chunks_mut(SECTOR).enumerate() {
            let from = if is_kept() { current } else { durable };
            for (i, byte) in sector.iter_mut().enumerate() {
                let at = at * SECTOR + i;
                // Beyond the end that a file was cut to there is only what was there before.
                *byte = from.get(at).or(durable.get(at)).copied().unwrap_or(0);
            }
        }
        found
    }

    fn touch(&mut self, from: usize, to: usize) {
        let (first, last) = self.unsynced.unwrap_or((from, to));
        self.unsynced = Some((first.min(from), last.max(to)));
        self.modified_ms = now_ms();
    }
}

impl Objects for Memory {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (name, file) = (self.whole(name)?, File::durable(bytes.to_vec()));
        self.set(&mut hold(&self.place), vec![(name, Some(file))]);
        Ok(())
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (name, mut place) = (self.whole(name)?, hold(&self.place));
        if place.names.contains_key(&name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.set(&mut place, vec![(name, Some(File::durable(bytes.to_vec())))]);
        Ok(())
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        name::check(name)?;
        Ok(Box::new(Unfinished { memory: self.clone(), name: name.to_owned(), bytes: Vec::new() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        Ok(Box::new(self.find(name)?))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        name::check_folder(folder)?;
        let place = hold(&self.place);
        let own = place.names.range(self.folder.clone()..);
        let own = own.map_while(|(name, file)| Some((name.strip_prefix(&self.folder)?, file)));
        let found = own.filter(|(name, _)| name::is_below(name, folder));
        let entry = |(name, file): (&str, &File)| {
            let bytes = hold(&file.0);
            Entry { name: name.to_owned(), bytes: bytes.current.len() as u64, modified_ms: bytes.modified_ms }
        };
        Ok(found.map(entry).collect())
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        for name in names {
            let name = self.whole(name)?;
            self.set(&mut hold(&self.place), vec![(name, None)]);
        }
        Ok(())
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        name::check_folder(folder)?;
        let whole = format!("{}{folder}", self.folder);
        hold(&self.place).settle(whole.trim_end_matches('/'));
        Ok(())
    }

    fn sweep(&self, folder: &str, _: i64) -> io::Result<u64> {
        name::check_folder(folder).map(|()| 0)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("memory:{}", self.folder)).join(name)
    }
}

impl Medium for Memory {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>> {
        let (name, file) = (self.whole(name)?, File::durable(vec![0; size(bytes)?]));
        self.set(&mut hold(&self.place), vec![(name, Some(file.clone()))]);
        Ok(Box::new(file))
    }

    fn edit(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(self.find(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to, mut place) = (self.whole(from)?, self.whole(to)?, hold(&self.place));
        let file = place.names.get(&from).cloned().ok_or_else(missing)?;
        self.set(&mut place, vec![(from, None), (to, Some(file))]);
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

impl Source for File {
    fn length(&self) -> io::Result<u64> {
        Ok(hold(&self.0).current.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = hold(&self.0);
        let found = bytes.current.get(size(offset)?..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl LogFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (from, mut file) = (size(offset)?, hold(&self.0));
        let to = from.checked_add(bytes.len()).ok_or(ErrorKind::FileTooLarge)?;
        let first = from.min(file.current.len());
        if file.current.len() < to {
            file.current.resize(to, 0);
        }
        file.current[from..to].copy_from_slice(bytes);
        file.touch(first, to);
        Ok(())
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        let (length, mut file) = (size(bytes)?, hold(&self.0));
        let first = length.min(file.current.len());
        file.current.resize(length, 0);
        file.touch(first, length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut file = hold(&self.0);
        let file = &mut *file;
        if let Some((from, to)) = file.unsynced.take() {
            file.durable.resize(file.current.len(), 0);
            let to = to.min(file.current.len());
            let from = from.min(to);
            file.durable[from..to].copy_from_slice(&file.current[from..to]);
        }
        Ok(())
    }
}

/// An object that has no name yet.
struct Unfinished {
    memory: Memory,
    name: String,
    bytes: Vec<u8>,
}

impl io::Write for Unfinished {
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
        self.memory.put(&self.name, &self.bytes)?;
        Ok(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests;
