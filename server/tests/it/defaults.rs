//! The largest everyday questions are answered with the settings as they ship: within the time, and with the memory, that are
//! planned for them before anything is read.

use serde_json::{Value, json};
use shoal_server::Config;

use crate::query::rows;
use crate::stage::{DAY_MS, NOON_MS, TODAY, World, batch};

/// As many as lift a group over the threshold at `low`.
const PEOPLE: usize = 700;
const DAYS: i64 = 30;

/// A world whose questions have the settings that ship.
fn shipped() -> World {
    World::with(|config| {
        let as_shipped = Config::embedded(&config.data_dir).unwrap();
        let program = config.query.worker_program.take();
        config.query = as_shipped.query;
        config.query.worker_program = program;
        config.ingest.subject_day_events_max = as_shipped.ingest.subject_day_events_max;
    })
}

fn ask(world: &World, sql: &str, precision: &str) -> Value {
    let question = json!({"sql": sql, "precision": precision}).to_string();
    world.client().post("/v1/sql", &world.keys.analyst, question).expect(200).json()
}

#[test]
fn thirty_days_of_four_regions_by_a_private_key_at_low() {
    let world = shipped();
    let open = |country: &str, day: i64, people: usize| {
        let events = (0..people).map(|person| {
            json!({"id": format!("{country}-{day}-{person}"), "event": "app_open", "time": NOON_MS - day * DAY_MS,
                "user_id": format!("person-{person}"), "context": {"app_version": "4.2.0"}})
        });
        assert_eq!(
            world.client().events(&world.keys.app, &batch(country, events.collect()))["accepted"],
            people
        );
    };
    for day in 0..DAYS {
        open("DE", day, PEOPLE);
        ["US", "MY", "SG"].iter().for_each(|country| open(country, day, 5));
    }
    world.flush();
    let sql =
        "SELECT app_version, COUNT(*) AS n FROM usage WHERE day > current_date - 30 GROUP BY app_version";
    let answer = ask(&world, sql, "low");
    assert_eq!(answer["cost"]["pieces"], 4 * DAYS, "{answer}");
    let [row] = rows(&answer) else { panic!("one group of one region is large enough: {answer}") };
    assert_eq!(row["app_version"], "4.2.0");
    let (n, sd) = (row["n"].as_f64().unwrap(), row["n_sd"].as_f64().unwrap());
    // A day on which the noise withholds the group is not in the sum.
    let truth = (DAYS * PEOPLE as i64) as f64;
    assert!((n - truth).abs() <= 5.5 * sd + 2.0 * PEOPLE as f64, "{n} of {truth}: {answer}");
}

#[test]
fn a_quantile_by_a_private_key_in_four_regions() {
    let world = shipped();
    let request = |person: usize| {
        json!({"id": format!("request-{person}"), "event": "api_request", "time": NOON_MS,
            "user_id": format!("person-{person}"),
            "properties": {"endpoint": "/v1/cameras", "duration_ms": 100 + person % 100, "status_code": 200}})
    };
    let events: Vec<Value> = (0..900).map(request).collect();
    for events in events.chunks(450) {
        assert_eq!(
            world.client().events(&world.keys.app, &batch("DE", events.to_vec()))["accepted"],
            events.len()
        );
    }
    world.flush();
    let sql = format!(
        "SELECT endpoint, QUANTILE(duration_ms, 0.95) AS p95 FROM performance \
         WHERE day = DATE '{TODAY}' AND event = 'api_request' GROUP BY endpoint"
    );
    let answer = ask(&world, &sql, "normal");
    let [row] = rows(&answer) else { panic!("one endpoint: {answer}") };
    assert_eq!(row["endpoint"], "/v1/cameras");
    let (low, high) = (row["p95_low"].as_f64().unwrap(), row["p95_high"].as_f64().unwrap());
    assert!(low <= 199.0 && 190.0 <= high, "{answer}");
}
