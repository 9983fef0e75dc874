//! What a wrapped secret says of who can unwrap it: the kind of custody, and its key.
//!
//! Nothing here is secret.

use std::fmt;

/// The three kinds of custody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Wrapping keys in a file.
    File,
    /// A key in a PKCS#11 token.
    Pkcs11,
    /// A key of a transit service.
    Transit,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::File, Kind::Pkcs11, Kind::Transit];

    /// Its name in settings and in key files.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::File => "file",
            Kind::Pkcs11 => "pkcs11",
            Kind::Transit => "transit",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which key, of which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// The name under which the custody has it.
    pub name: String,
    /// Its version: what a rotation changes.
    pub version: String,
}

impl KeyName {
    /// Most bytes of a name or of a version.
    const BYTES_MAX: usize = 128;

    /// Whether it can stand in a key file: printable, and without spaces at its ends.
    pub(crate) fn is_plain(&self) -> bool {
        [&self.name, &self.version].into_iter().all(|text| is_plain(text))
    }
}

/// Whether a text can be the name of a key in a key file.
pub(crate) fn is_plain(text: &str) -> bool {
    let has_length = (1..=KeyName::BYTES_MAX).contains(&text.len());
    has_length && text.trim() == text && !text.chars().any(char::is_control)
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` version {}", self.name, self.version)
    }
}

/// A secret that a custody has wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// With what.
    pub key: KeyName,
    /// The bytes, which only the custody can use.
    pub bytes: Vec<u8>,
}
