//! The groups of one region: values of the keys <-> dense numbers.
//!
//! Invariants: with public keys only, the numbers are fixed by the query and cover the whole cross product; with a
//! private key they are given as values come, at most `cells_max` of them. The region and the bucket of days are not
//! part of a group's number; the hour of a day is.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type, TimeUnit};

use super::Failure;
use crate::calendar::{Grain, HOUR_MS};
use crate::expr::{Scalar, Type, Value};
use crate::private_query::{KeyKind, PrivateQuery};

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
}

impl KeyColumn {
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

    /// The code of a value of a key, by the key's position; none for a value that is not in a public domain.
    pub(super) fn code(&mut self, key: usize, value: Value) -> Result<Option<u32>, Failure> {
        let column = self.columns.get_mut(key).ok_or(Failure)?;
        let value = match value {
            Value::Time(ms) if column.is_hour => Value::Number(ms.div_euclid(HOUR_MS).rem_euclid(24), 0),
            other => other,
        };
        let known = match &value {
            Value::Text(text) => column.texts.get(text),
            other => column.others.get(other),
        };
        match known {
            Some(code) => Ok(Some(*code)),
            None if self.private.is_none() => Ok(None),
            None if column.values.len() >= self.cells_max => Err(Failure),
            None => column.add(value).map(Some),
        }
    }

    /// The group with these codes, one for each key.
    pub(super) fn cell(&mut self, codes: &[u32]) -> Result<u32, Failure> {
        match &mut self.private {
            None => {
                let radixes = self.columns.iter().map(|column| column.values.len());
                let step = |cell: u32, (radix, code): (usize, &u32)| {
                    cell.checked_mul(u32::try_from(radix).ok()?)?.checked_add(*code)
                };
                radixes.zip(codes).try_fold(0, step).ok_or(Failure)
            }
            Some((known, all)) => match known.get(codes) {
                Some(cell) => Ok(*cell),
                None if all.len() >= self.cells_max => Err(Failure),
                None => {
                    let cell = u32::try_from(all.len()).map_err(|_| Failure)?;
                    known.insert(codes.into(), cell);
                    all.push(codes.into());
                    Ok(cell)
                }
            },
        }
    }

    /// The group of each row of a batch; none for a value that is not in a public domain.
    pub(super) fn encode(&mut self, keys: &[ArrayRef]) -> Result<Vec<Option<u32>>, Failure> {
        let rows = keys.first().map_or(0, |key| key.len());
        let grows = self.private.is_some();
        let mut codes = Vec::with_capacity(keys.len());
        for (column, key) in self.columns.iter_mut().zip(keys) {
            codes.push(column_codes(column, key, grows, self.cells_max)?);
        }
        let mut cells = Vec::with_capacity(rows);
        let mut row_codes: Vec<u32> = Vec::with_capacity(keys.len());
        for row in 0..rows {
            row_codes.clear();
            row_codes.extend(codes.iter().filter_map(|column| column[row]));
            if row_codes.len() < codes.len() {
                cells.push(None);
                continue;
            }
            cells.push(Some(match &mut self.private {
                None => self
                    .columns
                    .iter()
                    .zip(&row_codes)
                    .try_fold(0_u32, |cell, (column, code)| {
                        let radix = u32::try_from(column.values.len()).ok()?;
                        cell.checked_mul(radix)?.checked_add(*code)
                    })
                    .ok_or(Failure)?,
                Some((known, all)) => match known.get(row_codes.as_slice()) {
                    Some(cell) => *cell,
                    None if all.len() >= self.cells_max => return Err(Failure),
                    None => {
                        let cell = u32::try_from(all.len()).map_err(|_| Failure)?;
                        known.insert(row_codes.clone().into_boxed_slice(), cell);
                        all.push(row_codes.clone().into_boxed_slice());
                        cell
                    }
                },
            }));
        }
        Ok(cells)
    }
}

/// The code of each row's value; none when it is unknown and may not become known.
fn column_codes(
    column: &mut KeyColumn,
    key: &ArrayRef,
    grows: bool,
    cells_max: usize,
) -> Result<Vec<Option<u32>>, Failure> {
    let wanted = match (column.is_hour, column.ty) {
        (true, _) => DataType::Timestamp(TimeUnit::Millisecond, None),
        (_, Type::Text) => DataType::Utf8,
        (_, Type::Boolean) => DataType::Boolean,
        (_, Type::Number { .. }) => DataType::Int64,
        (_, Type::Time | Type::Day) => return Err(Failure),
    };
    let key = cast(key, &wanted).map_err(|_| Failure)?;
    let key = match column.is_hour {
        true => cast(&key, &DataType::Int64).map_err(|_| Failure)?,
        false => key,
    };
    let mut codes = Vec::with_capacity(key.len());
    for row in 0..key.len() {
        let value = if key.is_null(row) {
            Value::Null
        } else {
            match key.data_type() {
                DataType::Utf8 => {
                    let text = key.as_string::<i32>().value(row);
                    if let Some(code) = column.texts.get(text) {
                        codes.push(Some(*code));
                        continue;
                    }
                    Value::Text(text.to_owned())
                }
                DataType::Boolean => Value::Boolean(key.as_boolean().value(row)),
                _ => {
                    let number = key.as_primitive::<Int64Type>().value(row);
                    let hour = number.div_euclid(HOUR_MS).rem_euclid(24);
                    Value::Number(if column.is_hour { hour } else { number }, 0)
                }
            }
        };
        codes.push(match column.others.get(&value) {
            Some(code) => Some(*code),
            None if !grows => None,
            None if column.values.len() >= cells_max => return Err(Failure),
            None => Some(column.add(value)?),
        });
    }
    Ok(codes)
}
