//! What anybody does is written down before it is answered, nobody can change that unseen, and a query can be cancelled.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shoal_audit::Audit;
use shoal_files::Sealing;
use shoal_privacy::keyring::{Keyring, Sealed};

use crate::http::Answer;
use crate::process::Setup;
use crate::stage::{TODAY, World, batch, click};
use crate::tables::{Stored, files};

const ID: &str = "1f0e5d9c-6c6e-4a53-9a3c-0b9c4b1d7a10";
const SQL: &str = "SELECT COUNT(*) AS n FROM usage";

fn ask(world: &World, question: &Value) -> Answer {
    world.client().post("/v1/sql", &world.keys.analyst, question.to_string())
}

fn send(world: &World, method: &str, path: &str, key: &str) -> Answer {
    let key = format!("Bearer {key}");
    world.client().ask(method, path, &[("authorization", key.as_str())], b"").unwrap()
}

/// The lines of an audit, which lie encrypted on the disk.
pub(crate) fn lines(of: &impl Stored) -> Vec<Value> {
    let text = fs::read_to_string(of.key_file()).unwrap();
    let key = Keyring::parse(&text).unwrap().sealing_key(Sealed::Audit);
    let place = Audit::place(&of.data_dir()).sealed(Some(Sealing { key, is_writing: false }));
    let mut lines = Vec::new();
    shoal_audit::verify(&place, &mut |line| lines.push(serde_json::from_slice(line.text).unwrap())).unwrap();
    lines
}

/// `shoal audit verify`.
pub(crate) fn verify(world: &World, more: &[&str]) -> (bool, String) {
    let all = [&["audit", "verify"], more].concat();
    let (code, out, errors) = Setup { dir: world.dir(), variables: &[] }.run(&all);
    (code == 0, format!("{out}{errors}"))
}

