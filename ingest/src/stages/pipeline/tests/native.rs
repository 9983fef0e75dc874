//! Native bodies: the registry's examples, forms, limits, times, places, and whatever may come.

use proptest::prelude::*;
use shoal_schemas::Kind;

use super::*;

const CONSENT: &str = r#""consent":{"policy_version":"2026-1","granted_at":"2026-01-01T00:00:00Z"}"#;

fn click(rest: &str) -> String {
    format!(
        r#"{{"id":"1","event":"click","time":"2026-11-20T08:00:00Z","user_id":"u","country":"DE",{CONSENT},"properties":{{"screen":"home","element":"ok"}}{rest}}}"#
    )
}

#[test]
fn every_example_of_the_registry_is_judged_as_it_says() {
    let world = world();
    let mut checked = 0;
    for event in world.registry.events() {
        let run = |json: &str| {
            let body = json.replacen('{', r#"{"country":"DE","#, 1);
            let grant = grant(Some(event.programme));
            let piped = world.run(&request(Protocol::Native, body.as_bytes()), &grant, now()).unwrap();
            assert_eq!(piped.outcomes.len(), 1);
            piped
        };
        for json in &event.pass {
            let piped = run(json);
            assert_eq!(code(&piped.outcomes[0]), "accepted", "{}: {json}: {:?}", event.name, piped.outcomes);
            assert_eq!(world.rows(&piped)[0].0, event.name);
        }
        for (json, wanted) in &event.fail {
            assert_eq!(code(&run(json).outcomes[0]), wanted, "{}: {json}", event.name);
        }
        checked += event.pass.len() + event.fail.len();
    }
    assert!(checked >= 40);
}

#[test]
fn a_row_has_the_columns_of_its_event() {
    let body = format!(
        r#"{{"sent_at":"2026-11-20T11:59:59Z","country":"FR","user_id":"u",{CONSENT},"context":{{"app_version":"4.2.0","os":"iPadOS","os_version":"18.1","device_model":"iPhone7,2","latitude":48.1,"locale":"fr-FR","ip":"203.0.113.7"}},
        "events":[{{"id":"1","event":"purchase","time":1795161600000,"properties":{{"result":"ok","items":2,"amount":19.99,"currency":"EUR","note":"to anna@example.com"}}}}]}}"#
    );
    let piped = world().native(&body).unwrap();
    assert_eq!(piped.dropped_properties, 1);
    assert_eq!(piped.batches[0].region(), Region::De);
    let rows = world().rows(&piped);
    let wanted = [
        ("country", "FR"),
        ("app", "camera"),
        ("app_version", "4.2.0"),
        ("os", "ios"),
        ("os_version", "18.1"),
        ("device_model", "iPhone7,2"),
        ("result", "ok"),
        ("items", "2"),
        ("amount", "1999"),
        ("currency", "EUR"),
    ];
    for (name, value) in wanted {
        assert_eq!(column(&rows[0], name), Some(value), "{name}");
    }
    assert_eq!(rows[0].1.len(), wanted.len());
}

