//! Answers are anonymous aggregates: within their own intervals of the truth, small groups never shown, everything else
//! refused with what to write instead; and a key asks about its regions only.

use serde_json::{Value, json};
use shoal_anonymity::budget::Preset;
use shoal_schemas::Region;
use shoal_server::access_keys::{Role, Scope};

use crate::http::Answer;
use crate::stage::{DAY_MS, NOON_MS, TODAY, World, batch};

/// The rows of an answer in JSON.
pub(crate) fn rows(answer: &Value) -> &[Value] {
    answer["rows"].as_array().unwrap_or_else(|| panic!("no rows: {answer}"))
}

/// Screens and how many people see each: the last three have fewer than 20, `gallery` too few for its noise.
const SCREENS: [(&str, usize); 6] =
    [("home", 500), ("live", 300), ("gallery", 40), ("albums", 19), ("archive", 10), ("wizard", 1)];

/// A world with enough budget for all that is asked of the open day, which has a fifth of it.
fn empty() -> World {
    World::with(|config| config.query.preset = Preset::Internal)
}

/// A world of 500 people in DE and 120 in US. In DE each sees the screens twice, for 1,000 ms each time, and half of them
/// buy three things.
fn world() -> World {
    let world = empty();
    let view = |country: &str, person: usize, screen: &str, time: usize| {
        json!({"id": format!("{country}-{person}-{screen}-{time}"), "event": "screen_view", "time": NOON_MS,
            "user_id": format!("person-{person}"), "properties": {"screen": screen, "duration_ms": 1000}})
    };
    let mut german = Vec::new();
    for (screen, people) in SCREENS {
        german.extend((0..people).flat_map(|p| [view("DE", p, screen, 1), view("DE", p, screen, 2)]));
    }
    german.extend((0..250).map(|p| {
        json!({"id": format!("order-{p}"), "event": "purchase", "time": NOON_MS, "user_id": format!("person-{p}"),
            "properties": {"result": "ok", "items": 3, "amount": 20, "currency": "EUR"}})
    }));
    for events in german.chunks(500) {
        assert_eq!(world.client().events(&world.keys.app, &batch("DE", events.to_vec()))["rejected"], 0);
    }
    let american = (0..120).map(|p| view("US", p, "home", 1)).collect();
    assert_eq!(world.client().events(&world.keys.app, &batch("US", american))["accepted"], 120);
    world.flush();
    world
}

fn ask(world: &World, key: &str, question: &Value) -> Answer {
    world.client().post("/v1/sql", key, question.to_string())
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("no {name}: {row}"))
}

/// The estimate is as far from the truth as its own deviation allows: 5.5 of them, so that this fails once in 10^7 runs.
fn assert_near(row: &Value, name: &str, truth: f64) {
    let (n, sd) = (number(row, name), number(row, &format!("{name}_sd")));
    let (low, high) = (number(row, &format!("{name}_low")), number(row, &format!("{name}_high")));
    assert!(sd > 0.0 && low <= n && n <= high && high - n > 1.9 * sd, "{row}");
    assert!((n - truth).abs() <= 5.5 * sd, "{name} is {truth}: {row}");
}

#[test]
fn answers_are_within_their_intervals_and_noisy() {
    let world = world();
    let client = world.client();
    let of_day = format!("FROM usage WHERE day = DATE '{TODAY}'");
    let german = format!("{of_day} AND region = 'DE'");
    // Of screens: 2 * (500 + 300 + 40 + 19 + 10 + 1).
    let (mut counts, mut inside) = (Vec::new(), 0);
    for at in 0..20 {
        // Another question each time: the same one has the same answer.
        let sql = format!(
            "SELECT COUNT(DISTINCT subject) AS people, COUNT(*) AS n {german} AND event = 'screen_view' \
             AND screen <> 'none-{at}'"
        );
        let answer = client.sql(&world.keys.analyst, &sql);
        let row = &rows(&answer)[0];
        assert_near(row, "people", 500.0);
        assert_near(row, "n", 1740.0);
        inside += usize::from(number(row, "n_low") <= 1740.0 && 1740.0 <= number(row, "n_high"));
        counts.push(number(row, "n"));
    }
    let sums = format!("SELECT SUM(items) AS items, SUM(amount) AS amount {german} AND event = 'purchase'");
    let answer = client.sql(&world.keys.analyst, &sums);
    assert_near(&rows(&answer)[0], "items", 750.0);
    assert_near(&rows(&answer)[0], "amount", 5000.0);
    let mean = format!("SELECT AVG(items) AS mean {german} AND event = 'purchase'");
    assert_near(&rows(&client.sql(&world.keys.analyst, &mean))[0], "mean", 3.0);
    counts.dedup();
    assert!(counts.len() > 10, "there must be noise: {counts:?}");
    // Of 20 intervals of 95 %, fewer than 13 hold the truth once in 10^6 runs.
    assert!(inside >= 13, "{inside} of 20 intervals hold the truth");

    let sql =
        format!("SELECT region, COUNT(DISTINCT subject) AS people {of_day} GROUP BY region ORDER BY region");
    let answer = client.sql(&world.keys.analyst, &sql);
    let regions: Vec<&str> = rows(&answer).iter().map(|r| r["region"].as_str().unwrap()).collect();
    assert_eq!(regions, ["DE", "MY", "SG", "US"], "every public key is shown, empty ones too");
    for (row, truth) in rows(&answer).iter().zip([500.0, 0.0, 0.0, 120.0]) {
        assert_near(row, "people", truth);
    }
    let both = format!("SELECT COUNT(DISTINCT subject) AS people {of_day}");
    assert_near(&rows(&client.sql(&world.keys.analyst, &both))[0], "people", 620.0);
}

