//! Whom an identifier means, in whichever form it comes; and what a body may claim about consent and age.
//!
//! Not here: withdrawals and clocks (`withdrawal.rs`), the forms themselves (`shoal-privacy`, `identifier.rs`).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};
use shoal_server::access_keys::Scope;

use crate::http::Answer;
use crate::stage::{DAY_MS, NOON_MS, POLICY, World, click, consent, ingest, shipped};
use crate::tables::{Tables, text};

const MINUTE_MS: i64 = 60_000;

fn withdraw(world: &World, id: Value) -> Answer {
    let mut body = json!({"action": "withdraw", "programme": "user-experience", "country": "DE"});
    body.as_object_mut().unwrap().extend(id.as_object().unwrap().clone());
    world.client().post("/v1/consents", &world.keys.app, body.to_string())
}

/// What becomes of one event of this person, which carries a consent.
fn outcome(world: &World, id: Value) -> String {
    let mut event =
        json!({"event": "app_open", "country": "DE", "time": NOON_MS, "consent": {"policy_version": POLICY}});
    event.as_object_mut().unwrap().extend(id.as_object().unwrap().clone());
    told(&world.client().events(&world.keys.app, &json!([event])))
}

fn told(answer: &Value) -> String {
    let event = &answer["events"][0];
    event["code"].as_str().or(event["status"].as_str()).unwrap().to_owned()
}

#[test]
fn a_withdrawal_holds_for_every_form_of_an_identifier() {
    let world = World::new();
    withdraw(&world, json!({"user_id": 395_982})).expect(200);
    withdraw(&world, json!({"user_id": "9223372036854775808"})).expect(200);
    withdraw(&world, json!({"user_id": u64::MAX})).expect(200);
    withdraw(&world, json!({"user_id": "zoe\u{308}"})).expect(200);
    withdraw(&world, json!({"user_id": "6f9619ff-8b86-d011-b42d-00cf4fc964ff"})).expect(200);
    withdraw(
        &world,
        json!({"install_id": "AbCdEf", "device_id": "C0FF-EE11", "serial_number": "7j0a123paz"}),
    )
    .expect(200);
    for id in [
        json!({"user_id": 395_982}),
        json!({"user_id": "395982"}),
        json!({"user_id": " ３９５９８２"}),
        json!({"user_id": 9_223_372_036_854_775_808_u64}),
        json!({"user_id": u64::MAX.to_string()}),
        json!({"user_id": "zo\u{eb}"}),
        json!({"user_id": "6F9619FF-8B86-D011-B42D-00CF4FC964FF"}),
        json!({"install_id": "abcdef"}),
        json!({"install_id": "ABCDEF", "user_id": "somebody"}),
        json!({"device_id": "c0ff-ee11"}),
        json!({"serial_number": "7J0A123PAZ", "user_id": "somebody"}),
    ] {
        assert_eq!(outcome(&world, id.clone()), "withdrawn", "{id}");
    }
    assert_eq!(outcome(&world, json!({"user_id": "395983"})), "accepted");
    assert_eq!(outcome(&world, json!({"user_id": "ABCDEF"})), "accepted", "another kind");
    // The same through Segment's protocol, under a key that asserts consent.
    for (at, user) in
        ["9223372036854775808", "395982", "18446744073709551615", "18446744073709551616"].iter().enumerate()
    {
        let body = format!(
            r#"{{"batch":[{{"type":"track","event":"app_open","messageId":"m{at}","userId":{user}}}]}}"#
        );
        world.client().post("/v1/batch", &world.keys.asserting.reveal(), body).expect(200);
    }
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(tables.count(), 2, "nobody who has withdrawn is kept as somebody new");
}

#[test]
fn what_names_nobody_is_no_identifier() {
    let world = World::with(|config| config.metrics.listen = Some(([127, 0, 0, 1], 0).into()));
    let mut expected = 0;
    for (at, user) in [
        json!("undefined"),
        json!("null"),
        json!("None"),
        json!("NaN"),
        json!("[object Object]"),
        json!(0),
        json!(-1),
        json!("anonymous"),
        json!("00000000-0000-0000-0000-000000000000"),
        json!("Unknown"),
        json!(""),
        Value::Null,
    ]
    .into_iter()
    .enumerate()
    {
        expected += u64::from(!matches!(user.as_str(), Some("")) && !user.is_null());
        for phone in ["install-a", "install-b"] {
            let event = json!({"id": format!("{phone}-{at}"), "user_id": user, "install_id": phone});
            assert_eq!(outcome(&world, event), "accepted", "{user}");
        }
    }
    assert_eq!(outcome(&world, json!({"user_id": "undefined"})), "no_identifier");
    let refused = withdraw(&world, json!({"user_id": "undefined"}));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (422, Some("no_identifier")));
    let metrics = world.metrics().ask("GET", "/metrics", &[], b"").unwrap().text();
    let line =
        metrics.lines().find(|line| line.starts_with("shoal_ingest_left_out_identifiers_total")).unwrap();
    assert!(
        line.contains("placeholder_identifier") && line.ends_with(&format!(" {}", 2 * expected + 1)),
        "{line}"
    );
    world.flush();
    let tables = Tables::read(&world);
    let subjects: BTreeSet<&str> = tables.rows("de/usage").iter().map(|row| text(row, "subject")).collect();
    assert_eq!((tables.count(), subjects.len()), (24, 2), "each phone is one subject, and nobody is one");
}

