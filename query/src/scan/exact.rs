//! What is totalled is what is there: files through the store and batches in memory give what DataFusion counts where no
//! bound bites, whatever the order of a file; and what goes wrong is found.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::prelude::SessionContext;
use proptest::prelude::*;
use shoal_anonymity::bound::{Clamp, Limits};
use shoal_anonymity::budget::Precision;
use shoal_anonymity::noise::{Entropy, OsEntropy};
use shoal_schemas::{Kind, Region, columns};
use shoal_storage::DAY_FILES_MAX;

use super::files::{Disk, batch, reversed};
use super::memory::MemoryTable;
use super::run::Tables;
use super::source::Table;
use super::{Due, Raw, Runner};
use crate::charge::{Caps, ChargedQuery, MemoryShare, charge};
use crate::failure::Failure;
use crate::tests::{Row, Seeded, engine, grant, now_ms, provider, registry, request, today};
use shoal_language::{Compare, Scalar, Type, Value};
use shoal_language::{DayRange, Membership};

/// A question whose bounds are too wide to bite.
async fn unbounded(sql: &str) -> ChargedQuery {
    let prepared = engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap();
    let mut charged =
        charge(prepared.single().query.clone(), Default::default(), &Default::default()).unwrap();
    let wide = |limits: &Limits| {
        let clamps = limits.clamps().iter().map(|clamp| match clamp {
            Clamp::Count(_) => Clamp::Count(1 << 50),
            Clamp::Sum(_) => Clamp::Sum(1 << 50),
        });
        Limits::new(1_000, clamps.collect()).unwrap()
    };
    let subjects = |limits: &Limits| Limits::new(1_000, limits.clamps().to_vec()).unwrap();
    (charged.layout.daily, charged.layout.ranged) =
        (wide(&charged.layout.daily), subjects(&charged.layout.ranged));
    charged
}

/// With so many bytes for reading.
fn runner(reading_bytes_max: usize) -> Runner {
    let runtime = shoal_postprocess::session::runtime(64 << 20).unwrap();
    let memory = MemoryShare { bytes_max: 64 << 20, queries: 1, spans: 2 };
    Runner::new(runtime, memory, reading_bytes_max)
}

/// All days of a query.
fn whole(charged: ChargedQuery) -> Due {
    Due { days: charged.query.days(), region: Region::De, charged: Arc::new(charged), passes_max: u64::MAX }
}

async fn run(sql: &str, events: Arc<dyn Table>, memory: usize) -> Result<Vec<Raw>, Failure> {
    run_days(whole(unbounded(sql).await), events, memory).await
}

async fn run_days(due: Due, events: Arc<dyn Table>, memory: usize) -> Result<Vec<Raw>, Failure> {
    let tables = Tables { events, members: Vec::new() };
    all(&runner(memory), due, tables, &mut OsEntropy::new()).await
}

