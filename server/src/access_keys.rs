//! Access keys of apps, analysts and officers, as `<data_dir>/control/keys.json`: scopes, and hashes of secrets only.
//!
//! A key is written `<id>.<secret>`, or `<id>_<secret>` where a dot is not allowed (the DSN of a Sentry SDK). The secret is
//! shown once, when the key is made.
//!
//! ```json
//! {"crc32":"<8 hex>", "version": 1, "keys": [{"id": "ing0123456789", "hash": "<64 hex>", "created_at_ms": 0, "revoked_at_ms": null,
//!   "scope": {"ingest": {"kind": "shipped", "app": "camera", "regions": ["DE"], "programme": null, "policy": null}}}]}
//! ```
//! A file of before there were kinds of ingest keys says none: such a key is a shipped one. `consent_category`, `name`, `owner` and
//! `expires_at_ms` are there where the key has them; one without a name is called by what it is for. A file of before there were
//! digests has no `crc32`, and gets it at the next change.
//! Invariants: nothing of a file that does not have its digest is used; the file is replaced as a whole, with mode 0600, under a
//! lock, so that two commands never lose each other's change; no change is made before it is announced; a key that is revoked
//! stays in the file, so that its id is never used again.
//! Not here: the digest (`checked_json.rs`), what a key may do (`access_keys/scope.rs`), the keys of a running service (`live.rs`),
//! when each was used (`uses.rs`), reading a key from a request (`http/auth.rs`), what the audit says of a change (`key_line.rs`), the regions'
//! secrets (`shoal-privacy`, `keyring.rs`).

mod live;
mod scope;
mod shown;
mod takes;
#[cfg(test)]
mod tests;
mod uses;
mod wanted;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shoal_files::{Disk, Objects};
use shoal_privacy::secret::SecretHash;

use crate::checked_json;
use crate::error::Error;

pub(crate) use live::{Found, Grant};
pub use live::{KeySet, LiveKeys};
pub use scope::{Role, Scope};
pub(crate) use shown::{described, shown};
pub(crate) use takes::{Facts, Takes};
pub(crate) use uses::{Uses, last_uses};
pub(crate) use wanted::Expiry;
pub use wanted::Wanted;

const VERSION: u32 = 1;
const FILE: &str = "keys.json";
const LOCK: &str = "keys.lock";
/// Bytes of the key file that are read at the most.
const FILE_BYTES_MAX: u64 = 64 << 20;
const ID_BYTES: usize = 5;
const SECRET_BYTES: usize = 24;
const WHAT_TO_DO: &str =
    "put it back from a copy; if there is none, move it away and make new keys with `shoal keys create`";

/// A key without its secret. No `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Public part.
    pub id: String,
    #[serde(with = "hash_hex")]
    pub(crate) hash: SecretHash,
    /// When it was made, ms since 1970.
    pub created_at_ms: i64,
    /// When it was revoked, ms since 1970.
    pub revoked_at_ms: Option<i64>,
    /// What it may do.
    pub scope: Scope,
    /// What people call it, when somebody has named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whose it is, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// From when on it is refused, ms since 1970; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<i64>,
}

impl KeyRecord {
    /// What people call it, or what it is for.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.scope.usual_name())
    }

    /// Whether it is refused at this time because it has expired.
    pub(crate) fn is_expired(&self, now_ms: i64) -> bool {
        self.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms)
    }
}

/// A new key: the only moment its secret is known. No `Debug`, no `Display`.
pub struct NewKey {
    /// Public part.
    pub id: String,
    secret: String,
}

impl NewKey {
    /// `<id>.<secret>`, for the one who asked for the key.
    pub fn reveal(&self) -> String {
        format!("{}.{}", self.id, self.secret)
    }

