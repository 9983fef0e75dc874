//! Custody by a file of wrapping keys: a secret that a platform mounts, or a disk of its own.
//!
//! ```text
//! shoal-wrapping-keys 1             format and its version
//! id 16 hexadecimal digits          what tells this file from others: the name of its keys
//! 1 64 hexadecimal digits           a version of the key: ascending numbers, the last one wraps
//! # comment                         these and blank lines are skipped
//! ```
//! A version is destroyed by taking out its line. Sealing is that of `shoal-files`: XChaCha20-Poly1305 with a random nonce.
//!
//! Invariants: keys are zeroised; no error has any. It protects from whoever has the key file and not this one, and from nobody else.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use shoal_files::{Disk, KEY_BYTES, Objects as _, SealingKey};
use zeroize::Zeroizing;

use crate::custody::Custody;
use crate::error::CustodyError;
use crate::key_name::{KeyName, Kind, Wrapped};
use crate::secret_file;

const HEAD: &str = "shoal-wrapping-keys 1";

/// A file of wrapping keys, which is read for each call. No `Debug`.
pub struct WrappingFile {
    path: PathBuf,
}

/// What is in it.
struct Keys {
    id: String,
    versions: Vec<(u32, SealingKey)>,
}

impl WrappingFile {
    /// The file of this path.
    pub fn new(path: &Path) -> WrappingFile {
        WrappingFile { path: path.to_path_buf() }
    }

    /// Makes the file with one key, unless it is there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self) -> Result<(), CustodyError> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(|_| CustodyError::NoRandomNumbers)?;
        let key = fresh_line(1)?;
        let mut text = Zeroizing::new(String::with_capacity(512));
        for part in [
            HEAD,
            "\n# Keys that the key file is wrapped with. Whoever has them and the key file has the secrets. Without them the key\n\
             # file cannot be read: keep a copy in a safe, and not beside the key file.\nid ",
            &hex::encode(id),
            "\n",
            &key,
        ] {
            text.push_str(part);
        }
        let (disk, name) = self.place()?;
        match disk.put_if_absent(&name, text.as_bytes()) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(self.unusable(error)),
            _ => Ok(()),
        }
    }

    /// Adds a version, which wraps from then on. Answers its number.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn add_version(&self) -> Result<u32, CustodyError> {
        let text = secret_file::read(&self.path).map_err(|reason| self.unusable(reason))?;
        let last = self.parse(&text)?.versions.last().map_or(0, |(number, _)| *number);
        let number = last.checked_add(1).ok_or_else(|| self.unusable("it has no number left"))?;
        let line = fresh_line(number)?;
        let mut longer = Zeroizing::new(String::with_capacity(text.len() + line.len() + 1));
        longer.push_str(text.trim_end());
        longer.push('\n');
        longer.push_str(&line);
        let (disk, name) = self.place()?;
        disk.put(&name, longer.as_bytes()).map_err(|error| self.unusable(error))?;
        Ok(number)
    }

    fn place(&self) -> Result<(Disk, String), CustodyError> {
        let (disk, name) = Disk::of_file(&self.path).map_err(|error| self.unusable(error))?;
        Ok((disk.private(), name))
    }

    fn unusable(&self, reason: impl ToString) -> CustodyError {
        CustodyError::unusable(format!("the file of wrapping keys {}", self.path.display()), reason)
    }

    fn keys(&self) -> Result<Keys, CustodyError> {
        let text = secret_file::read(&self.path).map_err(|reason| self.unusable(reason))?;
        self.parse(&text)
    }

    fn parse(&self, text: &str) -> Result<Keys, CustodyError> {
        parse(text).map_err(|reason| self.unusable(reason))
    }
}

impl Custody for WrappingFile {
    fn kind(&self) -> Kind {
        Kind::File
    }

    fn wrap(&self, context: &[u8], secret: &[u8]) -> Result<Wrapped, CustodyError> {
        let keys = self.keys()?;
        let (number, key) = keys.versions.last().ok_or_else(|| self.unusable("it has no key"))?;
        let bytes = key.seal(context, secret).map_err(|_| CustodyError::NoRandomNumbers)?;
        Ok(Wrapped { key: KeyName { name: keys.id, version: number.to_string() }, bytes })
    }

    fn unwrap(&self, context: &[u8], wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, CustodyError> {
        let keys = self.keys()?;
        let place = || format!("the file of wrapping keys {}", self.path.display());
        let no_key = |reason: &str| CustodyError::NoKey {
            place: place(),
            key: wrapped.key.to_string(),
            reason: reason.to_owned(),
        };
        if keys.id != wrapped.key.name {
            return Err(no_key("it is another file, with keys of another id"));
        }
        let is_meant = |(number, _): &&(u32, SealingKey)| number.to_string() == wrapped.key.version;
        let (_, key) =
            keys.versions.iter().find(is_meant).ok_or_else(|| no_key("that version is not in it"))?;
        key.open(context, &wrapped.bytes).ok_or_else(|| CustodyError::not_authentic(place(), &wrapped.key))
    }
}

/// The line of a fresh key.
fn fresh_line(number: u32) -> Result<Zeroizing<String>, CustodyError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut key[..]).map_err(|_| CustodyError::NoRandomNumbers)?;
    let mut digits = Zeroizing::new([0; 2 * KEY_BYTES]);
    hex::encode_to_slice(&key[..], &mut digits[..]).expect("each byte has two digits");
    let mut line = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 16));
    line.push_str(&number.to_string());
    line.push(' ');
    line.push_str(std::str::from_utf8(&digits[..]).expect("hexadecimal digits are text"));
    line.push('\n');
    Ok(line)
}

/// Whether a text is that of such a file.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn is_one(text: &str) -> bool {
    parse(text).is_ok()
}

fn parse(text: &str) -> Result<Keys, &'static str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    if lines.next() != Some(HEAD) {
        return Err("its first line is not `shoal-wrapping-keys 1`");
    }
    let id = lines.next().and_then(|line| line.strip_prefix("id ")).ok_or("it has no id")?;
    if id.len() != 16 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("its id is not 16 hexadecimal digits");
    }
    let mut versions: Vec<(u32, SealingKey)> = Vec::new();
    for line in lines {
        let (number, digits) = line.split_once(' ').ok_or("a line has no key")?;
        let number = number.parse().map_err(|_| "a version is not a number")?;
        if versions.last().is_some_and(|(last, _)| *last >= number) {
            return Err("its versions do not ascend");
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(digits, &mut key[..]).map_err(|_| "a key is not 64 hexadecimal digits")?;
        if key.iter().all(|byte| *byte == 0) {
            return Err("a key is all zeros");
        }
        versions.push((number, SealingKey::new(&key)));
    }
    Ok(Keys { id: id.to_owned(), versions })
}

#[cfg(test)]
mod tests;
