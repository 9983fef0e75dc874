//! The statements of the suite: at least one for every function, operator, aggregate and template of the grammar, and others
//! that were written to be slow, deep or wide.
//!
//! Invariants: the names come from the lists by which the language binds, so that a function without a statement, or an
//! aggregate whose statement is refused, fails the suite; which operators are covered is read off the private queries that the
//! statements become (`forms`). `{d}` stands for the day in question, `{w}` for the week that ends with it.
//! Not here: what is compared (`mod.rs`).

use shoal_language::calendar::day_text;
use shoal_language::{AGGREGATES, FUNCTIONS, TEMPLATES};

use crate::tests::today;

/// One statement, written out, and what it is there for.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) sql: String,
    /// Whether it is one that the language has to accept.
    pub(super) is_grammar: bool,
}

/// What only the person in question has, in the columns that statements look at.
pub(super) const MARK: &str = "zebrafinch";

/// A condition or a whole statement for each function.
fn function(name: &str) -> Option<&'static str> {
    Some(match name {
        "upper" => "upper(screen) = 'ZEBRAFINCH'",
        "lower" => "lower(screen) LIKE '%finch%'",
        "coalesce" => "coalesce(screen, app_version, 'none') <> 'home'",
        "ifnull" => "ifnull(screen, 'none') = 'none'",
        "nvl" => "nvl(app_version, screen) < 'm'",
        "nullif" => "nullif(screen, 'zebrafinch') IS NULL",
        "least" => "least(amount, 100, items) < 50",
        "greatest" => "greatest(amount, items) >= 50",
        "abs" => "abs(amount - 1000) <= 500",
        "starts_with" => "starts_with(screen, 'zebra')",
        "contains" => "contains(screen, 'fin')",
        "date_trunc" => "SELECT date_trunc('hour', time) AS t, COUNT(*) AS n FROM usage WHERE {d} GROUP BY 1",
        "date_bin" => {
            "SELECT date_bin(INTERVAL '1 hour', time) AS t, COUNT(*) AS n FROM usage WHERE {d} GROUP BY 1"
        }
        "date_part" => "SELECT date_part('dow', time) AS t, COUNT(*) AS n FROM usage WHERE {d} GROUP BY 1",
        "date" => "SELECT date(time) AS t, COUNT(*) AS n FROM usage WHERE {w} GROUP BY 1",
        "bucket" => "SELECT bucket(duration_ms) AS b, COUNT(*) AS n FROM performance WHERE {d} GROUP BY 1",
        "width_bucket" => {
            "SELECT width_bucket(duration_ms, 0, 5000, 20) AS b, COUNT(*) AS n FROM performance WHERE {d} GROUP BY 1"
        }
        _ => return None,
    })
}

/// Operators, each in a condition.
const CONDITIONS: [&str; 34] = [
    "screen = 'zebrafinch'",
    "screen <> 'zebrafinch'",
    "screen < 'm'",
    "screen <= 'm'",
    "screen > 'm'",
    "screen >= 'm'",
    "amount < 100",
    "amount >= 100 AND items <= 3",
    "amount = items",
    "screen = app_version OR os = 'ios'",
    "NOT (screen = 'home' AND os = 'ios')",
    "screen IN ('home', 'zebrafinch', 'live')",
    "items NOT IN (1, 2, 3)",
    "amount BETWEEN 10 AND 20",
    "screen NOT BETWEEN 'a' AND 'm'",
    "screen IS NULL",
    "screen IS NOT NULL",
    "(screen = 'home') IS TRUE",
    "(screen = 'home') IS NOT FALSE",
    "(screen = 'home') IS UNKNOWN",
    "screen LIKE 'z%b_a%'",
    "screen NOT LIKE '%finch'",
    "screen ILIKE 'ZEBRA%'",
    // A hundred letters of which each may be any: where a regular expression would have followed them one by one.
    "screen LIKE '%a____________________________________________________________________________________________________b%'",
    "screen IS DISTINCT FROM app_version",
    "screen IS NOT DISTINCT FROM 'zebrafinch'",
    "screen = ANY(ARRAY['home', 'zebrafinch'])",
    "amount + items > 10",
    "amount - items > 10",
    "amount * items > 10",
    "-amount < +items",
    "CASE WHEN screen LIKE '%z%' THEN items ELSE duration_ms END > 5",
    "CASE screen WHEN 'home' THEN TRUE WHEN 'zebrafinch' THEN FALSE ELSE NULL END",
    "(result = 'ok')::int = 1",
];

