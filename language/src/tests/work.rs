//! What taking a statement apart may cost, in steps and in parts: names are shared, and what doubles is refused while it is small.
//!
//! Work is counted and never timed, so that the tests say the same on every machine.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use shoal_schemas::Region;

use super::conditions::{Choices, conditions};
use super::{now_ms, registry};
use crate::bind::Asking;
use crate::error::LanguageError;
use crate::expr::{EXPANDED_MAX, NODES_MAX};
use crate::question::{POSTPROCESS_BYTES_MAX, Question, ask_within};
use crate::work::{WORK_MAX, Work};

/// What one step may do more than a step: it may make the largest expression normal, or compare it with others.
const LAST_STEP_MAX: u64 = 16 * EXPANDED_MAX;

fn asked(sql: &str) -> (Result<Question, LanguageError>, u64) {
    let work = Work::default();
    let first_days = BTreeMap::new();
    let asking = Asking { regions: Region::ALL, first_days: &first_days, now_ms: now_ms() };
    let question = ask_within(sql, &registry(), asking, &work);
    (question, work.spent())
}

/// Whether a statement is accepted; how it ends, it is within the limits.
fn is_accepted(sql: &str) -> bool {
    let (question, spent) = asked(sql);
    assert!(spent <= WORK_MAX + LAST_STEP_MAX, "{spent} steps: {sql:.300}");
    match question {
        Ok(question) => {
            let sizes = question.releases.iter().map(|query| {
                let members = query.member_sizes().iter().map(|sizes| sizes.expanded).sum::<u64>();
                (query.sizes().nodes, query.sizes().expanded + members)
            });
            let (nodes, expanded) =
                sizes.fold((0, 0), |(most, sum), (nodes, expanded)| (nodes.max(most), sum + expanded));
            assert!(nodes <= NODES_MAX && expanded <= EXPANDED_MAX, "{nodes}, {expanded}: {sql:.300}");
            assert!(question.postprocess.sql.len() <= POSTPROCESS_BYTES_MAX, "{sql:.300}");
            true
        }
        Err(LanguageError::Refused(_)) => false,
        Err(error) => panic!("{error}: {sql:.300}"),
    }
}

/// Subqueries in each other, each of which uses the name of the one before three times.
fn nested(levels: usize) -> String {
    let mut inner = "SELECT screen AS k FROM usage WHERE day = current_date - 1 AND region = 'DE'".to_owned();
    for level in 0..levels {
        inner = format!(
            "SELECT CASE WHEN k = 'a{level}' OR upper(k) = 'B{level}' THEN 'x{level}' ELSE k END AS k FROM ({inner}) t{level}"
        );
    }
    format!("SELECT COUNT(*) FILTER (WHERE k = 'zz') AS n FROM ({inner}) t")
}

/// Subqueries by name, each made of the one before in this way.
fn by_name(levels: usize, first: &str, next: &str, last: &str) -> String {
    let mut sql = format!("WITH c0 AS ({first})");
    for level in 1..=levels {
        write!(sql, ", c{level} AS ({})", next.replace("{}", &format!("c{}", level - 1))).unwrap();
    }
    write!(sql, " {}", last.replace("{}", &format!("c{levels}"))).unwrap();
    sql
}

/// An expression in itself.
fn tower(levels: usize, first: &str, next: &str) -> String {
    (0..levels).fold(first.to_owned(), |inner, _| next.replace("{}", &inner))
}

#[test]
fn eight_levels_of_eight_hundred_bytes_cost_what_they_are_long() {
    let sql = nested(8);
    assert!((600..1_100).contains(&sql.len()), "{} bytes", sql.len());
    let (question, spent) = asked(&sql);
    assert!(spent < 60_000, "{spent} steps");
    let refusal = question.unwrap_err().to_string();
    assert!(
        refusal.contains("size") && refusal.contains("4000 parts") && refusal.contains("fewer places"),
        "{refusal}"
    );
    // Each level costs as much as the one before, not three times as much.
    let spent = |levels| asked(&nested(levels)).1;
    let (two, four, six) = (spent(2), spent(4), spent(6));
    assert!(six - four <= 27 * (four - two), "{two}, {four}, {six}");
    assert!(is_accepted(&nested(3)));
}

