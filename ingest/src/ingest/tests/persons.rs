//! Who is named by identifiers is found in the rows, and is withdrawn everywhere.

use std::collections::BTreeSet;

use shoal_schemas::IdentifierKind::{self, Device, Install, Session, User};
use shoal_storage::Refusing;

use super::*;

fn person(named: &[(IdentifierKind, &str)]) -> Person {
    Person::new(named.iter().map(|(kind, value)| (*kind, (*value).to_owned())).collect()).unwrap()
}

/// The subjects of the rows of a region's events of use.
async fn subjects(root: &Path, region: Region) -> BTreeSet<u128> {
    let store = Store::open(&url::Url::from_directory_path(root).unwrap()).await.unwrap();
    let registry = Registry::load(None).unwrap();
    let table = store.table(region, registry.table(Kind::Usage)).await.unwrap();
    let snapshot = table.snapshot().await.unwrap();
    let mut found = BTreeSet::new();
    for file in snapshot.files() {
        let mut note = |subject: &[u8; 16], _| {
            found.insert(u128::from_be_bytes(*subject));
        };
        snapshot.subjects(file, &mut note).unwrap();
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pseudonyms_of_a_person_are_those_of_their_rows_and_nobody_elses() {
    let root = tempfile::tempdir().unwrap();
    let ingest = open(root.path(), &Arc::new(Keyring::ephemeral())).await;
    let event = |id: &str, who: &str| {
        let of = |days: i64| NOW_MS - days * 86_400_000;
        let at = |days| {
            let time = of(days);
            format!(r#"{{"id":"{id}{days}","event":"app_open","time":{time},{who},"country":"DE"}}"#)
        };
        // On both sides of the end of a pseudonym epoch of thirty days.
        format!("{},{}", at(0), at(40))
    };
    let body = format!(
        "[{},{},{}]",
        event("a", r#""user_id":"kermit","install_id":"B81D""#),
        event("b", r#""install_id":"b81d""#),
        event("c", r#""user_id":"piggy","install_id":"b81d""#),
    );
    let answer = ingest.accept(request(&body), &grant()).await.unwrap();
    assert_eq!(answer.accepted, 6, "{answer:?}");
    let all = Programme::ALL;
    let of = |named: &[(IdentifierKind, &str)], region| -> BTreeSet<u128> {
        ingest.pseudonyms(&person(named), all, region).into_iter().collect()
    };
    let kermit = of(&[(User, " kermit ")], Region::De);
    let install = of(&[(Install, "b81D")], Region::De);
    let both = of(&[(User, "kermit"), (Install, "b81d")], Region::De);
    let elsewhere = of(&[(User, "kermit"), (Install, "b81d")], Region::Us);
    ingest.stop().await.unwrap();
    drop(ingest);
    let rows = subjects(root.path(), Region::De).await;
    assert_eq!(rows.len(), 6, "three subjects, in two epochs each");
    assert_eq!(rows.intersection(&kermit).count(), 2);
    assert_eq!(rows.intersection(&install).count(), 2, "only what has no user");
    assert_eq!(rows.intersection(&both).count(), 4);
    assert_eq!(rows.intersection(&elsewhere).count(), 0, "another region has other pseudonyms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_withdrawn_by_an_officer_is_withheld_in_every_region_until_a_new_grant() {
    let root = tempfile::tempdir().unwrap();
    let ingest = open(root.path(), &Arc::new(Keyring::ephemeral())).await;
    let event = |id: u32, country: &str| {
        format!(
            r#"{{"id":"{id}","event":"app_open","install_id":"I-1","user_id":"u{id}","country":"{country}"}}"#
        )
    };
    assert_eq!(ingest.accept(request(&event(1, "DE")), &grant()).await.unwrap().accepted, 1);
    let named = person(&[(Install, "i-1")]);
    ingest.withdraw(&[named], Programme::ALL, Region::ALL).await.unwrap();
    for (id, country) in [(2, "DE"), (3, "US"), (4, "SG")] {
        let answer = ingest.accept(request(&event(id, country)), &grant()).await.unwrap();
        assert_eq!((answer.accepted, answer.withheld), (0, 1), "{country}");
    }
    ingest.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_whom_an_act_refuses_nothing_is_kept_in_that_region_and_programme_whatever_they_are_spelt_like() {
    let root = tempfile::tempdir().unwrap();
    let refused = Refused::default();
    let ingest = open_refusing(root.path(), &Arc::new(Keyring::ephemeral()), refused.clone()).await;
    let event = |id: u32, who: &str, country: &str| {
        format!(r#"{{"id":"{id}","event":"app_open",{who},"country":"{country}"}}"#)
    };
    let codes =
        async |body: &str| match ingest.accept(request(body), &grant()).await.unwrap().events.as_slice() {
            [Outcome::Withheld(code)] => Some(*code),
            [Outcome::Accepted] => None,
            other => panic!("{other:?}"),
        };
    let digests = ingest.digests(&person(&[(Install, "b81d"), (User, "kermit")]), Programme::ALL, Region::De);
    assert_eq!(digests.len(), 4, "two identifiers in two programmes");
    assert!(
        digests.windows(2).all(|two| two[0].0 as usize <= two[1].0 as usize),
        "in the order of programmes"
    );
    let of_user = digests.iter().filter(|(programme, _)| *programme == Programme::UserExperience);
    let all = |why| of_user.clone().map(|named| (*named, why)).collect();
    for (n, (why, code)) in
        [(Refusing::Restricted, "restricted"), (Refusing::Erased, "erased")].into_iter().enumerate()
    {
        refused.set(Region::De, all(why));
        let n = 10 * u32::try_from(n).unwrap();
        assert_eq!(codes(&event(n, r#""install_id":" B81D ""#, "DE")).await, Some(code));
        let both = r#""user_id":"piggy","install_id":"b81d""#;
        assert_eq!(codes(&event(n + 1, both, "DE")).await, Some(code), "who shares the phone");
        assert_eq!(codes(&event(n + 2, r#""user_id":"piggy""#, "DE")).await, None);
        assert_eq!(codes(&event(n + 3, r#""user_id":"kermit""#, "US")).await, None, "another region");
    }
    refused.set(Region::De, shoal_storage::RefusedDigests::default());
    assert_eq!(codes(&event(30, r#""user_id":"kermit""#, "DE")).await, None);
    ingest.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_the_same_for_the_same_persons_scope_and_key_alone() {
    let root = tempfile::tempdir().unwrap();
    let ingest = open(root.path(), &Arc::new(Keyring::ephemeral())).await;
    let kermit = || [person(&[(User, "kermit"), (Install, "B81D")])];
    let (all, regions) = (Programme::ALL, Region::ALL);
    let id = ingest.request_id(&kermit(), all, regions, "k");
    let turned = [person(&[(Install, "b81d "), (User, "kermit")])];
    assert_eq!(id, ingest.request_id(&turned, all, regions, "k"), "other spellings, in another order");
    let others = [
        ingest.request_id(&kermit(), all, regions, "l"),
        ingest.request_id(&kermit(), &all[..1], regions, "k"),
        ingest.request_id(&kermit(), all, &regions[1..], "k"),
        ingest.request_id(&[person(&[(User, "kermit")])], all, regions, "k"),
        ingest.request_id(&[person(&[(Device, "kermit"), (Install, "B81D")])], all, regions, "k"),
    ];
    assert!(!others.contains(&id));
    ingest.stop().await.unwrap();
}

#[test]
fn what_names_nobody_is_refused_without_being_quoted() {
    let refused = |named: Vec<(IdentifierKind, String)>| Person::new(named).err().unwrap();
    assert!(refused(vec![]).contains("names nobody"));
    assert!(refused(vec![(Session, "s".into())]).contains("session"));
    assert!(refused(vec![(Device, "unknown".into())]).contains("placeholder"));
    let long = refused(vec![(User, "x".repeat(257))]);
    assert!(long.contains("256") && !long.contains("xx"), "{long}");
    assert!(refused(vec![(User, "x".into()); 65]).contains("64"));
}
