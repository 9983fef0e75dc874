//! Reading through the cache: a block is read from its slot, or from the store with a request that others wait for.
//!
//! Invariants: the lock of the index is held during no read or write of a file, and during no request. What is answered is what the
//! store has answered for this object, or its error as it is; nothing is kept of a request that failed. When a name was forgotten,
//! nothing of it is in the file any more: `forget` waits for whoever is writing. Not here: what is read ahead of readers (`ahead`).

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use super::counts::{Counters, add};
use super::flight::Flight;
use super::index::{Found, Index, Object};
use super::local::{BLOCK_BYTES, Local};

/// How often a slot is read that is given to another block at the same time, before the store is asked instead.
const ATTEMPTS: usize = 4;

/// What all readers of a cache share.
pub(super) struct Reading {
    index: Mutex<Index>,
    pub(super) local: Local,
    /// Held shared while slots are written or erased.
    writing: RwLock<()>,
    pub(super) counters: Counters,
}

impl Reading {
    pub(super) fn new(local: Local, slots: usize) -> Reading {
        let index = Mutex::new(Index::new(slots));
        Reading { index, local, writing: RwLock::new(()), counters: Counters::default() }
    }

    /// Every section under this lock leaves a whole index, so a panic elsewhere does not make it wrong.
    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> RwLockReadGuard<'_, ()> {
        self.writing.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an object that was opened at the time of this stamp; answers the one that is to be read.
    pub(super) fn remember(&self, object: Object, stamp: u64) -> Arc<Object> {
        let _writing = self.writing();
        let (object, slots) = self.index().remember(Arc::new(object), stamp);
        self.erase(&slots);
        object
    }

