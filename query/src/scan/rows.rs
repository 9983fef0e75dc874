//! The rows of one file as the merge wants them: readable ones with what orders them, those that meet the filter with the
//! values of the accumulator's expressions.
//!
//! ```text
//! stored batch -barrier-> readable rows -+-> subject, time, event id -------> Loaded
//!                                        +-expressions-> values -filter-> ----^
//! ```
//! Invariants: the barrier comes first and is no part of any plan, so that no expression of an analyst is evaluated on a row
//! of an expired day, or of a programme that is not read; files are chosen by day and programme before that. Expressions
//! are total, none can name the event id, and they are evaluated on all readable rows before the filter leaves any out
//! (`graph` says why).
//! Not here: which files (`source`), their order (`merge`).

use std::ops::RangeInclusive;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{FilterBuilder, cast, filter_record_batch, prep_null_mask_filter};
use datafusion::arrow::datatypes::{DataType, Date32Type, Int32Type, SchemaRef, TimestampMicrosecondType};
use datafusion::prelude::SessionContext;
use shoal_schemas::{Programme, Region, columns};

use super::counted::Counted;
use super::graph::{Graph, Memo};
use super::plan;
use super::runs::{Asked, Loaded, Run, digests, subject_runs};
use super::texts::text_type;
use crate::failure::Failure;
use shoal_language::Scalar;

/// What is read of a table, and what is made of it.
pub(crate) struct Template {
    /// The stored columns: those of `FIXED`, then whatever is needed.
    names: Vec<String>,
    schema: SchemaRef,
    cutoffs: Vec<(Programme, i32)>,
    /// The filter first, if there is one, then what the accumulator wants.
    graph: Graph,
    is_filtered: bool,
}

/// What a template is made for.
pub(super) struct RowSelection<'a> {
    pub(super) region: Region,
    pub(super) cutoffs: &'a [(Programme, i32)],
    pub(super) filter: Option<&'a Scalar>,
    pub(super) scalars: &'a [Scalar],
}

const FIXED: [&str; 5] =
    [columns::SUBJECT, columns::PROGRAMME, columns::DAY, columns::TIME, columns::EVENT_ID];
const SUBJECT: usize = 0;
const PROGRAMME: usize = 1;
const DAY: usize = 2;
const TIME: usize = 3;
const EVENT_ID: usize = 4;

impl Template {
    /// `schema_of` gives the schema in which stored columns are read.
    pub(super) fn new(
        session: &SessionContext,
        schema_of: &dyn Fn(&[&str]) -> Result<SchemaRef, Failure>,
        selection: &RowSelection<'_>,
        counted: &Counted,
    ) -> Result<Template, Failure> {
        let mut names: Vec<String> = FIXED.iter().map(|name| (*name).to_owned()).collect();
        let all = selection.filter.into_iter().chain(selection.scalars);
        let mut used: Vec<String> = all
            .flat_map(|s| {
                plan::plan(s, selection.region)
                    .column_refs()
                    .into_iter()
                    .map(|c| c.name.clone())
                    .collect::<Vec<_>>()
            })
            .collect();
        used.sort_unstable();
        used.dedup();
        names.extend(used.into_iter().filter(|name| !FIXED.contains(&name.as_str())));
        let schema = schema_of(&names.iter().map(String::as_str).collect::<Vec<_>>())?;
        let wanted = selection.filter.into_iter().chain(selection.scalars);
        let graph = Graph::new(session, &schema, selection.region, wanted, counted)?;
        let (cutoffs, is_filtered) = (selection.cutoffs.to_vec(), selection.filter.is_some());
        Ok(Template { names, schema, cutoffs, graph, is_filtered })
    }

    /// The stored columns that it needs.
    pub(super) fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// How many expressions are kept for each text of a dictionary.
    pub(super) fn text_nodes(&self) -> usize {
        self.graph.text_nodes()
    }

    /// The most bytes that a row takes while its values are made.
    pub(super) fn row_bytes(&self) -> usize {
        self.graph.row_bytes()
    }

    /// Whether the files of this programme and day may be read at all.
    pub(super) fn is_readable(&self, programme: Programme, day: i32) -> bool {
        self.cutoffs.iter().any(|(readable, cutoff)| *readable == programme && day >= *cutoff)
    }

