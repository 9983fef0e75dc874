//! One subject's day in one table has a limit, whatever is sent; a flush, a restart or a kill does not renew it.

use serde_json::{Value, json};

use crate::process::Setup;
use crate::stage::{DAY_MS, Keys, NOON_MS, World, batch, click};
use crate::tables::{Tables, text};

/// The batch of these clicks of one person at one time.
fn clicks(ids: std::ops::Range<u32>, user: &str, time_ms: i64) -> Value {
    let click = |id| {
        let mut event = click(&format!("{user}-{time_ms}-{id}"), user, "a");
        event["time"] = json!(time_ms);
        event
    };
    batch("DE", ids.map(click).collect())
}

/// How many events were accepted, were duplicates, and were withheld because of the limit.
fn counted(answer: &Value) -> [u64; 3] {
    let count = |name: &str| answer[name].as_u64().unwrap_or_else(|| panic!("no {name}: {answer}"));
    assert_eq!(
        count("received"),
        count("accepted") + count("duplicate") + count("withheld") + count("rejected")
    );
    assert_eq!(count("rejected"), 0, "{answer}");
    let withheld = answer["events"].as_array().unwrap().iter().filter(|e| e["status"] == "withheld");
    assert!(withheld.clone().all(|event| event["code"] == "subject_day_limit"), "{answer}");
    assert_eq!(withheld.count() as u64, count("withheld"));
    [count("accepted"), count("duplicate"), count("withheld")]
}

#[test]
fn one_subjects_day_has_a_limit_that_flushes_and_restarts_do_not_renew() {
    let mut world = World::with(|config| {
        config.ingest.subject_day_events_max = 5;
        config.metrics.listen = Some(([127, 0, 0, 1], 0).into());
    });
    let send = |world: &World, ids: std::ops::Range<u32>, user: &str, time_ms: i64| {
        counted(&world.client().events(&world.keys.app, &clicks(ids, user, time_ms)))
    };
    assert_eq!(send(&world, 0..3, "anna", NOON_MS), [3, 0, 0]);
    world.flush();
    assert_eq!(send(&world, 3..4, "anna", NOON_MS), [1, 0, 0], "three in the table, one in the log");
    world.restart(|_| {});
    assert_eq!(send(&world, 2..8, "anna", NOON_MS), [1, 2, 3], "duplicates do not count");
    assert_eq!(send(&world, 7..8, "anna", NOON_MS), [0, 0, 1], "what was withheld is no duplicate");
    // Other people, days and tables have limits of their own.
    assert_eq!(send(&world, 0..5, "berta", NOON_MS), [5, 0, 0]);
    assert_eq!(send(&world, 0..6, "anna", NOON_MS - DAY_MS), [5, 0, 1]);
    let request = |id: u32| {
        json!({"id": format!("request-{id}"), "event": "api_request", "time": NOON_MS, "user_id": "anna",
            "properties": {"endpoint": "/v1/streams", "duration_ms": 12, "status_code": 200}})
    };
    let answer = world.client().events(&world.keys.app, &batch("DE", (0..6).map(request).collect()));
    assert_eq!(counted(&answer), [5, 0, 1]);
    let metrics = world.metrics().ask("GET", "/metrics", &[], b"").unwrap().text();
    let counter = metrics.lines().find(|line| line.contains("code=\"subject_day_limit\""));
    assert!(counter.is_some_and(|line| line.ends_with(" 6")), "{counter:?}");
    world.flush();
    let tables = Tables::read(&world);
    let rows_of = |day: &str| tables.rows("de/usage").iter().filter(|row| text(row, "day") == day).count();
    assert_eq!((rows_of("2026-11-22"), rows_of("2026-11-21")), (10, 5));
    // A higher limit holds from the next start on.
    world.restart(|config| config.ingest.subject_day_events_max = 7);
    assert_eq!(send(&world, 20..24, "anna", NOON_MS), [2, 0, 2]);
}

#[test]
fn a_kill_does_not_renew_the_limit_of_a_subjects_day() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [
        ("SHOAL_INGEST_SUBJECT_DAY_EVENTS_MAX", "5"),
        // What is killed has everything in its log.
        ("SHOAL_INGEST_FLUSH_INTERVAL_MS", "300000"),
    ];
    let setup = Setup { dir: dir.path(), variables: &variables };
    let keys = Keys::create(&setup.data_dir());
    let server = setup.serve();
    assert_eq!(counted(&server.client.events(&keys.app, &clicks(0..4, "anna", NOON_MS))), [4, 0, 0]);
    server.kill();
    let server = setup.serve();
    assert_eq!(counted(&server.client.events(&keys.app, &clicks(4..8, "anna", NOON_MS))), [1, 0, 3]);
    assert_eq!(counted(&server.client.events(&keys.app, &clicks(0..4, "anna", NOON_MS))), [0, 4, 0]);
    assert!(server.terminate().success());
    assert_eq!(Tables::read(&setup).rows("de/usage").len(), 5);
}

#[test]
fn a_limit_that_is_lowered_still_counts_for_the_days_that_are_stored() {
    let mut world = crate::ledger::world();
    let price = |world: &World| {
        let question = json!({"sql": crate::ledger::sql("b"), "dry_run": true});
        let cost = crate::ledger::ask(world, &question).expect(200).json()["cost"].clone();
        cost["rho_per_block"].as_str().unwrap().to_owned()
    };
    crate::ledger::ask(&world, &json!({"sql": crate::ledger::sql("a")})).expect(200);
    assert_eq!(price(&world), "0.002", "the size of the day is known");
    // The noise of a size follows from the largest limit that the day can have had: another one is another size.
    for (limit, expected) in [(5, "0.002"), (500, "0.002"), (501, "0.0025"), (5, "0.0025")] {
        world.restart(|config| config.ingest.subject_day_events_max = limit);
        assert_eq!(price(&world), expected, "{limit}");
    }
    crate::ledger::ask(&world, &json!({"sql": crate::ledger::sql("c")})).expect(200);
    world.restart(|_| {});
    assert_eq!(price(&world), "0.002");
}
