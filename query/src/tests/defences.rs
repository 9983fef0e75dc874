//! Defences that another one hides, each by itself.
//!
//! The noisy threshold hides a missing `k_min`, and fast machines hide a missing grid of times: here they stand alone.

use std::time::{Duration, Instant};

use shoal_schemas::{Kind, Region};

use super::{Row, ask, engine, grant, now_ms, provider, registry, request, scan, today};
use crate::config::QueryConfig;
use crate::engine::Engine;
use crate::error::QueryError;
use crate::metrics::Metrics;

fn engine_with(edit: impl FnOnce(&mut QueryConfig)) -> Engine {
    let mut config = QueryConfig { answer_times_ms: Vec::new(), ..QueryConfig::default() };
    edit(&mut config);
    let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
    Engine::over(
        scan(Vec::new()),
        shoal_storage::BudgetLedger::in_memory().unwrap(),
        registry(),
        config,
        metrics,
    )
}

/// With a threshold that half of all groups of `k_min` pass, the smallest group alone keeps those below it out.
#[tokio::test]
async fn the_smallest_group_holds_without_the_threshold() {
    let group = |first: u32, people: u32, version: &'static str| {
        (first..first + people).map(move |s| Row::new(s, today(), "click").text("app_version", version))
    };
    let rows: Vec<Row> = group(0, 19, "below").chain(group(100, 24, "above")).collect();
    let sql = "SELECT app_version, COUNT(DISTINCT subject) AS n FROM usage WHERE day = current_date GROUP BY app_version";
    let mut shown = 0;
    for _ in 0..40 {
        // A ledger of its own, or the first answer would come again.
        // A normal question takes a 250th of a block's part: half, as it is here.
        let engine = engine_with(|config| config.threshold_delta = 125.0);
        let tables = vec![(Region::De, Kind::Usage, provider(registry().table(Kind::Usage), &rows))];
        let released =
            engine.stages(&grant(&[Region::De]), &request(sql), now_ms(), scan(tables)).await.unwrap();
        let text = released.to_json()["rows"].to_string();
        assert!(!text.contains("below"), "a group of 19: {text}");
        shown += usize::from(text.contains("above"));
    }
    // Each time with a chance of 0.3: none of 40 by chance once in 10^6 runs.
    assert!(shown > 0, "the threshold was to let groups through");
}

/// What has been read is answered at a time of the grid, whether it went well or not; a refusal has read nothing.
#[tokio::test]
async fn answers_leave_on_the_grid_of_times() {
    // Far beyond what a question takes here without waiting: a worker that starts takes half a second.
    let engine = engine_with(|config| config.answer_times_ms = vec![3_000]);
    let ask = async |sql: &str| {
        let started = Instant::now();
        let answer = engine.answer(&grant(&[Region::De]), &request(sql), now_ms()).await;
        (answer.map(|_| ()), started.elapsed())
    };
    // There is no store, so it fails after the charge, and at once.
    let (answer, elapsed) = ask("SELECT COUNT(*) AS n FROM usage").await;
    assert_eq!(answer, Err(QueryError::Failed));
    assert!(elapsed >= Duration::from_millis(3_000), "{elapsed:?}");
    let (answer, _) = ask("SELECT nothing").await;
    assert!(matches!(answer, Err(QueryError::Refused(_))));
}

/// Zeros of public groups are noised like all others, so that nobody sees which groups are empty.
#[tokio::test]
async fn empty_public_groups_cannot_be_told_from_others() {
    let sql = "SELECT os, COUNT(*) AS n FROM usage WHERE day = current_date GROUP BY os ORDER BY os";
    let tables = || vec![(Region::De, Kind::Usage, provider(registry().table(Kind::Usage), &[]))];
    let mut zeros = 0;
    for _ in 0..10 {
        let answer = engine().stages(&grant(&[Region::De]), &request(sql), now_ms(), scan(tables())).await;
        let json = answer.unwrap().to_json();
        let rows = json["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 7, "every listed value, and none: {json}");
        zeros += rows.iter().filter(|row| row["n"] == 0).count();
    }
    // sigma is 790: a zero has a chance of one in 2,000.
    assert!(zeros < 6, "{zeros} of 70 are exactly zero");
}

/// One person's groups, however many of them a range of days has, decide about no answer: a question is answered with that
/// person and without.
#[tokio::test]
async fn more_groups_of_one_person_than_are_told_apart_fail_no_question() {
    let others = (1..=40_u32).flat_map(|subject| {
        (0..9).map(move |ago| {
            let row = Row::new(subject, today() - ago, "screen_view").text("screen", "home");
            row.number("duration_ms", 700).number("session", i64::from(subject))
        })
    });
    let others: Vec<Row> = others.collect();
    // More than 8,192 over the range, and fewer on each day than a subject's day may have.
    let own = (0..9).flat_map(|ago| {
        (0..1_000).map(move |at| {
            let row = Row::new(0, today() - ago, "screen_view").text("screen", format!("{ago} and {at}"));
            row.number("duration_ms", 700).number("session", at)
        })
    });
    let both: Vec<Row> = others.iter().cloned().chain(own).collect();
    for aggregate in ["QUANTILE(duration_ms, 0.6)", "COUNT(DISTINCT session)", "COUNT(DISTINCT subject)"] {
        let sql = format!(
            "SELECT screen, {aggregate} AS n FROM usage WHERE event = 'screen_view' AND day >= current_date - 8 GROUP BY screen"
        );
        for rows in [&both, &others] {
            let answer = ask(Kind::Usage, rows, &sql, now_ms()).await;
            assert!(answer.is_ok(), "{sql}: {:?}", answer.err());
        }
    }
}
