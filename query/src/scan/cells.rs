//! The groups of one region: values of the keys <-> dense numbers.
//!
//! ```text
//! row -encode-> group (64 bits) -of one subject-> kept groups -number-> 0, 1, 2 ..
//! ```
//! With public keys only, groups and numbers are the same: fixed by the query, they cover the whole cross product. With a
//! private key a group is a keyed hash of its values, and has a number only once some subject has kept it: what bounding
//! leaves out leaves no trace, in a number or in what is left of the limit (`limit`).
//!
//! Invariants: the region and the bucket of days are not part of a group; the hour of a day is. Two groups have the same
//! hash with a chance of 2^-64, and then count as one: never more than one subject's bound. Not here: which groups a
//! subject keeps (`shoal-anonymity`, `bound`), whether a group is shown (`release`).

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use datafusion::arrow::array::{Array, ArrayRef};

use shoal_anonymity::bound::GroupKey;
use shoal_anonymity::noise::Entropy;

use super::key_columns::{ABSENT, KeyColumn, UNKNOWN, column_codes};
use crate::failure::Failure;
use shoal_language::calendar::Grain;
use shoal_language::{KeyKind, PrivateQuery};
use shoal_language::{Scalar, Value};

/// What an allocation takes besides what is asked for.
const ALLOCATION: usize = 16;

/// The groups of one region.
pub(crate) struct Cells {
    columns: Vec<KeyColumn>,
    private: Option<Private>,
}

/// Groups that are known by their values only.
struct Private {
    key: GroupKey,
    numbers: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
    groups: Vec<Box<[Value]>>,
    /// Bytes of their values.
    held: usize,
    /// Of the subject at hand, without a number so far.
    met: HashMap<u64, Box<[Value]>, BuildHasherDefault<Hashed>>,
    /// The keys of the batch that each source is at.
    batches: Vec<Vec<ArrayRef>>,
    /// None where nothing limits them.
    groups_max: Option<u64>,
}

/// What is hashed already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

impl Cells {
    /// `groups_max`: of private keys; none where nothing limits them.
    pub(crate) fn new<E: Entropy + ?Sized>(
        query: &PrivateQuery,
        groups_max: Option<u64>,
        entropy: &mut E,
    ) -> Result<Cells, Failure> {
        let mut columns = Vec::new();
        for key in query.keys() {
            let (is_hour, values) = match &key.kind {
                KeyKind::Region | KeyKind::Windows(_) => continue,
                KeyKind::Time(Grain::Hour) => (true, (0..24).map(|h| Value::Number(h, 0)).collect()),
                KeyKind::Time(_) => continue,
                KeyKind::Public(values) => (false, values.clone()),
                KeyKind::Private => (false, Vec::new()),
            };
            columns.push(KeyColumn::new(&key.scalar, is_hour, values)?);
        }
        let private = match query.is_thresholded() {
            false => None,
            true => Some(Private {
                key: GroupKey::draw(entropy)?,
                numbers: HashMap::default(),
                groups: Vec::new(),
                held: 0,
                met: HashMap::default(),
                batches: Vec::new(),
                groups_max,
            }),
        };
        Ok(Cells { columns, private })
    }

    /// The expressions to group by, in order.
    pub(super) fn scalars(&self) -> impl Iterator<Item = &Scalar> {
        self.columns.iter().map(|column| &column.scalar)
    }

    /// How many groups have a number.
    pub(crate) fn len(&self) -> u32 {
        let len = match &self.private {
            Some(private) => private.groups.len(),
            None => self.columns.iter().map(|column| column.values.len()).product(),
        };
        u32::try_from(len).unwrap_or(u32::MAX)
    }

    /// The values of a group by its number, one for each key that is not the region or a bucket of days.
    pub(crate) fn values(&self, cell: u32) -> Vec<Value> {
        let value = |key: usize| self.value(cell, key).cloned().unwrap_or(Value::Null);
        (0..self.columns.len()).map(value).collect()
    }

    /// The order of two groups by the values of these keys.
    pub(crate) fn order(&self, one: u32, other: u32, keys: &[usize]) -> Ordering {
        let each = keys.iter().map(|key| self.value(one, *key).cmp(&self.value(other, *key)));
        each.fold(Ordering::Equal, Ordering::then)
    }

    /// The value of a key of a group.
    fn value(&self, cell: u32, key: usize) -> Option<&Value> {
        if let Some(private) = &self.private {
            return private.groups.get(cell as usize)?.get(key);
        }
        let radix = |column: &KeyColumn| column.values.len().max(1);
        let after: usize = self.columns.iter().skip(key + 1).map(radix).product();
        let column = self.columns.get(key)?;
        column.values.get(cell as usize / after % radix(column))
    }

