//! Funnels, retention, values per person, memberships.

use super::*;

/// Who did it on an active day of the last `days`: all steps of the world's funnels happen on one day.
fn who(days: i32, is_one: impl Fn(u32) -> bool) -> f64 {
    let is_there = |subject: &u32| (DAYS - days..DAYS).any(|at| is_active(*subject, at));
    (0..SUBJECTS).filter(|subject| is_there(subject) && is_one(*subject)).count() as f64
}

#[tokio::test]
async fn funnel() {
    let sql = "SELECT step, COUNT(DISTINCT subject) AS people FROM funnel(usage, 'app_open', \
        event = 'login' AND result = 'ok', event = 'purchase', within => INTERVAL '7 days') \
        WHERE day > current_date - 14 GROUP BY step ORDER BY step";
    let answer = asked(sql).await;
    assert_eq!(answer.rows().len(), 3);
    answer.near(answer.at("step", 1), "people", who(14, |_| true), 15.0);
    answer.near(answer.at("step", 2), "people", who(14, |s| s % 4 != 1), 15.0);
    answer.near(answer.at("step", 3), "people", who(14, |s| s % 4 != 1 && s % 5 == 0), 15.0);
}

#[tokio::test]
async fn funnel_by_version_and_within_hours() {
    let sql = "SELECT app_version, step, COUNT(DISTINCT subject) AS people FROM funnel(usage, event = 'app_open', \
        event = 'login', event = 'purchase' AND items >= 1, within => INTERVAL '1 hour') \
        WHERE day > current_date - 7 GROUP BY app_version, step ORDER BY app_version, step";
    let answer = asked(sql).await;
    let of = |v: &str, step: i64| {
        answer.rows().iter().position(|row| row["app_version"] == v && row["step"] == step)
    };
    for v in ["4.1", "4.2"] {
        let is_of = |s: u32| version(s) == Some(v);
        answer.near(of(v, 1).unwrap(), "people", who(7, is_of), 30.0);
        answer.near(of(v, 2).unwrap(), "people", who(7, is_of), 30.0);
        // The purchase is two hours after the opening; but the second opening of the odd ones is after all.
        if let Some(row) = of(v, 3) {
            answer.near(row, "people", 0.0, 30.0);
        }
    }
    assert!(!answer.0.to_string().contains("rare"));
}

#[tokio::test]
async fn retention_by_week_and_day() {
    let sql = "SELECT cohort, period, COUNT(DISTINCT subject) AS people FROM retention(usage, event = 'app_open', \
        event = 'app_open', period => 'week') WHERE day > current_date - 21 GROUP BY cohort, period \
        ORDER BY cohort, period";
    let answer = asked(sql).await;
    let in_week = |s: u32, week: i32| (week * 7..week * 7 + 7).any(|at| is_active(s, at));
    let cohort = |s: u32| (0..3).find(|week| in_week(s, *week));
    let mut seen = 0;
    for row in 0..answer.rows().len() {
        let start =
            shoal_language::calendar::parse_day(&answer.rows()[row]["cohort"].as_str().unwrap()[..10])
                .unwrap();
        let (week, period) = ((start - first()) / 7, answer.rows()[row]["period"].as_i64().unwrap() as i32);
        let is_one = |s: &u32| cohort(*s) == Some(week) && week + period < 3 && in_week(*s, week + period);
        answer.near(row, "people", (0..SUBJECTS).filter(is_one).count() as f64, 20.0);
        seen += 1;
    }
    assert!(seen >= 6, "{}", answer.0);
    let sql = "SELECT period, COUNT(DISTINCT subject) AS people FROM retention(usage, event = 'login', \
        event = 'login', period => 'day') WHERE day > current_date - 5 GROUP BY period ORDER BY period";
    let answer = asked(sql).await;
    let days = |s: u32| -> Vec<i32> { (DAYS - 5..DAYS).filter(|at| is_active(s, *at)).collect() };
    for period in 0..5 {
        let is_one = |s: &u32| days(*s).first().is_some_and(|f| days(*s).contains(&(f + period)));
        answer.near(period as usize, "people", (0..SUBJECTS).filter(is_one).count() as f64, 25.0);
    }
}

/// Active days of the last `days`.
fn active_days(subject: u32, days: i32) -> usize {
    (DAYS - days..DAYS).filter(|at| is_active(subject, *at)).count()
}

