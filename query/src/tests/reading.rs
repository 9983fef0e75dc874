//! Numbers that a reader takes the right way: what is unknown says so, and no number is without its error.

use shoal_schemas::{Kind, Region};

use super::{Row, ask, engine, grant, now_ms, number, provider, registry, request, scan, today};
use crate::release::Released;
use crate::request::QueryRequest;

/// A chance of one in 10^9 that a right answer fails.
const SIGMAS: f64 = 6.2;

fn ends(released: &Released, row: usize, name: &str) -> (f64, f64) {
    (number(released, row, &format!("{name}_low")), number(released, row, &format!("{name}_high")))
}

/// Every number has an interval that holds it.
fn assert_sound(released: &Released) {
    let json = released.to_json();
    for row in json["rows"].as_array().unwrap() {
        for column in json["columns"].as_array().unwrap().iter().filter(|c| c["kind"] == "estimate") {
            let name = column["name"].as_str().unwrap();
            let of = |end: &str| row[format!("{name}{end}")].as_f64();
            if let Some(x) = of("") {
                let (low, high) = (of("_low").unwrap(), of("_high").unwrap());
                assert!(of("_sd").is_some() && low <= x && x <= high, "{name} in {row}");
            }
        }
    }
}

#[tokio::test]
async fn sessions_over_midnight_are_counted_once() {
    let of = |subject: u32| {
        [(today() - 2, 23), (today() - 1, 0)].map(|(day, hour)| {
            let mut row = Row::new(subject, day, "click").number("session", i64::from(subject) + 1);
            row.hour = hour;
            row
        })
    };
    let rows: Vec<Row> = (0..3_000).flat_map(of).collect();
    let sql = "SELECT COUNT(DISTINCT session) AS n FROM usage WHERE day BETWEEN current_date - 2 AND current_date - 1";
    let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
    let (n, sd) = (number(&released, 0, "n"), number(&released, 0, "n_sd"));
    assert!((n - 3_000.0).abs() <= SIGMAS * sd && sd < 400.0, "{n} with {sd}");
    // Day by day each day has them.
    let sql = "SELECT day, COUNT(DISTINCT session) AS n FROM usage WHERE day BETWEEN current_date - 2 AND current_date - 1 \
        GROUP BY day ORDER BY day";
    let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
    for row in 0..2 {
        let (n, sd) = (number(&released, row, "n"), number(&released, row, "n_sd"));
        assert!((n - 3_000.0).abs() <= SIGMAS * sd, "{n} with {sd}");
    }
}

#[tokio::test]
async fn quantiles_and_means_stay_within_what_the_events_can_be() {
    let loads: Vec<Row> = (0..3_000)
        .map(|subject| {
            Row::new(subject, today(), "page_load").number("duration_ms", 241).text("screen", "home")
        })
        .collect();
    let sql = "SELECT QUANTILE(duration_ms, 0.5) AS p50, QUANTILE(duration_ms, 0.95) AS p95, \
        QUANTILE(duration_ms, 0.99) AS p99, AVG(duration_ms) AS mean, round(AVG(duration_ms) / 1000, 3) AS seconds \
        FROM performance WHERE event = 'page_load' AND day = current_date";
    let released = ask(Kind::Performance, &loads, sql, now_ms()).await.unwrap();
    assert_sound(&released);
    for name in ["p50", "p95"] {
        let (low, high) = ends(&released, 0, name);
        assert!(low <= 241.0 && 241.0 <= high, "{name}: {low} to {high}");
    }
    for (name, most) in [("p50", 120_000.0), ("p99", 120_000.0), ("mean", 120_000.0), ("seconds", 120.0)] {
        let (low, high) = ends(&released, 0, name);
        assert!(low >= 0.0 && high <= most && low < high, "{name}: {low} to {high}");
    }
    let json = released.to_json();
    let unit = |name: &str| {
        json["columns"].as_array().unwrap().iter().find(|c| c["name"] == name).unwrap()["unit"].clone()
    };
    assert_eq!(
        (unit("mean"), unit("p50"), unit("seconds")),
        ("ms".into(), "ms".into(), serde_json::Value::Null)
    );
    // Five values, of an event whose bound is lower: anything up to it.
    let starts: Vec<Row> =
        (0..5).map(|subject| Row::new(subject, today(), "app_start").number("duration_ms", 900)).collect();
    let sql = "SELECT QUANTILE(duration_ms, 0.95) AS p95, AVG(duration_ms) AS mean FROM performance \
        WHERE event = 'app_start' AND day = current_date";
    let released = ask(Kind::Performance, &starts, sql, now_ms()).await.unwrap();
    for name in ["p95", "mean"] {
        let (low, high) = ends(&released, 0, name);
        assert!(low >= 0.0 && high <= 60_000.0 && high - low > 1_000.0, "{name}: {low} to {high}");
    }
}

