//! A disk that fails under the real binary: what was acknowledged before is there once afterwards, nothing is acknowledged after, and
//! the process ends. And a disk that is full, with which it does not end.
//!
//! The first is a library of `tests/data/failing_disk.c`, which the C compiler makes and the service is started with; the second
//! a small file system in memory, which needs the right to mount one.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::durability::{BATCH_EVENTS, BUSY, SENDERS, Sent, batch_of, came, is_there_once};
use crate::http::{Answer, Client};
use crate::process::{Process, Setup, library, until};
use crate::stage::{Keys, POLICY, click, real_day};

/// The error number of a device that cannot read or write.
const EIO: i32 = 5;
/// That of one that is full.
pub(crate) const ENOSPC: i32 = 28;

/// What a failure of the disk means for what is sent after it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Then {
    /// Nothing is acknowledged any more.
    Nothing,
    /// It is, until the process has ended.
    SomeMore,
}

/// A directory with the library of the failing disk in it.
pub(crate) struct Faulty {
    pub(crate) dir: tempfile::TempDir,
    library: String,
    rule: PathBuf,
}

impl Faulty {
    pub(crate) fn new() -> Faulty {
        let dir = tempfile::tempdir().unwrap();
        let library = library(dir.path(), "failing_disk.c");
        let rule = dir.path().join("rule");
        Faulty { library, rule, dir }
    }

    pub(crate) fn variables(&self) -> [(&str, &str); 4] {
        [("LD_PRELOAD", self.library.as_str()), ("FAIL_WHEN", self.rule.to_str().unwrap()), BUSY[0], BUSY[1]]
    }

    /// From now on this call fails on files whose paths have this part, or end with it where a `$` follows.
    pub(crate) fn fail(&self, call: &str, part: &str) {
        self.fail_with(call, EIO, part);
    }

    /// The same with another error.
    pub(crate) fn fail_with(&self, call: &str, error: i32, part: &str) {
        let unfinished = self.dir.path().join("unfinished");
        fs::write(&unfinished, format!("{call} {error} {part}\n")).unwrap();
        fs::rename(unfinished, &self.rule).unwrap();
    }

    /// From now on nothing fails. The paths on which something did, one for each time.
    pub(crate) fn end(&self) -> Vec<String> {
        fs::remove_file(&self.rule).unwrap();
        let failed = fs::read_to_string(self.rule.with_extension("failed")).unwrap_or_default();
        fs::remove_file(self.rule.with_extension("failed")).unwrap();
        failed.lines().map(str::to_owned).collect()
    }
}

/// The process ends with an error, and says why.
pub(crate) fn ends(server: Process, what: &str) {
    let log = server.log();
    let status = server.wait();
    assert!(matches!(status.code(), Some(code) if code != 0), "{what}: {status}\n{log}");
}

/// Sends batches from several threads until the server is gone, and lets the disk fail when some are acknowledged.
pub(crate) fn load(client: Client, key: &str, next: &AtomicUsize, then: Then, fail: impl FnOnce()) -> Sent {
    let sent = Mutex::new(Sent::default());
    let (count, is_failing, is_over) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicBool::new(false));
    let bearer = format!("Bearer {key}");
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let body = batch_of(number).to_string();
                    let began_failing = is_failing.load(Ordering::SeqCst);
                    let headers = [("authorization", bearer.as_str())];
                    let answer = client.ask("POST", "/v1/events", &headers, body.as_bytes());
                    let mut sent = sent.lock().unwrap();
                    match answer {
                        Ok(answer) if answer.status == 200 => {
                            assert!(!began_failing, "batch {number} was acknowledged after the failure");
                            assert_eq!(answer.json()["accepted"], BATCH_EVENTS);
                            sent.acknowledged.push(number);
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(answer) => {
                            assert!(answer.status >= 500, "{}", answer.text());
                            sent.unknown.push(number);
                        }
                        Err(_) => {
                            sent.unknown.push(number);
                            return;
                        }
                    }
                }
            });
        }
        let came = came(&count, 30, &sent);
        is_over.store(!came, Ordering::SeqCst);
        assert!(came, "a sender has failed, or nothing is acknowledged");
        fail();
        is_failing.store(then == Then::Nothing, Ordering::SeqCst);
    });
    sent.into_inner().unwrap()
}

