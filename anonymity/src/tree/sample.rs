//! At most M values of one unit, in all groups together, each subset of M as likely as any other.
//!
//! Invariants: which values are kept depends on the unit's own values and on a key drawn afresh, on nothing
//! else. Selection sampling (Knuth, The Art of Computer Programming 2, Algorithm S); the generator is splitmix64, seeded
//! by a number of the unit's own. The bound on the sensitivity holds for whatever choice.

use std::collections::BTreeMap;

use crate::choice::{Choice, below};
use crate::noise::{Entropy, NoiseError};

/// Most leaves of one unit, in all groups together: so many that of the few values that are kept nobody notices.
const LEAVES_MAX: usize = 1 << 13;

/// Whose values they are: a subject's of one day, or of a range of days. No `Debug`.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// The pseudonym.
    pub subject: &'a [u8; 16],
    /// Since 1970-01-01; none when the unit is the subject over all days of a range.
    pub day: Option<i32>,
}

/// The key of one run's choices. No `Debug`.
pub struct SampleKey(Choice);

impl SampleKey {
    /// A fresh one.
    ///
    /// # Errors
    /// [`NoiseError`] when there are no random bytes.
    pub fn draw<E: Entropy + ?Sized>(entropy: &mut E) -> Result<SampleKey, NoiseError> {
        Ok(SampleKey(Choice::draw(entropy)?))
    }
}

/// The groups and leaves of one unit's values.
///
/// A unit's identity may be known only when all its values have been seen, so all are kept until [`LeafSample::take`],
/// as one count for each group and leaf: however many values there are, they take no more room than their leaves. Of more than
/// `LEAVES_MAX` of these the later ones are left out, which depends on the unit's own values alone.
#[derive(Default)]
pub struct LeafSample {
    counts: BTreeMap<(u64, u8), u64>,
}

impl LeafSample {
    /// One value more.
    pub fn push(&mut self, group: u64, leaf: u8) {
        if self.counts.len() >= LEAVES_MAX && !self.counts.contains_key(&(group, leaf)) {
            return;
        }
        let count = self.counts.entry((group, leaf)).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// Values so far.
    pub fn len(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// No value?
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Takes out at most `most` of the values, each subset as likely as any other: how many of each group and leaf.
    pub fn take(&mut self, most: u64, key: &SampleKey, unit: Unit<'_>, mut each: impl FnMut(u64, u8, u64)) {
        let mut rest = self.len();
        let counts = std::mem::take(&mut self.counts);
        if rest <= most {
            counts.into_iter().for_each(|((group, leaf), count)| each(group, leaf, count));
            return;
        }
        let (mut wanted, mut state) = (most, key.0.unit(1, unit.day, unit.subject));
        for ((group, leaf), count) in counts {
            // The next value is one of the `wanted` with probability wanted / rest.
            let mut kept = 0;
            for _ in 0..count {
                if wanted == 0 {
                    break;
                }
                if below(&mut state, rest) < wanted {
                    (kept, wanted) = (kept + 1, wanted - 1);
                }
                rest = rest.saturating_sub(1);
            }
            if kept > 0 {
                each(group, leaf, kept);
            }
        }
    }
}
