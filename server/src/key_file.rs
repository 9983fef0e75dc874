//! The key file: read at the start, or made by the first one, with mode 0600 and outside the data directory.
//!
//! Invariants: no key file is made beside data, because they were made with another one; a key file comes to be whole or not at
//! all, and one that exists is never written to; one that others can read is refused; no error has any of its content; buffers
//! that held it are zeroised.
//! Not here: what is in it (`shoal-privacy`, `keyring.rs`), whether it is the one that the data were made with (`key_check.rs`),
//! how a file comes to be whole (`shoal-files`).

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::Path;

use shoal_files::{Disk, DiskFile, Objects, Source};
use shoal_privacy::keyring::{KeyFormatError, Keyring};
use shoal_schemas::Region;
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
    /// It is missing, and there are data that were made with it.
    #[error(
        "key file {path} is missing, and {data_dir} holds data that were made with it. Put it back from its copy: with other keys \
         nobody is found again, and withdrawals of consent would be forgotten. If there is no copy, begin with an empty data_dir"
    )]
    Missing {
        /// The file.
        path: String,
        /// The directory with data.
        data_dir: String,
    },
    /// The data were made with other keys.
    #[error(
        "key file {path} has not the keys of {region} that the data were made with, or {check} is damaged. Put the right key file \
         back: with other keys nobody is found again, and withdrawals of consent would be forgotten"
    )]
    Other {
        /// The file.
        path: String,
        /// The region.
        region: Region,
        /// The file of the check values.
        check: String,
    },
    /// A file of check values cannot be used.
    #[error("{path}: {source}")]
    Check {
        /// The file.
        path: String,
        /// What failed.
        source: std::io::Error,
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

/// Reads the key file, for whoever only looks: none is made.
///
/// # Errors
/// When it cannot be read, when others can read it, when it is not a key file.
pub(crate) fn open(path: &Path) -> Result<Keyring, KeyError> {
    let io = |source| KeyError::Io { path: path.display().to_string(), source };
    let (disk, name) = Disk::of_file(path).map_err(io)?;
    read(path, &disk.open_file(&name).map_err(io)?)
}

/// Reads the key file, or makes it when there is none and no data either.
///
/// # Errors
/// When it cannot be read or made, when it is missing beside data, when others can read it, when it is not a key file.
pub(crate) fn open_or_create(path: &Path, data_dir: &Path) -> Result<Keyring, KeyError> {
    let io = |source| KeyError::Io { path: path.display().to_string(), source };
    let (disk, name) = Disk::of_file(path).map_err(io)?;
    let disk = disk.private();
    for _ in 0..2 {
        match disk.open_file(&name) {
            Ok(file) => return read(path, &file),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
        if has_data(data_dir).map_err(io)? {
            let (path, data_dir) = (path.display().to_string(), data_dir.display().to_string());
            return Err(KeyError::Missing { path, data_dir });
        }
        let keyring = Keyring::generate().map_err(|e| io(io::Error::other(e)))?;
        match disk.put_if_absent(&name, keyring.to_text().as_bytes()) {
            Ok(()) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
                tracing::warn!(
                    path = %path.display(),
                    "the key file was made. Keep a copy of it in another place: without it nobody is found again in the data, and \
                     withdrawals of consent are forgotten"
                );
                return Ok(keyring);
            }
            // Another process was faster: its keys are the keys.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(io(e)),
        }
    }
    Err(io(io::Error::other("it comes and goes while it is opened")))
}

/// Whether a data directory holds what was made with keys: a service has made the directory of a region.
pub(crate) fn has_data(data_dir: &Path) -> io::Result<bool> {
    for region in Region::ALL {
        if data_dir.join(folder(*region)).try_exists()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The directory of a region in a data directory.
pub(crate) fn folder(region: Region) -> String {
    region.as_str().to_ascii_lowercase()
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
