//! The keys that are in memory, and the unit of an event that names nobody.
//!
//! Invariant: pure. Not here: where the keys come from (`store.rs`).

use std::sync::Arc;

use rustc_hash::FxHashMap;
use shoal_privacy::{
    epoch_key::EpochKey,
    keyring::Keyring,
    pseudonym::{Pseudonym, PseudonymEpoch},
    unit_key::{Network, UnitKey},
};
use shoal_schemas::Region;

use crate::epoch_keys::OpenEpochs;

/// The keys of the days whose late window is open, and of pseudonym epochs. No `Debug`.
#[derive(Default)]
pub(crate) struct OpenKeys {
    today: i32,
    keys: FxHashMap<(Region, i32), Arc<UnitKey>>,
    epochs: Arc<OpenEpochs>,
}

impl OpenKeys {
    /// None yet, as of this day.
    pub(super) fn as_of(today: i32, epochs: Arc<OpenEpochs>) -> OpenKeys {
        OpenKeys { today, keys: FxHashMap::default(), epochs }
    }

    pub(crate) fn epochs(&self) -> &Arc<OpenEpochs> {
        &self.epochs
    }

    /// The keys of a pseudonym epoch; none when they were destroyed.
    pub(crate) fn epoch(
        &self,
        keyring: &Keyring,
        region: Region,
        epoch: PseudonymEpoch,
    ) -> Option<Arc<EpochKey>> {
        self.epochs.get(keyring, region, epoch)
    }

    pub(super) fn add(&mut self, region: Region, day: i32, key: Arc<UnitKey>) {
        self.keys.insert((region, day), key);
    }

    /// The key of a region's day (days since 1970-01-01, UTC).
    pub(super) fn get(&self, region: Region, day: i32) -> Option<&Arc<UnitKey>> {
        self.keys.get(&(region, day))
    }

    /// Whether they are what is needed on this day. Clocks that differ by a little do not change that.
    pub(super) fn are_current(&self, today: i32) -> bool {
        (self.today.saturating_sub(1)..=self.today).contains(&today)
    }

    /// One key for each region, on this day only.
    #[cfg(test)]
    pub(crate) fn of_one_day(day: i32) -> OpenKeys {
        let mut keys = OpenKeys::as_of(day, Arc::default());
        for region in Region::ALL {
            let key = UnitKey::generate().expect("the operating system gives random numbers");
            keys.add(*region, day, Arc::new(key));
        }
        keys
    }
}

/// What is known about the sender of events that name nobody. No `Debug`.
pub(crate) struct Units<'a> {
    pub(crate) keys: &'a OpenKeys,
    pub(crate) keyring: &'a Keyring,
    /// Where the person's device is; none when only somebody else's address is known, or none at all.
    pub(crate) network: Option<Network>,
    pub(crate) app: &'a str,
}

impl Units<'_> {
    /// The unit of an event of this day.
    pub(crate) fn unit(&self, region: Region, day: i32) -> Pseudonym {
        match (self.keys.get(region, day), self.network) {
            (Some(key), Some(network)) => key.unit(network, day, self.app),
            _ => self.keyring.app_day(region, day, self.app),
        }
    }
}
