//! People of windows: the forms that ask for them are one private query, whose parts are the windows; other forms are refused
//! with one of these.

use shoal_schemas::Region;

use super::{now_ms, registry, today};
use crate::calendar::parse_day;
use crate::error::LanguageError;
use crate::private_query::{Bucket, DayRange, PrivateQuery};
use crate::question::{Question, ask};

fn asked(sql: &str) -> Question {
    ask(sql, &registry(), Region::ALL, now_ms()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn refused(sql: &str) -> String {
    match ask(sql, &registry(), Region::ALL, now_ms()) {
        Err(LanguageError::Refused(refusal)) => {
            asked(&refusal.example);
            format!("{}: {} {}", refusal.rule.as_str(), refusal.message, refusal.example)
        }
        Err(error) => panic!("{sql}: {error}"),
        Ok(question) => panic!("{sql}: accepted as {}", question.postprocess.sql),
    }
}

fn one(sql: &str) -> PrivateQuery {
    let mut releases = asked(sql).releases;
    assert_eq!(releases.len(), 1, "{sql}");
    releases.remove(0)
}

/// The windows of the days `-last..=0` from today, each of so many days.
fn windows(last: i32, days: i32) -> Vec<Bucket> {
    let of = |start: i32| Bucket { start, days: DayRange { first: start - days + 1, last: start } };
    (today() - last..=today()).map(of).collect()
}

const SERIES: &str = "generate_series(current_date - 13, current_date, INTERVAL '1 day')";

#[test]
fn every_usual_form_is_the_same_windows() {
    for from in [
        format!("{SERIES} AS d(day) JOIN usage u ON u.day BETWEEN d.day - 6 AND d.day"),
        format!("{SERIES} AS d(day) LEFT JOIN usage u ON u.day > d.day - INTERVAL '7 days' AND u.day <= d.day"),
        format!("{SERIES} AS d(day), usage u WHERE u.day >= d.day - INTERVAL '6 days' AND u.day <= d.day"),
        format!("usage u JOIN {SERIES} AS d(day) ON u.time >= d.day - 6 AND u.time < d.day + 1"),
        format!("{SERIES} AS d(day) CROSS JOIN usage u WHERE u.time::date BETWEEN d.day::date - 6 AND d.day"),
        format!(
            "(SELECT s::date AS day FROM {SERIES} AS s) AS d JOIN usage AS u ON d.day >= u.day AND d.day - 7 < u.day"
        ),
        "(SELECT generate_series(current_date - 13, current_date, '1 day')::date AS day) d JOIN usage u ON u.day BETWEEN d.day - 6 \
         AND d.day"
            .to_owned(),
        "(SELECT DISTINCT day FROM usage WHERE day >= current_date - 13) d JOIN usage u ON u.day BETWEEN d.day - 6 AND d.day"
            .to_owned(),
        format!("{SERIES} AS d(day) JOIN (SELECT subject, day FROM usage) u ON u.day BETWEEN d.day - 6 AND d.day"),
    ] {
        let sql = format!("SELECT d.day, COUNT(DISTINCT u.subject) AS people FROM {from} GROUP BY d.day ORDER BY d.day");
        let query = one(&sql);
        assert_eq!(query.windows(), Some(windows(13, 7).as_slice()), "{sql}");
        assert_eq!((query.overlap(), query.days_read(), query.filter()), (7, 98, None), "{sql}");
    }
}

#[test]
fn windows_have_keys_conditions_and_whatever_stands_above_releases() {
    let query = one(&format!(
        "WITH days AS (SELECT d FROM {SERIES} AS d), opened AS (SELECT * FROM usage WHERE event = 'app_open') \
         SELECT to_char(days.d, 'DD Mon') AS label, days.d AS day, o.os, COUNT(DISTINCT o.subject) AS people, \
         COUNT(DISTINCT o.subject) - LAG(COUNT(DISTINCT o.subject)) OVER (PARTITION BY o.os ORDER BY days.d) AS more \
         FROM days JOIN opened o ON o.day BETWEEN days.d - 27 AND days.d WHERE o.country = 'DE' GROUP BY day, o.os \
         HAVING COUNT(DISTINCT o.subject) > 100 ORDER BY days.d DESC, people LIMIT 50"
    ));
    assert_eq!(query.windows(), Some(windows(13, 28).as_slice()));
    let filter = query.filter().map(ToString::to_string);
    assert_eq!(filter.as_deref(), Some("((country = 'DE') AND (event = 'app_open'))"));
    assert_eq!(query.keys().len(), 2);
    // From the beginning of the month on, so that windows grow.
    let query = one(
        "SELECT d, COUNT(DISTINCT subject) FROM generate_series(DATE '2026-11-01', DATE '2026-11-03', INTERVAL '1 day') d \
         JOIN usage ON usage.day <= d WHERE usage.day >= '2026-11-01' GROUP BY d",
    );
    let first = parse_day("2026-11-01").unwrap();
    let grown = |n| Bucket { start: first + n, days: DayRange { first, last: first + n } };
    assert_eq!(query.windows(), Some([0, 1, 2].map(grown).as_slice()));
    assert_eq!(query.overlap(), 3);
    // Weeks do not share days.
    let weeks = "SELECT d.day, COUNT(DISTINCT subject) FROM generate_series(current_date - 27, current_date - 6, INTERVAL '7 days') \
        AS d(day) JOIN usage ON usage.day BETWEEN d.day AND d.day + 6 GROUP BY 1";
    assert_eq!(one(weeks).overlap(), 1);
    assert_eq!(one("SELECT os, COUNT(*) FROM usage GROUP BY os").overlap(), 1);
}

#[test]
fn two_statements_with_the_same_windows_are_one_release() {
    let window = |days: i32| {
        format!(
            "(SELECT COUNT(DISTINCT u.subject) FROM usage u WHERE u.day BETWEEN d.day - {days} AND d.day)"
        )
    };
    let sql = format!(
        "SELECT d.day, {} AS day_people, {} AS week, {} AS month, {}::float / {} AS stickiness FROM {SERIES} AS d(day) ORDER BY 1",
        window(0),
        window(6),
        window(27),
        window(0),
        window(27)
    );
    let question = asked(&sql);
    let overlaps: Vec<u64> = question.releases.iter().map(PrivateQuery::overlap).collect();
    assert_eq!(overlaps, [1, 7, 14], "fourteen windows");
    let sql = "WITH daily AS (SELECT day, COUNT(DISTINCT subject) AS people FROM usage WHERE day >= current_date - 13 GROUP BY day) \
        SELECT day, people, (SELECT COUNT(DISTINCT subject) FROM usage w WHERE w.day BETWEEN daily.day - 6 AND daily.day) AS week \
        FROM daily";
    let question = asked(sql);
    assert_eq!(question.releases.len(), 2);
    assert!(question.releases.iter().any(|query| query.windows() == Some(windows(13, 7).as_slice())));
    assert!(question.notes.iter().any(|note| note.contains("7 windows")), "{:?}", question.notes);
}

/// What is paid is what is shown: a day that the outer WHERE leaves out has no row, so its window is not read.
#[test]
fn windows_of_days_that_the_outer_where_leaves_out_are_not_paid() {
    let week = "(SELECT COUNT(DISTINCT u.subject) FROM usage u WHERE u.day BETWEEN d.day - 6 AND d.day)";
    let series = format!("{SERIES} AS d(day)");
    let daily = "(SELECT day, COUNT(*) AS n FROM usage WHERE day >= current_date - 13 GROUP BY day) AS d";
    let sundays = [today() - 7, today()];
    let last = [today() - 1, today()];
    for (from, condition, kept) in [
        (series.as_str(), "d.day >= current_date - 1", &last[..]),
        (daily, "day >= current_date - 1 AND n > 10", &last[..]),
        (daily, "(d.day >= current_date - 1) AND d.day <= current_date", &last[..]),
        (series.as_str(), "extract(isodow FROM d.day) = 7", &sundays[..]),
        (series.as_str(), "date_part('dow', d.day) IN (0)", &sundays[..]),
        (series.as_str(), "date_trunc('week', d.day) <> date_trunc('week', d.day + 1)", &sundays[..]),
    ] {
        let sql = format!("SELECT d.day, {week} AS week FROM {from} WHERE {condition}");
        let question = asked(&sql);
        let found = question.releases.iter().find_map(PrivateQuery::windows).unwrap();
        let starts: Vec<i32> = found.iter().map(|window| window.start).collect();
        assert_eq!(starts, kept, "{sql}");
        assert!(question.postprocess.sql.contains("WHERE"), "{}", question.postprocess.sql);
    }
    // What released rows decide, or a part of an OR, leaves all windows.
    for condition in ["n > 10", "d.day >= current_date - 1 OR n > 10", "d.day >= current_date - n"] {
        let sql = format!("SELECT d.day, {week} AS week FROM {daily} WHERE {condition}");
        let found = asked(&sql);
        let windows = found.releases.iter().find_map(PrivateQuery::windows).unwrap();
        assert_eq!(windows.len(), 14, "{sql}");
    }
    let joined = format!(
        "SELECT d.day, COUNT(DISTINCT u.subject) FROM {series} JOIN usage u ON u.day BETWEEN d.day - 6 AND d.day WHERE extract(dow FROM \
         d.day) = 0 GROUP BY 1"
    );
    assert_eq!(one(&joined).windows().unwrap().len(), 2);
}

#[test]
fn the_same_subquery_is_joined_once() {
    let week = "(SELECT COUNT(DISTINCT u.subject) FROM usage u WHERE u.day BETWEEN d.day - 6 AND d.day)";
    let twenty: Vec<String> = (1..=20).map(|n| format!("{week} * {n} AS n{n}")).collect();
    let question = asked(&format!("SELECT d.day, {} FROM {SERIES} AS d(day)", twenty.join(", ")));
    assert_eq!(question.releases.len(), 1);
    assert_eq!(question.postprocess.sql.matches(" JOIN ").count(), 1, "{}", question.postprocess.sql);
    assert_eq!(question.postprocess.sql.matches("\"window_0\".\"window_0_n\" * ").count(), 20);
}

#[test]
fn what_is_no_window_is_refused_with_one() {
    let joined = |rest: &str| {
        format!("SELECT d.day, COUNT(DISTINCT u.subject) FROM {SERIES} AS d(day) JOIN usage u ON {rest}")
    };
    let window = "u.day BETWEEN d.day - 6 AND d.day";
    for (sql, says) in [
        (joined(&format!("{window} GROUP BY u.os, 1 HAVING COUNT(*) FILTER (WHERE u.day = d.day) > 9")), "the same in every"),
        (joined("u.day <= d.day GROUP BY 1"), "a first and a last day"),
        (joined("u.time BETWEEN d.day AND d.day + INTERVAL '90 minutes' GROUP BY 1"), "whole UTC days"),
        (joined("u.day BETWEEN date_trunc('month', d.day) AND current_date GROUP BY 1"), "the same window"),
        (joined(window), "grouped by the day of the series"),
        (joined(&format!("{window} GROUP BY u.os")), "grouped by the day of the series"),
        (joined(&format!("{window} GROUP BY u.day, 1")), "one key of time"),
        (joined(&format!("{window} AND u.subject IN (SELECT subject FROM crash) GROUP BY 1")), "of one table"),
        (joined("u.day BETWEEN d.day AND d.day + 6 AND d.day < '2020-01-01' GROUP BY 1"), "no day"),
        (
            format!("SELECT d, COUNT(*) FROM {SERIES} AS d LEFT JOIN usage u ON u.day = d GROUP BY d"),
            "counts a day without events as one",
        ),
        (
            format!("SELECT d, COUNT(1) FROM {SERIES} AS d LEFT JOIN usage u ON u.day = d GROUP BY d"),
            "counts a day without events as one",
        ),
        (
            format!(
                "SELECT d, COUNT(u.event) FROM {SERIES} AS d LEFT JOIN usage u ON u.day = d AND d >= current_date - 2 GROUP BY d"
            ),
            "belongs into the series",
        ),
        (
            "SELECT d, COUNT(DISTINCT subject) FROM generate_series(DATE '2025-01-01', DATE '2026-11-22', INTERVAL '1 day') d JOIN \
             usage u ON u.day BETWEEN d - 1 AND d GROUP BY d"
                .to_owned(),
            "at most 400 windows",
        ),
        (
            "SELECT d, COUNT(DISTINCT subject) FROM generate_series(current_date - 100, current_date, INTERVAL '1 day') d JOIN \
             usage u ON u.day BETWEEN d - 99 AND d GROUP BY d"
                .to_owned(),
            "4000 days",
        ),
        (
            "SELECT day, COUNT(DISTINCT subject) OVER (ORDER BY day RANGE BETWEEN INTERVAL '13 days' PRECEDING AND CURRENT ROW) \
             FROM crash"
                .to_owned(),
            "JOIN crash AS u ON u.day BETWEEN d.day - 13 AND d.day",
        ),
        (
            "SELECT day, people, COUNT(DISTINCT people) OVER (ORDER BY day ROWS 6 PRECEDING) FROM (SELECT day, COUNT(DISTINCT \
             subject) AS people FROM usage GROUP BY day) t"
                .to_owned(),
            "generate_series(",
        ),
    ] {
        let found = refused(&sql);
        assert!(found.contains(says), "{sql}\n{found}");
    }
}

/// What may not stand among the items may not stand in an order either.
#[test]
fn what_is_no_window_is_none_in_an_order() {
    for (sql, says) in [
        (
            format!(
                "SELECT d, COUNT(u.event) FROM {SERIES} AS d LEFT JOIN usage u ON u.day = d GROUP BY d ORDER BY COUNT(*) DESC"
            ),
            "counts a day without events as one",
        ),
        (
            format!(
                "SELECT d, COUNT(u.event), rank() OVER w FROM {SERIES} AS d LEFT JOIN usage u ON u.day = d GROUP BY d WINDOW w AS (ORDER \
                 BY COUNT(*))"
            ),
            "counts a day without events as one",
        ),
        (
            format!(
                "SELECT d.day, COUNT(DISTINCT u.subject) FROM {SERIES} AS d(day) JOIN usage u ON u.day BETWEEN d.day - 6 AND d.day GROUP \
                 BY 1 ORDER BY COUNT(*) FILTER (WHERE u.day = d.day)"
            ),
            "the same in every",
        ),
        (
            "SELECT d, COUNT(DISTINCT subject) FROM generate_series(current_date, current_date + 2, INTERVAL '1 day') d JOIN usage u ON \
             u.day BETWEEN d AND d + 6 GROUP BY d"
                .to_owned(),
            "begins today at the latest",
        ),
    ] {
        let found = refused(&sql);
        assert!(found.contains(says), "{sql}\n{found}");
    }
}

#[test]
fn a_day_without_events_is_a_window_of_one_day() {
    let query = one(&format!(
        "SELECT d.day, COUNT(u.event) AS n FROM {SERIES} AS d(day) LEFT JOIN usage u ON u.day = d.day AND u.event = 'purchase' \
         GROUP BY d.day ORDER BY d.day"
    ));
    assert_eq!(query.windows(), Some(windows(13, 1).as_slice()));
    assert_eq!(query.filter().map(ToString::to_string).as_deref(), Some("(event = 'purchase')"));
}

/// Forms whose refusal shows what can be asked in their place.
#[test]
fn what_people_write_instead_of_windows_and_sets_has_an_example_that_says_so() {
    for (sql, says) in [
        (
            "SELECT u.day, (SELECT COUNT(DISTINCT w.subject) FROM crash w WHERE w.day BETWEEN u.day - 6 AND u.day) FROM usage u GROUP BY \
             u.day",
            "generate_series(",
        ),
        (
            "SELECT a.day, COUNT(DISTINCT b.subject) FROM usage a JOIN usage b ON b.day BETWEEN a.day - 6 AND a.day GROUP BY a.day",
            "generate_series(",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT subject FROM usage EXCEPT SELECT subject FROM crash) t",
            "NOT IN (SELECT subject",
        ),
        (
            "SELECT day, app_version, n, COUNT(DISTINCT subject) FROM usage JOIN (SELECT app_version AS v, COUNT(DISTINCT subject) AS n FROM \
             usage GROUP BY app_version ORDER BY n DESC LIMIT 5) AS best ON app_version = v GROUP BY 1, 2, 3",
            "AS best ON best.app_version = days.app_version",
        ),
    ] {
        let found = refused(sql);
        assert!(found.contains(says), "{sql}\n{found}");
    }
}