    /// Forgets names. Nothing of them can be read from the file any more when it returns.
    pub(super) fn forget(&self, names: &[&str]) {
        let writing = self.writing();
        for name in names {
            let slots = self.index().forget(name);
            self.erase(&slots);
        }
        drop(writing);
        // Whoever was writing something of it finds it forgotten, and erases it.
        drop(self.writing.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Erases slots that are busy, so that they may be used again.
    fn erase(&self, slots: &[usize]) {
        for slot in slots {
            self.local.erase(*slot, 0).unwrap_or_else(|error| self.tell(&error));
            self.index().free(*slot);
        }
    }

    /// Says once that the local disk has failed.
    fn tell(&self, error: &io::Error) {
        if add(&self.counters.local_failures, 1) == 0 {
            tracing::warn!(%error, "the cache of the store cannot be used on its disk; the store is read instead");
        }
    }

    /// Fills the buffer from an object.
    pub(super) fn read_at(&self, object: &Arc<Object>, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > object.length) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut done = 0;
        while done < buffer.len() {
            done += self.read_some(object, offset + done as u64, &mut buffer[done..])?;
        }
        Ok(())
    }

    /// Fills the beginning of a buffer that is not empty; answers how much of it.
    fn read_some(&self, object: &Arc<Object>, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let (block, within) = (at / BLOCK_BYTES, at % BLOCK_BYTES);
        let end = (at + buffer.len() as u64).div_ceil(BLOCK_BYTES);
        for _ in 0..ATTEMPTS {
            let found = self.index().look(object, block, end);
            match found {
                Found::Local(slot, generation) => {
                    let length = buffer.len().min((BLOCK_BYTES - within) as usize);
                    let read = self.local.read(slot, within, &mut buffer[..length]);
                    match read {
                        Ok(()) if self.index().is_still(slot, generation) => {
                            add(&self.counters.hits, 1);
                            return Ok(length);
                        }
                        Ok(()) => {}
                        Err(error) => self.lose(object, block, (slot, generation), &error),
                    }
                }
                Found::Missing(flight) => {
                    add(&self.counters.misses, 1);
                    let bytes = self.fetch(object, &flight)?;
                    return Ok(copy(&bytes, &flight, at, buffer));
                }
                Found::Coming(flight) => {
                    add(&self.counters.misses, 1);
                    if let Some(bytes) = flight.wait() {
                        return Ok(copy(&bytes, &flight, at, buffer));
                    }
                    // Each reader gets the error of a request of its own.
                    return read_from_store(object, flight.end, at, buffer);
                }
                Found::Forgotten => return read_from_store(object, object.blocks(), at, buffer),
            }
        }
        add(&self.counters.misses, 1);
        read_from_store(object, block + 1, at, buffer)
    }

    /// Reads blocks that nobody has asked for yet, as far as they are neither here nor on their way.
    pub(super) fn read_ahead(&self, object: &Arc<Object>, blocks: std::ops::Range<u64>) {
        let mut block = blocks.start;
        while block < blocks.end {
            let found = self.index().look(object, block, blocks.end);
            block = match found {
                Found::Missing(flight) => {
                    add(&self.counters.requests_ahead, 1);
                    // A reader will ask for itself, and get the error.
                    if self.fetch(object, &flight).is_err() {
                        return;
                    }
                    flight.end
                }
                Found::Local(..) | Found::Coming(_) => block + 1,
                Found::Forgotten => return,
            };
        }
    }

    /// Makes a request, and keeps what it brings.
    fn fetch(&self, object: &Arc<Object>, flight: &Arc<Flight>) -> io::Result<Arc<Vec<u8>>> {
        let _landing = Landing { reading: self, object, flight };
        let start = flight.first * BLOCK_BYTES;
        let length = (flight.end * BLOCK_BYTES).min(object.length) - start;
        let mut bytes = vec![0; length as usize];
        add(&self.counters.requests, 1);
        object.source.read_at(start, &mut bytes)?;
        add(&self.counters.fetched_bytes, length);
        let bytes = Arc::new(bytes);
        flight.arrive(&bytes);
        for (block, part) in (flight.first..flight.end).zip(bytes.chunks(BLOCK_BYTES as usize)) {
            self.keep(object, block, part);
        }
        Ok(bytes)
    }

    /// Writes a block into a slot, if there is one to be had.
    fn keep(&self, object: &Arc<Object>, block: u64, bytes: &[u8]) {
        let _writing = self.writing();
        let slot = self.index().slot_for(object);
        let Some((slot, is_eviction)) = slot else { return };
        add(&self.counters.evictions, u64::from(is_eviction));
        let written = self.local.write(slot, bytes);
        let is_kept = match &written {
            Ok(()) => self.index().settle(object, block, slot),
            Err(error) => {
                self.tell(error);
                false
            }
        };
        if !is_kept {
            self.erase(&[slot]);
        }
    }

    /// Gives up a block that the local disk does not give back.
    fn lose(&self, object: &Arc<Object>, block: u64, slot: (usize, u64), error: &io::Error) {
        let _writing = self.writing();
        let is_lost = self.index().lose(object, block, slot.0, slot.1);
        if is_lost {
            self.tell(error);
            self.erase(&[slot.0]);
        }
    }
}

/// Copies what there is for a position from the blocks that a request has brought.
fn copy(bytes: &[u8], flight: &Flight, at: u64, buffer: &mut [u8]) -> usize {
    let rest = &bytes[(at - flight.first * BLOCK_BYTES) as usize..];
    let length = rest.len().min(buffer.len());
    buffer[..length].copy_from_slice(&rest[..length]);
    length
}

/// Reads up to the beginning of a block past the cache.
fn read_from_store(object: &Object, end: u64, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let length = buffer.len().min((end * BLOCK_BYTES - at) as usize);
    object.source.read_at(at, &mut buffer[..length]).map(|()| length)
}

/// Ends a request, whatever becomes of whoever makes it.
struct Landing<'r> {
    reading: &'r Reading,
    object: &'r Arc<Object>,
    flight: &'r Arc<Flight>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.reading.index().land(self.object, self.flight);
        self.flight.end();
    }
}