#[tokio::test]
async fn a_crash_group_that_is_withheld_is_not_a_version_without_crashes() {
    let registry = registry();
    let of = |count: u32, event: &'static str| -> Vec<Row> {
        (0..count).map(|subject| Row::new(subject, today(), event).text("app_version", "4.1")).collect()
    };
    let tables = vec![
        (Region::De, Kind::Usage, provider(registry.table(Kind::Usage), &of(600, "app_open"))),
        (Region::De, Kind::Crash, provider(registry.table(Kind::Crash), &of(60, "app_crash"))),
    ];
    let sql = "WITH a AS (SELECT app_version, COUNT(DISTINCT subject) AS n FROM usage WHERE day = current_date GROUP BY 1), \
        c AS (SELECT app_version, COUNT(DISTINCT subject) AS n FROM crash WHERE event = 'app_crash' AND day = current_date \
        GROUP BY 1) SELECT a.app_version, 1 - coalesce(c.n, 0)::float / a.n AS crash_free, c.n AS crashed \
        FROM a LEFT JOIN c ON c.app_version = a.app_version";
    let grant = grant(&[Region::De]);
    let released = engine().stages(&grant, &request(sql), now_ms(), scan(tables)).await.unwrap();
    assert_sound(&released);
    let (low, high) = ends(&released, 0, "crash_free");
    assert!(low <= 0.9 && 0.9 <= high && high - low > 0.05, "{low} to {high}: {}", released.to_json());
    let json = released.to_json();
    assert!(json["rows"][0]["crashed"].is_null(), "{json}");
    let (low, high) = ends(&released, 0, "crashed");
    assert!(low <= 60.0 && 60.0 <= high, "{low} to {high}");
    let notes = released.notes().join("\n");
    assert!(notes.contains("`crash_free`: Where a group is not shown"), "{notes}");
    assert!(notes.contains("`crashed` is unknown in one row"), "{notes}");
}

#[tokio::test]
async fn what_some_days_do_not_show_is_in_the_interval() {
    let mut rows: Vec<Row> = Vec::new();
    for (ago, people) in [(1, 900), (0, 15)] {
        rows.extend(
            (0..people).map(|subject| Row::new(subject, today() - ago, "click").text("app_version", "4.1")),
        );
    }
    let sql = "SELECT app_version, COUNT(*) AS n FROM usage WHERE event = 'click' AND day >= current_date - 1 GROUP BY 1";
    let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
    let (n, sd) = (number(&released, 0, "n"), number(&released, 0, "n_sd"));
    let (low, high) = ends(&released, 0, "n");
    assert!(n - low < 3.0 * sd && high - n > 4.0 * sd, "{n}, {sd}: {low} to {high}");
    assert!(
        released.notes().iter().any(|note| note.contains("is in its interval")),
        "{:?}",
        released.notes()
    );
}

