//! Making, revoking, hashing and reloading keys.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use shoal_ingest::KeyKind;
use shoal_schemas::calendar::DAY_MS;
use shoal_schemas::{Programme, Region};

use super::live::{Found, Grant};
use super::*;

/// An announcement that lets everything pass and writes nothing down.
const UNANNOUNCED: Announce<'static> = &|_| Ok(());

fn ingest() -> Scope {
    let kind = KeyKind::Shipped;
    Scope::Ingest {
        kind,
        app: "camera".into(),
        regions: vec![Region::De],
        programme: None,
        policy: None,
        consent_category: None,
    }
}

#[test]
fn only_a_hash_is_kept_and_only_for_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let key = store.create(ingest(), 7, UNANNOUNCED).unwrap();
    let text = fs::read_to_string(store.path()).unwrap();
    let secret = key.reveal().split_once('.').unwrap().1.to_owned();
    assert_eq!(secret.len(), 48);
    assert!(text.contains(&key.id) && !text.contains(&secret));
    assert_eq!(fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
    let left = store.path().with_file_name("keys.json#7");
    fs::write(&left, "what a command that was killed has left").unwrap();
    store.create(ingest(), 8, UNANNOUNCED).unwrap();
    assert!(!left.exists());
    assert_eq!(fs::read_dir(store.path().parent().unwrap()).unwrap().count(), 2, "the file and its lock");
    assert_eq!(fs::metadata(store.path().parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(key.reveal_for_dsn().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
}

#[test]
fn a_key_works_in_both_forms_until_it_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let live = LiveKeys::open(store.clone()).unwrap();
    assert!(live.current().is_empty());
    let key = store.create(ingest(), 7, UNANNOUNCED).unwrap();
    assert!(live.current().grant(&key.reveal()).is_none(), "not before it was read");
    live.refresh();
    assert!(matches!(live.current().grant(&key.reveal()), Some(Grant::Ingest(g)) if g.app == "camera"));
    assert!(live.current().grant(&key.reveal_for_dsn()).is_some());
    for wrong in ["", ".", &key.id, &format!("{}.", key.id), &format!("{}x", key.reveal())] {
        assert!(live.current().grant(wrong).is_none());
    }
    store.revoke(&key.id, 9, UNANNOUNCED).unwrap();
    live.refresh();
    assert!(live.current().grant(&key.reveal()).is_none());
    assert_eq!(store.list().unwrap()[0].revoked_at_ms, Some(9));
    store.revoke(&key.id, 10, UNANNOUNCED).unwrap();
    assert_eq!(store.list().unwrap()[0].revoked_at_ms, Some(9), "the first time counts");
    assert!(store.revoke("nobody", 9, UNANNOUNCED).is_err());
}

#[test]
fn a_broken_file_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let key = store.create(ingest(), 7, UNANNOUNCED).unwrap();
    let live = LiveKeys::open(store.clone()).unwrap();
    fs::write(store.path(), "{\"version\": 1, \"keys\": [{\"secret").unwrap();
    live.refresh();
    assert!(live.current().grant(&key.reveal()).is_some());
    let error = store.list().err().unwrap().to_string();
    assert!(error.contains("line 1") && !error.contains("secret"));
    assert!(LiveKeys::open(store).is_err());
}

#[test]
fn a_bit_that_flips_in_the_file_of_keys_is_found_and_a_running_service_goes_on_with_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let key = store.create(ingest(), 7, UNANNOUNCED).unwrap();
    let live = LiveKeys::open(store.clone()).unwrap();
    let whole = fs::read(store.path()).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(store.path(), &bytes).unwrap();
        let told = store.list().err().unwrap().to_string();
        assert!(told.contains("keys.json") && told.contains("put it back"), "bit {bit}: {told}");
        // Commands wait for the disk, so they try some of them.
        if bit % 64 == 7 {
            assert!(store.create(ingest(), 8, UNANNOUNCED).is_err());
            assert!(store.revoke(&key.id, 8, UNANNOUNCED).is_err());
        }
        assert_eq!(fs::read(store.path()).unwrap(), bytes, "nothing is written over it");
        live.refresh();
        assert!(live.current().grant(&key.reveal()).is_some(), "bit {bit}");
    }
    fs::write(store.path(), &whole).unwrap();
    store.revoke(&key.id, 9, UNANNOUNCED).unwrap();
    live.refresh();
    assert!(live.current().grant(&key.reveal()).is_none(), "it goes on with the file that is right again");
}