#[test]
fn a_name_is_bound_once_and_shared() {
    let patterns: Vec<String> = (0..20).map(|n| format!("WHEN screen LIKE '%{n}%' THEN '{n}'")).collect();
    let key = format!("SELECT CASE {} END AS k FROM usage", patterns.join(" "));
    let filters: Vec<String> =
        (0..19).map(|n| format!("COUNT(*) FILTER (WHERE k = '{n}') AS n{n}")).collect();
    let of = |used: usize| asked(&format!("SELECT {} FROM ({key}) AS t", filters[..used].join(", ")));
    let (question, spent) = of(19);
    let query = &question.unwrap().releases[0];
    let sizes = query.sizes();
    assert_eq!((sizes.patterns, sizes.branches), (20, 20), "{sizes:?}");
    assert_eq!(sizes.comparisons, 19);
    assert!(sizes.expanded > 10 * sizes.nodes, "{sizes:?}");
    // What the name stands for is not taken apart again for each use.
    let (one, ten) = (of(1).1, of(10).1);
    assert!(spent - ten <= 2 * (ten - one), "{one}, {ten}, {spent}");
    // Forty patterns that are used sixty times would be 2,400.
    let patterns: Vec<String> = (0..40).map(|n| format!("WHEN screen LIKE '%{n}%' THEN 'x{n}'")).collect();
    let uses: Vec<String> = (0..60).map(|n| format!("WHEN k = 'x{}' THEN 'y{n}'", n % 40)).collect();
    let sql = format!(
        "SELECT CASE {} END AS y, COUNT(*) FROM (SELECT CASE {} END AS k FROM usage) AS t GROUP BY 1",
        uses.join(" "),
        patterns.join(" ")
    );
    assert!(!is_accepted(&sql));
}

#[test]
fn names_that_double_end_within_the_steps() {
    let sum = "SELECT SUM(x) FROM {}";
    let count = "SELECT x, COUNT(*) FROM {} GROUP BY x";
    let people = "SELECT COUNT(DISTINCT subject) FROM {}";
    let text = "SELECT screen AS x FROM usage";
    for (sql, may_be_accepted) in [
        (by_name(20, "SELECT duration_ms AS x FROM usage", "SELECT x + x AS x FROM {}", sum), false),
        (by_name(20, text, "SELECT coalesce(x, x) AS x FROM {}", count), false),
        (by_name(20, text, "SELECT CASE WHEN x = 'a' THEN x ELSE x END AS x FROM {}", count), false),
        (by_name(20, text, "SELECT nullif(x, x) AS x FROM {}", count), false),
        (
            by_name(
                20,
                "SELECT screen = 'a' AS x FROM usage",
                "SELECT (x AND NOT x) OR (NOT x AND x) AS x FROM {}",
                count,
            ),
            true,
        ),
        (
            by_name(
                20,
                "SELECT screen = 'a' AS x FROM usage",
                "SELECT x IS NOT DISTINCT FROM x AS x FROM {}",
                count,
            ),
            false,
        ),
        (
            by_name(
                20,
                "SELECT * FROM usage",
                "SELECT * FROM {} WHERE subject IN (SELECT subject FROM {})",
                people,
            ),
            false,
        ),
        (by_name(60, "SELECT * FROM usage", "SELECT * FROM {}", people), true),
        (
            by_name(
                20,
                "SELECT COUNT(*) AS x FROM usage",
                "SELECT * FROM {} UNION ALL SELECT * FROM {}",
                "SELECT * FROM {}",
            ),
            false,
        ),
        (
            by_name(20, "SELECT COUNT(*) AS x FROM usage", "SELECT a.x FROM {} a, {} b", "SELECT * FROM {}"),
            false,
        ),
    ] {
        let accepted = is_accepted(&sql);
        assert!(!accepted || may_be_accepted, "{sql:.300}");
    }
}

