//! Expired days cannot be read from the second of expiry on, and a run makes them gone: from the tables and from the disk.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::process::Setup;
use crate::search::unpacked;
use crate::stage::{
    DAY_MS, NOON_MS, POLICY, TODAY, World, batch, click, day_text, encrypted_and_clear, real_day,
};
use crate::tables::{Tables, cells, files, text};

/// Days that performance events of the user-experience programme are kept after their own.
const KEPT_DAYS: i64 = 90;
/// The first moment of the day of the world's beginning.
const MIDNIGHT_MS: i64 = NOON_MS - DAY_MS / 2;

/// People of each region on each day: so many of two regions that noise with a deviation of 14 never brings their number
/// below 20 (seven deviations).
const PEOPLE: u64 = 60;

/// A world with events of people on three days in two regions.
fn world_with_events() -> World {
    let world = World::new();
    send_events(&world);
    world
}

fn send_events(world: &World) {
    for day in 0..3 {
        for country in ["DE", "US"] {
            let requests = (0..PEOPLE).map(|person| {
                json!({"id": format!("{country}-{day}-{person}"), "event": "api_request", "user_id": format!("person-{day}-{person}"),
                    "time": MIDNIGHT_MS - day * DAY_MS + 1000, "properties": {"endpoint": "/v1/x", "duration_ms": 10, "status_code": 200}})
            });
            let answer = world.client().events(&world.keys.app, &batch(country, requests.collect()));
            assert_eq!(answer["accepted"], PEOPLE, "{answer}");
        }
    }
    world.flush();
}

/// The noisy number of people on a day, or none when the day cannot be asked. `mark` makes it another question: one that
/// was answered keeps its answer.
fn people(world: &World, day: &str, mark: &str) -> Option<f64> {
    let sql = format!(
        "SELECT COUNT(DISTINCT subject) AS people FROM performance WHERE day = DATE '{day}' AND endpoint <> '{mark}'"
    );
    let question = json!({"sql": sql, "precision": "high"}).to_string();
    let answer = world.client().post("/v1/sql", &world.keys.analyst, question);
    match answer.status {
        200 => crate::query::rows(&answer.json()).first().and_then(|row| row["people"].as_f64()),
        _ => {
            assert_eq!(
                (answer.status, answer.json()["rule"].as_str()),
                (400, Some("range")),
                "{}",
                answer.text()
            );
            None
        }
    }
}

fn pseudonyms(tables: &Tables, day: &str) -> BTreeSet<String> {
    let rows = tables.events("api_request").into_iter().filter(|(_, row)| text(row, "day") == day);
    rows.map(|(_, row)| text(row, "subject").to_owned()).collect()
}

/// Everything on the disk: files as they are, records of the log and cells of Parquet files unpacked. Those of encrypted files are read
/// by a copy, which has what the keys that are there can read.
fn disk(world: &World) -> Vec<u8> {
    let mut all = cells(world);
    for file in files(&world.data_dir()) {
        let bytes = std::fs::read(&file).unwrap();
        if file.extension().is_some_and(|e| e == "log") {
            all.extend(unpacked(&bytes));
        }
        all.extend(bytes);
    }
    all
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let first = part[0];
    (0..bytes.len()).filter(|at| bytes[*at] == first).any(|at| bytes[at..].starts_with(part))
}

/// Runs retention through its route, to its end.
fn run(world: &World, dry_run: bool) {
    let accepted =
        json!({"dry_run": dry_run, "accept_clock": day_text(world.now_ms()), "accept_share": true});
    let body = accepted.to_string();
    let answer = world.client().post("/v1/retention/runs", &world.keys.officer, body).expect(200);
    let lines: Vec<Value> = answer.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let report = &lines.last().unwrap()["report"];
    assert_eq!(report["failed"], json!([]), "{report}");
}

#[test]
fn an_expired_day_cannot_be_read_and_then_is_gone() {
    encrypted_and_clear(|_| {}, |world| expiry(world));
}

