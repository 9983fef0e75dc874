//! Whoever has withdrawn in some form is not kept in an event that names them in the same form, and what stands in the place of an
//! identifier and is none makes the event a rejected one.

use super::*;
use crate::consents::{Body, Reader, read};

/// Members that name somebody, `X`, in the forms in which a withdrawal is understood.
const FORMS: [&str; 40] = [
    r#""user_id":"X""#,
    r#""userId":"X""#,
    r#""USER-ID":"X""#,
    r#""$user_id":"X""#,
    r#""user":"X""#,
    r#""user":{"id":"X"}"#,
    r#""User":{"userId":"X"}"#,
    r#""user":{"user":{"id":"X"}}"#,
    r#""user.id":"X""#,
    r#""subject":{"user_id":"X"}"#,
    r#""subject":{"user":{"id":"X"}}"#,
    r#""subject.user.id":"X""#,
    r#""subject":[{"userId":"X"}]"#,
    r#""subjects":[7,{"install_id":"X"}]"#,
    r#""identifiers":{"installId":"X"}"#,
    r#""context":{"user_id":"X"}"#,
    r#""context":{"user":{"id":"X"}}"#,
    r#""context":{"subject":{"anonymous_id":"X"}}"#,
    r#""Context":{"userId":"X"}"#,
    r#""context.user_id":"X""#,
    r#""install_id":"X""#,
    r#""anonymous_id":"X""#,
    r#""anonymousId":"X""#,
    r#""install":{"id":"X"}"#,
    r#""install":"X""#,
    r#""installation":{"id":"X"}"#,
    r#""installation_id":"X""#,
    r#""device_id":"X""#,
    r#""device":{"id":"X"}"#,
    r#""device":{"device_id":"X"}"#,
    r#""device":"X""#,
    r#""context":{"device":{"id":"X"}}"#,
    r#""context":{"device":"X"}"#,
    r#""context":{"device_id":"X"}"#,
    r#""serial_number":"X""#,
    r#""serialNumber":"X""#,
    r#""serial":"X""#,
    r#""device":{"serial_number":"X"}"#,
    r#""device":{"serial":"X"}"#,
    r#""device":{"model":"C6N","user":{"id":"X"}}"#,
];

/// A key for one programme and one region, which asserts consent.
fn asserting() -> IngestGrant {
    IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) }
}

/// Records a body of `POST /v1/consents`, of which nothing is refused.
fn record(world: &World, body: &str) -> Vec<&'static str> {
    let (grant, limits) = (asserting(), &world.config.limits);
    let reader = Reader { grant: &grant, registry: &world.registry, keyring: &world.keyring, limits };
    let read = read(&request(Protocol::Native, body.as_bytes()), &reader);
    let Body { changes, refused, .. } = read.unwrap_or_else(|refusal| panic!("{body}: {}", refusal.reason));
    assert!(refused.is_none(), "{body}: {}", refused.unwrap().reason);
    world.recorded.record(&changes).unwrap().identifiers
}

fn codes(world: &World, protocol: Protocol, body: &str) -> Vec<&'static str> {
    let piped = world.run(&request(protocol, body.as_bytes()), &asserting(), now());
    let piped = piped.unwrap_or_else(|refusal| panic!("{body}: {}", refusal.reason));
    piped.outcomes.iter().map(code).collect()
}