#[test]
fn in_a_directory_of_before_the_new_form_of_pseudonyms_begins_with_the_next_epoch() {
    let subjects = |world: &World| -> BTreeSet<String> {
        let tables = Tables::read(&world);
        tables.rows("de/usage").iter().map(|row| text(row, "subject").to_owned()).collect()
    };
    let send = |world: &World, id: &str, install: &str| {
        let time = world.now_ms();
        let told = outcome(world, json!({"id": id, "install_id": install, "time": time}));
        assert_eq!(told, "accepted");
        world.flush();
    };
    // In a new directory all spellings are one from the beginning.
    let mut world = World::new();
    send(&world, "1", "AbC");
    send(&world, "2", "aBc");
    assert_eq!(subjects(&world).len(), 1);
    withdraw(&world, json!({"install_id": "abc"})).expect(200);

    // Earlier versions leave no such file.
    world.stop();
    std::fs::remove_file(world.data_dir().join("control/canonical_day.json")).unwrap();
    world.restart(|_| {});
    assert_eq!(
        outcome(&world, json!({"id": "w", "install_id": "ABC"})),
        "withdrawn",
        "consents have both forms for good"
    );
    send(&world, "3", "XyZ");
    send(&world, "4", "xyz");
    assert_eq!(subjects(&world).len(), 3, "as spelled, until the epoch ends");
    // A day that was decided stays, also after a restart in the next epoch.
    world.set_now_ms(NOON_MS + 90 * DAY_MS);
    world.restart(|_| {});
    send(&world, "5", "XyZ");
    send(&world, "6", "xyz");
    assert_eq!(subjects(&world).len(), 4);
}

#[test]
fn an_age_is_never_ignored_and_a_refusal_is_no_consent() {
    let world = World::new();
    record_grant(&world, "granted");
    let with = |user: &str, more: Value| {
        let id = format!("{more} of {user}");
        let mut consent = json!({"policy_version": POLICY});
        consent.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let event = json!({"id": id, "event": "app_open", "time": NOON_MS, "user_id": user});
        json!({"country": "DE", "consent": consent, "events": [event]})
    };
    for (more, wanted) in [
        (json!({"age": "12"}), "minor"),
        (json!({"age": 12.0}), "minor"),
        (json!({"age": 12.5}), "minor"),
        (json!({"age": 15.99}), "minor"),
        (json!({"age": true}), "bad_consent"),
        (json!({"age": [12]}), "bad_consent"),
        (json!({"age": "twelve"}), "bad_consent"),
        (json!({"age": 2014}), "bad_consent"),
        (json!({"age": null}), "accepted"),
        (json!({"age": "16"}), "accepted"),
        (json!({"granted": false}), "no_consent"),
        (json!({"granted": true}), "accepted"),
        (json!({"status": "denied"}), "no_consent"),
        (json!({"status": "granted"}), "accepted"),
        (json!({"state": "denied"}), "bad_consent"),
        (json!({"categoryPreferences": {}}), "bad_consent"),
    ] {
        for (key, user) in [(&world.keys.app, "carried"), (&world.keys.app, "granted")] {
            assert_eq!(
                told(&world.client().events(key, &with(user, more.clone()))),
                wanted.to_owned(),
                "{more} {user}"
            );
        }
    }
    // An age alone counts under a key that asserts consent, too, and the others of the batch are kept.
    let asserting = world.key(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY))).reveal();
    let event = |user: &str, consent: Value| json!({"event": "app_open", "time": NOON_MS, "user_id": user, "consent": consent});
    let body = json!([
        event("a", json!({"age": "12"})),
        event("b", Value::Null),
        event("c", json!({"no": 1})),
        event("d", json!(false))
    ]);
    let answer = world.client().events(&asserting, &body);
    let codes: Vec<&str> = answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["code"].as_str().or(e["status"].as_str()).unwrap())
        .collect();
    assert_eq!(codes, ["minor", "accepted", "bad_consent", "no_consent"]);
}

