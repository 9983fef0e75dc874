//! People of windows: right within their noise, paid once for each window by each day, and refused when no budget can pay.

use shoal_anonymity::budget::Precision;
use shoal_schemas::{Kind, Region};

use super::{Row, engine, grant, now_ms, number, provider, registry, request, scan, today};
use crate::engine::Engine;
use crate::error::QueryError;
use crate::release::Released;
use crate::request::QueryRequest;
use shoal_language::calendar::day_text;

/// Person n opens the app on the days n, n + 10, n + 20 .. before today.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for subject in 0..3_000_u32 {
        for ago in (0..40).filter(|ago| ago % 10 == subject as i32 % 10) {
            let os = if subject % 3 == 0 { "ios" } else { "android" };
            rows.push(Row::new(subject, today() - ago, "app_open").text("os", os));
        }
    }
    rows
}

async fn asked(engine: &Engine, request: &QueryRequest) -> Result<Released, QueryError> {
    let tables = vec![(Region::De, Kind::Usage, provider(registry().table(Kind::Usage), &rows()))];
    engine.stages(&grant(&[Region::De]), request, now_ms(), scan(tables)).await
}

fn of_days(days: u32, select: &str, rest: &str) -> QueryRequest {
    request(&format!(
        "SELECT d.day, {select} FROM generate_series(current_date - 9, current_date, INTERVAL '1 day') AS d(day) JOIN usage u ON \
         u.day BETWEEN d.day - {days} AND d.day {rest} GROUP BY 1 ORDER BY 1"
    ))
}

#[tokio::test]
async fn each_window_counts_its_people_once() {
    let engine = engine();
    let released = asked(&engine, &of_days(6, "COUNT(DISTINCT u.subject) AS people", "")).await.unwrap();
    assert_eq!(released.rows().len(), 10, "{}", released.to_json());
    for row in 0..10 {
        let (people, sd) = (number(&released, row, "people"), number(&released, row, "people_sd"));
        // Seven of ten days: seven tenths of the people, each once. Added up, they would be as many in ten days as in seven.
        assert!((people - 2_100.0).abs() < 6.2 * sd && sd < 40.0, "{people} +- {sd}");
    }
    let json = released.to_json();
    assert_eq!(json["rows"][0]["day"], day_text(today() - 9));
    assert_eq!(json["cost"]["pieces"], 10, "{json}");
    assert_eq!(json["cost"]["blocks"], 16, "{json}");
    // Seven windows hold a day: seven times 0.002.
    assert_eq!(json["cost"]["rho_per_block"], "0.014", "{json}");
    assert!(json["notes"].to_string().contains("7 windows"), "{json}");
}

/// A window is the same part as the plain question about its days, so what one has paid the other has.
#[tokio::test]
async fn a_window_is_the_plain_question_about_its_days() {
    let engine = engine();
    let windows = of_days(6, "COUNT(DISTINCT u.subject) AS people", "");
    let first = asked(&engine, &windows).await.unwrap();
    let plain = request(
        "SELECT COUNT(DISTINCT subject) AS people FROM usage WHERE day BETWEEN current_date - 6 AND current_date",
    );
    let same = asked(&engine, &plain).await.unwrap();
    assert_eq!(same.cost().blocks_charged, 0, "{}", same.to_json());
    assert_eq!(number(&same, 0, "people"), number(&first, 9, "people"));
    let again = asked(&engine, &windows).await.unwrap();
    assert_eq!((again.cost().blocks_charged, again.cost().parts_from_ledger), (0, 10));
    assert_eq!(again.to_json()["rows"], first.to_json()["rows"]);
    // The next day one window is new; the open day has a new answer each hour.
    let moved = of_days(6, "COUNT(DISTINCT u.subject) AS people", "AND u.day < current_date");
    let moved = asked(&engine, &moved).await.unwrap();
    assert!(moved.cost().parts_from_ledger >= 9, "{}", moved.to_json());
}

