//! Tables in a bucket: the service over SeaweedFS, through a proxy that loses answers, and while the store is not there.
//!
//! `SHOAL_FAULTS` says how many faults the longest run has at least (100), `SHOAL_FAULTS_SEED` which seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::durability::{BATCH_EVENTS, batch_of, elements, expected};
use crate::process::{Process, Setup, until};
use crate::proxy::{Deed, Proxy};
use crate::servers::{KEY_ID, SECRET, Server};
use crate::stage::Keys;
use crate::table_copies::OFTEN;
use crate::tables::Tables;

/// What a service needs to have its tables in a bucket of whoever listens on this port.
struct Place {
    endpoint: String,
    url: String,
}

impl Place {
    fn new(port: u16, prefix: &str) -> Place {
        Place { endpoint: format!("http://127.0.0.1:{port}"), url: format!("s3://bucket/{prefix}") }
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        vec![
            ("SHOAL_STORAGE_URL", &self.url),
            ("SHOAL_STORAGE_ENDPOINT", &self.endpoint),
            ("SHOAL_STORAGE_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("SHOAL_INGEST_WAIT_MS_MAX", "60000"),
            OFTEN,
        ]
    }
}

/// Sends these batches, each until it is taken.
fn send(server: &Process, key: &str, batches: std::ops::Range<usize>) {
    for number in batches {
        let answer = server.client.events(key, &batch_of(number));
        assert_eq!(answer["accepted"], json!(BATCH_EVENTS), "{answer}");
    }
}

/// What is in the tables, by a copy in the clear.
fn tables(setup: &Setup<'_>) -> Tables {
    let to = tempfile::tempdir().unwrap();
    let copied = to.path().join("copy");
    let (code, out, errors) = setup.run(&["tables", "copy", copied.to_str().unwrap(), "--decrypt"]);
    assert_eq!(code, 0, "{out}{errors}");
    Tables::in_the_clear(&copied)
}

/// How many rows a service that is stopped has.
fn rows(setup: &Setup<'_>) -> u64 {
    let (code, shown, errors) = setup.run(&["status", "--json"]);
    assert_eq!(code, 0, "{errors}");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown["rows"].as_array().unwrap().iter().map(|of| of["rows"].as_u64().unwrap()).sum()
}

#[test]
fn tables_lie_in_the_bucket_alone_and_hold_what_was_taken_once() {
    let store = Server::shared();
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(store.port, "alone");
    let variables = place.variables();
    let setup = Setup { dir: dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys.app, 0..8);
    // Killed at any moment, and then ended in order.
    server.kill();
    let server = setup.serve();
    send(&server, &keys.app, 8..16);
    let answer = server.client.sql(&keys.officer, "SELECT COUNT(*) AS n FROM usage");
    assert!(answer["columns"].is_array(), "{answer}");
    assert!(server.terminate().success());
    for region in ["us", "de", "sg", "my"] {
        assert!(!setup.data_dir().join(region).join("tables").exists(), "{region}");
    }
    let bucket = shoal_files::Objects::list(&store.bucket("alone"), "").unwrap();
    assert!(bucket.iter().any(|entry| entry.name.starts_with("de/tables/usage/_delta_log/")));
    let is_own = |name: &str| name.contains("/tables/") || name == "owner";
    assert!(bucket.iter().all(|entry| is_own(&entry.name)), "the probe has left something");
    let numbers: Vec<usize> = (0..16).collect();
    assert_eq!(elements(&tables(&setup)), expected(&numbers));
    let (code, plan, errors) = setup.run(&["retention", "plan", "--json"]);
    assert_eq!(code, 0, "{plan}{errors}");
    assert_eq!(rows(&setup), (16 * BATCH_EVENTS) as u64);
}

#[test]
fn a_backup_of_a_bucket_is_put_back_into_another_one() {
    let store = Server::shared();
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(store.port, "saved");
    let variables = place.variables();
    let setup = Setup { dir: dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys.app, 0..4);
    assert!(server.terminate().success());
    let backup = dir.path().join("backup");
    let backup = backup.to_str().unwrap();
    let (code, out, errors) = setup.run(&["backup", "create", backup]);
    assert_eq!(code, 0, "{out}{errors}");
    std::fs::rename(setup.data_dir(), dir.path().join("lost")).unwrap();
    let data_dir = setup.data_dir();
    let restore = ["backup", "restore", backup, "--to", data_dir.to_str().unwrap()];
    let (code, _, errors) = setup.run(&restore);
    assert!(code != 0 && errors.contains("holds tables"), "{errors}");
    std::fs::remove_dir_all(setup.data_dir()).unwrap();
    let place = Place::new(store.port, "put-back");
    let variables = place.variables();
    let setup = Setup { dir: dir.path(), variables: &variables };
    let (code, out, errors) = setup.run(&restore);
    assert_eq!(code, 0, "{out}{errors}");
    let server = setup.serve();
    send(&server, &keys.app, 4..6);
    assert!(server.terminate().success());
    assert_eq!(elements(&tables(&setup)), expected(&(0..6).collect::<Vec<_>>()));
}

#[test]
fn a_second_data_directory_over_the_same_tables_is_refused() {
    let store = Server::shared();
    let place = Place::new(store.port, "owned");
    let variables = place.variables();
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Setup { dir: one.path(), variables: &variables };
    let keys = Keys::create(&first.data_dir());
    let server = first.serve();
    send(&server, &keys.app, 0..1);
    let (code, _, errors) = Setup { dir: other.path(), variables: &variables }.run(&["serve"]);
    assert!(code != 0 && errors.contains("another data directory"), "{errors}");
    send(&server, &keys.app, 1..2);
    assert!(server.terminate().success());
    assert_eq!(elements(&tables(&first)), expected(&[0, 1]));
}

#[test]
fn a_store_without_conditional_writes_is_refused_with_the_reason() {
    let store = Server::rclone();
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(store.port, "refused");
    let variables = place.variables();
    let setup = Setup { dir: dir.path(), variables: &variables };
    let (code, _, errors) = setup.run(&["serve"]);
    assert!(
        code != 0 && errors.contains("s3://bucket/refused") && errors.contains("conditional"),
        "{errors}"
    );
    assert!(!errors.contains(SECRET) && !errors.contains(KEY_ID), "{errors}");
}

#[test]
fn while_the_store_is_not_there_events_are_taken_and_then_they_are_in_the_tables_once() {
    let store = Server::shared();
    let is_down = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let (down, refused) = (Arc::clone(&is_down), Arc::clone(&asked));
    let proxy = Proxy::start(store.port, move |_, _, _| match down.load(Ordering::SeqCst) {
        true => {
            refused.fetch_add(1, Ordering::SeqCst);
            Deed::Reset
        }
        false => Deed::Pass,
    });
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(proxy.port, "outage");
    let variables = place.variables();
    let setup = Setup { dir: dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys.app, 0..4);
    is_down.store(true, Ordering::SeqCst);
    send(&server, &keys.app, 4..12);
    until("a flush that is refused", || (asked.load(Ordering::SeqCst) > 3).then_some(()));
    send(&server, &keys.app, 12..16);
    // A process that dies meanwhile has lost nothing either.
    server.kill();
    is_down.store(false, Ordering::SeqCst);
    let server = setup.serve();
    send(&server, &keys.app, 16..20);
    assert!(server.terminate().success());
    assert_eq!(elements(&tables(&setup)), expected(&(0..20).collect::<Vec<_>>()));
}

/// What is done to a request: most pass.
fn deed(random: &mut u64) -> Deed {
    // SplitMix64.
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *random;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    match (z ^ (z >> 31)) % 32 {
        0 | 1 => Deed::LoseAnswer,
        2 => Deed::CutAnswer,
        3 => Deed::AnswerAfter(500, "InternalError"),
        4 => Deed::AnswerAfter(503, "SlowDown"),
        5 => Deed::AnswerBefore(409, "ConditionalRequestConflict"),
        6 => Deed::AnswerBefore(412, "PreconditionFailed"),
        7 => Deed::AnswerBefore(429, "TooManyRequests"),
        8 => Deed::Reset,
        _ => Deed::Pass,
    }
}

#[test]
fn commits_whose_answers_are_lost_are_in_the_tables_once() {
    let variable = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = variable("SHOAL_FAULTS_SEED").unwrap_or_else(|| std::process::id().into());
    let enough = variable("SHOAL_FAULTS").unwrap_or(100) as usize;
    println!("SHOAL_FAULTS_SEED={seed}");
    let store = Server::shared();
    let (mut random, faults) = (seed, Arc::new(AtomicUsize::new(0)));
    // A start asks the store whether it can be used, and believes it.
    let is_on = Arc::new(AtomicBool::new(false));
    let (counted, on) = (Arc::clone(&faults), Arc::clone(&is_on));
    let proxy = Proxy::start(store.port, move |_, _, _| {
        let deed = if on.load(Ordering::SeqCst) { deed(&mut random) } else { Deed::Pass };
        counted.fetch_add(usize::from(deed != Deed::Pass), Ordering::SeqCst);
        deed
    });
    let dir = tempfile::tempdir().unwrap();
    let place = Place::new(proxy.port, &format!("faults-{seed}"));
    let variables = place.variables();
    let setup = Setup { dir: dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    is_on.store(true, Ordering::SeqCst);
    let mut sent = 0;
    while faults.load(Ordering::SeqCst) < enough {
        send(&server, &keys.app, sent..sent + 4);
        sent += 4;
        // It may fail for what the store does, and be repeated.
        setup.run(&["retention", "run", "--once", "--key", &keys.officer]);
    }
    is_on.store(false, Ordering::SeqCst);
    assert!(server.terminate().success());
    assert_eq!(elements(&tables(&setup)), expected(&(0..sent).collect::<Vec<_>>()), "seed {seed}");
}
