//! Files that are written by position: what a local disk can do beyond objects.
//!
//! Invariants that every implementation keeps (`conformance` checks them): `create` and `rename` are durable when they
//! return; what `write_at` and `set_length` did is durable only after `sync`; a new file is filled with zeros.
//! Not here: what the files mean; the medium that loses, tears and fails (`memory`, `faulty`).

use std::io;

use crate::objects::{Objects, Source};

/// A place for objects that also has files which change in place. One name stands for one of either.
pub trait Medium: Objects {
    /// Makes a file of `bytes` zeros; an older one of this name is replaced.
    ///
    /// # Errors
    /// When it cannot be made; the name may stand for a shorter file then.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>>;

    /// Opens a file that exists for writing.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn edit(&self, name: &str) -> io::Result<Box<dyn LogFile>>;

    /// Gives a file another name; a file of that name is replaced.
    ///
    /// # Errors
    /// `NotFound` when there is none. After any other it has one of the two names.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Bytes that may still be written to the disk.
    ///
    /// # Errors
    /// When the disk cannot be asked.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file. It keeps its bytes when its name changes.
pub trait LogFile: Source {
    /// Writes all bytes at `offset`; the file grows when it has to.
    ///
    /// # Errors
    /// Any part of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file, or lets it grow by zeros.
    ///
    /// # Errors
    /// The file has its old length or the new one.
    fn set_length(&self, bytes: u64) -> io::Result<()>;

    /// Returns when everything written, and the length, is durable.
    ///
    /// # Errors
    /// Nothing is known about any of it.
    fn sync(&self) -> io::Result<()>;
}
