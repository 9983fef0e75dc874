//! Recording, reading back, and what the gate sees of it.
#![allow(clippy::unwrap_used)]

use std::{net::IpAddr, sync::Arc};

use shoal_privacy::{
    consent::{ConsentIndex, ConsentRecord},
    keyring::Keyring,
};
use shoal_schemas::{IdentifierKind, Programme, Region, Registry};

use shoal_storage::{ConsentChange, Effect, Refused};

use super::*;
use crate::{
    config::Limits,
    grant::{IngestGrant, KeyKind},
    refusal::{Refusal, RefusalCode},
    wire::protocol::Request,
};

mod lists;
mod managers;

use lists::withdrawal;

const NOW: i64 = 1_795_300_000_000;

struct Place {
    dir: tempfile::TempDir,
    registry: Registry,
    keyring: Keyring,
    grant: IngestGrant,
}

impl Place {
    fn new() -> Place {
        Place {
            dir: tempfile::tempdir().unwrap(),
            registry: Registry::load(None).unwrap(),
            keyring: Keyring::ephemeral(),
            grant: IngestGrant {
                key_id: "k".into(),
                kind: KeyKind::Shipped,
                app: "camera".into(),
                programme: None,
                asserted_policy: None,
                consent_category: None,
                regions: vec![Region::De, Region::Sg],
            },
        }
    }

    fn open(&self) -> Recorded {
        Recorded::new(Arc::new(open_consents(self.dir.path()).unwrap()), Refused::default())
    }

    fn read(&self, body: &str, received_ms: i64) -> Result<Vec<Change>, Refusal> {
        let request = Request {
            protocol: shoal_schemas::Protocol::Native,
            content_type: None,
            content_encoding: None,
            message_type: None,
            body: body.as_bytes(),
            peer: None,
            received_ms,
        };
        let Body { changes, refused, .. } = read(&request, &self.reader(&Limits::default()))?;
        refused.map_or(Ok(changes), Err)
    }

    fn reader<'r>(&'r self, limits: &'r Limits) -> Reader<'r> {
        Reader { grant: &self.grant, registry: &self.registry, keyring: &self.keyring, limits }
    }

    fn version(&self) -> String {
        self.registry.programme(Programme::UserExperience).policy_versions.last().unwrap().clone()
    }

    fn grant(&self, at: i64) -> String {
        let version = self.version();
        format!(
            r#"{{"action":"grant","programme":"user-experience","policy_version":"{version}","user_id":"u-1","install_id":"i-1","country":"FR","granted_at":{at}}}"#
        )
    }

    fn find(
        &self,
        consents: &Recorded,
        region: Region,
        kind: IdentifierKind,
        value: &str,
    ) -> Option<ConsentRecord> {
        let digest = self.keyring.consent_digester(region).digest(kind, value);
        consents.lookup(region, Programme::UserExperience, &digest).unwrap()
    }

    /// Who sends with the grant of this place.
    fn caller(&self, peer: &str, is_disk_full: bool) -> Caller<'_> {
        let peer: IpAddr = peer.parse().unwrap();
        Caller { grant: &self.grant, peer: Some(peer), now_ms: NOW, is_disk_full }
    }
}

#[test]
fn the_controller_of_the_country_is_recorded_with_a_grant() {
    let place = Place::new();
    let consents = place.open();
    for (user, country, controller) in [("u-1", "DE", "europe"), ("u-2", "AL", "international")] {
        let version = place.version();
        let body = format!(
            r#"{{"action":"grant","programme":"user-experience","policy_version":"{version}","user_id":"{user}","country":"{country}"}}"#
        );
        consents.record(&place.read(&body, NOW).unwrap()).unwrap();
        let record = place.find(&consents, Region::De, IdentifierKind::User, user).unwrap();
        assert_eq!(&*record.controller, controller, "{country}");
    }
}

const WITHDRAW: &str =
    r#"[{"action":"withdraw","programme":"user-experience","user_id":"u-1","region":"DE"}]"#;

