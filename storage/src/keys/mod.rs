//! The key store. `epochs`: the keys of pseudonym epochs. Here: the keys with which the files of tables are encrypted, one for each
//! table and day, random, and wrapped by the region's key.
//!
//! ```text
//! <key store>/<region>/<kind>/YYYY-MM-DD.<id>      "shoal-data-key 1\n" and the wrapped key in hexadecimal digits
//! ```
//! The key store lies apart from the data and from their backups: whoever destroys a day's key has destroyed all copies of the day's
//! files. An id is the second in which the key was made, since 1970, and a random number, so that the newest of a day sorts last, and
//! that no two of a day are the same.
//!
//! Invariants: a key is durable before anything is encrypted with it; a key that was destroyed is overwritten before its name goes;
//! a name that was changed makes the key unreadable, because it is what the key was wrapped for; no error, `Debug` or `Display` has a
//! key. Keys that were read stay in memory. Not here: what is encrypted (`tables/encryption.rs`), how keys are
//! sealed (`shoal-files`) and with what (`shoal-privacy`, `keyring.rs`), when a day's key is destroyed (`shoal-retention`).

mod data_key;
mod epochs;
mod place;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shoal_files::SealingKey;
use shoal_schemas::{Kind, Region};

use crate::days::{day_text, parse_day};
use crate::error::{Result, StorageError};
pub(crate) use data_key::DataKey;
pub use data_key::KeyId;
pub use epochs::{EpochKeys, EpochScope, Kept};
pub use place::{Escrowed, KeyPlace};

/// First line of the file of a key.
const HEAD: &str = "shoal-data-key 1\n";

/// What a key is for: a day of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyScope {
    /// The table's region.
    pub region: Region,
    /// The kind of the table's events.
    pub kind: Kind,
    /// Days since 1970-01-01, UTC.
    pub day: i32,
}

/// The data keys of all tables.
pub struct DataKeys {
    place: KeyPlace,
    /// By [`Region::index`].
    wrapping: Vec<SealingKey>,
    /// Whether new files are encrypted.
    is_writing: bool,
    known: Mutex<Known>,
}

/// Which keys there are, and those that were read.
#[derive(Default)]
struct Known {
    names: BTreeMap<KeyScope, Vec<KeyId>>,
    open: HashMap<(KeyScope, KeyId), Arc<DataKey>>,
    /// The newest key of a day with which nothing is written any more, nor with one before it.
    retired: HashMap<KeyScope, KeyId>,
}

impl Known {
    fn newest(&self, scope: KeyScope) -> Option<KeyId> {
        self.names.get(&scope)?.last().copied()
    }
}

