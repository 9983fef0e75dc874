//! What a range of days does to the bounds of one subject: keys that follow from the day, memberships, rows with keys of their own.

use shoal_schemas::Region;

use super::{now_ms, registry};
use crate::error::LanguageError;
use crate::private_query::{PrivateQuery, Shape};
use crate::question::{Question, ask};

fn asked(sql: &str) -> Question {
    ask(sql, &registry(), &[Region::De], now_ms()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

fn release(sql: &str) -> PrivateQuery {
    asked(sql).releases.into_iter().next().unwrap()
}

fn refused(sql: &str) -> (String, String) {
    match ask(sql, &registry(), &[Region::De], now_ms()) {
        Err(LanguageError::Refused(refusal)) => (refusal.message, refusal.example),
        other => panic!("{sql}: {:?}", other.map(|question| question.postprocess.sql)),
    }
}

const WEEK: &str = "day BETWEEN DATE '2026-11-16' AND DATE '2026-11-20'";

#[test]
fn people_count_in_each_value_that_their_days_have() {
    for (key, groups) in [
        ("extract(dow FROM day)", 5),
        ("extract(week FROM day)", 1),
        ("extract(year FROM day)", 1),
        ("CASE WHEN day < DATE '2026-11-18' THEN 'before' ELSE 'after' END", 2),
        ("CASE WHEN extract(isodow FROM day) > 4 THEN 'Friday' ELSE 'else' END", 2),
        ("os", release("SELECT os, COUNT(*) FROM usage GROUP BY os").l0()),
        ("day", 1),
    ] {
        let query = release(&format!(
            "SELECT {key} AS k, COUNT(DISTINCT subject) FROM usage WHERE {WEEK} GROUP BY 1"
        ));
        assert_eq!(query.groups_of_bucket(), groups, "{key}");
        let told = query.canonical().contains(&format!("\nGROUPS OF ONE SUBJECT {groups}"));
        assert_eq!(told, groups > query.l0(), "{query}");
    }
    // Both of a day's groups on each day, but no more than there are; weeks are buckets of their own.
    let both = release(&format!(
        "SELECT extract(dow FROM day) AS k, country, COUNT(DISTINCT subject) FROM usage WHERE {WEEK} GROUP BY 1, 2"
    ));
    assert_eq!(both.groups_of_bucket(), 5 * both.l0());
    let weeks = "SELECT date_trunc('week', day) AS w, extract(dow FROM day) AS k, COUNT(DISTINCT subject) FROM usage \
        WHERE day >= current_date - 27 GROUP BY 1, 2";
    assert_eq!(release(weeks).groups_of_bucket(), 7);
    // What adds up is bounded for each day, as before.
    let events =
        release(&format!("SELECT extract(dow FROM day) AS k, COUNT(*) FROM usage WHERE {WEEK} GROUP BY 1"));
    assert_eq!(events.l0(), 1);
    assert!(!events.canonical().contains("GROUPS OF ONE SUBJECT 5"));
}

#[test]
fn a_membership_leaves_each_day_its_bound() {
    let of = |key: &str, members: &str| {
        let group = if key.is_empty() { "" } else { "GROUP BY 1" };
        let sql = format!(
            "SELECT {key} COUNT(*) AS n, COUNT(DISTINCT subject) AS people FROM usage WHERE event = 'app_open' AND {WEEK} \
             {members} {group}"
        );
        release(&sql)
    };
    let linf = |query: &PrivateQuery| query.linf_of_bucket(&query.aggregates()[0]);
    let members = format!("AND subject IN (SELECT subject FROM crash WHERE {WEEK})");
    let (plain, narrowed) = (of("", ""), of("", &members));
    assert_eq!(linf(&narrowed), 5 * linf(&plain));
    assert!(
        narrowed.canonical().contains(&format!("(at most {} of one subject in one group)", linf(&narrowed)))
    );
    assert!(plain.canonical().contains("of one subject's day in one group"));
    assert_eq!(narrowed.linf_of_bucket(&narrowed.aggregates()[1]), 1);
    // A weekday is one of these days, and so is a day.
    for key in ["extract(dow FROM day) AS k,", "day,"] {
        assert_eq!(linf(&of(key, &members)), linf(&plain), "{key}");
    }
    // Each branch of such a key has a membership of its own.
    let key =
        format!("CASE WHEN subject IN (SELECT subject FROM crash WHERE {WEEK}) THEN 'a' ELSE 'b' END AS k,");
    let branches = asked(&format!(
        "SELECT {key} COUNT(*) AS n FROM usage WHERE event = 'app_open' AND {WEEK} GROUP BY 1"
    ));
    assert_eq!(branches.releases.iter().map(linf).collect::<Vec<_>>(), vec![5 * linf(&plain); 2]);
}

#[test]
fn the_days_of_a_membership_are_told_where_it_names_none() {
    let notes = |condition: &str, members: &str| {
        asked(&format!("SELECT COUNT(DISTINCT subject) AS n FROM usage u WHERE {condition} AND {members}"))
            .notes
    };
    let day = "u.day = DATE '2026-11-20'";
    for members in [
        "subject IN (SELECT subject FROM crash WHERE event = 'app_crash')",
        "subject NOT IN (SELECT subject FROM crash)",
        "EXISTS (SELECT 1 FROM crash c WHERE c.subject = u.subject)",
    ] {
        let found = notes(day, members);
        let wanted = "The subquery of crash names no days: it has those of the query, 2026-11-20.";
        assert!(found.iter().any(|note| note == wanted), "{members}: {found:?}");
        let found = notes(WEEK, members);
        assert!(found.iter().any(|note| note.ends_with("2026-11-16 to 2026-11-20.")), "{members}: {found:?}");
    }
    let given = notes(day, "subject IN (SELECT subject FROM crash WHERE day >= current_date - 6)");
    assert!(given.iter().all(|note| !note.contains("subquery")), "{given:?}");
    let open = notes(day, "subject IN (SELECT subject FROM crash WHERE day <= DATE '2026-11-10')");
    assert!(open.iter().any(|note| note.starts_with("Of the subquery of crash: No first day")), "{open:?}");
}

/// Rows of a subject: the bound of a count of them, and of the number that each has.
fn rows(sql: &str) -> (u64, i64) {
    let query = release(sql);
    let Shape::Subjects(person) = query.shape() else { panic!("{query}") };
    let count = query.aggregates().iter().find(|one| one.to_string() == "count(*)").unwrap();
    (count.linf, person.values.first().map_or(0, |value| value.max))
}

#[test]
fn each_row_of_a_subject_counts() {
    let of = |keys: &str, days: &str| {
        let names = keys.replace("GROUP BY subject", "");
        rows(&format!(
            "SELECT COUNT(*) AS rows_of, AVG(n) AS mean FROM (SELECT subject {names}, COUNT(*) AS n FROM usage WHERE \
             event = 'app_open' AND {days} GROUP BY subject {keys}) AS t"
        ))
    };
    let (one, day) = of("", "day = DATE '2026-11-20'");
    assert_eq!(one, 1);
    assert_eq!(of("", WEEK), (1, 5 * day));
    // A row for each weekday, each of one day; of three weeks, of three days each.
    assert_eq!(of(", extract(dow FROM day)", WEEK), (5, day));
    assert_eq!(of(", extract(dow FROM day)", "day >= current_date - 20"), (7, 3 * day));
    // All values of a listed key, and of one that conditions name.
    let (systems, most) = of(", os", WEEK);
    assert!(systems > 1 && most == 5 * day, "{systems} rows of {most}");
    assert_eq!(of(", extract(hour FROM time)", WEEK), (24, 5 * day));
    let named = "SELECT COUNT(*) AS rows_of, AVG(n) AS mean FROM (SELECT subject, screen, COUNT(*) AS n FROM usage GROUP BY \
        subject, screen) AS t WHERE screen IN ('home', 'live')";
    assert_eq!(rows(named).0, 2);
}

#[test]
fn a_mean_of_rows_that_may_not_all_count_is_refused_with_what_to_write() {
    let per = "(SELECT subject, screen, COUNT(*) AS n FROM usage WHERE day >= current_date - 6 GROUP BY subject, screen) AS t";
    for mean in ["AVG(n)", "stddev(n)", "AVG(CASE WHEN n > 2 THEN 1 ELSE 0 END)"] {
        let (message, example) = refused(&format!("SELECT {mean} AS m FROM {per}"));
        assert!(message.contains("one for each value of screen"), "{message}");
        assert!(example.contains("COUNT(DISTINCT screen)"), "{example}");
        asked(&example);
    }
    // A group of its own for each value has one row of each subject.
    let grouped = asked(&format!("SELECT screen, AVG(n) AS m FROM {per} GROUP BY screen"));
    assert!(grouped.notes.iter().all(|note| !note.contains("rows count")), "{:?}", grouped.notes);
    let counted = asked(&format!("SELECT COUNT(*) AS n FROM {per}"));
    assert!(
        counted.notes.iter().any(|note| note.contains("one for each value of screen")),
        "{:?}",
        counted.notes
    );
}
