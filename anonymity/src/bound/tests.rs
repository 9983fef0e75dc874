//! Exact sensitivity on random data, and small cases by hand.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::noise::testing::{FailingEntropy, SeededEntropy};

type RawRow = (i32, u8, u32, [i64; 2]);
type Cells = BTreeMap<(Option<i32>, u32), (u64, Vec<i128>)>;

fn subject(name: u8) -> [u8; 16] {
    *blake3::hash(&[name]).as_bytes().first_chunk().unwrap()
}

/// Keys are numbers already.
fn number(key: u64) -> Option<u32> {
    u32::try_from(key).ok()
}

/// Each unit's rows in the order they are in, one unit after the other.
fn bound<'a>(
    rows: impl IntoIterator<Item = &'a RawRow>,
    limits: &Limits,
    by_day: bool,
    entropy: &mut SeededEntropy,
) -> Totals {
    let mut units: BTreeMap<(Option<i32>, [u8; 16]), Vec<&RawRow>> = BTreeMap::new();
    for row in rows {
        units.entry((by_day.then_some(row.0), subject(row.1))).or_default().push(row);
    }
    let mut bounder = Bounder::new(limits, entropy).unwrap();
    for ((day, subject), rows) in units {
        for row in rows {
            bounder.take(row.2.into(), &row.3).unwrap();
        }
        bounder.close(day, day, &subject, &mut number).unwrap();
    }
    bounder.finish()
}

/// The same seed on every call: the same choice of keys in both worlds.
fn cells<'a>(rows: impl IntoIterator<Item = &'a RawRow>, limits: &Limits, by_day: bool) -> Cells {
    let totals = bound(rows, limits, by_day, &mut SeededEntropy::new(77));
    totals.cells().map(|cell| ((cell.day, cell.key), (cell.subjects, cell.sums.to_vec()))).collect()
}

/// Differences (subjects, count, sum) of every cell that is not the same in both.
fn differences(one: &Cells, other: &Cells) -> Vec<[i128; 3]> {
    let zero = (0, vec![0, 0]);
    let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    keys.into_iter()
        .map(|key| (one.get(key).unwrap_or(&zero), other.get(key).unwrap_or(&zero)))
        .map(|(a, b)| [i128::from(a.0) - i128::from(b.0), a.1[0] - b.1[0], a.1[1] - b.1[1]])
        .filter(|difference| *difference != [0, 0, 0])
        .collect()
}

fn squared(differences: &[[i128; 3]], aggregate: usize) -> u128 {
    differences.iter().map(|difference| difference[aggregate].unsigned_abs().pow(2)).sum()
}

fn rows() -> impl Strategy<Value = Vec<RawRow>> {
    let value = prop_oneof![-20i64..20, Just(i64::MIN), Just(i64::MAX)];
    prop::collection::vec(
        (0..4i32, 0..5u8, prop_oneof![0..8u32, Just(u32::MAX)], [value.clone(), value]),
        0..120,
    )
}

