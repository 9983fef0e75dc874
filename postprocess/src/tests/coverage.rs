//! Intervals of numbers that jump, that are rounded or bounded, and of the largest of many: against simulation.
#![allow(clippy::unwrap_used)]

use super::noise::Normal;
use super::refused::key;
use super::withheld::released;
use super::*;
use crate::NumberColumn;
use shoal_language::Type;

const SD: f64 = 16.0;
const WORLDS: usize = 200;

/// Two counts by a text.
fn counts() -> ReleasedSchema {
    let number = |name: &str| NumberColumn {
        name: name.to_owned(),
        unit: Some("events".to_owned()),
        scale: 0,
        withheld: None,
    };
    ReleasedSchema {
        name: "r0".to_owned(),
        keys: vec![key("k0", Type::Text)],
        numbers: vec![number("a0"), number("a1")],
        shown_from: None,
        left_out: false,
    }
}

/// Groups of these counts, with noise of so many deviations.
fn groups(truth: &[(f64, f64)], sd: f64, noise: &mut impl FnMut() -> f64) -> Vec<ReleasedTable> {
    let rows: Vec<_> = truth
        .iter()
        .enumerate()
        .map(|(at, (a, b))| (format!("v{at:02}"), vec![(a + sd * noise(), sd), (b + sd * noise(), sd)]))
        .collect();
    vec![released(counts(), &rows)]
}

/// How often the interval of `x` holds what it is without noise, and the mean of its width.
async fn covered(sql: &str, truth: &[(f64, f64)]) -> (f64, f64) {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let exact = postprocessor.run(sql, groups(truth, 0.0, &mut || 0.0), in_seconds(60)).await.unwrap().1;
    let exact = numbers(&exact, "x");
    let mut normal = Normal(29);
    let (mut held, mut all, mut width) = (0.0, 0.0, 0.0);
    for _ in 0..WORLDS {
        let tables = groups(truth, SD, &mut || normal.next());
        let (_, batch) = postprocessor.run(sql, tables, in_seconds(60)).await.unwrap();
        let (low, high) = (numbers(&batch, "x_low"), numbers(&batch, "x_high"));
        for (row, exact) in exact.iter().enumerate() {
            let (Some(low), Some(high), Some(exact)) = (low[row], high[row], *exact) else { continue };
            held += f64::from(u8::from(low - 1e-9 <= exact && exact <= high + 1e-9));
            width += high - low;
            all += 1.0;
        }
    }
    assert!(all > 0.0, "{sql} has no number");
    (held / all, width / all)
}

/// Counts around 870 and 900, so that noise crosses what the texts below compare them with.
const NEAR: [(f64, f64); 6] =
    [(866.0, 870.0), (888.0, 880.0), (899.0, 905.0), (871.0, 851.0), (903.0, 901.0), (850.0, 899.0)];

const JUMPS: &[&str] = &[
    "SELECT sum(CASE WHEN a0 > 870 THEN 1 ELSE 0 END) AS x FROM r0",
    "SELECT count(*) + sum(CASE WHEN a0 > a1 THEN 1 ELSE 0 END) AS x FROM r0",
    "SELECT sum(CASE WHEN a0 > 870 THEN a0 ELSE 0 END) AS x FROM r0",
    "SELECT sum(b) AS x FROM (SELECT k0, CASE WHEN a0 BETWEEN 860 AND 900 THEN 1 ELSE 0 END * a1 / a1 AS b FROM r0) t",
    "SELECT CASE WHEN a0 > 870 THEN a0 * 2 ELSE a1 END AS x FROM r0 ORDER BY k0",
    "SELECT CASE WHEN a0 > a1 THEN a0 + a1 ELSE 0 END AS x FROM r0 ORDER BY k0",
    "SELECT floor(a0 / 100) * 100 AS x FROM r0 ORDER BY k0",
    "SELECT -ceil(a0 / 100) AS x FROM r0 ORDER BY k0",
    "SELECT CAST(a0 AS bigint) / 100 AS x FROM r0 ORDER BY k0",
    "SELECT trunc(a0, -2) AS x FROM r0 ORDER BY k0",
    "SELECT round(a0, -2) AS x FROM r0 ORDER BY k0",
    "SELECT sum(floor(a0 / 100)) AS x FROM r0",
    "SELECT floor((a0 + a1) / 100) AS x FROM r0 ORDER BY k0",
    "SELECT round(100 * a0 / a1) AS x FROM r0 ORDER BY k0",
    "SELECT round(100 * a0 / a1, -1) AS x FROM r0 ORDER BY k0",
    "SELECT CAST(a0 + a1 AS bigint) / 100 AS x FROM r0 ORDER BY k0",
    "SELECT least(a0, 870) AS x FROM r0 ORDER BY k0",
    "SELECT greatest(870, a0) AS x FROM r0 ORDER BY k0",
    "SELECT greatest(a0, a1) AS x FROM r0 ORDER BY k0",
    "SELECT least(a0 + a1, 1750) AS x FROM r0 ORDER BY k0",
    "SELECT sum(greatest(a0 - a1, 0)) AS x FROM r0",
];

