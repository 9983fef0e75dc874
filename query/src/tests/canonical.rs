//! One question, one text: rewritings change nothing, and the normal form of a condition means what the condition means.

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use proptest::prelude::*;
use shoal_schemas::{Kind, Region};

use super::{Row, now_ms, plain_table, registry, today};
use crate::bind::columns::Columns;
use crate::expr::{filter, normal};
use crate::question::ask;

/// A condition, to be written in many ways.
#[derive(Clone, Debug)]
enum Condition {
    Os(&'static str),
    OsIn(Vec<&'static str>),
    Below(i64),
    AtLeast(i64),
    Is(i64),
    IsNull(&'static str),
    Day(i32),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
}

fn conditions() -> impl Strategy<Value = Condition> {
    let os = || prop_oneof![Just("ios"), Just("android"), Just("linux")];
    let leaf = prop_oneof![
        os().prop_map(Condition::Os),
        proptest::collection::vec(os(), 1..4).prop_map(Condition::OsIn),
        // Few numbers, so that they meet: bounds touch, cross and leave one value.
        (0_i64..5).prop_map(Condition::Below),
        (0_i64..5).prop_map(Condition::AtLeast),
        (0_i64..5).prop_map(Condition::Is),
        prop_oneof![Just("os"), Just("duration_ms")].prop_map(Condition::IsNull),
        (0_i32..5).prop_map(Condition::Day),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|c| Condition::Not(Box::new(c))),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Condition::And),
            proptest::collection::vec(inner, 2..4).prop_map(Condition::Or),
        ]
    })
}

/// Chooses among spellings.
struct Choices(u64);

impl Choices {
    fn next(&mut self, of: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % of
    }

    fn write(&mut self, condition: &Condition) -> String {
        let text = match condition {
            Condition::Os(os) => match self.next(4) {
                0 => format!("os = '{os}'"),
                1 => format!("'{os}' = OS"),
                2 => format!("os IN ('{os}')"),
                _ => format!("NOT os <> '{os}'"),
            },
            Condition::OsIn(all) => {
                let mut all = all.clone();
                if self.next(2) == 0 {
                    all.reverse();
                }
                let each =
                    |word: &str| all.iter().map(|os| format!("os = '{os}'")).collect::<Vec<_>>().join(word);
                match self.next(3) {
                    0 => format!("os IN ('{}')", all.join("', '")),
                    1 => format!("({})", each(" OR ")),
                    _ => format!("NOT os NOT IN ('{}', '{}')", all.join("', '"), all[0]),
                }
            }
            Condition::Below(n) => match self.next(4) {
                0 => format!("duration_ms < {n}"),
                1 => format!("{n} > duration_ms"),
                2 => format!("duration_ms <= {}", n - 1),
                _ => format!("NOT (duration_ms >= {n}.0)"),
            },
            Condition::AtLeast(n) => match self.next(3) {
                0 => format!("duration_ms >= {n}"),
                1 => format!("NOT duration_ms < {n}"),
                _ => format!("duration_ms > {}", n - 1),
            },
            Condition::Is(n) => match self.next(4) {
                0 => format!("duration_ms = {n}"),
                1 => format!("NOT duration_ms <> {n}"),
                2 => format!("duration_ms IN ({n}.0)"),
                _ => format!("duration_ms BETWEEN {n} AND {n}"),
            },
            Condition::IsNull(name) => match self.next(2) {
                0 => format!("{name} IS NULL"),
                _ => format!("NOT ({name} is not null)"),
            },
            Condition::Day(back) => match self.next(3) {
                0 => format!("day = current_date - {back}"),
                1 => format!("date_trunc('day', time) = current_date - INTERVAL '{back} days'"),
                _ => format!("day BETWEEN current_date - {back} AND CURRENT_DATE - {back}"),
            },
            Condition::Not(inner) => match self.next(2) {
                0 => format!("NOT ({})", self.write(inner)),
                _ => format!("NOT NOT NOT ({})", self.write(inner)),
            },
            Condition::And(all) => self.list(all, " AND "),
            Condition::Or(all) => self.list(all, " or "),
        };
        if self.next(3) == 0 { format!("(\n {text})") } else { text }
    }

    fn list(&mut self, all: &[Condition], word: &str) -> String {
        let mut all: Vec<String> = all.iter().map(|one| format!("({})", self.write(one))).collect();
        if self.next(2) == 0 {
            all.reverse();
        }
        if self.next(3) == 0 {
            all.push(all[0].clone());
        }
        all.join(word)
    }
}

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

fn bound(text: &str) -> crate::expr::Scalar {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};
    let registry = registry();
    let columns = Columns::of(&registry, registry.table(Kind::Usage), None, now_ms());
    let expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(text).unwrap().parse_expr().unwrap();
    columns.condition(&expr).unwrap()
}

/// Rows with every mixture of known and missing values.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for day in today() - 4..=today() {
        for os in [None, Some("ios"), Some("android"), Some("linux"), Some("other")] {
            for duration in [None, Some(0), Some(1), Some(2), Some(3), Some(4), Some(1_000)] {
                let mut row = Row::new(1, day, "click");
                if let Some(os) = os {
                    row = row.text("os", os);
                }
                if let Some(duration) = duration {
                    row = row.number("duration_ms", duration);
                }
                rows.push(row);
            }
        }
    }
    rows
}

#[tokio::test]
async fn the_normal_form_means_the_same() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let session = SessionContext::new();
    let table: Arc<dyn datafusion::catalog::TableProvider> =
        plain_table(registry().table(Kind::Usage), &rows());
    let mut runner = TestRunner::deterministic();
    for seed in 0..150 {
        let condition = conditions().new_tree(&mut runner).unwrap().current();
        let text = Choices(seed).write(&condition);
        let raw = bound(&text);
        let whole = normal(raw.clone());
        let kept = filter(raw.clone());
        let plan = |scalar: &crate::expr::Scalar| scalar.plan(Region::De);
        let kept = kept.map_or(datafusion::prelude::lit(true), |kept| plan(&kept));
        let frame = session.read_table(Arc::clone(&table)).unwrap();
        let columns = vec![plan(&raw).alias("raw"), plan(&whole).alias("normal"), kept.alias("kept")];
        for batch in frame.select(columns).unwrap().collect().await.unwrap() {
            use datafusion::arrow::array::AsArray;
            let [raw, normal, kept] = [0, 1, 2].map(|at| batch.column(at).as_boolean().clone());
            for row in 0..batch.num_rows() {
                let at = |array: &datafusion::arrow::array::BooleanArray| {
                    use datafusion::arrow::array::Array;
                    array.is_valid(row).then(|| array.value(row))
                };
                assert_eq!(at(&raw), at(&normal), "{text}\n{whole}");
                assert_eq!(at(&raw) == Some(true), at(&kept) == Some(true), "{text}");
            }
        }
    }
}

/// A list that is normal already grows by an arm, as a condition around a subquery does: the order says nothing.
#[test]
fn bounds_that_met_before_the_others_came_say_the_same() {
    let grown = |arms: &[&str], word: &str| {
        let mut arms = arms.iter().map(|arm| bound(arm));
        let first = arms.next().unwrap();
        arms.fold(normal(first), |all, arm| {
            normal(match word {
                "AND" => crate::expr::Scalar::And(Box::new(all), Box::new(arm)),
                _ => crate::expr::Scalar::Or(Box::new(all), Box::new(arm)),
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
