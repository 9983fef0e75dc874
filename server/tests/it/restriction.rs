//! Processing is restricted and lifted, persons are excluded and object: what questions, the gate, copies and a restart make of it.

use serde_json::{Value, json};

use crate::http::Answer;
use crate::process::{Setup, until};
use crate::stage::{Keys, POLICY, World, batch, click};
use crate::table_copies::OFTEN;
use crate::tables::Tables;

/// The first persons of so many.
const ALL: usize = 600;
const SOME: usize = 300;

fn post(world: &World, path: &str, body: &Value) -> Answer {
    world.client().post(path, &world.keys.officer, body.to_string())
}

/// Persons in DE, of the number of each.
fn persons(numbers: std::ops::Range<usize>) -> Value {
    numbers.map(|n| json!({"user_id": format!("person-{n}")})).collect()
}

fn of(n: usize, id: &str) -> Value {
    click(&format!("{id}-{n}"), &format!("person-{n}"), "a")
}

/// A world in which every person has clicked once.
fn clicked() -> World {
    let world = World::new();
    let sent = batch("DE", (0..ALL).map(|n| of(n, "u")).collect());
    assert_eq!(world.client().events(&world.keys.app, &sent)["accepted"], ALL);
    world.flush();
    world
}

/// How many persons there are, as a question that was not asked before tells: noise has a deviation of 14.
fn people(world: &World, mark: &str) -> f64 {
    let sql = format!(
        "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '2026-11-22' AND region = 'DE' AND element <> '{mark}'"
    );
    let question = json!({"sql": sql, "precision": "high"}).to_string();
    let answer = world.client().post("/v1/sql", &world.keys.analyst, question).expect(200).json();
    crate::query::rows(&answer)[0]["n"].as_f64().unwrap()
}

/// What became of one event of a person.
fn sent(world: &World, n: usize, id: &str) -> String {
    let answer = world.client().events(&world.keys.app, &batch("DE", vec![of(n, id)]));
    match answer["accepted"] == 1 {
        true => "accepted".to_owned(),
        false => answer["events"][0]["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(),
    }
}

fn lift(world: &World, told: &Value, body: &Value) -> Answer {
    post(world, &format!("/v1/subjects/requests/{}/lift", told["request"].as_str().unwrap()), body)
}

#[test]
fn who_is_restricted_is_in_no_question_and_sends_nothing_until_it_is_lifted() {
    let mut world = clicked();
    let middle = (ALL + ALL - SOME) as f64 / 2.0;
    assert!(people(&world, "p") > middle);
    let body = json!({"subjects": persons(0..SOME), "regions": ["DE"], "ground": "accuracy", "review_on": "2026-12-31",
        "idempotency_key": "case-1"});
    let told = post(&world, "/v1/subjects/restrict", &body).expect(200).json();
    assert_eq!(
        (&told["act"], &told["state"], &told["ground"]),
        (&json!("restrict"), &json!("in_force"), &json!("accuracy"))
    );
    assert_eq!(post(&world, "/v1/subjects/restrict", &body).expect(200).json(), told, "the same request");
    for (mark, n) in [("q", 1), ("r", 2)] {
        assert!(people(&world, mark) < middle, "they are in no answer");
        assert_eq!(sent(&world, n, "v"), "restricted");
        world.restart(|_| {});
    }
    let listed = world.client().get("/v1/subjects/requests", &world.keys.officer).expect(200).json();
    assert!(listed["requests"].as_array().unwrap().contains(&told), "{listed}");
    let refused = lift(&world, &told, &json!({"informed": false}));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (422, Some("bad_request")));
    assert_eq!(sent(&world, 3, "v"), "restricted");
    let lifted = lift(&world, &told, &json!({"informed": true})).expect(200).json();
    assert_eq!(
        (&lifted["state"], &lifted["regions"][0]["lifted_at"]),
        (&json!("lifted"), &json!("2026-11-22T12:00:00Z"))
    );
}

#[test]
fn a_restriction_leaves_what_was_granted_and_what_is_kept_as_it_was() {
    let world = clicked();
    let grant = json!({"action": "grant", "programme": "user-experience", "policy_version": POLICY, "user_id": "person-1", "country": "DE"});
    world.client().post("/v1/consents", &world.keys.app, grant.to_string()).expect(200);
    let body = json!({"subjects": persons(0..SOME), "ground": "legal-claim", "review_on": "2026-12-31"});
    let told = post(&world, "/v1/subjects/restrict", &body).expect(200).json();
    assert_eq!(Tables::read(&world).count(), ALL);
    assert_eq!(lift(&world, &told, &json!({"informed": true})).status, 200);
    assert!(people(&world, "s") > (ALL + ALL - SOME) as f64 / 2.0);
    assert_eq!(sent(&world, 1, "w"), "accepted", "the grant of before holds");
    assert_eq!(lift(&world, &told, &json!({"informed": true})).status, 200, "once more changes nothing");
}

