//! What is answered and what is refused, as data: `tests/data/accept.toml` and `refuse.toml`.

use serde::Deserialize;
use shoal_schemas::Region;

use super::{now_ms, registry};
use crate::error::{LanguageError, Refusal};
use crate::private_query::Shape;
use crate::question::{Question, ask};

#[derive(Deserialize)]
struct Accept {
    accept: Vec<Accepted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    sql: String,
    /// How many releases it needs, and how many keys and aggregates they have together.
    releases: usize,
    keys: usize,
    aggregates: usize,
    #[serde(default)]
    private: bool,
}

#[derive(Deserialize)]
struct Refuse {
    refuse: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    sql: String,
    rule: String,
}

fn asked(sql: &str) -> Result<Question, LanguageError> {
    ask(sql, &registry(), Region::ALL, now_ms())
}

fn refusal(sql: &str) -> Refusal {
    match asked(sql) {
        Err(LanguageError::Refused(refusal)) => *refusal,
        Err(error) => panic!("{sql}: {error}"),
        Ok(question) => panic!("{sql}: accepted as {}", question.postprocess.sql),
    }
}

#[test]
fn accepted_statements_have_the_parts_they_should() {
    let list: Accept = toml::from_str(include_str!("../../tests/data/accept.toml")).unwrap();
    assert!(list.accept.len() >= 80);
    let mut wrong = Vec::new();
    for one in list.accept {
        match asked(&one.sql) {
            Ok(Question { releases, .. }) => {
                let found = (
                    releases.len(),
                    releases.iter().map(|query| query.keys.len()).sum(),
                    releases.iter().map(|query| query.aggregates.len()).sum(),
                    releases.iter().any(|query| query.is_thresholded()),
                );
                if found != (one.releases, one.keys, one.aggregates, one.private) {
                    wrong.push(format!("{}: {found:?}", one.sql));
                }
            }
            Err(error) => wrong.push(format!("{}: {error}", one.sql)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn refused_statements_name_their_rule() {
    let list: Refuse = toml::from_str(include_str!("../../tests/data/refuse.toml")).unwrap();
    assert!(list.refuse.len() >= 150);
    let mut wrong = Vec::new();
    for one in list.refuse {
        match asked(&one.sql) {
            Err(LanguageError::Refused(r)) if r.rule.as_str() == one.rule => {
                assert!(r.line >= 1 && r.column >= 1 && r.suggestion.is_none());
                if let Err(error) = asked(&r.example) {
                    wrong.push(format!("{}\n  has the example {}\n  {error}", one.sql, r.example));
                }
            }
            Err(error) => wrong.push(format!("{} [{}]: {error}", one.sql, one.rule)),
            Ok(_) => wrong.push(format!("{} [{}]: accepted", one.sql, one.rule)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_postprocessing_names_released_columns_only() {
    let sql = "SELECT os, COUNT(*) AS n, AVG(amount) FROM usage WHERE event = 'purchase' GROUP BY os \
        HAVING COUNT(*) > 5 ORDER BY n DESC, SUM(amount) LIMIT 3";
    let question = asked(sql).unwrap();
    assert_eq!(
        question.postprocess.sql,
        "SELECT \"k0\" AS \"os\", \"a0\" AS \"n\", (CASE WHEN \"a1\" > 0 THEN \
         least(greatest(\"a2\" / \"a1\", 0.00), 10000.00) END) AS \"avg\" \
         FROM \"r0\" WHERE (\"a0\" > 5) ORDER BY \"n\" DESC, \"a2\" LIMIT 3"
    );
    let names: Vec<String> = question.releases[0].aggregates.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["count(*)", "count(amount)", "sum(amount)"]);
}

#[test]
fn what_is_asked_twice_is_released_once() {
    let sql = "WITH a AS (SELECT os, COUNT(*) AS n FROM usage GROUP BY os) \
        SELECT a.os, a.n, b.m FROM a JOIN (SELECT u.os AS o, COUNT(1) AS m FROM usage u GROUP BY 1) b ON a.os = b.o";
    assert_eq!(asked(sql).unwrap().releases.len(), 1);
    let unused = "WITH a AS (SELECT COUNT(*) AS n FROM crash) SELECT COUNT(*) FROM usage";
    assert_eq!(asked(unused).unwrap().releases.len(), 1);
    assert!(asked("WITH a AS (SELECT * FROM nothing) SELECT COUNT(*) FROM usage").is_err());
}

#[test]
fn days_are_taken_out_of_the_condition_and_never_reach_the_future() {
    let question = asked("SELECT COUNT(*) FROM usage WHERE day >= '2020-01-01' AND os = 'ios'").unwrap();
    let query = &question.releases[0];
    assert_eq!(query.filter.as_ref().unwrap().to_string(), "(os = 'ios')");
    assert_eq!(query.days.last, super::today());
    assert!(!question.notes.is_empty());
    let same = |a: &str, b: &str| {
        let (a, b) = (asked(a).unwrap(), asked(b).unwrap());
        assert_eq!(a.releases[0].canonical_of_a_day(), b.releases[0].canonical_of_a_day());
    };
    same(
        "SELECT day, COUNT(*) FROM usage WHERE day >= current_date - 7 GROUP BY day",
        "SELECT date_trunc('month', time), COUNT(*) FROM usage WHERE time < '2026-11-10' GROUP BY 1",
    );
}

#[test]
fn bounds_of_subjects_follow_from_days_and_the_registry() {
    let sql = "SELECT AVG(n) FROM (SELECT subject, COUNT(*) AS n FROM usage WHERE event = 'login' AND day > current_date - 7 \
        GROUP BY subject HAVING COUNT(DISTINCT day) > 1) AS p WHERE n < 30";
    let question = asked(sql).unwrap();
    let Shape::Subjects(person) = &question.releases[0].shape else { panic!("not subjects") };
    let values: Vec<String> = person.values.iter().map(ToString::to_string).collect();
    assert_eq!(values, ["count(*) within 0 and 35", "count(DISTINCT day) within 0 and 7"]);
    assert_eq!(person.having.as_ref().unwrap().to_string(), "((value_0 <= 29) AND (value_1 >= 2))");
    assert_eq!(question.releases[0].l0, 1);
}

#[test]
fn a_refusal_points_at_the_place() {
    let refusal = refusal("SELECT COUNT(*)\nFROM usage\nWHERE os = 'ios' AND nothing = 1");
    assert_eq!((refusal.line, refusal.column), (3, 22));
    assert!(refusal.message.contains("os_version"), "{}", refusal.message);
    assert!(!refusal.message.contains("event_id"), "{}", refusal.message);
}

#[test]
fn hidden_and_unknown_columns_cannot_be_told_apart() {
    let mut messages: Vec<String> = ["event_id", "consent_", "nothing_"]
        .iter()
        .map(|name| refusal(&format!("SELECT COUNT(*) FROM usage WHERE {name} IS NULL")).to_string())
        .collect();
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[test]
fn a_region_that_the_key_does_not_reach_is_not_allowed() {
    let sql = "SELECT COUNT(*) FROM usage WHERE region IN ('DE', 'US')";
    let error = ask(sql, &registry(), &[Region::De], now_ms()).err();
    assert_eq!(error, Some(LanguageError::NotAllowed("US".to_owned())));
}

/// What a statement asks of events, and what it shows of that.
fn meaning(sql: &str) -> (Vec<String>, String) {
    let question = asked(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    (question.releases.iter().map(|query| query.canonical()).collect(), question.postprocess.sql)
}

#[test]
fn a_join_on_subjects_is_the_membership_it_stands_for() {
    for (join, membership) in [
        (
            "SELECT u.os, COUNT(DISTINCT u.subject) AS n FROM usage u JOIN crash c ON u.subject = c.subject \
             WHERE u.event = 'login' AND c.event = 'app_crash' GROUP BY u.os",
            "SELECT os, COUNT(DISTINCT subject) AS n FROM usage WHERE event = 'login' AND subject IN (SELECT subject FROM crash \
             WHERE event = 'app_crash') GROUP BY os",
        ),
        (
            "SELECT COUNT(DISTINCT crash.subject) AS n FROM usage, crash WHERE usage.subject = crash.subject",
            "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE subject IN (SELECT subject FROM crash)",
        ),
        (
            "SELECT COUNT(DISTINCT subject) AS n FROM usage JOIN crash USING (subject)",
            "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE subject IN (SELECT subject FROM crash)",
        ),
        (
            "SELECT u.os, COUNT(*) AS n, SUM(u.duration_ms) AS ms FROM usage u LEFT JOIN crash c ON c.subject = u.subject AND \
             c.event = 'app_crash' WHERE c.subject IS NULL AND u.day > '2026-11-15' GROUP BY u.os",
            "SELECT os, COUNT(*) AS n, SUM(duration_ms) AS ms FROM usage WHERE day > '2026-11-15' AND subject NOT IN \
             (SELECT subject FROM crash WHERE event = 'app_crash') GROUP BY os",
        ),
        (
            "SELECT COUNT(DISTINCT a.subject) AS n FROM usage a JOIN usage b ON a.subject = b.subject AND b.day = a.day + 1 \
             WHERE a.day = '2026-11-09'",
            "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day = '2026-11-09' AND subject IN (SELECT subject FROM usage \
             WHERE day = '2026-11-10')",
        ),
        (
            "SELECT COUNT(DISTINCT a.subject) AS n, COUNT(DISTINCT b.subject) AS m FROM usage a LEFT JOIN crash b ON \
             a.subject = b.subject AND b.os = 'ios'",
            "SELECT COUNT(DISTINCT subject) AS n, (SELECT COUNT(DISTINCT subject) FROM usage WHERE subject IN (SELECT subject \
             FROM crash WHERE os = 'ios')) AS m FROM usage",
        ),
    ] {
        assert_eq!(meaning(join), meaning(membership), "{join}");
    }
}

#[test]
fn a_join_that_repeats_rows_or_takes_columns_of_both_is_none() {
    for sql in [
        "SELECT COUNT(*) FROM usage u JOIN crash c ON u.subject = c.subject",
        "SELECT SUM(u.amount) FROM usage u JOIN crash c ON u.subject = c.subject",
        "SELECT COUNT(DISTINCT u.session) FROM usage u JOIN crash c ON u.session = c.session",
        "SELECT COUNT(DISTINCT u.subject), COUNT(*) FROM usage u JOIN crash c ON u.subject = c.subject",
        "SELECT c.os, COUNT(DISTINCT u.subject) FROM usage u JOIN crash c ON u.subject = c.subject GROUP BY c.os",
        "SELECT COUNT(DISTINCT CASE WHEN c.os = 'ios' THEN u.subject END) FROM usage u JOIN crash c ON u.subject = c.subject",
        "SELECT COUNT(DISTINCT u.subject) FROM usage u JOIN crash c ON u.subject = c.subject AND c.day = u.day",
        "SELECT COUNT(DISTINCT u.subject) FROM usage u JOIN crash c ON u.subject = c.subject AND c.time > u.time",
        "SELECT COUNT(DISTINCT u.subject) FROM usage u JOIN crash c ON u.subject = c.subject OR c.os = 'ios'",
        "SELECT COUNT(DISTINCT u.subject) FROM usage u JOIN crash c ON u.subject <> c.subject",
        "SELECT COUNT(DISTINCT u.subject) FROM usage u LEFT JOIN crash c ON u.subject = c.subject WHERE c.os = 'ios'",
        "SELECT COUNT(DISTINCT u.subject) FROM usage u LEFT JOIN crash c ON u.subject = c.subject AND u.os = 'ios'",
        "SELECT COUNT(DISTINCT u.subject) FROM usage u LEFT JOIN crash c ON TRUE WHERE c.subject IS NULL",
        "SELECT u.os, COUNT(DISTINCT c.subject) FROM usage u LEFT JOIN crash c ON u.subject = c.subject GROUP BY u.os",
        "SELECT COUNT(c.os) FROM usage u LEFT JOIN crash c ON u.subject = c.subject WHERE c.subject IS NULL",
        "SELECT COUNT(DISTINCT u.subject) FROM usage u RIGHT JOIN crash c ON u.subject = c.subject",
        "SELECT COUNT(DISTINCT u.subject) FROM usage u FULL JOIN crash c ON u.subject = c.subject",
    ] {
        assert_eq!(refusal(sql).rule.as_str(), "table", "{sql}");
    }
}

#[test]
fn a_key_of_memberships_is_a_select_for_each_of_its_values() {
    let case = "SELECT os, CASE WHEN subject IN (SELECT subject FROM crash) THEN 'a' WHEN subject NOT IN (SELECT subject FROM \
        device) THEN 'b' END AS k, COUNT(*) AS n FROM usage WHERE event = 'login' OR event = 'app_open' GROUP BY 1, 2 ORDER BY n";
    let from = "FROM usage WHERE (event = 'login' OR event = 'app_open') AND subject";
    let union = format!(
        "SELECT os, 'a' AS k, COUNT(*) AS n {from} IN (SELECT subject FROM crash) GROUP BY 1 UNION ALL \
         SELECT os, 'b' AS k, COUNT(*) AS n {from} NOT IN (SELECT subject FROM crash) AND subject NOT IN (SELECT subject FROM \
         device) GROUP BY 1 UNION ALL \
         SELECT os, NULL AS k, COUNT(*) AS n {from} NOT IN (SELECT subject FROM crash) AND subject IN (SELECT subject FROM \
         device) GROUP BY 1 ORDER BY n"
    );
    assert_eq!(meaning(case), meaning(&union));
    let windowed = "SELECT CASE WHEN subject IN (SELECT subject FROM crash) THEN 'a' ELSE 'b' END AS k, COUNT(*) AS n, \
        SUM(COUNT(*)) OVER () AS of_all FROM usage GROUP BY 1";
    assert_eq!(refusal(windowed).rule.as_str(), "expression");
    // Released rows may have no value there: they are left as they are.
    let released = "WITH t AS (SELECT os AS subject, COUNT(*) AS n FROM usage GROUP BY os) SELECT CASE WHEN subject IN (SELECT subject \
        FROM t) THEN 'a' ELSE 'b' END AS k, SUM(n) AS n FROM t GROUP BY 1";
    assert!(!meaning(released).1.contains("UNION"));
}

#[test]
fn explain_is_asked_for() {
    assert!(asked("EXPLAIN SELECT COUNT(*) FROM usage").unwrap().explain);
    assert!(!asked("SELECT COUNT(*) FROM usage").unwrap().explain);
}
