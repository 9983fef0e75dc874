//! At most M values of one unit, in all cells together, each subset of M as likely as any other.
//!
//! Invariants: which values are kept depends on the unit's own values and on a key drawn afresh, on nothing
//! else. Selection sampling (Knuth, The Art of Computer Programming 2, Algorithm S); the generator is splitmix64, seeded
//! by a keyed hash of the unit. The bound on the sensitivity holds for whatever choice.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use crate::noise::{Entropy, NoiseError};

/// Whose values they are: a subject's of one day, or of a range of days. No `Debug`.
#[derive(Clone, Copy)]
pub struct Unit<'a> {
    /// The pseudonym.
    pub subject: &'a [u8; 16],
    /// Since 1970-01-01; none when the unit is the subject over all days of a range.
    pub day: Option<i32>,
}

/// The key of one run's choices. No `Debug`.
pub struct SampleKey(Zeroizing<[u8; 32]>);

impl SampleKey {
    /// A fresh one.
    pub fn draw<E: Entropy + ?Sized>(entropy: &mut E) -> Result<SampleKey, NoiseError> {
        let mut key = Zeroizing::new([0; 32]);
        entropy.fill(key.as_mut_slice())?;
        Ok(SampleKey(key))
    }

    /// A unit that touches too many cells keeps those of the smallest ranks.
    pub fn rank(&self, unit: &Unit<'_>, cell: u32) -> u64 {
        self.hash(2, unit, cell)
    }

    /// Of a unit and a cell, for each purpose another one.
    fn hash(&self, purpose: u8, unit: &Unit<'_>, cell: u32) -> u64 {
        let mut text = [0; 25];
        text[0] = purpose;
        if let Some(day) = unit.day {
            text[0] |= 1;
            text[1..5].copy_from_slice(&day.to_le_bytes());
        }
        text[5..21].copy_from_slice(unit.subject);
        text[21..].copy_from_slice(&cell.to_le_bytes());
        let digest = blake3::keyed_hash(&self.0, &text);
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

/// The cells and leaves of one unit's values.
///
/// A unit's identity may be known only when all its values have been seen, so all are kept until [`LeafSample::take`],
/// as one count for each cell and leaf: however many values there are, they take no more room than their leaves.
#[derive(Default)]
pub struct LeafSample {
    counts: BTreeMap<(u32, u8), u64>,
}

impl LeafSample {
    /// One value more.
    pub fn push(&mut self, cell: u32, leaf: u8) {
        let count = self.counts.entry((cell, leaf)).or_insert(0);
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

    /// Takes out at most `most` of the values, each subset as likely as any other: how many of each cell and leaf.
    pub fn take(&mut self, most: u64, key: &SampleKey, unit: Unit<'_>, mut each: impl FnMut(u32, u8, u64)) {
        let mut rest = self.len();
        let counts = std::mem::take(&mut self.counts);
        if rest <= most {
            counts.into_iter().for_each(|((cell, leaf), count)| each(cell, leaf, count));
            return;
        }
        let (mut wanted, mut state) = (most, key.hash(0, &unit, 0));
        for ((cell, leaf), count) in counts {
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
                each(cell, leaf, kept);
            }
        }
    }
}

/// A number from 0 to `end` - 1, from a generator that is advanced: multiply and shift, biased by less than 2^-40 for
/// fewer than 2^24 values.
fn below(state: &mut u64, end: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((u128::from(mixed) * u128::from(end)) >> 64) as u64
}
