//! A suggestion asks what was asked: proposals for refused statements, and what each of two statements asks.
//!
//! Not here: that suggestions are accepted when they are pasted (`query/tests/statements.rs`).

use std::collections::BTreeMap;

use shoal_schemas::Region;

use super::{now_ms, registry};
use crate::bind::Asking;
use crate::error::LanguageError;
use crate::private_query::PrivateQuery;
use crate::question::ask;
use crate::suggest::{Asked, Refused, examples, lost, proposals};

/// What the second statement, which is accepted, loses of the first one.
fn lost_of(text: &str, suggestion: &str) -> Option<&'static str> {
    let registry = registry();
    let question =
        ask(suggestion, &registry, Region::ALL, now_ms()).unwrap_or_else(|e| panic!("{suggestion}: {e}"));
    let releases: Vec<&PrivateQuery> = question.releases.iter().collect();
    let first_days = BTreeMap::new();
    let asking = Asking { regions: Region::ALL, first_days: &first_days, now_ms: now_ms() };
    lost(&Asked { text, registry: &registry, asking }, suggestion, &releases)
}

/// Statements, others that ask something else, and what is lost.
const OTHERS: &[(&str, &str, &str)] = &[
    // What was suggested once, and answered another question.
    (
        "SELECT day, COUNT(DISTINCT subject) OVER (ORDER BY day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS wau FROM usage",
        "SELECT COUNT(*) FROM usage",
        "unit",
    ),
    (
        "SELECT d, COUNT(*) FROM generate_series(1, 7) AS d LEFT JOIN usage ON usage.day = d GROUP BY d",
        "SELECT day, COUNT(*) FROM usage GROUP BY day",
        "table",
    ),
    (
        "SELECT COUNT(*) FROM usage WHERE to_char(time, 'DD.MM.YYYY') >= '01.11.2026' AND to_char(time, 'DD.MM.YYYY') < '08.11.2026'",
        "SELECT COUNT(*) FROM usage WHERE time >= '2026-11-01'",
        "filter",
    ),
    (
        "SELECT MIN(duration_ms) FROM usage WHERE day BETWEEN '2026-11-09' AND '2026-11-15' AND os = 'ios'",
        "SELECT quantile(duration_ms, 0.01) FROM usage WHERE day BETWEEN '2026-11-09' AND '2026-11-15'",
        "filter",
    ),
    (
        "SELECT SUM(amount) FROM usage WHERE day BETWEEN '2026-11-09' AND '2026-11-15'",
        "SELECT SUM(amount) FROM usage WHERE day BETWEEN '2026-11-09' AND '2026-11-16'",
        "range",
    ),
    (
        "SELECT SUM(amount) FROM usage WHERE day BETWEEN '2026-11-09' AND '2026-11-15' AND event = 'purchase'",
        "SELECT SUM(amount) FROM usage WHERE day BETWEEN '2026-11-09' AND '2026-11-15' AND event IS NOT NULL OR TRUE",
        "filter",
    ),
    // What is near is another question all the same.
    (
        "SELECT MAX(amount) FROM usage WHERE os = 'ios'",
        "SELECT quantile(amount, 0.99) FROM usage WHERE os = 'ios'",
        "unit",
    ),
    (
        "SELECT amount, COUNT(*) FROM usage GROUP BY 1",
        "SELECT bucket(amount), COUNT(*) FROM usage GROUP BY 1",
        "grain",
    ),
    (
        "SELECT COUNT(DISTINCT device_model) FROM usage WHERE day = '2026-11-15'",
        "SELECT COUNT(*) AS number FROM (SELECT device_model, COUNT(*) AS n FROM usage WHERE day = '2026-11-15' GROUP BY \
         device_model) AS t",
        "unit",
    ),
    ("SELECT SUM(os) FROM usage", "SELECT COUNT(os) FROM usage", "unit"),
    ("SELECT os, COUNT(*) FROM usagee", "SELECT os, COUNT(*) FROM usage GROUP BY os", "none"),
    ("SELECT COUNT(DISTINCT u.subject, u.os) FROM usage u", "SELECT COUNT(*) FROM usage", "unit"),
    (
        "SELECT date_trunc('minute', time), COUNT(*) FROM usage GROUP BY 1",
        "SELECT date_trunc('hour', time), COUNT(*) FROM usage GROUP BY 1",
        "grain",
    ),
    (
        "SELECT os, country, COUNT(*) FROM usage GROUP BY 1, 2",
        "SELECT os, COUNT(*) FROM usage GROUP BY 1",
        "grain",
    ),
    ("SELECT os, screen FROM usage", "SELECT os, COUNT(*) AS n FROM usage GROUP BY os", "unit"),
    (
        "SELECT COUNT(*) FROM usage WHERE subject IN (SELECT subject FROM crash GROUP BY subject HAVING COUNT(*) > 3)",
        "SELECT COUNT(*) FROM usage WHERE subject IN (SELECT subject FROM crash)",
        "filter",
    ),
    (
        "SELECT COUNT(*) FROM usage u JOIN crash c ON u.subject = c.subject",
        "SELECT COUNT(DISTINCT subject) FROM usage WHERE subject IN (SELECT subject FROM crash)",
        "unit",
    ),
    ("SELECT COUNT(*) FROM usage TABLESAMPLE BERNOULLI (10)", "SELECT COUNT(*) FROM usage", "rows"),
    (
        "SELECT os, COUNT(*) FROM usage GROUP BY os LIMIT 1 + 1",
        "SELECT os, COUNT(*) FROM usage GROUP BY os LIMIT 10",
        "rows",
    ),
];

