//! Whoever wants to send events finds what can be sent, with the key of an app and on the command line; and is told what was probably
//! meant, and what would become of a body of any protocol.

use std::fs;

use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};

use crate::http::gzip;
use crate::process::Setup;
use crate::stage::{NOON_MS, POLICY, World, batch, click, consent, ingest, shipped};
use crate::tables::Tables;

fn names(of: &Value) -> Vec<&str> {
    of["events"].as_array().unwrap().iter().map(|event| event["name"].as_str().unwrap()).collect()
}

#[test]
fn an_ingest_key_is_shown_the_events_of_its_programme_and_no_other_key_any() {
    let world = World::new();
    let of = |programme| world.key(shipped(ingest(&[Region::De], Some(programme), Some(POLICY)))).reveal();
    let schema = |key: &str| world.client().get("/v1/schema", key).expect(200).json();
    let (all, user, device) = (
        schema(&world.keys.shipped),
        schema(&of(Programme::UserExperience)),
        schema(&of(Programme::DeviceExperience)),
    );
    assert!(names(&user).contains(&"click") && !names(&device).contains(&"click"));
    assert!(!names(&device).is_empty());
    assert_eq!(names(&all).len(), names(&user).len() + names(&device).len());
    assert_eq!(schema(&world.keys.app), all, "a server key is for the same");
    let fields: Vec<&str> =
        all["fields"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    for field in ["event", "time", "user_id", "consent.granted_at", "events"] {
        assert!(fields.contains(&field), "{fields:?}");
    }
    for (key, status) in [(&world.keys.analyst, 403), (&world.keys.officer, 403), (&String::new(), 401)] {
        assert_eq!(world.client().get("/v1/schema", key).status, status);
    }
}

/// Every example that the catalogue shows is one that is accepted as it stands, when the time in it is now.
#[test]
fn every_example_of_the_catalogue_can_be_sent() {
    let world = World::new();
    let shown = world.client().get("/v1/schema", &world.keys.app).expect(200).json();
    let now = "2026-11-22T11:59:00Z";
    let events = shown["events"].as_array().unwrap().iter().map(|event| {
        let mut example = event["example"].clone();
        example["time"] = now.into();
        example
    });
    let answer = world.client().events(&world.keys.app, &batch("DE", events.collect()));
    assert_eq!(answer["rejected"], 0, "{answer}");
    assert_eq!(answer["received"].as_u64().unwrap(), names(&shown).len() as u64);
}

#[test]
fn the_command_line_lists_and_shows_what_can_be_sent() {
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { dir: dir.path(), variables: &[] };
    let (code, listed, errors) = setup.run(&["schemas", "list"]);
    assert!(code == 0 && listed.contains("screen_view") && listed.contains("session_id"), "{listed}{errors}");
    let (_, json, _) = setup.run(&["schemas", "list", "--json", "--programme", "device-experience"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(names(&json).contains(&"device_fault") && !names(&json).contains(&"click"));
    let (code, shown, _) = setup.run(&["schemas", "show", "click"]);
    assert!(code == 0 && shown.contains("A control was pressed.") && shown.contains("element"), "{shown}");
    let (code, _, errors) = setup.run(&["schemas", "show", "clik"]);
    assert!(code == 2 && errors.contains("did you mean `click`?"), "{errors}");
    let overlay = dir.path().join("overlay/events");
    fs::create_dir_all(&overlay).unwrap();
    let own = include_str!("../../../schemas/defs/events/click.toml").replace("\"click\"", "\"knock\"");
    fs::write(overlay.join("knock.toml"), own).unwrap();
    let root = dir.path().join("overlay");
    let (code, shown, errors) =
        setup.run(&["schemas", "show", "knock", "--json", "--dir", root.to_str().unwrap()]);
    assert_eq!(code, 0, "{errors}");
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["name"], "knock");
    assert!(!dir.path().join("data").exists(), "nothing is made");
}

/// Fields under other names are the fields: what is sent again under their own names is a duplicate.
#[test]
fn another_name_of_a_field_is_understood_and_a_misspelt_name_is_answered_with_the_declared_one() {
    let world = World::new();
    let (sent, client) = (|event: Value| batch("DE", vec![event]), world.client());
    let own = json!({"event": "click", "time": NOON_MS, "user_id": "u", "properties": {"element": "a"}});
    let other = json!({"name": "click", "timestamp": NOON_MS, "userId": "u", "props": {"element": "a"}});
    assert_eq!(client.events(&world.keys.app, &sent(own))["accepted"], 1);
    let again = client.events(&world.keys.app, &sent(other));
    assert_eq!((&again["duplicate"], &again["did_you_mean"]), (&json!(1), &Value::Null));

    let misspelt = json!({"event": "click", "time": NOON_MS, "timestamp": "secret-value", "user_id": "u",
        "properties": {"element": "secret-value", "scren": "secret-value", "secret_value": 1}});
    let unknown = json!({"event": "clik", "time": NOON_MS, "user_id": "u"});
    let lacking =
        json!({"event": "click", "time": NOON_MS, "user_id": "u", "properties": {"elemnt": "secret-value"}});
    let body = batch("DE", vec![misspelt, unknown, lacking]);
    for (path, key) in [
        ("/v1/validate", &world.keys.app),
        ("/v1/validate", &world.keys.shipped),
        ("/v1/events", &world.keys.app),
        ("/v1/events", &world.keys.shipped),
    ] {
        let answer = client.post(path, key, body.to_string()).expect(200);
        assert!(!answer.text().contains("secret"), "{}", answer.text());
        let answer = answer.json();
        let meant = json!([{"name": "time", "count": 1}, {"name": "screen", "event": "click", "count": 1}]);
        assert_eq!(answer["did_you_mean"], meant, "{path}: {answer}");
        assert_eq!(
            answer["events"].as_array().unwrap()[1..],
            [
                json!({"status": "rejected", "code": "unknown_event", "field": "event",
                    "reason": "no definition has this name", "did_you_mean": "click"}),
                json!({"status": "rejected", "code": "missing_property", "field": "element",
                    "reason": "required and absent", "did_you_mean": "element"}),
            ]
        );
    }
}

#[test]
fn validate_takes_the_body_of_every_protocol_and_keeps_nothing() {
    let world = World::new();
    let key = &world.keys.app;
    let consent = consent();
    let track = |element: &str| {
        json!({"type": "track", "event": "click", "messageId": element, "userId": "u",
            "properties": {"element": element}, "context": {"country": "DE", "consent": consent}})
    };
    let mut wrong = track("b");
    wrong["properties"] = json!({});
    let crash = json!({"event_id": "fc6d8c0c43fc4630ad850ee518f1b9d0", "level": "error",
        "user": {"id": "u", "geo": {"country_code": "DE"}}, "contexts": {"consent": consent},
        "exception": {"values": [{"type": "E", "value": "v"}]}});
    let envelope =
        format!("{{\"event_id\":\"fc6d8c0c43fc4630ad850ee518f1b9d0\"}}\n{{\"type\":\"event\"}}\n{crash}\n");
    let bodies = [
        ("", batch("DE", vec![click("1", "u", "a")]).to_string(), vec![""]),
        ("", json!({"batch": [track("a"), wrong]}).to_string(), vec!["", "missing_property"]),
        ("", track("a").to_string(), vec![""]),
        ("?protocol=segment", track("a").to_string(), vec![""]),
        ("?protocol=native", track("a").to_string(), vec!["bad_consent"]),
    ];
    for (query, body, codes) in bodies {
        let path = format!("/v1/validate{query}");
        let answer = world.client().post(&path, key, &body).expect(200).json();
        let told: Vec<&str> = answer["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["code"].as_str().unwrap_or_default())
            .collect();
        assert_eq!(told, codes, "{body}: {answer}");
        let packed = gzip(body.as_bytes());
        assert_eq!(world.client().post(&path, key, packed).expect(200).json(), answer);
    }
    let answer = world.client().post("/v1/validate", key, &envelope).expect(200).json();
    assert_eq!(answer["accepted"], 1, "{answer}");
    let told = world.client().post("/v1/validate?protocol=sentry", key, "no envelope").expect(400).json();
    assert_eq!(told["code"], "bad_envelope");
    let told = world.client().post("/v1/validate?protocol=other", key, "{}").expect(422).json();
    assert_eq!(told["code"], "bad_request");
    let own = world.client().get("/v1/keys/self", key).expect(200).json();
    assert_eq!(own["counters"]["received"], 0, "{own}");
    world.flush();
    assert_eq!(Tables::read(&world).count(), 0);
}
