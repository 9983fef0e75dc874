//! The key file, and one derived key for each purpose.
//!
//! The file holds one 256-bit root secret for each region and is made on first start with mode 0600, outside the data
//! directory. Every use derives its own key with `blake3::derive_key`, so that digests of two purposes, regions,
//! programmes or epochs cannot be joined.
//!
//! ```text
//! shoal-keys 1                 format and its version
//! US 64 hexadecimal digits     one line a region, each exactly once, in any order
//! # comment                    these and blank lines are skipped
//! ```
//! Invariants: a key file comes to be whole or not at all (written under another name, fsynced, then linked to its own
//! name, which fails when that exists); no error, `Debug` or `Display` has key material; secrets are zeroised.
//! Not here: what is hashed with the derived keys (`pseudonym.rs`, `consent.rs`).

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use shoal_schemas::{Programme, Region};
use zeroize::Zeroizing;

use crate::{
    consent::ConsentDigester,
    key::{SECRET_BYTES, Secret},
    pseudonym::{Digester, Epoch, Pseudonymiser},
};

/// First line of a key file of the version that this code writes and reads.
const HEAD: &str = "shoal-keys 1";
/// No key file is longer than this, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Contexts of `blake3::derive_key`, one for each purpose. Never change one: all digests would change with it.
mod context {
    pub(super) const PSEUDONYM: &str = "Shoal 2026-11-22 pseudonym of a subject, version 1";
    pub(super) const SESSION: &str = "Shoal 2026-11-22 digest of a session id, version 1";
    pub(super) const EVENT_ID: &str = "Shoal 2026-11-22 digest of an event id, version 1";
    pub(super) const CONSENT: &str = "Shoal 2026-11-22 digest of a consent subject, version 1";
}

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
        reason: &'static str,
    },
}

/// The secrets of all regions. No `Debug`; zeroised when dropped.
pub struct Keyring {
    /// One slot a region, by [`Region::index`].
    roots: Vec<Secret>,
}

impl Keyring {
    /// Reads the key file, or makes it (mode 0600, fsynced) when there is none.
    ///
    /// # Errors
    /// When it cannot be read or made, when others can read it, when it is not a key file.
    pub fn open_or_create(path: &Path) -> Result<Keyring, KeyError> {
        let io = |source| io_error(path, source);
        for _ in 0..2 {
            match File::open(path) {
                Ok(file) => return read(path, file),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(io(e)),
            }
            match create(path) {
                Ok(keyring) => return Ok(keyring),
                // Another process was faster: its keys are the keys.
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(io(e)),
            }
        }
        Err(io(io::Error::other("it comes and goes while it is opened")))
    }

    /// A keyring of fresh random keys that is on no disk, for tests and benches.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    pub fn ephemeral() -> Keyring {
        fresh().expect("the operating system gives random numbers")
    }

    /// Makes pseudonyms of one region, programme and epoch.
    pub fn pseudonymiser(&self, region: Region, programme: Programme, epoch: Epoch) -> Pseudonymiser {
        Pseudonymiser::new(self.derive(context::PSEUDONYM, region, Some((programme, epoch))))
    }

    /// Makes digests of consent subjects of a region; does not rotate, and cannot be joined with pseudonyms.
    pub fn consent_digester(&self, region: Region) -> ConsentDigester {
        ConsentDigester::new(self.derive(context::CONSENT, region, None))
    }

    /// Makes digests of event ids of a region, for counting a resend once.
    pub fn event_digester(&self, region: Region) -> Digester {
        Digester::new(self.derive(context::EVENT_ID, region, None))
    }

    /// Makes digests of session ids of a region, programme and epoch.
    pub fn session_digester(&self, region: Region, programme: Programme, epoch: Epoch) -> Digester {
        Digester::new(self.derive(context::SESSION, region, Some((programme, epoch))))
    }

    /// Key material: root secret, then length-prefixed region, then length-prefixed programme and the epoch's four
    /// bytes (little endian) where the purpose has them.
    fn derive(&self, context: &str, region: Region, scope: Option<(Programme, Epoch)>) -> Secret {
        let root = &self.roots[region.index()];
        let mut hasher = blake3::Hasher::new_derive_key(context);
        let mut part = |text: &str| {
            hasher.update(&[u8::try_from(text.len()).expect("names of a closed set are short")]);
            hasher.update(text.as_bytes());
        };
        part(region.as_str());
        if let Some((programme, _)) = scope {
            part(programme.as_str());
        }
        if let Some((_, epoch)) = scope {
            hasher.update(&epoch.0.to_le_bytes());
        }
        hasher.update(&root[..]);
        Zeroizing::new(*hasher.finalize().as_bytes())
    }
}

