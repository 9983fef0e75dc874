//! Tests of consents that are sealed: nothing of them can be seen in any file.

use std::fs;
use std::path::{Path, PathBuf};

use shoal_files::SealingKey;

use super::*;

/// What a record says, an act says, and whose they are.
const SAID: [&[u8]; 3] =
    [b"policy 2026-11, as somebody agreed to it", b"\x01withdrawn by somebody", &[0xd1; 16]];

fn open(dir: &Path, is_writing: Option<bool>) -> Result<Opened<Vec<u8>>> {
    let record =
        RecordForm { encode: |record: &Vec<u8>| Ok(record.clone()), decode: |bytes| Ok(bytes.to_vec()) };
    let acts = JournalForm {
        replay: |_, before, _| Ok(before.is_none().then(|| SAID[0].to_vec())),
        merge: |_, newer| Ok(newer.to_vec()),
        of_record: |record| (record == SAID[0]).then(|| SAID[1].to_vec()),
    };
    let sealings = sealings(is_writing);
    Consents::open_sealed_with_journal(&dir.join("data"), &dir.join("apart"), record, acts, &sealings)
}

/// Each region has a key of its own.
fn sealings(is_writing: Option<bool>) -> impl Fn(Region) -> Option<Sealing> {
    move |region| {
        let key = || SealingKey::new(&[region as u8 + 1; 32]);
        is_writing.map(|is_writing| Sealing { key: key(), is_writing })
    }
}

fn record(consents: &Consents<Vec<u8>>, region: Region) {
    let change = ConsentChange {
        programme: UX,
        digests: &[[0xd1; 16]],
        where_recorded: &[],
        effect: Effect::AtOnce,
        act: Some(SAID[1]),
        after: &|_| SAID[0].to_vec(),
    };
    consents.change(region, &[change]).unwrap();
}

/// Files below a directory in which anything of this can be seen.
fn seen(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![dir.to_path_buf()]);
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        // Not even a part of it.
        let is_there = |said: &[u8]| said.windows(8).any(|part| bytes.windows(8).any(|at| at == part));
        if SAID.into_iter().any(is_there) {
            found.push(path);
        }
    }
    found
}

#[test]
fn nothing_of_a_record_or_an_act_can_be_seen_in_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let consents = open(dir.path(), Some(true)).unwrap().consents;
    record(&consents, Region::De);
    record(&consents, Region::De);
    assert_eq!(seen(dir.path()), Vec::<PathBuf>::new());
    drop(consents);
    assert_eq!(seen(dir.path()), Vec::<PathBuf>::new());
    let opened = open(dir.path(), Some(false)).unwrap();
    assert_eq!(opened.consents.get(Region::De, UX, [0xd1; 16]).unwrap().unwrap(), SAID[0]);
    record(&opened.consents, Region::De);
    drop(opened);
    assert_eq!(seen(dir.path()), Vec::<PathBuf>::new(), "what is sealed stays so");
    assert!(
        matches!(open(dir.path(), None), Err(StorageError::Sealed(path)) if path.ends_with("ledger.redb"))
    );
}

#[test]
fn what_is_in_the_clear_is_sealed_by_the_next_start_and_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let consents = open(dir.path(), None).unwrap().consents;
    record(&consents, Region::De);
    record(&consents, Region::Us);
    drop(consents);
    assert_eq!(seen(dir.path()).len(), 4);
    let look = |is_writing| {
        let looked = look_at_sealed_journals(
            &dir.path().join("data"),
            &dir.path().join("apart"),
            &sealings(is_writing),
        );
        looked.map(|found| assert!(found.iter().all(|(_, found)| *found == JournalFound::Whole)))
    };
    look(Some(true)).unwrap();
    assert_eq!(seen(dir.path()).len(), 4, "whoever only looks seals nothing");
    for _ in 0..2 {
        let Opened { consents, journals } = open(dir.path(), Some(true)).unwrap();
        assert!(journals.iter().all(|start| start.replayed == 0 && start.found == JournalFound::Whole));
        assert_eq!(seen(dir.path()), Vec::<PathBuf>::new());
        for region in [Region::De, Region::Us] {
            assert_eq!(consents.get(region, UX, [0xd1; 16]).unwrap().unwrap(), SAID[0]);
        }
    }
    look(Some(false)).unwrap();
    assert!(matches!(look(None), Err(StorageError::Sealed(_))));
    let names = |folder: &str| fs::read_dir(dir.path().join(folder)).unwrap().count();
    assert_eq!((names("data/de"), names("apart/de")), (2, 1), "the file and its lock, and the journal");
}

#[test]
fn the_files_of_one_region_are_nothing_to_another() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), Some(true)).unwrap());
    let path = |region: &str| dir.path().join("data").join(region).join("ledger.redb");
    fs::copy(path("us"), path("de")).unwrap();
    let told = open(dir.path(), Some(true)).err().unwrap();
    assert!(
        matches!(&told, StorageError::Damaged { path, .. } if path.ends_with("de/ledger.redb")),
        "{told}"
    );
}
