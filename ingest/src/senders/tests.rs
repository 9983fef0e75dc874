//! What is counted, what a sender may see of it, and that it takes no more memory than it may.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};
use shoal_schemas::Region;

use super::*;
use crate::{
    answer::{Code, Outcome, Rejection, SUBJECT_DAY_LIMIT},
    declared::Declared,
};

const NOW_MS: i64 = 1_795_348_800_000;
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 8));

fn grant(kind: KeyKind) -> IngestGrant {
    IngestGrant {
        key_id: "ing0123456789".into(),
        kind,
        app: "camera".into(),
        programme: None,
        asserted_policy: None,
        consent_category: None,
        regions: vec![Region::De],
    }
}

fn bad() -> Outcome {
    Rejection::property(Code::MissingProperty, "element", "required and absent").into()
}

/// An answer about events of these names.
fn answer(events: Vec<(Option<&str>, Outcome)>) -> BatchAnswer {
    let declared = Declared::of(events.iter().map(|(name, _)| *name), |name| name != "made_up");
    let outcomes = events.into_iter().map(|(_, outcome)| outcome).collect();
    BatchAnswer { declared, ..BatchAnswer::new(KeyKind::Shipped, outcomes) }
}

/// The clock and what is served go together.
fn at(ms: i64) -> Now {
    Now { clock_ms: ms, served_ms: ms }
}

fn came(grant: &IngestGrant, peer: IpAddr, now_ms: i64) -> Came<'_> {
    Came { protocol: Protocol::Native, grant, peer: Some(peer), now: at(now_ms) }
}

fn shown(counters: Counters) -> Value {
    serde_json::to_value(counters).unwrap()
}

#[test]
fn the_owner_sees_every_outcome_and_a_sender_what_its_answers_told() {
    let (senders, shipped) = (Senders::new(NOW_MS), grant(KeyKind::Shipped));
    let outcomes = vec![
        (Some("click"), Outcome::Accepted),
        (Some("click"), Outcome::Withheld("withdrawn")),
        (Some("app_open"), Outcome::Duplicate),
        (Some("click"), bad()),
        (
            Some("made_up"),
            Rejection::field(Code::UnknownEvent, "event", "no definition has this name").into(),
        ),
    ];
    senders.count(&came(&shipped, HOME, NOW_MS), &answer(outcomes));
    senders.count_refusal(&came(&shipped, HOME, NOW_MS + 1000), RefusalCode::BadJson);
    senders.count_refusal(&came(&shipped, HOME, NOW_MS + 1000), RefusalCode::Overloaded);
    let row = |event: Value, outcome: &str, code: Value, events: u64| json!({"protocol": "native", "event": event, "outcome": outcome, "code": code, "events": events});
    let reason = |event: Value, outcome: &str, code: &str, field: Value| {
        json!({"at": "2026-11-22T12:00:00Z", "protocol": "native", "event": event, "outcome": outcome, "code": code,
            "field": field, "events": 1})
    };
    let unknown = row(Value::Null, "rejected", json!("unknown_event"), 1);
    let missing = row(json!("click"), "rejected", json!("missing_property"), 1);
    let bad_form = json!({"protocol": "native", "code": "bad_json", "requests": 1});
    let owner = shown(senders.of_key(&shipped.key_id, NOW_MS + 2000));
    assert_eq!(
        owner,
        json!({"since": "2026-11-22T12:00:00Z", "now": "2026-11-22T12:00:02Z", "received": 5, "accepted": 1,
            "duplicate": 1, "withheld": 1, "rejected": 2, "dropped_properties": 0, "skipped_items": 0,
            "events": [unknown, row(json!("app_open"), "duplicate", Value::Null, 1),
                row(json!("click"), "accepted", Value::Null, 1), missing, row(json!("click"), "withheld", json!("withdrawn"), 1)],
            "refused": [bad_form, {"protocol": "native", "code": "overloaded", "requests": 1}],
            "reasons": [reason(json!("click"), "withheld", "withdrawn", Value::Null),
                reason(Value::Null, "rejected", "unknown_event", json!("event")),
                reason(json!("click"), "rejected", "missing_property", json!("element"))]})
    );
    let sender = shown(senders.of_sender(&shipped.key_id, HOME, at(NOW_MS + 2000)));
    assert_eq!(
        (&sender["received"], &sender["taken"], &sender["rejected"]),
        (&json!(5), &json!(3), &json!(2))
    );
    assert_eq!(sender["events"], json!([unknown, row(Value::Null, "taken", Value::Null, 3), missing]));
    assert_eq!((&sender["refused"], sender["reasons"].as_array().unwrap().len()), (&json!([bad_form]), 2));
    for other in [
        senders.of_sender(&shipped.key_id, ELSEWHERE, at(NOW_MS)),
        senders.of_sender("other", HOME, at(NOW_MS)),
    ] {
        assert_eq!((&shown(other.clone())["received"], &shown(other)["events"]), (&json!(0), &json!([])));
    }
}

