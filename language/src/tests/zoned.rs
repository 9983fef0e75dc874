//! Hours on other clocks than those of UTC, and the days that are asked where no first day is named.

use std::collections::BTreeMap;

use shoal_schemas::Region;

use super::{now_ms, registry, today};
use crate::bind::Asking;
use crate::error::LanguageError;
use crate::private_query::DayRange;
use crate::question::{Question, ask, ask_within};
use crate::work::Work;
use crate::zones::Zone;

fn asked(sql: &str) -> Question {
    ask(sql, &registry(), Region::ALL, now_ms()).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn hours_of_a_zone_are_hours_of_utc_that_are_shown_otherwise() {
    let plain = asked(
        "SELECT date_trunc('hour', time) AS hour, COUNT(*) AS n FROM usage WHERE day > current_date - 7 GROUP BY 1",
    );
    let zone = "time AT TIME ZONE 'Asia/Singapore'";
    for sql in [
        format!("SELECT date_trunc('hour', {zone}) AS hour, COUNT(*) AS n FROM usage WHERE day > current_date - 7 GROUP BY 1"),
        format!(
            "SELECT date_trunc('hour', {zone}), COUNT(*) AS n FROM usage WHERE day > current_date - 7 GROUP BY date_trunc('hour', \
             {zone}) ORDER BY date_trunc('hour', {zone})"
        ),
        "SELECT date_trunc('hour', u.time AT TIME ZONE 'asia/singapore') AS hour, COUNT(*) AS n FROM usage u WHERE day > \
         current_date - 7 GROUP BY hour ORDER BY hour"
            .to_owned(),
    ] {
        let question = asked(&sql);
        assert_eq!(question.releases[0].canonical(), plain.releases[0].canonical(), "{sql}");
        assert!(question.postprocess.sql.contains("(\"k0\" + INTERVAL '8 hours')"), "{}", question.postprocess.sql);
        assert!(question.notes.iter().any(|note| note.contains("Asia/Singapore, 8 hours ahead")), "{:?}", question.notes);
    }
    let hours = asked(
        "SELECT extract(hour FROM time) AS h, COUNT(*) FROM usage WHERE day > current_date - 7 GROUP BY 1",
    );
    let local = asked(
        "SELECT extract(hour FROM time AT TIME ZONE 'America/New_York') AS h, COUNT(*) FROM usage WHERE day > current_date - 7 \
         GROUP BY h",
    );
    assert_eq!(local.releases[0].canonical(), hours.releases[0].canonical());
    assert!(local.postprocess.sql.contains("((\"k0\" + 19) % 24)"), "{}", local.postprocess.sql);
    let moved = "SELECT date_trunc('week', time) + INTERVAL '6 days' AS ends, COUNT(*) FROM usage GROUP BY 1";
    assert_eq!(asked(moved).releases[0].keys().len(), 1);
}

#[test]
fn a_condition_on_a_zone_is_one_on_utc() {
    let same = |local: &str, utc: &str| {
        let of = |condition: &str| {
            asked(&format!(
                "SELECT COUNT(DISTINCT subject) FROM usage WHERE {condition} AND day >= '2026-10-01'"
            ))
            .releases[0]
                .canonical()
        };
        assert_eq!(of(local), of(utc), "{local}");
    };
    same(
        "time AT TIME ZONE 'Asia/Singapore' >= '2026-11-20' AND time AT TIME ZONE 'Asia/Singapore' < '2026-11-21'",
        "time >= '2026-11-19 16:00' AND time < '2026-11-20 16:00'",
    );
    same(
        "(time AT TIME ZONE 'Asia/Singapore')::date = '2026-11-20'",
        "time >= '2026-11-19 16:00' AND time < '2026-11-20 16:00'",
    );
    same(
        "(time AT TIME ZONE 'Europe/Berlin')::date BETWEEN DATE '2026-10-24' AND DATE '2026-10-26'",
        "time >= '2026-10-23 22:00' AND time < '2026-10-26 23:00'",
    );
    same("time AT TIME ZONE 'Europe/Berlin' > '2026-11-20 12:30'", "time > '2026-11-20 11:30'");
}

/// Zones in FILTER, in CASE and in WHERE, as times, days and hours.
#[test]
fn conditions_on_zones_may_stand_wherever_conditions_may() {
    let same = |local: &str, utc: &str| {
        let of = |sql: &str| {
            let question = asked(sql);
            let text: Vec<String> = question.releases.iter().map(|query| query.canonical()).collect();
            (text, question.notes.join(" "))
        };
        let ((local_text, notes), (utc_text, _)) = (of(local), of(utc));
        assert_eq!(local_text, utc_text, "{local}");
        let is_of_hours = local.contains("hour FROM") || local.contains("date_part");
        assert_eq!(notes.contains("8 hours ahead"), is_of_hours, "{local}: {notes}");
    };
    let singapore = "time AT TIME ZONE 'Asia/Singapore'";
    for (local, utc) in [
        (
            format!("extract(hour FROM {singapore}) < 12"),
            "extract(hour FROM time) IN (0, 1, 2, 3, 16, 17, 18, 19, 20, 21, 22, 23)",
        ),
        (
            format!("12 > date_part('hour', {singapore})"),
            "extract(hour FROM time) IN (0, 1, 2, 3, 16, 17, 18, 19, 20, 21, 22, 23)",
        ),
        (format!("CAST(extract(hour FROM {singapore}) AS integer) = 9"), "extract(hour FROM time) IN (1)"),
        (
            format!("extract(hour FROM {singapore}) NOT IN (8, 9)"),
            "NOT (extract(hour FROM time) IN (0) OR extract(hour FROM time) IN (1))",
        ),
        (format!("extract(hour FROM {singapore}) = 24"), "extract(hour FROM time) < 0"),
        (format!("{singapore} >= '2026-11-20'"), "time >= '2026-11-19 16:00'"),
        (
            format!("({singapore})::date <> '2026-11-20'"),
            "(time < '2026-11-19 16:00' OR time >= '2026-11-20 16:00')",
        ),
        (
            format!("date_trunc('day', {singapore}) = '2026-11-20'"),
            "time >= '2026-11-19 16:00' AND time < '2026-11-20 16:00'",
        ),
        (
            format!("date_trunc('hour', {singapore}) = '2026-11-20 09:00'"),
            "date_trunc('hour', time) = '2026-11-20 01:00'",
        ),
        (
            "time >= TIMESTAMP '2026-11-20 00:00' AT TIME ZONE 'Asia/Singapore'".to_owned(),
            "time >= '2026-11-19 16:00'",
        ),
    ] {
        for form in [
            "SELECT os, COUNT(*) FILTER (WHERE {}) AS n FROM usage WHERE day > current_date - 7 GROUP BY os",
            "SELECT CASE WHEN {} THEN 'a' ELSE 'b' END AS k, COUNT(*) AS n FROM usage WHERE day > current_date - 7 GROUP BY 1",
            "SELECT COUNT(DISTINCT subject) AS n FROM usage WHERE day > current_date - 7 AND {}",
            "SELECT COUNT(*) AS n FROM usage WHERE day > current_date - 7 AND subject IN (SELECT subject FROM crash WHERE day > \
             current_date - 7 AND {})",
        ] {
            // Notes of a membership are not told.
            if !form.contains("subject IN") {
                same(&form.replace("{}", &local), &form.replace("{}", utc));
            } else {
                let of = |condition: &str| asked(&form.replace("{}", condition)).releases[0].canonical();
                assert_eq!(of(&local), of(utc));
            }
        }
    }
}

#[test]
fn a_case_and_a_cast_of_hours_of_a_zone_are_those_of_utc() {
    let singapore = "time AT TIME ZONE 'Asia/Singapore'";
    let same = |local: &str, utc: &str| {
        assert_eq!(asked(local).releases[0].canonical(), asked(utc).releases[0].canonical(), "{local}");
    };
    let case = format!(
        "SELECT CASE extract(hour FROM {singapore}) WHEN 9 THEN 'nine' END AS k, COUNT(*) FROM usage GROUP BY 1"
    );
    same(
        &case,
        "SELECT CASE WHEN extract(hour FROM time) IN (1) THEN 'nine' END AS k, COUNT(*) FROM usage GROUP BY 1",
    );
    let hour = format!("CAST(extract(hour FROM {singapore}) AS integer)");
    same(
        &format!("SELECT {hour} AS h, COUNT(*) FROM usage GROUP BY {hour}"),
        "SELECT extract(hour FROM time) AS h, COUNT(*) FROM usage GROUP BY 1",
    );
}

/// Which hours of UTC are meant depends on the days, and those are known in the end only.
#[test]
fn hours_of_a_zone_are_those_of_the_days_that_are_read() {
    let nine = "extract(hour FROM time AT TIME ZONE 'Europe/Berlin') = 9";
    let filter = |sql: &str| {
        let question = ask(sql, &registry(), Region::ALL, now_ms());
        question.map(|question| question.releases[0].canonical())
    };
    let summer = filter(&format!(
        "SELECT COUNT(*) FROM usage WHERE {nine} AND day BETWEEN '2026-10-01' AND '2026-10-10'"
    ));
    assert!(summer.unwrap().contains("(extract(hour FROM time) = 7)"));
    let winter = filter(&format!("SELECT COUNT(*) FROM usage WHERE {nine} AND day >= '2026-11-01'"));
    assert!(winter.unwrap().contains("(extract(hour FROM time) = 8)"));
    // The subquery reads its conditions as those of winter, and what is around it asks for summer.
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT * FROM usage WHERE {nine} AND day >= '2026-06-01' AND day <= '2026-11-22') AS t WHERE day < '2026-10-10'"
    );
    assert!(filter(&sql).unwrap_err().to_string().contains("change on 2026-10-25"));
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT * FROM usage WHERE {nine} AND day <= '2026-10-10') AS t WHERE day >= '2026-03-01'"
    );
    assert!(filter(&sql).unwrap_err().to_string().contains("change on 2026-03-29"));
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT * FROM usage WHERE {nine} AND day >= '2026-11-01') AS t WHERE day >= '2026-11-09'"
    );
    assert!(filter(&sql).unwrap().contains("(extract(hour FROM time) = 8)"));
    // A window of each day: hours of all days that the windows have.
    let windows = format!(
        "SELECT d, COUNT(DISTINCT subject) FROM generate_series(DATE '2026-10-20', DATE '2026-10-28', INTERVAL '1 day') AS d JOIN usage u \
         ON u.day BETWEEN d - 6 AND d AND {nine} GROUP BY d"
    );
    assert!(filter(&windows).unwrap_err().to_string().contains("change on 2026-10-25"));
}

