//! Whose the rows of one live file are, run by run, from that one column.
//!
//! For whoever counts the rows of each subject: a file is sorted by subject, so that a run is most often all of them, and
//! the column is read as it is stored. Invariant: the runs cover every row of the file once, in whatever order the rows
//! lie. Synchronous. Not here: what is counted (`shoal-ingest`), rows with their other columns (`read`).

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use shoal_schemas::columns;

use crate::error::{Result, StorageError};
use crate::tables::live_file::LiveFile;
use crate::tables::snapshot::Snapshot;

/// Rows that are looked at together.
pub(super) const BATCH_ROWS: usize = 16_384;

impl Snapshot {
    /// Tells `visit` the pseudonym and the length of each run of rows of one subject. A subject may have several runs.
    ///
    /// # Errors
    /// [`StorageError`] when the file cannot be read, or a row has no pseudonym of 16 bytes.
    pub fn subjects(&self, file: &LiveFile, visit: &mut dyn FnMut(&[u8; 16], u64)) -> Result<()> {
        for batch in self.rows(file, &[columns::SUBJECT], BATCH_ROWS)? {
            visit_runs(&batch?, &file.path, visit)?;
        }
        Ok(())
    }
}

/// The same of one batch, whose only column is the subject, of the file at this path.
pub(super) fn visit_runs(
    batch: &RecordBatch,
    path: &str,
    visit: &mut dyn FnMut(&[u8; 16], u64),
) -> Result<()> {
    runs(batch.column(0), visit).ok_or_else(|| StorageError::Schema {
        table: path.to_owned(),
        reason: "a row has no pseudonym of 16 bytes".to_owned(),
    })
}

/// None when a value is no pseudonym.
fn runs(column: &ArrayRef, visit: &mut dyn FnMut(&[u8; 16], u64)) -> Option<()> {
    if column.null_count() > 0 {
        return None;
    }
    if let Some(packed) = column.as_dictionary_opt::<Int32Type>() {
        let values = packed.values().as_binary_opt::<i32>()?;
        for run in packed.keys().values().chunk_by(|a, b| a == b) {
            let at = usize::try_from(*run.first()?).ok()?;
            let subject = (at < values.len() && values.is_valid(at)).then(|| values.value(at))?;
            visit(subject.try_into().ok()?, run.len() as u64);
        }
        return Some(());
    }
    let values = column.as_binary_opt::<i32>()?;
    let mut row = 0;
    while row < values.len() {
        let subject = values.value(row);
        let end = (row + 1..values.len()).find(|next| values.value(*next) != subject).unwrap_or(values.len());
        visit(subject.try_into().ok()?, (end - row) as u64);
        row = end;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::{BinaryArray, BinaryDictionaryBuilder, DictionaryArray};

    use super::*;

    fn found(column: ArrayRef) -> Option<Vec<(u8, u64)>> {
        let mut found = Vec::new();
        runs(&column, &mut |subject, rows| found.push((subject[0], rows)))?;
        Some(found)
    }

    #[test]
    fn runs_are_the_same_whether_the_column_is_packed_or_not() {
        let subjects = [3u8, 3, 3, 1, 2, 2, 3];
        let plain = BinaryArray::from_iter_values(subjects.iter().map(|n| [*n; 16]));
        let mut builder = BinaryDictionaryBuilder::<Int32Type>::new();
        subjects.iter().for_each(|n| builder.append_value([*n; 16]));
        let packed: DictionaryArray<Int32Type> = builder.finish();
        let wanted = Some(vec![(3, 3), (1, 1), (2, 2), (3, 1)]);
        assert_eq!(found(Arc::new(plain)), wanted);
        assert_eq!(found(Arc::new(packed)), wanted);
    }

    #[test]
    fn what_is_no_pseudonym_is_refused() {
        assert_eq!(found(Arc::new(BinaryArray::from_iter_values([[1u8; 15]]))), None);
        assert_eq!(found(Arc::new(BinaryArray::from_iter([None::<[u8; 16]>]))), None);
        assert_eq!(found(Arc::new(arrow::array::Int64Array::from_iter_values([1]))), None);
    }
}
