//! The limits of a subject's day that were in force: how many rows of one subject a stored day may hold.
//!
//! ```text
//! file      "SHOALDL1" | changes, u64 LE | counted until, i32 LE | limit in force, u64 LE | earlier | CRC-32 of all of it, LE
//! earlier   until, i32 LE | limit, u64 LE, as often as there are some
//! ```
//! A limit that is lowered leaves behind days that hold more, so each higher one of before is kept with the last day of which
//! rows can have come in under it. Rows of before the first record came in under a limit that nobody knows, or under none:
//! whoever wants to know how many rows of one subject such a day has must count them. The same holds for what is stored when
//! a restore is accepted, since a record that was later than the one put back may be lost.
//!
//! Invariants: of two records the one with more changes is the newer one; two different ones of as many changes come from
//! two histories, and the larger numbers of both count. Earlier limits descend as their days ascend, are above the one in
//! force, and are few: the oldest two become one with the larger limit and the later day.
//! Not here: where records lie (`high_water_mark`, `book`), the limit itself (`shoal-ingest`), what follows from it for
//! questions (`shoal-query`).

use std::cmp::Ordering;

const HEAD: &[u8; 8] = b"SHOALDL1";
/// Bytes of an earlier limit.
const EARLIER_BYTES: usize = 12;
/// Most earlier limits that are kept.
const EARLIER_MAX: usize = 64;
/// So many days before a day begins its first rows may come in, by clocks that are ahead.
const EARLY_DAYS: i32 = 1;

/// Which limits were in force, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayLimits {
    changes: u64,
    /// Days up to this one may hold rows of before the first record, or of a record that is lost.
    counted_until: i32,
    now: u64,
    /// By day.
    earlier: Vec<Earlier>,
}

/// A limit that was in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Earlier {
    /// The last day of which rows can have come in under it.
    until: i32,
    limit: u64,
}

/// The last day of which rows can have come in by this day.
fn last_of(today: i32) -> i32 {
    today.saturating_add(EARLY_DAYS)
}

impl DayLimits {
    /// The first record, given the day up to which something may have come in before it; none when nothing has.
    pub(super) fn beginning(limit: u64, before: Option<i32>) -> DayLimits {
        let counted_until = before.map_or(i32::MIN, last_of);
        DayLimits { changes: 1, counted_until, now: limit, earlier: Vec::new() }
    }

    /// The record when another limit comes into force; none when it is the one in force.
    pub(super) fn changed_to(&self, limit: u64, today: i32) -> Option<DayLimits> {
        if limit == self.now {
            return None;
        }
        let mut changed = DayLimits { changes: self.changes.saturating_add(1), now: limit, ..self.clone() };
        changed.earlier.push(Earlier { until: last_of(today), limit: self.now });
        changed.tidy();
        Some(changed)
    }

    /// The record when a later one may be lost: days up to the last of which rows can have come in by this day may hold any
    /// number of them.
    pub(super) fn counted_to(&self, day: i32) -> DayLimits {
        let counted_until = self.counted_until.max(last_of(day));
        DayLimits { changes: self.changes.saturating_add(1), counted_until, ..self.clone() }
    }

    /// The most rows of one subject that a day may hold, of those that came in since the first record.
    pub fn most_on(&self, day: i32) -> u64 {
        let earlier = self.earlier.iter().filter(|earlier| earlier.until >= day).map(|earlier| earlier.limit);
        earlier.fold(self.now, u64::max)
    }

    /// Whether a day may hold rows of before the first record, or of a record that is lost.
    pub fn is_counted(&self, day: i32) -> bool {
        day <= self.counted_until
    }

    /// The newer one of two records.
    pub(super) fn or_newer(self, other: DayLimits) -> DayLimits {
        match self.changes.cmp(&other.changes) {
            Ordering::Greater => self,
            Ordering::Less => other,
            Ordering::Equal => {
                let mut both = DayLimits {
                    changes: self.changes,
                    counted_until: self.counted_until.max(other.counted_until),
                    now: self.now.max(other.now),
                    earlier: [self.earlier, other.earlier].concat(),
                };
                both.tidy();
                both
            }
        }
    }

    /// Whether this record is older than another one, or of another history.
    pub(super) fn is_behind(&self, other: &DayLimits) -> bool {
        self.changes < other.changes || (self.changes == other.changes && self != other)
    }

