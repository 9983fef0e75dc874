//! A cache before a store that counts, blocks and fails when it is told to.
//!
//! - `store`: that store; `local_disk`: what leaves the local file, and a local disk that fails; `ahead`: reading before readers
//!
//! Nothing sleeps: what is waited for is told.
#![allow(clippy::unwrap_used)]

mod ahead;
mod local_disk;
mod store;

use std::io::ErrorKind;
use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::{Memory, conformance};
use store::{Store, bytes};

const M: usize = BLOCK_BYTES as usize;

/// A cache of so many blocks before this store, and the directory that its file was made in.
fn cached(store: &Store, blocks: u64) -> (Cached, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let cached = Cached::new(Arc::new(store.clone()), dir.path(), blocks << 20, |_| true).unwrap();
    (cached, dir)
}

/// Reads from an open object.
fn read(source: &dyn Source, from: usize, to: usize) -> io::Result<Vec<u8>> {
    let mut found = vec![0; to - from];
    source.read_at(from as u64, &mut found).map(|()| found)
}

/// Waits for something that another thread is about to do.
fn until(is_done: impl Fn() -> bool) {
    while !is_done() {
        thread::yield_now();
    }
}

#[test]
fn a_cache_conforms_whatever_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let of = |bytes_max, is_fixed: fn(&str) -> bool| {
        Cached::new(Arc::new(Memory::new()), dir.path(), bytes_max, is_fixed).unwrap()
    };
    let all = of(64 << 20, |_| true);
    conformance::objects(&all);
    assert!(all.counts().requests > 0);
    conformance::objects(&of(0, |_| true));
    let none = of(64 << 20, |_| false);
    conformance::objects(&none);
    assert_eq!(none.counts(), CacheCounts::default());
    conformance::objects(&of(64 << 20, |name| name.len() % 2 == 0));
}

#[test]
fn what_was_read_once_is_not_asked_for_again() {
    let store = Store::with(&[("a", 3 * M + 500)]);
    let (cached, _dir) = cached(&store, 16);
    for _ in 0..2 {
        let source = cached.open("a").unwrap();
        assert_eq!(source.length().unwrap(), 3 * BLOCK_BYTES + 500);
        for from in (0..3 * M + 500).step_by(M / 4) {
            let to = (from + M / 4).min(3 * M + 500);
            assert!(read(&*source, from, to).unwrap() == bytes("a", 3 * M + 500)[from..to]);
        }
    }
    assert!(cached.read("a").unwrap() == bytes("a", 3 * M + 500));
    assert_eq!(store.requests(), [(0, M), (M, M), (2 * M, M), (3 * M, 500)]);
    assert_eq!(store.opens(), 1);
    let counts = cached.counts();
    assert_eq!((counts.requests, counts.misses, counts.fetched_bytes), (4, 4, 3 * BLOCK_BYTES + 500));
    assert_eq!((counts.hits, counts.evictions, counts.requests_ahead), (9 + 13 + 4, 0, 0));
}

#[test]
fn adjacent_blocks_are_one_request_of_at_most_eight_and_what_is_here_is_not_asked_for() {
    let store = Store::with(&[("a", 12 * M), ("b", 5 * M + 1)]);
    let (cached, _dir) = cached(&store, 64);
    assert!(cached.read("a").unwrap() == bytes("a", 12 * M));
    assert_eq!(store.requests(), [(0, 8 * M), (8 * M, 4 * M)]);
    let source = cached.open("b").unwrap();
    read(&*source, 2 * M + 5, 2 * M + 6).unwrap();
    assert!(cached.read("b").unwrap() == bytes("b", 5 * M + 1));
    assert_eq!(store.requests(), [(2 * M, M), (0, 2 * M), (3 * M, 2 * M + 1)]);
}

#[test]
fn many_readers_of_a_block_wait_for_one_request() {
    const THREADS: u64 = 8;
    let store = Store::with(&[("a", 2 * M)]);
    let (cached, _dir) = cached(&store, 16);
    let source = cached.open("a").unwrap();
    store.close();
    thread::scope(|scope| {
        for at in 0..THREADS as usize {
            let source = &*source;
            scope.spawn(move || {
                assert!(read(source, at, M - at).unwrap() == bytes("a", 2 * M)[at..M - at]);
            });
        }
        until(|| cached.counts().misses == THREADS);
        // Other objects are not kept waiting.
        assert_eq!(cached.open("none").err().map(|e| e.kind()), Some(ErrorKind::NotFound));
        store.open_gate();
    });
    assert_eq!(store.requests(), [(0, M)]);
}

