//! With which keys identifiers become pseudonyms: those of each region and pseudonym epoch, random, made and destroyed in time.
//!
//! ```text
//! <key store>/<region>/epochs/<first day>.<days>          the keys, wrapped with the region's key (`shoal-storage`, `keys/epochs.rs`)
//! <data_dir>/<region>/epoch-keys/<first day>.<days>       what they are recognised by; tells nothing about them
//! keys, no check value: adopted      a check value, no keys: lost      neither: made      destroyed: none ever again
//! ```
//! There are keys from the epoch of the oldest day whose events are kept to that of tomorrow. An epoch all of whose days are older
//! loses its keys, by the clock and by a time that no clock which was set ahead brings forward, once no file of its days is left: how long
//! events are kept can be set otherwise and back, and rows that are there would have their people twice. Then nobody can find a person in
//! it any more, in no copy of the events.
//!
//! Invariants: an epoch never has two keys, so that no person is counted twice in it; lost keys are an error and not made again; keys
//! are durable before they are used. Where the key file is of version 1 the keys are derived from it, and nothing of this is there.
//! Not here: the keys themselves (`shoal-privacy`, `epoch_key.rs`), when this runs (`unit_keys/store.rs`).

use std::{
    collections::{BTreeSet, hash_map::Entry},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::FxHashMap;
use shoal_files::{Disk, Objects};
use shoal_privacy::{epoch_key::EpochKey, keyring::Keyring, pseudonym::PseudonymEpoch};
use shoal_schemas::{Region, calendar::day_of};
use shoal_storage::{EpochKeys, EpochScope, Kept};

use crate::key_times::{Times, date, day_in};

/// Days for which a destroyed epoch is remembered: so far a clock may be set back.
const REMEMBERED_DAYS: i32 = 60;

/// The keys in memory. No `Debug`.
#[derive(Default)]
pub(crate) struct OpenEpochs {
    keys: FxHashMap<(Region, PseudonymEpoch), Arc<EpochKey>>,
}

impl OpenEpochs {
    /// The keys of an epoch; none when they were destroyed.
    pub(crate) fn get(
        &self,
        keyring: &Keyring,
        region: Region,
        epoch: PseudonymEpoch,
    ) -> Option<Arc<EpochKey>> {
        match keyring.derived_epoch(region, epoch) {
            Some(derived) => Some(Arc::new(derived)),
            None => self.keys.get(&(region, epoch)).cloned(),
        }
    }
}

impl OpenEpochs {
    /// The epochs of a region whose keys are there, up to the newest one that is asked for.
    pub(crate) fn of(
        &self,
        keyring: &Keyring,
        region: Region,
        newest: PseudonymEpoch,
    ) -> Vec<(PseudonymEpoch, Arc<EpochKey>)> {
        let numbers: Vec<u32> = match keyring.derives_epochs() {
            true => (0..=newest.0).collect(),
            false => {
                let of_region = self.keys.keys().filter(|(of, epoch)| *of == region && *epoch <= newest);
                of_region.map(|(_, epoch)| epoch.0).collect()
            }
        };
        let found = numbers.into_iter().map(PseudonymEpoch);
        found.filter_map(|epoch| Some((epoch, self.get(keyring, region, epoch)?))).collect()
    }
}

/// Which epochs there are.
#[derive(Clone)]
pub(crate) struct Calendar {
    /// Days of an epoch.
    pub(crate) days: u32,
    /// For how many days events are kept, at the most.
    pub(crate) kept_days: Arc<dyn Fn() -> u32 + Send + Sync>,
    /// The days of which a region has files of events.
    pub(crate) stored_days: Arc<dyn Fn(Region) -> io::Result<BTreeSet<i32>> + Send + Sync>,
}

/// The keys of all epochs that are needed.
pub(crate) struct Epochs {
    keys: EpochKeys,
    /// Check values, by [`Region::index`].
    checks: Vec<Arc<dyn Objects>>,
    calendar: Calendar,
    /// Whether the keys are derived from the key file, so that none are kept.
    is_derived: bool,
}

impl Epochs {
    pub(crate) fn new(
        keys: EpochKeys,
        checks: Vec<Arc<dyn Objects>>,
        calendar: Calendar,
        keyring: &Keyring,
    ) -> Epochs {
        Epochs { keys, checks, calendar, is_derived: keyring.derives_epochs() }
    }

    /// The keys that are needed now, of which some are open already; those of epochs that are over are destroyed. Answers how many
    /// those were, too.
    ///
    /// # Errors
    /// When keys are lost, or cannot be read, made or destroyed. It can be repeated.
    pub(crate) fn open(&self, times: Times, before: &OpenEpochs) -> io::Result<(OpenEpochs, u64)> {
        let mut open = OpenEpochs::default();
        if self.is_derived {
            return Ok((open, 0));
        }
        let kept_days = i32::try_from((self.calendar.kept_days)()).unwrap_or(i32::MAX);
        let today = day_of(times.now_ms);
        let of_day = |day: i32| PseudonymEpoch::of_day(day, self.calendar.days).0;
        for region in Region::ALL {
            for number in of_day(today.saturating_sub(kept_days))..=of_day(today.saturating_add(1)) {
                let at = (*region, PseudonymEpoch(number));
                let scope = self.scope(*region, number);
                // Another process may have destroyed them.
                let key = match (self.keys.read(scope).map_err(io::Error::other)?, before.keys.get(&at)) {
                    (Kept::Keys(_), Some(known)) => Some(Arc::clone(known)),
                    (kept, _) => self.known(scope, kept)?.map(Arc::new),
                };
                if let Some(key) = key {
                    open.keys.insert(at, key);
                }
            }
        }
        let first_kept = day_of(times.now_ms.min(times.settled_ms)).saturating_sub(kept_days);
        Ok((open, self.destroy(first_kept)?))
    }

    /// The keys of an epoch, which are made when it has none and had none; none when they were destroyed.
    fn known(&self, scope: EpochScope, kept: Kept) -> io::Result<Option<EpochKey>> {
        let (checks, name) = (&self.checks[scope.region.index()], name(scope)?);
        let known = match checks.read(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            read => Some(read?),
        };
        let kept = match kept {
            Kept::None if known.is_some() => {
                let reason = "the keys of this pseudonym epoch are lost. Put back the copy of the directory of data keys; if there is none, \
                              `shoal keys shred` gives them up, and events of its days are rejected from then on";
                return Err(io::Error::other(format!("{}: {reason}", checks.path(&name).display())));
            }
            Kept::None => {
                let fresh = EpochKey::generate().map_err(io::Error::other)?;
                self.keys.keep(scope, fresh.bytes()).map_err(io::Error::other)?
            }
            kept => kept,
        };
        let Kept::Keys(bytes) = kept else { return Ok(None) };
        let key =
            EpochKey::parse(&bytes).ok_or_else(|| io::Error::other("a file of epoch keys holds no keys"))?;
        let check = key.check_value();
        match known {
            Some(known) if known != check.as_bytes() => {
                let reason = "the keys of this pseudonym epoch are not those that the data were made with. Put back the copy of the \
                              directory of data keys";
                Err(io::Error::other(format!("{}: {reason}", checks.path(&name).display())))
            }
            Some(_) => Ok(Some(key)),
            None => {
                checks.put(&name, check.as_bytes())?;
                Ok(Some(key))
            }
        }
    }

    /// Destroys the keys of the epochs that ended before this day.
    fn destroy(&self, first_kept: i32) -> io::Result<u64> {
        let mut destroyed = 0;
        let over = |scope: &EpochScope| scope.last_day() < first_kept;
        let mut stored_days: FxHashMap<Region, BTreeSet<i32>> = FxHashMap::default();
        for scope in self.keys.list().map_err(io::Error::other)?.into_iter().filter(over) {
            let last = scope.last_day();
            let stored = match stored_days.entry(scope.region) {
                Entry::Occupied(listed) => listed.into_mut(),
                Entry::Vacant(slot) => slot.insert((self.calendar.stored_days)(scope.region)?),
            };
            if stored.range(scope.first_day..=last).next().is_some() {
                continue;
            }
            if last < first_kept.saturating_sub(REMEMBERED_DAYS) {
                self.keys.forget(scope).map_err(io::Error::other)?;
                self.checks[scope.region.index()].remove(&[&name(scope)?])?;
            } else if matches!(self.keys.read(scope), Ok(Kept::Keys(_)) | Err(_)) {
                self.keys.destroy(scope).map_err(io::Error::other)?;
                destroyed += 1;
            }
        }
        Ok(destroyed)
    }

    fn scope(&self, region: Region, number: u32) -> EpochScope {
        epoch_scope(region, number, self.calendar.days)
    }
}

/// The days of the epoch of this number, when each has so many.
pub fn epoch_scope(region: Region, number: u32, days: u32) -> EpochScope {
    let days = days.max(1);
    EpochScope {
        region,
        first_day: i32::try_from(u64::from(number) * u64::from(days)).unwrap_or(i32::MAX),
        days,
    }
}

/// The epochs whose keys events below a data directory were made with, as the check values there tell.
///
/// # Errors
/// When they cannot be listed.
pub fn known_epochs(data_dir: &Path) -> io::Result<Vec<EpochScope>> {
    let mut known = Vec::new();
    for region in Region::ALL {
        for entry in checks_of(data_dir, *region).list("")? {
            let scope = entry.name.split_once('.').and_then(|(first, days)| {
                Some(EpochScope { region: *region, first_day: day_in(first)?, days: days.parse().ok()? })
            });
            known.extend(scope);
        }
    }
    Ok(known)
}

/// Notes what the keys of an epoch are recognised by, where no start has done so: whoever has put them there knows that data were made
/// with them.
///
/// # Errors
/// When it cannot be written.
pub fn note_epoch(data_dir: &Path, scope: EpochScope, key: &EpochKey) -> io::Result<()> {
    let noted = checks_of(data_dir, scope.region).put_if_absent(&name(scope)?, key.check_value().as_bytes());
    match noted {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The directory of the check values of a region's epochs.
pub(crate) fn directory(data_dir: &Path, region: Region) -> PathBuf {
    data_dir.join(region.as_str().to_ascii_lowercase()).join("epoch-keys")
}

fn checks_of(data_dir: &Path, region: Region) -> Disk {
    Disk::new(directory(data_dir, region))
}

/// The name of an epoch's check value.
fn name(scope: EpochScope) -> io::Result<String> {
    Ok(format!("{}.{}", date(scope.first_day)?, scope.days))
}

#[cfg(test)]
mod tests;