    /// `<id>_<secret>`, for the user part of a Sentry DSN.
    pub fn reveal_for_dsn(&self) -> String {
        format!("{}_{}", self.id, self.secret)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    keys: Vec<KeyRecord>,
}

/// Announces a change of a key just before the file changes; when it fails, nothing is changed. The service's commands write
/// the line of the audit here.
pub type Announce<'a> = &'a dyn Fn(&KeyRecord) -> Result<(), Error>;

/// The file of keys of a data directory.
#[derive(Clone, Debug)]
pub struct KeyStore {
    control: Disk,
}

impl KeyStore {
    /// The file of this data directory; it need not exist.
    pub fn new(data_dir: &Path) -> KeyStore {
        KeyStore { control: Disk::new(data_dir.join("control")).private() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.control.path(FILE)
    }

    /// All keys, revoked ones too.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged or is not one. No file is no error.
    pub fn list(&self) -> Result<Vec<KeyRecord>, Error> {
        Ok(self.list_there()?.unwrap_or_default())
    }

    /// The same; none where there is no file.
    fn list_there(&self) -> Result<Option<Vec<KeyRecord>>, Error> {
        let path = self.path();
        let file = match self.control.open(FILE) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|e| Error::io(&path, e))?,
        };
        let length = file.length().map_err(|e| Error::io(&path, e))?;
        if length > FILE_BYTES_MAX {
            return Err(Error::Keys(format!("{}: the file is too large for a file of keys", path.display())));
        }
        let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_at(0, &mut text).map_err(|e| Error::io(&path, e))?;
        let damaged = |what: String| Error::Keys(format!("{}: {what}: {WHAT_TO_DO}", path.display()));
        let content = checked_json::read(&text)
            .ok_or_else(|| damaged("something other than Shoal has changed the file".to_owned()))?;
        let file: KeyFile = serde_json::from_slice(&content.json)
            .map_err(|e| damaged(format!("line {}: not a file of keys", e.line())))?;
        if file.version != VERSION {
            return Err(Error::Keys(format!(
                "{}: the file has version {}, which this Shoal does not know",
                path.display(),
                file.version
            )));
        }
        Ok(Some(file.keys))
    }

    /// The key of this id, a revoked one too.
    ///
    /// # Errors
    /// When there is none, and those of [`KeyStore::list`].
    pub(crate) fn find(&self, id: &str) -> Result<KeyRecord, Error> {
        self.list()?.into_iter().find(|key| key.id == id).ok_or_else(unknown)
    }

    /// Makes a key.
    ///
    /// # Errors
    /// When what is wanted makes no sense, the announcement fails, or the file cannot be read or replaced.
    pub fn create(
        &self,
        wanted: impl Into<Wanted>,
        now_ms: i64,
        announce: Announce<'_>,
    ) -> Result<NewKey, Error> {
        let wanted: Wanted = wanted.into();
        wanted.check(now_ms)?;
        let prefix = wanted.scope.id_prefix();
        let new =
            NewKey { id: format!("{prefix}{}", random_hex(ID_BYTES)?), secret: random_hex(SECRET_BYTES)? };
        let record = KeyRecord {
            id: new.id.clone(),
            hash: SecretHash::of(&new.secret),
            created_at_ms: now_ms,
            revoked_at_ms: None,
            name: Some(wanted.name.unwrap_or_else(|| wanted.scope.usual_name())),
            scope: wanted.scope,
            owner: wanted.owner,
            expires_at_ms: wanted.expires_at_ms,
        };
        self.change(announce, |keys| {
            keys.push(record.clone());
            Ok(record)
        })?;
        Ok(new)
    }

    /// Revokes a key; a running service looks every second.
    ///
    /// # Errors
    /// When there is no such key, the announcement fails, or the file cannot be read or replaced.
    pub fn revoke(&self, id: &str, now_ms: i64, announce: Announce<'_>) -> Result<(), Error> {
        self.change(announce, |keys| match keys.iter_mut().find(|k| k.id == id) {
            Some(key) => {
                key.revoked_at_ms.get_or_insert(now_ms);
                Ok(key.clone())
            }
            None => Err(unknown()),
        })
    }

    /// `edit` answers with the key that it has changed.
    fn change(
        &self,
        announce: Announce<'_>,
        edit: impl FnOnce(&mut Vec<KeyRecord>) -> Result<KeyRecord, Error>,
    ) -> Result<(), Error> {
        let _lock = self.control.lock(LOCK).map_err(|e| Error::io(self.control.path(LOCK), e))?;
        let mut keys = self.list()?;
        announce(&edit(&mut keys)?)?;
        let text = checked_json::write(&KeyFile { version: VERSION, keys })
            .map_err(|e| Error::Keys(e.to_string()))?;
        // Whatever is unfinished here was left by a command that was killed: others wait for the lock.
        let swept = self.control.sweep("", i64::MAX);
        swept.and_then(|_| self.control.put(FILE, &text)).map_err(|e| Error::io(self.path(), e))
    }
}

fn unknown() -> Error {
    Error::Keys("no key has this id; see `shoal keys list`".into())
}

fn random_hex(bytes: usize) -> Result<String, Error> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|e| Error::Keys(format!("no random numbers: {e}")))?;
    Ok(hex::encode(random))
}

mod hash_hex {
    //! A hash as 64 hexadecimal digits.
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
    use shoal_privacy::secret::SecretHash;

    pub(super) fn serialize<S: Serializer>(hash: &SecretHash, serializer: S) -> Result<S::Ok, S::Error> {
        hash.to_hex().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretHash, D::Error> {
        let text = String::deserialize(deserializer)?;
        SecretHash::from_hex(&text).ok_or_else(|| D::Error::custom("not a hash"))
    }
}
