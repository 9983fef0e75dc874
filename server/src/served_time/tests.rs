//! Clocks that are set in both directions, and years that pass.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shoal_schemas::calendar::DAY_MS;

use super::*;

const NOW_MS: i64 = 1_795_348_800_000;
const YEAR_MS: i64 = 365 * DAY_MS;

fn open(dir: &Path, now_ms: i64) -> ServedTime {
    ServedTime::open(dir, &KnownTimes::default(), now_ms).unwrap()
}

fn is_plausible(time: &ServedTime, now_ms: i64) -> bool {
    plausible(now_ms, &time.known()).is_ok()
}

#[test]
fn an_idle_service_believes_its_clock_for_years_and_never_one_that_was_set_far_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let time = open(dir.path(), NOW_MS);
    let mut passed = 0;
    while passed < 3 * YEAR_MS {
        passed += 30 * 60_000;
        time.look(NOW_MS + passed, passed);
    }
    assert!(is_plausible(&time, NOW_MS + passed) && time.steps() == 0);
    assert_eq!(time.served_ms(), NOW_MS + passed - 30 * 60_000, "the first look begins to count");
    // Five years ahead, for as long as it lasts; then it is right again.
    for hour in 0..100 {
        let ticks = passed + hour * HOUR_MS;
        time.look(NOW_MS + ticks + 5 * YEAR_MS, ticks);
        assert!(!is_plausible(&time, NOW_MS + ticks + 5 * YEAR_MS));
    }
    let ticks = passed + 100 * HOUR_MS;
    time.look(NOW_MS + ticks, ticks);
    assert!(is_plausible(&time, NOW_MS + ticks));
    assert_eq!(time.steps(), 2);
}

#[test]
fn a_mark_survives_and_what_a_wrong_clock_wrote_beside_it_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let time = open(dir.path(), NOW_MS);
    time.look(NOW_MS, 0);
    time.look(NOW_MS + HOUR_MS, HOUR_MS);
    assert!(time.is_due());
    time.write().unwrap();
    assert!(!time.is_due());
    drop(time);
    // The next start has a clock that is five years ahead, under which lines were written.
    let wrong = NOW_MS + 5 * YEAR_MS;
    let others = KnownTimes { audit_ms: Some(wrong), event_ms: Some(wrong), mark_ms: None };
    let time = ServedTime::open(dir.path(), &others, wrong).unwrap();
    assert_eq!(time.served_ms(), NOW_MS + HOUR_MS, "nothing was served meanwhile");
    time.look(wrong, 7);
    time.look(wrong + HOUR_MS, 7 + HOUR_MS);
    time.write().unwrap();
    drop(time);
    let time = ServedTime::open(dir.path(), &others, wrong).unwrap();
    assert!(!is_plausible(&time, wrong) && is_plausible(&time, NOW_MS));
    time.accept(wrong);
    assert!(is_plausible(&time, wrong));
}

#[test]
fn a_directory_without_a_mark_gets_it_from_its_events_and_not_from_a_wrong_clock() {
    let dir = tempfile::tempdir().unwrap();
    let others = KnownTimes { event_ms: Some(NOW_MS), audit_ms: Some(NOW_MS - DAY_MS), mark_ms: None };
    let wrong = NOW_MS + 400 * HOUR_MS;
    let time = ServedTime::open(dir.path(), &others, wrong).unwrap();
    assert!(!is_plausible(&time, wrong));
    assert_eq!(time.served_ms(), NOW_MS, "ids of events that are there are no older for it");
    // It is written at once: whatever comes next under this clock is beside a mark.
    assert_eq!(open(dir.path(), wrong).known().mark_ms, Some(NOW_MS));
}

#[test]
fn a_damaged_mark_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), NOW_MS));
    let path = dir.path().join(FILE);
    let whole = std::fs::read(&path).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bytes).unwrap();
        let refused = ServedTime::open(dir.path(), &KnownTimes::default(), NOW_MS).err().unwrap();
        assert!(refused.to_string().contains("served-time is damaged"), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the clock does, what is served is what the ticks say, and the clock is believed up to seven days more.
    #[test]
    fn served_time_is_what_the_ticks_say_whatever_the_clock_does(
        looks in proptest::collection::vec((0..2 * HOUR_MS, -10 * YEAR_MS..10 * YEAR_MS, any::<bool>()), 1..60),
    ) {
        let mut mark = Mark { known_ms: NOW_MS, served_ms: NOW_MS };
        let mut served = 0;
        for (passed, wrong, is_wrong) in looks {
            let before = mark;
            let now_ms = NOW_MS + served + if is_wrong { wrong } else { 0 };
            mark.pass(passed, now_ms);
            served += passed.min(LOOK_MS_MAX);
            prop_assert_eq!(mark.served_ms, NOW_MS + served);
            prop_assert!(mark.known_ms >= before.known_ms + passed.min(LOOK_MS_MAX));
            prop_assert!(mark.known_ms <= before.known_ms + passed.min(LOOK_MS_MAX) + FAR_MS);
            prop_assert_eq!(Mark::parse(mark.text().as_bytes()), Some(mark));
        }
    }
}
