//! An encrypted object that is being read: only the chunks that a range touches are decrypted.
//!
//! Invariant: nothing is answered of a chunk that does not open. Whoever is told the length, or that a range is beyond it, is told
//! what the last chunk says, and not the size alone. Not here: the bytes of an object (`format`).

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::format::{Chunks, Layout};
use crate::objects::Source;
use crate::sealing::SEAL_BYTES;

/// About so many bytes are read at one time.
const READ_BYTES: usize = 256 << 10;

/// An object that is open.
pub(super) struct Opened {
    inner: Box<dyn Source>,
    layout: Layout,
    chunks: Chunks,
    /// The chunk that was last read in part, so that small reads in a row decrypt it once.
    last: Mutex<Option<Read>>,
    /// The last chunk was opened: the length is right.
    is_whole: AtomicBool,
}

/// A chunk that was decrypted.
struct Read {
    index: u64,
    bytes: Vec<u8>,
}

impl Opened {
    pub(super) fn new(inner: Box<dyn Source>, layout: Layout, chunks: Chunks) -> Opened {
        Opened { inner, layout, chunks, last: Mutex::new(None), is_whole: AtomicBool::new(false) }
    }

    /// A panic elsewhere leaves a whole chunk there, or none.
    fn last(&self) -> MutexGuard<'_, Option<Read>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails unless the last chunk says that it is the last.
    fn check_whole(&self) -> io::Result<()> {
        if !self.is_whole.load(Ordering::Acquire) {
            self.read_part(self.layout.chunks - 1, 0, &mut [])?;
        }
        Ok(())
    }

    /// Reads from within one chunk, and keeps the chunk for the next read.
    fn read_part(&self, index: u64, from: usize, buffer: &mut [u8]) -> io::Result<()> {
        let mut copy = |read: &Read| buffer.copy_from_slice(&read.bytes[from..][..buffer.len()]);
        if let Some(read) = self.last().as_ref().filter(|read| read.index == index) {
            copy(read);
            return Ok(());
        }
        let mut sealed = vec![0; self.layout.bytes_in(index) + SEAL_BYTES];
        self.inner.read_at(self.layout.stored_at(index), &mut sealed)?;
        let read = Read { index, bytes: self.open(index, &mut sealed)?.to_vec() };
        copy(&read);
        *self.last() = Some(read);
        Ok(())
    }

    /// Reads whole chunks: so many of them as the buffer has room for.
    fn read_whole(&self, first: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        let at_once = (READ_BYTES / self.chunks.bytes()).max(1) * self.chunks.bytes();
        let stride = self.chunks.bytes() + SEAL_BYTES;
        let mut stored = Vec::new();
        let mut index = first;
        while !buffer.is_empty() {
            let now = buffer.len().min(at_once);
            let (part, rest) = buffer.split_at_mut(now);
            stored.resize(now + now.div_ceil(self.chunks.bytes()) * SEAL_BYTES, 0);
            self.inner.read_at(self.layout.stored_at(index), &mut stored)?;
            for (sealed, out) in stored.chunks_mut(stride).zip(part.chunks_mut(self.chunks.bytes())) {
                out.copy_from_slice(self.open(index, sealed)?);
                index += 1;
            }
            buffer = rest;
        }
        Ok(())
    }

    fn open<'s>(&self, index: u64, sealed: &'s mut [u8]) -> io::Result<&'s mut [u8]> {
        let is_last = self.layout.is_last(index);
        let opened = self.chunks.open(index, is_last, sealed)?;
        if is_last {
            self.is_whole.store(true, Ordering::Release);
        }
        Ok(opened)
    }
}

impl Source for Opened {
    fn length(&self) -> io::Result<u64> {
        self.check_whole()?;
        Ok(self.layout.length)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.layout.length);
        let Some(end) = end else {
            self.check_whole()?;
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let chunk = self.layout.chunk;
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let (index, within) = (at / chunk, (at % chunk) as usize);
            let in_chunk = self.layout.bytes_in(index);
            let left = rest.len();
            let part = if within > 0 || left < in_chunk {
                let (part, later) = rest.split_at_mut(left.min(in_chunk - within));
                self.read_part(index, within, part)?;
                rest = later;
                part.len()
            } else {
                // Up to the end of a chunk, or of the object.
                let whole = if end == self.layout.length { left } else { left - (end % chunk) as usize };
                let (part, later) = rest.split_at_mut(whole);
                self.read_whole(index, part)?;
                rest = later;
                part.len()
            };
            at += part as u64;
        }
        Ok(())
    }
}
