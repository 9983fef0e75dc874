//! Persons are erased: at once out of every new answer, soon out of the tables and off the disk, and nothing of anybody else is changed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::process::{Setup, until};
use crate::stage::{Keys, World, batch, click, letters};
use crate::table_copies::OFTEN;
use crate::tables::{Row, Stored, Tables, files, text};

const PERSONS: usize = 60;

/// One click of each of these persons, and one of the install of each.
fn clicks(persons: std::ops::Range<usize>) -> Vec<Value> {
    let of = |n: usize| {
        let element = letters(n as u64);
        let of_install = json!({"id": format!("i-{n}"), "event": "click", "install_id": format!("install-{n}"),
            "properties": {"element": format!("{element}install")}});
        [click(&format!("u-{n}"), &format!("person-{n}"), &element), of_install]
    };
    persons.flat_map(of).collect()
}

fn erase(world: &World, body: &Value) -> Value {
    let answer = world.client().post("/v1/subjects/erase", &world.keys.officer, body.to_string());
    answer.expect(200).json()
}

/// Waits until a request is done; answers its state.
fn done(world: &World, told: &Value) -> Value {
    let path = format!("/v1/subjects/requests/{}", told["request"].as_str().unwrap());
    until("the erasure", || {
        let state = world.client().get(&path, &world.keys.officer).expect(200).json();
        (state["state"] == "done").then_some(state)
    })
}

/// Rows of clicks without those of some elements, each as a text.
fn rows_without(stored: &impl Stored, without: &[&str]) -> BTreeSet<String> {
    let tables = Tables::read(stored);
    let rows = tables.events("click").into_iter().map(|(_, row)| row);
    let kept = rows.filter(|row| !without.contains(&text(row, "element")));
    kept.map(|row| serde_json::to_string(row).unwrap()).collect()
}

fn subject_of(stored: &impl Stored, element: &str) -> [u8; 16] {
    let tables = Tables::read(stored);
    let is_of = |row: &&Row| text(row, "element") == element;
    let row = tables.events("click").into_iter().map(|(_, row)| row).find(is_of).unwrap();
    hex::decode(text(row, "subject")).unwrap().try_into().unwrap()
}

/// The files below a directory that have these bytes.
fn files_with(dir: &Path, bytes: &[u8]) -> Vec<String> {
    let has =
        |path: &std::path::PathBuf| fs::read(path).unwrap().windows(bytes.len()).any(|part| part == bytes);
    files(dir).iter().filter(|path| has(path)).map(|path| path.display().to_string()).collect()
}

#[test]
fn a_person_is_gone_from_every_table_and_file_and_everybody_else_is_as_before() {
    for encrypt in [true, false] {
        let world = World::with(|config| config.storage.encrypt = encrypt);
        assert_eq!(world.client().events(&world.keys.app, &batch("DE", clicks(0..30)))["accepted"], 60);
        world.flush();
        assert_eq!(world.client().events(&world.keys.app, &batch("US", clicks(7..8)))["accepted"], 2);
        // What is in the log only goes, too.
        assert_eq!(world.client().events(&world.keys.app, &batch("DE", clicks(30..PERSONS)))["accepted"], 60);
        let (seven, theirs) = (letters(7), format!("{}install", letters(7)));
        world.flush();
        let gone = [subject_of(&world, &seven), subject_of(&world, &theirs)];
        let kept = rows_without(&world, &[&seven, &theirs]);
        assert_eq!(kept.len(), 2 * (PERSONS - 1));
        assert_eq!(world.client().events(&world.keys.app, &batch("DE", clicks(100..101)))["accepted"], 2);

        let person =
            json!({"subjects": [{"user_id": "person-7", "install_id": ["install-7", "install-9999"]}]});
        let told = erase(&world, &person);
        let state = done(&world, &told);
        assert_eq!(state["regions"].as_array().unwrap().len(), 4, "{state}");
        let (late, late_install) = (letters(100), format!("{}install", letters(100)));
        assert_eq!(
            rows_without(&world, &[&late, &late_install]),
            kept,
            "everybody else is there, value by value"
        );
        for subject in gone {
            let found = files_with(&world.data_dir(), &subject);
            // In a directory in the clear, the record of the erasure says whose rows are to go.
            assert!(found.iter().all(|path| !encrypt && path.contains("/erasures/acts/")), "{found:?}");
        }
        // What they send now is not kept, and nobody else's is refused.
        let answer = world.client().events(&world.keys.app, &batch("DE", clicks(7..9)));
        assert_eq!((&answer["withheld"], &answer["duplicate"]), (&json!(2), &json!(2)), "{answer}");
        // The same request again is the same one.
        let mut named = person.clone();
        named["idempotency_key"] = json!("account-7");
        let first = erase(&world, &named);
        assert_ne!(first["request"], told["request"]);
        assert_eq!(erase(&world, &named)["request"], first["request"]);
        done(&world, &first);
    }
}