#[test]
fn every_question_is_in_the_audit_and_a_change_of_it_is_found() {
    let mut world = World::new();
    let answer = ask(&world, &json!({"sql": SQL, "id": ID})).expect(200);
    assert_eq!(answer.header("x-query-id"), Some(ID));
    let refused = ask(&world, &json!({"sql": "SELECT subject FROM usage WHERE screen = 'anna@example.org'"}));
    assert_eq!(refused.status, 400);
    let made = refused.header("x-query-id").unwrap().to_owned();
    assert_eq!(made.len(), ID.len());
    let found = lines(&world);
    let told: Vec<_> =
        found.iter().map(|l| (l["outcome"].as_str().unwrap(), l["id"].as_str().unwrap())).collect();
    assert_eq!(told, [("answered", ID), ("refused", made.as_str())]);
    assert!(world.keys.analyst.starts_with(found[0]["key"].as_str().unwrap()));
    assert_eq!(found[0]["answer_time_ms"].as_u64().map(|ms| ms >= 250), Some(true));
    assert!(found[1]["answer_time_ms"].is_null() && !found[1].to_string().contains("anna"), "{}", found[1]);

    let (good, text) = verify(&world, &[]);
    assert!(good && text.contains("2 lines"), "{text}");
    let head = text.lines().find_map(|line| line.strip_prefix("head ")).unwrap().to_owned();
    world.stop();
    let path = world.data_dir().join("audit").join("00000000000000000001.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    assert!(!whole.contains("answered") && whole.starts_with("sealed:"), "{whole}");
    let changed = if whole.as_bytes()[100] == b'A' { "B" } else { "A" };
    fs::write(&path, format!("{}{changed}{}", &whole[..100], &whole[101..])).unwrap();
    let (good, text) = verify(&world, &[]);
    assert!(!good && text.contains("00000000000000000001.jsonl:1:"), "{text}");
    let first = whole.lines().next().unwrap();
    fs::write(&path, format!("{first}\n")).unwrap();
    let (good, text) = verify(&world, &[]);
    assert!(!good && text.contains("the last 1 of 2 lines are missing"), "{text}");
    fs::write(&path, &whole).unwrap();
    world.restart(|_| {});
    ask(&world, &json!({"sql": "?"}));
    assert!(verify(&world, &["--since", &head]).0);
    let other = format!("2:{}", "0".repeat(64));
    assert!(!verify(&world, &["--since", &other]).0);
}

#[test]
fn a_running_query_is_listed_and_cancelled_by_its_own_key_only() {
    let world = World::with(|config| {
        config.query.answer_times_ms = vec![600_000];
        config.query.time_ms_max = 600_000;
    });
    let path = format!("/v1/sql/{ID}");
    let (own, officer) = (world.keys.analyst.clone(), world.keys.officer.clone());
    let listed = |key: &str| send(&world, "GET", "/v1/sql", key).expect(200).json()["queries"].clone();
    let budget = format!("/v1/budget?table=usage&region=DE&first={TODAY}&last={TODAY}");
    let paid = || {
        let list = send(&world, "GET", &budget, &own).expect(200).json();
        list["blocks"][0]["spent_by"].as_array().unwrap().len()
    };
    for (at, canceller) in [&own, &officer].into_iter().enumerate() {
        thread::scope(|scope| {
            let (client, key) = (world.client(), own.clone());
            // Another question each time: what was paid for is answered at once.
            let sql = format!("{SQL} WHERE day = DATE '{TODAY}' AND screen <> 'none-{at}'");
            let question = json!({"sql": sql, "id": ID}).to_string();
            let asked = scope.spawn(move || client.post("/v1/sql", &key, question));
            let begun = Instant::now();
            while listed(&own) == json!([]) || paid() == at {
                assert!(begun.elapsed() < Duration::from_secs(60));
                thread::yield_now();
            }
            assert_eq!(listed(&own)[0]["id"], ID);
            assert_eq!(listed(&officer), json!([]), "a list is the key's own");
            if canceller == &own {
                let other = world.key(shoal_server::access_keys::Scope::Analyst {
                    role: shoal_server::access_keys::Role::Analyst,
                    regions: vec![shoal_schemas::Region::De],
                });
                let theirs = send(&world, "DELETE", &path, &other.reveal());
                let nobodys = send(&world, "DELETE", "/v1/sql/aaaaaaaa-6c6e-4a53-9a3c-0b9c4b1d7a10", &own);
                assert_eq!((theirs.status, &theirs.body), (404, &nobodys.body));
                assert_eq!(send(&world, "DELETE", &path, &world.keys.app).status, 403);
            }
            assert_eq!(send(&world, "DELETE", &path, canceller).status, 204);
            let answer = asked.join().unwrap();
            assert_eq!((answer.status, answer.json()["code"].as_str()), (500, Some("failed")));
            assert_eq!(answer.header("x-query-id"), Some(ID));
            assert_eq!(send(&world, "DELETE", &path, canceller).status, 404);
        });
    }
    let found = lines(&world);
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|l| l["outcome"] == "cancelled" && l["source"] == "events"), "{found:?}");
}

#[test]
fn a_cancelled_query_looks_like_one_that_failed() {
    let question = json!({"sql": format!("{SQL} WHERE day = DATE '{TODAY}' AND region = 'DE'"), "id": ID});
    let budget = format!("/v1/budget?table=usage&region=DE&first={TODAY}&last={TODAY}");
    let block = |world: &World| {
        crate::ledger::only_block(&send(world, "GET", &budget, &world.keys.analyst).expect(200).json())
    };
    let told = |answer: &Answer| (answer.status, answer.json());
    let cancelled = World::with(|config| {
        config.query.answer_times_ms = vec![600_000];
        config.query.time_ms_max = 600_000;
    });
    let answer = thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&cancelled, &question));
        let begun = Instant::now();
        while !block(&cancelled)["spent_by"].to_string().contains("AGGREGATE") {
            assert!(begun.elapsed() < Duration::from_secs(60));
            thread::yield_now();
        }
        assert_eq!(send(&cancelled, "DELETE", &format!("/v1/sql/{ID}"), &cancelled.keys.analyst).status, 204);
        asked.join().unwrap()
    });
    assert_eq!(answer.status, 500);
    // A file that is gone: what is paid for cannot be read.
    let failed = World::new();
    failed.client().events(&failed.keys.app, &batch("DE", vec![click("1", "u", "a")]));
    failed.flush();
    let mut removed = 0;
    for file in files(&failed.data_dir().join("de/tables/usage")) {
        if file.extension().is_some_and(|extension| extension == "parquet") {
            fs::remove_file(file).unwrap();
            removed += 1;
        }
    }
    assert_eq!(removed, 1);
    assert_eq!(told(&ask(&failed, &question)), told(&answer));
    let asked = |block: &Value| -> Vec<Value> {
        let spent_by = block["spent_by"].as_array().unwrap();
        let of_question = |spent: &&Value| spent["query"].as_str().unwrap().contains("AGGREGATE");
        spent_by.iter().filter(of_question).cloned().collect()
    };
    let of_failed = asked(&block(&failed));
    assert_eq!((of_failed.len(), &of_failed[0]["state"]), (1, &json!("reserved")));
    assert_eq!(asked(&block(&cancelled)), of_failed);
    for world in [&cancelled, &failed] {
        let running = send(world, "GET", "/v1/sql", &world.keys.analyst).expect(200).json();
        assert_eq!(running, json!({"queries": []}));
    }
    // It is not answered for nothing afterwards, nor told apart by a restart.
    let mut cancelled = cancelled;
    cancelled.restart(|config| config.query.answer_times_ms = vec![250, 30_000]);
    assert_eq!(asked(&block(&cancelled)), of_failed);
    let cost = ask(&cancelled, &question).expect(200).json()["cost"].clone();
    assert_eq!((&cost["blocks_charged"], &cost["pieces_from_ledger"]), (&json!(1), &json!(0)), "{cost}");
    assert_eq!(asked(&block(&cancelled)).len(), 2);
}

