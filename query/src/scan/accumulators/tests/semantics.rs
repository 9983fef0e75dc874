//! What funnels, retention, per-person rows and memberships mean.

use proptest::prelude::*;

use super::super::evaluate::{Expressions, Made};
use super::*;
use shoal_language::{Arithmetic, Shared};
use shoal_language::{PerSubject, PersonOp, PersonValue};
use shoal_schemas::calendar::HOUR_MS;

const EVENTS: [&str; 3] = ["click", "purchase", "login"];

/// The value of an expression by itself.
fn evaluate(scalar: &Scalar, row: &Made<'_>) -> Value {
    let mut expressions = Expressions::new(&Counted::default());
    let at = expressions.add(scalar).unwrap_or_else(|_| panic!("{scalar}"));
    expressions.values(row).swap_remove(at)
}

fn at(subject: u32, hours: i64, event: &'static str) -> Row {
    let mut row = Row::new(subject, days().first + i32::try_from(hours / 24).unwrap(), event);
    row.hour = hours % 24;
    row
}

fn run(query: &PrivateQuery, rows: &[Row]) -> Accumulated {
    part(query, days(), rows, &[], 1)
}

fn funnel(within_hours: i64) -> PrivateQuery {
    let steps_of = EVENTS.map(|event| is("event", event)).to_vec();
    let shape = Shape::Funnel { steps: steps_of, within_ms: within_hours * HOUR_MS };
    query(shape).public(Scalar::Step, steps(3)).count(AggregateOp::Subjects, 1)
}

fn reached(accumulated: &Accumulated) -> [i128; 3] {
    [1, 2, 3].map(|step| number(accumulated, 0, &[Value::Number(step, 0)]))
}

#[test]
fn a_funnel_counts_steps_in_order_and_in_time() {
    let rows = |events: &[(i64, &'static str)]| events.iter().map(|(h, e)| at(1, *h, e)).collect::<Vec<_>>();
    for (events, within, expected) in [
        (&[(1, "click"), (2, "purchase"), (3, "login")][..], 2, [1, 1, 1]),
        (&[(1, "click"), (2, "purchase"), (4, "login")], 2, [1, 1, 0]),
        (&[(2, "purchase"), (3, "login")], 9, [0, 0, 0]),
        (&[(1, "click"), (3, "login"), (4, "purchase")], 9, [1, 1, 0]),
        // The first start is too old for the last step, the second is not.
        (&[(1, "click"), (5, "click"), (6, "purchase"), (8, "login")], 3, [1, 1, 1]),
        // The chain of the first start had its purchase; that of the second has none.
        (&[(1, "click"), (2, "purchase"), (3, "click"), (5, "login")], 3, [1, 1, 0]),
        (&[(1, "click"), (2, "purchase"), (3, "click"), (4, "login")], 3, [1, 1, 1]),
        // Over midnight.
        (&[(23, "click"), (25, "purchase"), (26, "login")], 3, [1, 1, 1]),
    ] {
        assert_eq!(reached(&run(&funnel(within), &rows(events))), expected, "{events:?}");
    }
}

/// What an app reports together counts as one step after the other, whatever the ids are.
#[test]
fn steps_at_one_time_count_in_the_order_of_the_steps() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let rows = order.map(|step| at(1, 5, EVENTS[step]));
        assert_eq!(reached(&run(&funnel(0), &rows)), [1, 1, 1]);
        assert_eq!(reached(&run(&funnel(0), &rows[..2])), if order[2] == 2 { [1, 1, 0] } else { [0, 0, 0] });
    }
    // The purchase is before the only click, and another one with it: that one counts.
    let rows = [at(1, 4, "purchase"), at(1, 5, "login"), at(1, 5, "purchase"), at(1, 5, "click")];
    assert_eq!(reached(&run(&funnel(9), &rows)), [1, 1, 1]);
}

#[test]
fn one_event_is_one_step() {
    let shape = Shape::Funnel { steps: vec![is("event", "click"); 3], within_ms: 9 * HOUR_MS };
    let query = query(shape).public(Scalar::Step, steps(3)).count(AggregateOp::Subjects, 1);
    assert_eq!(reached(&run(&query, &[at(1, 1, "click"), at(1, 2, "click")])), [1, 1, 0]);
    assert_eq!(reached(&run(&query, &[at(1, 1, "click"), at(1, 1, "click")])), [1, 1, 0]);
}