#[tokio::test]
async fn windows_have_keys_sums_and_what_stands_above() {
    let engine = engine();
    let sql = "WITH d AS (SELECT generate_series(current_date - 4, current_date, INTERVAL '1 day')::date AS day) \
        SELECT d.day, u.os, COUNT(DISTINCT u.subject) AS people, COUNT(*) AS opened, \
        COUNT(*)::float / COUNT(DISTINCT u.subject) AS each, \
        COUNT(DISTINCT u.subject) - LAG(COUNT(DISTINCT u.subject)) OVER (PARTITION BY u.os ORDER BY d.day) AS more \
        FROM d LEFT JOIN usage u ON u.day > d.day - 10 AND u.day <= d.day AND u.os = 'ios' GROUP BY d.day, u.os ORDER BY d.day, u.os";
    let sql = sql.replace("COUNT(*)", "COUNT(u.event)");
    let released = asked(&engine, &request(&sql)).await.unwrap();
    assert_eq!(released.rows().len(), 5, "{}", released.to_json());
    for row in 0..5 {
        let near = |name: &str, truth: f64| {
            let (x, sd) = (number(&released, row, name), number(&released, row, &format!("{name}_sd")));
            assert!(sd > 0.0 && (x - truth).abs() < 6.2 * sd, "{name}: {x} +- {sd} is not {truth}");
        };
        near("people", 1_000.0);
        near("opened", 1_000.0);
        near("each", 1.0);
        if row > 0 {
            near("more", 0.0);
        }
    }
    // Sums alone: each window has noise of its own, so that what is computed of several windows knows its error.
    let sums = of_days(6, "COUNT(u.event) AS opened", "");
    let sums = asked(&engine, &sums).await.unwrap();
    assert_eq!(sums.to_json()["cost"]["pieces"], 10, "{}", sums.to_json());
    assert!((number(&sums, 0, "opened") - 2_100.0).abs() < 6.2 * number(&sums, 0, "opened_sd"));
    // A day each: one part for each day, as when the day is the key.
    let daily = asked(&engine, &of_days(0, "COUNT(u.event) AS opened", "")).await.unwrap();
    assert_eq!(daily.to_json()["cost"]["rho_per_block"], "0.002");
    let by_day = "SELECT day, COUNT(event) AS opened FROM usage WHERE day >= current_date - 9 GROUP BY day ORDER BY day";
    let by_day = asked(&engine, &request(by_day)).await.unwrap();
    assert_eq!(by_day.cost().blocks_charged, 0, "{}", by_day.to_json());
    assert_eq!(by_day.to_json()["rows"][3]["opened"], daily.to_json()["rows"][3]["opened"]);
}

/// A subquery of windows has columns that no other relation has, and adds none to a star.
#[tokio::test]
async fn subqueries_of_windows_stand_beside_days_of_events() {
    let week = "(SELECT COUNT(DISTINCT w.subject) FROM usage w WHERE w.day BETWEEN daily.day - 6 AND daily.day) AS week";
    let daily = "WITH daily AS (SELECT day, COUNT(DISTINCT subject) AS n FROM usage WHERE day >= current_date - 9 GROUP BY day)";
    let engine = engine();
    for (sql, columns) in [
        (format!("{daily} SELECT day, n, {week} FROM daily WHERE day > current_date - 4 ORDER BY day"), 3),
        (format!("{daily} SELECT *, {week} FROM daily ORDER BY day DESC LIMIT 4"), 3),
    ] {
        let released = asked(&engine, &request(&sql)).await.unwrap();
        let json = released.to_json();
        assert_eq!(json["rows"].as_array().unwrap().len(), 4, "{json}");
        let names = json["columns"].as_array().unwrap().iter().filter_map(|column| column["name"].as_str());
        let shown = names.filter(|name| !["_sd", "_low", "_high"].iter().any(|end| name.ends_with(end)));
        assert_eq!(shown.count(), columns, "{json}");
        for row in 0..4 {
            let near = |name: &str, truth: f64| (number(&released, row, name) - truth).abs() < 250.0;
            assert!(near("n", 300.0) && near("week", 2_100.0), "{json}");
        }
    }
}

