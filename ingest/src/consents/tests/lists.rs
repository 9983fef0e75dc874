//! Bodies of several changes: in which forms they come, how long they are, and where they are cut.

use shoal_privacy::consent::ConsentIndex;
use shoal_schemas::{IdentifierKind, Programme, Protocol, Region};

use super::{NOW, Place};
use crate::{
    config::Limits,
    consents::{Body, Recorded, read, read::OBJECTS_MAX, words::may_decide},
    stages::inflate::gzip,
    wire::{
        protocol::Request,
        whole::{Within, objects},
    },
};

impl Place {
    /// How many withdrawals and grants are read of a body, and why the rest is refused.
    fn read_beside(
        &self,
        body: &[u8],
        content_encoding: Option<&str>,
    ) -> (usize, usize, Option<&'static str>) {
        let request = Request {
            protocol: Protocol::Native,
            message_type: None,
            content_type: None,
            content_encoding,
            body,
            peer: None,
            received_ms: NOW,
        };
        match read(&request, &self.reader(&Limits::default())) {
            Ok(Body { changes, refused, .. }) => {
                let grants = changes.iter().filter(|change| change.is_grant()).count();
                (changes.len() - grants, grants, refused.map(|refusal| refusal.code.as_str()))
            }
            Err(refusal) => (0, 0, Some(refusal.code.as_str())),
        }
    }
}

