//! Other programs read tables by a copy in the clear, which somebody asks for by name, and which the audit tells of.
//!
//! Everything here goes through the real binary and the definitions in force. What other tests read is read by a copy, too (`tables`).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Process, Setup, until};
use crate::stage::{DAY_MS, Keys, World, batch, consent, day_text, letters};
use crate::tables::{Row, Table, Tables, clear_and_sealed, files, script, text};

pub(crate) const OFTEN: (&str, &str) = ("SHOAL_INGEST_FLUSH_INTERVAL_MS", "50");
pub(crate) const CLEAR: (&str, &str) = ("SHOAL_STORAGE_ENCRYPT", "false");

/// `shoal tables copy --decrypt`, with its exit code, its JSON and its errors.
fn copy(setup: &Setup<'_>, to: &Path, more: &[&str]) -> (i32, Value, String) {
    let usual = ["tables", "copy", to.to_str().unwrap(), "--decrypt", "--json"];
    let (code, out, errors) = setup.run(&[&usual[..], more].concat());
    (code, serde_json::from_str(&out).unwrap_or(Value::Null), errors)
}

/// Sends clicks of one country, each known by its element.
pub(crate) fn send(server: &Process, key: &str, country: &str, numbers: std::ops::Range<usize>) {
    let clicks = numbers.clone().map(|n| {
        json!({"id": format!("e-{n}"), "event": "click", "user_id": format!("u-{n}"),
            "properties": {"element": letters(n as u64), "screen": "home"}})
    });
    let body = json!({"consent": consent(), "country": country, "events": clicks.collect::<Vec<_>>()});
    assert_eq!(server.client.events(key, &body)["accepted"], json!(numbers.len()));
}

/// The elements of all clicks of a table.
fn elements(tables: &Tables, table: &str) -> BTreeSet<String> {
    tables.rows(table).iter().map(|row| text(row, "element").to_owned()).collect()
}

fn sent(numbers: std::ops::Range<usize>) -> BTreeSet<String> {
    numbers.map(|n| letters(n as u64)).collect()
}

/// Rows as texts, sorted; nulls left out, since DuckDB does not show a column that no file has.
fn comparable(table: &Table) -> Vec<String> {
    let plain = |row: &Row| {
        let mut row = row.clone();
        row.retain(|_, value| !value.is_null());
        Value::Object(row).to_string()
    };
    let mut all: Vec<String> = table.rows.iter().map(plain).collect();
    all.sort();
    all
}

/// What DuckDB reads of a copy, which must be what Python's `deltalake` reads.
fn read_by_both(dir: &Path) -> Tables {
    let delta = Tables::in_the_clear(dir);
    let output = script("read_duckdb.py", &[dir.to_str().unwrap()]);
    let duck = Tables(serde_json::from_slice(&output.stdout).unwrap());
    assert!(delta.0.keys().eq(duck.0.keys()));
    for (name, table) in &delta.0 {
        assert_eq!(comparable(table), comparable(&duck.0[name]), "{name}");
        let columns = &duck.0[name].schema;
        assert!(columns.keys().all(|column| table.schema.contains_key(column)), "{name}: {columns:?}");
    }
    delta
}

fn lines(setup: &Setup<'_>) -> Vec<Value> {
    let (code, shown, errors) = setup.run(&["audit", "show", "--last", "1000", "--json"]);
    assert_eq!(code, 0, "{errors}");
    let lines = shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["act"] == "tables_copy").collect()
}

