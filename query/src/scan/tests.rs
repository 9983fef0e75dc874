//! Exact sensitivity: what one subject's day changes in the totals before noise is no more than what is paid for.

#![allow(clippy::unwrap_used)]

mod bound;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use shoal_schemas::{Kind, Region};

use super::run::Tables;
use super::{Due, Raw, Runner};
use crate::charge::{ChargedQuery, MemoryShare, Place, Subjects, charge};
use crate::tests::{Row, Seeded, engine, grant, now_ms, provider, registry, request, today};

const WORDS: [&str; 5] = ["a", "b", "c", "d", "e"];
const SYSTEMS: [&str; 4] = ["ios", "android", "linux", "none of the list"];

const QUERIES: [&str; 11] = [
    "SELECT COUNT(*), SUM(amount), COUNT(DISTINCT subject) FROM usage",
    "SELECT day, COUNT(*), SUM(amount), COUNT(DISTINCT subject) FROM usage GROUP BY day",
    "SELECT event, COUNT(*), COUNT(DISTINCT subject) FROM usage GROUP BY event",
    "SELECT country, app_version, COUNT(*), AVG(amount) FROM usage GROUP BY country, app_version",
    "SELECT os, COUNT(*), COUNT(*) FILTER (WHERE amount > 999), AVG(amount) FROM usage WHERE event = 'purchase' GROUP BY os",
    "SELECT time, os, COUNT(*), COUNT(DISTINCT subject) FROM usage GROUP BY time, os",
    "SELECT date_trunc('week', time), country, COUNT(*), COUNT(DISTINCT subject) FROM usage GROUP BY 1, 2",
    "SELECT SUM(amount) FILTER (WHERE os = 'ios'), COUNT(*) FILTER (WHERE event = 'click') FROM usage WHERE event <> 'login'",
    "SELECT CASE WHEN amount < 1000 THEN 'small' ELSE 'big' END, COUNT(*), SUM(items) FROM usage GROUP BY 1",
    "SELECT country, COUNT(DISTINCT session), COUNT(DISTINCT session) FILTER (WHERE os = 'ios') FROM usage GROUP BY country",
    "SELECT os, COUNT(DISTINCT session), COUNT(amount), COUNT(DISTINCT subject) FILTER (WHERE amount > 5) FROM usage GROUP BY os",
];

fn row() -> impl Strategy<Value = Row> {
    let events = prop::sample::select(vec!["click", "purchase", "login"]);
    let words = prop::sample::select(WORDS.to_vec());
    let os = prop::sample::select(SYSTEMS.to_vec());
    let numbers = (prop::option::of(0..30_000_i64), 0..40_i64);
    (1..7_u32, 0..9_i32, 0..24_i64, events, words, os, numbers).prop_map(
        |(subject, ago, hour, event, word, os, (amount, session))| {
            let mut row = Row::new(subject, today() - ago, event)
                .number("session", session)
                .text("os", os)
                .text("country", word)
                .text("app_version", word);
            row.hour = hour;
            match amount {
                Some(amount) => row.number("amount", amount).number("items", amount),
                None => row,
            }
        },
    )
}

/// Every total by (place, bucket or day, values of the group); `None` stands for the number of subjects.
type Totals = BTreeMap<(Option<Slot>, i32, String), i128>;
type Slot = (bool, usize);

/// Places of sessions of several days come after those of other numbers of a range.
const SESSIONS: usize = 1_000;

fn totals(raws: &[Raw]) -> Totals {
    let mut all = Totals::new();
    for raw in raws {
        let values = |key: u32| format!("{:?}", raw.cells.values(key));
        let (is_daily, start) = (raw.due.charged.is_daily(), raw.days().unwrap().first);
        for cell in raw.sessions.cells() {
            for (at, sum) in cell.sums.iter().enumerate() {
                all.insert((Some((false, SESSIONS + at)), start, values(cell.key)), *sum);
            }
        }
        for (of_days, totals) in [(true, &raw.daily), (false, &raw.ranged)] {
            for cell in totals.cells() {
                for (at, sum) in cell.sums.iter().enumerate() {
                    all.insert((Some((of_days, at)), start, values(cell.key)), *sum);
                }
                if of_days == is_daily {
                    all.insert((None, start, values(cell.key)), i128::from(cell.subjects));
                }
            }
        }
    }
    all
}