    /// Leaves out what says nothing, and keeps the list short.
    fn tidy(&mut self) {
        self.earlier.sort_unstable_by_key(|earlier| (earlier.until, earlier.limit));
        let mut most = self.now;
        let mut kept: Vec<Earlier> = Vec::new();
        for earlier in self.earlier.iter().rev() {
            if earlier.limit > most {
                most = earlier.limit;
                kept.push(*earlier);
            }
        }
        // From the latest to the oldest.
        while kept.len() > EARLIER_MAX
            && let (Some(oldest), Some(next)) = (kept.pop(), kept.last_mut())
        {
            next.limit = oldest.limit;
        }
        kept.reverse();
        self.earlier = kept;
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = HEAD.to_vec();
        bytes.extend(self.changes.to_le_bytes());
        bytes.extend(self.counted_until.to_le_bytes());
        bytes.extend(self.now.to_le_bytes());
        for Earlier { until, limit } in &self.earlier {
            bytes.extend(until.to_le_bytes());
            bytes.extend(limit.to_le_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// None when the bytes are no record.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<DayLimits> {
        let (said, crc) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(said) != u32::from_le_bytes(*crc) {
            return None;
        }
        let (changes, rest) = said.strip_prefix(HEAD.as_slice())?.split_first_chunk()?;
        let (counted_until, rest) = rest.split_first_chunk()?;
        let (now, rest) = rest.split_first_chunk()?;
        let (entries, left_over) = rest.as_chunks::<EARLIER_BYTES>();
        let earlier = |bytes: &[u8; EARLIER_BYTES]| {
            let (until, limit) = bytes.split_first_chunk()?;
            let limit = u64::from_le_bytes(*limit.first_chunk()?);
            Some(Earlier { until: i32::from_le_bytes(*until), limit })
        };
        let limits = DayLimits {
            changes: u64::from_le_bytes(*changes),
            counted_until: i32::from_le_bytes(*counted_until),
            now: u64::from_le_bytes(*now),
            earlier: entries.iter().map(earlier).collect::<Option<_>>()?,
        };
        left_over.is_empty().then_some(limits)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lowered_limit_counts_for_the_days_that_may_hold_more() {
        let limits = DayLimits::beginning(5_000, Some(10));
        assert!(limits.is_counted(11) && !limits.is_counted(12));
        assert_eq!(limits.changed_to(5_000, 20), None);
        let lowered = limits.changed_to(1_000, 20).unwrap();
        assert_eq!([12, 20, 21, 22].map(|day| lowered.most_on(day)), [5_000, 5_000, 5_000, 1_000]);
        let mistaken = lowered.changed_to(1_000_000, 30).unwrap();
        assert_eq!([12, 25, 300].map(|day| mistaken.most_on(day)), [1_000_000; 3]);
        // It counts for the days that were stored by then, and not for good.
        let back = mistaken.changed_to(2_000, 30).unwrap();
        assert_eq!([12, 31, 32].map(|day| back.most_on(day)), [1_000_000, 1_000_000, 2_000]);
        assert_eq!(back.earlier.len(), 1, "what is below it says nothing: {back:?}");
    }

    #[test]
    fn the_newer_record_counts_and_of_two_histories_the_larger_numbers() {
        let first = DayLimits::beginning(5, Some(10));
        let second = first.changed_to(50, 20).unwrap();
        let other = first.changed_to(7, 30).unwrap();
        for (a, b) in [(&first, &second), (&second, &first)] {
            assert_eq!(a.clone().or_newer(b.clone()), second);
        }
        assert!(first.is_behind(&second) && !second.is_behind(&first));
        assert!(!second.is_behind(&second.clone()));
        assert!(second.is_behind(&other) && other.is_behind(&second));
        let both = second.clone().or_newer(other.clone());
        assert_eq!(both, other.or_newer(second));
        assert_eq!((both.most_on(0), both.most_on(99)), (50, 50));
    }

    #[test]
    fn any_changed_byte_of_a_record_is_found() {
        let limits = DayLimits::beginning(5, Some(10)).changed_to(4, 11).unwrap().changed_to(3, 12).unwrap();
        let bytes = limits.to_bytes();
        assert_eq!(DayLimits::of_bytes(&bytes), Some(limits));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(DayLimits::of_bytes(&changed), None, "{at}");
            assert_eq!(DayLimits::of_bytes(&bytes[..at]), None, "{at}");
        }
    }

    proptest! {
        /// Whatever is set, when and how often: no day may hold more of one subject than the record says.
        #[test]
        fn no_limit_that_was_in_force_is_forgotten(changes in prop::collection::vec((1..9_u64, 0..4_i32), 0..200)) {
            let mut limits = DayLimits::beginning(5, Some(0));
            let (mut today, mut in_force) = (0, vec![(0, 5)]);
            for (limit, days) in changes {
                in_force.extend((0..=days).map(|more| (today + more, limits.now)));
                today += days;
                limits = limits.changed_to(limit, today).unwrap_or(limits);
                in_force.push((today, limit));
                prop_assert!(limits.earlier.len() <= EARLIER_MAX);
            }
            for (day, limit) in in_force {
                prop_assert!(limits.most_on(day) >= limit && limits.most_on(day + 1) >= limit);
            }
            prop_assert_eq!(limits.most_on(today + 2), limits.now);
            prop_assert_eq!(DayLimits::of_bytes(&limits.to_bytes()), Some(limits));
        }

        /// However long the list would be.
        #[test]
        fn a_long_list_becomes_short_and_says_no_less(steps in 1..200_u64) {
            let mut limits = DayLimits::beginning(1_000, None);
            for step in 1..=steps {
                limits = limits.changed_to(1_000 - step, i32::try_from(step).unwrap()).unwrap();
            }
            prop_assert!(limits.earlier.len() <= EARLIER_MAX);
            for step in 1..=steps {
                prop_assert!(limits.most_on(i32::try_from(step).unwrap()) >= 1_001 - step);
            }
        }
    }
}
