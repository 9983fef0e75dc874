//! Files that come to be sealed, and stay so; power cuts, changed bytes and missing keys.

use shoal_files::{Objects as _, SealedFile};

use super::*;

fn sealing(key: u8, is_writing: bool) -> Sealing {
    Sealing { key: SealingKey::new(&[key; 32]), is_writing }
}

fn bytes(medium: &Faulty<Memory>) -> Vec<u8> {
    medium.read("f").unwrap()
}

/// Whether any record, of which each is 3000 bytes of sevens, can be seen in the file.
fn is_clear(bytes: &[u8]) -> bool {
    bytes.windows(16).any(|part| part == [7; 16])
}

fn is_sealed(medium: &Faulty<Memory>) -> bool {
    SealedFile::is_sealed(&*medium.open("f").unwrap()).unwrap()
}

/// A file in the clear with so many records.
fn plain(records: u64) -> Faulty<Memory> {
    let medium = Faulty::<Memory>::default();
    let file = open(&medium, None).unwrap();
    (0..records).for_each(|key| put(&file, key).unwrap());
    drop(file);
    assert!(is_clear(&bytes(&medium)) && !is_sealed(&medium));
    medium
}

#[test]
fn a_file_in_the_clear_is_sealed_when_it_is_opened_and_its_old_bytes_are_overwritten() {
    let medium = plain(5);
    let old = medium.edit("f").unwrap();
    for key in 5..8 {
        let file = open(&medium, Some(&sealing(1, true))).unwrap();
        put(&file, key).unwrap();
        assert!((0..=key).all(|key| has(&file, key)));
        assert!(is_sealed(&medium) && !is_clear(&bytes(&medium)));
    }
    let mut found = vec![1; old.length().unwrap() as usize];
    old.read_at(0, &mut found).unwrap();
    assert!(found.iter().all(|byte| *byte == 0));
    assert_eq!(medium.list("").unwrap().len(), 1, "nothing else is left");
}

#[test]
fn sealing_that_is_cut_off_anywhere_loses_nothing_and_goes_on_with_the_next_start() {
    let whole = plain(4);
    let before = whole.operations();
    drop(open(&whole, Some(&sealing(1, true))).unwrap());
    let (operations, mut clear, mut sealed) = (whole.operations() - before, 0, 0);
    for at in 0..operations {
        let medium = plain(4);
        medium.crash_at(medium.operations() + at);
        drop(open(&medium, Some(&sealing(1, true))));
        let next = medium.after_power_cut(at);
        match is_sealed(&next) {
            true => sealed += 1,
            false => clear += 1,
        }
        if at % 2 == 0 && !is_sealed(&next) {
            // Also by one that does not seal: what was begun is gone then.
            let file = open(&next, None).unwrap();
            assert!((0..4).all(|key| has(&file, key)));
            assert_eq!(next.list("").unwrap().len(), 1);
        }
        let file = open(&next, Some(&sealing(1, true))).unwrap();
        assert!((0..4).all(|key| has(&file, key)) && is_sealed(&next), "{at} of {operations}");
        assert_eq!(next.list("").unwrap().len(), 1);
    }
    assert!(clear > 5 && sealed > 5, "{clear} {sealed}");
}

#[test]
fn without_room_for_a_sealed_copy_the_file_is_as_before() {
    let medium = plain(4);
    let before = bytes(&medium);
    let small = Faulty::new(Small(medium.clone()));
    let prepare = Box::new(|_: &Database| Ok(()));
    let sealing = sealing(1, true);
    let told =
        RedbFile::over(Arc::new(small), "f".to_owned(), 1 << 20, prepare, Some(&sealing)).err().unwrap();
    assert!(
        matches!(&told, StorageError::Io { source, .. } if source.kind() == ErrorKind::StorageFull),
        "{told}"
    );
    assert_eq!(medium.list("").unwrap().len(), 1);
    assert_eq!(bytes(&medium).len(), before.len());
    let file = open(&medium, None).unwrap();
    assert!((0..4).all(|key| has(&file, key)));
}

