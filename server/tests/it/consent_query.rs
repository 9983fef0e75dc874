//! What is in force of somebody's consent is told to servers and account services, and is what events are decided by.

use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};
use shoal_server::access_keys::Scope;

use crate::http::Answer;
use crate::stage::{POLICY, World, batch, click};

const PATH: &str = "/v1/consents/query";

fn ask(world: &World, key: &str, body: &Value) -> Answer {
    world.client().post(PATH, key, body.to_string())
}

/// State, version and whether consent is needed, of the user-experience programme.
fn told(world: &World, who: Value) -> (String, Value, bool) {
    let mut body = who;
    body["country"] = json!("DE");
    let told = ask(world, &world.keys.app, &body).expect(200).json();
    assert_eq!(
        (&told["region"], told["consents"].as_array().unwrap().len()),
        (&json!("DE"), Programme::ALL.len())
    );
    let found =
        told["consents"].as_array().unwrap().iter().find(|told| told["programme"] == "user-experience");
    let found = found.unwrap();
    assert_eq!(found["policy_versions"].as_array().unwrap().last().unwrap(), POLICY);
    let needs_consent = found["needs_consent"].as_bool().unwrap();
    (found["state"].as_str().unwrap().to_owned(), found["policy_version"].clone(), needs_consent)
}

fn change(world: &World, action: &str, who: (&str, &str)) {
    let mut body =
        json!({"action": action, "programme": "user-experience", "policy_version": POLICY, "country": "DE"});
    body[who.0] = json!(who.1);
    world.client().post("/v1/consents", &world.keys.app, body.to_string()).expect(200);
}

#[test]
fn what_is_told_is_what_events_are_decided_by_whatever_identifiers_are_named() {
    let mut world = World::new();
    let unrecorded = ("unrecorded".to_owned(), Value::Null, true);
    let granted = ("granted".to_owned(), json!(POLICY), false);
    let withdrawn = ("withdrawn".to_owned(), Value::Null, true);
    let user = || json!({"user_id": "u-1"});
    assert_eq!(told(&world, user()), unrecorded);
    change(&world, "grant", ("user_id", "u-1"));
    assert_eq!(told(&world, user()), granted);
    assert_eq!(told(&world, json!({"user_id": ["u-1"], "install_id": "i-1"})), granted);
    world.restart(|_| {});
    assert_eq!(told(&world, user()), granted, "it is kept");
    assert_eq!(told(&world, json!({"user_id": "u-2"})), unrecorded, "of nobody else");
    let elsewhere =
        ask(&world, &world.keys.app, &json!({"user_id": "u-1", "region": "US"})).expect(200).json();
    assert!(elsewhere["consents"].as_array().unwrap().iter().all(|told| told["state"] == "unrecorded"));
    let kept = |world: &World, id: &str| {
        let mut event = click(id, "u-1", "a");
        event["install_id"] = json!("i-1");
        let answer = world.client().events(&world.keys.app, &json!({"country": "DE", "events": [event]}));
        answer["accepted"] == 1
    };
    assert!(kept(&world, "a"));
    // A restriction is told to nobody who asks for consents.
    let restrict = json!({"subjects": [{"user_id": "u-1"}], "ground": "accuracy", "review_on": "2026-12-31"});
    world.client().post("/v1/subjects/restrict", &world.keys.officer, restrict.to_string()).expect(200);
    assert_eq!(told(&world, user()), granted);
    change(&world, "withdraw", ("install_id", "i-1"));
    assert_eq!(told(&world, user()), granted);
    assert_eq!(told(&world, json!({"user_id": "u-1", "install_id": "i-1"})), withdrawn);
    assert!(!kept(&world, "b"));
    // What comes with an event is not recorded.
    assert_eq!(
        world.client().events(&world.keys.app, &batch("DE", vec![click("c", "u-3", "a")]))["accepted"],
        1
    );
    assert_eq!(told(&world, json!({"user_id": "u-3"})), unrecorded);
}

#[test]
fn a_key_tells_its_programme_and_regions_alone_and_nothing_that_was_sent_is_repeated() {
    let world = World::new();
    let service =
        world.key(Scope::Account { app: "camera".into(), regions: vec![Region::De] }).reveal().to_owned();
    let person = |place: &str, value: &str| json!({"user_id": "secret-1", place: value});
    assert_eq!(ask(&world, &service, &person("country", "AT")).expect(200).json()["region"], "DE");
    let refused = ask(&world, &service, &person("country", "US"));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("not_allowed")));
    for body in [
        json!({"user_id": "secret-1"}),
        json!({"user_id": "secret-1", "country": "DE", "region": "DE"}),
        person("country", "secret-1"),
        person("region", "EU"),
        json!({"country": "DE"}),
        json!({"user_id": 17, "country": "DE"}),
        json!({"user_id": [], "country": "DE"}),
        json!({"user_id": "00000000-0000-0000-0000-000000000000", "country": "DE"}),
        json!({"user_id": "secret-1".repeat(100), "country": "DE"}),
        json!({"user_id": vec!["secret-1"; 65], "country": "DE"}),
        json!({"subject": "secret-1", "country": "DE"}),
        json!(["secret-1"]),
    ] {
        let refused = ask(&world, &service, &body);
        assert_eq!((refused.status, refused.json()["code"].as_str()), (422, Some("bad_request")), "{body}");
        assert!(!refused.text().contains("secret"), "{}", refused.text());
    }
}
