//! Whatever is put back, taken away or torn, what was spent stays spent, and what cannot be known stops everything until
//! somebody accepts it.

use shoal_files::Medium;

use super::delta::as_before;
use super::*;

const LEDGER: &str = "ledger/budget.redb";
const BESIDE: &str = "de/budget.witness";
const APART: &str = "apart/de/budget.witness";
const ALL: [&str; 3] = [LEDGER, BESIDE, APART];

/// Copies of files of a root.
struct Copies(Vec<(&'static str, Vec<u8>)>);

impl Copies {
    fn of(root: &Path) -> Copies {
        Copies(ALL.iter().map(|name| (*name, fs::read(root.join(name)).unwrap())).collect())
    }

    fn put_back(&self, root: &Path, names: &[&str]) {
        for (name, bytes) in self.0.iter().filter(|(name, _)| names.contains(name)) {
            fs::write(root.join(name), bytes).unwrap();
        }
    }
}

/// A root in which 60 were spent on day 0 and answered, before the copy was made, and 30 after it.
fn spent_after_a_copy() -> (tempfile::TempDir, Copies) {
    let root = tempfile::tempdir().unwrap();
    let ledger = open(root.path()).unwrap();
    let one = granted(&ledger, vec![part(1, 0..1, 0, 60)]);
    ledger.seal(one, &[([1; 32], b"before".to_vec())]).unwrap();
    drop(ledger);
    let copies = Copies::of(root.path());
    let ledger = open(root.path()).unwrap();
    let two = granted(&ledger, vec![part(2, 0..1, 0, 30)]);
    ledger.seal(two, &[([2; 32], b"after".to_vec())]).unwrap();
    drop(ledger);
    (root, copies)
}

fn files(root: &Path) -> LedgerFiles {
    LedgerFiles::read(root, &root.join("apart")).unwrap()
}

/// Files of the doubts, from the root.
fn doubted(root: &Path) -> Vec<String> {
    let shown = |doubt: &Doubt| doubt.path.strip_prefix(root).unwrap().display().to_string();
    files(root).doubts().iter().map(shown).collect()
}

fn accept(root: &Path, possible: &[PossiblySpent], last: u64) {
    let ledger = BudgetLedger::accepting(files(root), possible, last, 0).unwrap();
    ledger.settle(None).unwrap();
}

/// Whether the part is paid anew: what was charged stays charged, and 10 are left of the pool.
fn is_paid_anew(root: &Path) {
    let ledger = open(root).unwrap();
    assert_eq!(spent(&ledger, 0), [(0, 90)]);
    assert_eq!(ledger.look_up(&[[2; 32]]).unwrap(), [Found::Nothing]);
    let again = granted(&ledger, vec![part(2, 0..1, 0, 10)]);
    ledger.seal(again, &[([2; 32], b"again".to_vec())]).unwrap();
    assert_eq!(spent(&ledger, 0), [(0, 100)], "no noise that is fresh for the old charge");
    assert!(matches!(ledger.reserve(&order(vec![part(3, 0..1, 0, 1)])).unwrap(), Reserved::Lacking(_)));
}

#[test]
fn an_older_ledger_and_an_older_data_directory_are_raised_without_a_hand() {
    for old in [&[LEDGER][..], &[LEDGER, BESIDE], &[LEDGER, APART]] {
        let (root, copies) = spent_after_a_copy();
        copies.put_back(root.path(), old);
        assert_eq!((doubted(root.path()), files(root.path()).raised()), (vec![], 1), "{old:?}");
        is_paid_anew(root.path());
    }
    for missing in [&[LEDGER][..], &[LEDGER, BESIDE]] {
        let (root, _) = spent_after_a_copy();
        missing.iter().for_each(|name| fs::remove_file(root.path().join(name)).unwrap());
        assert_eq!(doubted(root.path()), Vec::<String>::new(), "{missing:?}");
        is_paid_anew(root.path());
    }
}

#[test]
fn a_mark_that_is_missing_or_older_stops_everything_until_it_is_accepted() {
    for doubtful in [&[BESIDE][..], &[APART], &[BESIDE, APART]] {
        for is_missing in [true, false] {
            let (root, copies) = spent_after_a_copy();
            match is_missing {
                true => doubtful.iter().for_each(|name| fs::remove_file(root.path().join(name)).unwrap()),
                false => copies.put_back(root.path(), doubtful),
            }
            for _ in 0..2 {
                let refused = open(root.path()).err().unwrap().to_string();
                assert!(
                    refused.contains("accept-restore") && refused.contains("budget.witness"),
                    "{refused}"
                );
                assert_eq!(doubted(root.path()), doubtful, "nothing heals by itself");
            }
            accept(root.path(), &[], 0);
            let ledger = open(root.path()).unwrap();
            assert_eq!(spent(&ledger, 0), [(0, 90)]);
            assert_eq!(ledger.look_up(&[[2; 32]]).unwrap(), [Found::Sealed(b"after".to_vec())]);
        }
    }
}

#[test]
fn an_old_ledger_and_a_mark_that_is_taken_away_give_no_budget() {
    for gone in [BESIDE, APART] {
        let (root, copies) = spent_after_a_copy();
        copies.put_back(root.path(), &[LEDGER]);
        fs::remove_file(root.path().join(gone)).unwrap();
        assert_eq!(doubted(root.path()), [gone]);
        accept(root.path(), &[], 0);
        is_paid_anew(root.path());
    }
    // Everything is gone but the events.
    let (root, _) = spent_after_a_copy();
    ALL.iter().for_each(|name| fs::remove_file(root.path().join(name)).unwrap());
    let day = root.path().join("de/tables/usage/day=2026-11-22");
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join("a.parquet"), "").unwrap();
    for _ in 0..2 {
        assert!(doubted(root.path()).contains(&APART.to_owned()));
        assert!(open(root.path()).is_err() && !root.path().join(LEDGER).exists());
    }
    accept(root.path(), &[], 0);
    assert_eq!(spent(&open(root.path()).unwrap(), 0), [], "it is what was accepted");
}

#[test]
fn what_was_possibly_spent_counts_for_the_block_and_numbers_go_on_after_the_last() {
    let (root, _) = spent_after_a_copy();
    fs::remove_file(root.path().join(APART)).unwrap();
    let possible =
        [PossiblySpent { block: block(0), nano: 100 }, PossiblySpent { block: block(0), nano: 50 }];
    accept(root.path(), &possible, 41);
    let ledger = open(root.path()).unwrap();
    assert_eq!(spent(&ledger, 0), [(0, 90), (u8::MAX, 150)]);
    // Of the block's 250 there are 10 left, whatever the pool.
    assert!(matches!(ledger.reserve(&order(vec![part(5, 0..1, 1, 11)])).unwrap(), Reserved::Lacking(_)));
    assert_eq!(granted(&ledger, vec![part(6, 0..1, 1, 10)]).number(), 42);
}

#[test]
fn an_earlier_versions_files_are_taken_over_once() {
    let (root, _) = spent_after_a_copy();
    as_before(root.path());
    let before = Copies(vec![
        (LEDGER, fs::read(root.path().join(LEDGER)).unwrap()),
        (BESIDE, fs::read(root.path().join(BESIDE)).unwrap()),
    ]);
    let found = files(root.path());
    assert!(!found.is_marked() && found.makes_marks() && found.has_spending() && found.doubts().is_empty());
    drop(found);
    assert_eq!(spent(&open(root.path()).unwrap(), 0), [(0, 90)]);
    let found = files(root.path());
    assert!(found.is_marked() && !found.makes_marks() && found.doubts().is_empty());
    drop(found);
    // The ledger of before does not know that marks were made, but the files beside the tables do.
    before.put_back(root.path(), &[LEDGER]);
    assert_eq!(doubted(root.path()), Vec::<String>::new());
    fs::remove_file(root.path().join(APART)).unwrap();
    assert_eq!(doubted(root.path()), [APART]);
    // With both of before, only the audit can tell; whoever opens them asks it.
    before.put_back(root.path(), &[BESIDE]);
    let us = root.path().join("us/budget.witness");
    fs::remove_file(us).unwrap();
    for region in ["sg", "my"] {
        fs::remove_file(root.path().join(region).join("budget.witness")).unwrap();
    }
    let mut found = files(root.path());
    assert!(found.doubts().is_empty() && !found.is_marked() && found.makes_marks());
    found.doubt(Doubt { path: root.path().join(APART), reason: "was made before".to_owned() });
    assert!(matches!(BudgetLedger::of(found), Err(StorageError::HighWaterMark { .. })));
}

/// Reserves and seals over media that crash at some operation, then opens what is left.
fn crashed(root: &Path, place: usize, operation: u64) -> u64 {
    let media = [root.to_path_buf(), root.join("apart")].map(|place| Faulty::new(Disk::new(place)));
    media[place].crash_at(media[place].operations() + operation);
    let [beside, apart]: [Arc<dyn Medium>; 2] = media.map(|medium| Arc::new(medium) as Arc<dyn Medium>);
    let mut paid = 0;
    let Ok(ledger) =
        LedgerFiles::read_with(root, beside, apart, None, last_day(root)).and_then(BudgetLedger::of)
    else {
        return 0;
    };
    let _ = ledger.settle(None);
    for id in 1..6 {
        if let Ok(Reserved::Granted(one)) = ledger.reserve(&order(vec![part(id, 0..1, 0, 7)])) {
            paid += 7;
            ledger.seal(one, &[([id; 32], vec![id])]).unwrap();
        }
    }
    paid
}

#[test]
fn a_crash_between_any_two_writes_is_no_doubt_and_forgets_no_charge() {
    for is_earlier in [false, true] {
        for (place, operation) in (0..2).flat_map(|place| (0..14).map(move |operation| (place, operation))) {
            let root = tempfile::tempdir().unwrap();
            let mut paid = 0;
            if is_earlier {
                granted(&open(root.path()).unwrap(), vec![part(9, 0..1, 0, 50)]);
                as_before(root.path());
                paid = 50;
            }
            paid += crashed(root.path(), place, operation);
            assert_eq!(doubted(root.path()), Vec::<String>::new(), "{is_earlier} {place} {operation}");
            let ledger = open(root.path()).unwrap();
            let known = spent(&ledger, 0).first().map_or(0, |(_, nano)| *nano);
            assert!(
                (paid..=paid + 7).contains(&known),
                "{is_earlier} {place} {operation}: {known} of {paid}"
            );
            let sealed = ledger.look_up(&[1, 2, 3, 4, 5].map(|id| [id; 32])).unwrap();
            let sealed = sealed.iter().filter(|found| matches!(found, Found::Sealed(_))).count() as u64;
            assert!(sealed * 7 <= known);
            drop(ledger);
            open(root.path()).unwrap();
        }
    }
}

#[test]
fn one_ledger_has_a_directory_of_marks_at_a_time() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let marks = one.path().join("apart");
    let ledger = BudgetLedger::open(one.path(), &marks).unwrap();
    assert!(
        matches!(BudgetLedger::open(other.path(), &marks), Err(StorageError::Locked(path)) if path == marks)
    );
    drop(ledger);
    BudgetLedger::open(one.path(), &marks).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Any of the three files may be put back or taken away, in any order; one of them is always left as it is.
    #[test]
    fn what_was_granted_stays_spent_while_one_file_is_left(
        steps in prop::collection::vec((0..7_u8, any::<bool>(), 1..20_u64), 1..8),
    ) {
        let root = tempfile::tempdir().unwrap();
        drop(open(root.path()).unwrap());
        let copies = Copies::of(root.path());
        let mut paid = 0;
        for (id, (harmed, is_taken, nano)) in (1_u8..).zip(steps) {
            let names: Vec<&str> = ALL.into_iter().enumerate()
                .filter(|(at, _)| harmed & (1 << at) != 0).map(|(_, name)| name).collect();
            match is_taken {
                true => names.iter().for_each(|name| fs::remove_file(root.path().join(name)).unwrap()),
                false => copies.put_back(root.path(), &names),
            }
            if !doubted(root.path()).is_empty() {
                prop_assert!(open(root.path()).is_err());
                accept(root.path(), &[], 0);
            }
            let ledger = open(root.path()).unwrap();
            let known = spent(&ledger, 0).first().map_or(0, |(_, nano)| *nano);
            prop_assert_eq!(known, paid, "{:?}", names);
            if let Reserved::Granted(_) = ledger.reserve(&order(vec![part(id, 0..1, 0, nano)])).unwrap() {
                paid += nano;
            }
            prop_assert!(paid <= 100);
        }
    }
}
