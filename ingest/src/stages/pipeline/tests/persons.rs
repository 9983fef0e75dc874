//! Whose an event of Sentry's is, in whichever item it comes, and that nothing of what identifies the person stays in a text.

use super::*;

/// A server's key for DE that asserts consent.
fn asserting() -> IngestGrant {
    IngestGrant { regions: vec![Region::De], ..grant(Some(Programme::UserExperience)) }
}

fn sentry(world: &World, header: &str, items: &[(&str, String)]) -> Piped {
    let mut body = format!("{header}\n");
    for (kind, payload) in items {
        body += &format!("{{\"type\":\"{kind}\"}}\n{payload}\n");
    }
    world.run(&request(Protocol::Sentry, body.as_bytes()), &asserting(), now()).unwrap()
}

fn crash(members: &str) -> String {
    format!(r#"{{"exception":{{"values":[{{"type":"E","value":"v"}}]}},{members}}}"#)
}

/// The items that a person with this `user`, or this data, makes.
fn items(user: &str, data: &str, session: &str) -> [(&'static str, String); 4] {
    let request = r#""op":"http.client","description":"GET /v1/x","start_timestamp":1,"timestamp":2"#;
    [
        ("event", crash(&format!(r#""user":{user}"#))),
        (
            "transaction",
            format!(
                r#"{{"transaction":"home","contexts":{{"trace":{{"op":"pageload"}}}},"start_timestamp":1795176000,"timestamp":1795176001,"user":{user}}}"#
            ),
        ),
        (
            "span",
            format!(r#"{{{request},"data":{{{data}}}}}"#)
                .replace(":1,", ":1795176000,")
                .replace(":2,", ":1795176001,"),
        ),
        ("session", format!(r#"{{"sid":"s","status":"exited",{session}}}"#)),
    ]
}

fn subjects(piped: &Piped) -> Vec<[u8; 16]> {
    let rows = piped.batches.iter().flat_map(|batch| row::rows(batch.bytes()));
    rows.map(|bytes| row::decode(bytes.unwrap()).unwrap().0.subject).collect()
}

fn codes(piped: &Piped) -> Vec<&'static str> {
    piped.outcomes.iter().map(code).collect()
}

#[test]
fn one_person_of_sentry_is_one_subject_whichever_name_an_item_has() {
    let mail = "p@example.org";
    let of = |user: &str, data: &str, session: &str| {
        let piped = sentry(world(), "{}", &items(user, data, session));
        assert_eq!(codes(&piped), ["accepted"; 4], "{user}");
        subjects(&piped)
    };
    let did = format!(r#""did":"{mail}""#);
    let wanted = of(&format!(r#"{{"id":"{mail}"}}"#), &format!(r#""user.id":"{mail}""#), &did)[0];
    for (user, data, session) in [
        (format!(r#"{{"id":"{mail}"}}"#), format!(r#""user.id":"{mail}""#), did.clone()),
        (format!(r#"{{"email":"{mail}"}}"#), format!(r#""user.email":"{mail}""#), did.clone()),
        (
            format!(r#"{{"username":"{mail}"}}"#),
            format!(r#""user.name":"{mail}""#),
            format!(r#""attrs":{{"user.email":"{mail}"}}"#),
        ),
        (
            format!(r#"{{"id":"undefined","email":"{mail}","username":"anna"}}"#),
            format!(r#""user.username":"anna","user.email":"{mail}""#),
            format!(r#"{did},"attrs":{{"user":{{"username":"anna"}}}}"#),
        ),
    ] {
        assert_eq!(of(&user, &data, &session), [wanted; 4], "{user}");
    }
}

#[test]
fn what_is_recorded_under_any_name_of_a_person_of_sentry_holds() {
    let names = [r#""id":"4711""#, r#""email":"p@example.org""#, r#""username":"anna-b""#];
    let values = ["4711", "p@example.org", "anna-b"];
    let data = |at: &[usize]| {
        let key = ["user.id", "user.email", "user.name"];
        at.iter().map(|at| format!(r#""{}":"{}""#, key[*at], values[*at])).collect::<Vec<_>>().join(",")
    };
    for (withdrawn, value) in values.into_iter().enumerate() {
        let world = World::new();
        let withdraw = |record: &mut ConsentRecord| record.history.withdraw(None, 7);
        world.record(&[Programme::UserExperience], IdentifierKind::User, value, withdraw);
        for stated in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]] {
            let user: Vec<&str> = stated.iter().map(|at| names[*at]).collect();
            let session = format!(r#""did":"{}","attrs":{{{}}}"#, values[stated[0]], data(stated));
            let piped =
                sentry(&world, "{}", &items(&format!("{{{}}}", user.join(",")), &data(stated), &session));
            let wanted = if stated.contains(&withdrawn) { "withdrawn" } else { "accepted" };
            assert_eq!(codes(&piped), [wanted; 4], "{value} {stated:?}");
        }
        // The trace of an envelope names the person of all of its items.
        let header = format!(r#"{{"trace":{{"user_id":"{value}"}}}}"#);
        let piped = sentry(&world, &header, &items("{}", "", r#""did":"other""#));
        assert_eq!(codes(&piped)[3], "withdrawn", "{value}");
    }
}

#[test]
fn no_name_that_an_event_or_its_batch_states_stays_in_a_text() {
    let user =
        r#"{"id":"4711-22-9","username":"jdoekovic9","email":"a.smithers@x","name":"Annabel Smitherson"}"#;
    for name in ["4711-22-9", "jdoekovic9", "JDOEKOVIC9", "a.smithers", "Annabel Smitherson", "zkwqmutter77"]
    {
        let event = format!(
            r#"{{"exception":{{"values":[{{"type":"E-{name}","value":"login of {name}","stacktrace":{{"frames":[{{"function":"f","filename":"/x/{name}"}}]}}}}]}},"transaction":"profile of {name}","user":{user}}}"#
        );
        let piped = sentry(world(), r#"{"trace":{"user_id":"zkwqmutter77"}}"#, &[("event", event)]);
        let rows = world().rows(&piped);
        assert_eq!(column(&rows[0], "message"), Some("login of <identifier>"), "{name}");
        let all = format!("{:?}", rows[0].1).to_lowercase();
        assert!(!all.contains(&name.to_lowercase()), "{name}: {all}");
        assert!(matches!(column(&rows[0], "screen"), None | Some("profile of {}")), "{name}");
    }
    let kept =
        sentry(world(), "{}", &[("event", crash(r#""user":{"id":"4711-22-9"},"transaction":"profile""#))]);
    assert_eq!(column(&world().rows(&kept)[0], "screen"), Some("profile"));
    // Of a native event: what its batch says of others, what stands twice, what is a property.
    let screen = |batch: &str, event: &str, screen: &str| {
        let body = format!(
            r#"{{{batch}"country":"DE","consent":{{"policy_version":"2026-1"}},"events":[{{"event":"screen_view","properties":{{"screen":"{screen}"}},{event}}}]}}"#
        );
        let piped = world().native(&body).unwrap();
        assert_eq!(codes(&piped), ["accepted"], "{body}");
        column(&world().rows(&piped)[0], "screen").map(str::to_owned)
    };
    let own = r#""user_id":"bobkaremmsohn""#;
    for kind in ["user_id", "install_id", "device_id", "serial_number", "session_id"] {
        let batch = format!(r#""{kind}":"zkwqmutterlein","#);
        let event = format!(r#"{own},"{kind}":"vlkhaltermannx""#);
        for name in ["zkwqmutterlein", "vlkhaltermannx"] {
            assert_eq!(screen(&batch, &event, name), None, "{kind} {name}");
        }
        let context = format!(r#"{own},"context":{{"{kind}":"zkwqmutterlein"}},"{kind}":"vlkhaltermannx""#);
        assert_eq!(screen("", &context, "zkwqmutterlein"), None, "{kind}");
        assert_eq!(screen(&batch, &event, "home").as_deref(), Some("home"));
    }
    // It is the subject whom the event names, and consent of another one withholds nothing.
    let world = World::new();
    world.record(&[Programme::UserExperience], IdentifierKind::User, "zkwqmutterlein", |record| {
        record.history.withdraw(None, 7);
    });
    let body = r#"{"user_id":"zkwqmutterlein","country":"DE","consent":{"policy_version":"2026-1"},"events":[{"event":"app_open","user_id":"b"},{"event":"app_open"}]}"#;
    assert_eq!(codes(&world.native(body).unwrap()), ["accepted", "withdrawn"]);
}
