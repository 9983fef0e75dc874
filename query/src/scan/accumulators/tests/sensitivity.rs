//! Exact sensitivity: what one subject's day changes in the exact numbers of each slot is no more than the layout says.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use shoal_language::{PerSubject, PersonOp, PersonValue, TimePart};

const WORDS: [&str; 4] = ["a", "b", "c", "d"];
const SYSTEMS: [&str; 3] = ["ios", "android", "none of the list"];
const EVENTS: [&str; 3] = ["click", "purchase", "login"];

fn funnel(within_hours: i64) -> Shape {
    let steps = EVENTS.map(|event| is("event", event)).to_vec();
    Shape::Funnel { steps, within_ms: within_hours * shoal_schemas::calendar::HOUR_MS }
}

fn retention(period: Grain) -> Shape {
    Shape::Retention { cohort: is("event", "click"), back: is("event", "login"), period }
}

fn cohorts(grain: Grain) -> Vec<Value> {
    crate::sensitivity::periods(days(), grain).into_iter().map(Value::Day).collect()
}

fn person(keys: Vec<Scalar>) -> Shape {
    let value = |op, max| PersonValue { op, filter: None, scale: 0, min: 0, max };
    let values = vec![
        value(PersonOp::Rows, 20),
        value(PersonOp::Sum(amount()), 30_000),
        value(PersonOp::Max(amount()), 30_000),
        value(PersonOp::Distinct(text("app_version")), 3),
    ];
    let few = Scalar::Value(Value::Number(1, 0));
    let having = Scalar::Compare(Compare::Gt, Scalar::Person { at: 0, scale: 0 }.into(), few.into());
    Shape::Subjects(PerSubject { keys, values, having: Some(having) })
}

fn weekday() -> Scalar {
    Scalar::Part(TimePart::Dow)
}

/// A key of which days are before the fifth, and of which after.
fn halves() -> Scalar {
    let then = |name: &str| Scalar::Value(Value::Text(name.to_owned())).into();
    let day = Scalar::Value(Value::Day(days().first + 4)).into();
    let before = Scalar::Compare(Compare::Lt, Scalar::Day.into(), day).into();
    Scalar::Case { branches: vec![(before, then("before"))], otherwise: Some(then("after")) }
}

fn bucket(at: usize) -> Scalar {
    let item = Scalar::Person { at, scale: 0 }.into();
    Scalar::Bucket { item, edges: vec![2, 4], labels: numbers(3) }
}