/// Whole statements, for what is no condition.
const STATEMENTS: [&str; 31] = [
    "SELECT date_trunc('day', time) AS t, COUNT(*) AS n FROM usage WHERE {w} GROUP BY 1",
    "SELECT CASE WHEN date_trunc('day', time) <= TIMESTAMP '2026-11-20 07:30' THEN 'before' ELSE 'after' END AS half, COUNT(*) AS n FROM usage WHERE {w} GROUP BY 1",
    "SELECT COUNT(*) AS n FROM usage WHERE {w} AND date_trunc('day', time) IN (TIMESTAMP '2026-11-20 00:00', TIMESTAMP '2026-11-21 00:00')",
    "SELECT AVG(v) AS n FROM (SELECT subject, SUM(items) AS v FROM usage WHERE {d} GROUP BY subject) AS p",
    "SELECT region, COUNT(*) AS n FROM usage WHERE {d} GROUP BY region",
    "SELECT d.day, COUNT(DISTINCT u.subject) AS n FROM generate_series(current_date - 2, current_date, INTERVAL '1 day') AS d(day) \
     JOIN usage u ON u.day BETWEEN d.day - 2 AND d.day GROUP BY 1",
    "SELECT day, COUNT(*) AS n FROM usage WHERE {w} GROUP BY day",
    "SELECT os, country, COUNT(*) AS n, SUM(amount) AS paid FROM usage WHERE {d} GROUP BY os, country",
    "SELECT screen, COUNT(DISTINCT subject) AS n FROM usage WHERE {d} GROUP BY screen",
    "SELECT screen, app_version, COUNT(*) AS n, SUM(items) AS items FROM usage WHERE {w} GROUP BY 1, 2",
    "SELECT extract(hour FROM time) AS p, COUNT(*) AS n FROM usage WHERE {d} GROUP BY 1",
    "SELECT extract(isodow FROM time) AS p, COUNT(*) AS n FROM usage WHERE {d} GROUP BY 1",
    "SELECT extract(day FROM time) AS p, COUNT(*) AS n FROM usage WHERE {d} GROUP BY 1",
    "SELECT extract(week FROM time) AS p, COUNT(*) AS n FROM usage WHERE {d} GROUP BY 1",
    "SELECT extract(month FROM time) AS p, COUNT(*) AS n FROM usage WHERE {d} GROUP BY 1",
    "SELECT extract(quarter FROM time) AS p, COUNT(*) AS n FROM usage WHERE {d} GROUP BY 1",
    "SELECT COUNT(*) AS n FROM usage WHERE {d} AND extract(year FROM time) = 2026",
    "SELECT date_trunc('week', time) AS t, COUNT(DISTINCT subject) AS n FROM usage WHERE {w} GROUP BY 1",
    "SELECT date_trunc('month', time) AS t, COUNT(*) AS n FROM usage WHERE {w} GROUP BY 1",
    "SELECT FLOOR(duration_ms / 100) * 100 AS f, COUNT(*) AS n FROM performance WHERE {d} AND duration_ms < 2000 GROUP BY 1",
    "SELECT COUNT(*) AS n FROM usage WHERE {d} AND time < TIMESTAMP '2026-11-22 07:30'",
    "SELECT CASE WHEN day < '2026-11-20' THEN 'before' ELSE 'after' END AS half, COUNT(*) AS n FROM usage WHERE {w} GROUP BY 1",
    "SELECT COUNT(*) AS n FROM usage WHERE {d} AND date_trunc('day', time) AT TIME ZONE 'UTC' = DATE '2026-11-22'",
    "SELECT foreground::text AS f, COUNT(*) AS n FROM crash WHERE {d} AND foreground IS TRUE GROUP BY 1",
    "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE {d} AND subject IN (SELECT subject FROM crash WHERE {d} AND os = 'ios')",
    "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE {d} AND subject NOT IN (SELECT subject FROM usage WHERE {w} AND screen = 'zebrafinch')",
    "SELECT n, COUNT(*) AS people FROM (SELECT subject, COUNT(*) AS n FROM usage WHERE {d} GROUP BY subject) AS p GROUP BY n",
    "SELECT COUNT(*) AS n FROM (SELECT subject FROM usage WHERE {w} GROUP BY subject HAVING COUNT(DISTINCT day) >= 3 AND COUNT(DISTINCT session) < 9) AS p",
    "SELECT AVG(d) AS n FROM (SELECT subject, MAX(day) - MIN(day) AS d, COUNT(screen) AS v FROM usage WHERE {w} GROUP BY subject) AS p WHERE v > 1",
    "WITH p AS (SELECT subject, screen, COUNT(*) AS n FROM usage WHERE {d} GROUP BY subject, screen) SELECT screen, AVG(n) AS n FROM p WHERE n > 2 GROUP BY screen",
    "SELECT step, os, COUNT(*) AS n FROM funnel(usage, screen LIKE '%z%', 'click', 'purchase', within => INTERVAL '1 day') WHERE {w} GROUP BY step, os",
];