#[test]
fn groups_of_fewer_than_twenty_people_are_never_shown() {
    let world = world();
    for at in 0..25 {
        // Another question each time: the same one has the same answer.
        let sql = format!(
            "SELECT screen, COUNT(DISTINCT subject) AS people FROM usage WHERE day = DATE '{TODAY}' AND region = 'DE' AND event = 'screen_view' AND screen <> 'none-{at}' GROUP BY screen ORDER BY people DESC"
        );
        let answer = world.client().sql(&world.keys.analyst, &sql);
        let shown: Vec<&str> = rows(&answer).iter().map(|r| r["screen"].as_str().unwrap()).collect();
        assert_eq!(shown, ["home", "live"]);
        for small in ["gallery", "albums", "archive", "wizard"] {
            assert!(!answer.to_string().contains(small), "{answer}");
        }
        assert_near(&rows(&answer)[0], "people", 500.0);
        assert_near(&rows(&answer)[1], "people", 300.0);
    }
    // No postprocessing brings them back.
    let having = format!(
        "SELECT screen, COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '{TODAY}' AND event = 'screen_view' GROUP BY screen HAVING COUNT(DISTINCT subject) < 100 ORDER BY screen LIMIT 5"
    );
    assert!(rows(&world.client().sql(&world.keys.analyst, &having)).is_empty());
    // A filter that leaves one person gives noise around nothing, not that person.
    let one = format!("SELECT COUNT(*) AS n FROM usage WHERE day = DATE '{TODAY}' AND screen = 'wizard'");
    assert_near(&rows(&world.client().sql(&world.keys.analyst, &one))[0], "n", 2.0);
}

#[test]
fn everything_else_is_refused_with_what_to_write_instead() {
    let world = World::new();
    for sql in [
        "SELECT subject FROM usage",
        "SELECT * FROM usage",
        "SELECT event_id, COUNT(*) FROM usage GROUP BY event_id",
        "SELECT MAX(duration_ms) FROM usage",
        "SELECT array_agg(screen) FROM usage",
        "SELECT COUNT(*) FROM usage u JOIN crash c ON u.subject = c.subject",
        "SELECT message, COUNT(*) FROM crash GROUP BY message",
        "SELECT COUNT(*) FROM usage WHERE subject = 'a'",
        "SELECT COUNT(*) FROM usage WHERE 1 / duration_ms > 0",
        "SELECT COUNT(*) FROM usage WHERE CAST(screen AS BIGINT) = 1",
        "SELECT COUNT(*) FROM secrets",
        "SELECT COUNT(*) FROM usage TABLESAMPLE BERNOULLI (10)",
        "EXPLAIN ANALYZE SELECT COUNT(*) FROM usage",
        "INSERT INTO usage VALUES (1)",
        "COPY usage TO '/tmp/x'",
        "SELECT COUNT(*) FROM usage; SELECT COUNT(*) FROM usage",
        "SELECT repeat('a', 1000000000)",
        "SELEC",
        "",
    ] {
        let answer = ask(&world, &world.keys.analyst, &json!({"sql": sql}));
        let refused = answer.json();
        assert_eq!(answer.status, 400, "{sql}: {refused}");
        let instead = if refused["suggestion"].is_null() { "example" } else { "suggestion" };
        for part in ["rule", "title", "detail", instead] {
            assert!(refused[part].as_str().is_some_and(|t| !t.is_empty()), "{part} of {sql}: {refused}");
        }
        assert!(refused["line"].as_u64() >= Some(1) && refused["column"].as_u64() >= Some(1), "{refused}");
    }
    let long = format!("SELECT COUNT(*) FROM usage WHERE screen = '{}'", "a".repeat(20_000));
    assert_eq!(ask(&world, &world.keys.analyst, &json!({"sql": long})).status, 413);
    assert_eq!(ask(&world, &world.keys.analyst, &json!({"question": "?"})).status, 422);
    assert_eq!(ask(&world, &world.keys.analyst, &json!({"sql": "x", "precision": "exact"})).status, 422);
    assert_eq!(ask(&world, &world.keys.app, &json!({"sql": "SELECT 1"})).status, 403);
    assert_eq!(ask(&world, "nobody.nothing", &json!({"sql": "SELECT 1"})).status, 401);
}