#[test]
fn a_server_key_is_counted_for_its_owner_alone() {
    let (senders, server) = (Senders::new(NOW_MS), grant(KeyKind::Server));
    senders.count(&came(&server, HOME, NOW_MS), &answer(vec![(Some("click"), Outcome::Accepted)]));
    assert_eq!(shown(senders.of_key(&server.key_id, NOW_MS))["accepted"], 1);
    assert!(senders.held().networks.is_empty());
}

#[test]
fn a_network_is_forgotten_an_hour_after_its_last_request() {
    let (senders, shipped) = (Senders::new(NOW_MS), grant(KeyKind::Shipped));
    let one = || answer(vec![(Some("click"), Outcome::Accepted)]);
    let taken =
        |now_ms| shown(senders.of_sender(&shipped.key_id, HOME, at(now_ms)))["taken"].as_u64().unwrap();
    senders.count(&came(&shipped, HOME, NOW_MS), &one());
    senders.count(&came(&shipped, HOME, NOW_MS + HOUR_MS - 1), &one());
    assert_eq!((taken(NOW_MS + 2 * HOUR_MS - 2), taken(NOW_MS + 2 * HOUR_MS - 1)), (2, 0));
    senders.count(&came(&shipped, HOME, NOW_MS + 2 * HOUR_MS), &one());
    assert_eq!(taken(NOW_MS + 2 * HOUR_MS), 1);
    assert_eq!(
        shown(senders.of_key(&shipped.key_id, NOW_MS))["accepted"],
        3,
        "the owner's are of the process"
    );
}

#[test]
fn a_clock_that_is_set_back_shows_no_network_for_longer_and_forgets_none_sooner() {
    let (senders, shipped) = (Senders::new(NOW_MS), grant(KeyKind::Shipped));
    let now = |clock_ms, served_ms| Now { clock_ms: NOW_MS + clock_ms, served_ms };
    let count = |now| {
        let came = Came { now, ..came(&shipped, HOME, NOW_MS) };
        senders.count(&came, &answer(vec![(Some("click"), Outcome::Accepted)]));
    };
    let taken = |now| shown(senders.of_sender(&shipped.key_id, HOME, now))["taken"].as_u64().unwrap();
    for set_ms in [-24 * HOUR_MS, -1, 24 * HOUR_MS] {
        count(now(0, 2 * HOUR_MS));
        count(now(set_ms, 2 * HOUR_MS));
        assert_eq!(taken(now(set_ms, 2 * HOUR_MS)), 2, "{set_ms}: it is the same moment");
        // A request that came before and is counted after another.
        count(now(set_ms, 2 * HOUR_MS - 1));
        assert_eq!(taken(now(set_ms, 3 * HOUR_MS - 1)), 3, "{set_ms}");
        assert_eq!(taken(now(set_ms, 3 * HOUR_MS)), 0, "{set_ms}");
        senders.held().networks.clear();
    }
}

#[test]
fn many_networks_reasons_and_rows_take_no_more_than_their_room() {
    let (senders, shipped) = (Senders::new(NOW_MS), grant(KeyKind::Shipped));
    for at in 0..3 * NETWORKS_MAX as u32 {
        let peer = IpAddr::V4(at.into());
        senders.count(&came(&shipped, peer, NOW_MS + i64::from(at)), &answer(vec![(None, bad())]));
        assert!(senders.held().networks.len() <= NETWORKS_MAX);
    }
    let last = IpAddr::V4((3 * NETWORKS_MAX as u32 - 1).into());
    assert_eq!(shown(senders.of_sender(&shipped.key_id, last, at(NOW_MS + 4000)))["rejected"], 1);
    let names: Vec<String> = (0..9000).map(|at| format!("event_{at}")).collect();
    let events = || names.iter().map(|name| (Some(name.as_str()), bad()));
    senders.count(&came(&shipped, HOME, NOW_MS), &answer(events().collect()));
    let owner = shown(senders.of_key(&shipped.key_id, NOW_MS));
    assert_eq!(
        owner["received"],
        3 * NETWORKS_MAX + names.len(),
        "what has no room is counted without its name"
    );
    assert!(owner["events"].as_array().unwrap().len() <= OF_KEY.rows + 1);
    assert_eq!(owner["reasons"].as_array().unwrap().len(), OF_KEY.reasons);
    let sender = shown(senders.of_sender(&shipped.key_id, HOME, at(NOW_MS)));
    assert_eq!(sender["rejected"], names.len());
    assert!(sender["events"].as_array().unwrap().len() <= OF_NETWORK.rows + 1);
    assert_eq!(sender["reasons"].as_array().unwrap().len(), OF_NETWORK.reasons);
}

