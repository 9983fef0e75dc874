//! What is read before its reader comes.

use super::*;

/// The threads, all of which wait for the store when so many requests have come.
const THREADS: usize = 8;

/// Whether the first block of an object is neither here nor on its way.
fn is_nowhere(cached: &Cached, name: &str) -> bool {
    let mut index = cached.reading.index();
    let object = index.find(name).unwrap();
    !index.is_here(&object, 0..1)
}

#[test]
fn what_will_be_read_is_here_before_it_is_read() {
    let store = Store::with(&[("a", 20 * M)]);
    let (cached, _dir) = cached(&store, 64);
    let source = cached.open("a").unwrap();
    store.close();
    source.will_read(&[0..9 * BLOCK_BYTES, 10 * BLOCK_BYTES..10 * BLOCK_BYTES + 5]);
    store.wait_for_requests(3);
    // A hint that is given again is none.
    source.will_read(&[0..BLOCK_BYTES]);
    store.open_gate();
    until(|| cached.reading.index().local_blocks() == 10);
    let mut requests = store.requests();
    requests.sort_unstable();
    assert_eq!(requests, [(0, 8 * M), (8 * M, M), (10 * M, M)]);
    assert!(read(&*source, 0, 9 * M).unwrap() == bytes("a", 20 * M)[..9 * M]);
    assert!(read(&*source, 10 * M, 11 * M).unwrap() == bytes("a", 20 * M)[10 * M..11 * M]);
    assert_eq!(store.requests(), []);
    let counts = cached.counts();
    assert_eq!((counts.requests_ahead, counts.misses, counts.dropped_ahead), (3, 0, 0));
}

#[test]
fn a_reader_waits_for_what_is_on_its_way_and_asks_for_itself_when_that_fails() {
    let store = Store::with(&[("a", 2 * M)]);
    let (cached, _dir) = cached(&store, 64);
    let source = cached.open("a").unwrap();
    store.close();
    store.panic_next();
    source.will_read(&[0..2 * BLOCK_BYTES]);
    store.wait_for_requests(1);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read(&*source, 5, M + 5));
        until(|| cached.counts().misses == 1);
        assert_eq!(store.requests(), [(0, 2 * M)]);
        store.open_gate();
        assert!(reader.join().unwrap().unwrap() == bytes("a", 2 * M)[5..M + 5]);
    });
    assert_eq!(store.requests(), [(5, M)]);
    // The threads have survived it.
    for round in 0..THREADS as u64 + 1 {
        store.panic_next();
        source.will_read(&[0..BLOCK_BYTES]);
        until(|| cached.counts().requests_ahead == round + 2);
        store.wait_for_requests(1);
        store.requests();
        until(|| is_nowhere(&cached, "a"));
    }
    source.will_read(&[0..BLOCK_BYTES]);
    until(|| cached.reading.index().local_blocks() == 1);
}

#[test]
fn nothing_is_read_for_a_reader_that_is_gone() {
    let names: Vec<String> = (0..THREADS + 2).map(|number| number.to_string()).collect();
    let sizes: Vec<(&str, usize)> =
        names.iter().enumerate().map(|(number, name)| (name.as_str(), 100 + number)).collect();
    let store = Store::with(&sizes);
    let (cached, _dir) = cached(&store, 1024);
    let sources: Vec<_> = names.iter().map(|name| cached.open(name).unwrap()).collect();
    store.close();
    let mut readers = sources.into_iter();
    let busy: Vec<_> = readers.by_ref().take(THREADS).collect();
    busy.iter().for_each(|source| source.will_read(&[0..1]));
    store.wait_for_requests(THREADS);
    store.requests();
    let (gone, stays) = (readers.next().unwrap(), readers.next().unwrap());
    gone.will_read(&[0..1]);
    drop(gone);
    stays.will_read(&[0..1]);
    store.open_gate();
    store.wait_for_requests(1);
    assert_eq!(store.requests(), [(0, 100 + THREADS + 1)]);
}

#[test]
fn more_hints_than_there_is_room_for_are_dropped_and_nobody_waits() {
    let store = Store::with(&[("a", 30 * M)]);
    let (cached, _dir) = cached(&store, 4 * 8);
    let source = cached.open("a").unwrap();
    store.close();
    for block in 0..THREADS as u64 {
        source.will_read(&[2 * block * BLOCK_BYTES..2 * block * BLOCK_BYTES + 1]);
        store.wait_for_requests(block as usize + 1);
    }
    for block in 16..26 {
        source.will_read(&[block * BLOCK_BYTES..block * BLOCK_BYTES + 1]);
    }
    assert_eq!(cached.counts().dropped_ahead, 8, "two wait, half of what the cache has room for");
    store.open_gate();
    until(|| cached.reading.index().local_blocks() == THREADS + 2);
    // The threads end with the cache, and an open reader reads on.
    drop(cached);
    source.will_read(&[0..30 * BLOCK_BYTES]);
    assert!(read(&*source, 0, 30 * M).unwrap() == bytes("a", 30 * M));
}
