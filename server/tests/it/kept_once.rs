//! Nothing is lost or doubled for the sake of an id, a clock or one bad value, whatever protocol it comes through.
//!
//! Not here: the same rules stage by stage (`shoal-ingest`), bodies as SDKs send them (`protocols.rs`).

use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};

use crate::stage::{DAY_MS, NOON_MS, POLICY, World, batch, click, consent, ingest};
use crate::tables::{Tables, text};

const HOUR_MS: i64 = 3_600_000;

/// Outcomes of native events, each as its status, or its code where it has one.
fn outcomes(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["code"].as_str().or(event["status"].as_str()).unwrap()).collect()
}

fn send(world: &World, body: &Value) -> Vec<String> {
    outcomes(&world.client().events(&world.keys.app, body)).into_iter().map(str::to_owned).collect()
}

fn one(world: &World, event: Value) -> String {
    send(world, &batch("DE", vec![event])).remove(0)
}

#[test]
fn one_short_id_of_two_people_is_two_events_and_a_login_makes_no_third() {
    let mut world = World::new();
    let of = |user: Option<&str>, install: &str, id: &str| {
        json!({"id": id, "event": "click", "time": NOON_MS, "user_id": user, "install_id": install,
            "properties": {"element": "a"}})
    };
    assert_eq!(one(&world, click("7", "anna", "a")), "accepted");
    assert_eq!(one(&world, click("7", "ben", "a")), "accepted");
    assert_eq!(one(&world, click("7", "anna", "a")), "duplicate");
    assert_eq!(one(&world, of(None, "phone-1", "7")), "accepted");
    assert_eq!(one(&world, of(None, "phone-2", "7")), "accepted");
    // Sent again after a flush, a restart and a login.
    world.flush();
    world.restart(|_| {});
    assert_eq!(one(&world, of(Some("anna"), "phone-1", "7")), "duplicate");
    assert_eq!(one(&world, of(Some("ben"), "phone-2", "7")), "duplicate");
    // What nobody else can have made is the app's.
    let uuid = "5f0c6f0e-6f0a-4b62-8f0c-0d4a0f7f9a11";
    assert_eq!(one(&world, click(uuid, "anna", "a")), "accepted");
    assert_eq!(one(&world, of(Some("ben"), "phone-3", uuid)), "duplicate");
    // Whoever counts is one however it is spelled, and what a program sends in the place of an id is none.
    assert_eq!(one(&world, of(None, "PHONE-1", "7")), "duplicate");
    for (id, element) in
        [("undefined", "b"), ("undefined", "c"), ("00000000-0000-0000-0000-000000000000", "d")]
    {
        let mut event = of(None, "phone-1", id);
        event["properties"]["element"] = json!(element);
        assert_eq!(one(&world, event.clone()), "accepted", "{id} {element}");
        assert_eq!(one(&world, event), "duplicate", "{id} {element}");
    }
    world.flush();
    assert_eq!(Tables::read(&world).count(), 8);
}

#[test]
fn a_resend_without_an_id_counts_once_however_late_and_from_wherever() {
    let mut world = World::new();
    let mut event = click("x", "anna", "a");
    event.as_object_mut().unwrap().remove("id");
    let body = |country: &str| {
        let mut body = batch(country, vec![event.clone()]);
        body["sent_at"] = json!(NOON_MS);
        body
    };
    assert_eq!(send(&world, &body("DE")), ["accepted"]);
    for later_ms in [5_000, 70_000, HOUR_MS, 30 * HOUR_MS] {
        world.set_now_ms(NOON_MS + later_ms);
        assert_eq!(send(&world, &body("DE")), ["duplicate"], "{later_ms}");
        assert_eq!(send(&world, &body("FR")), ["duplicate"], "another country of the region");
        world.flush();
    }
    world.restart(|_| {});
    assert_eq!(send(&world, &body("DE")), ["duplicate"]);
    // In two regions it is two events: `docs/guarantees.md` says so.
    assert_eq!(send(&world, &body("US")), ["accepted"]);

    // Without any time of the client's a resend is known for a minute, and what comes later is another event.
    let mut timeless = event.clone();
    timeless.as_object_mut().unwrap().remove("time");
    timeless["properties"] = json!({"element": "timeless"});
    let timeless = batch("DE", vec![timeless]);
    let began_ms = world.now_ms();
    assert_eq!(send(&world, &timeless), ["accepted"]);
    world.set_now_ms(began_ms + 5_000);
    assert_eq!(send(&world, &timeless), ["duplicate"]);
    world.set_now_ms(began_ms + 70_000);
    assert_eq!(send(&world, &timeless), ["accepted"]);
}

