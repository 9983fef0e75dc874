//! Which definitions a question goes by: those that are in force when it comes.

use std::sync::Arc;

use shoal_schemas::{InForce, Region, Registry};
use shoal_storage::BudgetLedger;

use super::{grant, now_ms, registry, request, scan};
use crate::config::QueryConfig;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::metrics::Metrics;
use crate::request::QueryRequest;

const HAND: &str = "extends = \"click\"\n[properties.hand]\ndoc = \"Which hand.\"\ntype = \"boolean\"\nclass = \"dimension\"\nkeys_max = 2\n";

/// With one property more.
fn grown() -> Arc<Registry> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("events")).unwrap();
    std::fs::write(dir.path().join("events/click.toml"), HAND).unwrap();
    Arc::new(Registry::load(Some(dir.path())).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_goes_by_the_definitions_that_are_in_force_when_it_comes() {
    let in_force = InForce::new(registry());
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let ledger = BudgetLedger::in_memory().unwrap();
    let config = QueryConfig::default();
    let engine = Engine::over(scan(Vec::new()), ledger, in_force.clone(), config, metrics);
    let german = grant(&[Region::De]);
    let by_hand = "SELECT hand, COUNT(*) AS n FROM usage WHERE day = current_date GROUP BY hand";
    let asked = QueryRequest { dry_run: true, ..request(by_hand) };
    let is_listed = || {
        let tables = serde_json::to_value(engine.tables(&german)).unwrap();
        tables.to_string().contains("\"hand\"")
    };
    let before = engine.prepare(&german, &asked, now_ms()).await;
    assert!(matches!(before, Err(QueryError::Refused(_))) && !is_listed());
    in_force.replace(grown());
    assert!(engine.prepare(&german, &asked, now_ms()).await.is_ok() && is_listed());
    // What was known before is known by those, too.
    let known = request("SELECT screen, COUNT(*) AS n FROM usage WHERE day = current_date GROUP BY screen");
    assert!(engine.prepare(&german, &known, now_ms()).await.is_ok());
}
