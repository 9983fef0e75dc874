//! Error bars against simulation, and where they are exact.
#![allow(clippy::unwrap_used)]

use super::*;

/// A fixed stream of numbers from a normal distribution (mean 0, deviation 1).
pub(super) struct Normal(pub(super) u64);

impl Normal {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    pub(super) fn next(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

const ROWS: usize = 30;

fn noisy(name: &str, normal: &mut Normal) -> ReleasedTable {
    let noise: Vec<[f64; 2]> = (0..ROWS).map(|_| [normal.next(), normal.next()]).collect();
    table(name, 15, |row, column| noise[row][column])
}

/// Deviations of a column `x` of many simulated releases, and the mean of the deviations that were stated.
async fn simulated(postprocessor: &Postprocessor, sql: &str, worlds: usize) -> (Vec<f64>, Vec<f64>, f64) {
    let mut normal = Normal(7);
    let exact = numbers(&postprocessor.run(sql, tables(), in_seconds(60)).await.unwrap().1, "x");
    let (mut squares, mut stated) = (vec![0.0; exact.len()], vec![0.0; exact.len()]);
    let (mut covered, mut all) = (0.0, 0.0);
    for _ in 0..worlds {
        let worlds = vec![noisy("r0", &mut normal), noisy("r1", &mut normal)];
        let (_, batch) = postprocessor.run(sql, worlds, in_seconds(60)).await.unwrap();
        let (x, sd) = (numbers(&batch, "x"), numbers(&batch, "x_sd"));
        let (low, high) = (numbers(&batch, "x_low"), numbers(&batch, "x_high"));
        for row in 0..exact.len() {
            let (Some(exact), Some(x), Some(sd)) = (exact[row], x[row], sd[row]) else { continue };
            squares[row] += (x - exact) * (x - exact);
            stated[row] += sd;
            covered += f64::from(u8::from(low[row].unwrap() <= exact && exact <= high[row].unwrap()));
            all += 1.0;
        }
    }
    let worlds = worlds as f64;
    let spread = squares.into_iter().map(|s| (s / worlds).sqrt()).collect();
    (spread, stated.into_iter().map(|s| s / worlds).collect(), covered / all)
}

/// Text; how far the stated deviation may be from the simulated one.
const LINEAR: &[(&str, f64)] = &[
    ("SELECT k0, a0 - lag(a0) OVER (PARTITION BY k1 ORDER BY k0) AS x FROM r0 ORDER BY k1, k0", 0.15),
    ("SELECT sum(a0) OVER (PARTITION BY k1 ORDER BY k0 ROWS 6 PRECEDING) AS x FROM r0 ORDER BY k1, k0", 0.25),
    ("SELECT sum(a0) AS x FROM r0 GROUP BY k1 ORDER BY k1", 0.3),
    ("SELECT avg(a1) AS x FROM r0", 0.3),
    ("SELECT a.a0 - b.a0 AS x FROM r0 a JOIN r1 b ON a.k0 = b.k0 AND a.k1 = b.k1 ORDER BY a.k0, a.k1", 0.15),
    (
        "SELECT x FROM (SELECT k0, k1, a0 AS x FROM r0 UNION ALL SELECT k0, k1, 2 * a0 FROM r1) ORDER BY k0, k1, x",
        0.15,
    ),
    ("SELECT a0 - (SELECT avg(a0) FROM r0) AS x FROM r0 ORDER BY k0, k1", 0.15),
];

#[tokio::test]
async fn linear_combinations_across_rows_have_the_deviation_that_simulation_shows() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    for (sql, tolerance) in LINEAR {
        let (spread, stated, _) = simulated(&postprocessor, sql, 60).await;
        let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
        let ratio = mean(&stated) / mean(&spread);
        assert!((ratio - 1.0).abs() < *tolerance, "{sql}: {ratio}");
        for (row, (spread, stated)) in spread.iter().zip(&stated).enumerate() {
            let is_first = *spread == 0.0 && *stated == 0.0;
            assert!(
                is_first || (0.6..1.6).contains(&(stated / spread)),
                "{sql} row {row}: {stated} for {spread}"
            );
        }
    }
}

#[tokio::test]
async fn a_linear_expression_of_one_row_is_exact() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let sql = "SELECT 3 * a0 - a1 / 10 + 7 AS x, (a0 + a1) * 2 AS y, a0 * 1 AS z FROM r0";
    let (_, batch) = postprocessor.run(sql, tables(), in_seconds(20)).await.unwrap();
    for (name, sd) in [
        ("x_sd", (3_600.0_f64 + 2_500.0).sqrt()),
        ("y_sd", 2.0 * (400.0_f64 + 250_000.0).sqrt()),
        ("z_sd", 20.0),
    ] {
        assert!(numbers(&batch, name).iter().all(|is| (is.unwrap() / sd - 1.0).abs() < 1e-9), "{name}");
    }
}