#[test]
fn lists_lines_and_single_events_are_read() {
    let one = click("");
    for (body, count) in [
        (one.clone(), 1),
        (format!("[{one},{one}]"), 2),
        (format!("{one}\n{one}\r\n\n{one}\n"), 3),
        (format!(r#"{{"events":[{one}]}}"#), 1),
        (r#"{"events":[]}"#.to_owned(), 0),
        ("[]".to_owned(), 0),
    ] {
        let outcomes = world().outcomes(&body);
        assert_eq!(outcomes, vec![Outcome::Accepted; count], "{body}");
    }
}

#[test]
fn what_is_wrong_with_one_event_leaves_the_others() {
    let events = [
        (click(""), "accepted"),
        ("5".to_owned(), "bad_event"),
        ("null".to_owned(), "bad_event"),
        ("[{}]".to_owned(), "bad_event"),
        ("{}".to_owned(), "missing_event"),
        (click(r#","event":7"#), "wrong_type"),
        (click(r#","event":"canary_event""#), "unknown_event"),
        (click(r#","id":"""#), "bad_id"),
        (click(r#","id":{}"#), "bad_id"),
        (click(&format!(r#","id":"{}""#, "x".repeat(257))), "bad_id"),
        (click(r#","time":"canary""#), "bad_time"),
        (click(r#","time":"2031-01-01T00:00:00Z""#), "in_future"),
        (click(r#","time":"2026-11-20T12:09:59Z""#), "accepted"),
        (click(r#","time":"1999-01-01T00:00:00Z""#), "too_old"),
        (click(r#","time":"2031-01-01T00:00:00Z","sent_at":"2031-01-01T00:00:01Z""#), "accepted"),
        (click(r#","user_id":true"#), "bad_identifier"),
        (click(r#","country":"ZZ""#), "unknown_country"),
        (click(r#","country":"canary""#), "unknown_country"),
        (click(r#","country":null"#), "accepted"),
        (click(r#","properties":[]"#), "wrong_type"),
        (click(r#","context":"canary""#), "wrong_type"),
        (click(r#","context":{"os":5}"#), "wrong_type"),
        // Of what is said twice the last counts that is not null.
        (click(r#","consent":null"#), "accepted"),
        (click("").replacen(CONSENT, r#""consent":null"#, 1), "no_consent"),
        (click(r#","consent":{"policy_version":"canary"}"#), "policy_version"),
        (click(r#","consent":{"policy_version":"2026-1","age":15}"#), "minor"),
        (click(r#","consent":{"policy_version":"2026-1","age":"15"}"#), "minor"),
        (click(r#","consent":{"policy_version":"2026-1","age":[15]}"#), "bad_consent"),
        (click(r#","consent":{"policy_version":"2026-1","canary":1}"#), "bad_consent"),
        (click(r#","consent":{"policy_version":"2026-1","granted_at":"canary"}"#), "bad_consent"),
        (click(r#","consent":"canary""#), "bad_consent"),
        (click(r#","consent":{"policy_version":"2026-1","granted":false}"#), "no_consent"),
        (
            click(r#","consent":{"policy_version":"2026-1","granted_at":"2026-11-20T08:00:01Z"}"#),
            "no_consent",
        ),
    ];
    let body = format!("[{}]", events.each_ref().map(|(e, _)| e.as_str()).join(","));
    let outcomes = world().outcomes(&body);
    for ((event, wanted), outcome) in events.iter().zip(&outcomes) {
        assert_eq!(code(outcome), *wanted, "{event}");
        assert!(!format!("{outcome:?}").contains("canary"));
    }
    let answer = world().native(&body).unwrap().into_answer(KeyKind::Server);
    assert_eq!(answer.received, events.len() as u64);
    assert_eq!(answer.received, answer.accepted + answer.duplicate + answer.withheld + answer.rejected);
    assert_eq!((answer.accepted, answer.withheld), (5, 6));
}

#[test]
fn what_is_wrong_with_the_consent_of_a_batch_leaves_the_events_that_have_their_own() {
    let without = r#"{"id":"2","event":"click","user_id":"u","country":"DE","properties":{"screen":"home","element":"ok"}}"#;
    let body = format!(
        r#"{{"consent":{{"policy_version":"2026-1","canary":1}},"events":[{},{without}]}}"#,
        click("")
    );
    let codes: Vec<_> = world().outcomes(&body).iter().map(code).collect();
    assert_eq!(codes, ["accepted", "bad_consent"]);
}

#[test]
fn a_body_with_a_byte_order_mark_is_read() {
    let body = [&[0xef, 0xbb, 0xbf], click("").as_bytes()].concat();
    let packed = {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&body).unwrap();
        gzip.finish().unwrap()
    };
    for body in [body, packed] {
        let piped = world().run(&request(Protocol::Native, &body), &grant(None), now()).unwrap();
        assert_eq!(piped.outcomes, [Outcome::Accepted]);
    }
}

#[test]
fn limits_refuse_the_body_and_never_quote_it() {
    let limits = &world().config.limits;
    for (body, wanted) in [
        (String::new(), "empty_body"),
        ("canary".to_owned(), "bad_json"),
        ("[canary".to_owned(), "bad_json"),
        (format!("{}canary", click("")), "bad_json"),
        (format!(r#"{{"events":5,"x":{}}}"#, 1), "wrong_type"),
        (format!("[{}0]", "0,".repeat(limits.events_max)), "too_many_events"),
        (
            format!(
                "[{}{{}}]",
                format!("{{\"a\":[{}0]}},", "0,".repeat(9_000)).repeat(limits.values_max / 9_000 + 1)
            ),
            "too_many_values",
        ),
    ] {
        let refusal =
            world().native(&body).err().unwrap_or_else(|| panic!("{}", &body[..body.len().min(80)]));
        assert_eq!(refusal.code.as_str(), wanted, "{}", &body[..body.len().min(80)]);
        assert!(!refusal.reason.contains("canary"));
    }
    let request = request(Protocol::Native, b"\xff\xfe[");
    assert_eq!(world().run(&request, &grant(None), now()).err().unwrap().code.as_str(), "not_utf8");
    let many = (0..70).map(|i| format!("\"p{i}\":1")).collect::<Vec<_>>().join(",");
    let outcomes = world().outcomes(&click(&format!(",\"properties\":{{{many}}}")));
    assert_eq!(code(&outcomes[0]), "too_many_properties");
}

#[test]
fn a_wrong_clock_is_corrected_by_years() {
    let undated = click(r#","time":"2000-01-01T23:00:00Z","consent":{"policy_version":"2026-1"}"#);
    let body = format!(r#"{{"sent_at":"2000-01-02T00:00:00Z","events":[{undated}]}}"#);
    let piped = world().native(&body).unwrap();
    let bytes = row::rows(piped.batches[0].bytes()).next().unwrap().unwrap();
    assert_eq!(row::decode(bytes).unwrap().0.time_ms, now() - 3_600_000);
}

#[test]
fn a_resend_has_the_same_fingerprint_and_another_app_does_not() {
    let fingerprints = |body: &str, app: &str| {
        let grant = IngestGrant { app: app.into(), ..grant(None) };
        let piped = world().run(&request(Protocol::Native, body.as_bytes()), &grant, now()).unwrap();
        piped.batches[0].rows().iter().map(|r| r.fingerprint).collect::<Vec<_>>()
    };
    let other = click("").replace("home", "settings");
    assert_eq!(fingerprints(&click(""), "a"), fingerprints(&other, "a"));
    assert_ne!(fingerprints(&click(""), "a"), fingerprints(&click(""), "b"));
    let without = |body: &str| body.replacen(r#""id":"1","#, "", 1);
    assert_eq!(fingerprints(&without(&click("")), "a"), fingerprints(&without(&click("")), "a"));
    assert_ne!(fingerprints(&without(&click("")), "a"), fingerprints(&without(&other), "a"));
}

#[test]
fn dimensions_with_a_match_are_dropped_and_text_is_scrubbed() {
    let crash = format!(
        r#"{{"id":"1","event":"app_crash","country":"DE","user_id":"u",{CONSENT},"properties":{{"exception_type":"E","screen":"anna@example.com","message":"no stream for anna@example.com","thread":"main",
        "frames":[{{"module":"com.example","function":"run$lambda$12","file":"/Users/anna/app/Main.kt","line":3}},{{"function":"anna@example.com"}}]}}}}"#
    );
    let piped = world().native(&crash).unwrap();
    assert_eq!(piped.dropped_properties, 1);
    let rows = world().rows(&piped);
    assert_eq!(column(&rows[0], "screen"), None);
    assert!(column(&rows[0], "message").unwrap().starts_with("no stream for <"));
    assert_eq!(column(&rows[0], "crash_group").unwrap().len(), 16);
    assert!(column(&rows[0], "stack").unwrap().contains("com.example.run"));
    assert!(!format!("{rows:?}").contains("anna"));
    let other_build = crash.replace("lambda$12", "lambda$13").replace("\"line\":3", "\"line\":99");
    let other = world().rows(&world().native(&other_build).unwrap());
    assert_eq!(column(&rows[0], "crash_group"), column(&other[0], "crash_group"));
    let other_cause = world().rows(&world().native(&crash.replace("com.example", "com.other")).unwrap());
    assert_ne!(column(&rows[0], "crash_group"), column(&other_cause[0], "crash_group"));
}

#[test]
fn an_event_s_own_identifiers_leave_its_values() {
    let body = format!(
        r#"{{"event":"app_crash","country":"DE","user_id":"kestrel","install_id":"in","session_id":"heron-7",{CONSENT},"properties":{{"exception_type":"E","screen":"of-kestrel","message":"kestrel in heron-7","frames":["login_kestrel"]}}}}"#
    );
    let piped = world().native(&body).unwrap();
    assert_eq!((piped.outcomes[0].status(), piped.dropped_properties), ("accepted", 1));
    let rows = world().rows(&piped);
    assert_eq!(column(&rows[0], "message"), Some("<identifier> in <identifier>"));
    assert_eq!(column(&rows[0], "stack"), Some("login_<identifier>\n"));
    assert_eq!(column(&rows[0], "screen"), None);
}

#[test]
fn an_owner_s_name_of_a_device_is_not_kept() {
    let profile = |name: &str| {
        let body = format!(
            r#"{{"id":"1","event":"device_profile","country":"SG","serial_number":"C1",{CONSENT},"context":{{"device_model":"C6N"}},"properties":{{"device_name":"{name}","mac":"00:11:22:33:44:55"}}}}"#
        );
        let piped = world().native(&body).unwrap();
        assert_eq!(piped.outcomes, [Outcome::Accepted]);
        let rows = world().rows(&piped);
        (column(&rows[0], "device_name").map(str::to_owned), piped.dropped_properties)
    };
    assert_eq!(profile("Anna's camera"), (None, 1));
    assert_eq!(profile("C6N"), (Some("C6N".to_owned()), 0));
    assert_eq!(world().registry.event("device_profile").unwrap().kind, Kind::Device);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_answered(protocol in 0..Protocol::ALL.len(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = world().run(&request(Protocol::ALL[protocol], &body), &grant(None), now());
    }

    #[test]
    fn a_damaged_body_is_answered(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut body = format!("[{},{}]", click(""), click(r#","context":{"os":"ios"}"#)).into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = world().run(&request(Protocol::Native, &body), &grant(None), now());
        body.truncate(cut.index(body.len()));
        let _ = world().run(&request(Protocol::Native, &body), &grant(None), now());
    }

    #[test]
    fn any_value_of_any_field_is_answered(field in "[a-z_]{1,9}", value in r#"(null|true|-?[0-9]{1,22}|1e99|"[a-z@. ]{0,30}"|\[\]|\{\}|\[\{"a":1\}\])"#) {
        for name in [field.as_str(), "id", "event", "time", "consent", "context", "properties", "user_id", "country", "events", "sent_at"] {
            if let Ok(piped) = world().native(&click(&format!(",\"{name}\":{value}"))) {
                let answer = piped.into_answer(KeyKind::Server);
                prop_assert_eq!(answer.received, answer.accepted + answer.withheld + answer.rejected);
            }
        }
    }
}
