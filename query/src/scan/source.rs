//! Where rows come from: a table, the files of one at one version, and the rows of a file as a stream.
//!
//! Invariants: a file's programme and day decide whether it is opened at all, and that its key is there; which of its rows may be seen is decided once
//! more by the template's barrier. A file may know no order of rows of one subject and time: those of a batch get it here.
//! Not here: rows (`rows`), which files are open at one time (`opening`), files that do not fit beside each other or are not
//! sorted (`passes`), merging (`merge`).

use std::ops::RangeInclusive;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use shoal_schemas::columns;
use shoal_storage::{LiveFile, Snapshot};

use super::graph::Memo;
use super::held::{Held, InParts};
use super::merge::{Role, Stream};
use super::rows::Template;
use super::runs::{Loaded, Run, sorted, subject_runs};
use crate::failure::Failure;

/// The events of one table of one region, as they are now.
pub(crate) trait Table: Send + Sync {
    /// The schema in which these columns are read.
    fn schema(&self, wanted: &[&str]) -> Result<SchemaRef, Failure>;

    /// The files of these days, which ascend, that may have readable rows. None of them is open.
    fn files(&self, days: &[i32], template: &Template) -> Result<Vec<Box<dyn TableFile>>, Failure>;
}

/// A file of a table.
pub(crate) trait TableFile: Send {
    /// The day of its rows.
    fn day(&self) -> i32;

    /// Its size where it is kept, in bytes.
    fn bytes(&self) -> u64;

    /// How many rows it has.
    fn rows(&self) -> u64;

    /// Its rows in its order: these columns, in batches of at most so many rows.
    fn open(&self, names: &[&str], batch_rows: usize) -> Result<OpenFile, Failure>;
}

/// A file that is read.
pub(crate) struct OpenFile {
    pub(super) batches: Batches,
    /// The most memory that reading it takes, and its dictionaries' part of it.
    pub(super) bytes_max: usize,
    pub(super) dictionary_bytes: usize,
}

/// Batches of a file.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Failure>> + Send>;

impl Table for Snapshot {
    fn schema(&self, wanted: &[&str]) -> Result<SchemaRef, Failure> {
        Ok(self.rows_schema(wanted)?)
    }

    fn files(&self, days: &[i32], template: &Template) -> Result<Vec<Box<dyn TableFile>>, Failure> {
        let is_asked = |file: &&LiveFile| {
            // A day whose key was destroyed is no more, as one that was removed.
            let is_there = self.has_key(file);
            days.binary_search(&file.day).is_ok()
                && template.is_readable(file.programme, file.day)
                && is_there
        };
        let of = |file: &LiveFile| -> Box<dyn TableFile> {
            Box::new(SnapshotFile { snapshot: self.clone(), file: file.clone() })
        };
        Ok(Snapshot::files(self).iter().filter(is_asked).map(of).collect())
    }
}

struct SnapshotFile {
    snapshot: Snapshot,
    file: LiveFile,
}

impl TableFile for SnapshotFile {
    fn day(&self) -> i32 {
        self.file.day
    }

    fn bytes(&self) -> u64 {
        self.file.bytes
    }

    fn rows(&self) -> u64 {
        self.file.rows
    }

    fn open(&self, names: &[&str], batch_rows: usize) -> Result<OpenFile, Failure> {
        let rows = self.snapshot.rows(&self.file, names, batch_rows)?;
        let (bytes_max, dictionary_bytes) = (rows.bytes_max(), rows.dictionary_bytes());
        let batches = Box::new(rows.map(|batch| batch.map_err(Failure::from)));
        Ok(OpenFile { batches, bytes_max, dictionary_bytes })
    }
}

/// A file of a span, and what is made of its rows.
pub(super) struct SpanFile {
    file: Box<dyn TableFile>,
    template: Arc<Template>,
    pub(super) role: Role,
}

