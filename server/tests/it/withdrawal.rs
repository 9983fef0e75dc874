//! A recorded withdrawal is a boundary in time, in every region that its key may write to, whatever clocks say.
//!
//! Not here: whom an identifier means, and what a body may claim (`meant.rs`); the table of all cases (`shoal-privacy`,
//! `consent/tests.rs`).

use serde_json::{Value, json};
use shoal_schemas::Region;

use crate::http::Answer;
use crate::stage::{NOON_MS, POLICY, World, click, ingest};
use crate::tables::Tables;

const MINUTE_MS: i64 = 60_000;
const YEAR_MS: i64 = 365 * crate::stage::DAY_MS;

fn change(action: &str, user: &str) -> Value {
    json!({"action": action, "programme": "user-experience", "policy_version": POLICY, "user_id": user, "country": "DE"})
}

fn record(world: &World, body: &Value) -> Answer {
    world.client().post("/v1/consents", &world.keys.app, body.to_string())
}

/// Records an act at a minute after noon.
fn act(world: &World, minute: i64, action: &str, user: &str) {
    world.set_now_ms(NOON_MS + minute * MINUTE_MS);
    record(world, &change(action, user)).expect(200);
}

/// What becomes of one event.
fn outcome(world: &World, body: &Value) -> String {
    let answer = world.client().events(&world.keys.app, body);
    let event = &answer["events"][0];
    event["code"].as_str().or(event["status"].as_str()).unwrap().to_owned()
}

/// An event of a minute after noon, without a consent of its own.
fn event(id: &str, user: &str, minute: i64) -> Value {
    let mut event = click(id, user, "a");
    event["time"] = json!(NOON_MS + minute * MINUTE_MS);
    json!({"country": "DE", "events": [event]})
}

/// The same with what a client claims.
fn carried(id: &str, user: &str, granted_ms: i64, sent: Option<Value>) -> Value {
    let mut body = json!({"country": "DE", "consent": {"policy_version": POLICY, "granted_at": granted_ms},
        "events": [{"id": id, "event": "app_open", "user_id": user}]});
    if let Some(sent) = sent {
        body["sent_at"] = sent;
    }
    body
}

#[test]
fn no_claim_and_no_clock_brings_back_what_was_withdrawn() {
    let world = World::new();
    act(&world, 0, "grant", "u");
    act(&world, 10, "withdraw", "u");
    world.set_now_ms(NOON_MS + 11 * MINUTE_MS);
    let built = NOON_MS + 5 * MINUTE_MS;
    let claims = [
        (built, Some(json!(built + 100))),
        (built, Some(json!(0))),
        (built, Some(json!("1970-01-01T00:00:00Z"))),
        (built, None),
        // Clocks that are fast, by an hour and by years.
        (built + 60 * MINUTE_MS, Some(json!(built + 61 * MINUTE_MS))),
        (built + 60 * MINUTE_MS, None),
        (built + YEAR_MS, Some(json!(built + YEAR_MS))),
        (NOON_MS + 11 * MINUTE_MS, Some(json!(NOON_MS + 11 * MINUTE_MS))),
    ];
    for (at, (granted_ms, sent)) in claims.into_iter().enumerate() {
        let body = carried(&format!("k-{at}"), "u", granted_ms, sent);
        assert_eq!(outcome(&world, &body), "withdrawn", "{body}");
    }
    let mut undated = carried("k-undated", "u", 0, None);
    undated["consent"] = json!({"policy_version": POLICY});
    assert_eq!(outcome(&world, &undated), "withdrawn");
    // A grant that is older than the withdrawal is an old message: answered as any other, and without effect.
    let answer = |granted_at: i64| {
        let mut grant = change("grant", "u");
        grant["granted_at"] = json!(granted_at);
        record(&world, &grant).expect(200).text()
    };
    assert_eq!(answer(built), answer(NOON_MS - YEAR_MS));
    assert_eq!(outcome(&world, &event("k-old", "u", 11)), "withdrawn");
    assert_eq!(answer(NOON_MS + 11 * MINUTE_MS), answer(built), "a new one is answered alike");
    assert_eq!(outcome(&world, &event("k-new", "u", 11)), "accepted");
    world.flush();
    assert_eq!(Tables::read(&world).count(), 1);
}

