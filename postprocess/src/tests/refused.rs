//! Texts that the gate refuses, with the rule, and the schemas that they are over.
//!
//! The query crate's tests use the same file: what it needs comes from the module that it stands in.

use shoal_language::{Rule, Type};

use super::{KeyColumn, NumberColumn, ReleasedSchema};

pub(super) const REFUSED: &[(&str, Rule)] = &[
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

/// A key without a unit.
pub(super) fn key(name: &str, ty: Type) -> KeyColumn {
    KeyColumn { name: name.to_owned(), ty, unit: None }
}

/// Days, countries, events (whole, of 20) and a time per event.
pub(super) fn usage(name: &str) -> ReleasedSchema {
    let number = |name: &str, unit: &str, scale| NumberColumn {
        name: name.to_owned(),
        unit: Some(unit.to_owned()),
        scale,
        withheld: None,
    };
    ReleasedSchema {
        name: name.to_owned(),
        keys: vec![key("k0", Type::Day), key("k1", Type::Text)],
        numbers: vec![number("a0", "events", 0), number("a1", "ms", 3)],
        shown_from: None,
        left_out: false,
    }
}

pub(super) fn schemas() -> Vec<ReleasedSchema> {
    vec![usage("r0"), usage("r1")]
}