fn io_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::Io { path: path.display().to_string(), source }
}

fn fresh() -> io::Result<Keyring> {
    let mut roots = Vec::with_capacity(Region::ALL.len());
    for _ in Region::ALL {
        let mut root = Zeroizing::new([0; SECRET_BYTES]);
        getrandom::fill(&mut root[..])
            .map_err(|_| io::Error::other("the operating system gave no random numbers"))?;
        roots.push(root);
    }
    Ok(Keyring { roots })
}

fn read(path: &Path, file: File) -> Result<Keyring, KeyError> {
    let io = |source| io_error(path, source);
    // Asked of the open file, so that it cannot be exchanged in between.
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(format_error(path, "it is not a regular file"));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Mode { path: path.display().to_string(), mode });
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(format_error(path, "it is too long"));
    }
    // The full capacity at once: a buffer that grows leaves copies of secrets behind.
    let capacity = usize::try_from(FILE_BYTES_MAX + 1).expect("a few kilobytes");
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
        Ok(_) => parse(&text).map_err(|reason| format_error(path, reason)),
        Err(e) if e.kind() == ErrorKind::InvalidData => Err(format_error(path, "it is not text")),
        Err(e) => Err(io(e)),
    }
}

fn format_error(path: &Path, reason: &'static str) -> KeyError {
    KeyError::Format { path: path.display().to_string(), reason }
}

fn parse(text: &str) -> Result<Keyring, &'static str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.next() {
        None => return Err("it is empty"),
        Some(HEAD) => {}
        Some(line) if line.starts_with("shoal-keys ") => {
            return Err("it has a version that this program does not know");
        }
        Some(_) => return Err("its first line is not `shoal-keys 1`"),
    }
    let mut found: Vec<Option<Secret>> = Region::ALL.iter().map(|_| None).collect();
    for line in lines {
        let (name, digits) = line.split_once(' ').ok_or("a line has no key")?;
        let region = Region::parse(name).ok_or("a line names no region")?;
        let mut root = Zeroizing::new([0; SECRET_BYTES]);
        hex::decode_to_slice(digits.trim(), &mut root[..])
            .map_err(|_| "a key is not 64 hexadecimal digits")?;
        if root.iter().all(|b| *b == 0) {
            return Err("a key is all zeros");
        }
        let slot = &mut found[region.index()];
        if slot.replace(root).is_some() {
            return Err("a region has two keys");
        }
    }
    let roots: Option<Vec<Secret>> = found.into_iter().collect();
    Ok(Keyring { roots: roots.ok_or("a region has no key")? })
}

/// Makes the file; `AlreadyExists` when there is one by now.
fn create(path: &Path) -> io::Result<Keyring> {
    let name =
        path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path names no file"))?;
    let parent = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    make_directory(parent)?;
    let mut random = [0; 8];
    getrandom::fill(&mut random)
        .map_err(|_| io::Error::other("the operating system gave no random numbers"))?;
    let mut unfinished_name = name.to_os_string();
    unfinished_name.push(format!(".{}.unfinished", hex::encode(random)));
    let unfinished = parent.join(unfinished_name);
    let keyring = fresh()?;
    let done = write(&unfinished, &keyring).and_then(|()| std::fs::hard_link(&unfinished, path));
    let removed = std::fs::remove_file(&unfinished);
    done?;
    removed?;
    File::open(parent)?.sync_all()?;
    Ok(keyring)
}

fn write(path: &Path, keyring: &Keyring) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let line_bytes = 4 + 2 * SECRET_BYTES;
    let mut text = Zeroizing::new(String::with_capacity(256 + Region::ALL.len() * line_bytes));
    text.push_str(HEAD);
    text.push_str(
        "\n# Root secrets of the regions. Whoever has one can tell whether a known identifier is in the data;\n\
         # without it no subject is found again. Keep a copy in a safe place, away from the data.\n",
    );
    for (region, root) in Region::ALL.iter().zip(&keyring.roots) {
        let mut digits = Zeroizing::new([0u8; 2 * SECRET_BYTES]);
        hex::encode_to_slice(&root[..], &mut digits[..]).map_err(io::Error::other)?;
        text.push_str(region.as_str());
        text.push(' ');
        text.push_str(std::str::from_utf8(&digits[..]).map_err(io::Error::other)?);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Makes a directory that only its owner can enter, and every missing one above it; all of them durable.
fn make_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|p| !p.as_os_str().is_empty() && !p.exists())
        .map(Path::to_path_buf)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for made in missing {
        match made.parent() {
            Some(p) if !p.as_os_str().is_empty() => File::open(p)?.sync_all()?,
            _ => File::open(".")?.sync_all()?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
