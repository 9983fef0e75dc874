//! However the same rows lie in files, the totals are the same, exactly: flushes of any size and order, merged or not, with
//! copies of events among them, for every shape of a question.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use shoal_schemas::Region;

use super::files::{Disk, batch, without_ids};
use super::memory::MemoryTable;
use super::run::Tables;
use super::source::Table;
use super::{Due, Raw, Runner};
use crate::charge::{ChargedQuery, MemoryShare, charge};
use crate::tests::{Row, Seeded, engine, grant, now_ms, request, today};

const QUERIES: [&str; 13] = [
    "SELECT COUNT(*), SUM(amount), COUNT(amount), COUNT(DISTINCT subject) FROM usage",
    "SELECT COUNT(*), COUNT(*) FILTER (WHERE os = 'ios'), AVG(amount) FROM usage WHERE event = 'purchase'",
    "SELECT date_trunc('hour', time), event, COUNT(*), COUNT(DISTINCT subject) FROM usage \
     WHERE day >= current_date - 3 GROUP BY 1, 2",
    "SELECT app_version, country, COUNT(*), SUM(amount), COUNT(DISTINCT subject) FROM usage GROUP BY 1, 2",
    "SELECT date_trunc('week', time), os, COUNT(*) FILTER (WHERE amount > 9), COUNT(DISTINCT subject) FROM usage \
     WHERE event <> 'login' AND extract(hour FROM time) < 1 GROUP BY 1, 2",
    "SELECT os, COUNT(DISTINCT session), COUNT(DISTINCT subject) FILTER (WHERE amount > 9) FROM usage GROUP BY os",
    "SELECT day, QUANTILE(amount, 0.5) FROM usage WHERE country = 'a' GROUP BY day",
    "SELECT os, MEDIAN(amount), COUNT(*) FROM usage GROUP BY os",
    "SELECT app_version, step, COUNT(DISTINCT subject) FROM funnel(usage, event = 'click', event = 'purchase', \
     event = 'click' AND os = 'ios', event = 'login', within => INTERVAL '1 day') GROUP BY app_version, step",
    "SELECT country, cohort, period, COUNT(DISTINCT subject) FROM retention(usage, event = 'click', event = 'login', \
     period => 'day') GROUP BY country, cohort, period",
    "SELECT avg(n), sum(s), count(*) FROM (SELECT subject, count(*) AS n, sum(amount) AS s FROM usage GROUP BY subject) AS p",
    "SELECT COUNT(DISTINCT subject) FROM usage WHERE country = 'b' AND subject IN \
     (SELECT subject FROM usage WHERE event = 'purchase' AND os = 'ios')",
    "SELECT app_version, COUNT(DISTINCT subject) FROM usage WHERE subject NOT IN \
     (SELECT subject FROM usage WHERE amount > 9) GROUP BY app_version",
];

/// Few subjects, ids and times, so that copies and ties are common: copies at the same time and later, alike and not.
fn row() -> impl Strategy<Value = Row> {
    let events = prop::sample::select(vec!["click", "purchase", "login"]);
    let words = || prop::sample::select(vec!["a", "b", "c"]);
    let os = prop::sample::select(vec!["ios", "android", "none of the list"]);
    let amounts = prop::option::of(prop::sample::select(vec![300_i64, 900, 1_000, 7_000]));
    (0..5_u32, 0..3_i32, 0..2_i64, 0..7_u64, events, (words(), words(), os), amounts).prop_map(
        |(subject, ago, hour, id, event, (country, version, os), amount)| {
            let row = Row::new(subject, today() - ago, event)
                .text("country", country)
                .text("app_version", version)
                .text("os", os);
            let row = Row { hour, id, ..row };
            match amount {
                Some(amount) => row.number("amount", amount),
                None => row,
            }
        },
    )
}

/// Every exact total: by what it is of, the first day of its span, the values of the group and the node of a tree.
type Numbers = BTreeMap<(String, i32, String, u32), Vec<i128>>;

