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
        record.history.withdraw(None, now() - 1000);
    });
    let run = |body: &str| {
        let grant = grant(Some(Programme::UserExperience));
        code(&world.run(&request(Protocol::Native, body.as_bytes()), &grant, now()).unwrap().outcomes[0])
    };
    assert_eq!(run(&click(r#","user_id":"u","country":"DE""#)), "accepted");
    assert_eq!(run(&click(r#","user_id":"u","install_id":"i","country":"DE""#)), "withdrawn");
    assert_eq!(run(&click(r#","install_id":"i","country":"DE""#)), "withdrawn");
    assert_eq!(run(&click(r#","device_id":"i","country":"DE""#)), "accepted");
    // After a withdrawal nothing that is carried counts: a client's clock is no proof that it was granted later.
    for at in ["2026-11-20T12:00:00Z", "2026-11-20T11:00:00Z", "2031-01-01T00:00:00Z"] {
        let carried = format!(
            r#","install_id":"i","country":"DE","consent":{{"policy_version":"2026-1","granted_at":"{at}"}}"#
        );
        assert_eq!(run(&click(&carried)), "withdrawn", "{at}");
    }
}

#[test]
fn what_is_recorded_under_one_spelling_holds_for_all() {
    let world = World::new();
    let digests = |kind, value: &str| world.keyring.consent_digester(Region::De).digests(kind, value);
    let mut withdrawn = ConsentRecord::default();
    withdrawn.history.withdraw(None, 5);
    let put = |digest: ConsentDigest| {
        world.put(Programme::UserExperience, digest, |record| *record = withdrawn.clone());
    };
    put(digests(IdentifierKind::Install, "ABCDEF").canonical);
    put(digests(IdentifierKind::User, "395982").canonical);
    put(digests(IdentifierKind::User, "9223372036854775808").canonical);
    // Recorded before there was a canonical form.
    put(world.keyring.consent_digester(Region::De).digest(IdentifierKind::Device, "OLD-Spelling"));
    let run = |id: &str| {
        let grant = grant(Some(Programme::UserExperience));
        let body = click(&format!(r#","country":"DE",{id}"#));
        code(&world.run(&request(Protocol::Native, body.as_bytes()), &grant, now()).unwrap().outcomes[0])
    };
    for id in [
        r#""install_id":"abcdef""#,
        r#""install_id":"AbCdEf""#,
        r#""install_id":" ＡＢＣＤＥＦ ""#,
        r#""user_id":395982"#,
        r#""user_id":395982.0"#,
        r#""user_id":"395982""#,
        r#""user_id":9223372036854775808"#,
        r#""device_id":"OLD-Spelling""#,
    ] {
        assert_eq!(run(id), "withdrawn", "{id}");
    }
    for id in [r#""user_id":"39598""#, r#""user_id":9223372036854775807"#, r#""device_id":"another""#] {
        assert_eq!(run(id), "accepted", "{id}");
    }
    for id in [r#""user_id":18446744073709551616"#, r#""user_id":1.5"#, r#""user_id":true"#] {
        assert_eq!(run(id), "bad_identifier", "{id}");
    }
}

#[test]
fn a_placeholder_is_no_identifier_and_is_counted() {
    let world = World::new();
    let run = |rest: &str| {
        let grant = grant(Some(Programme::UserExperience));
        let body = click(&format!(r#","country":"DE"{rest}"#));
        world.run(&request(Protocol::Native, body.as_bytes()), &grant, now()).unwrap()
    };
    let install = head(&run(r#","install_id":"i-7""#)).subject;
    for (id, count) in [
        (r#""user_id":"undefined""#, 1),
        (r#""user_id":0"#, 1),
        (r#""user_id":-1"#, 1),
        (r#""user_id":"[object Object]","session_id":"null""#, 2),
        (r#""user_id":"00000000-0000-0000-0000-000000000000""#, 1),
        (r#""user_id":"""#, 0),
    ] {
        let piped = run(&format!(r#",{id},"install_id":"i-7""#));
        assert_eq!((head(&piped).subject, piped.placeholder_identifiers), (install, count), "{id}");
        assert_eq!(head(&piped).session, None, "{id}");
    }
    // Those of one batch are not one person.
    let nobody = head(&run("")).subject;
    assert_eq!(head(&run(r#","user_id":"None","install_id":"unknown""#)).subject, nobody);
    let carried = click(r#","user_id":"NaN","country":"DE","consent":{"policy_version":"2026-1"}"#);
    let refused = world.run(&request(Protocol::Native, carried.as_bytes()), &grant(None), now()).unwrap();
    assert_eq!(code(&refused.outcomes[0]), "no_identifier");
}

#[test]
fn spellings_of_one_identifier_have_one_pseudonym_from_the_first_canonical_epoch_on() {
    let mut world = World::new();
    let today = day_of(now());
    for (from, is_one) in [(0, true), (Epochs::next_first_day(90, today), false)] {
        world.config.epochs.canonical_from_day = from;
        let subject = |id: &str| {
            let grant = grant(Some(Programme::UserExperience));
            let body = click(&format!(r#","country":"DE",{id}"#));
            head(&world.run(&request(Protocol::Native, body.as_bytes()), &grant, now()).unwrap()).subject
        };
        assert_eq!(subject(r#""install_id":"ABC""#) == subject(r#""install_id":"abc""#), is_one, "{from}");
        assert_eq!(subject(r#""user_id":"zoë""#) == subject(r#""user_id":"zoë""#), is_one, "{from}");
        assert_eq!(subject(r#""user_id":7"#), subject(r#""user_id":"7""#), "{from}");
    }
}

#[test]
fn preferences_of_a_consent_manager_withhold() {
    let world = World::new();
    let run = |context: &str, category: Option<&str>| {
        let grant = IngestGrant {
            regions: vec![Region::De],
            consent_category: category.map(str::to_owned),
            ..grant(Some(Programme::UserExperience))
        };
        let body = format!(
            r#"{{"batch":[{{"type":"track","event":"click","userId":"u","messageId":"m","properties":{{"element":"ok"}},"context":{context}}}]}}"#
        );
        code(&world.run(&request(Protocol::Segment, body.as_bytes()), &grant, now()).unwrap().outcomes[0])
    };
    let denied = r#"{"consent":{"categoryPreferences":{"Analytics":false,"C0002":true}}}"#;
    assert_eq!(run(denied, None), "no_consent");
    assert_eq!(run(denied, Some("C0002")), "accepted");
    assert_eq!(
        run(r#"{"consent":{"categoryPreferences":{"Analytics":true,"Ads":false}}}"#, None),
        "accepted"
    );
    assert_eq!(run(r#"{"consent":{"categoryPreferences":{"C0002":false}}}"#, None), "no_consent");
    assert_eq!(run(r#"{"consentManagement":{"deniedConsentIds":["C0002"]}}"#, Some("C0002")), "no_consent");
    assert_eq!(run(r#"{"consentManagement":{"allowedConsentIds":["C0002"]}}"#, Some("C0002")), "accepted");
    assert_eq!(run(r#"{"consent":{"granted":false}}"#, None), "no_consent");
    assert_eq!(run(r#"{"consent":{"age":"12"}}"#, None), "minor");
    assert_eq!(run(r#"{"consent":{"age":true}}"#, None), "bad_consent");
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