/// Three native events as text, the second with this in the place of a value.
fn three(prefix: &str, bad: &[u8]) -> [Vec<u8>; 3] {
    let event = |id: u32, value: &[u8]| {
        let head = format!(
            r#"{{"id":"{prefix}-{id}","event":"screen_view","user_id":"n","country":"DE","consent":{{"policy_version":"{POLICY}"}},"properties":{{"screen":"{prefix}","duration_ms":"#
        );
        [head.as_bytes(), value, b"}}"].concat()
    };
    [event(1, b"5"), event(2, bad), event(3, b"7")]
}

#[test]
fn one_bad_value_costs_itself_or_its_event_on_every_protocol() {
    let world = World::new();
    let long = format!("\"{}\"", "x".repeat(70_000)).into_bytes();
    let bad: [(&str, &[u8]); 6] = [
        ("nan", b"NaN"),
        ("huge", b"1e400"),
        ("half", br#""\ud83d""#),
        ("bytes", b"\"\xff\xfe\""),
        ("long", &long),
        ("none", b""),
    ];
    for (name, value) in bad {
        let events = three(name, value);
        let list = [b"{\"events\":[", &events.join(&b","[..])[..], b"]}"].concat();
        let answer = world.client().post("/v1/events", &world.keys.app, &list).expect(200).json();
        assert!(answer["accepted"].as_u64() >= Some(2) && answer["received"] == 3, "{name}: {answer}");
        let answer =
            world.client().post("/v1/events", &world.keys.app, events.join(&b"\n"[..])).expect(200).json();
        assert!(answer["duplicate"].as_u64() >= Some(2) && answer["received"] == 3, "{name}: {answer}");
    }
    let [first, second, third] = three("cut", b"6");
    let lines = [&first[..], b"\n", &second[..second.len() / 2], b"\n", &third, b"\n"].concat();
    let answer = world.client().post("/v1/events", &world.keys.app, lines).expect(200).json();
    assert_eq!(outcomes(&answer), ["accepted", "bad_event", "accepted"]);

    let key = world.keys.asserting.reveal();
    for (name, value) in bad {
        let track = |id: u32, value: &[u8]| {
            let head = format!(
                r#"{{"type":"screen","messageId":"s-{name}-{id}","anonymousId":"s","name":"s-{name}","properties":{{"duration_ms":"#
            );
            [head.as_bytes(), value, b"}}"].concat()
        };
        let messages = [track(1, b"1"), track(2, value), track(3, b"3")].join(&b","[..]);
        let body = [b"{\"batch\":[", &messages[..], b"]}"].concat();
        world.client().post("/v1/batch", &key, body).expect(200);
        let crash = |id: u32, value: &[u8]| {
            let head = format!(
                r#"{{"event_id":"{id}","user":{{"id":"c"}},"exception":{{"values":[{{"type":"c-{name}","value":"v"}}]}},"extra":"#
            );
            [head.as_bytes(), value, b"}"].concat()
        };
        let mut envelope = b"{}\n".to_vec();
        for payload in [crash(1, b"1"), crash(2, value), crash(3, b"3")] {
            envelope.extend_from_slice(
                format!("{{\"type\":\"event\",\"length\":{}}}\n", payload.len()).as_bytes(),
            );
            envelope.extend_from_slice(&[&payload[..], b"\n"].concat());
        }
        let path = format!("/api/1/envelope/?sentry_key={}", world.keys.asserting.reveal_for_dsn());
        world.client().ask("POST", &path, &[], &envelope).unwrap().expect(200);
    }
    world.flush();
    let tables = Tables::read(&world);
    let kept = |table: &str, column: &str, wanted: &str| {
        tables.rows(table).iter().filter(|row| text(row, column) == wanted).count()
    };
    for (name, _) in bad {
        assert!(kept("de/usage", "screen", name) >= 2, "{name}");
        assert!(kept("de/usage", "screen", &format!("s-{name}")) >= 2, "{name}");
    }
    // Their ids are 1, 2 and 3 for each of the six, by one person: the first six of each count once.
    assert_eq!(tables.rows("de/crash").len(), 3);
}

#[test]
fn of_a_key_that_stands_twice_the_last_counts_everywhere() {
    let world = World::new();
    let native = format!(
        r#"{{"country":"US","country":"DE","consent":{{"policy_version":"{POLICY}"}},"events":[{{"id":"no","id":"native","event":"no","event":"click","user_id":"u","properties":{{"element":"no","element":"native"}}}}]}}"#
    );
    let key = world.keys.asserting.reveal();
    let segment = r#"{"batch":[{"type":"page","type":"track","event":"click","messageId":"m","userId":"u","properties":{"element":"no","element":"segment"}}]}"#;
    assert_eq!(world.client().post("/v1/events", &world.keys.app, native).json()["accepted"], 1);
    world.client().post("/v1/batch", &key, segment).expect(200);
    let path = format!("/api/1/envelope/?sentry_key={}", world.keys.asserting.reveal_for_dsn());
    let crash = "{}\n{\"type\":\"no\",\"type\":\"event\"}\n{\"user\":{\"id\":\"u\"},\"exception\":{\"values\":[{\"type\":\"No\",\"type\":\"Sentry\"}]}}\n";
    world.client().ask("POST", &path, &[], crash.as_bytes()).unwrap().expect(200);
    world.flush();
    let tables = Tables::read(&world);
    let mut found: Vec<&str> = tables.rows("de/usage").iter().map(|row| text(row, "element")).collect();
    found.sort_unstable();
    assert_eq!(found, ["native", "segment"]);
    assert_eq!(text(&tables.rows("de/crash")[0], "exception_type"), "Sentry");
}

#[test]
fn a_time_is_read_in_its_unit_and_a_sent_at_that_cannot_be_true_moves_nothing() {
    let world = World::new();
    let at = |name: &str, time: Value, sent_at: Value| {
        let mut event = click(name, "u", name);
        event["time"] = time;
        let mut body = batch("DE", vec![event]);
        body["sent_at"] = sent_at;
        send(&world, &body).remove(0)
    };
    let ten_hours_ago = NOON_MS - 10 * HOUR_MS;
    for (name, unit) in [("seconds", 1_000_000_000), ("millis", 1_000_000), ("micros", 1_000), ("nanos", 1)] {
        let of = |ms: i64| json!(ms * 1_000_000 / unit);
        assert_eq!(at(name, of(ten_hours_ago), of(NOON_MS)), "accepted", "{name}");
        assert_eq!(at(&format!("old{name}"), of(NOON_MS - 400 * DAY_MS), of(NOON_MS)), "too_old", "{name}");
        assert_eq!(at(&format!("new{name}"), of(NOON_MS + HOUR_MS), of(NOON_MS)), "in_future", "{name}");
    }
    for (name, sent_at) in
        [("zero", json!(0)), ("month", json!(NOON_MS - 40 * DAY_MS)), ("bad", json!("yesterday"))]
    {
        assert_eq!(at(name, json!(ten_hours_ago), sent_at), "accepted", "{name}");
    }
    // Two hours wrong, and still ten hours old.
    assert_eq!(at("skewed", json!(ten_hours_ago + 2 * HOUR_MS), json!(NOON_MS + 2 * HOUR_MS)), "accepted");
    assert_eq!(at("text", json!("tomorrow"), json!(NOON_MS)), "bad_time");

    let key = world.keys.asserting.reveal();
    let track = json!({"type": "track", "event": "click", "messageId": "t2", "userId": "u", "timestamp": "2026-11-22T02:00:00Z",
        "properties": {"element": "segment"}});
    world.client().post("/v1/batch", &key, json!({"batch": [track], "sentAt": 0}).to_string()).expect(200);
    let path = format!("/api/1/envelope/?sentry_key={}", world.keys.asserting.reveal_for_dsn());
    for (name, time) in [
        ("S", json!(ten_hours_ago / 1000)),
        ("Ms", json!(ten_hours_ago)),
        ("Text", json!("2026-11-22T02:00:00Z")),
    ] {
        let crash =
            json!({"user": {"id": "u"}, "timestamp": time, "exception": {"values": [{"type": name}]}});
        world
            .client()
            .ask("POST", &path, &[], format!("{{}}\n{{\"type\":\"event\"}}\n{crash}\n").as_bytes())
            .unwrap()
            .expect(200);
    }
    world.flush();
    let tables = Tables::read(&world);
    let rows = || tables.rows("de/usage").iter().chain(tables.rows("de/crash"));
    assert_eq!(rows().count(), 4 + 3 + 1 + 1 + 3);
    for row in rows() {
        assert!(
            text(row, "time").starts_with("2026-11-22T02:00:00")
                || text(row, "time").starts_with("2026-11-22 02:00:00"),
            "{row:?}"
        );
    }
}

#[test]
fn sessions_of_sentry_keep_their_errors_and_what_an_sdk_has_lost_is_added_up() {
    let world = World::with(|config| config.metrics.listen = Some(([127, 0, 0, 1], 0).into()));
    let path = format!("/api/1/envelope/?sentry_key={}", world.keys.asserting.reveal_for_dsn());
    let post = |kind: &str, payload: Value| {
        let body = format!("{{}}\n{{\"type\":\"{kind}\"}}\n{payload}\n");
        world.client().ask("POST", &path, &[], body.as_bytes()).unwrap().expect(200);
    };
    let sid = "7fb795e5-a72c-4384-ac91-789f6072bd4b";
    for (status, errors) in [("ok", 0), ("ok", 1), ("ok", 2), ("exited", 2)] {
        post(
            "session",
            json!({"sid": sid, "did": "u", "status": status, "errors": errors, "init": errors == 0}),
        );
    }
    let report = json!({"discarded_events": [
        {"reason": "queue_overflow", "category": "error", "quantity": 3}, {"reason": "made_up", "category": "error", "quantity": 2}]});
    post("client_report", report.clone());
    post("client_report", report);
    world.flush();
    let tables = Tables::read(&world);
    let mut results: Vec<&str> = tables.rows("de/usage").iter().map(|row| text(row, "result")).collect();
    results.sort_unstable();
    assert_eq!(results, ["errored", "exited", "ok"]);
    let metrics = world.metrics().ask("GET", "/metrics", &[], b"").unwrap().expect(200).text();
    for line in [
        r#"ingest_client_losses_total{reason="queue_overflow",category="error"} 6"#,
        r#"ingest_client_losses_total{reason="other",category="error"} 4"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("made_up"));
}

#[test]
fn a_country_is_known_under_the_codes_that_people_use() {
    let world = World::new();
    let scope = ingest(&[Region::De], Some(Programme::UserExperience), None);
    let key = world.key(scope).reveal();
    let event = |country: &str| json!({"consent": consent(), "country": country, "events": [click(country, "u", "a")]});
    for (country, stored) in [("UK", "GB"), ("XK", "XK"), ("el", "GR"), ("gb", "GB")] {
        let answer = world.client().events(&key, &event(country));
        assert_eq!(answer["accepted"], 1, "{country} is {stored}: {answer}");
    }
    world.flush();
    let tables = Tables::read(&world);
    let mut found: Vec<&str> = tables.rows("de/usage").iter().map(|row| text(row, "country")).collect();
    found.sort_unstable();
    assert_eq!(found, ["GB", "GB", "GR", "XK"]);
}
