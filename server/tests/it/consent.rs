//! The gate: no event without a consent that is in force; carried, recorded or asserted, through every protocol.

use serde_json::{Value, json};
use shoal_schemas::{Programme, Region};

use crate::http::Answer;
use crate::stage::{NOON_MS, POLICY, World, batch, click, ingest, shipped};
use crate::tables::{Tables, text};

/// What becomes of one native event.
fn outcome(world: &World, key: &str, body: &Value) -> String {
    let answer = world.client().events(key, body);
    let event = &answer["events"][0];
    event["code"].as_str().or(event["status"].as_str()).unwrap().to_owned()
}

fn without_consent(id: &str, user: &str) -> Value {
    json!({"country": "DE", "events": [click(id, user, "a")]})
}

fn record(world: &World, body: &Value) -> Answer {
    world.client().post("/v1/consents", &world.keys.app, body.to_string())
}

fn change(action: &str, user: &str) -> Value {
    json!({"action": action, "programme": "user-experience", "policy_version": POLICY, "user_id": user, "country": "DE"})
}

#[test]
fn a_withdrawal_is_recorded_for_the_programme_that_it_names_whatever_that_of_its_key() {
    let world = World::new();
    let key = world.key(shipped(ingest(&[Region::De], Some(Programme::UserExperience), None))).reveal();
    let change = |action: &str| {
        let change = json!({"action": action, "programme": "device-experience", "policy_version": POLICY,
            "device_id": "camera-7", "country": "DE"});
        world.client().post("/v1/consents", &key, change.to_string())
    };
    assert_eq!(change("grant").expect(403).json()["code"], "programme_not_allowed");
    let told = change("withdraw").expect(200).json();
    assert_eq!((&told["recorded"], &told["regions"]), (&json!(1), &json!(["DE"])));
    for (device, wanted) in [("camera-7", "withdrawn"), ("camera-8", "accepted")] {
        let event = json!({"event": "device_fault", "device_id": device, "country": "DE",
            "consent": {"policy_version": POLICY}, "properties": {"fault_code": "SD_WRITE"}});
        assert_eq!(outcome(&world, &world.keys.app, &json!([event])), wanted, "{device}");
    }
}

#[test]
fn no_consent_and_no_accepted_version_means_no_event() {
    let world = World::new();
    let key = &world.keys.app;
    assert_eq!(outcome(&world, key, &without_consent("1", "u")), "no_consent");
    let with = |claim: Value| {
        let mut body = without_consent("2", "u");
        body["consent"] = claim;
        body
    };
    for version in ["2019-1", "", "2026-1x"] {
        let told = outcome(&world, key, &with(json!({"policy_version": version})));
        assert!(["policy_version", "no_consent"].contains(&told.as_str()), "{version:?}: {told}");
    }
    assert_eq!(outcome(&world, key, &with(json!({"policy_version": POLICY, "age": 15}))), "minor");
    assert_eq!(outcome(&world, key, &with(json!({"policy_version": "2025-1", "age": 16}))), "accepted");
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(tables.count(), 1, "what was withheld is nowhere");
    assert_eq!(text(&tables.rows("de/usage")[0], "consent"), "carried");
}

#[test]
fn recorded_consent_counts_until_it_is_withdrawn_and_survives_a_restart() {
    let mut world = World::new();
    let key = world.keys.app.clone();
    assert_eq!(outcome(&world, &key, &without_consent("1", "anna")), "no_consent");
    record(&world, &change("grant", "anna")).expect(200);
    assert_eq!(outcome(&world, &key, &without_consent("2", "anna")), "accepted");
    assert_eq!(outcome(&world, &key, &without_consent("3", "berta")), "no_consent");
    world.restart(|_| {});
    assert_eq!(outcome(&world, &key, &without_consent("4", "anna")), "accepted");

    world.set_now_ms(NOON_MS + 1000);
    record(&world, &change("withdraw", "anna")).expect(200);
    assert_eq!(outcome(&world, &key, &without_consent("5", "anna")), "withdrawn");
    // A consent that was given before does not come back with a late batch.
    assert_eq!(outcome(&world, &key, &batch("DE", vec![click("6", "anna", "a")])), "withdrawn");
    world.restart(|_| {});
    assert_eq!(outcome(&world, &key, &without_consent("7", "anna")), "withdrawn");

    world.set_now_ms(NOON_MS + 2000);
    record(&world, &change("grant", "anna")).expect(200);
    assert_eq!(outcome(&world, &key, &without_consent("8", "anna")), "accepted");
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(tables.count(), 3);
    assert!(tables.rows("de/usage").iter().all(|row| text(row, "consent") == "recorded"));
}

#[test]
fn consent_is_for_one_region_and_one_programme() {
    let world = World::new();
    let key = &world.keys.app;
    record(&world, &change("grant", "anna")).expect(200);
    let mut elsewhere = without_consent("1", "anna");
    elsewhere["country"] = json!("US");
    assert_eq!(outcome(&world, key, &elsewhere), "no_consent");
    // France's data lives in the same region as Germany's.
    let mut neighbour = without_consent("2", "anna");
    neighbour["country"] = json!("FR");
    assert_eq!(outcome(&world, key, &neighbour), "accepted");
    let device = json!({"country": "DE", "events": [
        {"id": "3", "event": "device_fault", "user_id": "anna", "properties": {"fault_code": "SD_WRITE"}}]});
    assert_eq!(outcome(&world, key, &device), "no_consent");
}