/// A time that the asker moves is a time, also beside hours of a zone.
#[test]
fn only_the_hours_of_a_zone_are_shown_as_texts() {
    let sql = "SELECT date_trunc('hour', time) + INTERVAL '1 hour' AS ends, date_trunc('hour', time AT TIME ZONE 'Asia/Singapore') AS \
        here, COUNT(*) FROM usage GROUP BY date_trunc('hour', time) ORDER BY extract(hour FROM time AT TIME ZONE 'Asia/Singapore')";
    let text = asked(sql).postprocess.sql;
    assert!(text.contains("\"k0\" + INTERVAL '1 hour' AS \"ends\""), "{text}");
    assert!(text.contains("ORDER BY ((EXTRACT(HOUR FROM \"k0\") + 8) % 24)"), "{text}");
    assert!(
        text.contains("to_char((\"k0\" + INTERVAL '8 hours'), '%Y-%m-%d %H:%M:%S') AS \"here\""),
        "{text}"
    );
}

/// Looking up a zone, and its hours, is work like any other.
#[test]
fn looking_up_zones_is_counted_and_done_once() {
    let spent = |zones: &[&str]| {
        let count = |(at, zone): (usize, &&str)| {
            format!("COUNT(*) FILTER (WHERE extract(hour FROM time AT TIME ZONE '{zone}') = {at}) AS n{at}")
        };
        let counts: Vec<String> = zones.iter().enumerate().map(count).collect();
        let sql = format!("SELECT {} FROM usage WHERE day >= '2026-11-01'", counts.join(", "));
        let (work, first_days) = (Work::default(), BTreeMap::new());
        let asking = Asking { regions: Region::ALL, first_days: &first_days, now_ms: now_ms() };
        ask_within(&sql, &registry(), asking, &work).unwrap();
        work.spent()
    };
    let (one, two) = (spent(&["Asia/Singapore"]), spent(&["Asia/Singapore", "Asia/Tokyo"]));
    let again = spent(&["Asia/Singapore", "Asia/Singapore"]);
    let hours = 22 * 24;
    assert!(two - one >= hours && again - one < hours, "{one}, {two}, {again}");
    assert!(again - one >= chrono_tz::TZ_VARIANTS.len() as u64 / 32, "{one}, {again}");
    // More zones than a statement has steps for.
    let days = DayRange { first: today() - 390, last: today() };
    let is_fixed = |name: &&str| Zone::of(name).is_some_and(|zone| zone.hours(days).is_ok());
    let fixed: Vec<&str> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).filter(is_fixed).collect();
    let arms = fixed.iter().take(60).map(|zone| format!("extract(hour FROM time AT TIME ZONE '{zone}') = 9"));
    let arms = arms.collect::<Vec<_>>().join(" OR ");
    let sql = format!("SELECT COUNT(*) FROM usage WHERE day >= current_date - 390 AND ({arms})");
    let refused = ask(&sql, &registry(), Region::ALL, now_ms()).unwrap_err().to_string();
    assert!(refused.contains("steps"), "{refused}");
}

