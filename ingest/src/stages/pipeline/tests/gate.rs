//! Consent, subjects and places, through the whole chain.

use super::*;

fn click(rest: &str) -> String {
    format!(r#"{{"event":"click","time":"2026-11-20T08:00:00Z","properties":{{"element":"ok"}}{rest}}}"#)
}

fn head(piped: &Piped) -> row::RowHead {
    let bytes = row::rows(piped.batches[0].bytes()).next().unwrap().unwrap();
    row::decode(bytes).unwrap().0
}

#[test]
fn consent_reaches_the_gate_in_three_ways() {
    let world = World::new();
    let body = click(r#","user_id":"u","country":"DE""#);
    let run = |grant: &IngestGrant, body: &str| {
        world.run(&request(Protocol::Native, body.as_bytes()), grant, now()).unwrap()
    };
    assert_eq!(code(&run(&grant(None), &body).outcomes[0]), "no_consent");
    let asserted = run(&grant(Some(Programme::UserExperience)), &body);
    assert_eq!(head(&asserted).consent.as_str(), "asserted");
    let carried = click(r#","user_id":"u","country":"DE","consent":{"policy_version":"2026-1"}"#);
    assert_eq!(head(&run(&grant(None), &carried)).consent.as_str(), "carried");
    world.record(&[Programme::UserExperience], IdentifierKind::User, "u", |_| {});
    assert_eq!(head(&run(&grant(None), &body)).consent.as_str(), "recorded");
    let elsewhere = click(r#","user_id":"u","country":"SG""#);
    assert_eq!(code(&run(&grant(None), &elsewhere).outcomes[0]), "no_consent");
}

#[test]
fn a_withdrawal_under_any_identifier_withholds() {
    let world = World::new();
    world.record(&[Programme::UserExperience], IdentifierKind::User, "u", |_| {});
    world.record(&[Programme::UserExperience], IdentifierKind::Install, "i", |record| {
        record.withdrawn_at_ms = Some(now() - 1000);
    });
    let run = |body: &str| {
        let grant = grant(Some(Programme::UserExperience));
        code(&world.run(&request(Protocol::Native, body.as_bytes()), &grant, now()).unwrap().outcomes[0])
    };
    assert_eq!(run(&click(r#","user_id":"u","country":"DE""#)), "accepted");
    assert_eq!(run(&click(r#","user_id":"u","install_id":"i","country":"DE""#)), "withdrawn");
    assert_eq!(run(&click(r#","install_id":"i","country":"DE""#)), "withdrawn");
    assert_eq!(run(&click(r#","device_id":"i","country":"DE""#)), "accepted");
    // A grant that claims to be from the future counts from its receipt, which is after the withdrawal.
    let later = r#","install_id":"i","country":"DE","consent":{"policy_version":"2026-1","granted_at":"2026-11-20T12:00:00Z"}"#;
    assert_eq!(run(&click(later)), "accepted");
    let before = later.replace("2026-11-20T12", "2026-11-20T11");
    assert_eq!(run(&click(&before)), "withdrawn");
}

#[test]
fn pseudonyms_differ_by_region_and_epoch_and_not_by_batch() {
    let world = World::new();
    let subject = |country: &str, time: &str, id: &str| {
        let body = click(&format!(r#","{id}":"u-1","country":"{country}","time":"{time}""#));
        let grant = grant(Some(Programme::UserExperience));
        head(&world.run(&request(Protocol::Native, body.as_bytes()), &grant, now()).unwrap()).subject
    };
    let (today, before) = ("2026-11-20T08:00:00Z", "2026-08-01T08:00:00Z");
    let base = subject("DE", today, "user_id");
    assert_eq!(base, subject("FR", today, "user_id"));
    assert_ne!(base, subject("SG", today, "user_id"));
    assert_ne!(base, subject("DE", before, "user_id"));
    assert_ne!(base, subject("DE", today, "install_id"));
}

#[test]
fn without_an_identifier_only_an_asserted_event_is_kept() {
    let world = World::new();
    let run = |grant: &IngestGrant, body: &str| {
        world.run(&request(Protocol::Native, body.as_bytes()), grant, now()).unwrap()
    };
    let body = click(r#","country":"DE","session_id":"s""#);
    assert_eq!(code(&run(&grant(Some(Programme::UserExperience)), &body).outcomes[0]), "accepted");
    let carried = click(r#","country":"DE","consent":{"policy_version":"2026-1"}"#);
    assert_eq!(code(&run(&grant(None), &carried).outcomes[0]), "no_identifier");
    assert!(run(&grant(None), &carried).batches.is_empty());
}

#[test]
fn events_that_name_nobody_are_of_one_unit_for_each_network_app_and_day() {
    let world = World::new();
    let unit = |peer: Option<&str>, app: &str, rest: &str| {
        let kind = KeyKind::Shipped;
        let grant = IngestGrant { kind, app: app.into(), ..grant(Some(Programme::UserExperience)) };
        let body = click(&format!(r#","country":"DE"{rest}"#));
        let peer = peer.map(|text| text.parse().unwrap());
        let request = Request { peer, ..request(Protocol::Native, body.as_bytes()) };
        head(&world.run(&request, &grant, now()).unwrap()).subject
    };
    let phone = Some("198.51.100.7");
    let of_phone = unit(phone, "camera", "");
    // Events and sessions, and addresses that an event states, make no further units.
    for rest in [r#","id":"1""#, r#","id":"2","session_id":"a""#, r#","session_id":"b""#] {
        assert_eq!(unit(phone, "camera", rest), of_phone, "{rest}");
    }
    assert_eq!(unit(phone, "camera", r#","context":{"ip":"203.0.113.9"}"#), of_phone);
    assert_ne!(unit(Some("198.51.100.8"), "camera", ""), of_phone);
    assert_ne!(unit(phone, "doorbell", ""), of_phone);
    assert_eq!(unit(Some("2001:db8:1:2::3"), "camera", ""), unit(Some("2001:db8:1:2:ffff::4"), "camera", ""));
    // Without an address, and on a day that has no key, there is one unit for each app and day.
    let of_app = unit(None, "camera", "");
    assert_eq!(unit(None, "camera", r#","session_id":"a""#), of_app);
    assert!(of_app != of_phone && of_app != unit(None, "doorbell", ""));
    let before = r#","time":"2026-11-19T08:00:00Z""#;
    assert_eq!(unit(phone, "camera", before), unit(None, "camera", before));
    assert_ne!(unit(None, "camera", before), of_app);
    // A server is not where the person is.
    let server = grant(Some(Programme::UserExperience));
    let body = click(r#","country":"DE""#);
    let request = Request {
        peer: phone.map(|text| text.parse().unwrap()),
        ..request(Protocol::Native, body.as_bytes())
    };
    assert_eq!(head(&world.run(&request, &server, now()).unwrap()).subject, of_app);
    // Whoever is named is a subject, wherever they are.
    let named = |peer| unit(peer, "camera", r#","install_id":"i""#);
    assert_eq!(named(phone), named(None));
}

#[test]
fn events_go_to_their_region_or_are_refused() {
    let world = World::new();
    let key = |regions: &[Region]| IngestGrant {
        regions: regions.to_vec(),
        ..grant(Some(Programme::UserExperience))
    };
    let body = |countries: &[&str]| {
        let events: Vec<_> =
            countries.iter().map(|c| click(&format!(r#","user_id":"u","country":{c}"#))).collect();
        format!("[{}]", events.join(","))
    };
    let run = |grant: &IngestGrant, body: &str| {
        world.run(&request(Protocol::Native, body.as_bytes()), grant, now()).unwrap()
    };
    let piped = run(&key(Region::ALL), &body(&["\"US\"", "\"DE\"", "\"CH\"", "\"MY\"", "null"]));
    assert_eq!(
        piped.batches.iter().map(CleanBatch::region).collect::<Vec<_>>(),
        [Region::Us, Region::De, Region::My]
    );
    assert_eq!(code(&piped.outcomes[4]), "no_region");
    let piped = run(&key(&[Region::De]), &body(&["\"US\"", "null"]));
    assert_eq!([code(&piped.outcomes[0]), code(&piped.outcomes[1])], ["region_not_allowed", "accepted"]);
    assert_eq!(column(&world.rows(&piped)[0], "country"), Some("ZZ"));
    let device = IngestGrant { programme: Some(Programme::DeviceExperience), ..key(&[Region::De]) };
    assert_eq!(code(&run(&device, &body(&["\"DE\""])).outcomes[0]), "programme_not_allowed");
}
