//! What was acknowledged is there once: after kill -9 under load, after a stop, after resends, however often it was sent.
//!
//! `SHOAL_FAULT_ROUNDS` is how many times the process is killed (3 when it is not set).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::Client;
use crate::process::Setup;
use crate::stage::{Keys, World, batch, click, consent, letters};
use crate::tables::{Tables, files, text};

pub(crate) const SENDERS: usize = 4;
pub(crate) const BATCH_EVENTS: usize = 20;

/// Variables that make flushes frequent, so that kills hit them too.
pub(crate) const BUSY: [(&str, &str); 2] = [("SHOAL_INGEST_FLUSH_INTERVAL_MS", "50"), PATIENT];
/// On a busy machine nothing is refused for having waited.
const PATIENT: (&str, &str) = ("SHOAL_INGEST_WAIT_MS_MAX", "60000");

fn rounds() -> usize {
    std::env::var("SHOAL_FAULT_ROUNDS").map_or(3, |text| text.parse().unwrap())
}

/// A batch of one sender; each event is told from all others by its element.
pub(crate) fn batch_of(number: usize) -> Value {
    let country = ["DE", "US", "SG", "MY"][number % 4];
    let events = (0..BATCH_EVENTS).map(|at| {
        let unique = (number * BATCH_EVENTS + at) as u64;
        json!({"id": format!("event-{unique}"), "event": "click", "user_id": format!("user-{}", unique % 50),
            "properties": {"element": letters(unique), "screen": "home"}})
    });
    json!({"consent": consent(), "country": country, "events": events.collect::<Vec<_>>()})
}

/// Batches by what became of them.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) acknowledged: Vec<usize>,
    pub(crate) unknown: Vec<usize>,
}

/// Sends batches from several threads until told to stop, or until the server is gone.
fn load(client: Client, key: &str, next: &AtomicUsize, enough: usize, kill: impl FnOnce()) -> Sent {
    let sent = Mutex::new(Sent::default());
    let (count, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let key = format!("Bearer {key}");
                    let answer = client.ask(
                        "POST",
                        "/v1/events",
                        &[("authorization", &key)],
                        batch_of(number).to_string().as_bytes(),
                    );
                    let mut sent = sent.lock().unwrap();
                    match answer {
                        Ok(answer) => {
                            assert_eq!(answer.expect(200).json()["accepted"], BATCH_EVENTS);
                            sent.acknowledged.push(number);
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(_) => {
                            sent.unknown.push(number);
                            return;
                        }
                    }
                }
            });
        }
        let came = came(&count, enough, &sent);
        if came {
            kill();
        }
        is_over.store(true, Ordering::SeqCst);
        assert!(came, "a sender has failed, or nothing is acknowledged");
    });
    sent.into_inner().unwrap()
}

/// Waits until so many batches are acknowledged; false when a sender has failed or none can be.
pub(crate) fn came(count: &AtomicUsize, enough: usize, sent: &Mutex<Sent>) -> bool {
    let end = Instant::now() + Duration::from_secs(120);
    while count.load(Ordering::SeqCst) < enough {
        if sent.is_poisoned() || Instant::now() > end {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// How often each element is in the tables.
pub(crate) fn elements(tables: &Tables) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for (_, row) in tables.events("click") {
        *found.entry(text(row, "element").to_owned()).or_insert(0) += 1;
    }
    found
}

pub(crate) fn expected(batches: &[usize]) -> BTreeMap<String, usize> {
    let numbers = batches.iter().flat_map(|b| (0..BATCH_EVENTS).map(move |at| b * BATCH_EVENTS + at));
    numbers.map(|number| (letters(number as u64), 1)).collect()
}

#[test]
fn what_was_acknowledged_survives_kills_and_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &BUSY };
    let keys = Keys::create(&setup.data_dir());
    let next = AtomicUsize::new(0);
    let mut all = Sent::default();
    for round in 0..rounds() {
        let server = setup.serve();
        // Kills come at different moments: before the first flush, during one, long after.
        let enough = 3 + 37 * round % 101;
        let sent = load(server.client, &keys.app, &next, enough, || server.kill());
        all.acknowledged.extend(sent.acknowledged);
        all.unknown.extend(sent.unknown);
    }
    is_there_once(&setup, &keys.app, &all);
}