#[test]
fn a_refusal_is_the_same_whatever_the_tables_hold() {
    let (full, empty) = (world(), empty());
    for sql in [
        "SELECT screen FROM usage",
        "SELECT COUNT(*) FROM usage WHERE screen = 7",
        "SELECT MIN(duration_ms) FROM usage WHERE screen = 'wizard'",
        "SELECT COUNT(*) FROM usage WHERE day = DATE '1999-01-01'",
    ] {
        let [a, b] = [&full, &empty].map(|w| ask(w, &w.keys.analyst, &json!({"sql": sql})));
        assert_eq!((a.status, a.body), (b.status, b.body), "{sql}");
    }
    let [a, b] = [&full, &empty].map(|w| w.client().get("/v1/tables", &w.keys.analyst).expect(200).body);
    assert_eq!(a, b);
    // A group that has nobody looks like one that has too few.
    let sql = format!(
        "SELECT app_version, COUNT(*) AS n FROM usage WHERE day = DATE '{TODAY}' GROUP BY app_version"
    );
    assert!(rows(&empty.client().sql(&empty.keys.analyst, &sql)).is_empty());
}

#[test]
fn a_key_asks_about_its_regions_only() {
    let world = world();
    let german = world.key(Scope::Analyst { role: Role::Analyst, regions: vec![Region::De] }).reveal();
    let sql = format!("SELECT COUNT(DISTINCT subject) AS people FROM usage WHERE day = DATE '{TODAY}'");
    assert_near(&rows(&world.client().sql(&german, &sql))[0], "people", 500.0);
    let other = ask(&world, &german, &json!({"sql": format!("{sql} AND region = 'US'")}));
    assert_eq!((other.status, other.json()["code"].as_str()), (403, Some("not_allowed")));
    let both = ask(&world, &german, &json!({"sql": format!("{sql} AND region IN ('DE', 'US')")}));
    assert_eq!(both.status, 403);
    let tables = world.client().get("/v1/tables", &german).expect(200).json();
    assert_eq!(tables["regions"], json!(["DE"]));
}

#[test]
fn an_answer_comes_as_json_csv_and_arrow_and_a_dry_run_costs_nothing() {
    let world = world();
    let sql = format!(
        "SELECT screen, COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '{TODAY}' AND event = 'screen_view' GROUP BY screen ORDER BY n DESC"
    );
    let key = &world.keys.analyst;
    let question = |format: &str| {
        ask(&world, key, &json!({"sql": sql, "format": format, "precision": "high"})).expect(200)
    };
    let names = ["screen", "n", "n_sd", "n_low", "n_high"];
    let answer = question("json").json();
    let columns: Vec<&str> =
        answer["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(columns, names);
    assert!(answer["cost"]["rho_per_block"].as_str().is_some() && answer["cost"]["blocks"] == 4, "{answer}");
    let csv = question("csv");
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    let header = |name: &str| serde_json::from_str::<Value>(csv.header(name).unwrap()).unwrap();
    // Asked again, since the first one's price has the sizes of the blocks in it.
    let again = question("json").json();
    assert_eq!(header("x-shoal-notes"), again["notes"], "what is said of numbers is said beside a CSV, too");
    assert_eq!(header("x-shoal-cost"), again["cost"]);
    let text = csv.text();
    assert_eq!(
        text.lines().next(),
        Some("screen,n [subjects],n_sd [subjects],n_low [subjects],n_high [subjects]")
    );
    assert!(text.lines().nth(1).is_some_and(|l| l.starts_with("home,")), "{text}");
    let arrow = question("arrow");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("answer.arrow");
    std::fs::write(&file, &arrow.body).unwrap();
    let read = crate::tables::script("read_arrow.py", &[file.to_str().unwrap()]).stdout;
    let read: Vec<Value> = serde_json::from_slice(&read).unwrap();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0]["screen"], "home");
    assert!(names.iter().all(|n| !read[0][*n].is_null()), "{}", read[0]);
    let dry = ask(&world, key, &json!({"sql": sql, "dry_run": true})).expect(200).json();
    assert_eq!((dry["dry_run"].as_bool(), rows(&dry).len()), (Some(true), 0));
    assert_eq!(dry["cost"]["blocks"], 4);
}

