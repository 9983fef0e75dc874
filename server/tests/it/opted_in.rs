//! Whoever takes an ingest key out of an app learns nothing about who has opted in: no answer, total, code or wait depends on
//! what is recorded; and nobody keeps a withdrawal out or fills the memory with people who do not exist.
//!
//! Not here: that consents are obeyed (`consent.rs`), each part of the pipeline (`shoal-ingest`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use shoal_schemas::Region;
use shoal_server::access_keys::KeyStore;

use crate::http::Answer;
use crate::process::Setup;
use crate::stage::{NOON_MS, POLICY, World, batch, click, ingest, shipped};
use crate::tables::Tables;

fn change(action: &str, user: &str) -> Value {
    json!({"action": action, "programme": "user-experience", "policy_version": POLICY, "user_id": user, "country": "DE"})
}

fn consents(world: &World, key: &str, body: &Value) -> Answer {
    world.client().post("/v1/consents", key, body.to_string())
}

/// The code of one event of anna's that a server sends without a consent of its own.
fn outcome(world: &World, id: &str, user: &str) -> String {
    let body = json!({"country": "DE", "events": [click(id, user, "a")]});
    let answer = world.client().events(&world.keys.app, &body);
    let event = &answer["events"][0];
    event["code"].as_str().or(event["status"].as_str()).unwrap().to_owned()
}

/// Services in which different things are recorded about anna: nothing, a grant, a withdrawal, both; and an event of hers
/// in the last.
fn worlds() -> Vec<World> {
    let acts: [&[&str]; 4] = [&[], &["grant"], &["withdraw"], &["grant", "withdraw"]];
    let world = |(at, acts): (usize, &[&str])| {
        let world = World::new();
        for (second, act) in acts.iter().enumerate() {
            world.set_now_ms(NOON_MS + second as i64 * 1000);
            consents(&world, &world.keys.app, &change(act, "anna")).expect(200);
        }
        world.set_now_ms(NOON_MS + 10_000);
        if at == 1 {
            assert_eq!(outcome(&world, "1", "anna"), "accepted", "its event is known from now on");
        }
        world
    };
    acts.into_iter().enumerate().map(world).collect()
}

/// An answer without what is of its moment.
fn seen(answer: Answer) -> String {
    let head: Vec<&str> =
        answer.head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:")).collect();
    format!("{}\n\n{}", head.join("\n"), answer.text())
}

/// Everything that can be sent about anna with a shipped key, and what is answered.
fn asked(world: &World) -> Vec<String> {
    let (client, key) = (world.client(), world.keys.shipped.as_str());
    let asserting = world.keys.asserting.reveal();
    // What has come with a key until now; each world has its own ids.
    let counted = |key: &str| {
        let (id, _) = key.split_once('.').unwrap();
        seen(client.get("/v1/keys/self", key)).replace(id, "ID")
    };
    let old = json!({"policy_version": "2019-1"});
    let early = json!({"policy_version": POLICY, "granted_at": "2026-01-02T03:04:05Z"});
    let mut told = Vec::new();
    let mut bodies = Vec::new();
    for consent in [Value::Null, old, early] {
        for element in ["tile", "anna@example.com", "anna"] {
            let mut body = json!({"country": "DE", "events": [
                click("1", "anna", element), click("2", "anna", element), {"event": "no_such_event"},
                {"id": "3", "event": "click", "serial_number": "anna", "properties": {"element": element}}]});
            if !consent.is_null() {
                body["consent"] = consent.clone();
            }
            bodies.push(body);
        }
    }
    for body in &bodies {
        for path in ["/v1/validate", "/v1/events", "/v1/events"] {
            told.push(seen(client.post(path, key, body.to_string())));
            told.push(seen(client.post(path, &asserting, body.to_string())));
            told.push(counted(key));
        }
    }
    let segment = json!({"batch": [{"type": "track", "messageId": "m", "userId": "anna", "event": "click",
        "properties": {"element": "a"}, "context": {"country": "DE"}}]});
    told.push(seen(client.post("/v1/batch", key, segment.to_string())));
    let crash = json!({"event_id": "fc6d8c0c43fc4630ad850ee518f1b9d0", "user": {"id": "anna", "geo": {"country_code": "DE"}},
        "exception": {"values": [{"type": "E", "value": "v"}]}});
    let envelope = format!("{{}}\n{{\"type\":\"event\"}}\n{crash}\n");
    let auth = format!("Sentry sentry_key={}", key.replacen('.', "_", 1));
    let headers = [("x-sentry-auth", auth.as_str())];
    told.push(seen(client.ask("POST", "/api/1/envelope/", &headers, envelope.as_bytes()).unwrap()));
    for act in ["grant", "withdraw", "grant"] {
        told.push(seen(consents(world, key, &change(act, "anna"))));
    }
    told.push(counted(key));
    told.push(counted(&asserting));
    told
}

