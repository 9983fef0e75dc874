//! A backup or a restore that breaks off at any step: what was there before stays whole, nothing starts over a half, no withdrawal
//! is lost, and all of it can be begun again.
//!
//! Not here: every single step of the copying (`shoal-server`, `backup/tests.rs`), backups that go well (`backup.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::faults::{Faulty, one, withdraw};
use crate::process::{Going, Process, Setup, until};
use crate::stage::{Keys, batch};
use crate::tables::files;

fn at(setup: &Setup<'_>, name: &str) -> PathBuf {
    setup.dir.join(name)
}

fn create(setup: &Setup<'_>) -> (i32, String, String) {
    setup.run(&["backup", "create", at(setup, "backup").to_str().unwrap()])
}

fn verify(setup: &Setup<'_>) -> (i32, String, String) {
    setup.run(&["backup", "verify", at(setup, "backup").to_str().unwrap()])
}

fn restore(setup: &Setup<'_>) -> (i32, String, String) {
    restore_with(setup, &[])
}

fn restore_with(setup: &Setup<'_>, more: &[&str]) -> (i32, String, String) {
    let (backup, data) = (at(setup, "backup"), setup.data_dir());
    let usual = ["backup", "restore", backup.to_str().unwrap(), "--to", data.to_str().unwrap()];
    setup.run(&[&usual[..], more].concat())
}

/// What is well.
fn done((code, out, errors): (i32, String, String)) -> String {
    assert_eq!(code, 0, "{out}{errors}");
    out
}

fn manifest(backup: &Path) -> Value {
    let text = fs::read_to_string(backup.join("manifest")).unwrap();
    serde_json::from_str(text.split_once('\n').unwrap().1).unwrap()
}

/// The digest of a file of a backup.
fn digest_of(backup: &Path, is_it: impl Fn(&str) -> bool) -> String {
    let manifest = manifest(backup);
    let mut all = manifest["files"].as_array().unwrap().iter();
    let file = all.find(|file| is_it(file["path"].as_str().unwrap()));
    file.unwrap_or_else(|| panic!("{manifest}"))["digest"].as_str().unwrap().to_owned()
}

/// Sends events that nobody has sent before.
fn send(server: &Process, keys: &Keys, from: usize) {
    let event = |n: usize| json!({"id": format!("b-{n}"), "event": "click", "user_id": format!("u-{n}"), "properties": {"element": "add"}});
    let told = server.client.events(&keys.app, &batch("DE", (from..from + 5).map(event).collect()));
    assert_eq!(told["accepted"], 5, "{told}");
}

/// The service goes on, and its audit is whole.
fn goes_on(setup: &Setup<'_>, server: &Process) {
    assert_eq!(server.client.get("/readyz", "").status, 200);
    done(setup.run(&["audit", "verify"]));
}

