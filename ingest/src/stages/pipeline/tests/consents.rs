//! What refuses counts wherever a consent stands, in every protocol and spelling; so does an age, and what cannot be read.

use super::*;

/// What stands in the place of a consent, and what becomes of the event under a key that asserts consent.
const SAID: [(&str, &str); 24] = [
    ("null", "accepted"),
    ("{}", "accepted"),
    ("true", "accepted"),
    (r#""granted""#, "accepted"),
    (r#"{"granted":true}"#, "accepted"),
    (r#"{"age":40}"#, "accepted"),
    ("false", "no_consent"),
    ("0", "no_consent"),
    (r#""denied""#, "no_consent"),
    (r#"{"granted":false}"#, "no_consent"),
    (r#"{"Granted":"false"}"#, "no_consent"),
    (r#"{"status":"DENIED"}"#, "no_consent"),
    (r#"{"state":"revoked"}"#, "no_consent"),
    (r#"{"value":false,"age":40}"#, "no_consent"),
    (r#"{"age":12}"#, "minor"),
    (r#"{"AGE":" 12.5 "}"#, "minor"),
    (r#"{"age":12,"Age":40}"#, "minor"),
    (r#"{"age":12,"granted":false}"#, "minor"),
    (r#""no""#, "bad_consent"),
    (r#"["denied"]"#, "bad_consent"),
    ("2", "bad_consent"),
    (r#"{"Age":[12]}"#, "bad_consent"),
    (r#"{"GRANTED":"no"}"#, "bad_consent"),
    (r#"{"Status":7}"#, "bad_consent"),
];

fn outcome(protocol: Protocol, body: &str) -> &'static str {
    let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) };
    let piped = world().run(&request(protocol, body.as_bytes()), &grant, now()).unwrap();
    let codes: Vec<_> = piped.outcomes.iter().map(code).collect();
    assert_eq!(codes.len(), 1, "{body}");
    codes[0]
}

fn segment(member: &str) -> String {
    format!(r#"{{"batch":[{{"type":"track","event":"app_open","messageId":"1","userId":"u",{member}}}]}}"#)
}

fn of_segment_batch(member: &str) -> String {
    format!(r#"{{{member},"batch":[{{"type":"track","event":"app_open","messageId":"1","userId":"u"}}]}}"#)
}

fn crash(member: &str) -> String {
    format!(
        "{{}}\n{{\"type\":\"event\"}}\n{{\"exception\":{{\"values\":[{{\"type\":\"E\"}}]}},\"user\":{{\"id\":\"u\"}},{member}}}\n"
    )
}

fn session(member: &str) -> String {
    format!("{{}}\n{{\"type\":\"session\"}}\n{{\"sid\":\"s\",\"did\":\"u\",{member}}}\n")
}

fn span(member: &str) -> String {
    format!(
        "{{}}\n{{\"type\":\"span\"}}\n{{\"op\":\"http.client\",\"description\":\"GET /v1/x\",\"start_timestamp\":1795176000,\"timestamp\":1795176001,\"data\":{{\"user.id\":\"u\",{member}}}}}\n"
    )
}

#[test]
fn what_a_vendors_event_says_of_consent_counts_wherever_it_stands() {
    let context = |name: &'static str, member: &'static str| {
        move |said: &str| format!(r#""{name}":{{"{member}":{said}}}"#)
    };
    let root = |name: &'static str| move |said: &str| format!(r#""{name}":{said}"#);
    for (said, wanted) in SAID {
        for member in [
            context("context", "consent")(said),
            context("Context", "CONSENT")(said),
            root("consent")(said),
            root("Consent")(said),
            root("context.consent")(said),
        ] {
            assert_eq!(outcome(Protocol::Segment, &segment(&member)), wanted, "{member}");
            assert_eq!(outcome(Protocol::Segment, &of_segment_batch(&member)), wanted, "{member}");
        }
        for member in [
            context("contexts", "consent")(said),
            context("contexts", "Consent")(said),
            root("consent")(said),
            context("context", "consent")(said),
            root("contexts.consent")(said),
        ] {
            assert_eq!(outcome(Protocol::Sentry, &crash(&member)), wanted, "{member}");
            assert_eq!(outcome(Protocol::Sentry, &session(&member)), wanted, "{member}");
            assert_eq!(outcome(Protocol::Sentry, &span(&member)), wanted, "{member}");
        }
    }
    for (member, wanted) in [
        (r#""consent.granted":false"#, "no_consent"),
        (r#""context.consent.age":12"#, "minor"),
        (r#""contexts.Consent.Age":"x""#, "bad_consent"),
        (r#""consented":false,"consents":{"granted":false}"#, "accepted"),
        (r#""tags":{"plan":"consent"}"#, "accepted"),
    ] {
        assert_eq!(outcome(Protocol::Segment, &segment(member)), wanted, "{member}");
        assert_eq!(outcome(Protocol::Sentry, &crash(member)), wanted, "{member}");
    }
    // Longer or deeper than a value may be: it is not known what it says.
    let long = format!(r#""{}""#, "x".repeat(70_000));
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    for said in [&long, &deep] {
        for member in [
            context("context", "consent")(said),
            context("context", "consent")(&format!(r#"{{"granted":{said}}}"#)),
        ] {
            assert_eq!(outcome(Protocol::Segment, &segment(&member)), "bad_consent");
            assert_eq!(outcome(Protocol::Sentry, &crash(&member)), "bad_consent");
        }
    }
    for (header, wanted) in
        [(r#"{"consent":false}"#, "no_consent"), (r#"{"contexts":{"Consent":{"age":12}}}"#, "minor")]
    {
        let body = crash(r#""tags":{}"#).replacen("{}", header, 1);
        assert_eq!(outcome(Protocol::Sentry, &body), wanted, "of all items");
    }
    // What refuses comes before what cannot be read, and the lesser of two ages counts.
    for (member, wanted) in [
        (r#""context":{"consent":"no"},"consent":false"#, "no_consent"),
        (r#""context":{"consent":{"policy_version":"2026-1","age":40}},"consent":{"age":12}"#, "minor"),
        (r#""context":{"consent":{"policy_version":"2026-1"}},"consent":{"age":"x"}"#, "bad_consent"),
        (r#""context":{"consent":{"policy_version":"2026-1"}},"consent":{"age":40}"#, "accepted"),
    ] {
        assert_eq!(outcome(Protocol::Segment, &segment(member)), wanted, "{member}");
    }
}

#[test]
fn categories_that_cannot_be_read_or_are_denied_withhold_wherever_they_stand() {
    for (said, wanted) in [
        ("false", "no_consent"),
        (r#""denied""#, "no_consent"),
        (r#"["Analytics"]"#, "no_consent"),
        ("true", "no_consent"),
        (r#"{"deniedConsentIds":["Analytics"]}"#, "no_consent"),
        (r#"{"deniedConsentIds":{"0":"Analytics"}}"#, "no_consent"),
        (r#"{"allowedConsentIds":["Analytics"]}"#, "accepted"),
        ("{}", "accepted"),
        ("null", "accepted"),
    ] {
        for name in ["consentManagement", "ConsentManagement", "consent_management"] {
            let member = format!(r#""context":{{"{name}":{said}}}"#);
            assert_eq!(outcome(Protocol::Segment, &segment(&member)), wanted, "{member}");
            assert_eq!(outcome(Protocol::Segment, &of_segment_batch(&member)), wanted, "{member}");
            let member = format!(r#""contexts":{{"{name}":{said}}}"#);
            assert_eq!(outcome(Protocol::Sentry, &crash(&member)), wanted, "{member}");
        }
    }
    for (said, wanted) in [
        (r#"{"Analytics":false}"#, "no_consent"),
        (r#"{"Analytics":null}"#, "no_consent"),
        (r#"[]"#, "no_consent"),
        (r#"{"Analytics":true}"#, "accepted"),
    ] {
        for member in [
            format!(r#""contexts":{{"consent":{{"categoryPreferences":{said}}}}}"#),
            format!(r#""Contexts":{{"Consent":{{"category_preferences":{said}}}}}"#),
        ] {
            assert_eq!(outcome(Protocol::Sentry, &crash(&member)), wanted, "{member}");
        }
    }
}

#[test]
fn a_native_consent_in_a_context_is_one_under_another_name() {
    let event = |member: &str| format!(r#"{{"event":"app_open","country":"DE","user_id":"u",{member}}}"#);
    for (said, _) in SAID {
        let wanted = if said == "null" { "accepted" } else { "bad_consent" };
        for member in [
            format!(r#""context":{{"consent":{said}}}"#),
            format!(r#""context":{{"os":"ios","Consent":{said}}}"#),
            format!(r#""Context":{{"consent":{said}}}"#),
            format!(r#""context.consent":{said}"#),
            format!(r#""context":{{"consent.granted":{said}}}"#),
            format!(r#""consent":{{"policy_version":"2026-1"}},"context":{{"consent":{said}}}"#),
        ] {
            assert_eq!(outcome(Protocol::Native, &event(&member)), wanted, "{member}");
        }
    }
    // In a batch: what refuses counts for an event with a consent of its own, too.
    let own = r#","consent":{"policy_version":"2026-1"}"#;
    for (member, alone, beside) in [
        (r#""context":{"consent":{"granted":false}}"#, "bad_consent", "no_consent"),
        (r#""context":{"consent":{"Granted":false}}"#, "bad_consent", "no_consent"),
        (r#""context":{"Consent":false}"#, "bad_consent", "no_consent"),
        (r#""Context":{"consent":{"age":12}}"#, "bad_consent", "minor"),
        (r#""context.consent.age":12"#, "bad_consent", "minor"),
        (r#""consent.age":12"#, "bad_consent", "minor"),
        (r#""context":{"consent":"no"}"#, "bad_consent", "accepted"),
        (r#""context":{"os":"ios"}"#, "accepted", "accepted"),
    ] {
        for (own, wanted) in [("", alone), (own, beside)] {
            let body = format!(
                r#"{{{member},"country":"DE","events":[{{"event":"app_open","user_id":"u"{own}}}]}}"#
            );
            assert_eq!(outcome(Protocol::Native, &body), wanted, "{body}");
        }
    }
}
