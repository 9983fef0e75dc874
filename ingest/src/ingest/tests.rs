//! The interface with real files and real tables: post, post again, flush, start again.
#![allow(clippy::unwrap_used)]

mod persons;

use std::path::Path;

use shoal_privacy::keyring::Keyring;
use shoal_schemas::{Kind, Programme, Protocol, Registry};
use shoal_storage::{EpochKeys, Refused, Store};

use super::{refused_batches::MESSAGES_MAX, *};
use crate::config::UnitKeyConfig;
use crate::grant::KeyKind;

const NOW_MS: i64 = 1_790_000_000_000;

async fn open(root: &Path, keyring: &Arc<Keyring>) -> Ingest {
    open_refusing(root, keyring, Refused::default()).await
}

async fn open_refusing(root: &Path, keyring: &Arc<Keyring>, refused: Refused) -> Ingest {
    let store = Store::open(&url::Url::from_directory_path(root).unwrap()).await.unwrap();
    let parts = IngestParts {
        definitions: Arc::new(Registry::load(None).unwrap()).into(),
        keyring: Arc::clone(keyring),
        epoch_keys: EpochKeys::ephemeral(),
        consents: Arc::new(crate::open_consents(root).unwrap()),
        refused,
        store,
        clock: Arc::new(|| NOW_MS),
        served: Arc::new(|| NOW_MS),
        settled: Arc::new(|| NOW_MS),
        metrics: Metrics::register(&mut prometheus_client::registry::Registry::default()),
        geo: None,
    };
    let unit_keys = UnitKeyConfig { dir: root.join("unit-keys"), ..UnitKeyConfig::default() };
    let mut config = IngestConfig { data_dir: root.to_owned(), unit_keys, ..IngestConfig::default() };
    config.log.segment_bytes_max = 1 << 20;
    config.log.group_bytes_max = 1 << 18;
    config.log.free_bytes_min = 0;
    Ingest::open(config, parts).await.unwrap()
}

fn grant() -> IngestGrant {
    let registry = Registry::load(None).unwrap();
    let programme = registry.programme(Programme::UserExperience);
    IngestGrant {
        key_id: "k".into(),
        kind: KeyKind::Server,
        app: "app".into(),
        programme: Some(Programme::UserExperience),
        asserted_policy: programme.policy_versions.last().cloned(),
        consent_category: None,
        regions: Region::ALL.to_vec(),
    }
}

fn request(body: &str) -> Request<'_> {
    Request {
        protocol: Protocol::Native,
        content_type: None,
        content_encoding: None,
        message_type: None,
        body: body.as_bytes(),
        peer: None,
        received_ms: NOW_MS,
    }
}

fn events() -> String {
    let event = |id: u32, country: &str| {
        format!(
            r#"{{"id":"e{id}","event":"app_open","time":{},"user_id":"kermit-{id}","country":"{country}"}}"#,
            NOW_MS - 5000
        )
    };
    let list: Vec<String> = (0..10).map(|id| event(id, if id % 2 == 0 { "DE" } else { "US" })).collect();
    format!("[{},{{\"event\":\"no_such_event\"}}]", list.join(","))
}