#[test]
fn what_happened_outside_of_consent_is_withheld_whenever_it_is_sent() {
    let world = World::new();
    act(&world, 0, "grant", "u");
    act(&world, 20, "withdraw", "u");
    act(&world, 40, "grant", "u");
    world.set_now_ms(NOON_MS + 60 * MINUTE_MS);
    let told = |minute: i64| outcome(&world, &event(&format!("at-{minute}"), "u", minute));
    for (minute, wanted) in [
        (-6, "withdrawn"),
        (-5, "accepted"),
        (19, "accepted"),
        (20, "withdrawn"),
        (39, "withdrawn"),
        (40, "accepted"),
    ] {
        assert_eq!(told(minute), wanted, "minute {minute}");
    }
    // Queued while it was withdrawn: a body that waited is no slow clock.
    let mut queued = event("queued", "u", 30);
    queued["sent_at"] = json!(NOON_MS + 30 * MINUTE_MS);
    assert_eq!(outcome(&world, &queued), "withdrawn");
    let mut fast = event("fast", "u", 50);
    fast["sent_at"] = json!(NOON_MS + 80 * MINUTE_MS);
    assert_eq!(outcome(&world, &fast), "withdrawn");

    // Before a first grant; and an opt-in while the phone is offline does not lose its own events.
    act(&world, 60, "grant", "late");
    assert_eq!(outcome(&world, &event("b-1", "late", 54)), "no_consent");
    assert_eq!(outcome(&world, &event("b-2", "late", 55)), "accepted");
    let mut offline = change("grant", "offline");
    offline["granted_at"] = json!(NOON_MS + 30 * MINUTE_MS);
    record(&world, &offline).expect(200);
    assert_eq!(outcome(&world, &event("o-1", "offline", 24)), "no_consent");
    assert_eq!(outcome(&world, &event("o-2", "offline", 26)), "accepted");
    assert_eq!(outcome(&world, &event("o-3", "offline", 31)), "accepted");
}

#[test]
fn without_a_record_a_carried_consent_counts_from_its_date() {
    let world = World::new();
    world.set_now_ms(NOON_MS + 60 * MINUTE_MS);
    let told = |id: &str, minute: i64, granted: Option<i64>| {
        let mut body = event(id, "u", minute);
        body["consent"] = json!({"policy_version": POLICY});
        if let Some(granted) = granted {
            body["consent"]["granted_at"] = json!(NOON_MS + granted * MINUTE_MS);
        }
        outcome(&world, &body)
    };
    assert_eq!(told("1", 29, Some(30)), "no_consent");
    assert_eq!(told("2", 30, Some(30)), "accepted");
    assert_eq!(told("3", 1, None), "accepted");
}

#[test]
fn a_withdrawal_reaches_every_region_of_its_key_and_names_them() {
    let mut world = World::new();
    let withdrawn = record(&world, &change("withdraw", "u")).expect(200).json();
    let regions = ["US", "DE", "SG", "MY"];
    assert_eq!(withdrawn, json!({"recorded": 1, "regions": regions, "identifiers": ["user_id"]}));
    let granted = record(&world, &change("grant", "other")).expect(200).json();
    assert_eq!(granted, json!({"recorded": 1, "regions": ["DE"], "identifiers": ["user_id"]}));
    let narrow = world.key(ingest(&[Region::De, Region::Us], None, None)).reveal();
    for rest in [json!({}), json!({"country": "SG"}), json!({"region": "nowhere"})] {
        let mut body = json!({"action": "withdraw", "programme": "user-experience", "user_id": "narrow"});
        body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let answer = world.client().post("/v1/consents", &narrow, body.to_string()).expect(200).json();
        assert_eq!(answer["regions"], json!(["US", "DE"]), "{body}");
    }
    for is_restarted in [false, true] {
        if is_restarted {
            world.restart(|_| {});
        }
        for country in ["DE", "US", "SG", "MY"] {
            let mut body = carried(&format!("{country}-{is_restarted}"), "u", NOON_MS - MINUTE_MS, None);
            body["country"] = json!(country);
            assert_eq!(outcome(&world, &body), "withdrawn", "{country}");
        }
    }
}

#[test]
fn a_withdrawal_ends_a_grant_whatever_the_services_clock_did() {
    let world = World::new();
    world.set_now_ms(NOON_MS + YEAR_MS);
    record(&world, &change("grant", "u")).expect(200);
    act(&world, 0, "withdraw", "u");
    for minute in [0, 1] {
        world.set_now_ms(NOON_MS + minute * MINUTE_MS);
        assert_eq!(outcome(&world, &event(&format!("now-{minute}"), "u", minute)), "withdrawn");
    }
    world.set_now_ms(NOON_MS + YEAR_MS);
    assert_eq!(outcome(&world, &event("then", "u", YEAR_MS / MINUTE_MS)), "withdrawn");
    act(&world, 5, "grant", "u");
    assert_eq!(outcome(&world, &event("again", "u", 5)), "accepted");
    // Set back between a grant and its withdrawal.
    act(&world, 60, "grant", "back");
    act(&world, 10, "withdraw", "back");
    for minute in [10, 60, 61] {
        world.set_now_ms(NOON_MS + minute * MINUTE_MS);
        assert_eq!(outcome(&world, &event(&format!("back-{minute}"), "back", minute)), "withdrawn");
    }
}

