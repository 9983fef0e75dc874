//! The keys of one region and pseudonym epoch: random, and derived from nothing, so that an epoch whose keys were destroyed is
//! forgotten for good.
//!
//! ```text
//! 128 bytes:  pseudonyms, sessions of user-experience | pseudonyms, sessions of device-experience     32 bytes each
//! ```
//! Key files of version 1 had no such keys: there they are derived from a region's root secret (`keyring.rs`), and are as these.
//! Invariants: no error, `Debug` or `Display` has a key; secrets are zeroised. Not here: where they are kept (`shoal-storage`,
//! `keys/epochs.rs`), when they are made and destroyed (`shoal-ingest`, `epoch_keys.rs`).

use shoal_files::host;
use shoal_schemas::Programme;
use zeroize::Zeroizing;

use crate::{
    key::{NoRandomNumbers, SECRET_BYTES, Secret},
    pseudonym::{Digester, Pseudonymiser},
};

/// Bytes of the keys of an epoch.
pub const EPOCH_KEY_BYTES: usize = 4 * SECRET_BYTES;
/// Context of `blake3::derive_key` for what an epoch's keys are recognised by.
const CHECK: &str = "Shoal 2026-11-30 check value of an epoch's keys, version 1";

/// The keys of one region and pseudonym epoch. No `Debug`; zeroised when dropped.
pub struct EpochKey {
    bytes: Zeroizing<[u8; EPOCH_KEY_BYTES]>,
}

impl EpochKey {
    /// Fresh random keys.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate() -> Result<EpochKey, NoRandomNumbers> {
        let mut bytes = Zeroizing::new([0; EPOCH_KEY_BYTES]);
        host::fill(&mut bytes[..]).map_err(|_| NoRandomNumbers)?;
        Ok(EpochKey { bytes })
    }

    /// The keys of these bytes; none when they are not as many as they have.
    pub fn parse(bytes: &[u8]) -> Option<EpochKey> {
        let mut own = Zeroizing::new([0; EPOCH_KEY_BYTES]);
        (bytes.len() == EPOCH_KEY_BYTES).then(|| own.copy_from_slice(bytes))?;
        Some(EpochKey { bytes: own })
    }

    /// The keys that these are, by programme: pseudonyms, sessions.
    pub(crate) fn of(keys: impl Fn(Programme) -> [Secret; 2]) -> EpochKey {
        let mut bytes = Zeroizing::new([0; EPOCH_KEY_BYTES]);
        for programme in Programme::ALL {
            for (at, key) in keys(*programme).iter().enumerate() {
                bytes[place(*programme, at)].copy_from_slice(&key[..]);
            }
        }
        EpochKey { bytes }
    }

    /// The bytes, to be sealed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..]
    }

    /// Makes the epoch's pseudonyms of a programme.
    pub fn pseudonymiser(&self, programme: Programme) -> Pseudonymiser {
        Pseudonymiser::new(self.key(programme, 0))
    }

    /// Makes the epoch's digests of session ids of a programme.
    pub fn session_digester(&self, programme: Programme) -> Digester {
        Digester::new(self.key(programme, 1))
    }

    /// What tells whether other keys are these: 32 hexadecimal digits of a digest of which no key can be found. It may lie beside the
    /// data.
    pub fn check_value(&self) -> String {
        hex::encode(&blake3::derive_key(CHECK, &self.bytes[..])[..16])
    }

    fn key(&self, programme: Programme, at: usize) -> Secret {
        let mut key = Zeroizing::new([0; SECRET_BYTES]);
        key.copy_from_slice(&self.bytes[place(programme, at)]);
        key
    }
}

/// Where a programme's key is.
fn place(programme: Programme, at: usize) -> std::ops::Range<usize> {
    let first = match programme {
        Programme::UserExperience => 0,
        Programme::DeviceExperience => 2,
    };
    (first + at) * SECRET_BYTES..(first + at + 1) * SECRET_BYTES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use shoal_schemas::IdentifierKind;

    use super::*;

    /// A digest of each purpose and programme.
    fn digests(key: &EpochKey) -> Vec<String> {
        let of = |programme: &Programme| {
            let subject = key.pseudonymiser(*programme).pseudonym(IdentifierKind::User, "u-1");
            [subject.into_bytes(), key.session_digester(*programme).digest("u-1")].map(hex::encode)
        };
        Programme::ALL.iter().flat_map(of).chain([key.check_value()]).collect()
    }

    #[test]
    fn keys_of_no_two_purposes_programmes_or_epochs_are_related() {
        let (one, two) = (EpochKey::generate().unwrap(), EpochKey::generate().unwrap());
        let all: Vec<_> = digests(&one).into_iter().chain(digests(&two)).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 10);
        let again = EpochKey::parse(one.bytes()).unwrap();
        assert_eq!(digests(&again), digests(&one));
        assert!(EpochKey::parse(&one.bytes()[1..]).is_none());
    }
}
