//! A backup holds what was in at its moment, is known when it is not whole, and brings back neither budget nor consent.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::process::{Process, Setup, until};
use crate::query::rows;
use crate::stage::{POLICY, batch, consent, real_day};
use crate::tables::{Stored as _, Tables, files};

const OFTEN: (&str, &str) = ("SHOAL_INGEST_FLUSH_INTERVAL_MS", "50");

/// A directory with keys of a server, an analyst and an officer.
struct Site {
    dir: tempfile::TempDir,
    app: String,
    analyst: String,
}

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        let made = |arguments: &[&str]| {
            let setup = Setup { dir: dir.path(), variables: &[] };
            let (code, out, errors) = setup.run(&[&["keys", "create"], arguments].concat());
            assert_eq!(code, 0, "{errors}");
            out.trim().to_owned()
        };
        let app = made(&["ingest", "--kind", "server", "--app", "camera", "--regions", "DE,US", "--yes"]);
        let analyst = made(&["analyst", "--regions", "DE,US"]);
        Site { dir, app, analyst }
    }

    fn setup(&self) -> Setup<'_> {
        Setup { dir: self.dir.path(), variables: &[OFTEN] }
    }

    fn backup(&self) -> PathBuf {
        self.dir.path().join("backup")
    }

    /// What a command says that must succeed.
    fn run(&self, arguments: &[&str]) -> String {
        let (code, out, errors) = self.setup().run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{errors}");
        out
    }

    /// Makes a backup, and says how many events are in it.
    fn create(&self) -> usize {
        let told = self.run(&["backup", "create", self.backup().to_str().unwrap()]);
        let events = told.split(" events").next().and_then(|before| before.rsplit(' ').next());
        events.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{told}"))
    }

    /// The lines of the audit about an act.
    fn lines(&self, act: &str) -> Vec<Value> {
        let shown = self.run(&["audit", "show", "--last", "1000", "--json"]);
        let lines = shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["act"] == act).collect()
    }

    /// The data are gone, as with a disk; what lies outside of them is there.
    fn lose_the_data(&self) {
        fs::remove_dir_all(self.setup().data_dir()).unwrap();
    }

    fn restore(&self) -> String {
        let data = self.setup().data_dir();
        self.run(&["backup", "restore", self.backup().to_str().unwrap(), "--to", data.to_str().unwrap()])
    }
}

fn click(id: &str, user: &str) -> Value {
    json!({"id": id, "event": "click", "user_id": user, "properties": {"element": "add"}})
}

fn send(server: &Process, key: &str, from: usize, many: usize) {
    let events = (from..from + many).map(|n| click(&format!("e-{n}"), &format!("u-{n}"))).collect();
    assert_eq!(server.client.events(key, &batch("DE", events))["accepted"], json!(many));
}

/// Sends the first events once more: each is taken, or known.
fn send_again(server: &Process, key: &str, many: usize) {
    for from in (0..many).step_by(500) {
        let events: Vec<Value> =
            (from..many.min(from + 500)).map(|n| click(&format!("e-{n}"), &format!("u-{n}"))).collect();
        let expected = events.len() as u64;
        let told = server.client.events(key, &batch("DE", events));
        let [accepted, duplicate] = ["accepted", "duplicate"].map(|of| told[of].as_u64().unwrap());
        assert_eq!(accepted + duplicate, expected, "{told}");
    }
}

/// What becomes of one event with a consent of its own.
fn outcome(server: &Process, key: &str, id: &str, user: &str) -> String {
    let body = json!({"country": "DE", "consent": consent(), "events": [click(id, user)]});
    let answer = server.client.events(key, &body);
    let event = &answer["events"][0];
    event["code"].as_str().or(event["status"].as_str()).unwrap().to_owned()
}

/// The objects of a backup, and which file of the disk each is.
fn objects(backup: &Path) -> BTreeMap<PathBuf, u64> {
    let found = files(&backup.join("objects"));
    found.into_iter().map(|path| (path.clone(), fs::metadata(&path).unwrap().ino())).collect()
}

