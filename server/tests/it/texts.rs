//! What is kept of texts and paths, through the real port: templates, no identifier of the event, and no request that others
//! have to wait for.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::stage::{World, batch};
use crate::tables::{Tables, text};

fn crash(install: &str, message: &str) -> Value {
    json!({"event": "app_crash", "install_id": install, "properties": {"exception_type": "E", "message": message}})
}

#[test]
fn no_path_is_a_dimension_in_any_protocol() {
    let world = World::new();
    let client = world.client();
    let native = json!({"event": "screen_view", "user_id": "u-1", "properties": {"screen": "/device/7J0A123PAZ00001"}});
    assert_eq!(client.events(&world.keys.app, &batch("DE", vec![native]))["accepted"], 1);
    let page = json!({"batch": [{"type": "page", "messageId": "p2", "anonymousId": "p2", "properties": {"path": "/account/4711"}}]});
    client.post("/v1/batch", &world.keys.asserting.reveal(), page.to_string()).expect(200);
    let started = 1_795_348_790;
    let span = json!({"trace_id": "c1", "span_id": "b1", "op": "http.client", "description": "GET /v1/users/4711",
        "start_timestamp": started, "timestamp": started + 1, "data": {"user.id": "u-1"}});
    let key = format!("Sentry sentry_key={}", world.keys.asserting.reveal_for_dsn());
    let envelope = format!("{{}}\n{{\"type\":\"span\"}}\n{span}\n");
    client
        .ask("POST", "/api/1/envelope/", &[("x-sentry-auth", &key)], envelope.as_bytes())
        .unwrap()
        .expect(200);
    world.flush();
    let tables = Tables::read(&world);
    let mut screens: Vec<_> = tables.rows("de/usage").iter().map(|row| text(row, "screen")).collect();
    screens.sort_unstable();
    assert_eq!(screens, ["/account/{}", "/device/{}"]);
    let requests = tables.rows("de/performance");
    assert_eq!((requests.len(), text(&requests[0], "endpoint")), (1, "/v1/users/{}"));
    assert!(requests[0].get("screen").is_none_or(Value::is_null), "a request is on no screen");
}

#[test]
fn nothing_that_identifies_is_kept_of_free_text() {
    let world = World::new();
    let serial = "7J0A123PAZ00001";
    let said = [
        "lost 7j0a123paz00001 at 7J0A-123P-AZ00-001",
        "lost N0owQTEyM1BBWjAwMDAx",
        "mail anna＠example．com, phone +４９ １５１ １２３４５６７８",
        "C:\\users\\anna\\AppData and GET /v1/users/81723/alarms",
        "ssn: 219099999, camera 6K04C35PAG1A2B3, mac 001A2B3C4D5E",
    ];
    let events = said.iter().map(|message| crash(serial, message)).collect();
    assert_eq!(world.client().events(&world.keys.app, &batch("DE", events))["accepted"], said.len());
    world.flush();
    let tables = Tables::read(&world);
    let kept: String = tables.rows("de/crash").iter().map(|row| text(row, "message")).collect();
    for gone in [
        "7j0a",
        "7J0A",
        "N0owQTEyM1",
        "anna",
        "１２３",
        "12345678",
        "81723",
        "219099999",
        "6K04C35",
        "001A2B",
    ] {
        assert!(!kept.contains(gone), "{gone} in {kept}");
    }
}

/// What is in the body was made to be looked at again and again.
#[test]
fn one_request_that_is_made_to_cost_much_stops_nobody() {
    let world = World::with(|config| config.http.workers = 1);
    let message = "0030 11 ".repeat(1023);
    let events = (0..200).map(|_| crash("in-1", &message)).collect();
    let body = batch("DE", events).to_string();
    let done = AtomicBool::new(false);
    let mut answered_meanwhile = 0;
    std::thread::scope(|scope| {
        let heavy = scope.spawn(|| {
            let answer = world.client().post("/v1/events", &world.keys.app, &body);
            done.store(true, Ordering::SeqCst);
            answer.expect(200).json()
        });
        while !done.load(Ordering::SeqCst) {
            world.client().ask("GET", "/readyz", &[], b"").unwrap().expect(200);
            answered_meanwhile += usize::from(!done.load(Ordering::SeqCst));
        }
        let answer = heavy.join().unwrap();
        assert_eq!(answer["received"], 200);
    });
    assert!(answered_meanwhile >= 3, "{answered_meanwhile} checks of health were answered meanwhile");
}

#[test]
fn texts_for_which_there_is_no_work_left_are_withheld_and_counted() {
    let world = World::with(|config| {
        config.ingest.scrub_steps_max = 100_000;
        config.metrics.listen = Some(([127, 0, 0, 1], 0).into());
    });
    let message = "0030 11 ".repeat(1023);
    let events = vec![crash("in-1", "all is well"), crash("in-2", &message), crash("in-3", "call me")];
    assert_eq!(world.client().events(&world.keys.app, &batch("DE", events))["accepted"], 3);
    world.flush();
    let tables = Tables::read(&world);
    let mut kept: Vec<_> = tables.rows("de/crash").iter().map(|row| text(row, "message")).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["<text>", "<text>", "all is well"]);
    let metrics = world.metrics().ask("GET", "/metrics", &[], b"").unwrap().text();
    let counted = metrics
        .lines()
        .find(|line| line.starts_with("shoal_ingest_withheld_texts_total{code=\"scrub_steps\"}"));
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{metrics}");
}
