//! Whoever wants to send events finds what can be sent, with the key of an app and on the command line.

use std::fs;

use serde_json::Value;
use shoal_schemas::{Programme, Region};

use crate::process::Setup;
use crate::stage::{POLICY, World, ingest, shipped};

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
    let answer = world.client().events(&world.keys.app, &crate::stage::batch("DE", events.collect()));
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
