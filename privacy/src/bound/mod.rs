//! What one subject's day contributes, at the most: clamp each value, keep at most L0 keys.
//!
//! - `limits`: L0, the clamps, and the sensitivity that follows from them
//! - `contributions`: the rows, one for each (day, subject, key)
//! - `totals`: what is left, added up per (day, key)
//!
//! Two forms. `bound_days`: the unit is a subject's day; for additive aggregates, released per day. `bound_range`: the
//! unit is a subject over all days of a range, counted once per key; for distinct subjects and quantiles.
//!
//! Invariants: integers only; totals are 128 bits wide, which 2^32 rows of at most 2^52 cannot fill; which keys a
//! subject keeps depends on that subject's rows and on a key drawn afresh for each call, on nothing else; so taking a
//! subject('s day) away changes no more than `Limits::days_sensitivity` or `Limits::range_sensitivity` says, exactly.
//! A count of distinct sessions is a `Clamp::Count` whose value is the subject's number of sessions in the key.
//!
//! Not here: noise (`noise`), thresholds (`budget`), what the limits are (the registry, `shoal-schemas`).

mod contributions;
mod limits;
mod totals;

pub use contributions::Contributions;
pub use limits::{Clamp, Limits};
pub use totals::{Cell, Totals};

use zeroize::Zeroizing;

use crate::noise::{Entropy, NoiseError};
use contributions::Row;
use totals::Adder;

/// Why contributions cannot be bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// L0 of 0, or a clamp of 0 or above 2^52, or an aggregate that is not there.
    #[error("a limit is 0 or too large, or there is none for this aggregate")]
    Limits,
    /// A row has more or fewer values than there are clamps.
    #[error("contributions do not have one value for each limit")]
    Width,
    /// More than 2^32 - 1 rows.
    #[error("too many contributions for one release")]
    Rows,
    /// No key for the choice could be drawn.
    #[error(transparent)]
    Noise(#[from] NoiseError),
}

/// Bounds what each subject contributes on each day and adds up per (day, key).
///
/// Taking one subject's day away changes at most L0 cells of one day, each by at most the clamp.
pub fn bound_days<E: Entropy + ?Sized>(
    contributions: &Contributions,
    limits: &Limits,
    entropy: &mut E,
) -> Result<Totals, BoundError> {
    bound(contributions, limits, true, entropy)
}

/// Bounds what each subject contributes over all days together, once per key, and adds up per key; cells have no day.
///
/// A subject's values of one key are added over the days (saturating), then clamped. Taking one subject away changes at
/// most L0 cells, but taking one of its *days* away may exchange L0 cells for L0 others: see `Limits::range_sensitivity`.
pub fn bound_range<E: Entropy + ?Sized>(
    contributions: &Contributions,
    limits: &Limits,
    entropy: &mut E,
) -> Result<Totals, BoundError> {
    bound(contributions, limits, false, entropy)
}

fn bound<E: Entropy + ?Sized>(
    contributions: &Contributions,
    limits: &Limits,
    by_day: bool,
    entropy: &mut E,
) -> Result<Totals, BoundError> {
    if contributions.width() != limits.clamps().len() {
        return Err(BoundError::Width);
    }
    let mut choice = Zeroizing::new([0u8; 32]);
    entropy.fill(choice.as_mut_slice())?;
    let mut unit = Unit::new(limits, &choice);
    let mut adder = Adder::new(limits, contributions.key_max(), contributions.len());
    let mut current = None;
    contributions.in_order(by_day, |row| {
        let next = (row.day.filter(|_| by_day), row.subject);
        if current != Some(next) {
            unit.close(&mut adder);
            current = Some(next);
        }
        unit.take(&row);
    });
    unit.close(&mut adder);
    Ok(adder.finish())
}

/// The rows of one subject('s day), while they are read.
struct Unit<'a> {
    limits: &'a Limits,
    choice: &'a [u8; 32],
    day: Option<i32>,
    subject: [u8; 16],
    keys: Vec<u32>,
    values: Vec<i64>,
    /// (hash, position in `keys`): used if there are too many keys.
    ranks: Vec<(u64, u32)>,
}

impl<'a> Unit<'a> {
    fn new(limits: &'a Limits, choice: &'a [u8; 32]) -> Unit<'a> {
        Unit {
            limits,
            choice,
            day: None,
            subject: [0; 16],
            keys: Vec::new(),
            values: Vec::new(),
            ranks: Vec::new(),
        }
    }

    /// Rows come in order of their keys; those of one key are one contribution.
    fn take(&mut self, row: &Row<'_>) {
        if self.keys.last() == Some(&row.key) {
            let last = self.values.len() - row.values.len();
            for (sum, value) in self.values[last..].iter_mut().zip(row.values) {
                *sum = sum.saturating_add(*value);
            }
            return;
        }
        (self.day, self.subject) = (row.day, row.subject);
        self.keys.push(row.key);
        self.values.extend_from_slice(row.values);
    }

    fn close(&mut self, adder: &mut Adder<'_>) {
        let (width, l0) = (self.limits.clamps().len(), self.limits.l0() as usize);
        if self.keys.len() <= l0 {
            for (position, key) in self.keys.iter().enumerate() {
                adder.add(self.day, *key, &self.values[position * width..(position + 1) * width]);
            }
        } else {
            self.rank();
            self.ranks.select_nth_unstable(l0 - 1); // l0 >= 1 and there are more keys than that
            for (_, position) in &self.ranks[..l0] {
                let position = *position as usize;
                adder.add(
                    self.day,
                    self.keys[position],
                    &self.values[position * width..(position + 1) * width],
                );
            }
        }
        self.keys.clear();
        self.values.clear();
    }

    /// One keyed hash of (day, subject, key) for each key. Ties, should there be any, go to the smaller key.
    fn rank(&mut self) {
        let mut text = [0u8; 25];
        if let Some(day) = self.day {
            text[0] = 1;
            text[1..5].copy_from_slice(&day.to_le_bytes());
        }
        text[5..21].copy_from_slice(&self.subject);
        self.ranks.clear();
        for (position, key) in self.keys.iter().enumerate() {
            text[21..].copy_from_slice(&key.to_le_bytes());
            let digest = blake3::keyed_hash(self.choice, &text);
            let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
            self.ranks.push((u64::from_le_bytes([a, b, c, d, e, f, g, h]), position as u32));
        }
    }
}

#[cfg(test)]
mod tests;