#[test]
fn a_grant_is_found_under_every_identifier_and_after_a_restart() {
    let place = Place::new();
    let consents = place.open();
    let changes = place.read(&place.grant(NOW - 5), NOW).unwrap();
    assert_eq!(consents.record(&changes).unwrap().recorded, 1);
    drop(consents);
    let consents = place.open();
    for (kind, value) in [(IdentifierKind::User, "u-1"), (IdentifierKind::Install, "i-1")] {
        let record = place.find(&consents, Region::De, kind, value).unwrap();
        let [interval] = record.history.intervals() else { panic!("{:?}", record.history) };
        assert_eq!((interval.granted_ms, interval.received_ms), (NOW - 5, NOW));
        assert_eq!(*interval.policy_version, place.version());
        assert!(!record.controller.is_empty());
        assert!(record.history.is_open());
    }
    assert_eq!(place.find(&consents, Region::Sg, IdentifierKind::User, "u-1"), None);
    assert_eq!(place.find(&consents, Region::De, IdentifierKind::Install, "u-1"), None);
}

#[test]
fn an_old_grant_does_not_undo_a_withdrawal_and_a_new_one_does() {
    let place = Place::new();
    let consents = place.open();
    for (body, at, withdrawn) in [
        (place.grant(NOW), NOW, false),
        (WITHDRAW.to_owned(), NOW + 10, true),
        (place.grant(NOW + 5), NOW + 20, true),
        (place.grant(NOW + 1_000_000), NOW + 30, false),
        (place.grant(NOW), NOW + 40, false),
        (WITHDRAW.to_owned(), NOW + 50, true),
    ] {
        consents.record(&place.read(&body, at).unwrap()).unwrap();
        let record = place.find(&consents, Region::De, IdentifierKind::User, "u-1").unwrap();
        assert_eq!(record.history.is_withdrawn(), withdrawn, "{body}");
    }
}

#[test]
fn a_withdrawal_is_for_every_region_of_the_key_whatever_place_it_names() {
    let place = Place::new();
    let consents = place.open();
    let withdraw = |rest: &str| {
        format!(r#"{{"action":"withdraw","programme":"user-experience","user_id":"u-1"{rest}}}"#)
    };
    for rest in ["", r#","country":"DE""#, r#","country":"nowhere""#, r#","region":"US""#, r#","country":7"#]
    {
        let changes = place.read(&withdraw(rest), NOW).unwrap();
        let answer = consents.record(&changes).unwrap();
        assert_eq!((answer.recorded, answer.regions), (1, vec![Region::De, Region::Sg]), "{rest}");
    }
    for region in [Region::De, Region::Sg] {
        let record = place.find(&consents, region, IdentifierKind::User, "u-1").unwrap();
        assert!(record.history.is_withdrawn());
        assert!(!record.controller.is_empty());
    }
    assert_eq!(place.find(&consents, Region::Us, IdentifierKind::User, "u-1"), None);
}

#[test]
fn a_withdrawal_that_one_region_cannot_keep_is_kept_by_the_others_and_sent_again() {
    let place = Place::new();
    let form = RecordForm {
        encode: |record: &ConsentRecord| match &*record.controller {
            "europe" => record.encode().map_err(|e| e.to_string()),
            _ => Err("the disk is broken".to_owned()),
        },
        decode: |bytes| ConsentRecord::decode(bytes).map_err(|e| e.to_string()),
    };
    let consents =
        Recorded::new(Arc::new(Consents::open(place.dir.path(), form).unwrap()), Refused::default());
    let refusal = consents.record(&place.read(WITHDRAW, NOW).unwrap()).unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after_s), (RefusalCode::Unavailable, Some(5)));
    assert_eq!(refusal.reason, "recorded in DE, and not in SG; send it again");
    // It counts in all of them at once, also where it is not durable yet.
    for region in [Region::De, Region::Sg] {
        let record = place.find(&consents, region, IdentifierKind::User, "u-1").unwrap();
        assert!(record.history.is_withdrawn(), "{region}");
    }
}

#[test]
fn a_claim_counts_by_its_earliest_reading() {
    let claimed = |granted_at: i64, sent_at: i64| {
        let place = Place::new();
        let consents = place.open();
        let body = place.grant(granted_at).replacen('{', &format!("{{\"sent_at\":{sent_at},"), 1);
        consents.record(&place.read(&body, NOW).unwrap()).unwrap();
        let record = place.find(&consents, Region::De, IdentifierKind::User, "u-1").unwrap();
        record.history.intervals()[0].granted_ms
    };
    let hour = 3_600_000;
    assert_eq!(claimed(NOW - hour, NOW), NOW - hour);
    assert_eq!(claimed(NOW + hour, NOW + 2 * hour), NOW - hour, "a fast clock is corrected");
    assert_eq!(claimed(NOW - hour, NOW - hour), NOW - hour, "a body that waited is not from its receipt");
    assert_eq!(claimed(NOW - hour, 0), NOW - hour);
}