    /// The readable rows; there may be none.
    pub(super) fn load(&self, batch: &RecordBatch, memo: &mut Memo) -> Result<Loaded, Failure> {
        let batch = self.barrier(batch)?;
        let runs = subject_runs(batch.column(SUBJECT))?;
        let times_us = times_us(batch.column(TIME))?;
        let event_ids = digests(batch.column(EVENT_ID))?;
        let mut columns = self.graph.values(batch.columns(), batch.num_rows(), memo)?;
        let keep = self.is_filtered.then(|| columns.remove(0));
        let keep = keep.as_ref().map(|keep| keep.as_boolean_opt().ok_or(Failure::Internal)).transpose()?;
        let rows = keep.map_or(batch.num_rows(), BooleanArray::true_count);
        let keep = keep.filter(|_| rows < batch.num_rows()).map(|keep| match keep.null_count() {
            0 => keep.clone(),
            _ => prep_null_mask_filter(keep),
        });
        let asked = match &keep {
            Some(keep) => Asked::of(keep.values().iter(), &times_us),
            None => Asked::All,
        };
        if let Some(keep) = &keep {
            let keep = FilterBuilder::new(keep).optimize().build();
            for array in &mut columns {
                *array = keep.filter(array)?;
            }
        }
        Ok(Loaded { runs, times_us, event_ids, asked, columns })
    }

    /// The readable rows. Where there can be others, texts are packed anew, so that those of the others are gone.
    fn barrier(&self, batch: &RecordBatch) -> Result<RecordBatch, Failure> {
        if batch.schema().fields().len() != self.schema.fields().len() {
            return Err(Failure::Internal);
        }
        let days = batch.column(DAY).as_primitive_opt::<Date32Type>().ok_or(Failure::Internal)?;
        let programmes = batch.column(PROGRAMME).as_dictionary_opt::<Int32Type>().ok_or(Failure::Internal)?;
        let names = programmes.values().as_string_opt::<i32>().ok_or(Failure::Internal)?;
        let cutoff = |name: Option<&str>| {
            let known = self.cutoffs.iter().find(|(programme, _)| Some(programme.as_str()) == name);
            known.map_or(i32::MAX, |(_, cutoff)| *cutoff)
        };
        let cutoffs: Vec<i32> = names.iter().map(cutoff).collect();
        let first = days.values().iter().copied().min().unwrap_or(i32::MAX);
        if programmes.null_count() == 0 && days.null_count() == 0 && cutoffs.iter().all(|c| *c <= first) {
            return Ok(batch.clone());
        }
        let is_readable = |row: usize| {
            let key = programmes.key(row).and_then(|key| cutoffs.get(key));
            days.is_valid(row) && key.is_some_and(|cutoff| days.value(row) >= *cutoff)
        };
        let keep: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_readable(row))).collect();
        packed(&filter_record_batch(batch, &keep)?, 0)
    }

    /// The rows of these subjects, of a batch that begins with them; none when there are none. What is evaluated on texts is
    /// evaluated on no more of them than there are rows.
    pub(super) fn of_subjects(
        batch: &RecordBatch,
        runs: &[Run],
        subjects: &RangeInclusive<u128>,
    ) -> Result<Option<RecordBatch>, Failure> {
        let is_in = |run: &&Run| subjects.contains(&run.subject);
        let own = match runs.iter().filter(is_in).count() {
            0 => return Ok(None),
            all if all == runs.len() => batch.clone(),
            _ => {
                let mut start = 0;
                let keep = runs.iter().flat_map(|run| {
                    let rows = run.end - std::mem::replace(&mut start, run.end);
                    std::iter::repeat_n(Some(is_in(&run)), rows)
                });
                filter_record_batch(batch, &keep.collect())?
            }
        };
        packed(&own, own.num_rows()).map(Some)
    }
}

/// The same rows. Texts of which there are more than so many are packed anew, so that no others are there than those of the rows.
fn packed(rows: &RecordBatch, texts_max: usize) -> Result<RecordBatch, Failure> {
    let pack = |array: &ArrayRef| match array.as_dictionary_opt::<Int32Type>() {
        Some(texts) if texts.values().data_type() == &DataType::Utf8 && texts.values().len() > texts_max => {
            cast(&cast(array, &DataType::Utf8)?, &text_type())
        }
        _ => Ok(Arc::clone(array)),
    };
    let arrays = rows.columns().iter().map(pack).collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(rows.schema(), arrays)?)
}

fn times_us(times: &ArrayRef) -> Result<Vec<i64>, Failure> {
    let times = times.as_primitive_opt::<TimestampMicrosecondType>().ok_or(Failure::Internal)?;
    match times.null_count() {
        0 => Ok(times.values().to_vec()),
        _ => Err(Failure::Internal),
    }
}