impl DataKeys {
    /// The keys in a key store, of which a list is made; they are wrapped with the key that a region has for that.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn open(place: KeyPlace, wrapping: impl Fn(Region) -> SealingKey) -> Result<DataKeys> {
        let mut known = Known::default();
        for (scope, id) in place.list("")?.iter().filter_map(|name| parse(name)) {
            known.names.entry(scope).or_default().push(id);
        }
        known.names.values_mut().for_each(|ids| ids.sort_unstable());
        let wrapping = Region::ALL.iter().map(|region| wrapping(*region)).collect();
        Ok(DataKeys { place, wrapping, is_writing: true, known: Mutex::new(known) })
    }

    /// The same keys for what is encrypted already: new files are written in the clear.
    pub fn reading_only(self) -> DataKeys {
        DataKeys { is_writing: false, ..self }
    }

    /// Whether new files are encrypted.
    pub fn is_writing(&self) -> bool {
        self.is_writing
    }

    /// The key with which files of a day are written from now on: the newest, or a new one.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub(crate) fn writing(&self, scope: KeyScope, now_ms: i64) -> Result<Arc<DataKey>> {
        let (newest, retired) = {
            let known = self.known();
            (known.newest(scope), known.retired.get(&scope).copied())
        };
        match newest.filter(|newest| Some(*newest) > retired) {
            Some(id) => self.reading(scope, id),
            None => self.make(scope, now_ms),
        }
    }

    /// The key that a file names.
    ///
    /// # Errors
    /// [`StorageError::KeyGone`] when it was destroyed or is lost, [`StorageError::Damaged`] when its file is not what was written.
    pub(crate) fn reading(&self, scope: KeyScope, id: KeyId) -> Result<Arc<DataKey>> {
        if let Some(key) = self.known().open.get(&(scope, id)) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(self.read(scope, id)?);
        self.known().open.insert((scope, id), Arc::clone(&key));
        Ok(key)
    }

    /// Whether there is a key that a file names.
    ///
    /// # Errors
    /// [`StorageError::KeyGone`] when there is none.
    pub(crate) fn check(&self, scope: KeyScope, id: KeyId) -> Result<()> {
        match self.known().names.get(&scope).is_some_and(|ids| ids.contains(&id)) {
            true => Ok(()),
            false => Err(StorageError::KeyGone(self.place.path(&name(scope, id)?))),
        }
    }

    /// Which keys there are.
    pub fn list(&self) -> Vec<(KeyScope, KeyId)> {
        let known = self.known();
        known.names.iter().flat_map(|(scope, ids)| ids.iter().map(|id| (*scope, *id))).collect()
    }

    /// A new key for a day. Files that are written from now on have it; those of before keep theirs.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn rotate(&self, scope: KeyScope, now_ms: i64) -> Result<KeyId> {
        Ok(self.make(scope, now_ms)?.id())
    }

    /// Has what is written of a day from now on get a new key. Answers which keys it had: files that have them can be read until they are
    /// destroyed.
    pub fn retire(&self, scope: KeyScope) -> Vec<KeyId> {
        let mut known = self.known();
        let ids = known.names.get(&scope).cloned().unwrap_or_default();
        if let Some(newest) = ids.last() {
            known.retired.insert(scope, *newest);
        }
        ids
    }

    /// Destroys keys of a day: whatever was encrypted with them is unreadable from now on, wherever a copy of it lies. Answers how many
    /// they were. It can be repeated after an error.
    ///
    /// # Errors
    /// When a key cannot be overwritten or removed.
    pub fn destroy(&self, scope: KeyScope, ids: &[KeyId]) -> Result<u64> {
        for id in ids {
            self.place.destroy(&name(scope, *id)?, None)?;
            let mut known = self.known();
            known.open.remove(&(scope, *id));
            if let Some(ids) = known.names.get_mut(&scope) {
                ids.retain(|other| other != id);
            }
        }
        self.known().names.retain(|_, ids| !ids.is_empty());
        Ok(ids.len() as u64)
    }

    /// Destroys all keys of a day.
    ///
    /// # Errors
    /// As [`DataKeys::destroy`].
    pub fn shred(&self, scope: KeyScope) -> Result<u64> {
        self.destroy(scope, &self.retire(scope))
    }

    /// What keeps keys from being used that are there.
    pub fn faults(&self) -> Vec<StorageError> {
        self.list().into_iter().filter_map(|(scope, id)| self.reading(scope, id).err()).collect()
    }

    /// Where the keys lie.
    pub fn place(&self) -> &KeyPlace {
        &self.place
    }

    fn make(&self, scope: KeyScope, now_ms: i64) -> Result<Arc<DataKey>> {
        let above = {
            let known = self.known();
            known.newest(scope).max(known.retired.get(&scope).copied())
        };
        let key = DataKey::generate(now_ms, above).ok_or_else(no_random_numbers)?;
        let name = name(scope, key.id())?;
        let wrapped = self.wrapping[scope.region.index()].seal(name.as_bytes(), key.secret());
        let wrapped = wrapped.map_err(StorageError::io(self.place.path(&name)))?;
        let text = format!("{HEAD}{}\n", hex::encode(wrapped));
        let put = self.place.make(&name, &text);
        put.map_err(StorageError::io(self.place.path(&name)))?;
        let key = Arc::new(key);
        let mut known = self.known();
        let ids = known.names.entry(scope).or_default();
        ids.push(key.id());
        ids.sort_unstable();
        known.open.insert((scope, key.id()), Arc::clone(&key));
        Ok(key)
    }

    fn read(&self, scope: KeyScope, id: KeyId) -> Result<DataKey> {
        let name = name(scope, id)?;
        let path = self.place.path(&name);
        let Some(text) = self.place.read(&name)? else { return Err(StorageError::KeyGone(path)) };
        let wrapped = text.strip_prefix(HEAD).and_then(|digits| hex::decode(digits.trim_end()).ok());
        let wrapping = &self.wrapping[scope.region.index()];
        let secret = wrapped.and_then(|wrapped| wrapping.open(name.as_bytes(), &wrapped));
        secret.and_then(|secret| DataKey::of(id, &secret)).ok_or_else(|| {
            let reason = "is no key that the key file of this service has wrapped";
            StorageError::Damaged { path, reason: reason.to_owned() }
        })
    }

    /// Every section under the lock leaves whole values, so a panic elsewhere does not make them wrong.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_random_numbers() -> StorageError {
    let source = io::Error::other("the operating system gave no random numbers");
    StorageError::Io { path: "a new data key".into(), source }
}

/// The name of a key's file, which is what the key is wrapped for, too.
fn name(scope: KeyScope, id: KeyId) -> Result<String> {
    let KeyScope { region, kind, day } = scope;
    let date = day_text(day).ok_or_else(|| StorageError::Schema {
        table: format!("{region}/{kind}"),
        reason: format!("day {day} is outside the years 1970 to 9999"),
    })?;
    Ok(format!("{}/{kind}/{date}.{id}", region.as_str().to_ascii_lowercase()))
}

/// What the name of a key's file says; none of other files.
fn parse(name: &str) -> Option<(KeyScope, KeyId)> {
    let (region, rest) = name.split_once('/')?;
    let (kind, rest) = rest.split_once('/')?;
    let (date, id) = rest.split_once('.')?;
    let region = Region::parse(&region.to_ascii_uppercase())?;
    let (kind, day) = (Kind::parse(kind)?, parse_day(date)?);
    let (scope, id) = (KeyScope { region, kind, day }, KeyId::parse(id)?);
    // Only names that are written so.
    (self::name(scope, id).ok()? == name).then_some((scope, id))
}