#[tokio::test]
async fn averages_per_person() {
    let sql = "SELECT avg(n) AS each, count(*) AS people FROM (SELECT subject, count(*) AS n FROM usage \
        WHERE event = 'app_open' AND day > current_date - 7 GROUP BY subject) AS t";
    let answer = asked(sql).await;
    let rows = rows_of(&USAGE, 7, |row| row.event == "app_open");
    let people = people_of(rows.iter().copied());
    answer.near(0, "each", rows.len() as f64 / people, 0.7);
    answer.near(0, "people", people, 20.0);
    let sql = "SELECT avg(paid) AS each, stddev(paid) AS spread, sum(paid) AS all FROM (SELECT subject, sum(amount) AS paid FROM usage \
        WHERE event = 'purchase' AND day > current_date - 7 GROUP BY subject) AS t";
    let answer = asked(&sql.replace(" AS all", " AS total")).await;
    let rows = rows_of(&USAGE, 7, |row| row.event == "purchase");
    let total: i64 = rows.iter().map(|row| row.numbers[0].1).sum();
    answer.near(0, "total", total as f64 / 100.0, 40_000.0);
    answer.near(0, "each", total as f64 / 100.0 / people_of(rows.iter().copied()), 60.0);
}

#[tokio::test]
async fn days_per_person() {
    let regulars = |n: usize| (0..SUBJECTS).filter(|s| active_days(*s, 14) >= n).count() as f64;
    let per = "(SELECT subject, count(DISTINCT day) AS n FROM usage WHERE day > current_date - 14 GROUP BY subject) AS t";
    let answer = asked(&format!("SELECT count(*) AS people FROM {per} WHERE n >= 3")).await;
    answer.near(0, "people", regulars(3), 15.0);
    let sql = "SELECT COUNT(*) AS people FROM (SELECT subject FROM usage WHERE day > current_date - 14 \
        GROUP BY subject HAVING COUNT(DISTINCT day) >= 3) t";
    asked(sql).await.near(0, "people", regulars(3), 15.0);
    let answer = asked(&format!("SELECT n, count(*) AS people FROM {per} GROUP BY n ORDER BY n")).await;
    for n in 1..=5 {
        let is_one = |s: &u32| active_days(*s, 14) == n;
        let truth = (0..SUBJECTS).filter(is_one).count() as f64;
        answer.near(answer.at("n", n as i64), "people", truth, 15.0);
    }
    let sql = format!(
        "SELECT CASE WHEN n >= 4 THEN 'often' WHEN n >= 2 THEN 'sometimes' ELSE 'once' END AS how, \
         count(*) AS people FROM {per} GROUP BY 1"
    );
    let answer = asked(&sql).await;
    answer.near(answer.at("how", "often"), "people", regulars(4), 15.0);
    answer.near(answer.at("how", "sometimes"), "people", regulars(2) - regulars(4), 15.0);
    answer.near(answer.at("how", "once"), "people", regulars(1) - regulars(2), 15.0);
    let answer = asked(&format!("SELECT median(n) AS middle, avg(n) AS mean FROM {per} WHERE n >= 2")).await;
    let mean = (0..SUBJECTS).map(|s| active_days(s, 14)).filter(|n| *n >= 2);
    let (sum, people) = mean.fold((0, 0), |(sum, people), n| (sum + n, people + 1));
    answer.near(0, "mean", sum as f64 / f64::from(people), 0.2);
    assert!((2.0..=6.0).contains(&answer.number(0, "middle")), "{}", answer.0);
}

#[tokio::test]
async fn persons_by_a_key_and_distinct_persons() {
    let sql = "SELECT os, count(*) AS people, count(*) FILTER (WHERE bought > 0) AS buyers FROM (SELECT subject, os, \
        count(*) FILTER (WHERE event = 'purchase') AS bought FROM usage WHERE day > current_date - 7 GROUP BY subject, os) t \
        GROUP BY os ORDER BY os";
    let answer = asked(sql).await;
    answer.near(answer.at("os", "ios"), "people", who(7, |s| s % 4 == 0), 30.0);
    answer.near(answer.at("os", "ios"), "buyers", who(7, |s| s % 4 == 0 && s % 5 == 0), 30.0);
    answer.near(answer.at("os", "android"), "people", who(7, |s| s % 4 != 0), 30.0);
    answer.near(answer.at("os", "linux"), "people", 0.0, 30.0);
    let sql = "SELECT count(*) AS people FROM (SELECT DISTINCT subject FROM usage WHERE event = 'purchase' \
        AND day > current_date - 7) AS t";
    asked(sql).await.near(0, "people", who(7, |s| s % 5 == 0), 15.0);
}

