//! What the journal keeps of a withdrawal, so that an older record that is put back gets it again.
//!
//! ```text
//! act          kind (1 byte) | what this kind has to say
//! 1 withdrawal   until when consent counts, ms, i64 LE | receipt, ms, i64 LE | told by a consent manager (1)
//! ```
//! The kinds 2 and 3 are kept for a restriction and its end, and 4 for an erasure: of each subject, programme and kind the journal
//! keeps one act, so that a kind says by itself what is in force. Invariants: a reader refuses a kind that it does not know; it
//! never passes over one. Of two withdrawals the journal keeps the later receipt with the earlier end, so that no time between
//! the two counts on a record that knows neither. There is no identifier in it.
//! Not here: the journal's file (`shoal-storage`, `consents/journal.rs`), what follows from a record (`decision.rs`).

use super::record::{ConsentRecord, UnreadableRecord};

const WITHDRAWAL: u8 = 1;

/// A withdrawal, as the journal keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Until when consent counts, ms since 1970.
    pub ended_ms: i64,
    /// When the service was told, ms since 1970.
    pub received_ms: i64,
    /// Whether it was told by a consent manager, as a state.
    pub is_told: bool,
}

impl Withdrawal {
    /// The withdrawal as the service was told: when the client says that it was earlier than the receipt, consent counts until
    /// then.
    pub fn new(claimed_ms: Option<i64>, received_ms: i64, is_told: bool) -> Withdrawal {
        let ended_ms = claimed_ms.map_or(received_ms, |at| at.min(received_ms));
        Withdrawal { ended_ms, received_ms, is_told }
    }

    /// The latest withdrawal that a record tells of.
    pub fn of_record(record: &ConsentRecord) -> Option<Withdrawal> {
        let history = &record.history;
        let received_ms = history.withdrawn_ms()?;
        let ended_ms = history.first_end_ms().map_or(received_ms, |at| at.min(received_ms));
        Some(Withdrawal { ended_ms, received_ms, is_told: history.is_told() })
    }