/// The files of a table for these days, which ascend; for a membership, or for the query's own rows.
pub(super) fn span_files(
    table: &dyn Table,
    template: &Arc<Template>,
    days: &[i32],
    membership: Option<usize>,
) -> Result<Vec<SpanFile>, Failure> {
    let files = table.files(days, template)?.into_iter().map(|file| {
        let day = file.day();
        let role = match membership {
            Some(membership) => Role::Member { membership, day },
            None => Role::Events { day },
        };
        SpanFile { file, template: Arc::clone(template), role }
    });
    Ok(files.collect())
}

impl SpanFile {
    /// Its size where it is kept, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    /// How many rows it has.
    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.file.rows()).unwrap_or(usize::MAX)
    }

    /// Whose its rows are, in its order, and nothing else of them.
    pub(super) fn subjects(
        &self,
        batch_rows: usize,
    ) -> Result<impl Iterator<Item = Result<Vec<Run>, Failure>>, Failure> {
        let batches = self.file.open(&[columns::SUBJECT], batch_rows)?.batches;
        Ok(batches.map(|batch| subject_runs(batch?.column(0))))
    }

    /// Its rows of these subjects. It is read to its end, or, if its subjects ascend, until others come.
    pub(super) fn of_subjects(
        &self,
        batch_rows: usize,
        subjects: RangeInclusive<u128>,
        ascends: bool,
    ) -> Result<OfSubjects, Failure> {
        let template = Arc::clone(&self.template);
        let batches = self.file.open(&template.names(), batch_rows)?.batches;
        Ok(OfSubjects { batches, template, memo: Memo::default(), subjects, ascends, is_over: false })
    }

    /// Its rows, and the most memory that reading them takes.
    pub(super) fn open(&self, batch_rows: usize) -> Result<(Rows, usize), Failure> {
        let template = Arc::clone(&self.template);
        let file = self.file.open(&template.names(), batch_rows)?;
        let OpenFile { batches, bytes_max, dictionary_bytes } = file;
        // What is made of each text of a dictionary is kept beside it.
        let bytes = dictionary_bytes.saturating_mul(template.text_nodes()).saturating_add(bytes_max);
        let feed = Feed::File { batches, template, memo: Memo::default() };
        Ok((Rows { role: self.role, feed }, bytes))
    }
}

/// The rows of some subjects in one file.
pub(super) struct OfSubjects {
    batches: Batches,
    template: Arc<Template>,
    memo: Memo,
    subjects: RangeInclusive<u128>,
    ascends: bool,
    is_over: bool,
}

impl OfSubjects {
    /// Those of the next batch; there may be none of it. None at the end.
    pub(super) fn next(&mut self) -> Result<Option<Loaded>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
        let runs = subject_runs(batch.column(0))?;
        self.is_over = self.ascends && runs.last().is_some_and(|run| run.subject > *self.subjects.end());
        match Template::of_subjects(&batch, &runs, &self.subjects)? {
            Some(batch) => self.template.load(&batch, &mut self.memo).map(Some),
            None => Ok(Some(Loaded::default())),
        }
    }
}

/// The rows of one file, or rows in memory.
pub(crate) struct Rows {
    role: Role,
    feed: Feed,
}

enum Feed {
    File { batches: Batches, template: Arc<Template>, memo: Memo },
    Memory(InParts),
}

impl Rows {
    /// Rows that are held, put in order in parts that end with these subjects: a stream for each role.
    pub(super) fn in_memory(held: Held, parts: &[u128], batch_rows: usize) -> Vec<Rows> {
        let of = |(role, rows)| Rows { role, feed: Feed::Memory(rows) };
        held.in_parts(parts, batch_rows).into_iter().map(of).collect()
    }
}

impl Stream for Rows {
    fn role(&self) -> Role {
        self.role
    }

    /// The next batch, its ties in order.
    fn next(&mut self) -> Result<Option<Loaded>, Failure> {
        let loaded = match &mut self.feed {
            Feed::File { batches, template, memo } => {
                let Some(batch) = batches.next().transpose()? else { return Ok(None) };
                template.load(&batch, memo)?
            }
            Feed::Memory(rows) => return rows.next(),
        };
        match loaded.has_loose_ties() {
            true => sorted(&[loaded]).map(Some),
            false => Ok(Some(loaded)),
        }
    }
}
