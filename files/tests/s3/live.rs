//! What a store does when nothing goes wrong: objects by their names, exclusivity, parts, ranges, pages.

use std::io::{ErrorKind, Write as _};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shoal_files::{Objects as _, S3, S3Settings, conformance};

use crate::proxy::{Deed, Proxy};
use crate::servers::{Server, open};

/// Bytes that are nowhere the same.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

#[test]
fn it_does_what_every_store_of_objects_does() {
    let server = Server::shared();
    // SeaweedFS removes the folder of what is no more once in a while, and up to then takes its name for taken.
    let patient = S3Settings { give_up_after: Duration::from_secs(150), ..S3Settings::default() };
    conformance::objects(&open(server.port, "conformance", patient));
    let whole = server.bucket("conformance/deeper");
    whole.put("a", b"x").unwrap();
    assert_eq!(server.bucket("conformance").list("deeper").unwrap()[0].name, "deeper/a");
}

#[test]
fn a_good_store_passes_the_probe_and_nothing_is_left() {
    let server = Server::shared();
    let s3 = server.bucket("probe");
    s3.probe().unwrap();
    assert!(s3.list("").unwrap().is_empty());
}

#[test]
fn of_many_threads_one_puts_a_name() {
    const THREADS: usize = 32;
    let server = Server::shared();
    let s3 = server.bucket("threads");
    for round in 0..3 {
        let (name, barrier) = (format!("lease/{round}"), Barrier::new(THREADS));
        let put = |thread: usize| {
            barrier.wait();
            match s3.put_if_absent(&name, &[thread as u8; 200]) {
                Ok(()) => Some(thread),
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::AlreadyExists, "{e}");
                    None
                }
            }
        };
        let winners: Vec<usize> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || put(thread))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(s3.read(&name).unwrap(), [winners[0] as u8; 200]);
    }
}

