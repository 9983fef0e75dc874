//! Groups that are not shown are unknown and not zero, and means keep their interval: against simulation.
#![allow(clippy::unwrap_used)]

use datafusion::arrow::array::ArrayRef;

use super::noise::Normal;
use super::refused::key;
use super::*;
use crate::NumberColumn;
use shoal_language::Type;

const SHOWN_FROM: f64 = 108.0;
const MOST: i64 = 140;
const SD: f64 = 15.8;

/// People by version; only versions of enough people are shown.
pub(super) fn versions(name: &str) -> ReleasedSchema {
    let number = |name: &str, unit: &str, withheld| NumberColumn {
        name: name.to_owned(),
        unit: Some(unit.to_owned()),
        scale: 0,
        withheld: Some(withheld),
    };
    ReleasedSchema {
        name: name.to_owned(),
        keys: vec![key("k0", Type::Text)],
        numbers: vec![number("a0", "subjects", (0, MOST)), number("a1", "ms", (-9_000, 9_000))],
        shown_from: Some(SHOWN_FROM as u64),
        left_out: false,
    }
}

/// Rows of keys, and of each number its value and deviation.
pub(super) fn released(schema: ReleasedSchema, rows: &[(String, Vec<(f64, f64)>)]) -> ReleasedTable {
    let numbers = schema.numbers.len();
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(rows.iter().map(|(key, _)| Some(key.as_str())).collect::<StringArray>())];
    let stated: [fn((f64, f64)) -> f64; 4] =
        [|(x, _)| x, |(_, sd)| sd, |(x, sd)| x - Z_95 * sd, |(x, sd)| x + Z_95 * sd];
    for of in stated {
        for at in 0..numbers {
            columns.push(Arc::new(Float64Array::from_iter_values(rows.iter().map(|(_, all)| of(all[at])))));
        }
    }
    ReleasedTable { batch: RecordBatch::try_new(schema.arrow(), columns).unwrap(), schema }
}

/// What is true of one version: people, and those of them who crashed.
const TRUTH: [(f64, f64); 4] = [(189.0, 22.0), (400.0, 150.0), (900.0, 90.0), (5_000.0, 700.0)];

/// One release of each, in which small groups are withheld.
fn world(normal: &mut Normal) -> Vec<ReleasedTable> {
    let mut one = |name: &str, of: fn(&(f64, f64)) -> f64| {
        let rows: Vec<(String, Vec<(f64, f64)>)> = TRUTH
            .iter()
            .enumerate()
            .map(|(at, truth)| {
                let noisy = (of(truth) + SD * normal.next()).round();
                (format!("v{at}"), vec![(noisy, SD), (10.0 * of(truth) + 100.0 * normal.next(), 100.0)])
            })
            .filter(|(_, numbers)| numbers[0].0 >= SHOWN_FROM)
            .collect();
        released(versions(name), &rows)
    };
    vec![one("r0", |truth| truth.0), one("r1", |truth| truth.1)]
}

const JOINED: &str = "r0 a LEFT JOIN r1 b ON a.k0 = b.k0";

/// The expression `x`, what it is read from, and its true value for a version.
type Form = (&'static str, &'static str, fn((f64, f64)) -> f64);

