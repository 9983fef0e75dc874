//! Answers over known rows: within their noise of the truth, and only of what may be shown.

use shoal_schemas::{Kind, Region};

use super::{Row, ask, engine, grant, now_ms, number, provider, registry, request, scan, today};
use crate::release::Released;
use shoal_schemas::calendar::{DAY_MS, start_of};

/// A chance of one in 10^9 that a right answer fails.
const SIGMAS: f64 = 6.2;

fn assert_near(released: &Released, row: usize, name: &str, truth: f64) {
    let (x, sd) = (number(released, row, name), number(released, row, &format!("{name}_sd")));
    assert!(sd > 0.0, "{name} has no noise");
    assert!((x - truth).abs() <= SIGMAS * sd, "{name}: {x} is not {truth} within {SIGMAS} x {sd}");
}

/// `subjects` people on each of the last `days` days: two clicks and a purchase of 5.25 each.
fn people(subjects: u32, days: i32) -> Vec<Row> {
    let mut rows = Vec::new();
    for day in today() - days + 1..=today() {
        for subject in 0..subjects {
            let os = if subject % 4 == 0 { "ios" } else { "android" };
            let version = if subject < subjects / 2 { "4.1" } else { "4.2" };
            for (event, amount) in [("click", None), ("click", None), ("purchase", Some(525))] {
                let mut row = Row::new(subject, day, event).text("os", os).text("app_version", version);
                if let Some(amount) = amount {
                    row = row.number("amount", amount).number("items", 1).text("result", "ok");
                }
                rows.push(row);
            }
        }
    }
    rows
}

#[tokio::test]
async fn counts_sums_and_averages_are_within_their_noise() {
    let rows = people(2_000, 3);
    let sql = "SELECT COUNT(*) AS n, COUNT(DISTINCT subject) AS people, SUM(amount) AS paid, \
        AVG(amount) AS each, COUNT(*) FILTER (WHERE event = 'click') AS clicks \
        FROM usage WHERE day > current_date - 3";
    let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
    assert_near(&released, 0, "n", 18_000.0);
    assert_near(&released, 0, "people", 2_000.0);
    assert_near(&released, 0, "paid", 31_500.0);
    assert_near(&released, 0, "each", 5.25);
    assert_near(&released, 0, "clicks", 12_000.0);
    let json = released.to_json();
    assert_eq!(json["cost"]["rho_per_block"], "0.002");
    assert_eq!(json["cost"]["blocks"], 3);
    assert_eq!(json["columns"][0]["kind"], "estimate");
    assert_eq!(json["columns"][1]["name"], "n_sd");
    assert_eq!(json["columns"][4]["unit"], "subjects");
    assert!(
        released
            .to_csv()
            .starts_with("n [events],n_sd [events],n_low [events],n_high [events],people [subjects],")
    );
    assert!(released.to_arrow_ipc().unwrap().len() > 500);
}

#[tokio::test]
async fn one_days_distinct_subjects_have_the_published_noise() {
    let sql = "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = current_date";
    let released = ask(Kind::Usage, &people(100, 1), sql, now_ms()).await.unwrap();
    // 1 / (2 * 0.002) = 250
    assert!((number(&released, 0, "n_sd") - 250_f64.sqrt()).abs() < 1e-9);
}

#[tokio::test]
async fn public_keys_show_every_value_and_private_keys_only_common_ones() {
    let mut rows = people(2_000, 1);
    // 19 subjects: below the smallest group, whatever the noise.
    rows.extend(
        (0..19).map(|s| Row::new(s, today(), "click").text("os", "linux").text("app_version", "9.9-rare")),
    );
    let sql = "SELECT os, COUNT(*) AS n FROM usage WHERE day = current_date GROUP BY os ORDER BY os";
    let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
    let json = released.to_json();
    let shown: Vec<&str> = json["rows"].as_array().unwrap().iter().filter_map(|r| r["os"].as_str()).collect();
    assert_eq!(shown, ["android", "ios", "linux", "macos", "other", "windows"]);
    assert_near(&released, 0, "n", 4_500.0);
    assert_near(&released, 3, "n", 0.0);
    let sql = "SELECT app_version AS v, COUNT(DISTINCT subject) AS n FROM usage WHERE day = current_date GROUP BY v ORDER BY n DESC";
    for _ in 0..20 {
        let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
        assert_eq!(released.rows().len(), 2, "{}", released.to_json());
        assert!(!released.to_json().to_string().contains("rare"));
    }
}