/// A withdrawal of somebody, and nothing else.
pub(super) fn withdrawal(user: &str) -> String {
    format!(r#"{{"action":"withdraw","programme":"user-experience","user_id":"{user}"}}"#)
}

#[test]
fn no_list_is_too_long_or_too_broken_for_the_withdrawals_in_it() {
    let place = Place::new();
    let read = |body: &str| place.read_beside(body.as_bytes(), None);
    let (one, two, grant) = (withdrawal("a"), withdrawal("b"), place.grant(NOW));
    for (body, wanted) in [
        (format!("{one}\n{two}\n"), (2, 0, None)),
        (format!("{one}\r\n\r\n{grant}"), (1, 1, None)),
        (format!("{one}{two}"), (2, 0, None)),
        (format!("[{one}]\n[{two},{one}]"), (3, 0, None)),
        (format!("{one}\n{{\"action\":\n{two}\n"), (2, 0, Some("bad_json"))),
        (format!("{one}\n{two}\n{{\"action\":\"with"), (2, 0, Some("bad_json"))),
        (format!("[{one},{two},{{\"action\":\"withdraw\",\"user_id\":\"an"), (2, 0, Some("bad_json"))),
        (format!("[{one},{two}"), (2, 0, Some("bad_json"))),
        (format!("[{one},{two}] and more"), (2, 0, Some("bad_json"))),
        (format!("[{one},{{\"a\" \"b\"}},{two}]"), (2, 0, Some("bad_json"))),
        (format!("[{grant},{one},"), (1, 1, Some("bad_json"))),
        (one[..one.len() - 1].to_owned(), (0, 0, Some("bad_json"))),
        (format!("{{\"consents\":[{one},{grant}]}}"), (1, 1, None)),
        (format!("{{\"consents\":[{one},{two},{{\"ac"), (2, 0, Some("bad_json"))),
        (String::new(), (0, 0, Some("bad_json"))),
        ("[]".to_owned(), (0, 0, None)),
    ] {
        assert_eq!(read(&body), wanted, "{body}");
    }
    let many = |count: usize, with: &str| format!("[{with}{}]", vec![one.as_str(); count].join(","));
    assert_eq!(read(&many(1000, "")), (1000, 0, None));
    assert_eq!(read(&many(1001, "")), (1001, 0, None));
    assert_eq!(read(&many(999, &format!("{grant},"))), (999, 1, None));
    assert_eq!(read(&many(1000, &format!("{grant},"))), (1000, 1, Some("too_many_changes")));
    assert_eq!(read(&many(10_001, "")), (10_000, 0, Some("too_many_changes")));
    // What is too much in one takes nothing from those beside it.
    let zeros = |count: usize| vec!["0"; count].join(",");
    let heavy = format!(r#"{{"x":[{}]}}"#, zeros(400_000));
    assert_eq!(read(&format!("[{one},{heavy},{two}]")), (2, 0, Some("unknown_action")));
    let lists: Vec<String> = (0..45).map(|at| format!(r#""x{at}":[{}]"#, zeros(9_000))).collect();
    let heavy = format!("{{{}}}", lists.join(","));
    assert_eq!(read(&format!("[{one},{heavy},{two}]")), (2, 0, Some("bad_json")));
    let list = format!("[{one},{two},{one}]");
    let packed = gzip(list.as_bytes());
    assert_eq!(place.read_beside(&packed, Some("gzip")), (3, 0, None));
    // The checksum at its end is missing.
    assert_eq!(place.read_beside(&packed[..packed.len() - 6], Some("gzip")), (3, 0, Some("bad_encoding")));
    assert_eq!(place.read_beside(&packed[..12], Some("gzip")), (0, 0, Some("bad_encoding")));
}

#[test]
fn a_withdrawal_is_under_every_identifier_that_it_names_and_a_grant_names_one() {
    let place = Place::new();
    let consents = place.open();
    let body = r#"{"Action":"WITHDRAW","programme":"User_Experience","user_id":"u-1","subject":{"user_id":"u-2","install_id":"i-2"}}"#;
    assert_eq!(consents.record(&place.read(body, NOW).unwrap()).unwrap().recorded, 1);
    for (kind, value) in
        [(IdentifierKind::User, "u-1"), (IdentifierKind::User, "u-2"), (IdentifierKind::Install, "i-2")]
    {
        assert!(place.find(&consents, Region::Sg, kind, value).unwrap().history.is_withdrawn(), "{value}");
    }
    // As many as there may be, and the answer says that there are more.
    let many: Vec<String> = (0..40).map(|at| format!(r#""user_id":"m-{at}""#)).collect();
    let body = format!(r#"{{"action":"withdraw","programme":"user-experience",{}}}"#, many.join(","));
    assert_eq!(place.read_beside(body.as_bytes(), None), (1, 0, Some("bad_identifier")));
    let grant = place.grant(NOW);
    let nested = grant.replace(r#""user_id":"u-1""#, r#""subject":{"user_id":"u-9"}"#);
    assert_eq!(place.read(&nested, NOW).unwrap().len(), 1);
    for (body, code) in [
        (grant.replace(r#""user_id":"u-1""#, r#""user_id":"u-1","user":{"id":"u-9"}"#), "bad_identifier"),
        (grant.replace("policy_version", "policyVersion"), "policy_version"),
        (grant.replace("{\"action", "{\"Age\":12,\"action"), "minor"),
        (grant.replace("{\"action", "{\"Granted\":false,\"action"), "bad_consent"),
        (grant.replace(r#""action":"grant""#, r#""status":"granted""#), "unknown_action"),
    ] {
        assert_eq!(place.read(&body, NOW).err().unwrap().code.as_str(), code, "{body}");
    }
}

/// What is looked at is counted, whatever time it takes.
#[test]
fn a_body_is_looked_at_for_its_words_and_no_further_than_so_many_objects() {
    let place = Place::new();
    let read = |body: &str| place.read_beside(body.as_bytes(), None);
    let one = withdrawal("a");
    let after = |many: &str, count: usize| vec![many; count].join(",");
    // What has no word of a decision is not looked at, however much of it there is, and takes nothing from who withdraws behind it.
    let dull = after(r#"{"a":[0,0,0,0,0,0,0,0]}"#, OBJECTS_MAX + 1);
    let looked_at = |body: &str| objects(body.as_bytes(), Within::Anywhere).filter(|o| may_decide(o)).count();
    for (body, words) in [(format!("[{dull}"), 0), (format!("[{dull},{one},{{"), 1)] {
        assert_eq!((looked_at(&body), may_decide(body.as_bytes())), (words, words > 0));
        assert_eq!(read(&body), (words, 0, Some("bad_json")));
    }
    // What has one is, and there may be so much of it.
    let grants = after(r#"{"action":"grant"}"#, OBJECTS_MAX);
    let short = &grants[..grants.len() - r#",{"action":"grant"}"#.len()];
    assert_eq!(read(&format!("[{short},{one}]")), (1, 0, Some("unknown_programme")));
    assert_eq!(read(&format!("[{grants},{one}]")), (0, 0, Some("too_many_changes")));
    let unclear = after(r#"{"status":"?","a":[0,0,0,0,0,0]}"#, OBJECTS_MAX);
    assert_eq!(read(&format!("[{one},{unclear}")), (1, 0, Some("too_many_changes")));
    assert_eq!(read(&format!("[{unclear},{one},")), (0, 0, Some("too_many_changes")));
    let short = &unclear[..unclear.len() - r#",{"status":"?","a":[0,0,0,0,0,0]}"#.len()];
    assert_eq!(read(&format!("[{short},{one},")), (1, 0, Some("bad_json")));
}

#[test]
fn a_word_of_a_decision_is_seen_in_every_form_that_is_understood() {
    for object in [
        r#"{"action":"withdraw"}"#,
        r#"{"Action":" OptOut "}"#,
        r#"{"action":"opted-out"}"#,
        r#"{"\u0061ction":"with\u0064raw"}"#,
        r#"{"granted":0}"#,
        r#"{"Status":{"granted":"false"}}"#,
        r#"{"action":"Granted"}"#,
        r#"{"action":"grant"}"#,
        r#"{"a":\"granted":false}"#,
    ] {
        assert!(may_decide(object.as_bytes()), "{object}");
    }
    assert!(may_decide(b"{\"action\":\"with\xffdraw\"}"), "what is repaired is read");
    assert!(!may_decide(br#"{"action":"allow","consent":true}"#));
}

#[test]
fn a_withdrawal_for_several_programmes_is_for_each_of_them_and_never_for_another() {
    let mut place = Place::new();
    place.grant.programme = Some(Programme::UserExperience);
    let consents = place.open();
    let is_withdrawn = |consents: &Recorded, user: &str, programme| {
        let digest = place.keyring.consent_digester(Region::De).digest(IdentifierKind::User, user);
        let found = consents.lookup(Region::De, programme, &digest).unwrap();
        found.is_some_and(|record| record.history.is_withdrawn())
    };
    let both = [Programme::DeviceExperience, Programme::UserExperience];
    for (at, (named, wanted)) in [
        (r#""programme":["device-experience"]"#, [true, false]),
        (r#""programme":["user-experience","device-experience"]"#, [true, true]),
        (r#""program":"device-experience""#, [true, false]),
        (r#""programmes":["Device_Experience"]"#, [true, false]),
        (r#""programme":null"#, [false, true]),
    ]
    .into_iter()
    .enumerate()
    {
        let user = format!("u-{at}");
        let body = format!(r#"{{"action":"withdraw",{named},"user_id":"{user}"}}"#);
        let changes = place.read(&body, NOW).unwrap();
        let recorded = consents.record(&changes).unwrap().recorded;
        assert_eq!(recorded, wanted.iter().filter(|is_meant| **is_meant).count() as u64, "{body}");
        assert_eq!(both.map(|programme| is_withdrawn(&consents, &user, programme)), wanted, "{body}");
    }
    for value in [r#"{"id":"device-experience"}"#, "[]", "true", "7", r#"["other"]"#] {
        let body = format!(r#"{{"action":"withdraw","programme":{value},"user_id":"x"}}"#);
        assert_eq!(place.read_beside(body.as_bytes(), None), (0, 0, Some("unknown_programme")), "{body}");
    }
    let body = r#"{"action":"withdraw","programme":["device-experience","other"],"user_id":"x"}"#;
    assert_eq!(place.read_beside(body.as_bytes(), None), (1, 0, Some("unknown_programme")));
    // Whoever grants does so for each, or for none.
    let grant = place.grant(NOW).replace("\"user-experience\"", "[\"user-experience\"]");
    assert_eq!(place.read_beside(grant.as_bytes(), None), (0, 1, None));
    let grant = grant.replace("[\"user", "[\"device-experience\",\"user");
    assert_eq!(place.read_beside(grant.as_bytes(), None), (0, 0, Some("programme_not_allowed")));
}

#[test]
fn a_withdrawal_leaves_no_identifier_out_without_a_word() {
    let place = Place::new();
    let consents = place.open();
    let body = |members: &str| format!(r#"{{"action":"withdraw","programme":"user-experience",{members}}}"#);
    for (members, kinds) in [
        (r#""user_id":"u""#, &["user_id"][..]),
        (r#""user_id":"u","install":"X""#, &["user_id", "install_id"]),
        (r#""user_id":"u","device":"X""#, &["user_id", "device_id"]),
        (r#""user_id":"u","serial":"X""#, &["user_id", "serial_number"]),
        (r#""user_id":"u","serialNumber":"X""#, &["user_id", "serial_number"]),
        (r#""user_id":"u","installation_id":"X""#, &["user_id", "install_id"]),
        (r#""user_id":"u","context":{"device_id":"X"}"#, &["user_id", "device_id"]),
        (r#""user_id":"u","identifiers":{"install_id":"X"}"#, &["user_id", "install_id"]),
        (
            r#""user_id":"u","subjects":[{"install_id":"X"},{"device_id":"X"}]"#,
            &["user_id", "install_id", "device_id"],
        ),
        (r#""user_id":"u","install_id":"undefined""#, &["user_id"]),
        (r#""user_id":"u","fingerprint":"X""#, &["user_id"]),
    ] {
        let answer = consents.record(&place.read(&body(members), NOW).unwrap()).unwrap();
        assert_eq!((answer.recorded, &answer.identifiers[..]), (1, kinds), "{members}");
        for (field, kind) in [
            ("install_id", IdentifierKind::Install),
            ("device_id", IdentifierKind::Device),
            ("serial_number", IdentifierKind::Serial),
        ] {
            if members.contains('X') && kinds.contains(&field) {
                let record = place.find(&consents, Region::De, kind, "x").unwrap();
                assert!(record.history.is_withdrawn(), "{members}");
            }
        }
    }
    // What is none is told, with the limit, and the others are recorded.
    for length in [257, 300, 70_000] {
        let long = format!(r#""user_id":"{}""#, "x".repeat(length));
        let refusal = place.read(&body(&long), NOW).err().unwrap();
        assert_eq!(refusal.code.as_str(), "bad_identifier", "{length}");
        assert!(refusal.reason.contains("256 bytes"), "{}", refusal.reason);
        for beside in
            [format!(r#"{long},"install_id":"i""#), format!(r#""install_id":"i","subject":{{{long}}}"#)]
        {
            let wanted = (1, 0, Some("bad_identifier"));
            assert_eq!(place.read_beside(body(&beside).as_bytes(), None), wanted, "{length}");
        }
    }
    let whole = format!(r#""user_id":"{}""#, "x".repeat(256));
    assert_eq!(place.read_beside(body(&whole).as_bytes(), None), (1, 0, None));
}