#[test]
fn what_a_zone_cannot_be_is_refused_with_what_can_be_asked() {
    for (sql, says) in [
        (
            "SELECT date_trunc('day', time AT TIME ZONE 'Asia/Singapore') AS d, COUNT(*) FROM usage GROUP BY 1",
            "hours of two UTC days",
        ),
        (
            "SELECT (time AT TIME ZONE 'Asia/Singapore')::date AS d, COUNT(*) FROM usage GROUP BY 1",
            "hours of two UTC days",
        ),
        (
            "SELECT extract(dow FROM time AT TIME ZONE 'Asia/Singapore') AS d, COUNT(*) FROM usage GROUP BY 1",
            "hours of two UTC days",
        ),
        // Each row would be an hour under the name of its day.
        (
            "SELECT date_trunc('hour', time AT TIME ZONE 'Asia/Singapore')::date AS d, COUNT(*) FROM usage GROUP BY 1",
            "An interval can only",
        ),
        (
            "SELECT (date_trunc('hour', time) + INTERVAL '8 hours')::date AS d, COUNT(*) FROM usage GROUP BY 1",
            "An interval can only",
        ),
        (
            "SELECT to_char(date_trunc('hour', time), 'YYYY-MM-DD HH24')::date AS d, COUNT(*) FROM usage GROUP BY 1",
            "A key that to_char shows",
        ),
        (
            "SELECT date_trunc('hour', time AT TIME ZONE 'Europe/Berlin'), COUNT(*) FROM usage WHERE day >= '2026-10-20' GROUP BY 1",
            "change on 2026-10-25",
        ),
        (
            "SELECT date_trunc('hour', time AT TIME ZONE 'Asia/Kolkata'), COUNT(*) FROM usage GROUP BY 1",
            "not whole hours",
        ),
        (
            "SELECT date_trunc('hour', time AT TIME ZONE '+08'), COUNT(*) FROM usage GROUP BY 1",
            "no such time zone",
        ),
        ("SELECT COUNT(*) FROM usage WHERE time AT TIME ZONE 'Europe/Berlin' > '2026-10-25 02:30'", "twice"),
        (
            "SELECT hour AT TIME ZONE 'Asia/Singapore', n FROM (SELECT date_trunc('hour', time) AS hour, COUNT(*) AS n FROM usage \
          GROUP BY 1) t",
            "hours of two UTC days",
        ),
    ] {
        let Err(LanguageError::Refused(refusal)) = ask(sql, &registry(), Region::ALL, now_ms()) else {
            panic!("{sql}")
        };
        assert!(refusal.message.contains(says), "{sql}: {}", refusal.message);
        asked(&refusal.example);
    }
}

