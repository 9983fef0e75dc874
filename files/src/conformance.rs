//! What every implementation of [`Objects`] and [`Medium`] must do: one suite for each, for the tests of this crate and
//! of any other that implements one. They panic with what is wrong.
//!
//! Invariant: nothing here knows which implementation it looks at. Not here: power cuts and other faults (`memory`,
//! `faulty`).
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Write as _};

use crate::medium::Medium;
use crate::objects::Objects;

fn names(files: &dyn Objects, folder: &str) -> Vec<String> {
    let mut names: Vec<String> = files.list(folder).unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names
}

#[track_caller]
fn refused<T>(outcome: std::io::Result<T>, kind: ErrorKind) {
    assert_eq!(outcome.err().map(|e| e.kind()), Some(kind));
}

/// Checks an empty place for objects, and leaves it empty.
///
/// # Panics
/// When it breaks a promise of [`Objects`].
pub fn objects(files: &dyn Objects) {
    assert!(files.list("").unwrap().is_empty());
    assert!(files.list("no/such/folder").unwrap().is_empty());
    refused(files.open("a"), ErrorKind::NotFound);
    refused(files.read("folder/a"), ErrorKind::NotFound);
    whole_objects(files);
    ranges(files);
    written_in_parts(files);
    folders(files);
    open_readers(files);
    one_of_many(files);
    let names = names(files, "");
    files.remove(&names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert!(files.list("").unwrap().is_empty());
}

fn whole_objects(files: &dyn Objects) {
    for name in ["", "/a", "a/", "a//b", ".", "../a", "a/../b", "a\0b", "a#12"] {
        refused(files.put(name, b"x"), ErrorKind::InvalidInput);
        refused(files.put_if_absent(name, b"x"), ErrorKind::InvalidInput);
        refused(files.write(name), ErrorKind::InvalidInput);
        refused(files.open(name), ErrorKind::InvalidInput);
        refused(files.remove(&[name]), ErrorKind::InvalidInput);
    }
    files.put_if_absent("a", b"first").unwrap();
    refused(files.put_if_absent("a", b"second"), ErrorKind::AlreadyExists);
    assert_eq!(files.read("a").unwrap(), b"first", "the bytes of the one who was first are untouched");
    files.put("a", b"third, and longer").unwrap();
    assert_eq!(files.read("a").unwrap(), b"third, and longer");
    files.put("a", b"").unwrap();
    assert_eq!(files.read("a").unwrap(), b"");
    refused(files.put_if_absent("a", b"x"), ErrorKind::AlreadyExists);
    assert!(files.path("a").display().to_string().ends_with('a'));
    files.remove(&["a", "never/there"]).unwrap();
    refused(files.open("a"), ErrorKind::NotFound);
    files.remove(&["a"]).unwrap();
    files.put_if_absent("a", b"again").unwrap();
    files.remove(&["a"]).unwrap();
}

fn ranges(files: &dyn Objects) {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    files.put("ranges", &bytes).unwrap();
    let source = files.open("ranges").unwrap();
    assert_eq!(source.length().unwrap(), 100_000);
    for (from, to) in [(0, 0), (0, 1), (99_999, 100_000), (100_000, 100_000), (4_090, 70_000)] {
        let mut found = vec![0; to - from];
        source.read_at(from as u64, &mut found).unwrap();
        assert_eq!(found, bytes[from..to]);
    }
    refused(source.read_at(99_901, &mut [0; 100]), ErrorKind::UnexpectedEof);
    refused(source.read_at(200_000, &mut [0; 1]), ErrorKind::UnexpectedEof);
    files.remove(&["ranges"]).unwrap();
}

fn written_in_parts(files: &dyn Objects) {
    let mut draft = files.write("parts/a").unwrap();
    draft.write_all(b"one, ").unwrap();
    draft.flush().unwrap();
    refused(files.open("parts/a"), ErrorKind::NotFound);
    assert!(files.list("").unwrap().is_empty(), "what is unfinished is not listed");
    assert_eq!(files.sweep("", i64::MAX).unwrap(), 0, "what is being written is not swept");
    draft.write_all(&[b'x'; 100_000]).unwrap();
    assert_eq!(draft.finish().unwrap(), 100_005);
    assert_eq!(files.read("parts/a").unwrap(), [&b"one, "[..], &[b'x'; 100_000]].concat());
    let mut draft = files.write("parts/a").unwrap();
    draft.write_all(b"two").unwrap();
    drop(draft);
    assert_eq!(files.read("parts/a").unwrap().len(), 100_005, "one that is dropped leaves what was there");
    let mut draft = files.write("parts/a").unwrap();
    draft.write_all(b"three").unwrap();
    assert_eq!(draft.finish().unwrap(), 5);
    assert_eq!(files.read("parts/a").unwrap(), b"three");
    drop(files.write("parts/b").unwrap());
    assert_eq!(names(files, ""), ["parts/a"]);
    files.remove(&["parts/a"]).unwrap();
}

fn folders(files: &dyn Objects) {
    for name in ["x", "f/a", "f/b", "f/g/c", "fx/d"] {
        files.put(name, name.as_bytes()).unwrap();
    }
    assert_eq!(names(files, ""), ["f/a", "f/b", "f/g/c", "fx/d", "x"]);
    assert_eq!(names(files, "f"), ["f/a", "f/b", "f/g/c"]);
    assert_eq!(names(files, "f/g"), ["f/g/c"]);
    refused(files.list("f/"), ErrorKind::InvalidInput);
    refused(files.list("../f"), ErrorKind::InvalidInput);
    let entry = files.list("f/g").unwrap().remove(0);
    assert_eq!(entry.bytes, 5);
    assert!(entry.modified_ms > 1_600_000_000_000);
    files.sync("").unwrap();
    files.sync("f/g").unwrap();
    assert_eq!(files.sweep("", i64::MAX).unwrap(), 0, "objects are never swept");
    files.remove(&["f/g/c", "f/a"]).unwrap();
    assert_eq!(names(files, ""), ["f/b", "fx/d", "x"]);
    files.put_if_absent("f/g", b"a folder that is empty is none").unwrap();
    files.remove(&["f/g", "f/b", "fx/d", "x"]).unwrap();
    assert!(files.list("").unwrap().is_empty());
}

fn open_readers(files: &dyn Objects) {
    files.put("open", &[1; 50_000]).unwrap();
    let (replaced, removed) = (files.open("open").unwrap(), files.open("open").unwrap());
    files.put("open", &[2; 60_000]).unwrap();
    let mut found = vec![0; 50_000];
    // A store may refuse to read what was replaced; it must not mix.
    assert!(replaced.read_at(0, &mut found).is_err() || found == [1; 50_000]);
    files.remove(&["open"]).unwrap();
    assert!(removed.read_at(0, &mut found).is_err() || found == [1; 50_000]);
}

fn one_of_many(files: &dyn Objects) {
    for round in 0..20 {
        let name = format!("race/{round}");
        let winners: Vec<u8> = std::thread::scope(|scope| {
            let put = |thread: u8| match files.put_if_absent(&name, &[thread; 1_000]) {
                Ok(()) => Some(thread),
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::AlreadyExists);
                    assert_eq!(files.read(&name).unwrap().len(), 1_000, "whoever loses sees the winner");
                    None
                }
            };
            let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || put(thread))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(files.read(&name).unwrap(), [winners[0]; 1_000]);
        // Folders come and go while others write to them.
        files.remove(&[&name]).unwrap();
    }
}

