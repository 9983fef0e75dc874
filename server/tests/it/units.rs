//! Events that name nobody: those of one phone are one person's, however many there are, and its address is kept nowhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shoal_anonymity::budget::Preset;
use shoal_server::Config;

use crate::http::Answer;
use crate::process::until;
use crate::query::rows;
use crate::search::Searcher;
use crate::stage::{DAY_MS, NOON_MS, TODAY, World, encrypted_and_clear};
use crate::tables::{Tables, cells, files, text};

const HOUR_MS: i64 = 3_600_000;
const PHONE: &str = "198.51.100.77";

/// A service behind a proxy that tells where requests come from.
fn world() -> World {
    World::with(settings)
}

fn settings(config: &mut Config) {
    config.http.trust_forwarded_for = true;
    config.query.preset = Preset::Internal;
}

/// A crash before anybody has logged in.
fn crash(id: &str, exception: &str) -> Value {
    json!({"id": id, "event": "app_crash", "time": NOON_MS, "country": "DE", "session_id": format!("session-{id}"),
        "properties": {"exception_type": exception, "message": "m"}})
}

/// Posts under the key that asserts consent, through a proxy.
fn post(world: &World, forwarded: &str, events: &[Value]) -> Answer {
    let key = format!("Bearer {}", world.keys.asserting.reveal());
    let headers = [("authorization", key.as_str()), ("x-forwarded-for", forwarded)];
    let body = json!({"events": events}).to_string();
    world.client().ask("POST", "/v1/events", &headers, body.as_bytes()).unwrap().expect(200)
}

/// Pseudonyms of the crashes of a type.
fn subjects(world: &World, exception: &str) -> BTreeSet<String> {
    world.flush();
    let tables = Tables::read(&world);
    let of_type = tables.rows("de/crash").iter().filter(|row| text(row, "exception_type") == exception);
    of_type.map(|row| text(row, "subject").to_owned()).collect()
}