#[test]
fn a_backup_for_which_the_disk_fails_at_any_step_leaves_the_one_before_and_the_service_goes_on() {
    let faulty = Faulty::new();
    let variables = faulty.variables();
    let setup = Setup { dir: faulty.dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let backup = at(&setup, "backup");
    send(&server, &keys, 0);
    done(create(&setup));
    let steps = [
        ("write", "/backup/scratch/"),
        ("sync", "/backup/scratch/"),
        ("write", "/backup/objects/"),
        ("sync", "/backup/objects/"),
        ("write", "/backup/manifest"),
        ("sync", "/backup/manifest"),
    ];
    for (number, (call, part)) in steps.into_iter().enumerate() {
        let before = manifest(&backup);
        send(&server, &keys, 5 * (number + 1));
        faulty.fail(call, part);
        let (code, out, errors) = create(&setup);
        assert!(!faulty.end().is_empty());
        assert_ne!(code, 0, "{call} {part}: {out}{errors}");
        assert_eq!(manifest(&backup), before, "{call} {part}");
        done(verify(&setup));
        goes_on(&setup, &server);
        done(create(&setup));
        done(verify(&setup));
        assert_ne!(manifest(&backup), before);
    }
    let kept = files(&backup.join("objects")).len();
    let manifest = manifest(&backup);
    let digests = manifest["files"].as_array().unwrap().iter().map(|file| file["digest"].as_str().unwrap());
    let named: BTreeSet<&str> = digests.collect();
    assert_eq!(kept, named.len(), "what broke off has left nothing");
    assert!(server.terminate().success());
}

/// Nothing starts over what a restore has left, everybody is told what to do, and a second restore does not go on over it.
fn is_unfinished(setup: &Setup<'_>, what: &str) {
    let (code, _, errors) = setup.run(&["serve"]);
    assert!(
        code == 1 && errors.contains("was not finished: empty it, and restore again"),
        "{what}: {errors}"
    );
    let (code, checks, _) = setup.run(&["doctor"]);
    assert!(code == 1 && checks.contains("fail data: a restore into"), "{what}: {checks}");
    let (code, _, errors) = restore(setup);
    assert!(code == 1 && errors.contains("empty it, and restore again"), "{what}: {errors}");
}

#[test]
fn a_restore_that_breaks_off_at_any_step_lets_nothing_start_and_can_be_begun_again() {
    let faulty = Faulty::new();
    let variables = faulty.variables();
    let setup = Setup { dir: faulty.dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys, 0);
    withdraw(server.client, &keys.app, "before").unwrap().expect(200);
    done(create(&setup));
    withdraw(server.client, &keys.app, "after").unwrap().expect(200);
    assert!(server.terminate().success());
    let data = setup.data_dir();
    let steps = [
        ("write", "/data/control/"),
        ("sync", "/data/de/tables/"),
        ("write", "/data/us/ledger.redb"),
        // When all is copied: while withdrawals come back, and while the ledger is opened.
        ("sync", "/data.withdrawals/"),
        ("sync", "/data.budget/"),
    ];
    for (call, part) in steps {
        fs::remove_dir_all(&data).unwrap();
        let what = format!("{call} {part}");
        match part {
            "/data.budget/" => {
                fs::rename(at(&setup, "data.budget"), at(&setup, "aside")).unwrap();
                fs::write(at(&setup, "data.budget"), "").unwrap();
            }
            part => faulty.fail(call, part),
        }
        let (code, out, errors) = restore(&setup);
        assert_eq!(code, 1, "{what}: {out}{errors}");
        match part {
            "/data.budget/" => {
                fs::remove_file(at(&setup, "data.budget")).unwrap();
                fs::rename(at(&setup, "aside"), at(&setup, "data.budget")).unwrap();
            }
            _ => assert!(!faulty.end().is_empty(), "{what}"),
        }
        is_unfinished(&setup, &what);
    }
    fs::remove_dir_all(&data).unwrap();
    let told = done(restore(&setup));
    assert!(
        told.contains("withdrawals: 4 that came after that are in force again"),
        "one in each region: {told}"
    );
    done(setup.run(&["doctor"]));
    let server = setup.serve();
    for user in ["before", "after"] {
        let told = server.client.events(&keys.app, &one(user));
        assert_eq!(told["events"][0]["code"], "withdrawn", "{user}: {told}");
    }
    goes_on(&setup, &server);
    assert!(server.terminate().success());
}

#[test]
fn a_restore_beside_a_service_over_the_same_journal_copies_nothing_and_a_journal_that_is_lost_must_be_accepted()
 {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys, 0);
    done(create(&setup));
    withdraw(server.client, &keys.app, "after").unwrap().expect(200);
    let (backup, elsewhere) = (at(&setup, "backup"), at(&setup, "elsewhere"));
    let arguments = ["backup", "restore", backup.to_str().unwrap(), "--to", elsewhere.to_str().unwrap()];
    let (code, out, errors) = setup.run(&arguments);
    assert!(code == 1 && errors.contains("data.withdrawals is locked"), "{out}{errors}");
    assert!(!elsewhere.exists());
    assert!(server.terminate().success());

    let (journal, aside) = (at(&setup, "data.withdrawals"), at(&setup, "aside"));
    fs::rename(&journal, &aside).unwrap();
    // The second time it is as the first time: what is refused has begun no new one.
    for accepted in [&[][..], &[], &["--accept-lost-withdrawals", "DE,US"]] {
        fs::remove_dir_all(setup.data_dir()).unwrap();
        let (code, out, errors) = restore_with(&setup, accepted);
        assert_eq!((code, out.as_str()), (1, ""), "nobody is to believe that all is well: {errors}");
        let regions = if accepted.is_empty() { "US, DE, SG, MY" } else { "SG, MY" };
        assert!(errors.contains(&format!("the journal of withdrawals of {regions} is not in")), "{errors}");
        assert!(errors.contains("--accept-lost-withdrawals US,DE,SG,MY"), "{errors}");
        assert!(!journal.exists());
        is_unfinished(&setup, "the journal is lost");
    }
    // It was only mislaid.
    fs::rename(&aside, &journal).unwrap();
    fs::remove_dir_all(setup.data_dir()).unwrap();
    done(restore(&setup));
    let server = setup.serve();
    let told = server.client.events(&keys.app, &one("after"));
    assert_eq!(told["events"][0]["code"], "withdrawn", "{told}");
    assert!(server.terminate().success());
}