fn limits() -> impl Strategy<Value = Limits> {
    (1..6u32, 1..9u64, 1..9u64)
        .prop_map(|(l0, count, sum)| Limits::new(l0, vec![Clamp::Count(count), Clamp::Sum(sum)]).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn one_subjects_day_changes_no_more_than_is_charged(rows in rows(), limits in limits(), day in 0..4i32, name in 0..5u8) {
        let without = rows.iter().filter(|row| (row.0, row.1) != (day, name));
        let changed = differences(&cells(&rows, &limits, true), &cells(without, &limits, true));
        prop_assert!(changed.len() <= limits.l0() as usize);
        for difference in &changed {
            prop_assert!((0..=1).contains(&difference[0]));
            prop_assert!((0..=i128::from(limits.clamps()[0].linf())).contains(&difference[1]));
            prop_assert!(difference[2].unsigned_abs() <= u128::from(limits.clamps()[1].linf()));
        }
        for (aggregate, which) in [None, Some(0), Some(1)].into_iter().enumerate() {
            prop_assert!(squared(&changed, aggregate) <= limits.days_sensitivity(which).unwrap());
        }
    }

    #[test]
    fn a_range_changes_no_more_than_is_charged(rows in rows(), limits in limits(), day in 0..4i32, name in 0..5u8) {
        let whole = cells(&rows, &limits, false);
        let without_subject = differences(&whole, &cells(rows.iter().filter(|row| row.1 != name), &limits, false));
        prop_assert!(without_subject.len() <= limits.l0() as usize);
        let without_day = differences(&whole, &cells(rows.iter().filter(|row| (row.0, row.1) != (day, name)), &limits, false));
        prop_assert!(without_day.len() <= 2 * limits.l0() as usize);
        for changed in [without_subject, without_day] {
            for (aggregate, which) in [None, Some(0), Some(1)].into_iter().enumerate() {
                for possible in [None, Some(9)] {
                    prop_assert!(squared(&changed, aggregate) <= limits.range_sensitivity(which, possible).unwrap());
                }
            }
        }
    }

    #[test]
    fn an_ungrouped_range_changes_by_one(rows in rows(), day in 0..4i32, name in 0..5u8) {
        let limits = Limits::new(1, vec![Clamp::Count(3), Clamp::Sum(3)]).unwrap();
        let rows: Vec<RawRow> = rows.into_iter().map(|row| (row.0, row.1, 0, row.3)).collect();
        let without = rows.iter().filter(|row| (row.0, row.1) != (day, name));
        let changed = differences(&cells(&rows, &limits, false), &cells(without, &limits, false));
        for (aggregate, which) in [None, Some(0), Some(1)].into_iter().enumerate() {
            prop_assert!(squared(&changed, aggregate) <= limits.range_sensitivity(which, Some(1)).unwrap());
        }
        prop_assert_eq!(limits.range_sensitivity(None, Some(1)), Ok(1));
    }

    #[test]
    fn any_order_and_any_split_of_rows_gives_the_same(rows in rows(), limits in limits(), by_day: bool) {
        // Small values only: saturation depends on the order of additions within one subject.
        let rows: Vec<RawRow> = rows.into_iter().map(|row| (row.0, row.1, row.2, row.3.map(|v| v.clamp(-20, 20)))).collect();
        let expected = cells(&rows, &limits, by_day);
        prop_assert_eq!(&expected, &cells(rows.iter().rev(), &limits, by_day));
        let halves: Vec<RawRow> = rows.iter().flat_map(|(day, name, key, [a, b])| {
            [(*day, *name, *key, [a / 2, b / 2]), (*day, *name, *key, [a - a / 2, b - b / 2])]
        }).collect();
        prop_assert_eq!(&expected, &cells(&halves, &limits, by_day));
        // Without a limit on keys that bites, it is plain clamping and adding.
        let wide = Limits::new(100, limits.clamps().to_vec()).unwrap();
        let mut units: BTreeMap<(Option<i32>, u8, u32), [i64; 2]> = BTreeMap::new();
        for (day, name, key, values) in &rows {
            let sum = units.entry((by_day.then_some(*day), *name, *key)).or_default();
            *sum = [sum[0] + values[0], sum[1] + values[1]];
        }
        let mut plain = Cells::new();
        for ((day, _, key), [count, sum]) in units {
            let cell = plain.entry((day, key)).or_insert((0, vec![0, 0]));
            let most = wide.clamps().iter().map(|clamp| clamp.linf() as i64).collect::<Vec<_>>();
            cell.0 += 1;
            cell.1[0] += i128::from(count.max(0).min(most[0]));
            cell.1[1] += i128::from(sum.max(-most[1]).min(most[1]));
        }
        prop_assert_eq!(plain, cells(&rows, &wide, by_day));
    }
}

#[test]
fn one_day_less_can_exchange_the_keys_of_a_range() {
    // Why a range costs more than l0: somewhere a subject's day decides which one key it keeps.
    let limits = Limits::new(1, vec![Clamp::Count(1), Clamp::Sum(1)]).unwrap();
    let exchanged = (0..32u32).any(|key| {
        let rows = [(0, 1, key, [1, 1]), (1, 1, key + 100, [1, 1])];
        differences(&cells(&rows, &limits, false), &cells(&rows[1..], &limits, false)).len() == 2
    });
    assert!(exchanged);
}

#[test]
fn the_choice_of_keys_is_fresh_and_even() {
    let limits = Limits::new(1, vec![]).unwrap();
    let (mut kept, mut entropy) = ([0u32; 4], SeededEntropy::new(3));
    for _ in 0..4_000 {
        let mut bounder = Bounder::new(&limits, &mut entropy).unwrap();
        (0..4).for_each(|key| assert_eq!(bounder.take(key, &[]), Ok(Taken::New)));
        bounder.close(Some(0), Some(0), &subject(1), &mut number).unwrap();
        let totals = bounder.finish();
        assert_eq!((totals.len(), totals.width()), (1, 0));
        kept[totals.cells().next().unwrap().key as usize] += 1;
    }
    assert!(kept.iter().all(|count| count.abs_diff(1_000) < 150), "{kept:?}");
}

#[test]
fn cells_are_found_by_day_and_key() {
    let limits = Limits::new(2, vec![Clamp::Count(10), Clamp::Sum(5)]).unwrap();
    let rows = [(7, 1, 3, [4, -9]), (7, 2, 3, [1, 2]), (8, 1, 3, [99, 0]), (7, 1, 1, [2, 2])];
    let totals = bound(&rows, &limits, true, &mut SeededEntropy::new(1));
    let cell = totals.get(Some(7), 3).unwrap();
    assert_eq!((cell.subjects, cell.sums), (2, &[5i128, -3][..]));
    assert_eq!(totals.get(Some(8), 3).unwrap().sums, [10, 0]);
    assert!(totals.get(Some(8), 1).is_none() && totals.get(None, 3).is_none());
    let range = bound(&rows, &limits, false, &mut SeededEntropy::new(1));
    assert_eq!(
        (range.get(None, 3).unwrap().subjects, range.get(None, 3).unwrap().sums),
        (2, &[11i128, -3][..])
    );
    let days: Vec<_> = totals.cells().map(|cell| (cell.day, cell.key)).collect();
    assert_eq!(days, [(Some(7), 1), (Some(7), 3), (Some(8), 3)]);
}

#[test]
fn wrong_input_is_an_error() {
    for (l0, clamps) in [(0, vec![]), (1, vec![Clamp::Count(0)]), (1, vec![Clamp::Sum((1 << 52) + 1)])] {
        assert_eq!(Limits::new(l0, clamps), Err(BoundError::Limits));
    }
    let limits = Limits::new(1, vec![Clamp::Count(1)]).unwrap();
    assert_eq!(limits.days_sensitivity(Some(1)), Err(BoundError::Limits));
    let mut bounder = Bounder::new(&limits, &mut SeededEntropy::new(1)).unwrap();
    assert_eq!(bounder.take(0, &[1, 2]), Err(BoundError::Width));
    let mut failing = FailingEntropy { inner: SeededEntropy::new(1), bytes_left: 15 };
    assert_eq!(Bounder::new(&limits, &mut failing).err(), Some(BoundError::Noise(NoiseError::Entropy)));
}

#[test]
fn what_is_forgotten_does_not_count() {
    let limits = Limits::new(40, vec![Clamp::Count(10)]).unwrap();
    let mut bounder = Bounder::new(&limits, &mut SeededEntropy::new(1)).unwrap();
    (0..30).for_each(|key| assert_eq!(bounder.take(key, &[1]), Ok(Taken::New)));
    bounder.forget();
    (20..60).for_each(|key| assert_eq!(bounder.take(key, &[2]), Ok(Taken::New)));
    (20..60).for_each(|key| assert_eq!(bounder.take(key, &[2]), Ok(Taken::Known)));
    bounder.close(None, None, &subject(1), &mut number).unwrap();
    let totals = bounder.finish();
    let found: Vec<_> = totals.cells().map(|cell| (cell.key, cell.subjects, cell.sums[0])).collect();
    assert_eq!(found, (20..60).map(|key| (key, 1, 4)).collect::<Vec<_>>());
}

/// So that nobody learns from a number, or from a limit on numbers, what was not kept.
#[test]
fn only_kept_keys_are_numbered_and_late_ones_left_out() {
    let limits = Limits::new(3, vec![]).unwrap();
    let mut bounder = Bounder::new(&limits, &mut SeededEntropy::new(1)).unwrap();
    let keys = UNIT_KEYS_MAX as u64;
    (0..keys).for_each(|key| assert_eq!(bounder.take(key << 20, &[]), Ok(Taken::New)));
    assert_eq!(bounder.take(1, &[]), Ok(Taken::LeftOut));
    assert_eq!(bounder.take(5 << 20, &[]), Ok(Taken::Known));
    let mut numbered = Vec::new();
    let mut give = |key| {
        numbered.push(key);
        Some(numbered.len() as u32 - 1)
    };
    bounder.close(None, None, &subject(1), &mut give).unwrap();
    assert_eq!((numbered.len(), bounder.finish().len()), (3, 3));
    let mut bounder = Bounder::new(&limits, &mut SeededEntropy::new(1)).unwrap();
    bounder.take(1, &[]).unwrap();
    assert_eq!(bounder.close(None, None, &subject(1), &mut |_| None), Err(BoundError::Cells));
}

#[test]
fn days_are_put_together() {
    let limits = Limits::new(9, vec![Clamp::Count(10), Clamp::Sum(9)]).unwrap();
    let day = |day, key| bound(&[(day, 1, key, [3, 4])], &limits, true, &mut SeededEntropy::new(1));
    let mut all = Totals::empty(2);
    all.append(&day(8, 0), |key| Some(key + 5)).unwrap();
    all.append(&day(7, 2), Some).unwrap();
    assert_eq!(
        all.cells().map(|c| (c.day, c.key, c.sums[1])).collect::<Vec<_>>(),
        [(Some(7), 2, 4), (Some(8), 5, 4)]
    );
    assert_eq!(all.append(&day(7, 2), Some), Err(BoundError::Cells));
    assert_eq!(all.append(&day(9, 2), |_| None), Err(BoundError::Cells));
    assert_eq!(all.append(&Totals::empty(1), Some), Err(BoundError::Width));
}
