//! The limits of a subject's day outlive whatever is put back or taken away, as what was spent does.

use std::time::{Duration, UNIX_EPOCH};

use shoal_files::Medium;

use super::*;

const LEDGER: &str = "ledger/budget.redb";
const BESIDE: &str = "day-limits";
const APART: &str = "apart/day-limits";

fn most_on(root: &Path, day: i32) -> u64 {
    open(root).unwrap().day_limits().unwrap().most_on(day)
}

/// A write-ahead log that was written last on this day.
fn log_of(root: &Path, day: u64) {
    fs::create_dir_all(root.join("us/log")).unwrap();
    let segment = fs::File::create(root.join("us/log/segment")).unwrap();
    segment.set_modified(UNIX_EPOCH + Duration::from_secs(day * 86_400)).unwrap();
}

/// A root with events of nobody knows when, a limit of 50, of which the files were read, and 5 since day 20.
fn lowered() -> (tempfile::TempDir, Vec<(&'static str, Vec<u8>)>) {
    let root = tempfile::tempdir().unwrap();
    log_of(root.path(), 3);
    let ledger = open(root.path()).unwrap();
    assert_eq!(ledger.day_limits(), None);
    ledger.note_day_limit(50, 10).unwrap();
    drop(ledger);
    let copies = [LEDGER, BESIDE, APART].map(|name| (name, fs::read(root.path().join(name)).unwrap()));
    let ledger = open(root.path()).unwrap();
    ledger.note_day_limit(50, 15).unwrap();
    ledger.note_day_limit(5, 20).unwrap();
    (root, copies.to_vec())
}

fn put_back(root: &Path, copies: &[(&str, Vec<u8>)], name: &str) {
    let (_, bytes) = copies.iter().find(|(of, _)| *of == name).unwrap();
    fs::write(root.join(name), bytes).unwrap();
}

fn doubted(root: &Path) -> Vec<String> {
    let files = LedgerFiles::read(root, &root.join("apart")).unwrap();
    let shown = |doubt: &Doubt| doubt.path.strip_prefix(root).unwrap().display().to_string();
    files.doubts().iter().map(shown).collect()
}

#[test]
fn a_limit_that_was_in_force_outlives_a_restart_and_an_older_ledger() {
    let (root, copies) = lowered();
    assert_eq!((most_on(root.path(), 21), most_on(root.path(), 22)), (50, 5));
    put_back(root.path(), &copies, LEDGER);
    assert_eq!(doubted(root.path()), Vec::<String>::new());
    assert_eq!((most_on(root.path(), 21), most_on(root.path(), 22)), (50, 5));
    fs::remove_file(root.path().join(LEDGER)).unwrap();
    assert_eq!((most_on(root.path(), 21), most_on(root.path(), 22)), (50, 5));
    let ledger = open(root.path()).unwrap();
    assert!(ledger.day_limits().unwrap().is_counted(11) && !ledger.day_limits().unwrap().is_counted(12));
}

#[test]
fn a_record_of_limits_that_is_missing_or_older_stops_everything_until_it_is_accepted() {
    for name in [BESIDE, APART] {
        for is_missing in [true, false] {
            let (root, copies) = lowered();
            match is_missing {
                true => fs::remove_file(root.path().join(name)).unwrap(),
                false => put_back(root.path(), &copies, name),
            }
            for _ in 0..2 {
                let refused = open(root.path()).err().unwrap().to_string();
                assert!(refused.contains("accept-restore") && refused.contains("day-limits"), "{refused}");
                assert_eq!(doubted(root.path()), [name]);
            }
            let files = LedgerFiles::read(root.path(), &root.path().join("apart")).unwrap();
            BudgetLedger::accepting(files, &[], 0, 20).unwrap().settle(None).unwrap();
            assert_eq!((most_on(root.path(), 21), most_on(root.path(), 22)), (50, 5));
        }
    }
    // The marks' own directory is written first, so that what is beside the tables alone was not a crash.
    let (root, _) = lowered();
    fs::remove_file(root.path().join(LEDGER)).unwrap();
    fs::remove_file(root.path().join(APART)).unwrap();
    assert_eq!(doubted(root.path()), [APART]);
    let (root, _) = lowered();
    fs::write(root.path().join(BESIDE), b"SHOALDL1").unwrap();
    assert!(matches!(open(root.path()), Err(StorageError::HighWaterMark { .. })));
}

#[test]
fn without_any_record_all_that_is_stored_is_counted() {
    let (root, copies) = lowered();
    // A ledger of before there were records.
    fs::remove_file(root.path().join(LEDGER)).unwrap();
    [BESIDE, APART].iter().for_each(|name| fs::remove_file(root.path().join(name)).unwrap());
    assert!(copies.len() == 3 && doubted(root.path()).is_empty());
    let ledger = open(root.path()).unwrap();
    ledger.note_day_limit(5, 30).unwrap();
    let limits = ledger.day_limits().unwrap();
    assert!(limits.is_counted(31) && !limits.is_counted(32));
}

#[test]
fn where_nothing_is_stored_nothing_has_to_be_counted() {
    let root = tempfile::tempdir().unwrap();
    let ledger = open(root.path()).unwrap();
    ledger.note_day_limit(50, 10).unwrap();
    let limits = ledger.day_limits().unwrap();
    assert!(!limits.is_counted(0) && limits.most_on(0) == 50);
}

#[test]
fn a_crash_between_any_two_writes_of_a_limit_is_no_doubt() {
    for (place, operation) in (0..2).flat_map(|place| (0..24).map(move |operation| (place, operation))) {
        let (root, _) = lowered();
        let media =
            [root.path().to_path_buf(), root.path().join("apart")].map(|place| Faulty::new(Disk::new(place)));
        media[place].crash_at(media[place].operations() + operation);
        let [beside, apart]: [Arc<dyn Medium>; 2] = media.map(|medium| Arc::new(medium) as Arc<dyn Medium>);
        let noted = LedgerFiles::read_with(root.path(), beside, apart, None, last_day(root.path()))
            .and_then(BudgetLedger::of)
            .and_then(|ledger| ledger.note_day_limit(500, 30).map(|()| ledger))
            .and_then(|ledger| ledger.note_day_limit(7, 40));
        assert_eq!(doubted(root.path()), Vec::<String>::new(), "{place} {operation}");
        let limits = open(root.path()).unwrap().day_limits().unwrap();
        if noted.is_ok() {
            assert_eq!((limits.most_on(41), limits.most_on(42)), (500, 7));
        }
        assert!(limits.most_on(21) >= 50);
    }
}

#[test]
fn after_a_limit_could_not_be_written_nothing_is_granted() {
    let (root, _) = lowered();
    let places = [root.path().to_path_buf(), root.path().join("apart")];
    let media = places.map(|place| Faulty::new(Disk::new(place)));
    let [beside, apart] = media.clone();
    let files =
        LedgerFiles::read_with(root.path(), Arc::new(beside), Arc::new(apart), None, last_day(root.path()))
            .unwrap();
    let ledger = BudgetLedger::of(files).unwrap();
    media[0].fail_syncs_after(0);
    assert!(ledger.note_day_limit(500, 30).is_err());
    assert!(matches!(ledger.reserve(&order(vec![part(1, 0..1, 0, 1)])), Err(StorageError::Stopped)));
    assert_eq!(ledger.day_limits().unwrap().most_on(30), 5, "it is not in force");
    drop(ledger);
    // What one of the places says counts: nothing can have come in under it, but nobody knows.
    assert!(most_on(root.path(), 30) >= 5 && doubted(root.path()).is_empty());
}

#[test]
fn a_clock_that_is_wrong_leaves_no_stored_day_without_the_limit_of_before() {
    let root = tempfile::tempdir().unwrap();
    let stored = |name: &str| {
        fs::create_dir_all(root.path().join(name)).unwrap();
        fs::write(root.path().join(name).join("a.parquet"), "").unwrap();
    };
    // A ledger of before limits were noted.
    drop(open(root.path()).unwrap());
    stored("sg/tables/crash/day=1970-02-10");
    // Each start with another limit, and all with a clock that is behind.
    open(root.path()).unwrap().note_day_limit(50, 10).unwrap();
    open(root.path()).unwrap().note_day_limit(9, 10).unwrap();
    let limits = open(root.path()).unwrap().day_limits().unwrap();
    assert!(limits.is_counted(41) && !limits.is_counted(42), "day 40 is stored, and one more may be");
    assert_eq!([0, 41, 42].map(|day| most_on(root.path(), day)), [50, 50, 9]);
    stored("us/tables/usage/day=1970-02-20");
    open(root.path()).unwrap().note_day_limit(7, 10).unwrap();
    assert_eq!([0, 51, 52].map(|day| most_on(root.path(), day)), [50, 9, 7]);
    // What is in no table yet.
    log_of(root.path(), 60);
    open(root.path()).unwrap().note_day_limit(5, 10).unwrap();
    assert_eq!([41, 51, 61, 62].map(|day| most_on(root.path(), day)), [50, 9, 7, 5]);
    open(root.path()).unwrap().note_day_limit(3, 70).unwrap();
    assert_eq!([71, 72].map(|day| most_on(root.path(), day)), [5, 3], "a clock that is right counts as well");
}

/// A root with a limit of 5 that nothing came in under before, and a day 20 that was stored since.
fn stored_under_a_limit() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    open(root.path()).unwrap().note_day_limit(5, 10).unwrap();
    let day = root.path().join("de/tables/usage/day=1970-01-21");
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join("a.parquet"), "").unwrap();
    root
}