fn expiry(world: &World) {
    send_events(world);
    let tables = Tables::read(world);
    let (oldest, kept) = (pseudonyms(&tables, "2026-11-20"), pseudonyms(&tables, TODAY));
    let of_a_day = 2 * PEOPLE;
    assert_eq!((oldest.len() as u64, kept.len() as u64), (of_a_day, of_a_day));
    // The last half minute in which the oldest day is kept (a question ends with it), and the first in which it is not.
    let expiry_ms = MIDNIGHT_MS - 2 * DAY_MS + (KEPT_DAYS + 1) * DAY_MS;
    world.set_now_ms(expiry_ms - 30_000);
    let answered = people(world, "2026-11-20", "a");
    assert!(answered.is_some_and(|n| n > 20.0), "still there");
    world.set_now_ms(expiry_ms);
    assert!(
        people(world, "2026-11-20", "b").is_none_or(|n| n < 20.0),
        "not readable, though still on the disk"
    );
    assert!(people(world, "2026-11-21", "b").is_some_and(|n| n > 20.0));
    assert_eq!(people(world, "2026-11-20", "a"), answered, "an anonymous answer that was given stays");
    let bytes = disk(world);
    assert!(oldest.iter().all(|p| contains(&bytes, p.as_bytes())), "the search must find what is there");

    run(world, true);
    assert_eq!(kept_rows(world), 3 * of_a_day, "a dry run changes nothing");
    run(world, false);

    let tables = Tables::read(world);
    assert_eq!(tables.count() as u64, 2 * of_a_day);
    assert!(pseudonyms(&tables, "2026-11-20").is_empty());
    assert_eq!(pseudonyms(&tables, TODAY), kept);
    let bytes = disk(world);
    for pseudonym in &oldest {
        assert!(!contains(&bytes, pseudonym.as_bytes()), "in hexadecimal");
        assert!(!contains(&bytes, &hex::decode(pseudonym).unwrap()), "as bytes");
    }
    assert!(kept.iter().all(|p| contains(&bytes, p.as_bytes())), "the others stay");
    assert!(files(&world.data_dir()).iter().all(|f| !f.to_string_lossy().contains("day=2026-11-20")));
    assert!(!contains(&bytes, b"day=2026-11-20"), "no entry of a table's log names its files");
    run(world, false);
    assert_eq!(kept_rows(world), 2 * of_a_day, "a second run has nothing to do");
}

#[test]
fn retention_goes_on_after_a_restart_and_late_events_stay_out() {
    let mut world = world_with_events();
    world.set_now_ms(MIDNIGHT_MS + (KEPT_DAYS + 1) * DAY_MS);
    world.restart(|_| {});
    run(&world, false);
    assert_eq!(Tables::read(&world).count(), 0);
    let late = json!({"id": "late", "event": "api_request", "user_id": "u", "time": MIDNIGHT_MS,
        "properties": {"endpoint": "/v1/x", "duration_ms": 10}});
    let answer = world.client().events(&world.keys.app, &batch("DE", vec![late]));
    assert_eq!(answer["events"][0]["code"], "too_old");
    // The table lives on.
    let mut fresh = click("fresh", "u", "a");
    fresh["time"] = json!(world.now_ms());
    assert_eq!(world.client().events(&world.keys.app, &batch("DE", vec![fresh]))["accepted"], 1);
    world.flush();
    assert_eq!(Tables::read(&world).count(), 1);
}

#[test]
fn the_schedule_runs_by_itself() {
    let mut world = world_with_events();
    world.restart(|config| config.retention.cron = Some("17 3 * * *".to_owned()));
    // Somebody has looked at the clock a day before the first of them expires.
    world.set_now_ms(MIDNIGHT_MS + (KEPT_DAYS - 2) * DAY_MS);
    run(&world, false);
    assert_eq!(kept_rows(&world), 3 * 2 * PEOPLE);
    for day in 1..=3 {
        assert!(kept_rows(&world) >= 2 * PEOPLE * (3 - day), "never more than what is due");
        world.pass_ms(DAY_MS);
    }
    world.pass_ms(4 * 3_600_000);
    crate::process::until("the scheduled run", || (kept_rows(&world) == 0).then_some(()));
}

fn kept_rows(world: &World) -> u64 {
    Tables::read(&world).count() as u64
}

/// What a run is told that must not remove anything, over its route.
fn refused(world: &World, asked: &Value) -> Value {
    let answer =
        world.client().post("/v1/retention/runs", &world.keys.officer, asked.to_string()).expect(200);
    let last: Value = serde_json::from_str(answer.text().lines().last().unwrap()).unwrap();
    assert_eq!(last["problem"]["code"], "retention_refused", "{last}");
    last["problem"].clone()
}

