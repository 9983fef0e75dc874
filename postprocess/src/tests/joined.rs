//! Joins: keys that noise picks, and rows that a join can make.
#![allow(clippy::unwrap_used)]

use super::*;
use shoal_language::Rule;

/// Rows of the text, as a series of numbers is written.
fn series(rows: usize) -> String {
    let rows: Vec<String> = (1..=rows).map(|x| format!("({x})")).collect();
    format!("(VALUES {}) AS", rows.join(", "))
}

#[tokio::test]
async fn a_key_that_is_compared_with_noise_is_a_value() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let few = series(1_200);
    for (sql, kind) in [
        (format!("SELECT t.k0, g.x FROM r0 t JOIN {few} g(x) ON g.x = t.a0"), ColumnKind::Value),
        (format!("SELECT t.k0, g.x + 0 AS x FROM r0 t JOIN {few} g(x) ON t.a0 = g.x"), ColumnKind::Value),
        (format!("SELECT t.k0, g.x FROM r0 t LEFT JOIN {few} g(x) ON g.x = t.a0"), ColumnKind::Value),
        (format!("SELECT t.k0, g.x FROM r0 t, {few} g(x) WHERE g.x = t.a0"), ColumnKind::Value),
        (format!("SELECT g.x FROM r0 t, {few} g(x) WHERE g.x BETWEEN t.a0 AND t.a0 + 1"), ColumnKind::Value),
        (
            format!("SELECT g.x FROM r0 t JOIN {few} g(x) ON g.x <= t.a0 AND g.x > t.a0 - 1"),
            ColumnKind::Value,
        ),
        (
            format!("SELECT g.y AS x FROM r0 t JOIN (SELECT x, 2 * x AS y FROM {few} s(x)) g ON g.x = t.a0"),
            ColumnKind::Value,
        ),
        (
            format!("SELECT h.x FROM r0 t JOIN {few} g(x) ON g.x = t.a0 JOIN {few} h(x) ON h.x = g.x"),
            ColumnKind::Value,
        ),
        (format!("SELECT x FROM {few} g(x) WHERE x IN (SELECT a0 FROM r0)"), ColumnKind::Value),
        (
            format!("SELECT x FROM {few} g(x) WHERE EXISTS (SELECT 1 FROM r0 WHERE r0.a0 = g.x)"),
            ColumnKind::Value,
        ),
        (format!("SELECT x FROM {few} g(x) INTERSECT SELECT a0 FROM r0"), ColumnKind::Value),
        (
            format!("SELECT x FROM (SELECT t.a0, g.x FROM r0 t CROSS JOIN {few} g(x)) q WHERE x = a0"),
            ColumnKind::Value,
        ),
        // What only chooses rows leaves keys what they are.
        ("SELECT k1 AS x FROM r0 WHERE a0 > 1100".to_owned(), ColumnKind::Key),
        ("SELECT a.k1 AS x FROM r0 a JOIN r1 b ON a.k0 = b.k0 AND a.a0 > b.a0".to_owned(), ColumnKind::Key),
        (
            "SELECT a.k1 AS x FROM r0 a JOIN r1 b ON a.k0 = b.k0 WHERE a.a0 > 5 OR b.k1 = 'DE'".to_owned(),
            ColumnKind::Key,
        ),
        (format!("SELECT g.x FROM r0 t JOIN {few} g(x) ON extract(day FROM t.k0) = g.x"), ColumnKind::Key),
    ] {
        let columns = postprocessor.check(&sql, &schemas(), in_seconds(60)).await.unwrap();
        let shown = if sql.len() > 400 { "a statement over a series" } else { sql.as_str() };
        let end = &sql[sql.len().saturating_sub(120)..];
        let x = columns.iter().find(|column| column.name == "x").unwrap();
        assert_eq!((x.kind, x.note.is_some()), (kind, kind == ColumnKind::Value), "{shown}: {end}");
    }
}