#[test]
fn a_query_whose_asker_hangs_up_ends_and_leaves_a_line() {
    let world = World::with(|config| {
        config.query.answer_times_ms = vec![600_000];
        config.query.time_ms_max = 600_000;
    });
    let key = format!("Bearer {}", world.keys.analyst);
    let headers = [("content-type", "application/json"), ("authorization", key.as_str())];
    let body = json!({"sql": SQL}).to_string();
    let mut stream = world.client().connect().unwrap();
    std::io::Write::write_all(
        &mut stream,
        &crate::http::request("POST", "/v1/sql", &headers, body.as_bytes()),
    )
    .unwrap();
    let is_empty = || {
        let listed = send(&world, "GET", "/v1/sql", &world.keys.analyst).expect(200).json();
        listed["queries"] == json!([])
    };
    let wait_until = |what: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !what() {
            assert!(begun.elapsed() < Duration::from_secs(60));
            thread::yield_now();
        }
    };
    wait_until(&|| !is_empty());
    drop(stream);
    wait_until(&is_empty);
    wait_until(&|| lines(&world).len() == 1);
    assert_eq!(lines(&world)[0]["outcome"], "abandoned");
}

#[test]
fn a_run_of_retention_that_a_person_starts_is_in_the_audit() {
    let mut world = World::new();
    for dry_run in [true, false] {
        let body = json!({"dry_run": dry_run}).to_string();
        let answer = world.client().post("/v1/retention/runs", &world.keys.officer, body).expect(200);
        assert!(answer.text().contains("\"report\""), "{}", answer.text());
    }
    world.stop();
    // Without a service the command does it itself.
    let setup = Setup { dir: world.dir(), variables: &[] };
    assert_eq!(setup.data_dir(), world.data_dir());
    let today = crate::stage::real_day();
    let (code, _, error) = setup.run(&["retention", "run", "--once", "--accept-clock", &today]);
    assert_eq!(code, 0, "{error}");
    let found = lines(&world);
    let told: Vec<_> =
        found.iter().map(|l| [&l["act"], &l["outcome"], &l["role"]].map(|v| v.as_str().unwrap())).collect();
    let run = "retention_run";
    assert_eq!(told, [[run, "dry_run", "officer"], [run, "done", "officer"], [run, "done", "operator"]]);
    assert!(world.keys.officer.starts_with(found[0]["key"].as_str().unwrap()) && found[2]["key"].is_null());
    let (good, text) = verify(&world, &[]);
    assert!(good && text.contains("3 lines"), "{text}");
    let (_, shown, _) = setup.run(&["audit", "show"]);
    assert!(shown.contains("operator") && shown.contains("dry_run false"), "{shown}");
}

