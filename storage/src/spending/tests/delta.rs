//! Delta is kept beside rho: by block and pool, up to the cap of the block, also of what was charged before it was kept.

use redb::{Database, ReadableTable, TableDefinition};
use shoal_schemas::Region;

use super::super::amount::{DELTA_ATTO_BEFORE, Spent};
use super::super::book::{CHARGE_DELTAS, DELTA};
use super::super::mark_form::{Form, content, file_bytes, file_bytes_of_first_form};
use super::*;

/// A released part that spends delta on a day.
fn costly(id: u8, day: i32, pool: u8, delta_atto: u64) -> PartOrder {
    let mut part = part(id, day..day + 1, pool, 10);
    part.charges.iter_mut().for_each(|charge| charge.delta_atto = delta_atto);
    part
}

fn delta(ledger: &BudgetLedger, day: i32) -> Vec<(u8, u64)> {
    ledger.delta_spent(&[block(day)]).unwrap().remove(0).into_iter().collect()
}

/// Makes a ledger one of format 1.
fn ledger_as_before(file: &Path) {
    let db = Database::create(file).unwrap();
    let write = db.begin_write().unwrap();
    write.delete_table(DELTA).unwrap();
    write.delete_table(CHARGE_DELTAS).unwrap();
    {
        let mut meta = write.open_table(TableDefinition::<&str, u32>::new("meta")).unwrap();
        let keys: Vec<String> = meta.iter().unwrap().map(|e| e.unwrap().0.value().to_owned()).collect();
        keys.iter().for_each(|key| drop(meta.remove(key.as_str()).unwrap()));
        meta.insert("format", 1_u32).unwrap();
    }
    write.commit().unwrap();
}

/// Makes the files of a root what an earlier version had left: a ledger of format 1, marks of the first form beside the
/// tables, and none elsewhere.
pub(super) fn as_before(root: &Path) {
    ledger_as_before(&root.join("ledger/budget.redb"));
    for region in Region::ALL {
        let file = root.join(region.as_str().to_ascii_lowercase()).join("budget.witness");
        let said = content(&fs::read(&file).unwrap(), *region).unwrap();
        match said.spent.is_empty() {
            // They came with the first spending of a region.
            true => fs::remove_file(&file).unwrap(),
            false => fs::write(&file, file_bytes_of_first_form(&said.spent)).unwrap(),
        }
    }
    fs::remove_dir_all(root.join("apart")).unwrap();
}

