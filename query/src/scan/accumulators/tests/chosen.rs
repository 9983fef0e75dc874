//! Numbers of people who have more events on a day than a count lets through: shares and means are those of all their events.

use super::*;

const PEOPLE: u32 = 100;

/// Of each of a hundred people 300 events on the first day: each fifth of `ios` and worth 7, the others worth 2; the last three
/// of each are purchases.
fn of_many_events() -> Vec<Row> {
    let row = |subject: u32, at: i64| {
        let (os, amount) = if at % 5 == 0 { ("ios", 7) } else { ("android", 2) };
        let event = if at >= 297 { "purchase" } else { "click" };
        let mut row = Row::new(subject, days().first, event).text("os", os).number("amount", amount);
        row.hour = at % 24;
        row
    };
    (0..PEOPLE).flat_map(|subject| (0..300).map(move |at| row(subject, at))).collect()
}

/// The total of each aggregate over all groups and days.
fn sums(query: &PrivateQuery, key: u8) -> Vec<i128> {
    let numbers = totals(query, &of_many_events(), &[], key);
    let of = |at: usize| numbers.iter().filter(move |(place, _)| place.0.0 == Some(at)).map(|(_, sum)| sum);
    (0..query.aggregates().len()).map(|at| of(at).sum()).collect()
}

fn counts() -> PrivateQuery {
    let ios = || is("os", "ios");
    let query = query(Shape::Events).count(AggregateOp::Rows, 60).count(AggregateOp::Rows, 60).only(ios());
    let query = query.count(AggregateOp::Sum(amount()), 30_000).count(AggregateOp::Sum(amount()), 30_000);
    let query = query.only(ios()).count(AggregateOp::Present(amount()), 60);
    query.count(AggregateOp::Subjects, 1).only(is("event", "purchase"))
}

#[test]
fn shares_and_means_of_people_with_more_events_than_count_are_those_of_all_their_events() {
    for query in [counts(), counts().by(Grain::Day), counts().private(text("country")), {
        counts().member(true, Some(is("event", "login")))
    }] {
        let found = sums(&query, 3);
        let (rows, ios) = (found[0], found[1]);
        assert_eq!(rows, 60 * i128::from(PEOPLE), "{query}");
        // A fifth of 6,000, with a deviation of 28: off by more than 140 once in two million runs.
        assert!((ios - 1_200).abs() < 140, "{query}\n{ios}");
        // The same events for all numbers, and people are of all events.
        let expected = [rows, ios, 7 * ios + 2 * (rows - ios), 7 * ios, rows, PEOPLE.into()];
        assert_eq!(found, expected, "{query}");
    }
    assert_ne!(sums(&counts(), 3)[1], sums(&counts(), 4)[1], "each release chooses by a key of its own");
}

/// What is asked of different events has a bound of its own for each of them; what is asked of all of them has one for all.
#[test]
fn counts_of_different_events_are_not_at_the_cost_of_each_other() {
    let of = |query: PrivateQuery, event: &str, most: u64| {
        query.count(AggregateOp::Rows, most).only(is("event", event))
    };
    let apart = of(of(query(Shape::Events), "click", 50), "purchase", 3);
    let people = i128::from(PEOPLE);
    assert_eq!(sums(&apart, 5), [50 * people, 3 * people]);
    let all = of(of(query(Shape::Events).count(AggregateOp::Rows, 60), "click", 60), "purchase", 60);
    let found = sums(&all, 5);
    assert_eq!((found[0], found[1] + found[2]), (60 * people, 60 * people));
    // A hundredth of 6,000, with a deviation of 7.
    assert!((found[2] - 60).abs() < 36, "{found:?}");
    // A sum by itself has its own clamp alone, and so have sums of what no count is of.
    let sum = query(Shape::Events).count(AggregateOp::Sum(amount()), 600);
    assert_eq!(sums(&sum, 5), [600 * people]);
    let other = of(sum, "purchase", 3).count(AggregateOp::Rows, 2).only(is("event", "login"));
    let found = sums(&other, 5);
    assert_eq!(found[1..], [3 * people, 0]);
    assert_eq!(found[0], 600 * people);
}
