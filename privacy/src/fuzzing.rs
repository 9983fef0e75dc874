//! What decodes bytes of this crate, for fuzzing: built for tests and under the feature `fuzzing` alone.
//!
//! Invariants: an entry takes any bytes and answers whether it could read them; it panics when a property does not hold. Not here:
//! inputs (`fuzz/seeds`), the runs (`fuzz/fuzz_targets`).

use crate::consent::{ConsentRecord, Moment, Withdrawal};
use crate::epoch_key::EpochKey;
use crate::keyring::Keyring;
use crate::unit_key::UnitKey;

const MOMENTS: [i64; 5] = [i64::MIN, -1, 0, 1_795_300_000_000, i64::MAX];

/// A record of a consent, and an act of the journal of withdrawals. Either is read as it is written; the record can be asked about any
/// moment, and the act can be done again on it.
pub fn consent(bytes: &[u8]) -> bool {
    let withdrawal = Withdrawal::decode(bytes);
    if let Ok(withdrawal) = withdrawal {
        assert!(Withdrawal::decode(&withdrawal.encode()) == Ok(withdrawal));
        assert!(withdrawal.replayed(None, true).is_some());
    }
    let Ok(record) = ConsentRecord::decode(bytes) else { return withdrawal.is_ok() };
    let written = record.encode();
    assert!(written.is_ok_and(|written| ConsentRecord::decode(&written).as_ref() == Ok(&record)));
    for claimed_ms in MOMENTS {
        for corrected_ms in MOMENTS {
            record.forbids(Moment { claimed_ms, corrected_ms });
        }
    }
    if let Some(last) = Withdrawal::of_record(&record) {
        assert!(
            last.replayed(Some(record.clone()), false).is_none(),
            "the record knows of its own withdrawal"
        );
        last.replayed(Some(record), true);
    }
    true
}

/// A key file, a file of a day's key, and the keys of an epoch. What is read of a text is read of what is written of it.
pub fn keys(bytes: &[u8]) -> bool {
    let is_epoch = EpochKey::parse(bytes).is_some_and(|key| {
        assert!(key.bytes() == bytes);
        true
    });
    let Ok(text) = std::str::from_utf8(bytes) else { return is_epoch };
    let is_keyring = Keyring::parse(text).is_ok_and(|keyring| {
        let written = keyring.to_text();
        assert!(Keyring::parse(&written).is_ok_and(|again| *again.to_text() == *written));
        true
    });
    let is_unit = UnitKey::parse(text).is_ok_and(|key| {
        assert!(UnitKey::parse(&key.to_text()).is_ok_and(|again| *again.to_text() == *key.to_text()));
        true
    });
    is_epoch || is_keyring || is_unit
}

#[cfg(test)]
#[path = "../../fuzz/malformed.rs"]
mod malformed;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_records_and_keys_end_in_no_panic() {
        malformed::check("consent", consent);
        malformed::check("keys", keys);
    }
}
