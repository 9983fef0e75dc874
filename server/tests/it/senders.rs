//! What was sent is visible to who sent it and to the key's owner, and to nobody else; keys that have ended.
//!
//! Not here: the commands that show it (`key_commands.rs`), that nothing of it depends on what is recorded (`opted_in.rs`, and the property in `shoal-ingest`).

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};
use shoal_server::access_keys::{KeyStore, NewKey, Scope, Wanted};

use crate::http::Client;
use crate::stage::{DAY_MS, NOON_MS, POLICY, TODAY, World, batch, click, ingest, shipped};
use crate::tables::script;

/// What is sent and must be in no counter.
const MARKS: [&str; 4] = ["anna@example.com", "no_such_event", "no_such_property", "secret-value"];

/// Four events that are kept or withheld, and three that are rejected.
fn sent() -> Value {
    let mut body = batch(
        "DE",
        vec![
            click("1", "anna@example.com", "secret-value"),
            click("1", "anna@example.com", "secret-value"),
            json!({"id": "2", "event": "app_open", "user_id": "anna@example.com", "time": NOON_MS}),
            json!({"id": "3", "event": "click", "user_id": "anna@example.com", "time": NOON_MS, "properties": {}}),
            json!({"id": "4", "event": "no_such_event", "user_id": "anna@example.com", "time": NOON_MS}),
            json!({"id": "5", "event": "app_open", "user_id": "anna@example.com", "time": NOON_MS,
            "properties": {"no_such_property": "secret-value"}}),
        ],
    );
    let refusing = json!({"id": "6", "event": "click", "user_id": "anna@example.com", "time": NOON_MS,
        "consent": {"granted": false}, "properties": {"element": "tile"}});
    body["events"].as_array_mut().unwrap().push(refusing);
    body
}

/// What an operator's command is told by the service that runs over a data directory.
fn told_to_operator(data_dir: &Path, asked: &Value) -> Value {
    let mut stream = UnixStream::connect(data_dir.join("control/operator.sock")).unwrap();
    stream.write_all(format!("{asked}\n").as_bytes()).unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    assert!(MARKS.iter().all(|mark| !told.contains(mark)), "{told}");
    serde_json::from_str(&told).unwrap()
}

/// The same of one key.
fn key_of_operator(world: &World, id: &str) -> Value {
    told_to_operator(&world.data_dir(), &json!({"key": id}))["ok"][0].clone()
}

fn own(world: &World, key: &str) -> Value {
    let answer = world.client().get("/v1/keys/self", key).expect(200);
    assert!(MARKS.iter().all(|mark| !answer.text().contains(mark)), "{}", answer.text());
    answer.json()
}