    /// The group of each row of a batch of this source, [`ABSENT`] for a value that is not in a public domain. Keys have
    /// the types that `Accumulator::load` promises.
    pub(super) fn encode(
        &mut self,
        source: usize,
        keys: &[ArrayRef],
        rows: usize,
    ) -> Result<Vec<u64>, Failure> {
        if keys.len() != self.columns.len() || keys.iter().any(|key| key.len() != rows) {
            return Err(Failure::Internal);
        }
        let hasher = self.private.as_ref().map(|private| &private.key);
        let mut groups: Option<Vec<u64>> = None;
        for (column, key) in self.columns.iter_mut().zip(keys) {
            let codes = column_codes(column, source, key, hasher)?;
            let to = hasher.map_or(Ok(column.values.len() as u64), Err);
            groups = Some(match groups {
                None => codes,
                Some(mut groups) => {
                    for (group, code) in groups.iter_mut().zip(&codes) {
                        *group = joined(*group, *code, &to)?;
                    }
                    groups
                }
            });
        }
        if let Some(private) = &mut self.private {
            if private.batches.len() <= source {
                private.batches.resize_with(source + 1, Vec::new);
            }
            private.batches[source] = keys.to_vec();
        }
        Ok(groups.unwrap_or_else(|| vec![0; rows]))
    }

    /// The subject at hand has this group, by a row of the batch that the source is at.
    pub(super) fn meet(&mut self, group: u64, source: usize, row: usize) -> Result<(), Failure> {
        let Some(private) = &mut self.private else { return Ok(()) };
        if private.numbers.contains_key(&group) || private.met.contains_key(&group) {
            return Ok(());
        }
        let keys = private.batches.get(source).ok_or(Failure::Internal)?;
        let values = self.columns.iter().zip(keys).map(|(column, key)| column.value(key, row));
        private.met.insert(group, values.collect::<Result<_, _>>()?);
        Ok(())
    }

    /// The group with these values of the keys, which the subject at hand has; none for a value that is not in a public domain.
    pub(super) fn group(&mut self, values: &[Value]) -> Result<Option<u64>, Failure> {
        if values.len() != self.columns.len() {
            return Err(Failure::Internal);
        }
        let hasher = self.private.as_ref().map(|private| &private.key);
        let values: Box<[Value]> =
            self.columns.iter().zip(values).map(|(column, value)| column.shown(value.clone())).collect();
        let mut group = None;
        for (column, value) in self.columns.iter().zip(&values) {
            let code = column.code(value, hasher);
            let to = hasher.map_or(Ok(column.values.len() as u64), Err);
            group = Some(group.map_or(Ok(code), |group| joined(group, code, &to))?);
        }
        let group = group.unwrap_or(0);
        if let Some(private) = &mut self.private
            && !private.numbers.contains_key(&group)
        {
            private.met.insert(group, values);
        }
        Ok(Some(group).filter(|group| *group != ABSENT))
    }

    /// Whether a value can be in a group at all: any can, but in a public domain.
    pub(super) fn has(&self, key: usize, value: &Value) -> bool {
        let column = self.columns.get(key).filter(|_| self.private.is_none());
        column.is_none_or(|column| column.code(&column.shown(value.clone()), None) != ABSENT)
    }

    /// The number of a group that the subject at hand keeps; none when there are too many.
    pub(super) fn number(&mut self, group: u64) -> Option<u32> {
        let Some(private) = &mut self.private else { return u32::try_from(group).ok() };
        if let Some(number) = private.numbers.get(&group) {
            return Some(*number);
        }
        let values = private.met.remove(&group)?;
        if private.groups_max.is_some_and(|most| private.groups.len() as u64 >= most) {
            return None;
        }
        let number = u32::try_from(private.groups.len()).ok()?;
        private.numbers.insert(group, number);
        private.held += bytes_of(&values);
        private.groups.push(values);
        Some(number)
    }

    /// Of more groups than this that the subject at hand has and that have no number, only some are needed on.
    pub(super) fn keep(&mut self, most: usize, is_needed: impl Fn(u64) -> bool) {
        if let Some(private) = self.private.as_mut().filter(|private| private.met.len() > most) {
            private.met.retain(|group, _| is_needed(*group));
        }
    }

    /// The subject at hand is done.
    pub(super) fn close(&mut self) {
        let Some(private) = &mut self.private else { return };
        match private.met.capacity() > 1_024 {
            true => private.met = HashMap::default(),
            false => private.met.clear(),
        }
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let private = self.private.as_ref().map_or(0, |private| {
            let keys: usize = private.batches.iter().flatten().map(|key| key.len() * 8).sum();
            // Seven of eight places of a map are used at the most, and each has a byte more.
            let numbers = private.numbers.capacity() * 8 / 7 * (size_of::<(u64, u32)>() + 1);
            let groups = private.groups.capacity() * size_of::<Box<[Value]>>() + private.held;
            let met = private.met.len() * (48 * self.columns.len() + 64);
            numbers + groups + met + keys
        });
        self.columns.iter().map(KeyColumn::bytes).sum::<usize>() + private
    }
}

/// What the values of a group take.
fn bytes_of(values: &[Value]) -> usize {
    let text = |value: &Value| match value {
        Value::Text(text) => text.capacity() + ALLOCATION,
        _ => 0,
    };
    ALLOCATION + size_of_val(values) + values.iter().map(text).sum::<usize>()
}

/// The group of a further key, which is public with so many values, or hashed.
fn joined(group: u64, code: u64, to: &Result<u64, &GroupKey>) -> Result<u64, Failure> {
    match to {
        Ok(_) if group == ABSENT || code == ABSENT => Ok(ABSENT),
        Ok(radix) => group.checked_mul(*radix).and_then(|at| at.checked_add(code)).ok_or(Failure::Internal),
        Err(hasher) => Ok(hasher.both(group, code).min(UNKNOWN - 1)),
    }
}