#[test]
fn a_question_that_begins_after_the_answer_counts_nobody_who_was_erased() {
    let world = World::new();
    let (all, half) = (600, 300);
    let of = |n: usize| click(&format!("u-{n}"), &format!("person-{n}"), "a");
    let sent = batch("DE", (0..all).map(of).collect());
    assert_eq!(world.client().events(&world.keys.app, &sent)["accepted"], all);
    world.flush();
    let people = |mark: &str| {
        let sql = format!(
            "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '2026-11-22' AND region = 'DE' AND element <> '{mark}'"
        );
        let question = json!({"sql": sql, "precision": "high"}).to_string();
        let answer = world.client().post("/v1/sql", &world.keys.analyst, question).expect(200).json();
        crate::query::rows(&answer)[0]["n"].as_f64().unwrap()
    };
    let before = people("x");
    let subjects: Vec<Value> = (0..half).map(|n| json!({"user_id": format!("person-{n}")})).collect();
    let told = erase(&world, &json!({"subjects": subjects, "regions": ["DE"]}));
    let after = people("y");
    // Noise has a deviation of 14.
    let (middle, released) = ((all + half) as f64 / 2.0, people("x"));
    assert!(before > middle && after < middle, "{before} before, {after} after");
    assert_eq!(released, before, "what was released stays");
    let state = done(&world, &told);
    assert_eq!(
        state["regions"],
        json!([{"region": "DE", "state": "done", "done_at": "2026-11-22T12:00:00Z"}])
    );
    assert!(people("z") < middle);
}

#[test]
fn who_may_not_erase_is_refused_and_nothing_that_was_sent_is_repeated() {
    let world = World::new();
    let body = json!({"subjects": [{"user_id": "person-7"}]}).to_string();
    for (key, status) in [(&world.keys.analyst, 403), (&world.keys.app, 403), (&"x.y".to_owned(), 401)] {
        assert_eq!(world.client().post("/v1/subjects/erase", key, &body).status, status);
        let path = "/v1/subjects/requests/5c1dd7a4-0f6e-4d5b-9d3a-7c2f1c1f9a10";
        assert_eq!(world.client().get(path, key).status, status);
    }
    for wrong in [
        json!({}),
        json!({"subjects": []}),
        json!({"subjects": [{}]}),
        json!({"subjects": [{"user_id": "unknown"}]}),
        json!({"subjects": [{"email": "person-7@example.com"}]}),
        json!({"subjects": [{"user_id": "person-7"}], "regions": []}),
        json!({"subjects": [{"user_id": "person-7"}], "regions": ["FR"]}),
        json!({"subjects": [{"user_id": "person-7"}], "programmes": ["person-7"]}),
        json!({"subjects": [{"user_id": "p".repeat(300)}]}),
        json!({"subjects": [{"user_id": "person-7"}], "idempotency_key": "k".repeat(300)}),
    ] {
        let answer = world.client().post("/v1/subjects/erase", &world.keys.officer, wrong.to_string());
        let told = answer.text();
        assert_eq!(
            (answer.status, answer.json()["code"].as_str()),
            (422, Some("bad_request")),
            "{wrong}: {told}"
        );
        assert!(!told.contains("person-7") && !told.contains("ppp"), "{told}");
    }
    let unknown = world.client().get("/v1/subjects/requests/no-id", &world.keys.officer);
    assert_eq!((unknown.status, unknown.json()["code"].as_str()), (404, Some("no_such_request")));
}

#[test]
fn an_erasure_goes_on_after_a_kill_and_is_done_again_in_data_that_were_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[OFTEN] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    assert_eq!(server.client.events(&keys.app, &batch("DE", clicks(0..20)))["accepted"], 40);
    until("the flush", || (Tables::read(&setup).count() == 40).then_some(()));
    let element = letters(3);
    assert!(server.terminate().success());
    let before = dir.path().join("before");
    crate::tables::copy(&setup.data_dir(), &before);
    let server = setup.serve();
    let person = "{\"user_id\":\"person-3\",\"install_id\":\"install-3\"}\n";
    let (code, told, errors) = setup.run_with(person, &["subject", "erase", "--dry-run"]);
    assert!(code == 0 && told.contains("DE: 2 rows in ") && told.contains("US: 0 rows"), "{told}{errors}");
    assert_eq!(Tables::read(&setup).count(), 40);
    let (code, told, errors) = setup.run_with(
        "{\"user_id\":\"person-3\",\"install_id\":\"install-3\"}\n",
        &["subject", "erase", "--json"],
    );
    assert!(code == 0, "{errors}");
    server.kill();
    let request = serde_json::from_str::<Value>(&told).unwrap()["requests"][0]["request"].clone();
    let request = request.as_str().unwrap();
    let state = || -> Value {
        let (code, told, errors) = setup.run(&["subject", "state", request, "--json"]);
        assert!(code == 0, "{errors}");
        serde_json::from_str(&told).unwrap()
    };
    let server = setup.serve();
    until("the erasure", || (state()["state"] == "done").then_some(()));
    assert!(server.terminate().success());
    assert_eq!(rows_without(&setup, &[]).len(), 38);

    // The data of before, beside the journals of today: they hold the person's rows until the service has started.
    fs::remove_dir_all(setup.data_dir()).unwrap();
    fs::rename(&before, setup.data_dir()).unwrap();
    assert_eq!(rows_without(&setup, &[]).len(), 40);
    let server = setup.serve();
    until("the erasure, once more", || (state()["state"] == "done").then_some(()));
    let (code, _, errors) = setup.run(&["audit", "verify"]);
    assert!(code == 0, "{errors}");
    assert!(!server.log().contains("person-3") && server.terminate().success());
    let left = rows_without(&setup, &[]);
    assert!(
        left.len() == 38 && left.iter().all(|row| !row.contains(&format!("\"{element}\""))),
        "{}",
        left.len()
    );
}