const FORMS: &[Form] = &[
    ("1 - coalesce(b.a0, 0) / a.a0", JOINED, |(all, some)| 1.0 - some / all),
    ("1.0 - CAST(coalesce(b.a0, 0) AS double precision) / nullif(a.a0, 0)", JOINED, |(all, some)| {
        1.0 - some / all
    }),
    ("100 * (a.a0 - coalesce(b.a0, 0)) / a.a0", JOINED, |(all, some)| 100.0 * (1.0 - some / all)),
    ("coalesce(b.a0, 0)", JOINED, |(_, some)| some),
    ("b.a0", JOINED, |(_, some)| some),
    ("100 * b.a0", JOINED, |(_, some)| 100.0 * some),
    ("CASE WHEN b.a0 IS NULL THEN 0 ELSE b.a0 END", JOINED, |(_, some)| some),
    ("a.a0 - coalesce(b.a0, 0)", JOINED, |(all, some)| all - some),
    ("coalesce(b.n, 0)", "r0 a LEFT JOIN (SELECT k0, 2 * a0 AS n FROM r1) b ON a.k0 = b.k0", |(_, some)| {
        2.0 * some
    }),
    ("coalesce(b.a0, 0)", "r1 b RIGHT JOIN r0 a ON a.k0 = b.k0", |(_, some)| some),
    ("coalesce(b.a0, 0) + coalesce(a.a0, 0)", "r1 b FULL JOIN r0 a ON a.k0 = b.k0", |(all, some)| all + some),
    // By the key, or by a constant of the side that is withheld.
    ("CASE WHEN b.k0 IS NULL THEN 1.0 ELSE 1 - b.a0 / a.a0 END", JOINED, |(all, some)| 1.0 - some / all),
    ("CASE WHEN b.k0 IS NULL THEN 0 ELSE 1 END", JOINED, |_| 1.0),
    ("coalesce(b.one, 0)", "r0 a LEFT JOIN (SELECT k0, a0 AS n, 1 AS one FROM r1) b ON a.k0 = b.k0", |_| 1.0),
    (
        "CASE WHEN b.v IS NULL THEN 500 ELSE b.n END",
        "r0 a LEFT JOIN (SELECT k0 AS v, a0 AS n FROM r1) b ON a.k0 = b.v",
        |(_, some)| some,
    ),
    (
        "1 - x.s / x.t",
        "(SELECT a.k0, a.a0 AS t, CASE WHEN b.k0 IS NULL THEN 0 ELSE b.a0 END AS s FROM r0 a LEFT JOIN r1 b ON a.k0 = b.k0) x",
        |(all, some)| 1.0 - some / all,
    ),
    (
        "x.n",
        "(SELECT a.k0, coalesce(b.a0, 0) AS n FROM r0 a LEFT JOIN r1 b ON a.k0 = b.k0) x",
        |(_, some)| some,
    ),
];

#[tokio::test]
async fn the_interval_of_a_withheld_group_holds_the_truth() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let mut normal = Normal(11);
    for (x, from, truth) in FORMS {
        let key = if from.starts_with('(') { "x.k0" } else { "a.k0" };
        let sql = format!("SELECT {key} AS version, {x} AS x FROM {from}");
        let (mut held, mut all, mut withheld) = (0, 0, 0);
        for _ in 0..100 {
            let (columns, batch) = postprocessor.run(&sql, world(&mut normal), in_seconds(60)).await.unwrap();
            let note = columns.iter().find(|column| column.name == "x").unwrap().note.clone();
            assert!(note.is_some_and(|note| note.contains("fewer than about 108 people")), "{sql}");
            let (low, high) = (numbers(&batch, "x_low"), numbers(&batch, "x_high"));
            for (row, version) in texts(&batch, "version").iter().enumerate() {
                let truth = truth(TRUTH[version[1..].parse::<usize>().unwrap()]);
                let (low, high) = (low[row].unwrap(), high[row].unwrap());
                held += u32::from(low <= truth && truth <= high);
                all += 1;
                withheld += u32::from(version == "v0");
                if let Some(x) = numbers(&batch, "x")[row] {
                    assert!(low <= x && x <= high && numbers(&batch, "x_sd")[row].is_some(), "{sql}");
                }
            }
        }
        assert!(withheld >= 90, "{sql}: it is about withheld groups");
        assert!(f64::from(held) >= 0.93 * f64::from(all), "{sql}: {held} of {all}");
    }
}

#[tokio::test]
async fn a_withheld_number_whose_ends_are_not_known_is_not_shown() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let sql = "SELECT a.k0, coalesce(b.n, 0) AS x FROM r0 a LEFT JOIN (SELECT k0, a0 * a0 AS n FROM r1) b ON a.k0 = b.k0 \
        ORDER BY a.k0";
    let (_, batch) = postprocessor.run(sql, world(&mut Normal(3)), in_seconds(60)).await.unwrap();
    assert_eq!((numbers(&batch, "x")[0], numbers(&batch, "x_low")[0]), (None, None));
    assert!(numbers(&batch, "x")[3].is_some_and(|x| x > 1_000.0));
}

#[tokio::test]
async fn two_sides_are_withheld_each_for_itself() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let sql = "SELECT a.k0, coalesce(b.a0, 0) - coalesce(c.a0, 0) AS x FROM r0 a LEFT JOIN r1 b ON a.k0 = b.k0 \
        LEFT JOIN r1 c ON a.k0 = c.k0 ORDER BY a.k0";
    let (_, batch) = postprocessor.run(sql, world(&mut Normal(3)), in_seconds(60)).await.unwrap();
    let ends = (numbers(&batch, "x_low")[0].unwrap(), numbers(&batch, "x_high")[0].unwrap());
    assert_eq!(ends, (-(MOST as f64), MOST as f64));
}

