//! What bounding costs: a private answer next to a plain `COUNT(DISTINCT subject)` over the same Parquet files.
//!
//! ```text
//! cargo bench -p shoal-query --bench bounded -- [events] [subjects] [days] [only]  4000000 200000 1 unless said; `only`:
//!                                                                                 statements with this text
//! DUCKDB_PYTHON=<a Python that has duckdb> cargo bench ..                          DuckDB on the same files as well
//! ```
//! Last, what `query.row_time_ns` each statement needs on this machine: the time of its reading, divided by the time that is
//! planned for it at one nanosecond. The setting needs room above the largest for other queries and for ingestion.
//!
//! The files are written by the project's own writer. Each statement runs five times after one run that does not count; the
//! fastest and the median are printed, and the ratio of the medians to that of the plain count with two threads.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, BinaryArray, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use shoal_query::{AnalystGrant, Engine, Metrics, QueryConfig, QueryRequest, Role};
use shoal_schemas::calendar::DAY_MS;
use shoal_schemas::{Kind, Programme, Region, Registry, columns};
use shoal_storage::{BudgetLedger, Part, Store, Table};

/// 2026-11-22.
const TODAY: i32 = 20_779;
/// Noon of it.
const NOW_MS: i64 = TODAY as i64 * DAY_MS + DAY_MS / 2;
const RUNS: usize = 5;
/// Rows of one flush.
const FILE_ROWS: u64 = 4_000_000;
/// So long is planned for a row when the planned time is measured, so that the work is done by then.
const PLANNED_NS: u64 = 100;

/// splitmix64.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn digests(ids: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values(ids.map(|id| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&mix(id).to_be_bytes());
        bytes[8..].copy_from_slice(&mix(!id).to_be_bytes());
        bytes
    })))
}

fn part(registry: &Registry, day: i32, rows: std::ops::Range<u64>, subjects: u64) -> Part {
    let def = registry.table(Kind::Usage);
    let schema = def.arrow_schema();
    let fields: Vec<_> = schema.fields().iter().filter(|f| f.name() != columns::DAY).cloned().collect();
    let rows: Vec<u64> = rows.collect();
    let seed = |row: &u64| mix(row ^ (u64::from(day.unsigned_abs()) << 40));
    let texts = |choices: &[&'static str]| -> ArrayRef {
        let text = |row: &u64| choices[(seed(row) >> 7) as usize % choices.len()];
        Arc::new(StringArray::from_iter_values(rows.iter().map(text)))
    };
    // Of the subject, as most keys are; one event in fifty shows another one (an update, a second device).
    let of_subject = |choices: &[&'static str]| -> ArrayRef {
        let which = |row: &u64| match seed(row) >> 40 & 0xff < 5 {
            true => seed(row) >> 7,
            false => mix(seed(row) % subjects),
        };
        Arc::new(StringArray::from_iter_values(
            rows.iter().map(|row| choices[which(row) as usize % choices.len()]),
        ))
    };
    let arrays = fields.iter().map(|field| match field.name().as_str() {
        columns::EVENT_ID => digests(rows.iter().map(|row| row ^ (u64::from(day.unsigned_abs()) << 40))),
        columns::SUBJECT => digests(rows.iter().map(|row| seed(row) % subjects)),
        columns::SESSION => digests(rows.iter().map(|row| seed(row) % (subjects * 3))),
        columns::TIME => {
            let time = |row: &u64| (i64::from(day) * DAY_MS + (seed(row) >> 20) as i64 % DAY_MS) * 1_000;
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(time)).with_timezone("UTC"))
        }
        columns::EVENT => texts(&["click", "login", "app_open", "purchase"]),
        columns::COUNTRY => of_subject(&["DE", "FR", "NL"]),
        columns::PROGRAMME => texts(&["user-experience"]),
        columns::CONSENT => texts(&["carried"]),
        columns::OS => of_subject(&["ios", "android"]),
        columns::APP_VERSION => of_subject(&["4.1.0", "4.1.1", "4.2.0", "4.2.1", "4.3.0"]),
        columns::EPOCH => Arc::new(Int64Array::from_iter_values(rows.iter().map(|_| 0))),
        "duration_ms" => {
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| (seed(row) >> 9) as i64 % 5_000)))
        }
        _ => new_null_array(field.data_type(), rows.len()),
    });
    let schema = Arc::new(arrow::datatypes::Schema::new(fields.clone()));
    let batch = RecordBatch::try_new(schema, arrays.collect()).unwrap();
    Part { programme: Programme::UserExperience, day, batch }
}

