//! The text of a wrapped key file: version 3, around a text of an earlier version.
//!
//! ```text
//! shoal-keys 3
//! custody transit            which custody has wrapped the file key
//! key shoal                  with which of its keys
//! version 3                  of which version
//! wrapped <base64>           the file key, 32 random bytes, as the custody wrapped it
//! sealed <base64>            the text of version 1 or 2, sealed with the file key; the lines before are authenticated
//! # comment                  these and blank lines are skipped
//! ```
//! So a custody is asked once for a file, and sees no secret of a region. A file key seals one text: what is wrapped anew has another.
//!
//! Invariants: [`Envelope::seal`] answers only what it has opened again; what is unwrapped is zeroised; no error has any of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shoal_files::{KEY_BYTES, SealingKey};
use zeroize::Zeroizing;

use crate::custody::Custody;
use crate::error::CustodyError;
use crate::key_name::{KeyName, Kind, Wrapped};

const HEAD: &str = "shoal-keys 3";
/// What the file key is wrapped for. Never change it: no key file could be read any more.
pub const CONTEXT: &[u8] = b"shoal key file, version 3";

/// A wrapped key file. It has nothing that a custody must not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    kind: Kind,
    file_key: Wrapped,
    sealed: Vec<u8>,
}

impl Envelope {
    /// Whether a text is that of a wrapped key file.
    pub fn is_one(text: &str) -> bool {
        lines(text).next() == Some(HEAD)
    }

