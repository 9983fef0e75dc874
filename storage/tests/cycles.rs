//! Whole cycles through the public interface, with the registry's own tables: append, read, compact, expire, purge, reopen.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::datasource::TableProvider;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt as _;
use parquet::file::reader::{FileReader, SerializedFileReader};
use shoal_schemas::{ColumnDef, ColumnRole, ColumnType, Kind, Programme, Region, Registry, TableDef};
use shoal_storage::{CompactPolicy, CompactReport, LiveFile, Part, StorageError, Store, Table};
use url::Url;

const UX: Programme = Programme::UserExperience;
const DX: Programme = Programme::DeviceExperience;

fn definition(kind: Kind) -> TableDef {
    Registry::load(None).unwrap().table(kind).clone()
}

fn digest(n: u64) -> Vec<u8> {
    u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834).to_le_bytes().to_vec()
}

fn value(column: &ColumnDef, rows: u64, day: i32) -> Option<ArrayRef> {
    let n = 0..rows;
    Some(match (column.name.as_str(), column.ty) {
        ("event_id", _) => {
            let ids = n.map(|r| digest(r + 1000 * u64::from(day.unsigned_abs())));
            Arc::new(BinaryArray::from_iter_values(ids))
        }
        ("subject", _) => Arc::new(BinaryArray::from_iter_values(n.map(|r| digest(r % 7)))),
        ("time", _) => {
            let times = n.map(|r| i64::from(day) * 86_400_000 + i64::try_from(r).unwrap() * 1000);
            Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))
        }
        (_, _) if column.nullable => return None,
        (name, ColumnType::Text) => {
            Arc::new(StringArray::from_iter_values(n.map(|r| format!("{name}-{}", r % 3))))
        }
        (_, ColumnType::Integer) => {
            Arc::new(Int64Array::from_iter_values(n.map(|r| i64::try_from(r).unwrap())))
        }
        _ => return None,
    })
}

fn part(def: &TableDef, programme: Programme, day: i32, rows: u64) -> Part {
    let columns = def.columns.iter().filter(|c| c.name != "day");
    let arrays = columns.filter_map(|c| Some((c.name.clone(), value(c, rows, day)?)));
    Part { programme, day, batch: RecordBatch::try_from_iter(arrays).unwrap() }
}

async fn open(root: &Path) -> Store {
    Store::open(&Url::from_directory_path(root).unwrap()).await.unwrap()
}

async fn query(provider: Arc<dyn TableProvider>, sql: &str) -> Vec<RecordBatch> {
    let state = SessionStateBuilder::new().with_default_features().build();
    let context = SessionContext::new_with_state(state);
    context.register_table("t", provider).unwrap();
    context.sql(sql).await.unwrap().collect().await.unwrap()
}

async fn number(table: &Table, keep: &dyn Fn(&LiveFile) -> bool, sql: &str) -> i64 {
    let provider = table.snapshot().await.unwrap().provider(keep).unwrap();
    let found = query(provider, sql).await;
    found[0].column(0).as_primitive::<Int64Type>().value(0)
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
        match entry.is_dir() {
            true => found.extend(files_below(&entry)),
            false => found.push(entry),
        }
    }
    found
}