#[test]
fn a_block_spends_no_more_delta_than_its_cap_and_goes_on_without() {
    let ledger = BudgetLedger::in_memory().unwrap();
    granted(&ledger, vec![costly(1, 0, 0, 600)]);
    granted(&ledger, vec![costly(2, 0, 1, 300)]);
    match ledger.reserve(&order(vec![costly(3, 0, 0, 60), costly(4, 0, 1, 60), costly(5, 1, 0, 60)])).unwrap()
    {
        Reserved::Lacking(lacking) => {
            let told: Vec<_> = lacking.iter().map(|l| (l.block, l.pool, l.asked_delta_atto)).collect();
            assert_eq!(told, [(block(0), 0, 120), (block(0), 1, 120)]);
            assert!(lacking.iter().all(|l| l.left_delta_atto == 100 && l.asked_nano <= l.left_nano));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((delta(&ledger, 0), delta(&ledger, 1)), (vec![(0, 600), (1, 300)], vec![]));
    granted(&ledger, vec![costly(6, 0, 0, 100)]);
    granted(&ledger, vec![part(7, 0..1, 0, 10)]);
    assert!(matches!(ledger.reserve(&order(vec![costly(8, 0, 0, 1)])).unwrap(), Reserved::Lacking(_)));
    assert_eq!(delta(&ledger, 0), [(0, 700), (1, 300)]);
    let filter = SpendingFilter {
        regions: vec![Region::De],
        kinds: vec![Kind::Usage],
        days: 0..=0,
        charges_max: usize::MAX,
    };
    let listed = ledger.spending(&filter).unwrap();
    assert_eq!(listed[0].deltas, [(0, 700), (1, 300)].into());
    let items: Vec<u64> = listed[0].items.iter().map(|item| item.delta_atto).collect();
    assert_eq!(items, [600, 300, 100, 0]);
}

#[test]
fn delta_survives_a_restart_and_the_loss_of_the_ledger() {
    let root = tempfile::tempdir().unwrap();
    granted(&open(root.path()).unwrap(), vec![costly(1, 0, 1, 600)]);
    assert_eq!(delta(&open(root.path()).unwrap(), 0), [(1, 600)]);
    fs::remove_file(root.path().join("ledger/budget.redb")).unwrap();
    assert_eq!(delta(&open(root.path()).unwrap(), 0), [(1, 600)]);
}

#[test]
fn charges_of_before_count_ten_to_the_minus_eight_each() {
    let root = tempfile::tempdir().unwrap();
    {
        let ledger = open(root.path()).unwrap();
        granted(&ledger, vec![part(1, 0..2, 0, 10), part(2, 0..1, 1, 10)]);
        granted(&ledger, vec![part(3, 0..1, 1, 10)]);
    }
    as_before(root.path());
    let older = fs::read(root.path().join("ledger/budget.redb")).unwrap();
    let filter = SpendingFilter {
        regions: vec![Region::De],
        kinds: vec![Kind::Usage],
        days: 0..=1,
        charges_max: usize::MAX,
    };
    for _ in 0..2 {
        let ledger = open(root.path()).unwrap();
        assert_eq!(delta(&ledger, 0), [(0, DELTA_ATTO_BEFORE), (1, 2 * DELTA_ATTO_BEFORE)]);
        assert_eq!(delta(&ledger, 1), [(0, DELTA_ATTO_BEFORE)]);
        let all = ledger.spending(&filter).unwrap();
        assert!(all.iter().flat_map(|b| &b.items).all(|item| item.delta_atto == DELTA_ATTO_BEFORE));
        assert_eq!(spent(&ledger, 0), [(0, 10), (1, 20)]);
        drop(ledger);
        // What the older ledger did not know is in the marks of this version's form.
        fs::write(root.path().join("ledger/budget.redb"), &older).unwrap();
    }
}

#[test]
fn what_only_a_mark_of_the_first_form_knows_counts_as_many_charges_as_it_can_be() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("ledger/budget.redb");
    granted(&open(root.path()).unwrap(), vec![part(1, 0..1, 0, 10)]);
    let older = fs::read(&file).unwrap();
    granted(&open(root.path()).unwrap(), vec![part(2, 0..1, 0, 3)]);
    as_before(root.path());
    // The ledger alone is an older one, of before too.
    fs::write(&file, older).unwrap();
    ledger_as_before(&file);
    let ledger = open(root.path()).unwrap();
    assert_eq!(spent(&ledger, 0), [(0, 13)]);
    assert_eq!(
        delta(&ledger, 0),
        [(0, 4 * DELTA_ATTO_BEFORE)],
        "one charge, and three of a billionth at the most"
    );
}

#[test]
fn both_forms_of_a_mark_are_read_and_any_changed_byte_is_found() {
    let spent: Spent = (0..3).map(|day| ((block(day), 1), Amount { nano: 7, delta_atto: 8 })).collect();
    let first = file_bytes_of_first_form(&spent);
    let second = file_bytes(&spent, 41);
    for (bytes, form, reservation, delta_atto) in
        [(&first, Form::First, 0, 0), (&second, Form::Second, 41, 8)]
    {
        let said = content(bytes, Region::De).unwrap();
        assert_eq!((said.form, said.reservation, said.good), (form, reservation, bytes.len()));
        assert_eq!(said.spent.len(), 3);
        assert!(said.spent.values().all(|amount| *amount == Amount { nano: 7, delta_atto }));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            // The only batch is torn then, or the file is none.
            assert!(content(&changed, Region::De).is_none_or(|said| said.spent.is_empty()), "{at}");
        }
    }
}