#[test]
fn what_a_shipped_key_is_told_is_the_same_whatever_is_recorded() {
    let worlds = worlds();
    let first = asked(&worlds[0]);
    assert!(first.iter().all(|told| !told.contains("withheld") && !told.contains("accepted")), "{first:#?}");
    for world in &worlds[1..] {
        for (one, other) in first.iter().zip(asked(world)) {
            assert_eq!(*one, other);
        }
    }
}

#[test]
fn totals_add_up_and_a_server_key_has_the_codes() {
    let world = World::new();
    let body =
        batch("DE", vec![click("1", "u", "a"), click("1", "u", "a"), json!({"event": "no_such_event"})]);
    let shipped = world.client().events(&world.keys.shipped, &body);
    let expected = json!([{"status": "taken"}, {"status": "taken"},
        {"status": "rejected", "code": "unknown_event", "field": "event", "reason": shipped["events"][2]["reason"]}]);
    assert_eq!(shipped["events"], expected);
    let totals: Vec<&str> = shipped.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(totals.len(), 6, "{totals:?}");
    assert_eq!(
        (&shipped["received"], &shipped["taken"], &shipped["rejected"]),
        (&json!(3), &json!(2), &json!(1))
    );
    let server = world.client().events(&world.keys.app, &body);
    assert_eq!((&server["duplicate"], &server["rejected"]), (&json!(2), &json!(1)), "{server}");
    assert!(server.get("taken").is_none());
    world.flush();
    assert_eq!(Tables::read(&world).count(), 1);
}

#[test]
fn validate_looks_at_no_recorded_consent() {
    let world = World::new();
    consents(&world, &world.keys.app, &change("grant", "granted")).expect(200);
    consents(&world, &world.keys.app, &change("withdraw", "withdrawn")).expect(200);
    let check = |user: &str, is_carried: bool| {
        let mut body = batch("DE", vec![click("1", user, "a")]);
        if !is_carried {
            body.as_object_mut().unwrap().remove("consent");
        }
        world.client().post("/v1/validate", &world.keys.app, body.to_string()).expect(200).json()
    };
    for is_carried in [false, true] {
        let nobody = check("nobody", is_carried);
        assert_eq!(nobody["accepted"], u64::from(is_carried));
        for user in ["granted", "withdrawn"] {
            assert_eq!(check(user, is_carried), nobody, "{user}");
        }
    }
}

