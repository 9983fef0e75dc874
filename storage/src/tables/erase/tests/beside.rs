//! Erasures beside commits that fail, and beside everything else that happens to a table.

use super::*;
use crate::CompactPolicy;

/// Merge whatever there is two of.
const EAGER: CompactPolicy = CompactPolicy {
    files_min: 2,
    files_max: 64,
    bytes_small: 32 * 1024 * 1024,
    bytes_max: 256 * 1024 * 1024,
    groups_max: 64,
};

/// Three files: of one all rows are of subject 0, of the others some.
async fn three(table: &Table) {
    let only: Vec<Row> = (0..9).map(|n| (0, 900 + n, 4)).collect();
    let parts = [part(UX, DAY, &some(0, 20, 4)), part(DX, DAY, &only), part(UX, DAY + 1, &some(20, 20, 4))];
    for (version, part) in (1..).zip(parts) {
        table.append(vec![part], LOG, version).await.unwrap();
    }
}

/// Erases until it is answered with success, beginning anew after a failure as after a kill.
async fn erase_through(faults: &[Fault]) {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    three(&table).await;
    let (before, gone) = (all(&table).await, subjects([0, 2]));
    let rest = without(&before, &gone);
    drop(table);
    let (mut left, mut tries) = (faults, 0);
    loop {
        let failing = Faulty::new(dir.path(), left);
        let table = open(dir.path(), Arc::clone(&failing)).await;
        let erased = table.erase(0, Arc::clone(&gone)).await;
        failing.deliver();
        left = &left[failing.taken().min(left.len())..];
        drop(table);
        let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
        let now = all(&table).await;
        assert_eq!(without(&now, &gone), rest, "whatever happens, the others are there once: {faults:?}");
        assert!(now.iter().all(|row| before.binary_search(row).is_ok()), "{faults:?}");
        table.purge(i64::MAX).await.unwrap();
        assert_eq!(data_files(dir.path()), files(&table).await.len(), "{faults:?}");
        tries += 1;
        assert!(tries <= faults.len() + 1, "{faults:?}");
        if erased.is_ok() {
            assert_eq!(now, rest, "{faults:?}");
            return;
        }
    }
}

