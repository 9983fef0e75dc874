//! The key file: read at the start, or made by the first one, with mode 0600 and outside the data directory.
//!
//! Invariants: no key file is made beside data, because they were made with another one; a key file comes to be whole or not at
//! all, and one that exists is never written to; one that others can read is refused; no error has any of its content; buffers
//! that held it are zeroised; a service starts with a key file that is kept as the settings say, and with no other.
//! Not here: what is in it (`shoal-privacy`, `keyring.rs`), whether it is the one that the data were made with (`key_check.rs`),
//! how a file comes to be whole (`shoal-files`), how it is wrapped (`shoal-custody`), how it is wrapped anew (`key_custody.rs`).

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::Path;

use shoal_custody::{Custodies, CustodyError, Envelope};
use shoal_files::{Disk, DiskFile, Objects, Source};
use shoal_privacy::keyring::{KeyFormatError, Keyring};
use shoal_schemas::Region;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::custody::custodies;

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
    /// Its custody does not do its part.
    #[error("key file {path}: {source}")]
    Custody {
        /// The file.
        path: String,
        /// What failed.
        source: CustodyError,
    },
    /// It is kept otherwise than the settings say.
    #[error(
        "key file {path} is {found}, and by the settings it is to be {wanted}. To move it there run: shoal keys {command}. To leave it \
         as it is, set `keys.custody` back"
    )]
    NotKept {
        /// The file.
        path: String,
        /// How it is kept.
        found: String,
        /// How it is to be kept.
        wanted: String,
        /// What moves it.
        command: &'static str,
    },
}

/// Reads the key file, for whoever only looks: none is made.
///
/// # Errors
/// When it cannot be read, when others can read it, when it is not a key file, or its custody does not unwrap it.
pub(crate) fn open(config: &Config) -> Result<Keyring, KeyError> {
    open_at(&config.key_file, config)
}

/// The same of a file that is not in its place.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_at(path: &Path, config: &Config) -> Result<Keyring, KeyError> {
    keyring(path, config, text(path)?)
}

/// The text of the key file, wrapped or in the clear.
///
/// # Errors
/// When it cannot be read, or others can read it.
pub(crate) fn text(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let io = |source| KeyError::Io { path: path.display().to_string(), source };
    let (disk, name) = Disk::of_file(path).map_err(io)?;
    read(path, &disk.open_file(&name).map_err(io)?)
}

/// Whether it is a key file, as far as can be told without its custody.
///
/// # Errors
/// When it cannot be read, when others can read it, when it is not a key file.
pub(crate) fn look(path: &Path) -> Result<(), KeyError> {
    formed(path, &text(path)?)
}

fn formed(path: &Path, text: &str) -> Result<(), KeyError> {
    match Envelope::is_one(text) {
        true => Envelope::parse(text).map(drop).map_err(|source| custody_error(path, source)),
        false => parse(path, text).map(drop),
    }
}

/// Whether it is kept as the settings say.
///
/// # Errors
/// When it is not, or cannot be read.
pub(crate) fn check_kept(config: &Config) -> Result<(), KeyError> {
    kept(&config.key_file, config, &text(&config.key_file)?)
}