#[test]
fn an_object_in_parts_is_whole_or_not_there() {
    let server = Server::seaweedfs();
    let s3 = server.bucket("parts");
    let all = bytes(7, 20 << 20);
    let mut draft = s3.write("a/large").unwrap();
    // Not in sizes of parts.
    for some in all.chunks(777_777) {
        draft.write_all(some).unwrap();
    }
    assert!(s3.list("").unwrap().is_empty());
    assert_eq!(server.uploads(), 1, "the test must see an upload");
    assert_eq!(draft.finish().unwrap(), 20 << 20);
    assert_eq!(server.uploads(), 0);
    assert!(s3.read("a/large").unwrap() == all);
    let source = s3.open("a/large").unwrap();
    let mut middle = vec![0; 9 << 20];
    source.read_at(5_000_001, &mut middle).unwrap();
    assert!(middle == all[5_000_001..5_000_001 + middle.len()]);
    assert_eq!(s3.list("a").unwrap()[0].bytes, 20 << 20);
    let mut draft = s3.write("a/large").unwrap();
    draft.write_all(&all[..17 << 20]).unwrap();
    assert_eq!(server.uploads(), 1);
    drop(draft);
    assert_eq!(server.uploads(), 0, "an upload that is dropped is aborted");
    assert!(s3.read("a/large").unwrap() == all);
    // A put of many bytes is an upload, too.
    s3.put("a/large", &all[..(8 << 20) + 1]).unwrap();
    assert!(s3.read("a/large").unwrap() == all[..(8 << 20) + 1]);
    let error = s3.put_if_absent("new", &vec![0; (64 << 20) + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    s3.put_if_absent("new", &all).unwrap();
    assert_eq!(s3.put_if_absent("new", &all).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn a_reader_of_what_is_replaced_gets_old_bytes_or_an_error() {
    let server = Server::shared();
    let s3 = server.bucket("replaced");
    let (old, new) = (bytes(1, 18 << 20), bytes(2, 18 << 20));
    s3.put("a", &old).unwrap();
    let (replaced, removed) = (s3.open("a").unwrap(), s3.open("a").unwrap());
    let mut half = vec![0; 9 << 20];
    replaced.read_at(0, &mut half).unwrap();
    assert!(half == old[..half.len()]);
    s3.put("a", &new).unwrap();
    let error = replaced.read_at(9 << 20, &mut half).unwrap_err();
    assert!(
        error.to_string().contains("s3://bucket/replaced/a: it was replaced while it was open"),
        "{error}"
    );
    assert_eq!(replaced.length().unwrap(), 18 << 20);
    s3.remove(&["a"]).unwrap();
    assert_eq!(removed.read_at(0, &mut half).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn more_than_a_page_is_listed_and_removed() {
    const OBJECTS: usize = 1_050;
    let server = Server::shared();
    let proxy = Proxy::start(server.port, |_, _, _| Deed::Pass);
    let s3 = open(proxy.port, "pages", S3Settings::default());
    let direct = server.bucket("pages");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < OBJECTS) {
                    direct.put(&format!("f/{number:04}"), b"x").unwrap();
                }
            });
        }
    });
    let mut names: Vec<String> = s3.list("f").unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(proxy.seen().len(), 2, "two pages");
    names.sort_unstable();
    let expected: Vec<String> = (0..OBJECTS).map(|number| format!("f/{number:04}")).collect();
    assert_eq!(names, expected);
    s3.remove(&names.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    assert_eq!(proxy.seen(), ["POST /bucket?delete", "POST /bucket?delete"]);
    assert!(s3.list("").unwrap().is_empty());
}

#[test]
fn small_objects_take_few_requests() {
    let server = Server::shared();
    let proxy = Proxy::start(server.port, |_, _, _| Deed::Pass);
    let s3 = open(proxy.port, "few", S3Settings::default());
    let seen = |requests: &[&str]| {
        let expected: Vec<String> = requests.iter().map(|method| format!("{method} /bucket/few/a")).collect();
        assert_eq!(proxy.seen(), expected);
    };
    s3.put_if_absent("a", b"0123456789").unwrap();
    seen(&["PUT"]);
    s3.put_if_absent("a", b"x").unwrap_err();
    seen(&["PUT", "HEAD"]);
    s3.put("a", b"0123456789").unwrap();
    seen(&["PUT"]);
    let mut draft = s3.write("a").unwrap();
    draft.write_all(b"0123456789").unwrap();
    draft.finish().unwrap();
    seen(&["PUT"]);
    assert_eq!(s3.read("a").unwrap(), b"0123456789");
    seen(&["GET"]);
    let source = s3.open("a").unwrap();
    source.read_at(2, &mut [0; 3]).unwrap();
    source.read_at(5, &mut [0; 5]).unwrap();
    // What is known from the head is not asked again.
    source.read_at(8, &mut [0; 3]).unwrap_err();
    source.read_at(10, &mut []).unwrap();
    seen(&["HEAD", "GET", "GET"]);
    s3.sync("").unwrap();
    assert_eq!(s3.sweep("", i64::MAX).unwrap(), 0);
    s3.remove(&[]).unwrap();
    seen(&[]);
}

#[test]
fn names_of_all_kinds_come_back() {
    let server = Server::shared();
    let s3 = server.bucket("names");
    let mut names =
        ["day=2026-01-01/ux-1.parquet", "a b/c+d", "ä/日本", "a%20b", "q?x&y=<1>", "'\"`{}[]|^~", "a#b"];
    for name in names {
        s3.put(name, name.as_bytes()).unwrap();
        assert_eq!(s3.read(name).unwrap(), name.as_bytes(), "{name}");
    }
    let mut found: Vec<String> = s3.list("").unwrap().into_iter().map(|entry| entry.name).collect();
    found.sort_unstable();
    names.sort_unstable();
    assert_eq!(found, names);
    s3.remove(&names).unwrap();
    assert!(s3.list("").unwrap().is_empty());
}

fn use_it(s3: &S3, name: &str) {
    s3.put(name, b"x").unwrap();
    assert_eq!(s3.read(name).unwrap(), b"x");
}

/// On the only blocking thread of a runtime with one thread, and even from its tasks, nothing waits for itself.
#[test]
fn any_thread_may_call() {
    let server = Server::shared();
    let s3 = server.bucket("threads-of-others");
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let blocking = s3.clone();
        tokio::task::spawn_blocking(move || use_it(&blocking, "blocking")).await.unwrap();
        use_it(&s3, "task");
        // The last one ends the threads of the store.
        drop(s3);
    });
    let s3 = server.bucket("threads-of-others");
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let s3 = &s3;
            scope.spawn(move || use_it(s3, &format!("thread-{thread}")));
        }
    });
}