#[test]
fn a_commit_that_fails_or_loses_its_answer_leaves_each_row_once_or_erased() {
    use Fault::{AnswerLost, Dead, Late, None, Refused};
    for fault in [Refused, AnswerLost, Late, Dead] {
        for at in 0..3 {
            let mut faults = vec![None; at];
            faults.push(fault);
            block_on(erase_through(&faults));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn an_erasure_that_is_repeated_ends_whatever_happened_to_it(
        faults in prop::collection::vec(
            prop::sample::select(vec![Fault::None, Fault::Refused, Fault::AnswerLost, Fault::Late, Fault::Dead]),
            0..8,
        )
    ) {
        block_on(erase_through(&faults));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_a_success_and_a_refusal_keeps_no_other_file_from_being_done() {
    let dir = tempfile::tempdir().unwrap();
    let faults = [Fault::None, Fault::None, Fault::None, Fault::Refused, Fault::AnswerLost];
    let table = open(dir.path(), Faulty::new(dir.path(), &faults)).await;
    three(&table).await;
    let before = all(&table).await;
    let refused = table.erase(0, subjects([0])).await;
    assert!(matches!(refused, Err(StorageError::Io { .. })));
    let left: Vec<Read> = all(&table).await.into_iter().filter(|row| is_of(row, &subjects([0]))).collect();
    assert!(
        left.len() == 9 && left.iter().all(|row| row.1 == DX),
        "of the two other files the rows are gone"
    );
    assert_eq!((files(&table).await.len(), data_files(dir.path())), (3, 5));
    assert_eq!(table.erase(0, subjects([0])).await.unwrap().files, 1);
    assert_eq!(all(&table).await, without(&before, &subjects([0])));
}

/// The steps of an erasure, with what may come between them.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_leaves_meanwhile_is_passed_over_and_what_comes_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    for version in 1..=3_u64 {
        let rows = some(version * 100, 20, 4);
        table.append(vec![part(UX, DAY, &rows)], LOG, version as i64).await.unwrap();
    }
    let (gone, mut looked) = (subjects([1]), HashSet::new());
    let found = table.look(&mut looked, &gone).await.unwrap().unwrap();
    let rows = |found: &[Looked]| found.iter().map(|(_, rows)| *rows.as_ref().unwrap()).collect::<Vec<_>>();
    assert_eq!((found.len(), looked.len(), rows(&found)), (3, 3, vec![5; 3]));
    assert!(table.look(&mut looked, &gone).await.unwrap().is_none(), "each is looked at once");
    table.compact(0, EAGER).await.unwrap();
    table.append(vec![part(UX, DAY, &some(400, 20, 4))], LOG, 4).await.unwrap();
    let before = all(&table).await;
    for (file, rows) in &found {
        let erased = table.erase_file(file, *rows.as_ref().unwrap(), &gone, 0).await.unwrap();
        assert!(erased.is_none(), "it was merged");
        let erased = table.erase_file(file, file.rows, &gone, 0).await.unwrap();
        assert!(erased.is_none(), "and that all of its rows were the subject's makes no difference");
    }
    assert_eq!(all(&table).await, before);
    let mut found = rows(&table.look(&mut looked, &gone).await.unwrap().unwrap());
    found.sort_unstable();
    assert_eq!((found, looked.len()), (vec![5, 15], 5));
}

/// A flush comes while the only file is written anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_it_runs_is_looked_at_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let files = Faulty::new(dir.path(), &[]);
    let table = open(dir.path(), Arc::clone(&files)).await;
    table.append(vec![part(UX, DAY, &some(0, 20, 4))], LOG, 1).await.unwrap();
    let (runtime, beside) = (tokio::runtime::Handle::current(), table.clone());
    let flush = move || {
        let parts = vec![part(UX, DAY, &some(100, 40, 4)), part(DX, DAY, &some(200, 12, 4))];
        runtime.block_on(beside.append(parts, LOG, 2)).unwrap();
    };
    *files.before_write.lock().unwrap() = Some(Box::new(flush));
    let erased = table.erase(0, subjects([1])).await.unwrap();
    assert_eq!((erased.files, erased.rows), (3, 5 + 10 + 3));
    assert_eq!((all(&table).await.len(), table.holding(subjects([1])).await.unwrap().files), (54, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_during_the_merge_wins() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    table.append(vec![part(UX, DAY, &some(0, 20, 4))], LOG, 1).await.unwrap();
    let snapshot = table.snapshot().await.unwrap();
    table.expire(&|_| true).await.unwrap();
    let merged = table.replace_group(&snapshot, snapshot.files(), subjects([1]), 0).await.unwrap();
    assert!(merged.is_none() && files(&table).await.is_empty());
    assert_eq!(data_files(dir.path()), 1, "what was written is gone, and what was read waits for a purge");
}

/// Flushes that are joined, appends, merges and purges go on; then one erasure more takes what came after the last one.
#[tokio::test(flavor = "multi_thread")]
async fn erasures_appends_compactions_and_purges_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let table = open(dir.path(), Faulty::new(dir.path(), &[])).await;
    let rows = |app: u64, version: u64| some(app * 100_000 + version * 100, 40, 8);
    let appends: Vec<_> = (0..3_u64)
        .map(|app| {
            let table = table.clone();
            tokio::spawn(async move {
                for version in 1..=12_u64 {
                    let programme = if app == 2 { DX } else { UX };
                    let parts = vec![part(programme, DAY, &rows(app, version))];
                    let (app, after) = (format!("app-{app}"), (version > 1).then(|| version as i64 - 1));
                    table.append_after(parts, &app, version as i64, after).await.unwrap();
                }
            })
        })
        .collect();
    let gone = subjects([1, 5]);
    while !appends.iter().all(tokio::task::JoinHandle::is_finished) {
        let (erased, merged) = tokio::join!(table.erase(0, Arc::clone(&gone)), table.compact(0, EAGER));
        erased.unwrap();
        assert!(merged.unwrap().failed.is_empty());
        table.purge(i64::MAX).await.unwrap();
    }
    table.erase(0, Arc::clone(&gone)).await.unwrap();
    table.purge(i64::MAX).await.unwrap();
    let found = all(&table).await;
    assert!(!found.iter().any(|row| is_of(row, &gone)));
    let sent = (0..3).flat_map(|app| (1..=12).flat_map(move |version| rows(app, version)));
    let mut expected: Vec<Vec<u8>> =
        sent.filter(|row| ![1, 5].contains(&row.0)).map(|row| digest("event", row.1).to_vec()).collect();
    let mut events: Vec<Vec<u8>> = found.into_iter().map(|row| row.4).collect();
    expected.sort();
    events.sort();
    assert_eq!(events, expected, "every other row is there, and once");
    assert_eq!(data_files(dir.path()), files(&table).await.len());
    assert!(!is_on_disk(dir.path(), &pseudonym(1)) && is_on_disk(dir.path(), &pseudonym(2)));
}