/// Checks an empty medium, and leaves it empty.
///
/// # Panics
/// When it breaks a promise of [`Medium`].
pub fn medium(medium: &dyn Medium) {
    assert!(medium.list("").unwrap().is_empty());
    refused(medium.edit("a"), ErrorKind::NotFound);
    refused(medium.rename("a", "b"), ErrorKind::NotFound);
    refused(medium.create("../a", 1), ErrorKind::InvalidInput);
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
    assert_eq!(names(medium, ""), ["b"]);
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
    lengths(medium);
    assert_eq!(medium.create("b", 3).unwrap().length().unwrap(), 3, "a create replaces");
    medium.remove(&["b"]).unwrap();
    refused(medium.edit("b"), ErrorKind::NotFound);
    refused(medium.rename("b", "a"), ErrorKind::NotFound);
    assert!(medium.list("").unwrap().is_empty());
    assert!(medium.free_bytes().unwrap() > 0);
}

/// An object can be changed in place, and a file read as an object.
fn lengths(medium: &dyn Medium) {
    medium.put("folder/log", b"0123456789").unwrap();
    let file = medium.edit("folder/log").unwrap();
    file.set_length(4).unwrap();
    assert_eq!(medium.read("folder/log").unwrap(), b"0123");
    file.set_length(6).unwrap();
    file.write_at(5, b"x").unwrap();
    file.sync().unwrap();
    assert_eq!(medium.read("folder/log").unwrap(), b"0123\0x");
    medium.rename("folder/log", "log").unwrap();
    assert_eq!(medium.read("log").unwrap(), b"0123\0x");
    medium.remove(&["log"]).unwrap();
}
