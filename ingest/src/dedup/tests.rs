//! Runs against a plain set.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use proptest::prelude::*;
use shoal_files::Objects;

use super::{Fingerprints, RunLimits, Runs, Window};
use crate::{error::IngestError, log::tests::Faulty};

const LIMITS: RunLimits = RunLimits { window_ms: 1000, filter_bytes_max: 1 << 20, merge_keys_max: 1 << 20 };

fn open(medium: &Faulty, limits: RunLimits) -> Runs {
    Runs::open(Arc::new(medium.clone()), limits).unwrap()
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

#[test]
fn a_damaged_run_is_an_error() {
    for at in [9, 20, 70] {
        let medium = Faulty::default();
        open(&medium, LIMITS).add(1, &(0..10).map(key).collect(), 0).unwrap();
        medium.flip(&medium.list("").unwrap()[0].name, at);
        let found = Runs::open(Arc::new(medium), LIMITS).err();
        assert!(matches!(found, Some(IngestError::Damaged { .. })), "{at}");
    }
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