#[tokio::test]
async fn a_difference_of_neighbours_and_of_releases_is_exact() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let sd = 20.0 * 2.0_f64.sqrt();
    let sql = "SELECT a0 - lag(a0) OVER (ORDER BY k0) AS x FROM r0 WHERE k1 = 'DE'";
    let (_, batch) = postprocessor.run(sql, tables(), in_seconds(20)).await.unwrap();
    let deviations = numbers(&batch, "x_sd");
    assert_eq!(deviations[0], None);
    assert!(deviations[1..].iter().all(|is| (is.unwrap() / sd - 1.0).abs() < 0.3), "{deviations:?}");
    let sql = "SELECT a.a0 - b.a0 AS x FROM r0 a JOIN r1 b USING (k0, k1)";
    let (_, batch) = postprocessor.run(sql, tables(), in_seconds(20)).await.unwrap();
    let deviations = numbers(&batch, "x_sd");
    assert!(deviations.iter().all(|is| (is.unwrap() / sd - 1.0).abs() < 0.3), "{deviations:?}");
    // The same number twice: its noise goes away.
    let sql = "SELECT a.a0 - b.a0 AS x FROM r0 a JOIN r0 b ON a.k0 = b.k0 AND a.k1 = b.k1";
    let (_, batch) = postprocessor.run(sql, tables(), in_seconds(20)).await.unwrap();
    assert_eq!(numbers(&batch, "x_sd"), vec![Some(0.0); 30]);
}

#[tokio::test]
async fn intervals_of_a_ratio_cover() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    for sql in
        ["SELECT a1 / a0 AS x FROM r0 ORDER BY k0, k1", "SELECT sum(a1) / sum(a0) AS x FROM r0 GROUP BY k1"]
    {
        let (_, _, covered) = simulated(&postprocessor, sql, 80).await;
        assert!((0.91..0.985).contains(&covered), "{sql}: {covered}");
    }
}

#[tokio::test]
async fn what_is_not_known_is_null() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let sql = "SELECT CASE WHEN a0 - 1000 > 0 THEN a1 / (a0 - 1000) END AS x FROM r0 ORDER BY k0, k1 LIMIT 2";
    let (_, batch) = postprocessor.run(sql, tables(), in_seconds(20)).await.unwrap();
    assert_eq!(numbers(&batch, "x")[0], None);
    assert!(numbers(&batch, "x")[1].is_some() && numbers(&batch, "x_sd")[1].is_some());
    let sql = "SELECT a1 / (a0 - 1020) AS x FROM r0 ORDER BY k0, k1 LIMIT 1";
    let (_, batch) = postprocessor.run(sql, tables(), in_seconds(20)).await.unwrap();
    assert_eq!(numbers(&batch, "x_sd"), [None]);
    assert_eq!(numbers(&batch, "x_low"), [None]);
}

/// The interval that a release states is shown as it is, bare and in a union; that of what is computed from the number is not.
#[tokio::test]
async fn the_interval_of_a_released_number_is_the_releases_own() {
    let uneven = |name: &str| {
        let mut table = table(name, 15, |_, _| 0.0);
        let mut columns = table.batch.columns().to_vec();
        let last = columns.len() - 1; // the upper ends of a1
        columns[last] = Arc::new(Float64Array::from_value(90_000.0, table.batch.num_rows()));
        table.batch = RecordBatch::try_new(table.batch.schema(), columns).unwrap();
        table
    };
    let postprocessor = Postprocessor::in_process(Limits::default());
    for (sql, is_own) in [
        ("SELECT a1 AS x FROM r0", true),
        ("SELECT x FROM (SELECT a1 AS x, k0 FROM r0) t WHERE k0 IS NOT NULL", true),
        ("SELECT a1 AS x FROM r0 UNION ALL SELECT a1 FROM r1", true),
        ("SELECT a1 + 0.5 AS x FROM r0", false),
    ] {
        let (_, batch) =
            postprocessor.run(sql, vec![uneven("r0"), uneven("r1")], in_seconds(60)).await.unwrap();
        assert!(batch.num_rows() >= 30, "{sql}");
        for high in numbers(&batch, "x_high") {
            assert_eq!(high == Some(90_000.0), is_own, "{sql}: {high:?}");
        }
        let pairs = numbers(&batch, "x").into_iter().zip(numbers(&batch, "x_low"));
        for (x, low) in pairs {
            assert!((x.unwrap() - low.unwrap() - 1.96 * 500.0).abs() < 2.0, "{sql}: {x:?} from {low:?}");
        }
    }
}