async fn refused(postprocessor: &Postprocessor, sql: &str) -> Option<String> {
    match postprocessor.check(sql, &schemas(), in_seconds(60)).await {
        Ok(_) => None,
        Err(PostprocessError::Refused(refusal)) if refusal.rule == Rule::Size => Some(refusal.message),
        Err(other) => panic!("{other}"),
    }
}

/// Before there is any row of a release, which is what a dry run comes to.
#[tokio::test]
async fn joins_that_can_make_very_many_rows_are_refused_before_they_run() {
    let postprocessor = Postprocessor::in_process(Limits::default());
    let many = series(3_000);
    let one = format!("(SELECT x, 1 AS k FROM {many} q(x))");
    // As `generate_series` is written.
    let texts: Vec<String> = (1..=3_000).map(|x| format!("('{x}')")).collect();
    let texts =
        format!("WITH s AS (SELECT CAST(v AS bigint) AS v FROM (VALUES {}) AS t(v))", texts.join(", "));
    let of_texts =
        |on: &str| format!("{texts} SELECT count(*) AS n FROM s a JOIN s b ON {on} JOIN r0 c ON c.k1 <> ''");
    for sql in [
        of_texts("a.v % 1 = b.v % 1"),
        format!(
            "SELECT count(*) AS n FROM {one} a JOIN {one} b ON a.k = b.k JOIN {one} d ON b.k = d.k JOIN r0 c ON c.k1 <> ''"
        ),
        format!("SELECT count(*) AS n FROM {many} a(x) JOIN {many} b(x) ON a.x % 1 = b.x % 1"),
        format!(
            "SELECT count(*) AS n FROM {many} a(x) JOIN {many} b(x) ON CAST(a.x / 100000 AS int) = b.x - b.x"
        ),
        format!("SELECT count(*) AS n FROM {many} a(x) CROSS JOIN {many} b(x)"),
        format!("SELECT count(*) AS n FROM {one} a LEFT JOIN {one} b ON a.k = b.k"),
        format!(
            "WITH u AS (SELECT k FROM {one} p UNION ALL SELECT 1 FROM r0) SELECT count(*) AS n FROM u a JOIN u b USING (k)"
        ),
        format!(
            "SELECT count(*) AS n FROM {many} a(x) WHERE EXISTS (SELECT 1 FROM {many} b(x) WHERE a.x <> b.x)"
        ),
    ] {
        let started = Instant::now();
        assert!(refused(&postprocessor, &sql).await.is_some(), "{}", &sql[sql.len() - 100..]);
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    for sql in [
        of_texts("a.v = b.v"),
        format!("SELECT count(*) AS n FROM {many} a(x) JOIN {many} b(x) ON a.x = b.x JOIN {many} d(x) ON b.x = d.x"),
        format!("SELECT a.x, t.a0 AS n FROM {many} a(x) LEFT JOIN r0 t ON extract(day FROM t.k0) = a.x"),
        "SELECT a.a0 - b.a0 AS n FROM r0 a JOIN r1 b ON a.k0 = b.k0 AND a.k1 = b.k1".to_owned(),
        "SELECT a.n - b.n AS n FROM (SELECT k1, sum(a0) AS n FROM r0 GROUP BY k1) a JOIN (SELECT k1, sum(a0) AS n FROM r1 GROUP BY k1) b \
         ON a.k1 = b.k1"
            .to_owned(),
    ] {
        assert_eq!(refused(&postprocessor, &sql).await, None, "{}", &sql[sql.len() - 60..]);
    }
}

/// One key's statements hold half of the workers at the most.
#[tokio::test]
async fn one_key_does_not_hold_all_workers() {
    let postprocessor = workers();
    let first = postprocessor.turn("a", in_seconds(20)).await.unwrap();
    let soon = Instant::now() + Duration::from_millis(20);
    assert_eq!(postprocessor.turn("a", soon).await.map(drop), Err(PostprocessError::Busy));
    let _other = postprocessor.turn("b", in_seconds(20)).await.unwrap();
    drop(first);
    assert!(postprocessor.turn("a", in_seconds(20)).await.is_ok());
}
