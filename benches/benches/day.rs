//! How long the first event of a large day waits after a start, while the day is counted, and how long others wait then.
//!
//! Four million rows of two hundred thousand subjects in eight files, and as many in one. They are written an eighth at a time,
//! and one file is made by merging, as in life: what the bench takes in memory does not grow with the rows. Counting reads one
//! column of one file at a time, and has at most 20 MB of counts. Not here: the stages by themselves (`stages.rs`).
#![allow(clippy::unwrap_used, missing_docs)]

mod rig;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use shoal_ingest::{Ingest, KeyKind, open_consents};
use shoal_schemas::calendar::{DAY_MS, day_of};
use shoal_schemas::{Kind, Programme, Region, Registry, columns};
use shoal_storage::{CompactPolicy, Part, Store};
use tokio::runtime::Runtime;

const ROWS: u64 = 4_000_000;
const SUBJECTS: u64 = 200_000;
const FLUSHES: u64 = 8;
/// 2026-11-22T12:00:00Z.
const NOW_MS: i64 = 1_795_348_800_000;

/// A digest of a number.
fn digest(n: u64) -> [u8; 16] {
    let n = (n + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ n >> 31).wrapping_mul(0x94d0_49bb_1331_11eb);
    u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834).to_be_bytes()
}

fn part(rows: std::ops::Range<u64>) -> Part {
    let count = (rows.end - rows.start) as usize;
    let all = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; count])) };
    let digests = |of: &dyn Fn(u64) -> u64| -> ArrayRef {
        Arc::new(BinaryArray::from_iter_values(rows.clone().map(|row| digest(of(row)))))
    };
    let times = rows.clone().map(|row| (NOW_MS - 1 - (row % 3_600_000) as i64) * 1_000);
    let named: Vec<(&str, ArrayRef)> = vec![
        (columns::EVENT_ID, digests(&|row| row + SUBJECTS)),
        (columns::SUBJECT, digests(&|row| row % SUBJECTS)),
        (columns::TIME, Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))),
        (columns::EVENT, all("app_open")),
        (columns::COUNTRY, all("DE")),
        (columns::PROGRAMME, all("user-experience")),
        (columns::APP, all("camera")),
        (columns::CONSENT, all("carried")),
        (columns::EPOCH, Arc::new(Int64Array::from(vec![0; count]))),
    ];
    let batch = RecordBatch::try_from_iter(named).unwrap();
    Part { programme: Programme::UserExperience, day: day_of(NOW_MS), batch }
}

/// In eight files, or merged into one.
async fn write(root: &Path, registry: &Registry, is_merged: bool) -> usize {
    let store = Store::open(&url::Url::from_directory_path(root).unwrap()).await.unwrap();
    let table = store.table(Region::De, registry.table(Kind::Usage)).await.unwrap();
    let rows = ROWS / FLUSHES;
    for flush in 0..FLUSHES {
        let part = part(flush * rows..(flush + 1) * rows);
        table.append(vec![part], "bench", i64::try_from(flush).unwrap() + 1).await.unwrap();
    }
    if is_merged {
        let all = CompactPolicy {
            files_min: 2,
            bytes_small: u64::MAX,
            bytes_max: u64::MAX,
            ..CompactPolicy::default()
        };
        assert!(table.compact(NOW_MS, all).await.unwrap().failed.is_empty());
    }
    table.snapshot().await.unwrap().files().len()
}

/// Sends one event of this day, and answers how long it took, ms.
async fn send(ingest: &Ingest, id: u32, days_ago: i64) -> f64 {
    let body = format!(
        r#"{{"id":"{id}","event":"app_open","time":{},"user_id":"u","country":"DE","consent":{{"policy_version":"2026-1"}}}}"#,
        NOW_MS - days_ago * DAY_MS
    );
    let request = rig::request(body.as_bytes(), NOW_MS);
    let grant = rig::grant(KeyKind::Server);
    let began = Instant::now();
    let answer = ingest.accept(request, &grant).await.unwrap();
    assert_eq!(answer.accepted, 1, "{answer:?}");
    began.elapsed().as_secs_f64() * 1e3
}

/// One event while another waits for the large day.
async fn meanwhile(ingest: &Ingest) -> (f64, f64) {
    // Yesterday is opened before: this is what everybody else does.
    send(ingest, 1, 1).await;
    let slow = send(ingest, 2, 0);
    let others = async {
        let mut worst: f64 = 0.0;
        for id in 10..30 {
            worst = worst.max(send(ingest, id, 1).await);
        }
        worst
    };
    tokio::join!(slow, others)
}

fn main() {
    let runtime = Runtime::new().unwrap();
    let registry = Registry::load(None).unwrap();
    for is_merged in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let files = runtime.block_on(write(dir.path(), &registry, is_merged));
        let consents = open_consents(dir.path()).unwrap();
        let parts = runtime.block_on(rig::parts(dir.path(), consents, || NOW_MS));
        let ingest = runtime.block_on(rig::open(dir.path(), parts));
        let (first, others) = runtime.block_on(meanwhile(&ingest));
        let second = runtime.block_on(send(&ingest, 3, 0));
        println!(
            "{ROWS} rows of {SUBJECTS} subjects, {files} files: first event {first:.1} ms, events of another day \
             meanwhile at most {others:.1} ms, next event {second:.1} ms"
        );
        runtime.block_on(ingest.stop()).unwrap();
    }
}
