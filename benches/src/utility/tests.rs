//! The truth is that of the tables: plain SQL over the same files says so.

#![allow(clippy::unwrap_used)]

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::prelude::{ParquetReadOptions, SessionContext};

use super::*;
use crate::utility::questions::Question;

/// Plain SQL over the files, no privacy.
async fn plain(dir: &Path) -> SessionContext {
    let session = SessionContext::new();
    for kind in ["usage", "performance", "crash"] {
        let path = format!("{}/de/tables/{kind}/", dir.display());
        let day = ("day".to_owned(), arrow::datatypes::DataType::Date32);
        let options = ParquetReadOptions::default().table_partition_cols(vec![day]);
        session.register_parquet(kind, path, options).await.unwrap();
    }
    session
}

/// The number that a statement answers.
async fn number(session: &SessionContext, sql: &str) -> f64 {
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    let column = batches[0].column(0);
    match column.as_primitive_opt::<Int64Type>() {
        Some(values) => values.value(0) as f64,
        None => column.as_primitive::<Float64Type>().value(0),
    }
}

fn find<'a>(all: &'a [Question], name: &str) -> &'a Question {
    all.iter().find(|q| q.name.starts_with(name)).unwrap()
}

/// A world of 14 days, its questions and its files.
async fn world(dir: &Path) -> (Vec<Question>, SessionContext) {
    let dir_text = dir.to_str().unwrap();
    let flags = ["shoal-utility", "--dir", dir_text, "--subjects", "1500", "--days", "14", "--seed", "3"];
    let flags = Flags::try_parse_from(flags).unwrap();
    let registry = Registry::load(None).unwrap();
    let store = Store::open(&url::Url::from_directory_path(dir).unwrap()).await.unwrap();
    let (truth, _) = fill(&flags, &registry, &store).await.unwrap();
    let first = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    (questions(&truth, &Dates { first, days: 14 }), plain(dir).await)
}

#[tokio::test]
async fn days_versions_and_quantiles_are_those_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let (all, session) = world(dir.path()).await;
    for question in &all[..4] {
        for (key, cell) in &question.truth {
            let aggregate = if question.columns == ["n"] { "COUNT(*)" } else { "COUNT(DISTINCT subject)" };
            let event = match question.name {
                "openings a day" => "event = 'app_open'",
                "viewers by day and screen" => "event = 'screen_view'",
                _ => "TRUE",
            };
            let keys = question.keys.iter().zip(key);
            let keys: Vec<String> = keys.map(|(name, value)| format!("{name} = '{value}'")).collect();
            let sql = format!("SELECT {aggregate} FROM usage WHERE {event} AND {}", keys.join(" AND "));
            assert_eq!(number(&session, &sql).await, cell.values[0], "{sql}");
        }
    }
    let week = "day >= '2026-10-12'";
    for (key, cell) in &find(&all, "crash-free").truth {
        let sql = format!(
            "SELECT COUNT(DISTINCT subject) FROM usage WHERE {week} AND app_version = '{}' \
             AND subject NOT IN (SELECT subject FROM crash WHERE {week})",
            key[0]
        );
        assert_eq!(number(&session, &sql).await, cell.values[0], "{sql}");
    }
    let times =
        find(&all, "p50 and p95 of the").truth.iter().map(|(key, cell)| (key[0].as_str(), week, cell));
    let whole = &find(&all, "p50 and p95 of an").truth[&Vec::new()];
    for (endpoint, range, cell) in times.chain([("/v1/cameras", "TRUE", whole)]) {
        for (share, value) in [0.5, 0.95].into_iter().zip(&cell.values) {
            let sql = format!(
                "SELECT percentile_cont({share}) WITHIN GROUP (ORDER BY CAST(duration_ms AS DOUBLE)) \
                 FROM performance WHERE {range} AND endpoint = '{endpoint}'"
            );
            assert!((number(&session, &sql).await - value).abs() < 1e-6 * value, "{sql}: {value}");
        }
    }
}

#[tokio::test]
async fn funnel_and_retention_are_those_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let (all, session) = world(dir.path()).await;
    let events = ["login", "device_add", "live_view_start", "purchase"];
    let mut joins = "FROM usage e0".to_owned();
    let mut filter = "WHERE e0.event = 'app_open'".to_owned();
    for step in 1..=5 {
        if step > 1 {
            let (at, before) = (step - 1, step - 2);
            joins += &format!(
                " JOIN usage e{at} ON e{at}.subject = e0.subject AND e{at}.time > e{before}.time \
                 AND e{at}.time <= e0.time + INTERVAL '7 days'"
            );
            filter += &format!(" AND e{at}.event = '{}' AND e{at}.result = 'ok'", events[at - 1]);
        }
        let sql = format!("SELECT COUNT(DISTINCT e0.subject) {joins} {filter}");
        let cell = &find(&all, "funnel").truth[&vec![step.to_string()]];
        assert_eq!(number(&session, &sql).await, cell.values[0], "{sql}");
        assert!(cell.values[0] > 0.0 || step == 5, "nobody came to step {step}");
    }
    for (key, cell) in &find(&all, "weekly retention").truth {
        let sql = format!(
            "SELECT COUNT(DISTINCT u.subject) FROM usage u JOIN (SELECT subject, date_trunc('week', min(time)) AS \
             cohort FROM usage WHERE event = 'app_open' GROUP BY subject) c ON c.subject = u.subject \
             WHERE u.event = 'app_open' AND c.cohort = TIMESTAMP '{} 00:00:00Z' \
             AND date_trunc('week', u.time) = c.cohort + INTERVAL '{} weeks'",
            key[0], key[1]
        );
        assert_eq!(number(&session, &sql).await, cell.values[0], "{sql}");
    }
}
