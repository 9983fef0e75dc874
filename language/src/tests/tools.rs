//! Forms that tools and people write, and what they mean: the same question in the words of PostgreSQL.

use shoal_schemas::Region;

use super::{now_ms, registry};
use crate::error::LanguageError;
use crate::private_query::KeyKind;
use crate::question::{Question, ask};

fn asked(sql: &str) -> Question {
    ask(sql, &registry(), Region::ALL, now_ms()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn refused(sql: &str) -> (String, String) {
    match ask(sql, &registry(), Region::ALL, now_ms()) {
        Err(LanguageError::Refused(refusal)) => {
            asked(&refusal.example);
            (refusal.message, refusal.example)
        }
        other => panic!("{sql}: {other:?}"),
    }
}

fn same(one: &str, other: &str) {
    let of = |sql: &str| {
        let question = asked(sql);
        let text: Vec<String> = question.releases.iter().map(|query| query.canonical()).collect();
        (text, question.postprocess.sql)
    };
    assert_eq!(of(one), of(other), "{one}");
}

#[test]
fn a_join_that_chooses_among_values_is_a_condition() {
    let best = "(SELECT app_version AS v, COUNT(*) AS n FROM usage WHERE os = 'ios' GROUP BY app_version ORDER BY n DESC LIMIT 5) AS best";
    let condition = format!(
        "SELECT day, app_version, COUNT(*) AS events FROM usage WHERE (day > '2026-11-15') AND app_version IN (SELECT best.v AS v FROM \
         {best}) GROUP BY day, app_version ORDER BY events"
    );
    for (from, on) in [
        (format!("usage JOIN {best}"), "app_version = v"),
        (format!("{best} JOIN usage"), "best.v = usage.app_version"),
        (format!("usage INNER JOIN {best}"), "(usage.app_version = best.v)"),
    ] {
        same(
            &format!(
                "SELECT day, app_version, COUNT(*) AS events FROM {from} ON {on} WHERE day > '2026-11-15' GROUP BY day, app_version \
                 ORDER BY events"
            ),
            &condition,
        );
    }
    // What repeats events, uses more of the groups, or keeps rows without a partner is another question.
    for sql in [
        format!("SELECT app_version, n, COUNT(*) FROM usage JOIN {best} ON app_version = v GROUP BY 1, 2"),
        format!("SELECT app_version, COUNT(*) FROM usage JOIN {best} ON app_version = v WHERE n > 9 GROUP BY 1"),
        format!("SELECT app_version, COUNT(*) FROM usage JOIN {best} ON app_version = v GROUP BY 1 ORDER BY best.n"),
        format!("SELECT app_version, COUNT(*) FROM usage LEFT JOIN {best} ON app_version = v GROUP BY 1"),
        format!("SELECT app_version, COUNT(*) FROM usage JOIN {best} ON app_version > v GROUP BY 1"),
        format!("SELECT app_version, COUNT(*) FROM usage JOIN {best} ON app_version = v AND n > 9 GROUP BY 1"),
        "SELECT app_version, COUNT(*) FROM usage JOIN (SELECT app_version AS v, os, COUNT(*) AS n FROM usage GROUP BY 1, 2) AS best ON \
         app_version = v GROUP BY 1"
            .to_owned(),
        "SELECT app_version, COUNT(*) FROM usage JOIN (SELECT os AS v, COUNT(*) AS n FROM usage GROUP BY app_version, os) AS best ON \
         app_version = v GROUP BY 1"
            .to_owned(),
    ] {
        refused(&sql);
    }
}

#[test]
fn pages_and_buckets_have_one_form() {
    let page = "SELECT os, COUNT(*) AS n FROM usage GROUP BY os ORDER BY n DESC";
    same(&format!("{page} OFFSET 10 ROWS FETCH NEXT 5 ROWS ONLY"), &format!("{page} LIMIT 5 OFFSET 10"));
    assert!(refused(&format!("{page} LIMIT 5 FETCH NEXT 5 ROWS ONLY")).0.contains("FETCH beside LIMIT"));
    let by =
        |bucket: &str| format!("SELECT time_bucket('{bucket}', time) AS t, COUNT(*) FROM usage GROUP BY 1");
    for hour in ["3600.000s", "3600s", "60m", "1h"] {
        same(&by(hour), &by("1 hour"));
    }
    same(&by("1d"), &by("1 day"));
    same(
        "SELECT CAST(TRUNC(EXTRACT(YEAR FROM day)) AS INTEGER) AS y, SUM(1) AS n FROM usage GROUP BY 1",
        "SELECT extract(year FROM day) AS y, COUNT(*) AS n FROM usage GROUP BY 1",
    );
    for other in ["60.000s", "3600.5s", "2h", "h", "99999999h"] {
        assert!(refused(&by(other)).0.contains("an hour or a day"), "{other}");
    }
}

/// The week of a first day is as much as its days together, so that it is a key of a person's row.
#[test]
fn first_days_are_grouped_by_week_and_month() {
    let firsts =
        "(SELECT subject, MIN(day) AS first_day FROM usage WHERE day >= '2026-10-28' GROUP BY subject) AS p";
    for (grain, starts) in [
        ("week", &["2026-10-26", "2026-11-02", "2026-11-09", "2026-11-16"][..]),
        ("month", &["2026-10-01", "2026-11-01"][..]),
    ] {
        let sql = format!(
            "SELECT date_trunc('{grain}', first_day) AS since, COUNT(*) AS n FROM {firsts} GROUP BY 1"
        );
        let question = asked(&sql);
        let KeyKind::Public(values) = &question.releases[0].keys()[0].kind else { panic!("{sql}") };
        let wanted: Vec<String> =
            starts.iter().map(|day| crate::calendar::parse_day(day).unwrap().to_string()).collect();
        assert_eq!(values.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted, "{sql}");
        // It is shown as a day, as the first day itself is.
        let plain = asked(&format!("SELECT first_day AS since, COUNT(*) AS n FROM {firsts} GROUP BY 1"));
        assert_eq!(question.postprocess.sql, plain.postprocess.sql);
    }
    let sql = format!("SELECT COUNT(*) FROM {firsts} WHERE date_trunc('week', first_day) >= '2026-11-02'");
    asked(&sql);
}

/// An expression has no more values on a day than what it is made of, so that it needs no more noise.
#[test]
fn keys_that_are_made_of_a_key_need_its_noise() {
    for (made, of) in [
        ("extract(dow FROM time) + 1", "day"),
        ("CASE WHEN extract(isodow FROM day) > 5 THEN 'weekend' ELSE 'week' END", "day"),
        ("country = 'DE'", "country"),
    ] {
        let sql = |key: &str| format!("SELECT {key} AS k, COUNT(*) FROM usage GROUP BY {key}");
        assert_eq!(asked(&sql(made)).releases[0].l0(), asked(&sql(of)).releases[0].l0(), "{made}");
    }
    let hours = asked("SELECT extract(hour FROM time) + 1 AS k, COUNT(*) FROM usage GROUP BY 1");
    assert_eq!(hours.releases[0].l0(), 24);
}

#[test]
fn what_cannot_be_said_of_events_says_what_to_write_instead() {
    for (sql, says, example) in [
        (
            "SELECT split_part(app_version, '.', 1) AS major, COUNT(*) FROM usage GROUP BY 1",
            "cut what is released",
            "CASE WHEN",
        ),
        ("SELECT left(app_version, 1), COUNT(*) FROM usage GROUP BY 1", "cut what is released", "CASE WHEN"),
        ("SELECT os || country AS k, COUNT(*) FROM usage GROUP BY 1", "cut what is released", "CASE WHEN"),
        (
            "SELECT substring(os FROM 1 FOR 3) AS k, COUNT(*) FROM usage GROUP BY 1",
            "cut what is released",
            "CASE WHEN",
        ),
        (
            "SELECT to_char(time, 'HH24') AS h, COUNT(*) FROM usage GROUP BY 1",
            "extract(hour FROM time)",
            "isodow",
        ),
        (
            "SELECT to_char(day, 'Day') AS d, COUNT(*) FROM usage GROUP BY 1",
            "extract(hour FROM time)",
            "isodow",
        ),
        (
            "SELECT date_trunc('week', time + INTERVAL '1 day') AS w, COUNT(*) FROM usage GROUP BY 1",
            "weeks begin on Monday",
            "week_from_sunday",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT DISTINCT subject FROM usage INTERSECT SELECT DISTINCT subject FROM crash) AS t",
            "subject IN (..)",
            "NOT IN (SELECT subject",
        ),
        (
            "SELECT nspname FROM pg_catalog.pg_namespace",
            "information_schema.columns",
            "information_schema.columns",
        ),
        (
            "SELECT schema_name FROM information_schema.schemata",
            "information_schema.tables",
            "information_schema.columns",
        ),
        ("SELECT oid FROM pg_type", "information_schema.tables", "information_schema.columns"),
        ("SELECT COUNT(*) FROM nothing", "there are usage", "FROM usage"),
    ] {
        let (message, shown) = refused(sql);
        assert!(message.contains(says) && shown.contains(example), "{sql}\n{message}\n{shown}");
    }
}