#[test]
fn what_is_stored_when_a_restore_is_accepted_is_counted_since_a_limit_may_be_lost() {
    let root = stored_under_a_limit();
    let copies = [LEDGER, BESIDE, APART].map(|name| (name, fs::read(root.path().join(name)).unwrap()));
    open(root.path()).unwrap().note_day_limit(5_000, 12).unwrap();
    open(root.path()).unwrap().note_day_limit(5, 14).unwrap();
    assert_eq!(most_on(root.path(), 20), 5_000);
    [LEDGER, BESIDE, APART].iter().for_each(|name| put_back(root.path(), &copies, name));
    let limits = open(root.path()).unwrap().day_limits().unwrap();
    assert!(limits.most_on(20) == 5 && !limits.is_counted(20), "no file knows of the higher one");
    for (today, last) in [(16, 21), (30, 31), (2, 31)] {
        let mut files = LedgerFiles::read(root.path(), &root.path().join("apart")).unwrap();
        files.doubt(Doubt { path: root.path().join("ledger"), reason: "is older than the audit".to_owned() });
        BudgetLedger::accepting(files, &[], 0, today).unwrap().settle(None).unwrap();
        let limits = open(root.path()).unwrap().day_limits().unwrap();
        assert!(limits.is_counted(last) && !limits.is_counted(last + 1), "{today}: {limits:?}");
        assert_eq!(doubted(root.path()), Vec::<String>::new());
    }
    put_back(root.path(), &copies, APART);
    assert_eq!(doubted(root.path()), [APART], "it is a record that is known to be newer");
}