    /// Its bytes in a journal.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![WITHDRAWAL];
        bytes.extend(self.ended_ms.to_le_bytes());
        bytes.extend(self.received_ms.to_le_bytes());
        bytes.push(u8::from(self.is_told));
        bytes
    }

    /// The withdrawal of these bytes.
    ///
    /// # Errors
    /// [`UnreadableRecord::Form`] for an act of another kind, which a later version wrote.
    pub fn decode(bytes: &[u8]) -> Result<Withdrawal, UnreadableRecord> {
        let (kind, rest) = bytes.split_first().ok_or(UnreadableRecord::Content)?;
        if *kind != WITHDRAWAL {
            return Err(UnreadableRecord::Form { found: *kind });
        }
        let (ended, rest) = rest.split_first_chunk::<8>().ok_or(UnreadableRecord::Content)?;
        let (received, rest) = rest.split_first_chunk::<8>().ok_or(UnreadableRecord::Content)?;
        let is_told = match rest {
            [0] => false,
            [1] => true,
            _ => return Err(UnreadableRecord::Content),
        };
        let (ended_ms, received_ms) = (i64::from_le_bytes(*ended), i64::from_le_bytes(*received));
        Ok(Withdrawal { ended_ms, received_ms, is_told })
    }

    /// One act for two withdrawals of one subject.
    pub fn merged(older: Withdrawal, newer: Withdrawal) -> Withdrawal {
        let received_ms = newer.received_ms.max(older.received_ms);
        Withdrawal { ended_ms: newer.ended_ms.min(older.ended_ms), received_ms, is_told: newer.is_told }
    }

    /// What it makes of the record of an older file; none when the record knows of it. Where it is not certain that the
    /// record lacks it (`is_missing`), the times of receipt decide.
    pub fn replayed(&self, before: Option<ConsentRecord>, is_missing: bool) -> Option<ConsentRecord> {
        let mut record = before.unwrap_or_default();
        if !is_missing && record.history.withdrawn_ms() >= Some(self.received_ms) {
            return None;
        }
        match self.is_told {
            true => record.history.tell_withdrawal(Some(self.ended_ms), self.received_ms),
            false => record.history.withdraw(Some(self.ended_ms), self.received_ms),
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::consent::{Grant, Moment, Standing};

    fn granted(at: i64) -> ConsentRecord {
        let mut record = ConsentRecord::default();
        record.history.grant(&Grant { policy_version: "2026-1", claimed_ms: None, received_ms: at });
        record
    }

    #[test]
    fn an_act_is_read_as_it_was_written_and_no_other_kind_is() {
        let withdrawal = Withdrawal::new(Some(7), 9, true);
        assert_eq!(withdrawal, Withdrawal { ended_ms: 7, received_ms: 9, is_told: true });
        let bytes = withdrawal.encode();
        assert_eq!(Withdrawal::decode(&bytes), Ok(withdrawal));
        for end in 0..bytes.len() {
            assert!(Withdrawal::decode(&bytes[..end]).is_err());
        }
        for kind in [0, 2, 3, 4, 255] {
            let other = [&[kind], &bytes[1..]].concat();
            assert_eq!(Withdrawal::decode(&other), Err(UnreadableRecord::Form { found: kind }));
        }
        assert!(Withdrawal::decode(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn no_time_between_two_withdrawals_counts_on_a_record_that_knows_neither() {
        // Granted at 100, withdrawn at 200, granted at 300, withdrawn at 400.
        let merged = Withdrawal::merged(Withdrawal::new(None, 200, false), Withdrawal::new(None, 400, false));
        let mut record = merged.replayed(Some(granted(100)), true).unwrap();
        assert!(record.history.is_withdrawn());
        record.history.grant(&Grant { policy_version: "2026-1", claimed_ms: None, received_ms: 500 });
        let at = |ms| record.history.standing(Moment { claimed_ms: ms, corrected_ms: ms });
        assert!(matches!(at(150), Standing::Given(_)) && matches!(at(500), Standing::Given(_)));
        for ms in [200, 250, 350, 450] {
            assert_eq!(at(ms), Standing::Withdrawn, "{ms}");
        }
    }

    #[test]
    fn what_a_record_knows_is_not_done_again_by_times_and_always_by_numbers() {
        let withdrawal = Withdrawal::new(None, 200, false);
        let mut known = granted(100);
        known.history.withdraw(None, 200);
        known.history.grant(&Grant { policy_version: "2026-1", claimed_ms: None, received_ms: 300 });
        assert_eq!(withdrawal.replayed(Some(known.clone()), false), None);
        // The service's clock had been set back: it was withdrawn after that.
        assert!(withdrawal.replayed(Some(known), true).unwrap().history.is_withdrawn());
        assert!(withdrawal.replayed(None, false).unwrap().history.is_withdrawn());
    }

    proptest! {
        #[test]
        fn the_latest_withdrawal_of_a_record_withdraws_every_older_one(
            times in prop::collection::vec((any::<bool>(), 0_i64..50), 1..12), kept in 0_usize..12,
        ) {
            let (mut record, mut older, mut now) = (ConsentRecord::default(), ConsentRecord::default(), 0);
            for (at, (is_grant, passed)) in times.iter().enumerate() {
                if at == kept {
                    older = record.clone();
                }
                now += passed + 1;
                match is_grant {
                    true => record.history.grant(&Grant { policy_version: "1", claimed_ms: None, received_ms: now }),
                    false => record.history.withdraw(None, now),
                }
            }
            let told = Withdrawal::of_record(&record);
            prop_assert_eq!(told.is_some(), record.history.was_withdrawn());
            if let Some(told) = told {
                prop_assert_eq!(Withdrawal::decode(&told.encode()), Ok(told));
                prop_assert_eq!(told.replayed(Some(record.clone()), false), None);
                if let Some(after) = told.replayed(Some(older), false) {
                    prop_assert!(after.history.is_withdrawn());
                }
            }
        }
    }
}