#[test]
fn errors_of_the_store_come_as_they_are_and_nothing_is_kept_of_them() {
    let store = Store::with(&[("a", 3 * M)]);
    let (cached, _dir) = cached(&store, 16);
    let source = cached.open("a").unwrap();
    let is_its = |error: io::Error| error.get_ref().is_some_and(|inner| inner.is::<store::Told>());
    store.fail(true);
    assert!(is_its(read(&*source, 0, 10).unwrap_err()));
    assert!(cached.open("other").is_err_and(is_its));
    store.close();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| read(&*source, 5, 2 * M))).collect();
        until(|| cached.counts().misses == 5);
        store.open_gate();
        for reader in readers {
            assert!(is_its(reader.join().unwrap().unwrap_err()), "each gets the store's own");
        }
    });
    store.fail(false);
    store.requests();
    assert!(cached.read("a").unwrap() == bytes("a", 3 * M));
    assert_eq!(store.requests(), [(0, 3 * M)]);
}

#[test]
fn a_store_that_panics_leaves_nobody_waiting() {
    let store = Store::with(&[("a", M)]);
    let (cached, _dir) = cached(&store, 16);
    let source = cached.open("a").unwrap();
    store.panic_next();
    store.close();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| scope.spawn(|| read(&*source, 0, M))).collect();
        until(|| cached.counts().misses == 2);
        store.open_gate();
        let panics = readers.into_iter().map(thread::ScopedJoinHandle::join).filter(Result::is_err);
        assert_eq!(panics.count(), 1);
    });
    assert!(cached.read("a").unwrap() == bytes("a", M));
}

#[test]
fn what_is_replaced_while_it_is_opened_is_not_taken_for_the_new_one() {
    let store = Store::with(&[("a", 10)]);
    let (cached, _dir) = cached(&store, 16);
    store.close();
    thread::scope(|scope| {
        let opening = scope.spawn(|| cached.open("a").unwrap());
        until(|| store.opens() == 1);
        cached.put("a", b"the new bytes").unwrap();
        store.open_gate();
        let old = opening.join().unwrap();
        assert_eq!(read(&*old, 0, 10).unwrap(), bytes("a", 10));
    });
    assert_eq!(cached.read("a").unwrap(), b"the new bytes");
    let mut draft = cached.write("a").unwrap();
    draft.write_all(b"newer").unwrap();
    assert_eq!(cached.read("a").unwrap(), b"the new bytes");
    draft.finish().unwrap();
    assert_eq!(cached.read("a").unwrap(), b"newer");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Readers, hints, removals and a cache that is far too small: every byte is the store's, and no more is kept than there is room for.
    #[test]
    fn every_byte_is_the_stores_whatever_happens_at_the_same_time(
        blocks in 1_u64..6,
        plans in prop::collection::vec(prop::collection::vec((0_usize..4, 0.0..1.0_f64, 1_usize..3 * M), 12), 4),
    ) {
        let sizes = [("a", 5 * M + 77), ("b", 2 * M + M / 2), ("c", 900), ("gone", 2 * M)];
        let store = Store::with(&sizes);
        let (cached, _dir) = cached(&store, blocks);
        let start = Barrier::new(plans.len());
        thread::scope(|scope| {
            for plan in &plans {
                let (cached, start) = (&cached, &start);
                scope.spawn(move || {
                    start.wait();
                    for (object, at, length) in plan {
                        let (name, size) = sizes[*object];
                        let source = cached.open(name).unwrap();
                        let from = (at * size as f64) as usize;
                        let to = (from + length).min(size);
                        source.will_read(&[from as u64..to as u64, 0..size as u64]);
                        assert!(read(&*source, from, to).unwrap() == bytes(name, size)[from..to]);
                        if name == "gone" {
                            cached.put(name, &bytes(name, size)).unwrap();
                        }
                    }
                });
            }
        });
        assert!(cached.reading.index().local_blocks() as u64 <= blocks);
        assert_eq!(cached.counts().local_failures, 0);
    }
}
