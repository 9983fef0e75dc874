//! Texts as dictionaries: how they are read, and how what was made of each text is looked up for the rows.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, DictionaryArray, Int32Array, StringArray};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Int32Type};

use crate::failure::Failure;

/// Text as it is read.
pub(super) fn text_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// Whether both are the same texts at the same place.
pub(super) fn is_same(one: &StringArray, other: &StringArray) -> bool {
    one.len() == other.len()
        && one.value_offsets().as_ptr() == other.value_offsets().as_ptr()
        && one.value_data().as_ptr() == other.value_data().as_ptr()
}

/// The value of each row's text; that of null is the last one.
pub(super) fn looked_up(column: &DictionaryArray<Int32Type>, made: &ArrayRef) -> Result<ArrayRef, Failure> {
    let null = i32::try_from(made.len()).ok().and_then(|len| len.checked_sub(1)).ok_or(Failure::Internal)?;
    let keys: Int32Array = match column.keys().null_count() {
        0 => column.keys().clone(),
        _ => column.keys().iter().map(|key| Some(key.unwrap_or(null))).collect(),
    };
    if made.data_type() != &DataType::Utf8 {
        return Ok(take(made, &keys, None)?);
    }
    let keys = match made.null_count() {
        0 => keys,
        _ => keys.iter().map(|key| key.filter(|key| made.is_valid(*key as usize))).collect(),
    };
    Ok(Arc::new(DictionaryArray::try_new(keys, Arc::clone(made))?))
}
