//! How many grants each caller may still send: a minute's worth at once, and then one after the other.
//!
//! Each caller has a time until which its minute is used up (the generic cell rate algorithm). Invariants: memory is
//! bounded; a caller is a keyed hash, so no address and no key is kept. Not here: who is limited (`room.rs`).

use std::hash::{BuildHasher, Hash, RandomState};

use rustc_hash::FxHashMap;

/// Callers that are remembered, at the most. Those who come then share one rate until others are forgotten.
const CALLERS_MAX: usize = 1 << 16;
const MINUTE_US: i64 = 60_000_000;
const SECOND_US: i64 = 1_000_000;

/// A caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallerHash(u64);

/// All who are beyond [`CALLERS_MAX`].
const OTHERS: CallerHash = CallerHash(0);

/// The rates of all callers.
pub(super) struct Rates {
    interval_us: i64,
    keyed: RandomState,
    /// Until when a caller's minute is used up, in microseconds since 1970.
    used_up_us: FxHashMap<CallerHash, i64>,
    forgotten_us: i64,
}

impl Rates {
    /// So many in a minute from each caller.
    pub(super) fn new(per_min: u32) -> Rates {
        Rates {
            interval_us: MINUTE_US / i64::from(per_min.max(1)),
            keyed: RandomState::new(),
            used_up_us: FxHashMap::default(),
            forgotten_us: i64::MIN,
        }
    }

    /// The caller of these properties.
    pub(super) fn caller(&self, of: impl Hash) -> CallerHash {
        CallerHash(self.keyed.hash_one(of))
    }

    /// Takes so many.
    ///
    /// # Errors
    /// The seconds after which so many may come; none when they never may at once.
    pub(super) fn take(&mut self, caller: CallerHash, count: u32, now_ms: i64) -> Result<(), Option<u32>> {
        let now = now_ms.saturating_mul(1000);
        let wanted = self.interval_us * i64::from(count);
        if wanted > MINUTE_US {
            return Err(None);
        }
        let caller = self.remembered(caller, now);
        // The clock may have been set back.
        let used_up = self.used_up_us.get(&caller).copied().unwrap_or(now).clamp(now, now + MINUTE_US);
        let excess = used_up + wanted - now - MINUTE_US;
        if excess > 0 {
            return Err(Some(u32::try_from((excess + SECOND_US - 1) / SECOND_US).unwrap_or(u32::MAX)));
        }
        self.used_up_us.insert(caller, used_up + wanted);
        Ok(())
    }

    /// The caller itself, when it is remembered or can be.
    fn remembered(&mut self, caller: CallerHash, now: i64) -> CallerHash {
        if self.used_up_us.len() < CALLERS_MAX || self.used_up_us.contains_key(&caller) {
            return caller;
        }
        // Whoever has waited long enough is as good as one who never came. Looked for once a second, because it takes long.
        if now.saturating_sub(self.forgotten_us) >= SECOND_US || now < self.forgotten_us {
            self.forgotten_us = now;
            self.used_up_us.retain(|_, used_up| *used_up > now);
        }
        if self.used_up_us.len() < CALLERS_MAX { caller } else { OTHERS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW_MS: i64 = 1_795_300_000_000;

    #[test]
    fn a_minutes_worth_comes_at_once_and_then_one_after_the_other() {
        let mut rates = Rates::new(60);
        let (one, other) = (rates.caller(("192.0.2.1", "k")), rates.caller(("192.0.2.2", "k")));
        assert_eq!(rates.take(one, 60, NOW_MS), Ok(()));
        assert_eq!(rates.take(one, 1, NOW_MS), Err(Some(1)));
        assert_eq!(rates.take(other, 1, NOW_MS), Ok(()), "another address");
        assert_eq!(rates.take(one, 1, NOW_MS + 1000), Ok(()));
        assert_eq!(rates.take(one, 30, NOW_MS + 1000), Err(Some(30)));
        assert_eq!(rates.take(one, 61, NOW_MS + 10_000_000), Err(None), "never at once");
        assert_eq!(rates.take(one, 60, NOW_MS - 86_400_000), Err(Some(60)), "the clock was set back");
        assert_eq!(rates.take(one, 60, NOW_MS + 10_000_000), Ok(()));
    }

    #[test]
    fn made_up_addresses_fill_no_memory() {
        let mut rates = Rates::new(60);
        for caller in 0..2 * CALLERS_MAX as u64 {
            let _ = rates.take(CallerHash(caller + 1), 1, NOW_MS);
        }
        assert!(rates.used_up_us.len() <= CALLERS_MAX + 1);
        assert!(rates.take(CallerHash(u64::MAX), 1, NOW_MS).is_err(), "all of these share one rate");
        assert_eq!(rates.take(CallerHash(u64::MAX), 1, NOW_MS + 2000), Ok(()), "the first are forgotten");
        assert!(rates.used_up_us.len() < CALLERS_MAX);
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_two_minutes_worth(
            per_min in 1u32..200, steps in proptest::collection::vec((0i64..5_000, 1u32..20), 1..200),
        ) {
            let mut rates = Rates::new(per_min);
            let caller = rates.caller(1);
            let (mut now_ms, mut taken) = (NOW_MS, Vec::new());
            for (later, count) in steps {
                now_ms += later;
                if rates.take(caller, count, now_ms).is_ok() {
                    taken.push((now_ms, u64::from(count)));
                }
                let minute = taken.iter().filter(|(at, _)| *at > now_ms - 60_000).map(|(_, count)| count);
                prop_assert!(minute.sum::<u64>() <= 2 * u64::from(per_min));
            }
        }
    }
}
