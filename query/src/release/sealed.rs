//! A released part as the ledger keeps it: noisy numbers of groups, anonymous, for ever.
//!
//! ```text
//! version (1 byte) | postcard of Sealed
//! ```
//! Invariants: keys and slots are in the canonical order of the released part's form, groups in the order of their
//! keys; every number has its noise; bytes that do not fit the form are a failure. Every answer is made of decoded
//! bytes, the first one too, so that the first and every later answer are the same to the last bit. While a part is made, no
//! more than one group of it is there as numbers: [`Sealing`].

use serde::{Deserialize, Serialize};
use shoal_anonymity::noise::Variance;

use crate::failure::Failure;
use shoal_language::Value;

const VERSION: u8 = 1;

/// A noisy part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// Of each slot: how many numbers it has in a group, and sigma^2 of their noise as a fraction.
    pub(crate) slots: Vec<(u32, u128, u128)>,
    pub(crate) cells: Vec<SealedCell>,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct SealedCell {
    pub(crate) keys: Vec<SealedValue>,
    /// The numbers of all slots, one slot after the other.
    pub(crate) numbers: Vec<i128>,
}

/// A key's value; the form on disk does not change when [`Value`] does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum SealedValue {
    Null,
    Boolean(bool),
    Number(i64, u8),
    Day(i32),
    Time(i64),
    Text(String),
}

impl From<Value> for SealedValue {
    fn from(value: Value) -> SealedValue {
        match value {
            Value::Null => SealedValue::Null,
            Value::Boolean(b) => SealedValue::Boolean(b),
            Value::Number(units, scale) => SealedValue::Number(units, scale),
            Value::Day(day) => SealedValue::Day(day),
            Value::Time(ms) => SealedValue::Time(ms),
            Value::Text(text) => SealedValue::Text(text),
        }
    }
}

impl From<SealedValue> for Value {
    fn from(value: SealedValue) -> Value {
        match value {
            SealedValue::Null => Value::Null,
            SealedValue::Boolean(b) => Value::Boolean(b),
            SealedValue::Number(units, scale) => Value::Number(units, scale),
            SealedValue::Day(day) => Value::Day(day),
            SealedValue::Time(ms) => Value::Time(ms),
            SealedValue::Text(text) => Value::Text(text),
        }
    }
}

impl Sealed {
    /// As bytes; a part that is made of many groups is never there as a whole ([`Sealing`]).
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Failure> {
        postcard::to_extend(self, vec![VERSION]).map_err(|_| Failure::Internal)
    }

    /// Numbers of each group.
    pub(crate) fn width(&self) -> usize {
        self.slots.iter().map(|(width, ..)| *width as usize).sum()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Sealed, Failure> {
        let (version, rest) = bytes.split_first().ok_or(Failure::Internal)?;
        if *version != VERSION {
            return Err(Failure::Internal);
        }
        let (sealed, rest): (Sealed, &[u8]) =
            postcard::take_from_bytes(rest).map_err(|_| Failure::Internal)?;
        let width = sealed.width();
        let fits = sealed.cells.iter().all(|cell| cell.numbers.len() == width);
        let noised = sealed.slots.iter().all(|(_, p, q)| Variance::new(*p, *q).is_ok());
        (rest.is_empty() && fits && noised).then_some(sealed).ok_or(Failure::Internal)
    }
}

/// A noisy part while it is made, group by group.
pub(super) struct Sealing {
    slots: Vec<(u32, u128, u128)>,
    cells: u64,
    bytes: Vec<u8>,
    /// The group at hand.
    cell: Vec<u8>,
}

impl Sealing {
    /// Of these slots, as [`Sealed`] has them.
    pub(super) fn new(slots: Vec<(u32, u128, u128)>) -> Sealing {
        Sealing { slots, cells: 0, bytes: Vec::new(), cell: Vec::new() }
    }

    /// The next group, in the order of keys.
    pub(super) fn push(&mut self, cell: &SealedCell) -> Result<(), Failure> {
        let mut own = std::mem::take(&mut self.cell);
        own.clear();
        self.cell = postcard::to_extend(cell, own).map_err(|_| Failure::Internal)?;
        // An eighth more each time: what is kept is never much more than what is there.
        if self.bytes.capacity() - self.bytes.len() < self.cell.len() {
            self.bytes.reserve_exact(self.cell.len().max(self.bytes.len() / 8));
        }
        self.bytes.extend_from_slice(&self.cell);
        self.cells += 1;
        Ok(())
    }

    /// The bytes that [`Sealed::decode`] reads.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, Failure> {
        let head = postcard::to_extend(&self.slots, vec![VERSION]).map_err(|_| Failure::Internal)?;
        let head = postcard::to_extend(&self.cells, head).map_err(|_| Failure::Internal)?;
        self.bytes.reserve_exact(head.len());
        self.bytes.splice(0..0, head);
        Ok(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::charge::{NODE_BYTES, NUMBER_BYTES};

    proptest! {
        /// Made group by group, a part has the same bytes, and takes no more room than was planned for them.
        #[test]
        fn group_by_group_it_is_the_same_part(
            cells in prop::collection::vec((any::<i64>(), prop::collection::vec(-9_000..1_i64 << 27, 3)), 0..300),
        ) {
            let cell = |(key, numbers): &(i64, Vec<i64>)| SealedCell {
                keys: vec![SealedValue::Number(*key, 0), SealedValue::Null],
                numbers: numbers.iter().map(|number| i128::from(*number)).collect(),
            };
            let slots = vec![(2, 250, 1), (1, 1, 3)];
            let whole = Sealed { slots: slots.clone(), cells: cells.iter().map(cell).collect() };
            let mut sealing = Sealing::new(slots);
            for (count, cell) in (1..).zip(&whole.cells) {
                sealing.push(cell).unwrap();
                // Lists of keys and numbers begin with their lengths; a key has a byte for its type.
                let planned = 3 * NODE_BYTES + 2 * NUMBER_BYTES + 4;
                prop_assert!(sealing.bytes.capacity() <= planned * count, "{count} groups");
            }
            prop_assert_eq!(sealing.finish().unwrap(), whole.encode().unwrap());
        }
    }

    #[test]
    fn a_part_survives_and_damage_is_seen() {
        let cell = |text: &str, number| SealedCell {
            keys: vec![SealedValue::Text(text.to_owned()), SealedValue::Null, SealedValue::Number(-3, 2)],
            numbers: vec![number, i128::from(i64::MIN) * 8],
        };
        let sealed = Sealed { slots: vec![(1, 250, 1), (1, 1, 3)], cells: vec![cell("a", -7), cell("b", 1)] };
        let bytes = sealed.encode().unwrap();
        assert_eq!(Sealed::decode(&bytes).unwrap(), sealed);
        assert!(Sealed::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(Sealed::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert!(Sealed::decode(&[]).is_err());
        let mut other = bytes.clone();
        other[0] = 2;
        assert!(Sealed::decode(&other).is_err());
        let short = Sealed { slots: vec![(2, 250, 1), (1, 1, 3)], ..sealed };
        assert!(Sealed::decode(&short.encode().unwrap()).is_err());
    }
}
