//! What lies in a data directory says nothing of an event without the keys, which lie elsewhere; a key that is destroyed takes its day
//! with it, wherever a copy of the data is.
//!
//! Not here: copies in the clear (`table_copies`), what identifies a person and is kept nowhere (`canary`).

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use shoal_privacy::keyring::Keyring;
use shoal_schemas::{IdentifierKind, Region};

use crate::process::{Process, Setup, until};
use crate::stage::{DAY_MS, Keys, POLICY, batch, day_text, letters, real_day};
use crate::table_copies::{CLEAR, OFTEN, send};
use crate::tables::{Copy, Stored as _, Tables, files, text};

/// People of each of two days: so many that noise with a deviation of 14 never brings their number below half of it.
const PEOPLE: i64 = 200;

/// Sends clicks of today and of the day before, and waits until they are in the table.
fn two_days(server: &Process, key: &str, setup: &Setup<'_>) {
    let now_ms = shoal_server::system_clock()();
    let clicks = (0..2 * PEOPLE).map(|n| {
        json!({"id": format!("e-{n}"), "event": "click", "user_id": format!("u-{n}"), "time": now_ms - (n % 2) * DAY_MS,
            "properties": {"element": letters(n as u64)}})
    });
    let clicks: Vec<Value> = clicks.collect();
    assert_eq!(server.client.events(key, &batch("DE", clicks))["accepted"], 2 * PEOPLE);
    until("the flush", || (Tables::read(setup).count() == 2 * PEOPLE as usize).then_some(()));
}

/// The files of the keys of a day of DE's usage.
fn key_files(setup: &Setup<'_>, day: &str) -> Vec<PathBuf> {
    let of_table = setup.data_key_dir().join("de/usage");
    let mut found = files(&of_table);
    found.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(day));
    found
}

/// The noisy number of people on a day. `mark` makes it another question: one that was answered keeps its answer.
fn people(server: &Process, keys: &Keys, day: &str, mark: &str) -> f64 {
    let sql = format!(
        "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '{day}' AND region = 'DE' AND element <> '{mark}'"
    );
    let question = json!({"sql": sql, "precision": "high"}).to_string();
    let answer = server.client.post("/v1/sql", &keys.analyst, question).expect(200).json();
    crate::query::rows(&answer)[0]["n"].as_f64().unwrap()
}

