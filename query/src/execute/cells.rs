//! The groups of one region: values of the keys <-> dense numbers.
//!
//! Invariants: with public keys only, the numbers are fixed by the query and cover the whole cross product; with a
//! private key they are given as values come, at most `cells_max` of them. The region and the bucket of days are not
//! part of a group's number; the hour of a day is.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};

use super::Failure;
use super::rows::is_same;
use crate::calendar::{Grain, HOUR_MS};
use crate::expr::{Scalar, Type, Value};
use crate::private_query::{KeyKind, PrivateQuery};

/// No group, no code: the value is not in a public domain.
pub(super) const ABSENT: u32 = u32::MAX;
/// Not looked up yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// Combinations of codes by number: to look a number up, and to read it back.
type Combinations = (HashMap<Box<[u32]>, u32>, Vec<Box<[u32]>>);

/// The groups of one region.
pub(crate) struct Cells {
    columns: Vec<KeyColumn>,
    /// Codes of the columns -> number; with public keys only, the number is computed.
    private: Option<Combinations>,
    cells_max: usize,
}

struct KeyColumn {
    scalar: Scalar,
    ty: Type,
    is_hour: bool,
    values: Vec<Value>,
    texts: HashMap<String, u32>,
    others: HashMap<Value, u32>,
    /// The dictionary of each source and the codes of its texts, as far as they are known.
    dictionaries: HashMap<usize, (StringArray, Vec<u32>)>,
}

/// How codes of new values are given.
#[derive(Clone, Copy)]
struct Growth {
    grows: bool,
    cells_max: usize,
}

impl KeyColumn {
    /// The code of a value; none when it is unknown and may not become known.
    fn code(&mut self, value: Value, growth: Growth) -> Result<u32, Failure> {
        let known = match &value {
            Value::Text(text) => self.texts.get(text),
            other => self.others.get(other),
        };
        match known {
            Some(code) => Ok(*code),
            None if !growth.grows => Ok(ABSENT),
            None if self.values.len() >= growth.cells_max => Err(Failure),
            None => self.add(value),
        }
    }

    fn add(&mut self, value: Value) -> Result<u32, Failure> {
        let code = u32::try_from(self.values.len()).map_err(|_| Failure)?;
        match &value {
            Value::Text(text) => self.texts.insert(text.clone(), code),
            other => self.others.insert(other.clone(), code),
        };
        self.values.push(value);
        Ok(code)
    }
}

impl Cells {
    pub(crate) fn new(query: &PrivateQuery, cells_max: usize) -> Result<Cells, Failure> {
        let mut columns = Vec::new();
        for key in &query.keys {
            let (is_hour, values) = match &key.kind {
                KeyKind::Region => continue,
                KeyKind::Time(Grain::Hour) => (true, (0..24).map(|h| Value::Number(h, 0)).collect()),
                KeyKind::Time(_) => continue,
                KeyKind::Public(values) => (false, values.clone()),
                KeyKind::Private => (false, Vec::new()),
            };
            let mut column = KeyColumn {
                scalar: key.scalar.clone(),
                ty: key.scalar.ty().ok_or(Failure)?,
                is_hour,
                values: Vec::new(),
                texts: HashMap::new(),
                others: HashMap::new(),
                dictionaries: HashMap::new(),
            };
            for value in values {
                column.add(value)?;
            }
            columns.push(column);
        }
        let private = query.is_thresholded().then(Default::default);
        Ok(Cells { columns, private, cells_max })
    }

    /// The expressions to group by, in order.
    pub(super) fn scalars(&self) -> impl Iterator<Item = &Scalar> {
        self.columns.iter().map(|column| &column.scalar)
    }

    /// How many groups there are (so far, with a private key).
    pub(crate) fn len(&self) -> u32 {
        let len = match &self.private {
            Some((_, all)) => all.len(),
            None => self.columns.iter().map(|column| column.values.len()).product(),
        };
        u32::try_from(len).unwrap_or(u32::MAX)
    }

    /// The values of a group, one for each key that is not the region or a bucket of days.
    pub(crate) fn values(&self, cell: u32) -> Vec<Value> {
        let value = |column: &KeyColumn, code: usize| column.values.get(code).cloned().unwrap_or(Value::Null);
        if let Some((_, all)) = &self.private {
            let codes = all.get(cell as usize).map(|codes| &codes[..]).unwrap_or_default();
            let pairs = self.columns.iter().zip(codes);
            return pairs.map(|(column, code)| value(column, *code as usize)).collect();
        }
        let mut rest = cell as usize;
        let mut values: Vec<Value> = self
            .columns
            .iter()
            .rev()
            .map(|column| {
                let radix = column.values.len().max(1);
                let code = rest % radix;
                rest /= radix;
                value(column, code)
            })
            .collect();
        values.reverse();
        values
    }

