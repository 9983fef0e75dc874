//! Distinct items (sessions) of a subject over a range of days: bounded for each day, each counted once.
//!
//! Of each of the subject's days at most L0 keys are kept, and in each of them at most linf items of each aggregate, those
//! whose numbers are smallest. Which these are follows from that day's rows and a key drawn afresh. Over the range a key has
//! the items that it kept on any day.
//!
//! Invariants: a day that is taken away takes with it at most the items that it kept, since every other day keeps what it
//! kept before: at most linf in each of at most L0 keys, so [`Limits::days_sensitivity`] is right for the whole range.
//! Holds pseudonyms and items for the length of a subject only: no `Debug`. Not here: values that add up (`unit`).

use super::totals::Adder;
use super::{BoundError, Clamp, Limits, Totals};
use crate::choice::Choice;
use crate::noise::Entropy;

/// Items of one subject's day that are told apart, at the most; more than any clamp lets through.
const ITEMS_MAX: usize = 1 << 16;
/// What is counted has been bounded: the sums of a range are not clamped again.
const WHOLE: u64 = 1 << 52;

/// Bounds the items of one subject's day after another and counts them once for each subject.
pub struct DistinctBounder {
    limits: Limits,
    choice: Choice,
    adder: Adder,
    /// Of the open day: key, aggregate, item; some more than once.
    day: Vec<(u64, u32, u128)>,
    /// Of the open subject: the number of the key, aggregate, item; some more than once.
    kept: Vec<(u32, u32, u128)>,
}

impl DistinctBounder {
    /// A bounder with a choice of keys of its own; the limits are those of a day.
    ///
    /// # Errors
    /// [`BoundError::Noise`] when no key for the choice can be drawn.
    pub fn new<E: Entropy + ?Sized>(limits: &Limits, entropy: &mut E) -> Result<DistinctBounder, BoundError> {
        Ok(DistinctBounder {
            limits: limits.clone(),
            choice: Choice::draw(entropy)?,
            adder: Adder::new(limits.clamps().len()),
            day: Vec::new(),
            kept: Vec::new(),
        })
    }

    /// An item of an aggregate on the open day, in the group with this key.
    pub fn take(&mut self, key: u64, aggregate: u32, item: u128) {
        if self.day.len() >= 2 * ITEMS_MAX {
            self.sort();
            self.day.truncate(ITEMS_MAX);
        }
        self.day.push((key, aggregate, item));
    }

    fn sort(&mut self) {
        self.day.sort_unstable();
        self.day.dedup();
    }

    /// The open day has no more rows. `number` gives each kept key its number, and no other.
    ///
    /// # Errors
    /// [`BoundError::Cells`] when a kept key has no number.
    pub fn close_day(
        &mut self,
        day: i32,
        subject: &[u8; 16],
        number: &mut dyn FnMut(u64) -> Option<u32>,
    ) -> Result<(), BoundError> {
        self.sort();
        let mut keys: Vec<u64> = self.day.iter().map(|(key, ..)| *key).collect();
        keys.dedup();
        if keys.len() > self.limits.l0() as usize {
            let unit = self.choice.unit(0, Some(day), subject);
            keys.sort_unstable_by_key(|key| (self.choice.rank(unit, *key), *key));
            keys.truncate(self.limits.l0() as usize);
        }
        for key in keys {
            let cell = number(key).ok_or(BoundError::Cells)?;
            let first = self.day.partition_point(|(other, ..)| *other < key);
            let own = self.day[first..].iter().take_while(|(other, ..)| *other == key);
            let (mut last, mut left) = (None, 0);
            for (_, aggregate, item) in own {
                if last != Some(*aggregate) {
                    let clamp = self.limits.clamps().get(*aggregate as usize).ok_or(BoundError::Limits)?;
                    (last, left) = (Some(*aggregate), clamp.linf());
                }
                if left > 0 {
                    self.kept.push((cell, *aggregate, *item));
                    left -= 1;
                }
            }
        }
        self.day.clear();
        self.day.shrink_to(1 << 10);
        Ok(())
    }