fn queries() -> Vec<PrivateQuery> {
    let value = |at| Scalar::Person { at, scale: 0 };
    let systems = || texts(&SYSTEMS[..2]);
    let both = |query: PrivateQuery| query.count(AggregateOp::Subjects, 1).count(AggregateOp::Rows, 2);
    let key = || Scalar::PersonKey { at: 0, ty: Type::Text };
    let people = |query: PrivateQuery| {
        let query = both(query).count(AggregateOp::Sum(value(1)), 30_000).quantile(value(2));
        query.count(AggregateOp::Present(value(3)), 1)
    };
    let events = || {
        let query = both(query(Shape::Events)).quantile(amount()).only(is("event", "click"));
        let query = query.count(AggregateOp::Sum(amount()), 20_000).count(AggregateOp::Sessions, 3);
        let query = query.quantile(amount()).count(AggregateOp::Rows, 2).only(is("os", "ios"));
        query.count(AggregateOp::Rows, 1).only(is("event", "purchase"))
    };
    let mut plain = vec![
        both(query(funnel(48)).public(Scalar::Step, steps(3))),
        both(query(funnel(30)).public(Scalar::Step, steps(3)).public(text("os"), systems())),
        both(query(funnel(48)).private(text("country")).public(Scalar::Step, steps(3))),
        both(query(funnel(48)).public(text("os"), systems())),
        both(query(funnel(48)).public(Scalar::Step, steps(3)).by(Grain::Week)),
        both(query(funnel(12)).public(Scalar::Step, steps(3)).by(Grain::Day)),
        both(
            query(retention(Grain::Day))
                .public(Scalar::Cohort, cohorts(Grain::Day))
                .public(Scalar::Period, numbers(9)),
        ),
        both(query(retention(Grain::Day)).public(Scalar::Period, numbers(9))),
        both(query(retention(Grain::Week)).public(Scalar::Period, numbers(3)).private(text("country"))),
        both(query(retention(Grain::Day)).public(Scalar::Cohort, cohorts(Grain::Day))),
        people(query(person(vec![])).public(bucket(3), numbers(3))),
        people(query(person(vec![text("country")])).private(key())),
        people(query(person(vec![text("os")]))),
        people(query(person(vec![text("os"), text("country")])).public(bucket(0), numbers(3)).private(key())),
        people(query(person(vec![text("country")])).private(key()).by(Grain::Day)),
        events().public(text("os"), systems()),
        events().private(text("country")).private(text("app_version")),
        events().by(Grain::Week).private(text("country")),
        events().by(Grain::Day).private(text("country")),
        events(),
        events().public(weekday(), numbers(7)),
        events().public(weekday(), numbers(7)).public(text("os"), systems()),
        events().public(halves(), texts(&["before", "after"])).private(text("country")),
        events().by(Grain::Week).public(weekday(), numbers(7)),
        people(query(person(vec![weekday()]))),
    ];
    let filters = [None, Some(is("event", "purchase"))];
    for (at, query) in plain.clone().into_iter().enumerate() {
        plain.push(query.member(at % 2 == 0, filters[at / 2 % 2].clone()));
    }
    plain
}

fn row() -> impl Strategy<Value = Row> {
    let word = || prop::sample::select(WORDS.to_vec());
    let (event, os) = (prop::sample::select(EVENTS.to_vec()), prop::sample::select(SYSTEMS.to_vec()));
    (
        1..5_u32,
        prop_oneof![0..9_i32, 3..5_i32],
        0..24_i64,
        event,
        (word(), word()),
        os,
        (prop::option::of(0..30_000_i64), 0..12_i64),
    )
        .prop_map(|(subject, ago, hour, event, (country, version), os, (amount, session))| {
            let mut row = Row::new(subject, today() - ago, event)
                .number("session", session)
                .text("os", os)
                .text("country", country)
                .text("app_version", version);
            row.hour = hour;
            match amount {
                Some(amount) => row.number("amount", amount),
                None => row,
            }
        })
}

/// The squared distance of two worlds, in each slot of each released part.
fn distances(a: &Numbers, b: &Numbers) -> BTreeMap<(Option<usize>, i32), u128> {
    let mut squares = BTreeMap::new();
    for place in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
        let change = a.get(place).unwrap_or(&0) - b.get(place).unwrap_or(&0);
        *squares.entry(place.0).or_insert(0) += change.unsigned_abs().pow(2);
    }
    squares
}

/// Which table loses the subject's day: the query's, that of the membership, or both, being one.
#[derive(Clone, Copy, Debug)]
enum Loses {
    Own,
    Other,
    Both,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn one_subjects_day_changes_no_more_than_the_layout_says(
        rows in prop::collection::vec(row(), 0..100),
        others in prop::collection::vec(row(), 0..12),
        lost in (1..5_u32, prop_oneof![0..9_i32, 3..5_i32]),
        l0 in 1..4_u32,
        loses in prop::sample::select(vec![Loses::Own, Loses::Other, Loses::Both]),
        at in 0..queries().len(),
        key in any::<u8>(),
    ) {
        let mut query = queries().swap_remove(at);
        *query.l0_mut() = l0;
        let own: Vec<Row> = rows;
        let without = |rows: &[Row]| -> Vec<Row> {
            rows.iter().filter(|row| (row.subject, today() - row.day) != lost).cloned().collect()
        };
        let with = |a: &[Row], b: &[Row]| totals(&query, a, b, key);
        let (all, less) = match loses {
            Loses::Own => (with(&own, &others), with(&without(&own), &others)),
            Loses::Other => (with(&own, &others), with(&own, &without(&others))),
            Loses::Both => (with(&own, &own), with(&without(&own), &without(&own))),
        };
        let layout = SensitivityLayout::of(&query).unwrap();
        for ((slot, bucket), change) in distances(&all, &less) {
            let paid = match slot {
                Some(GROUPS) => layout.groups_of_one(),
                slot => layout.sensitivity(slot.map(|at| layout.slots[at])),
            };
            let paid = paid.unwrap();
            prop_assert!(change <= paid, "{query}\n{loses:?}, {slot:?} of {bucket}: {change} > {paid}");
        }
    }
}

