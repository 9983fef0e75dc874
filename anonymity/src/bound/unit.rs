//! The rows of one unit while they are read: added up per key, then clamped, at most L0 keys kept.
//!
//! Invariants: rows come in any order of their keys, and those of one key are one contribution, so that splitting it into
//! many rows gains nothing. Holds pseudonyms for the length of a call only: no `Debug`.

use std::collections::HashMap;

use super::totals::Adder;
use super::{BoundError, Limits, Totals};
use crate::choice::Choice;
use crate::noise::Entropy;

/// Up to so many keys of a unit are looked through one by one.
const KEYS_LISTED_MAX: usize = 16;
/// Keys of one unit that are told apart: those that come later are left out. Of at most L0 kept ones, which are chosen
/// from so many, nobody notices.
pub const UNIT_KEYS_MAX: usize = 1 << 13;

/// Bounds one unit after another and adds them up.
pub struct Bounder {
    limits: Limits,
    /// What the choice of keys is made with.
    choice: Choice,
    adder: Adder,
    /// The unit at hand: its keys, the values of each, and where a key is when there are many.
    keys: Vec<u64>,
    values: Vec<i64>,
    places: HashMap<u64, u32>,
    /// The key of the last row.
    last: usize,
    /// (rank, position in `keys`): used if there are too many keys.
    ranks: Vec<(u64, u32)>,
}

/// What a row was to its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// One more of a key that the unit had.
    Known,
    /// The first of its key.
    New,
    /// The unit has too many keys: the row does not count.
    LeftOut,
}

impl Bounder {
    /// A bounder with a choice of keys of its own.
    ///
    /// # Errors
    /// [`BoundError::Noise`] when no key for the choice can be drawn.
    pub fn new<E: Entropy + ?Sized>(limits: &Limits, entropy: &mut E) -> Result<Bounder, BoundError> {
        Ok(Bounder {
            limits: limits.clone(),
            choice: Choice::draw(entropy)?,
            adder: Adder::new(limits.clamps().len()),
            keys: Vec::new(),
            values: Vec::new(),
            places: HashMap::new(),
            last: 0,
            ranks: Vec::new(),
        })
    }

    /// One row of the unit at hand: a key for its group and one value for each clamp. Values of one key are added,
    /// saturating.
    ///
    /// # Errors
    /// [`BoundError::Width`] when there are more or fewer values than clamps.
    pub fn take(&mut self, key: u64, values: &[i64]) -> Result<Taken, BoundError> {
        let width = self.limits.clamps().len();
        if values.len() != width {
            return Err(BoundError::Width);
        }
        let at = match self.keys.get(self.last) {
            Some(last) if *last == key => self.last,
            _ => match self.find(key) {
                Some(at) => at,
                None if self.keys.len() >= UNIT_KEYS_MAX => return Ok(Taken::LeftOut),
                None => {
                    self.push(key, values)?;
                    return Ok(Taken::New);
                }
            },
        };
        self.last = at;
        for (sum, value) in self.values[at * width..(at + 1) * width].iter_mut().zip(values) {
            *sum = sum.saturating_add(*value);
        }
        Ok(Taken::Known)
    }

    /// Whether the unit at hand has a row with this key.
    pub fn has(&self, key: u64) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: u64) -> Option<usize> {
        match self.keys.len() > KEYS_LISTED_MAX {
            true => self.places.get(&key).map(|at| *at as usize),
            false => self.keys.iter().position(|known| *known == key),
        }
    }

    fn push(&mut self, key: u64, values: &[i64]) -> Result<(), BoundError> {
        self.last = self.keys.len();
        let at = u32::try_from(self.last).map_err(|_| BoundError::Cells)?;
        self.keys.push(key);
        self.values.extend_from_slice(values);
        if self.keys.len() == KEYS_LISTED_MAX + 1 {
            self.places = self.keys.iter().zip(0..).map(|(key, at)| (*key, at)).collect();
        } else if self.keys.len() > KEYS_LISTED_MAX {
            self.places.insert(key, at);
        }
        Ok(())
    }

    /// The unit has no more rows: what is kept of it is added up under the number of each kept key (best dense from 0), and
    /// `under` a day if the totals are kept apart by days. `day` is the unit's, if it is a subject's day. No key that is not
    /// kept is numbered. Without `under` the subjects of a cell are units: a subject of two days counts twice.
    ///
    /// # Errors
    /// [`BoundError::Cells`] when there are too many cells, or a kept key has no number.
    pub fn close(
        &mut self,
        day: Option<i32>,
        under: Option<i32>,
        subject: &[u8; 16],
        number: &mut dyn FnMut(u64) -> Option<u32>,
    ) -> Result<(), BoundError> {
        let (width, l0) = (self.limits.clamps().len(), self.limits.l0() as usize);
        let keeps_all = self.keys.len() <= l0;
        if !keeps_all {
            self.rank(day, subject);
            self.ranks.select_nth_unstable(l0 - 1); // l0 >= 1 and there are more keys than that
        }
        for kept in 0..self.keys.len().min(l0) {
            let at = if keeps_all { kept } else { self.ranks[kept].1 as usize };
            let values = &self.values[at * width..(at + 1) * width];
            let cell = number(self.keys[at]).ok_or(BoundError::Cells)?;
            self.adder.add(under, cell, values, self.limits.clamps())?;
        }
        self.forget();
        Ok(())
    }

    /// The unit at hand does not count.
    pub fn forget(&mut self) {
        self.keys.clear();
        self.values.clear();
        self.last = 0;
        // A map that has grown takes long to clear.
        if self.places.capacity() > 1024 {
            self.places = HashMap::new();
        } else if !self.places.is_empty() {
            self.places.clear();
        }
    }

    /// Ties, should there be any, go to the key that came first.
    fn rank(&mut self, day: Option<i32>, subject: &[u8; 16]) {
        let unit = self.choice.unit(0, day, subject);
        self.ranks.clear();
        let (choice, keys) = (&self.choice, self.keys.iter().zip(0..));
        self.ranks.extend(keys.map(|(key, position)| (choice.rank(unit, *key), position)));
    }

    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        let unit = self.keys.capacity() * 32 + self.values.capacity() * 8 + self.places.capacity() * 24;
        self.adder.bytes() + unit
    }

    /// Every unit is closed.
    pub fn finish(self) -> Totals {
        self.adder.finish()
    }
}