#[test]
fn a_request_waits_for_the_disk_whatever_becomes_of_its_events() {
    let world = World::with(|config| config.metrics.listen = Some(([127, 0, 0, 1], 0).into()));
    consents(&world, &world.keys.app, &change("withdraw", "gone")).expect(200);
    let syncs = || {
        let text = world.metrics().ask("GET", "/metrics", &[], b"").unwrap().text();
        let line = text.lines().find(|line| line.starts_with("shoal_ingest_log_sync_seconds_count")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let send = |key: &str, events: Vec<Value>| {
        let before = syncs();
        world.client().events(key, &batch("DE", events));
        syncs() - before
    };
    let (shipped, server) = (&world.keys.shipped, &world.keys.app);
    assert_eq!(send(shipped, vec![click("1", "u", "a")]), 1, "accepted");
    assert_eq!(send(shipped, vec![click("1", "u", "a")]), 1, "a duplicate");
    assert_eq!(send(shipped, vec![click("2", "gone", "a")]), 1, "withheld");
    assert_eq!(send(shipped, vec![click("3", "u", "a"), click("4", "gone", "a")]), 1, "some of each");
    assert_eq!(send(server, vec![click("5", "gone", "a")]), 0, "a server is told and need not wait");
    world.flush();
    assert_eq!(Tables::read(&world).count(), 2);
}

#[test]
fn what_is_above_a_subjects_limit_is_taken_too_and_waited_for() {
    let world = World::with(|config| {
        config.ingest.subject_day_events_max = 1;
        config.metrics.listen = Some(([127, 0, 0, 1], 0).into());
    });
    let send = |key: &str, id: &str| world.client().events(key, &batch("DE", vec![click(id, "u", "a")]));
    let first = send(&world.keys.shipped, "1");
    assert_eq!((send(&world.keys.shipped, "2"), &first["taken"]), (first.clone(), &json!(1)));
    assert_eq!(send(&world.keys.app, "3")["events"][0]["code"], "subject_day_limit");
    world.flush();
    assert_eq!(Tables::read(&world).count(), 1);
}

#[test]
fn a_flood_of_grants_keeps_no_withdrawal_out() {
    let world = World::with(|config| {
        config.ingest.grants_per_min = 50;
        config.http.bodies_bytes_max = 256 << 10;
        config.ingest.body_bytes_max = 250 << 10;
    });
    let (shipped, server) = (&world.keys.shipped, &world.keys.app);
    for person in 0..50 {
        consents(&world, shipped, &change("grant", &format!("person-{person}"))).expect(200);
    }
    let refused = consents(&world, shipped, &change("grant", "one-more"));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (429, Some("too_many_grants")));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(outcome(&world, "1", "person-1"), "accepted");
    // A list is refused for its grants, and its withdrawals count all the same.
    let list = json!([change("grant", "one-more"), change("withdraw", "person-1")]);
    assert_eq!(consents(&world, shipped, &list).status, 429);
    assert_eq!(outcome(&world, "2", "person-1"), "withdrawn");
    assert_eq!(outcome(&world, "3", "one-more"), "no_consent");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for sender in 0..6 {
            let stop = &stop;
            let world = &world;
            let key = if sender % 2 == 0 { shipped } else { server };
            scope.spawn(move || {
                let list: Vec<Value> =
                    (0..500).map(|at| change("grant", &format!("made-up-{sender}-{at}"))).collect();
                while !stop.load(Ordering::SeqCst) {
                    let status = consents(world, key, &json!(list)).status;
                    assert!(matches!(status, 200 | 413 | 429), "{status}");
                }
            });
        }
        let withdrawn: Vec<u16> = (10..40)
            .map(|person| consents(&world, shipped, &change("withdraw", &format!("person-{person}"))).status)
            .collect();
        stop.store(true, Ordering::SeqCst);
        assert_eq!(withdrawn, [200; 30]);
    });
    for person in 10..40 {
        assert_eq!(outcome(&world, &format!("w-{person}"), &format!("person-{person}")), "withdrawn");
    }
    world.set_now_ms(NOON_MS + 60_000);
    consents(&world, shipped, &change("grant", "one-more")).expect(200);
}

#[test]
fn people_who_do_not_exist_fill_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    // What the allocator keeps of what was freed is another thing, and would hide what records take.
    let keeps_nothing = ("_RJEM_MALLOC_CONF", "narenas:1,tcache:false,dirty_decay_ms:0,muzzy_decay_ms:0");
    let setup = Setup { dir: dir.path(), variables: &[keeps_nothing] };
    // Each region has a file with a bounded memory of its own: one of them shows it.
    let scope = shipped(ingest(&[Region::De], None, None));
    let key = KeyStore::new(&setup.data_dir()).create(scope, NOON_MS, &|_| Ok(())).unwrap().reveal();
    let server = setup.serve();
    let make_up = |from: u32| {
        for list in (from..from + 15_000).collect::<Vec<_>>().chunks(1000) {
            let changes: Vec<Value> = list
                .iter()
                .map(|at| {
                    let mut change = change("withdraw", &format!("u-{at}"));
                    for field in ["install_id", "device_id", "serial_number"] {
                        change[field] = json!(format!("{field}-{at}"));
                    }
                    change
                })
                .collect();
            server.client.post("/v1/consents", &key, json!(changes).to_string()).expect(200);
        }
        server.memory_bytes()
    };
    let before = make_up(0);
    let grown = make_up(15_000).saturating_sub(before);
    assert!(grown < 4 << 20, "memory has grown by {grown} bytes with 60,000 records");
    assert!(server.terminate().success());
}