#[test]
fn a_group_that_is_not_shown_is_unknown_and_every_number_has_its_error() {
    let world = world();
    let key = &world.keys.analyst;
    let of = |region: &str| {
        format!(
            "SELECT screen, COUNT(DISTINCT subject) AS n FROM usage WHERE day = DATE '{TODAY}' AND region = '{region}' \
             AND event = 'screen_view' GROUP BY screen"
        )
    };
    // Nobody sees `live` in US, and `gallery` has too few people in DE.
    let sql = format!(
        "SELECT a.screen, a.n, coalesce(c.n, 0) AS other, 1 - coalesce(c.n, 0) / a.n AS without \
         FROM ({}) a LEFT JOIN ({}) c ON c.screen = a.screen ORDER BY a.screen",
        of("DE"),
        of("US")
    );
    let answer = world.client().sql(key, &sql);
    let live = rows(&answer).iter().find(|row| row["screen"] == "live").unwrap();
    assert!(number(live, "other_low") <= 0.0 && number(live, "other_high") > 60.0, "{live}");
    assert!(number(live, "without_low") < 0.9 && number(live, "without_high") >= 1.0, "{live}");
    let notes = answer["notes"].to_string();
    assert!(notes.contains("`without`: Where a group is not shown"), "{notes}");
    for row in rows(&answer) {
        for name in ["n", "other", "without"] {
            let (low, high) = (number(row, &format!("{name}_low")), number(row, &format!("{name}_high")));
            assert!(low <= number(row, name) && number(row, name) <= high, "{row}");
        }
    }
    let dry = ask(&world, key, &json!({"sql": of("DE"), "dry_run": true})).expect(200).json();
    assert!(dry["noise"][0]["sd"].as_f64().unwrap() > 10.0, "{dry}");
    assert!(dry["noise"][0]["shown_from"].as_u64().unwrap() > 60, "{dry}");
    // Ten people see the archive: an answer with more error than number says what would help.
    // One of twenty is beyond its interval by chance, six of six are not.
    let helps = (0..6).any(|at| {
        let few = format!(
            "SELECT COUNT(*) AS n FROM usage WHERE day = DATE '{TODAY}' AND screen = 'archive' AND screen <> 'none-{at}'"
        );
        world.client().sql(key, &few)["notes"].to_string().contains("What helps: people instead of events")
    });
    assert!(helps);
}

/// The tables are made by the wall's clock, whatever the clock of the service says.
#[test]
fn the_usual_range_begins_when_the_service_did() {
    let wall = || shoal_server::system_clock()().div_euclid(DAY_MS);
    let before = wall();
    let world = empty();
    let after = wall();
    let asked = |sql: &str| {
        ask(&world, &world.keys.analyst, &json!({"sql": sql, "dry_run": true})).expect(200).json()
    };
    // A clock that is behind: nothing is known to have been served, and thirty days are read.
    world.set_now_ms((before - 40) * DAY_MS);
    assert_eq!(asked("SELECT COUNT(*) AS n FROM usage WHERE region = 'DE'")["cost"]["blocks"], 30);
    world.set_now_ms((before + 4) * DAY_MS);
    let dry = asked("SELECT COUNT(*) AS n FROM usage WHERE region = 'DE'");
    // The wall's day may change while the world is made.
    let days = dry["cost"]["blocks"].as_i64().unwrap();
    assert!((5 - (after - before)..=5).contains(&days), "{dry}");
    assert!(dry["notes"].to_string().contains("the first that was served"), "{dry}");
    // A day that is named is asked, because events may come late.
    let named = asked("SELECT COUNT(*) AS n FROM usage WHERE region = 'DE' AND day > current_date - 10");
    assert_eq!(named["cost"]["blocks"], 10, "{named}");
}
