//! The life of epoch keys on a disk in memory: made, adopted, lost, destroyed, cut off anywhere.
#![allow(clippy::unwrap_used)]

use shoal_files::{Objects as _, SealingKey};
use shoal_schemas::{IdentifierKind, Programme, calendar::DAY_MS};
use shoal_storage::KeyPlace;

use super::*;
use crate::log::tests::{Faulty, NOW_MS};

const DAYS: u32 = 90;
const KEPT_DAYS: u32 = 400;

/// Where a service keeps keys and check values.
#[derive(Clone)]
struct Places {
    keys: Faulty,
    checks: Vec<Faulty>,
    wrapping: SealingKey,
    keyring: Arc<Keyring>,
    kept_days: u32,
    stored: BTreeSet<i32>,
}

impl Places {
    fn new() -> Places {
        Places {
            keys: Faulty::default(),
            checks: Region::ALL.iter().map(|_| Faulty::default()).collect(),
            wrapping: SealingKey::generate().unwrap(),
            keyring: Arc::new(Keyring::generate().unwrap()),
            kept_days: KEPT_DAYS,
            stored: BTreeSet::new(),
        }
    }

    fn epochs(&self) -> Epochs {
        let checks = self.checks.iter().map(|place| Arc::new(place.clone()) as Arc<dyn Objects>);
        let keys =
            EpochKeys::new(KeyPlace::new(Arc::new(self.keys.clone()), Vec::new()), |_| self.wrapping.clone());
        let (kept_days, stored) = (self.kept_days, self.stored.clone());
        let calendar = Calendar {
            days: DAYS,
            kept_days: Arc::new(move || kept_days),
            stored_days: Arc::new(move |_| Ok(stored.clone())),
        };
        Epochs::new(keys, checks.collect(), calendar, &self.keyring)
    }

    /// The pseudonym of one person on a day, if the day has one; as a process that starts at this time has it.
    fn pseudonym(&self, times: Times, day: i32) -> io::Result<Option<[u8; 16]>> {
        let (open, _) = self.epochs().open(times, &OpenEpochs::default())?;
        let epoch = PseudonymEpoch::of_day(day, DAYS);
        let pseudonym = |key: Arc<EpochKey>| {
            let subjects = key.pseudonymiser(Programme::UserExperience);
            subjects.pseudonym(IdentifierKind::User, "u-1").into_bytes()
        };
        Ok(open.get(&self.keyring, Region::De, epoch).map(pseudonym))
    }

    fn after_power_cut(&self, seed: u64) -> Places {
        let checks = self.checks.iter().map(|place| place.after_power_cut(seed)).collect();
        Places { keys: self.keys.after_power_cut(seed), checks, ..self.clone() }
    }
}

/// A clock that is as it always was, so many days later.
fn after(days: i64) -> Times {
    let now_ms = NOW_MS + days * DAY_MS;
    Times { now_ms, settled_ms: now_ms }
}

fn today() -> i32 {
    day_of(NOW_MS)
}

#[test]
fn an_epoch_has_one_key_in_every_process_until_none_of_its_days_is_kept() {
    let places = Places::new();
    let first = places.pseudonym(after(0), today()).unwrap().unwrap();
    let of_old = places.pseudonym(after(0), today() - 300).unwrap().unwrap();
    assert!(first != of_old);
    let last_day = {
        let epoch = PseudonymEpoch::of_day(today(), DAYS).0;
        i32::try_from((epoch + 1) * DAYS).unwrap() - 1
    };
    let left = i64::from(last_day - today());
    let kept = i64::from(KEPT_DAYS);
    for days in [0, left, left + kept] {
        assert!(places.pseudonym(after(days), today()).unwrap() == Some(first), "after {days} days");
    }
    let next = places.pseudonym(after(left + 1), last_day + 1).unwrap().unwrap();
    assert!(next != first);
    let (open, destroyed) = places.epochs().open(after(left + kept + 1), &OpenEpochs::default()).unwrap();
    assert!(destroyed >= Region::ALL.len() as u64 && !open.keys.is_empty());
    assert!(places.pseudonym(after(left + kept + 1), today()).unwrap().is_none());
    // A clock that is set back makes no other keys for it.
    assert!(places.pseudonym(after(left), today()).unwrap().is_none());
    places.pseudonym(after(left + kept + 2 + i64::from(REMEMBERED_DAYS)), today()).unwrap();
    let names: Vec<String> = places.keys.list("").unwrap().into_iter().map(|entry| entry.name).collect();
    let name = format!("de/epochs/{}", date(last_day + 1 - 90).unwrap());
    assert!(!names.iter().any(|other| other.starts_with(&name)), "it is not remembered for good: {names:?}");
}

