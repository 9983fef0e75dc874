//! The life of keys on a disk in memory: made, shared, lost, destroyed, cut off anywhere.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;

use shoal_files::{Disk, Memory, Objects};
use shoal_privacy::{keyring::Keyring, unit_key::Network};
use shoal_schemas::{
    Region,
    calendar::{DAY_MS, day_of},
};

use shoal_storage::EpochKeys;

use super::store::CHECK_DAYS;
use super::{UnitKeys, UnitKeysReport, open::OpenKeys, open::Units};
use crate::epoch_keys::{Calendar, Epochs};
use crate::key_times::{Times, date};
use crate::log::tests::{Faulty, NOW_MS};

const LATE_DAYS: u32 = 3;
/// A region's days that are open: three before today, today and tomorrow.
const OPEN: u64 = 5;
const REGIONS: u64 = Region::ALL.len() as u64;

/// Where a service keeps keys and check values.
#[derive(Clone, Default)]
struct Places {
    keys: Faulty,
    checks: Vec<Faulty>,
}

impl Places {
    fn new() -> Places {
        Places { keys: Faulty::default(), checks: Region::ALL.iter().map(|_| Faulty::default()).collect() }
    }

    fn open(&self) -> Arc<UnitKeys> {
        let checks = self.checks.iter().map(|place| Arc::new(place.clone()) as Arc<dyn Objects>);
        Arc::new(UnitKeys::new(Arc::new(self.keys.clone()), checks.collect(), LATE_DAYS, no_epochs()))
    }

    fn after_power_cut(&self, seed: u64) -> Places {
        let checks = self.checks.iter().map(|place| place.after_power_cut(seed));
        Places { keys: self.keys.after_power_cut(seed), checks: checks.collect() }
    }

    fn key_files(&self) -> Vec<String> {
        self.keys.list("").unwrap().into_iter().map(|entry| entry.name).collect()
    }
}

/// Epoch keys that are derived from the key file: these tests are of others.
fn no_epochs() -> Epochs {
    let calendar =
        Calendar { days: 90, kept_days: Arc::new(|| 90), stored_days: Arc::new(|_| Ok(Default::default())) };
    Epochs::new(EpochKeys::ephemeral(), Vec::new(), calendar, &Keyring::ephemeral())
}

/// A clock that is as it always was.
fn at(now_ms: i64) -> Times {
    Times { now_ms, settled_ms: now_ms }
}

/// The unit of an event from an address, under the one keyring of all tests.
fn unit(keys: &OpenKeys, keyring: &Keyring, address: Option<&str>, day: i32) -> [u8; 16] {
    let network = address.map(|text| Network::of(text.parse::<IpAddr>().unwrap()));
    Units { keys, keyring, network, app: "camera" }.unit(Region::De, day).into_bytes()
}

const PHONE: Option<&str> = Some("198.51.100.7");

#[test]
fn a_day_has_one_key_from_before_its_beginning_to_the_end_of_its_late_window() {
    let (places, keyring) = (Places::new(), Keyring::ephemeral());
    let keys = places.open();
    let today = day_of(NOW_MS);
    assert_eq!(
        keys.run_once(at(NOW_MS)).unwrap(),
        UnitKeysReport { made: OPEN * REGIONS, ..UnitKeysReport::default() }
    );
    let of_phone = |keys: &UnitKeys, day| unit(&keys.open(), &keyring, PHONE, day);
    let of_app = |day| unit(&OpenKeys::default(), &keyring, None, day);
    let first = of_phone(&keys, today);
    assert!(first != of_app(today) && first != of_phone(&keys, today - 1));
    assert!(first != unit(&keys.open(), &keyring, Some("198.51.100.8"), today));
    assert!(unit(&keys.open(), &keyring, None, today) == of_app(today), "without an address");
    assert!(of_phone(&keys, today - 4) == of_app(today - 4), "its late window is over");
    for days in 1..=3 {
        // Another process each day: the key is the same.
        let keys = places.open();
        let report = keys.run_once(at(NOW_MS + days * DAY_MS)).unwrap();
        assert_eq!(report, UnitKeysReport { made: REGIONS, destroyed: REGIONS, ..UnitKeysReport::default() });
        assert!(of_phone(&keys, today) == first, "after {days} days");
    }
    assert_eq!(keys.run_once(at(NOW_MS + 4 * DAY_MS)).unwrap().destroyed, REGIONS);
    assert!(of_phone(&keys, today) == of_app(today), "destroyed, in memory too");
    let named = format!("de/{}", date(today).unwrap());
    assert!(!places.key_files().iter().any(|name| name.starts_with(&named)), "{:?}", places.key_files());
    assert_eq!(places.key_files().len() as u64, OPEN * REGIONS);
    assert!(places.checks.iter().all(|place| place.list("").unwrap().len() as u64 == OPEN + 4));
    keys.run_once(at(NOW_MS + (5 + i64::from(CHECK_DAYS)) * DAY_MS)).unwrap();
    let named = date(today).unwrap();
    let is_left = |place: &Faulty| place.list("").unwrap().iter().any(|entry| entry.name <= named);
    assert!(!places.checks.iter().any(is_left), "check values do not stay for good");
}