    /// The group of each row of a batch of this source, [`ABSENT`] for a value that is not in a public domain. Keys have
    /// the types that `Fold::load` promises.
    pub(super) fn encode(
        &mut self,
        source: usize,
        keys: &[ArrayRef],
        rows: usize,
    ) -> Result<Vec<u32>, Failure> {
        let growth = Growth { grows: self.private.is_some(), cells_max: self.cells_max };
        let mut codes = Vec::with_capacity(keys.len());
        for (column, key) in self.columns.iter_mut().zip(keys) {
            codes.push(column_codes(column, source, key, growth)?);
        }
        if codes.len() != self.columns.len() || codes.iter().any(|column| column.len() != rows) {
            return Err(Failure);
        }
        if self.private.is_some() {
            return self.combine(&codes, rows);
        }
        let mut cells = vec![0_u32; rows];
        for (column, codes) in self.columns.iter().zip(&codes) {
            let radix = u32::try_from(column.values.len()).map_err(|_| Failure)?;
            for (cell, code) in cells.iter_mut().zip(codes) {
                *cell = match *cell == ABSENT || *code == ABSENT {
                    true => ABSENT,
                    false => cell.checked_mul(radix).and_then(|c| c.checked_add(*code)).ok_or(Failure)?,
                };
            }
        }
        Ok(cells)
    }

    /// The code of a value of a key, by the key's position; none for a value that is not in a public domain.
    pub(super) fn code(&mut self, key: usize, value: Value) -> Result<Option<u32>, Failure> {
        let growth = Growth { grows: self.private.is_some(), cells_max: self.cells_max };
        let column = self.columns.get_mut(key).ok_or(Failure)?;
        let value = match value {
            Value::Time(ms) if column.is_hour => Value::Number(ms.div_euclid(HOUR_MS).rem_euclid(24), 0),
            other => other,
        };
        Ok(Some(column.code(value, growth)?).filter(|code| *code != ABSENT))
    }

    /// The group with these codes, one for each key.
    pub(super) fn cell(&mut self, codes: &[u32]) -> Result<u32, Failure> {
        if codes.len() != self.columns.len() {
            return Err(Failure);
        }
        if self.private.is_some() {
            return self.combination(codes);
        }
        let radixes = self.columns.iter().map(|column| column.values.len());
        let step = |cell: u32, (radix, code): (usize, &u32)| {
            cell.checked_mul(u32::try_from(radix).ok()?)?.checked_add(*code)
        };
        radixes.zip(codes).try_fold(0, step).ok_or(Failure)
    }

    /// The numbers of combinations that come as they are found.
    fn combine(&mut self, codes: &[Vec<u32>], rows: usize) -> Result<Vec<u32>, Failure> {
        let mut cells = Vec::with_capacity(rows);
        let mut row_codes: Vec<u32> = Vec::with_capacity(codes.len());
        let mut last = ABSENT;
        for row in 0..rows {
            if row > 0 && codes.iter().all(|column| column[row] == column[row - 1]) {
                cells.push(last);
                continue;
            }
            row_codes.clear();
            row_codes.extend(codes.iter().map(|column| column[row]));
            last = match row_codes.contains(&ABSENT) {
                true => ABSENT,
                false => self.combination(&row_codes)?,
            };
            cells.push(last);
        }
        Ok(cells)
    }

    fn combination(&mut self, codes: &[u32]) -> Result<u32, Failure> {
        let (known, all) = self.private.as_mut().ok_or(Failure)?;
        match known.get(codes) {
            Some(cell) => Ok(*cell),
            None if all.len() >= self.cells_max => Err(Failure),
            None => {
                let cell = u32::try_from(all.len()).map_err(|_| Failure)?;
                known.insert(codes.into(), cell);
                all.push(codes.into());
                Ok(cell)
            }
        }
    }

