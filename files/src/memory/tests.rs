//! What a place in memory loses, and what it does not.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::conformance;

#[test]
fn memory_conforms() {
    conformance::objects(&Memory::new());
    conformance::medium(&Memory::new());
}

#[test]
fn a_folder_is_a_place_of_its_own() {
    let all = Memory::new();
    conformance::objects(&all.below("a"));
    conformance::medium(&all.below("b").below("c"));
    all.below("a").put("x/y", b"1").unwrap();
    all.put("ab", b"2").unwrap();
    let names: Vec<String> = all.below("a").list("").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!((names, all.read("a/x/y").unwrap()), (vec!["x/y".to_owned()], b"1".to_vec()));
}

#[test]
fn what_a_killed_process_has_left_may_be_undone_until_it_is_synced() {
    let all = Memory::new();
    let medium = all.below("log");
    medium.put("old", b"1").unwrap();
    medium.put("gone", b"2").unwrap();
    medium.dying().put("old", b"3").unwrap();
    medium.dying().remove(&["gone"]).unwrap();
    medium.dying().rename("old", "new").unwrap();
    assert_eq!((medium.read("new").unwrap(), medium.list("").unwrap().len()), (b"3".to_vec(), 1));
    let found = |name: &str| -> std::collections::BTreeSet<Option<Vec<u8>>> {
        (0..40).map(|seed| medium.after_power_cut(seed).read(name).ok()).collect()
    };
    let of = |all: &[&[u8]]| all.iter().map(|bytes| Some(bytes.to_vec())).chain([None]).collect();
    assert_eq!((found("old"), found("new")), (of(&[b"1", b"3"]), of(&[b"3"])));
    assert_eq!(found("gone"), of(&[b"2"]));
    medium.sync("").unwrap();
    assert_eq!((found("old"), found("gone")), ([None].into(), [None].into()));
    assert_eq!(found("new"), [Some(b"3".to_vec())].into());
}

#[test]
fn a_power_cut_takes_only_what_was_not_synced() {
    let medium = Memory::new();
    let file = medium.create("a", 4096).unwrap();
    file.write_at(0, &[1; 1024]).unwrap();
    file.sync().unwrap();
    file.write_at(1024, &[2; 2048]).unwrap();
    let (mut lost, mut kept) = (false, false);
    for seed in 0..20 {
        let found = medium.after_power_cut(seed).read("a").unwrap();
        assert!(found[..1024].iter().all(|b| *b == 1));
        lost |= found[1024..3072].contains(&0);
        kept |= found[1024..3072].contains(&2);
    }
    assert!(lost && kept);
    file.sync().unwrap();
    assert!((0..20).all(|seed| !medium.after_power_cut(seed).read("a").unwrap()[1024..3072].contains(&0)));
}

#[test]
fn a_file_that_was_cut_has_either_length_until_it_is_synced() {
    let medium = Memory::new();
    medium.put("a", &[1; 2000]).unwrap();
    let file = medium.edit("a").unwrap();
    file.set_length(700).unwrap();
    let found: Vec<Vec<u8>> = (0..20).map(|seed| medium.after_power_cut(seed).read("a").unwrap()).collect();
    assert!(found.iter().any(|f| f.len() == 700) && found.iter().any(|f| f.len() == 2000));
    assert!(found.iter().flatten().all(|b| *b == 1));
    file.write_at(900, &[2; 100]).unwrap();
    file.sync().unwrap();
    let synced = medium.after_power_cut(1).read("a").unwrap();
    assert_eq!(synced, [&[1; 700][..], &[0; 200], &[2; 100]].concat());
}
