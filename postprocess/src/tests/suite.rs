//! The conformance suite: both places answer the same, and as SQL says.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::ColumnKind::{Deviation, Estimate, High, Key, Low, Value};
use crate::column::ColumnKind;

/// Text, then name and kind of each column of the answer, then rows.
const ANSWERS: &[(&str, &[(&str, ColumnKind)], usize)] = &[
    (
        "SELECT k0 AS day, a0 AS n FROM r0 WHERE k1 = 'DE' ORDER BY n DESC LIMIT 3",
        &[("day", Key), ("n", Estimate), ("n_sd", Deviation), ("n_low", Low), ("n_high", High)],
        3,
    ),
    (
        "SELECT k1 AS country, a1 / a0 AS mean FROM r0",
        &[
            ("country", Key),
            ("mean", Estimate),
            ("mean_sd", Deviation),
            ("mean_low", Low),
            ("mean_high", High),
        ],
        30,
    ),
    (
        "SELECT k0, CASE WHEN a0 > 1100 THEN 'busy' ELSE 'quiet' END AS label FROM r0",
        &[("k0", Key), ("label", Value)],
        30,
    ),
    ("SELECT k0, a0 > 1100 AS busy FROM r0 WHERE a0 > 1100", &[("k0", Key), ("busy", Value)], 14),
    (
        "SELECT k0, k1, row_number() OVER (PARTITION BY k1 ORDER BY a0 DESC) AS place FROM r0",
        &[("k0", Key), ("k1", Key), ("place", Value)],
        30,
    ),
    ("SELECT k0, row_number() OVER (ORDER BY k0, k1) AS nr FROM r0", &[("k0", Key), ("nr", Key)], 30),
    ("SELECT count(*) AS days FROM r0", &[("days", Key)], 1),
    ("SELECT count(*) AS days FROM r0 WHERE a0 > 1100", &[("days", Value)], 1),
    ("SELECT DISTINCT floor(a0 / 100) AS class FROM r0 ORDER BY class", &[("class", Value)], 2),
    (
        "SELECT k0, a0 - lag(a0) OVER (PARTITION BY k1 ORDER BY k0) AS step FROM r0 ORDER BY k0, k1",
        &[("k0", Key), ("step", Estimate), ("step_sd", Deviation), ("step_low", Low), ("step_high", High)],
        30,
    ),
    (
        "WITH w AS (SELECT k1, sum(a0) AS n FROM r0 GROUP BY k1) SELECT k1, n FROM w WHERE n > 10 ORDER BY k1",
        &[("k1", Key), ("n", Estimate), ("n_sd", Deviation), ("n_low", Low), ("n_high", High)],
        2,
    ),
    (
        "SELECT a.k0, a.a0 - b.a0 AS d FROM r0 a JOIN r1 b ON a.k0 = b.k0 AND a.k1 = b.k1 ORDER BY 1",
        &[("k0", Key), ("d", Estimate), ("d_sd", Deviation), ("d_low", Low), ("d_high", High)],
        30,
    ),
    (
        "SELECT k1, a0 AS n FROM r0 UNION ALL SELECT 'both', sum(a0) FROM r0",
        &[("k1", Key), ("n", Estimate), ("n_sd", Deviation), ("n_low", Low), ("n_high", High)],
        31,
    ),
    (
        "SELECT k0, a0 / (SELECT sum(a0) FROM r0) AS share FROM r0",
        &[
            ("k0", Key),
            ("share", Estimate),
            ("share_sd", Deviation),
            ("share_low", Low),
            ("share_high", High),
        ],
        30,
    ),
    ("SELECT k0 FROM r0 WHERE a0 > (SELECT avg(a0) FROM r0) ORDER BY k0", &[("k0", Key)], 14),
    (
        "SELECT DISTINCT k1 FROM r0 WHERE k0 IN (SELECT k0 FROM r1 WHERE k1 = 'US') ORDER BY k1",
        &[("k1", Key)],
        2,
    ),
    ("SELECT k1 FROM r0 EXCEPT SELECT 'US' ORDER BY 1", &[("k1", Key)], 1),
    (
        "SELECT date_trunc('month', k0) AS month, avg(a1) AS ms FROM r0 GROUP BY 1 HAVING count(*) > 1 ORDER BY 1",
        &[("month", Key), ("ms", Estimate), ("ms_sd", Deviation), ("ms_low", Low), ("ms_high", High)],
        1,
    ),
    (
        "SELECT upper(left(k1, 1)) || '-' AS c, extract(dow FROM k0) AS dow, k0 + INTERVAL '1 day' AS next FROM r0 LIMIT 2 OFFSET 1",
        &[("c", Key), ("dow", Key), ("next", Key)],
        2,
    ),
    ("SELECT 1 AS one", &[("one", Key)], 1),
    (
        "SELECT CASE WHEN a0 > 1100 THEN 'busy' ELSE 'quiet' END AS label, count(*) AS days, max(a1) AS ms FROM r0 GROUP BY 1",
        &[
            ("label", Value),
            ("days", Value),
            ("ms", Estimate),
            ("ms_sd", Deviation),
            ("ms_low", Low),
            ("ms_high", High),
        ],
        2,
    ),
    (
        "SELECT coalesce(a.k0, b.k0) AS day, coalesce(a.a0, 0) + coalesce(b.a0, 0) AS n FROM r0 a FULL JOIN (SELECT * FROM r1 WHERE k1 = 'DE') b USING (k0, k1)",
        &[("day", Key), ("n", Estimate), ("n_sd", Deviation), ("n_low", Low), ("n_high", High)],
        30,
    ),
    (
        "SELECT k0, 100 * (a0 / lag(a0) OVER w - 1) AS growth FROM r0 WINDOW w AS (PARTITION BY k1 ORDER BY k0)",
        &[
            ("k0", Key),
            ("growth", Estimate),
            ("growth_sd", Deviation),
            ("growth_low", Low),
            ("growth_high", High),
        ],
        30,
    ),
    (
        "SELECT k0 FROM r0 WHERE EXISTS (SELECT 1 FROM r1 WHERE r1.k0 = r0.k0 AND r1.a0 > 1150) ORDER BY k0",
        &[("k0", Key)],
        12,
    ),
    ("SELECT k0 FROM r0 WHERE a0 > (SELECT avg(a0) FROM r1 WHERE r1.k1 = r0.k1)", &[("k0", Key)], 15),
    (
        "SELECT k0 - DATE '2024-10-01' AS since, k0 + INTERVAL '1 hour' AS t FROM r0 LIMIT 1",
        &[("since", Key), ("t", Key)],
        1,
    ),
    (
        "SELECT stddev(a0) FILTER (WHERE k1 = 'DE') AS s FROM r0",
        &[("s", Estimate), ("s_sd", Deviation), ("s_low", Low), ("s_high", High)],
        1,
    ),
    (
        "SELECT k0, total FROM (SELECT k0, k1, sum(sum(a0)) OVER (ORDER BY k0) AS total FROM r0 GROUP BY k0, k1) WHERE k1 = 'DE'",
        &[
            ("k0", Key),
            ("total", Estimate),
            ("total_sd", Deviation),
            ("total_low", Low),
            ("total_high", High),
        ],
        15,
    ),
    (
        "SELECT x.k1, x.n, y.place FROM (SELECT k1, sum(a0) AS n FROM r0 GROUP BY k1) x JOIN (VALUES ('DE', 1), ('US', 2)) AS y (k1, place) ON x.k1 = y.k1",
        &[
            ("k1", Key),
            ("n", Estimate),
            ("n_sd", Deviation),
            ("n_low", Low),
            ("n_high", High),
            ("place", Key),
        ],
        2,
    ),
];