fn record_grant(world: &World, user: &str) {
    let body = json!({"action": "grant", "programme": "user-experience", "policy_version": POLICY, "user_id": user, "country": "DE"});
    world.client().post("/v1/consents", &world.keys.app, body.to_string()).expect(200);
}

/// The scope of a key whose programme is a category of this name.
fn of_category(name: &str, policy: Option<&str>) -> Scope {
    match ingest(&[Region::De], Some(Programme::UserExperience), policy) {
        Scope::Ingest { kind, app, regions, programme, policy, .. } => {
            Scope::Ingest { kind, app, regions, programme, policy, consent_category: Some(name.to_owned()) }
        }
        other => other,
    }
}

/// A message of Segment's SDKs, at a minute after noon.
fn message(id: &str, event: &str, minute: i64, context: &Value) -> Value {
    json!({"type": "track", "event": event, "messageId": id, "anonymousId": "phone",
        "timestamp": NOON_MS + minute * MINUTE_MS, "context": context})
}

fn post(world: &World, key: &str, messages: &[Value]) {
    let body = json!({"batch": messages});
    world.client().post("/v1/batch", key, body.to_string()).expect(200);
}

/// What a server's key is told of an event of the phone at this minute, without a word about consent.
fn of_phone(world: &World, key: &str, minute: i64) -> String {
    let event = json!({"event": "app_open", "install_id": "phone", "time": NOON_MS + minute * MINUTE_MS});
    told(&world.client().events(key, &json!([event])))
}

#[test]
fn what_people_tell_a_consent_manager_withholds_and_is_recorded() {
    let categories =
        |allowed: bool| json!({"consent": {"categoryPreferences": {"C0002": allowed, "C0004": !allowed}}});
    let ids = |allowed: bool| {
        let (list, other) = if allowed {
            ("allowedConsentIds", "deniedConsentIds")
        } else {
            ("deniedConsentIds", "allowedConsentIds")
        };
        json!({"consentManagement": {"provider": "oneTrust", list: ["C0002"], other: ["C0004"]}})
    };
    for context in [&categories as &dyn Fn(bool) -> Value, &ids] {
        for name in ["app_open", "Segment Consent Preference Updated"] {
            let world = World::new();
            let key = world.key(of_category("C0002", Some(POLICY))).reveal();
            let at = |minute: i64| world.set_now_ms(NOON_MS + minute * MINUTE_MS);
            assert_eq!(of_phone(&world, &key, 0), "accepted", "the key asserts consent");
            at(10);
            post(&world, &key, &[message("denied", name, 10, &context(false))]);
            assert_eq!(of_phone(&world, &key, 10), "withdrawn");
            assert_eq!(of_phone(&world, &key, 0), "withdrawn");
            // An old message, which was sent before and comes now, changes nothing.
            at(15);
            post(&world, &key, &[message("old", name, 5, &context(true))]);
            assert_eq!(of_phone(&world, &key, 15), "withdrawn");
            at(20);
            post(&world, &key, &[message("allowed", name, 20, &context(true))]);
            assert_eq!(of_phone(&world, &key, 20), "accepted");
            assert_eq!(of_phone(&world, &key, 15), "withdrawn", "what happened in between");
        }
    }
}

#[test]
fn what_a_consent_manager_tells_with_every_message_ends_no_withdrawal_made_elsewhere() {
    let world = World::new();
    let key = world.key(of_category("C0002", Some(POLICY))).reveal();
    let allowed = json!({"consent": {"categoryPreferences": {"C0002": true}}});
    post(&world, &key, &[message("1", "app_open", 0, &allowed)]);
    assert_eq!(of_phone(&world, &key, 0), "accepted");
    let at = |minute: i64| world.set_now_ms(NOON_MS + minute * MINUTE_MS);
    at(10);
    withdraw(&world, json!({"install_id": "phone"})).expect(200);
    at(20);
    post(&world, &key, &[message("2", "app_open", 20, &allowed)]);
    assert_eq!(of_phone(&world, &key, 20), "withdrawn", "the phone still says what it said");
    post(&world, &key, &[message("3", "Segment Consent Preference Updated", 20, &allowed)]);
    assert_eq!(of_phone(&world, &key, 20), "accepted", "a new decision");
}

