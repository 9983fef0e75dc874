//! Whole cycles through the public interface, with the registry's own tables: append, read, compact, expire, purge, reopen.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Date32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use shoal_schemas::calendar::{DAY_MS, start_of};
use shoal_schemas::{ColumnDef, ColumnRole, ColumnType, Kind, Programme, Region, Registry, TableDef};
use shoal_storage::{CompactPolicy, CompactReport, FileRows, LiveFile, Part, StorageError, Store, Table};
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
            let times = n.map(|r| start_of(day) + i64::try_from(r).unwrap() * 1000);
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

/// These columns of the files that `keep` selects, in the order of the files, without dictionaries.
async fn read(table: &Table, keep: &dyn Fn(&LiveFile) -> bool, names: &[&str]) -> RecordBatch {
    let snapshot = table.snapshot().await.unwrap();
    let schema = plain(&snapshot.rows_schema(names).unwrap());
    let files = snapshot.files().iter().filter(|file| keep(file));
    let batches = files.flat_map(|file| snapshot.rows(file, names, 16).unwrap()).map(|batch| {
        let batch = batch.unwrap();
        let columns = batch.columns().iter().zip(schema.fields());
        let columns = columns.map(|(array, field)| cast(array, field.data_type()).unwrap()).collect();
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()
    });
    concat_batches(&schema, &batches.collect::<Vec<_>>()).unwrap()
}

fn plain(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, value) => Arc::new(field.as_ref().clone().with_data_type((**value).clone())),
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

async fn count(table: &Table, keep: &dyn Fn(&LiveFile) -> bool) -> usize {
    read(table, keep, &["event_id"]).await.num_rows()
}

/// How many different ones there are, nulls aside.
fn distinct(digests: &ArrayRef) -> usize {
    digests.as_binary::<i32>().iter().flatten().collect::<HashSet<_>>().len()
}

async fn events(table: &Table) -> usize {
    distinct(read(table, &|_| true, &["event_id"]).await.column(0))
}

/// How many values a column of integers has that are not null, and their sum.
async fn integers(table: &Table, name: &str) -> (usize, i64) {
    let found = read(table, &|_| true, &[name]).await;
    let values = found.column(0).as_primitive::<Int64Type>();
    (values.len() - values.null_count(), values.iter().flatten().sum())
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
        assert_eq!(count(&table, &|_| true).await, 57);
        assert_eq!(table.committed("log-DE").await.unwrap(), Some(version));
        assert_eq!(table.committed("other").await.unwrap(), None);
    }
    let store = open(dir.path()).await;
    let table = store.table(Region::De, &def).await.unwrap();
    assert_eq!(table.committed("log-DE").await.unwrap(), Some(version));
    let ids = read(&table, &|_| true, &["event_id"]).await;
    assert_eq!((ids.num_rows(), ids.column(0).null_count()), (57, 0));
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
    assert_eq!(count(&table, &ux).await, 101);
    assert_eq!(count(&table, &|_| false).await, 0);
    let found = read(&table, &all, &["day", "event", "subject", "time", "country"]).await;
    let days = found.column(0).as_primitive::<Date32Type>();
    let texts = found.column(1).as_string::<i32>();
    let first = |row: &usize| days.value(*row) == 20_000 && texts.value(*row) == "event-1";
    assert_eq!((0..found.num_rows()).filter(first).count(), 33 + 3);
    let times = found.column(3).as_primitive::<TimestampMicrosecondType>();
    let subjects = found.column(2).as_binary::<i32>();
    let early = (0..found.num_rows()).filter(|row| times.value(*row) < (start_of(20_000) + 5_000) * 1_000);
    assert_eq!(early.map(|row| subjects.value(row)).collect::<HashSet<_>>().len(), 5);
    let countries = found.column(4).as_string::<i32>();
    assert_eq!(countries.iter().flatten().filter(|country| *country == "country-0").count(), 34 + 4 + 1);

    let snapshot = table.snapshot().await.unwrap();
    let names: Vec<&str> = def.columns.iter().map(|c| c.name.as_str()).collect();
    let schema = snapshot.rows_schema(&names).unwrap();
    assert_eq!(schema.field_with_name("day").unwrap().data_type(), &DataType::Date32);
    let stored: HashSet<&str> = names.iter().copied().filter(|name| *name != "day").collect();
    for file in snapshot.files() {
        let path = dir.path().join("us/tables/usage").join(&file.path);
        let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let columns = reader.metadata().file_metadata().schema_descr().columns();
        assert_eq!(columns.iter().map(|column| column.name()).collect::<HashSet<_>>(), stored);
    }
    let unknown = snapshot.rows_schema(&["day", "none"]);
    assert!(matches!(unknown, Err(StorageError::Arrow(_))), "{unknown:?}");
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
    assert_eq!(count(&table, &|_| true).await, 9);
    assert_eq!(integers(&table, "battery").await, (4, 10));
    drop((store, table, old));
    let store = open(dir.path()).await;
    let table = store.table(Region::My, &definition(Kind::Device)).await.unwrap();
    assert_eq!(integers(&table, "battery").await, (4, 10));
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
    let batch = read(&table, &|_| true, &["subject", "time"]).await;
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
    let now_ms = chrono::Utc::now().timestamp_millis() + 365 * DAY_MS;
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
    assert_eq!(count(&table, &|_| true).await, 120);
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
async fn a_reader_that_runs_reads_on_through_a_compaction_and_a_purge() {
    let dir = tempfile::tempdir().unwrap();
    let def = definition(Kind::Usage);
    let store = open(dir.path()).await;
    let table = store.table(Region::De, &def).await.unwrap();
    ten_files(&table, &def).await;
    let snapshot = table.snapshot().await.unwrap();
    let opened = snapshot.files().iter().map(|file| snapshot.rows(file, &["event_id"], 16).unwrap());
    let mut readers = opened.collect::<Vec<FileRows>>().into_iter();
    drop(snapshot);
    let now_ms = chrono::Utc::now().timestamp_millis();
    let compacted = table.compact(now_ms, CompactPolicy::default()).await.unwrap();
    assert_eq!((compacted.groups, compacted.files, compacted.rows), (1, 10, 1000));
    assert!(compacted.bytes_out < compacted.bytes_in);
    let purged = table.purge(now_ms).await.unwrap();
    assert_eq!((purged.files, purged.pinned), (0, 10), "the readers alone hold them");
    let mut last = readers.next_back().unwrap();
    let mut rows = last.next().unwrap().unwrap().num_rows();
    rows += readers.flatten().map(|batch| batch.unwrap().num_rows()).sum::<usize>();
    assert_eq!(table.purge(now_ms).await.unwrap().pinned, 10, "one reader that is not at its end holds them");
    rows += last.by_ref().map(|batch| batch.unwrap().num_rows()).sum::<usize>();
    drop(last);
    assert_eq!(rows, 1000);
    let purged = table.purge(now_ms).await.unwrap();
    assert_eq!((purged.files, purged.pinned), (10, 0));
    assert_eq!(events(&table).await, 1000);
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
    assert_eq!(table.snapshot().await.unwrap().files().len(), 1);
    assert_eq!(count(&table, &|_| true).await, 1100);
    assert_eq!(integers(&table, "battery").await, (100, 4950));
    assert_eq!(events(&table).await, 1100);
}