/// Of all spans, in order of their days.
async fn all(
    runner: &Runner,
    due: Due,
    tables: Tables,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Vec<Raw>, Failure> {
    let mut raws = Vec::new();
    let mut take = |raw: Raw| {
        raws.push(raw);
        Ok(())
    };
    runner.run(due, tables, entropy, &mut take).await?;
    raws.sort_by_key(|raw| raw.days().unwrap().first);
    Ok(raws)
}

/// Sums of each group over all days, and how many subjects a range had.
fn totals(raws: &[Raw]) -> BTreeMap<String, Vec<i128>> {
    let mut all: BTreeMap<String, Vec<i128>> = BTreeMap::new();
    for raw in raws {
        let slots = &raw.due.charged.layout.slots;
        for (is_daily, totals) in [(true, &raw.daily), (false, &raw.ranged)] {
            for cell in totals.cells() {
                let values: Vec<String> = raw.cells.values(cell.key).iter().map(Value::to_string).collect();
                let own = all.entry(values.join("|")).or_insert_with(|| vec![0; slots.len()]);
                for (place, own) in slots.iter().zip(own) {
                    *own += match (place, is_daily) {
                        (crate::charge::Place::Daily(at), true) => cell.sums[*at],
                        (crate::charge::Place::Ranged(at), false) => cell.sums[*at],
                        _ => 0,
                    };
                }
            }
        }
    }
    all
}

/// What DataFusion says.
async fn plain(sql: &str, batch: &RecordBatch, keys: usize) -> BTreeMap<String, Vec<i128>> {
    let context = SessionContext::new();
    context.register_batch("usage", batch.clone()).unwrap();
    let mut all = BTreeMap::new();
    for batch in context.sql(sql).await.unwrap().collect().await.unwrap() {
        let texts: Vec<_> = (0..keys).map(|at| cast(batch.column(at), &DataType::Utf8).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let value = |array: &std::sync::Arc<dyn Array>| match array.is_null(row) {
                true => "NULL".to_owned(),
                false => format!("'{}'", array.as_string::<i32>().value(row)),
            };
            let numbers = batch.columns()[keys..].iter().map(|array| {
                let array = cast(array, &DataType::Int64).unwrap();
                i128::from(if array.is_null(row) { 0 } else { array.as_primitive::<Int64Type>().value(row) })
            });
            all.insert(texts.iter().map(value).collect::<Vec<_>>().join("|"), numbers.collect());
        }
    }
    all
}

/// Keys and aggregates are in the order of their texts, as a private query has them.
const QUERIES: [(&str, usize); 6] = [
    ("SELECT COUNT(*), COUNT(DISTINCT subject), COUNT(amount), SUM(amount) FROM usage", 0),
    (
        "SELECT app_version, country, COUNT(*), COUNT(DISTINCT subject), SUM(items) FROM usage GROUP BY app_version, country",
        2,
    ),
    (
        "SELECT lower(app_version), COUNT(*) FILTER (WHERE event = 'click'), SUM(amount) FILTER (WHERE items > 3) FROM usage WHERE country <> 'b' GROUP BY 1",
        1,
    ),
    (
        "SELECT CASE WHEN items < 4 THEN country ELSE 'big' END, COUNT(*), COUNT(DISTINCT subject) FROM usage GROUP BY 1",
        1,
    ),
    (
        "SELECT coalesce(app_version, 'none'), COUNT(*) FROM usage WHERE app_version IS NULL OR app_version LIKE 'a%' GROUP BY 1",
        1,
    ),
    (
        "SELECT country, COUNT(*), COUNT(DISTINCT subject) FILTER (WHERE app_version IN ('a', 'b')) FROM usage WHERE upper(country) <> 'C' GROUP BY country",
        1,
    ),
];

fn row() -> impl Strategy<Value = Row> {
    let words = || prop::sample::select(vec!["a", "b", "c", "aa"]);
    let events = prop::sample::select(vec!["click", "purchase", "login"]);
    (
        0..12_u32,
        0..4_i32,
        0..24_i64,
        events,
        words(),
        prop::option::of(words()),
        prop::option::of(0..3_000_i64),
    )
        .prop_map(|(subject, ago, hour, event, country, version, amount)| {
            let mut row = Row::new(subject, today() - ago, event).text("country", country);
            row.hour = hour;
            if let Some(version) = version {
                row = row.text("app_version", version);
            }
            match amount {
                Some(amount) => row.number("amount", amount).number("items", amount % 7),
                None => row,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn files_and_batches_give_what_datafusion_counts(
        rows in prop::collection::vec(row(), 1..200),
        query in 0..QUERIES.len(),
        flushes in 1..4_usize,
        turned in prop::option::of(0..20_usize),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (sql, keys) = QUERIES[query];
        runtime.block_on(async {
            let mut expected = plain(sql, &batch(&rows), keys).await;
            expected.retain(|_, numbers| numbers.iter().any(|n| *n != 0));
            let mut disk = Disk::of(&rows, flushes).await;
            if let Some(which) = turned {
                disk.rewrite(which, &reversed).await;
            }
            let in_memory = MemoryTable(Arc::new(vec![batch(&rows)]));
            let tables: [Arc<dyn Table>; 2] = [Arc::new(in_memory), Arc::new(disk.snapshot.clone())];
            for table in tables {
                let raw = run(sql, table, 64 << 20).await.unwrap();
                let mut found = totals(&raw);
                found.retain(|_, numbers| numbers.iter().any(|n| *n != 0));
                prop_assert_eq!(&found, &expected, "{}", sql);
            }
            Ok(())
        })?;
    }
}

fn some_rows() -> Vec<Row> {
    (0..600).map(|at| Row::new(at % 50, today() - (at % 3) as i32, "click").number("amount", 10)).collect()
}

#[tokio::test]
async fn only_the_due_days_and_buckets_are_totalled() {
    let disk = Disk::of(&some_rows(), 2).await;
    let day = |ago: i32| DayRange { first: today() - ago, last: today() - ago };
    let mut due = whole(unbounded("SELECT COUNT(*) FROM usage").await);
    due.days = DayRange { first: today() - 2, last: today() - 1 };
    let raws = run_days(due, disk.events(), 64 << 20).await.unwrap();
    assert_eq!(raws.iter().map(|raw| raw.days().unwrap()).collect::<Vec<_>>(), [day(2), day(1)]);
    assert!(
        raws.iter().flat_map(|raw| raw.daily.cells()).all(|cell| cell.sums == [200] && cell.subjects == 50)
    );
    let sql = "SELECT date_trunc('week', time), COUNT(DISTINCT subject), COUNT(*) FROM usage GROUP BY 1";
    let all = run(sql, disk.events(), 64 << 20).await.unwrap();
    let subjects = |raw: &Raw| raw.ranged.get(None, 0).map_or(0, |cell| cell.sums[0]);
    let last = all.last().unwrap();
    assert_eq!(subjects(last), 50);
    let due = Due { days: last.days().unwrap(), ..last.due.clone() };
    let raws = run_days(due, disk.events(), 64 << 20).await.unwrap();
    assert_eq!((raws.len(), subjects(&raws[0])), (1, 50));
    assert_eq!(raws[0].daily.get(None, 0).unwrap().sums, [600], "of all days of the bucket together");
}

#[tokio::test]
async fn a_file_that_is_not_sorted_is_read_all_the_same() {
    let mut disk = Disk::of(&some_rows(), 2).await;
    disk.rewrite(0, &reversed).await;
    disk.rewrite(3, &reversed).await;
    let sql = "SELECT COUNT(*), COUNT(DISTINCT subject) FROM usage";
    let raw = run(sql, disk.events(), 64 << 20).await.unwrap();
    assert_eq!(totals(&raw)[""], [600, 50]);
    let raws = run("SELECT COUNT(*) FROM usage", disk.events(), 64 << 20).await.unwrap();
    assert!(raws.iter().flat_map(|raw| raw.daily.cells()).all(|cell| cell.subjects == 50));
}

/// Of more files than stay open at one time the small ones are read into memory first.
#[tokio::test]
async fn more_files_than_stay_open_are_read_all_the_same() {
    let rows: Vec<Row> = (0..600)
        .map(|at| Row::new(at % 50, today() - (at % 6) as i32, "click").number("amount", 10))
        .collect();
    // No divisor of the days, so that each flush has rows of each day.
    let flushes = DAY_FILES_MAX - 1;
    let disk = Disk::of(&rows, flushes).await;
    assert_eq!(disk.snapshot.files().len(), 6 * flushes);
    let sql = "SELECT COUNT(*), COUNT(DISTINCT subject) FROM usage";
    for reading_bytes_max in [192 << 20, 1 << 20] {
        let raw = run(sql, disk.events(), reading_bytes_max).await.unwrap();
        assert_eq!(totals(&raw)[""], [600, 50]);
    }
}

#[tokio::test]
async fn only_members_count_and_negated_others_only() {
    let buyers: Vec<Row> = (0..30).map(|at| Row::new(at, today() - 3, "purchase")).collect();
    let both: Vec<Row> = some_rows().into_iter().chain(buyers).collect();
    let disk = Disk::of(&both, 2).await;
    let in_memory = MemoryTable(Arc::new(vec![batch(&both)]));
    for (negated, expected) in [(false, 30), (true, 20)] {
        let mut charged = unbounded("SELECT COUNT(DISTINCT subject) FROM usage WHERE event = 'click'").await;
        let event = Scalar::Column { name: columns::EVENT.to_owned(), ty: Type::Text };
        let bought = Scalar::Value(Value::Text("purchase".to_owned()));
        let (days, cutoffs) = (charged.query.days(), charged.query.cutoffs().to_vec());
        charged.query.members_mut().push(Membership {
            table: Kind::Usage,
            days,
            cutoffs,
            filter: Some(Scalar::Compare(Compare::Eq, event.into(), bought.into())),
            negated,
        });
        let tables = Tables { events: disk.events(), members: vec![Arc::new(in_memory.clone())] };
        let raws = all(&runner(64 << 20), whole(charged), tables, &mut OsEntropy::new()).await.unwrap();
        assert_eq!(totals(&raws)[""], [expected], "negated: {negated}");
    }
}

/// What does not fit is read in passes: nothing fails for want of memory, whatever the files hold. Too many groups do, and what
/// would take more passes than were planned for.
#[tokio::test]
async fn little_memory_takes_more_passes_and_too_many_groups_fail() {
    let rows: Vec<Row> =
        (0..20_000).map(|at| Row::new(at, today(), "click").text("app_version", format!("v{at}"))).collect();
    let disk = Disk::of(&rows, 1).await;
    for reading_bytes_max in [64 << 20, 2 << 20] {
        let raw = run("SELECT COUNT(*) FROM usage", disk.events(), reading_bytes_max).await.unwrap();
        assert_eq!(totals(&raw)[""], [20_000]);
    }
    for passes_max in 1.. {
        let due = Due { passes_max, ..whole(unbounded("SELECT COUNT(*) FROM usage").await) };
        match run_days(due, disk.events(), 2 << 20).await {
            Ok(raws) => {
                assert_eq!(totals(&raws)[""], [20_000]);
                assert!((4..30).contains(&passes_max), "{passes_max} passes");
                break;
            }
            Err(failure) => assert_eq!(failure, Failure::Time, "{passes_max} passes"),
        }
    }
    let mut charged = unbounded("SELECT app_version, COUNT(*) FROM usage GROUP BY app_version").await;
    charged.threshold.as_mut().unwrap().room.groups_max = 10_000;
    assert_eq!(run_days(whole(charged), disk.events(), 64 << 20).await.err(), Some(Failure::Limit));
}

/// Somebody who fills a key up to the limit does not learn whether one person has one value more: with as many groups as the
/// limit allows, the query fails about every other time, in both worlds.
#[tokio::test]
async fn the_limit_on_groups_does_not_tell_one_value() {
    let sql = "SELECT app_version, COUNT(*) FROM usage WHERE day = current_date GROUP BY app_version";
    let prepared = engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap();
    let caps = Caps { cells_max: 1, ..Caps::default() };
    let charged = charge(prepared.single().query.clone(), Precision::High.into(), &caps).unwrap();
    let limit = charged.threshold.as_ref().unwrap().room.groups_max as u32;
    let memory = MemoryShare { bytes_max: 64 << 20, queries: 1, spans: 1 };
    let runner = Runner { memory, ..runner(64 << 20) };
    let due = whole(charged);
    let mut failed = [0_u32; 2];
    for (more, failed) in failed.iter_mut().enumerate() {
        let values = limit + more as u32;
        let rows = (0..values).map(|at| Row::new(at, today(), "click").text("app_version", format!("v{at}")));
        let events = Arc::new(provider(registry().table(Kind::Usage), &rows.collect::<Vec<_>>()));
        for seed in 0..100 {
            let tables = Tables { events: Arc::clone(&events) as Arc<dyn Table>, members: Vec::new() };
            let done = all(&runner, due.clone(), tables, &mut Seeded(seed)).await;
            *failed += u32::from(done.is_err());
        }
    }
    assert!(failed.iter().all(|failed| (30..=70).contains(failed)), "{failed:?} of 100");
    assert!(failed[0].abs_diff(failed[1]) <= 5, "{failed:?} of 100, with the same noise in both worlds");
}

/// The limit on groups of a part is drawn once, also when its files are read again: with the noise of a first draw, a question
/// ends as it does where they are read once.
#[tokio::test]
async fn a_part_that_is_read_again_keeps_its_limit() {
    let sql = "SELECT app_version, COUNT(*) FROM usage WHERE day = current_date GROUP BY app_version";
    let prepared = engine().prepare(&grant(&[Region::De]), &request(sql), now_ms()).await.unwrap();
    let caps = Caps { cells_max: 1, ..Caps::default() };
    let charged = charge(prepared.single().query.clone(), Precision::High.into(), &caps).unwrap();
    let values = charged.threshold.as_ref().unwrap().room.groups_max as u32;
    let memory = MemoryShare { bytes_max: 64 << 20, queries: 1, spans: 1 };
    let (runner, due) = (Runner { memory, ..runner(64 << 20) }, whole(charged));
    let row = |at: u32| Row::new(at, today(), "click").text("app_version", format!("v{at}"));
    let mut disk = Disk::of(&(0..values).map(row).collect::<Vec<_>>(), 1).await;
    let ends = |disk: &Disk, seed: u64| {
        let tables = Tables { events: disk.events(), members: Vec::new() };
        let (runner, due) = (&runner, due.clone());
        async move { all(runner, due, tables, &mut Seeded(seed)).await.is_ok() }
    };
    let mut before = Vec::new();
    for seed in 0..24 {
        before.push(ends(&disk, seed).await);
    }
    assert!(before.contains(&true) && before.contains(&false), "{before:?}");
    disk.rewrite(0, &reversed).await;
    for (seed, expected) in before.into_iter().enumerate() {
        assert_eq!(ends(&disk, seed as u64).await, expected, "noise {seed}");
    }
}

#[tokio::test]
async fn a_subject_that_is_no_digest_fails() {
    let good = batch(&some_rows());
    let at = good.schema().index_of(columns::SUBJECT).unwrap();
    let mut arrays = good.columns().to_vec();
    arrays[at] =
        Arc::new(datafusion::arrow::array::BinaryArray::from_iter_values((0..600).map(|_| [1_u8; 15])));
    let bad = RecordBatch::try_new(good.schema(), arrays).unwrap();
    let table = Arc::new(MemoryTable(Arc::new(vec![bad])));
    assert_eq!(run("SELECT COUNT(*) FROM usage", table, 64 << 20).await.err(), Some(Failure::Internal));
}