fn numbers(raws: &[Raw]) -> Numbers {
    let mut all = Numbers::new();
    for raw in raws {
        let values =
            |cell: u32| raw.cells.values(cell).iter().map(|value| format!("{value}|")).collect::<String>();
        let first = raw.days().unwrap().first;
        for (of, totals) in [("days", &raw.daily), ("range", &raw.ranged)] {
            for cell in totals.cells() {
                let sums = cell.sums.iter().copied().chain([i128::from(cell.subjects)]).collect();
                let key = (of.to_owned(), first, values(cell.key), 0);
                assert!(all.insert(key, sums).is_none(), "a total comes once");
            }
        }
        for (at, tree) in raw.trees.iter().enumerate() {
            for (cell, node, count) in tree.nodes() {
                let key = (format!("tree {at}"), first, values(cell), node);
                assert!(all.insert(key, vec![count]).is_none(), "a node comes once");
            }
        }
    }
    all
}

async fn charged(sql: &str) -> Arc<ChargedQuery> {
    let prepared = engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap();
    Arc::new(charge(prepared.single().query.clone(), Default::default(), &Default::default()).unwrap())
}

/// With one key the same groups and values of a subject are chosen, however its rows come.
async fn totals(charged: &Arc<ChargedQuery>, events: Arc<dyn Table>, key: u8) -> Numbers {
    read(charged, events, key, 256 << 20).await
}

/// The same with so many bytes for reading.
async fn read(
    charged: &Arc<ChargedQuery>,
    events: Arc<dyn Table>,
    key: u8,
    reading_bytes_max: usize,
) -> Numbers {
    let runtime = shoal_postprocess::session::runtime(64 << 20).unwrap();
    let memory = MemoryShare { bytes_max: 64 << 20, queries: 1, spans: 2 };
    let members = charged.query.members().iter().map(|_| Arc::clone(&events)).collect();
    let due = Due {
        days: charged.query.days(),
        region: Region::De,
        charged: Arc::clone(charged),
        passes_max: u64::MAX,
    };
    let mut raws = Vec::new();
    let mut take = |raw: Raw| {
        raws.push(raw);
        Ok(())
    };
    let tables = Tables { events, members };
    let runner = Runner::new(runtime, memory, reading_bytes_max);
    let done = runner.run(due, tables, &mut Seeded(key.into()), &mut take).await;
    done.unwrap_or_else(|_| panic!("{}", charged.query));
    numbers(&raws)
}

async fn ask(sql: &str, events: Arc<dyn Table>) -> Numbers {
    totals(&charged(sql).await, events, 1).await
}

/// A flush: which of the rows, and whether files are merged after it.
type Flush = (Vec<usize>, bool);

/// Each row in some flush, in some order.
fn flushes(rows: usize) -> impl Strategy<Value = Vec<Flush>> {
    let order = Just((0..rows).collect::<Vec<_>>()).prop_shuffle();
    (order, prop::collection::vec((0..=rows, any::<bool>()), 1..7)).prop_map(move |(order, mut cuts)| {
        cuts.sort_unstable();
        let mut flushes = Vec::new();
        let mut from = 0;
        for (to, merges) in cuts {
            flushes.push((order[from..to].to_vec(), merges));
            from = to;
        }
        flushes.push((order[from..].to_vec(), false));
        flushes
    })
}

fn world() -> impl Strategy<Value = (Vec<Row>, [Vec<Flush>; 2])> {
    prop::collection::vec(row(), 1..70).prop_flat_map(|rows| {
        let count = rows.len();
        (Just(rows), [flushes(count), flushes(count)])
    })
}