/// Hours of a zone are texts that can be cast to their dates, above the release.
#[tokio::test]
async fn hours_of_a_zone_can_be_added_up_by_day() {
    let sql = "SELECT hour::date AS d, SUM(n) AS n FROM (SELECT date_trunc('hour', time AT TIME ZONE 'Asia/Singapore') AS hour, \
        COUNT(*) AS n FROM usage WHERE day BETWEEN current_date - 2 AND current_date - 1 GROUP BY 1) t GROUP BY 1 ORDER BY 1";
    let released = asked(&engine(), &request(sql)).await.unwrap();
    let json = released.to_json();
    assert_eq!(
        json["rows"].as_array().unwrap().len(),
        3,
        "two days of UTC are in three of Singapore: {json}"
    );
}

/// Windows that follow on each other could be read at once, as days are; each is what it is by itself.
#[tokio::test]
async fn weeks_that_follow_on_each_other_are_windows_too() {
    let sql = "SELECT d.day, COUNT(DISTINCT u.subject) AS people FROM generate_series(current_date - 20, current_date - 6, INTERVAL \
        '7 days') AS d(day) JOIN usage u ON u.day BETWEEN d.day AND d.day + 6 GROUP BY 1 ORDER BY 1";
    let released = asked(&engine(), &request(sql)).await.unwrap();
    assert_eq!(released.rows().len(), 3, "{}", released.to_json());
    for row in 0..3 {
        let (people, sd) = (number(&released, row, "people"), number(&released, row, "people_sd"));
        assert!((people - 2_100.0).abs() < 6.2 * sd && sd < 40.0, "{people} +- {sd}");
    }
    assert_eq!(released.cost().rho_per_block, "0.002");
}

#[tokio::test]
async fn a_dry_run_shows_the_price_and_what_no_budget_can_pay_is_refused() {
    let engine = engine();
    let windows = |days: u32, precision| QueryRequest {
        dry_run: true,
        precision,
        ..request(&format!(
            "SELECT d, COUNT(DISTINCT u.subject) AS people FROM generate_series(current_date - 59, current_date, INTERVAL '1 day') d \
             JOIN usage u ON u.day BETWEEN d - {} AND d GROUP BY d",
            days - 1
        ))
    };
    let dry = asked(&engine, &windows(28, Precision::Normal)).await.unwrap();
    assert_eq!((dry.cost().rho_per_block.as_str(), dry.cost().parts), ("0.056", 60), "{}", dry.to_json());
    // 28 times 0.01 is more than a day has in any of its epochs.
    let refused = asked(&engine, &windows(28, Precision::High)).await;
    let Err(QueryError::Refused(refusal)) = refused else { panic!("answered") };
    assert!(refusal.rule.as_str() == "budget" && refusal.message.contains("in 28 windows"), "{refusal}");
    // So are windows of several subqueries together.
    let subquery = |days: u32| {
        format!("(SELECT COUNT(DISTINCT subject) FROM usage WHERE usage.day BETWEEN d - {days} AND d)")
    };
    let sql = format!(
        "SELECT d, {}, {} AS two FROM generate_series(current_date - 40, current_date, INTERVAL '1 day') d",
        subquery(12),
        subquery(10)
    );
    for dry_run in [true, false] {
        let request = QueryRequest { precision: Precision::High, dry_run, ..request(&sql) };
        let Err(QueryError::Refused(refusal)) = asked(&engine, &request).await else { panic!("answered") };
        assert!(refusal.rule.as_str() == "budget" && refusal.message.contains("together"), "{refusal}");
    }
    let request = QueryRequest { precision: Precision::Normal, ..request(&sql) };
    let released = asked(&engine, &request).await.unwrap();
    assert_eq!(released.rows().len(), 41, "{}", released.to_json());
}