#[test]
fn a_backup_under_load_holds_what_was_in_at_its_moment_and_is_restored_elsewhere() {
    let site = Site::new();
    let server = site.setup().serve();
    send(&server, &site.app, 0, 300);
    let (stop, sent, begun) = (AtomicBool::new(false), AtomicUsize::new(300), Instant::now());
    let (first, second, between) = std::thread::scope(|scope| {
        scope.spawn(|| {
            // A test that fails meanwhile ends all the same.
            while !stop.load(Ordering::SeqCst) && begun.elapsed().as_secs() < 120 {
                send(&server, &site.app, sent.load(Ordering::SeqCst), 20);
                sent.fetch_add(20, Ordering::SeqCst);
            }
        });
        let before = sent.load(Ordering::SeqCst);
        let first = site.create();
        let (between, kept) = (sent.load(Ordering::SeqCst), objects(&site.backup()));
        let second = site.create();
        stop.store(true, Ordering::SeqCst);
        assert!(first >= before, "what was acknowledged before is in it");
        let now = objects(&site.backup());
        assert!(
            kept.iter().any(|(path, file)| now.get(path) == Some(file)),
            "what is there is not copied again"
        );
        (first, second, between)
    });
    assert!(second >= first.max(between) && second <= sent.load(Ordering::SeqCst) + 20);
    let backup = site.backup();
    let verified = site.run(&["backup", "verify", backup.to_str().unwrap()]);
    assert!(verified.contains("the backup is whole"), "{verified}");
    let lines = site.lines("backup_create");
    // What came after it was begun may be lacking, so it is as of then.
    assert!(lines.len() == 2 && lines.iter().all(|line| line["at_ms"] == line["made_at_ms"]), "{lines:?}");
    assert!(server.terminate().success());

    let elsewhere = tempfile::tempdir().unwrap();
    let at = |name: &str| site.dir.path().join(name).to_str().unwrap().to_owned();
    let (marks, withdrawn) = (at("data.budget"), at("data.withdrawals"));
    // The key file comes by another way, and lies in no directory of what is restored.
    let key_dir = tempfile::tempdir().unwrap();
    let key = key_dir.path().join("shoal.key").to_str().unwrap().to_owned();
    fs::copy(at("shoal.key"), &key).unwrap();
    let variables = [
        OFTEN,
        ("SHOAL_KEY_FILE", key.as_str()),
        ("SHOAL_BUDGET_MARKS_DIR", marks.as_str()),
        ("SHOAL_WITHDRAWALS_DIR", withdrawn.as_str()),
    ];
    let other = Setup { dir: elsewhere.path(), variables: &variables };
    let data = other.data_dir();
    let restore = ["backup", "restore", backup.to_str().unwrap(), "--to", data.to_str().unwrap()];
    let (code, out, errors) = other.run(&restore);
    assert_eq!(code, 0, "{out}{errors}");
    assert!(out.contains(&format!("DE usage: {second} events")) && out.contains(&real_day()), "{out}");
    bring_the_data_keys(&other, Path::new(&at("shoal.key.data")));
    assert_eq!(Tables::read(&other).count(), second);
    let server = other.serve();
    let day = real_day();
    let sql =
        format!("SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '{day}' AND region = 'DE'");
    let told = rows(&server.client.sql(&site.analyst, &sql))[0]["n"].as_f64().unwrap();
    assert!((told - second as f64).abs() < 100.0, "{told} of {second}");
    // What is not in it may be sent again, and what is in it is not doubled: all of it, whatever moved while it was made.
    let all = sent.load(Ordering::SeqCst);
    send_again(&server, &site.app, all);
    assert!(server.terminate().success());
    assert_eq!(Tables::read(&other).count(), all);
    assert_eq!(other.run(&restore).0, 2, "into an empty directory only");
}

/// They are in no backup, so they come by another way, as the key file does: without them no service starts over the tables.
fn bring_the_data_keys(to: &Setup<'_>, from: &Path) {
    let (code, _, errors) = to.run(&["serve"]);
    assert!(code == 1 && errors.contains("put the key store back"), "{errors}");
    crate::tables::copy(from, &to.data_key_dir());
}

