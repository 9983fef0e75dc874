//! Who is named by identifiers is found in the rows, and is withdrawn everywhere.

use std::collections::BTreeSet;

use shoal_schemas::IdentifierKind::{self, Device, Install, Session, User};

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
