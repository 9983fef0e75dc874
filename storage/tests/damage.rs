//! A bit that flips in any file of a table is found, or changes nothing: whoever reads the table afterwards has every row as it
//! was written, or an error; and no merge makes good rows of bad ones.
//!
//! `SHOAL_FLIPS` says how many bits flip, one after another, each in a fresh copy.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use shoal_schemas::calendar::start_of;
use shoal_schemas::{ColumnType, Kind, Programme, Region, Registry, TableDef};
use shoal_storage::{CompactPolicy, Part, StorageError, Store, Table};

const FLIPS: u64 = 90;
const ROWS: i64 = 40;
const DAY: i32 = 20_700;
const LOG: &str = "log-DE";

/// Merges whatever there is two of.
const EAGER: CompactPolicy = CompactPolicy {
    files_min: 2,
    files_max: 64,
    bytes_small: 32 * 1024 * 1024,
    bytes_max: 256 * 1024 * 1024,
    groups_max: 64,
};

fn digest(number: i64) -> Vec<u8> {
    (u128::try_from(number).unwrap() << 100 | 5).to_be_bytes().to_vec()
}

/// Rows that no other part has.
fn part(def: &TableDef, day: i32, first: i64) -> Part {
    let ids = first..first + ROWS;
    let column = |name: &str, ty: ColumnType, nullable: bool| -> Option<ArrayRef> {
        Some(match (name, ty) {
            ("event_id", _) => Arc::new(BinaryArray::from_iter_values(ids.clone().map(digest))),
            ("subject", _) => Arc::new(BinaryArray::from_iter_values(ids.clone().map(|id| digest(id % 7)))),
            ("time", _) => {
                let times = ids.clone().map(|id| start_of(day) + id);
                Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))
            }
            ("screen" | "app_version", _) => {
                Arc::new(StringArray::from_iter_values(ids.clone().map(|id| format!("text {id}"))))
            }
            (_, _) if nullable => return None,
            (_, ColumnType::Text) => {
                Arc::new(StringArray::from_iter_values(ids.clone().map(|id| id.to_string())))
            }
            (_, ColumnType::Integer) => Arc::new(Int64Array::from_iter_values(ids.clone())),
            _ => return None,
        })
    };
    let columns = def.columns.iter().filter(|c| c.name != "day");
    let arrays = columns.filter_map(|c| Some((c.name.clone(), column(&c.name, c.ty, c.nullable)?)));
    Part { programme: Programme::UserExperience, day, batch: RecordBatch::try_from_iter(arrays).unwrap() }
}

async fn open(root: &Path, registry: &Registry) -> Result<Table, StorageError> {
    let store = Store::open(&url::Url::from_directory_path(root.canonicalize().unwrap()).unwrap()).await?;
    store.table(Region::De, registry.table(Kind::Usage)).await
}

/// A table with merged files, a checkpoint, and commits after it.
async fn made(root: &Path, registry: &Registry) {
    let table = open(root, registry).await.unwrap();
    let def = registry.table(Kind::Usage);
    for version in 1..=12 {
        let days = (0..2).map(|day| part(def, DAY + day, (version * 2 + i64::from(day)) * ROWS));
        table.append(days.collect(), LOG, version).await.unwrap();
        if version == 8 {
            table.compact(0, EAGER).await.unwrap();
            table.purge(i64::from(DAY) * 86_400_000).await.unwrap();
        }
    }
}

