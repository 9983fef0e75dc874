//! Answers over real Delta tables in a directory, through the public interface only.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, StringArray, TimestampMillisecondArray, UInt32Array, new_null_array,
};
use arrow::compute::cast;
use arrow::record_batch::RecordBatch;
use shoal_query::{AnalystGrant, Engine, Metrics, QueryConfig, QueryError, QueryRequest, Role};
use shoal_schemas::calendar::DAY_MS;
use shoal_schemas::{Kind, Programme, Region, Registry, columns};
use shoal_storage::{BudgetLedger, Part, Store};

/// 2026-11-22.
const TODAY: i32 = 20_779;

/// One event of each of `subjects` people on a day.
fn part(registry: &Registry, day: i32, subjects: u32) -> Part {
    let def = registry.table(Kind::Usage);
    let ids = UInt32Array::from_iter_values(0..subjects);
    let digest = |salt: u8| -> ArrayRef {
        Arc::new(BinaryArray::from_iter_values(ids.values().iter().map(|id| {
            let mut bytes = [salt; 16];
            bytes[..4].copy_from_slice(&id.to_be_bytes());
            bytes
        })))
    };
    let text = |value: &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(ids.values().iter().map(|_| value)))
    };
    let schema = def.arrow_schema();
    let fields: Vec<_> = schema.fields().iter().filter(|f| f.name() != columns::DAY).cloned().collect();
    let arrays = fields.iter().map(|field| match field.name().as_str() {
        columns::EVENT_ID => digest(u8::try_from(day % 250).unwrap()),
        columns::SUBJECT => digest(7),
        columns::TIME => {
            let times = ids.values().iter().map(|_| i64::from(day) * DAY_MS + 1_000);
            let times = TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC");
            cast(&times, field.data_type()).unwrap()
        }
        columns::EVENT => text("click"),
        columns::COUNTRY => text("DE"),
        columns::PROGRAMME => text("user-experience"),
        columns::CONSENT => text("carried"),
        columns::OS => text("ios"),
        columns::EPOCH => {
            let zeros = UInt32Array::from_iter_values(ids.values().iter().map(|_| 0));
            cast(&zeros, field.data_type()).unwrap()
        }
        _ => new_null_array(field.data_type(), ids.len()),
    });
    let schema = Arc::new(arrow::datatypes::Schema::new(fields.clone()));
    let batch = RecordBatch::try_new(schema, arrays.collect()).unwrap();
    Part { programme: Programme::UserExperience, day, batch }
}

struct World {
    engine: Engine,
    grant: AnalystGrant,
    root: tempfile::TempDir,
}

async fn world(days: &[(i32, u32)]) -> World {
    let root = tempfile::tempdir().unwrap();
    // As in a service, the ledger is there before the first event; events without one would be a doubt.
    drop(ledger(root.path()));
    append(root.path(), days, 1).await;
    opened(root).await
}

/// Rows of `subjects` people on each of these days, as the `version`th batch.
async fn append(root: &std::path::Path, days: &[(i32, u32)], version: i64) {
    let url = url::Url::from_directory_path(root).unwrap();
    let registry = Registry::load(None).unwrap();
    let store = Store::open(&url).await.unwrap();
    let table = store.table(Region::De, registry.table(Kind::Usage)).await.unwrap();
    let parts = days.iter().map(|(day, subjects)| part(&registry, *day, *subjects)).collect();
    table.append(parts, "log-DE", version).await.unwrap();
}

fn ledger(root: &std::path::Path) -> BudgetLedger {
    BudgetLedger::open(root, &root.join("marks")).unwrap()
}

/// A service over a directory.
async fn opened(root: tempfile::TempDir) -> World {
    let url = url::Url::from_directory_path(root.path()).unwrap();
    let registry = Arc::new(Registry::load(None).unwrap());
    let store = Store::open(&url).await.unwrap();
    let config = QueryConfig { answer_times_ms: Vec::new(), ..QueryConfig::default() };
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    let grant = AnalystGrant { key_id: "test".to_owned(), role: Role::Analyst, regions: vec![Region::De] };
    let engine = Engine::new(store, ledger(root.path()), registry, config, metrics);
    World { engine, grant, root }
}

