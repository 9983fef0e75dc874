//! Runs against a plain set.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
use shoal_files::{Medium as _, Memory, Objects};

use super::{Fingerprints, RunLimits, Runs, Window};
use crate::{
    error::IngestError,
    log::tests::{Faulty, sealing, with_key},
};

const LIMITS: RunLimits = RunLimits { window_ms: 1000, filter_bytes_max: 1 << 20, merge_keys_max: 1 << 20 };

fn open(medium: &Faulty, limits: RunLimits) -> Runs {
    Runs::open(medium.clone(), sealing(true), limits).unwrap()
}

/// Spread over the whole range, as digests are.
fn key(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn runs_hold_exactly_what_was_added(
        sizes in proptest::collection::vec(0..2000u64, 1..12),
        filter_bytes_max in prop_oneof![Just(0), Just(1 << 20)],
        merge in any::<bool>(),
    ) {
        let medium = Faulty::default();
        let limits = RunLimits { filter_bytes_max, ..LIMITS };
        let runs = open(&medium, limits);
        let mut next = 0;
        for (sequence, size) in sizes.iter().enumerate() {
            let set: Fingerprints = (next..next + size).map(key).collect();
            next += size;
            runs.add(sequence as u64, &set, 10).unwrap();
            if merge { runs.maintain(10).unwrap(); }
        }
        for runs in [&runs, &open(&medium, limits)] {
            for n in (0..next).step_by(7).chain(next.checked_sub(1)) {
                prop_assert!(runs.contains(key(n)).unwrap());
            }
            for n in next..next + 500 {
                prop_assert!(!runs.contains(key(n)).unwrap());
            }
            prop_assert_eq!(runs.size().keys, next);
            prop_assert!(runs.size().filter_bytes <= filter_bytes_max);
            for sequence in 0..sizes.len() as u64 {
                prop_assert!(runs.covers(sequence));
            }
        }
    }
}

#[test]
fn many_runs_become_few_and_old_ones_go() {
    let medium = Faulty::default();
    let runs = open(&medium, LIMITS);
    for sequence in 0..100 {
        let set = (sequence * 10..sequence * 10 + 10).map(key).collect();
        runs.add(sequence, &set, sequence as i64).unwrap();
        runs.maintain(sequence as i64).unwrap();
        assert!(runs.size().runs <= 10, "{}", runs.size().runs);
    }
    assert_eq!(runs.size().keys, 1000);
    assert_eq!(medium.list("").unwrap().len() as u64, runs.size().runs);
    assert!(runs.contains(key(0)).unwrap());
    runs.maintain(2000).unwrap();
    assert_eq!((runs.size().runs, medium.list("").unwrap().len()), (0, 0));
    assert!(!runs.contains(key(0)).unwrap());
}

#[test]
fn a_power_cut_in_a_merge_keeps_every_id() {
    let prepare = || {
        let medium = Faulty::default();
        let runs = open(&medium, LIMITS);
        for sequence in 0..4 {
            runs.add(sequence, &(sequence * 10..sequence * 10 + 10).map(key).collect(), 0).unwrap();
        }
        (medium, runs)
    };
    let (medium, runs) = prepare();
    let before = medium.operations();
    assert_eq!(runs.maintain(0).unwrap(), 1);
    for at in before..medium.operations() {
        let (medium, runs) = prepare();
        medium.crash_at(at);
        assert!(runs.maintain(0).is_err());
        let next = open(&medium.after_power_cut(at), LIMITS);
        assert!((0..40).all(|n| next.contains(key(n)).unwrap()), "cut at {at}");
        assert_eq!(next.size().keys, 40);
    }
}

/// The bytes of a run as earlier versions wrote them.
fn of_version_1(bytes: &[u8]) -> Vec<u8> {
    let (ids, head) = bytes.split_at(bytes.len() - 64);
    let mut head = head.to_vec();
    head[8] = 1;
    let crc = crc32fast::hash(&head[..48]);
    head[48..52].copy_from_slice(&crc.to_le_bytes());
    [&head, ids].concat()
}

/// A medium with a run of ten ids, in the clear, and the name of the run.
fn one_run(is_of_version_1: bool) -> (Faulty, String) {
    let medium = Faulty::default();
    let runs = Runs::open(medium.clone(), sealing(false), LIMITS).unwrap();
    runs.add(1, &(0..10).map(key).collect(), 0).unwrap();
    let name = medium.list("").unwrap().remove(0).name;
    if is_of_version_1 {
        medium.put(&name, &of_version_1(&medium.read(&name).unwrap())).unwrap();
    }
    (medium, name)
}

/// A run whose bytes were read as zeros in one place, or whose ids somebody has changed together with the checksums.
#[test]
fn ids_that_do_not_ascend_are_an_error_before_a_filter_is_made_of_them() {
    let order = |ids: &[u64], is_checked: bool| {
        let (medium, name) = one_run(false);
        let mut bytes = medium.read(&name).unwrap();
        for (at, id) in ids.iter().enumerate() {
            bytes[at * 8..at * 8 + 8].copy_from_slice(&id.to_le_bytes());
        }
        if is_checked {
            let crc = crc32fast::hash(&bytes[..80]).to_le_bytes();
            bytes[92..96].copy_from_slice(&crc);
            let crc = crc32fast::hash(&bytes[80..128]).to_le_bytes();
            bytes[128..132].copy_from_slice(&crc);
        }
        medium.put(&name, &bytes).unwrap();
        Runs::open(medium, sealing(true), LIMITS).map(|runs| runs.size().keys)
    };
    assert_eq!(order(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], true).unwrap(), 10, "the checksums are right");
    for (ids, is_checked) in [([0; 10], false), ([0; 10], true), ([0, 2, 1, 3, 4, 5, 6, 7, 8, 9], true)] {
        let found = order(&ids, is_checked).err();
        assert!(
            matches!(found, Some(IngestError::Damaged { reason: "its ids do not ascend", .. })),
            "{found:?}"
        );
    }
}