/// More groups of subject 1 than a unit is told apart by, on the first day, and as many as a screen or two on each later one.
/// The first groups of the first day have no amount.
fn of_many_groups() -> Vec<Row> {
    let told_apart = u32::try_from(shoal_anonymity::bound::UNIT_KEYS_MAX).unwrap();
    let visit = |day: i32, hour: i64, group: String, session: i64| {
        let mut row =
            Row::new(1, days().first + day, "click").text("country", group).number("session", session);
        row.hour = hour;
        row
    };
    let first = (0..told_apart + 8).map(|group| visit(0, 1, format!("first {group}"), 1));
    let late = (0..40).map(|group| visit(0, 5, format!("late {group}"), 2).number("amount", 500));
    let later = (1..9).flat_map(|day| {
        (0..60).map(move |at| {
            let (group, session) = (format!("later {}", at % 20), i64::from(100 * day + at));
            visit(day, i64::from(at % 24), group, session).number("amount", 20_000)
        })
    });
    first.chain(late).chain(later).collect()
}

/// Groups that a day of one subject has beyond those that are told apart do not fail the reading, and decide about no other day.
#[test]
fn a_day_of_more_groups_than_are_told_apart_changes_no_more_than_the_layout_says() {
    let rows = of_many_groups();
    let less: Vec<Row> = rows.iter().filter(|row| row.day != days().first).cloned().collect();
    let by_group = || query(Shape::Events).private(text("country"));
    let sessions = || by_group().count(AggregateOp::Sessions, 3);
    let all = || sessions().quantile(amount()).count(AggregateOp::Rows, 2).count(AggregateOp::Subjects, 1);
    let queries = [
        by_group().quantile(amount()),
        by_group().quantile(amount()).by(Grain::Week),
        by_group().quantile(amount()).by(Grain::Day),
        by_group().quantile(amount()).member(true, Some(is("event", "login"))),
        sessions(),
        sessions().by(Grain::Week),
        sessions().by(Grain::Day),
        sessions().member(true, Some(is("event", "login"))),
        all(),
        all().by(Grain::Day),
        all().member(true, Some(is("event", "login"))),
    ];
    for (query, key) in queries.iter().flat_map(|query| [(query, 1), (query, 7)]) {
        let layout = SensitivityLayout::of(query).unwrap();
        let (with, without) = (totals(query, &rows, &[], key), totals(query, &less, &[], key));
        for ((slot, bucket), change) in distances(&with, &without) {
            let paid = match slot {
                Some(GROUPS) => layout.groups_of_one(),
                slot => layout.sensitivity(slot.map(|at| layout.slots[at])),
            };
            let paid = paid.unwrap();
            assert!(change <= paid, "{query}\n{slot:?} of {bucket}: {change} > {paid}");
        }
    }
}

fn row_at(day: i32, hour: i64, event: &'static str, os: &str) -> Row {
    let mut row = Row::new(1, days().first + day, event).text("os", os);
    row.hour = hour;
    row
}

/// What the first day of subject 1 changes in the first aggregate.
fn change(query: &PrivateQuery, rows: &[Row]) -> u128 {
    let less: Vec<Row> = rows.iter().filter(|row| row.day != days().first).cloned().collect();
    let all = totals(query, rows, &[], 7);
    distances(&all, &totals(query, &less, &[], 7))[&(Some(0), days().first)]
}