fn counts(answer: &BatchAnswer) -> (u64, u64, u64, u64) {
    (answer.accepted, answer.duplicate, answer.withheld, answer.rejected)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_in_its_regions_table_once_however_often_it_is_sent() {
    let root = tempfile::tempdir().unwrap();
    let keyring = Arc::new(Keyring::ephemeral());
    let body = events();
    let ingest = open(root.path(), &keyring).await;
    assert_eq!(
        counts(&ingest.check(request(&body), &grant()).await.unwrap()),
        (10, 0, 0, 1),
        "checked, not kept"
    );
    assert_eq!(counts(&ingest.accept(request(&body), &grant()).await.unwrap()), (10, 0, 0, 1));
    assert_eq!(counts(&ingest.accept(request(&body), &grant()).await.unwrap()), (0, 10, 0, 1));
    // Not stopped: as after kill -9, the events are in the log only.
    drop(ingest);
    assert_eq!(files_with(&root.path().join("de/log"), b"app_open"), 0, "not even the dictionary");
    assert!(files_with(&root.path().join("de/log"), b"SHL1") > 0);
    let ingest = open(root.path(), &keyring).await;
    assert_eq!(counts(&ingest.accept(request(&body), &grant()).await.unwrap()), (0, 10, 0, 1));
    let report = ingest.flush(NOW_MS, true).await.unwrap();
    assert_eq!((report.segments, report.rows), (2, 10));
    ingest.stop().await.unwrap();
    assert_eq!(ingest.accept(request(&body), &grant()).await.unwrap_err().code, RefusalCode::Stopping);
    drop(ingest);
    let ingest = open(root.path(), &keyring).await;
    assert_eq!(counts(&ingest.accept(request(&body), &grant()).await.unwrap()), (0, 10, 0, 1));
    ingest.stop().await.unwrap();
    drop(ingest);
    let store = Store::open(&url::Url::from_directory_path(root.path()).unwrap()).await.unwrap();
    let registry = Registry::load(None).unwrap();
    for (region, rows) in [(Region::De, 5), (Region::Us, 5), (Region::Sg, 0)] {
        let table = store.table(region, registry.table(Kind::Usage)).await.unwrap();
        let found: u64 = table.snapshot().await.unwrap().files().iter().map(|f| f.rows).sum();
        assert_eq!(found, rows, "{region}");
    }
    assert!(!root.path().join("sg/log").exists(), "a region without events has no log");
    assert_eq!(files_with(root.path(), b"kermit"), 0);
    assert!(files_with(root.path(), b"app_open") > 0, "the search works");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_in_flight_is_refused_with_a_time_to_come_back() {
    let root = tempfile::tempdir().unwrap();
    let ingest = open(root.path(), &Arc::new(Keyring::ephemeral())).await;
    let hold = ingest.in_flight.reserve(ingest.config.log.in_flight_bytes_max).ok();
    let refusal = ingest.accept(request(&events()), &grant()).await.unwrap_err();
    assert_eq!((refusal.code, refusal.retry_after_s), (RefusalCode::Overloaded, Some(1)));
    drop(hold);
    assert_eq!(counts(&ingest.accept(request(&events()), &grant()).await.unwrap()), (10, 0, 0, 1));
    ingest.stop().await.unwrap();
}

/// Wherever in the body the denial stands, and whatever is too much of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_denies_last_in_a_batch_that_is_refused_is_recorded() {
    let root = tempfile::tempdir().unwrap();
    let ingest = open(root.path(), &Arc::new(Keyring::ephemeral())).await;
    let track = |user: &str, properties: &str| {
        format!(r#"{{"type":"track","event":"app_open","userId":"{user}","properties":{{{properties}}}}}"#)
    };
    let denial = |user: &str| {
        let context = r#"{"consent":{"categoryPreferences":{"Analytics":false}}}"#;
        format!(r#"{{"type":"identify","userId":"{user}","context":{context}}}"#)
    };
    // What one list has too much is that list's own loss; these are too much together.
    let zeros = vec!["0"; 9_000].join(",");
    let lists: Vec<String> = (0..45).map(|at| format!(r#""list{at}":[{zeros}]"#)).collect();
    let heavy = track("u", "").replacen('{', &format!("{{{},", lists.join(",")), 1);
    let dull = vec![track("u", &format!(r#""text":"{}""#, "a".repeat(10_000))); 300];
    for (name, code, messages) in [
        ("many", RefusalCode::TooManyEvents, vec![track("u", ""); 5_000]),
        ("heavy", RefusalCode::TooManyValues, vec![denial("first"), heavy]),
        ("dull", RefusalCode::CompressionRatio, dull),
    ] {
        let body = format!(r#"{{"batch":[{},{}]}}"#, messages.join(","), denial(name));
        let packed = zstd::encode_all(body.as_bytes(), 1).unwrap();
        let sent = if name == "dull" { packed.as_slice() } else { body.as_bytes() };
        let refused = Request { protocol: Protocol::Segment, body: sent, ..request("") };
        assert_eq!(
            ingest.accept(refused, &grant()).await.err().map(|refusal| refusal.code),
            Some(code),
            "{name}"
        );
    }
    for (user, wanted) in [("many", 1), ("heavy", 1), ("first", 1), ("dull", 1), ("u", 0)] {
        let event = format!(r#"{{"id":"{user}","event":"app_open","user_id":"{user}","country":"DE"}}"#);
        let answer = ingest.accept(request(&event), &grant()).await.unwrap();
        assert_eq!((answer.withheld, answer.accepted), (wanted, 1 - wanted), "{user}");
    }
    ingest.stop().await.unwrap();
}

/// The messages that say something of consent are counted, and not the time.
#[tokio::test]
async fn no_more_messages_of_a_refused_batch_are_read_than_may_be() {
    let root = tempfile::tempdir().unwrap();
    let ingest = open(root.path(), &Arc::new(Keyring::ephemeral())).await;
    let message =
        |user: usize, said: &str| format!(r#"{{"userId":"user-{user:08}","context":{{"consent":{said}}}}}"#);
    let denial = r#"{"categoryPreferences":{"Analytics":false}}"#;
    let of = |denials: &[usize]| {
        let said = |at| if denials.contains(&at) { denial } else { "[]" };
        let messages: Vec<String> = (0..MESSAGES_MAX + 1_000).map(|at| message(at, said(at))).collect();
        let body = format!(r#"{{"batch":[{}]}}"#, messages.join(","));
        let packed = zstd::encode_all(body.as_bytes(), 1).unwrap();
        let request = Request { protocol: Protocol::Segment, body: &packed, ..request("") };
        let own = OwnRequest::of(&request, &grant(), ingest.judge.definitions());
        match ingest.judge.run(&own, &ingest.unit_keys.open()) {
            Ok(Judged::Refused(changes, refusal)) => (changes.len(), refusal.code),
            Ok(_) => panic!("it has too many events"),
            Err(refusal) => (0, refusal.code),
        }
    };
    assert_eq!(of(&[0, MESSAGES_MAX - 1, MESSAGES_MAX + 999]), (2, RefusalCode::TooManyEvents));
    ingest.stop().await.unwrap();
}

/// Nothing that others send, whatever it costs to read, keeps a small withdrawal waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_withdrawal_waits_for_no_large_body_and_a_large_one_not_for_long() {
    let root = tempfile::tempdir().unwrap();
    let mut ingest = open(root.path(), &Arc::new(Keyring::ephemeral())).await;
    ingest.readers = Readers::with_wait(std::time::Duration::ZERO);
    let mut large = Vec::new();
    while let Ok(place) = ingest.readers.large().await {
        large.push(place);
    }
    let withdrawal = |user: &str| format!(r#"{{"action":"withdraw","user_id":"{user}"}}"#);
    let pack = |body: &str| zstd::encode_all(body.as_bytes(), 1).unwrap();
    let long = format!("[{},{}1]", withdrawal("long"), "1,".repeat(4_000));
    let (small, small_packed) = (withdrawal("small"), pack(&withdrawal("packed")));
    let long_packed = pack(&long.replace("long", "dense"));
    assert!(long.len() > 4 << 10 && long_packed.len() < 1 << 10);
    let send = async |body: &[u8], ingest: &Ingest| {
        let read = ingest.record_consent(Request { body, ..request("") }, &grant()).await;
        read.map(|answer| answer.recorded).map_err(|refusal| (refusal.code, refusal.retry_after_s.is_some()))
    };
    assert_eq!(send(small.as_bytes(), &ingest).await, Ok(1));
    assert_eq!(send(&small_packed, &ingest).await, Ok(1));
    // A body of a few bytes that is large when it is decompressed is a large one.
    let later = Err((RefusalCode::Unavailable, true));
    assert_eq!(send(long.as_bytes(), &ingest).await, later);
    assert_eq!(send(&long_packed, &ingest).await, later);
    let is_withdrawn = async |user: &str, ingest: &Ingest| {
        let event = format!(r#"{{"id":"{user}","event":"app_open","user_id":"{user}","country":"DE"}}"#);
        ingest.accept(request(&event), &grant()).await.unwrap().withheld == 1
    };
    for (user, wanted) in [("small", true), ("packed", true), ("long", false), ("dense", false)] {
        assert_eq!(is_withdrawn(user, &ingest).await, wanted, "{user}");
    }
    // Sent again when there is a place, it is read as any other.
    drop(large);
    let refused = Err((RefusalCode::BadJson, false));
    assert_eq!([send(long.as_bytes(), &ingest).await, send(&long_packed, &ingest).await], [refused; 2]);
    assert!(is_withdrawn("long", &ingest).await && is_withdrawn("dense", &ingest).await);
    // Nor for a long list that is recorded.
    let many: Vec<String> = (0..1001).map(|at| withdrawal(&format!("many-{at}"))).collect();
    let many = format!("[{}]", many.join(","));
    let changes = ingest.read_changes(&request(&many), &grant()).await.unwrap().changes;
    let place = ingest.readers.recording(&changes).await.unwrap();
    assert!(place.is_some());
    assert_eq!(send(many.as_bytes(), &ingest).await, later);
    assert_eq!(send(withdrawal("other").as_bytes(), &ingest).await, Ok(1));
    assert!(!is_withdrawn("many-7", &ingest).await && is_withdrawn("other", &ingest).await);
    drop(place);
    assert_eq!(send(many.as_bytes(), &ingest).await, Ok(1001));
    assert!(is_withdrawn("many-7", &ingest).await);
    ingest.stop().await.unwrap();
}

/// Files below a directory that hold these bytes.
fn files_with(directory: &Path, bytes: &[u8]) -> u64 {
    let mut found = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += files_with(&path, bytes);
        } else {
            found += u64::from(std::fs::read(&path).unwrap().windows(bytes.len()).any(|w| w == bytes));
        }
    }
    found
}
