//! One suite that every medium passes.
#![allow(clippy::unwrap_used)]

use super::{
    faulty::Faulty,
    medium::{Disk, Medium},
};

fn conforms(medium: &dyn Medium) {
    assert!(medium.list().unwrap().is_empty());
    assert!(medium.open("a").is_err());
    let file = medium.create("a", 10_000).unwrap();
    assert_eq!(file.length().unwrap(), 10_000);
    let mut buffer = [1; 100];
    file.read_at(9_900, &mut buffer).unwrap();
    assert_eq!(buffer, [0; 100]);
    assert!(file.read_at(9_901, &mut buffer).is_err(), "a read beyond the end is an error");
    file.write_at(5_000, b"hello").unwrap();
    file.sync().unwrap();
    file.write_at(9_999, b"grows").unwrap();
    assert_eq!(file.length().unwrap(), 10_004);
    medium.rename("a", "b").unwrap();
    assert_eq!(medium.list().unwrap(), ["b"]);
    let again = medium.open("b").unwrap();
    let mut five = [0; 5];
    again.read_at(5_000, &mut five).unwrap();
    assert_eq!(&five, b"hello");
    file.write_at(0, b"still").unwrap();
    again.read_at(0, &mut five).unwrap();
    assert_eq!(&five, b"still", "an open file keeps its bytes when its name changes");
    medium.create("c", 0).unwrap().write_at(0, b"other").unwrap();
    medium.rename("c", "b").unwrap();
    medium.open("b").unwrap().read_at(0, &mut five).unwrap();
    assert_eq!(&five, b"other", "a rename replaces");
    assert_eq!(medium.create("b", 3).unwrap().length().unwrap(), 3, "a create replaces");
    medium.remove("b").unwrap();
    assert!(medium.remove("b").is_err());
    assert!(medium.list().unwrap().is_empty());
    assert!(medium.free_bytes().unwrap() > 0);
}

#[test]
fn the_disk_conforms() {
    let root = tempfile::tempdir().unwrap();
    conforms(&Disk::new(root.path().join("not/yet/there")));
}

#[test]
fn the_faulty_medium_conforms() {
    conforms(&Faulty::default());
}

#[test]
fn the_faulty_medium_loses_only_what_was_not_synced() {
    let medium = Faulty::default();
    let file = medium.create("a", 4096).unwrap();
    file.write_at(0, &[1; 1024]).unwrap();
    file.sync().unwrap();
    file.write_at(1024, &[2; 2048]).unwrap();
    let (mut lost, mut kept) = (false, false);
    for seed in 0..20 {
        let mut found = [0; 4096];
        medium.after_power_cut(seed).open("a").unwrap().read_at(0, &mut found).unwrap();
        assert!(found[..1024].iter().all(|b| *b == 1));
        lost |= found[1024..3072].contains(&0);
        kept |= found[1024..3072].contains(&2);
    }
    assert!(lost && kept);
}