/// Whether any file below `dir` holds this text.
fn mentioned(dir: &Path, text: &str) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    };
    files_below(dir).into_iter().filter(holds).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cycles_of_append_expire_purge_and_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let def = definition(Kind::Usage);
    let now_ms = chrono::Utc::now().timestamp_millis();
    let mut version = 0;
    for cycle in 0..4 {
        let store = open(dir.path()).await;
        let table = store.table(Region::De, &def).await.unwrap();
        let first = 20_000 + cycle;
        for day in [first, first + 1] {
            version += 1;
            let parts = vec![part(&def, UX, day, 50), part(&def, DX, day, 7)];
            let report = table.append(parts.clone(), "log-DE", version).await.unwrap();
            assert_eq!((report.files, report.rows, report.repeated), (2, 57, false));
            assert!(table.append(parts, "log-DE", version).await.unwrap().repeated);
        }
        let before = table.snapshot().await.unwrap();
        let expired = |f: &LiveFile| f.day <= first;
        let gone: Vec<LiveFile> = before.files().iter().filter(|f| expired(f)).cloned().collect();
        drop(before);
        let report = table.expire(&expired).await.unwrap();
        assert_eq!(report.removed, gone);
        let purged = table.purge(now_ms).await.unwrap();
        assert_eq!(purged.files, gone.len() as u64);
        assert_eq!(purged.bytes, report.bytes);
        for file in &gone {
            assert_eq!(mentioned(dir.path(), &file.path), Vec::<PathBuf>::new());
            assert!(!dir.path().join("de/tables/usage").join(&file.path).exists());
        }
        assert!(mentioned(dir.path(), "2024-10-04T").is_empty(), "statistics of an expired day");
        assert_eq!(table.purge(now_ms).await.unwrap().files, 0);
        let left = number(&table, &|_| true, "SELECT count(*) FROM t").await;
        assert_eq!(left, 57);
        assert_eq!(table.committed("log-DE").await.unwrap(), Some(version));
        assert_eq!(table.committed("other").await.unwrap(), None);
    }
    let store = open(dir.path()).await;
    let table = store.table(Region::De, &def).await.unwrap();
    assert_eq!(table.committed("log-DE").await.unwrap(), Some(version));
    assert_eq!(number(&table, &|_| true, "SELECT count(event_id) FROM t").await, 57);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_is_what_was_selected() {
    let dir = tempfile::tempdir().unwrap();
    let def = definition(Kind::Usage);
    let store = open(dir.path()).await;
    let table = store.table(Region::Us, &def).await.unwrap();
    let parts = [(UX, 20_000, 100), (DX, 20_000, 10), (UX, 20_001, 1)];
    let parts = parts.map(|(p, day, rows)| part(&def, p, day, rows)).to_vec();
    table.append(parts, "log-US", 1).await.unwrap();
    let all = |_: &LiveFile| true;
    let ux = |f: &LiveFile| f.programme == UX;
    assert_eq!(number(&table, &ux, "SELECT count(*) FROM t").await, 101);
    let sql = "SELECT count(*) FROM t WHERE day = DATE '2024-10-04' AND event = 'event-1'";
    assert_eq!(number(&table, &all, sql).await, 33 + 3);
    let sql = "SELECT count(DISTINCT subject) FROM t WHERE time < TIMESTAMP '2024-10-04T00:00:05Z'";
    assert_eq!(number(&table, &all, sql).await, 5);
    assert_eq!(number(&table, &|_| false, "SELECT count(*) FROM t").await, 0);
    let sql = "SELECT count(*) FROM (SELECT event_id FROM t WHERE country = 'country-0' LIMIT 20)";
    assert_eq!(number(&table, &all, sql).await, 20);

    let provider = table.snapshot().await.unwrap().provider(&all).unwrap();
    let schema = provider.schema();
    assert_eq!(schema.fields().last().unwrap().name(), "day");
    assert_eq!(schema.field_with_name("day").unwrap().data_type(), &DataType::Date32);
    let names: HashSet<_> = schema.fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, def.columns.iter().map(|c| c.name.clone()).collect());
}

