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
fn what_moves_both_clocks_has_set_them() {
    for ahead_ms in [3 * HOUR_MS, 400 * HOUR_MS, 5 * YEAR_MS] {
        let dir = tempfile::tempdir().unwrap();
        let time = open(dir.path(), NOW_MS);
        time.look(NOW_MS, 0);
        time.look(NOW_MS + 250, 250);
        assert_eq!((time.steps(), time.served_ms()), (0, NOW_MS + 250));
        time.look(NOW_MS + 500 + ahead_ms, 500 + ahead_ms);
        assert_eq!((time.steps(), time.served_ms()), (1, NOW_MS + 250 + LOOK_MS_MAX));
        assert!(time.settled_clock()() <= NOW_MS + 250 + LOOK_MS_MAX, "nothing is destroyed by it");
        assert_eq!(is_plausible(&time, NOW_MS + 500 + ahead_ms), ahead_ms < FAR_MS);
        time.look(NOW_MS + 750, 750);
        assert_eq!(time.steps(), 2, "and both are set back");
        time.look(NOW_MS + 1_000, 1_000);
        assert_eq!((time.steps(), time.served_ms()), (2, NOW_MS + 500 + LOOK_MS_MAX));
    }
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

#[test]
fn nothing_is_destroyed_by_a_clock_before_it_has_stood_for_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    let time = open(dir.path(), NOW_MS);
    let settled = time.settled_clock();
    let after = |passed_ms: i64, ahead_ms: i64| {
        time.look(NOW_MS + passed_ms + ahead_ms, passed_ms);
        settled() - NOW_MS - passed_ms
    };
    let minute = 60_000;
    assert_eq!((after(0, 0), after(minute, 0)), (0, 0));
    // Four days ahead, for half an hour; then it is right again; then four days ahead for good.
    assert_eq!((2..32).map(|n| after(n * minute, 4 * DAY_MS)).max(), Some(0));
    assert_eq!(after(32 * minute, 0), 0);
    assert_eq!((33..93).map(|n| after(n * minute, 4 * DAY_MS)).max(), Some(0));
    assert_eq!((after(94 * minute, 4 * DAY_MS), after(95 * minute, 4 * DAY_MS)), (4 * DAY_MS, 4 * DAY_MS));
    // Set back: at once. Five years ahead: never.
    assert_eq!(after(96 * minute, -DAY_MS), -DAY_MS);
    assert_eq!(after(97 * minute, 0), -DAY_MS, "it is ahead again");
    let most = (98..1_000).map(|n| after(n * minute, 5 * YEAR_MS)).max();
    assert_eq!(most, Some(-DAY_MS));
}

#[test]
fn what_is_settled_is_kept_and_a_mark_of_before_says_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let time = open(dir.path(), NOW_MS);
    time.look(NOW_MS, 0);
    // It is believed for what retention asks, and nothing is destroyed by it, after a restart neither.
    time.look(NOW_MS + 6 * DAY_MS, 1);
    time.write().unwrap();
    drop(time);
    let time = open(dir.path(), NOW_MS + 6 * DAY_MS);
    assert_eq!((time.settled_clock()(), time.known().mark_ms), (NOW_MS + 1, Some(NOW_MS + 6 * DAY_MS)));
    let before = Mark::parse(twice(&[NOW_MS + 7, NOW_MS]).as_bytes()).unwrap();
    assert_eq!(before, Mark { known_ms: NOW_MS + 7, served_ms: NOW_MS, settled_ms: NOW_MS + 7 });
    for other in [&[][..], &[1], &[1, 2, 3, 4]] {
        assert_eq!(Mark::parse(twice(other).as_bytes()), None);
    }
}

#[test]
fn a_start_under_a_clock_that_is_ahead_waits_for_an_hour_too() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), NOW_MS));
    for days in [2, -2] {
        let now_ms = NOW_MS + days * DAY_MS;
        let time = open(dir.path(), now_ms);
        let settled = time.settled_clock();
        time.look(now_ms, 0);
        assert_eq!(settled(), NOW_MS.min(now_ms));
        time.look(now_ms + HOUR_MS, HOUR_MS);
        assert_eq!(settled(), now_ms + HOUR_MS);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever the clock does, what is served is what the ticks say, and the clock is believed up to seven days more.
    #[test]
    fn served_time_is_what_the_ticks_say_whatever_the_clock_does(
        looks in proptest::collection::vec((0..2 * HOUR_MS, -10 * YEAR_MS..10 * YEAR_MS, any::<bool>()), 1..60),
    ) {
        let mut mark = Mark { known_ms: NOW_MS, served_ms: NOW_MS, settled_ms: NOW_MS };
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

    /// Whatever the clock does, nothing is destroyed by a time that it does not say, or that it has said for less than an hour.
    #[test]
    fn the_settled_time_goes_with_the_clock_and_forward_only_to_what_has_stood_for_an_hour(
        looks in proptest::collection::vec((1..40 * 60_000_i64, -3 * DAY_MS..9 * DAY_MS, 0..4), 1..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let time = open(dir.path(), NOW_MS);
        let settled = time.settled_clock();
        let (mut ticks, mut wrong, mut set_at) = (0, 0, 0);
        time.look(NOW_MS, ticks);
        for (passed, other, turn) in looks {
            ticks += passed;
            if turn == 0 && (other - wrong).abs() > STEP_MS {
                (wrong, set_at) = (other, ticks);
            }
            let before = settled();
            time.look(NOW_MS + ticks + wrong, ticks);
            prop_assert!(settled() <= NOW_MS + ticks + wrong);
            if settled() > before + passed {
                prop_assert!(ticks - set_at >= SETTLE_MS);
                prop_assert_eq!(settled(), NOW_MS + ticks + wrong);
            }
        }
    }
}
