//! A day never has more files than it may, whether compaction runs or not, and no row is kept out for it.

use super::*;

const DAY: i32 = 20_000;

/// Appends two rows to a day of one programme, as often as said.
async fn append(table: &Table, programme: Programme, versions: std::ops::RangeInclusive<i64>) -> Vec<i64> {
    let mut all = Vec::new();
    for version in versions {
        let ids = [2 * version, 2 * version + 1];
        table.append(vec![part(programme, DAY, &ids, 0)], programme.as_str(), version).await.unwrap();
        all.extend(ids);
    }
    all
}

async fn files_of(table: &Table, programme: Programme) -> usize {
    let snapshot = table.snapshot().await.unwrap();
    snapshot.files().iter().filter(|file| (file.day, file.programme) == (DAY, programme)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_has_never_more_files_than_it_may() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    let most = DAY_FILES_MAX as i64;
    // Each programme has its own.
    let others = append(&table, Programme::DeviceExperience, 1..=most).await;
    let mut expected = Vec::new();
    for version in 1..=2 * most + 9 {
        expected.extend(append(&table, UX, version..=version).await);
        assert!(files_of(&table, UX).await <= DAY_FILES_MAX, "{version} appends");
    }
    assert_eq!(files_of(&table, Programme::DeviceExperience).await, DAY_FILES_MAX);
    let days = Days::from([((DAY, UX), expected), ((DAY, Programme::DeviceExperience), others)]);
    assert_eq!(seen(&table).await, days);
    // Whoever purges after a compaction hears of what was merged.
    let merged = DAY_FILES_MAX as u64;
    let report = table.compact(0, CompactPolicy { groups_max: 0, ..CompactPolicy::default() }).await.unwrap();
    assert!(report.groups >= 1 && report.files >= merged, "{report:?}");
    let again = table.compact(0, CompactPolicy { groups_max: 0, ..CompactPolicy::default() }).await.unwrap();
    assert_eq!(again, CompactReport::default());
    table.purge(chrono::Utc::now().timestamp_millis() + 7 * HOUR_MS).await.unwrap();
    assert_eq!(data_files(dir.path()), table.snapshot().await.unwrap().files().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_merged_keeps_no_row_out() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    append(&table, UX, 1..=3).await;
    let broken = table.snapshot().await.unwrap().files()[1].path.clone();
    std::fs::write(table.inner.objects.path(&broken), b"no Parquet").unwrap();
    let most = DAY_FILES_MAX as i64;
    append(&table, UX, 4..=most + 3).await;
    assert_eq!(files_of(&table, UX).await, DAY_FILES_MAX + 3);
    assert_eq!(rows(&table).await, 2 * (DAY_FILES_MAX as u64 + 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_too_many_files_is_merged_though_they_are_large() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    table.inner.lock.stop_compacting.store(true, Ordering::Relaxed);
    let expected = append(&table, UX, 1..=DAY_FILES_MAX as i64 + 20).await;
    assert_eq!(files_of(&table, UX).await, DAY_FILES_MAX + 20, "as an earlier version left them");
    table.inner.lock.stop_compacting.store(false, Ordering::Relaxed);
    let policy = CompactPolicy { bytes_small: 1, ..CompactPolicy::default() };
    let report = table.compact(0, policy).await.unwrap();
    assert!(report.groups >= 1);
    assert!(files_of(&table, UX).await <= DAY_FILES_MAX);
    assert_eq!(seen(&table).await, Days::from([((DAY, UX), expected)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_day_is_full_is_known_before_an_append_and_room_can_be_made_then() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    let most = DAY_FILES_MAX as i64;
    append(&table, UX, 1..=most - 1).await;
    let (day, others) =
        (BTreeSet::from([(DAY, UX)]), BTreeSet::from([(DAY, Programme::DeviceExperience), (DAY + 1, UX)]));
    assert!(!table.is_full(&day).await.unwrap());
    append(&table, UX, most..=most).await;
    assert!(table.is_full(&day).await.unwrap() && !table.is_full(&others).await.unwrap());
    table.make_room(&others).await.unwrap();
    assert_eq!(files_of(&table, UX).await, DAY_FILES_MAX);
    table.make_room(&day).await.unwrap();
    assert!(!table.is_full(&day).await.unwrap() && files_of(&table, UX).await < DAY_FILES_MAX);
    // At the end of a process nothing is merged, so that nothing waits for it.
    append(&table, UX, most + 1..=2 * most).await;
    table.inner.lock.stop_compacting.store(true, Ordering::Relaxed);
    append(&table, UX, 2 * most + 1..=3 * most).await;
    assert!(files_of(&table, UX).await > DAY_FILES_MAX && !table.is_full(&day).await.unwrap());
}
