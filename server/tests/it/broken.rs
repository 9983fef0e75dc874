//! What is wrong with a batch costs what is wrong: a field of the batch, what is behind a cut, an item whose length lies. And a
//! retry is known whatever its sender stamps on it.
//!
//! Not here: one bad value of an event (`kept_once.rs`), bodies that are nothing at all (`hostile.rs`).

use serde_json::{Value, json};
use shoal_schemas::Region;

use crate::stage::{NOON_MS, POLICY, World, batch, click, consent, ingest};
use crate::tables::{Tables, text};

/// Codes of native events, or their status where they have none.
fn codes(answer: &Value) -> Vec<&str> {
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| event["code"].as_str().or(event["status"].as_str()).unwrap()).collect()
}

fn envelope_path(world: &World) -> String {
    format!("/api/1/envelope/?sentry_key={}", world.keys.asserting.reveal_for_dsn())
}

#[test]
fn a_bad_value_of_a_batch_costs_itself_and_the_answer_names_it() {
    let world = World::new();
    for (at, (field, bad, code)) in [
        ("user_id", json!(1.5), "bad_identifier"),
        ("country", json!(276), "wrong_type"),
        ("context", json!("none"), "wrong_type"),
        ("sent_at", json!({}), "bad_time"),
        ("consent", json!("yes"), "bad_consent"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut whole = click(&format!("w{at}"), "anna", "a");
        (whole["consent"], whole["country"]) = (consent(), json!("DE"));
        let mut bare = click(&format!("b{at}"), "anna", "a");
        bare.as_object_mut().unwrap().remove("user_id");
        let mut body =
            json!({"consent": consent(), "country": "DE", "user_id": "ben", "events": [whole, bare]});
        body[field] = bad;
        let answer = world.client().events(&world.keys.app, &body);
        let missing = match field {
            "user_id" => "bad_identifier",
            "country" => "no_region",
            "consent" => "bad_consent",
            _ => "accepted",
        };
        assert_eq!(codes(&answer), ["accepted", missing], "{field}: {answer}");
        let faults = answer["batch_faults"].as_array().unwrap();
        assert_eq!((faults.len(), &faults[0]["field"], &faults[0]["code"]), (1, &json!(field), &json!(code)));
        assert!(faults[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
    }
    let listed = batch("DE", vec![click("n", "anna", "a")]).to_string();
    let twice = format!("{},\"events\":null}}", &listed[..listed.len() - 1]);
    let answer = world.client().post("/v1/events", &world.keys.app, twice).expect(200).json();
    assert_eq!((codes(&answer), answer.get("batch_faults")), (vec!["accepted"], None));
    let none = world.client().events(&world.keys.app, &json!({"consent": consent(), "events": null}));
    assert_eq!((&none["received"], &none["batch_faults"][0]["field"]), (&json!(0), &json!("events")));

    // An SDK of Segment's is told that it is done.
    let key = world.keys.asserting.reveal();
    let track = |id: &str| json!({"type": "track", "event": "click", "messageId": id, "userId": "s", "properties": {"element": "s"}});
    for (body, fault) in [
        (json!({"batch": [track("1")], "sentAt": {}}), Some("sentAt")),
        (json!({"batch": [track("2")], "context": 7}), Some("context")),
        (json!({"batch": null, "sentAt": "2026-11-22T12:00:00Z"}), Some("batch")),
        (json!({"batch": [track("3")]}), None),
    ] {
        let answer = world.client().post("/v1/batch", &key, body.to_string()).expect(200).json();
        assert_eq!((&answer["success"], answer["batch_faults"][0]["field"].as_str()), (&json!(true), fault));
    }
    let crash = json!({"event_id": "1", "user": {"id": "c"}, "exception": {"values": [{"type": "E"}]}});
    let body =
        format!("{{\"sent_at\":[],\"trace\":\"{}\"}}\n{{\"type\":\"event\"}}\n{crash}\n", "x".repeat(20_000));
    world.client().ask("POST", &envelope_path(&world), &[], body.as_bytes()).unwrap().expect(200);
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(tables.rows("de/usage").iter().filter(|row| text(row, "element") == "s").count(), 3);
    assert_eq!(tables.rows("de/crash").len(), 1);
}

#[test]
fn a_body_that_is_cut_keeps_the_events_before_the_cut() {
    let world = World::new();
    let event = |id: &str| {
        let mut event = click(id, "anna", id);
        (event["consent"], event["country"]) = (consent(), json!("DE"));
        event.to_string()
    };
    for (at, cut) in
        ["{\"a", "{", "", "{\"id\":\"x\",\"properties\":{\"element\":\"x\"}"].into_iter().enumerate()
    {
        let [one, two] = [event(&format!("one{at}")), event(&format!("two{at}"))];
        for (form, body) in [
            format!("{{\"events\":[{one},{two},{cut}"),
            format!("[{one},{two},{cut}"),
            format!("{one}\n{two}\n{cut}\n"),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = world.client().post("/v1/events", &world.keys.app, &body).expect(200).json();
            let kept = if form == 0 { "accepted" } else { "duplicate" };
            match (form, cut) {
                (2, "") => assert_eq!(codes(&answer), [kept; 2]),
                _ => assert_eq!(codes(&answer), [kept, kept, "bad_event"], "{body}"),
            }
        }
    }
    // A shipped key is told as much.
    let body = format!("[{},{{\"a", event("shipped"));
    let answer = world.client().post("/v1/events", &world.keys.shipped, body).expect(200).json();
    assert_eq!((codes(&answer), &answer["rejected"]), (vec!["taken", "bad_event"], &json!(1)));
    // Segment's SDKs send the same batch for ever after some answers, and drop it after others.
    let key = world.keys.asserting.reveal();
    let track = |id: &str| {
        json!({"type": "track", "event": "click", "messageId": id, "userId": "s", "properties": {"element": "s"}}).to_string()
    };
    let body = format!("{{\"writeKey\":\"{key}\",\"batch\":[{},{},{{\"type\":\"tr", track("1"), track("2"));
    for _ in 0..2 {
        let answer =
            world.client().ask("POST", "/v1/batch", &[], body.as_bytes()).unwrap().expect(200).json();
        assert_eq!(answer, json!({"success": true}));
    }
    assert_eq!(world.client().post("/v1/events", &world.keys.app, "[{\"a").status, 400);
    // Of a list of decisions that is cut the withdrawals are recorded.
    let withdrawal = json!({"action": "withdraw", "programme": "user-experience", "user_id": "carol"});
    let answer = world.client().post("/v1/consents", &world.keys.app, format!("[{withdrawal},{{\"act"));
    assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_json")));
    let answer = world.client().events(&world.keys.app, &batch("DE", vec![click("c", "carol", "c")]));
    assert_eq!(codes(&answer), ["withdrawn"]);
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(tables.rows("de/usage").iter().filter(|row| text(row, "element") == "s").count(), 2);
    assert_eq!(tables.count(), 4 * 2 + 1 + 2);
}

#[test]
fn a_message_is_of_the_type_that_its_path_names() {
    let world = World::new();
    let key = world.keys.asserting.reveal();
    let track = |id: &str| json!({"event": "click", "messageId": id, "userId": "u", "properties": {"element": "track"}});
    let seen = |id: &str| json!({"name": "home", "messageId": id, "userId": "u"});
    for (path, body) in [
        ("/v1/track", track("1")),
        ("/v1/t/", track("2")),
        ("/v1/page", seen("3")),
        ("/v1/screen", seen("4")),
        ("/v1/s", seen("5")),
        ("/v1/identify", json!({"userId": "u", "traits": {"email": "anna@example.com"}})),
        ("/v1/group", json!({"userId": "u", "groupId": "g"})),
        ("/v1/alias", json!({"userId": "u", "previousId": "v"})),
    ] {
        let answer = world.client().post(path, &key, body.to_string()).expect(200).json();
        assert_eq!(answer, json!({"success": true}), "{path}");
    }
    assert_eq!(world.client().post("/v1/batch", &key, track("6").to_string()).status, 400);
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!((tables.events("click").len(), tables.events("screen_view").len(), tables.count()), (2, 3, 5));
}

#[test]
fn an_item_whose_length_is_wrong_is_no_loss_for_the_next() {
    let world = World::new();
    let crash = |name: &str| {
        json!({"event_id": name, "user": {"id": "u"}, "exception": {"values": [{"type": name, "value": "v"}]}}).to_string()
    };
    let path = envelope_path(&world);
    let mut sent = 0;
    for (by, end) in
        [(-20, "\n"), (-1, "\n"), (1, "\n"), (7, "\n"), (5000, "\n"), (0, ""), (0, "\r\n"), (0, "\n\n")]
    {
        sent += 2;
        let (one, two) = (crash(&format!("A{sent}")), crash(&format!("B{sent}")));
        let line = if end == "\r\n" { "\r\n" } else { "\n" };
        let body = format!(
            "{{}}{line}{{\"type\":\"event\",\"length\":{}}}{line}{one}{end}{{\"type\":\"event\",\"length\":{}}}{line}{two}",
            one.len() as i64 + by,
            two.len()
        );
        world.client().ask("POST", &path, &[], body.as_bytes()).unwrap().expect(200);
    }
    for text in [
        "no header\n",
        "{\"type\":\"event\"}\nno JSON\n",
        "{\"type\":\"attachment\",\"length\":3}\na\nb\nc\n",
    ] {
        sent += 1;
        let body = format!("{{}}\n{text}{{\"type\":\"event\"}}\n{}\n", crash(&format!("C{sent}")));
        world.client().ask("POST", &path, &[], body.as_bytes()).unwrap().expect(200);
    }
    world.flush();
    assert_eq!(Tables::read(&world).rows("de/crash").len(), sent);
}

#[test]
fn a_retry_that_is_stamped_anew_counts_once() {
    let world = World::new();
    let asserting =
        world.key(ingest(&[Region::De], Some(shoal_schemas::Programme::UserExperience), Some(POLICY)));
    let key = asserting.reveal();
    let native = |members: Value, sent_ms: i64| {
        let mut event = json!({"event": "click", "properties": {"element": "n"}});
        event.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        json!({"country": "DE", "sent_at": sent_ms, "events": [event]})
    };
    let send = |body: &Value| codes(&world.client().events(&key, body))[0].to_owned();
    let timed = [
        json!({"time": NOON_MS - 1000, "user_id": "u"}),
        json!({"time": NOON_MS - 1000, "id": "undefined", "install_id": "i"}),
        json!({"time": NOON_MS - 1000, "id": "7"}),
        json!({"time": NOON_MS - 1000}),
    ];
    let timeless = [json!({"user_id": "u"}), json!({"id": "7"}), json!({})];
    for event in timed.iter().chain(&timeless) {
        assert_eq!(send(&native(event.clone(), NOON_MS)), "accepted", "{event}");
    }
    let segment = |id: Value, stamp: &str| {
        let track = json!({"type": "track", "event": "click", "messageId": id, "sentAt": stamp, "timestamp": "2026-11-22T11:59:00Z",
            "properties": {"element": "s"}});
        json!({"batch": [track], "sentAt": stamp}).to_string()
    };
    let ids = [json!(null), json!("7"), json!("null")];
    for id in &ids {
        world.client().post("/v1/batch", &key, segment(id.clone(), "2026-11-22T12:00:00Z")).expect(200);
    }
    world.set_now_ms(NOON_MS + 50_000);
    for event in timed.iter().chain(&timeless) {
        assert_eq!(send(&native(event.clone(), NOON_MS + 50_000)), "duplicate", "{event}");
    }
    for later_ms in [70_000, 3_600_000] {
        world.set_now_ms(NOON_MS + later_ms);
        for event in &timed {
            assert_eq!(send(&native(event.clone(), NOON_MS + later_ms)), "duplicate", "{event}");
        }
        for event in &timeless {
            assert_eq!(send(&native(event.clone(), NOON_MS + later_ms)), "accepted", "{event}");
        }
        for id in &ids {
            world.client().post("/v1/batch", &key, segment(id.clone(), "2026-11-22T12:59:00Z")).expect(200);
        }
    }
    world.flush();
    let tables = Tables::read(&world);
    let kept =
        |element: &str| tables.rows("de/usage").iter().filter(|row| text(row, "element") == element).count();
    // What has no id or `null` says the same; what is numbered 7 is another.
    assert_eq!((kept("n"), kept("s")), (timed.len() + 3 * timeless.len(), 2));
}

#[test]
fn one_value_with_too_many_members_costs_itself_or_its_event_on_every_protocol() {
    let world = World::new();
    let heaps = [
        json!(vec![0; 100_000]),
        json!(vec![vec![0; 4_000]; 10]),
        Value::Object((0..10_001).map(|at| (at.to_string(), json!(at))).collect()),
    ];
    for (at, heap) in heaps.iter().enumerate() {
        let event = |name: &str, element: Value| {
            let mut event = click(&format!("{name}-{at}"), "anna", "a");
            event["properties"]["element"] = element;
            event
        };
        let mut beside = event("beside", json!("a"));
        beside["no_such_field"] = heap.clone();
        let mut undeclared = event("undeclared", json!("a"));
        undeclared["properties"]["no_such_property"] = heap.clone();
        let whole = event("whole", json!("a"));
        let heavy = event("heavy", heap.clone());
        let body = batch("DE", vec![heavy, beside, undeclared, whole]);
        let answer = world.client().events(&world.keys.app, &body);
        assert_eq!(codes(&answer), ["too_long", "accepted", "accepted", "accepted"], "{answer}");

        let message = |id: String, properties: Value, context: Value| {
            json!({"type": "screen", "messageId": id, "anonymousId": "a-1", "name": "Home", "properties": properties,
                "context": context})
        };
        let messages = [
            message(format!("p-{at}"), json!({"list": heap}), json!({})),
            message(format!("c-{at}"), json!({}), json!({"traits": {"list": heap}})),
            message(format!("w-{at}"), json!({}), json!({})),
        ];
        let body = json!({"batch": messages}).to_string();
        world.client().post("/v1/batch", &world.keys.asserting.reveal(), body).expect(200);

        let crash = |number: usize, extra: Value| {
            let id = format!("{:032x}", 0xab6d_8c0c_43fc_4630_u128 + (10 * at + number) as u128);
            let event = json!({"event_id": id, "level": "error", "user": {"id": "u-1"}, "timestamp": NOON_MS / 1000,
                "extra": extra, "exception": {"values": [{"type": "E", "value": "v"}]}});
            format!("{{\"type\":\"event\"}}\n{event}\n")
        };
        let key = format!("Sentry sentry_key={}", world.keys.asserting.reveal_for_dsn());
        let envelope = format!("{{}}\n{}{}", crash(1, json!({"list": heap})), crash(2, json!({})));
        let headers = [("x-sentry-auth", key.as_str())];
        world.client().ask("POST", "/api/1/envelope/", &headers, envelope.as_bytes()).unwrap().expect(200);
    }
    world.flush();
    let tables = Tables::read(&world);
    let count = |event: &str| tables.events(event).len();
    assert_eq!((count("click"), count("screen_view"), count("app_crash")), (9, 9, 6));
}
