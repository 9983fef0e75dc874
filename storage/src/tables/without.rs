//! A batch without the rows of some subjects.
//!
//! Not here: whose rows are left out, and by whom (`suppressed`, `snapshot`).

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int32Type;
use shoal_schemas::columns;

use crate::error::{Result, StorageError};
use crate::suppressed::Subjects;

/// The rows of others, in their order.
///
/// # Errors
/// [`StorageError::Schema`] when the batch does not say whose its rows are.
pub(super) fn without(batch: RecordBatch, subjects: &Subjects) -> Result<RecordBatch> {
    if subjects.is_empty() {
        return Ok(batch);
    }
    let kept = batch.column_by_name(columns::SUBJECT).and_then(|column| kept(column, subjects));
    let kept = kept.ok_or_else(|| StorageError::Schema {
        table: columns::SUBJECT.to_owned(),
        reason: "rows of erased persons cannot be left out where a row has no pseudonym of 16 bytes"
            .to_owned(),
    })?;
    match kept.true_count() == kept.len() {
        true => Ok(batch),
        false => Ok(filter_record_batch(&batch, &kept)?),
    }
}

/// Which rows stay; none when a value is no pseudonym.
fn kept(column: &ArrayRef, subjects: &Subjects) -> Option<BooleanArray> {
    if column.null_count() > 0 {
        return None;
    }
    let is_kept = |value: &[u8]| -> Option<bool> {
        let subject: [u8; 16] = value.try_into().ok()?;
        Some(!subjects.contains(&u128::from_be_bytes(subject)))
    };
    if let Some(packed) = column.as_dictionary_opt::<Int32Type>() {
        let values = packed.values().as_binary_opt::<i32>()?;
        // A value that no row has may be anything.
        let of_values: Vec<Option<bool>> = values.iter().map(|value| value.and_then(is_kept)).collect();
        let of_key = |key: &i32| of_values.get(usize::try_from(*key).ok()?).copied().flatten();
        let kept: Option<Vec<bool>> = packed.keys().values().iter().map(of_key).collect();
        return kept.map(BooleanArray::from);
    }
    let values = column.as_binary_opt::<i32>()?;
    let kept: Option<Vec<bool>> = values.iter().map(|value| value.and_then(is_kept)).collect();
    kept.map(BooleanArray::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::{BinaryArray, BinaryDictionaryBuilder, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn batch(subjects: ArrayRef) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..subjects.len() as i64));
        RecordBatch::try_from_iter([(columns::SUBJECT, subjects), ("n", numbers)]).unwrap()
    }

    fn numbers(batch: &RecordBatch) -> Vec<i64> {
        batch.column(1).as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn rows_of_others_stay_in_their_order_whether_the_column_is_packed_or_not() {
        let digests = [3u8, 3, 1, 2, 3, 1].map(|n| [n; 16]);
        let plain: ArrayRef = Arc::new(BinaryArray::from_iter_values(digests));
        let mut builder = BinaryDictionaryBuilder::<Int32Type>::new();
        digests.iter().for_each(|digest| builder.append_value(digest));
        let packed: ArrayRef = Arc::new(builder.finish());
        let of =
            |numbers: &[u8]| -> Subjects { numbers.iter().map(|n| u128::from_be_bytes([*n; 16])).collect() };
        for column in [plain, packed] {
            for (gone, left) in [
                (of(&[]), vec![0, 1, 2, 3, 4, 5]),
                (of(&[9]), vec![0, 1, 2, 3, 4, 5]),
                (of(&[3]), vec![2, 3, 5]),
                (of(&[1, 2, 3]), vec![]),
            ] {
                assert_eq!(numbers(&without(batch(Arc::clone(&column)), &gone).unwrap()), left);
            }
        }
    }

    #[test]
    fn what_does_not_say_whose_it_is_is_an_error() {
        let gone: Subjects = [7].into_iter().collect();
        let short: ArrayRef = Arc::new(BinaryArray::from_iter_values([[1u8; 15]]));
        let none: ArrayRef = Arc::new(BinaryArray::from_iter([None::<[u8; 16]>]));
        for column in [short, none] {
            assert!(without(batch(Arc::clone(&column)), &gone).is_err());
            assert!(without(batch(column), &Subjects::default()).is_ok(), "nobody is left out");
        }
        let other = batch(Arc::new(BinaryArray::from_iter_values([[1u8; 16]]))).project(&[1]).unwrap();
        assert!(without(other, &gone).is_err());
    }
}
