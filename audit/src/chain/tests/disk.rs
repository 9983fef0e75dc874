//! Disks that are full, and broken ones.

use std::io::ErrorKind;

use super::*;

#[test]
fn a_full_disk_refuses_a_line_and_a_broken_one_every_line_until_the_next_start() {
    let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::FileTooLarge];
    for (kind, goes_on) in full.map(|kind| (kind, true)).into_iter().chain([(ErrorKind::Other, false)]) {
        let medium = Faulty::new(Memory::new());
        let place = ChainPlace::alone(Arc::new(medium.clone()), 1 << 20);
        let chain = Chain::open(place.clone()).unwrap();
        assert_eq!(append(&chain, "a-1"), 1);
        medium.refuse_writes(Some(kind));
        let operations = medium.operations();
        assert!(runtime().block_on(chain.append("a-2".to_owned())).is_err());
        assert_eq!(chain.is_full(), goes_on, "{kind}");
        medium.refuse_writes(None);
        assert!(!chain.is_full(), "there is room again, or it is broken");
        let again = runtime().block_on(chain.append("a-3".to_owned()));
        assert_eq!((again.is_ok(), *chain.broken().borrow()), (goes_on, !goes_on), "{kind}");
        assert!(goes_on || medium.operations() == operations, "nothing is tried again");
        drop(chain);
        let next = 2 + u64::from(goes_on);
        assert_eq!(append(&Chain::open(place.clone()).unwrap(), "a-4"), next);
        assert_eq!(whole(&place).count, next);
    }
}
