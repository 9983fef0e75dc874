//! Bounded contributions, added up per (day, key).
//!
//! Exact totals, not private yet: no `Debug`, no `Display`. The caller noises every cell, the empty cells of public
//! keys too, and drops private ones below the threshold.

use std::collections::HashMap;

use super::{BoundError, Limits};

/// Where in the cells of the current day a key is: a table if keys are dense, else a map.
enum Index {
    Dense(Vec<u32>),
    Sparse(HashMap<u32, u32>),
}

/// Not in the current day.
const ABSENT: u32 = u32::MAX;

struct Head {
    day: Option<i32>,
    key: u32,
    subjects: u64,
    /// The position of its sums.
    slot: u32,
}

/// Adds rows of units that come in order of their days.
pub(super) struct Adder<'a> {
    limits: &'a Limits,
    index: Index,
    heads: Vec<Head>,
    sums: Vec<i128>,
    day: Option<i32>,
    /// The first cell of the current day.
    day_start: usize,
}

impl<'a> Adder<'a> {
    /// The table for dense keys is used only while it stays in proportion to the rows.
    pub(super) fn new(limits: &'a Limits, key_max: u32, rows: usize) -> Adder<'a> {
        let index = if (key_max as usize) < rows.saturating_mul(4).saturating_add(1024) {
            Index::Dense(vec![ABSENT; key_max as usize + 1])
        } else {
            Index::Sparse(HashMap::new())
        };
        Adder { limits, index, heads: Vec::new(), sums: Vec::new(), day: None, day_start: 0 }
    }

    /// One unit's values in one key: clamped, added, and one subject more. At most once per unit and key.
    pub(super) fn add(&mut self, day: Option<i32>, key: u32, values: &[i64]) {
        if day != self.day {
            self.turn_to(day);
        }
        // There are fewer cells than rows, and fewer rows than 2^32.
        let fresh = self.heads.len() as u32;
        let slot = match &mut self.index {
            Index::Dense(table) => &mut table[key as usize],
            Index::Sparse(map) => map.entry(key).or_insert(ABSENT),
        };
        if *slot == ABSENT {
            *slot = fresh;
            self.heads.push(Head { day, key, subjects: 0, slot: fresh });
            self.sums.resize(self.sums.len() + values.len(), 0);
        }
        let slot = *slot as usize;
        self.heads[slot].subjects += 1;
        let sums = &mut self.sums[slot * values.len()..(slot + 1) * values.len()];
        for ((sum, value), clamp) in sums.iter_mut().zip(values).zip(self.limits.clamps()) {
            // 2^32 rows of at most 2^52: below 2^84.
            *sum += i128::from(clamp.apply(*value));
        }
    }

    fn turn_to(&mut self, day: Option<i32>) {
        match &mut self.index {
            Index::Dense(table) => {
                self.heads[self.day_start..].iter().for_each(|head| table[head.key as usize] = ABSENT)
            }
            Index::Sparse(map) => map.clear(),
        }
        self.day = day;
        self.day_start = self.heads.len();
    }

    pub(super) fn finish(mut self) -> Totals {
        self.heads.sort_unstable_by_key(|head| (head.day, head.key));
        Totals { width: self.limits.clamps().len(), heads: self.heads, sums: self.sums }
    }
}

/// What is left after bounding, per (day, key).
pub struct Totals {
    width: usize,
    /// In order of (day, key).
    heads: Vec<Head>,
    sums: Vec<i128>,
}

/// One cell of `Totals`: exact numbers, which must not leave without noise.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    /// Since 1970-01-01; none if the days were bounded as one range.
    pub day: Option<i32>,
    /// The caller's number for the group.
    pub key: u32,
    /// Subjects that kept this key.
    pub subjects: u64,
    /// One for each clamp.
    pub sums: &'a [i128],
}

impl Totals {
    /// Of cells that were bounded elsewhere, each once: (day, key, subjects, sums); `width` sums in each.
    pub fn of(
        width: usize,
        cells: impl IntoIterator<Item = (Option<i32>, u32, u64, Vec<i128>)>,
    ) -> Result<Totals, BoundError> {
        let (mut heads, mut sums) = (Vec::new(), Vec::new());
        for (day, key, subjects, numbers) in cells {
            let slot = u32::try_from(heads.len()).map_err(|_| BoundError::Rows)?;
            if numbers.len() != width {
                return Err(BoundError::Width);
            }
            heads.push(Head { day, key, subjects, slot });
            sums.extend(numbers);
        }
        heads.sort_unstable_by_key(|head| (head.day, head.key));
        if heads.windows(2).any(|pair| (pair[0].day, pair[0].key) == (pair[1].day, pair[1].key)) {
            return Err(BoundError::Rows);
        }
        Ok(Totals { width, heads, sums })
    }

    /// Every cell that a subject touches, in order of (day, key).
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.heads.iter().map(|head| self.cell(head))
    }

    /// The cell of a day (none for a range) and key, if a subject touches it.
    pub fn get(&self, day: Option<i32>, key: u32) -> Option<Cell<'_>> {
        let position = self.heads.binary_search_by_key(&(day, key), |head| (head.day, head.key)).ok()?;
        self.heads.get(position).map(|head| self.cell(head))
    }

    /// Cells.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// No cells?
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Sums in a cell.
    pub fn width(&self) -> usize {
        self.width
    }

    fn cell(&self, head: &Head) -> Cell<'_> {
        let start = head.slot as usize * self.width;
        Cell {
            day: head.day,
            key: head.key,
            subjects: head.subjects,
            sums: &self.sums[start..start + self.width],
        }
    }
}
