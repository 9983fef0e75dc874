//! One key of a query: values <-> codes.
//!
//! A public key's code is the value's position among those that are listed; that of any other is a keyed hash. Texts come as
//! dictionaries, and each is looked up once. Not here: several keys as one group, numbers of groups (`cells`).

use std::collections::HashMap;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use shoal_anonymity::bound::GroupKey;

use super::texts::is_same;
use crate::failure::Failure;
use shoal_language::{Scalar, Type, Value};
use shoal_schemas::calendar::HOUR_MS;

/// No group: the value is not in a public domain.
pub(super) const ABSENT: u64 = u64::MAX;
/// Not looked up yet; a hash is below.
pub(super) const UNKNOWN: u64 = u64::MAX - 1;

/// One key.
pub(super) struct KeyColumn {
    pub(super) scalar: Scalar,
    ty: Type,
    is_hour: bool,
    /// Of a public key, in order.
    pub(super) values: Vec<Value>,
    texts: HashMap<String, u64>,
    others: HashMap<Value, u64>,
    /// The dictionary of each source and the codes of its texts, as far as they are known.
    dictionaries: HashMap<usize, (StringArray, Vec<u64>)>,
}

impl KeyColumn {
    /// With the values of a public domain, in their order.
    pub(super) fn new(scalar: &Scalar, is_hour: bool, values: Vec<Value>) -> Result<KeyColumn, Failure> {
        let mut column = KeyColumn {
            scalar: scalar.clone(),
            ty: scalar.ty().ok_or(Failure::Internal)?,
            is_hour,
            values: Vec::new(),
            texts: HashMap::new(),
            others: HashMap::new(),
            dictionaries: HashMap::new(),
        };
        values.into_iter().for_each(|value| column.add(value));
        Ok(column)
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        let codes: usize =
            self.dictionaries.values().map(|(texts, codes)| texts.len() * 24 + codes.len() * 8).sum();
        self.values.len() * 160 + codes
    }

    /// The code of a value: its position in a public domain, or its hash.
    pub(super) fn code(&self, value: &Value, hasher: Option<&GroupKey>) -> u64 {
        let Some(hasher) = hasher else {
            let known = match value {
                Value::Text(text) => self.texts.get(text),
                other => self.others.get(other),
            };
            return known.copied().unwrap_or(ABSENT);
        };
        let code = match value {
            // Values of one column have one type: only null is beside them.
            Value::Null => hasher.both(0, 0),
            Value::Boolean(is) => hasher.word(u64::from(*is)),
            Value::Number(units, _) => hasher.word(units.cast_unsigned()),
            Value::Day(day) => hasher.word(u64::from(day.cast_unsigned())),
            Value::Time(ms) => hasher.word(ms.cast_unsigned()),
            Value::Text(text) => hasher.text(text),
        };
        code.min(UNKNOWN - 1)
    }

    fn add(&mut self, value: Value) {
        let code = self.values.len() as u64;
        match &value {
            Value::Text(text) => self.texts.insert(text.clone(), code),
            other => self.others.insert(other.clone(), code),
        };
        self.values.push(value);
    }

    /// As it is shown.
    pub(super) fn shown(&self, value: Value) -> Value {
        match value {
            Value::Time(ms) if self.is_hour => Value::Number(ms.div_euclid(HOUR_MS).rem_euclid(24), 0),
            other => other,
        }
    }

    /// The value of a row.
    pub(super) fn value(&self, key: &ArrayRef, row: usize) -> Result<Value, Failure> {
        if key.logical_nulls().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(Value::Null);
        }
        Ok(match key.data_type() {
            DataType::Dictionary(..) => {
                let key = key.as_dictionary_opt::<Int32Type>().ok_or(Failure::Internal)?;
                let texts = key.values().as_string_opt::<i32>().ok_or(Failure::Internal)?;
                Value::Text(texts.value(key.key(row).ok_or(Failure::Internal)?).to_owned())
            }
            DataType::Boolean => Value::Boolean(key.as_boolean().value(row)),
            DataType::Int64 => {
                let Type::Number { scale } = self.ty else { return Err(Failure::Internal) };
                Value::Number(key.as_primitive::<Int64Type>().value(row), scale)
            }
            DataType::Timestamp(..) => {
                let times = key.as_primitive_opt::<TimestampMicrosecondType>().ok_or(Failure::Internal)?;
                self.shown(Value::Time(times.value(row).div_euclid(1_000)))
            }
            DataType::Null => Value::Null,
            _ => return Err(Failure::Internal),
        })
    }
}