#[test]
fn a_sealed_file_stays_so_when_files_are_not_sealed_any_more_and_so_do_its_copies() {
    let medium = plain(3);
    drop(open(&medium, Some(&sealing(1, true))).unwrap());
    let file = open(&medium, Some(&sealing(1, false))).unwrap();
    put(&file, 3).unwrap();
    assert!((0..4).all(|key| has(&file, key)) && is_sealed(&medium));
    let copy = Faulty::<Memory>::default();
    let prepare = Box::new(|_: &Database| Ok(()));
    file.copy_to(Arc::new(copy.clone()), "f", prepare, |from, to| copy_table(from, to, TABLE)).unwrap();
    assert!(is_sealed(&copy) && !is_clear(&bytes(&copy)));
    assert!(has(&open(&copy, Some(&sealing(1, false))).unwrap(), 3));
    // A new one is in the clear, and so is its copy.
    let medium = Faulty::<Memory>::default();
    let file = open(&medium, Some(&sealing(1, false))).unwrap();
    let copy = Faulty::<Memory>::default();
    let prepare = Box::new(|_: &Database| Ok(()));
    file.copy_to(Arc::new(copy.clone()), "f", prepare, |from, to| copy_table(from, to, TABLE)).unwrap();
    assert!(!is_sealed(&medium) && !is_sealed(&copy));
}

#[test]
fn without_its_key_a_sealed_file_is_an_error_that_says_so_and_is_not_changed() {
    let medium = plain(3);
    drop(open(&medium, Some(&sealing(1, true))).unwrap());
    let before = bytes(&medium);
    let told = open(&medium, None).err().unwrap();
    assert!(matches!(told, StorageError::Sealed(_)));
    assert_eq!(
        told.to_string(),
        "memory:/f is encrypted, and there is no key for it: put the key file back as it was"
    );
    let told = open(&medium, Some(&sealing(2, true))).err().unwrap();
    assert!(matches!(told, StorageError::Damaged { .. }));
    assert!(told.to_string().contains("f was encrypted with another key"), "{told}");
    assert_eq!(bytes(&medium), before);
    assert!(has(&open(&medium, Some(&sealing(1, true))).unwrap(), 2));
}

/// Whatever redb had written of a commit when the power was cut, what was acknowledged is there.
#[test]
fn a_power_cut_in_any_commit_loses_nothing_that_was_acknowledged() {
    for sealing in &kinds() {
        let whole = Faulty::<Memory>::default();
        let file = open(&whole, sealing.as_ref()).unwrap();
        let begun = whole.operations();
        (0..4).for_each(|key| put(&file, key).unwrap());
        let operations = whole.operations() - begun;
        let mut newer = 0;
        for at in 0..operations {
            let medium = Faulty::<Memory>::default();
            let file = open(&medium, sealing.as_ref()).unwrap();
            medium.crash_at(medium.operations() + at);
            let acknowledged = (0..4).take_while(|key| put(&file, *key).is_ok()).count() as u64;
            drop(file);
            // And one of which only the process has ended.
            let ended = Faulty::<Memory>::default();
            ended.put("f", &bytes(&medium)).unwrap();
            let cuts = (0..3).map(|seed| medium.after_power_cut(at * 3 + seed));
            for next in cuts.chain([ended]) {
                let next = open(&next, sealing.as_ref()).unwrap();
                assert!((0..acknowledged).all(|key| has(&next, key)), "{at}");
                newer += u32::from(has(&next, acknowledged));
            }
        }
        assert!(newer > 0, "of what was not acknowledged some is there");
    }
}

/// Pages of many blocks, in a file that grows: of those any block may be torn.
#[test]
fn a_power_cut_while_the_file_grows_loses_nothing_that_was_acknowledged() {
    let sealing = sealing(1, true);
    let put = |file: &RedbFile, key: u64| {
        file.with(|db| {
            let write = begin_write(db)?;
            let bytes = vec![key as u8; 300_000];
            write.open_table(TABLE).unwrap().insert(key, &bytes[..]).map_err(redb::Error::from)?;
            Ok(write.commit().map_err(redb::Error::from)?)
        })
    };
    let whole = Faulty::<Memory>::default();
    let file = open(&whole, Some(&sealing)).unwrap();
    let (begun, length) = (whole.operations(), bytes(&whole).len());
    (0..4).for_each(|key| put(&file, key).unwrap());
    assert!(bytes(&whole).len() > length);
    let operations = whole.operations() - begun;
    for at in (0..operations).step_by(if cfg!(debug_assertions) { 9 } else { 1 }) {
        let medium = Faulty::<Memory>::default();
        let file = open(&medium, Some(&sealing)).unwrap();
        medium.crash_at(medium.operations() + at);
        let acknowledged = (0..4).take_while(|key| put(&file, *key).is_ok()).count() as u64;
        drop(file);
        let next = open(&medium.after_power_cut(at), Some(&sealing)).unwrap();
        assert!((0..acknowledged).all(|key| has(&next, key)), "{at}");
        put(&next, 9).unwrap();
    }
}

