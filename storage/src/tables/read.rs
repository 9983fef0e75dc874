//! The rows of one live file, in the order of the file, a batch at a time.
//!
//! For readers that go through a file once, from its start to its end, and need that order: [`Snapshot::rows`]. Text
//! comes as a dictionary, as Parquet stores it, so that each distinct value is looked at once and not once a row.
//!
//! Invariants: what is read is what was written, or an error (`digest`); memory is one batch and one page of each column; the
//! file stays on the disk while it is read. A column that an old file lacks is null. Rows of a file that Shoal wrote are sorted
//! by (subject, time, event id), but nothing here checks it. Synchronous. Not here: which rows may be read (`shoal-query`).

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::{Encoding, EncodingMask};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use shoal_schemas::columns;

use crate::error::{Result, StorageError};
use crate::suppressed::Subjects;
use crate::tables::ahead;
use crate::tables::live_file::LiveFile;
use crate::tables::object::ParquetObject;
use crate::tables::snapshot::Snapshot;
use crate::tables::without::without;

/// A dictionary page, and a data page, is about so large at the most.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Rows of a data page.
const PAGE_ROWS_MAX: usize = 20_000;
/// What a value takes in a batch besides its own bytes.
const ROW_BYTES: usize = 16;

/// The rows of one file. Not `Debug`: it holds rows.
pub struct FileRows {
    reader: ParquetRecordBatchReader,
    path: PathBuf,
    schema: SchemaRef,
    day: i32,
    rows: u64,
    size: ReadSize,
    suppressed: Arc<Subjects>,
    passed: u64,
    _files: Arc<Vec<LiveFile>>,
}

impl Snapshot {
    /// The schema of [`FileRows`] of these columns: text as `Dictionary(Int32, Utf8)`, `day` as `Date32`, the others as
    /// they are stored. The subject comes as `Dictionary(Int32, Binary)` from a file that stores it so.
    ///
    /// # Errors
    /// [`StorageError::Schema`] when the table lacks one of them.
    pub fn rows_schema(&self, wanted: &[&str]) -> Result<SchemaRef> {
        let stored = self.layout.file_schema();
        let fields = wanted.iter().map(|name| {
            if *name == columns::DAY {
                return Ok(Field::new(columns::DAY, DataType::Date32, false));
            }
            let field = stored.field_with_name(name)?;
            Ok(Field::new(*name, read_as(field.data_type()), true))
        });
        Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
    }

    /// The rows of one of its files: these columns, in this order, in batches of at most `batch_rows`.
    ///
    /// # Errors
    /// [`StorageError`] when the file cannot be read or does not fit the table.
    pub fn rows(&self, file: &LiveFile, wanted: &[&str], batch_rows: usize) -> Result<FileRows> {
        let opened = self.open_rows(file, wanted, batch_rows);
        opened.map_err(StorageError::of(self.objects.path(&file.path)))
    }

    fn open_rows(&self, file: &LiveFile, wanted: &[&str], batch_rows: usize) -> Result<FileRows> {
        let schema = self.rows_schema(wanted)?;
        let mut opened = ParquetObject::of(&*self.objects, file, &self.keys)?;
        let found = ArrowReaderMetadata::load(&opened, opened.options())?;
        let schema = match is_packed(&found, columns::SUBJECT) {
            true => with_packed_subject(&schema),
            false => schema,
        };
        let fields = found.schema().fields().iter().map(|field| match schema.field_with_name(field.name()) {
            Ok(wanted)
                if wanted.name() == columns::SUBJECT || read_as(field.data_type()) == *wanted.data_type() =>
            {
                Arc::new(field.as_ref().clone().with_data_type(wanted.data_type().clone()))
            }
            _ => Arc::clone(field),
        });
        let options = opened.options().with_schema(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options)?;
        let is_wanted = |at: &usize| wanted.contains(&metadata.schema().field(*at).name().as_str());
        let leaves: Vec<usize> = (0..metadata.schema().fields().len()).filter(is_wanted).collect();
        let size = ReadSize::of(&metadata, &leaves, batch_rows);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), leaves);
        opened.will_read(ahead::ranges(metadata.metadata(), &mask));
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(opened, metadata)
            .with_projection(mask)
            .with_batch_size(batch_rows.max(1))
            .build()?;
        let (path, _files) = (self.objects.path(&file.path), Arc::clone(&self.files));
        let suppressed = Arc::clone(&self.suppressed);
        let (day, rows) = (file.day, file.rows);
        Ok(FileRows { reader, path, schema, day, rows, size, suppressed, passed: 0, _files })
    }
}

