//! What postprocesses a release, and what asks for none.

use super::*;

const DAILY: &str =
    "SELECT day, COUNT(DISTINCT subject) AS people FROM usage WHERE day > current_date - 14 GROUP BY day";

fn people_on(at: i32) -> f64 {
    (0..SUBJECTS).filter(|s| is_active(*s, at)).count() as f64
}

#[tokio::test]
async fn windows() {
    let sql = format!(
        "WITH days AS ({DAILY}) SELECT day, people, people - lag(people) OVER (ORDER BY day) AS change, \
         avg(people) OVER (ORDER BY day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS smooth FROM days ORDER BY day"
    );
    let answer = asked(&sql).await;
    assert_eq!(answer.rows().len(), 14);
    assert!(answer.rows()[0]["change"].is_null(), "{}", answer.0);
    for row in 1..14_i32 {
        let at = DAYS - 14 + row;
        answer.near(row as usize, "people", people_on(at), 7.2);
        answer.near(row as usize, "change", people_on(at) - people_on(at - 1), 25.0);
    }
    let last = (DAYS - 7..DAYS).map(people_on).sum::<f64>() / 7.0;
    answer.near(13, "smooth", last, 8.0);
    let sql = "WITH weeks AS (SELECT date_trunc('week', day) AS week, COUNT(DISTINCT subject) AS people FROM usage \
        WHERE day > current_date - 21 GROUP BY 1) SELECT week, 100.0 * (people - lag(people) OVER (ORDER BY week)) \
        / lag(people) OVER (ORDER BY week) AS change FROM weeks ORDER BY week";
    let answer = asked(sql).await;
    let of = |week: i32| {
        (0..SUBJECTS).filter(|s| (week * 7..week * 7 + 7).any(|at| is_active(*s, at))).count() as f64
    };
    answer.near(1, "change", 100.0 * (of(1) - of(0)) / of(0), 5.0);
    answer.near(2, "change", 100.0 * (of(2) - of(1)) / of(1), 5.0);
}

#[tokio::test]
async fn shares_keys_and_pages() {
    let sql = "SELECT os, people, 100.0 * people / sum(people) OVER () AS percent FROM (SELECT os, \
        COUNT(DISTINCT subject) AS people FROM usage WHERE day > current_date - 7 GROUP BY os) AS t ORDER BY people DESC";
    let answer = asked(sql).await;
    let all = people_of(rows_of(&USAGE, 7, |_| true));
    let ios = people_of(rows_of(&USAGE, 7, |row| os(row.subject) == "ios"));
    answer.near(0, "percent", 100.0 * (all - ios) / all, 5.0);
    answer.near(1, "percent", 100.0 * ios / all, 5.0);
    assert_eq!(answer.rows()[0]["os"], "android");
    let page = asked(&format!("{sql} LIMIT 1 OFFSET 1")).await;
    assert_eq!((page.rows().len(), &page.rows()[0]["os"]), (1, &Json::from("ios")));
    let answer = asked("SELECT DISTINCT os FROM usage WHERE day > current_date - 3 ORDER BY os").await;
    // Every listed value, and those that have none.
    assert_eq!(answer.rows().len(), 7, "{}", answer.0);
    let answer =
        asked("SELECT DISTINCT app_version FROM usage WHERE day > current_date - 3 ORDER BY 1").await;
    assert_eq!(answer.rows().len(), 3, "{}", answer.0);
    let answer = asked(
        "SELECT os, COUNT(*) AS n FROM usage WHERE event = 'app_open' AND day > current_date - 7 \
        GROUP BY os HAVING COUNT(*) > 4000 ORDER BY n DESC",
    )
    .await;
    assert_eq!(answer.rows().len(), 1, "{}", answer.0);
}

#[tokio::test]
async fn several_releases() {
    let sql = "WITH s AS (SELECT day, COUNT(DISTINCT subject) AS n FROM usage WHERE day > current_date - 7 GROUP BY day), \
        c AS (SELECT day, COUNT(*) AS n FROM crash WHERE event = 'app_crash' AND day > current_date - 7 GROUP BY day) \
        SELECT s.day, s.n AS people, c.n AS crashes, 1000.0 * c.n / s.n AS rate FROM s JOIN c ON c.day = s.day ORDER BY s.day";
    let answer = asked(sql).await;
    assert_eq!(answer.rows().len(), 7);
    let row = (15 - (DAYS - 7)) as usize;
    answer.near(row, "people", people_on(15), 7.2);
    answer.near(row, "crashes", 300.0, 5.0 * 7.1);
    answer.near(row, "rate", 300_000.0 / people_on(15), 100.0);
    let sql = "SELECT 'opened' AS what, COUNT(DISTINCT subject) AS n FROM usage WHERE event = 'app_open' AND day > current_date - 7 \
        UNION ALL SELECT 'bought', COUNT(DISTINCT subject) FROM usage WHERE event = 'purchase' AND day > current_date - 7";
    let answer = asked(sql).await;
    let people = |event: &str| people_of(rows_of(&USAGE, 7, |row| row.event == event));
    answer.near(answer.at("what", "opened"), "n", people("app_open"), 12.0);
    answer.near(answer.at("what", "bought"), "n", people("purchase"), 12.0);
    let sql = "SELECT 100.0 * (SELECT COUNT(DISTINCT subject) FROM usage WHERE event = 'purchase' AND day > current_date - 7) \
        / (SELECT COUNT(DISTINCT subject) FROM usage WHERE day > current_date - 7) AS percent";
    let answer = asked(sql).await;
    answer.near(0, "percent", 100.0 * people("purchase") / people("app_open"), 2.0);
    let sql = "SELECT day, COUNT(DISTINCT CASE WHEN os = 'ios' THEN subject END) AS ios, \
        COUNT(DISTINCT CASE WHEN event = 'purchase' THEN subject END) AS buyers FROM usage \
        WHERE day > current_date - 2 GROUP BY day ORDER BY day";
    let answer = asked(sql).await;
    let on = |event: Option<&str>, ios: bool| {
        people_of(rows_of(&USAGE, 1, |row| {
            event.is_none_or(|e| e == row.event) && (!ios || os(row.subject) == "ios")
        }))
    };
    answer.near(1, "ios", on(None, true), 12.0);
    answer.near(1, "buyers", on(Some("purchase"), false), 12.0);
}

#[tokio::test]
async fn nothing_is_read_for_these() {
    let answer = asked("SELECT 1 AS one, 'x' AS name").await;
    assert_eq!(answer.rows()[0]["name"], "x", "{}", answer.0);
    assert_eq!(answer.0["cost"]["blocks"], 0);
    let explained = asked(&format!("EXPLAIN {DAILY}")).await;
    assert!(explained.0.to_string().contains("count(DISTINCT subject)"), "{}", explained.0);
    let all = engine();
    let dry = QueryRequest { dry_run: true, ..high(DAILY) };
    let answer = Answer::of(&all.stages(&grant(&[Region::De]), &dry, now_ms(), scan(given())).await.unwrap());
    assert_eq!((answer.rows().len(), &answer.0["cost"]["blocks_charged"]), (0, &Json::from(14)));
    let again = Answer::of(&all.stages(&grant(&[Region::De]), &dry, now_ms(), scan(given())).await.unwrap());
    assert_eq!(again.0["cost"]["pieces_from_ledger"], 0, "a dry run seals nothing");
}