#[test]
fn a_damaged_run_is_an_error() {
    // All that is not zero in what it says of itself, and all ids.
    for (is_of_version_1, bytes) in [(true, (0..52).chain(64..144)), (false, (0..80).chain(80..132))] {
        for at in bytes {
            let (medium, name) = one_run(is_of_version_1);
            medium.flip(&name, at);
            let found = Runs::open(medium, sealing(true), LIMITS).err();
            assert!(matches!(found, Some(IngestError::Damaged { .. })), "{at}");
        }
        for cut in 0..144 {
            let (medium, name) = one_run(is_of_version_1);
            medium.put(&name, &medium.read(&name).unwrap()[..cut]).unwrap();
            assert!(Runs::open(medium, sealing(true), LIMITS).is_err(), "{cut}");
        }
    }
}

#[test]
fn a_run_that_is_encrypted_is_read_with_its_key_and_name_and_as_it_was_written() {
    let medium = Faulty::default();
    open(&medium, LIMITS).add(1, &(0..700).map(key).collect(), 0).unwrap();
    let name = medium.list("").unwrap().remove(0).name;
    let bytes = medium.read(&name).unwrap();
    let held = |n: u64| bytes.windows(8).any(|part| part == key(n).to_le_bytes());
    assert!(!(0..700).any(held), "no id is in the clear");
    let told = |medium: &Faulty, sealing| {
        let found = Runs::open(medium.clone(), sealing, LIMITS).err();
        found.map(|error| error.to_string()).unwrap_or_default()
    };
    for at in 0..bytes.len() {
        let other = medium.after_power_cut(0);
        other.flip(&name, at);
        assert!(told(&other, sealing(true)).contains(&name), "{at}");
    }
    for cut in 0..bytes.len() {
        let other = medium.after_power_cut(0);
        other.put(&name, &bytes[..cut]).unwrap();
        assert!(told(&other, sealing(true)).contains(&name), "{cut}");
    }
    let other_key = with_key(8, true);
    assert!(told(&medium, other_key).contains("another key"));
    assert!(told(&medium, None).contains("there is no key"));
    assert_eq!(told(&medium, sealing(false)), "", "with encryption off it is read");
    let renamed = medium.after_power_cut(0);
    renamed.rename(&name, &name.replace('1', "2")).unwrap();
    assert!(told(&renamed, sealing(true)).contains("another name"));
}

#[test]
fn runs_of_before_are_read_and_merged_into_one_that_is_encrypted() {
    let medium = one_run(true).0;
    let runs = open(&medium, LIMITS);
    for sequence in 2..5 {
        runs.add(sequence, &(sequence * 10..sequence * 10 + 10).map(key).collect(), 0).unwrap();
    }
    let is_known = |runs: &Runs| (0..10).chain(20..50).all(|n| runs.contains(key(n)).unwrap());
    assert!(is_known(&runs) && is_known(&open(&medium, LIMITS)));
    assert_eq!(runs.maintain(0).unwrap(), 1);
    assert!(is_known(&runs) && is_known(&open(&medium, LIMITS)) && !runs.contains(key(10)).unwrap());
    let all = medium.list("").unwrap();
    let bytes = medium.read(&all[0].name).unwrap();
    assert!(all.len() == 1 && !bytes.windows(8).any(|part| part == key(0).to_le_bytes()));
}

#[test]
fn what_a_crash_left_of_a_run_goes_at_the_next_start() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("1-1.run#12"), b"unfinished").unwrap();
    std::fs::write(root.path().join("1-1.run.tmp"), b"of an earlier version").unwrap();
    let runs = Runs::open(shoal_files::Disk::new(root.path()), sealing(true), LIMITS).unwrap();
    assert_eq!((runs.size().runs, std::fs::read_dir(root.path()).unwrap().count()), (0, 0));
}

#[test]
fn the_window_remembers_active_sealed_and_flushed_segments() {
    let runs = Arc::new(open(&Faulty::default(), LIMITS));
    let mut window = Window::new(Arc::clone(&runs), Vec::new());
    let is_new = |window: &mut Window, n: u64| {
        let is_new = !window.is_known(key(n)).unwrap();
        if is_new {
            window.insert(key(n));
        }
        is_new
    };
    assert!(is_new(&mut window, 1) && !is_new(&mut window, 1));
    let set = window.seal(1);
    assert!(!is_new(&mut window, 1) && is_new(&mut window, 2));
    runs.add(1, &set, 0).unwrap();
    window.forget(1);
    assert!(!is_new(&mut window, 1), "from the run");
    runs.maintain(5000).unwrap();
    assert!(is_new(&mut window, 1), "the window is over");
}

#[test]
fn a_run_that_a_killed_process_has_left_is_durable_once_it_is_seen() {
    for seed in 0..40 {
        let medium = Memory::new();
        let killed = Runs::open(medium.dying(), sealing(true), LIMITS).unwrap();
        killed.add(1, &[key(1)].into_iter().collect(), 10).unwrap();
        assert!(Runs::open(medium.clone(), sealing(true), LIMITS).unwrap().contains(key(1)).unwrap());
        let found = Runs::open(medium.after_power_cut(seed), sealing(true), LIMITS).unwrap();
        assert!(found.covers(1) && found.contains(key(1)).unwrap(), "{seed}");
    }
}
