//! Texts that are refused, with the rule.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::error::Rule;

const REFUSED: &[(&str, Rule)] = &[
    ("SELECT * FROM r9", Rule::Table),
    ("SELECT a7 FROM r0", Rule::Column),
    ("SELECT a0 FROM r0 JOIN r1 ON r0.k0 = r1.k0", Rule::Column),
    ("SELECT a0 AS n, a1 AS n_sd FROM r0", Rule::Name),
    ("SELECT k0, k0 FROM r0", Rule::Name),
    ("SELECT r0.k0, r1.k0 FROM r0 JOIN r1 ON r0.k1 = r1.k1", Rule::Name),
    ("SELECT a0 AS \"~1.0\" FROM r0", Rule::Name),
    ("SELECT repeat(k1, 100000000) AS x FROM r0", Rule::Type),
    ("SELECT lpad(k1, 100000000) AS x FROM r0", Rule::Type),
    ("SELECT now() AS x", Rule::Type),
    ("SELECT random() AS x FROM r0", Rule::Type),
    ("SELECT array_agg(k1) AS x FROM r0", Rule::Type),
    ("SELECT k1 FROM r0 WHERE k1 ~ 'a.*'", Rule::Expression),
    ("SELECT k1 FROM r0 WHERE k1 LIKE k1", Rule::Expression),
    ("SELECT k1 FROM r0 WHERE k1 SIMILAR TO 'a'", Rule::Expression),
    ("SELECT k1, sum(a0) AS n FROM r0 GROUP BY ROLLUP (k1)", Rule::Expression),
    ("SELECT DISTINCT ON (k1) k1, a0 FROM r0", Rule::Clause),
    ("SELECT * FROM generate_series(1, 100000000)", Rule::Clause),
    ("WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n) SELECT x FROM n", Rule::Clause),
    ("SELECT k0, (SELECT sum(a0) FROM r1 WHERE r1.k0 = r0.k0) AS n FROM r0", Rule::Expression),
    ("SELECT (SELECT a0 FROM r1) AS n FROM r0", Rule::Expression),
    ("SELECT a0 AS n FROM r0; SELECT a0 AS n FROM r0", Rule::Statement),
    ("SELECT (a0 FROM r0", Rule::Syntax),
    ("EXPLAIN SELECT a0 AS n FROM r0", Rule::Statement),
    ("EXPLAIN ANALYZE SELECT a0 AS n FROM r0", Rule::Statement),
    ("CREATE TABLE t AS SELECT a0 AS n FROM r0", Rule::Statement),
    ("INSERT INTO r0 SELECT * FROM r1", Rule::Statement),
    ("COPY r0 TO '/tmp/x'", Rule::Statement),
    ("SET a = 1", Rule::Statement),
    ("SELECT * FROM information_schema.tables", Rule::Table),
    ("SELECT $1 AS x", Rule::Expression),
    ("SELECT k1 + a0 AS x FROM r0", Rule::Type),
    ("SELECT CAST('x' AS date) AS x FROM r0", Rule::Type),
    ("SELECT k0 FROM r0 WHERE a0", Rule::Type),
    ("SELECT ARRAY[1, 2] AS x", Rule::Clause),
];

#[tokio::test]
async fn what_is_not_on_a_list_is_refused() {
    let above = Above::in_process(Limits::default());
    let mut wrong = Vec::new();
    for (sql, rule) in REFUSED {
        match above.check(sql, &schemas(), in_seconds(20)).await {
            Err(QueryError::Refused(refusal)) if refusal.rule == *rule => {
                assert!(!refusal.message.is_empty() && refusal.message.len() < 400, "{refusal}");
            }
            other => wrong.push(format!("{sql}: {other:?}")),
        }
        assert!(above.run(sql, tables(), in_seconds(20)).await.is_err(), "{sql}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn what_the_gate_suggests_is_accepted() {
    let (above, engine) = (Above::in_process(Limits::default()), crate::tests::engine());
    let grant = crate::tests::grant(shoal_schemas::Region::ALL);
    let mut suggested = std::collections::BTreeSet::from([super::super::SETS.to_owned()]);
    for (sql, _) in REFUSED {
        let Err(QueryError::Refused(refusal)) = above.check(sql, &schemas(), in_seconds(20)).await else {
            panic!("accepted: {sql}");
        };
        suggested.insert(refusal.suggestion);
    }
    for sql in suggested {
        let request = crate::QueryRequest { dry_run: true, ..crate::tests::request(&sql) };
        let answer = engine.answer(&grant, &request, crate::tests::now_ms()).await;
        assert!(answer.is_ok(), "{sql}: {:?}", answer.err());
    }
}
