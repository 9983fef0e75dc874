//! The rows of some subjects with all of their columns, as lines of JSON: for a person who is told what is kept of them.
//!
//! Files that have none of the rows are told by their one column of subjects, and are read no further. Invariants: a row of nobody else is
//! in the lines; rows that nobody may ask about because of an act on a person are there all the same; what does not fit is told. A
//! file whose key was destroyed is no more. Not here: whose rows (`shoal-ingest`), who may have them (`shoal-server`).

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::json::LineDelimitedWriter;
use shoal_files::host;
use shoal_schemas::columns;

use crate::error::{Result, StorageError};
use crate::suppressed::Subjects;
use crate::tables::compact::StopOnDrop;
use crate::tables::erase::held;
use crate::tables::live_file::LiveFile;
use crate::tables::snapshot::Snapshot;
use crate::tables::subjects::BATCH_ROWS;
use crate::tables::table::Table;

/// Rows of subjects.
#[derive(Default)]
pub struct HeldRows {
    /// One JSON object a line, by column; digests in hexadecimal digits. Columns that a row lacks are left out.
    pub lines: Vec<u8>,
    /// How many lines there are.
    pub rows: u64,
    /// Whether there are more that did not fit.
    pub is_cut: bool,
}

impl Table {
    /// The rows of these subjects in the files that `is_told` says, the oldest days first, up to so many bytes. Ends early when the caller
    /// stops waiting.
    ///
    /// # Errors
    /// When a file cannot be read, or has a row without a pseudonym.
    pub async fn held_rows(
        &self,
        subjects: Arc<Subjects>,
        is_told: impl Fn(&LiveFile) -> bool,
        bytes_max: usize,
    ) -> Result<HeldRows> {
        let snapshot = self.snapshot().await?;
        let mut files: Vec<LiveFile> =
            snapshot.files().iter().filter(|file| is_told(file)).cloned().collect();
        files.sort_by(|a, b| (a.day, &a.path).cmp(&(b.day, &b.path)));
        let stop = StopOnDrop::default();
        let stopped = stop.asked(&self.inner);
        let work = host::blocking(move || {
            let mut told = HeldRows::default();
            for file in files {
                if stopped() {
                    return Err(StorageError::Stopped);
                }
                if !told.is_cut && held(&snapshot, &file, &subjects)? > 0 {
                    told.read(&snapshot, &file, &subjects, bytes_max)?;
                }
            }
            Ok(told)
        });
        work.await.map_err(|_| StorageError::Stopped)?
    }
}

impl HeldRows {
    fn read(
        &mut self,
        snapshot: &Snapshot,
        file: &LiveFile,
        subjects: &Subjects,
        bytes_max: usize,
    ) -> Result<()> {
        let stored = snapshot.layout.file_schema();
        let names = stored.fields().iter().map(|field| field.name().as_str());
        let names: Vec<&str> = names.filter(|name| *name != columns::DAY).chain([columns::DAY]).collect();
        for batch in snapshot.rows(file, &names, BATCH_ROWS)? {
            let batch = batch?;
            let own = of(&batch, subjects).ok_or_else(|| StorageError::Schema {
                table: file.path.clone(),
                reason: "a row has no pseudonym of 16 bytes".to_owned(),
            })?;
            let own = filter_record_batch(&batch, &own)?;
            let mut lines = Vec::new();
            LineDelimitedWriter::new(&mut lines).write_batches(&[&own])?;
            if self.lines.len().saturating_add(lines.len()) > bytes_max {
                self.is_cut = true;
                return Ok(());
            }
            self.rows += own.num_rows() as u64;
            self.lines.append(&mut lines);
        }
        Ok(())
    }
}

/// Which rows of a batch are of the subjects; none when a value is no pseudonym.
fn of(batch: &RecordBatch, subjects: &Subjects) -> Option<BooleanArray> {
    let column = batch.column_by_name(columns::SUBJECT)?;
    let plain = arrow::compute::cast(column, &arrow::datatypes::DataType::Binary).ok()?;
    let own = |value: Option<&[u8]>| -> Option<bool> {
        let subject: [u8; 16] = value?.try_into().ok()?;
        Some(subjects.contains(&u128::from_be_bytes(subject)))
    };
    let own: Option<Vec<bool>> = plain.as_binary::<i32>().iter().map(own).collect();
    own.map(BooleanArray::from)
}