#[test]
fn a_reason_that_comes_again_is_there_once_and_is_the_latest() {
    let (senders, server) = (Senders::new(NOW_MS), grant(KeyKind::Server));
    let withheld = || Outcome::Withheld(SUBJECT_DAY_LIMIT);
    for (second, events) in
        [vec![(Some("click"), bad())], vec![(Some("click"), withheld())], vec![(Some("click"), bad()); 2]]
            .into_iter()
            .enumerate()
    {
        senders.count(&came(&server, HOME, NOW_MS + 1000 * second as i64), &answer(events));
    }
    let reasons = shown(senders.of_key(&server.key_id, NOW_MS))["reasons"].clone();
    let told: Vec<_> =
        reasons.as_array().unwrap().iter().map(|r| (&r["code"], &r["events"], &r["at"])).collect();
    assert_eq!(
        told,
        [
            (&json!("missing_property"), &json!(3), &json!("2026-11-22T12:00:02Z")),
            (&json!(SUBJECT_DAY_LIMIT), &json!(1), &json!("2026-11-22T12:00:01Z"))
        ]
    );
}

/// Outcomes that follow from what is recorded.
fn recorded() -> impl Strategy<Value = Outcome> {
    let withheld = ["no_consent", "withdrawn", "minor", "not_an_event", SUBJECT_DAY_LIMIT];
    prop_oneof![
        Just(Outcome::Accepted),
        Just(Outcome::Duplicate),
        prop::sample::select(withheld.to_vec()).prop_map(Outcome::Withheld),
    ]
}

/// A name, and what becomes of its event in two worlds in which different things are recorded.
fn in_two_worlds() -> impl Strategy<Value = (Option<&'static str>, Outcome, Outcome)> {
    let name = prop::option::of(prop::sample::select(vec!["click", "app_open", "made_up"]));
    let both = prop_oneof![(recorded(), recorded()), Just((bad(), bad()))];
    (name, both).prop_map(|(name, (one, other))| (name, one, other))
}

proptest! {
    #[test]
    fn what_a_sender_sees_does_not_depend_on_what_is_recorded(
        batches in prop::collection::vec(prop::collection::vec(in_two_worlds(), 0..12), 0..6),
    ) {
        let shipped = grant(KeyKind::Shipped);
        let worlds = [Senders::new(NOW_MS), Senders::new(NOW_MS)];
        let mut received = 0;
        for batch in batches {
            received += batch.len();
            let events = |at: usize| {
                batch.iter().map(|(name, one, other)| (*name, [one, other][at].clone())).collect()
            };
            for (at, senders) in worlds.iter().enumerate() {
                senders.count(&came(&shipped, HOME, NOW_MS), &answer(events(at)));
            }
        }
        let seen = worlds.each_ref().map(|senders| shown(senders.of_sender(&shipped.key_id, HOME, at(NOW_MS))));
        prop_assert_eq!(&seen[0], &seen[1]);
        let number = |of: &Value, name: &str| of[name].as_u64().unwrap();
        prop_assert_eq!(number(&seen[0], "received"), received as u64);
        prop_assert_eq!(number(&seen[0], "taken") + number(&seen[0], "rejected"), received as u64);
        for senders in &worlds {
            let owner = shown(senders.of_key(&shipped.key_id, NOW_MS));
            let outcomes = ["accepted", "duplicate", "withheld", "rejected"].map(|name| number(&owner, name));
            prop_assert_eq!(outcomes.iter().sum::<u64>(), received as u64);
        }
    }
}
