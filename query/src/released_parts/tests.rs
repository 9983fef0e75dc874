//! Simplifying keeps the meaning of an expression, and the same question has one identity.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shoal_schemas::Region;

use super::canonical::form;
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
    assert!(spot.steps() <= 2 * nodes, "{} steps for about {nodes} nodes", spot.steps());
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

fn all_wanted(charged: &ChargedQuery) -> Vec<Wanted> {
    wanted(charged, &BudgetEpochs::default(), now_ms(), &mut FormWork::default()).unwrap()
}

async fn ids(sql: &str) -> Vec<PartId> {
    let charged = priced(sql, now_ms()).await;
    let wanted = all_wanted(&charged);
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
    let dear = all_wanted(&dear);
    assert_ne!(dear[0].parts[0].id, base[0]);
}

#[tokio::test]
async fn a_part_says_what_it_is_and_names_its_epoch() {
    let sql = "SELECT COUNT(*) FROM usage WHERE day >= current_date - 1 AND event = 'click'";
    let charged = priced(sql, now_ms()).await;
    let wanted = all_wanted(&charged);
    let texts: Vec<String> = wanted.iter().map(|wanted| wanted.parts[0].text()).collect();
    assert!(texts[0].starts_with("FROM usage IN DE\nDAY 2026-11-21 (after 1 day)\n"), "{}", texts[0]);
    assert!(texts[1].starts_with("FROM usage IN DE\nDAY 2026-11-22 (open, hour 10)\n"), "{}", texts[1]);
    assert!(
        texts[0].contains("\nWHERE (event = 'click')\nAGGREGATE count(*) (scale 0, at most "),
        "{}",
        texts[0]
    );
    assert_eq!(wanted[0].parts[0].charges[0].0.day, today() - 1);
}

/// Conditions of some 14 kB, which nest and name neither a day nor a region.
pub(crate) fn nested() -> String {
    let test = |arm: usize, level: usize| {
        let column = if level.is_multiple_of(2) { "screen" } else { "element" };
        format!("{column} <> 'a-rather-long-name-{arm}-{level}'")
    };
    let arm = |arm: usize| {
        (1..8).fold(test(arm, 0), |text, level| {
            let word = if level % 2 == 0 { "AND" } else { "OR" };
            format!("({} {word} {text})", test(arm, level))
        })
    };
    (0..40).map(arm).collect::<Vec<_>>().join(" AND ")
}

async fn of_all_regions(sql: &str) -> Arc<ChargedQuery> {
    let prepared = crate::tests::engine()
        .prepare(&crate::tests::grant(Region::ALL), &crate::tests::request(sql), now_ms())
        .await;
    prepared.unwrap().single()
}

fn forms_of(wanted: &[Wanted]) -> usize {
    let parts = wanted.iter().flat_map(|wanted| &wanted.parts);
    parts.map(|part| Arc::as_ptr(&part.form)).collect::<std::collections::HashSet<_>>().len()
}

#[tokio::test]
async fn a_long_condition_over_many_days_and_regions_is_written_once() {
    let condition = nested();
    let of_days = async |days: i32| {
        let sql = format!("SELECT COUNT(*) FROM usage WHERE day >= current_date - {days} AND {condition}");
        let (charged, mut work) = (of_all_regions(&sql).await, FormWork::default());
        let wanted = wanted(&charged, &BudgetEpochs::default(), now_ms(), &mut work).unwrap();
        (wanted, work.spent())
    };
    let (one, of_one) = of_days(0).await;
    let (all, of_all) = of_days(399).await;
    assert_eq!((one.len(), all.len()), (4, 1_600));
    let parts: usize = all.iter().map(|wanted| wanted.parts.len()).sum();
    assert!(parts > 20_000, "{parts}");
    let forms = (forms_of(&one), forms_of(&all));
    assert_eq!(forms, (1, 1));
    let of_parts = 16 * parts as u64;
    println!("{of_one} for one day, {of_all} for all, {parts} parts, {} bytes", condition.len());
    let texts: std::collections::HashSet<*const u8> =
        all.iter().flat_map(|wanted| &wanted.parts).map(|part| part.form.kept_text().as_ptr()).collect();
    assert_eq!(texts.len(), forms.1, "what is kept of the text is worked out once for each form");
    assert!(of_all <= 2 * of_one + of_parts, "{of_one} for one day, {of_all} for all");
    assert!(of_all < FORM_WORK_MAX / 2, "{of_all}");
}

#[tokio::test]
async fn forms_that_are_too_much_work_together_are_refused() {
    // On each side of each of these days, in each region, the condition reads differently.
    let days: Vec<String> = (1..20).map(|day| format!("current_date - {}", 10 * day)).collect();
    let sql = format!(
        "SELECT COUNT(*) FROM usage WHERE day >= current_date - 399 AND (day IN ({}) OR region = 'US' OR screen = 's') AND {}",
        days.join(", "),
        &nested()[..10_000].rsplit_once(" AND (").unwrap().0
    );
    let (charged, mut work) = (of_all_regions(&sql).await, FormWork::default());
    let all = wanted(&charged, &BudgetEpochs::default(), now_ms(), &mut work).unwrap();
    assert!((100..=200).contains(&forms_of(&all)), "{}", forms_of(&all));
    // A statement of many such releases.
    for _ in 0..1_000 {
        if let Err(refusal) = wanted(&charged, &BudgetEpochs::default(), now_ms(), &mut work) {
            assert_eq!(refusal.rule, shoal_language::Rule::Size);
            let of_one_form = u64::try_from(all.len()).unwrap();
            assert!(work.spent() > FORM_WORK_MAX && work.spent() < 2 * FORM_WORK_MAX + of_one_form);
            return;
        }
    }
    panic!("{} of work is never too much", work.spent());
}

#[tokio::test]
async fn the_form_that_days_share_is_the_one_that_each_has() {
    for sql in [
        "SELECT COUNT(*) FROM usage WHERE day >= current_date - 40 AND (day <> current_date - 7 OR os = 'ios')",
        "SELECT COUNT(*) FROM usage WHERE day >= current_date - 40 AND time >= TIMESTAMP '2026-11-18 12:00' AND region <> 'US'",
        "SELECT date_trunc('week', day) AS w, COUNT(DISTINCT subject) FROM usage WHERE day BETWEEN current_date - 40 AND \
         current_date - 2 AND (date_trunc('week', day) > DATE '2026-11-09' OR os = 'ios') GROUP BY 1",
        "SELECT SUM(CASE WHEN day IN (current_date - 3, current_date - 9) THEN amount ELSE 0 END), \
         COUNT(*) FILTER (WHERE extract(hour FROM time) < 9 AND time < TIMESTAMP '2026-11-19 00:00') FROM usage \
         WHERE day >= current_date - 12",
        "SELECT region, COUNT(DISTINCT subject) FROM usage WHERE day > current_date - 5 AND subject IN (SELECT subject FROM crash \
         WHERE day > current_date - 9 AND (region = 'DE' OR os = 'ios')) GROUP BY region",
    ] {
        let charged = of_all_regions(sql).await;
        for part in all_wanted(&charged).iter().flat_map(|wanted| &wanted.parts) {
            let own = form(&charged.query, part.region, part.days);
            assert_eq!(part.form.text, own.text, "{sql}");
            assert_eq!((&part.form.keys, &part.form.slots), (&own.keys, &own.slots));
        }
    }
}
