//! Tests of the file of consents. Not here: who writes to it (`turn`), and the journal (`journal`).
#![allow(clippy::unwrap_used)]

use shoal_files::{Faulty, Memory, SealingKey};

use super::*;

/// In the clear, and sealed.
fn kinds() -> [Option<Sealing>; 2] {
    [None, Some(Sealing { key: SealingKey::new(&[7; 32]), is_writing: true })]
}

fn put(file: &ConsentFile, programme: Programme, record: &[u8]) {
    file.edit(|mut edit| edit.put(programme, [1; 16], record)).unwrap();
}

#[test]
fn consents_survive_and_the_last_one_counts() {
    for sealing in &kinds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("de/ledger.redb");
        let ux = Programme::UserExperience;
        let dx = Programme::DeviceExperience;
        {
            let file = ConsentFile::open(&path, sealing.as_ref()).unwrap();
            put(&file, ux, b"granted");
            put(&file, dx, b"other");
            put(&file, ux, b"withdrawn");
            assert!(matches!(ConsentFile::open(&path, sealing.as_ref()), Err(StorageError::Locked(_))));
        }
        let file = ConsentFile::open(&path, sealing.as_ref()).unwrap();
        let mut found = Vec::new();
        file.each(|programme, digest, record| {
            found.push((programme, digest, record.to_vec()));
            Ok(())
        })
        .unwrap();
        let expected = vec![(ux, [1; 16], b"withdrawn".to_vec()), (dx, [1; 16], b"other".to_vec())];
        assert_eq!(found, expected);
        assert_eq!(file.get(ux, [1; 16]).unwrap().as_deref(), Some(&b"withdrawn"[..]));
        assert_eq!(file.get(ux, [2; 16]).unwrap(), None);
    }
}

#[test]
fn a_change_that_fails_half_way_leaves_nothing() {
    for sealing in &kinds() {
        let dir = tempfile::tempdir().unwrap();
        let file = ConsentFile::open(&dir.path().join("ledger.redb"), sealing.as_ref()).unwrap();
        let ux = Programme::UserExperience;
        let failed: Result<()> = file.edit(|mut edit| {
            edit.put(ux, [1; 16], b"granted")?;
            assert_eq!(edit.get(ux, [1; 16])?.as_deref(), Some(&b"granted"[..]));
            Err(StorageError::Stale)
        });
        assert!(matches!(failed, Err(StorageError::Stale)));
        assert_eq!(file.get(ux, [1; 16]).unwrap(), None);
    }
}

#[test]
fn an_unknown_format_is_refused() {
    for sealing in &kinds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.redb");
        let file = ConsentFile::open(&path, sealing.as_ref()).unwrap();
        let change = |db: &Database| {
            let write = begin_write(db)?;
            write.open_table(META).unwrap().insert("format", 7).unwrap();
            write.commit().unwrap();
            Ok(())
        };
        file.file.with(change).unwrap();
        drop(file);
        let again = ConsentFile::open(&path, sealing.as_ref());
        assert!(matches!(again, Err(StorageError::Format { found: 7, known: 2, .. })));
    }
}

#[test]
fn a_file_of_before_there_were_checksums_gets_them_and_loses_nothing() {
    for sealing in &kinds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.redb");
        let ux = Programme::UserExperience;
        {
            let db = redb::Database::create(&path).unwrap();
            let write = db.begin_write().unwrap();
            write.open_table(META).unwrap().insert("format", 1).unwrap();
            let mut table = write.open_table(CONSENTS).unwrap();
            for digest in 0..100 {
                table.insert(&key_of(ux, [digest; 16]), &[digest][..]).unwrap();
            }
            drop(table);
            write.commit().unwrap();
        }
        for _ in 0..2 {
            let file = ConsentFile::open(&path, sealing.as_ref()).unwrap();
            for digest in 0..100 {
                assert_eq!(file.get(ux, [digest; 16]).unwrap(), Some(vec![digest]));
            }
        }
    }
}

#[test]
fn a_record_that_was_changed_is_an_error_and_never_no_record() {
    for sealing in &kinds() {
        let dir = tempfile::tempdir().unwrap();
        let file = ConsentFile::open(&dir.path().join("ledger.redb"), sealing.as_ref()).unwrap();
        let ux = Programme::UserExperience;
        put(&file, ux, b"withdrawn");
        let change = |key: [u8; 17], bytes: Vec<u8>| {
            let changed = file.file.with(|db| {
                let write = begin_write(db)?;
                write.open_table(RECORDS).unwrap().insert(&key, bytes.as_slice()).unwrap();
                write.commit().unwrap();
                Ok(())
            });
            changed.unwrap();
            *file.view.write().unwrap() = None;
        };
        let key = key_of(ux, [1; 16]);
        let whole = sealed(&key, b"withdrawn");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            change(key, bytes);
            assert!(matches!(file.get(ux, [1; 16]), Err(StorageError::Damaged { .. })), "{bit}");
            assert!(matches!(file.each(|_, _, _| Ok(())), Err(StorageError::Damaged { .. })), "{bit}");
        }
        // A whole record under another key.
        change(key, whole.clone());
        change(key_of(ux, [2; 16]), whole);
        assert_eq!(file.get(ux, [1; 16]).unwrap().as_deref(), Some(&b"withdrawn"[..]));
        assert!(file.get(ux, [2; 16]).is_err() && file.each(|_, _, _| Ok(())).is_err());
    }
}

#[test]
fn look_ups_go_on_after_the_file_was_let_go_of_by_whoever_tried_whether_there_is_room() {
    for sealing in &kinds() {
        let medium = Faulty::<Memory>::default();
        let file = ConsentFile::over(Arc::new(medium.clone()), sealing.as_ref()).unwrap();
        let ux = Programme::UserExperience;
        // More than are in memory of a file that is closed.
        let digest = |number: u128| number.to_le_bytes();
        file.edit(|mut edit| (0..500).try_for_each(|number| edit.put(ux, digest(number), &[7; 100])))
            .unwrap();
        assert!((0..500).all(|number| file.get(ux, digest(number)).unwrap().is_some()));
        medium.refuse_writes(Some(std::io::ErrorKind::StorageFull));
        // As the trial does: without a change of records.
        let tried: Result<()> = file.file.with(|db| {
            let write = begin_write(db)?;
            write.open_table(META).unwrap().insert("trial", 1).map_err(redb::Error::from)?;
            Ok(write.commit().map_err(redb::Error::from)?)
        });
        assert!(tried.is_err());
        medium.refuse_writes(None);
        assert_eq!(file.file.trouble(), None);
        for number in 0..501 {
            assert_eq!(file.get(ux, digest(number)).unwrap().is_some(), number < 500, "{number}");
        }
    }
}