#[test]
fn what_is_withdrawn_and_spent_after_a_backup_stays_so_after_a_restore() {
    let site = Site::new();
    let server = site.setup().serve();
    send(&server, &site.app, 0, 60);
    let change = |action: &str, user: &str| {
        let body = json!({"action": action, "programme": "user-experience", "policy_version": POLICY, "user_id": user,
            "country": "DE"});
        server.client.post("/v1/consents", &site.app, body.to_string()).expect(200);
    };
    change("grant", "anna");
    change("withdraw", "bert");
    assert_eq!(outcome(&server, &site.app, "a-1", "anna"), "accepted");
    until("the flush", || (Tables::read(&site.setup()).count() == 61).then_some(()));
    site.create();
    change("withdraw", "anna");
    change("grant", "bert");
    assert_eq!(outcome(&server, &site.app, "a-2", "anna"), "withdrawn");
    let day = real_day();
    let sql = |mark: &str| {
        format!(
            "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '{day}' AND region = 'DE' AND screen <> '{mark}'"
        )
    };
    for mark in ["a", "b", "c"] {
        server.client.sql(&site.analyst, &sql(mark));
    }
    let spent = |server: &Process| {
        let path = format!("/v1/budget?table=usage&region=DE&first={0}&last={0}", real_day());
        let list = server.client.get(&path, &site.analyst).expect(200).json();
        list["blocks"][0]["rho_spent"].as_str().unwrap().parse::<f64>().unwrap()
    };
    let before = spent(&server);
    assert!(before > 0.0);
    assert!(server.terminate().success());
    site.lose_the_data();
    let told = site.restore();
    assert!(told.contains("withdrawals: ") && !told.contains("withdrawals: 0 "), "{told}");
    let replayed: u64 =
        site.lines("withdrawals_replay").iter().map(|line| line["replayed"].as_u64().unwrap()).sum();
    assert_eq!((replayed, site.lines("backup_restore").len(), site.lines("budget_start").len()), (2, 1, 1));
    site.run(&["audit", "verify"]);
    let server = site.setup().serve();
    assert_eq!(outcome(&server, &site.app, "a-3", "anna"), "withdrawn");
    assert_eq!(
        outcome(&server, &site.app, "b-3", "bert"),
        "withdrawn",
        "a grant that was lost with the data is lost"
    );
    assert!(spent(&server) >= before, "no budget comes back");
    assert!(server.terminate().success());
    assert_eq!(site.lines("withdrawals_replay").len(), 2, "once, for the two regions of the key");
}

#[test]
fn a_backup_of_a_directory_that_nobody_serves_has_what_its_log_holds() {
    let site = Site::new();
    let slow = Setup { dir: site.dir.path(), variables: &[("SHOAL_INGEST_FLUSH_INTERVAL_MS", "3600000")] };
    let server = slow.serve();
    send(&server, &site.app, 0, 50);
    server.kill();
    assert_eq!(site.create(), 0, "they are in no table yet");
    site.lose_the_data();
    site.restore();
    let server = site.setup().serve();
    until("the flush", || (Tables::read(&site.setup()).count() == 50).then_some(()));
    assert!(server.terminate().success());
}

