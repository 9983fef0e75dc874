//! What leaves the local file, and a local disk that fails.

use std::fs::{self, File, OpenOptions};

use super::*;

/// Whether any of these bytes can be read from a slot of the local file.
fn is_on_the_disk(cached: &Cached, slots: usize, wanted: &[u8]) -> bool {
    let mut found = vec![0; M];
    // Beyond its end the file has nothing.
    let mut slots = (0..slots).filter(|slot| {
        found.fill(0);
        let _end = cached.reading.local.read(*slot, 0, &mut found);
        wanted.chunks_exact(64).any(|part| found.windows(64).step_by(8).any(|window| window == part))
    });
    slots.next().is_some()
}

/// Parts of an object that are at the beginning of blocks, and at the end.
fn samples(name: &str, size: usize) -> Vec<u8> {
    let all = bytes(name, size);
    let starts = (0..size - 64).step_by(M);
    starts.chain([(size - 64) / 8 * 8]).flat_map(|start| all[start..start + 64].to_vec()).collect()
}

#[test]
fn what_is_removed_put_or_written_leaves_the_local_file_before_the_answer() {
    let names = ["removed", "put", "written"];
    let store = Store::with(&names.map(|name| (name, M + 4_000)));
    let (cached, dir) = cached(&store, 16);
    for name in names {
        cached.read(name).unwrap();
        assert!(is_on_the_disk(&cached, 16, &samples(name, M + 4_000)), "the test must see it");
    }
    cached.remove(&["removed", "never there"]).unwrap();
    cached.put("put", b"x").unwrap();
    cached.write("written").unwrap().finish().unwrap();
    for name in names {
        assert!(!is_on_the_disk(&cached, 16, &samples(name, M + 4_000)), "{name}");
    }
    assert_eq!(cached.reading.index().local_blocks(), 0);
    assert_eq!(cached.open("removed").err().map(|e| e.kind()), Some(ErrorKind::NotFound));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the file has no name");
}

#[test]
fn nothing_stays_of_a_removed_object_whose_block_made_room_for_a_shorter_one() {
    let store = Store::with(&[("long", M), ("short", 100)]);
    let (cached, _dir) = cached(&store, 1);
    cached.read("long").unwrap();
    cached.read("short").unwrap();
    assert_eq!(cached.counts().evictions, 1);
    cached.remove(&["long"]).unwrap();
    assert!(!is_on_the_disk(&cached, 1, &samples("long", M)));
    assert!(is_on_the_disk(&cached, 1, &bytes("short", 64)));
}

#[test]
fn a_removal_waits_for_no_request_and_what_the_request_brings_is_not_kept() {
    let store = Store::with(&[("a", 2 * M)]);
    let (cached, _dir) = cached(&store, 16);
    let source = cached.open("a").unwrap();
    store.close();
    thread::scope(|scope| {
        let reader = scope.spawn(|| read(&*source, 0, 2 * M));
        store.wait_for_requests(1);
        cached.remove(&["a"]).unwrap();
        store.open_gate();
        assert!(reader.join().unwrap().unwrap() == bytes("a", 2 * M), "it was open");
    });
    assert!(!is_on_the_disk(&cached, 16, &samples("a", 2 * M)));
    assert_eq!(cached.reading.index().local_blocks(), 0);
    // What is open reads past the cache from then on.
    store.requests();
    read(&*source, 10, 20).unwrap();
    read(&*source, 10, 20).unwrap();
    assert_eq!(store.requests(), [(10, 10), (10, 10)]);
}

/// A file that cannot be written, one that is full, and one that cannot be read.
#[test]
fn a_local_disk_that_fails_is_no_error_of_a_reader() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, b"").unwrap();
    let write_only = || OpenOptions::new().write(true).open(&path).unwrap();
    let full = || OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    for file in [File::open(&path).unwrap(), full(), write_only()] {
        let store = Store::with(&[("a", 3 * M + 5)]);
        let all = Arc::new(|_: &str| true);
        let cached = Cached::with(Arc::new(store.clone()), Local::of(file), 16 << 20, all).unwrap();
        for _ in 0..3 {
            assert!(cached.read("a").unwrap() == bytes("a", 3 * M + 5));
        }
        assert_eq!(store.opens(), 1, "what is known in memory needs no disk");
        assert!(cached.counts().local_failures > 0);
        cached.remove(&["a"]).unwrap();
        conformance::objects(&cached);
    }
}