#[test]
fn the_last_decision_of_a_batch_counts_and_no_state_ends_a_decision() {
    let name = "Segment Consent Preference Updated";
    let said = |allowed: bool| json!({"consent": {"categoryPreferences": {"C0002": allowed}}});
    for kind in [name, "app_open"] {
        let world = World::new();
        let key = world.key(of_category("C0002", Some(POLICY))).reveal();
        let told = [false, true, false].map(|allowed| {
            let mut message = message(&format!("{allowed}"), kind, 0, &said(allowed));
            message.as_object_mut().unwrap().remove("timestamp");
            message
        });
        post(&world, &key, &told);
        world.set_now_ms(NOON_MS + 10 * MINUTE_MS);
        assert_eq!(of_phone(&world, &key, 10), "withdrawn", "{kind}");
    }
    let world = World::new();
    let key = world.key(of_category("C0002", Some(POLICY))).reveal();
    post(&world, &key, &[message("d", name, 0, &said(false))]);
    world.set_now_ms(NOON_MS + 10 * MINUTE_MS);
    post(&world, &key, &[message("s", "app_open", 10, &said(true))]);
    assert_eq!(of_phone(&world, &key, 10), "withdrawn", "a message that waited says what was before");
    let mut many: Value = (0..80).map(|at| (format!("c{at}"), true)).collect();
    many["C0002"] = json!(false);
    let many = json!({"consent": {"categoryPreferences": many}});
    for (event, context) in [("app_open", many), ("Nobody Knows", said(false))] {
        let world = World::new();
        let key = world.key(of_category("C0002", Some(POLICY))).reveal();
        post(&world, &key, &[message("m", event, 0, &context)]);
        assert_eq!(of_phone(&world, &key, 0), "withdrawn", "{event}");
    }
}

#[test]
fn a_consent_manager_grants_for_the_version_of_the_key_alone() {
    let world = World::new();
    let allowed = json!({"country": "DE", "consent": {"categoryPreferences": {"C0002": true}}});
    let silent = world.key(of_category("C0002", None)).reveal();
    post(&world, &silent, &[message("1", "Segment Consent Preference Updated", 0, &allowed)]);
    assert_eq!(of_phone(&world, &silent, 0), "no_consent", "the key asserts no version");
    let old = world.key(of_category("C0002", Some("2019-1"))).reveal();
    post(&world, &old, &[message("2", "Segment Consent Preference Updated", 0, &allowed)]);
    assert_eq!(of_phone(&world, &silent, 0), "no_consent", "its version is not accepted");
    let key = world.key(of_category("C0002", Some(POLICY))).reveal();
    post(&world, &key, &[message("3", "Segment Consent Preference Updated", 0, &allowed)]);
    assert_eq!(of_phone(&world, &silent, 0), "accepted");
}

#[test]
fn without_a_category_of_its_own_a_key_means_analytics() {
    let world = World::new();
    let key =
        world.key(shipped(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY)))).reveal();
    let send = |id: &str, preferences: Value| {
        post(
            &world,
            &key,
            &[message(id, "app_open", 0, &json!({"consent": {"categoryPreferences": preferences}}))],
        );
    };
    send("1", json!({"Advertising": false, "Analytics": true}));
    // It may be the programme's: withheld, and not taken for a withdrawal.
    send("2", json!({"C0002": false}));
    send("3", json!({"C0002": true}));
    send("4", json!({"Analytics": false}));
    send("5", json!({}));
    world.flush();
    assert_eq!(Tables::read(&world).count(), 2);
    let server = world.key(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY))).reveal();
    assert_eq!(of_phone(&world, &server, 0), "withdrawn");
}

#[test]
fn a_body_with_a_byte_order_mark_is_read() {
    let world = World::new();
    let mark = "\u{feff}";
    let events = json!({"country": "DE", "consent": consent(), "events": [click("1", "u", "a")]});
    let answer =
        world.client().post("/v1/events", &world.keys.app, format!("{mark}{events}")).expect(200).json();
    assert_eq!(answer["accepted"], 1, "{answer}");
    let change = json!({"action": "withdraw", "programme": "user-experience", "user_id": "u"});
    world.client().post("/v1/consents", &world.keys.app, format!("{mark}{change}")).expect(200);
    let batch =
        json!({"batch": [{"type": "track", "event": "app_open", "messageId": "m", "anonymousId": "i"}]});
    world.client().post("/v1/batch", &world.keys.asserting.reveal(), format!("{mark}{batch}")).expect(200);
    world.flush();
    assert_eq!(Tables::read(&world).count(), 2);
}