#[tokio::test]
async fn sums_of_shown_groups_say_what_is_not_in_them() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    for (sql, is_estimate) in [
        ("SELECT sum(a0) AS x FROM r0", true),
        ("SELECT k0, a0 / sum(a0) OVER () AS x FROM r0", true),
        ("SELECT sum(CASE WHEN k0 = 'v0' THEN a0 ELSE 0 END) AS x FROM r1", true),
        ("SELECT count(*) AS x FROM r0", false),
        ("SELECT row_number() OVER (ORDER BY k0) AS x FROM r0", false),
    ] {
        let (columns, _) = postprocessor.run(sql, world(&mut Normal(5)), in_seconds(60)).await.unwrap();
        let x = columns.iter().find(|column| column.name == "x").unwrap();
        assert_eq!(x.kind == ColumnKind::Estimate, is_estimate, "{sql}");
        assert!(x.note.is_some(), "{sql}");
    }
    let (columns, _) = postprocessor
        .run("SELECT k0, a0 AS x FROM r0 WHERE k0 <> 'v9'", world(&mut Normal(5)), in_seconds(60))
        .await
        .unwrap();
    assert!(columns.iter().all(|column| column.note.is_none()), "a shown group is as it is");
}

#[tokio::test]
async fn exact_numbers_are_not_added_to_those_of_groups_that_may_be_withheld() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let run = async |sql: String, tables| postprocessor.run(&sql, tables, in_seconds(60)).await;
    let union = "(SELECT k0 AS k, 0 AS n FROM r0 UNION ALL SELECT k0, a0 FROM r1) u";
    for sql in [
        format!("SELECT k, sum(n) AS n FROM {union} GROUP BY k"),
        format!("SELECT k, max(n + 1) AS n FROM (SELECT k, 2 * n AS n FROM {union}) v GROUP BY k"),
        format!("SELECT k, sum(n) OVER (PARTITION BY k) AS n FROM {union}"),
        // A UNION of three is one of two, and one more.
        "SELECT k, sum(n) AS n FROM (SELECT k0 AS k, 0 AS n FROM r0 UNION ALL SELECT 'all', sum(a0) FROM r0 UNION ALL SELECT k0, a0 \
         FROM r1) u GROUP BY k"
            .to_owned(),
    ] {
        let schemas: Vec<_> = world(&mut Normal(7)).into_iter().map(|table| table.schema).collect();
        let told = postprocessor.check(&sql, &schemas, in_seconds(60)).await.unwrap_err();
        assert!(
            matches!(&told, PostprocessError::Refused(_)) && told.to_string().contains("unknown"),
            "{told}"
        );
        // Where every group is shown, a group that is not there is one of nobody.
        let shown = world(&mut Normal(7)).into_iter().map(|mut table| {
            table.schema.shown_from = None;
            table.schema.numbers.iter_mut().for_each(|number| number.withheld = None);
            table
        });
        assert!(run(sql.clone(), shown.collect()).await.is_ok(), "{sql}");
    }
    let (columns, batch) =
        run(format!("SELECT k, n FROM {union} ORDER BY n"), world(&mut Normal(7))).await.unwrap();
    let of_exact = (numbers(&batch, "n")[0], numbers(&batch, "n_low")[0], numbers(&batch, "n_high")[0]);
    assert_eq!(of_exact, (Some(0.0), Some(0.0), Some(0.0)), "each row by itself");
    assert!(
        columns[1].note.as_ref().is_some_and(|note| note.contains("not zero but unknown")),
        "{columns:?}"
    );
    // Two releases side by side, how many rows there are, and one number of all.
    for sql in [
        "SELECT k, max(a) AS a, max(b) AS b FROM (SELECT k0 AS k, a0 AS a, NULL AS b FROM r0 UNION ALL SELECT k0, NULL, a0 FROM r1) u \
         GROUP BY k"
            .to_owned(),
        format!("SELECT k, count(n) AS n FROM {union} GROUP BY k"),
        format!("SELECT sum(n) AS n FROM {union}"),
    ] {
        assert!(run(sql.clone(), world(&mut Normal(7))).await.is_ok(), "{sql}");
    }
    let both = "(SELECT k0 AS k, a0 AS n FROM r0 UNION ALL SELECT k0, a0 FROM r1) u";
    assert!(
        run(format!("SELECT k, sum(n) AS n FROM {both} GROUP BY k"), world(&mut Normal(7))).await.is_ok()
    );
}

