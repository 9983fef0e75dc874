//! A chain that an earlier version wrote, when only queries had lines, is whole, and goes on.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin, Role, verify};

/// The lines as they are in the file, and the head's first place. They must never change.
const LINES: &str = include_str!("data/queries-only.jsonl");
const HEAD: &str = include_str!("data/queries-only.head");

#[tokio::test]
async fn a_chain_of_an_earlier_version_is_whole_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let place = Audit::place(dir.path());
    fs::create_dir_all(place.dir()).unwrap();
    fs::create_dir_all(place.head().parent().unwrap()).unwrap();
    fs::write(place.dir().join("00000000000000000001.jsonl"), LINES).unwrap();
    let mut head = HEAD.as_bytes().to_vec();
    head.resize(8192, 0);
    fs::write(place.head(), head).unwrap();
    let mut seen = String::new();
    let whole = verify(&place, &mut |line| {
        seen.push_str(std::str::from_utf8(line.text).unwrap());
        seen.push('\n');
    });
    let count = LINES.lines().count() as u64;
    let whole = whole.unwrap();
    assert_eq!((whole.count, whole.uncounted, whole.unfinished_bytes), (count, 0, 0));
    assert_eq!(seen, LINES);

    let audit = Arc::new(Audit::open(dir.path()).unwrap());
    let actor = Actor { key: None, role: Role::Operator };
    let id = uuid::Uuid::from_u128(7);
    let origin = Origin { at_ms: 1_795_348_800_000, act: Act::RetentionRun, id, actor };
    audit.begin(origin, json!({"files": 0})).end(ActOutcome::Done).await.unwrap();
    drop(audit);
    assert_eq!(verify(&place, &mut |_| {}).unwrap().count, count + 1);
}

#[tokio::test]
async fn the_same_queries_make_the_same_bytes_today() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Arc::new(Audit::open(dir.path()).unwrap());
    for line in LINES.lines() {
        let said: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        let outcome = match text("outcome").as_str() {
            "answered" => ActOutcome::Answered,
            "refused" => ActOutcome::Refused,
            other => panic!("{other}"),
        };
        assert_eq!(text("role"), "analyst");
        let actor = Actor { key: Some(text("key")), role: Role::Analyst };
        let id = text("id").parse().unwrap();
        let origin = Origin { at_ms: said["at_ms"].as_i64().unwrap(), act: Act::Query, id, actor };
        // The fields of the act in the file's own order and spelling.
        let from = line.find("\"rule\":").unwrap();
        let to = line.rfind(",\"hash\":").unwrap();
        let fields = Fields::of(&format!("{{{}}}", &line[from..to]));
        audit.begin(origin, fields).end(outcome).await.unwrap();
    }
    drop(audit);
    let made = fs::read_to_string(Audit::place(dir.path()).dir().join("00000000000000000001.jsonl")).unwrap();
    assert_eq!(made, LINES);
}

/// The members of an object in their order, each as it was spelled.
struct Fields(Vec<(&'static str, Box<serde_json::value::RawValue>)>);

impl Fields {
    fn of(object: &str) -> Fields {
        const NAMES: [&str; 8] =
            ["rule", "line", "column", "precision", "sd_max", "source", "answer_time_ms", "queries"];
        let mut all: std::collections::HashMap<String, Box<serde_json::value::RawValue>> =
            serde_json::from_str(object).unwrap();
        let fields = Fields(NAMES.iter().map(|name| (*name, all.remove(*name).unwrap())).collect());
        assert!(all.is_empty());
        fields
    }
}

impl serde::Serialize for Fields {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