async fn conforms(postprocessor: &Postprocessor) {
    for (sql, columns, rows) in ANSWERS {
        let checked = match postprocessor.check(sql, &schemas(), in_seconds(20)).await {
            Ok(checked) => checked,
            Err(error) => panic!("{sql}: {error}"),
        };
        let (ran, batch) =
            postprocessor.run(sql, tables(), in_seconds(20)).await.unwrap_or_else(|_| panic!("{sql} failed"));
        assert_eq!(checked, ran, "{sql}");
        let is: Vec<(&str, ColumnKind)> = ran.iter().map(|c| (c.name.as_str(), c.kind)).collect();
        assert_eq!(&is, columns, "{sql}");
        assert_eq!(batch.num_rows(), *rows, "{sql}");
        let names: Vec<String> = batch.schema().fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names, ran.iter().map(|c| c.name.clone()).collect::<Vec<_>>(), "{sql}");
    }
    let error =
        postprocessor.check("SELECT k0 + k1 AS x FROM r0", &schemas(), in_seconds(20)).await.unwrap_err();
    assert!(matches!(error, PostprocessError::Refused(_)), "{error}");
    assert!(postprocessor.run("SELECT nothing FROM r0", tables(), in_seconds(20)).await.is_err());
    assert!(postprocessor.run("SELECT 1 / (k0 - k0) AS x FROM r9", tables(), in_seconds(20)).await.is_err());
}

#[tokio::test]
async fn in_process_conforms() {
    conforms(&Postprocessor::in_process(Limits::default())).await;
}

#[tokio::test]
async fn workers_conform() {
    conforms(&workers()).await;
}

#[tokio::test]
async fn both_answer_the_same_bytes() {
    let (here, there) = (Postprocessor::in_process(Limits::default()), workers());
    for (sql, ..) in ANSWERS {
        let (here, there) =
            (here.run(sql, tables(), in_seconds(20)).await, there.run(sql, tables(), in_seconds(20)).await);
        assert_eq!(here.unwrap(), there.unwrap(), "{sql}");
    }
}

#[tokio::test]
async fn a_released_number_keeps_its_deviation_unit_and_order() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let sql = "SELECT x.n, x.k0, t FROM (SELECT k0, a0 AS n, a1 AS t FROM r0) x WHERE x.n > 0";
    let (columns, batch) = postprocessor.run(sql, tables(), in_seconds(20)).await.unwrap();
    assert_eq!(
        columns.iter().map(|c| c.unit.as_deref()).collect::<Vec<_>>(),
        [
            Some("events"),
            Some("events"),
            Some("events"),
            Some("events"),
            None,
            Some("ms"),
            Some("ms"),
            Some("ms"),
            Some("ms"),
        ]
    );
    assert_eq!(batch.column(0).data_type(), &DataType::Int64);
    assert_eq!(numbers(&batch, "n_sd"), vec![Some(20.0); 30]);
    assert_eq!(numbers(&batch, "t_sd"), vec![Some(500.0); 30]);
    let released = tables().remove(0).batch;
    assert_eq!(numbers(&batch, "n"), numbers(&released, "a0"));
    assert_eq!(numbers(&batch, "n_low")[0], Some((1_000.0_f64 - 1.96 * 20.0).floor()));
    // Equal rows stay in the order of the release.
    let sql = "SELECT k0, k1 FROM r0 ORDER BY CASE WHEN k1 = 'US' THEN 0 ELSE 1 END LIMIT 20";
    let (_, batch) = postprocessor.run(sql, tables(), in_seconds(20)).await.unwrap();
    let days = texts(&batch, "k0");
    assert!(days[..15].windows(2).all(|pair| pair[0] < pair[1]), "{days:?}");
    assert_eq!(texts(&batch, "k1")[14..16], ["US", "DE"]);
}