#[tokio::test]
async fn texts_and_rows_that_follow_from_which_groups_are_shown_say_so() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    for (sql, column, kind) in [
        (format!("SELECT a.k0, b.k0 AS x FROM {JOINED}"), "x", ColumnKind::Value),
        (
            format!("SELECT a.k0, CASE WHEN b.a0 IS NULL THEN 'none' ELSE 'some' END AS x FROM {JOINED}"),
            "x",
            ColumnKind::Value,
        ),
        (
            format!("SELECT a.k0, CASE WHEN b.k0 IS NULL THEN 'none' ELSE 'some' END AS x FROM {JOINED}"),
            "x",
            ColumnKind::Value,
        ),
        (format!("SELECT a.k0, b.k0 IS NULL AS x FROM {JOINED}"), "x", ColumnKind::Value),
        (format!("SELECT a.k0 AS x FROM {JOINED} WHERE b.k0 IS NULL"), "x", ColumnKind::Key),
        ("SELECT k0 AS x FROM r0 WHERE k0 NOT IN (SELECT k0 FROM r1)".to_owned(), "x", ColumnKind::Key),
        (
            "SELECT k0 AS x FROM r0 WHERE NOT EXISTS (SELECT 1 FROM r1 WHERE r1.k0 = r0.k0)".to_owned(),
            "x",
            ColumnKind::Key,
        ),
        ("SELECT k0 AS x FROM r0 EXCEPT SELECT k0 FROM r1".to_owned(), "x", ColumnKind::Key),
    ] {
        let (columns, batch) = postprocessor.run(&sql, world(&mut Normal(7)), in_seconds(60)).await.unwrap();
        let found = columns.iter().find(|found| found.name == column).unwrap();
        assert_eq!(found.kind, kind, "{sql}");
        assert!(found.note.is_some() && batch.num_rows() > 0, "{sql}");
    }
    // A key that one side has at least is exact, and so is what is shown of shown groups.
    for sql in [
        "SELECT coalesce(a.k0, b.k0) AS x FROM r0 a FULL JOIN r1 b ON a.k0 = b.k0",
        "SELECT coalesce(b.k0, a.k0) AS x FROM r0 a LEFT JOIN r1 b ON a.k0 = b.k0",
        "SELECT a.k0 AS x FROM r0 a JOIN r1 b ON a.k0 = b.k0",
    ] {
        let (columns, _) = postprocessor.run(sql, world(&mut Normal(7)), in_seconds(60)).await.unwrap();
        assert_eq!((columns[0].kind, &columns[0].note), (ColumnKind::Key, &None), "{sql}");
    }
}

/// A number with a key of which nothing is known where it is withheld is not shown there.
#[tokio::test]
async fn a_number_that_depends_on_a_key_that_is_not_known_is_not_stated_as_exact() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let sql = "SELECT a.k0, CASE WHEN b.late IS NULL THEN 1.0 ELSE 1 - b.a0 / a.a0 END AS x FROM r0 a LEFT JOIN \
        (SELECT k0, k0 > 'v1' AS late, a0 FROM r1) b ON a.k0 = b.k0";
    let (columns, _) = postprocessor.run(sql, world(&mut Normal(7)), in_seconds(60)).await.unwrap();
    let x = columns.iter().find(|column| column.name == "x").unwrap();
    assert!(x.kind == ColumnKind::Value && x.note.is_some(), "{columns:?}");
}

#[tokio::test]
async fn days_that_were_left_out_are_no_days_of_zero() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let sql = "SELECT s.v, coalesce(u.a1, 0) AS n FROM (VALUES ('v0'), ('v1')) AS s(v) LEFT JOIN r0 u ON u.k0 = s.v ORDER BY 1";
    for left_out in [false, true] {
        let schema = ReleasedSchema { left_out, ..totals() };
        let rows = vec![("v1".to_owned(), vec![(900.0, 3.0), (30.0, 2.0)])];
        let (columns, batch) =
            postprocessor.run(sql, vec![released(schema, &rows)], in_seconds(60)).await.unwrap();
        let n = |name| numbers(&batch, name)[0];
        let zero = if left_out { None } else { Some(0.0) };
        assert_eq!([n("n"), n("n_low"), n("n_high")], [zero; 3], "a day of nobody, or one that is not known");
        assert_eq!(numbers(&batch, "n")[1], Some(30.0));
        assert_eq!(columns[1].note.as_ref().is_some_and(|note| note.contains("have expired")), left_out);
    }
}