#[test]
fn what_is_missing_or_changed_in_a_backup_is_told_and_nothing_starts_over_a_part_of_one() {
    let site = Site::new();
    let server = site.setup().serve();
    send(&server, &site.app, 0, 20);
    site.create();
    assert!(server.terminate().success());
    let backup = site.backup();
    let verify = || site.setup().run(&["backup", "verify", backup.to_str().unwrap()]);
    assert_eq!(verify().0, 0);
    let largest = |name: &str| {
        let manifest = fs::read_to_string(backup.join("manifest")).unwrap();
        let manifest: Value = serde_json::from_str(manifest.split_once('\n').unwrap().1).unwrap();
        let file =
            manifest["files"].as_array().unwrap().iter().find(|f| f["path"].as_str().unwrap().contains(name));
        let digest =
            file.unwrap_or_else(|| panic!("{name}: {manifest}"))["digest"].as_str().unwrap().to_owned();
        backup.join("objects").join(&digest[..2]).join(&digest)
    };
    for name in [".parquet", "_delta_log/", "de/ledger.redb", "keys.json", "audit.head", "manifest"] {
        let object = if name == "manifest" { backup.join(name) } else { largest(name) };
        let whole = fs::read(&object).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 4;
        fs::write(&object, &changed).unwrap();
        let (code, out, errors) = verify();
        assert!(code == 1 && (name == "manifest" || out.contains("was changed")), "{name}: {out}{errors}");
        fs::remove_file(&object).unwrap();
        assert_ne!(verify().0, 0, "{name} is missing");
        fs::write(&object, &whole).unwrap();
    }
    assert_eq!(verify().0, 0);
    // A restore that breaks off leaves what no start takes for a data directory.
    let object = largest("us/key-check");
    let whole = fs::read(&object).unwrap();
    fs::write(&object, b"x").unwrap();
    site.lose_the_data();
    let data = site.setup().data_dir();
    let restore = ["backup", "restore", backup.to_str().unwrap(), "--to", data.to_str().unwrap()];
    let (code, _, errors) = site.setup().run(&restore);
    assert!(code == 1 && errors.contains("us/key-check"), "{errors}");
    let (code, _, errors) = site.setup().run(&["serve"]);
    assert!(code == 1 && errors.contains("was not finished"), "{errors}");
    fs::write(&object, whole).unwrap();
    site.lose_the_data();
    site.restore();
    // A backup that was cut off leaves the one before: the next one removes what it has left.
    fs::create_dir_all(backup.join("scratch")).unwrap();
    fs::write(backup.join("scratch/de"), b"half").unwrap();
    fs::write(backup.join("objects/half"), b"half").unwrap();
    assert_eq!(verify().0, 0);
    site.create();
    assert!(!backup.join("scratch/de").exists() && !backup.join("objects/half").exists());
}

#[test]
fn a_backup_lies_where_it_harms_nothing_and_has_no_key() {
    let site = Site::new();
    let server = site.setup().serve();
    send(&server, &site.app, 0, 20);
    for inside in ["data/backup", "data", "data.budget", "data.withdrawals/x", "shoal.key.units", "."] {
        let dir = site.dir.path().join(inside);
        let (code, _, errors) = site.setup().run(&["backup", "create", dir.to_str().unwrap()]);
        assert!(code != 0 && errors.contains("outside of"), "{inside}: {errors}");
    }
    let other = site.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    for mine in ["letter.txt", "scratch/thesis", "manifest.txt", "objects/ab/thesis", "lock/thesis"] {
        let file = other.join(mine);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "mine").unwrap();
        let (code, _, errors) = site.setup().run(&["backup", "create", other.to_str().unwrap()]);
        assert!(code != 0 && errors.contains("no backup"), "{mine}: {errors}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
        fs::remove_file(&file).unwrap();
        if file.parent() != Some(&other) {
            fs::remove_dir(file.parent().unwrap()).unwrap();
        }
    }
    // What a first backup that broke off has left, at the root of a file system of its own.
    fs::create_dir_all(other.join("lost+found")).unwrap();
    fs::create_dir_all(other.join("scratch")).unwrap();
    for own in ["lost+found/#17", "scratch/de", "manifest#17"] {
        fs::write(other.join(own), "half").unwrap();
    }
    site.run(&["backup", "create", other.to_str().unwrap()]);
    let left = ["scratch/de", "manifest#17"].map(|own| other.join(own).exists());
    assert!(left == [false, false] && other.join("lost+found/#17").exists(), "{left:?}");
    site.create();
    assert!(server.terminate().success());
    let keys = fs::read_to_string(site.dir.path().join("shoal.key")).unwrap();
    let secrets: Vec<&str> = keys.split_whitespace().filter(|part| part.len() == 64).collect();
    let secret = site.app.split_once('.').unwrap().1;
    assert!(!secrets.is_empty());
    let mut data_keys = files(&site.setup().data_key_dir());
    data_keys.retain(|path| !path.ends_with("keys.lock"));
    let wrapped: Vec<String> = data_keys.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let are_keys = |text: &String| {
        ["shoal-data-key 1\n", "shoal-epoch-key 1\n"].iter().any(|head| text.starts_with(head))
    };
    assert!(!wrapped.is_empty() && wrapped.iter().all(are_keys));
    for path in files(&site.backup()) {
        let bytes = fs::read(&path).unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!has(secret) && !secrets.iter().any(|secret| has(secret)), "{}", path.display());
        assert!(!wrapped.iter().any(|key| has(key.lines().nth(1).unwrap())), "{}", path.display());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077, 0, "{}", path.display());
    }
}