#[test]
fn a_clock_that_steps_ahead_destroys_no_key_and_one_that_is_set_back_makes_no_second_one() {
    let (places, keyring) = (Places::new(), Keyring::ephemeral());
    let keys = places.open();
    let today = day_of(NOW_MS);
    let of_phone = |keys: &UnitKeys, day| unit(&keys.open(), &keyring, PHONE, day);
    let of_app = |day| unit(&OpenKeys::default(), &keyring, None, day);
    keys.run_once(at(NOW_MS)).unwrap();
    let before: Vec<_> = (today - 3..=today + 1).map(|day| of_phone(&keys, day)).collect();
    for ahead in [DAY_MS, 4 * DAY_MS, 40 * DAY_MS, 2000 * DAY_MS] {
        let report = keys.run_once(Times { now_ms: NOW_MS + ahead, settled_ms: NOW_MS }).unwrap();
        assert_eq!((report.destroyed, report.lost), (0, 0));
        // Another process, or the same one, under a clock that is right again.
        for keys in [&keys, &places.open()] {
            assert_eq!(keys.run_once(at(NOW_MS)).unwrap(), UnitKeysReport::default());
            let after: Vec<_> = (today - 3..=today + 1).map(|day| of_phone(keys, day)).collect();
            assert!(before == after, "{ahead} ms ahead");
        }
    }
    // Destroyed in time, and then the clock is set back: the day has had its key.
    assert!(keys.run_once(at(NOW_MS + 4 * DAY_MS)).unwrap().destroyed >= REGIONS);
    for settled_ms in [NOW_MS, NOW_MS + 4 * DAY_MS] {
        let report = keys.run_once(Times { now_ms: NOW_MS, settled_ms }).unwrap();
        assert_eq!((report.made, report.destroyed, report.lost), (0, 0, 4 * REGIONS));
        assert!((today - 3..=today).all(|day| of_phone(&keys, day) == of_app(day)));
        assert!(of_phone(&keys, today + 1) == before[4], "its late window is open");
    }
    let back = NOW_MS - i64::from(CHECK_DAYS - 10) * DAY_MS;
    assert_eq!(keys.run_once(at(back)).unwrap().destroyed, 0);
    keys.run_once(at(NOW_MS + 4 * DAY_MS)).unwrap();
    assert!(of_phone(&keys, today + 1) == before[4]);
}

#[test]
fn processes_that_share_the_keys_have_the_same_units() {
    let (places, keyring) = (Places::new(), Keyring::ephemeral());
    let other = Places { keys: places.keys.clone(), ..Places::new() };
    let (one, two) = (places.open(), other.open());
    assert_eq!(one.run_once(at(NOW_MS)).unwrap().made, OPEN * REGIONS);
    assert_eq!(two.run_once(at(NOW_MS)).unwrap(), UnitKeysReport::default());
    let of = |keys: &UnitKeys| unit(&keys.open(), &keyring, PHONE, day_of(NOW_MS));
    assert!(of(&one) == of(&two));
}

#[test]
fn a_day_whose_key_is_lost_gets_no_other_one() {
    let (places, keyring) = (Places::new(), Keyring::ephemeral());
    let keys = places.open();
    keys.run_once(at(NOW_MS)).unwrap();
    let today = day_of(NOW_MS);
    let of_app = |day| unit(&OpenKeys::default(), &keyring, None, day);
    // Restored without the keys: the data knows which days have begun.
    let restored = Places { keys: Faulty::default(), ..places.clone() };
    let keys = restored.open();
    let report = keys.run_once(at(NOW_MS)).unwrap();
    assert_eq!(report, UnitKeysReport { lost: OPEN * REGIONS, ..UnitKeysReport::default() });
    assert!(unit(&keys.open(), &keyring, PHONE, today) == of_app(today));
    // The days that come have keys.
    assert_eq!(keys.run_once(at(NOW_MS + DAY_MS)).unwrap().made, REGIONS);
    let later = today + 2;
    assert!(unit(&keys.open(), &keyring, PHONE, later) != of_app(later));
    // A file that holds another key, or none any more, is as one that is lost.
    for text in [shoal_privacy::unit_key::UnitKey::generate().unwrap().to_text().as_str(), "", "\0\0\0"] {
        let places = places.after_power_cut(1);
        let name = format!("my/{}.key", date(today).unwrap());
        places.keys.put(&name, text.as_bytes()).unwrap();
        assert_eq!(places.open().run_once(at(NOW_MS)).unwrap().lost, 1);
    }
}

