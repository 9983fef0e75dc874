//! Quantiles, histograms, sums, averages and spreads.

use std::ops::Range;

use super::*;

/// The durations of the starts of the last `days` days, in order.
fn starts(days: i32, is_one: impl Fn(u32) -> bool) -> Vec<f64> {
    let all = (DAYS - days..DAYS).flat_map(|at| (0..SUBJECTS).map(move |s| (s, at)));
    let mut all: Vec<f64> = all.filter(|(s, _)| is_one(*s)).map(|(s, at)| start_ms(s, at) as f64).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The quantile is between these ranks, give or take a step of the grid and some per cent.
#[track_caller]
fn quantile(answer: &Answer, row: usize, column: &str, sorted: &[f64], ranks: Range<f64>) {
    let x = answer.number(row, column);
    let at = |q: f64| sorted[((sorted.len() - 1) as f64 * q.clamp(0.0, 1.0)) as usize];
    let (low, high) = (at(ranks.start) * 0.9 - 10.0, at(ranks.end) * 1.1 + 10.0);
    assert!((low..=high).contains(&x), "{column}: {x}, not {low} to {high}: {}", answer.0);
    let (below, above) =
        (answer.number(row, &format!("{column}_low")), answer.number(row, &format!("{column}_high")));
    assert!(below <= x && x <= above, "{below} {x} {above}");
    let half = (ranks.end - ranks.start) / 2.0;
    let wide = (at(ranks.end + half) * 1.2 - at(ranks.start - half) * 0.8).max(200.0);
    assert!(above - below <= wide * 2.0, "{below} to {above} says nothing");
}

#[tokio::test]
async fn quantiles_of_one_day_and_of_several() {
    let over = "FROM performance WHERE event = 'app_start'";
    let one = format!(
        "SELECT MEDIAN(duration_ms) AS p50, percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95, \
         approx_percentile_cont(duration_ms, 0.25) AS p25, QUANTILE(duration_ms, 0.75) AS p75 {over} AND day = current_date"
    );
    let answer = asked(&one).await;
    let truth = starts(1, |_| true);
    for (column, q) in [("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95)] {
        quantile(&answer, 0, column, &truth, q - 0.08..q + 0.08);
    }
    let answer = asked(&one.replace("day = current_date", "day > current_date - 7")).await;
    let truth = starts(7, |_| true);
    // The noise of a week's tree is a twentieth of its values: p95 may be anything above.
    for (column, q) in [("p25", 0.25), ("p50", 0.5), ("p75", 0.75)] {
        quantile(&answer, 0, column, &truth, q - 0.1..q + 0.1);
    }
    let answer = asked(&format!(
        "SELECT day, MEDIAN(duration_ms) AS p50 {over} AND day > current_date - 3 GROUP BY day ORDER BY day"
    ))
    .await;
    assert_eq!(answer.rows().len(), 3);
    quantile(&answer, 2, "p50", &starts(1, |_| true), 0.42..0.58);
}

#[tokio::test]
async fn quantiles_by_a_key_and_with_a_filter() {
    let sql = "SELECT os, QUANTILE(duration_ms, 0.5) AS p50, MEDIAN(duration_ms) FILTER (WHERE app_version = '4.2') AS new \
        FROM performance WHERE event = 'app_start' AND day = current_date GROUP BY os ORDER BY os";
    let answer = asked(sql).await;
    let row = answer.at("os", "android");
    quantile(&answer, row, "p50", &starts(1, |s| os(s) == "android"), 0.35..0.65);
    quantile(&answer, row, "new", &starts(1, |s| os(s) == "android" && version(s) == Some("4.2")), 0.3..0.7);
    // Nobody has linux: a number that says nothing, and says so.
    let row = answer.at("os", "linux");
    let (low, high) = (answer.number(row, "p50_low"), answer.number(row, "p50_high"));
    assert!(high - low > 5_000.0, "{}", answer.0);
}

#[tokio::test]
async fn histograms() {
    let sql = "SELECT bucket(duration_ms) AS from_ms, COUNT(*) AS starts FROM performance WHERE event = 'app_start' \
        AND day = current_date GROUP BY 1 ORDER BY 1";
    let answer = asked(sql).await;
    let lows: Vec<f64> =
        (0..answer.rows().len()).filter_map(|row| answer.rows()[row]["from_ms"].as_f64()).collect();
    assert!(lows.len() > 20 && lows.is_sorted(), "{}", answer.0);
    let truth = starts(1, |_| true);
    for (row, low) in lows.iter().enumerate() {
        let high = lows.get(row + 1).copied().unwrap_or(f64::MAX);
        let inside = truth.iter().filter(|x| (*low..high).contains(*x)).count() as f64;
        answer.near(answer.at("from_ms", *low), "starts", inside, 800.0);
    }
    let sql = "SELECT width_bucket(duration_ms, 0, 4000, 8) AS step, COUNT(DISTINCT subject) AS people FROM performance \
        WHERE event = 'app_start' AND day = current_date GROUP BY step ORDER BY step";
    let answer = asked(sql).await;
    for step in 1..=8 {
        let (low, high) = (f64::from(step - 1) * 500.0, f64::from(step) * 500.0);
        let inside = truth.iter().filter(|x| (low..high).contains(*x)).count() as f64;
        answer.near(answer.at("step", step), "people", inside, 40.0);
    }
    let sql =
        "SELECT HISTOGRAM(duration_ms) FROM performance WHERE event = 'app_start' AND day = current_date";
    let answer = asked(sql).await;
    assert!(answer.rows().len() > 20, "{}", answer.0);
}

#[tokio::test]
async fn averages_spreads_and_sums() {
    let over = "FROM performance WHERE event = 'api_request' AND day > current_date - 2";
    let values: Vec<f64> = rows_of(&PERFORMANCE, 2, |row| row.event == "api_request")
        .iter()
        .map(|row| row.numbers.iter().find(|(name, _)| *name == "duration_ms").unwrap().1 as f64)
        .collect();
    let (n, sum) = (values.len() as f64, values.iter().sum::<f64>());
    let answer = asked(&format!("SELECT SUM(duration_ms) AS s, AVG(duration_ms) AS mean {over}")).await;
    answer.near(0, "s", sum, 60_000.0 * 20.0 * 1.5);
    answer.near(0, "mean", sum / n, 1_000.0);
    // The table's bound is that of requests; a start of the app has half of it, and half the noise.
    let sql =
        "SELECT SUM(duration_ms) AS s FROM performance WHERE event = 'app_start' AND day = current_date";
    asked(sql).await.near(0, "s", starts(1, |_| true).iter().sum(), 30_000.0 * 7.2);
    let logins: Vec<f64> =
        rows_of(&USAGE, 7, |row| row.event == "login").iter().map(|row| row.numbers[0].1 as f64).collect();
    let (n, mean) = (logins.len() as f64, logins.iter().sum::<f64>() / logins.len() as f64);
    let sql = "SELECT VAR(LEAST(duration_ms, 5000)) AS v, STDDEV(LEAST(duration_ms, 5000)) AS sd, \
        VAR_POP(LEAST(duration_ms, 5000)) AS vp, AVG(LEAST(duration_ms, 5000)) AS mean FROM usage \
        WHERE event = 'login' AND day > current_date - 7";
    let answer = asked(sql).await;
    let variance = logins.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    answer.near(0, "mean", mean, 500.0);
    for name in ["v", "vp"] {
        let (x, sd) = (answer.number(0, name), answer.number(0, &format!("{name}_sd")));
        assert!((x - variance).abs() <= 6.0 * sd && sd < 4e6, "{name}: {x} {sd} {variance}");
    }
}

#[tokio::test]
async fn sums_of_expressions() {
    let sql = "SELECT SUM(LEAST(amount, 20)) AS capped, SUM(CASE WHEN items > 1 THEN items ELSE 0 END) AS many, \
        SUM(items * 2) AS twice, SUM(amount) AS paid FROM usage WHERE event = 'purchase' AND day > current_date - 7";
    let answer = asked(sql).await;
    let rows = rows_of(&USAGE, 7, |row| row.event == "purchase");
    let sum = |of: &dyn Fn(i64, i64) -> i64| {
        rows.iter().map(|row| of(row.numbers[0].1, row.numbers[1].1)).sum::<i64>() as f64
    };
    answer.near(0, "capped", sum(&|cents, _| cents.min(2_000)) / 100.0, 10_000.0);
    answer.near(0, "many", sum(&|_, items| if items > 1 { items } else { 0 }), 4_000.0);
    answer.near(0, "twice", sum(&|_, items| items * 2), 4_000.0);
    answer.near(0, "paid", sum(&|cents, _| cents) / 100.0, 200.0 * 50.0);
}

#[tokio::test]
async fn buckets_hours_and_cases() {
    let sql = "SELECT CASE WHEN status_code >= 500 THEN '5xx' WHEN status_code >= 200 THEN '2xx' ELSE 'none' END AS class, \
        COUNT(*) AS n FROM performance WHERE event = 'api_request' AND day > current_date - 2 GROUP BY class";
    let answer = asked(sql).await;
    answer.near(answer.at("class", "5xx"), "n", f64::from(SUBJECTS) / 10.0, 60.0 * 7.1 * 3.0);
    answer.near(answer.at("class", "2xx"), "n", f64::from(SUBJECTS) * 1.9, 60.0 * 7.1 * 3.0);
    answer.near(answer.at("class", "none"), "n", 0.0, 60.0 * 7.1 * 3.0);
    let sql = "SELECT extract(hour FROM time) AS hour, COUNT(*) AS n FROM usage WHERE event = 'app_open' \
        AND day > current_date - 7 GROUP BY 1 ORDER BY 1";
    let answer = asked(sql).await;
    assert_eq!(answer.rows().len(), 24);
    for hour in 0..24 {
        let truth = rows_of(&USAGE, 7, |row| row.event == "app_open" && row.hour == hour).len() as f64;
        answer.near(answer.at("hour", hour), "n", truth, 20.0 * 7.1 * 7_f64.sqrt() * 5.0);
    }
    for (grain, buckets) in [("week", 3), ("month", 1)] {
        let sql = format!(
            "SELECT date_trunc('{grain}', day) AS start, COUNT(*) AS n, COUNT(DISTINCT subject) AS people FROM usage \
             WHERE event = 'login' AND day > current_date - 21 GROUP BY 1 ORDER BY 1"
        );
        let answer = asked(&sql).await;
        assert_eq!(answer.rows().len(), buckets, "{}", answer.0);
        if grain == "month" {
            answer.near(0, "n", rows_of(&USAGE, 21, |row| row.event == "login").len() as f64, 400.0);
        }
        let last = rows_of(&USAGE, if grain == "week" { 7 } else { 21 }, |row| row.event == "login");
        answer.near(buckets - 1, "people", people_of(last), 15.0);
    }
}
