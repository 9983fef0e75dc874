//! A medium in memory that crashes, loses, tears and fails on demand. For tests.
//!
//! A crash: the operation at which it happens is done in part or not at all, every later one fails. What was written
//! and not synced is then there or not, sector by sector. `create`, `rename` and `remove` are durable or did not happen.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use super::medium::{LogFile, Medium};

const SECTOR: usize = 512;

/// One file: what a power cut leaves for sure, and what was written.
#[derive(Clone, Default)]
struct Bytes {
    durable: Vec<u8>,
    current: Vec<u8>,
}

#[derive(Default)]
struct State {
    /// By a number, which an open file keeps when the name changes.
    files: BTreeMap<u64, Bytes>,
    names: BTreeMap<String, u64>,
    made: u64,
    operations: u64,
    crash_at: Option<u64>,
    fail_sync: bool,
    free_bytes: Option<u64>,
}

/// The medium. Clones are the same medium.
#[derive(Clone, Default)]
pub(crate) struct Faulty(Arc<Mutex<State>>);

impl Faulty {
    /// Crashes at the operation of this number, counted from 0.
    pub(crate) fn crash_at(&self, operation: u64) {
        self.0.lock().unwrap().crash_at = Some(operation);
    }

    /// Operations so far that change something.
    pub(crate) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// From now on every sync fails; the medium goes on otherwise.
    pub(crate) fn fail_sync(&self) {
        self.0.lock().unwrap().fail_sync = true;
    }

    /// What `free_bytes` answers.
    pub(crate) fn set_free_bytes(&self, bytes: u64) {
        self.0.lock().unwrap().free_bytes = Some(bytes);
    }

    /// Spoils one durable byte of a file.
    pub(crate) fn flip(&self, name: &str, at: usize) {
        let mut state = self.0.lock().unwrap();
        let number = state.names[name];
        let bytes = state.files.get_mut(&number).unwrap();
        bytes.current[at] ^= 0xff;
        bytes.durable = bytes.current.clone();
    }

    /// The medium as the next process finds it. `seed` chooses which of the unsynced sectors made it.
    pub(crate) fn after_power_cut(&self, mut seed: u64) -> Faulty {
        let state = self.0.lock().unwrap();
        let mut next = State { names: state.names.clone(), made: state.made, ..State::default() };
        for (number, bytes) in &state.files {
            let mut found = bytes.current.clone();
            for (at, sector) in found.chunks_mut(SECTOR).enumerate() {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if seed >> 63 == 0 {
                    for (i, byte) in sector.iter_mut().enumerate() {
                        *byte = bytes.durable.get(at * SECTOR + i).copied().unwrap_or(0);
                    }
                }
            }
            next.files.insert(*number, Bytes { durable: found.clone(), current: found });
        }
        Faulty(Arc::new(Mutex::new(next)))
    }

    /// Runs a changing operation, or crashes; `partly` is what a crash may leave of it.
    fn change<T>(
        &self,
        whole: impl FnOnce(&mut State) -> io::Result<T>,
        partly: impl FnOnce(&mut State),
    ) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        let number = state.operations;
        state.operations += 1;
        match state.crash_at {
            Some(crash) if number > crash => Err(io::Error::other("after the crash")),
            Some(crash) if number == crash => {
                partly(&mut state);
                Err(io::Error::other("crash"))
            }
            _ => whole(&mut state),
        }
    }

    fn put(state: &mut State, name: &str, bytes: usize) -> u64 {
        let number = state.made;
        state.made += 1;
        let zeros = vec![0; bytes];
        state.files.insert(number, Bytes { durable: zeros.clone(), current: zeros });
        state.names.insert(name.to_owned(), number);
        number
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

struct FaultyFile {
    medium: Faulty,
    number: u64,
}

impl Medium for Faulty {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().names.keys().cloned().collect())
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>> {
        let number = self.change(
            |state| Ok(Faulty::put(state, name, bytes as usize)),
            |state| {
                Faulty::put(state, name, bytes as usize / 2);
            },
        )?;
        Ok(Box::new(FaultyFile { medium: self.clone(), number }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        let number = *self.0.lock().unwrap().names.get(name).ok_or_else(missing)?;
        Ok(Box::new(FaultyFile { medium: self.clone(), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let rename = |state: &mut State| {
            let number = state.names.remove(from).ok_or_else(missing)?;
            state.names.insert(to.to_owned(), number);
            Ok(())
        };
        // Either way may come out of a crash: by the parity of the operation.
        self.change(rename, |state| {
            if state.operations % 2 == 0 {
                let _ = rename(state);
            }
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let remove = |state: &mut State| state.names.remove(name).map(|_| ()).ok_or_else(missing);
        self.change(remove, |_| {})
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().free_bytes.unwrap_or(1 << 40))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/faulty").join(name)
    }
}

impl LogFile for FaultyFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.medium.0.lock().unwrap().files[&self.number].current.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.medium.0.lock().unwrap();
        let from = offset as usize;
        let found = state.files[&self.number].current.get(from..from + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let write = |state: &mut State, length: usize| {
            let file = state.files.get_mut(&self.number).ok_or_else(missing)?;
            let end = offset as usize + length;
            let longer = file.current.len().max(end);
            file.current.resize(longer, 0);
            file.current[offset as usize..end].copy_from_slice(&bytes[..length]);
            Ok(())
        };
        self.medium.change(|state| write(state, bytes.len()), |state| drop(write(state, bytes.len())))
    }

    fn sync(&self) -> io::Result<()> {
        let sync = |state: &mut State| {
            if state.fail_sync {
                return Err(io::Error::other("sync failed"));
            }
            let file = state.files.get_mut(&self.number).ok_or_else(missing)?;
            file.durable = file.current.clone();
            Ok(())
        };
        self.medium.change(sync, |_| {})
    }
}