#[test]
fn a_statement_that_asks_something_else_is_no_suggestion() {
    for (text, suggestion, wanted) in OTHERS {
        assert_eq!(lost_of(text, suggestion).unwrap_or("none"), *wanted, "{text}\n{suggestion}");
    }
}

#[test]
fn a_statement_that_asks_the_same_is_one() {
    for (text, suggestion) in [
        ("SELECT SUM(amount) FROM usage WHERE oss = 'ios'", "SELECT SUM(amount) FROM usage WHERE os = 'ios'"),
        ("SELECT os, COUNT(*) FROM usage", "SELECT os, COUNT(*) FROM usage GROUP BY os"),
        ("SELECT os, COUNT(*) FROM usages GROUP BY 1", "SELECT os, COUNT(*) FROM usage GROUP BY 1"),
        (
            "SELECT COUNT(*) FROM usage WHERE duration_ms / 1000 > 3",
            "SELECT COUNT(*) FROM usage WHERE duration_ms > 3000",
        ),
        ("SELECT COUNT(*) FROM usage WHERE os ~ '^i'", "SELECT COUNT(*) FROM usage WHERE os LIKE 'i%'"),
        ("SELECT COUNT(*) FROM usage WHERE os = NULL", "SELECT COUNT(*) FROM usage WHERE os IS NULL"),
        ("SELECT SUM(amount / 100) FROM usage", "SELECT SUM(amount) / 100 FROM usage"),
        (
            "SELECT TOP 3 os, COUNT(*) FROM usage GROUP BY os",
            "SELECT os, COUNT(*) FROM usage GROUP BY os LIMIT 3",
        ),
        ("SELECT COUNT(*) FROM usage WHERE result = 'okk'", "SELECT COUNT(*) FROM usage WHERE result = 'ok'"),
        ("SELECT rund(COUNT(*), 1) FROM usage", "SELECT round(COUNT(*), 1) FROM usage"),
    ] {
        assert_eq!(lost_of(text, suggestion), None, "{text}\n{suggestion}");
    }
}

