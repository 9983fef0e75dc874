//! Tests of what a start makes of journals and files of consents that do not say the same.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use shoal_schemas::{Programme, Region};

use super::super::{
    ConsentChange, Consents, Effect, JournalForm, JournalFound, Opened, RecordForm, look_at_journals,
};
use crate::error::StorageError;

const UX: Programme = Programme::UserExperience;
const FILE: &str = "data/de/ledger.redb";
const JOURNAL: &str = "apart/de/withdrawals";

/// A record is a number; odd ones forbid. An act is a kind and the number that it makes of a record.
fn forms() -> (RecordForm<u8>, JournalForm<u8>) {
    let record = RecordForm { encode: |record| Ok(vec![*record]), decode: |bytes| Ok(bytes[0]) };
    let acts = JournalForm {
        replay: |act, before, is_missing| {
            Ok(Some(act[1]).filter(|made| is_missing || before.is_none_or(|before| before < *made)))
        },
        merge: |_, newer| Ok(newer.to_vec()),
        of_record: |record| (record % 2 == 1).then(|| vec![1, *record]),
    };
    (record, acts)
}

fn open(dir: &Path) -> Result<Opened<u8>, StorageError> {
    let (record, acts) = forms();
    Consents::open_with_journal(&dir.join("data"), &dir.join("apart"), record, acts)
}

/// What a start did about the journal of DE: how many acts, and how it was found. Whoever only looks finds the same.
fn start(dir: &Path) -> (u64, JournalFound) {
    let looked = look_at_journals(&dir.join("data"), &dir.join("apart")).unwrap();
    let opened = open(dir).unwrap();
    let done = opened.journals.iter().find(|start| start.region == Region::De).unwrap();
    assert!(looked.contains(&(Region::De, done.found)), "{looked:?}");
    (done.replayed, done.found)
}

fn record(consents: &Consents<u8>, digest: u8, made: u8) {
    let act = [1, made];
    let (effect, act) = match made % 2 {
        1 => (Effect::AtOnce, Some(&act[..])),
        _ => (Effect::WhenDurable, None),
    };
    let digests = [[digest; 16]];
    let change = ConsentChange {
        programme: UX,
        digests: &digests,
        where_recorded: &[],
        effect,
        act,
        after: &|_| made,
    };
    consents.change(Region::De, &[change]).unwrap();
}

fn recorded(dir: &Path, digest: u8) -> Option<u8> {
    open(dir).unwrap().consents.get(Region::De, UX, [digest; 16]).unwrap()
}

/// A directory with a person who has withdrawn, one who has not, and one who has and then granted again.
fn begun() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let consents = open(dir.path()).unwrap().consents;
    for (digest, made) in [(1, 11), (2, 20), (3, 31), (3, 32)] {
        record(&consents, digest, made);
    }
    dir
}

#[test]
fn an_older_file_of_consents_gets_what_was_withdrawn_since_and_nothing_else() {
    let dir = begun();
    let older = fs::read(dir.path().join(FILE)).unwrap();
    let consents = open(dir.path()).unwrap().consents;
    // By numbers and not by what they say: clocks may have been set.
    for (digest, made) in [(2, 7), (3, 5), (4, 1), (5, 50)] {
        record(&consents, digest, made);
    }
    drop(consents);
    assert_eq!(start(dir.path()), (0, JournalFound::Whole));
    fs::write(dir.path().join(FILE), older).unwrap();
    assert_eq!(start(dir.path()), (3, JournalFound::Whole));
    let found: Vec<Option<u8>> = (1..=5).map(|digest| recorded(dir.path(), digest)).collect();
    assert_eq!(found, [Some(11), Some(7), Some(5), Some(1), None], "what was granted since is lost");
    assert_eq!(start(dir.path()), (0, JournalFound::Whole), "once");
}

#[test]
fn a_journal_that_is_lost_older_or_another_one_is_written_anew_from_the_records() {
    for (what, found) in [
        ("lost", JournalFound::Missing),
        ("older", JournalFound::Older),
        ("another", JournalFound::Another),
        ("torn", JournalFound::Older),
    ] {
        let dir = begun();
        let path = dir.path().join(JOURNAL);
        let older = fs::read(&path).unwrap();
        record(&open(dir.path()).unwrap().consents, 4, 41);
        match what {
            "lost" => fs::remove_file(&path).unwrap(),
            "older" => fs::write(&path, &older).unwrap(),
            "another" => fs::copy(begun().path().join(JOURNAL), &path).map(drop).unwrap(),
            _ => {
                let whole = fs::read(&path).unwrap();
                fs::write(&path, &whole[..whole.len() - 3]).unwrap();
            }
        }
        assert_eq!(start(dir.path()), (0, found), "{what}");
        assert_eq!(found.is_lost(), what != "another", "{what}");
        assert_eq!(start(dir.path()), (0, JournalFound::Whole), "{what}");
        // It knows what the records know: an empty file of consents gets all of it.
        fs::remove_file(dir.path().join(FILE)).unwrap();
        let (replayed, found) = start(dir.path());
        assert!(replayed >= 2 && found == JournalFound::Whole, "{what}");
        assert_eq!((recorded(dir.path(), 1), recorded(dir.path(), 4)), (Some(11), Some(41)), "{what}");
    }
}

#[test]
fn a_file_of_before_there_were_journals_gets_what_it_lacks_by_times() {
    let dir = begun();
    let (record_form, _) = forms();
    fs::remove_file(dir.path().join(FILE)).unwrap();
    let before = Consents::open(&dir.path().join("data"), record_form).unwrap();
    for (digest, made) in [(1, 2), (3, 90)] {
        record(&before, digest, made);
    }
    drop(before);
    assert_eq!(start(dir.path()), (1, JournalFound::Whole));
    assert_eq!((recorded(dir.path(), 1), recorded(dir.path(), 3)), (Some(11), Some(90)));
}

#[test]
fn a_journal_that_is_damaged_stops_the_start_and_one_process_has_it() {
    let dir = begun();
    let held = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(StorageError::Locked(_))));
    drop(held);
    let path = dir.path().join(JOURNAL);
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::write(&path, bytes).unwrap();
    let told = open(dir.path()).err().unwrap().to_string();
    assert!(told.contains(JOURNAL) && told.contains("move it away"), "{told}");
    fs::remove_file(&path).unwrap();
    assert_eq!(start(dir.path()), (0, JournalFound::Missing));
}

#[test]
fn what_a_crash_left_of_a_journal_that_was_being_written_anew_goes_with_the_next_start() {
    let dir = begun();
    let left = dir.path().join(format!("{JOURNAL}#17"));
    fs::write(&left, "with withdrawals in it").unwrap();
    assert_eq!(start(dir.path()), (0, JournalFound::Whole));
    assert!(!left.exists() && dir.path().join(JOURNAL).exists());
}

#[test]
fn what_forbids_is_in_the_journal_before_it_is_acknowledged() {
    let dir = begun();
    let opened = open(dir.path()).unwrap();
    let bytes = || fs::metadata(dir.path().join(JOURNAL)).unwrap().len();
    let before = bytes();
    record(&opened.consents, 9, 8);
    assert_eq!(bytes(), before, "a grant is not in it");
    record(&opened.consents, 9, 9);
    assert!(bytes() > before);
}