/// Each row of counters as text.
fn rows(counters: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let row = |row: &Value| {
        let [protocol, event, outcome, code] =
            ["protocol", "event", "outcome", "code"].map(|name| text(&row[name]));
        format!("{protocol} {event} {outcome} {code} {}", row["events"])
    };
    counters["events"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn a_shipped_key_sees_what_was_taken_and_which_forms_are_wrong() {
    let world = World::new();
    let key = &world.keys.shipped;
    let before = own(&world, key);
    assert_eq!(
        (&before["counters"]["received"], &before["counters"]["since"]),
        (&json!(0), &json!("2026-11-22T12:00:00Z"))
    );
    world.client().events(key, &sent());
    world.client().post("/v1/events", key, "{").expect(400);
    let told = own(&world, key);
    let members: Vec<&str> = told.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        [
            "app",
            "consent_category",
            "counters",
            "counters_of",
            "expires_at",
            "id",
            "kind",
            "name",
            "policy",
            "programme",
            "regions",
            "role"
        ]
    );
    assert_eq!(
        (&told["name"], &told["kind"], &told["counters_of"]),
        (&json!("camera shipped"), &json!("shipped"), &json!("network"))
    );
    let counters = &told["counters"];
    let totals =
        ["received", "taken", "rejected", "dropped_properties"].map(|name| counters[name].as_u64().unwrap());
    assert_eq!(totals, [7, 5, 2, 1]);
    for hidden in ["accepted", "duplicate", "withheld"] {
        assert!(!told.to_string().contains(hidden), "{told}");
    }
    assert_eq!(
        rows(counters),
        [
            "native - rejected unknown_event 1",
            "native - taken - 5",
            "native click rejected missing_property 1",
        ]
    );
    assert_eq!(counters["refused"], json!([{"protocol": "native", "code": "bad_json", "requests": 1}]));
    let reasons = counters["reasons"].as_array().unwrap();
    assert_eq!((reasons.len(), &reasons[1]["field"]), (2, &json!("element")), "{reasons:?}");
    let other = own(&world, &world.keys.asserting.reveal());
    assert_eq!(other["counters"]["received"], 0, "another key");
    assert_eq!(other["policy"], POLICY);
}

#[test]
fn a_server_key_and_the_operator_see_what_became_of_each_event() {
    let mut world = World::new();
    let all = [
        "native - rejected unknown_event 1",
        "native app_open accepted - 2",
        "native click accepted - 1",
        "native click duplicate - 1",
        "native click rejected missing_property 1",
        "native click withheld no_consent 1",
    ];
    world.client().events(&world.keys.app, &sent());
    let server = own(&world, &world.keys.app);
    assert_eq!(
        (&server["counters_of"], rows(&server["counters"])),
        (&json!("key"), all.map(str::to_owned).to_vec())
    );
    let totals = ["received", "accepted", "duplicate", "withheld", "rejected"];
    assert_eq!(totals.map(|name| server["counters"][name].as_u64().unwrap()), [7, 3, 1, 1, 2]);
    // Under another key each event is known already.
    world.client().events(&world.keys.shipped, &sent());
    let id = world.keys.shipped.split('.').next().unwrap().to_owned();
    let shown = key_of_operator(&world, &id);
    assert_eq!(totals.map(|name| shown["counters"][name].as_u64().unwrap()), [7, 0, 4, 1, 2], "{shown}");
    assert_eq!((&shown["last_used_on"], &shown["owner"]), (&json!(TODAY), &Value::Null));
    let listed = told_to_operator(&world.data_dir(), &json!("keys"))["ok"].as_array().unwrap().clone();
    assert_eq!(listed.len(), 5);
    assert!(listed.iter().all(|key| key["counters"].is_object() == (key["role"] == "ingest")), "{listed:?}");
    let unknown = told_to_operator(&world.data_dir(), &json!({"key": "nobody"}));
    assert!(unknown["error"].as_str().unwrap().contains("no active key"), "{unknown}");
    world.restart(|_| {});
    let shown = key_of_operator(&world, &id);
    assert_eq!((&shown["counters"]["received"], &shown["last_used_on"]), (&json!(0), &json!(TODAY)));
}

#[test]
fn keys_that_ask_questions_are_told_nothing_of_events_and_no_key_shows_another() {
    let world = World::new();
    world.client().events(&world.keys.app, &sent());
    let (id, _) = world.keys.app.split_once('.').unwrap();
    for key in [&world.keys.app, &world.keys.shipped, &world.keys.analyst, &world.keys.officer] {
        for path in ["/v1/keys".to_owned(), format!("/v1/keys/{id}")] {
            assert_eq!(world.client().get(&path, key).status, 404, "{path}");
        }
    }
    for (key, role) in [(&world.keys.analyst, "analyst"), (&world.keys.officer, "officer")] {
        let told = own(&world, key);
        assert_eq!(
            (&told["role"], told.get("counters"), told.get("last_used_on")),
            (&json!(role), None, None)
        );
    }
    for wrong in ["", "nobody", "nobody.nothing", id] {
        assert_eq!(world.client().get("/v1/keys/self", wrong).status, 401, "{wrong}");
    }
}

/// Asks with a shipped key what came with it, with a header of a proxy.
fn asked_through(client: Client, key: &str, header: (&str, &str)) -> Value {
    let key = format!("Bearer {key}");
    let headers = [("authorization", key.as_str()), header];
    client.ask("GET", "/v1/keys/self", &headers, b"").unwrap().expect(200).json()
}

#[test]
fn who_holds_an_apps_key_sees_only_what_came_from_their_own_network() {
    let world = World::with(|config| config.http.trust_forwarded_for = true);
    let key = &world.keys.shipped;
    let ask = |address: &str| asked_through(world.client(), key, ("x-forwarded-for", address));
    let send = |address: &str| {
        let (body, key) = (batch("DE", vec![click("1", "anna", "a")]).to_string(), format!("Bearer {key}"));
        let headers = [("authorization", key.as_str()), ("x-forwarded-for", address)];
        world.client().ask("POST", "/v1/events", &headers, body.as_bytes()).unwrap().expect(200)
    };
    send("198.51.100.7");
    send("2001:db8:1:2::7");
    for (address, received) in
        [("198.51.100.7:51234", 1), ("198.51.100.8", 0), ("2001:db8:1:2:ffff::1", 1), ("2001:db8:1:3::7", 0)]
    {
        assert_eq!(ask(address)["counters"]["received"], received, "{address}");
    }
    // The proxy hides it, or is passed by or set up so that it does not tell.
    for hidden in [ask("unknown"), own(&world, key)] {
        assert!(
            hidden["counters"].is_null() && hidden["counters_missing"].as_str().unwrap().contains("proxy"),
            "{hidden}"
        );
    }
}

#[test]
fn behind_a_proxy_that_is_not_trusted_an_apps_key_sees_nothing() {
    let mut world = World::new();
    let key = world.keys.shipped.clone();
    world.client().events(&key, &sent());
    for header in ["x-forwarded-for", "forwarded", "via", "x-real-ip"] {
        let told = asked_through(world.client(), &key, (header, "198.51.100.7"));
        assert!(told["counters"].is_null() && told["counters_missing"].is_string(), "{header}: {told}");
        let server = asked_through(world.client(), &world.keys.app, (header, "a"));
        assert!(server["counters"].is_object(), "who has a server's key may see all of it");
    }
    assert_eq!(own(&world, &key)["counters"]["received"], 7);
    world.restart(|config| config.http.shipped_key_counters = false);
    world.client().events(&key, &sent());
    let told = own(&world, &key);
    assert!(
        told["counters"].is_null()
            && told["counters_missing"].as_str().unwrap().contains("shipped_key_counters")
    );
}

#[test]
fn an_expired_key_is_refused_in_every_form_and_says_so() {
    let world = World::new();
    let wanted = |expires_at_ms| Wanted { expires_at_ms, ..Wanted::from(ingest(&[Region::De], None, None)) };
    let store = KeyStore::new(&world.data_dir());
    let key = store.create(wanted(Some(NOON_MS + DAY_MS)), NOON_MS, &|_| Ok(())).unwrap();
    world.flush();
    assert_eq!(own(&world, &key.reveal())["expires_at"], "2026-11-23T12:00:00Z");
    let post = |path: &str, body: &str| world.client().post(path, &key.reveal(), body);
    assert_eq!(post("/v1/events", &sent().to_string()).status, 200);
    world.set_now_ms(NOON_MS + DAY_MS);
    let refused = post("/v1/events", &sent().to_string()).expect(401);
    assert_eq!(
        (&refused.json()["code"], refused.header("www-authenticate")),
        (&json!("expired_key"), Some("Bearer"))
    );
    assert!(refused.text().contains("2026-11-23T12:00:00Z"), "{}", refused.text());
    for path in ["/v1/consents", "/v1/validate", "/v1/batch"] {
        let refused = post(path, "{}").expect(401);
        assert!(refused.text().contains("expired_key"), "{path}: {}", refused.text());
    }
    assert_eq!(world.client().get("/v1/keys/self", &key.reveal()).expect(401).json()["code"], "expired_key");
    let path = format!("/api/1/envelope/?sentry_key={}", key.reveal_for_dsn());
    assert_eq!(world.client().ask("POST", &path, &[], b"{}\n").unwrap().status, 401);
    let wrong = world.client().get("/v1/keys/self", &format!("{}.wrong", key.id)).expect(401).json();
    assert_eq!(wrong["code"], "bad_key", "whoever has not the secret is not told");
}

#[test]
fn with_a_key_that_has_ended_who_withdraws_is_recorded_and_nothing_else_is() {
    let scope = shipped(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY)));
    let world = World::new();
    let wanted = Wanted { expires_at_ms: Some(NOON_MS + DAY_MS), ..Wanted::from(scope.clone()) };
    let key = KeyStore::new(&world.data_dir()).create(wanted, NOON_MS, &|_| Ok(())).unwrap();
    world.flush();
    world.set_now_ms(NOON_MS + DAY_MS);
    only_withdrawals_are_recorded(&world, &key, "expired_key");
    let world = World::new();
    let key = revoked(&world, scope);
    only_withdrawals_are_recorded(&world, &key, "bad_key");
    let wrong = format!("{}.wrong", key.id);
    let anna = json!({"action": "withdraw", "programme": "user-experience", "policy_version": POLICY, "user_id": "anna"});
    let told = world.client().post("/v1/consents", &wrong, anna.to_string()).expect(401);
    assert!(!told.text().contains("was revoked;"), "whoever has not the secret is not told: {}", told.text());
}

