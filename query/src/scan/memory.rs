//! Tables in memory, and the scan over them: for tests, which write down their rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, BooleanArray, PrimitiveArray, RecordBatch};
use datafusion::arrow::compute::{
    SortColumn, cast, concat_batches, filter_record_batch, lexsort_to_indices, take_record_batch,
};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use shoal_anonymity::noise::Entropy;
use shoal_schemas::{Kind, Region, columns};
use shoal_storage::Block;

use super::due::Due;
use super::interface::{Scan, Taker};
use super::rows::Template;
use super::run::{Runner, Tables};
use super::runs::digests;
use super::source::{OpenFile, Table, TableFile};
use super::texts::text_type;
use crate::failure::Failure;

/// Rows in any order, with all columns and `day`.
#[derive(Clone)]
pub(crate) struct MemoryTable(pub(crate) Arc<Vec<RecordBatch>>);

impl Table for MemoryTable {
    fn schema(&self, wanted: &[&str]) -> Result<SchemaRef, Failure> {
        let stored = self.0.first().ok_or(Failure::Internal)?.schema();
        let field = |name: &&str| -> Result<Field, Failure> {
            let field = stored.field_with_name(name)?;
            Ok(match field.data_type() {
                DataType::Utf8 => Field::new(*name, text_type(), true),
                other => Field::new(*name, other.clone(), true),
            })
        };
        Ok(Arc::new(Schema::new(wanted.iter().map(field).collect::<Result<Vec<_>, _>>()?)))
    }

    fn files(&self, days: &[i32], template: &Template) -> Result<Vec<Box<dyn TableFile>>, Failure> {
        let mut files: Vec<Box<dyn TableFile>> = Vec::with_capacity(days.len());
        for day in days {
            files.push(Box::new(DayRows { day: *day, rows: self.of_day(*day, &template.names())? }));
        }
        Ok(files)
    }
}

/// The rows of a day, sorted.
struct DayRows {
    day: i32,
    rows: RecordBatch,
}

impl TableFile for DayRows {
    fn day(&self) -> i32 {
        self.day
    }

    fn bytes(&self) -> u64 {
        self.rows.num_rows() as u64
    }

    fn rows(&self) -> u64 {
        self.rows.num_rows() as u64
    }

    fn open(&self, _: &[&str], batch_rows: usize) -> Result<OpenFile, Failure> {
        let (rows, count) = (self.rows.clone(), self.rows.num_rows());
        let starts = (0..count).step_by(batch_rows.max(1));
        let batches = starts.map(move |at| Ok(rows.slice(at, batch_rows.min(count - at))));
        Ok(OpenFile { batches: Box::new(batches), bytes_max: 0, dictionary_bytes: 0 })
    }
}

impl MemoryTable {
    /// Sorted by subject, time and event id, where these are among the columns.
    fn of_day(&self, day: i32, names: &[&str]) -> Result<RecordBatch, Failure> {
        let mut kept = Vec::with_capacity(self.0.len());
        for batch in self.0.iter() {
            let days = batch.column_by_name(columns::DAY).ok_or(Failure::Internal)?;
            let days = days.as_any().downcast_ref::<PrimitiveArray<Date32Type>>().ok_or(Failure::Internal)?;
            let is_it: BooleanArray = days.iter().map(|d| Some(d == Some(day))).collect();
            let batch = filter_record_batch(batch, &is_it)?;
            let column = |name: &&str| -> Result<(String, ArrayRef), Failure> {
                let array = batch.column_by_name(name).ok_or(Failure::Internal)?;
                let array = match array.data_type() {
                    DataType::Utf8 => cast(array, &text_type())?,
                    _ => Arc::clone(array),
                };
                Ok(((*name).to_owned(), array))
            };
            let arrays = names.iter().map(column).collect::<Result<Vec<_>, _>>()?;
            kept.push(RecordBatch::try_from_iter(arrays)?);
        }
        let all = concat_batches(&kept.first().ok_or(Failure::Internal)?.schema(), &kept)?;
        let order = [columns::SUBJECT, columns::TIME, columns::EVENT_ID].into_iter();
        let order: Vec<SortColumn> = order
            .filter_map(|name| all.column_by_name(name))
            .map(|values| SortColumn { values: Arc::clone(values), options: None })
            .collect();
        match order.is_empty() {
            true => Ok(all),
            false => Ok(take_record_batch(&all, &lexsort_to_indices(&order, None)?)?),
        }
    }
}

/// Which rows there are of each region and table.
pub(crate) type Given = Vec<(Region, Kind, MemoryTable)>;

/// Reads tables in memory.
pub(crate) struct MemoryScan {
    pub(crate) tables: Given,
    pub(crate) runner: Runner,
}

impl MemoryScan {
    fn rows_of(&self, region: Region, kind: Kind) -> Result<&MemoryTable, Failure> {
        let found = self.tables.iter().find(|(r, k, _)| *r == region && *k == kind);
        found.map(|(_, _, table)| table).ok_or(Failure::Internal)
    }

    fn table(&self, region: Region, kind: Kind) -> Result<Arc<dyn Table>, Failure> {
        Ok(Arc::new(self.rows_of(region, kind)?.clone()))
    }
}

#[async_trait]
impl Scan for MemoryScan {
    async fn totals(
        &self,
        due: Due,
        entropy: &mut (dyn Entropy + Send),
        take: &mut dyn Taker,
    ) -> Result<(), Failure> {
        let query = &due.charged.query;
        let events = self.table(due.region, query.table())?;
        let members = query.members().iter().map(|member| self.table(due.region, member.table));
        let tables = Tables { events, members: members.collect::<Result<_, _>>()? };
        self.runner.run(due, tables, entropy, take).await
    }

    /// A table that nobody wrote down has no rows.
    async fn rows(&self, block: Block, most_of_one: Option<u64>) -> Result<u64, Failure> {
        let Ok(table) = self.rows_of(block.region, block.kind) else { return Ok(0) };
        let mut sums: BTreeMap<u128, u64> = BTreeMap::new();
        for subject in digests(table.of_day(block.day, &[columns::SUBJECT])?.column(0))? {
            *sums.entry(subject).or_default() += 1;
        }
        Ok(sums.values().map(|sum| most_of_one.map_or(*sum, |most| most.min(*sum))).sum())
    }
}
