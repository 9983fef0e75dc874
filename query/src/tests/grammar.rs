//! What is answered and what is refused, as data: `tests/data/accept.toml` and `refuse.toml`.

use serde::Deserialize;
use shoal_schemas::Region;

use super::{engine, grant, now_ms, registry, request};
use crate::error::QueryError;
use crate::tables::examples;

#[derive(Deserialize)]
struct Accept {
    accept: Vec<Accepted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    sql: String,
    keys: usize,
    aggregates: usize,
    #[serde(default)]
    private: bool,
}

#[derive(Deserialize)]
struct Refuse {
    refuse: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    sql: String,
    rule: String,
}

#[tokio::test]
async fn accepted_statements_have_the_parts_they_should() {
    let list: Accept = toml::from_str(include_str!("../../tests/data/accept.toml")).unwrap();
    let engine = engine();
    assert!(list.accept.len() > 15);
    for one in list.accept {
        let prepared = engine.prepare(&grant(Region::ALL), &request(&one.sql), now_ms()).await;
        let query = prepared.map_err(|e| format!("{}: {e}", one.sql)).unwrap().charged.query;
        assert_eq!(query.keys.len(), one.keys, "{}", one.sql);
        assert_eq!(query.aggregates.len(), one.aggregates, "{}", one.sql);
        assert_eq!(query.is_thresholded(), one.private, "{}", one.sql);
    }
}

#[tokio::test]
async fn refused_statements_name_their_rule() {
    let list: Refuse = toml::from_str(include_str!("../../tests/data/refuse.toml")).unwrap();
    let engine = engine();
    let mut wrong = Vec::new();
    for one in list.refuse {
        match engine.prepare(&grant(Region::ALL), &request(&one.sql), now_ms()).await {
            Err(QueryError::Refused(r)) if r.rule.as_str() == one.rule => {
                assert!(r.line >= 1 && r.column >= 1 && !r.suggestion.is_empty());
            }
            Err(error) => wrong.push(format!("{} [{}]: {error}", one.sql, one.rule)),
            Ok(_) => wrong.push(format!("{} [{}]: accepted", one.sql, one.rule)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn documented_examples_are_accepted() {
    let (engine, registry) = (engine(), registry());
    for kind in shoal_schemas::Kind::ALL {
        let event = registry.events().iter().find(|e| e.kind == *kind).map(|e| e.name.as_str());
        for sql in examples(registry.table(*kind), event) {
            let prepared = engine.prepare(&grant(Region::ALL), &request(&sql), now_ms()).await;
            assert!(prepared.is_ok(), "{sql}: {:?}", prepared.err());
        }
    }
}

#[tokio::test]
async fn a_refusal_points_at_the_place() {
    let sql = "SELECT COUNT(*)\nFROM usage\nWHERE os = 'ios' AND nothing = 1";
    let Err(QueryError::Refused(refusal)) =
        engine().prepare(&grant(Region::ALL), &request(sql), now_ms()).await
    else {
        panic!("accepted");
    };
    assert_eq!((refusal.line, refusal.column), (3, 22));
    assert!(refusal.suggestion.contains("os_version"), "{}", refusal.suggestion);
    assert!(!refusal.suggestion.contains("event_id"), "{}", refusal.suggestion);
}

#[tokio::test]
async fn hidden_and_unknown_columns_cannot_be_told_apart() {
    let engine = engine();
    let mut messages = Vec::new();
    for name in ["event_id", "consent_", "nothing_"] {
        let sql = format!("SELECT COUNT(*) FROM usage WHERE {name} IS NULL");
        let error = engine.prepare(&grant(Region::ALL), &request(&sql), now_ms()).await.err().unwrap();
        messages.push(error.to_string());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[tokio::test]
async fn a_region_that_the_key_does_not_reach_is_not_allowed() {
    let sql = "SELECT COUNT(*) FROM usage WHERE region IN ('DE', 'US')";
    let error = engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.err();
    assert_eq!(error, Some(QueryError::NotAllowed("US".to_owned())));
}

#[tokio::test]
async fn the_canonical_form_is_stable() {
    let sql = "SELECT os, COUNT(*) FROM usage WHERE day >= '2026-11-20' AND event = 'click' GROUP BY os";
    let prepared = engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap();
    let text = prepared.charged.query.to_string();
    assert!(text.starts_with("FROM usage IN DE\nDAYS 2026-11-20 TO 2026-11-22\n"), "{text}");
    assert!(text.contains("WHERE ((day >= DATE '2026-11-20') AND (event = 'click'))"), "{text}");
    assert!(text.contains("KEY os (public, "), "{text}");
    assert!(text.ends_with("GROUPS OF ONE SUBJECT'S DAY 1"), "{text}");
}