#[test]
fn expressions_that_double_end_within_the_steps() {
    for (sql, may_be_accepted) in [
        (format!("SELECT {}, COUNT(*) FROM usage GROUP BY 1", tower(10, "screen", "nullif({}, 'a')")), true),
        (format!("SELECT SUM({}) FROM usage", tower(10, "duration_ms", "abs({})")), false),
        (
            format!(
                "SELECT COUNT(*) FROM usage WHERE {}",
                tower(12, "os = 'ios'", "({}) BETWEEN TRUE AND TRUE")
            ),
            false,
        ),
        (format!("SELECT COUNT(*) FROM usage WHERE {}", tower(30, "os = 'ios'", "(({})::int = 1)")), false),
        (
            format!(
                "SELECT COUNT(*) FROM usage WHERE {}",
                tower(12, "TRUE", "CASE {} WHEN TRUE THEN TRUE WHEN FALSE THEN FALSE END")
            ),
            true,
        ),
        (
            format!(
                "SELECT COUNT(*) FROM usage WHERE {}",
                tower(30, "os = 'ios'", "CASE WHEN {} THEN TRUE ELSE FALSE END")
            ),
            true,
        ),
        (
            format!(
                "SELECT os, COUNT(*) AS n FROM usage GROUP BY os HAVING {}",
                ["n + n > 1"; 150].join(" AND ")
            ),
            true,
        ),
        (
            format!(
                "SELECT os, {} AS n FROM usage GROUP BY os HAVING {}",
                ["COUNT(*)"; 150].join(" + "),
                ["n > 1"; 150].join(" AND ")
            ),
            false,
        ),
        (
            tower(
                8,
                "COUNT(*)",
                "(SELECT {} FROM (SELECT CASE WHEN subject IN (SELECT subject FROM crash) THEN 'a' WHEN subject IN (SELECT \
                 subject FROM device) THEN 'b' ELSE 'c' END AS k, COUNT(*) AS n FROM usage GROUP BY 1) t)",
            ),
            true,
        ),
    ] {
        let accepted = is_accepted(&sql);
        assert!(!accepted || may_be_accepted, "{sql:.300}");
    }
}

/// The parser itself doubles with each call in a call.
#[test]
fn calls_that_are_deep_in_each_other_are_refused_before_they_are_parsed() {
    let words = ["NOT ({} AND items <> 1)", "CASE ({}) WHEN 1 THEN 2 END", "cast({} AS text)", "floor({})"];
    for next in ["nullif({}, 'a')", "abs({})", "f(DISTINCT {})", "ROW({})", "a.f({})", "(f(({})))"]
        .into_iter()
        .chain(words)
    {
        let (question, spent) =
            asked(&format!("SELECT {}, COUNT(*) FROM usage GROUP BY 1", tower(18, "screen", next)));
        let refusal = question.unwrap_err().to_string();
        assert!(refusal.contains("Calls are too deep"), "{refusal}");
        assert_eq!(spent, 0);
    }
    let tables = tower(9, "a", "TABLE(f({}))");
    let refusal = asked(&format!("SELECT 1 FROM {tables}")).0.unwrap_err().to_string();
    assert!(refusal.contains("Calls are too deep"), "{refusal}");
    // What people write is not deep.
    let rounded = "round(coalesce(nullif(greatest(least(abs(sum(n)), 9), 1), 5), 0), 2)";
    assert!(is_accepted(&format!(
        "SELECT {rounded} AS x FROM (SELECT os, COUNT(*) AS n FROM usage GROUP BY os) t"
    )));
}

#[test]
fn what_a_person_writes_is_far_below_the_limits() {
    let lists =
        [include_str!("../../tests/data/accept.toml"), include_str!("../../tests/data/everyday.toml")];
    let mut most = 0;
    for list in lists {
        let list: toml::Table = toml::from_str(list).unwrap();
        for one in list.values().filter_map(toml::Value::as_array).flatten() {
            most = most.max(asked(one["sql"].as_str().unwrap()).1);
        }
    }
    assert!(most * 20 <= WORK_MAX, "{most} steps");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Any condition, under names that use the one before several times.
    #[test]
    fn binding_ends_within_the_limits(
        condition in conditions(), a in any::<u64>(), levels in 0_usize..25, form in 0_usize..6
    ) {
        let condition = Choices(a).write(&condition);
        let next = [
            "SELECT (x AND x) OR (x AND NOT x) AS x FROM {}",
            "SELECT CASE WHEN x THEN x ELSE NOT x END AS x FROM {}",
            "SELECT x = x AS x FROM {}",
            "SELECT coalesce(x, x, x) AS x FROM {}",
            "SELECT (x IS TRUE) = (x IS FALSE) AS x FROM {}",
            "SELECT x IS DISTINCT FROM (x OR x) AS x FROM {}",
        ][form];
        let first = format!("SELECT {condition} AS x FROM usage");
        is_accepted(&by_name(levels, &first, next, "SELECT x, COUNT(*) FROM {} WHERE x GROUP BY x"));
        is_accepted(&by_name(levels, &first, next, "SELECT COUNT(*) FILTER (WHERE x), COUNT(*) FROM {} WHERE NOT x"));
    }
}