#[test]
fn a_clock_that_steps_five_years_ahead_empties_no_table() {
    let mut world = world_with_events();
    world.restart(|config| {
        config.retention.cron = Some("* * * * *".to_owned());
        config.metrics.listen = Some(([127, 0, 0, 1], 0).into());
    });
    let all = 3 * 2 * PEOPLE;
    let wrong_ms = NOON_MS + 5 * 365 * DAY_MS;
    world.set_now_ms(wrong_ms);
    let told = refused(&world, &json!({}))["detail"].to_string();
    assert!(told.contains(" days beyond") && told.contains("Set the clock"), "{told}");
    let wrong_day = json!({"accept_clock": day_text(NOON_MS)}).to_string();
    assert_eq!(world.client().post("/v1/retention/runs", &world.keys.officer, wrong_day).status, 422);
    assert!(
        refused(&world, &json!({"accept_clock": day_text(wrong_ms)}))["detail"]
            .to_string()
            .contains("percent")
    );
    // The schedule comes due under the wrong clock, hour after hour, and what is asked and written meanwhile proves nothing.
    let failures = || {
        let text = world.metrics().get("/metrics", "").text().to_owned();
        let line = text.lines().find(|l| l.contains("shoal_server_job_failures_total{job=\"retention\"}"));
        line.and_then(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    // Ten runs of the schedule come due within the hour, and none begins.
    world.jobs_ran(2);
    world.pass_ms(10 * 60_000);
    world.jobs_ran(3);
    assert_eq!(failures(), 0, "it waits for an hour first");
    world.pass_ms(3 * 3_600_000);
    crate::process::until("a refused run of the schedule", || (failures() > 0).then_some(()));
    people(&world, TODAY, "x");
    world.restart(|_| {});
    refused(&world, &json!({}));
    world.set_now_ms(NOON_MS + 4 * 3_600_000);
    assert_eq!(Tables::read(&world).count() as u64, all);
    assert!(people(&world, TODAY, "y").is_some_and(|n| n > 20.0), "and nothing is hidden any more");
    world.stop();
    // What was refused, and by whom, is in the audit.
    let found = crate::audit::lines(&world);
    let runs = found.iter().filter(|line| line["act"] == "retention_run" && line["outcome"] == "refused");
    let accepted: Vec<_> = runs.map(|line| line["accepted_clock"].as_bool().unwrap()).collect();
    assert_eq!(accepted, [false, true, false]);
}

/// One day of events is past its time by the clock that was moved, which is what a run on schedule usually finds.
#[test]
fn the_schedule_waits_when_both_clocks_were_moved() {
    let mut world = world_with_events();
    world.restart(|config| config.retention.cron = Some("* * * * *".to_owned()));
    world.set_now_ms(MIDNIGHT_MS + (KEPT_DAYS - 2) * DAY_MS);
    run(&world, false);
    world.pass_ms(2 * 3_600_000);
    world.jobs_ran(2);
    world.move_both_ms(DAY_MS);
    world.jobs_ran(2);
    world.pass_ms(10 * 60_000);
    world.jobs_ran(3);
    assert_eq!(kept_rows(&world), 3 * 2 * PEOPLE, "runs were due, and none began");
    world.pass_ms(2 * 3_600_000);
    crate::process::until("a run of the schedule", || (kept_rows(&world) == 2 * 2 * PEOPLE).then_some(()));
}

/// The clock of the test's machine is far beyond the events of the world, which are a year older.
#[test]
fn the_command_refuses_a_clock_that_nothing_speaks_for_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let year_ago = shoal_server::system_clock()() - 365 * DAY_MS;
    let mut world = World::over(dir, year_ago, |_| {});
    let mut events = Vec::new();
    for day in 0..3 {
        let mut event = click(&format!("e{day}"), "u", "a");
        event["time"] = json!(year_ago - day * DAY_MS);
        events.push(event);
    }
    let consent = json!({"policy_version": POLICY, "granted_at": year_ago - 30 * DAY_MS});
    let body = json!({"consent": consent, "country": "DE", "events": events});
    assert_eq!(world.client().events(&world.keys.app, &body)["accepted"], 3);
    world.flush();
    world.stop();
    // As an earlier version left it.
    fs::remove_file(world.data_dir().join("served-time")).unwrap();
    let setup = Setup { dir: world.dir(), variables: &[] };
    let once = ["retention", "run", "--once"];
    let run = |more: &[&str]| setup.run(&[&once[..], more].concat());
    for _ in 0..3 {
        let (code, _, errors) = run(&[]);
        assert!(code == 1 && errors.contains("days beyond the newest event"), "{errors}");
    }
    assert_eq!(run(&["--accept-clock", "2020-01-01"]).0, 2);
    let (code, _, errors) = run(&["--accept-clock", &real_day()]);
    assert!(code == 1 && errors.contains("3 of 3 rows") && errors.contains("percent"), "{errors}");
    assert_eq!(Tables::read(&world).count(), 3);
    let (code, out, errors) = run(&["--accept-clock", &real_day(), "--accept-share"]);
    assert!(code == 0 && out.contains("3 rows"), "{out}{errors}");
    assert_eq!(Tables::read(&world).count(), 0);
    assert_eq!(run(&[]).0, 0, "what was accepted is known");
    assert!(setup.run(&["audit", "show"]).1.contains("accepted_share true"));
}

#[test]
fn a_clock_that_is_set_back_stops_no_flush() {
    let mut world = World::new();
    world.restart(|config| config.ingest.flush_interval_ms = 50);
    world.set_now_ms(NOON_MS - 365 * DAY_MS);
    let mut event = click("e", "u", "a");
    event["time"] = json!(world.now_ms());
    let mut body = batch("DE", vec![event]);
    // One that says no date of its own, which would be after the event.
    body["consent"] = json!({"policy_version": POLICY});
    assert_eq!(world.client().events(&world.keys.app, &body)["accepted"], 1);
    crate::process::until("the flush", || (Tables::read(&world).count() == 1).then_some(()));
}

#[test]
fn a_clock_of_1969_is_an_error_that_says_so_and_no_panic() {
    let mut world = World::new();
    world.stop();
    world.set_now_ms(-20_000_000_000);
    let told = world.try_start().unwrap_err();
    assert!(told.contains("the clock of this machine says 1969-05-14") && told.contains("set it"), "{told}");
    world.set_now_ms(NOON_MS);
    world.try_start().unwrap();
}

/// A run that lists a directory would not come to what is behind a link, so there is no such run.
#[test]
fn a_linked_day_fails_a_run_and_stops_the_start_until_it_is_in_its_place() {
    let mut world = world_with_events();
    let day = world.data_dir().join("de/tables/performance/day=2026-11-20");
    let elsewhere = world.dir().join("elsewhere");
    fs::rename(&day, &elsewhere).unwrap();
    symlink(&elsewhere, &day).unwrap();
    world.set_now_ms(MIDNIGHT_MS + (KEPT_DAYS + 1) * DAY_MS);
    let asked = json!({"accept_clock": day_text(world.now_ms()), "accept_share": true}).to_string();
    let answer = world.client().post("/v1/retention/runs", &world.keys.officer, asked).expect(200);
    let last: Value = serde_json::from_str(answer.text().lines().last().unwrap()).unwrap();
    assert_eq!(
        last["report"]["failed"],
        json!([{"region": "DE", "kind": "performance"}]),
        "why is in the log"
    );
    world.stop();

    let setup = Setup { dir: world.dir(), variables: &[] };
    let told = format!("{} is a symbolic link", day.display());
    for command in [&["config", "check"][..], &["serve"], &["retention", "run", "--once"]] {
        let (code, out, errors) = setup.run(command);
        assert!(code != 0 && errors.contains(&told) && errors.contains("in its place"), "{out}{errors}");
    }
    fs::remove_file(&day).unwrap();
    fs::rename(&elsewhere, &day).unwrap();
    assert_eq!(setup.run(&["config", "check"]).0, 0);
    // The data directory itself may be a link.
    let (data, real) = (world.data_dir(), world.dir().join("real"));
    fs::rename(&data, &real).unwrap();
    symlink(&real, &data).unwrap();
    world.restart(|_| {});
    run(&world, false);
    assert!(!day.exists() && Tables::read(&world).count() == 0);
}

#[test]
fn retention_is_for_officers() {
    let world = World::new();
    for key in [&world.keys.analyst, &world.keys.app] {
        assert_eq!(world.client().post("/v1/retention/runs", key, "").status, 403);
        assert_eq!(world.client().get("/v1/retention/plan", key).status, 403);
    }
}