    /// Takes over the groups of another piece of the same query; gives the number here of each of them, none when the
    /// numbers are those of the query.
    pub(super) fn absorb(&mut self, other: &Cells) -> Result<Option<Vec<u32>>, Failure> {
        let (Some(_), Some((_, theirs))) = (&self.private, &other.private) else { return Ok(None) };
        let growth = Growth { grows: true, cells_max: self.cells_max };
        let mut codes = Vec::with_capacity(self.columns.len());
        for (own, their) in self.columns.iter_mut().zip(&other.columns) {
            let all = their.values.iter().map(|value| own.code(value.clone(), growth));
            codes.push(all.collect::<Result<Vec<u32>, Failure>>()?);
        }
        let mut numbers = Vec::with_capacity(theirs.len());
        for combination in theirs {
            let pairs = codes.iter().zip(combination);
            let own: Option<Vec<u32>> =
                pairs.map(|(codes, code)| codes.get(*code as usize).copied()).collect();
            numbers.push(self.combination(&own.ok_or(Failure)?)?);
        }
        Ok(Some(numbers))
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let column = |column: &KeyColumn| {
            let codes: usize =
                column.dictionaries.values().map(|(texts, codes)| texts.len() * 24 + codes.len() * 4).sum();
            column.values.len() * 160 + codes
        };
        let groups = self.private.as_ref().map_or(0, |(_, all)| all.len() * 96);
        self.columns.iter().map(column).sum::<usize>() + groups
    }
}

/// The code of each row's value.
fn column_codes(
    column: &mut KeyColumn,
    source: usize,
    key: &ArrayRef,
    growth: Growth,
) -> Result<Vec<u32>, Failure> {
    match key.data_type() {
        DataType::Dictionary(..) => text_codes(column, source, key, growth),
        DataType::Boolean => {
            let key = key.as_boolean();
            let values = key.iter().map(|value| value.map_or(Value::Null, Value::Boolean));
            values.map(|value| column.code(value, growth)).collect()
        }
        DataType::Int64 => {
            let Type::Number { scale } = column.ty else { return Err(Failure) };
            let numbers = key.as_primitive::<Int64Type>().iter();
            number_codes(column, numbers.map(|n| n.map_or(Value::Null, |n| Value::Number(n, scale))), growth)
        }
        DataType::Timestamp(..) if column.is_hour => {
            let hour_us = HOUR_MS * 1_000;
            let hour = |time: i64| Value::Number(time.div_euclid(hour_us).rem_euclid(24), 0);
            let times = key.as_primitive_opt::<TimestampMicrosecondType>().ok_or(Failure)?;
            number_codes(column, times.iter().map(|time| time.map_or(Value::Null, hour)), growth)
        }
        DataType::Null => {
            let code = column.code(Value::Null, growth)?;
            Ok(vec![code; key.len()])
        }
        _ => Err(Failure),
    }
}

/// One lookup for each change of the value.
fn number_codes(
    column: &mut KeyColumn,
    values: impl Iterator<Item = Value>,
    growth: Growth,
) -> Result<Vec<u32>, Failure> {
    let mut last: Option<(Value, u32)> = None;
    let mut codes = Vec::with_capacity(values.size_hint().0);
    for value in values {
        let code = match &last {
            Some((known, code)) if *known == value => *code,
            _ => column.code(value.clone(), growth)?,
        };
        last = Some((value, code));
        codes.push(code);
    }
    Ok(codes)
}

/// One lookup for each text of a dictionary, when a row first has it.
fn text_codes(
    column: &mut KeyColumn,
    source: usize,
    key: &ArrayRef,
    growth: Growth,
) -> Result<Vec<u32>, Failure> {
    let key = key.as_dictionary_opt::<Int32Type>().ok_or(Failure)?;
    let texts = key.values().as_string_opt::<i32>().ok_or(Failure)?;
    let mut known = match column.dictionaries.remove(&source) {
        Some((old, known)) if is_same(&old, texts) => known,
        _ => vec![UNKNOWN; texts.len()],
    };
    let mut null = UNKNOWN;
    let mut codes = Vec::with_capacity(key.len());
    for row in 0..key.len() {
        let code = match key.key(row) {
            None if null != UNKNOWN => null,
            None => {
                null = column.code(Value::Null, growth)?;
                null
            }
            Some(at) => match known.get(at).copied().ok_or(Failure)? {
                UNKNOWN => {
                    let value = match texts.is_null(at) {
                        true => Value::Null,
                        false => Value::Text(texts.value(at).to_owned()),
                    };
                    let code = column.code(value, growth)?;
                    known[at] = code;
                    code
                }
                code => code,
            },
        };
        codes.push(code);
    }
    column.dictionaries.insert(source, (texts.clone(), known));
    Ok(codes)
}
