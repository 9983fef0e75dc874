//! Tests of the whole chain over tables in memory, and the world they ask about.

#![allow(clippy::unwrap_used)]

mod answers;
mod canonical;
#[path = "../../../language/src/tests/conditions.rs"]
mod conditions;
mod defences;
mod definitions;
mod dry_runs;
mod faults;
mod game;
mod grammar;
mod panics;
mod reading;
#[path = "../../../postprocess/src/tests/refused.rs"]
mod refused;
mod shapes;
mod stored;
mod unanswered;
mod windows;
mod worlds;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use shoal_anonymity::noise::{Entropy, NoiseError};
use shoal_postprocess::{KeyColumn, NumberColumn, ReleasedSchema};
use shoal_schemas::{ColumnType, Kind, Region, Registry, TableDef, columns};

use crate::config::QueryConfig;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::grant::{AnalystGrant, Role};
use crate::metrics::Metrics;
use crate::release::Released;
use crate::request::QueryRequest;
use crate::scan::memory::{Given, MemoryScan, MemoryTable};
use shoal_language::calendar::parse_day;
use shoal_schemas::calendar::{HOUR_MS, start_of};

/// 2026-11-22T10:00:00Z.
pub(crate) fn now_ms() -> i64 {
    start_of(today()) + 10 * HOUR_MS
}

pub(crate) fn today() -> i32 {
    parse_day("2026-11-22").unwrap()
}

/// Bytes that follow from a number (SplitMix64): the noise is as good as the real one, and always the same.
pub(crate) struct Seeded(pub(crate) u64);

impl Entropy for Seeded {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoiseError> {
        for byte in out {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (mixed ^ (mixed >> 31)) as u8;
        }
        Ok(())
    }
}

/// One event; columns that are not named are null.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) subject: u32,
    pub(crate) day: i32,
    pub(crate) hour: i64,
    /// Two rows of one id are copies. Rows that are made later have larger ones, unless a test says otherwise.
    pub(crate) id: u64,
    pub(crate) event: &'static str,
    pub(crate) texts: Vec<(&'static str, String)>,
    pub(crate) numbers: Vec<(&'static str, i64)>,
}

impl Row {
    pub(crate) fn new(subject: u32, day: i32, event: &'static str) -> Row {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        Row { subject, day, hour: 9, id, event, texts: Vec::new(), numbers: Vec::new() }
    }

    pub(crate) fn text(mut self, name: &'static str, value: impl Into<String>) -> Row {
        self.texts.push((name, value.into()));
        self
    }

    pub(crate) fn number(mut self, name: &'static str, value: i64) -> Row {
        self.numbers.push((name, value));
        self
    }

    fn text_of(&self, name: &str) -> Option<&str> {
        let own = self.texts.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        own.or(match name {
            columns::EVENT => Some(self.event),
            columns::COUNTRY => Some("DE"),
            columns::PROGRAMME => Some("user-experience"),
            columns::CONSENT => Some("carried"),
            _ => None,
        })
    }

    fn number_of(&self, name: &str) -> Option<i64> {
        let own = self.numbers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        own.or((name == columns::EPOCH).then_some(0))
    }

    /// The event's id is one of its own, and the session is the subject's only one.
    fn digest_of(&self, name: &str) -> [u8; 16] {
        let mut bytes = [7; 16];
        match name {
            columns::EVENT_ID => bytes[..8].copy_from_slice(&self.id.to_be_bytes()),
            _ => bytes[..4].copy_from_slice(&self.subject.to_be_bytes()),
        }
        bytes
    }
}

/// Rows as a table of this definition.
pub(crate) fn provider(def: &TableDef, rows: &[Row]) -> MemoryTable {
    let arrays = def.columns.iter().map(|column| -> ArrayRef {
        let name = column.name.as_str();
        match column.ty {
            ColumnType::Text => Arc::new(rows.iter().map(|r| r.text_of(name)).collect::<StringArray>()),
            ColumnType::Integer => Arc::new(rows.iter().map(|r| r.number_of(name)).collect::<Int64Array>()),
            ColumnType::Boolean => {
                let values = rows.iter().map(|r| r.number_of(name).map(|n| n != 0));
                Arc::new(values.collect::<BooleanArray>())
            }
            ColumnType::Digest => {
                let digest = |row: &Row| match row.number_of(name) {
                    Some(number) => u128::from(number.unsigned_abs()).to_be_bytes(),
                    None => row.digest_of(name),
                };
                let values = rows.iter().map(|r| Some(digest(r)));
                Arc::new(BinaryArray::from_iter(values))
            }
            ColumnType::Time => {
                let times = rows.iter().map(|r| start_of(r.day) + r.hour * HOUR_MS + 1_234_567);
                let times = TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC");
                let field = def.arrow_schema().field_with_name(name).unwrap().clone();
                datafusion::arrow::compute::cast(&times, field.data_type()).unwrap()
            }
            ColumnType::Day => Arc::new(Date32Array::from_iter_values(rows.iter().map(|r| r.day))),
        }
    });
    let batch = RecordBatch::try_new(def.arrow_schema(), arrays.collect()).unwrap();
    MemoryTable(Arc::new(vec![batch]))
}

/// The same rows, as DataFusion has them.
pub(crate) fn plain_table(def: &TableDef, rows: &[Row]) -> Arc<MemTable> {
    let MemoryTable(batches) = provider(def, rows);
    Arc::new(MemTable::try_new(batches[0].schema(), vec![batches.to_vec()]).unwrap())
}

pub(crate) fn registry() -> Arc<Registry> {
    static LOADED: LazyLock<Arc<Registry>> = LazyLock::new(|| Arc::new(Registry::load(None).unwrap()));
    Arc::clone(&LOADED)
}

pub(crate) fn engine() -> Engine {
    let config = QueryConfig {
        answer_times_ms: Vec::new(),
        concurrent_max: 64,
        // As much for each query as with the defaults.
        memory_bytes_max: 32 * QueryConfig::default().memory_bytes_max,
        time_ms_max: 300_000,
        ..QueryConfig::default()
    };
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let ledger = shoal_storage::BudgetLedger::in_memory().unwrap();
    Engine::over(scan(Vec::new()), ledger, registry(), config, metrics)
}

/// A scan of tables in memory, as a service of two threads would run it.
pub(crate) fn scan(tables: Given) -> Arc<MemoryScan> {
    Arc::new(MemoryScan { tables, runner: Engine::runner(&QueryConfig::default()) })
}

pub(crate) fn grant(regions: &[Region]) -> AnalystGrant {
    AnalystGrant { key_id: "test".to_owned(), role: Role::Analyst, regions: regions.to_vec() }
}

pub(crate) fn request(sql: &str) -> QueryRequest {
    QueryRequest { sql: sql.to_owned(), ..QueryRequest::default() }
}

/// Asks about rows in Germany.
pub(crate) async fn ask(kind: Kind, rows: &[Row], sql: &str, now_ms: i64) -> Result<Released, QueryError> {
    let tables = vec![(Region::De, kind, provider(registry().table(kind), rows))];
    engine().stages(&grant(&[Region::De]), &request(sql), now_ms, scan(tables)).await
}

/// The number of a column in a row of an answer.
pub(crate) fn number(released: &Released, row: usize, name: &str) -> f64 {
    let json = released.to_json();
    json["rows"][row][name].as_f64().unwrap_or_else(|| panic!("no number {name} in {json}"))
}