#[test]
fn a_copy_beside_a_service_that_takes_events_has_what_was_in_and_one_of_a_stopped_service_has_all() {
    let dir = tempfile::tempdir().unwrap();
    // So often that merges take files away while they are copied.
    let merging = ("SHOAL_STORAGE_COMPACTION_INTERVAL_MIN", "1");
    let setup = Setup { dir: dir.path(), variables: &[OFTEN, merging] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys.app, "DE", 0..300);
    send(&server, &keys.app, "US", 0..50);
    until("the flush", || (Tables::read(&setup).count() == 350).then_some(()));
    let (stop, next, begun) = (AtomicBool::new(false), AtomicUsize::new(300), Instant::now());
    let to = |name: &str| dir.path().join(name);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_secs(120) {
                let first = next.load(Ordering::SeqCst);
                send(&server, &keys.app, "DE", first..first + 20);
                next.fetch_add(20, Ordering::SeqCst);
            }
        });
        for round in 0..3 {
            let (code, told, errors) = copy(&setup, &to(&format!("live-{round}")), &[]);
            assert_eq!(code, 0, "{errors}");
            let tables = read_by_both(&to(&format!("live-{round}")));
            let found = elements(&tables, "de/usage");
            let after = next.load(Ordering::SeqCst) + 20;
            assert!(found.is_superset(&sent(0..300)) && found.is_subset(&sent(0..after)), "{}", found.len());
            assert_eq!(found.len(), tables.rows("de/usage").len(), "each once");
            let rows: u64 =
                told["tables"].as_array().unwrap().iter().map(|t| t["rows"].as_u64().unwrap()).sum();
            assert_eq!(rows as usize, tables.count(), "{told}");
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert!(server.terminate().success());

    let all = next.load(Ordering::SeqCst);
    has_all(&setup, all);
    the_audit_tells(&setup, all);
}

/// A copy of a stopped service: all events that were sent, for the copy's owner alone.
fn has_all(setup: &Setup<'_>, all: usize) {
    let to = |name: &str| setup.dir.join(name);
    let (code, _, errors) = copy(setup, &to("all"), &[]);
    assert!(code == 0 && errors.contains("personal data") && errors.contains("by hand"), "{errors}");
    let tables = read_by_both(&to("all"));
    assert_eq!(elements(&tables, "de/usage"), sent(0..all));
    assert_eq!((elements(&tables, "us/usage"), tables.count()), (sent(0..50), all + 50));
    assert_eq!(tables.0.len(), 16, "also those without rows");
    assert_eq!(clear_and_sealed(&to("all")).1, 0);
    assert_eq!(clear_and_sealed(&setup.data_dir()).0, 0, "and nothing in the clear beside the data");
    for path in files(&to("all")) {
        let modes = path.ancestors().take_while(|above| *above != setup.dir);
        for path in modes {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o077, 0, "{}", path.display());
        }
    }
    // One table, and the table that people are shown.
    let one = to("one");
    let (code, out, errors) =
        setup.run(&["tables", "copy", "--decrypt", one.to_str().unwrap(), "--table", "us/usage"]);
    assert!(
        code == 0 && out.contains("us/usage") && out.contains("50 rows") && !out.contains("de/"),
        "{out}{errors}"
    );
    assert_eq!(read_by_both(&one).0.len(), 1);
}

/// Two lines of each of the five copies.
fn the_audit_tells(setup: &Setup<'_>, all: usize) {
    let lines = lines(setup);
    let told = |at: usize, name: &str| lines[at][name].clone();
    assert_eq!(lines.len(), 2 * 5);
    for at in (0..10).step_by(2) {
        assert_eq!((told(at, "outcome"), told(at + 1, "outcome")), (json!("begun"), json!("done")));
        assert_eq!((told(at, "id"), told(at, "role")), (told(at + 1, "id"), json!("operator")));
    }
    assert_eq!(told(7, "rows"), json!(all + 50));
    assert_eq!((told(8, "tables"), told(9, "rows")), (json!(["US/usage"]), json!(50)));
    let shown = lines.iter().map(Value::to_string).collect::<String>();
    assert!(!shown.contains("live-0") && !shown.contains(setup.dir.to_str().unwrap()), "no path: {shown}");
    assert_eq!(setup.run(&["audit", "verify"]).0, 0);
}

/// What a version of before there were keys has written, or one that was told not to encrypt.
#[test]
fn files_of_before_encryption_are_in_the_copy_beside_encrypted_ones() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Setup { dir: dir.path(), variables: &[OFTEN, CLEAR] };
    let sealed = Setup { dir: dir.path(), variables: &[OFTEN] };
    let keys = Keys::create(&plain.data_dir());
    for (setup, numbers) in [(&plain, 0..40), (&sealed, 40..90)] {
        let server = setup.serve();
        let end = numbers.end;
        send(&server, &keys.app, "DE", numbers);
        until("the flush", || (Tables::read(setup).count() == end).then_some(()));
        assert!(server.terminate().success());
    }
    let (clear, encrypted) = clear_and_sealed(&plain.data_dir());
    assert!(clear > 0 && encrypted > 0, "{clear} {encrypted}");
    let to = dir.path().join("copy");
    assert_eq!(copy(&sealed, &to, &[]).0, 0);
    assert_eq!(elements(&read_by_both(&to), "de/usage"), sent(0..90));
}

