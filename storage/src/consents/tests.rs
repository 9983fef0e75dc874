//! Tests of the recorded consents. Not here: those of the file (`file`) and of the journal (`journal/tests.rs`).
#![allow(clippy::unwrap_used)]

use super::*;

mod failing;
mod sealed;

const UX: Programme = Programme::UserExperience;

fn form() -> RecordForm<u8> {
    RecordForm {
        encode: |record| match record {
            255 => Err("too large".to_owned()),
            record => Ok(vec![*record]),
        },
        decode: |bytes| match bytes {
            [record] => Ok(*record),
            _ => Err("no number".to_owned()),
        },
    }
}

fn change(
    consents: &Consents<u8>,
    digests: &[Digest],
    effect: Effect,
    after: impl Fn(Option<u8>) -> u8,
) -> Result<()> {
    let change =
        ConsentChange { programme: UX, digests, where_recorded: &[], effect, act: None, after: &after };
    consents.change(Region::De, &[change])
}

#[test]
fn a_change_starts_from_what_is_there_and_survives() {
    let root = tempfile::tempdir().unwrap();
    let consents = Consents::open(root.path(), form()).unwrap();
    let more = |before: Option<u8>| before.map_or(1, |n| n + 1);
    change(&consents, &[[1; 16], [2; 16]], Effect::WhenDurable, more).unwrap();
    change(&consents, &[[1; 16]], Effect::AtOnce, more).unwrap();
    assert!(matches!(Consents::open(root.path(), form()), Err(StorageError::Locked(_))));
    drop(consents);
    let consents = Consents::open(root.path(), form()).unwrap();
    let found = |region, digest| consents.get(region, UX, digest).unwrap();
    assert_eq!((found(Region::De, [1; 16]), found(Region::De, [2; 16])), (Some(2), Some(1)));
    assert_eq!((found(Region::Us, [1; 16]), found(Region::De, [3; 16])), (None, None));
    assert_eq!(consents.get(Region::De, Programme::DeviceExperience, [1; 16]).unwrap(), None);
    assert!(root.path().join("sg/ledger.redb").exists(), "every region has its own file");
}

#[test]
fn what_is_not_durable_counts_only_if_it_forbids() {
    let root = tempfile::tempdir().unwrap();
    let consents = Consents::open(root.path(), form()).unwrap();
    for (effect, seen) in [(Effect::WhenDurable, None), (Effect::AtOnce, Some(255))] {
        let failed = change(&consents, &[[1; 16]], effect, |_| 255);
        assert!(matches!(failed, Err(StorageError::Consent { .. })));
        assert_eq!(consents.get(Region::De, UX, [1; 16]).unwrap(), seen);
    }
    // Whatever comes next starts from it, and takes its place once it is durable.
    change(&consents, &[[1; 16]], Effect::WhenDurable, |before| before.unwrap() - 1).unwrap();
    assert_eq!(consents.get(Region::De, UX, [1; 16]).unwrap(), Some(254));
    assert!(consents.shelf(Region::De).unwrap().forbidden.read().unwrap().is_empty());
}

#[test]
fn a_list_is_recorded_in_its_order_and_as_a_whole() {
    let root = tempfile::tempdir().unwrap();
    let consents = Consents::open(root.path(), form()).unwrap();
    let one = |after: &'static dyn Fn(Option<u8>) -> u8, effect| ConsentChange {
        programme: UX,
        digests: &[[1; 16]],
        where_recorded: &[],
        effect,
        act: None,
        after,
    };
    let list = [
        one(&|_| 3, Effect::WhenDurable),
        one(&|before| before.unwrap() * 2, Effect::AtOnce),
        one(&|before| before.unwrap() + 1, Effect::WhenDurable),
    ];
    consents.change(Region::De, &list).unwrap();
    assert_eq!(consents.get(Region::De, UX, [1; 16]).unwrap(), Some(7));
    let failing = [one(&|_| 100, Effect::WhenDurable), one(&|_| 255, Effect::WhenDurable)];
    assert!(consents.change(Region::De, &failing).is_err());
    assert_eq!(consents.get(Region::De, UX, [1; 16]).unwrap(), Some(7));
}

#[test]
fn what_is_changed_where_it_is_recorded_gets_no_record_otherwise() {
    let root = tempfile::tempdir().unwrap();
    let consents = Consents::open(root.path(), form()).unwrap();
    let more = |before: Option<u8>| before.map_or(1, |n| n + 1);
    change(&consents, &[[2; 16]], Effect::AtOnce, more).unwrap();
    let both = ConsentChange {
        programme: UX,
        digests: &[[1; 16]],
        where_recorded: &[[2; 16], [3; 16]],
        effect: Effect::AtOnce,
        act: None,
        after: &more,
    };
    consents.change(Region::De, &[both]).unwrap();
    let found = |digest| consents.get(Region::De, UX, digest).unwrap();
    assert_eq!((found([1; 16]), found([2; 16]), found([3; 16])), (Some(1), Some(2), None));
}

#[test]
fn what_could_not_be_made_durable_is_bounded() {
    let root = tempfile::tempdir().unwrap();
    let consents = Consents::open(root.path(), form()).unwrap();
    let digests: Vec<Digest> = (0..=FORBIDDEN_MAX as u128).map(u128::to_le_bytes).collect();
    for digest in &digests {
        consents.shelf(Region::De).unwrap().forbid((UX, *digest), 1);
    }
    let held = |digest: &Digest| consents.get(Region::De, UX, *digest).unwrap();
    assert_eq!((held(&digests[0]), held(&digests[FORBIDDEN_MAX])), (Some(1), None));
}

#[test]
fn a_record_that_cannot_be_read_stops_the_start_and_names_the_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("de").join("ledger.redb");
    ConsentFile::open(&path, None).unwrap().edit(|mut edit| edit.put(UX, [1; 16], b"longer")).unwrap();
    let refused = Consents::open(root.path(), form()).err().unwrap().to_string();
    assert_eq!(refused, format!("{}: no number", path.display()));
}
