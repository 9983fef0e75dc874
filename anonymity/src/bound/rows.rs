//! Which rows of a subject's day count in a group: at most M, each subset of M as likely as any other, and the same
//! rows for every number.
//!
//! A clamp for each number by itself makes shares of numbers wrong: of 300 events, 60 of which failed, a bound of 60
//! would leave 60 events and 60 failures. Here 60 of the 300 are chosen, of which about 12 failed, and all numbers
//! are those of the 60. What is chosen is clamped afterwards as if nothing had been chosen, so that no sensitivity
//! depends on the choice.
//!
//! Invariants: which rows are chosen depends on the day's own rows, in the order in which they come, and on a key
//! drawn afresh. Selection sampling (Knuth, The Art of Computer Programming 2, Algorithm S), once it is known how
//! many rows there are: until then the numbers of all rows of the day are kept. Holds values of one subject's day: no
//! `Debug`.
//! Not here: clamps, and which groups are kept (`unit`).

use std::collections::HashMap;

use super::BoundError;
use crate::choice::{Choice, below, mixed};
use crate::noise::Entropy;

/// What the choice is for, beside groups and values of trees.
const PURPOSE: u8 = 2;
/// Up to so many classes of groups are looked through one by one.
const HEADS_LISTED_MAX: usize = 16;
/// Rows and groups of a day for which there is room again on the next one.
const ROOM: usize = 1 << 10;

/// Chooses among the rows of one subject's day after another.
pub struct RowSample {
    choice: Choice,
    /// Most rows of each class.
    most: Vec<u64>,
    width: usize,
    /// Of the open day: each class of a group that has rows, where it is, and that of the last row.
    heads: Vec<Head>,
    /// Empty while there are few heads.
    places: HashMap<(u64, usize), u32>,
    last: u32,
    /// Of each row, in order: its head, and its numbers.
    owners: Vec<u32>,
    values: Vec<i64>,
    sums: Vec<i64>,
}

/// The rows of one class in one group.
struct Head {
    group: u64,
    class: usize,
    /// That have come; once the day is closed, that are left to choose among.
    rows: u64,
    /// That are still to be chosen.
    wanted: u64,
    state: u64,
}

impl RowSample {
    /// A sample with a key of its own: of each class of rows in a group at most so many, and so many numbers of each
    /// row. Rows of a class that is not there all count.
    ///
    /// # Errors
    /// [`BoundError::Noise`] when no key for the choice can be drawn.
    pub fn new<E: Entropy + ?Sized>(
        most: Vec<u64>,
        width: usize,
        entropy: &mut E,
    ) -> Result<RowSample, BoundError> {
        Ok(RowSample {
            choice: Choice::draw(entropy)?,
            most,
            width,
            heads: Vec::new(),
            places: HashMap::new(),
            last: 0,
            owners: Vec::new(),
            values: Vec::new(),
            sums: Vec::new(),
        })
    }

    /// One row of the open day; numbers that are missing are 0, and what is too much is left out.
    pub fn push(&mut self, group: u64, class: usize, numbers: impl IntoIterator<Item = i64>) {
        let is_it = |head: &Head| head.group == group && head.class == class;
        if !self.heads.get(self.last as usize).is_some_and(is_it) {
            self.last = self.head(group, class);
        }
        if let Some(head) = self.heads.get_mut(self.last as usize) {
            head.rows += 1;
            self.owners.push(self.last);
            self.values.extend(numbers.into_iter().take(self.width));
            self.values.resize(self.owners.len() * self.width, 0);
        }
    }

    /// Where the head of a class of a group is, which is made if there is none. A day has fewer than 2^32 rows.
    fn head(&mut self, group: u64, class: usize) -> u32 {
        let next = u32::try_from(self.heads.len()).unwrap_or(u32::MAX);
        let known = match self.heads.len() > HEADS_LISTED_MAX {
            true => *self.places.entry((group, class)).or_insert(next),
            false => {
                let listed = self.heads.iter().zip(0..);
                let mut own = listed.filter(|(head, _)| head.group == group && head.class == class);
                own.next().map_or(next, |(_, at)| at)
            }
        };
        if known == next {
            self.heads.push(Head { group, class, rows: 0, wanted: 0, state: 0 });
            if self.heads.len() == HEADS_LISTED_MAX + 1 {
                self.places =
                    self.heads.iter().zip(0..).map(|(head, at)| ((head.group, head.class), at)).collect();
            }
        }
        known
    }

