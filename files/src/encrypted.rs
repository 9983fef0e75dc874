//! A decorator: whole objects are encrypted where they lie, and read in ranges as ever.
//!
//! Whoever has the medium and no key sees how many objects there are, their names, their sizes and when they were written.
//! An object belongs to its name: under another name it does not open, so it cannot be renamed below the decorator.
//!
//! Invariants: no byte of an object is handed out that was not written under this name with this key, in this place; an object
//! that was cut is an error for whoever asks for its length or its end. A stream needs memory for one chunk and what is on its way.
//! What was not written through it is an error, or is passed on as it is where that was asked for.
//!
//! - `format`: the bytes; `opened`: reading; `unfinished`: writing
//!
//! Not here: the cipher (`sealing`), where keys come from, files that are changed in place (`medium`).

mod format;
mod opened;
#[cfg(test)]
mod tests;
mod unfinished;

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::objects::{Entry, NewObject, Objects, Source};
use crate::sealing::{Sealing, SealingKey};
use format::{Chunks, Found, Head};
use opened::Opened;
use unfinished::Unfinished;

/// Bytes of a chunk, unless another size is chosen.
const CHUNK_BYTES: usize = 64 << 10;

/// Objects of another place, encrypted there.
#[derive(Clone)]
pub struct Encrypted<O> {
    inner: O,
    sealing: Option<Sealing>,
    /// Logarithm (base 2) of the bytes of a new object's chunks.
    chunk_bits: u8,
    is_reading_plain: bool,
}

impl<O: Objects> Encrypted<O> {
    /// The objects of this place. What is written is encrypted, or in the clear where the key is for reading only or is not there;
    /// then what is in the clear is read, too.
    pub fn new(inner: O, sealing: Option<Sealing>) -> Encrypted<O> {
        let is_reading_plain = sealing.as_ref().is_none_or(|sealing| !sealing.is_writing);
        Encrypted { inner, sealing, chunk_bits: format::bits(CHUNK_BYTES), is_reading_plain }
    }

    /// The same, but what is in the clear is passed on as it is: it was written before anything was encrypted. An object without
    /// any bytes is then one without any, also when it has lost them.
    pub fn reading_plain(self) -> Encrypted<O> {
        Encrypted { is_reading_plain: true, ..self }
    }

    /// The same, but new objects have chunks of so many bytes, rounded up to a power of two from 1 KiB to 1 MiB. A read decrypts whole
    /// chunks: small ones are for reads of a few bytes anywhere, and each takes [`crate::SEAL_BYTES`] more on the disk.
    pub fn with_chunk_bytes(self, bytes: usize) -> Encrypted<O> {
        Encrypted { chunk_bits: format::bits(bytes), ..self }
    }

    fn key(&self) -> Option<&SealingKey> {
        self.sealing.as_ref().map(|sealing| &sealing.key)
    }

    /// What new objects are encrypted with, if they are.
    fn writing_key(&self) -> Option<&SealingKey> {
        self.sealing.as_ref().filter(|sealing| sealing.is_writing).map(|sealing| &sealing.key)
    }

    /// The whole bytes of an object as they are stored.
    fn sealed(&self, key: &SealingKey, name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let head = Head::generate(self.chunk_bits)?;
        head.seal_whole(&Chunks::new(key.clone(), &head, name), bytes)
    }

    /// The bytes in an object; those of it where they cannot be told. None when it is not there any more.
    fn length_of(&self, entry: &Entry) -> Option<u64> {
        let opened = match self.inner.open(&entry.name) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            opened => opened,
        };
        let measured = opened.and_then(|source| match format::find(&*source)? {
            Found::Sealed(_, layout) => Ok(layout.length),
            Found::Plain => Ok(entry.bytes),
        });
        Some(measured.unwrap_or(entry.bytes))
    }
}

impl<O: Objects> Objects for Encrypted<O> {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match self.writing_key() {
            Some(key) => self.inner.put(name, &self.sealed(key, name, bytes)?),
            None => self.inner.put(name, bytes),
        }
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match self.writing_key() {
            Some(key) => self.inner.put_if_absent(name, &self.sealed(key, name, bytes)?),
            None => self.inner.put_if_absent(name, bytes),
        }
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        let inner = self.inner.write(name)?;
        let Some(key) = self.writing_key() else { return Ok(inner) };
        let head = Head::generate(self.chunk_bits)?;
        let chunks = Chunks::new(key.clone(), &head, name);
        Ok(Box::new(Unfinished::new(inner, head, chunks)))
    }

    /// # Errors
    /// `InvalidData` when it was changed, or written under another name or with another key; when it is in the clear and must not be;
    /// and when it is encrypted and there is no key. What is not read is not looked at.
    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        let source = self.inner.open(name)?;
        match (format::find(&*source)?, self.key()) {
            (Found::Plain, _) if self.is_reading_plain => Ok(source),
            (Found::Plain, _) => Err(format::invalid("it is in the clear, and must be encrypted")),
            (Found::Sealed(..), None) => Err(format::invalid("it is encrypted, and there is no key")),
            (Found::Sealed(head, layout), Some(key)) => {
                Ok(Box::new(Opened::new(source, layout, Chunks::new(key.clone(), &head, name))))
            }
        }
    }

    /// Their sizes are those of the bytes in them, for which the head of each is read; of one that cannot be read, its own.
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let all = self.inner.list(folder)?.into_iter();
        Ok(all.filter_map(|entry| Some(Entry { bytes: self.length_of(&entry)?, ..entry })).collect())
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
