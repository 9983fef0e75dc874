//! Simplifying keeps the meaning of an expression, and the same question has one identity.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shoal_schemas::Region;

use super::simplify::Spot;
use super::*;
use crate::release::tests::priced;
use crate::tests::{now_ms, today};
use shoal_language::{Compare, Scalar, Shared, Type, Value};

/// A row: a column that may be null, and the day.
#[derive(Clone, Copy)]
struct At {
    number: Option<i64>,
    day: i32,
}

fn value(scalar: &Scalar, at: At) -> Value {
    let truth = |b: Option<bool>| b.map_or(Value::Null, Value::Boolean);
    let boolean = |scalar: &Scalar| match value(scalar, at) {
        Value::Boolean(b) => Some(b),
        _ => None,
    };
    match scalar {
        Scalar::Column { .. } => at.number.map_or(Value::Null, |n| Value::Number(n, 0)),
        Scalar::Day => Value::Day(at.day),
        Scalar::Region => Value::Text("DE".to_owned()),
        Scalar::Value(value) => value.clone(),
        Scalar::Compare(op, left, right) => {
            let (left, right) = (value(left, at), value(right, at));
            let known = left != Value::Null && right != Value::Null;
            truth(known.then(|| match op {
                Compare::Eq => left == right,
                Compare::NotEq => left != right,
                Compare::Lt => left < right,
                Compare::LtEq => left <= right,
                Compare::Gt => left > right,
                Compare::GtEq => left >= right,
            }))
        }
        Scalar::And(left, right) => truth(match (boolean(left), boolean(right)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }),
        Scalar::Or(left, right) => truth(match (boolean(left), boolean(right)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        }),
        Scalar::Not(item) => truth(boolean(item).map(|b| !b)),
        Scalar::In(item, list) => {
            let item = value(item, at);
            truth(match (item == Value::Null, list.contains(&item)) {
                (true, _) => None,
                (_, true) => Some(true),
                _ if list.contains(&Value::Null) => None,
                _ => Some(false),
            })
        }
        Scalar::IsNull(item) => Value::Boolean(value(item, at) == Value::Null),
        Scalar::Case { branches, otherwise } => {
            let taken = branches.iter().find(|(when, _)| boolean(when) == Some(true));
            match (taken, otherwise) {
                (Some((_, then)), _) => value(then, at),
                (None, Some(otherwise)) => value(otherwise, at),
                (None, None) => Value::Null,
            }
        }
        other => panic!("not in this test: {other}"),
    }
}

fn condition() -> impl Strategy<Value = Scalar> {
    let ops = prop::sample::select(vec![
        Compare::Eq,
        Compare::NotEq,
        Compare::Lt,
        Compare::LtEq,
        Compare::Gt,
        Compare::GtEq,
    ]);
    let column = || Scalar::Column { name: "items".to_owned(), ty: Type::Number { scale: 0 } };
    let number = |n: i64| if n == 9 { Value::Null } else { Value::Number(n, 0) };
    let literal = |value| Shared::new(Scalar::Value(value));
    let leaf = prop_oneof![
        (ops.clone(), 0..6_i32, any::<bool>()).prop_map(move |(op, day, flip)| {
            let (day, literal) = (Shared::new(Scalar::Day), literal(Value::Day(day)));
            if flip { Scalar::Compare(op, literal, day) } else { Scalar::Compare(op, day, literal) }
        }),
        (ops, 0..3_i64, any::<bool>()).prop_map(move |(op, n, flip)| {
            let (item, literal) = (Shared::new(column()), literal(number(n)));
            if flip { Scalar::Compare(op, literal, item) } else { Scalar::Compare(op, item, literal) }
        }),
        prop::collection::vec(0..6_i32, 1..4)
            .prop_map(|days| Scalar::In(Scalar::Day.into(), days.into_iter().map(Value::Day).collect())),
        prop::collection::vec(prop::sample::select(vec![0_i64, 1, 2, 9]), 1..4)
            .prop_map(move |all| Scalar::In(column().into(), all.into_iter().map(number).collect())),
        Just(Scalar::IsNull(column().into())),
        Just(Scalar::IsNull(Scalar::Day.into())),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Scalar::And(a.into(), b.into())),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Scalar::Or(a.into(), b.into())),
            inner.clone().prop_map(|a| Scalar::Not(a.into())),
            (inner.clone(), inner.clone(), prop::option::of(inner)).prop_map(|(when, then, otherwise)| {
                let branches = vec![(when.into(), then.into())];
                Scalar::Case { branches, otherwise: otherwise.map(Shared::new) }
            }),
        ]
    })
}

proptest! {
    #[test]
    fn an_expression_reads_the_same_on_its_days(scalar in condition(), first in 0..6_i32, len in 0..3_i32) {
        let days = DayRange { first, last: first + len };
        let simplified = Spot::new(Region::De, days).simplify(&scalar);
        for day in days.days() {
            for number in [None, Some(0), Some(1), Some(2)] {
                let at = At { number, day };
                prop_assert_eq!(value(&scalar, at), value(&simplified, at), "{} became {}", scalar, simplified);
            }
        }
    }
}

