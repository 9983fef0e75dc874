//! The command line, as an operator uses it: keys, questions, retention, checks; and definitions of their own, without a rebuild.

use std::fs;

use serde_json::json;

use crate::process::Setup;
use crate::stage::{World, batch};
use crate::tables::{Tables, text};

const EVENT: &str = r#"
name = "door_open"
kind = "usage"
programme = "user-experience"
doc = "The door of the shed was opened."
day_max = 5

[properties.side]
doc = "Which side."
type = "text"
class = "dimension"
domain = "listed"
values = ["left", "right"]
keys_max = 2
required = true

[[pass]]
json = '{"id": "1", "event": "door_open", "time": "2026-11-20T08:00:00Z", "user_id": "u", "properties": {"side": "left"}}'

[[fail]]
code = "not_in_domain"
json = '{"id": "1", "event": "door_open", "time": "2026-11-20T08:00:00Z", "user_id": "u", "properties": {"side": "top"}}'
"#;

#[test]
fn an_operator_goes_from_a_key_to_an_answer_and_a_run_of_retention() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[("SHOAL_INGEST_FLUSH_INTERVAL_MS", "50")] };
    let made = |arguments: &[&str]| {
        let (code, out, errors) = setup.run(&[&["keys", "create"], arguments].concat());
        assert_eq!(code, 0, "{errors}");
        out.trim().to_owned()
    };
    let app = made(&["ingest", "--app", "camera", "--regions", "DE,US", "--yes"]);
    let backend = made(&["ingest", "--kind", "server", "--app", "camera", "--regions", "DE,US", "--yes"]);
    let analyst = made(&["analyst", "--regions", "DE"]);
    let officer = made(&["analyst", "--regions", "DE", "--role", "officer"]);
    let (_, listed, _) = setup.run(&["keys", "list"]);
    assert!(listed.contains("shipped, app camera") && listed.contains("server, app camera"), "{listed}");
    for key in [&app, &backend, &analyst, &officer] {
        let (id, secret) = key.split_once('.').unwrap();
        assert!(listed.contains(id) && !listed.contains(secret), "a secret is shown once");
        let kept = fs::read_to_string(setup.data_dir().join("control/keys.json")).unwrap();
        assert!(kept.contains(id) && !kept.contains(secret));
    }
    let server = setup.serve();
    let url = format!("http://{}", server.client.0);
    let views = (0..300).map(
        |n| json!({"event": "screen_view", "user_id": format!("u-{n}"), "properties": {"screen": "home"}}),
    );
    assert_eq!(server.client.events(&app, &batch("DE", views.collect()))["taken"], 300);
    assert_eq!(server.client.events(&backend, &batch("DE", vec![json!({})]))["accepted"], 0);
    crate::process::until("the flush", || (Tables::read(&setup).count() == 300).then_some(()));

    let sql = "SELECT screen, COUNT(DISTINCT subject) AS people FROM usage GROUP BY screen";
    let ask =
        |key: &str, more: &[&str]| setup.run(&[&["query", sql, "--url", &url, "--key", key], more].concat());
    let (code, table, errors) = ask(&analyst, &["--precision", "high"]);
    assert!(code == 0 && table.contains("home") && table.contains('±'), "{table}{errors}");
    let (code, csv, _) = ask(&analyst, &["--precision", "high", "--format", "csv"]);
    assert!(code == 0 && csv.starts_with("screen,people [subjects],people_sd [subjects],"), "{csv}");
    assert_eq!(ask("nobody.nothing", &[]).0, 3, "refused by the service");
    assert_eq!(ask(&app, &[]).0, 3);

    let run = ["retention", "run", "--once", "--dry-run"];
    assert_eq!(setup.run(&run).0, 2, "a service runs here, so an officer's key is needed");
    let with_key = |key: &str| setup.run(&[&run[..], &["--url", &url, "--key", key]].concat());
    let (code, out, errors) = with_key(&officer);
    assert!(
        code == 0 && out.contains("dry run: nothing was changed") && out.contains("No key is told"),
        "{out}{errors}"
    );
    let (code, out, errors) = setup.run(&["retention", "plan", "--url", &url, "--key", &officer]);
    assert!(code == 0 && out.contains("first day kept") && !out.contains("files that stay"), "{out}{errors}");
    assert_eq!(with_key(&analyst).0, 3);
    let (_, revoked, _) = setup.run(&["keys", "revoke", analyst.split('.').next().unwrap()]);
    assert!(revoked.contains("revoked"));
    crate::process::until("the key to be gone", || (ask(&analyst, &[]).0 == 3).then_some(()));
    assert!(server.terminate().success());
    // Without a service the command opens the tables itself.
    let (code, plan, errors) = setup.run(&["retention", "plan"]);
    assert!(code == 0 && plan.contains("a run now would remove 0 files"), "{plan}{errors}");
}