#[test]
fn a_copy_is_refused_where_it_may_not_be_and_without_a_word_that_it_is_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[OFTEN] };
    let to = dir.path().join("copy");
    let refused = |setup: &Setup<'_>, to: &Path, told: &str| {
        let (code, _, errors) = copy(setup, to, &[]);
        assert!(code == 2 && errors.contains(told), "{}: {code} {errors}", to.display());
    };
    refused(&setup, &to, "no data directory");
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys.app, "DE", 0..20);
    assert!(server.terminate().success());
    let (code, _, errors) = setup.run(&["tables", "copy", to.to_str().unwrap()]);
    assert!(code == 2 && errors.contains("in the clear") && errors.contains("--decrypt"), "{errors}");
    for inside in
        ["data/copy", "data", "data.budget", "data.withdrawals/x", "shoal.key.units", "shoal.key.data/x", "."]
    {
        refused(&setup, &dir.path().join(inside), "outside of");
    }
    // A key file in a directory of its own.
    let apart = tempfile::tempdir().unwrap();
    let moved = apart.path().join("shoal.key");
    fs::copy(dir.path().join("shoal.key"), &moved).unwrap();
    let variables = [("SHOAL_KEY_FILE", moved.to_str().unwrap())];
    let elsewhere = Setup { dir: dir.path(), variables: &variables };
    refused(&elsewhere, &apart.path().join("copy"), "outside of the directory of key_file");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("letter"), "mine").unwrap();
    refused(&setup, &to, "is not empty");
    assert_eq!(fs::read_to_string(to.join("letter")).unwrap(), "mine");
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    refused(&setup, &file, "is no directory");
    let (code, _, errors) = copy(&setup, &dir.path().join("new"), &["--table", "de/clicks"]);
    assert!(code == 2 && errors.contains("de/usage"), "{errors}");
    assert!(lines(&setup).is_empty(), "nothing has begun");
    assert!(!dir.path().join("new").exists());
    // The key store is lost: an error, no part of a copy, and both lines.
    fs::rename(dir.path().join("shoal.key"), dir.path().join("away")).unwrap();
    let (code, _, errors) = copy(&setup, &dir.path().join("new"), &[]);
    assert!(code == 1 && errors.contains("no data keys"), "{errors}");
    assert!(!dir.path().join("new").exists());
    let outcomes: Vec<Value> = lines(&setup).iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("begun"), json!("failed")]);
}

/// The clock of the copy is that of the machine; the events were taken by a service whose clock stood hundred days before.
#[test]
fn a_day_that_has_expired_is_not_copied_though_its_files_are_there() {
    let then = shoal_server::system_clock()() - 100 * DAY_MS;
    let mut world = World::over(tempfile::tempdir().unwrap(), then, |_| {});
    let request = json!({"id": "r", "event": "api_request", "user_id": "anna", "time": then,
        "properties": {"endpoint": "/v1/x", "duration_ms": 10}});
    let click = json!({"id": "c", "event": "click", "user_id": "anna", "time": then,
        "properties": {"element": "a"}});
    let mut body = batch("DE", vec![request, click]);
    body["consent"]["granted_at"] = json!(then - 30 * DAY_MS);
    assert_eq!(world.client().events(&world.keys.app, &body)["accepted"], 2);
    world.flush();
    world.stop();
    assert_eq!(Tables::read(&world).count(), 2, "both are on the disk");
    let setup = Setup { dir: world.dir(), variables: &[] };
    let to = world.dir().join("copy");
    let (code, told, errors) = copy(&setup, &to, &[]);
    assert_eq!(code, 0, "{errors}");
    let tables = read_by_both(&to);
    // Performance is kept for 90 days and usage for 180.
    assert_eq!((tables.rows("de/performance").len(), tables.rows("de/usage").len()), (0, 1));
    let performance =
        told["tables"].as_array().unwrap().iter().find(|t| t["table"] == "de/performance").unwrap();
    assert_eq!((&performance["expired_files"], &performance["files"]), (&json!(1), &json!(0)));
    let day = format!("day={}", day_text(then));
    assert_eq!(
        files(&to).iter().filter(|path| path.to_string_lossy().contains(&day)).count(),
        1,
        "usage alone"
    );
}