/// A name that stands for an expression costs as much as one, wherever and however often it is used.
#[test]
fn what_is_shared_is_simplified_once() {
    let number = |n: i64| Scalar::Value(Value::Number(n, 0));
    let column = |name: String| Scalar::Column { name, ty: Type::Number { scale: 0 } };
    let test = |n: i64| Scalar::Compare(Compare::Gt, column(format!("c{n}")).into(), number(n).into());
    let mut item: Shared<Scalar> = test(0).into();
    let (mut nodes, levels) = (3, 9);
    for level in 1..=levels {
        let inner = || item.clone();
        let next: Scalar = match level % 3 {
            // Twice and three times, within lists and outside of them.
            0 => Scalar::And(inner(), Scalar::Or(inner(), test(level).into()).into()),
            1 => Scalar::Case { branches: vec![(inner(), inner())], otherwise: Some(inner()) },
            _ => Scalar::Or(Scalar::Not(inner()).into(), Scalar::And(inner(), test(level).into()).into()),
        };
        nodes += 7;
        item = next.into();
    }
    assert!(item.size() > 2_000, "{} written out", item.size());
    let day = DayRange { first: 1, last: 1 };
    let spot = Spot::new(Region::De, day);
    spot.simplify(&item);
    assert!(spot.steps.get() <= 2 * nodes, "{} steps for about {nodes} nodes", spot.steps.get());
}

#[test]
fn times_are_decided_where_a_day_decides_them() {
    let parse = |text: &str| Scalar::Value(Value::Time(shoal_language::calendar::parse_time(text).unwrap()));
    let spot = |day: &str| {
        let day = shoal_language::calendar::parse_day(day).unwrap();
        Spot::new(Region::De, DayRange { first: day, last: day })
    };
    let from =
        |grain| Scalar::Compare(Compare::GtEq, Scalar::Time(grain).into(), parse("2026-11-18 12:00").into());
    use shoal_language::calendar::Grain;
    let simplify = |grain, day: &str| spot(day).simplify(&from(grain)).to_string();
    assert_eq!(simplify(Grain::Hour, "2026-11-17"), "false");
    assert!(simplify(Grain::Hour, "2026-11-18").contains("date_trunc"));
    assert_eq!(simplify(Grain::Hour, "2026-11-19"), "true");
    // The week of the 18th began before noon of that day, the next one did not.
    assert_eq!(simplify(Grain::Week, "2026-11-20"), "false");
    assert_eq!(simplify(Grain::Week, "2026-11-23"), "true");
}

async fn ids(sql: &str) -> Vec<PartId> {
    let charged = priced(sql, now_ms()).await;
    let wanted = wanted(&charged, &BudgetEpochs::default(), now_ms());
    wanted.iter().flat_map(|wanted| &wanted.parts).map(|part| part.id).collect()
}

#[tokio::test]
async fn what_decides_the_content_decides_the_identity() {
    let base = ids("SELECT COUNT(*) FROM usage WHERE day = current_date").await;
    assert_eq!(base.len(), 1);
    for other in [
        "SELECT COUNT(*) FROM usage WHERE day = current_date - 1",
        "SELECT COUNT(*) FROM crash WHERE day = current_date",
        "SELECT COUNT(amount) FROM usage WHERE day = current_date",
        "SELECT COUNT(*), SUM(amount) FROM usage WHERE day = current_date",
        "SELECT COUNT(*) FROM usage WHERE day = current_date AND os = 'ios'",
        "SELECT COUNT(*) FILTER (WHERE os = 'ios') FROM usage WHERE day = current_date",
        "SELECT os, COUNT(*) FROM usage WHERE day = current_date GROUP BY os",
        "SELECT time, COUNT(*) FROM usage WHERE day = current_date GROUP BY time",
        "SELECT app_version, COUNT(*) FROM usage WHERE day = current_date GROUP BY app_version",
        "SELECT COUNT(*) FROM usage WHERE day = current_date AND programme = 'user-experience'",
    ] {
        assert_ne!(ids(other).await, base, "{other}");
    }
    let priced = priced("SELECT COUNT(*) FROM usage WHERE day = current_date", now_ms()).await;
    let mut dear = ChargedQuery::clone(&priced);
    dear.price = Rho::from_nano(dear.price.nano() + 1);
    let dear = wanted(&dear, &BudgetEpochs::default(), now_ms());
    assert_ne!(dear[0].parts[0].id, base[0]);
}

#[tokio::test]
async fn a_part_says_what_it_is_and_names_its_epoch() {
    let sql = "SELECT COUNT(*) FROM usage WHERE day >= current_date - 1 AND event = 'click'";
    let charged = priced(sql, now_ms()).await;
    let wanted = wanted(&charged, &BudgetEpochs::default(), now_ms());
    let texts: Vec<&str> = wanted.iter().map(|wanted| wanted.parts[0].text.as_str()).collect();
    assert!(texts[0].starts_with("FROM usage IN DE\nDAY 2026-11-21 (after 1 day)\n"), "{}", texts[0]);
    assert!(texts[1].starts_with("FROM usage IN DE\nDAY 2026-11-22 (open, hour 10)\n"), "{}", texts[1]);
    assert!(
        texts[0].contains("\nWHERE (event = 'click')\nAGGREGATE count(*) (scale 0, at most "),
        "{}",
        texts[0]
    );
    assert_eq!(wanted[0].parts[0].charges[0].0.day, today() - 1);
}