#[test]
fn a_file_of_before_there_were_digests_is_read_and_gets_one_at_the_next_change() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let key = store.create(ingest(), 7, UNANNOUNCED).unwrap();
    let text = fs::read_to_string(store.path()).unwrap();
    let (digest, members) = text.split_once(',').unwrap();
    assert!(digest.starts_with("{\"crc32\":\""));
    fs::write(store.path(), format!("{{{members}")).unwrap();
    let live = LiveKeys::open(store.clone()).unwrap();
    assert!(live.current().grant(&key.reveal()).is_some());
    store.create(ingest(), 8, UNANNOUNCED).unwrap();
    assert!(fs::read_to_string(store.path()).unwrap().starts_with("{\"crc32\":\""));
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn scopes_that_make_no_sense_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let scope = |app: &str, regions, policy: Option<&str>| Scope::Ingest {
        kind: KeyKind::Shipped,
        app: app.into(),
        regions,
        programme: None,
        policy: policy.map(str::to_owned),
        consent_category: None,
    };
    assert!(store.create(scope("camera", vec![], None), 0, UNANNOUNCED).is_err());
    assert!(store.create(scope("", vec![Region::De], None), 0, UNANNOUNCED).is_err());
    assert!(store.create(scope("a b", vec![Region::De], None), 0, UNANNOUNCED).is_err());
    assert!(store.create(scope("camera", vec![Region::De], Some("2026-01")), 0, UNANNOUNCED).is_err());
    assert!(store.create(scope("camera", vec![Region::De, Region::De], None), 0, UNANNOUNCED).is_err());
    let category = |programme, name: &str| Scope::Ingest {
        kind: KeyKind::Shipped,
        app: "camera".into(),
        regions: vec![Region::De],
        programme,
        policy: None,
        consent_category: Some(name.to_owned()),
    };
    let programme = Some(Programme::UserExperience);
    assert!(store.create(category(None, "Analytics"), 0, UNANNOUNCED).is_err());
    assert!(store.create(category(programme, " "), 0, UNANNOUNCED).is_err());
    assert!(store.create(category(programme, &"x".repeat(129)), 0, UNANNOUNCED).is_err());
    assert!(store.list().unwrap().is_empty());
    store.create(category(programme, "C0002"), 0, UNANNOUNCED).unwrap();
    let kept = store.list().unwrap().pop().unwrap().scope;
    assert!(kept == category(programme, "C0002"));
}

#[test]
fn commands_at_the_same_time_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|i| drop(store.create(ingest(), i, UNANNOUNCED).unwrap())));
        }
    });
    assert_eq!(store.list().unwrap().len(), 20);
}

#[test]
fn nothing_happens_when_its_announcement_fails() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let key = store.create(ingest(), 7, UNANNOUNCED).unwrap();
    let refuse: Announce<'_> = &|_| Err(Error::Keys("not announced".into()));
    assert!(store.create(ingest(), 8, refuse).is_err() && store.revoke(&key.id, 8, refuse).is_err());
    let keys = store.list().unwrap();
    assert_eq!((keys.len(), keys[0].revoked_at_ms), (1, None));
}

fn is_granted(found: &Found) -> bool {
    matches!(found, Found::Granted(_))
}