async fn ask(world: &World, sql: &str, now_ms: i64) -> Result<serde_json::Value, QueryError> {
    let request = QueryRequest { sql: sql.to_owned(), ..QueryRequest::default() };
    let released = world.engine.answer(&world.grant, &request, now_ms).await?;
    Ok(released.to_json())
}

fn assert_near(row: &serde_json::Value, name: &str, truth: f64) {
    let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("no {name} in {row}"));
    let (x, sd) = (number(name), number(&format!("{name}_sd")));
    assert!((x - truth).abs() < 6.2 * sd, "{name}: {x} is not {truth} within 6.2 x {sd}");
}

#[tokio::test]
async fn a_table_on_disk_is_answered() {
    let world = world(&[(TODAY, 3_000), (TODAY - 1, 2_000)]).await;
    let now_ms = i64::from(TODAY) * DAY_MS + 1;
    let sql = "SELECT day, os, COUNT(DISTINCT subject) AS n FROM usage \
        WHERE day >= current_date - 1 AND event = 'click' AND os = 'ios' GROUP BY day, os ORDER BY day";
    let answer = ask(&world, sql, now_ms).await.unwrap();
    assert_eq!(answer["rows"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(answer["rows"][1]["day"], "2026-11-22");
    assert_near(&answer["rows"][0], "n", 2_000.0);
    assert_near(&answer["rows"][1], "n", 3_000.0);
    let sql = "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day >= current_date - 1";
    let answer = ask(&world, sql, now_ms).await.unwrap();
    assert_near(&answer["rows"][0], "n", 3_000.0);
}

#[tokio::test]
async fn an_expired_file_that_is_still_there_is_not_read() {
    let registry = Registry::load(None).unwrap();
    let kept = registry.retention_days(Programme::UserExperience, Kind::Usage);
    let oldest = TODAY - i32::try_from(kept).unwrap();
    let world = world(&[(oldest, 4_000), (TODAY, 1_000)]).await;
    let sql = "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day >= '2020-01-01' AND programme = 'user-experience'";
    let noon = i64::from(TODAY) * DAY_MS + DAY_MS / 2;
    assert_near(&ask(&world, sql, noon).await.unwrap()["rows"][0], "n", 4_000.0);
    let midnight = i64::from(TODAY + 1) * DAY_MS;
    assert_near(&ask(&world, sql, midnight).await.unwrap()["rows"][0], "n", 1_000.0);
}

#[tokio::test]
async fn late_data_and_a_restart_do_not_change_an_answer_but_the_next_epoch_does() {
    let world = world(&[(TODAY, 1_000)]).await;
    let sql = "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = '2026-11-22' AND os = 'ios'";
    let (hour, noon) = (3_600_000, i64::from(TODAY) * DAY_MS + DAY_MS / 2);
    let first = ask(&world, sql, noon).await.unwrap();
    assert_eq!(
        (first["cost"]["blocks_charged"].as_u64(), first["cost"]["pieces"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(first["cost"]["rho_left_min"], "0.098");
    let World { engine, root, .. } = world;
    drop(engine);
    append(root.path(), &[(TODAY, 9_000)], 2).await;
    let world = opened(root).await;
    let again = ask(&world, sql, noon + hour - 1).await.unwrap();
    assert_eq!(first["rows"], again["rows"]);
    assert_eq!(again["cost"]["blocks_charged"], 0);
    assert_eq!(again["cost"]["pieces_from_ledger"], 1);
    let next = ask(&world, sql, noon + hour).await.unwrap();
    assert_eq!(next["cost"]["blocks_charged"], 1);
    assert_near(&next["rows"][0], "n", 9_000.0);
}

#[tokio::test]
async fn one_query_too_many_is_told_to_wait() {
    let world = world(&[(TODAY, 10)]).await;
    let now_ms = i64::from(TODAY) * DAY_MS + 1;
    let sql = "SELECT COUNT(*) AS n FROM usage";
    let many = (0..40).map(|_| ask(&world, sql, now_ms));
    let answers = futures::future::join_all(many).await;
    let busy = answers.iter().filter(|a| matches!(a, Err(QueryError::Busy))).count();
    let answered = answers.iter().filter(|a| a.is_ok()).count();
    assert!(answered >= 2 && busy > 0, "{answered} answered, {busy} busy");
    assert_eq!(answered + busy, 40);
}
