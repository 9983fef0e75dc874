//! The ledger and its high-water marks: never more than the cap, never budget back, never an answer twice.

#![allow(clippy::unwrap_used)]

mod delta;
mod limits;
mod newest;
mod restore;
mod sealed;

use std::fs;

use proptest::prelude::*;
use shoal_files::{Disk, Faulty};
use shoal_schemas::{Kind, Region};

use super::amount::Amount;
use super::*;
use crate::tables::last_stored_day;

/// The last day of which the tables below a root have files.
fn last_day(root: &Path) -> Option<i32> {
    last_stored_day(&Disk::new(root)).unwrap()
}

/// The ledger of a root, with the second high-water marks in `apart`.
fn open(root: &Path) -> Result<BudgetLedger> {
    BudgetLedger::open(root, &root.join("apart"))
}

fn block(day: i32) -> Block {
    Block { region: Region::De, kind: Kind::Usage, day }
}

fn part(id: u8, days: std::ops::Range<i32>, pool: u8, nano: u64) -> PartOrder {
    let charges = days.map(|day| Charge { block: block(day), pool, nano, delta_atto: 0 }).collect();
    PartOrder { id: [id; 32], text: format!("part {id}"), charges }
}

fn order(parts: Vec<PartOrder>) -> Order {
    let caps = SpendingCaps { pools: vec![100, 200], block: 250, delta_atto: 1_000 };
    Order { parts, asker: "ana1".to_owned(), caps, now_ms: 7 }
}

fn granted(ledger: &BudgetLedger, parts: Vec<PartOrder>) -> Reservation {
    match ledger.reserve(&order(parts)).unwrap() {
        Reserved::Granted(reservation) => reservation,
        other => panic!("{other:?}"),
    }
}

fn spent(ledger: &BudgetLedger, day: i32) -> Vec<(u8, u64)> {
    ledger.spent(&[block(day)]).unwrap().remove(0).into_iter().collect()
}