/// Starts the service, and looks whether every batch that was acknowledged is in the tables once, and every other one as a whole or
/// not at all; then whether it stops in order.
pub(crate) fn is_there_once(setup: &Setup<'_>, key: &str, all: &Sent) {
    let server = setup.serve();
    for number in &all.acknowledged {
        let answer = server.client.events(key, &batch_of(*number));
        assert_eq!(answer["duplicate"], BATCH_EVENTS, "batch {number} was acknowledged: {answer}");
    }
    let mut wanted = expected(&all.acknowledged);
    for number in &all.unknown {
        // A batch without an answer is there as a whole or not at all; its client sends it again.
        let answer = server.client.events(key, &batch_of(*number));
        let known = answer["duplicate"].as_u64().unwrap();
        assert!(known == 0 || known == BATCH_EVENTS as u64, "half a batch: {answer}");
        assert_eq!(known + answer["accepted"].as_u64().unwrap(), BATCH_EVENTS as u64);
    }
    wanted.extend(expected(&all.unknown));
    assert!(server.terminate().success());
    assert_eq!(elements(&Tables::read(&setup)), wanted);
}

#[test]
fn a_stop_under_load_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let setup =
        Setup { dir: dir.path(), variables: &[("SHOAL_INGEST_FLUSH_INTERVAL_MS", "300000"), PATIENT] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let sent = load(server.client, &keys.app, &AtomicUsize::new(0), 25, || {
        assert!(server.terminate().success());
    });
    let found = elements(&Tables::read(&setup));
    for element in expected(&sent.acknowledged).keys() {
        assert_eq!(found.get(element), Some(&1), "{element}");
    }
    assert!(found.values().all(|count| *count == 1));
    let maybe = expected(&sent.unknown);
    let acknowledged = expected(&sent.acknowledged);
    assert!(found.keys().all(|e| acknowledged.contains_key(e) || maybe.contains_key(e)));
}

#[test]
fn the_same_batch_in_parallel_counts_once() {
    let world = World::new();
    let body = batch("SG", (0..10).map(|at| click(&format!("id-{at}"), "u", &letters(at))).collect());
    let (threads, together) = (100, Barrier::new(100));
    let counted = Mutex::new((0, 0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                together.wait();
                let answer = world.client().events(&world.keys.app, &body);
                let count = |name: &str| answer[name].as_u64().unwrap();
                assert_eq!(count("accepted") + count("duplicate"), 10, "{answer}");
                let mut counted = counted.lock().unwrap();
                counted.0 += count("accepted");
                counted.1 += count("duplicate");
            });
        }
    });
    assert_eq!(*counted.lock().unwrap(), (10, 990));
    world.flush();
    assert_eq!(Tables::read(&world).rows("sg/usage").len(), 10);
}

#[test]
fn a_crash_between_the_commit_and_the_recycling_of_the_log_doubles_nothing() {
    let mut world = World::new();
    let body = batch("DE", (0..50).map(|at| click(&format!("id-{at}"), "u", &letters(at))).collect());
    assert_eq!(world.client().events(&world.keys.app, &body)["accepted"], 50);
    // The segment as it is before the tables have it, put back afterwards: what a crash in between would leave.
    let directory = world.data_dir().join("de/log");
    let segments: Vec<(PathBuf, Vec<u8>)> = files(&directory)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    assert_eq!(segments.len(), 1);
    world.flush();
    world.stop();
    let runs = world.data_dir().join("de/dedup");
    for is_run_lost in [false, true] {
        for (path, bytes) in &segments {
            fs::write(path, bytes).unwrap();
        }
        if is_run_lost {
            // The run of event ids is written after the commit too.
            fs::remove_dir_all(&runs).unwrap();
        }
        world.restart(|_| {});
        assert_eq!(world.client().events(&world.keys.app, &body)["duplicate"], 50);
        world.flush();
        assert_eq!(Tables::read(&world).count(), 50, "run lost: {is_run_lost}");
        world.stop();
    }
}

#[test]
fn a_resend_is_known_after_flush_and_restart_for_two_days() {
    let mut world = World::new();
    let body = batch("MY", vec![click("once", "u", "a")]);
    let send = |world: &World| {
        let answer = world.client().events(&world.keys.app, &body);
        (answer["accepted"].as_u64().unwrap(), answer["duplicate"].as_u64().unwrap())
    };
    assert_eq!(send(&world), (1, 0));
    world.flush();
    assert_eq!(send(&world), (0, 1));
    world.restart(|_| {});
    assert_eq!(send(&world), (0, 1));
    // The clock is set 400 hours ahead for a while, and back: nothing is older for it.
    let now_ms = world.now_ms();
    world.set_now_ms(now_ms + 400 * 3_600_000);
    world.flush();
    world.restart(|_| {});
    world.flush();
    world.set_now_ms(now_ms);
    world.restart(|_| {});
    assert_eq!(send(&world), (0, 1));
    world.pass_ms(47 * 3_600_000);
    world.restart(|_| {});
    assert_eq!(send(&world), (0, 1));
    world.flush();
    assert_eq!(Tables::read(&world).rows("my/usage").len(), 1);
}
