//! A ledger that is sealed: it says the same, and nothing of it can be seen.

use shoal_files::{Medium, Sealing, SealingKey};

use super::*;

fn sealing(is_writing: bool) -> Sealing {
    Sealing { key: SealingKey::new(&[3; 32]), is_writing }
}

fn files(root: &Path, sealing: Option<&Sealing>) -> Result<LedgerFiles> {
    LedgerFiles::read_sealed(root, &root.join("apart"), sealing, None)
}

fn open_sealed(root: &Path, sealing: Option<&Sealing>) -> Result<BudgetLedger> {
    let ledger = BudgetLedger::of(files(root, sealing)?)?;
    ledger.settle(None)?;
    Ok(ledger)
}

fn is_seen(root: &Path) -> bool {
    let bytes = fs::read(root.join("ledger/budget.redb")).unwrap();
    ["what was asked", "the answer", "somebody"].iter().any(|said| {
        let said = said.as_bytes();
        bytes.windows(said.len()).any(|at| at == said)
    })
}

fn pay(ledger: &BudgetLedger, id: u8) {
    let asked = PartOrder { text: format!("what was asked {id}"), ..part(id, 0..1, 0, 7) };
    let order = Order { asker: "somebody".to_owned(), ..order(vec![asked]) };
    let Reserved::Granted(reservation) = ledger.reserve(&order).unwrap() else { panic!() };
    ledger.seal(reservation, &[([id; 32], b"the answer".to_vec())]).unwrap();
}

#[test]
fn a_ledger_in_the_clear_is_sealed_by_the_next_start_and_nothing_of_it_is_seen_again() {
    let root = tempfile::tempdir().unwrap();
    pay(&open(root.path()).unwrap(), 1);
    assert!(is_seen(root.path()));
    for id in 2..4 {
        let ledger = open_sealed(root.path(), Some(&sealing(true))).unwrap();
        pay(&ledger, id);
        assert_eq!(spent(&ledger, 0), [(0, 7 * u64::from(id))]);
        assert_eq!(ledger.look_up(&[[1; 32]]).unwrap(), [Found::Sealed(b"the answer".to_vec())]);
        assert!(!is_seen(root.path()));
    }
    let ledger = open_sealed(root.path(), Some(&sealing(false))).unwrap();
    pay(&ledger, 4);
    // A copy is sealed as well.
    let copies = tempfile::tempdir().unwrap();
    let medium: Arc<dyn Medium> = Arc::new(Disk::new(copies.path()));
    ledger.copy_to(&medium, "ledger/budget.redb").unwrap();
    drop(ledger);
    assert!(!is_seen(root.path()) && !is_seen(copies.path()));
    assert!(matches!(open(root.path()), Err(StorageError::Sealed(path)) if path.ends_with("budget.redb")));
    let copied = Book::open(&copies.path().join("ledger/budget.redb"), Some(&sealing(false))).unwrap();
    assert_eq!(copied.by_pool(book::SPENT, &[block(0)]).unwrap()[0].get(&0), Some(&28));
    // One that is lost is made anew as the others are.
    fs::remove_file(root.path().join("ledger/budget.redb")).unwrap();
    let ledger = open_sealed(root.path(), Some(&sealing(true))).unwrap();
    assert_eq!(spent(&ledger, 0), [(0, 28)]);
    pay(&ledger, 5);
    assert!(!is_seen(root.path()));
}
