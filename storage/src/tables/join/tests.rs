//! Flushes of few rows, one after the other, beside everything else that takes files away.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, TimestampMillisecondArray};
use shoal_schemas::Programme;
use shoal_schemas::calendar::start_of;

use super::*;
use crate::Part;
use crate::tables::append::{Goal, Outcome};
use crate::tables::tests::{Fault, Faulty, data_files, open, rows};

const LOG: &str = "log-US";

/// Rows of these numbers, each with an id and a subject of its own.
fn part(day: i32, numbers: std::ops::Range<i64>) -> Part {
    let digest = |n: i64| u128::try_from(n).unwrap().to_be_bytes().to_vec();
    let ids: Vec<Vec<u8>> = numbers.clone().map(digest).collect();
    let times = numbers.clone().map(|_| start_of(day) + 1000);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("event_id", Arc::new(BinaryArray::from_iter_values(&ids))),
        ("subject", Arc::new(BinaryArray::from_iter_values(&ids))),
        ("time", Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("n", Arc::new(Int64Array::from_iter_values(numbers))),
    ];
    Part { programme: Programme::UserExperience, day, batch: RecordBatch::try_from_iter(columns).unwrap() }
}

/// The rows of each live file, in ascending order.
async fn sizes(table: &Table) -> Vec<u64> {
    let mut sizes: Vec<u64> = table.snapshot().await.unwrap().files().iter().map(|file| file.rows).collect();
    sizes.sort_unstable();
    sizes
}

async fn flush(table: &Table, parts: Vec<Part>, version: i64) {
    let after = (version > 1).then_some(version - 1);
    let done = table.append_after(parts, LOG, version, after).await.unwrap();
    assert!(!done.repeated && !done.overtaken);
}

#[tokio::test(flavor = "multi_thread")]
async fn flushes_of_few_rows_have_one_file_of_a_day_until_they_are_many() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    for turn in 0..30 {
        flush(&table, vec![part(20_000, turn * 40..turn * 40 + 40)], turn + 1).await;
        assert_eq!(rows(&table).await, (turn as u64 + 1) * 40, "each is there once");
    }
    // The 26th made it 1,040 rows, and the next began another one.
    assert_eq!(sizes(&table).await, [160, 1040]);
    flush(&table, vec![part(20_000, 5_000..9_000), part(20_001, 0..5)], 31).await;
    assert_eq!(sizes(&table).await, [5, 160, 1040, 4000], "many rows stay alone, and so does another day");
    let again = table.append_after(vec![part(20_001, 0..5)], LOG, 31, Some(30)).await.unwrap();
    assert!(again.repeated);
    drop(table);
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    assert_eq!(sizes(&table).await, [5, 160, 1040, 4000], "the log says the same");
    table.purge(i64::MAX).await.unwrap();
    assert_eq!(data_files(dir.path()), 4, "and nothing of before is left on the disk");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_waits_for_no_merge_and_goes_on_where_a_file_cannot_be_joined() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    flush(&table, vec![part(20_000, 0..10)], 1).await;
    let merging = table.inner.compacting.lock().await;
    flush(&table, vec![part(20_000, 10..20)], 2).await;
    drop(merging);
    assert_eq!(sizes(&table).await, [10, 10]);
    for file in table.snapshot().await.unwrap().files() {
        std::fs::write(dir.path().join("us/tables/usage").join(&file.path), b"damaged").unwrap();
    }
    flush(&table, vec![part(20_000, 20..30)], 3).await;
    assert_eq!(sizes(&table).await, [10, 10, 10]);
    assert_eq!(data_files(dir.path()), 3, "nothing is left of what was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_joined_rows_that_fails_or_loses_its_answer_leaves_each_row_once() {
    for fault in [Fault::Refused, Fault::AnswerLost] {
        let dir = tempfile::tempdir().unwrap();
        let table = open(dir.path(), Faulty::new(dir.path(), &[Fault::None, fault])).await;
        flush(&table, vec![part(20_000, 0..10)], 1).await;
        // A second try is the same flush again.
        for _ in 0..3 {
            if table.append_after(vec![part(20_000, 10..15)], LOG, 2, Some(1)).await.is_ok() {
                break;
            }
        }
        assert_eq!(sizes(&table).await, [15], "{fault:?}");
        table.purge(i64::MAX).await.unwrap();
        assert_eq!(data_files(dir.path()), 1, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_day_expires_while_they_are_joined_take_no_new_row_along() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    flush(&table, vec![part(20_000, 0..10)], 1).await;
    let (_, written) = table.inner.write_parts(vec![part(20_000, 10..15)]).await.unwrap();
    let joined = table.inner.joined(&written).await.unwrap();
    assert_eq!((joined.files[0].file.rows, joined.inputs.len()), (15, 1));
    table.expire(&|file| file.rows == 10).await.unwrap();
    let goal = Goal { app_id: LOG.to_owned(), version: 2, after: Some(Some(1)) };
    let done = table.inner.commit_files(&joined.files, &joined.inputs, &goal).await.unwrap();
    assert_eq!(done, Outcome::InputGone);
    assert_eq!(rows(&table).await, 0);
}