/// How far the best chain gets, by trying every one.
fn best(rows: &[(i64, usize)], within: i64) -> usize {
    fn longest(rows: &[(i64, usize)], step: usize, end: i64) -> usize {
        let next = (0..rows.len()).filter(|i| rows[*i].1 == step && rows[*i].0 <= end);
        next.map(|i| 1 + longest(&rows[i + 1..], step + 1, end)).max().unwrap_or(0)
    }
    let starts = (0..rows.len()).filter(|i| rows[*i].1 == 0);
    starts.map(|i| 1 + longest(&rows[i + 1..], 1, rows[i].0 + within)).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_funnel_finds_the_longest_chain(
        events in prop::collection::vec((0..200_i64, 0..3_usize), 0..12), within in 0..60_i64,
    ) {
        // One event an hour, so that their order is their time's.
        let events: std::collections::BTreeMap<i64, usize> = events.into_iter().collect();
        let events: Vec<(i64, usize)> = events.into_iter().collect();
        let rows: Vec<Row> = events.iter().map(|(hour, event)| at(1, *hour, EVENTS[*event])).collect();
        let expected = best(&events, within);
        let found = match rows.is_empty() {
            true => 0,
            false => reached(&run(&funnel(within), &rows)).iter().filter(|n| **n == 1).count(),
        };
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_funnels_other_keys_are_those_of_its_start() {
    let query = funnel(9).public(text("os"), texts(&["ios", "android"]));
    let rows = [
        at(1, 1, "click").text("os", "android"),
        at(1, 30, "click").text("os", "ios"),
        at(1, 31, "purchase").text("os", "android"),
        at(2, 30, "click").text("os", "not listed"),
        at(2, 31, "purchase").text("os", "ios"),
    ];
    let accumulated = run(&query, &rows);
    let of =
        |step: i64, os: &str| number(&accumulated, 0, &[Value::Number(step, 0), Value::Text(os.to_owned())]);
    assert_eq!([of(1, "ios"), of(2, "ios"), of(1, "android"), of(2, "android")], [1, 1, 0, 0]);
}

#[test]
fn retention_counts_the_periods_after_the_first() {
    let shape =
        Shape::Retention { cohort: is("event", "click"), back: is("event", "login"), period: Grain::Day };
    let query = query(shape)
        .public(Scalar::Cohort, days().days().map(Value::Day))
        .public(Scalar::Period, numbers(9))
        .count(AggregateOp::Subjects, 1);
    let rows = [
        // Came before its cohort, on its day, and two days later, twice.
        at(1, 1, "login"),
        at(1, 25, "click"),
        at(1, 26, "login"),
        at(1, 74, "login"),
        at(1, 75, "login"),
        at(1, 80, "click"),
        at(2, 26, "click"),
        at(3, 26, "login"),
    ];
    let accumulated = run(&query, &rows);
    let of = |day: i32, period: i64| {
        number(&accumulated, 0, &[Value::Day(days().first + day), Value::Number(period, 0)])
    };
    assert_eq!([of(0, 0), of(1, 0), of(1, 1), of(1, 2), of(3, 0)], [0, 2, 0, 1, 0]);
    assert_eq!(accumulated.ranged.len(), 2);
}

fn person(having: Option<Scalar>) -> PrivateQuery {
    let value = |op, filter, max| PersonValue { op, filter, scale: 0, min: 0, max };
    let values = vec![
        value(PersonOp::Rows, None, 3),
        value(PersonOp::Sum(amount()), Some(is("event", "purchase")), 1_000),
        value(PersonOp::Min(amount()), None, 1_000),
        value(PersonOp::Distinct(Scalar::Day), None, 9),
    ];
    query(Shape::Subjects(PerSubject { keys: Vec::new(), values, having }))
}

fn value(at: usize) -> Scalar {
    Scalar::Person { at, scale: 0 }
}

#[test]
fn persons_have_values_and_those_are_aggregated() {
    let rows = [
        at(1, 1, "purchase").number("amount", 700),
        at(1, 30, "purchase").number("amount", 600),
        at(1, 31, "click").number("amount", 5),
        at(1, 32, "click"),
        at(2, 1, "click"),
        at(3, 1, "purchase").number("amount", 40),
    ];
    let sums = |having: Option<Scalar>| {
        let query = person(having)
            .count(AggregateOp::Rows, 1)
            .count(AggregateOp::Sum(value(0)), 3)
            .count(AggregateOp::Sum(value(1)), 1_000)
            .count(AggregateOp::Present(value(2)), 1)
            .count(AggregateOp::Sum(value(3)), 9)
            .quantile(value(1));
        let accumulated = run(&query, &rows);
        let tree: Vec<(u32, i128)> =
            accumulated.trees[0].nodes().map(|(_, node, count)| (node, count)).collect();
        (accumulated.ranged.get(None, 0).unwrap().sums.to_vec(), tree)
    };
    // Subject 1: 4 rows clamped to 3, 1 300 clamped to 1 000, a minimum, 2 days. Subject 2 has no sum: null in the tree.
    let (all, tree) = sums(None);
    assert_eq!(all, [3, 3 + 1 + 1, 1_000 + 40, 2, 2 + 1 + 1]);
    // Leaves 1 (10 to 100) and 3 (1 000 to 10 000) of 256: apart on the two lowest levels only.
    let leaf = |level: u32, at: u32| (1 << level) - 2 + at;
    let mut nodes: Vec<(u32, i128)> = (1..=6).map(|level| (leaf(level, 0), 2)).collect();
    nodes.extend([(leaf(7, 0), 1), (leaf(7, 1), 1), (leaf(8, 1), 1), (leaf(8, 3), 1)]);
    assert_eq!(tree, nodes);
    // Null is neither above nor not above: subject 2 is in neither.
    let above = Scalar::Compare(Compare::Gt, value(1).into(), Scalar::Value(Value::Number(500, 0)).into());
    assert_eq!(sums(Some(above.clone())).0[0], 1);
    assert_eq!(sums(Some(Scalar::Not(above.into()))).0[0], 1);
}

#[test]
fn quantiles_are_read_off_the_nodes_of_a_part() {
    // A value for each of 100 subjects: 60 of 50, 40 of 500. Of subject 200's many values on nine days nine count.
    let mut rows: Vec<Row> =
        (0..100).map(|n| at(n + 1, 1, "click").number("amount", if n < 60 { 50 } else { 500 })).collect();
    rows.extend((0..300).map(|n| at(200, n % 200, "click").number("amount", 20_000)));
    let query = query(Shape::Events).quantile(amount());
    let accumulated = run(&query, &rows);
    let nodes = accumulated.trees[0].nodes_of(0);
    assert_eq!((nodes.len(), nodes[0] + nodes[1]), (510, 109));
    let edges = [0, 10, 100, 1_000, 10_000, 30_000];
    let read =
        |millionths| super::super::quantile_of(&edges, &nodes, 0.0, millionths).unwrap().value.floor() as i64;
    // 21.8 of 60 in the leaf of 10 to 100; 16.3 of 40 (76.3 - 60) in that of 100 to 1 000.
    assert_eq!((read(200_000), read(700_000)), (42, 466));
    assert!(read(990_000) > 10_000);
    assert_eq!(accumulated.trees[0].nodes_of(1), vec![0; 510], "there is no second group");
}

#[test]
fn members_decide_who_counts() {
    let rows = [at(1, 1, "click"), at(2, 1, "click"), at(3, 1, "click"), at(3, 2, "click")];
    let others = [at(2, 100, "purchase"), at(3, 100, "login"), at(9, 1, "purchase")];
    let counted = |query: PrivateQuery| {
        let query = query.count(AggregateOp::Rows, 9).quantile(amount());
        part(&query, days(), &rows, &others, 1).ranged.get(None, 0).map_or(0, |cell| cell.sums[0])
    };
    let bought = || Some(is("event", "purchase"));
    assert_eq!(counted(query(Shape::Events).member(false, None)), 3);
    assert_eq!(counted(query(Shape::Events).member(false, bought())), 1);
    assert_eq!(counted(query(Shape::Events).member(true, bought())), 3);
    assert_eq!(counted(query(Shape::Events).member(true, bought()).member(false, None)), 2);
}

#[test]
fn expressions_over_made_rows_follow_sql() {
    let values = [Value::Number(7, 0), Value::Null, Value::Number(250, 2)];
    let keys = [Value::Text("Hello World".to_owned()), Value::Null];
    let row = Made { values: &values, keys: &keys, step: Some(2), ..Made::default() };
    let key = |at| Scalar::PersonKey { at, ty: Type::Text };
    let (yes, no, null) = (Value::Boolean(true), Value::Boolean(false), Value::Null);
    let constant = |value: &Value| Shared::new(Scalar::Value(value.clone()));
    for (a, b, and, or) in [
        (&yes, &null, &null, &yes),
        (&no, &null, &no, &null),
        (&null, &null, &null, &null),
        (&yes, &no, &no, &yes),
    ] {
        assert_eq!(evaluate(&Scalar::And(constant(a), constant(b)), &row), *and);
        assert_eq!(evaluate(&Scalar::Or(constant(b), constant(a)), &row), *or);
    }
    let like =
        |pattern: &str, any_case| Scalar::Like { item: key(0).into(), pattern: pattern.to_owned(), any_case };
    for (pattern, any_case, expected) in [
        ("Hello%", false, true),
        ("%o%o%", false, true),
        ("%World_", false, false),
        ("hello%", false, false),
        ("hello%", true, true),
        ("H_llo World", false, true),
        ("", false, false),
        ("%", false, true),
        ("Hello\\%", false, false),
        ("%d", false, true),
        ("%ld%W", false, false),
    ] {
        assert_eq!(evaluate(&like(pattern, any_case), &row), Value::Boolean(expected), "{pattern}");
    }
    let in_list = |list: &[Value]| evaluate(&Scalar::In(value(0).into(), list.to_vec()), &row);
    assert_eq!(in_list(&[Value::Number(70, 1)]), yes);
    assert_eq!(
        (in_list(&[Value::Number(8, 0)]), in_list(&[Value::Number(8, 0), Value::Null])),
        (no, null.clone())
    );
    let add = |op| {
        evaluate(
            &Scalar::Arithmetic(op, value(0).into(), Scalar::Value(Value::Number(i64::MAX, 0)).into()),
            &row,
        )
    };
    assert_eq!(add(Arithmetic::Add), Value::Number(i64::MAX, 0));
    assert_eq!(add(Arithmetic::Subtract), Value::Number(7 - i64::MAX, 0));
    assert_eq!(
        evaluate(&Scalar::Least(vec![value(1).into(), value(0).into(), Scalar::Step.into()]), &row),
        Value::Number(2, 0)
    );
    assert_eq!(
        evaluate(&Scalar::Greatest(vec![value(1).into(), Scalar::Step.into()]), &row),
        Value::Number(2, 0)
    );
    assert_eq!(
        evaluate(
            &Scalar::Coalesce(vec![value(1).into(), key(1).into(), Scalar::Upper(key(0).into()).into()]),
            &row
        ),
        Value::Text("HELLO WORLD".to_owned())
    );
    let bucket = |at| Scalar::Bucket { item: value(at).into(), edges: vec![2, 7], labels: numbers(3) };
    assert_eq!((evaluate(&bucket(0), &row), evaluate(&bucket(1), &row)), (Value::Number(2, 0), null.clone()));
    assert_eq!(evaluate(&text("os"), &row), null);
}

/// The exact sum of a slot of sessions without keys.
fn sessions(query: &PrivateQuery, rows: &[Row], members: &[Row]) -> i128 {
    let layout = SensitivityLayout::of(query).unwrap();
    let accumulated = part(query, days(), rows, members, 1);
    match layout.slots[0] {
        Slot::Sessions(at) => accumulated.sessions.get(None, 0).map_or(0, |cell| cell.sums[at]),
        _ => number(&accumulated, 0, &[]),
    }
}

#[test]
fn a_session_of_several_days_is_one() {
    // Two sessions over midnight and one that everybody has, by three people.
    let over = |subject: u32, session: i64, hours: &[i64]| -> Vec<Row> {
        hours.iter().map(|hour| at(subject, *hour, "click").number("session", session)).collect()
    };
    let mut rows = over(1, 1, &[23, 25, 49]);
    rows.extend(over(1, 2, &[3]));
    rows.extend(over(2, 3, &[23, 24]));
    rows.extend(over(3, 4, &[50]));
    let plain = query(Shape::Events).count(AggregateOp::Sessions, 20);
    assert_eq!(sessions(&plain, &rows, &[]), 4);
    // The clamp is of a day: two of the first day of subject 1, and no more on the others.
    let few = query(Shape::Events).count(AggregateOp::Sessions, 1);
    assert_eq!(sessions(&few, &rows, &[]), 3);
    let members = plain.clone().member(false, None);
    assert_eq!(sessions(&members, &rows, &over(1, 9, &[1])), 2);
    // A person's row.
    let value = PersonValue { op: PersonOp::Sessions, filter: None, scale: 0, min: 0, max: 60 };
    let person = Shape::Subjects(PerSubject { keys: Vec::new(), values: vec![value], having: None });
    let summed = query(person).count(AggregateOp::Sum(Scalar::Person { at: 0, scale: 0 }), 60);
    assert_eq!(number(&part(&summed, days(), &rows, &[], 1), 0, &[]), 4);
}