/// Bodies of one event that has these members, or that its batch has them.
fn bodies(members: &str) -> Vec<(Protocol, String)> {
    let (native, track) = (
        format!(r#"{{"event":"app_open",{members}}}"#),
        format!(r#"{{"type":"track","event":"app_open",{members}}}"#),
    );
    vec![
        (Protocol::Native, native.clone()),
        (Protocol::Native, format!("[{native}]")),
        (Protocol::Native, format!("{native}\n{native}")),
        (Protocol::Native, format!(r#"{{"events":[{native}]}}"#)),
        (Protocol::Native, format!(r#"{{{members},"events":[{{"event":"app_open"}}]}}"#)),
        (Protocol::Native, format!(r#"{{"events":[{{"event":"app_open"}}],{members}}}"#)),
        (Protocol::Segment, track.clone()),
        (Protocol::Segment, format!(r#"{{"batch":[{track}]}}"#)),
        (Protocol::Segment, format!(r#"{{"batch":[{{"type":"track","event":"app_open"}}],{members}}}"#)),
    ]
}

#[test]
fn whoever_has_withdrawn_in_a_form_is_not_kept_in_it() {
    let world = World::new();
    for (at, form) in FORMS.iter().enumerate() {
        let members = form.replace('X', &format!("somebody-{at}"));
        let expect = |wanted: &str, members: &str| {
            for (protocol, body) in bodies(members) {
                let codes = codes(&world, protocol, &body);
                assert!(!codes.is_empty() && codes.iter().all(|code| *code == wanted), "{body}: {codes:?}");
            }
        };
        expect("accepted", &members);
        let kinds = record(&world, &format!(r#"{{"action":"withdraw",{members}}}"#));
        assert_eq!(kinds.len(), 1, "{members}");
        expect("withdrawn", &members);
        // Whoever is named beside is not whom the event is of alone.
        expect(
            "withdrawn",
            &format!(
                r#""user_id":"other","install_id":"other","device_id":"o","serial_number":"o",{members}"#
            ),
        );
        expect("withdrawn", &format!(r#"{members},"anonymousId":"other","session_id":"s""#));
        expect("accepted", &form.replace('X', "somebody-else"));
    }
}

#[test]
fn what_is_no_identifier_in_the_place_of_one_makes_the_event_a_rejected_one() {
    let (long, huge) = (format!("\"{}\"", "x".repeat(257)), format!("\"{}\"", "x".repeat(70_000)));
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let bad = ["true", "false", r#"["u"]"#, "1.5", "1e300", "18446744073709551616", &long, &huge, &deep];
    let forms = FORMS.iter().filter(|form| form.contains(r#""X""#));
    for (at, form) in forms.enumerate() {
        // All of them in one form, and some in each.
        for value in
            bad.iter().skip(if at == 0 { 0 } else { at % bad.len() }).step_by(if at == 0 { 1 } else { 4 })
        {
            let members = form.replace(r#""X""#, value);
            for (protocol, body) in bodies(&members) {
                let codes = codes(world(), protocol, &body);
                assert!(codes.iter().all(|code| *code == "bad_identifier"), "{body:.300}: {codes:?}");
            }
        }
    }
    for members in [
        r#""user_id":[]"#,
        r#""user_id":{"id":"u"}"#,
        r#""userId":{}"#,
        r#""anonymousId":{"id":1}"#,
        r#""device":{"id":{}}"#,
    ] {
        for (protocol, body) in bodies(members) {
            assert!(codes(world(), protocol, &body).iter().all(|code| *code == "bad_identifier"), "{body}");
        }
    }
    // What says nobody is no fault, and neither is an object about somebody without an identifier.
    let zeros =
        format!(r#""user_id":null,"userId":"","user":{{"id":" "}},"anonymousId":"{}""#, "0".repeat(300));
    for members in [
        zeros.as_str(),
        r#""user":{"name":"a","plan":true},"device":{"model":"C6N"},"install":[],"subject":"x""#,
    ] {
        let members = match members == zeros {
            // The documented name has a limit whatever is in it.
            true => members.replace("anonymousId", "userid"),
            false => members.to_owned(),
        };
        for (protocol, body) in bodies(&members) {
            assert!(codes(world(), protocol, &body).iter().all(|code| *code == "accepted"), "{body:.300}");
        }
    }
    // A message costs itself, and not the batch.
    let track = |id: &str| format!(r#"{{"type":"track","event":"app_open","userId":{id}}}"#);
    let body = format!(r#"{{"batch":[{},{},{}]}}"#, track("\"a\""), track(&long), track("\"b\""));
    assert_eq!(codes(world(), Protocol::Segment, &body), ["accepted", "bad_identifier", "accepted"]);
    // So does a property that is an identifier.
    let profile = |serial: &str| {
        let grant = IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::DeviceExperience)) };
        let body = format!(
            r#"{{"type":"track","event":"device_profile","context":{{"device":{{"id":"d"}}}},"properties":{{"serial_number":{serial}}}}}"#
        );
        code(&world().run(&request(Protocol::Segment, body.as_bytes()), &grant, now()).unwrap().outcomes[0])
    };
    assert_eq!([profile("\"S-1\""), profile("null")], ["accepted"; 2]);
    assert_eq!(
        [profile(&long), profile("[\"S\"]"), profile(&huge)],
        ["too_long", "wrong_type", "wrong_type"]
    );
}

#[test]
fn an_identifier_of_a_batch_that_is_none_rejects_the_events_that_it_may_be_of() {
    let long = format!("\"{}\"", "x".repeat(300));
    for (of_batch, of_event, wanted) in [
        (r#""user_id":BAD"#, r#""user_id":"u""#, "accepted"),
        (r#""user_id":BAD"#, r#""user":{"id":"u"}"#, "accepted"),
        (r#""user_id":BAD"#, r#""install_id":"i""#, "bad_identifier"),
        (r#""user_id":BAD,"install_id":"i""#, r#""session_id":"s""#, "bad_identifier"),
        (r#""user_id":BAD"#, r#""user_id":"undefined""#, "bad_identifier"),
        (r#""device_id":BAD"#, r#""user_id":"u""#, "accepted"),
        (r#""device_id":BAD,"user_id":"u""#, r#""session_id":"s""#, "accepted"),
        (r#""serial_number":BAD"#, r#""session_id":"s""#, "bad_identifier"),
        (r#""context":{"device":{"id":BAD}}"#, r#""session_id":"s""#, "bad_identifier"),
        (r#""session_id":BAD"#, r#""user_id":"u""#, "accepted"),
    ] {
        for bad in [long.as_str(), "true", "[1]"] {
            let of_batch = of_batch.replace("BAD", bad);
            let body = format!(r#"{{{of_batch},"events":[{{"event":"app_open",{of_event}}}]}}"#);
            let piped =
                world().run(&request(Protocol::Native, body.as_bytes()), &asserting(), now()).unwrap();
            assert_eq!(code(&piped.outcomes[0]), wanted, "{body}");
            assert_eq!(piped.aside.batch_faults.len(), 1, "{body}");
            let body =
                format!(r#"{{{of_batch},"batch":[{{"type":"track","event":"app_open",{of_event}}}]}}"#);
            assert_eq!(codes(world(), Protocol::Segment, &body), [wanted], "{body}");
        }
    }
}

#[test]
fn what_may_be_another_thing_is_no_subject_and_agrees_for_nobody() {
    let world = World::new();
    let head = |members: &str| {
        let body = format!(r#"{{"event":"app_open",{members}}}"#);
        let piped = world.run(&request(Protocol::Native, body.as_bytes()), &asserting(), now()).unwrap();
        assert_eq!(code(&piped.outcomes[0]), "accepted", "{body}");
        let bytes = row::rows(piped.batches[0].bytes()).next().unwrap().unwrap();
        let model = column(&world.rows(&piped)[0], "device_model").map(str::to_owned);
        (row::decode(bytes).unwrap().0, model)
    };
    let (nobody, _) = head(r#""session_id":"s""#);
    for members in
        [r#""device":"C6N""#, r#""serial":7"#, r#""install":"organic""#, r#""context":{"device":"C6N"}"#]
    {
        assert_eq!(head(members).0.subject, nobody.subject, "{members}");
    }
    let of = |members: &str| head(members).0.subject;
    for (same, as_field) in [
        (r#""user":"u""#, r#""user_id":"u""#),
        (r#""user":{"id":"u"}"#, r#""user_id":"u""#),
        (r#""user":{"id":"u"},"user_id":"undefined""#, r#""user_id":"u""#),
        (r#""anonymousId":"i""#, r#""install_id":"i""#),
        (r#""context":{"device":{"id":"d"}}"#, r#""device_id":"d""#),
        // The field comes before other names of it, in whichever order.
        (r#""user":"v","user_id":"u""#, r#""user_id":"u""#),
        (r#""user_id":"u","subject":{"user_id":"v"}"#, r#""user_id":"u""#),
    ] {
        assert_eq!(of(same), of(as_field), "{same}");
    }
    // A model in the place of a device is no word to take out of the texts.
    let model = r#""user_id":"u","device":"kestrel-9","context":{"device_model":"kestrel-9"}"#;
    assert_eq!(head(model).1.as_deref(), Some("kestrel-9"));
    let named = r#""user_id":"u","user":{"id":"kestrel-9"},"context":{"device_model":"kestrel-9"}"#;
    assert_eq!(head(named).1, None, "and somebody is");
    // Who agreed under an identifier beside another does not for whoever the event is of.
    world.record(&[Programme::UserExperience], IdentifierKind::User, "v", |_| {});
    world.record(&[Programme::UserExperience], IdentifierKind::Device, "C6N", |_| {});
    for (members, wanted) in [
        (r#""user_id":"v""#, "accepted"),
        (r#""user_id":"u","user":"v""#, "no_consent"),
        (r#""user_id":"u","device":"C6N""#, "no_consent"),
    ] {
        let body = format!(r#"{{"event":"app_open","country":"DE",{members}}}"#);
        let piped = world.run(&request(Protocol::Native, body.as_bytes()), &grant(None), now()).unwrap();
        assert_eq!(code(&piped.outcomes[0]), wanted, "{members}");
    }
}

#[test]
fn an_event_that_names_more_than_can_be_looked_up_is_rejected() {
    let world = World::new();
    record(&world, r#"{"action":"withdraw","user_id":"u-16"}"#);
    let named = |count: usize| {
        let each: Vec<String> = (0..count).map(|at| format!(r#"{{"user_id":"u-{at}"}}"#)).collect();
        format!(r#""subjects":[{}]"#, each.join(","))
    };
    for (count, wanted) in
        [(16, "accepted"), (17, "withdrawn"), (18, "bad_identifier"), (5000, "bad_identifier")]
    {
        for (protocol, body) in bodies(&named(count)) {
            assert!(codes(&world, protocol, &body).iter().all(|code| *code == wanted), "{count} {body:.200}");
        }
    }
}