#[test]
fn with_a_server_key_that_was_revoked_nobody_withdraws() {
    let world = World::new();
    let key = revoked(&world, ingest(&[Region::De], Some(Programme::UserExperience), None));
    let withdrawal = json!({"action": "withdraw", "programme": "user-experience", "policy_version": POLICY, "user_id": "anna"});
    world.client().post("/v1/consents", &key.reveal(), withdrawal.to_string()).expect(401);
    let event = json!({"event": "app_open", "user_id": "anna", "consent": {"policy_version": POLICY}, "country": "DE"});
    let told = world.client().events(&world.keys.app, &json!([event]));
    assert_eq!(told["accepted"], 1, "{told}");
}

/// A key that was revoked after it had been in force.
fn revoked(world: &World, scope: Scope) -> NewKey {
    let key = world.key(scope);
    let store = KeyStore::new(&world.data_dir());
    store.revoke(&key.id, NOON_MS, &|_| Ok(())).unwrap();
    world.flush();
    key
}

/// With this key, which is refused with this code.
fn only_withdrawals_are_recorded(world: &World, key: &NewKey, refused_with: &str) {
    let post = |path: &str, body: Value| world.client().post(path, &key.reveal(), body.to_string());
    let change = |action: &str, user: &str| json!({"action": action, "programme": "user-experience", "policy_version": POLICY, "user_id": user, "country": "DE"});
    let told = post("/v1/consents", change("withdraw", "anna")).expect(200).json();
    assert_eq!(told, json!({"recorded": 1, "regions": ["DE"], "identifiers": ["user_id"]}));
    let both = json!([change("grant", "berta"), change("withdraw", "carla")]);
    let told = post("/v1/consents", both).expect(401).json();
    assert!(
        told["code"] == refused_with
            && told["detail"].as_str().unwrap().ends_with("recorded all the same: 1"),
        "{told}"
    );
    for body in [change("grant", "berta"), json!([]), json!("{")] {
        assert_eq!(post("/v1/consents", body).expect(401).json()["code"], refused_with);
    }
    let denied = json!({"consent": {"categoryPreferences": {"Analytics": false}}});
    let message = |who: &str, context: &Value| json!({"type": "screen", "messageId": who, "anonymousId": who, "name": "Home", "context": context});
    let batch = json!({"batch": [message("dora", &denied), message("emma", &json!({}))]});
    post("/v1/batch", batch.clone()).expect(401);
    let cut = batch.to_string().replace("dora", "fanny").replace("emma", "gina");
    world.client().post("/v1/batch", &key.reveal(), &cut[..cut.len() - 20]).expect(401);
    // What was recorded is in force under the app's next key.
    let code = |field: &str, who: &str| {
        let event =
            json!({"event": "app_open", field: who, "consent": {"policy_version": POLICY}, "country": "DE"});
        let told = world.client().events(&world.keys.app, &json!([event]));
        told["events"][0]["code"].as_str().or(told["events"][0]["status"].as_str()).unwrap().to_owned()
    };
    for (field, who, wanted) in [
        ("user_id", "anna", "withdrawn"),
        ("user_id", "berta", "accepted"),
        ("user_id", "carla", "withdrawn"),
        ("install_id", "dora", "withdrawn"),
        ("install_id", "emma", "accepted"),
        ("install_id", "fanny", "withdrawn"),
        ("install_id", "gina", "accepted"),
    ] {
        assert_eq!(code(field, who), wanted, "{who}");
    }
}