#[tokio::test]
async fn expired_days_are_unreadable_from_the_second_of_expiry() {
    let kept =
        i32::try_from(registry().retention_days(shoal_schemas::Programme::UserExperience, Kind::Usage))
            .unwrap();
    let day = today() - kept;
    let rows: Vec<Row> = (0..5_000).map(|s| Row::new(s, day, "click")).collect();
    let sql = format!(
        "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = '{}' AND programme = 'user-experience'",
        shoal_language::calendar::day_text(day)
    );
    let midnight = start_of(today() + 1);
    let released = ask(Kind::Usage, &rows, &sql, midnight - 200_000).await.unwrap();
    assert_near(&released, 0, "n", 5_000.0);
    let nothing = ask(Kind::Usage, &rows, &sql, midnight).await.unwrap();
    assert!(nothing.rows().is_empty() && nothing.cost().blocks_charged == 0, "{}", nothing.to_json());
    // A range that begins before it: the rows are still in the table, and are not read.
    let sql = "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day >= '2020-01-01' AND programme = 'user-experience'";
    let released = ask(Kind::Usage, &rows, sql, midnight).await.unwrap();
    assert_near(&released, 0, "n", 0.0);
    assert!(released.notes().iter().any(|n| n.contains("expired")), "{:?}", released.notes());
    assert!(midnight - now_ms() < DAY_MS);
}

#[tokio::test]
async fn the_shorter_retention_of_one_programme_holds_by_row() {
    let kept =
        i32::try_from(registry().retention_days(shoal_schemas::Programme::DeviceExperience, Kind::Usage))
            .unwrap();
    let day = today() - kept - 1;
    let rows: Vec<Row> =
        (0..5_000).map(|s| Row::new(s, day, "click").text("programme", "device-experience")).collect();
    let day = shoal_language::calendar::day_text(day);
    // Noise of 15.8 subjects: 5,000 of them could not hide in it.
    let sql = format!("SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = '{day}'");
    let released = ask(Kind::Usage, &rows, &sql, now_ms()).await.unwrap();
    assert_near(&released, 0, "n", 0.0);
}

#[tokio::test]
async fn regions_are_released_by_themselves_and_added() {
    let registry = registry();
    let def = registry.table(Kind::Usage);
    let tables = || {
        vec![
            (Region::Us, Kind::Usage, provider(def, &people(1_000, 1))),
            (Region::De, Kind::Usage, provider(def, &people(500, 1))),
        ]
    };
    let grant = grant(&[Region::De, Region::Us]);
    let sql = "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = current_date";
    let both = engine().stages(&grant, &request(sql), now_ms(), scan(tables())).await.unwrap();
    assert_near(&both, 0, "n", 1_500.0);
    assert!((number(&both, 0, "n_sd") - 500_f64.sqrt()).abs() < 1e-9);
    assert_eq!(both.to_json()["cost"]["blocks"], 2);
    let sql = "SELECT region, COUNT(DISTINCT subject) AS n FROM usage WHERE day = current_date GROUP BY region ORDER BY region";
    let each = engine().stages(&grant, &request(sql), now_ms(), scan(tables())).await.unwrap();
    assert_eq!(each.to_json()["rows"][0]["region"], "DE");
    assert_near(&each, 0, "n", 500.0);
    assert_near(&each, 1, "n", 1_000.0);
}

#[tokio::test]
async fn hours_weeks_having_order_and_limit() {
    let mut rows = people(4_000, 14);
    for row in &mut rows {
        row.hour = i64::from(row.subject % 2) * 5;
    }
    let sql = "SELECT time, COUNT(DISTINCT subject) AS n FROM usage WHERE day = current_date GROUP BY time HAVING n > 1000 ORDER BY time";
    let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
    let json = released.to_json();
    assert_eq!(released.rows().len(), 2);
    assert_eq!(json["rows"][0]["time"], "2026-11-22T00:00:00Z");
    assert_eq!(json["rows"][1]["time"], "2026-11-22T05:00:00Z");
    assert_near(&released, 0, "n", 2_000.0);
    let sql = "SELECT date_trunc('week', time) AS week, COUNT(DISTINCT subject) AS n, COUNT(*) AS e FROM usage WHERE day >= current_date - 13 GROUP BY week ORDER BY week DESC LIMIT 1";
    let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
    assert_eq!(released.rows().len(), 1);
    assert_eq!(released.to_json()["rows"][0]["week"], "2026-11-16T00:00:00Z");
    assert_near(&released, 0, "n", 4_000.0);
    assert_near(&released, 0, "e", 84_000.0);
}

#[tokio::test]
async fn a_dry_run_has_the_price_and_no_rows() {
    let mut request = request("SELECT os, COUNT(*) AS n FROM usage WHERE day > current_date - 7 GROUP BY os");
    request.dry_run = true;
    let released =
        engine().stages(&grant(&[Region::De]), &request, now_ms(), scan(Vec::new())).await.unwrap();
    assert!(released.is_dry_run() && released.rows().is_empty());
    assert_eq!(released.cost().blocks, 7);
    assert_eq!(released.columns().len(), 5);
    assert!(released.query().contains("KEY os"));
}

#[tokio::test]
async fn what_goes_wrong_after_the_start_is_one_opaque_error() {
    // No store: opening fails after the charge.
    let sql = "SELECT COUNT(*) AS n FROM usage";
    let error =
        engine().stages(&grant(&[Region::De]), &request(sql), now_ms(), scan(Vec::new())).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the query failed after it had started; what it had paid by then stays charged (GET /v1/budget tells)"
    );
}
