//! Objects and files in memory, which know what a power cut would leave of them.
//!
//! Objects, names, and files with their zeros are durable when a call returns. What was written into a file and not synced
//! is there or not after a power cut, sector by sector; a file that was cut and not synced has either length.
//! Not here: failing (`faulty`).

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::medium::{LogFile, Medium};
use crate::name;
use crate::objects::{Entry, NewObject, Objects, Source};

const SECTOR: usize = 512;

/// A place in memory. Clones are the same place; it is gone with the last of them.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    names: Arc<Mutex<BTreeMap<String, File>>>,
}

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

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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

    /// The place as the next process finds it when the power is cut now. `seed` chooses which unsynced sectors made it.
    pub fn after_power_cut(&self, mut seed: u64) -> Memory {
        let mut names = BTreeMap::new();
        for (name, file) in hold(&self.names).iter() {
            let found = hold(&file.0).after_power_cut(&mut seed);
            names.insert(name.clone(), File::durable(found));
        }
        Memory { names: Arc::new(Mutex::new(names)) }
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
        name::check(name)?;
        hold(&self.names).get(name).cloned().ok_or_else(missing)
    }
}

impl File {
    fn durable(bytes: Vec<u8>) -> File {
        let (durable, current) = (bytes.clone(), bytes);
        File(Arc::new(Mutex::new(Bytes { durable, current, unsynced: None, modified_ms: now_ms() })))
    }
}

impl Bytes {
    fn after_power_cut(&self, seed: &mut u64) -> Vec<u8> {
        let mut is_kept = || {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *seed >> 63 != 0
        };
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
        name::check(name)?;
        hold(&self.names).insert(name.to_owned(), File::durable(bytes.to_vec()));
        Ok(())
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        name::check(name)?;
        let mut names = hold(&self.names);
        if names.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        names.insert(name.to_owned(), File::durable(bytes.to_vec()));
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
        let names = hold(&self.names);
        let found = names.iter().filter(|(name, _)| name::is_below(name, folder));
        let entry = |(name, file): (&String, &File)| {
            let bytes = hold(&file.0);
            Entry { name: name.clone(), bytes: bytes.current.len() as u64, modified_ms: bytes.modified_ms }
        };
        Ok(found.map(entry).collect())
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        for name in names {
            name::check(name)?;
            hold(&self.names).remove(*name);
        }
        Ok(())
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        name::check_folder(folder)
    }

    fn sweep(&self, folder: &str, _: i64) -> io::Result<u64> {
        name::check_folder(folder).map(|()| 0)
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("memory:").join(name)
    }
}

impl Medium for Memory {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>> {
        name::check(name)?;
        let file = File::durable(vec![0; size(bytes)?]);
        hold(&self.names).insert(name.to_owned(), file.clone());
        Ok(Box::new(file))
    }

    fn edit(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(self.find(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        name::check(from).and_then(|()| name::check(to))?;
        let mut names = hold(&self.names);
        let file = names.remove(from).ok_or_else(missing)?;
        names.insert(to.to_owned(), file);
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
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::conformance;

    #[test]
    fn memory_conforms() {
        conformance::objects(&Memory::new());
        conformance::medium(&Memory::new());
    }

    #[test]
    fn a_power_cut_takes_only_what_was_not_synced() {
        let medium = Memory::new();
        let file = medium.create("a", 4096).unwrap();
        file.write_at(0, &[1; 1024]).unwrap();
        file.sync().unwrap();
        file.write_at(1024, &[2; 2048]).unwrap();
        let (mut lost, mut kept) = (false, false);
        for seed in 0..20 {
            let found = medium.after_power_cut(seed).read("a").unwrap();
            assert!(found[..1024].iter().all(|b| *b == 1));
            lost |= found[1024..3072].contains(&0);
            kept |= found[1024..3072].contains(&2);
        }
        assert!(lost && kept);
        file.sync().unwrap();
        assert!(
            (0..20).all(|seed| !medium.after_power_cut(seed).read("a").unwrap()[1024..3072].contains(&0))
        );
    }

    #[test]
    fn a_file_that_was_cut_has_either_length_until_it_is_synced() {
        let medium = Memory::new();
        medium.put("a", &[1; 2000]).unwrap();
        let file = medium.edit("a").unwrap();
        file.set_length(700).unwrap();
        let found: Vec<Vec<u8>> =
            (0..20).map(|seed| medium.after_power_cut(seed).read("a").unwrap()).collect();
        assert!(found.iter().any(|f| f.len() == 700) && found.iter().any(|f| f.len() == 2000));
        assert!(found.iter().flatten().all(|b| *b == 1));
        file.write_at(900, &[2; 100]).unwrap();
        file.sync().unwrap();
        let synced = medium.after_power_cut(1).read("a").unwrap();
        assert_eq!(synced, [&[1; 700][..], &[0; 200], &[2; 100]].concat());
    }
}
