//! Every end of a query leaves one line, durable before the answer, and no line names a person.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use shoal_anonymity::budget::Precision;
use shoal_audit::{ChainLine, Whole, verify};
use shoal_schemas::Region;

use super::*;
use crate::config::QueryConfig;
use crate::engine::{Engine, entry};
use crate::grant::AnalystGrant;
use crate::metrics::Metrics;
use crate::request::QueryRequest;
use crate::running::QueryId;
use crate::tests::{engine, grant, now_ms, registry, request};

fn audited(dir: &Path) -> Engine {
    engine().with_audit(Arc::new(Audit::open(dir).unwrap()))
}

fn lines(dir: &Path) -> (Whole, Vec<Value>) {
    let mut lines = Vec::new();
    let mut each = |line: &ChainLine<'_>| {
        lines.push(serde_json::from_slice(line.text).unwrap());
    };
    let whole = verify(&Audit::place(dir), &mut each).unwrap();
    (whole, lines)
}

async fn ask(engine: &Engine, sql: &str) -> Result<crate::release::Released, QueryError> {
    engine.answer(&grant(&[Region::De]), &request(sql), now_ms()).await
}

#[tokio::test]
async fn each_end_of_a_query_leaves_one_line_before_the_answer() {
    let dir = tempfile::tempdir().unwrap();
    let engine = audited(dir.path());
    let id = QueryId::random();
    // There is no store, so that what reads events fails.
    let failing = QueryRequest { id: Some(id), ..request("SELECT COUNT(*) FROM usage") };
    assert!(engine.answer(&grant(&[Region::De]), &failing, now_ms()).await.is_err());
    assert_eq!(lines(dir.path()).1.len(), 1, "durable before the answer left");
    let priced = QueryRequest { dry_run: true, ..request("SELECT COUNT(*) FROM crash") };
    engine.answer(&grant(&[Region::De]), &priced, now_ms()).await.unwrap();
    assert!(ask(&engine, "SELECT\nsubject FROM usage WHERE screen = 'anna@example.org'").await.is_err());
    assert!(ask(&engine, "SELECT COUNT(*) FROM usage WHERE region = 'US'").await.is_err());
    drop(engine);
    let (whole, lines) = lines(dir.path());
    assert_eq!((whole.count, whole.uncounted), (4, 0));
    let outcomes: Vec<&str> = lines.iter().map(|l| l["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["failed", "dry_run", "refused", "not_allowed"]);
    let charged = &lines[0];
    assert_eq!(charged["id"], id.to_string());
    assert_eq!((charged["key"].as_str(), charged["role"].as_str()), (Some("test"), Some("analyst")));
    assert_eq!((charged["at_ms"].as_i64(), charged["source"].as_str()), (Some(now_ms()), Some("events")));
    let query = &charged["queries"][0];
    assert_eq!(query["rho_per_block"], Precision::Normal.rho().to_string());
    assert_eq!(query["blocks"][0]["table"], "usage");
    assert_eq!(query["blocks"][0]["regions"], serde_json::json!(["DE"]));
    assert!(query["text"].as_str().unwrap().contains("AGGREGATE count(*)"));
    assert_eq!(charged["reservations"], serde_json::json!([1]));
    assert!(lines[1..].iter().all(|line| line["reservations"] == serde_json::json!([])));
    assert_eq!(lines[1]["source"], "nothing");
    assert!(
        lines[2]["rule"].is_string()
            && lines[2]["line"].is_u64()
            && lines[2]["queries"] == serde_json::json!([])
    );
    assert!(!lines[2].to_string().contains("anna"), "{}", lines[2]);
}

#[tokio::test]
async fn what_an_analyst_types_about_a_person_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let engine = audited(dir.path());
    let sql = "SELECT COUNT(*) FILTER (WHERE screen = '203.0.113.77') FROM usage \
        WHERE screen IN ('anna@example.org', 'home', '+49 171 1234567') AND event = 'click'";
    assert!(ask(&engine, sql).await.is_err());
    drop(engine);
    let text = lines(dir.path()).1[0]["queries"][0]["text"].as_str().unwrap().to_owned();
    for kept in ["'home'", "'click'", "screen", "FROM usage IN DE", "DAYS 2026-", "AGGREGATE count(*)"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    for gone in ["anna", "example.org", "171", "1234567", "203.0"] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
}

#[tokio::test]
async fn an_asker_who_goes_away_leaves_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(slow(dir.path(), 1));
    let waiting = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { ask(&engine, "SELECT COUNT(*) FROM usage").await })
    };
    while engine.running(&grant(&[])).is_empty() {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert!(engine.running(&grant(&[])).is_empty());
    drop(engine);
    let line = lines(dir.path()).1.remove(0);
    assert_eq!(line["outcome"], "abandoned");
}