#[test]
fn after_a_failed_sync_or_write_of_the_log_nothing_is_acknowledged_and_all_of_before_is_there_once() {
    let faulty = Faulty::new();
    let variables = faulty.variables();
    let setup = Setup { dir: faulty.dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let next = AtomicUsize::new(0);
    let mut all = Sent::default();
    for call in ["sync", "write"] {
        let server = setup.serve();
        let sent = load(server.client, &keys.app, &next, Then::Nothing, || faulty.fail(call, "/log/"));
        ends(server, call);
        let mut failed = faulty.end();
        let times = failed.len();
        failed.sort();
        failed.dedup();
        assert!(!failed.is_empty(), "nothing failed");
        assert_eq!(failed.len(), times, "a {call} that has failed was tried again: {failed:?}");
        all.acknowledged.extend(sent.acknowledged);
        all.unknown.extend(sent.unknown);
    }
    is_there_once(&setup, &keys.app, &all);
}

/// What came of a request; none when the connection ended without an answer.
pub(crate) fn ask(client: Client, path: &str, key: &str, body: &Value) -> Option<Answer> {
    let bearer = format!("Bearer {key}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    client.ask("POST", path, &headers, body.to_string().as_bytes()).ok()
}

pub(crate) fn withdraw(client: Client, key: &str, user: &str) -> Option<Answer> {
    let change = json!({"action": "withdraw", "programme": "user-experience", "policy_version": POLICY,
        "user_id": user, "country": "DE"});
    ask(client, "/v1/consents", key, &change)
}

#[test]
fn after_a_failed_sync_of_consents_no_withdrawal_is_acknowledged_and_those_of_before_are_in_force() {
    let faulty = Faulty::new();
    let variables = faulty.variables();
    let setup = Setup { dir: faulty.dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let mut withdrawn = Vec::new();
    for (call, part) in [("sync", "/ledger.redb"), ("sync", "/withdrawals"), ("write", "/withdrawals")] {
        let server = setup.serve();
        for number in 0..3 {
            let user = format!("before-{}-{number}", withdrawn.len());
            withdraw(server.client, &keys.app, &user).unwrap().expect(200);
            withdrawn.push(user);
        }
        faulty.fail(call, part);
        let told = withdraw(server.client, &keys.app, "after");
        assert!(told.is_none_or(|answer| answer.status >= 500), "{call} {part}");
        ends(server, part);
        assert!(!faulty.end().is_empty(), "{call} {part}");
    }
    let server = setup.serve();
    for user in &withdrawn {
        let told = server.client.events(&keys.app, &one(user));
        assert_eq!(told["events"][0]["code"], "withdrawn", "{user}: {told}");
    }
    withdraw(server.client, &keys.app, "after").unwrap().expect(200);
    assert!(server.terminate().success());
}

/// An event of now of a person.
pub(crate) fn one(user: &str) -> Value {
    let mut event = click(&format!("of-{user}"), user, "a");
    event.as_object_mut().unwrap().remove("time");
    json!({"consent": {"policy_version": POLICY}, "country": "DE", "events": [event]})
}

#[test]
fn after_a_failed_sync_of_the_budget_or_the_audit_no_answer_leaves_and_those_of_before_stay() {
    let faulty = Faulty::new();
    let variables = faulty.variables();
    let setup = Setup { dir: faulty.dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let day = real_day();
    let question = |number: usize| {
        json!({"sql": format!("SELECT COUNT(*) AS n FROM usage WHERE day = DATE '{day}' AND region = 'DE' AND screen <> 's{number}'"),
            "precision": "low"})
    };
    let mut first = None;
    let faults =
        [("sync", "/budget.redb"), ("sync", "/budget.witness"), ("sync", "/audit/"), ("write", "/audit/")];
    for (number, (call, part)) in faults.into_iter().enumerate() {
        let server = setup.serve();
        let told = ask(server.client, "/v1/sql", &keys.analyst, &question(0)).unwrap().expect(200).json();
        assert_eq!(&told["rows"], first.get_or_insert(told["rows"].clone()), "before {part}");
        faulty.fail(call, part);
        let told = ask(server.client, "/v1/sql", &keys.analyst, &question(number + 1));
        assert!(told.is_none_or(|answer| answer.status >= 500), "{call} {part}");
        ends(server, part);
        let failed = faulty.end();
        assert!(!failed.is_empty(), "{call} {part}");
        assert!(call == "sync" || failed.len() == 1, "a {call} that has failed was tried again: {failed:?}");
    }
    let server = setup.serve();
    let told = ask(server.client, "/v1/sql", &keys.analyst, &question(0)).unwrap().expect(200).json();
    assert_eq!((Some(&told["rows"]), &told["cost"]["blocks_charged"]), (first.as_ref(), &json!(0)));
    assert!(server.terminate().success());
}

/// A file system of its own, in memory, as long as the value lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where this process may not mount one.
    fn mount(size: &str) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mut command = Command::new("mount");
        let done =
            command.args(["-t", "tmpfs", "-o", options.as_str(), "shoal-test"]).arg(dir.path()).output();
        match done {
            Ok(output) if output.status.success() => Some(SmallDisk(dir)),
            refused => {
                eprintln!("SKIPPED: this process may not mount a file system: {refused:?}");
                None
            }
        }
    }

    /// Takes all the room there is.
    fn fill(&self) -> PathBuf {
        let path = self.0.path().join("filler");
        let mut file = File::create(&path).unwrap();
        for bytes in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![0; bytes]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_disk_that_is_full_ends_nothing_and_loses_nothing_and_all_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("160m") else { return };
    let setup = Setup { dir: disk.0.path(), variables: &BUSY };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let mut all = Sent::default();
    let mut send = |number: usize| {
        let answer = ask(server.client, "/v1/events", &keys.app, &batch_of(number)).unwrap();
        let is_kept = answer.status == 200;
        assert!(is_kept || answer.status >= 500, "{}", answer.text());
        let so = if is_kept { &mut all.acknowledged } else { &mut all.unknown };
        so.push(number);
        is_kept
    };
    assert!((0..20).all(&mut send));
    withdraw(server.client, &keys.app, "before").unwrap().expect(200);
    let mut withdrawn = vec!["before".to_owned()];
    for round in 0..2 {
        let filler = disk.fill();
        for number in 0..40 {
            send(100 * (round + 1) + number);
        }
        // A file of consents has pages to spare.
        let refused = (0..2_000).find(|number| {
            let told = withdraw(server.client, &keys.app, &format!("full-{round}-{number}")).unwrap();
            assert!(told.status == 200 || told.status >= 500, "{}", told.text());
            told.status != 200
        });
        let refused = refused.expect("a full disk must refuse at last");
        // What was found less than a second ago is told again.
        let ready = until("the service to be not ready", || {
            let ready = server.client.get("/readyz", "");
            (ready.status == 503).then_some(ready)
        });
        assert!(ready.json()["detail"].as_str().unwrap().contains("no room"), "{}", ready.text());
        assert_eq!(server.client.get("/healthz", "").status, 200);
        fs::remove_file(filler).unwrap();
        until("readiness", || (server.client.get("/readyz", "").status == 200).then_some(()));
        withdraw(server.client, &keys.app, &format!("full-{round}-{refused}")).unwrap().expect(200);
        withdrawn.extend((0..=refused).map(|number| format!("full-{round}-{number}")));
        until("events to be taken", || send(100 * (round + 1) + 50).then_some(()));
    }
    for user in &withdrawn {
        let told = server.client.events(&keys.app, &one(user));
        assert_eq!(told["events"][0]["code"], "withdrawn", "{user}: {told}");
    }
    assert!(server.terminate().success());
    is_there_once(&setup, &keys.app, &all);
}

/// The journal of withdrawals may be on a small volume of its own.
#[test]
fn a_doctor_looks_at_the_disk_of_the_withdrawals_too() {
    let Some(disk) = SmallDisk::mount("8m") else { return };
    let dir = tempfile::tempdir().unwrap();
    let journal = disk.0.path().join("withdrawals");
    let setup = Setup { dir: dir.path(), variables: &[("SHOAL_WITHDRAWALS_DIR", journal.to_str().unwrap())] };
    Keys::create(&setup.data_dir());
    let disk_of = |told: &str| told.lines().find(|line| line.contains(" disk: ")).unwrap().to_owned();
    let (_, told, _) = setup.run(&["doctor"]);
    assert!(disk_of(&told).starts_with("ok"), "there is no journal yet: {told}");
    fs::create_dir(&journal).unwrap();
    let (code, told, _) = setup.run(&["doctor"]);
    let line = disk_of(&told);
    assert!(code == 1 && line.starts_with("fail") && line.contains(journal.to_str().unwrap()), "{told}");
}