#[test]
fn the_sensitivities_of_funnels_and_retention_are_reached() {
    let systems = texts(&SYSTEMS[..2]);
    let chain = |day: i32, os: &'static str| {
        EVENTS.iter().enumerate().map(move |(hour, event)| row_at(day, hour as i64, event, os))
    };
    let steps_only = query(funnel(5)).public(Scalar::Step, steps(3)).count(AggregateOp::Subjects, 1);
    let sensitivity =
        |query: &PrivateQuery| SensitivityLayout::of(query).unwrap().sensitivity(Some(Slot::Ranged(0)));
    let one: Vec<Row> = chain(0, "ios").collect();
    assert_eq!((change(&steps_only, &one), sensitivity(&steps_only)), (3, Ok(3)));
    let two: Vec<Row> = chain(0, "ios").chain(chain(1, "android")).collect();
    assert_eq!(change(&steps_only, &two), 0);
    let keyed = steps_only.public(text("os"), systems);
    assert_eq!((change(&keyed, &two), sensitivity(&keyed)), (6, Ok(6)));

    let triangle = query(retention(Grain::Day)).public(Scalar::Cohort, cohorts(Grain::Day));
    let triangle = triangle.public(Scalar::Period, numbers(9)).count(AggregateOp::Subjects, 1);
    let daily = (0..9).flat_map(|day| [row_at(day, 1, "click", "ios"), row_at(day, 2, "login", "ios")]);
    // Nine periods of the first cohort become eight of the second.
    assert_eq!((change(&triangle, &daily.collect::<Vec<_>>()), sensitivity(&triangle)), (17, Ok(18)));
    let sizes = query(retention(Grain::Day)).public(Scalar::Cohort, cohorts(Grain::Day));
    assert_eq!(sensitivity(&sizes.count(AggregateOp::Subjects, 1)), Ok(2));
    let one_day = query(funnel(5)).public(Scalar::Step, steps(3)).by(Grain::Day);
    let one_day = one_day.public(text("os"), texts(&SYSTEMS)).count(AggregateOp::Subjects, 1);
    assert_eq!((change(&one_day, &two), sensitivity(&one_day)), (3, Ok(3)));
}

/// The exact numbers of the first aggregate, summed over all groups.
fn all_of(query: &PrivateQuery, rows: &[Row], members: &[Row]) -> i128 {
    let found = totals(query, rows, members, 7);
    found.iter().filter(|((place, _), _)| place.0 == Some(0)).map(|(_, number)| *number).sum()
}

fn clicks(days: std::ops::Range<i32>, of_day: i64) -> Vec<Row> {
    days.flat_map(|day| (0..of_day).map(move |hour| row_at(day, hour, "click", "ios"))).collect()
}

#[test]
fn people_count_in_each_weekday_of_theirs_and_a_day_changes_its_own() {
    let people = |key: Scalar, values: Vec<Value>| {
        let mut query = query(Shape::Events).public(key, values).count(AggregateOp::Subjects, 1);
        *query.l0_mut() = 1;
        query
    };
    let sensitivity =
        |query: &PrivateQuery| SensitivityLayout::of(query).unwrap().sensitivity(Some(Slot::Ranged(0)));
    let weekdays = people(weekday(), numbers(7));
    let five = clicks(0..5, 1);
    assert_eq!(all_of(&weekdays, &five, &[]), 5);
    // The first day takes its weekday away, and nothing else.
    assert_eq!((change(&weekdays, &five), sensitivity(&weekdays)), (1, Ok(1)));
    assert_eq!(all_of(&weekdays, &clicks(0..9, 1), &[]), 7);
    let halves = people(halves(), texts(&["before", "after"]));
    assert_eq!(all_of(&halves, &clicks(0..9, 1), &[]), 2);
    assert_eq!((change(&halves, &clicks(0..1, 1)), sensitivity(&halves)), (1, Ok(1)));
    // With another key the groups of a day may be others, in each value of the days.
    let both = weekdays.clone().public(text("os"), texts(&SYSTEMS[..2]));
    assert_eq!((all_of(&both, &five, &[]), sensitivity(&both)), (5, Ok(14)));
    // A day of the table of a membership takes away all of them.
    let members = weekdays.member(false, None);
    let (all, none) = (totals(&members, &five, &clicks(3..4, 1), 7), totals(&members, &five, &[], 7));
    assert_eq!((distances(&all, &none)[&(Some(0), days().first)], sensitivity(&members)), (5, Ok(7)));
}

