//! An encrypted object that is being written, chunk by chunk.
//!
//! Invariant: after an error it is never finished: nobody knows which of its bytes were written. Not here: the bytes of an object
//! (`format`).

use std::io::{self, Write};

use super::format::{Chunks, Head};
use crate::objects::NewObject;

/// What is sealed is written when it is so much.
const WRITE_BYTES: usize = 256 << 10;

/// An object without a name.
pub(super) struct Unfinished {
    inner: Box<dyn NewObject>,
    chunks: Chunks,
    /// A chunk at the most: whether it is the last is known when the next byte comes, or none.
    chunk: Vec<u8>,
    /// What is sealed and not written.
    stored: Vec<u8>,
    index: u64,
    length: u64,
    is_broken: bool,
}

impl Unfinished {
    pub(super) fn new(inner: Box<dyn NewObject>, head: Head, chunks: Chunks) -> Unfinished {
        let chunk = Vec::with_capacity(chunks.bytes());
        let stored = head.bytes().to_vec();
        Unfinished { inner, chunks, chunk, stored, index: 0, length: 0, is_broken: false }
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        self.chunks.seal_into(self.index, is_last, &self.chunk, &mut self.stored)?;
        self.chunk.clear();
        self.index += 1;
        Ok(())
    }

    fn pass_on(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.stored)?;
        self.stored.clear();
        Ok(())
    }

    /// Runs a step after which nothing is known when it fails.
    fn step(&mut self, work: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if self.is_broken {
            return Err(io::Error::other("an earlier part of the object was not written"));
        }
        self.is_broken = true;
        work(self)?;
        self.is_broken = false;
        Ok(())
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_full = !bytes.is_empty() && self.chunk.len() == self.chunks.bytes();
        self.step(|own| if is_full { own.seal(false) } else { Ok(()) })?;
        if self.stored.len() >= WRITE_BYTES {
            self.step(Unfinished::pass_on)?;
        }
        let part = bytes.len().min(self.chunks.bytes() - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..part]);
        self.length += part as u64;
        Ok(part)
    }

    /// What is in a chunk that is not full stays: it is sealed once.
    fn flush(&mut self) -> io::Result<()> {
        self.step(|own| own.pass_on().and_then(|()| own.inner.flush()))
    }
}

impl NewObject for Unfinished {
    fn finish(mut self: Box<Self>) -> io::Result<u64> {
        self.step(|own| own.seal(true).and_then(|()| own.pass_on()))?;
        self.inner.finish()?;
        Ok(self.length)
    }
}
