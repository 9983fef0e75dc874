//! Tables in memory, and the scan over them: for tests, which write down their rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, BooleanArray, PrimitiveArray, RecordBatch};
use datafusion::arrow::compute::{cast, filter_record_batch};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use shoal_anonymity::noise::Entropy;
use shoal_schemas::{Kind, Region, columns};
use shoal_storage::Block;

use super::due::Due;
use super::interface::{Scan, Taker};
use super::run::{Runner, Tables};
use super::runs::digests;
use super::source::{Reading, Rows, Table};
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

    fn open(&self, days: &[i32], mut reading: Reading<'_>) -> Result<Vec<Rows>, Failure> {
        let mut streams = Vec::with_capacity(days.len());
        for day in days {
            let kept = self.of_day(*day, &reading.template.names())?;
            let stream = reading.rows(*day, Box::new(kept.into_iter().map(Ok)));
            streams.push(reading.sorted(stream)?);
        }
        Ok(streams)
    }
}

impl MemoryTable {
    fn of_day(&self, day: i32, names: &[&str]) -> Result<Vec<RecordBatch>, Failure> {
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
        Ok(kept)
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
        take: &mut Taker<'_>,
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
        for batch in table.of_day(block.day, &[columns::SUBJECT])? {
            for subject in digests(batch.column(0))? {
                *sums.entry(subject).or_default() += 1;
            }
        }
        Ok(sums.values().map(|sum| most_of_one.map_or(*sum, |most| most.min(*sum))).sum())
    }
}