/// Whether all pages of a column refer to a dictionary: then it can be read as it is stored.
fn is_packed(metadata: &ArrowReaderMetadata, name: &str) -> bool {
    let dictionary = |mask: &EncodingMask| {
        mask.is_only(Encoding::RLE_DICTIONARY) || mask.is_only(Encoding::PLAIN_DICTIONARY)
    };
    let is_it = |column: &&ColumnChunkMetaData| column.column_path().string() == name;
    let packed = |group: &RowGroupMetaData| {
        let column = group.columns().iter().find(is_it);
        column.and_then(ColumnChunkMetaData::page_encoding_stats_mask).is_some_and(dictionary)
    };
    metadata.metadata().row_groups().iter().all(packed)
}

/// The subject as a dictionary: files are sorted by it, so that it changes once in many rows.
fn with_packed_subject(schema: &Schema) -> SchemaRef {
    let packed = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Binary));
    let fields = schema.fields().iter().map(|field| match field.name() == columns::SUBJECT {
        true => Arc::new(field.as_ref().clone().with_data_type(packed.clone())),
        false => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// About the most memory that reading takes, in bytes.
#[derive(Clone, Copy)]
struct ReadSize {
    /// The dictionaries at hand.
    dictionaries: usize,
    /// The pages at hand, and two batches.
    others: usize,
}

impl ReadSize {
    fn of(metadata: &ArrowReaderMetadata, leaves: &[usize], batch_rows: usize) -> ReadSize {
        let groups = metadata.metadata().row_groups();
        let size = |number: i64| usize::try_from(number).unwrap_or(0);
        let chunk = |group: &RowGroupMetaData, leaf: usize| {
            let chunk = group.columns().get(leaf)?;
            let (bytes, rows) = (size(chunk.uncompressed_size()), size(group.num_rows()).max(1));
            let dictionary = chunk.dictionary_page_offset().map_or(0, |_| bytes.min(PAGE_BYTES_MAX));
            let page = (bytes / rows + 1).saturating_mul(PAGE_ROWS_MAX).min(bytes).min(PAGE_BYTES_MAX);
            let batches = 2 * batch_rows.min(rows).saturating_mul(bytes / rows + ROW_BYTES);
            Some((dictionary, page + batches))
        };
        let mut all = ReadSize { dictionaries: 0, others: 0 };
        for leaf in leaves {
            let of_groups = || groups.iter().filter_map(|group| chunk(group, *leaf));
            let dictionary = of_groups().map(|(dictionary, _)| dictionary).max().unwrap_or(0);
            let others = of_groups().map(|(_, others)| others).max().unwrap_or(0);
            all.dictionaries = all.dictionaries.saturating_add(dictionary);
            all.others = all.others.saturating_add(others);
        }
        all
    }
}

fn read_as(stored: &DataType) -> DataType {
    match stored {
        DataType::Utf8 => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        other => other.clone(),
    }
}

impl FileRows {
    /// Rows of the whole file.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows of the file that were read, whether they were left out or not.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// About the most memory that reading it takes.
    pub fn bytes_max(&self) -> usize {
        self.size.dictionaries.saturating_add(self.size.others)
    }

    /// How much of it dictionaries take.
    pub fn dictionary_bytes(&self) -> usize {
        self.size.dictionaries
    }

    /// The columns of its batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The rows of a batch as the reader wants them, without those of whoever is left out.
    fn made_of(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        without(self.conform(batch)?, &self.suppressed)
    }

    fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let column = |field: &Arc<Field>| -> Result<ArrayRef> {
            if field.name() == columns::DAY {
                return Ok(Arc::new(Date32Array::from_value(self.day, rows)));
            }
            match batch.column_by_name(field.name()) {
                Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
                Some(array) => Err(StorageError::Schema {
                    table: field.name().clone(),
                    reason: format!(
                        "a file has it as {}, the table as {}",
                        array.data_type(),
                        field.data_type()
                    ),
                }),
                None => Ok(new_null_array(field.data_type(), rows)),
            }
        };
        let arrays = self.schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?)
    }
}

impl Iterator for FileRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        match self.reader.next()? {
            Ok(batch) => {
                self.passed += batch.num_rows() as u64;
                Some(self.made_of(&batch))
            }
            Err(error) => Some(Err(StorageError::of(&self.path)(error.into()))),
        }
    }
}
