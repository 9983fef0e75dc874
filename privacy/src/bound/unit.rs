//! The rows of one unit while they are read: added up per key, then clamped, at most L0 keys kept.
//!
//! Invariants: rows come in any order of their keys, and those of one key are one contribution, so that splitting it into
//! many rows gains nothing. Holds pseudonyms for the length of a call only: no `Debug`.

use std::collections::HashMap;

use zeroize::Zeroizing;

use super::totals::Adder;
use super::{BoundError, Limits, Totals};
use crate::noise::Entropy;

/// Up to so many keys of a unit are looked through one by one.
const KEYS_LISTED_MAX: usize = 16;

/// Bounds one unit after another and adds them up.
pub struct Bounder {
    limits: Limits,
    /// What the choice of keys is made with.
    choice: Zeroizing<[u8; 32]>,
    adder: Adder,
    /// The unit at hand: its keys, the values of each, and where a key is when there are many.
    keys: Vec<u32>,
    values: Vec<i64>,
    places: HashMap<u32, u32>,
    /// The key of the last row.
    last: usize,
    /// (hash, position in `keys`): used if there are too many keys.
    ranks: Vec<(u64, u32)>,
}

impl Bounder {
    /// A bounder with a choice of keys of its own.
    ///
    /// # Errors
    /// [`BoundError::Noise`] when no key for the choice can be drawn.
    pub fn new<E: Entropy + ?Sized>(limits: &Limits, entropy: &mut E) -> Result<Bounder, BoundError> {
        let mut choice = Zeroizing::new([0u8; 32]);
        entropy.fill(choice.as_mut_slice())?;
        Ok(Bounder {
            limits: limits.clone(),
            choice,
            adder: Adder::new(limits.clamps().len()),
            keys: Vec::new(),
            values: Vec::new(),
            places: HashMap::new(),
            last: 0,
            ranks: Vec::new(),
        })
    }

    /// One row of the unit at hand: the caller's number for its group (best dense from 0; 0 if there is one group only)
    /// and one value for each clamp. Values of one key are added, saturating.
    ///
    /// # Errors
    /// [`BoundError::Width`] when there are more or fewer values than clamps.
    pub fn take(&mut self, key: u32, values: &[i64]) -> Result<(), BoundError> {
        let width = self.limits.clamps().len();
        if values.len() != width {
            return Err(BoundError::Width);
        }
        let at = match self.keys.get(self.last) {
            Some(last) if *last == key => self.last,
            _ => match self.find(key) {
                Some(at) => at,
                None => return self.push(key, values),
            },
        };
        self.last = at;
        for (sum, value) in self.values[at * width..(at + 1) * width].iter_mut().zip(values) {
            *sum = sum.saturating_add(*value);
        }
        Ok(())
    }

    fn find(&self, key: u32) -> Option<usize> {
        match self.keys.len() > KEYS_LISTED_MAX {
            true => self.places.get(&key).map(|at| *at as usize),
            false => self.keys.iter().position(|known| *known == key),
        }
    }

    fn push(&mut self, key: u32, values: &[i64]) -> Result<(), BoundError> {
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

    /// The unit has no more rows: what is kept of it is added up, under its day if the unit is a day.
    ///
    /// # Errors
    /// [`BoundError::Cells`] when there are too many cells.
    pub fn close(&mut self, day: Option<i32>, subject: &[u8; 16]) -> Result<(), BoundError> {
        let (width, l0) = (self.limits.clamps().len(), self.limits.l0() as usize);
        let keeps_all = self.keys.len() <= l0;
        if !keeps_all {
            self.rank(day, subject);
            self.ranks.select_nth_unstable(l0 - 1); // l0 >= 1 and there are more keys than that
        }
        for kept in 0..self.keys.len().min(l0) {
            let at = if keeps_all { kept } else { self.ranks[kept].1 as usize };
            let values = &self.values[at * width..(at + 1) * width];
            self.adder.add(day, self.keys[at], values, self.limits.clamps())?;
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

    /// One keyed hash of (day, subject, key) for each key. Ties, should there be any, go to the key that came first.
    fn rank(&mut self, day: Option<i32>, subject: &[u8; 16]) {
        let mut text = [0u8; 25];
        if let Some(day) = day {
            text[0] = 1;
            text[1..5].copy_from_slice(&day.to_le_bytes());
        }
        text[5..21].copy_from_slice(subject);
        self.ranks.clear();
        for (key, position) in self.keys.iter().zip(0..) {
            text[21..].copy_from_slice(&key.to_le_bytes());
            let digest = blake3::keyed_hash(&self.choice, &text);
            let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
            self.ranks.push((u64::from_le_bytes([a, b, c, d, e, f, g, h]), position));
        }
    }

    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        let unit = self.keys.capacity() * 24 + self.values.capacity() * 8 + self.places.capacity() * 16;
        self.adder.bytes() + unit
    }

    /// Every unit is closed.
    pub fn finish(self) -> Totals {
        self.adder.finish()
    }
}