#[test]
fn a_power_cut_at_any_point_splits_no_unit() {
    let keyring = Keyring::ephemeral();
    let today = day_of(NOW_MS);
    let run = |places: &Places, at_ms| {
        let keys = places.open();
        let done = keys.run_once(at(at_ms));
        (done, unit(&keys.open(), &keyring, PHONE, today))
    };
    let prepare = || {
        let places = Places::new();
        places.open().run_once(at(NOW_MS - DAY_MS)).unwrap();
        places
    };
    let places = prepare();
    let before = places.keys.operations();
    assert!(run(&places, NOW_MS).0.is_ok());
    let operations = places.keys.operations();
    assert!(operations > before + REGIONS);
    let of_app = unit(&OpenKeys::default(), &keyring, None, today);
    // Reading what was prepared once more counts a little, too.
    for at in before..operations + 4 {
        let places = prepare();
        let first = run(&places, NOW_MS - DAY_MS).1;
        places.keys.crash_at(at);
        let crashed = run(&places, NOW_MS).1;
        let next = places.after_power_cut(at);
        let (done, second) = run(&next, NOW_MS);
        assert!(done.is_ok() && second == first && (crashed == first || crashed == of_app), "cut at {at}");
        assert_eq!(next.key_files().len() as u64, OPEN * REGIONS, "cut at {at}");
    }
}

#[test]
fn a_disk_that_fails_leaves_the_app_s_unit_and_is_tried_again() {
    let (places, keyring) = (Places::new(), Keyring::ephemeral());
    let today = day_of(NOW_MS);
    places.keys.fail_syncs_after(0);
    let keys = places.open();
    assert!(keys.run_once(at(NOW_MS)).is_err());
    let of_app = unit(&OpenKeys::default(), &keyring, None, today);
    assert!(unit(&keys.open(), &keyring, PHONE, today) == of_app);
    places.keys.fail_syncs_after(1_000_000);
    keys.run_once(at(NOW_MS)).unwrap();
    assert!(unit(&keys.open(), &keyring, PHONE, today) != of_app);
}

#[test]
fn keys_are_readable_by_their_owner_only_and_are_overwritten_before_they_go() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path().join("keys")).private();
    let checks = Region::ALL.iter().map(|_| Arc::new(Memory::new()) as Arc<dyn Objects>);
    let keys = UnitKeys::new(Arc::new(disk.clone()), checks.collect(), LATE_DAYS, no_epochs());
    keys.run_once(at(NOW_MS)).unwrap();
    for entry in disk.list("").unwrap() {
        let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(disk.path(&entry.name)), 0o600);
        assert_eq!(mode(disk.path(&entry.name).parent().unwrap().to_owned()), 0o700);
    }
    let oldest = format!("de/{}.key", date(day_of(NOW_MS) - 3).unwrap());
    // An open file keeps its bytes when its name goes.
    let open = disk.open(&oldest).unwrap();
    keys.run_once(at(NOW_MS + DAY_MS)).unwrap();
    let mut bytes = vec![1; open.length().unwrap() as usize];
    open.read_at(0, &mut bytes).unwrap();
    assert!(bytes.iter().all(|byte| *byte == 0) && !bytes.is_empty());
    assert!(disk.open(&oldest).is_err());
}

#[tokio::test]
async fn the_first_event_of_a_new_day_finds_its_key() {
    let (places, keyring) = (Places::new(), Keyring::ephemeral());
    let keys = places.open();
    for days in [0, 1, 40] {
        let now_ms = NOW_MS + days * DAY_MS;
        let current = keys.current(at(now_ms)).await;
        let of_app = unit(&OpenKeys::default(), &keyring, None, day_of(now_ms));
        assert!(unit(&current, &keyring, PHONE, day_of(now_ms)) != of_app, "after {days} days");
        assert!(
            unit(&current, &keyring, PHONE, day_of(now_ms))
                == unit(&keys.open(), &keyring, PHONE, day_of(now_ms))
        );
    }
}