/// The code of each row's value.
pub(super) fn column_codes(
    column: &mut KeyColumn,
    source: usize,
    key: &ArrayRef,
    hasher: Option<&GroupKey>,
) -> Result<Vec<u64>, Failure> {
    match key.data_type() {
        DataType::Dictionary(..) => text_codes(column, source, key, hasher),
        DataType::Boolean => {
            let [no, yes, null] = [Value::Boolean(false), Value::Boolean(true), Value::Null]
                .map(|value| column.code(&value, hasher));
            let code = |value: Option<bool>| value.map_or(null, |value| if value { yes } else { no });
            Ok(key.as_boolean().iter().map(code).collect())
        }
        DataType::Int64 => {
            let Type::Number { scale } = column.ty else { return Err(Failure::Internal) };
            let numbers = key.as_primitive::<Int64Type>().iter();
            let value = |n: Option<i64>| n.map_or(Value::Null, |n| Value::Number(n, scale));
            Ok(number_codes(column, numbers.map(value), hasher))
        }
        DataType::Timestamp(..) if column.is_hour => {
            let hour_us = HOUR_MS * 1_000;
            let hour = |time: i64| Value::Number(time.div_euclid(hour_us).rem_euclid(24), 0);
            let times = key.as_primitive_opt::<TimestampMicrosecondType>().ok_or(Failure::Internal)?;
            Ok(number_codes(column, times.iter().map(|time| time.map_or(Value::Null, hour)), hasher))
        }
        DataType::Null => Ok(vec![column.code(&Value::Null, hasher); key.len()]),
        _ => Err(Failure::Internal),
    }
}

/// One lookup for each change of the value.
fn number_codes(
    column: &KeyColumn,
    values: impl Iterator<Item = Value>,
    hasher: Option<&GroupKey>,
) -> Vec<u64> {
    let mut last: Option<(Value, u64)> = None;
    let mut codes = Vec::with_capacity(values.size_hint().0);
    for value in values {
        let code = match &last {
            Some((known, code)) if *known == value => *code,
            _ => column.code(&value, hasher),
        };
        last = Some((value, code));
        codes.push(code);
    }
    codes
}

/// One lookup for each text of a dictionary, when a row first has it.
fn text_codes(
    column: &mut KeyColumn,
    source: usize,
    key: &ArrayRef,
    hasher: Option<&GroupKey>,
) -> Result<Vec<u64>, Failure> {
    let key = key.as_dictionary_opt::<Int32Type>().ok_or(Failure::Internal)?;
    let texts = key.values().as_string_opt::<i32>().ok_or(Failure::Internal)?;
    let mut known = match column.dictionaries.remove(&source) {
        Some((old, known)) if is_same(&old, texts) => known,
        _ => vec![UNKNOWN; texts.len()],
    };
    let null = column.code(&Value::Null, hasher);
    let code_of = |at: usize| match texts.is_null(at) {
        true => null,
        false => column.code(&Value::Text(texts.value(at).to_owned()), hasher),
    };
    // A dictionary that is larger than the batch is that of a whole part of the file: only what is met is looked up.
    let met = |at: &i32| usize::try_from(*at).ok().filter(|at| *at < texts.len());
    for at in key.keys().iter().flatten().filter_map(|at| met(&at)) {
        if known[at] == UNKNOWN {
            known[at] = code_of(at);
        }
    }
    let code = |at: &i32| met(at).and_then(|at| known.get(at)).copied().unwrap_or(ABSENT);
    let codes = match key.null_count() {
        0 => key.keys().values().iter().map(code).collect(),
        _ => key.keys().iter().map(|at| at.map_or(null, |at| code(&at))).collect(),
    };
    column.dictionaries.insert(source, (texts.clone(), known));
    Ok(codes)
}