#[test]
fn what_names_no_first_day_begins_when_the_regions_were_first_served() {
    let first_days = BTreeMap::from([(Region::De, today() - 3), (Region::Us, today() - 9)]);
    let days = |sql: &str, regions: &[Region]| {
        let asking = Asking { regions, first_days: &first_days, now_ms: now_ms() };
        let question = ask_within(sql, &registry(), asking, &Work::default()).unwrap();
        let days = question.releases[0].days();
        (days.first - today(), days.last - today(), question.notes.join(" "))
    };
    let sql = "SELECT COUNT(*) FROM usage";
    let (first, last, notes) = days(sql, &[Region::De]);
    assert!((first, last) == (-3, 0) && notes.contains("on, the first that was served"), "{notes}");
    assert_eq!(days(sql, &[Region::De, Region::Us]).0, -9, "the earliest of them");
    assert_eq!(days("SELECT COUNT(*) FROM usage WHERE region = 'DE'", &[Region::De, Region::Us]).0, -3);
    assert_eq!(days(sql, &[Region::De, Region::Sg]).0, -29, "not known of one of them");
    assert_eq!(
        days("SELECT COUNT(*) FROM usage WHERE day >= current_date - 20", &[Region::De]).0,
        -20,
        "named"
    );
    // Before the region was served there is nothing to begin with.
    assert_eq!(days("SELECT COUNT(*) FROM usage WHERE day <= current_date - 7", &[Region::De]).0, -36);
    let members = "SELECT COUNT(*) FROM usage WHERE subject IN (SELECT subject FROM crash)";
    assert_eq!(days(members, &[Region::De]).0, -3);
}