fn exceptions_shown(world: &World) -> Vec<String> {
    let sql = format!(
        "SELECT exception_type, COUNT(*) AS n FROM crash WHERE day = DATE '{TODAY}' AND region = 'DE' \
         GROUP BY exception_type ORDER BY exception_type"
    );
    let answer = world.client().sql(&world.keys.analyst, &sql);
    rows(&answer).iter().map(|row| row["exception_type"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn four_hundred_crashes_of_one_phone_are_one_subject_and_show_no_group() {
    let world = world();
    let of_phone: Vec<Value> = (0..400).map(|n| crash(&format!("phone-{n}"), "RareException")).collect();
    for events in of_phone.chunks(50) {
        post(&world, PHONE, events);
    }
    // By Sentry's protocol, and with addresses that the events state.
    let envelope = |n: u32| {
        let event = json!({"event_id": format!("{n:032x}"), "level": "error", "timestamp": NOON_MS / 1000,
            "user": {"ip_address": format!("203.0.113.{n}"), "geo": {"country_code": "DE"}},
            "exception": {"values": [{"type": "RareException", "value": "v"}]}});
        format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n")
    };
    let key = format!("Sentry sentry_key={}", world.keys.asserting.reveal_for_dsn());
    for n in 1..=40 {
        let headers = [("x-sentry-auth", key.as_str()), ("x-forwarded-for", PHONE)];
        let path = "/api/1/envelope/";
        world.client().ask("POST", path, &headers, envelope(n).as_bytes()).unwrap().expect(200);
    }
    assert_eq!(subjects(&world, "RareException").len(), 1);
    // Of three hundred phones, each a household of its own.
    for n in 0..300 {
        let address = format!("2001:db8:0:{n:x}::{n:x}");
        post(&world, &address, &[crash(&format!("many-{n}"), "CommonException")]);
    }
    assert_eq!(subjects(&world, "CommonException").len(), 300);
    assert_eq!(exceptions_shown(&world), ["CommonException"]);
}

#[test]
fn without_a_persons_address_an_app_has_one_unit_a_day() {
    let world = world();
    for n in 0..40 {
        post(&world, "unknown", &[crash(&format!("none-{n}"), "E")]);
    }
    let of_app = subjects(&world, "E");
    assert_eq!(of_app.len(), 1);
    post(&world, PHONE, &[crash("phone", "E")]);
    assert_eq!(subjects(&world, "E").len(), 2);
    assert!(!exceptions_shown(&world).contains(&"E".to_owned()));
}

/// Files of the key of the day in a region.
fn key_files(world: &World) -> usize {
    let all = files(&world.dir().join("shoal.key.units")).into_iter();
    all.filter(|path| path.to_str().unwrap().contains(&format!("/de/{TODAY}"))).count()
}

#[test]
fn no_clock_that_was_set_destroys_a_unit_key_or_makes_a_second_one() {
    let mut world = world();
    let post_one = |world: &World, id: &str| drop(post(world, PHONE, &[crash(id, "E")]));
    post_one(&world, "right");
    for (at, ahead) in [4 * DAY_MS, 6 * DAY_MS, 5 * 365 * DAY_MS, -30 * DAY_MS].into_iter().enumerate() {
        world.set_now_ms(NOON_MS + ahead);
        post_one(&world, &format!("wrong-{at}"));
        // Long enough for the job that destroys keys, and under the clock of five years for whatever waits for an hour.
        world.pass_ms(if ahead > 7 * DAY_MS { 2 * HOUR_MS } else { 900_000 });
        world.restart(|_| {});
        assert_eq!(key_files(&world), 1, "{ahead} ms ahead");
        world.set_now_ms(NOON_MS);
        post_one(&world, &format!("again-{at}"));
    }
    // The phone's, and the one of the app to which events belonged while the clock was wrong.
    assert_eq!(subjects(&world, "E").len(), 2);
}

#[test]
fn a_restart_splits_no_unit_and_after_the_late_window_its_key_is_gone() {
    encrypted_and_clear(settings, late_window);
}

fn late_window(world: &mut World) {
    post(world, PHONE, &[crash("1", "E")]);
    world.restart(|_| {});
    post(world, PHONE, &[crash("2", "E")]);
    world.set_now_ms(NOON_MS + 3 * DAY_MS);
    post(world, PHONE, &[crash("3", "E")]);
    assert_eq!((subjects(world, "E").len(), key_files(world)), (1, 1));
    world.set_now_ms(NOON_MS + 4 * DAY_MS);
    post(world, PHONE, &[crash("4", "E")]);
    assert_eq!(subjects(world, "E").len(), 2);
    // A clock that was set is believed after an hour.
    world.pass_ms(HOUR_MS + 600_000);
    until("the key to be destroyed", || (key_files(world) == 0).then_some(()));
    post(world, "198.51.100.78", &[crash("5", "E")]);
    assert_eq!(subjects(world, "E").len(), 2, "late ones are the app's");
    // No address, of all of this, is on the disk in any form.
    let searcher = Searcher::new(&[PHONE, "198.51.100.78"]);
    let mut hits = searcher.hits_in_files(world.dir());
    hits.extend(searcher.hits(&cells(world)));
    assert!(hits.is_empty(), "{}", hits.join("\n"));
}

#[test]
fn a_lost_key_of_a_day_that_has_begun_makes_no_second_unit_of_a_phone() {
    let mut world = world();
    post(&world, PHONE, &[crash("1", "E")]);
    world.stop();
    std::fs::remove_dir_all(world.dir().join("shoal.key.units")).unwrap();
    world.restart(|_| {});
    for n in 2..20 {
        post(&world, &format!("198.51.100.{n}"), &[crash(&format!("{n}"), "E")]);
    }
    assert_eq!(subjects(&world, "E").len(), 2, "one with its key, one of the app");
}