/// Totals and counts, as AVG has them.
fn totals() -> ReleasedSchema {
    let number = |name: &str, unit: &str| NumberColumn {
        name: name.to_owned(),
        unit: Some(unit.to_owned()),
        scale: 0,
        withheld: None,
    };
    ReleasedSchema {
        name: "r0".to_owned(),
        keys: vec![key("k0", Type::Text)],
        numbers: vec![number("a0", "ms"), number("a1", "events")],
        shown_from: None,
        left_out: false,
    }
}

/// The text, by how much it is a mean of ms, and its unit.
const MEANS: &[(&str, f64, Option<&str>)] = &[
    ("CASE WHEN a1 > 0 THEN least(greatest(a0 / a1, 0), 120000) END", 1.0, Some("ms")),
    ("round(CASE WHEN a1 > 0 THEN least(greatest(a0 / a1 + 0.0, 0.00), 120000.00) END, 1)", 1.0, Some("ms")),
    ("CASE WHEN a1 > 0 THEN least(greatest(a0 / a1, 0), 120000) END / 1000", 0.001, None),
    (
        "n FROM (SELECT CASE WHEN a1 > 0 THEN least(greatest(a0 / a1, 0), 120000) END AS n FROM r0) t",
        1.0,
        Some("ms"),
    ),
];

#[tokio::test]
async fn a_mean_has_an_interval_that_holds_the_truth_however_small_its_count_is() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    // Events, deviations of their number and of their sum; each event takes 241 ms.
    for (events, count_sd, total_sd) in
        [(3_000.0, 5_400.0, 2e6), (3_000.0, 1_000.0, 5e4), (3_000.0, 1_500.0, 1e3), (300_000.0, 1_000.0, 2e6)]
    {
        for (text, scale, unit) in MEANS {
            let (mut normal, mut held, mut all) = (Normal(17), 0, 0);
            let sql = match text.split_once(" FROM ") {
                Some((x, from)) => format!("SELECT {x} AS x FROM {from}"),
                None => format!("SELECT {text} AS x FROM r0"),
            };
            for _ in 0..20 {
                let rows: Vec<_> = (0..20)
                    .map(|at| {
                        let total = 241.0 * events + total_sd * normal.next();
                        let count = events + count_sd * normal.next();
                        (format!("v{at}"), vec![(total, total_sd), (count, count_sd)])
                    })
                    .collect();
                let tables = vec![released(totals(), &rows)];
                let (columns, batch) = postprocessor.run(&sql, tables, in_seconds(60)).await.unwrap();
                assert_eq!(columns[0].unit.as_deref(), *unit, "{sql}");
                let (x, low, high) =
                    (numbers(&batch, "x"), numbers(&batch, "x_low"), numbers(&batch, "x_high"));
                for row in 0..x.len() {
                    let (low, high) = (low[row].unwrap(), high[row].unwrap());
                    assert!(low >= 0.0 && high <= 120_000.0 * scale, "{sql}: {low} to {high}");
                    assert!(x[row].is_none_or(|x| low <= x && x <= high), "{sql}");
                    held += u32::from(low <= 241.0 * scale && 241.0 * scale <= high);
                    all += 1;
                }
            }
            assert!(f64::from(held) >= 0.93 * f64::from(all), "{sql} of {events}: {held} of {all}");
        }
    }
}

#[tokio::test]
async fn computed_numbers_have_the_units_of_what_they_are_made_of() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    for (x, unit) in [
        ("a0 + a0", Some("ms")),
        ("a0 - 5", Some("ms")),
        ("a0 / a1", Some("ms per event")),
        ("a0 / 1000", None),
        ("a0 * a1", None),
        ("a0 / a0", None),
        ("a0 + a1", None),
        ("round(coalesce(a0, 0) / 1, 2)", None),
        ("coalesce(abs(a0), 0)", Some("ms")),
        ("a0 - lag(a0) OVER (ORDER BY k0)", Some("ms")),
        ("sum(a0) OVER ()", Some("ms")),
        ("stddev(a1) OVER ()", Some("events")),
        ("CASE WHEN k0 = 'v0' THEN a1 ELSE 0 END", Some("events")),
        ("a1", Some("events")),
    ] {
        let sql = format!("SELECT {x} AS x FROM r0");
        let columns = postprocessor.check(&sql, &[totals()], in_seconds(60)).await.unwrap();
        let units: Vec<_> = columns.iter().map(|column| column.unit.as_deref()).collect();
        assert_eq!(units, vec![unit; columns.len()], "{sql}");
    }
}
