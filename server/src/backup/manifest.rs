//! What a backup says of itself.
//!
//! ```text
//! shoal-backup 1 <digest of what follows, 64 hexadecimal digits>
//! {"shoal":"0.1.0","made_at_ms":..,"tables":[{"region":"DE","kind":"usage","version":7,"rows":60,"newest_day":"2026-11-22"}],
//!  "files":[{"path":"de/key-check","bytes":66,"digest":"<64 hexadecimal digits>"}]}
//! ```
//! Invariants: a manifest that was changed is known; a path stays below the data directory. Not here: the files themselves (`place`).

use std::io;

use serde::{Deserialize, Serialize};
use shoal_files::{Digest, digest};
use shoal_schemas::{Kind, Region};

/// The name of the manifest.
pub(crate) const MANIFEST: &str = "manifest";
const HEAD: &str = "shoal-backup 1";

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// The version that made it.
    pub(crate) shoal: String,
    /// The moment whose state it holds, ms since 1970.
    pub(crate) made_at_ms: i64,
    pub(crate) tables: Vec<TableThen>,
    /// In the order of their paths.
    pub(crate) files: Vec<FileThen>,
}

/// A table at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableThen {
    pub(crate) region: Region,
    pub(crate) kind: Kind,
    pub(crate) version: i64,
    pub(crate) rows: u64,
    /// None without rows.
    pub(crate) newest_day: Option<String>,
}

/// A file at that moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileThen {
    /// Its path in the data directory.
    pub(crate) path: String,
    pub(crate) bytes: u64,
    #[serde(with = "digits")]
    pub(crate) digest: Digest,
}

impl Manifest {
    /// Its bytes.
    pub(crate) fn encode(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let head = format!("{HEAD} {}\n", hex::encode(digest(&json.as_slice())?));
        Ok([head.as_bytes(), &json].concat())
    }

    /// The manifest of these bytes.
    ///
    /// # Errors
    /// Why they are none.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Manifest, &'static str> {
        let changed = "it is not as it was written";
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or("it is no manifest of a backup")?;
        let (head, json) = (&bytes[..end], &bytes[end + 1..]);
        let head = std::str::from_utf8(head).map_err(|_| changed)?;
        let (form, told) = head.rsplit_once(' ').ok_or(changed)?;
        if form != HEAD {
            return Err("it is of another version of Shoal, or no manifest of a backup");
        }
        if digest(&json).map(hex::encode).ok().as_deref() != Some(told) {
            return Err(changed);
        }
        let manifest: Manifest =
            serde_json::from_slice(json).map_err(|_| "it says what this version does not know")?;
        let is_below = |path: &str| path.split('/').all(|part| !matches!(part, "" | "." | ".."));
        match manifest.files.iter().all(|file| is_below(&file.path)) {
            true => Ok(manifest),
            false => Err("it names a file outside of the data directory"),
        }
    }

    /// Bytes of all files together.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A digest as hexadecimal digits.
mod digits {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};
    use shoal_files::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let mut digest = [0; 32];
        let digits = String::deserialize(deserializer)?;
        hex::decode_to_slice(digits, &mut digest).map_err(|_| D::Error::custom("no digest"))?;
        Ok(digest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn manifest(path: &str) -> Manifest {
        let file = FileThen { path: path.to_owned(), bytes: 7, digest: [9; 32] };
        let table = TableThen {
            region: Region::De,
            kind: Kind::Usage,
            version: 3,
            rows: 60,
            newest_day: Some("2026-11-22".to_owned()),
        };
        Manifest { shoal: "0.1.0".to_owned(), made_at_ms: 5, tables: vec![table], files: vec![file] }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_every_change_is_known() {
        let whole = manifest("de/key-check");
        let bytes = whole.encode().unwrap();
        assert_eq!(Manifest::decode(&bytes), Ok(whole));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&changed).is_err(), "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn no_manifest_leads_out_of_the_data_directory() {
        for path in ["../x", "/x", "a/../../x", "", "a//b"] {
            assert!(Manifest::decode(&manifest(path).encode().unwrap()).is_err(), "{path}");
        }
    }
}