/// Reads the key file, or makes it when there is none and no data either, wrapped as the settings say.
///
/// # Errors
/// When it cannot be read or made, when it is missing beside data, when others can read it, when it is not a key file, when it is kept
/// otherwise than the settings say, or its custody does not do its part.
pub(crate) fn open_or_create(config: &Config) -> Result<Keyring, KeyError> {
    let (path, data_dir) = (config.key_file.as_path(), config.data_dir.as_path());
    let io = |source| KeyError::Io { path: path.display().to_string(), source };
    let (disk, name) = Disk::of_file(path).map_err(io)?;
    let disk = disk.private();
    for _ in 0..2 {
        match disk.open_file(&name) {
            Ok(file) => {
                let text = read(path, &file)?;
                kept(path, config, &text)?;
                return keyring(path, config, text);
            }
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
        if has_data(data_dir).map_err(io)? {
            let (path, data_dir) = (path.display().to_string(), data_dir.display().to_string());
            return Err(KeyError::Missing { path, data_dir });
        }
        let keyring = Keyring::generate().map_err(|e| io(io::Error::other(e)))?;
        let text = wrapped(path, &of(path, config)?, &keyring.to_text())?;
        match disk.put_if_absent(&name, text.as_bytes()) {
            Ok(()) => {
                told(path, &text);
                return Ok(keyring);
            }
            // Another process was faster: its keys are the keys.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(io(e)),
        }
    }
    Err(io(io::Error::other("it comes and goes while it is opened")))
}

/// Says what to do with a key file that was made.
fn told(path: &Path, text: &str) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (path, is_wrapped) = (path.display(), Envelope::is_one(text));
    tracing::warn!(
        %path,
        is_wrapped,
        "the key file was made. Keep a copy of it in another place: without it nobody is found again in the data, and withdrawals of consent \
         are forgotten. Where it is wrapped, that needs the key of its custody as well"
    );
}

/// The text of a key file as it is to be written: wrapped as the settings say.
///
/// # Errors
/// When the custody that is to wrap it does not do its part.
pub(crate) fn wrapped(
    path: &Path,
    custodies: &Custodies,
    text: &Zeroizing<String>,
) -> Result<Zeroizing<String>, KeyError> {
    custodies
        .make_wrapping_file()
        .and_then(|()| custodies.write(text))
        .map_err(|source| custody_error(path, source))
}

/// The custodies of a key file.
///
/// # Errors
/// When settings of one are missing.
pub(crate) fn of(path: &Path, config: &Config) -> Result<Custodies, KeyError> {
    custodies(config).map_err(|source| custody_error(path, source))
}

/// An error of a custody, about this key file.
pub(crate) fn custody_error(path: &Path, source: CustodyError) -> KeyError {
    let path = path.display().to_string();
    match source {
        CustodyError::Form(reason) => KeyError::Format { path, reason: KeyFormatError(reason) },
        source => KeyError::Custody { path, source },
    }
}

/// How a text is kept, in words.
pub(crate) fn words(text: &str) -> String {
    match Envelope::parse(text) {
        Ok(envelope) => format!("in the custody of `{}`", envelope.kind()),
        Err(_) => "in the clear".to_owned(),
    }
}

fn kept(path: &Path, config: &Config, text: &str) -> Result<(), KeyError> {
    // What is no key file at all is told as that.
    formed(path, text)?;
    let custodies = of(path, config)?;
    if custodies.is_kept(text) {
        return Ok(());
    }
    let wanted = match custodies.is_in_the_clear() {
        true => "in the clear (`keys.custody` is `file`, and `keys.wrapping_file` is not set)".to_owned(),
        false => format!("in the custody of `{}`", custodies.wraps()),
    };
    let command = match (Envelope::is_one(text), custodies.is_in_the_clear()) {
        (false, _) => "wrap",
        (true, false) => "rewrap",
        (true, true) => "rewrap --in-the-clear",
    };
    Err(KeyError::NotKept { path: path.display().to_string(), found: words(text), wanted, command })
}

fn keyring(path: &Path, config: &Config, text: Zeroizing<String>) -> Result<Keyring, KeyError> {
    if !Envelope::is_one(&text) {
        return parse(path, &text);
    }
    let unwrap = || of(path, config)?.read(text.clone()).map_err(|source| custody_error(path, source));
    parse(path, &config.unwrapped.of(&text, unwrap)?)
}

fn parse(path: &Path, text: &str) -> Result<Keyring, KeyError> {
    Keyring::parse(text).map_err(|reason| KeyError::Format { path: path.display().to_string(), reason })
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

fn read(path: &Path, file: &DiskFile) -> Result<Zeroizing<String>, KeyError> {
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
    // Without a copy. Bytes that are no text are zeroised, too.
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        no_key_file(KeyFormatError("it is not text"))
    })
}
