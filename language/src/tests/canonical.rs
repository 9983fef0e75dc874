//! One question, one text: rewritings change nothing.
//!
//! Not here: that the normal form means what the condition means, which needs rows (`shoal-query`, `tests/canonical.rs`).

use proptest::prelude::*;
use shoal_schemas::{Kind, Region};

use super::conditions::{Choices, Condition, conditions};
use super::{now_ms, registry};
use crate::expr::{Scalar, normal};
use crate::question::{ask, condition};

fn statement(choices: &mut Choices, condition: &Condition) -> String {
    let filter = choices.write(condition);
    let (keys, order) = if choices.next(2) == 0 { ("os, country", "1") } else { ("country, os", "country") };
    let items = ["COUNT(*) AS n, SUM(duration_ms) AS d", "sum( duration_ms ), count(1)"];
    let items = items[usize::try_from(choices.next(2)).unwrap()];
    format!("SELECT {keys}, {items} FROM usage WHERE {filter} GROUP BY {keys} ORDER BY {order}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn rewritings_have_one_text(condition in conditions(), a in any::<u64>(), b in any::<u64>()) {
        let registry = registry();
        let (one, two) = (statement(&mut Choices(a), &condition), statement(&mut Choices(b), &condition));
        let asked = |sql: &str| ask(sql, &registry, Region::ALL, now_ms());
        match (asked(&one), asked(&two)) {
            (Ok(first), Ok(second)) => {
                prop_assert_eq!(first.releases[0].canonical(), second.releases[0].canonical(), "{}\n{}", one, two);
            }
            // Days that exclude each other leave none.
            (first, second) => prop_assert_eq!(first.err().is_some(), second.err().is_some(), "{}\n{}", one, two),
        }
    }

    #[test]
    fn the_normal_form_is_its_own(condition in conditions(), a in any::<u64>()) {
        let text = Choices(a).write(&condition);
        let once = normal(bound(&text));
        prop_assert_eq!(normal(once.clone()).to_string(), once.to_string(), "{}", text);
    }
}

fn bound(text: &str) -> Scalar {
    condition(text, Kind::Usage, &registry(), now_ms()).unwrap()
}

/// A list that is normal already grows by an arm, as a condition around a subquery does: the order says nothing.
#[test]
fn bounds_that_met_before_the_others_came_say_the_same() {
    let grown = |arms: &[&str], word: &str| {
        let mut arms = arms.iter().map(|arm| bound(arm));
        let first = arms.next().unwrap();
        arms.fold(normal(first), |all, arm| {
            normal(match word {
                "AND" => Scalar::And(all.into(), arm.into()),
                _ => Scalar::Or(all.into(), arm.into()),
            })
        })
    };
    let (a, b, c) = ("duration_ms >= 5", "duration_ms <= 5", "duration_ms <= -1");
    assert_eq!(grown(&[a, b, c], "AND").to_string(), grown(&[c, b, a], "AND").to_string());
    assert_eq!(
        grown(&[a, b, c], "AND").to_string(),
        normal(bound(&format!("{b} AND {c} AND {a}"))).to_string()
    );
    let (a, b, c) = ("duration_ms <= 4", "duration_ms >= 6", "duration_ms <= 7");
    assert_eq!(grown(&[a, b, c], "OR").to_string(), grown(&[c, b, a], "OR").to_string());
}

#[test]
fn different_questions_have_different_texts() {
    let asked = |filter: &str| {
        let sql = format!("SELECT COUNT(*) FROM usage WHERE {filter}");
        ask(&sql, &registry(), Region::ALL, now_ms()).unwrap().releases[0].canonical()
    };
    let all = [
        "os = 'ios'",
        "os <> 'ios'",
        "os IS DISTINCT FROM 'ios'",
        "os IN ('ios', 'android')",
        "os LIKE 'ios'",
        "upper(os) = 'IOS'",
        "os = 'ios' AND country = 'DE'",
        "os = 'ios' OR country = 'DE'",
        "duration_ms < 5",
        "duration_ms <= 5",
        "amount < 5",
        "amount < 0.05",
        "day >= '2026-11-01'",
        "day >= '2026-11-02'",
        "time >= '2026-11-01 01:00'",
        "subject IN (SELECT subject FROM crash)",
        "subject NOT IN (SELECT subject FROM crash)",
        "subject IN (SELECT subject FROM crash WHERE os = 'ios')",
    ];
    let texts: std::collections::BTreeSet<String> = all.iter().map(|filter| asked(filter)).collect();
    assert_eq!(texts.len(), all.len());
}