#[test]
fn the_loss_of_a_journal_is_accepted_by_name_and_one_that_was_written_anew_since_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys, 0);
    done(create(&setup));
    assert!(server.terminate().success());
    fs::remove_dir_all(at(&setup, "data.withdrawals")).unwrap();
    fs::remove_dir_all(setup.data_dir()).unwrap();
    let told = done(restore_with(&setup, &["--accept-lost-withdrawals", "US,DE,SG,MY"]));
    assert!(told.contains("accepted: of US, DE, SG, MY the others are lost"), "{told}");
    let lines = done(setup.run(&["audit", "show", "--last", "10", "--json"]));
    assert!(lines.contains(r#""accepted_lost":["US","DE","SG","MY"]"#), "{lines}");
    let server = setup.serve();
    withdraw(server.client, &keys.app, "since").unwrap().expect(200);
    assert!(server.terminate().success());
    // The backup notes the journal of before; the one that is there has all that was withdrawn since it was begun.
    fs::remove_dir_all(setup.data_dir()).unwrap();
    let told = done(restore_with(&setup, &["--json"]));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["withdrawals_written_anew"], json!(["US", "DE", "SG", "MY"]), "{told}");
    assert_eq!((&told["withdrawals_in_force_again"], &told["withdrawals_lost"]), (&json!(4), &json!([])));
    let server = setup.serve();
    let told = server.client.events(&keys.app, &one("since"));
    assert_eq!(told["events"][0]["code"], "withdrawn", "{told}");
    assert!(server.terminate().success());
}

#[test]
fn what_was_changed_in_a_backup_is_named_and_no_file_is_taken_for_another_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys, 0);
    done(create(&setup));
    assert!(server.terminate().success());
    let backup = at(&setup, "backup");
    let digest = digest_of(&backup, |path| path.ends_with(".parquet"));
    let object = backup.join("objects").join(&digest[..2]).join(&digest);
    let mut bytes = fs::read(&object).unwrap();
    bytes[20] ^= 1;
    fs::write(&object, bytes).unwrap();
    done(create(&setup));
    let (code, out, _) = verify(&setup);
    let told = format!("was changed: remove {}, and make the backup again", object.display());
    assert!(code == 1 && out.contains(&told), "{out}");
    fs::remove_file(&object).unwrap();
    done(create(&setup));
    done(verify(&setup));
    // A directory that was put back numbers its runs anew: one has the name of before, and other ids.
    let is_run = |path: &str| path.starts_with("de/dedup/") && path.ends_with(".run");
    let before = digest_of(&backup, is_run);
    let runs = files(&setup.data_dir().join("de/dedup")).into_iter();
    let run = runs.filter(|path| path.extension().is_some_and(|end| end == "run")).min().unwrap();
    let mut bytes = fs::read(&run).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&run, bytes).unwrap();
    done(create(&setup));
    assert_ne!(digest_of(&backup, is_run), before);
}

/// Waits until the service reads a file.
fn reads(server: &Process, file: &Path) {
    let open = format!("/proc/{}/fd", server.id());
    until("the file to be read", || {
        let mut links = fs::read_dir(&open).unwrap().flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
        links.any(|link| link == file).then_some(())
    });
}

#[test]
fn a_backup_ends_with_the_command_that_has_asked_for_it_and_with_the_service() {
    let dir = tempfile::tempdir().unwrap();
    // As the service names it.
    let root = dir.path().canonicalize().unwrap();
    let setup = Setup { dir: &root, variables: &[] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    send(&server, &keys, 0);
    done(create(&setup));
    // A file that nobody has the time to copy.
    let large = setup.data_dir().join("large");
    let make_large = || fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    make_large();
    let backup = at(&setup, "backup");
    let begin = || Going(setup.start(&["backup", "create", backup.to_str().unwrap()]));
    let command = begin();
    reads(&server, &large);
    drop(command);
    until("the line of what was given up", || {
        let lines = done(setup.run(&["audit", "show", "--last", "10", "--json"]));
        lines.lines().any(|line| line.contains("backup_create") && line.contains("abandoned")).then_some(())
    });
    done(verify(&setup));
    fs::remove_file(&large).unwrap();
    until("the next backup", || (create(&setup).0 == 0).then_some(()));

    make_large();
    let mut command = begin();
    reads(&server, &large);
    assert!(server.terminate().success(), "the end waits for no backup");
    let told = until("the command to end", || command.0.try_wait().unwrap());
    assert_ne!(told.code(), Some(0));
    fs::remove_file(&large).unwrap();
    done(verify(&setup));
}