#[test]
fn a_count_with_a_membership_has_the_bound_of_each_day_and_is_charged_for_it() {
    let mut query = query(Shape::Events).count(AggregateOp::Rows, 3).member(false, None);
    *query.l0_mut() = 1;
    let (rows, member) = (clicks(0..9, 3), clicks(3..4, 1));
    assert_eq!(all_of(&query, &rows, &member), 27);
    let layout = SensitivityLayout::of(&query).unwrap();
    let change = distances(&totals(&query, &rows, &member, 7), &totals(&query, &rows, &[], 7));
    // The one day of the membership decides about nine days of three clicks each.
    assert_eq!((change[&(Some(0), days().first)], layout.sensitivity(Some(Slot::Ranged(0)))), (729, Ok(729)));
    // Not more of one subject than that.
    assert_eq!(all_of(&query, &clicks(0..9, 9), &member), 27);
}

#[test]
fn the_layout_says_which_unit_each_slot_has() {
    let events = || query(Shape::Events).count(AggregateOp::Rows, 5).count(AggregateOp::Subjects, 1);
    let mixed = SensitivityLayout::of(&events().quantile(amount()).quantile(amount())).unwrap();
    assert_eq!(mixed.slots, [Slot::Daily(0), Slot::Ranged(0), Slot::Tree(0), Slot::Tree(0)]);
    let found: Vec<_> = mixed.slots.iter().map(|slot| mixed.sensitivity(Some(*slot)).unwrap()).collect();
    // One group only: 2 groups of one day, one exchange of a group that there is one of, eight levels of the
    // one value of a day.
    assert_eq!(found, [2 * 25, 1, 8, 8]);
    let members = SensitivityLayout::of(&events().quantile(amount()).member(false, None)).unwrap();
    assert_eq!(members.sensitivity(Some(Slot::Tree(0))), Ok(8 * 2 * 64));
    assert_eq!((mixed.width(Slot::Tree(0)), mixed.cells_of_one(), mixed.can_exchange()), (510, 2, true));
    // Sessions of a day are its own; of several days each counts once, and what a day changes is bounded as on its own.
    let sessions = || events().count(AggregateOp::Sessions, 3);
    let ranged = SensitivityLayout::of(&sessions()).unwrap();
    assert_eq!(ranged.slots, [Slot::Daily(0), Slot::Ranged(0), Slot::Sessions(0)]);
    assert_eq!((ranged.sensitivity(Some(Slot::Sessions(0))), ranged.is_daily), (Ok(2 * 9), false));
    let only = SensitivityLayout::of(&query(Shape::Events).count(AggregateOp::Sessions, 3)).unwrap();
    assert_eq!((only.slots.as_slice(), only.is_daily), (&[Slot::Sessions(0)][..], false));
    let daily = SensitivityLayout::of(&sessions().by(Grain::Day)).unwrap();
    assert_eq!(daily.slots, [Slot::Daily(0), Slot::Daily(1), Slot::Daily(2)]);
    let daily = SensitivityLayout::of(&events().quantile(amount()).by(Grain::Day)).unwrap();
    assert_eq!(daily.slots, [Slot::Daily(0), Slot::Daily(1), Slot::Tree(0)]);
    assert_eq!((daily.sensitivity(Some(Slot::Tree(0))), daily.sensitivity(None)), (Ok(8), Ok(2)));
    let members = SensitivityLayout::of(&events().member(false, None)).unwrap();
    assert_eq!(members.slots, [Slot::Ranged(0), Slot::Ranged(1)]);
}
