//! A scan that panics is one opaque failure, and touches nothing else: not the next question, not those who write tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shoal_schemas::{Kind, Programme, Region};
use shoal_storage::{BudgetLedger, Part, Store};

use super::faults::{Fault, Faulty};
use super::{Row, grant, now_ms, provider, registry, request, scan, today};
use crate::budget::BudgetRequest;
use crate::clock::TestClock;
use crate::config::QueryConfig;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::request::QueryRequest;

/// How many rows were appended, and whether the question beside has failed.
#[derive(Default)]
struct Beside {
    rows: AtomicU64,
    has_failed: AtomicBool,
}

/// Appends a row of a hundred people, as a flush does, until the question beside has failed, and then twenty times.
async fn append(root: &std::path::Path, beside: &Beside) -> u64 {
    let store = Store::open(&url::Url::from_directory_path(root).unwrap()).await.unwrap();
    let table = store.table(Region::De, registry().table(Kind::Usage)).await.unwrap();
    let (mut turn, mut after) = (0, 0);
    while after < 20 {
        (turn, after) = (turn + 1, after + u32::from(beside.has_failed.load(Ordering::SeqCst)));
        let rows: Vec<Row> = (0..100).map(|subject| Row::new(subject, today(), "click")).collect();
        let batch = provider(registry().table(Kind::Usage), &rows).0[0].clone();
        let stored = batch.project(&(0..batch.num_columns() - 1).collect::<Vec<_>>()).unwrap();
        let part = Part { programme: Programme::UserExperience, day: today(), batch: stored };
        table.append(vec![part], "test", turn).await.unwrap();
        beside.rows.fetch_add(100, Ordering::SeqCst);
    }
    table.snapshot().await.unwrap().files().iter().map(|file| file.rows).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_scan_is_one_opaque_failure_and_touches_nothing_else() {
    let rows: Vec<Row> = (0..500).map(|subject| Row::new(subject, today(), "click")).collect();
    let tables = vec![(Region::De, Kind::Usage, provider(registry().table(Kind::Usage), &rows))];
    let panicking = Faulty::new(scan(tables), Arc::new(TestClock::new()), Fault::PanicOnce);
    let mut metrics = prometheus_client::registry::Registry::default();
    let config = QueryConfig { answer_times_ms: Vec::new(), ..QueryConfig::default() };
    let ledger = BudgetLedger::in_memory().unwrap();
    let engine =
        Engine::over(Arc::new(panicking), ledger, registry(), config, Metrics::register(&mut metrics));
    let root = tempfile::tempdir().unwrap();
    let path = root.path().to_owned();
    let beside = Arc::new(Beside::default());
    let appending = Arc::clone(&beside);
    let writer = tokio::spawn(async move { append(&path, &appending).await });
    while beside.rows.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let ask = |sql: &str| {
        let (request, grant, engine) = (request(sql), grant(&[Region::De]), &engine);
        async move { engine.answer(&grant, &request, now_ms()).await }
    };
    let sql = "SELECT COUNT(*) FROM usage WHERE day = current_date";
    assert_eq!(ask(sql).await.err(), Some(QueryError::Failed));
    beside.has_failed.store(true, Ordering::SeqCst);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
    assert!(text.contains("query_failures_total{cause=\"panic\"} 1"), "{text}");
    // The failed question is charged and stays unanswered; another one is answered.
    let other = ask("SELECT COUNT(DISTINCT subject) AS people FROM usage WHERE day = current_date").await;
    let people = super::number(&other.unwrap(), 0, "people");
    assert!((people - 500.0).abs() < 200.0, "{people}");
    let appended = writer.await.unwrap();
    assert_eq!(appended, beside.rows.load(Ordering::SeqCst), "nothing is lost, and it went on afterwards");
    assert!(appended >= 2_100, "{appended}");
}

/// A panic before anything is paid is the same to the asker, and charges nothing; the connection that it came by is not its.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_while_a_statement_is_read_is_one_opaque_failure_and_free() {
    let mut metrics = prometheus_client::registry::Registry::default();
    let ledger = BudgetLedger::in_memory().unwrap();
    let engine = Engine::over(
        scan(Vec::new()),
        ledger,
        registry(),
        QueryConfig::default(),
        Metrics::register(&mut metrics),
    )
    .panicking();
    let sql = "SELECT COUNT(*) FROM usage WHERE day = current_date";
    for dry_run in [true, false] {
        let asked = QueryRequest { dry_run, ..request(sql) };
        let answer = engine.answer(&grant(&[Region::De]), &asked, now_ms()).await;
        assert_eq!(answer.err(), Some(QueryError::Failed));
    }
    assert!(engine.running(&grant(&[Region::De])).is_empty(), "it has left its seat");
    let list = engine.budget(&grant(&[Region::De]), &BudgetRequest::default(), now_ms()).await.unwrap();
    assert!(list.blocks.iter().all(|block| block.rho_spent == "0"));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
    assert!(text.contains("query_failures_total{cause=\"panic\"} 2"), "{text}");
    assert!(text.contains("queries_total{outcome=\"failed\"} 2"), "{text}");
}

#[tokio::test]
async fn every_class_of_failure_is_told_alike_and_counted_by_its_name() {
    let mut metrics = prometheus_client::registry::Registry::default();
    let ledger = BudgetLedger::in_memory().unwrap();
    let registered = Metrics::register(&mut metrics);
    let engine = Engine::over(scan(Vec::new()), ledger, registry(), QueryConfig::default(), registered);
    for failure in Failure::ALL {
        assert_eq!(engine.told_of(failure), QueryError::Failed);
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
    for cause in ["storage", "memory", "time", "limit", "worker", "panic", "internal"] {
        assert!(text.contains(&format!("query_failures_total{{cause=\"{cause}\"}} 1")), "{cause}: {text}");
    }
}