/// As it is when the process ends at any moment: then the older header is that of an older state, which must not be taken for the
/// newest one.
#[test]
fn a_changed_byte_of_the_newest_header_of_a_file_in_use_is_never_an_older_state() {
    let sealing = sealing(1, true);
    for records in [3, 4] {
        let medium = Faulty::<Memory>::default();
        let file = open(&medium, Some(&sealing)).unwrap();
        (0..records).for_each(|key| put(&file, key).unwrap());
        let in_use = bytes(&medium);
        drop(file);
        let mut found = 0;
        for at in (4096..8704).step_by(300).chain((12288..16896).step_by(300)) {
            let copy = Faulty::<Memory>::default();
            copy.put("f", &in_use).unwrap();
            copy.flip("f", at);
            match open(&copy, Some(&sealing)) {
                Ok(file) => assert!((0..records).all(|key| has(&file, key)), "{at}"),
                Err(told) => {
                    found += 1;
                    assert!(matches!(told, StorageError::Damaged { .. }), "{told}");
                }
            }
        }
        assert!(found > 10, "{found}");
    }
}

#[test]
fn a_byte_that_is_changed_while_the_file_is_open_is_found_when_it_is_read() {
    let sealing = sealing(1, true);
    let medium = Faulty::<Memory>::default();
    let prepare = |db: &Database| {
        let write = begin_write(db)?;
        write.open_table(TABLE).map_err(redb::Error::from)?;
        Ok(write.commit().map_err(redb::Error::from)?)
    };
    // Nothing of it is in memory.
    let file = RedbFile::over(Arc::new(medium.clone()), "f".to_owned(), 0, Box::new(prepare), Some(&sealing))
        .unwrap();
    (0..4).for_each(|key| put(&file, key).unwrap());
    let length = bytes(&medium).len();
    (20480..length).step_by(4136).for_each(|at| medium.flip("f", at));
    let told = file.with(|db| {
        begin_read(db)?.open_table(TABLE).map_err(redb::Error::from)?.get(3).map_err(redb::Error::from)?;
        Ok(())
    });
    assert!(matches!(told, Err(StorageError::Damaged { .. })));
    assert!(is_broken(&file), "redb reads it no more");
}

/// A disk on which no new file can have more than its first bytes.
#[derive(Clone)]
struct Small(Faulty<Memory>);

struct SmallFile(Box<dyn LogFile>);

impl shoal_files::Source for SmallFile {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }
}

impl LogFile for SmallFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset > 20_000 { Err(ErrorKind::StorageFull.into()) } else { self.0.write_at(offset, bytes) }
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.0.set_length(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Objects for Small {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.put(name, bytes)
    }

    fn put_if_absent(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.put_if_absent(name, bytes)
    }

    fn write(&self, name: &str) -> io::Result<Box<dyn shoal_files::NewObject>> {
        self.0.write(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn shoal_files::Source>> {
        self.0.open(name)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<shoal_files::Entry>> {
        self.0.list(folder)
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        self.0.remove(names)
    }

    fn sync(&self, folder: &str) -> io::Result<()> {
        self.0.sync(folder)
    }

    fn sweep(&self, folder: &str, unchanged_since_ms: i64) -> io::Result<u64> {
        self.0.sweep(folder, unchanged_since_ms)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }
}

impl Medium for Small {
    fn create(&self, name: &str, bytes: u64) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(SmallFile(self.0.create(name, bytes)?)))
    }

    fn edit(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.0.edit(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
}