#[tokio::test]
async fn an_answer_says_what_is_null_and_what_would_help() {
    let mut rows: Vec<Row> = (0..800).map(|subject| Row::new(subject, today(), "screen_view")).collect();
    rows.extend(
        (0..800)
            .map(|subject| Row::new(subject, today(), "screen_view").text("screen", "=cmd|' /C calc'!A1")),
    );
    let sql = "SELECT screen, COUNT(DISTINCT subject) AS people FROM usage WHERE event = 'screen_view' AND day = current_date \
        GROUP BY screen ORDER BY screen NULLS FIRST";
    let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
    assert_eq!(released.rows().len(), 2, "{}", released.to_json());
    assert!(released.notes().iter().any(|note| note.contains("`screen` is NULL in one row")));
    let csv = released.to_csv();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(
        lines[0],
        "screen,people [subjects],people_sd [subjects],people_low [subjects],people_high [subjects]"
    );
    assert!(lines[1].starts_with("NULL,") && lines[2].starts_with("\"'=cmd"), "{csv}");
    assert!(!released.notes().iter().any(|note| note.starts_with("What helps")), "{:?}", released.notes());
    // Four people, by their events.
    let few: Vec<Row> = (0..4).map(|subject| Row::new(subject, today(), "app_open")).collect();
    let sql = "SELECT COUNT(*) AS n FROM usage WHERE event = 'app_open' AND day = current_date";
    let mut helps = String::new();
    // One of twenty is beyond its interval by chance, six of six are not.
    for _ in 0..6 {
        let released = ask(Kind::Usage, &few, sql, now_ms()).await.unwrap();
        helps.extend(released.notes().iter().filter(|note| note.starts_with("What helps")).cloned());
    }
    assert!(helps.contains("COUNT(DISTINCT subject)") && helps.contains("precision high"), "{helps}");
    // Nobody is in a group that is large enough.
    let sql = "SELECT country, COUNT(*) AS n FROM usage WHERE day = current_date GROUP BY country";
    let released = ask(Kind::Usage, &few, sql, now_ms()).await.unwrap();
    assert!(released.rows().is_empty());
    let notes = released.notes().join("\n");
    assert!(notes.contains("No group is shown") && notes.contains("fewer keys"), "{notes}");
}

#[tokio::test]
async fn a_dry_run_says_the_noise_of_each_number_and_how_many_people_a_group_needs() {
    let sql = "SELECT country, COUNT(DISTINCT subject) AS people FROM usage WHERE day = current_date GROUP BY country";
    let request = QueryRequest { dry_run: true, ..request(sql) };
    let grant = grant(&[Region::De, Region::Us]);
    let released = engine().answer(&grant, &request, now_ms()).await.unwrap();
    let json = released.to_json();
    let noise = &json["noise"][0];
    assert_eq!(
        (&noise["number"], &noise["unit"]),
        (&"count(DISTINCT subject)".into(), &"subjects".into()),
        "{json}"
    );
    assert!(noise["sd"].as_f64().unwrap() > 20.0 && noise["shown_from"].as_u64().unwrap() > 60, "{noise}");
    let notes = released.notes().join("\n");
    assert!(
        notes.contains("The noise of count(DISTINCT subject) in r0 has a standard deviation of"),
        "{notes}"
    );
    assert!(notes.contains("shown from about"), "{notes}");
}

/// A series fills gaps with 0 where nobody did anything, and not where nobody knows any more.
#[tokio::test]
async fn days_that_have_expired_are_no_days_of_zero_in_a_series() {
    let rows: Vec<Row> = (0..3_000).map(|subject| Row::new(subject, today(), "click")).collect();
    let sql = "SELECT d.day, coalesce(u.n, 0) AS n FROM generate_series(current_date - 390, current_date, INTERVAL '1 day') AS d(day) \
        LEFT JOIN (SELECT day, COUNT(*) AS n FROM usage WHERE day >= current_date - 390 GROUP BY day) u ON u.day = d.day ORDER BY 1";
    let released = ask(Kind::Usage, &rows, sql, now_ms()).await.unwrap();
    let json = released.to_json();
    let all = json["rows"].as_array().unwrap();
    assert_eq!(all.len(), 391);
    for name in ["n", "n_sd", "n_low", "n_high"] {
        assert!(all[0][name].is_null(), "the first day has expired: {}", all[0]);
        assert!(all[380][name].is_number(), "a day of nobody, with its noise: {}", all[380]);
    }
    let told = released.notes().iter().any(|note| note.starts_with("`n`: ") && note.contains("have expired"));
    assert!(told, "{:?}", released.notes());
}