/// The key of an app that starts its SDK after the person has opted in.
fn asserting(world: &World) -> NewKey {
    world.key(shipped(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY))))
}

#[test]
fn what_real_sdks_send_is_seen_by_its_sender_and_by_its_owner() {
    let world = World::new();
    world.set_now_ms(shoal_server::system_clock()());
    let (key, address) = (asserting(&world), world.client().0);
    let dsn = format!("http://{}@{address}/1", key.reveal_for_dsn());
    script("plain_clients.py", &[&format!("http://{address}"), &key.reveal(), &dsn]);
    let sender = own(&world, &key.reveal());
    assert_eq!(sender["counters"]["rejected"], 0, "{sender}");
    assert_eq!(rows(&sender["counters"]), ["segment - taken - 2", "sentry - taken - 1"]);
    let owner = key_of_operator(&world, &key.id);
    assert_eq!(
        rows(&owner["counters"]),
        [
            "segment app_open accepted - 1",
            "segment screen_view accepted - 1",
            "sentry app_crash accepted - 1"
        ],
        "SDKs as they are, with a key that asserts consent and has one region"
    );
    // The same SDKs with a key that asserts nothing for several regions: they report success, and the sender sees why nothing is kept.
    let key = world.key(shipped(ingest(Region::ALL, None, None)));
    let dsn = format!("http://{}@{address}/1", key.reveal_for_dsn());
    script("plain_clients.py", &[&format!("http://{address}"), &key.reveal(), &dsn]);
    let sender = own(&world, &key.reveal());
    assert_eq!(
        (&sender["counters"]["taken"], &sender["counters"]["rejected"]),
        (&json!(0), &json!(3)),
        "{sender}"
    );
    assert!(rows(&sender["counters"]).iter().all(|row| row.contains("no_region")), "{sender}");
}
