//! Ranges of subjects whose rows fit in memory, from the number of rows of each.
//!
//! ```text
//! subject, rows -> places: so many subjects that follow each other, and their rows -> pass, pass, .. of parts, part by part
//! ```
//! Pseudonyms are digests under a key, so that their first bits tell them apart; a place is all subjects of which these are the
//! same, and there are never more than [`PLACES_MAX`], however many subjects there are. Invariants: ranges ascend, and together
//! they are all subjects; no range has more rows than it may, but for a place that alone has more. Not here: what is read of
//! them (`passes`).

use std::collections::BTreeMap;

use super::room::CHUNKS;

/// Most places whose rows are counted by themselves.
const PLACES_MAX: usize = 1 << 16;
/// Bits of a subject.
const BITS: u32 = 128;

/// How many rows there are of which subjects.
#[derive(Default)]
pub(super) struct SubjectRows {
    /// How many of the last bits of subjects are left out.
    left_out: u32,
    rows: BTreeMap<u128, u64>,
}

impl SubjectRows {
    /// So many rows more of a subject.
    pub(super) fn add(&mut self, subject: u128, rows: usize) {
        *self.rows.entry(subject >> self.left_out).or_insert(0) += rows as u64;
        if self.rows.len() > PLACES_MAX {
            self.leave_out();
        }
    }

    /// Fewer bits: as many as leave half of the places at the most.
    fn leave_out(&mut self) {
        let places = |more: u32| {
            let mut last = None;
            self.rows.keys().filter(|place| last.replace(**place >> more) != Some(**place >> more)).count()
        };
        let (mut low, mut high) = (1, BITS - 1 - self.left_out);
        while low < high {
            let middle = low.midpoint(high);
            match places(middle) <= PLACES_MAX / 2 {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        for (place, rows) in std::mem::take(&mut self.rows) {
            *self.rows.entry(place >> low).or_insert(0) += rows;
        }
        self.left_out += low;
    }

    /// The last subject of each part of each range, such that no range has more rows than this.
    pub(super) fn ranges(&self, rows_max: usize) -> Vec<Vec<u128>> {
        let (most, most_of_part) = (rows_max as u64, (rows_max / CHUNKS) as u64);
        let (mut ranges, mut parts) = (Vec::new(), Vec::new());
        let (mut range, mut part, mut last) = (0, 0, 0);
        for (place, rows) in &self.rows {
            if range > 0 && range + rows > most {
                parts.push(last);
                ranges.push(std::mem::take(&mut parts));
                (range, part) = (0, 0);
            } else if part > 0 && part + rows > most_of_part {
                parts.push(last);
                part = 0;
            }
            (range, part) = (range + rows, part + rows);
            last = (place << self.left_out) | ((1 << self.left_out) - 1);
        }
        parts.push(u128::MAX);
        ranges.push(parts);
        ranges
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    /// How many rows each range has, and each part of it.
    fn rows_of(all: &[(u128, usize)], ranges: &[Vec<u128>]) -> Vec<Vec<usize>> {
        let mut from = 0;
        let mut of = |end: &u128| {
            let own = from..=*end;
            from = end.saturating_add(1);
            all.iter().filter(|(subject, _)| own.contains(subject)).map(|(_, rows)| rows).sum()
        };
        ranges.iter().map(|parts| parts.iter().map(&mut of).collect()).collect()
    }

    proptest! {
        #[test]
        fn ranges_hold_all_subjects_and_no_more_rows_than_they_may(
            all in prop::collection::vec((any::<u128>(), 1..40_usize), 0..200), rows_max in 40..3_000_usize,
        ) {
            let mut counts = SubjectRows::default();
            all.iter().for_each(|(subject, rows)| counts.add(*subject, *rows));
            let ranges = counts.ranges(rows_max);
            let ends: Vec<u128> = ranges.iter().flatten().copied().collect();
            prop_assert!(ends.is_sorted_by(|one, next| one < next) && ends.last() == Some(&u128::MAX));
            let found: Vec<usize> = rows_of(&all, &ranges).iter().map(|parts| parts.iter().sum()).collect();
            prop_assert!(found.iter().all(|rows| *rows <= rows_max), "{:?} of {}", found, rows_max);
            let sum: usize = all.iter().map(|(_, rows)| rows).sum();
            prop_assert_eq!(found.iter().sum::<usize>(), sum);
            prop_assert!(ranges.len() <= sum / (rows_max - 39) + 1, "{} for {}", ranges.len(), sum);
        }
    }

    #[test]
    fn many_subjects_are_counted_in_few_places() {
        let subjects = |at: u64| {
            let mixed = u128::from(at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            (mixed << 64) | u128::from(at)
        };
        let all: Vec<(u128, usize)> = (0..4 * PLACES_MAX as u64).map(|at| (subjects(at), 3)).collect();
        let mut counts = SubjectRows::default();
        all.iter().for_each(|(subject, rows)| counts.add(*subject, *rows));
        assert!((PLACES_MAX / 8..=PLACES_MAX).contains(&counts.rows.len()), "{}", counts.rows.len());
        let ranges = counts.ranges(100_000);
        let found = rows_of(&all, &ranges);
        let ranged: Vec<usize> = found.iter().map(|parts| parts.iter().sum()).collect();
        assert_eq!(ranged.iter().sum::<usize>(), 12 * PLACES_MAX);
        assert!(ranged.iter().all(|rows| *rows <= 100_000) && ranged.len() == 8, "{ranged:?}");
        assert!(found.iter().flatten().all(|rows| *rows <= 100_000 / CHUNKS), "parts are small");
    }
}