#[test]
fn a_subquery_that_reads_nothing_is_what_it_says_and_a_persons_day_is_a_day() {
    let same = |one: &str, other: &str| {
        let (one, other) = (asked(one), asked(other));
        assert_eq!(one.releases[0].canonical(), other.releases[0].canonical());
    };
    same(
        "SELECT COUNT(*) FROM usage WHERE time >= ((SELECT (DATE_TRUNC('day', now()) + (-6 || ' day')::INTERVAL)))",
        "SELECT COUNT(*) FROM usage WHERE day >= current_date - 6",
    );
    let firsts = "FROM (SELECT subject, MIN(day) AS first FROM usage WHERE day >= '2026-11-01' GROUP BY subject HAVING MIN(day) < \
        '2026-11-20') AS p WHERE first BETWEEN DATE '2026-11-10' AND '2026-11-15'";
    let question = asked(&format!("SELECT COUNT(*) {firsts}"));
    let text = question.releases[0].canonical();
    assert!(text.contains("(value_0 <= 20772) AND (value_0 >= 20767)"), "{text}");
}

#[test]
fn keys_that_are_numbers_of_something_have_units() {
    for (sql, unit) in [
        (
            "SELECT bucket(duration_ms), COUNT(*) FROM performance WHERE event = 'app_start' GROUP BY 1",
            Some("ms"),
        ),
        (
            "SELECT floor(duration_ms / 250) * 250, COUNT(*) FROM performance WHERE event = 'app_start' GROUP BY 1",
            Some("ms"),
        ),
        (
            "SELECT floor(duration_ms / 250), COUNT(*) FROM performance WHERE event = 'app_start' GROUP BY 1",
            None,
        ),
        ("SELECT width_bucket(duration_ms, 0, 5000, 20), COUNT(*) FROM performance GROUP BY 1", None),
        (
            "SELECT CASE WHEN duration_ms < 9 THEN 'fast' ELSE 'slow' END, COUNT(*) FROM performance GROUP BY 1",
            None,
        ),
        (
            "SELECT n, COUNT(*) FROM (SELECT subject, COUNT(*) AS n FROM usage GROUP BY subject) p GROUP BY n",
            Some("events"),
        ),
        (
            "SELECT n, COUNT(*) FROM (SELECT subject, COUNT(DISTINCT day) AS n FROM usage GROUP BY subject) p GROUP BY n",
            Some("days"),
        ),
        (
            "SELECT n, COUNT(*) FROM (SELECT subject, MIN(day) AS n FROM usage GROUP BY subject) p GROUP BY n",
            None,
        ),
        (
            "SELECT n, COUNT(*) FROM (SELECT subject, SUM(duration_ms) AS n FROM usage GROUP BY subject) p GROUP BY n",
            Some("ms"),
        ),
        ("SELECT os, COUNT(*) FROM usage GROUP BY os", None),
    ] {
        assert_eq!(asked(sql).releases[0].unit_of_key(0, &registry()).as_deref(), unit, "{sql}");
    }
}