async fn written(rows: &[Row], flushes: &[Flush]) -> Disk {
    let mut disk = Disk::empty().await;
    for (which, merges) in flushes {
        let own: Vec<Row> = which.iter().map(|at| rows[*at].clone()).collect();
        if !own.is_empty() {
            disk.flush(&own).await;
        }
        if *merges {
            disk.compact().await;
        }
    }
    disk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_the_same_rows_into_files_has_the_same_totals(
        (rows, splits) in world(), key: u8, rewritten in prop::option::of(0..9_usize),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let memory: Arc<dyn Table> = Arc::new(MemoryTable(Arc::new(vec![batch(&rows)])));
            let [mut one, mut other] = [written(&rows, &splits[0]).await, written(&rows, &splits[1]).await];
            if let Some(which) = rewritten {
                one.rewrite(which, &without_ids).await;
            }
            let apart = other.events();
            let before = other.snapshot.files().len();
            other.compact().await;
            prop_assert!(other.snapshot.files().len() <= before.min(3), "all files of a day become one");
            for sql in QUERIES {
                let charged = charged(sql).await;
                let expected = totals(&charged, Arc::clone(&memory), key).await;
                for events in [one.events(), Arc::clone(&apart), other.events()] {
                    prop_assert_eq!(&totals(&charged, events, key).await, &expected, "{}", sql);
                }
                // Room for the rows of a few subjects at one time.
                let in_passes = read(&charged, Arc::clone(&apart), key, 32 << 10).await;
                prop_assert_eq!(&in_passes, &expected, "{} in passes", sql);
            }
            Ok(())
        })?;
    }
}

/// A copy that comes at another time of the day counts as its first; one on another day counts there too, also when one
/// question reads both days at once.
#[tokio::test]
async fn copies_of_a_day_count_once_and_a_copy_on_another_day_counts_there() {
    let row = |subject: u32, ago: i32, hour: i64, os: &str| Row {
        hour,
        id: 1,
        ..Row::new(subject, today() - ago, "click").text("os", os).number("amount", 10)
    };
    // Subject 1 again at a later hour, and as something else; subject 2 on two days; subject 3 twice at the very same time.
    let rows = [
        vec![row(1, 0, 5, "ios"), row(2, 0, 5, "ios"), row(3, 0, 5, "ios")],
        vec![row(1, 0, 7, "android"), row(2, 1, 5, "ios"), row(3, 0, 5, "android")],
    ];
    let mut disk = Disk::empty().await;
    for flush in rows.iter().rev() {
        disk.flush(flush).await;
    }
    for _ in 0..2 {
        let number = |numbers: &Numbers, day: i32, group: &str| {
            numbers.get(&("days".to_owned(), day, group.to_owned(), 0)).map_or(0, |sums| sums[0])
        };
        let all = ask("SELECT COUNT(*) FROM usage", disk.events()).await;
        assert_eq!([0, 1].map(|ago| number(&all, today() - ago, "")), [3, 1]);
        let systems =
            ask("SELECT os, COUNT(*) FROM usage WHERE day = current_date GROUP BY os", disk.events()).await;
        let of = |os: &str| number(&systems, today(), &format!("'{os}'|"));
        assert_eq!([of("ios"), of("android")], [2, 1], "the lesser of two at one time: android");
        let evening = "SELECT COUNT(*) FROM usage WHERE day = current_date AND extract(hour FROM time) >= 6";
        assert_eq!(ask(evening, disk.events()).await, Numbers::new(), "its first row is not asked about");
        let each = "SELECT sum(n) FROM (SELECT subject, count(*) AS n FROM usage GROUP BY subject) AS p";
        let ranged =
            |(key, sums): (&(String, i32, String, u32), &Vec<i128>)| (key.0 == "range").then_some(sums[0]);
        assert_eq!(ask(each, disk.events()).await.iter().find_map(ranged), Some(4));
        disk.compact().await;
    }
    assert_eq!(
        disk.snapshot.files().iter().map(|file| file.rows).sum::<u64>(),
        5,
        "one was dropped for good"
    );
}

/// A file of a writer that knows no order of event ids, whose batches end among rows of one time.
#[tokio::test]
async fn a_file_without_an_order_of_ids_has_the_same_totals() {
    let events = ["click", "purchase", "login"];
    let rows: Vec<Row> = (0..40_000)
        .map(|at| {
            let row = Row::new(1, today(), events[at as usize % 7 % 3]);
            Row { hour: at as i64 / 10_000, id: at % 39_000, ..row }
                .text("country", ["a", "b"][at as usize % 2])
        })
        .collect();
    let expected = Disk::of(&rows, 1).await;
    let mut loose = Disk::of(&rows, 1).await;
    loose.rewrite(0, &without_ids).await;
    for sql in [QUERIES[0], QUERIES[2], QUERIES[7], QUERIES[8]] {
        assert_eq!(ask(sql, loose.events()).await, ask(sql, expected.events()).await, "{sql}");
    }
}
