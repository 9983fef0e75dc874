//! What an operator sees of a service, and nobody else: one page, and a list of what could be wrong.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};
use shoal_schemas::Region;
use shoal_server::access_keys::{Role, Scope};

use crate::process::{Setup, until};
use crate::stage::{DAY_MS, batch, click, day_text, real_day};
use crate::tables::Tables;

fn json_of(setup: &Setup<'_>, command: &str) -> (i32, Value) {
    let (code, out, errors) = setup.run(&[command, "--json"]);
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{errors}")))
}

/// The checks of a doctor that are not well, by name.
fn unwell(setup: &Setup<'_>) -> (i32, Vec<String>) {
    let (code, checks) = json_of(setup, "doctor");
    let unwell = checks.as_array().unwrap().iter().filter(|check| check["outcome"] != "ok");
    (code, unwell.map(|check| format!("{} {}", check["outcome"], check["check"]).replace('"', "")).collect())
}

#[test]
fn an_operator_sees_on_one_page_what_a_service_does() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[("SHOAL_INGEST_FLUSH_INTERVAL_MS", "50")] };
    assert_eq!(setup.run(&["status"]).0, 2, "there is nothing here");
    let (_, key, _) = setup.run(&[
        "keys",
        "create",
        "ingest",
        "--kind",
        "server",
        "--app",
        "a",
        "--regions",
        "DE,US",
        "--yes",
    ]);
    let server = setup.serve();
    let events = (0..7).map(|n| {
        let mut event = click(&format!("c-{n}"), &format!("u-{n}"), "add");
        event.as_object_mut().unwrap().remove("time");
        event
    });
    assert_eq!(server.client.events(key.trim(), &batch("DE", events.collect()))["accepted"], 7);
    until("the flush", || (Tables::read(&setup).count() == 7).then_some(()));
    let status = until("the log to be empty", || {
        let (code, status) = json_of(&setup, "status");
        assert_eq!(code, 0);
        (status["waiting"][1] == json!({"region": "DE", "segments": 0, "oldest_ms": null})).then_some(status)
    });
    assert_eq!(&status["kept"], &json!([{"region": "DE", "protocol": "native", "events": 7}]), "{status}");
    assert!(status["parts"].as_array().unwrap().iter().all(|part| part["state"] == "ready"), "{status}");
    let rows = &status["rows"][0];
    assert_eq!((&rows["region"], &rows["kind"], &rows["rows"]), (&json!("DE"), &json!("usage"), &json!(7)));
    assert_eq!(rows["oldest_day"], json!(real_day()));
    assert!(
        status["disk"]["used"]["DE"].as_u64().unwrap() > 0 && status["disk"]["free"].as_u64().unwrap() > 0
    );
    assert_eq!(status["last_runs"]["audit_check_ms"], Value::Null);
    setup.run(&["audit", "verify"]);
    assert!(json_of(&setup, "status").1["last_runs"]["audit_check_ms"].as_i64().is_some());
    let (_, page, _) = setup.run(&["status"]);
    assert!(page.contains("7 events since the start") && page.contains("serving at"), "{page}");
    // Whoever is not this account cannot ask.
    let socket = setup.data_dir().join("control/operator.sock");
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
    let ready = server.client.get("/readyz", "").expect(200).json();
    assert_eq!(ready["parts"], status["parts"], "in the same words");
    assert!(server.terminate().success());
    assert!(!socket.exists());
    let (code, stopped) = json_of(&setup, "status");
    assert_eq!(
        (code, &stopped["running"], &stopped["rows"][0]["rows"]),
        (0, &Value::Null, &json!(7)),
        "{stopped}"
    );
    assert!(setup.run(&["status"]).1.contains("no service runs here"));
}