#[test]
fn a_day_whose_key_was_destroyed_is_gone_from_an_older_copy_of_the_data_and_other_days_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[OFTEN] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    two_days(&server, &keys.app, &setup);
    assert!(server.terminate().success());
    let (today, day) = (real_day(), day_text(shoal_server::system_clock()() - DAY_MS));
    let before = dir.path().join("before");
    crate::tables::copy(&setup.data_dir(), &before);
    let destroyed = key_files(&setup, &day);
    assert_eq!(destroyed.len(), 1);
    let key = fs::read(&destroyed[0]).unwrap();
    fs::remove_file(&destroyed[0]).unwrap();
    // The copy that was made before, with today's keys.
    fs::remove_dir_all(setup.data_dir()).unwrap();
    fs::rename(&before, setup.data_dir()).unwrap();

    let copied = Copy::of(&setup);
    let told = format!("de/usage of {day} ({PEOPLE} rows)");
    assert!(!copied.is_whole && copied.errors.contains(&told), "{}", copied.errors);
    let usage = copied.told["tables"].as_array().unwrap().iter().find(|t| t["table"] == "de/usage").unwrap();
    assert_eq!(usage["unreadable_days"], json!([day]));
    let tables = copied.tables();
    assert!(tables.rows("de/usage").iter().all(|row| text(row, "day") == today));
    assert_eq!(tables.count(), PEOPLE as usize);

    let server = setup.serve();
    assert!(
        server.log().contains("cannot be read any more") && server.log().contains(&day),
        "{}",
        server.log()
    );
    let half = PEOPLE as f64 / 2.0;
    assert!(people(&server, &keys, &today, "a") > half && people(&server, &keys, &day, "a") < half);
    // Events of that day are refused for as long as it can have some: nobody can tell how much of a person's day is kept. Those of
    // other days are taken.
    let late = json!({"id": "late", "event": "click", "user_id": "late", "time": shoal_server::system_clock()() - DAY_MS,
        "properties": {"element": "late"}});
    let late = batch("DE", vec![late]).to_string();
    let refused = server.client.post("/v1/events", &keys.app, late.clone());
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (503, Some("unavailable")),
        "{}",
        refused.text()
    );
    send(&server, &keys.app, "DE", 1_000..1_020);
    until("the flush", || (Copy::of(&setup).tables().count() == PEOPLE as usize + 20).then_some(()));
    assert!(people(&server, &keys, &today, "b") > half);
    let log = server.log();
    assert!(log.contains("a day cannot be counted; its events are refused"), "{log}");
    assert!(log.contains("put the key store back"), "{log}");
    assert!(server.terminate().success() && !log.contains("panicked"), "{log}");

    // It was lost and not destroyed: with the copy of the key store all is as it was.
    fs::write(&destroyed[0], key).unwrap();
    assert_eq!(Tables::read(&setup).count(), 2 * PEOPLE as usize + 20);
    let server = setup.serve();
    assert!(people(&server, &keys, &day, "c") > half);
    assert_eq!(server.client.post("/v1/events", &keys.app, late).expect(200).json()["accepted"], 1);
    assert!(server.terminate().success());
    // Without any key nothing starts: a key store that is lost is put back, and no service goes on beside it.
    fs::rename(setup.data_key_dir(), dir.path().join("away")).unwrap();
    let (code, _, errors) = setup.run(&["serve"]);
    assert!(code == 1 && errors.contains("put the key store back"), "{errors}");
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == part[0]);
    starts.into_iter().any(|(at, _)| bytes[at..].starts_with(part))
}

/// The text of an event, its person's pseudonym, and values of columns that are whole words: none of it is in a byte of the tables.
#[test]
fn nothing_of_a_row_is_in_any_byte_of_the_tables_of_a_data_directory() {
    let found = |variables: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        let setup = Setup { dir: dir.path(), variables };
        let keys = Keys::create(&setup.data_dir());
        let server = setup.serve();
        let crashes = (0..60).map(|n| {
            json!({"id": format!("e-{n}"), "event": "app_crash", "user_id": format!("u-{n}"), "properties": {
                "exception_type": "MarkerException", "message": "marmalade in the gearbox", "foreground": true,
                "frames": [{"module": "markermodule", "function": "f", "file": "f.kt", "line": 3}]}})
        });
        assert_eq!(server.client.events(&keys.app, &batch("DE", crashes.collect()))["accepted"], 60);
        let clicks = (0..60).map(|n| {
            json!({"id": format!("c-{n}"), "event": "click", "user_id": format!("u-{n}"),
                "properties": {"element": "markerelement", "screen": "markerscreen"}})
        });
        assert_eq!(server.client.events(&keys.app, &batch("DE", clicks.collect()))["accepted"], 60);
        until("the flush", || (Tables::read(&setup).count() == 120).then_some(()));
        assert!(server.terminate().success());
        let tables = Tables::read(&setup);
        let mut wanted: BTreeSet<Vec<u8>> = BTreeSet::new();
        for row in tables.0.values().flat_map(|table| &table.rows) {
            for digest in ["subject", "event_id"] {
                wanted.insert(text(row, digest).as_bytes().to_vec());
                wanted.insert(hex::decode(text(row, digest)).unwrap());
            }
            let words = ["event", "exception_type", "message", "stack", "element", "screen"];
            let words = words.iter().map(|column| text(row, column)).filter(|word| !word.is_empty());
            wanted.extend(words.map(|word| word.trim().as_bytes().to_vec()));
        }
        // 120 event ids, the pseudonyms of 60 people, each as bytes and in digits, and seven words.
        assert_eq!(wanted.len(), 2 * (120 + 60) + 7);
        let bytes_of = |is_log: bool| -> Vec<u8> {
            let mut found = files(&setup.data_dir());
            found.retain(|path| path.components().any(|part| part.as_os_str() == "tables"));
            found.retain(|path| path.to_string_lossy().contains("_delta_log") == is_log);
            found.iter().flat_map(|path| fs::read(path).unwrap()).collect()
        };
        let (rows, log) = (bytes_of(false), bytes_of(true));
        assert_eq!(wanted.iter().filter(|part| has(&log, part)).count(), 0, "no log of a table has a value");
        // The names of columns are in the log; of a file they are in the footer, which is encrypted.
        let names = [&b"device_model"[..], b"shoal.chunks"].iter().filter(|name| has(&rows, name)).count();
        wanted.iter().filter(|part| has(&rows, part)).count() + names
    };
    assert_eq!(found(&[OFTEN]), 0);
    let clear = found(&[OFTEN, CLEAR]);
    // The names and the smallest and largest values of columns stand in footers as they are. How much of a page does, too, is for its
    // compression to say: from none to all.
    assert!(clear > 5, "{clear}: or else this proves nothing");
}