#[test]
fn a_crash_while_a_restore_is_accepted_leaves_the_doubt_or_the_days_counted() {
    for (place, operation) in (0..2).flat_map(|place| (0..24).map(move |operation| (place, operation))) {
        let root = stored_under_a_limit();
        let media =
            [root.path().to_path_buf(), root.path().join("apart")].map(|place| Faulty::new(Disk::new(place)));
        media[place].crash_at(media[place].operations() + operation);
        let [beside, apart]: [Arc<dyn Medium>; 2] = media.map(|medium| Arc::new(medium) as Arc<dyn Medium>);
        let possible = [PossiblySpent { block: block(20), nano: 10 }];
        let accepted = LedgerFiles::read_with(root.path(), beside, apart, None, last_day(root.path()))
            .and_then(|files| BudgetLedger::accepting(files, &possible, 7, 16));
        let is_done = accepted.is_ok();
        drop(accepted);
        let files = LedgerFiles::read(root.path(), &root.path().join("apart")).unwrap();
        // The audit knows seven reservations.
        let is_doubted = !files.doubts().is_empty() || files.last_reservation().unwrap() < 7;
        drop(files);
        let is_counted = || open(root.path()).unwrap().day_limits().unwrap().is_counted(21);
        assert!(!(is_done && is_doubted), "{place} {operation}");
        assert!(is_doubted || is_counted(), "{place} {operation}");
    }
}
