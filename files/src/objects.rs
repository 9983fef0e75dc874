//! Objects: a name stands for complete, durable bytes, or for nothing.
//!
//! ```text
//! put, put_if_absent:  whole bytes ------------------------> durable, then named, then answered
//! write:               bytes .. bytes .. bytes, finish ----> durable, then named, then answered
//! ```
//! Invariants that every implementation keeps (`conformance` checks them):
//! - Nobody ever sees a part of an object. A reader that is open while the object is replaced or removed reads the old
//!   bytes or gets an error, never a mix.
//! - When `put`, `put_if_absent`, `finish` or `remove` has returned without an error, its effect survives a power cut. After
//!   an error it is not known whether it happened, except where the kind says so (below).
//! - Of any number of callers that put the same absent name at the same time, exactly one succeeds.
//! - What is unfinished is under no name, is not listed, and goes with [`Objects::sweep`] once it is old.
//!
//! Kinds of errors: `NotFound` (no such object), `AlreadyExists` (nothing was changed), `InvalidInput` (no name of an
//! object), `UnexpectedEof` (a range beyond the end). Every other kind is the store's trouble.
//!
//! Not here: files that are changed in place (`medium`).

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that can be read from any position, by many threads at once.
pub trait Source: Send + Sync {
    /// Their number.
    ///
    /// # Errors
    /// When the store cannot tell.
    fn length(&self) -> io::Result<u64>;

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the bytes end before the buffer is full.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// A hint that these ranges are about to be read, in this order. Waits for nothing, and changes nothing of what is read; a source
    /// that knows nothing better does nothing.
    fn will_read(&self, _ranges: &[Range<u64>]) {}
}

/// Bytes in memory.
impl Source for &[u8] {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let found = rest.and_then(|rest| rest.get(..buffer.len())).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }
}

/// An object that is being written, in order. It gets its name with [`NewObject::finish`]; dropped before, it is gone.
pub trait NewObject: io::Write + Send {
    /// Makes the bytes durable and gives them their name, in place of an object that has it. Answers their number.
    ///
    /// # Errors
    /// The name may stand for what it stood for before, or for the new bytes; never for a part of them.
    fn finish(self: Box<Self>) -> io::Result<u64>;
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its whole name, from the root.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written, by the store's clock, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// A place for objects. Names are segments joined by `/`; a folder is a name that others begin with, `""` is the root.
pub trait Objects: Send + Sync {
    /// Writes an object, in place of one that has the name. Durable when it returns.
    ///
    /// # Errors
    /// The name stands for the old bytes or for the new ones.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes an object whose name nobody has. Durable when it returns.
    ///
    /// # Errors
    /// `AlreadyExists` when somebody has it; their bytes are untouched.
    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Begins an object that is too large for the memory.
    ///
    /// # Errors
    /// When it cannot be begun.
    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>>;

    /// Opens an object for reading.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    fn open(&self, name: &str) -> io::Result<Box<dyn Source>>;

    /// Reads a whole object.
    ///
    /// # Errors
    /// As [`Objects::open`].
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let source = self.open(name)?;
        let length = usize::try_from(source.length()?).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        source.read_at(0, &mut bytes)?;
        Ok(bytes)
    }

    /// All objects in a folder, at any depth, in no order; none when there is no such folder.
    ///
    /// # Errors
    /// When the store cannot be asked, or holds what it cannot list (a disk: a symbolic link).
    fn list(&self, folder: &str) -> io::Result<Vec<Entry>>;

    /// Removes objects. Durable when it returns. One that is not there is no error, so that a call may be repeated.
    ///
    /// # Errors
    /// Some of them may be gone, and some not.
    fn remove(&self, names: &[&str]) -> io::Result<()>;

    /// Makes durable whatever can be seen in a folder (not below its folders), also what was put by a call that answered
    /// with an error, or by another process. Nothing to do for a store that shows only what is durable.
    ///
    /// # Errors
    /// `NotFound` when there is no such folder and the store has such things.
    fn sync(&self, folder: &str) -> io::Result<()>;

    /// Removes what unfinished objects have left in a folder and below, if it was last written at or before this time (by
    /// the store's clock, milliseconds since 1970) and is not being written by this process; and folders without objects,
    /// where a store has such things. What was removed there before is durable when it returns, also by a call that
    /// failed. Answers how many unfinished objects it removed.
    ///
    /// # Errors
    /// When something could not be removed. It can be repeated.
    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64>;

    /// What messages call an object. For nothing else.
    fn path(&self, name: &str) -> PathBuf;
}

/// A place that is shared.
impl<O: Objects + ?Sized> Objects for Arc<O> {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        (**self).put(name, bytes)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        (**self).put_if_absent(name, bytes)
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn NewObject>> {
        (**self).write(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Source>> {
        (**self).open(name)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        (**self).read(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        (**self).list(folder)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        (**self).remove(names)
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        (**self).sync(folder)
    }

    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
        (**self).sweep(folder, unchanged_since_ms)
    }

    fn path(&self, name: &str) -> PathBuf {
        (**self).path(name)
    }
}
