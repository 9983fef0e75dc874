//! Full disks, broken ones, changed bytes, and first starts that are cut off.
#![allow(clippy::unwrap_used)]
mod sealed;

use std::sync::mpsc;
use std::time::Duration;

use shoal_files::{Faulty, Memory, SealingKey};

use super::*;

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("t");

/// In the clear, and sealed.
fn kinds() -> [Option<Sealing>; 2] {
    [None, Some(Sealing { key: SealingKey::new(&[7; 32]), is_writing: true })]
}

fn open(medium: &Faulty<Memory>, sealing: Option<&Sealing>) -> Result<RedbFile> {
    let prepare = |db: &Database| {
        let write = begin_write(db)?;
        write.open_table(TABLE).map_err(redb::Error::from)?;
        Ok(write.commit().map_err(redb::Error::from)?)
    };
    RedbFile::over(Arc::new(medium.clone()), "f".to_owned(), 1 << 20, Box::new(prepare), sealing)
}

fn put(file: &RedbFile, key: u64) -> Result<()> {
    file.with(|db| {
        let write = begin_write(db)?;
        write.open_table(TABLE).unwrap().insert(key, &[7; 3000][..]).map_err(redb::Error::from)?;
        Ok(write.commit().map_err(redb::Error::from)?)
    })
}

fn has(file: &RedbFile, key: u64) -> bool {
    file.with(|db| Ok(begin_read(db)?.open_table(TABLE).unwrap().get(key).unwrap().is_some())).unwrap()
}

fn is_broken(file: &RedbFile) -> bool {
    *file.broken().borrow()
}

#[test]
fn after_a_full_disk_it_is_opened_anew_and_goes_on_with_all_that_was_durable() {
    for sealing in &kinds() {
        let medium = Faulty::<Memory>::default();
        let file = open(&medium, sealing.as_ref()).unwrap();
        (0..20).for_each(|key| put(&file, key).unwrap());
        for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
            medium.refuse_writes(Some(kind));
            for _ in 0..3 {
                assert!(put(&file, 100).is_err());
                assert_eq!(file.trouble(), Some(Trouble::Full));
            }
            medium.refuse_writes(None);
            assert_eq!(file.trouble(), None, "whoever asks makes it go on");
            assert!((0..20).all(|key| has(&file, key)) && !has(&file, 100) && !is_broken(&file));
            put(&file, 100).unwrap();
            put(&file, 101).unwrap();
            assert!(has(&file, 100));
            file.with(|db| {
                let write = begin_write(db)?;
                write.open_table(TABLE).unwrap().remove(100).unwrap();
                Ok(write.commit().map_err(redb::Error::from)?)
            })
            .unwrap();
        }
    }
}

/// In another thread, because a copy that held the file would make it wait for itself.
#[test]
fn a_copy_holds_up_nobody_while_the_file_is_let_go_of_for_want_of_room() {
    for sealing in &kinds() {
        let medium = Faulty::<Memory>::default();
        let file = Arc::new(open(&medium, sealing.as_ref()).unwrap());
        (0..20).for_each(|key| put(&file, key).unwrap());
        let copies = Faulty::<Memory>::default();
        let (done, told) = mpsc::channel();
        let (of_thread, to) = (Arc::clone(&file), Arc::new(copies.clone()));
        std::thread::spawn(move || {
            let file = of_thread;
            let mut seen = None;
            let copied = file.copy_to(
                Arc::clone(&to) as Arc<dyn Medium>,
                "cut",
                Box::new(|_: &Database| Ok(())),
                |from, to| {
                    medium.refuse_writes(Some(ErrorKind::StorageFull));
                    let refused = put(&file, 100).is_err();
                    medium.refuse_writes(None);
                    seen = Some((refused, has(&file, 3)));
                    copy_table(from, to, TABLE)
                },
            );
            let again = file
                .copy_to(to, "f", Box::new(|_: &Database| Ok(())), |from, to| copy_table(from, to, TABLE));
            done.send((seen, copied.is_ok(), again.is_ok())).unwrap();
        });
        let (seen, _, again) =
            told.recv_timeout(Duration::from_secs(60)).expect("somebody waits for the copy");
        assert_eq!((seen, again), (Some((true, true)), true));
        let copy = open(&copies, sealing.as_ref()).unwrap();
        assert!((0..20).all(|key| has(&copy, key)) && !has(&copy, 100));
    }
}

#[test]
fn a_first_start_that_is_cut_off_anywhere_leaves_what_the_next_one_opens() {
    for sealing in &kinds() {
        let whole = Faulty::<Memory>::default();
        put(&open(&whole, sealing.as_ref()).unwrap(), 1).unwrap();
        let (mut cut, mut full) = (0, 0);
        for at in 0..whole.operations() {
            let medium = Faulty::<Memory>::default();
            medium.crash_at(at);
            cut += u64::from(open(&medium, sealing.as_ref()).is_err());
            let next = open(&medium.after_power_cut(at), sealing.as_ref()).unwrap();
            put(&next, 1).unwrap();
            assert!(has(&next, 1));
        }
        assert!(cut > 3);
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            let medium = Faulty::<Memory>::default();
            medium.refuse_writes(Some(kind));
            let told = open(&medium, sealing.as_ref()).err().unwrap().to_string();
            assert!(told.contains('f') && told.contains("told to fail"), "{told}");
            medium.refuse_writes(None);
            full += u64::from(open(&medium, sealing.as_ref()).is_ok());
        }
        assert_eq!(full, 2);
    }
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_tried_again() {
    for sealing in &kinds() {
        for is_sync in [true, false] {
            let medium = Faulty::<Memory>::default();
            let file = open(&medium, sealing.as_ref()).unwrap();
            put(&file, 1).unwrap();
            match is_sync {
                true => medium.fail_syncs_after(0),
                false => medium.refuse_writes(Some(ErrorKind::Other)),
            }
            assert!(put(&file, 2).is_err() && is_broken(&file));
            medium.fail_syncs_after(u64::MAX);
            medium.refuse_writes(None);
            let before = medium.operations();
            assert!(matches!(put(&file, 3), Err(StorageError::Broken(_))));
            assert_eq!((file.trouble(), medium.operations()), (Some(Trouble::Broken), before));
            drop(file);
            // The next process finds what was durable.
            let file = open(&medium.after_power_cut(1), sealing.as_ref()).unwrap();
            assert!(has(&file, 1) && !has(&file, 3));
        }
    }
}

#[test]
fn a_changed_byte_is_an_error_that_names_the_file_or_changes_nothing() {
    for sealing in &kinds() {
        let medium = Faulty::<Memory>::default();
        let file = open(&medium, sealing.as_ref()).unwrap();
        (0..40).for_each(|key| put(&file, key).unwrap());
        drop(file);
        let whole = shoal_files::Objects::read(&medium, "f").unwrap();
        let mut found = 0;
        // Each start takes longer where it opens seals.
        for flip in (0..120_usize).step_by(if sealing.is_some() { 3 } else { 1 }) {
            let copy = Faulty::<Memory>::default();
            shoal_files::Objects::put(&copy, "f", &whole).unwrap();
            copy.flip("f", flip * 7919 * 31 % whole.len());
            match open(&copy, sealing.as_ref()) {
                Ok(file) => assert!((0..40).all(|key| has(&file, key)), "{flip}"),
                Err(_) => found += 1,
            }
        }
        assert!(found > if sealing.is_some() { 2 } else { 8 }, "{found}");
    }
}
