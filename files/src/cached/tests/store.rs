//! A store in memory that counts what is asked of it, and keeps whoever asks waiting, fails or panics when it is told to.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use crate::Memory;
use crate::objects::{Entry, NewObject, Objects, Source};

/// What it fails with.
#[derive(Debug)]
pub(super) struct Told;

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the store was told to fail")
    }
}

impl std::error::Error for Told {}

#[derive(Clone, Default)]
pub(super) struct Store {
    inner: Memory,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    opens: usize,
    requests: Vec<(usize, usize)>,
    is_closed: bool,
    is_failing: bool,
    is_panicking: bool,
}

/// Bytes that are nowhere the same, neither in another object.
pub(super) fn bytes(name: &str, length: usize) -> Vec<u8> {
    let mut state =
        name.bytes().fold(0x9e37_79b9_u64, |hash, byte| hash.rotate_left(7) ^ u64::from(byte)) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

impl Store {
    /// Objects of these names and sizes.
    pub(super) fn with(objects: &[(&str, usize)]) -> Store {
        let store = Store::default();
        objects.iter().for_each(|(name, size)| store.inner.put(name, &bytes(name, *size)).unwrap());
        store
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
    }

    /// Whoever asks for something waits from now on.
    pub(super) fn close(&self) {
        self.set(|state| state.is_closed = true);
    }

    pub(super) fn open_gate(&self) {
        self.set(|state| state.is_closed = false);
    }

    pub(super) fn fail(&self, is_failing: bool) {
        self.set(|state| state.is_failing = is_failing);
    }

    /// The next request ends in a panic.
    pub(super) fn panic_next(&self) {
        self.set(|state| state.is_panicking = true);
    }

    pub(super) fn opens(&self) -> usize {
        self.state.0.lock().unwrap().opens
    }

    /// Where each request began, and its bytes, so far, in their order; forgets them.
    pub(super) fn requests(&self) -> Vec<(usize, usize)> {
        std::mem::take(&mut self.state.0.lock().unwrap().requests)
    }

    /// Waits until so many requests have come.
    pub(super) fn wait_for_requests(&self, count: usize) {
        let state = self.state.0.lock().unwrap();
        drop(self.state.1.wait_while(state, |state| state.requests.len() < count).unwrap());
    }

    fn pass(&self, note: impl FnOnce(&mut State)) -> io::Result<()> {
        self.set(note);
        let state = self.state.0.lock().unwrap();
        let mut state = self.state.1.wait_while(state, |state| state.is_closed).unwrap();
        let is_panicking = std::mem::take(&mut state.is_panicking);
        let is_failing = state.is_failing;
        drop(state);
        assert!(!is_panicking, "the store was told to panic");
        if is_failing { Err(io::Error::other(Told)) } else { Ok(()) }
    }
}

impl Objects for Store {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.put(name, bytes)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.inner.put_if_absent(name, bytes)
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        self.inner.write(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        let opened = self.inner.open(name);
        if opened.is_ok() || self.state.0.lock().unwrap().is_failing {
            self.pass(|state| state.opens += 1)?;
        }
        Ok(Box::new(Opened { inner: opened?, store: self.clone() }))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        self.inner.list(folder)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        self.inner.remove(names)
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        self.inner.sync(folder)
    }

    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
        self.inner.sweep(folder, unchanged_since_ms)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.inner.path(name)
    }
}

struct Opened {
    inner: Box<dyn Source>,
    store: Store,
}

impl Source for Opened {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.store.pass(|state| state.requests.push((offset as usize, buffer.len())))?;
        self.inner.read_at(offset, buffer)
    }
}
