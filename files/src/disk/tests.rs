//! What a disk promises beyond the suites: modes, left-overs, directories that come and go.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::conformance;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_disk_conforms() {
    let root = tempfile::tempdir().unwrap();
    conformance::objects(&Disk::new(root.path().join("not/yet/there")));
    conformance::objects(&Disk::new(root.path().join("private")).private());
    conformance::medium(&Disk::new(root.path().join("nor/this")));
}

#[test]
fn what_a_private_disk_makes_is_for_its_owner_only() {
    let root = tempfile::tempdir().unwrap();
    let disk = Disk::new(root.path().join("a/b")).private();
    disk.put("put", b"x").unwrap();
    disk.put_if_absent("absent", b"x").unwrap();
    disk.write("folder/written").unwrap().finish().unwrap();
    disk.create("log", 10).unwrap();
    drop(disk.lock("lock").unwrap());
    for file in ["put", "absent", "folder/written", "log", "lock"] {
        assert_eq!(mode(&disk.path(file)), 0o600, "{file}");
    }
    for directory in ["a", "a/b", "a/b/folder"] {
        assert_eq!(mode(&root.path().join(directory)), 0o700, "{directory}");
    }
    // One that others could read is replaced by one that they cannot.
    fs::set_permissions(disk.path("put"), fs::Permissions::from_mode(0o644)).unwrap();
    disk.put("put", b"y").unwrap();
    assert_eq!(mode(&disk.path("put")), 0o600);
    assert_eq!(disk.open_file("put").unwrap().mode().unwrap(), 0o600);
}

#[test]
fn one_that_cannot_be_removed_keeps_no_other() {
    let root = tempfile::tempdir().unwrap();
    let disk = Disk::new(root.path());
    ["a", "b/is-a-directory", "c"].iter().for_each(|name| disk.put(name, b"x").unwrap());
    assert!(disk.remove(&["a", "b", "c"]).is_err());
    let left: Vec<String> = disk.list("").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(left, ["b/is-a-directory"]);
}

#[test]
fn what_a_crash_left_is_hidden_and_swept_when_it_is_old() {
    let root = tempfile::tempdir().unwrap();
    let disk = Disk::new(root.path());
    disk.put("day/a", b"whole").unwrap();
    fs::create_dir_all(root.path().join("day/empty/deep")).unwrap();
    for left in ["day/b#12", "c#3"] {
        fs::write(root.path().join(left), "half").unwrap();
    }
    let mut writing = disk.clone().write("day/d").unwrap();
    writing.write_all(b"half").unwrap();
    let listed: Vec<String> = disk.list("").unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(listed, ["day/a"]);
    assert_eq!(disk.sweep("", 1_600_000_000_000).unwrap(), 0, "they are younger");
    assert_eq!(disk.sweep("day", i64::MAX).unwrap(), 1, "the other one is not below this folder");
    assert_eq!(disk.sweep("", i64::MAX).unwrap(), 1);
    assert!(!root.path().join("day/empty").exists());
    writing.finish().unwrap();
    assert_eq!(disk.read("day/d").unwrap(), b"half");
    assert_eq!(fs::read_dir(root.path().join("day")).unwrap().count(), 2);
}

#[test]
fn a_failed_put_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let disk = Disk::new(root.path());
    fs::create_dir(root.path().join("taken")).unwrap();
    fs::write(root.path().join("taken/by"), "a directory").unwrap();
    assert!(disk.put("taken", b"x").is_err());
    assert!(disk.put_if_absent("taken", b"x").is_err());
    assert!(disk.put("taken/by/me", b"x").is_err());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn folders_that_are_emptied_while_others_write_to_them_lose_nothing() {
    let root = tempfile::tempdir().unwrap();
    let disk = Disk::new(root.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let disk = &disk;
            scope.spawn(move || {
                for round in 0..50 {
                    let name = format!("day/{thread}-{round}");
                    disk.put(&name, name.as_bytes()).unwrap();
                    assert_eq!(disk.read(&name).unwrap(), name.as_bytes());
                    disk.remove(&[&name]).unwrap();
                }
            });
        }
    });
    assert!(disk.list("").unwrap().is_empty());
    assert!(!root.path().join("day").exists() && root.path().exists(), "the root stays");
}

#[test]
fn a_symbolic_link_is_an_error_wherever_it_is_listed_and_nothing_behind_it_is_touched() {
    let root = tempfile::tempdir().unwrap();
    let (inside, outside) = (root.path().join("in"), root.path().join("out"));
    fs::create_dir_all(inside.join("day")).unwrap();
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("a#1"), "not ours").unwrap();
    fs::write(outside.join("b"), "not ours").unwrap();
    let disk = Disk::new(&inside);
    disk.put("day/a", b"ours").unwrap();
    for (link, target) in
        [("link", outside.clone()), ("day/file", outside.join("b")), ("day/x", "none".into())]
    {
        let link = inside.join(link);
        symlink(target, &link).unwrap();
        for error in [disk.list("").unwrap_err(), disk.sweep("", i64::MAX).unwrap_err()] {
            let told = error.to_string();
            assert!(told.starts_with(&format!("{} is a symbolic link", link.display())), "{told}");
            assert!(told.contains("put the files themselves in its place"), "{told}");
        }
        assert_eq!(disk.links().unwrap(), [Link(link.clone())]);
        assert!(outside.join("a#1").exists() && outside.join("b").exists());
        fs::remove_file(link).unwrap();
    }
    assert_eq!(disk.list("").unwrap().len(), 1);
    assert!(
        disk.links().unwrap().is_empty() && Disk::new(root.path().join("none")).links().unwrap().is_empty()
    );
}

#[test]
fn the_directory_itself_may_be_a_link() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("real")).unwrap();
    symlink(root.path().join("real"), root.path().join("link")).unwrap();
    let disk = Disk::new(root.path().join("link"));
    disk.put("day/a", b"ours").unwrap();
    assert!(disk.links().unwrap().is_empty());
    assert_eq!(disk.list("").unwrap()[0].name, "day/a");
    disk.remove(&["day/a"]).unwrap();
    assert!(disk.list("").unwrap().is_empty() && root.path().join("link").is_symlink());
}

#[test]
fn a_path_is_a_directory_and_a_name() {
    let name_of = |path: &str| Disk::of_file(Path::new(path)).map(|(disk, name)| (disk.root, name));
    assert_eq!(name_of("shoal.key").unwrap(), (PathBuf::from("."), "shoal.key".to_owned()));
    assert_eq!(name_of("/a/b").unwrap(), (PathBuf::from("/a"), "b".to_owned()));
    assert_eq!(name_of("/b").unwrap(), (PathBuf::from("/"), "b".to_owned()));
    assert!(name_of("/").is_err() && name_of("..").is_err() && name_of("").is_err());
    let folder = tempfile::tempdir().unwrap();
    let (disk, name) = Disk::of_file(folder.path()).unwrap();
    assert!(disk.open(&name).is_err(), "a directory is no object");
    assert!(!disk.open_file(&name).unwrap().is_regular().unwrap());
}