    /// The subject has no more rows: each of its items counts once in each of its groups.
    ///
    /// # Errors
    /// [`BoundError::Cells`] when there are too many cells.
    pub fn close(&mut self) -> Result<(), BoundError> {
        self.kept.sort_unstable();
        self.kept.dedup();
        let width = self.limits.clamps().len();
        let clamps = vec![Clamp::Count(WHOLE); width];
        for of_cell in self.kept.chunk_by(|a, b| a.0 == b.0) {
            let mut counts = vec![0_i64; width];
            for (_, aggregate, _) in of_cell {
                *counts.get_mut(*aggregate as usize).ok_or(BoundError::Limits)? += 1;
            }
            let Some((cell, ..)) = of_cell.first() else { continue };
            self.adder.add(None, *cell, &counts, &clamps)?;
        }
        self.kept.clear();
        self.kept.shrink_to(1 << 10);
        Ok(())
    }

    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        self.adder.bytes() + self.day.capacity() * 32 + self.kept.capacity() * 32
    }

    /// Every subject is closed.
    pub fn finish(self) -> Totals {
        self.adder.finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::noise::testing::SeededEntropy;

    /// Day, key, aggregate, item of one subject.
    type Visit = (i32, u64, u32, u128);

    fn counts(visits: &[Visit], limits: &Limits, seed: u64) -> BTreeMap<(u32, usize), i128> {
        let mut bounder = DistinctBounder::new(limits, &mut SeededEntropy::new(seed)).unwrap();
        let mut number = |key: u64| u32::try_from(key).ok();
        for day in 0..6 {
            for (_, key, aggregate, item) in visits.iter().filter(|visit| visit.0 == day) {
                bounder.take(*key, *aggregate, *item);
            }
            bounder.close_day(day, &[1; 16], &mut number).unwrap();
        }
        bounder.close().unwrap();
        let totals = bounder.finish();
        let mut all = BTreeMap::new();
        for cell in totals.cells() {
            all.extend(cell.sums.iter().enumerate().map(|(at, sum)| ((cell.key, at), *sum)));
        }
        all
    }

    fn limits(l0: u32, linf: [u64; 2]) -> Limits {
        Limits::new(l0, linf.map(Clamp::Count).to_vec()).unwrap()
    }

    #[test]
    fn an_item_of_several_days_counts_once() {
        let visits: Vec<Visit> =
            (0..6).flat_map(|day| [(day, 3, 0, 7), (day, 3, 0, 7), (day, 3, 1, 9)]).collect();
        let found = counts(&visits, &limits(1, [5, 5]), 1);
        assert_eq!(found, BTreeMap::from([((3, 0), 1), ((3, 1), 1)]));
        // Of each day as many as the clamp lets through, over the range more.
        let many: Vec<Visit> = (0..6_i32)
            .flat_map(|day| (0..9).map(move |at| (day, 3, 0, u128::from(day.unsigned_abs()) * 100 + at)))
            .collect();
        assert_eq!(counts(&many, &limits(1, [5, 5]), 1)[&(3, 0)], 30);
    }

    proptest! {
        #[test]
        fn a_day_less_changes_no_more_than_the_sensitivity(
            visits in prop::collection::vec((0..6_i32, 0..5_u64, 0..2_u32, 0..12_u128), 0..80),
            lost in 0..6_i32,
            l0 in 1..4_u32,
            linf in [1..5_u64, 1..5_u64],
            seed in any::<u64>(),
        ) {
            let limits = limits(l0, linf);
            let less: Vec<Visit> = visits.iter().filter(|visit| visit.0 != lost).copied().collect();
            let (all, less) = (counts(&visits, &limits, seed), counts(&less, &limits, seed));
            for at in 0..2 {
                let own = |of: &BTreeMap<(u32, usize), i128>, key| of.get(&(key, at)).copied().unwrap_or(0);
                let change: u128 =
                    (0..5).map(|key| (own(&all, key) - own(&less, key)).unsigned_abs().pow(2)).sum();
                prop_assert!(change <= limits.days_sensitivity(Some(at)).unwrap());
            }
        }
    }
}