#[test]
fn a_clock_that_steps_ahead_destroys_nothing() {
    let places = Places::new();
    let first = places.pseudonym(after(0), today()).unwrap();
    for years in [1, 5, 50] {
        let ahead = Times { now_ms: NOW_MS + years * 365 * DAY_MS, settled_ms: NOW_MS };
        let (_, destroyed) = places.epochs().open(ahead, &OpenEpochs::default()).unwrap();
        assert_eq!(destroyed, 0);
        assert!(places.pseudonym(after(0), today()).unwrap() == first);
    }
}

#[test]
fn keys_that_are_lost_or_are_others_are_told_and_not_made_again() {
    let places = Places::new();
    places.pseudonym(after(0), today()).unwrap();
    // The directory of keys is gone, or an older one, or another service's.
    let lost = Places { keys: Faulty::default(), ..places.clone() };
    let told = lost.pseudonym(after(0), today()).unwrap_err().to_string();
    assert!(told.contains("lost") && told.contains("shoal keys shred"), "{told}");
    let others = Places { wrapping: places.wrapping.clone(), ..Places::new() };
    others.pseudonym(after(0), today()).unwrap();
    let mixed = Places { keys: others.keys.clone(), ..places.clone() };
    let told = mixed.pseudonym(after(0), today()).unwrap_err().to_string();
    assert!(told.contains("not those that the data were made with"), "{told}");
    // What a running service has in its memory goes on.
    let (open, _) = places.epochs().open(after(0), &OpenEpochs::default()).unwrap();
    assert!(lost.epochs().open(after(0), &open).is_err());
    assert!(open.get(&places.keyring, Region::De, PseudonymEpoch::of_day(today(), DAYS)).is_some());
}

#[test]
fn keys_that_were_destroyed_by_hand_are_gone_in_a_process_that_runs_too() {
    let places = Places::new();
    let (open, _) = places.epochs().open(after(0), &OpenEpochs::default()).unwrap();
    let epoch = PseudonymEpoch::of_day(today(), DAYS);
    let scope = places.epochs().scope(Region::De, epoch.0);
    places.epochs().keys.destroy(scope).unwrap();
    let (next, _) = places.epochs().open(after(0), &open).unwrap();
    assert!(next.get(&places.keyring, Region::De, epoch).is_none());
    assert!(next.get(&places.keyring, Region::Us, epoch).is_some());
}

#[test]
fn a_key_file_of_version_1_keeps_no_keys_and_has_those_of_every_epoch() {
    let places = Places { keyring: Arc::new(Keyring::ephemeral()), ..Places::new() };
    assert!(places.pseudonym(after(0), 3).unwrap().is_some());
    assert!(places.keys.list("").unwrap().is_empty());
}

#[test]
fn a_power_cut_at_any_point_gives_no_epoch_a_second_key() {
    let whole = Places::new();
    whole.pseudonym(after(0), today()).unwrap();
    for at in 0..whole.keys.operations() + 2 {
        let places = Places::new();
        places.keys.crash_at(at);
        let crashed = places.pseudonym(after(0), today()).ok().flatten();
        let next = places.after_power_cut(at);
        let second = next.pseudonym(after(0), today()).unwrap().unwrap();
        assert!(crashed.is_none_or(|crashed| crashed == second), "cut at {at}");
        assert!(next.pseudonym(after(0), today()).unwrap() == Some(second));
    }
}

#[test]
fn an_epoch_that_has_rows_keeps_its_keys_however_short_events_are_kept() {
    let places = Places::new();
    let day = today() - 300;
    let first = places.pseudonym(after(0), day).unwrap();
    let short = Places { kept_days: 20, stored: BTreeSet::from([day]), ..places.clone() };
    // Days that are kept no longer have no keys in memory, and the keys are there.
    assert!(short.pseudonym(after(0), day).unwrap().is_none());
    assert!(places.pseudonym(after(0), day).unwrap() == first, "it is set back: nobody is another person");
    let gone = Places { stored: BTreeSet::new(), ..short };
    gone.pseudonym(after(0), day).unwrap();
    assert!(places.pseudonym(after(0), day).unwrap() != first, "the rows are gone, and so are the keys");
}