#[test]
fn a_grant_that_waited_ends_no_withdrawal_by_a_clock_that_is_fast() {
    let world = World::new();
    let made = NOON_MS + 5 * MINUTE_MS;
    for (at, fast_ms) in [1_000, 30_000, 59_000, 90_000, 8 * crate::stage::DAY_MS].into_iter().enumerate() {
        let user = format!("fast-{at}");
        act(&world, 10, "withdraw", &user);
        world.set_now_ms(NOON_MS + 10 * MINUTE_MS + 500);
        let mut grant = change("grant", &user);
        // Made five minutes before the withdrawal, and sent now, by one clock.
        grant["granted_at"] = json!(made + fast_ms);
        grant["sent_at"] = json!(NOON_MS + 10 * MINUTE_MS + 500 + fast_ms);
        record(&world, &grant).expect(200);
        assert_eq!(outcome(&world, &event(&format!("f-{at}"), &user, 10)), "withdrawn", "{fast_ms} ms");
    }
    act(&world, 20, "withdraw", "u");
    act(&world, 30, "grant", "u");
    // An event without a time of its own, in a body that waited since before the grant.
    let mut waited = json!({"sent_at": NOON_MS + 25 * MINUTE_MS, "country": "DE",
        "events": [{"id": "w", "event": "app_open", "user_id": "u"}]});
    assert_eq!(outcome(&world, &waited), "withdrawn");
    waited["sent_at"] = json!(0);
    assert_eq!(outcome(&world, &waited), "accepted", "a clock that cannot be believed says nothing");
}

#[test]
fn nothing_that_stands_beside_a_withdrawal_keeps_it_out() {
    let world = World::new();
    world.set_now_ms(NOON_MS + 10 * MINUTE_MS);
    let withdrawal =
        |user: &str| format!(r#""action":"withdraw","programme":"user-experience","user_id":"{user}""#);
    let grant = |rest: Value| {
        let mut grant = change("grant", "somebody");
        grant.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        grant.to_string()
    };
    let beside = [
        (
            "placeholder",
            r#"{"action":"withdraw","programme":"user-experience","user_id":"undefined"}"#.to_owned(),
        ),
        ("programme", r#"{"action":"withdraw","programme":"foo","user_id":"x"}"#.to_owned()),
        ("act", r#"{"action":"forget","programme":"user-experience","user_id":"x"}"#.to_owned()),
        ("policy", grant(json!({"policy_version": "1999"}))),
        ("age", grant(json!({"age": 12}))),
        ("number", "7".to_owned()),
        ("half", r#"{"action":"withdraw","programme":"user-experience","user_id":"\ud800"}"#.to_owned()),
    ];
    for (user, other) in &beside {
        for body in [
            format!("[{{{}}},{other}]", withdrawal(user)),
            format!("[{other},{{{}}}]", withdrawal(&format!("{user}-2"))),
        ] {
            let answer = world.client().post("/v1/consents", &world.keys.app, body.clone());
            assert!((400..500).contains(&answer.status), "{body}: {}", answer.text());
        }
        for user in [(*user).to_owned(), format!("{user}-2")] {
            let body = carried(&user, &user, NOON_MS, None);
            assert_eq!(outcome(&world, &body), "withdrawn", "{other}");
        }
    }
    // One bad value of the withdrawal itself, or one bad identifier beside a good one.
    let bad = [
        (200, r#","note":"\ud83d""#),
        (200, r#","sent_at":NaN"#),
        (200, r#","x":1e400"#),
        (200, ","),
        (422, r#","install_id":12.5"#),
        (422, r#","install_id":true"#),
    ];
    for (at, (status, rest)) in bad.into_iter().enumerate() {
        let (user, body) = (format!("bad-{at}"), format!("{{{}{rest}}}", withdrawal(&format!("bad-{at}"))));
        world.client().post("/v1/consents", &world.keys.app, body).expect(status);
        assert_eq!(outcome(&world, &carried(&user, &user, NOON_MS, None)), "withdrawn", "{rest}");
    }
    let bytes =
        [br#"{"x":""#.as_slice(), b"\xff", format!("\",{}}}", withdrawal("bytes")).as_bytes()].concat();
    world.client().post("/v1/consents", &world.keys.app, bytes).expect(200);
    assert_eq!(outcome(&world, &carried("bytes", "bytes", NOON_MS, None)), "withdrawn");
    // No grant of such a list is recorded: whoever sent it is told that it was refused.
    assert_eq!(outcome(&world, &event("none", "somebody", 10)), "no_consent");
}
