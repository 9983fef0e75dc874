//! Bounded contributions, added up per (day, key).
//!
//! Exact totals, not private yet: no `Debug`, no `Display`. The caller noises every cell, the empty cells of public
//! keys too, and drops private ones below the threshold.

use std::collections::{BTreeMap, HashMap};

use super::{BoundError, Clamp};

/// Keys below are found by a table, those above by a map.
const DENSE_MAX: usize = 1 << 16;
/// Not there.
const ABSENT: u32 = u32::MAX;

/// Where the cells of a day are: a table for small keys, a map for large ones.
#[derive(Default)]
struct Index {
    dense: Vec<u32>,
    sparse: HashMap<u32, u32>,
}

impl Index {
    fn slot(&mut self, key: u32) -> &mut u32 {
        let at = key as usize;
        if at >= DENSE_MAX {
            return self.sparse.entry(key).or_insert(ABSENT);
        }
        if at >= self.dense.len() {
            self.dense.resize((at + 1).next_power_of_two(), ABSENT);
        }
        &mut self.dense[at]
    }
}

struct Head {
    day: Option<i32>,
    key: u32,
    subjects: u64,
    /// The position of its sums.
    slot: u32,
}

/// Adds what is kept of units, in any order of their days.
pub(super) struct Adder {
    width: usize,
    days: BTreeMap<Option<i32>, usize>,
    indexes: Vec<Index>,
    /// The day of the unit before, which most often is that of the next as well.
    last: (Option<i32>, usize),
    heads: Vec<Head>,
    sums: Vec<i128>,
}

impl Adder {
    pub(super) fn new(width: usize) -> Adder {
        let (days, indexes) = (BTreeMap::from([(None, 0)]), vec![Index::default()]);
        Adder { width, days, indexes, last: (None, 0), heads: Vec::new(), sums: Vec::new() }
    }

    /// One unit's values in one key: clamped, added, and one subject more. At most once per unit and key.
    pub(super) fn add(
        &mut self,
        day: Option<i32>,
        key: u32,
        values: &[i64],
        clamps: &[Clamp],
    ) -> Result<(), BoundError> {
        if self.last.0 != day {
            let at = *self.days.entry(day).or_insert(self.indexes.len());
            self.last = (day, at);
            if at == self.indexes.len() {
                self.indexes.push(Index::default());
            }
        }
        let slot = self.indexes[self.last.1].slot(key);
        if *slot == ABSENT {
            let fresh = u32::try_from(self.heads.len()).ok().filter(|slot| *slot != ABSENT);
            *slot = fresh.ok_or(BoundError::Cells)?;
            self.heads.push(Head { day, key, subjects: 0, slot: *slot });
            self.sums.resize(self.sums.len() + self.width, 0);
        }
        let slot = *slot as usize;
        self.heads[slot].subjects += 1;
        let sums = &mut self.sums[slot * self.width..(slot + 1) * self.width];
        for ((sum, value), clamp) in sums.iter_mut().zip(values).zip(clamps) {
            // Fewer than 2^63 units of at most 2^52: below 2^115.
            *sum += i128::from(clamp.apply(*value));
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        let index = |index: &Index| index.dense.capacity() * 4 + index.sparse.capacity() * 16;
        let days: usize = self.indexes.iter().map(index).sum();
        days + self.heads.capacity() * size_of::<Head>() + self.sums.capacity() * 16
    }

    pub(super) fn finish(self) -> Totals {
        Totals { width: self.width, heads: self.heads, sums: self.sums }.in_order()
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
    /// No cells, of so many sums.
    pub fn empty(width: usize) -> Totals {
        Totals { width, heads: Vec::new(), sums: Vec::new() }
    }

    /// Of cells that were bounded elsewhere, each once: (day, key, subjects, sums).
    ///
    /// # Errors
    /// [`BoundError`] when a cell has not `width` sums, comes twice, or there are too many.
    pub fn of(
        width: usize,
        cells: impl IntoIterator<Item = (Option<i32>, u32, u64, Vec<i128>)>,
    ) -> Result<Totals, BoundError> {
        let mut all = Totals::empty(width);
        for (day, key, subjects, sums) in cells {
            let slot = u32::try_from(all.heads.len()).map_err(|_| BoundError::Cells)?;
            if sums.len() != width {
                return Err(BoundError::Width);
            }
            all.heads.push(Head { day, key, subjects, slot });
            all.sums.extend(sums);
        }
        all.in_order().each_once()
    }

    /// Adds the cells of other days, whose keys are numbered anew: `key` must not give two keys one number.
    ///
    /// # Errors
    /// [`BoundError`] when the widths differ, a cell is in both, or there are too many.
    pub fn append(&mut self, other: &Totals, key: impl Fn(u32) -> Option<u32>) -> Result<(), BoundError> {
        if self.width != other.width {
            return Err(BoundError::Width);
        }
        let known = std::mem::replace(self, Totals::empty(other.width));
        let mut all = known;
        for cell in other.cells() {
            let slot = u32::try_from(all.heads.len()).map_err(|_| BoundError::Cells)?;
            let key = key(cell.key).ok_or(BoundError::Cells)?;
            all.heads.push(Head { day: cell.day, key, subjects: cell.subjects, slot });
            all.sums.extend_from_slice(cell.sums);
        }
        *self = all.in_order().each_once()?;
        Ok(())
    }

    /// Cells in order: no two are the same.
    fn each_once(self) -> Result<Totals, BoundError> {
        match self.heads.windows(2).all(|pair| (pair[0].day, pair[0].key) != (pair[1].day, pair[1].key)) {
            true => Ok(self),
            false => Err(BoundError::Cells),
        }
    }

    fn in_order(mut self) -> Totals {
        self.heads.sort_unstable_by_key(|head| (head.day, head.key));
        self
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