#[tokio::test]
async fn people_by_weekday_count_on_each_of_theirs() {
    let active = |s: u32, is_day: &dyn Fn(i32) -> bool| (0..DAYS).any(|at| is_day(at) && is_active(s, at));
    let of = |is_day: &dyn Fn(i32) -> bool| (0..SUBJECTS).filter(|s| active(*s, is_day)).count() as f64;
    let sql = "SELECT extract(isodow FROM day) AS d, COUNT(DISTINCT subject) AS people FROM usage WHERE day > current_date - 21 \
        GROUP BY 1 ORDER BY 1";
    let answer = asked(sql).await;
    for weekday in 0..7_i64 {
        let truth = of(&|at| i64::from(at % 7) == weekday);
        answer.near(answer.at("d", weekday + 1), "people", truth, 10.0);
    }
    let (day, border) = (shoal_language::calendar::day_text(first() + 9), 9);
    let sql = format!(
        "SELECT CASE WHEN day < DATE '{day}' THEN 'before' ELSE 'after' END AS half, COUNT(DISTINCT subject) AS people \
         FROM usage WHERE day > current_date - 21 GROUP BY 1"
    );
    let answer = asked(&sql).await;
    answer.near(answer.at("half", "before"), "people", of(&|at| at < border), 10.0);
    answer.near(answer.at("half", "after"), "people", of(&|at| at >= border), 10.0);
}

#[tokio::test]
async fn events_of_members_are_bounded_as_those_of_all() {
    let sql = "SELECT COUNT(*) AS logins FROM usage WHERE event = 'login' AND day > current_date - 21 AND subject IN \
        (SELECT subject FROM usage WHERE day > current_date - 21)";
    let truth = rows_of(&USAGE, 21, |row| row.event == "login").len();
    asked(sql).await.near(0, "logins", truth as f64, 1_000.0);
}

#[tokio::test]
async fn rows_of_a_weekday_are_rows() {
    let sql = "SELECT avg(n) AS each, count(*) AS days FROM (SELECT subject, extract(dow FROM day) AS d, count(*) AS n FROM usage \
        WHERE event = 'app_open' AND day > current_date - 7 GROUP BY 1, 2) AS t";
    let answer = asked(sql).await;
    let days: usize = (0..SUBJECTS).map(|s| active_days(s, 7)).sum();
    let opens = rows_of(&USAGE, 7, |row| row.event == "app_open").len();
    answer.near(0, "days", days as f64, 200.0);
    answer.near(0, "each", opens as f64 / days as f64, 2.0);
}

#[tokio::test]
async fn members_and_others() {
    let ask = async |not: &str, truth: f64| {
        let sql = format!(
            "SELECT COUNT(DISTINCT subject) AS people, COUNT(*) AS logins FROM usage WHERE event = 'login' \
             AND day > current_date - 7 AND subject {not} IN (SELECT subject FROM crash WHERE event = 'app_crash' \
             AND day > current_date - 14)"
        );
        asked(&sql).await.near(0, "people", truth, 25.0);
    };
    ask("", who(7, |s| s % 10 == 0)).await;
    ask("NOT", who(7, |s| s % 10 != 0)).await;
    let sql = "SELECT CASE WHEN subject IN (SELECT subject FROM crash WHERE day > current_date - 14) THEN 'crashed' \
        ELSE 'no crash' END AS grp, COUNT(DISTINCT subject) AS people FROM usage WHERE day > current_date - 7 GROUP BY 1";
    if let Ok(released) = try_with(&engine(), given(), sql, now_ms()).await {
        let answer = Answer::of(&released);
        answer.near(answer.at("grp", "crashed"), "people", who(7, |s| s % 10 == 0), 30.0);
        answer.near(answer.at("grp", "no crash"), "people", who(7, |s| s % 10 != 0), 30.0);
    }
    let sql = "SELECT app_version, COUNT(DISTINCT subject) AS people FROM usage WHERE day > current_date - 7 \
        AND subject NOT IN (SELECT subject FROM crash WHERE day > current_date - 14) GROUP BY app_version";
    let answer = asked(sql).await;
    let truth = who(7, |s| s % 10 != 0 && version(s) == Some("4.2"));
    answer.near(answer.at("app_version", "4.2"), "people", truth, 30.0);
    let truth = who(7, |s| s % 10 != 0 && version(s).is_none());
    answer.near(answer.at("app_version", Json::Null), "people", truth, 30.0);
    let sql = "SELECT COUNT(DISTINCT subject) AS people FROM usage u WHERE event = 'app_open' AND day > current_date - 7 \
        AND NOT EXISTS (SELECT 1 FROM usage p WHERE p.subject = u.subject AND p.event = 'purchase' AND p.day > current_date - 7)";
    asked(sql).await.near(0, "people", who(7, |s| s % 5 != 0), 25.0);
}
