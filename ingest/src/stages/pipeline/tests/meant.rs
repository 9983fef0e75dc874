//! Names that nothing has: other names of a field are understood, near ones are suggested, and nothing of the body is repeated.

use proptest::prelude::*;

use super::*;

fn event(members: &str) -> String {
    format!(
        r#"{{"country":"DE","consent":{{"policy_version":"2026-1","granted_at":"2026-01-01T00:00:00Z"}},{members}}}"#
    )
}

/// Each name that an answer suggests, with the event whose property it is.
fn suggested(piped: Piped) -> Vec<String> {
    let found = piped.into_answer(KeyKind::Shipped).did_you_mean;
    found
        .into_iter()
        .map(|meant| format!("{} {} {}", meant.event.as_deref().unwrap_or("-"), meant.name, meant.count))
        .collect()
}

fn run(members: &str) -> Piped {
    world().native(&event(members)).unwrap()
}

fn rejection(members: &str) -> (String, Option<String>) {
    match run(members).outcomes.remove(0) {
        Outcome::Rejected(rejection) => {
            (rejection.code.as_str().to_owned(), rejection.did_you_mean.map(|name| name.into_owned()))
        }
        other => (other.status().to_owned(), None),
    }
}

#[test]
fn another_name_that_can_mean_one_field_only_is_understood() {
    let other = run(
        r#""name":"click","timestamp":"2026-11-20T08:00:00Z","userId":"u","SessionID":"s","osVersion":"18","props":{"element":"ok"}"#,
    );
    assert_eq!(code(&other.outcomes[0]), "accepted");
    let rows = world().rows(&other);
    assert_eq!((rows[0].0.as_str(), column(&rows[0], "os_version")), ("click", Some("18")));
    assert_eq!(suggested(other), [""; 0]);
    let rest = r#""event":"app_open","user_id":"u""#;
    for (members, wanted) in [
        (r#""timestamp":"2020-01-01T00:00:00Z""#, "too_old"),
        (r#""timestamp":4102444800000"#, "in_future"),
        (r#""time":"2026-11-20T08:00:00Z","timestamp":"2020-01-01T00:00:00Z""#, "accepted"),
        (r#""timestamp":"2020-01-01T00:00:00Z","time":"2026-11-20T08:00:00Z""#, "accepted"),
    ] {
        assert_eq!(code(&run(&format!("{rest},{members}")).outcomes[0]), wanted, "{members}");
    }
    // A batch says it for all of its events.
    let batch = event(r#""userId":"u","events":[{"event":"app_open"},{"event":"app_open","user_id":"v"}]"#);
    let named = world().native(&batch).unwrap();
    assert_eq!(named.outcomes.iter().map(code).collect::<Vec<_>>(), ["accepted"; 2]);
    let without_user = event(r#""name":"my batch","events":[{"event":"app_open","user_id":"v"}]"#);
    assert_eq!(suggested(world().native(&without_user).unwrap()), [""; 0], "a batch may have a name");
}

#[test]
fn what_is_understood_rejects_nothing_that_would_be_taken_without_it() {
    let run = |members: &str| {
        let consent = r#""consent":{"policy_version":"2026-1"}"#;
        let body = format!(r#"{{"event":"app_open","user_id":"u",{consent},{members}}}"#);
        let grant = IngestGrant { regions: vec![Region::De], ..grant(None) };
        let piped = world().run(&request(Protocol::Native, body.as_bytes()), &grant, now()).unwrap();
        (code(&piped.outcomes[0]), suggested(piped))
    };
    for (members, told, meant) in [
        (r#""countryCode":"FR""#, "accepted", vec![]),
        (r#""countryCode":"DEU""#, "accepted", vec!["- country 1"]),
        (r#""countryCode":276"#, "accepted", vec!["- country 1"]),
        (r#""country":"DEU""#, "unknown_country", vec![]),
        (r#""OS":"iPadOS""#, "accepted", vec![]),
        // Every system has a listed name.
        (r#""OS":"Solaris""#, "accepted", vec![]),
    ] {
        let meant: Vec<String> = meant.into_iter().map(str::to_owned).collect();
        assert_eq!(run(members), (told, meant), "{members}");
    }
}

#[test]
fn what_was_probably_meant_is_named_and_nothing_else_changes() {
    let open = r#""event":"app_open","user_id":"u""#;
    for (members, wanted) in [
        (r#""time":"2026-11-20T08:00:00Z","timestamp":"2026-11-20T08:00:00Z""#, vec!["- time 1"]),
        (r#""timestamp":"yesterday""#, vec!["- time 1"]),
        (r#""eventId":"e-1""#, vec!["- id 1"]),
        (r#""device":"d""#, vec!["- device_id 1"]),
        (r#""user":"u""#, vec![]),
        (r#""name":"home""#, vec![]),
        (r#""userId":null,"colour":"red","consents":null"#, vec![]),
        (r#""properties":{},"Properties":{"a":1}"#, vec!["- properties 1"]),
    ] {
        let piped = run(&format!("{open},{members}"));
        assert_eq!(code(&piped.outcomes[0]), "accepted", "{members}");
        assert_eq!(suggested(piped), wanted, "{members}");
    }
    let click = |properties: &str| format!(r#""event":"click","user_id":"u","properties":{{{properties}}}"#);
    assert_eq!(suggested(run(&click(r#""element":"a","scren":"b""#))), ["click screen 1"]);
    assert_eq!(suggested(run(&click(r#""element":"a","elemnt":"b""#))), [""; 0], "it is there already");
    let of = |code: &str, name: Option<&str>| (code.to_owned(), name.map(str::to_owned));
    assert_eq!(rejection(&click(r#""elemnt":"b""#)), of("missing_property", Some("element")));
    assert_eq!(rejection(&click(r#""colour":"b""#)), of("missing_property", None));
    assert_eq!(rejection(r#""event":"clik","user_id":"u""#), of("unknown_event", Some("click")));
    assert_eq!(rejection(r#""event":"wholly_other","user_id":"u""#), of("unknown_event", None));
    assert_eq!(rejection(r#""name":"clik","user_id":"u""#), of("missing_event", Some("event")));
    assert_eq!(rejection(r#""user_id":"u""#), of("missing_event", None));
}

/// A key for one programme is not told the events of another.
#[test]
fn events_of_another_programme_are_not_suggested() {
    let body = event(r#""event":"clik","user_id":"u""#);
    let request = request(Protocol::Native, body.as_bytes());
    let told = |programme| {
        let piped = world().run(&request, &grant(Some(programme)), now()).unwrap();
        serde_json::to_value(&piped.outcomes[0]).unwrap()["did_you_mean"].clone()
    };
    assert_eq!(told(Programme::UserExperience), "click");
    assert_eq!(told(Programme::DeviceExperience), serde_json::Value::Null);
}

#[test]
fn the_work_for_unknown_names_has_an_end_and_understanding_has_none() {
    let meant = |unknown: Vec<String>| {
        let body = event(&format!(r#""events":[{}]"#, unknown.join(",")));
        let outcomes = world().outcomes(&body);
        let has_one =
            |outcome: &&Outcome| matches!(outcome, Outcome::Rejected(r) if r.did_you_mean.is_some());
        outcomes.iter().filter(has_one).count()
    };
    // Each of them is near to `screen_view`, and no two are the same.
    let other_letter = |at: usize| {
        let (place, letter) = (at / 20, char::from(b'A' + (at % 20) as u8));
        let name: String =
            "screen_view".chars().enumerate().map(|(n, c)| if n == place { letter } else { c }).collect();
        format!(r#"{{"event":"{name}","scren{at}":{at}}}"#)
    };
    assert!((1..=32).contains(&meant((0..220).map(other_letter).collect())));
    // The same name is compared once, and each of its events is told.
    assert_eq!(meant((0..500).map(|at| format!(r#"{{"event":"clik","scren":{at}}}"#)).collect()), 500);
    let named = (0..500).map(|at| format!(r#"{{"name":"app_open","userId":"u-{at}"}}"#)).collect::<Vec<_>>();
    let body = event(&format!(r#""events":[{}]"#, named.join(",")));
    assert!(world().outcomes(&body).iter().all(|outcome| code(outcome) == "accepted"));
}

proptest! {
    #[test]
    fn a_suggestion_is_a_declared_name_whatever_was_sent(keys in proptest::collection::vec("[a-zA-Z_]{1,12}|[a-z_]{0,5}(scre?en|us?er|ti?me|name)[a-zA-Z_]{0,5}", 1..8)) {
        let members: Vec<String> = keys.iter().map(|key| format!(r#""{key}":"x""#)).collect();
        let body = event(&format!(r#""event":"screen_view","user_id":"u","properties":{{"screen":"s",{0}}},{0}"#, members.join(",")));
        let piped = world().native(&body).unwrap();
        let declared = world().registry.event("screen_view").unwrap();
        for meant in piped.into_answer(KeyKind::Shipped).did_you_mean {
            let is_declared = match meant.event.as_deref() {
                Some(event) => event == "screen_view" && declared.property(&meant.name).is_some(),
                None => crate::NATIVE_FIELDS.iter().any(|fields| fields.iter().any(|field| field.name == meant.name)),
            };
            prop_assert!(is_declared, "{}", meant.name);
        }
    }
}

/// The page of fields and the reader have the same ones.
#[test]
fn every_listed_field_is_read() {
    for field in
        crate::NATIVE_FIELDS.iter().flat_map(|fields| fields.iter()).filter(|field| !field.name.contains('.'))
    {
        let value = match field.ty {
            "object" => "{}",
            "time" => r#""2026-11-20T08:00:00Z""#,
            "list of events" => r#"[{"event":"app_open","user_id":"u"}]"#,
            _ if field.name == "event" => r#""app_open""#,
            _ if field.name == "os" => r#""ios""#,
            _ => r#""x""#,
        };
        // As one that a definition does not have, it would be near to itself.
        let body = format!(r#"{{"event":"app_open","user_id":"u","country":"DE","{}":{value}}}"#, field.name);
        assert_eq!(suggested(world().native(&body).unwrap()), [""; 0], "{}", field.name);
        let wrong = format!(r#"{{"event":"app_open","user_id":"u","country":"DE","{}":true}}"#, field.name);
        // What stands in their place and cannot be read is left out.
        if !["events", "sent_at"].contains(&field.name) {
            let outcomes = world().outcomes(&wrong);
            assert_eq!(outcomes[0].status(), "rejected", "{} is looked at", field.name);
        }
    }
}