#[test]
fn a_key_asserts_consent_for_its_programme_only_and_a_withdrawal_is_stronger() {
    let world = World::new();
    let key = world.key(ingest(&[Region::De], Some(Programme::UserExperience), Some(POLICY))).reveal();
    assert_eq!(outcome(&world, &key, &without_consent("1", "anna")), "accepted");
    let device = json!({"country": "DE", "events": [
        {"id": "2", "event": "device_fault", "serial_number": "s", "properties": {"fault_code": "SD_WRITE"}}]});
    assert_eq!(outcome(&world, &key, &device), "programme_not_allowed");
    // What the batch says itself is stronger than what the key says about everyone.
    let mut old = without_consent("3", "anna");
    old["consent"] = json!({"policy_version": "2019-1"});
    assert_eq!(outcome(&world, &key, &old), "policy_version");
    let withdrawal = change("withdraw", "anna");
    world.client().post("/v1/consents", &key, withdrawal.to_string()).expect(200);
    assert_eq!(outcome(&world, &key, &without_consent("4", "anna")), "withdrawn");
    assert_eq!(outcome(&world, &key, &without_consent("5", "berta")), "accepted");
    let stale = world.key(ingest(&[Region::De], Some(Programme::UserExperience), Some("2019-1")));
    assert_eq!(outcome(&world, &stale.reveal(), &without_consent("6", "carla")), "policy_version");
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(tables.count(), 2);
    assert!(tables.rows("de/usage").iter().all(|row| text(row, "consent") == "asserted"));
}

#[test]
fn vendors_are_answered_with_success_and_gated_all_the_same() {
    let world = World::new();
    let segment = |id: &str, user: &str, context: Value| {
        let body = json!({"batch": [{"type": "track", "messageId": id, "userId": user, "event": "click",
            "properties": {"element": "add"}, "context": context}]});
        world.client().post("/v1/batch", &world.keys.app, body.to_string()).expect(200);
    };
    let envelope = |id: &str, user: &str, contexts: Value| {
        let event = json!({"event_id": id, "level": "error", "user": {"id": user, "geo": {"country_code": "DE"}},
            "contexts": contexts, "exception": {"values": [{"type": "E", "value": "v"}]}});
        let body = format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n");
        let key = format!("Sentry sentry_key={}", world.keys.app);
        world
            .client()
            .ask("POST", "/api/1/envelope/", &[("x-sentry-auth", &key)], body.as_bytes())
            .unwrap()
            .expect(200);
    };
    record(&world, &change("grant", "recorded")).expect(200);
    record(&world, &change("withdraw", "withdrawn")).expect(200);
    for (at, user) in ["none", "recorded", "withdrawn"].into_iter().enumerate() {
        segment(&format!("s-{at}"), user, json!({"country": "DE"}));
        envelope(&format!("{at:032x}"), user, json!({}));
    }
    for (at, (user, version)) in
        [("carried", POLICY), ("old", "2019-1"), ("withdrawn", POLICY)].into_iter().enumerate()
    {
        let claim = json!({"policy_version": version, "granted_at": "2026-01-01T00:00:00Z"});
        segment(&format!("c-{at}"), user, json!({"country": "DE", "consent": claim}));
        envelope(&format!("{:032x}", at + 100), user, json!({"consent": claim}));
    }
    world.flush();
    let tables = Tables::read(&world);
    for table in ["de/usage", "de/crash"] {
        let mut ways: Vec<&str> = tables.rows(table).iter().map(|row| text(row, "consent")).collect();
        ways.sort_unstable();
        assert_eq!(ways, ["carried", "recorded"], "{table}");
    }
    assert_eq!(tables.count(), 4);
}

#[test]
fn a_consent_request_is_taken_as_a_whole_or_not_at_all() {
    let world = World::new();
    let mut unknown = change("grant", "berta");
    unknown["policy_version"] = json!("2019-1");
    let both = json!([change("grant", "anna"), unknown]);
    assert_eq!(record(&world, &both).status, 422);
    assert_eq!(outcome(&world, &world.keys.app, &without_consent("1", "anna")), "no_consent");
    let mut minor = change("grant", "carla");
    minor["age"] = json!(15);
    assert_eq!(record(&world, &minor).status, 422);
    assert_eq!(outcome(&world, &world.keys.app, &without_consent("2", "carla")), "no_consent");
    let nobody = json!({"action": "withdraw", "programme": "user-experience", "country": "DE"});
    assert_eq!(record(&world, &nobody).status, 422);
}

#[test]
fn a_client_whose_clock_is_wrong_by_years_is_corrected_by_sent_at() {
    let world = World::new();
    let key = &world.keys.app;
    for (at, years) in [-26_i64, -3, 4, 30].into_iter().enumerate() {
        let theirs = NOON_MS + years * 365 * crate::stage::DAY_MS;
        let mut event = click(&format!("skewed-{at}"), "u", "a");
        event["time"] = json!(theirs - 60_000);
        let mut body = json!({"country": "DE", "consent": {"policy_version": POLICY}, "events": [event]});
        let told = outcome(&world, key, &body);
        assert_eq!(told, if years < 0 { "too_old" } else { "in_future" }, "without sent_at");
        body["sent_at"] = json!(theirs);
        // A body that has waited for three years looks like a clock that is three years behind, and its events are as old.
        assert_eq!(
            outcome(&world, key, &body),
            if years == -3 { "too_old" } else { "accepted" },
            "{years} years"
        );
    }
    world.flush();
    let tables = Tables::read(&world);
    assert_eq!(tables.rows("de/usage").len(), 3);
    for row in tables.rows("de/usage") {
        assert_eq!((text(row, "day"), text(row, "time")), ("2026-11-22", "2026-11-22T11:59:00+00:00"));
    }
}