#[test]
fn all_blocks_are_charged_or_none() {
    let ledger = BudgetLedger::in_memory().unwrap();
    granted(&ledger, vec![part(1, 10..11, 0, 60)]);
    match ledger.reserve(&order(vec![part(2, 8..9, 0, 50), part(3, 9..12, 0, 50)])).unwrap() {
        Reserved::Lacking(lacking) => {
            let lack = lacking[0];
            assert_eq!((lacking.len(), lack.block, lack.pool), (1, block(10), 0));
            assert_eq!((lack.asked_nano, lack.left_nano), (50, 40));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((spent(&ledger, 8), spent(&ledger, 9), spent(&ledger, 10)), (vec![], vec![], vec![(0, 60)]));
    assert_eq!(ledger.look_up(&[[2; 32]]).unwrap(), [Found::Nothing]);
    // The other pool of the same block, up to what the block may spend in all.
    granted(&ledger, vec![part(4, 10..11, 1, 190)]);
    assert!(matches!(ledger.reserve(&order(vec![part(5, 10..11, 1, 1)])).unwrap(), Reserved::Lacking(_)));
    assert_eq!(spent(&ledger, 10), [(0, 60), (1, 190)]);
}

#[test]
fn two_parts_of_one_order_are_added_before_they_are_compared_with_the_cap() {
    let ledger = BudgetLedger::in_memory().unwrap();
    let both = order(vec![part(1, 0..1, 0, 60), part(2, 0..1, 0, 60)]);
    assert!(matches!(ledger.reserve(&both).unwrap(), Reserved::Lacking(_)));
    assert_eq!(spent(&ledger, 0), []);
}

#[test]
fn a_reservation_seals_once_and_only_its_own() {
    let ledger = BudgetLedger::in_memory().unwrap();
    let first = granted(&ledger, vec![part(1, 0..1, 0, 10)]);
    assert_eq!(ledger.look_up(&[[1; 32]]).unwrap(), [Found::Reserved]);
    // Somebody else pays again: the first one's answer must not be kept any more.
    let second = granted(&ledger, vec![part(1, 0..1, 0, 10)]);
    assert!(matches!(ledger.seal(first, &[([1; 32], vec![1])]), Err(StorageError::Stale)));
    ledger.seal(second, &[([1; 32], vec![2])]).unwrap();
    assert_eq!(ledger.look_up(&[[1; 32]]).unwrap(), [Found::Sealed(vec![2])]);
    assert_eq!(spent(&ledger, 0), [(0, 20)]);
    assert!(matches!(ledger.reserve(&order(vec![part(1, 0..1, 0, 10)])).unwrap(), Reserved::Sealed));
    assert_eq!(spent(&ledger, 0), [(0, 20)]);
    let third = granted(&ledger, vec![part(3, 0..1, 0, 1), part(4, 0..1, 0, 1)]);
    assert!(ledger.seal(third, &[([3; 32], vec![])]).is_err(), "all parts of it, or none");
}

#[test]
fn everything_survives_a_restart_and_what_was_not_sealed_is_lost_but_charged() {
    let root = tempfile::tempdir().unwrap();
    {
        let ledger = open(root.path()).unwrap();
        let sealed = granted(&ledger, vec![part(1, 0..3, 0, 10)]);
        ledger.seal(sealed, &[([1; 32], b"answer".to_vec())]).unwrap();
        granted(&ledger, vec![part(2, 0..1, 1, 30)]);
        assert!(matches!(open(root.path()), Err(StorageError::Locked(_))));
    }
    let ledger = open(root.path()).unwrap();
    let found = ledger.look_up(&[[1; 32], [2; 32], [3; 32]]).unwrap();
    assert_eq!(found, [Found::Sealed(b"answer".to_vec()), Found::Reserved, Found::Nothing]);
    assert_eq!(spent(&ledger, 0), [(0, 10), (1, 30)]);
    let filter = SpendingFilter {
        regions: vec![Region::De],
        kinds: vec![Kind::Usage],
        days: i32::MIN..=i32::MAX,
        charges_max: usize::MAX,
    };
    let all = ledger.spending(&filter).unwrap();
    assert_eq!(all.iter().map(|b| b.block.day).collect::<Vec<_>>(), [0, 1, 2]);
    let items: Vec<_> =
        all[0].items.iter().map(|i| (i.text.as_str(), i.nano, i.at_ms, i.is_sealed)).collect();
    assert_eq!(items, [("part 1", 10, 7, true), ("part 2", 30, 7, false)]);
    assert!(all[0].items.iter().all(|item| item.asker.as_deref() == Some("ana1")));
    let narrow = SpendingFilter { days: -1..=0, ..filter };
    assert_eq!(ledger.spending(&narrow).unwrap().len(), 1);
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

#[test]
fn an_older_ledger_beside_a_newer_high_water_mark_brings_no_budget_back() {
    let root = tempfile::tempdir().unwrap();
    let (file, kept) = (root.path().join("ledger/budget.redb"), root.path().join("yesterday"));
    drop(open(root.path()).unwrap());
    copy(&file, &kept);
    {
        let ledger = open(root.path()).unwrap();
        let reservation = granted(&ledger, vec![part(1, -1..2, 0, 90)]);
        ledger.seal(reservation, &[([1; 32], vec![1])]).unwrap();
    }
    copy(&kept, &file);
    {
        let ledger = open(root.path()).unwrap();
        assert_eq!((spent(&ledger, -1), spent(&ledger, 1)), (vec![(0, 90)], vec![(0, 90)]));
        assert_eq!(ledger.look_up(&[[1; 32]]).unwrap(), [Found::Nothing], "it has to be paid again");
        assert!(matches!(ledger.reserve(&order(vec![part(1, 0..1, 0, 20)])).unwrap(), Reserved::Lacking(_)));
    }
    // And without any ledger at all.
    fs::remove_file(&file).unwrap();
    assert_eq!(spent(&open(root.path()).unwrap(), 0), [(0, 90)]);
    // A high-water mark that is gone is not written anew from a ledger that may be an older one.
    fs::remove_file(root.path().join("de/budget.witness")).unwrap();
    assert!(matches!(open(root.path()), Err(StorageError::HighWaterMark { .. })));
}

#[test]
fn a_torn_tail_is_cut_and_damage_before_it_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("ledger/budget.redb");
    let marks = ["de", "apart/de"].map(|dir| root.path().join(dir).join("budget.witness"));
    {
        let ledger = open(root.path()).unwrap();
        granted(&ledger, vec![part(1, 0..2, 0, 10)]);
        granted(&ledger, vec![part(2, 0..2, 0, 10)]);
    }
    let whole = fs::read(&marks[0]).unwrap();
    assert_eq!(whole, fs::read(&marks[1]).unwrap(), "both say the same");
    let half = whole.len() - 9;
    for torn in [whole[..half].to_vec(), [&whole[..], &[0; 30]].concat()] {
        fs::remove_file(&file).unwrap();
        marks.iter().for_each(|mark| fs::write(mark, &torn).unwrap());
        let ledger = open(root.path()).unwrap();
        assert_eq!(spent(&ledger, 1), [(0, if torn.len() == half { 10 } else { 20 })]);
        // What is written next must be readable again.
        granted(&ledger, vec![part(3, 0..2, 0, 5)]);
        drop(ledger);
        fs::remove_file(&file).unwrap();
        let again = spent(&open(root.path()).unwrap(), 1);
        assert_eq!(again, [(0, if torn.len() == half { 15 } else { 25 })]);
    }
    for mark in &marks {
        let good = fs::read(mark).unwrap();
        let mut damaged = whole.clone();
        damaged[20] ^= 1;
        for bytes in [&damaged[..], b""] {
            fs::write(mark, bytes).unwrap();
            assert!(matches!(open(root.path()), Err(StorageError::HighWaterMark { .. })));
        }
        fs::write(mark, &good).unwrap();
    }
    fs::write(&file, vec![7; 40_000]).unwrap();
    let told = open(root.path()).err().unwrap();
    assert!(matches!(told, StorageError::Io { .. } | StorageError::Damaged { .. }), "{told}");
    assert!(told.to_string().contains("budget.redb"), "{told}");
}

#[test]
fn after_a_failed_high_water_mark_nothing_is_granted() {
    for failing in 0..2 {
        let root = tempfile::tempdir().unwrap();
        let places = [root.path().to_path_buf(), root.path().join("apart")];
        let media = places.map(|place| Faulty::new(Disk::new(place)));
        let [beside, apart] = media.clone();
        let files = LedgerFiles::read_with(
            root.path(),
            Arc::new(beside),
            Arc::new(apart),
            None,
            last_day(root.path()),
        )
        .unwrap();
        let ledger = BudgetLedger::of(files).unwrap();
        granted(&ledger, vec![part(1, 0..1, 0, 1)]);
        media[failing].fail_syncs_after(0);
        assert!(matches!(ledger.reserve(&order(vec![part(2, 0..1, 0, 1)])), Err(StorageError::Broken(_))));
        assert!(matches!(ledger.reserve(&order(vec![part(3, 5..6, 0, 1)])), Err(StorageError::Stopped)));
        assert_eq!(ledger.look_up(&[[2; 32]]).unwrap(), [Found::Nothing], "the ledger comes last");
        drop(ledger);
        let ledger = open(root.path()).unwrap();
        assert!(spent(&ledger, 0) >= vec![(0, 1)]);
        granted(&ledger, vec![part(4, 0..1, 0, 1)]);
    }
}

#[test]
fn a_failed_sync_of_the_ledger_grants_and_seals_nothing() {
    let mut failed = 0;
    for syncs in 1..40 {
        let Ok(ledger) = BudgetLedger::in_memory_until(syncs) else {
            continue;
        };
        let Ok(Reserved::Granted(reservation)) = ledger.reserve(&order(vec![part(1, 0..1, 0, 1)])) else {
            failed += 1;
            continue;
        };
        if ledger.seal(reservation, &[([1; 32], vec![9])]).is_err() {
            failed += 1;
            // It does not say that it has an answer which is not durable.
            assert!(!matches!(ledger.look_up(&[[1; 32]]).as_deref(), Ok([Found::Sealed(_)])));
        }
    }
    assert!(failed >= 2, "{failed}");
}

#[test]
fn a_high_water_mark_does_not_grow_for_ever() {
    let root = tempfile::tempdir().unwrap();
    let mut marks = HighWaterMarks::open(Arc::new(Disk::new(root.path()))).unwrap();
    let days = 400;
    for round in 1..400_u64 {
        let amount = Amount { nano: round, delta_atto: 2 * round };
        let spent = (0..days).map(|day| ((block(day), 0), amount)).collect();
        marks.raise(&spent, round).unwrap();
    }
    let bytes = fs::metadata(root.path().join("de/budget.witness")).unwrap().len();
    assert!(bytes < (1 << 20) + 10_000, "{bytes}");
    drop(marks);
    let spent = HighWaterMarks::open(Arc::new(Disk::new(root.path()))).unwrap();
    assert_eq!(spent.spent().len(), 400);
    assert!(spent.spent().values().all(|amount| *amount == Amount { nano: 399, delta_atto: 798 }));
    assert_eq!(spent.reservation(), 399);
}

#[derive(Clone, Debug)]
enum Step {
    Reserve { id: u8, first: i32, days: i32, pool: u8, nano: u64 },
    Seal,
    Reopen,
    Restore,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..20_u8, 0..6_i32, 1..4_i32, 0..3_u8, 1..60_u64)
            .prop_map(|(id, first, days, pool, nano)| Step::Reserve { id, first, days, pool, nano }),
        4 => Just(Step::Seal),
        1 => Just(Step::Reopen),
        1 => Just(Step::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn budgets_never_go_up_and_caps_hold(steps in prop::collection::vec(step(), 1..40)) {
        let root = tempfile::tempdir().unwrap();
        let (file, kept) = (root.path().join("ledger/budget.redb"), root.path().join("yesterday"));
        drop(open(root.path()).unwrap());
        copy(&file, &kept);
        let mut ledger = Some(open(root.path()).unwrap());
        let mut paid: Vec<Reservation> = Vec::new();
        let mut before: Vec<BTreeMap<u8, u64>> = vec![BTreeMap::new(); 10];
        for step in steps {
            match step {
                Step::Reserve { id, first, days, pool, nano } => {
                    let parts = vec![part(id, first..first + days, pool, nano)];
                    if let Reserved::Granted(one) = ledger.as_ref().unwrap().reserve(&order(parts)).unwrap() {
                        paid.push(one);
                    }
                }
                Step::Seal => {
                    if let Some(one) = paid.pop() {
                        let answers: Vec<_> = one.parts.iter().map(|id| (*id, vec![1])).collect();
                        let _ = ledger.as_ref().unwrap().seal(one, &answers);
                    }
                }
                Step::Reopen | Step::Restore => {
                    drop(ledger.take());
                    paid.clear();
                    if matches!(step, Step::Restore) {
                        copy(&kept, &file);
                    }
                    ledger = Some(open(root.path()).unwrap());
                }
            }
            let blocks: Vec<Block> = (0..10).map(block).collect();
            let after = ledger.as_ref().unwrap().spent(&blocks).unwrap();
            for (before, after) in before.iter().zip(&after) {
                prop_assert!(before.iter().all(|(pool, nano)| after.get(pool).is_some_and(|now| now >= nano)));
                prop_assert!(after.values().sum::<u64>() <= 250);
                prop_assert!(after.get(&0).is_none_or(|nano| *nano <= 100));
                prop_assert!(after.get(&1).is_none_or(|nano| *nano <= 200));
                prop_assert!(!after.contains_key(&2), "there is no such pool");
            }
            before = after;
        }
    }
}

#[test]
fn threads_that_pay_from_one_block_never_get_more_than_the_cap() {
    let ledger = BudgetLedger::in_memory().unwrap();
    let granted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u8)
            .map(|thread| {
                let ledger = ledger.clone();
                scope.spawn(move || {
                    let pays = |at: &u8| {
                        let parts = vec![part(thread * 16 + at, 0..2, 0, 7)];
                        matches!(ledger.reserve(&order(parts)).unwrap(), Reserved::Granted(_))
                    };
                    (0..10).filter(pays).count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(granted, 100 / 7);
    assert_eq!(spent(&ledger, 1), [(0, 7 * (100 / 7))]);
}

#[test]
fn after_a_full_disk_the_ledger_and_its_marks_go_on_and_what_was_charged_stays() {
    let root = tempfile::tempdir().unwrap();
    let beside = shoal_files::Faulty::new(Disk::new(root.path()));
    let apart = shoal_files::Faulty::new(Disk::new(root.path().join("apart")));
    let media = [beside.clone(), apart.clone()];
    let files =
        LedgerFiles::read_with(root.path(), Arc::new(beside), Arc::new(apart), None, last_day(root.path()))
            .unwrap();
    let ledger = BudgetLedger::of(files).unwrap();
    granted(&ledger, vec![part(1, 0..1, 0, 1)]);
    for (which, full) in media.iter().enumerate() {
        full.refuse_writes(Some(std::io::ErrorKind::StorageFull));
        for _ in 0..2 {
            assert!(ledger.reserve(&order(vec![part(2, 0..1, 0, 1)])).is_err());
            assert_eq!(ledger.trouble(), Some(crate::redb_file::Trouble::Full));
        }
        full.refuse_writes(None);
        assert_eq!(ledger.trouble(), None);
        granted(&ledger, vec![part(10 + which as u8, 0..1, 0, 1)]);
        assert!(spent(&ledger, 0) >= vec![(0, 2 + which as u64)]);
    }
    let broken = &media[1];
    broken.refuse_writes(Some(std::io::ErrorKind::Other));
    assert!(ledger.reserve(&order(vec![part(3, 0..1, 0, 1)])).is_err());
    broken.refuse_writes(None);
    assert!(matches!(ledger.reserve(&order(vec![part(3, 0..1, 0, 1)])), Err(StorageError::Stopped)));
    assert_eq!(ledger.trouble(), Some(crate::redb_file::Trouble::Broken));
    assert!(futures::FutureExt::now_or_never(ledger.broken()).is_some(), "the process is told to end");
}