#[test]
fn what_is_recorded_is_found_under_every_spelling() {
    let place = Place::new();
    let consents = place.open();
    let withdraw = |id: &str| {
        let body = format!(r#"{{"action":"withdraw","programme":"user-experience",{id}}}"#);
        consents.record(&place.read(&body, NOW).unwrap()).unwrap();
    };
    withdraw(r#""user_id":395982"#);
    withdraw(r#""user_id":9223372036854775808"#);
    withdraw(r#""install_id":"AbC""#);
    withdraw(r#""user_id":"zoe\u0308""#);
    let is_withdrawn = |kind, value: &str| {
        let digests = place.keyring.consent_digester(Region::De).digests(kind, value);
        let found = consents.lookup(Region::De, Programme::UserExperience, &digests.canonical).unwrap();
        found.is_some_and(|record| record.history.is_withdrawn())
    };
    use IdentifierKind::{Install, User};
    for (kind, value) in [
        (User, "395982"),
        (User, "9223372036854775808"),
        (Install, "abc"),
        (Install, "ABC"),
        (User, "zo\u{eb}"),
    ] {
        assert!(is_withdrawn(kind, value), "{value}");
    }
    assert!(!is_withdrawn(User, "AbC"));
}

#[test]
fn a_record_under_an_older_spelling_is_changed_with_the_canonical_one() {
    let place = Place::new();
    let consents = place.open();
    let digests = place.keyring.consent_digester(Region::De).digests(IdentifierKind::Install, "AbC");
    let spelled = digests.spelled.unwrap();
    let of = |digest: &_| consents.lookup(Region::De, Programme::UserExperience, digest).unwrap();
    let body = |action: &str| {
        let version = place.version();
        format!(
            r#"{{"action":"{action}","programme":"user-experience","policy_version":"{version}","install_id":"AbC","country":"DE"}}"#
        )
    };
    consents.record(&place.read(&body("grant"), NOW).unwrap()).unwrap();
    assert!(of(&digests.canonical).is_some() && of(&spelled).is_none());
    let old = ConsentChange {
        programme: Programme::UserExperience,
        digests: &[spelled.into_bytes()],
        where_recorded: &[],
        effect: Effect::AtOnce,
        act: None,
        after: &|_| {
            let mut record = ConsentRecord::default();
            record.history.withdraw(None, NOW);
            record
        },
    };
    consents.consents.change(Region::De, &[old]).unwrap();
    consents.record(&place.read(&body("grant"), NOW + 1).unwrap()).unwrap();
    assert!(of(&spelled).unwrap().history.is_open());
    consents.record(&place.read(&body("withdraw"), NOW + 2).unwrap()).unwrap();
    assert!([&spelled, &digests.canonical].iter().all(|digest| of(digest).unwrap().history.is_withdrawn()));
}

#[test]
fn what_cannot_count_is_refused_and_never_quoted() {
    let place = Place::new();
    let good = place.grant(NOW);
    for (body, code) in [
        ("{".to_owned(), "bad_json"),
        (good.replace("grant\",", "canary\","), "unknown_action"),
        (good.replace("user-experience", "canary"), "unknown_programme"),
        (good.replace(&place.version(), "canary"), "policy_version"),
        (good.replace("FR", "canary"), "unknown_country"),
        (good.replace("FR", "US"), "region_not_allowed"),
        (good.replace("user_id", "x").replace("install_id", "y"), "no_identifier"),
        (good.replace("u-1", &"canary".repeat(50)), "bad_identifier"),
        (good.replace("\"country\":\"FR\",", ""), "no_region"),
        (good.replace("{\"action", "{\"age\":12,\"action"), "minor"),
        (good.replace(&NOW.to_string(), "\"canary\""), "bad_time"),
        (good.replace("{\"action", "{\"age\":\"12\",\"action"), "minor"),
        (good.replace("{\"action", "{\"age\":true,\"action"), "bad_consent"),
        (good.replace("{\"action", "{\"granted\":false,\"action"), "bad_consent"),
        (good.replace("\"u-1\"", "18446744073709551616"), "bad_identifier"),
        (good.replace("u-1", "undefined").replace("i-1", "0"), "no_identifier"),
        ("7".to_owned(), "bad_json"),
        (format!("[{good},7]"), "bad_json"),
    ] {
        let refusal = place.read(&body, NOW).err().unwrap();
        assert_eq!(refusal.code.as_str(), code, "{body}");
        assert!(!refusal.reason.contains("canary"));
    }
}

#[test]
fn grants_with_a_shipped_key_have_a_rate_and_withdrawals_have_none() {
    let mut place = Place::new();
    let room = Room::new(3);
    let (grant, withdrawal) =
        (place.read(&place.grant(NOW), NOW).unwrap(), place.read(WITHDRAW, NOW).unwrap());
    let enter = |place: &Place, changes: &[Change], peer: &str| {
        room.enter(changes, &place.caller(peer, false)).map(drop).map_err(|r| (r.code, r.retry_after_s))
    };
    for _ in 0..3 {
        assert_eq!(enter(&place, &grant, "192.0.2.1"), Ok(()));
    }
    assert_eq!(enter(&place, &grant, "192.0.2.1"), Err((RefusalCode::TooManyGrants, Some(20))));
    assert_eq!(enter(&place, &grant, "192.0.2.2"), Ok(()), "another address");
    for _ in 0..100 {
        assert_eq!(enter(&place, &withdrawal, "192.0.2.1"), Ok(()));
    }
    let four = place.read(&format!("[{0},{0},{0},{0}]", place.grant(NOW)), NOW).unwrap();
    assert_eq!(enter(&place, &four, "192.0.2.3"), Err((RefusalCode::TooManyChanges, None)));
    place.grant.key_id = "other".into();
    assert_eq!(enter(&place, &grant, "192.0.2.1"), Ok(()), "another key");
    place.grant.kind = KeyKind::Server;
    for _ in 0..10 {
        assert_eq!(enter(&place, &four, "192.0.2.1"), Ok(()), "a server is trusted");
    }
}

#[test]
fn a_grant_takes_no_room_from_a_withdrawal() {
    let mut place = Place::new();
    place.grant.kind = KeyKind::Server;
    let room = Room::new(1);
    let (grant, withdrawal_of_one) =
        (place.read(&place.grant(NOW), NOW).unwrap(), place.read(WITHDRAW, NOW).unwrap());
    let caller = place.caller("192.0.2.1", false);
    let mut seats = Vec::new();
    let refused = loop {
        match room.enter(&grant, &caller) {
            Ok(seat) => seats.push(seat),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refused.code, refused.retry_after_s), (RefusalCode::Overloaded, Some(1)));
    assert!(room.enter(&withdrawal_of_one, &caller).is_ok());
    drop(seats);
    assert!(room.enter(&grant, &caller).is_ok());
    // A longer list takes none from those who withdraw for themselves, and there are fewer of them at a time.
    let long = place.read(&format!("[{}]", vec![withdrawal("a"); 1001].join(",")), NOW).unwrap();
    let mut seats = Vec::new();
    let refused = loop {
        match room.enter(&long, &caller) {
            Ok(seat) => seats.push(seat),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refused.code, seats.len()), (RefusalCode::Overloaded, 16));
    // So is one of few changes that has as many records to write.
    let many: Vec<String> = (0..16).map(|at| format!(r#""user_id":"u-{at}""#)).collect();
    let dense = format!(r#"{{"action":"withdraw","programme":"user-experience",{}}}"#, many.join(","));
    let of = |count: usize| place.read(&format!("[{}]", vec![dense.as_str(); count].join(",")), NOW).unwrap();
    assert!(room.enter(&of(126), &caller).is_err() && room.enter(&of(125), &caller).is_ok());
    assert!(room.enter(&withdrawal_of_one, &caller).is_ok());
    let full = place.caller("192.0.2.1", true);
    assert_eq!(room.enter(&grant, &full).err().map(|r| r.code), Some(RefusalCode::DiskFull));
    assert!(room.enter(&withdrawal_of_one, &full).is_ok());
}