    /// The day has no more rows. `each` is given the sums of the rows that count, of each class of each group: they
    /// are to be added. Sums saturate.
    pub fn close(&mut self, day: i32, subject: &[u8; 16], mut each: impl FnMut(u64, &[i64])) {
        let unit = self.choice.unit(PURPOSE, Some(day), subject);
        for head in &mut self.heads {
            let most = self.most.get(head.class).copied().unwrap_or(u64::MAX);
            head.wanted = most.min(head.rows);
            head.state = self.choice.rank(unit, head.group) ^ mixed(head.class as u64);
        }
        self.sums.clear();
        self.sums.resize(self.heads.len() * self.width, 0);
        for (row, owner) in self.owners.iter().enumerate() {
            let Some(head) = self.heads.get_mut(*owner as usize) else { continue };
            // The row is one of the `wanted` with probability wanted / rows.
            let is_wanted = head.wanted == head.rows || below(&mut head.state, head.rows) < head.wanted;
            head.rows -= 1;
            if is_wanted {
                head.wanted -= 1;
                let (from, to) = (row * self.width, *owner as usize * self.width);
                let sums = &mut self.sums[to..to + self.width];
                for (sum, value) in sums.iter_mut().zip(&self.values[from..from + self.width]) {
                    *sum = sum.saturating_add(*value);
                }
            }
        }
        for (at, head) in self.heads.iter().enumerate() {
            each(head.group, &self.sums[at * self.width..(at + 1) * self.width]);
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.heads.clear();
        self.owners.clear();
        self.values.clear();
        self.last = 0;
        self.owners.shrink_to(ROOM);
        self.values.shrink_to(ROOM * self.width);
        // A map that has grown takes long to clear.
        if self.places.capacity() > ROOM {
            self.places = HashMap::new();
        } else if !self.places.is_empty() {
            self.places.clear();
        }
    }

    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        let heads = self.heads.capacity() * size_of::<Head>() + self.places.capacity() * 32;
        heads + self.owners.capacity() * 4 + (self.values.capacity() + self.sums.capacity()) * 8
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;
    use crate::noise::testing::SeededEntropy;

    /// The sums of a day by group; each row is (group, class, numbers).
    fn sums(rows: &[(u64, usize, [i64; 2])], most: &[u64], seed: u64) -> BTreeMap<u64, [i64; 2]> {
        let mut sample = RowSample::new(most.to_vec(), 2, &mut SeededEntropy::new(seed)).unwrap();
        let mut all = BTreeMap::new();
        for (group, class, numbers) in rows {
            sample.push(*group, *class, *numbers);
        }
        sample.close(7, &[1; 16], |group, own| {
            let sums: &mut [i64; 2] = all.entry(group).or_default();
            sums[0] += own[0];
            sums[1] += own[1];
        });
        let mut rows = 0;
        sample.close(8, &[1; 16], |_, _| rows += 1);
        assert_eq!(rows, 0, "nothing is left of a day");
        all
    }

    #[test]
    fn all_numbers_are_of_the_same_rows_and_of_each_class_no_more_than_its_most() {
        let few: Vec<_> = (0..9).map(|at| (at % 2, 0, [1, at as i64])).collect();
        assert_eq!(sums(&few, &[5], 1), BTreeMap::from([(0, [5, 20]), (1, [4, 16])]));
        // 300 rows of one group, of which each fifth has a 3; and some of a class without a bound.
        let many = |at: i64| (4, 0, [1, if at % 5 == 0 { 3 } else { 0 }]);
        let rows: Vec<_> = (0..300).map(many).chain((0..40).map(|_| (9, 1, [1, 1]))).collect();
        let mut threes = 0;
        for seed in 0..400 {
            let found = sums(&rows, &[60], seed);
            assert_eq!((found[&4][0], found[&9]), (60, [40, 40]));
            assert_eq!(found[&4][1] % 3, 0);
            threes += found[&4][1] / 3;
        }
        // 12 each, with a deviation of 2.8: of 400 the mean is off by 0.6 once in 10^5 runs.
        let mean = threes as f64 / 400.0;
        assert!((mean - 12.0).abs() < 0.6, "{mean}");
    }

    #[test]
    fn many_groups_of_a_day_are_apart() {
        let rows: Vec<_> =
            (0..4_000_i64).map(|at| (at as u64 % 100, at as usize / 100 % 2, [1, at % 100])).collect();
        let found = sums(&rows, &[7, 5], 3);
        assert_eq!(found.len(), 100);
        assert!(found.iter().all(|(group, sums)| *sums == [12, 12 * *group as i64]), "{found:?}");
    }

    /// Each row is chosen as often as any other: chi-square, 11 degrees of freedom, 31.3 is passed in one of a
    /// thousand.
    #[test]
    fn every_row_is_as_likely_to_count() {
        let rows: Vec<_> = (0..12_u32).map(|at| (0, 0, [1_i64, 1_i64 << (4 * at)])).collect();
        let mut seen = [0_u32; 12];
        for seed in 0..3_000 {
            let chosen = sums(&rows, &[5], seed)[&0];
            assert_eq!(chosen[0], 5);
            (0..12).for_each(|at| seen[at] += u32::from(chosen[1] >> (4 * at) & 1 == 1));
        }
        let chi: f64 = seen.iter().map(|seen| (f64::from(*seen) - 1_250.0).powi(2) / 1_250.0).sum();
        assert!(chi < 31.3, "{chi}: {seen:?}");
    }
}