fn distance(a: &Totals, b: &Totals) -> BTreeMap<Option<Slot>, f64> {
    let mut squares = BTreeMap::new();
    for key in a.keys().chain(b.keys()).collect::<std::collections::BTreeSet<_>>() {
        let change = a.get(key).unwrap_or(&0) - b.get(key).unwrap_or(&0);
        *squares.entry(key.0).or_insert(0.0) += (change as f64) * (change as f64);
    }
    squares
}

/// With one key the same groups of a subject are chosen in both worlds.
async fn run(sql: &str, rows: &[Row], key: u8) -> (Arc<ChargedQuery>, Totals) {
    let engine = engine();
    let prepared = engine.prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap();
    let query = prepared.single().query.clone();
    let charged = Arc::new(charge(query, Default::default(), &Default::default()).unwrap());
    let memory = MemoryShare { bytes_max: 64 << 20, queries: 1, spans: 2 };
    let runtime = shoal_postprocess::session::runtime(64 << 20).unwrap();
    let events = Arc::new(provider(registry().table(Kind::Usage), rows));
    let due = Due {
        days: charged.query.days(),
        region: Region::De,
        charged: Arc::clone(&charged),
        passes_max: u64::MAX,
    };
    let mut raws = Vec::new();
    let mut take = |raw: Raw| {
        raws.push(raw);
        Ok(())
    };
    Runner::new(runtime, memory, 64 << 20)
        .run(due, Tables { events, members: Vec::new() }, &mut Seeded(key.into()), &mut take)
        .await
        .unwrap_or_else(|_| panic!("{sql}"));
    (charged, totals(&raws))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn one_subjects_day_changes_no_more_than_is_paid_for(
        rows in prop::collection::vec(row(), 0..120),
        subject in 1..7_u32,
        ago in 0..9_i32,
        query in 0..QUERIES.len(),
        key in any::<u8>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let without: Vec<Row> = rows
            .iter()
            .filter(|row| row.subject != subject || row.day != today() - ago)
            .cloned()
            .collect();
        let ((charged, with), (_, without)) = runtime.block_on(async {
            (run(QUERIES[query], &rows, key).await, run(QUERIES[query], &without, key).await)
        });
        // sigma^2 = L2^2 / (2 rho), so what was paid for is L2^2 = 2 rho sigma^2.
        let own = match charged.threshold.as_ref().map(|t| &t.subjects) {
            Some(Subjects::Own(noise)) => Some(*noise),
            Some(Subjects::Asked(at)) => Some(charged.noise[*at]),
            None => None,
        };
        let shares = charged.noise.len()
            + usize::from(matches!(charged.threshold.as_ref().map(|t| &t.subjects), Some(Subjects::Own(_))));
        let share = charged.price.to_f64() / shares as f64;
        let changes = distance(&with, &without);
        for (at, (place, noise)) in charged.layout.slots.iter().zip(&charged.noise).enumerate() {
            let paid = 2.0 * share * noise.variance().to_f64();
            let place = match place {
                Place::Daily(i) => (true, *i),
                Place::Ranged(i) | Place::Tree(i) => (false, *i),
                Place::Sessions(i) => (false, SESSIONS + *i),
            };
            let change = changes.get(&Some(place)).copied().unwrap_or(0.0);
            prop_assert!(change <= paid * 1.000_001, "{}: aggregate {at}: {change} > {paid}", QUERIES[query]);
        }
        if let Some(noise) = own {
            let paid = 2.0 * share * noise.variance().to_f64();
            let change = changes.get(&None).copied().unwrap_or(0.0);
            prop_assert!(change <= paid * 1.000_001, "{}: subjects: {change} > {paid}", QUERIES[query]);
        }
    }
}

/// Without one of its days, a subject that may show one group of a week can show another one: two groups change.
#[tokio::test]
async fn a_day_less_exchanges_groups_of_a_week_and_that_is_paid_for() {
    let sql = "SELECT date_trunc('week', time), country, COUNT(DISTINCT subject) FROM usage GROUP BY 1, 2";
    let visit = |ago: i32, country: &str| Row::new(1, today() - ago, "click").text("country", country);
    let (both, one) = (vec![visit(1, "a"), visit(2, "b")], vec![visit(2, "b")]);
    let mut most = 0.0_f64;
    for key in 0..16 {
        let ((charged, with), (_, without)) = (run(sql, &both, key).await, run(sql, &one, key).await);
        let changes = distance(&with, &without);
        most = changes.values().copied().fold(most, f64::max);
        let paid = 2.0 * charged.price.to_f64() * charged.noise[0].variance().to_f64();
        assert!(most <= paid * 1.000_001, "{most} > {paid}");
    }
    assert!(most > 1.5, "for some key the groups are exchanged: {most}");
}
