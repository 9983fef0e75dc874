//! The keys of pseudonym epochs: one file for each region and epoch, wrapped by the region's key.
//!
//! ```text
//! <key store>/<region>/epochs/YYYY-MM-DD.<days>     "shoal-epoch-key 1\n" and the wrapped keys in hexadecimal digits,
//!                                                   or "destroyed"
//! ```
//! A name says the first day of the epoch and how many days it has, so that it says the same whatever the settings are.
//!
//! Invariants: an epoch never has two keys, also when two processes make one; destroyed keys are overwritten, and their file stays as
//! long as somebody could ask for them, so that no others are made in their place; a file that was renamed is none. Blocking calls.
//! Not here: what the keys are and what they make (`shoal-privacy`, `epoch_key.rs`), which epochs there are (`shoal-ingest`).

use std::io::ErrorKind;
use std::sync::Arc;

use shoal_files::{Memory, SealingKey};
use shoal_schemas::Region;
use zeroize::Zeroizing;

use crate::days::{day_text, parse_day};
use crate::error::{Result, StorageError};
use crate::keys::place::{DESTROYED, KeyPlace};

/// First line of a file.
const HEAD: &str = "shoal-epoch-key 1\n";
/// The folder in a region's.
const FOLDER: &str = "epochs";

/// The days of a pseudonym epoch of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochScope {
    /// The region.
    pub region: Region,
    /// The first day, since 1970-01-01, UTC.
    pub first_day: i32,
    /// How many days it has.
    pub days: u32,
}

impl EpochScope {
    /// Its last day.
    pub fn last_day(self) -> i32 {
        let days = i32::try_from(self.days.max(1)).unwrap_or(i32::MAX);
        self.first_day.saturating_add(days - 1)
    }

    /// The name of its file, which is what the keys are wrapped for, too.
    fn name(self) -> Result<String> {
        let EpochScope { region, first_day, days } = self;
        let date = day_text(first_day).ok_or_else(|| StorageError::Schema {
            table: format!("pseudonym epochs of {region}"),
            reason: format!("day {first_day} is outside the years 1970 to 9999"),
        })?;
        Ok(format!("{}/{FOLDER}/{date}.{days}", region.as_str().to_ascii_lowercase()))
    }

    /// What the name of a file says; none of other files.
    fn parse(name: &str) -> Option<EpochScope> {
        let (region, rest) = name.split_once('/')?;
        let (date, days) = rest.strip_prefix(FOLDER)?.strip_prefix('/')?.split_once('.')?;
        let region = Region::parse(&region.to_ascii_uppercase())?;
        let scope = EpochScope { region, first_day: parse_day(date)?, days: days.parse().ok()? };
        (scope.name().ok()? == name).then_some(scope)
    }
}

/// What is kept of an epoch.
pub enum Kept {
    /// Its keys. Zeroised when dropped.
    Keys(Zeroizing<Vec<u8>>),
    /// They were destroyed.
    Destroyed,
    /// There never were any.
    None,
}

/// The keys of all pseudonym epochs. Clones are the same.
#[derive(Clone)]
pub struct EpochKeys {
    place: KeyPlace,
    /// By [`Region::index`].
    wrapping: Vec<SealingKey>,
}

impl EpochKeys {
    /// The keys in a key store, wrapped with the key that a region has for that.
    pub fn new(place: KeyPlace, wrapping: impl Fn(Region) -> SealingKey) -> EpochKeys {
        EpochKeys { place, wrapping: Region::ALL.iter().map(|region| wrapping(*region)).collect() }
    }

    /// A key store that is on no disk, wrapped with a fresh key, for tests and benches.
    ///
    /// # Panics
    /// When the operating system has no random numbers.
    pub fn ephemeral() -> EpochKeys {
        let key = SealingKey::generate().expect("the operating system gives random numbers");
        EpochKeys::new(KeyPlace::new(Arc::new(Memory::new()), Vec::new()), |_| key.clone())
    }

    /// The keys of an epoch.
    ///
    /// # Errors
    /// When they cannot be read; [`StorageError::Damaged`] when they are not what was written, or were wrapped with another key file's.
    pub fn read(&self, scope: EpochScope) -> Result<Kept> {
        let name = scope.name()?;
        let Some(text) = self.place.read(&name)? else { return Ok(Kept::None) };
        let text = text.strip_prefix(HEAD);
        if text.is_some_and(|text| text.starts_with(DESTROYED)) {
            return Ok(Kept::Destroyed);
        }
        let wrapped = text.and_then(|digits| hex::decode(digits.trim_end()).ok());
        let wrapping = &self.wrapping[scope.region.index()];
        match wrapped.and_then(|wrapped| wrapping.open(name.as_bytes(), &wrapped)) {
            Some(keys) => Ok(Kept::Keys(keys)),
            None => {
                let reason = "holds no keys that the key file of this service has wrapped";
                Err(StorageError::Damaged { path: self.place.path(&name), reason: reason.to_owned() })
            }
        }
    }