    /// Wraps the text of a key file, and opens it again before it answers.
    ///
    /// # Errors
    /// When the custody does not do its part.
    pub fn seal(custody: &dyn Custody, text: &str) -> Result<Envelope, CustodyError> {
        let mut file_key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut file_key[..]).map_err(|_| CustodyError::NoRandomNumbers)?;
        let wrapped = custody.wrap(CONTEXT, &file_key[..])?;
        if !wrapped.key.is_plain() {
            return Err(CustodyError::unusable(
                custody.kind(),
                "the name of its key has characters that are not shown",
            ));
        }
        let mut envelope = Envelope { kind: custody.kind(), file_key: wrapped, sealed: Vec::new() };
        let key = SealingKey::new(&file_key);
        let sealed = key.seal(envelope.head().as_bytes(), text.as_bytes());
        envelope.sealed = sealed.map_err(|_| CustodyError::NoRandomNumbers)?;
        match envelope.open(custody)?.as_str() == text {
            true => Ok(envelope),
            false => Err(envelope.not_authentic()),
        }
    }

    /// The wrapped key file of a text.
    ///
    /// # Errors
    /// When it is no such text.
    pub fn parse(text: &str) -> Result<Envelope, CustodyError> {
        parse(text).map_err(CustodyError::Form)
    }

    /// The text in it.
    ///
    /// # Errors
    /// When the custody does not do its part, or the text was changed.
    pub fn open(&self, custody: &dyn Custody) -> Result<Zeroizing<String>, CustodyError> {
        let file_key = custody.unwrap(CONTEXT, &self.file_key)?;
        let file_key: &[u8; KEY_BYTES] = file_key.as_slice().try_into().map_err(|_| self.not_authentic())?;
        let opened = SealingKey::new(file_key).open(self.head().as_bytes(), &self.sealed);
        let mut opened = opened.ok_or_else(|| self.not_authentic())?;
        // Without a copy. Bytes that are no text are not shown either, so they are zeroised by hand.
        let text = String::from_utf8(std::mem::take(&mut *opened));
        text.map(Zeroizing::new).map_err(|error| {
            drop(Zeroizing::new(error.into_bytes()));
            self.not_authentic()
        })
    }

    /// The text of its file.
    pub fn to_text(&self) -> String {
        let head = self.head();
        let (first, rest) = head.split_once('\n').unwrap_or((&head, ""));
        format!(
            "{first}\n# The secrets are sealed with a key that only this custody can unwrap. A copy of this file is worth nothing without it.\n\
             {rest}sealed {}\n",
            STANDARD.encode(&self.sealed)
        )
    }

    /// Which custody has wrapped it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// With which key.
    pub fn key(&self) -> &KeyName {
        &self.file_key.key
    }

    /// The lines that are authenticated.
    fn head(&self) -> String {
        let Wrapped { key, bytes } = &self.file_key;
        let wrapped = STANDARD.encode(bytes);
        format!(
            "{HEAD}\ncustody {}\nkey {}\nversion {}\nwrapped {wrapped}\n",
            self.kind, key.name, key.version
        )
    }

    fn not_authentic(&self) -> CustodyError {
        CustodyError::not_authentic(format!("custody `{}`", self.kind), &self.file_key.key)
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn parse(text: &str) -> Result<Envelope, &'static str> {
    let mut lines = lines(text);
    if lines.next() != Some(HEAD) {
        return Err("its first line is not `shoal-keys 3`");
    }
    let mut next = |word: &str, missing: &'static str| {
        lines.next().and_then(|line| line.strip_prefix(word)?.strip_prefix(' ')).ok_or(missing)
    };
    let kind = next("custody", "its second line names no custody")?;
    let kind = Kind::parse(kind).ok_or("it is wrapped by a custody that this program does not know")?;
    let name = next("key", "a line `key` is missing")?.to_owned();
    let version = next("version", "a line `version` is missing")?.to_owned();
    let wrapped = next("wrapped", "a line `wrapped` is missing")?;
    let sealed = next("sealed", "a line `sealed` is missing")?;
    let bytes = |text: &str| STANDARD.decode(text).map_err(|_| "a line is not base64");
    let file_key = Wrapped { key: KeyName { name, version }, bytes: bytes(wrapped)? };
    let sealed = bytes(sealed)?;
    if !file_key.key.is_plain() {
        return Err("the name of its key has characters that are not shown");
    }
    match lines.next() {
        None => Ok(Envelope { kind, file_key, sealed }),
        Some(_) => Err("it has more lines than it may have"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wrapping_file::WrappingFile;

    const TEXT: &str = "shoal-keys 2\nUS 5a5a5a5a5a\n";

    #[test]
    fn a_wrapped_key_file_is_opened_as_it_was_and_any_change_of_it_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let custody = WrappingFile::new(&dir.path().join("wrapping"));
        custody.make().unwrap();
        let envelope = Envelope::seal(&custody, TEXT).unwrap();
        let written = envelope.to_text();
        assert!(Envelope::is_one(&written) && !Envelope::is_one(TEXT) && !written.contains("5a5a5a"));
        assert_eq!(Envelope::parse(&written).unwrap(), envelope);
        assert_eq!(Envelope::parse(&written).unwrap().open(&custody).unwrap().as_str(), TEXT);
        // The last byte ends a line, and white space there does not count.
        for at in 0..written.len() - 1 {
            let mut bytes = written.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let opened = Envelope::parse(&text).and_then(|envelope| envelope.open(&custody));
            let is_in_the_comment = written[..at].contains('#') && !written[..at].contains("\ncustody");
            assert!(opened.is_err() || is_in_the_comment, "byte {at} of {written}");
        }
        assert_ne!(Envelope::seal(&custody, TEXT).unwrap().sealed, envelope.sealed, "a file key seals once");
    }

    #[test]
    fn what_is_no_wrapped_key_file_is_told_without_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let custody = WrappingFile::new(&dir.path().join("wrapping"));
        custody.make().unwrap();
        let good = Envelope::seal(&custody, TEXT).unwrap().to_text();
        let key = good.lines().find(|line| line.starts_with("key ")).unwrap();
        let lines: Vec<&str> = good.lines().collect();
        let mut cases = vec![
            good.replace("custody file", "custody tpm"),
            good.replace("wrapped ", "wrapped !"),
            good.replace(key, "key \u{7}bell"),
            good.replace(key, &format!("key {}", "k".repeat(200))),
            format!("{good}sealed AAAA\n"),
            String::new(),
        ];
        cases.extend((0..lines.len()).filter(|at| !lines[*at].starts_with('#')).map(|left_out| {
            let left = lines.iter().enumerate().filter(|(at, _)| *at != left_out);
            left.map(|(_, line)| *line).collect::<Vec<_>>().join("\n")
        }));
        for case in cases {
            let told = Envelope::parse(&case).err().unwrap().to_string();
            assert!(
                told.starts_with("it is no wrapped key file") && !told.contains("AAAA"),
                "{case}: {told}"
            );
        }
    }
}
