//! A commitment: a salted hash of a value, which shows the value to nobody and can be opened to one value only.
//!
//! ```text
//! commitment = SHA-256("Shoal receipt commitment 1\n" | salt, 32 random bytes | name | "\n" | value as JSON)
//! ```
//! The salt is as long as the hash, so a number of a few digits is not found by trying, and the same value is committed to differently each
//! time (the construction of Halevi and Micali, 1996, in the form that SD-JWT, RFC 9901, uses).
//!
//! The name says who may see the value:
//!
//! | name | value | in the person's receipt |
//! |---|---|---|
//! | `told.<fact>` | a list of texts | yes |
//! | `kept.<fact>` | a list of texts | no |
//! | `count.<fact>` | a number | no |
//! | `table.<table>.before`, `table.<table>.after` | version, files and root of a table | no |
//! | `removed` | how many files were removed, and a hash of each part of their list | no |
//!
//! Invariant: an [`Opening`] has no `Debug`: its value may be an exact count of one person.
//! Not here: where openings are kept (`receipts.rs`).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shoal_files::host;

use crate::error::{ReceiptError, Result};
use crate::hash::{Hash, Tag};

/// What names of facts for the person begin with.
pub(crate) const TOLD: &str = "told.";
/// The name of what was removed.
pub(crate) const REMOVED: &str = "removed";

/// What a table was before or after.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TableRoot {
    pub(crate) version: u64,
    pub(crate) files: u64,
    pub(crate) root: Hash,
}

/// What was removed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Removed {
    pub(crate) files: u64,
    /// The hash of each part of the list.
    pub(crate) parts: Vec<Hash>,
}

/// The salt and the value of a commitment.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Opening {
    salt: Hash,
    pub(crate) value: Box<RawValue>,
}

impl Opening {
    /// An opening of this value with a fresh salt.
    pub(crate) fn of<T: Serialize>(value: &T) -> Result<Opening> {
        let mut salt = [0; 32];
        host::fill(&mut salt).map_err(|source| ReceiptError::Io { path: "random numbers".into(), source })?;
        let value = serde_json::value::to_raw_value(value);
        let value = value.map_err(|_| ReceiptError::Act("a fact has no form in JSON"))?;
        Ok(Opening { salt: Hash(salt), value })
    }

    /// The commitment that it opens, under this name.
    pub(crate) fn commitment(&self, name: &str) -> Hash {
        let parts = [&self.salt.0, name.as_bytes(), b"\n", self.value.get().as_bytes()];
        Hash::of(Tag::Commitment, &parts)
    }

    /// The value, when it is one of this kind.
    pub(crate) fn read<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        serde_json::from_str(self.value.get()).ok()
    }
}

/// The name of what a table was.
pub(crate) fn table_name(table: &str, when: &str) -> String {
    format!("table.{table}.{when}")
}