/// Runs it six times; the fastest and the median of the last five, in ms.
async fn time<F: Future<Output = ()>>(mut run: impl FnMut() -> F) -> (f64, f64) {
    let mut all = Vec::with_capacity(RUNS);
    for round in 0..=RUNS {
        let began = Instant::now();
        run().await;
        if round > 0 {
            all.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    all.sort_by(f64::total_cmp);
    (all[0], all[RUNS / 2])
}

async fn plain(root: &Path, threads: usize, sql: &str) -> (f64, f64) {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
    let path = format!("{}/de/tables/usage/", root.display());
    let day = (columns::DAY.to_owned(), DataType::Date32);
    let options = ParquetReadOptions::default().table_partition_cols(vec![day]);
    context.register_parquet("usage", path, options).await.unwrap();
    time(|| async {
        context.sql(sql).await.unwrap().collect().await.unwrap();
    })
    .await
}

fn duckdb(root: &Path, sql: &str) {
    let Ok(python) = std::env::var("DUCKDB_PYTHON") else { return };
    let files = root.join("de/tables/usage/*/*.parquet");
    let script = "import duckdb,sys,time\nc=duckdb.connect(config={'threads':2})\nt=[]\nfor i in range(6):\n b=time.perf_counter();c.execute(sys.argv[1]).fetchall();t.append((time.perf_counter()-b)*1e3)\nt=sorted(t[1:]);print('%8.0f %8.0f' % (t[0],t[2]),end='')";
    let sql_files = sql.replace("usage", &format!("read_parquet('{}')", files.display()));
    let out = std::process::Command::new(python).args(["-c", script, &sql_files]).output().unwrap();
    println!("{}          DuckDB, 2 threads: {sql}", String::from_utf8_lossy(&out.stdout));
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let number = |at: usize, otherwise: u64| numbers.get(at).copied().unwrap_or(otherwise);
    let size = Size { events: number(0, 4_000_000), subjects: number(1, 200_000), days: number(2, 1) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let only = std::env::args().nth(4).unwrap_or_default();
    runtime.block_on(compare(size, &only));
}

/// So many patterns, each of which looks at the whole text.
fn likes(count: usize) -> String {
    let like = |n| format!("app_version LIKE '%{n}%.%9%'");
    format!("({})", (0..count).map(like).collect::<Vec<_>>().join(" OR "))
}

/// How large the world is.
#[derive(Clone, Copy)]
struct Size {
    events: u64,
    subjects: u64,
    days: u64,
}

/// Writes the files, and says how many.
async fn write(table: &Table, registry: &Registry, size: Size) -> i64 {
    let Size { events, subjects, days } = size;
    let mut version = 0;
    for ago in 0..days {
        let day = TODAY - i32::try_from(ago).unwrap();
        let mut from = 0;
        while from < events / days {
            let to = (from + FILE_ROWS).min(events / days);
            version += 1;
            table.append(vec![part(registry, day, from..to, subjects)], "bench", version).await.unwrap();
            from = to;
        }
    }
    version
}

fn statements(days: u64) -> Vec<String> {
    let range = format!("WHERE day >= current_date - {}", days - 1);
    vec![
        format!("SELECT COUNT(*) AS n FROM usage {range}"),
        format!("SELECT SUM(duration_ms) AS n FROM usage {range}"),
        format!("SELECT COUNT(DISTINCT subject) AS n FROM usage {range}"),
        format!("SELECT app_version, COUNT(*) AS n FROM usage {range} GROUP BY app_version"),
        format!("SELECT os, SUM(duration_ms) AS n FROM usage {range} GROUP BY os"),
        format!("SELECT app_version, COUNT(DISTINCT subject) AS n FROM usage {range} GROUP BY app_version"),
        format!("SELECT event, COUNT(*) AS n FROM usage {range} GROUP BY event"),
        format!("SELECT COUNT(*) AS n FROM usage {range} AND event = 'click'"),
        format!("SELECT COUNT(DISTINCT session) AS n FROM usage {range}"),
        format!("SELECT QUANTILE(duration_ms, 0.95) AS n FROM usage {range} AND event = 'live_view_start'"),
        format!("SELECT COUNT(*) AS n FROM usage {range} AND app_version LIKE '%4%.%1%'"),
        format!("SELECT COUNT(*) AS n FROM usage {range} AND UPPER(app_version) = '4.1.0'"),
        format!("SELECT EXTRACT(HOUR FROM time) AS h, COUNT(*) AS n FROM usage {range} GROUP BY 1"),
        format!(
            "SELECT CASE WHEN app_version LIKE '4.1%' THEN 'old' WHEN app_version LIKE '4.2%' THEN 'new' ELSE 'newest' END AS v, COUNT(*) AS n FROM usage {range} GROUP BY 1"
        ),
        format!("SELECT COUNT(*) AS n FROM usage {range} AND {}", likes(40)),
        format!(
            "SELECT step, COUNT(DISTINCT subject) AS n FROM funnel(usage, event = 'app_open', event = 'login', event = 'purchase', within => INTERVAL '1 day') {range} GROUP BY step"
        ),
        format!(
            "SELECT AVG(n) AS n FROM (SELECT subject, COUNT(*) AS n FROM usage {range} GROUP BY subject) AS people"
        ),
        format!(
            "SELECT COUNT(DISTINCT subject) AS n FROM usage {range} AND subject IN (SELECT subject FROM usage {range} AND event = 'login')"
        ),
    ]
}

async fn compare(size: Size, only: &str) {
    let Size { events, subjects, days } = size;
    let root = tempfile::tempdir().unwrap();
    let registry = Arc::new(Registry::load(None).unwrap());
    let store = Store::open(&url::Url::from_directory_path(root.path()).unwrap()).await.unwrap();
    let table = store.table(Region::De, registry.table(Kind::Usage)).await.unwrap();
    let version = write(&table, &registry, size).await;
    println!("{events} events of {subjects} subjects on {days} days, {version} files");
    println!("    best   median   ratio  (ms)");
    let (best, base) = plain(root.path(), 2, "SELECT COUNT(DISTINCT subject) FROM usage").await;
    println!("{best:8.0} {base:8.0}    1.00  DataFusion, 2 threads: SELECT COUNT(DISTINCT subject)");
    let (best, median) = plain(root.path(), 1, "SELECT COUNT(DISTINCT subject) FROM usage").await;
    println!(
        "{best:8.0} {median:8.0} {:7.2}  DataFusion, 1 thread: SELECT COUNT(DISTINCT subject)",
        median / base
    );
    duckdb(root.path(), "SELECT COUNT(DISTINCT subject) FROM usage");
    duckdb(root.path(), "SELECT app_version, COUNT(DISTINCT subject) FROM usage GROUP BY app_version");
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let config = QueryConfig { answer_times_ms: Vec::new(), time_ms_max: 600_000, ..QueryConfig::default() };
    // A ledger of its own for each run, or the first answer would come again.
    let fresh = || {
        let ledger = BudgetLedger::in_memory().unwrap();
        Engine::new(store.clone(), ledger, Arc::clone(&registry), config.clone(), metrics.clone())
    };
    let grant = AnalystGrant { key_id: "bench".into(), role: Role::Analyst, regions: vec![Region::De] };
    // How long is planned for a statement: its answer leaves then, to the millisecond.
    let planned_ms = async |asked: &QueryRequest| {
        let timed = QueryConfig { answer_times_ms: vec![1], row_time_ns: PLANNED_NS, ..config.clone() };
        let ledger = BudgetLedger::in_memory().unwrap();
        let engine = Engine::new(store.clone(), ledger, Arc::clone(&registry), timed, metrics.clone());
        let began = Instant::now();
        engine.answer(&grant, asked, NOW_MS).await.unwrap();
        began.elapsed().as_secs_f64() * 1e3
    };
    for sql in statements(days).into_iter().filter(|sql| sql.contains(only)) {
        let asked = QueryRequest { sql: sql.clone(), ..QueryRequest::default() };
        let (best, median) = time(|| async {
            let engine = fresh();
            engine.answer(&grant, &asked, NOW_MS).await.unwrap();
        })
        .await;
        let needs = best / planned_ms(&asked).await * PLANNED_NS as f64;
        println!(
            "{best:8.0} {median:8.0} {:7.2}  Shoal: {sql}  (needs row_time_ns {needs:.1})",
            median / base
        );
    }
}