#[test]
fn a_key_is_refused_from_its_expiry_on_and_whoever_has_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let now_ms = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(7));
    let clock = now_ms.clone();
    let wanted = Wanted { expires_at_ms: Some(7 + DAY_MS), ..Wanted::from(ingest()) };
    let key = store.create(wanted, 7, UNANNOUNCED).unwrap();
    let live = LiveKeys::open(store.clone()).unwrap().serving(
        std::sync::Arc::new(move || clock.load(std::sync::atomic::Ordering::SeqCst)),
        Uses::open(dir.path()),
    );
    let live = live.unwrap();
    assert!(is_granted(&live.find(&key.reveal())));
    now_ms.store(7 + DAY_MS - 1, std::sync::atomic::Ordering::SeqCst);
    assert!(is_granted(&live.find(&key.reveal())));
    now_ms.store(7 + DAY_MS, std::sync::atomic::Ordering::SeqCst);
    for presented in [key.reveal(), key.reveal_for_dsn()] {
        assert!(matches!(live.find(&presented), Found::Expired(at_ms, _) if at_ms == 7 + DAY_MS));
    }
    assert!(matches!(live.find(&format!("{}.wrong", key.id)), Found::Unknown), "others are not told");
    let late = Wanted { expires_at_ms: Some(7), ..Wanted::from(ingest()) };
    assert!(store.create(late, 7, UNANNOUNCED).is_err(), "it would have expired already");
}

#[test]
fn a_key_has_a_name_and_an_owner_and_one_of_before_is_called_by_what_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let text = |text: &str| Some(text.to_owned());
    let wanted = |name, owner| Wanted { name, owner, ..Wanted::from(ingest()) };
    for (name, owner) in
        [(text(""), None), (text("a\nb"), None), (None, text(" ")), (None, Some("x".repeat(129)))]
    {
        assert!(store.create(wanted(name, owner), 7, UNANNOUNCED).is_err());
    }
    store.create(wanted(text("Lobby camera"), text("mobile team")), 7, UNANNOUNCED).unwrap();
    store.create(ingest(), 8, UNANNOUNCED).unwrap();
    let keys = store.list().unwrap();
    assert_eq!((keys[0].name(), keys[0].owner.as_deref()), ("Lobby camera".to_owned(), Some("mobile team")));
    assert_eq!((keys[1].name.as_deref(), keys[1].owner.is_none()), (Some("camera shipped"), true));
    let before = r#"{"version": 1, "keys": [{"id": "off0", "hash": "HASH", "created_at_ms": 0, "revoked_at_ms": null,
        "scope": {"analyst": {"role": "officer", "regions": ["DE"]}}}]}"#;
    fs::write(store.path(), before.replace("HASH", &"ab".repeat(32))).unwrap();
    let keys = store.list().unwrap();
    assert_eq!((keys[0].name(), keys[0].expires_at_ms), ("officer".to_owned(), None));
}

#[test]
fn the_day_of_the_last_use_is_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let key = store.create(ingest(), 7, UNANNOUNCED).unwrap();
    let serving = || {
        let live = LiveKeys::open(store.clone()).unwrap();
        live.serving(crate::system_clock(), Uses::open(dir.path())).unwrap()
    };
    let first = serving();
    first.note_use(&key.id);
    assert_eq!(serving().last_day(&key.id), None, "not before it is written");
    first.end();
    assert!(serving().last_day(&key.id).is_some());
    assert!(LiveKeys::open(store).unwrap().last_day(&key.id).is_none(), "a command notes and shows none");
}

#[test]
fn keys_whose_file_is_gone_stay_valid_and_no_service_begins_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = KeyStore::new(dir.path());
    let serving =
        || LiveKeys::open(store.clone()).unwrap().serving(crate::system_clock(), Uses::open(dir.path()));
    // A service begins before its first key.
    let live = serving().unwrap();
    let key = store.create(ingest(), 7, UNANNOUNCED).unwrap();
    live.refresh();
    let (file, away) = (store.path(), dir.path().join("away"));
    fs::rename(&file, &away).unwrap();
    live.refresh();
    assert!(is_granted(&live.find(&key.reveal())), "an app whose key is refused deletes what it has");
    fs::rename(&away, &file).unwrap();
    live.refresh();
    assert!(is_granted(&live.find(&key.reveal())));
    store.revoke(&key.id, 8, UNANNOUNCED).unwrap();
    live.refresh();
    assert!(!is_granted(&live.find(&key.reveal())), "the file that is back counts");
    live.note_use(&key.id);
    live.end();
    fs::rename(&file, &away).unwrap();
    let told = serving().err().unwrap().to_string();
    assert!(told.contains("keys.json") && told.contains("Put it back"), "{told}");
    store.create(ingest(), 9, UNANNOUNCED).unwrap();
    assert!(serving().is_ok(), "a new file was begun on purpose");
}