#[tokio::test]
async fn numbers_that_jump_have_intervals_that_hold_the_truth() {
    let mut wrong = Vec::new();
    for sql in JUMPS {
        let (held, width) = covered(sql, &NEAR).await;
        if held < 0.93 || width <= 0.0 {
            wrong.push(format!("{sql}: {held}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Conditions that noise does not cross cost nothing.
#[tokio::test]
async fn far_from_a_step_an_interval_is_as_wide_as_without_it() {
    let truth: Vec<(f64, f64)> = (0..30).map(|at| (1_000.0 + f64::from(at), 2_000.0)).collect();
    for (sql, plain) in [
        ("SELECT sum(CASE WHEN a0 > 100 THEN a0 ELSE 0 END) AS x FROM r0", "SELECT sum(a0) AS x FROM r0"),
        ("SELECT CASE WHEN a0 > 0 THEN a1 / a0 END AS x FROM r0", "SELECT a1 / a0 AS x FROM r0"),
        ("SELECT sum(greatest(a0, 0)) AS x FROM r0", "SELECT sum(a0) AS x FROM r0"),
        ("SELECT greatest(a0 + a1, 0) AS x FROM r0", "SELECT a0 + a1 AS x FROM r0"),
    ] {
        let (stepped, plain) = (covered(sql, &truth).await.1, covered(plain, &truth).await.1);
        assert!((stepped / plain - 1.0).abs() < 0.02, "{sql}: {stepped} for {plain}");
    }
}

#[tokio::test]
async fn the_largest_and_the_smallest_of_equal_groups_are_held() {
    for groups in [1, 2, 5, 10, 30] {
        let truth = vec![(900.0, 800.0); groups];
        for x in ["max(a0)", "min(a0)", "max(a0 - a1)", "max(2 * a0) / 2", "min(round(a0, -1))"] {
            let sql = format!("SELECT {x} AS x FROM r0");
            let (held, _) = covered(&sql, &truth).await;
            assert!(held >= 0.93, "{sql} of {groups}: {held}");
        }
    }
    let (_, one) = covered("SELECT k0, max(a0) AS x FROM r0 GROUP BY k0", &[(900.0, 800.0); 3]).await;
    assert!(one < 2.1 * 2.0 * Z_95 * SD, "one group is not much wider than itself: {one}");
}

/// Where an interval does not say all, a note does.
#[tokio::test]
async fn what_noise_chose_has_a_note() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    for (sql, is_noted) in [
        ("SELECT sum(a0) AS x FROM r0 WHERE a0 > 870", true),
        ("SELECT sum(a0) AS x FROM (SELECT a0 FROM r0 ORDER BY a0 DESC LIMIT 3) t", true),
        ("SELECT k0, max(a0) OVER () AS x FROM r0", true),
        ("SELECT first_value(a0) OVER (ORDER BY a0 DESC) AS x FROM r0", true),
        ("SELECT stddev(a0) AS x FROM r0", true),
        (
            "SELECT CASE WHEN place <= 2 THEN a0 ELSE 0 END AS x FROM (SELECT a0, row_number() OVER (ORDER BY a0) AS place FROM r0) t",
            true,
        ),
        (
            "SELECT CASE WHEN s > 3 THEN a0 ELSE 0 END AS x FROM (SELECT a0, floor(a0 / 100) AS s FROM r0) t",
            true,
        ),
        ("SELECT max(CASE WHEN a0 > 870 THEN 1 ELSE 0 END) AS x FROM r0", true),
        ("SELECT sum(a0) AS x FROM r0", false),
        ("SELECT max(a0) AS x FROM r0", false),
        ("SELECT floor(a0 / a1) AS x FROM r0", false),
        ("SELECT k0, a0 AS x FROM r0 WHERE a0 > 870", false),
    ] {
        let columns = postprocessor.check(sql, &[counts()], in_seconds(60)).await.unwrap();
        let x = columns.iter().find(|column| column.name == "x").unwrap();
        assert_eq!((x.kind, x.note.is_some()), (ColumnKind::Estimate, is_noted), "{sql}: {:?}", x.note);
    }
}

/// A mean of which every event has the value of a bound.
#[tokio::test]
async fn a_mean_at_its_bound_keeps_an_interval() {
    let mean = "CASE WHEN a1 > 0 THEN least(greatest(a0 / a1 + 0.0, 0), 1) END";
    let other = mean.replace("a0 /", "(a0 + 0) /");
    for (sql, truth) in [
        (format!("SELECT {mean} AS x FROM r0"), 1.0),
        (format!("SELECT 100 * {mean} AS x FROM r0"), 100.0),
        (format!("SELECT {mean} + {other} AS x FROM r0"), 2.0),
    ] {
        let postprocessor = Postprocessor::in_process(Limits::default());
        let mut normal = Normal(31);
        let (mut held, mut all) = (0.0, 0.0);
        for _ in 0..40 {
            let tables = groups(&[(900.0, 900.0); 20], SD, &mut || normal.next());
            let (_, batch) = postprocessor.run(&sql, tables, in_seconds(60)).await.unwrap();
            let of = |name| numbers(&batch, name).into_iter().map(Option::unwrap);
            for ((sd, low), high) in of("x_sd").zip(of("x_low")).zip(of("x_high")) {
                // A ratio of two numbers of which each is known to within 2 %.
                assert!(sd > 0.01 * truth && high - low > 0.02 * truth, "{sql}: {low} to {high}, {sd}");
                held += f64::from(u8::from(low <= truth && truth <= high));
                all += 1.0;
            }
        }
        assert!(held / all >= 0.93, "{sql}: {}", held / all);
    }
}