fn battery() -> ColumnDef {
    ColumnDef {
        name: "battery".to_owned(),
        doc: "Charge.".to_owned(),
        ty: ColumnType::Integer,
        role: ColumnRole::Hidden,
        nullable: true,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grown_definition_reads_old_files_as_null() {
    let dir = tempfile::tempdir().unwrap();
    let mut def = definition(Kind::Device);
    let store = open(dir.path()).await;
    let table = store.table(Region::My, &def).await.unwrap();
    table.append(vec![part(&def, DX, 20_000, 5)], "log-MY", 1).await.unwrap();
    def.columns.insert(3, battery());
    let old = table;
    let table = store.table(Region::My, &def).await.unwrap();
    let mut grown = part(&def, DX, 20_000, 4);
    let battery: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4]));
    let columns = grown.batch.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let arrays = columns.into_iter().zip(grown.batch.columns().to_vec());
    let arrays = arrays.chain([("battery".to_owned(), battery)]);
    grown.batch = RecordBatch::try_from_iter(arrays).unwrap();
    table.append(vec![grown], "log-MY", 2).await.unwrap();
    let all = |_: &LiveFile| true;
    assert_eq!(number(&table, &all, "SELECT count(*) FROM t").await, 9);
    assert_eq!(number(&table, &all, "SELECT count(battery) FROM t").await, 4);
    assert_eq!(number(&table, &all, "SELECT sum(battery) FROM t").await, 10);
    drop((store, table, old));
    let store = open(dir.path()).await;
    let table = store.table(Region::My, &definition(Kind::Device)).await.unwrap();
    assert_eq!(number(&table, &all, "SELECT sum(battery) FROM t").await, 10);
    def.columns[3].ty = ColumnType::Text;
    let refused = store.table(Region::My, &def).await;
    assert!(matches!(refused, Err(StorageError::Schema { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sorted_and_keep_no_statistics_of_digests() {
    let dir = tempfile::tempdir().unwrap();
    let def = definition(Kind::Usage);
    let store = open(dir.path()).await;
    let table = store.table(Region::Sg, &def).await.unwrap();
    table.append(vec![part(&def, UX, 20_000, 60)], "log-SG", 1).await.unwrap();
    let snapshot = table.snapshot().await.unwrap();
    let path = dir.path().join("sg/tables/usage").join(&snapshot.files()[0].path);
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    for column in reader.metadata().row_group(0).columns() {
        let name = column.column_path().string();
        let digest = ["event_id", "subject", "session"].contains(&name.as_str());
        assert_eq!(column.statistics().is_none(), digest, "{name}");
        assert_eq!(column.bloom_filter_offset().is_some(), name == "event_id", "{name}");
        assert!(column.column_index_offset().is_none() || !digest, "{name}");
    }
    let provider = snapshot.provider(&|_| true).unwrap();
    let batch = query(provider, "SELECT subject, time FROM t").await.remove(0);
    let subjects = batch.column(0).as_binary::<i32>();
    let rows: Vec<(&[u8], String)> = (0..batch.num_rows())
        .map(|r| {
            (subjects.value(r), arrow::util::display::array_value_to_string(batch.column(1), r).unwrap())
        })
        .collect();
    assert_eq!(rows.len(), 60);
    assert!(rows.is_sorted());
    let log =
        std::fs::read_to_string(dir.path().join("sg/tables/usage/_delta_log/00000000000000000001.json"))
            .unwrap();
    for name in ["subject", "event_id", "session", "app_version"] {
        assert!(!log.contains(name), "{name} in the log");
    }
    assert!(log.contains(r#"\"numRecords\":60"#), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_serves_a_root() {
    let dir = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(dir.path()).unwrap();
    let store = Store::open(&url).await.unwrap();
    let table = store.table(Region::Us, &definition(Kind::Crash)).await.unwrap();
    drop(store);
    assert!(matches!(Store::open(&url).await, Err(StorageError::Locked(_))));
    drop(table);
    Store::open(&url).await.unwrap();
    for other in ["s3://bucket/x", "https://example.com/"] {
        let refused = Store::open(&Url::parse(other).unwrap()).await;
        assert!(matches!(refused, Err(StorageError::Location { .. })), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_at_once_are_all_in_and_a_purge_among_them_harms_none() {
    let dir = tempfile::tempdir().unwrap();
    let def = definition(Kind::Performance);
    let store = open(dir.path()).await;
    let table = store.table(Region::Us, &def).await.unwrap();
    let now_ms = chrono::Utc::now().timestamp_millis() + 365 * 86_400_000;
    let appends = (0..24).map(|n| {
        let (table, def) = (table.clone(), def.clone());
        tokio::spawn(async move {
            let parts = vec![part(&def, UX, 20_000 + n % 3, 10)];
            table.append(parts, &format!("app-{}", n / 2), 1).await.unwrap().rows
        })
    });
    let appends: Vec<_> = appends.collect();
    for _ in 0..6 {
        table.purge(now_ms).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut written = 0;
    for append in appends {
        written += append.await.unwrap();
    }
    assert_eq!(written, 120, "of two with the same version one writes");
    table.purge(now_ms).await.unwrap();
    assert_eq!(number(&table, &|_| true, "SELECT count(event_id) FROM t").await, 120);
}

/// Ten appends of one day, each with its own rows.
async fn ten_files(table: &Table, def: &TableDef) {
    for n in 0..10 {
        let mut rows = part(def, UX, 20_000, 100 * (n + 1));
        rows.batch = rows.batch.slice(usize::try_from(100 * n).unwrap(), 100);
        table.append(vec![rows], "log-DE", i64::try_from(n).unwrap() + 1).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_runs_reads_on_through_a_compaction_and_a_purge() {
    let dir = tempfile::tempdir().unwrap();
    let def = definition(Kind::Usage);
    let store = open(dir.path()).await;
    let table = store.table(Region::De, &def).await.unwrap();
    ten_files(&table, &def).await;
    // One partition: nothing reads ahead of who pulls the stream.
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let provider = table.snapshot().await.unwrap().provider(&|_| true).unwrap();
    context.register_table("t", provider).unwrap();
    let plan = context.sql("SELECT event_id FROM t").await.unwrap().create_physical_plan().await.unwrap();
    let task = context.task_ctx();
    context.deregister_table("t").unwrap();
    let now_ms = chrono::Utc::now().timestamp_millis();
    let compacted = table.compact(now_ms, CompactPolicy::default()).await.unwrap();
    assert_eq!((compacted.groups, compacted.files, compacted.rows), (1, 10, 1000));
    assert!(compacted.bytes_out < compacted.bytes_in);
    let purged = table.purge(now_ms).await.unwrap();
    assert_eq!((purged.files, purged.pinned), (0, 10), "the plan alone holds them");
    let mut stream = execute_stream(plan, task).unwrap();
    let mut rows = stream.next().await.unwrap().unwrap().num_rows();
    assert_eq!(table.purge(now_ms).await.unwrap().pinned, 10, "its stream alone holds them");
    while let Some(batch) = stream.next().await {
        rows += batch.unwrap().num_rows();
    }
    drop(stream);
    assert_eq!(rows, 1000);
    let purged = table.purge(now_ms).await.unwrap();
    assert_eq!((purged.files, purged.pinned), (10, 0));
    assert_eq!(number(&table, &|_| true, "SELECT count(DISTINCT event_id) FROM t").await, 1000);
    assert_eq!(table.committed("log-DE").await.unwrap(), Some(10));
    assert_eq!(table.compact(now_ms, CompactPolicy::default()).await.unwrap(), CompactReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_files_of_a_grown_table_become_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut def = definition(Kind::Usage);
    let store = open(dir.path()).await;
    let table = store.table(Region::De, &def).await.unwrap();
    ten_files(&table, &def).await;
    def.columns.insert(3, battery());
    let table = store.table(Region::De, &def).await.unwrap();
    let late = part(&definition(Kind::Usage), UX, 20_000, 1100).batch.slice(1000, 100);
    let charge: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
    let names = late.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    let arrays = names.into_iter().zip(late.columns().to_vec()).chain([("battery".to_owned(), charge)]);
    let batch = RecordBatch::try_from_iter(arrays).unwrap();
    table.append(vec![Part { programme: UX, day: 20_000, batch }], "log-DE", 11).await.unwrap();
    assert_eq!(table.compact(0, CompactPolicy::default()).await.unwrap().files, 11);
    let all = |_: &LiveFile| true;
    assert_eq!(table.snapshot().await.unwrap().files().len(), 1);
    assert_eq!(number(&table, &all, "SELECT count(*) FROM t").await, 1100);
    assert_eq!(number(&table, &all, "SELECT sum(battery) FROM t WHERE battery IS NOT NULL").await, 4950);
    assert_eq!(number(&table, &all, "SELECT count(DISTINCT event_id) FROM t").await, 1100);
}