/// Statements that are refused, whatever the tables hold.
const REFUSED: [&str; 8] = [
    "SELECT COUNT(*) AS n FROM usage WHERE {d} AND screen ~ '(a+)+$'",
    "SELECT COUNT(*) AS n FROM usage WHERE {d} AND screen SIMILAR TO '(a|b)*'",
    "SELECT COUNT(*) AS n FROM usage WHERE {d} AND regexp_like(screen, '(a+)+$')",
    "SELECT COUNT(*) AS n FROM usage WHERE {d} AND 100 / (amount - 20) > 1",
    "SELECT COUNT(*) AS n FROM usage WHERE {d} AND screen::int > 1",
    "SELECT COUNT(*) AS n FROM usage WHERE {d} AND length(repeat(screen, 1000000)) > 1",
    "SELECT MAX(amount) AS n FROM usage WHERE {d}",
    "SELECT screen FROM usage WHERE {d}",
];

/// So many patterns that each look at a whole text, and each of which backtracks where that is possible.
fn patterns(column: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{column} LIKE '%a%a%a%a%a%a%{n}%'")).collect()
}

/// A key of forty patterns.
fn key(column: &str, count: usize) -> String {
    let branches: Vec<String> =
        (0..).zip(patterns(column, count)).map(|(n, like)| format!("WHEN {like} THEN 'x{n}'")).collect();
    format!("CASE {} ELSE 'none' END", branches.join(" "))
}

/// Whether a name has one of the values that `key` gives, so many times.
fn uses(name: &str, count: usize, of: usize) -> String {
    (0..count).map(|n| format!("{name} = 'x{}'", n % of)).collect::<Vec<_>>().join(" OR ")
}

/// What would tell by its time, if anything did.
fn slow() -> Vec<(&'static str, String)> {
    let nested = (0..12).fold("screen".to_owned(), |inner, n| {
        format!("CASE WHEN app_version = 'v{n}' THEN 'x{n}' ELSE {inner} END")
    });
    let all = [
        ("a hundred and fifty patterns", format!("({})", patterns("screen", 150).join(" OR "))),
        (
            "patterns of one person's rows alone",
            format!("screen = '{MARK}' AND ({})", patterns("screen", 150).join(" OR ")),
        ),
        ("patterns of two columns", patterns("coalesce(screen, app_version)", 60).join(" OR ")),
        ("CASE in CASE", format!("{nested} = 'x9'")),
        ("a list of nine hundred", format!("screen IN ({})", list(900))),
        ("deep", (0..15).fold("screen = 'a'".to_owned(), |inner, n| format!("(({inner}) AND items <> {n})"))),
        (
            "deep, negated",
            (0..8).fold("screen = 'a'".to_owned(), |inner, n| format!("NOT ({inner} AND items <> {n})")),
        ),
        (
            "deeper than may be",
            (0..100).fold("screen = 'a'".to_owned(), |inner, n| format!("NOT ({inner} AND items <> {n})")),
        ),
    ];
    all.into_iter().map(|(name, own)| (name, condition(&format!("({own})")))).collect()
}

fn list(count: usize) -> String {
    (0..count).map(|n| format!("'{MARK}{n}'")).collect::<Vec<_>>().join(", ")
}

