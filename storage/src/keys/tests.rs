//! The key store: what is there after each call, and what is not.
#![allow(clippy::unwrap_used)]

use shoal_files::{Faulty, Memory, Objects};

use super::*;

const SCOPE: KeyScope = KeyScope { region: Region::De, kind: Kind::Usage, day: 20_787 };
const NOW_MS: i64 = 1_796_000_000_000;

/// The regions' keys of a service.
fn regions_keys() -> Vec<SealingKey> {
    Region::ALL.iter().map(|_| SealingKey::generate().unwrap()).collect()
}

fn open(objects: &Memory, keys: &[SealingKey]) -> DataKeys {
    DataKeys::open(KeyPlace::new(Arc::new(objects.clone()), Vec::new()), |region| {
        keys[region.index()].clone()
    })
    .unwrap()
}

fn same(a: &DataKey, b: &DataKey) -> bool {
    a.id() == b.id() && a.secret() == b.secret()
}

#[test]
fn a_day_has_one_key_which_another_process_reads() {
    let (objects, roots) = (Memory::new(), regions_keys());
    let keys = open(&objects, &roots);
    let key = keys.writing(SCOPE, NOW_MS).unwrap();
    assert_eq!(key.id().made_ms(), NOW_MS);
    assert!(same(&key, &keys.writing(SCOPE, NOW_MS + 5000).unwrap()));
    let other_day = keys.writing(KeyScope { day: 20_788, ..SCOPE }, NOW_MS).unwrap();
    assert!(key.secret() != other_day.secret());
    let again = open(&objects, &roots);
    assert!(same(&key, &again.reading(SCOPE, key.id()).unwrap()));
    assert!(same(&key, &again.writing(SCOPE, NOW_MS).unwrap()));
    assert_eq!(again.list().len(), 2);
    for entry in objects.list("").unwrap() {
        let text = objects.read(&entry.name).unwrap();
        let digits = hex::encode(key.secret());
        assert!(!String::from_utf8(text).unwrap().contains(&digits[..16]));
    }
}

#[test]
fn a_key_in_anothers_place_or_of_other_roots_is_none() {
    let (objects, roots) = (Memory::new(), regions_keys());
    let keys = open(&objects, &roots);
    let key = keys.writing(SCOPE, NOW_MS).unwrap();
    let text = objects.read(&name(SCOPE, key.id()).unwrap()).unwrap();
    let moved = KeyScope { kind: Kind::Crash, ..SCOPE };
    objects.put(&name(moved, key.id()).unwrap(), &text).unwrap();
    let again = open(&objects, &roots);
    assert!(matches!(again.reading(moved, key.id()), Err(StorageError::Damaged { .. })));
    assert!(again.reading(SCOPE, key.id()).is_ok());
    let other = open(&objects, &regions_keys());
    let told = other.reading(SCOPE, key.id()).err().unwrap().to_string();
    assert!(told.contains("de/usage/2026-11-30.") && told.contains("key file"), "{told}");
}

#[test]
fn a_key_that_was_destroyed_is_nowhere_and_a_new_one_is_another() {
    let (objects, roots) = (Memory::new(), regions_keys());
    let keys = open(&objects, &roots);
    let first = keys.writing(SCOPE, NOW_MS).unwrap();
    let second = keys.rotate(SCOPE, NOW_MS + 60_000).unwrap();
    assert_eq!(keys.writing(SCOPE, NOW_MS).unwrap().id(), second, "what is written has the newest");
    assert!(same(&first, &keys.reading(SCOPE, first.id()).unwrap()), "what was written keeps its own");
    let kept = keys.writing(KeyScope { day: 20_788, ..SCOPE }, NOW_MS).unwrap();
    assert_eq!(keys.shred(SCOPE).unwrap(), 2);
    assert_eq!(keys.shred(SCOPE).unwrap(), 0);
    for keys in [keys, open(&objects, &roots)] {
        assert!(matches!(keys.reading(SCOPE, first.id()), Err(StorageError::KeyGone(_))));
        assert!(matches!(keys.check(SCOPE, second), Err(StorageError::KeyGone(_))));
        assert_eq!(keys.list(), [(KeyScope { day: 20_788, ..SCOPE }, kept.id())]);
    }
    let keys = open(&objects, &roots);
    assert!(keys.writing(SCOPE, NOW_MS).unwrap().secret() != first.secret());
}

#[test]
fn files_that_are_no_keys_are_passed_over() {
    let (objects, roots) = (Memory::new(), regions_keys());
    for name in [
        "de/usage/2026-11-30",
        "de/usage/x.0123456789abcdef",
        "xx/usage/2026-11-30.0123456789abcdef",
        "DE/usage/2026-11-30.0123456789abcdef",
        "README",
    ] {
        objects.put(name, b"x").unwrap();
    }
    assert_eq!(open(&objects, &roots).list(), []);
}

#[test]
fn whenever_the_power_is_cut_a_key_in_use_is_there_and_one_that_is_destroyed_can_be_destroyed_again() {
    let roots = regions_keys();
    let over = |objects: &Faulty<Memory>| {
        DataKeys::open(KeyPlace::new(Arc::new(objects.clone()), Vec::new()), |region| {
            roots[region.index()].clone()
        })
        .unwrap()
    };
    for crash in 0..8 {
        let objects = Faulty::new(Memory::new());
        let keys = over(&objects);
        objects.crash_at(crash);
        let made = keys.writing(SCOPE, NOW_MS);
        let shredded = keys.shred(SCOPE);
        let after = objects.after_power_cut(crash);
        let again = over(&after);
        match (&made, &shredded) {
            (Ok(_), Ok(_)) => assert_eq!(again.list(), []),
            (Ok(key), Err(_)) => {
                // It is there as a whole, or it is none, and what is left of it goes.
                let read = again.reading(SCOPE, key.id());
                assert!(read.is_err() || same(key, &read.unwrap()));
                again.shred(SCOPE).unwrap();
                assert_eq!(over(&after).list(), []);
            }
            // A key that was made all the same is used by nobody yet.
            (Err(_), _) => assert!(again.writing(SCOPE, NOW_MS).is_ok()),
        }
    }
}

#[test]
fn keys_that_are_out_of_use_are_read_until_they_are_destroyed() {
    let (objects, roots) = (Memory::new(), regions_keys());
    let keys = open(&objects, &roots);
    let first = keys.writing(SCOPE, NOW_MS).unwrap();
    let retired = keys.retire(SCOPE);
    assert_eq!(retired, [first.id()]);
    // Within the same second, and under a clock that was set back.
    for now_ms in [NOW_MS, NOW_MS - 3_600_000] {
        let next = keys.writing(SCOPE, now_ms).unwrap();
        assert!(next.id() > first.id() && same(&next, &keys.writing(SCOPE, now_ms).unwrap()));
    }
    assert!(same(&first, &keys.reading(SCOPE, first.id()).unwrap()) && keys.check(SCOPE, first.id()).is_ok());
    assert_eq!(keys.destroy(SCOPE, &retired).unwrap(), 1);
    assert!(keys.check(SCOPE, first.id()).is_err() && keys.reading(SCOPE, first.id()).is_err());
    assert_eq!(keys.list().len(), 1, "what was written meanwhile keeps its key");
    let newest = keys.rotate(SCOPE, NOW_MS - 3_600_000).unwrap();
    assert_eq!(
        keys.writing(SCOPE, NOW_MS).unwrap().id(),
        newest,
        "a new key is the newest, whatever the clock says"
    );
}