/// The command and the service are two processes that write to one audit.
#[test]
fn each_act_on_a_key_is_in_the_audit_beside_a_service_and_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let made = |arguments: &[&str]| {
        let (code, out, errors) = setup.run(&[&["keys", "create"], arguments].concat());
        assert_eq!(code, 0, "{errors}");
        out.trim().to_owned()
    };
    let analyst = made(&["analyst", "--regions", "DE,US"]);
    let server = setup.serve();
    let ask = || {
        let answer = server.client.post("/v1/sql", &analyst, json!({"sql": "?"}).to_string());
        assert_eq!(answer.status, 400, "{}", answer.text());
    };
    ask();
    let app = made(&["ingest", "--app", "camera", "--regions", "DE"]);
    ask();
    let revoke = |id: &str| setup.run(&["keys", "revoke", id]).0;
    assert_eq!((revoke(app.split('.').next().unwrap()), revoke("nobody")), (0, 1));
    ask();
    assert!(server.terminate().success());

    let found = lines(&setup);
    let told: Vec<_> = found.iter().map(|l| [&l["act"], &l["role"], &l["outcome"]]).collect();
    let [create, revoke] = ["key_create", "key_revoke"].map(|act| [act, "operator", "done"].map(Value::from));
    let asked = [Value::Null, "analyst".into(), "refused".into()];
    let expected = [&create, &asked, &create, &asked, &revoke, &asked];
    assert_eq!(told, expected.map(|line| line.each_ref()), "each act of each process, in its order");
    for (line, key) in [(&found[0], &analyst), (&found[2], &app), (&found[4], &app)] {
        assert!(key.starts_with(line["key_id"].as_str().unwrap()) && line["key"].is_null(), "{line}");
    }
    assert_eq!((&found[0]["key_role"], &found[0]["regions"]), (&json!("analyst"), &json!(["DE", "US"])));
    assert_eq!((&found[4]["key_role"], &found[4]["app"]), (&json!("ingest"), &json!("camera")));
    let secrets = [&analyst, &app].map(|key| key.split_once('.').unwrap().1);
    assert!(found.iter().all(|line| secrets.iter().all(|secret| !line.to_string().contains(secret))));
    let (code, text, errors) = setup.run(&["audit", "verify"]);
    assert!(code == 0 && text.contains("6 lines"), "{text}{errors}");
    let (_, shown, _) = setup.run(&["audit", "show"]);
    assert!(shown.contains("key_create") && shown.contains("key_role"), "{shown}");
}

#[test]
fn no_key_is_made_or_revoked_while_the_audit_is_broken() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let create = ["keys", "create", "analyst", "--regions", "DE"];
    let (_, key, _) = setup.run(&create);
    let id = key.split('.').next().unwrap().to_owned();
    let keys = || fs::read(setup.data_dir().join("control/keys.json")).unwrap();
    let before = keys();
    let path = setup.data_dir().join("audit").join("00000000000000000001.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("analyst", "officer", 1)).unwrap();
    for command in [&create[..], &["keys", "revoke", id.as_str()]] {
        let (code, out, errors) = setup.run(command);
        assert_eq!((code, out.as_str()), (1, ""), "{errors}");
        assert!(errors.contains("00000000000000000001.jsonl:1: "), "{errors}");
        assert_eq!(keys(), before);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(setup.run(&["keys", "revoke", &id]).0, 0);
    assert_ne!(keys(), before);
}

#[test]
fn a_question_is_checked_before_it_is_asked() {
    let world = World::new();
    for wrong in [
        json!({"sql": SQL, "id": "42"}),
        json!({"sql": SQL, "sd_max": 0}),
        json!({"sql": SQL, "sd_max": -3.5}),
        json!({"sql": SQL, "sd_max": "ten"}),
        json!({"sql": SQL, "sd_max": 10, "precision": "low"}),
    ] {
        let answer = ask(&world, &wrong);
        assert_eq!(answer.status, 422, "{wrong}");
        assert!(answer.header("x-query-id").is_some());
    }
    let sql = format!(
        "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '{TODAY}' AND region = 'DE'"
    );
    let exact =
        |sd_max: f64| ask(&world, &json!({"sql": sql, "sd_max": sd_max, "dry_run": true})).expect(200).json();
    assert_eq!(exact(31.5)["cost"]["blocks_charged"], 1);
    assert_ne!(
        exact(31.5)["cost"]["rho_per_block"],
        exact(63.0)["cost"]["rho_per_block"],
        "half as exact costs less"
    );
    let sd = ask(&world, &json!({"sql": sql, "sd_max": 31.5})).expect(200).json()["rows"][0]["n_sd"].as_f64();
    assert!(sd.is_some_and(|sd| sd > 25.0 && sd <= 31.5), "{sd:?}");
}
