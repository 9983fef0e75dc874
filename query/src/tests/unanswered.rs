//! A question that is paid and has no answer: whatever it failed of, and when, the ledger and everything that is asked of it
//! say the same.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shoal_postprocess::Limits;
use shoal_schemas::{Kind, Region};
use shoal_storage::BudgetLedger;

use super::{Row, grant, now_ms, provider, registry, request, scan, today};
use crate::budget::BudgetRequest;
use crate::config::QueryConfig;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::metrics::Metrics;
use crate::request::QueryRequest;
use crate::running::QueryId;
use crate::scan::memory::Given;

/// Seven values of the key are listed.
const SQL: &str = "SELECT os, COUNT(*) AS n FROM usage WHERE day = current_date GROUP BY os";

/// An engine whose answers have so many rows at the most and leave at this time.
fn engine(tables: Given, rows_max: usize, time_ms: u64) -> Engine {
    let ledger = BudgetLedger::in_memory().unwrap();
    ledger.note_day_limit(QueryConfig::default().subject_day_events_max, today()).unwrap();
    let config =
        QueryConfig { answer_times_ms: vec![time_ms], time_ms_max: 36_000_000, ..QueryConfig::default() };
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    Engine::over(scan(tables), ledger, registry(), config, metrics)
        .with_limits(Limits { rows_max, ..Limits::default() })
}

fn events() -> Given {
    let rows: Vec<Row> = (0..50).map(|subject| Row::new(subject, today(), "click")).collect();
    vec![(Region::De, Kind::Usage, provider(registry().table(Kind::Usage), &rows))]
}

/// All that an analyst can see of it: what the budget lists, and what a dry run says that it would pay.
async fn seen(engine: &Engine) -> (serde_json::Value, serde_json::Value) {
    let asked = BudgetRequest { table: Some(Kind::Usage), ..BudgetRequest::default() };
    let list = engine.budget(&grant(&[Region::De]), &asked, now_ms()).await.unwrap();
    let dry = QueryRequest { dry_run: true, ..request(SQL) };
    let priced = engine.answer(&grant(&[Region::De]), &dry, now_ms()).await.unwrap();
    (serde_json::to_value(&list).unwrap(), priced.to_json()["cost"].clone())
}

/// A dry run is free, so what it may make of rows of its own is bounded too.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_whose_joins_can_make_very_many_rows_is_refused() {
    let engine = engine(events(), 100, 20);
    let one = "(SELECT x, 1 AS k FROM generate_series(1, 3000) AS q(x))";
    let of = |on: &str| {
        format!(
            "SELECT COUNT(*) AS n FROM {one} a JOIN {one} b ON {on} JOIN (SELECT os, COUNT(*) AS n FROM usage GROUP BY os) c ON c.os <> ''"
        )
    };
    for (on, is_refused) in [("a.k = b.k", true), ("a.x % 1 = b.x % 1", true), ("a.x = b.x", false)] {
        let dry = QueryRequest { dry_run: true, ..request(&of(on)) };
        let told = engine.answer(&grant(&[Region::De]), &dry, now_ms()).await.map(drop);
        let is_size =
            matches!(&told, Err(QueryError::Refused(refusal)) if refusal.rule == shoal_language::Rule::Size);
        assert_eq!((is_size, told.is_ok()), (is_refused, !is_refused), "{on}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_answer_has_one_state_whatever_it_failed_of() {
    let ask = |engine: &Arc<Engine>, id: QueryId| {
        let (engine, request) = (Arc::clone(engine), QueryRequest { id: Some(id), ..request(SQL) });
        tokio::spawn(async move { engine.answer(&grant(&[Region::De]), &request, now_ms()).await })
    };
    let mut all = Vec::new();
    for (engine, is_cancelled) in [
        // It is made and noised, and what stands above its release has too many rows.
        (engine(events(), 3, 20), false),
        // It cannot be read.
        (engine(Vec::new(), 100, 20), false),
        // It is cancelled long before its time.
        (engine(events(), 100, 3_600_000), true),
    ] {
        let (engine, id) = (Arc::new(engine), QueryId::random());
        let asked = ask(&engine, id);
        while is_cancelled && !seen(&engine).await.0.to_string().contains("AGGREGATE") {
            tokio::task::yield_now().await;
        }
        assert!(!is_cancelled || engine.cancel(&grant(&[Region::De]), id));
        let answer = tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap().unwrap();
        assert_eq!(answer.err(), Some(QueryError::Failed));
        all.push(seen(&engine).await);
    }
    let (list, cost) = &all[0];
    assert!(all.iter().all(|other| other == &all[0]), "{all:?}");
    let spent_by = &list["blocks"][6]["spent_by"];
    assert_eq!((&spent_by[0]["state"], &spent_by[1]["state"]), (&json!("sealed"), &json!("reserved")));
    assert_eq!((&cost["blocks_charged"], &cost["pieces_from_ledger"]), (&json!(1), &json!(0)), "{cost}");

    // Only an answer seals what it was made of.
    let answered = Arc::new(engine(events(), 100, 20));
    ask(&answered, QueryId::random()).await.unwrap().unwrap();
    let (list, cost) = seen(&answered).await;
    assert_eq!(list["blocks"][6]["spent_by"][1]["state"], "sealed");
    assert_eq!((&cost["blocks_charged"], &cost["pieces_from_ledger"]), (&json!(0), &json!(1)), "{cost}");
}