#[test]
fn a_question_comes_from_a_file_or_a_pipe_and_commands_print_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let (code, key, errors) = setup.run(&["keys", "create", "analyst", "--regions", "DE"]);
    assert_eq!(code, 0, "{errors}");
    let server = setup.serve();
    let url = format!("http://{}", server.client.0);
    let sql = "SELECT COUNT(*) AS events FROM usage";
    let usual = ["query", "--url", &url, "--key", key.trim(), "--format", "csv"];
    let (code, csv, errors) = setup.run(&[&usual[..], &[sql]].concat());
    assert!(code == 0 && csv.starts_with("events"), "{csv}{errors}");
    let question = dir.path().join("events.sql");
    fs::write(&question, format!("{sql}\n")).unwrap();
    let of = |more: &[&str]| setup.run_with(sql, &[&usual[..], more].concat()).1;
    assert_eq!(of(&["--file", question.to_str().unwrap()]), csv);
    assert_eq!((of(&[]), of(&["-"])), (csv.clone(), csv));
    let (code, json, _) = setup.run(&["query", "--url", &url, "--key", key.trim(), "--json", sql]);
    assert!(code == 0 && serde_json::from_str::<serde_json::Value>(&json).unwrap()["rows"].is_array());
    let (code, json, _) = setup.run(&["health", "--ready", "--json", "--url", &url]);
    assert_eq!((code, serde_json::from_str(&json).unwrap()), (0, json!({"ready": true})));
    let id = key.trim().split('.').next().unwrap();
    assert!(server.terminate().success());
    let pages = dir.path().join("pages");
    for command in [
        &["keys", "revoke", id, "--json"][..],
        &["budget", "accept-restore", "--json"],
        &["consents", "accept-loss", "--json"],
        &["man", "--dir", pages.to_str().unwrap(), "--json"],
        &["retention", "plan", "--json"],
        &["retention", "run", "--once", "--dry-run", "--json"],
        &["audit", "verify", "--json"],
        &["config", "check", "--json"],
        &["version", "--json"],
    ] {
        let (code, out, errors) = setup.run(command);
        let printed: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(code == 0 && printed.is_object(), "{command:?}: {out}{errors}");
    }
}

#[test]
fn what_is_wrong_with_a_configuration_is_said_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let check = |variables: &[(&str, &str)]| Setup { dir: dir.path(), variables }.run(&["config", "check"]);
    assert_eq!(check(&[]).0, 0);
    let inside = dir.path().join("data/shoal.key");
    for (variable, value, told) in [
        ("SHOAL_HTTP_LISTN", "127.0.0.1:1", "http.listen"),
        ("SHOAL_HTTP_LISTEN", "nowhere", "http.listen"),
        ("SHOAL_LOG_LEVEL", "loud", "log.level"),
        ("SHOAL_RETENTION_CRON", "sometimes", "retention.cron"),
        ("SHOAL_INGEST_EPOCH_DAYS", "0", "epoch_days"),
        ("SHOAL_KEY_FILE", inside.to_str().unwrap(), "key_file"),
    ] {
        let (code, _, errors) = check(&[(variable, value)]);
        assert!(code == 2 && errors.contains(told), "{variable}: {code} {errors}");
    }
    assert!(!dir.path().join("shoal.key").exists(), "a check makes nothing");
}

#[test]
fn an_operator_adds_an_event_and_changes_retention_without_a_rebuild() {
    let overlay = tempfile::tempdir().unwrap();
    fs::create_dir(overlay.path().join("events")).unwrap();
    let setup = Setup { dir: overlay.path(), variables: &[] };
    let path = overlay.path().to_str().unwrap();
    let file = overlay.path().join("events/door_open.toml");
    fs::write(&file, EVENT.replace("keys_max = 2", "keys_max = \"two\"")).unwrap();
    let (code, _, errors) = setup.run(&["schemas", "check", path]);
    assert!(code == 2 && errors.contains("door_open.toml:14"), "file and line: {errors}");
    fs::write(&file, EVENT).unwrap();
    let retention = "[[retention]]\nprogramme = \"user-experience\"\nkind = \"usage\"\ndays = 3\n";
    fs::write(overlay.path().join("retention.toml"), retention).unwrap();
    let (code, out, errors) = setup.run(&["schemas", "check", path]);
    assert!(code == 0 && out.contains("right"), "{out}{errors}");

    // Begun without it, so that the table has to grow.
    let opened = |id: &str, side: &str| json!({"id": id, "event": "door_open", "user_id": "u", "properties": {"side": side}});
    let mut world = World::new();
    let answer = world
        .client()
        .events(&world.keys.app, &batch("DE", vec![opened("0", "left"), crate::stage::click("c", "u", "a")]));
    assert_eq!((&answer["events"][0]["code"], &answer["accepted"]), (&json!("unknown_event"), &json!(1)));
    let schemas = Some(overlay.path().to_path_buf());
    world.restart(|config| config.schemas_dir = schemas);
    let answer =
        world.client().events(&world.keys.app, &batch("DE", vec![opened("1", "left"), opened("2", "top")]));
    assert_eq!((&answer["accepted"], &answer["events"][1]["code"]), (&json!(1), &json!("not_listed")));
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(text(tables.events("door_open")[0].1, "side"), "left");
    assert_eq!(tables.count(), 2, "what was there before still is");
    let plan = world.client().get("/v1/retention/plan", &world.keys.officer).expect(200).json();
    assert_eq!(plan["lines"][0]["retention_days"], 3, "{plan}");
}

/// A process serves every region that there is, and no key says another.
#[test]
fn a_key_for_a_region_that_is_not_served_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    for regions in ["XX", "DE,XX", "FR", "DE,DE", ""] {
        let (code, out, errors) =
            setup.run(&["keys", "create", "ingest", "--app", "camera", "--regions", regions]);
        assert!(code != 0 && out.is_empty() && errors.contains("region"), "{regions}: {out}{errors}");
    }
    let (code, out, errors) =
        setup.run(&["keys", "create", "ingest", "--app", "camera", "--regions", "US,DE,SG,MY", "--yes"]);
    assert!(code == 0 && !out.is_empty(), "{errors}");
    let category =
        ["keys", "create", "ingest", "--app", "shop", "--regions", "DE", "--consent-category", "C0002"];
    assert_ne!(setup.run(&category).0, 0, "it stands for one programme");
    let (code, _, errors) = setup.run(&[&category[..], &["--programme", "user-experience"]].concat());
    assert_eq!(code, 0, "{errors}");
    let (_, listed, _) = setup.run(&["keys", "list"]);
    assert!(listed.contains("consent category C0002"), "{listed}");
}
