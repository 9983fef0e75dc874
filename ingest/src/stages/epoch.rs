//! The pseudonym epoch of an event, and its keys; looked up once for each epoch of a batch.
//!
//! Not here: which keys there are (`epoch_keys.rs`), what is made with them (`pseudonymise.rs`).

use std::sync::Arc;

use shoal_privacy::{epoch_key::EpochKey, keyring::Keyring, pseudonym::PseudonymEpoch};
use shoal_schemas::{Region, calendar::day_of};

use crate::unit_keys::open::OpenKeys;

/// The pseudonym epoch of an event, and its keys. No `Debug`.
#[derive(Clone)]
pub(crate) struct Epoch {
    pub(crate) number: PseudonymEpoch,
    pub(crate) keys: Arc<EpochKey>,
}

/// Where the epochs of events are looked up.
#[derive(Clone, Copy)]
pub(crate) struct KnownEpochs<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) keys: &'a OpenKeys,
    /// Days of an epoch.
    pub(crate) days: u32,
}

/// The epochs of a batch's events so far.
#[derive(Default)]
pub(crate) struct BatchEpochs(Vec<(Region, Epoch)>);

impl BatchEpochs {
    /// The epoch that an event of this time falls into; none when its keys were destroyed.
    pub(crate) fn of(&mut self, known: KnownEpochs<'_>, region: Region, time_ms: i64) -> Option<Epoch> {
        let number = PseudonymEpoch::of_day(day_of(time_ms), known.days);
        let is_it = |(of, epoch): &&(Region, Epoch)| *of == region && epoch.number == number;
        if let Some((_, epoch)) = self.0.iter().find(is_it) {
            return Some(epoch.clone());
        }
        let keys = known.keys.epoch(known.keyring, region, number)?;
        let epoch = Epoch { number, keys };
        self.0.push((region, epoch.clone()));
        Some(epoch)
    }
}