    /// Keeps the keys of an epoch that has none, and answers what is kept of it then: another process may have been faster.
    ///
    /// # Errors
    /// When they cannot be written or read.
    pub fn keep(&self, scope: EpochScope, keys: &[u8]) -> Result<Kept> {
        let name = scope.name()?;
        let io = || StorageError::io(self.place.path(&name));
        let wrapped = self.wrapping[scope.region.index()].seal(name.as_bytes(), keys).map_err(io())?;
        let text = format!("{HEAD}{}\n", hex::encode(wrapped));
        match self.place.make(&name, &text) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io()(error)),
        }
        self.read(scope)
    }

    /// Every epoch that has keys, or had.
    ///
    /// # Errors
    /// When the key store cannot be listed.
    pub fn list(&self) -> Result<Vec<EpochScope>> {
        let mut all = Vec::new();
        for region in Region::ALL {
            let folder = format!("{}/{FOLDER}", region.as_str().to_ascii_lowercase());
            all.extend(self.place.list(&folder)?.iter().filter_map(|name| EpochScope::parse(name)));
        }
        all.sort_unstable();
        Ok(all)
    }

    /// Destroys the keys of an epoch: which pseudonym a person had in it can be found by nobody from now on, wherever a copy of the
    /// events lies. Answers whether there were any. It can be repeated after an error.
    ///
    /// # Errors
    /// When they cannot be overwritten.
    pub fn destroy(&self, scope: EpochScope) -> Result<bool> {
        let had = !matches!(self.read(scope), Ok(Kept::Destroyed | Kept::None));
        self.place.destroy(&scope.name()?, Some(&format!("{HEAD}{DESTROYED}")))?;
        Ok(had)
    }

    /// Where the keys lie.
    pub fn place(&self) -> &KeyPlace {
        &self.place
    }

    /// Forgets that an epoch ever had keys, and destroys those that it has.
    ///
    /// # Errors
    /// When they cannot be overwritten or removed.
    pub fn forget(&self, scope: EpochScope) -> Result<()> {
        self.place.destroy(&scope.name()?, None).map(drop)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_files::{Faulty, Medium, Objects as _};

    use super::*;

    const SCOPE: EpochScope = EpochScope { region: Region::De, first_day: 20_700, days: 90 };

    fn open<M: Medium + Clone + 'static>(files: &M, key: &SealingKey) -> EpochKeys {
        EpochKeys::new(KeyPlace::new(Arc::new(files.clone()), Vec::new()), |_| key.clone())
    }

    fn keys(kept: Kept) -> Option<Vec<u8>> {
        match kept {
            Kept::Keys(keys) => Some(keys.to_vec()),
            _ => None,
        }
    }

    #[test]
    fn an_epoch_has_the_keys_of_whoever_was_first_until_they_are_destroyed_for_good() {
        let (files, key) = (Memory::new(), SealingKey::generate().unwrap());
        let store = open(&files, &key);
        assert!(matches!(store.read(SCOPE).unwrap(), Kept::None));
        assert_eq!(keys(store.keep(SCOPE, b"first").unwrap()).unwrap(), b"first");
        assert_eq!(keys(open(&files, &key).keep(SCOPE, b"other").unwrap()).unwrap(), b"first");
        let other = EpochScope { region: Region::Us, ..SCOPE };
        assert_eq!(keys(store.keep(other, b"of another region").unwrap()).unwrap(), b"of another region");
        assert_eq!(store.list().unwrap(), [other, SCOPE]);
        assert_eq!(SCOPE.last_day(), 20_789);
        assert!(store.destroy(SCOPE).unwrap());
        assert!(!store.destroy(SCOPE).unwrap());
        assert!(matches!(store.read(SCOPE).unwrap(), Kept::Destroyed));
        assert!(matches!(store.keep(SCOPE, b"again").unwrap(), Kept::Destroyed));
        assert!(keys(store.read(other).unwrap()).is_some());
        store.forget(SCOPE).unwrap();
        assert!(matches!(store.read(SCOPE).unwrap(), Kept::None));
        assert_eq!(store.list().unwrap(), [other]);
    }

    #[test]
    fn keys_in_anothers_place_or_of_another_key_file_are_none() {
        let (files, key) = (Memory::new(), SealingKey::generate().unwrap());
        let store = open(&files, &key);
        store.keep(SCOPE, b"keys").unwrap();
        let text = files.read(&SCOPE.name().unwrap()).unwrap();
        let moved = EpochScope { first_day: 20_790, ..SCOPE };
        files.put(&moved.name().unwrap(), &text).unwrap();
        assert!(matches!(store.read(moved), Err(StorageError::Damaged { .. })));
        let told = open(&files, &SealingKey::generate().unwrap()).read(SCOPE).err().unwrap().to_string();
        assert!(told.contains("de/epochs/") && told.contains("key file"), "{told}");
    }

    #[test]
    fn a_crash_while_keys_are_destroyed_leaves_them_whole_or_no_keys_and_never_others() {
        let key = SealingKey::generate().unwrap();
        let whole = Faulty::<Memory>::default();
        open(&whole, &key).keep(SCOPE, &[7; 128]).unwrap();
        let before = whole.operations();
        open(&whole, &key).destroy(SCOPE).unwrap();
        for at in before..whole.operations() {
            for seed in 0..8 {
                let files = Faulty::<Memory>::default();
                open(&files, &key).keep(SCOPE, &[7; 128]).unwrap();
                files.crash_at(at);
                assert!(open(&files, &key).destroy(SCOPE).is_err());
                let next = files.after_power_cut(seed);
                match open(&next, &key).read(SCOPE) {
                    Ok(Kept::Keys(keys)) => assert_eq!(*keys, [7; 128]),
                    Ok(Kept::Destroyed) | Err(StorageError::Damaged { .. }) => {}
                    _ => panic!("the epoch would get other keys"),
                }
                open(&next, &key).destroy(SCOPE).unwrap();
                assert!(matches!(open(&next, &key).read(SCOPE).unwrap(), Kept::Destroyed));
            }
        }
    }
}