/// The first proposal that is accepted and asks the same.
fn suggested(text: &str) -> Option<String> {
    let registry = registry();
    let asked = |text: &str| ask(text, &registry, Region::ALL, now_ms());
    let Err(LanguageError::Refused(refusal)) = asked(text) else { panic!("{text}: not refused") };
    proposals(text, &Refused { refusal: &refusal, registry: &registry })
        .into_iter()
        .find(|proposal| asked(proposal).is_ok() && lost_of(text, proposal).is_none())
}

/// What stands for itself in a regular expression does so in the pattern.
#[test]
fn a_regular_expression_becomes_the_pattern_that_means_the_same() {
    for (text, wanted) in [
        (
            "SELECT COUNT(*) FROM usage WHERE screen ~ 'live_view'",
            Some("SELECT COUNT(*) FROM usage WHERE screen LIKE '%live\\_view%'"),
        ),
        (
            "SELECT COUNT(*) FROM usage WHERE screen ~ '50%'",
            Some("SELECT COUNT(*) FROM usage WHERE screen LIKE '%50\\%%'"),
        ),
        (
            "SELECT COUNT(*) FROM usage WHERE screen !~ '^a\\.b.c.*d_.+$'",
            Some("SELECT COUNT(*) FROM usage WHERE screen NOT LIKE 'a.b_c%d\\__%'"),
        ),
        (
            "SELECT COUNT(*) FROM usage WHERE screen ~ '.*x.*'",
            Some("SELECT COUNT(*) FROM usage WHERE screen LIKE '%x%'"),
        ),
        ("SELECT COUNT(*) FROM usage WHERE screen ~ 'a\\d'", None),
        ("SELECT COUNT(*) FROM usage WHERE screen ~ 'ab*'", None),
    ] {
        assert_eq!(suggested(text).as_deref(), wanted, "{text}");
    }
}