/// An engine whose answers take very long, because of their times.
fn slow(dir: &Path, concurrent_max: usize) -> Engine {
    let config = QueryConfig {
        answer_times_ms: vec![3_600_000],
        time_ms_max: 36_000_000,
        concurrent_max,
        ..QueryConfig::default()
    };
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    Engine::over(
        crate::tests::scan(Vec::new()),
        shoal_storage::BudgetLedger::in_memory().unwrap(),
        registry(),
        config,
        metrics,
    )
    .with_audit(Arc::new(Audit::open(dir).unwrap()))
}

#[tokio::test]
async fn a_cancelled_query_fails_at_once_and_frees_its_seat() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Arc::new(slow(dir.path(), 1));
    let (own, other) =
        (grant(&[Region::De]), AnalystGrant { key_id: "other".into(), ..grant(&[Region::De]) });
    let ids: Vec<QueryId> = (0..8).map(|_| QueryId::random()).collect();
    let asked: Vec<_> = ids
        .iter()
        .map(|id| {
            let (engine, own) = (Arc::clone(&engine), own.clone());
            let request = QueryRequest { id: Some(*id), ..request("SELECT COUNT(*) FROM usage") };
            tokio::spawn(async move { engine.answer(&own, &request, now_ms()).await })
        })
        .collect();
    while engine.running(&own).len() < 8 {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&engine, "SELECT COUNT(*) FROM usage").await.unwrap_err(), QueryError::Busy);
    for (id, asked) in ids.iter().zip(asked) {
        assert!(!engine.cancel(&other, *id));
        assert!(engine.cancel(&own, *id));
        let answer = tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap().unwrap();
        assert_eq!(answer.unwrap_err(), QueryError::Failed, "the same as any failure");
        assert!(!engine.cancel(&own, *id), "there is none any more");
    }
    assert!(engine.running(&own).is_empty());
    drop(engine);
    let outcomes: Vec<Value> = lines(dir.path()).1.into_iter().map(|mut l| l["outcome"].take()).collect();
    assert_eq!((outcomes.len(), outcomes[0].as_str()), (9, Some("busy")));
    assert!(outcomes[1..].iter().all(|o| o == "cancelled"), "{outcomes:?}");
}

#[tokio::test]
async fn a_refusal_and_a_dry_run_do_not_wait_for_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let engine = slow(dir.path(), 1);
    assert!(ask(&engine, "SELECT subject FROM usage").await.is_err());
    let priced = QueryRequest { dry_run: true, ..request("SELECT COUNT(*) FROM usage") };
    assert!(engine.answer(&grant(&[Region::De]), &priced, now_ms()).await.is_ok());
}

#[tokio::test]
async fn a_query_whose_line_cannot_be_written_is_not_answered() {
    let audit = Arc::new(Audit::none());
    let long = QueryRequest::default();
    let de = AnalystGrant { key_id: "x".repeat(1 << 20), ..grant(&[Region::De]) };
    let dir = tempfile::tempdir().unwrap();
    let kept = Arc::new(Audit::open(dir.path()).unwrap());
    assert!(entry(&audit, QueryId::random(), &de, &long, 1).end(ActOutcome::Answered).await.is_ok());
    assert!(entry(&kept, QueryId::random(), &de, &long, 1).end(ActOutcome::Answered).await.is_err());
    let engine = engine().with_audit(Arc::new(Audit::open(&dir.path().join("other")).unwrap()));
    let priced = QueryRequest { dry_run: true, ..request("SELECT COUNT(*) FROM usage") };
    assert_eq!(engine.answer(&de, &priced, now_ms()).await.unwrap_err(), QueryError::Failed);
}