#[test]
fn who_is_excluded_is_erased_and_not_kept_whatever_is_granted() {
    let mut world = clicked();
    let told = post(&world, "/v1/subjects/exclude", &json!({"subjects": persons(7..8)})).expect(200).json();
    let path = format!("/v1/subjects/requests/{}", told["request"].as_str().unwrap());
    let state = |world: &World| world.client().get(&path, &world.keys.officer).expect(200).json();
    until("the erasure", || (state(&world)["state"] == "in_force").then_some(()));
    assert_eq!(Tables::read(&world).count(), ALL - 1);
    for _ in 0..2 {
        let grant = json!({"action": "grant", "programme": "user-experience", "policy_version": POLICY, "user_id": "person-7",
            "country": "DE"});
        world.client().post("/v1/consents", &world.keys.app, grant.to_string()).expect(200);
        assert_eq!(sent(&world, 7, "x"), "erased");
        world.restart(|_| {});
    }
    assert_eq!(lift(&world, &told, &json!({"informed": true})).expect(200).json()["state"], "lifted");
    world.pass_ms(60_000);
    let grant = json!({"action": "grant", "programme": "user-experience", "policy_version": POLICY, "user_id": "person-7", "country": "DE"});
    world.client().post("/v1/consents", &world.keys.app, grant.to_string()).expect(200);
    assert_eq!(sent(&world, 7, "y"), "accepted");
}

#[test]
fn who_objects_is_withdrawn_for_the_programme_and_erased_or_restricted() {
    let world = clicked();
    let of = |rows: &str, more: Value, n: usize| {
        let mut body = json!({"subjects": persons(n..n + 1), "programmes": ["user-experience"], "regions": ["DE"], "rows": rows});
        more.as_object().unwrap().iter().for_each(|(name, value)| body[name] = value.clone());
        post(&world, "/v1/subjects/object", &body).expect(200).json()
    };
    let erased = of("erase", json!({}), 1);
    let restricted = of("restrict", json!({"review_on": "2026-12-31"}), 2);
    assert_eq!((&erased["act"], &restricted["act"]), (&json!("erase"), &json!("restrict")));
    assert_eq!(restricted["ground"], "objection");
    until("the erasure", || (Tables::read(&world).count() == ALL - 1).then_some(()));
    assert_eq!(lift(&world, &restricted, &json!({"informed": true})).status, 200);
    assert_eq!(sent(&world, 2, "z"), "withdrawn", "the objection stands");
    let wrong = lift(&world, &erased, &json!({"informed": true}));
    assert_eq!(wrong.status, 422, "{}", wrong.text());
}

#[test]
fn commands_restrict_list_and_lift_and_a_kill_or_older_data_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[OFTEN] };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    let sent = batch("DE", (0..20).map(|n| of(n, "u")).collect());
    assert_eq!(server.client.events(&keys.app, &sent)["accepted"], 20);
    until("the flush", || (Tables::read(&setup).count() == 20).then_some(()));
    assert!(server.terminate().success());
    let before = dir.path().join("before");
    crate::tables::copy(&setup.data_dir(), &before);
    // Whoever may copy tables in the clear copies nobody who is restricted.
    let copied = |name: &str| {
        let to = dir.path().join(name);
        let (code, told, errors) =
            setup.run(&["tables", "copy", to.to_str().unwrap(), "--decrypt", "--json"]);
        assert!(code == 0, "{errors}");
        let told: Value = serde_json::from_str(&told).unwrap();
        told["tables"].as_array().unwrap().iter().map(|table| table["rows"].as_u64().unwrap()).sum::<u64>()
    };
    let server = setup.serve();
    let restrict = ["subject", "restrict", "--ground", "unlawful", "--review-on", &tomorrow()];
    let (code, told, errors) = setup.run_with("{\"user_id\":\"person-3\"}\n", &restrict);
    assert!(code == 0 && told.contains("restrict, in force (unlawful, to be reviewed on "), "{told}{errors}");
    assert_eq!(copied("restricted"), 19);
    let request = told.split_whitespace().nth(1).unwrap().trim_end_matches(':').to_owned();
    server.kill();
    std::fs::remove_dir_all(setup.data_dir()).unwrap();
    std::fs::rename(&before, setup.data_dir()).unwrap();
    assert_eq!(
        (Tables::read(&setup).count(), copied("older")),
        (20, 19),
        "older data are copied without them, too"
    );
    let server = setup.serve();
    let (code, told, errors) = setup.run(&["subject", "list"]);
    assert!(code == 0 && told.contains(&request), "{told}{errors}");
    let (code, _, errors) = setup.run(&["subject", "lift", &request]);
    assert!(code != 0 && errors.contains("informed"), "{errors}");
    let (code, told, errors) = setup.run(&["subject", "lift", &request, "--informed"]);
    assert!(code == 0 && told.contains("lifted"), "{told}{errors}");
    assert_eq!(setup.run(&["subject", "list"]).1.trim(), "nothing is restricted, and nobody is excluded");
    assert_eq!(copied("lifted"), 20);
    let (code, _, errors) = setup.run(&["audit", "verify"]);
    assert!(code == 0, "{errors}");
    assert!(!server.log().contains("person-3") && server.terminate().success());
}

/// By the real clock, which the binary goes by.
fn tomorrow() -> String {
    let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let day = i32::try_from(seconds / 86_400).unwrap() + 1;
    shoal_language::calendar::day_text(day)
}
