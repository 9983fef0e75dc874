//! What consent managers tell is recorded under whoever the message is of.

use shoal_privacy::consent::ConsentIndex;
use shoal_schemas::{
    IdentifierKind::{self, Device, Install, Serial, User},
    Programme, Protocol, Region,
};

use super::{NOW, Place};
use crate::{
    config::Limits,
    consents::{Hearing, changes},
    stages::country::Locator,
    wire::{self, protocol::Request},
};

/// Who is withdrawn, of these, after a body of Segment's.
fn withdrawn(body: &str, asked: &[(IdentifierKind, &str)]) -> Vec<bool> {
    withdrawn_by(Protocol::Segment, body, asked)
}

fn withdrawn_by(protocol: Protocol, body: &str, asked: &[(IdentifierKind, &str)]) -> Vec<bool> {
    let mut place = Place::new();
    place.grant.programme = Some(Programme::DeviceExperience);
    let consents = place.open();
    let request = Request {
        protocol,
        content_type: None,
        content_encoding: None,
        message_type: None,
        body: body.as_bytes(),
        peer: None,
        received_ms: NOW,
    };
    let decoded = wire::decode(&request, request.body, &place.registry, &Limits::default()).unwrap();
    let locator = Locator { registry: &place.registry, grant: &place.grant, geo: None, peer: None };
    let hearing = Hearing { registry: &place.registry, keyring: &place.keyring, locator, received_ms: NOW };
    consents.record(&changes(&decoded, &hearing)).unwrap();
    let digester = place.keyring.consent_digester(Region::De);
    let is_withdrawn = |(kind, value): &(IdentifierKind, &str)| {
        let digest = digester.digests(*kind, value).canonical;
        let found = consents.lookup(Region::De, Programme::DeviceExperience, &digest).unwrap();
        found.is_some_and(|record| record.history.is_withdrawn())
    };
    asked.iter().map(is_withdrawn).collect()
}

#[test]
fn a_denial_is_recorded_under_every_identifier_that_its_event_has() {
    let denied = r#""consent":{"categoryPreferences":{"Analytics":false}}"#;
    let profile = |properties: &str, context: &str| {
        format!(
            r#"{{"type":"track","event":"device_profile","properties":{{{properties}}},"context":{{{context}{denied}}}}}"#
        )
    };
    let alone = |message: String| format!(r#"{{"batch":[{message}]}}"#);
    let long = format!(r#""serial_number":"{}""#, "s".repeat(129));
    for (body, who) in [
        (alone(profile(r#""serial_number":"S-1","firmware":"5""#, "")), (Serial, "S-1")),
        (alone(profile(r#""serial_number":395982"#, "")), (Serial, "395982")),
        (alone(profile(r#""serial_number":"S-1","serial_number":null"#, "")), (Serial, "S-1")),
        (alone(profile(r#""serial_number":"unknown""#, r#""device":{"id":"D-1"},"#)), (Device, "D-1")),
        (alone(profile(&long, r#""device":{"id":"D-1"},"#)), (Device, "D-1")),
        (alone(profile(r#""firmware":"5""#, r#""device":{"serial":"S-1"},"#)), (Serial, "S-1")),
        (alone(format!(r#"{{"type":"identify","user_id":"U-1","context":{{{denied}}}}}"#)), (User, "U-1")),
        (
            alone(format!(r#"{{"type":"track","userId":"U-1","context":{{"install":"I-1",{denied}}}}}"#)),
            (Install, "I-1"),
        ),
        (
            format!(
                r#"{{"subject":{{"user_id":"U-1"}},"batch":[{{"type":"track","context":{{{denied}}}}}]}}"#
            ),
            (User, "U-1"),
        ),
        // What names nobody hides nobody.
        (
            format!(
                r#"{{"context":{{"device":{{"id":"D-1"}}}},"batch":[{}]}}"#,
                profile("", r#""device":{"id":"unknown"},"#)
            ),
            (Device, "D-1"),
        ),
        (
            alone(format!(
                r#"{{"type":"identify","userId":"undefined","anonymousId":"i","context":{{{denied}}}}}"#
            )),
            (Install, "i"),
        ),
    ] {
        let others = [(Serial, "unknown"), (Device, "unknown"), (User, "undefined"), (Serial, "other")];
        let asked = [&[who][..], &others].concat();
        assert_eq!(withdrawn(&body, &asked), [true, false, false, false, false], "{body}");
    }
}

#[test]
fn a_denial_in_an_item_of_sentry_is_recorded_under_every_name_of_its_person() {
    let denied = r#""contexts":{"consent":{"categoryPreferences":{"Analytics":false}}}"#;
    let user = r#""user":{"id":"4711","email":"p@example.org","username":"anna-b","name":"Anna Berg"}"#;
    let asked = [(User, "4711"), (User, "p@example.org"), (User, "anna-b"), (User, "Anna Berg"), (User, "z")];
    let exception = r#""exception":{"values":[{"type":"E"}]}"#;
    for (kind, item) in [
        ("event", format!("{{{exception},{user},{denied}}}")),
        // Of these no event comes, and the person has decided all the same.
        ("event", format!(r#"{{"level":"info","message":"m",{user},{denied}}}"#)),
        ("transaction", format!(r#"{{"transaction":"t",{user},{denied}}}"#)),
    ] {
        let body = format!("{{}}\n{{\"type\":\"{kind}\"}}\n{item}\n");
        let found = withdrawn_by(Protocol::Sentry, &body, &asked);
        assert_eq!(found, [true, true, true, false, false], "{body}");
        for silent in [r#""contexts":{"consent":{"categoryPreferences":{"Analytics":true}}}"#, r#""tags":{}"#]
        {
            let body = body.replace(denied, silent);
            assert_eq!(withdrawn_by(Protocol::Sentry, &body, &asked), [false; 5], "{body}");
        }
    }
    let session = r#"{"sid":"s","did":"p@example.org","consent.categoryPreferences":{"Analytics":false}}"#;
    let body = format!("{{}}\n{{\"type\":\"session\"}}\n{session}\n");
    assert_eq!(withdrawn_by(Protocol::Sentry, &body, &asked), [false, true, false, false, false]);
}