/// The same, of whole statements.
fn slow_statements() -> Vec<(&'static str, String)> {
    let count = |n: usize| format!("COUNT(*) FILTER (WHERE k = 'x{n}') AS n{n}");
    let each = (0..19).map(count).collect::<Vec<_>>().join(", ");
    let sum = |n: usize| format!("SUM(amount + {n}) FILTER (WHERE upper(screen) <> 'A{n}') AS n{n}");
    let wide = (0..19).map(sum).collect::<Vec<_>>().join(", ");
    let (forty, twenty) = (key("screen", 40), key("screen", 20));
    let steps = patterns("screen", 10).join(", ");
    vec![
        (
            "forty patterns used sixty times",
            format!(
                "SELECT COUNT(*) AS n FROM (SELECT {forty} AS k FROM usage WHERE {{d}}) AS t WHERE {}",
                uses("k", 60, 40)
            ),
        ),
        (
            "patterns of a name that is used as often as a statement may",
            format!(
                "SELECT {each} FROM (SELECT {twenty} AS k FROM usage WHERE {{d}} AND screen = '{MARK}') AS t"
            ),
        ),
        ("a key of patterns", format!("SELECT {forty} AS k, COUNT(*) AS n FROM usage WHERE {{d}} GROUP BY 1")),
        ("wide", format!("SELECT {wide} FROM usage WHERE {{d}}")),
        (
            "many buckets",
            "SELECT width_bucket(duration_ms, 0, 100000, 1000) AS b, COUNT(*) AS n FROM performance WHERE {d} GROUP BY b"
                .to_owned(),
        ),
        (
            "funnel of ten steps of patterns",
            format!(
                "SELECT step, COUNT(DISTINCT subject) AS n FROM funnel(usage, {steps}, within => INTERVAL '1 day') WHERE {{w}} GROUP BY step"
            ),
        ),
    ]
}

/// The same, of what is made of a subject's events.
fn slow_people() -> Vec<(&'static str, String)> {
    let people =
        "(SELECT subject, screen AS s, COUNT(*) AS n FROM usage WHERE {d} GROUP BY subject, screen) AS p";
    let of = |condition: String| format!("SELECT COUNT(*) AS n FROM {people} WHERE {condition}");
    let twenty = key("s", 20);
    vec![
        ("a list for rows of subjects", of(format!("s IN ({})", list(900)))),
        ("patterns for rows of subjects", of(patterns("s", 150).join(" OR "))),
        (
            "patterns for one person's rows alone",
            of(format!("s = '{MARK}' AND ({})", patterns("s", 100).join(" OR "))),
        ),
        (
            "patterns in the key of rows of subjects, used often",
            format!(
                "SELECT {twenty} AS k, COUNT(*) AS n, SUM(n) AS events FROM {people} WHERE {} GROUP BY 1",
                uses(&format!("({twenty})"), 8, 20)
            ),
        ),
    ]
}

fn condition(condition: &str) -> String {
    format!("SELECT COUNT(*) AS n FROM usage WHERE {{d}} AND {condition}")
}

/// One of each aggregate's names, and one with a filter of its own.
fn aggregates() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for form in &AGGREGATES {
        let arguments = form.arguments.replace("expression", "screen").replace("measure", "duration_ms");
        let arguments = arguments.replace("share", "0.5");
        for name in form.names {
            let call = format!("{name}{arguments}");
            let filtered = format!("{call} FILTER (WHERE screen LIKE '%z%')");
            for call in [call, filtered] {
                let sql = match form.is_per_subject {
                    true => format!(
                        "SELECT AVG(v) AS n FROM (SELECT subject, {call} AS v FROM performance WHERE {{d}} GROUP BY subject) AS p"
                    ),
                    false if call.starts_with("histogram") => {
                        format!("SELECT {call} FROM performance WHERE {{d}} AND event = 'page_load'")
                    }
                    false => format!("SELECT {call} AS n FROM performance WHERE {{d}}"),
                };
                all.push((call, sql));
            }
        }
    }
    all
}

/// Everything, written out.
pub(super) fn cases() -> Vec<Case> {
    let (day, first) = (day_text(today()), day_text(today() - 6));
    let written = |sql: &str| {
        let week = format!("day BETWEEN DATE '{first}' AND DATE '{day}'");
        sql.replace("{d}", &format!("day = DATE '{day}'")).replace("{w}", &week)
    };
    let case =
        |name: &str, sql: &str, is_grammar| Case { name: name.to_owned(), sql: written(sql), is_grammar };
    let mut all = Vec::new();
    for name in FUNCTIONS {
        let own =
            function(name).unwrap_or_else(|| panic!("the function {name} has no statement in this suite"));
        let sql = if own.starts_with("SELECT") { own.to_owned() } else { condition(own) };
        all.push(case(name, &sql, true));
    }
    all.extend(CONDITIONS.iter().map(|own| case(own, &condition(own), true)));
    all.extend(STATEMENTS.iter().map(|sql| case(sql, sql, true)));
    all.extend(aggregates().iter().map(|(name, sql)| case(name, sql, true)));
    for form in &TEMPLATES {
        all.push(case(form.name, &form.example.replace(" GROUP BY", " WHERE {w} GROUP BY"), true));
    }
    for (name, sql) in slow().into_iter().chain(slow_statements()).chain(slow_people()) {
        all.push(case(name, &sql, false));
    }
    all.extend(REFUSED.iter().map(|sql| case(sql, sql, false)));
    all
}