#[test]
fn slips_of_the_hand_are_corrected_and_nothing_else() {
    for (text, wanted) in [
        (
            "SELECT COUNT(*) FROM usage WHERE result = 'okk'",
            Some("SELECT COUNT(*) FROM usage WHERE result = 'ok'"),
        ),
        (
            "SELECT COUNT(*) FROM usage WHERE result IN ('faild', 'ok')",
            Some("SELECT COUNT(*) FROM usage WHERE result IN ('failed', 'ok')"),
        ),
        ("SELECT COUNT(*) FROM usage WHERE result = 'unheard of'", None),
        ("SELECT rownd(COUNT(*), 1) FROM usage", Some("SELECT round(COUNT(*), 1) FROM usage")),
        (
            "SELECT uper(os), COUNT(*) FROM usage GROUP BY 1",
            Some("SELECT upper(os), COUNT(*) FROM usage GROUP BY 1"),
        ),
        (
            "SELECT COUNT(*) FROM usage WHERE os LIKE 'i!%' ESCAPE '!'",
            Some("SELECT COUNT(*) FROM usage WHERE os LIKE 'i\\%'"),
        ),
        (
            "SELECT COUNTIF(event = 'login') AS n FROM usage WHERE day >= DATEADD(day, -7, GETDATE())",
            Some(
                "SELECT COUNT(*) FILTER (WHERE event = 'login') AS n FROM usage WHERE day >= now() + INTERVAL '-7 day'",
            ),
        ),
        (
            "SELECT IF(os = 'ios', 'Apple', 'other') AS s, COUNT(*) FROM usage GROUP BY s",
            Some(
                "SELECT CASE WHEN os = 'ios' THEN 'Apple' ELSE 'other' END AS s, COUNT(*) FROM usage GROUP BY s",
            ),
        ),
        (
            "SELECT APPROX_COUNT_DISTINCT(subject) FROM usage WHERE day >= DATE_SUB(CURDATE(), INTERVAL '7' DAY)",
            Some("SELECT COUNT(DISTINCT subject) FROM usage WHERE day >= current_date - INTERVAL '7' DAY"),
        ),
        (
            "SELECT os, SAFE_DIVIDE(COUNT(*), COUNT(DISTINCT subject)) AS r FROM usage GROUP BY os",
            Some("SELECT os, COUNT(*) / NULLIF(COUNT(DISTINCT subject), 0) AS r FROM usage GROUP BY os"),
        ),
        (
            "SELECT event, RATIO_TO_REPORT(COUNT(*)) OVER () AS share FROM usage GROUP BY event",
            Some("SELECT event, COUNT(*) / SUM(COUNT(*)) OVER () AS share FROM usage GROUP BY event"),
        ),
        ("SELECT MAX(amount) FROM usage", None),
        ("SELECT COUNT(DISTINCT device_model) FROM usage", None),
        ("SELECT amount, COUNT(*) FROM usage GROUP BY amount", None),
        ("SELECT COUNT(*) FROM usage WHERE amount::bigint = 5", None),
        ("SELECT COUNT(*) FROM usage WHERE country = X'44'", None),
        (
            "SELECT COUNT(*) FROM usage WHERE substring(app_version FROM 1 FOR 2) = '4.'",
            Some("SELECT COUNT(*) FROM usage WHERE app_version LIKE '4.%'"),
        ),
        ("SELECT COUNT(*) FROM usage WHERE substring(app_version FROM 1 FOR 1) = '4.'", None),
        ("SELECT * FROM usage", None),
        ("SELECT subject, COUNT(*) FROM usage GROUP BY subject", None),
        ("SELECT COUNT(*) FROM usage WHERE day > current_date", None),
        ("SELECT COUNT(*) FROM usage WHERE day > '2026-11-31'", None),
        ("SELECT array_agg(os) FROM usage", None),
        ("SELECT SUM(amount / items) FROM usage", None),
        ("SELECT COUNT(*) FROM usage WHERE length(os) > 3", None),
        ("SELECT extract(minute FROM time), COUNT(*) FROM usage GROUP BY 1", None),
        ("SELECT COUNT(*) FROM usage WHERE os IN ('ios', country)", None),
        ("SELECT COUNT(*) FROM events", None),
    ] {
        assert_eq!(suggested(text).as_deref(), wanted, "{text}");
    }
}

/// What is shown where nothing asks the same: the statement as another question, with its filters and its range.
#[test]
fn another_question_is_an_example_and_the_rule_says_so() {
    for (text, example, says) in [
        (
            "SELECT os, MIN(duration_ms), MAX(duration_ms) AS most FROM performance WHERE country = 'DE' AND day > '2026-11-15' GROUP BY os",
            "SELECT os, quantile(duration_ms, 0.01), quantile(duration_ms, 0.99) AS most FROM performance WHERE country = 'DE' AND day > \
             '2026-11-15' GROUP BY os",
            "another question",
        ),
        (
            "SELECT COUNT(DISTINCT device_model) AS models FROM usage WHERE os = 'ios'",
            "SELECT COUNT(*) AS number FROM (SELECT device_model, COUNT(*) AS n FROM usage WHERE os = 'ios' GROUP BY device_model) AS t",
            "another question",
        ),
        (
            "SELECT amount, COUNT(*) FROM usage WHERE os = 'ios' GROUP BY amount",
            "SELECT bucket(amount), COUNT(*) FROM usage WHERE os = 'ios' GROUP BY bucket(amount)",
            "coarser",
        ),
    ] {
        let registry = registry();
        let Err(LanguageError::Refused(refusal)) = ask(text, &registry, Region::ALL, now_ms()) else {
            panic!("{text}")
        };
        assert!(refusal.message.contains(says), "{text}: {}", refusal.message);
        let found = examples(text, &Refused { refusal: &refusal, registry: &registry });
        assert_eq!(found.first().map(String::as_str), Some(example), "{text}");
        assert!(ask(example, &registry, Region::ALL, now_ms()).is_ok(), "{example}");
    }
}