/// All rows by the day and the order of their ids, and the version of the transaction.
async fn read(root: &Path, registry: &Registry) -> Result<(Vec<String>, Option<i64>), StorageError> {
    let table = open(root, registry).await?;
    let snapshot = table.snapshot().await?;
    let names: Vec<&str> = registry.table(Kind::Usage).columns.iter().map(|c| c.name.as_str()).collect();
    let mut rows = Vec::new();
    for file in snapshot.files() {
        for batch in snapshot.rows(file, &names, 1024)? {
            let batch = batch?;
            let texts: Vec<_> = batch
                .columns()
                .iter()
                .map(|c| arrow::util::display::ArrayFormatter::try_new(c, &Default::default()).unwrap())
                .collect();
            rows.extend((0..batch.num_rows()).map(|row| {
                texts.iter().map(|text| text.value(row).to_string()).collect::<Vec<_>>().join("|")
            }));
        }
    }
    rows.sort_unstable();
    Ok((rows, table.committed(LOG).await?))
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
    found.sort_unstable();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// Numbers that look random, the same in every run.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn kind_of(path: &Path) -> &'static str {
    let name = path.file_name().unwrap().to_str().unwrap();
    match name {
        "_last_checkpoint" => "pointer",
        name if name.ends_with(".checkpoint.parquet") => "checkpoint",
        name if name.ends_with(".json") => "commit",
        name if name.ends_with(".parquet") => "data",
        _ => "other",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bit_that_flips_is_found_or_changes_nothing() {
    let flips = std::env::var("SHOAL_FLIPS").map_or(FLIPS, |text| text.parse().unwrap());
    let registry = Registry::load(None).unwrap();
    let root = tempfile::tempdir().unwrap();
    made(root.path(), &registry).await;
    let expected = read(root.path(), &registry).await.unwrap();
    assert_eq!((expected.0.len() as i64, expected.1), (24 * ROWS, Some(12)));
    let mut all = Vec::new();
    files(root.path(), &mut all);
    let of_kind = |kind: &str| all.iter().filter(|path| kind_of(path) == kind).cloned().collect::<Vec<_>>();
    let kinds = ["data", "commit", "checkpoint", "pointer"].map(|kind| (kind, of_kind(kind)));
    assert!(kinds.iter().all(|(_, files)| !files.is_empty()), "{all:?}");
    let (mut state, mut found) = (0x9e37_79b9_7f4a_7c15, 0);
    for flip in 0..flips {
        let (kind, files) = &kinds[[0, 0, 1, 0, 1, 2, 0, 1, 3][flip as usize % 9]];
        let path = &files[next(&mut state) as usize % files.len()];
        let copied = tempfile::tempdir().unwrap();
        copy(root.path(), copied.path());
        let damaged = copied.path().join(path.strip_prefix(root.path()).unwrap());
        let mut bytes = fs::read(&damaged).unwrap();
        let bit = next(&mut state) as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&damaged, &bytes).unwrap();
        let told = format!("bit {bit} of the {kind} {}", damaged.display());
        match read(copied.path(), &registry).await {
            Ok(rows) => assert!(rows == expected, "{told} changed what is read"),
            Err(_) => {
                found += 1;
                if let Ok(table) = open(copied.path(), &registry).await {
                    // What is damaged stays damaged, and is not written anew as if it were good.
                    let _ = table.compact(0, EAGER).await;
                    drop(table);
                    if let Ok(rows) = read(copied.path(), &registry).await {
                        assert!(rows == expected, "{told} became good rows in a merge");
                    }
                }
            }
        }
    }
    assert!(found > flips / 3, "most flips must be found: {found} of {flips}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_or_longer_is_found_and_one_without_digests_is_read_as_before() {
    let registry = Registry::load(None).unwrap();
    let root = tempfile::tempdir().unwrap();
    made(root.path(), &registry).await;
    let table = open(root.path(), &registry).await.unwrap();
    let snapshot = table.snapshot().await.unwrap();
    assert!(snapshot.files().iter().all(|file| file.digest.is_some()));
    let file = snapshot.files()[0].clone();
    let path = root.path().join("de/tables/usage").join(&file.path);
    let whole = fs::read(&path).unwrap();
    for changed in [whole[..whole.len() - 1].to_vec(), [&whole[..], b"x"].concat(), Vec::new()] {
        fs::write(&path, changed).unwrap();
        let refused = snapshot.rows(&file, &["time"], 1024).err().unwrap();
        assert!(matches!(refused, StorageError::Damaged { .. }), "{refused}");
    }
    fs::write(&path, &whole).unwrap();
    assert!(snapshot.rows(&file, &["time"], 1024).unwrap().all(|batch| batch.is_ok()));
    // Without digests nothing is compared.
    let before = snapshot.without_digests();
    assert!(before.files().iter().all(|file| file.digest.is_none()));
    assert!(before.rows(&before.files()[0], &["time"], 1024).unwrap().all(|batch| batch.is_ok()));
}