#[test]
fn a_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    setup.run(&["keys", "create", "analyst", "--regions", "DE"]);
    let key = ["keys", "create", "ingest", "--kind", "server", "--app", "a", "--regions", "DE", "--yes"];
    let (_, key, _) = setup.run(&key);
    let server = setup.serve();
    let mut event = click("d-1", "u-1", "add");
    event.as_object_mut().unwrap().remove("time");
    assert_eq!(server.client.events(key.trim(), &batch("DE", vec![event]))["accepted"], 1);
    let (code, found) = unwell(&setup);
    assert_eq!((code, found), (0, vec![]), "all is well while it runs");
    assert!(server.terminate().success());
    assert_eq!(unwell(&setup), (0, vec![]), "and when it is stopped");

    let key = dir.path().join("shoal.key");
    let whole = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let (code, found) = unwell(&setup);
    assert!(
        code == 1
            && found.contains(&"fail key file".to_owned())
            && found.contains(&"fail settings".to_owned()),
        "{found:?}"
    );
    assert!(!key.exists(), "nothing is made");
    fs::write(&key, &whole).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(unwell(&setup).0, 1, "others can read it");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(unwell(&setup), (0, vec![]));

    for (file, check) in [
        ("data.budget/de/budget.witness", "fail budget marks"),
        ("data.withdrawals/de/withdrawals", "fail withdrawals"),
        ("data/ledger/audit.head", "fail audit"),
        ("data/de/ledger.redb", "fail data"),
    ] {
        let path = dir.path().join(file);
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let (code, found) = unwell(&setup);
        assert!(code == 1 && found.contains(&check.to_owned()), "{file}: {found:?}");
        fs::write(&path, whole).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let unfinished = dir.path().join("data/restore-unfinished");
    fs::write(&unfinished, "").unwrap();
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(unwell(&setup), (1, vec!["fail data".to_owned()]));
    fs::remove_file(&unfinished).unwrap();
    let (_, told, _) = setup.run(&["doctor"]);
    assert!(told.lines().all(|line| line.starts_with("ok   ")), "{told}");
    let full = Setup { dir: dir.path(), variables: &[("SHOAL_INGEST_FREE_BYTES_MIN", "1099511627776")] };
    let (code, told, _) = full.run(&["doctor"]);
    assert!(code == 1 && told.contains("fail disk: ") && told.contains("Free some space"), "{told}");
}

/// A key that asks questions is told nothing that depends on an event, of retention neither.
#[test]
fn an_officer_is_told_of_the_days_of_the_regions_of_the_key_and_of_no_number() {
    let world = crate::ledger::world();
    let german = world.key(Scope::Analyst { role: Role::Officer, regions: vec![Region::De] }).reveal();
    let plan_of = |key: &str| world.client().get("/v1/retention/plan", key).expect(200).json();
    let before = (plan_of(&german), plan_of(&world.keys.officer));
    let lines = before.0["lines"].as_array().unwrap();
    assert!(lines.iter().all(|line| line["region"] == "DE"), "{}", before.0);
    let usage = lines.iter().find(|line| line["kind"] == "usage").unwrap();
    assert_eq!(
        (&usage["retention_days"], &usage["first_day"]),
        (&json!(180), &json!(day_text(world.now_ms() - 180 * DAY_MS)))
    );
    assert!(before.1["lines"].as_array().unwrap().iter().any(|line| line["region"] == "US"), "{}", before.1);
    world.client().events(&world.keys.app, &batch("US", vec![click("u-1", "person-u", "tile")]));
    world.flush();
    assert_eq!((plan_of(&german), plan_of(&world.keys.officer)), before, "an event changes nothing");

    world.set_now_ms(world.now_ms() + 181 * DAY_MS);
    let told = |asked: &Value| {
        let ran = world.client().post("/v1/retention/runs", &german, asked.to_string()).expect(200);
        let last: Value = serde_json::from_str(ran.text().lines().last().unwrap()).unwrap();
        let mut report = last["report"].clone();
        report["dry_run"].take();
        (report, ran.text().lines().count())
    };
    let accepted = json!({"accept_clock": day_text(world.now_ms()), "accept_share": true});
    let (dry, _) = told(&json!({"dry_run": true}));
    let (removed_all, lines) = told(&accepted);
    assert_eq!(Tables::read(&world).count(), 0);
    assert_eq!((&removed_all, &dry), (&dry, &told(&accepted).0), "a run is told as one that finds nothing");
    assert_eq!(lines, told(&accepted).1);
    assert!(
        removed_all["lines"].as_array().unwrap().iter().all(|line| line["region"] == "DE"),
        "{removed_all}"
    );
}
