//! The bounds of sums: what a definition says of an event holds where that event alone is asked about.

use shoal_schemas::Region;

use super::{now_ms, registry};
use crate::private_query::{AggregateOp, PrivateQuery, Shape};
use crate::question::ask;

fn query(sql: &str) -> PrivateQuery {
    let question =
        ask(sql, &registry(), Region::ALL, now_ms()).unwrap_or_else(|error| panic!("{sql}: {error}"));
    question.releases.into_iter().next().unwrap()
}

/// The sums of a statement with their bounds.
fn sums(sql: &str) -> Vec<(String, u64)> {
    let query = query(sql);
    let sums = query.aggregates.iter().filter(|one| matches!(one.op, AggregateOp::Sum(_)));
    sums.map(|one| (one.to_string(), one.linf)).collect()
}

#[track_caller]
fn bounded(sql: &str, linf: u64) {
    let found: Vec<u64> = sums(sql).into_iter().map(|(_, linf)| linf).collect();
    assert_eq!(found, [linf], "{sql}");
}

/// `app_start` has 30 s a day, `page_lag` 10 s, `stream_first_frame` 45 s; the table has 60 s, as `page_load` has.
#[test]
fn a_sum_is_bounded_by_the_events_that_the_conditions_let_through() {
    for (conditions, linf) in [
        ("", 60_000),
        ("WHERE os = 'ios'", 60_000),
        ("WHERE event = 'app_start'", 30_000),
        ("WHERE event = 'app_start' AND day = current_date AND os = 'ios'", 30_000),
        ("WHERE event IN ('app_start', 'page_lag')", 40_000),
        // Not more than the table's.
        ("WHERE event IN ('app_start', 'stream_first_frame')", 60_000),
        // What is not certain says nothing.
        ("WHERE event = 'app_start' OR os = 'ios'", 60_000),
        ("WHERE event <> 'app_start'", 60_000),
    ] {
        bounded(&format!("SELECT SUM(duration_ms) FROM performance {conditions}"), linf);
        bounded(&format!("SELECT AVG(duration_ms) FROM performance {conditions}"), linf);
    }
}

#[test]
fn a_filter_or_a_case_of_an_aggregate_bounds_its_sum_alone() {
    bounded("SELECT SUM(duration_ms) FILTER (WHERE event = 'app_start') FROM performance", 30_000);
    bounded("SELECT SUM(CASE WHEN event = 'app_start' THEN duration_ms END) FROM performance", 30_000);
    let both = "SELECT SUM(duration_ms) FILTER (WHERE event = 'page_lag'), SUM(duration_ms) FROM performance \
        WHERE event IN ('app_start', 'page_lag')";
    let mut found: Vec<u64> = sums(both).into_iter().map(|(_, linf)| linf).collect();
    found.sort_unstable();
    assert_eq!(found, [10_000, 40_000]);
}

#[test]
fn a_group_of_one_event_holds_the_largest_of_them() {
    let by_event = "SELECT event, SUM(duration_ms) FROM performance WHERE event IN ('app_start', 'page_lag') GROUP BY event";
    bounded(by_event, 30_000);
    bounded("SELECT event, SUM(duration_ms) FROM performance GROUP BY event", 60_000);
}

#[test]
fn numbers_made_of_a_measure_are_bounded_with_it() {
    bounded("SELECT SUM(duration_ms * 2) FROM performance WHERE event = 'app_start'", 60_000);
    bounded("SELECT SUM(LEAST(duration_ms, 5000)) FROM performance WHERE event = 'app_start'", 30_000);
    // Twenty starts of 100 ms.
    bounded("SELECT SUM(LEAST(duration_ms, 100)) FROM performance WHERE event = 'app_start'", 2_000);
    // No event of this name has a duration: the sum is zero.
    bounded("SELECT SUM(duration_ms) FROM usage WHERE event = 'app_open'", 1);
}

/// A start takes a minute at the most, and the starts of a day half a minute together; an operation may take an hour.
#[test]
fn squares_are_bounded_by_the_values_of_the_events() {
    for (sql, expected) in [
        ("SELECT VAR(duration_ms) FROM performance WHERE event = 'app_start'", [30_000_u64, 60_000 * 30_000]),
        (
            "SELECT STDDEV(duration_ms) FILTER (WHERE event = 'app_start') FROM performance",
            [30_000_u64, 60_000 * 30_000],
        ),
        ("SELECT VAR(duration_ms) FROM performance", [60_000_u64, 3_600_000 * 60_000]),
    ] {
        let mut found: Vec<u64> = sums(sql).into_iter().map(|(_, linf)| linf).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{sql}");
    }
    // An expression is computed for every row: what may overflow in another event's is refused all the same.
    let cubes = "SELECT SUM(duration_ms * duration_ms * duration_ms)";
    let refused = |from: &str| ask(&format!("{cubes} {from}"), &registry(), Region::ALL, now_ms()).is_err();
    assert!(refused("FILTER (WHERE event = 'app_start') FROM performance"));
    assert!(refused("FROM performance WHERE event = 'app_start'"));
}

#[test]
fn a_sum_of_a_subjects_row_is_bounded_on_each_of_its_days() {
    let sql = "SELECT AVG(ms) FROM (SELECT subject, SUM(duration_ms) AS ms FROM performance WHERE event = 'app_start' \
        AND day > current_date - 7 GROUP BY subject) AS people";
    let query = query(sql);
    let Shape::Subjects(person) = &query.shape else { panic!("not subjects") };
    let values: Vec<String> = person.values.iter().map(ToString::to_string).collect();
    assert_eq!(values, ["sum(duration_ms) within 0 and 210000"]);
}
