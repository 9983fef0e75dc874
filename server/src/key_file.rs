//! The key file: read at the start, or made by the first one, with mode 0600 and outside the data directory.
//!
//! Invariants: a key file comes to be whole or not at all, and one that exists is never written to; one that others can
//! read is refused; no error has any of its content; buffers that held it are zeroised.
//! Not here: what is in it (`shoal-privacy`, `keyring.rs`), how a file comes to be whole (`shoal-files`).

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::Path;

use shoal_files::{Disk, DiskFile, Objects, Source};
use shoal_privacy::keyring::{KeyFormatError, Keyring};
use zeroize::Zeroizing;

/// No key file is longer than this, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Why the key file could not be used. Never says anything about a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Reading or writing failed.
    #[error("key file {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What failed.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error("key file {path} can be read by others (mode {mode:o}); run: chmod 600 {path}")]
    Mode {
        /// The file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// It is not a key file, or lacks a region.
    #[error("key file {path} is not one: {reason}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong, without any content.
        reason: KeyFormatError,
    },
}

/// Reads the key file, or makes it when there is none.
///
/// # Errors
/// When it cannot be read or made, when others can read it, when it is not a key file.
pub(crate) fn open_or_create(path: &Path) -> Result<Keyring, KeyError> {
    let io = |source| KeyError::Io { path: path.display().to_string(), source };
    let (disk, name) = Disk::of_file(path).map_err(io)?;
    let disk = disk.private();
    for _ in 0..2 {
        match disk.open_file(&name) {
            Ok(file) => return read(path, &file),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
        let keyring = Keyring::generate().map_err(|e| io(io::Error::other(e)))?;
        match disk.put_if_absent(&name, keyring.to_text().as_bytes()) {
            Ok(()) => return Ok(keyring),
            // Another process was faster: its keys are the keys.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(io(e)),
        }
    }
    Err(io(io::Error::other("it comes and goes while it is opened")))
}

fn read(path: &Path, file: &DiskFile) -> Result<Keyring, KeyError> {
    let path = || path.display().to_string();
    let io = |source| KeyError::Io { path: path(), source };
    let no_key_file = |reason| KeyError::Format { path: path(), reason };
    if !file.is_regular().map_err(io)? {
        return Err(no_key_file(KeyFormatError("it is not a regular file")));
    }
    let mode = file.mode().map_err(io)?;
    if mode & 0o077 != 0 {
        return Err(KeyError::Mode { path: path(), mode });
    }
    let length = file.length().map_err(io)?;
    if length > FILE_BYTES_MAX {
        return Err(no_key_file(KeyFormatError("it is too long")));
    }
    // The full size at once: a buffer that grows leaves copies of secrets behind.
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or_default()]);
    file.read_at(0, &mut bytes).map_err(io)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| no_key_file(KeyFormatError("it is not text")))?;
    Keyring::parse(text).map_err(no_key_file)
}