/// Every byte that a service keeps but for its keys: the log as a kill has left it, runs, consents, withdrawals, ledger and audit.
#[test]
fn nothing_of_anybody_is_in_any_byte_of_a_data_directory() {
    let found = |clear: &[(&str, &str)]| {
        let dir = tempfile::tempdir().unwrap();
        let seldom = [clear, &[("SHOAL_INGEST_FLUSH_INTERVAL_MS", "300000")]].concat();
        let setup = Setup { dir: dir.path(), variables: &seldom };
        let keys = Keys::create(&setup.data_dir());
        let server = setup.serve();
        let clicks = (0..60).map(|n| {
            json!({"id": format!("c-{n}"), "event": "click", "user_id": format!("u-{n}"),
                "properties": {"element": "markerelement", "screen": "markerscreen"}})
        });
        assert_eq!(server.client.events(&keys.app, &batch("DE", clicks.collect()))["accepted"], 60);
        let withdrawal = json!({"action": "withdraw", "programme": "user-experience", "policy_version": POLICY,
            "user_id": "w-1", "country": "DE"});
        server.client.post("/v1/consents", &keys.app, withdrawal.to_string()).expect(200);
        let sql = "SELECT COUNT(*) AS n FROM usage WHERE screen <> 'markerquestion'";
        server.client.post("/v1/sql", &keys.analyst, json!({"sql": sql}).to_string()).expect(200);
        server.kill();
        let bytes_of = || -> Vec<u8> {
            let kept = ["data", "data.budget", "data.withdrawals"].map(|name| dir.path().join(name));
            kept.iter().flat_map(|dir| files(dir)).flat_map(|path| fs::read(path).unwrap()).collect()
        };
        let mut bytes = bytes_of();
        // The next start brings the events of the log to the tables, and their ids to a run.
        let often = [clear, &[OFTEN]].concat();
        let setup = Setup { dir: dir.path(), variables: &often };
        let server = setup.serve();
        until("the flush", || (Tables::read(&setup).count() == 60).then_some(()));
        assert!(server.terminate().success());
        bytes.extend(bytes_of());
        let keyring = Keyring::parse(&fs::read_to_string(dir.path().join("shoal.key")).unwrap()).unwrap();
        let digest = keyring.consent_digester(Region::De).digest(IdentifierKind::User, "w-1").into_bytes();
        let mut wanted: BTreeSet<Vec<u8>> = BTreeSet::from([digest.to_vec()]);
        wanted
            .extend(["markerelement", "markerscreen", "markerquestion"].map(|word| word.as_bytes().to_vec()));
        for row in Tables::read(&setup).0.values().flat_map(|table| &table.rows) {
            wanted.extend(["subject", "event_id"].map(|digest| hex::decode(text(row, digest)).unwrap()));
        }
        assert_eq!(wanted.len(), 4 + 120);
        wanted.iter().filter(|part| has(&bytes, part)).count()
    };
    assert_eq!(found(&[]), 0);
    assert!(found(&[CLEAR]) > 100, "or else this proves nothing");
}
