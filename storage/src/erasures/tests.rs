//! Erasures over crashes, lost places, older directories and damage.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Arc;

use proptest::prelude::*;
use shoal_files::{Faulty, Folder, Memory, Objects};

use super::*;

const REGION: Region = Region::De;
const ERASED: Erased = Erased { done_ms: 77, files: 3, rows: 14 };

fn places<O: Objects + Clone + 'static>(region: Region, files: &O) -> ErasurePlaces {
    let folder = |name: &str| -> Arc<dyn Objects> {
        Arc::new(Folder::new(Arc::new(files.clone()), &format!("{region}/{name}")).unwrap())
    };
    ErasurePlaces { region, outside: folder("outside"), inside: folder("inside") }
}

fn open<O: Objects + Clone + 'static>(files: &O) -> Result<(Erasures, Suppressed)> {
    let suppressed = Suppressed::default();
    let both = vec![places(REGION, files), places(Region::Us, files)];
    Ok((Erasures::open(both, suppressed.clone())?, suppressed))
}

/// The erasure of this number, which is asked for at a time of its own.
fn erasure(n: u128, subjects: &[u128]) -> Erasure {
    let asked_ms = 1_000 + i64::try_from(n).unwrap();
    Erasure { id: Uuid::from_u128(n), asked_ms, subjects: subjects.to_vec() }
}

fn now_suppressed(suppressed: &Suppressed) -> Vec<u128> {
    let mut all: Vec<u128> = suppressed.of(REGION).iter().copied().collect();
    all.sort_unstable();
    all
}

fn names(files: &dyn Objects) -> Vec<String> {
    files.list("").unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn an_erasure_is_suppressed_in_its_region_until_it_is_done_and_no_longer() {
    let files = Memory::new();
    let (erasures, suppressed) = open(&files).unwrap();
    erasures.record(REGION, &erasure(2, &[20, 25])).unwrap();
    erasures.record(REGION, &erasure(1, &[10, 25])).unwrap();
    erasures.record(Region::Us, &erasure(1, &[])).unwrap();
    for (erasures, suppressed) in [(erasures, suppressed), open(&files).unwrap()] {
        assert_eq!(now_suppressed(&suppressed), [10, 20, 25]);
        assert!(suppressed.of(Region::Us).is_empty() && suppressed.of(Region::Sg).is_empty());
        let pending = erasures.pending(REGION);
        let told: Vec<_> = pending.iter().map(|e| (e.id.as_u128(), e.asked_ms, e.subjects.clone())).collect();
        assert_eq!(told, [(1, 1_001, vec![10, 25]), (2, 1_002, vec![20, 25])], "the oldest first");
        assert_eq!((erasures.pending(Region::Us).len(), erasures.pending(Region::Sg).len()), (1, 0));
        assert_eq!(erasures.state(Region::Us, Uuid::from_u128(1)), Some(ErasureState::Recorded));
        assert_eq!(erasures.state(Region::Us, Uuid::from_u128(2)), None);
    }
    let (erasures, suppressed) = open(&files).unwrap();
    erasures.done(REGION, Uuid::from_u128(2), ERASED).unwrap();
    for (erasures, suppressed) in [(erasures, suppressed), open(&files).unwrap()] {
        assert_eq!(now_suppressed(&suppressed), [10, 25], "another pending one has 25, too");
        let state = |n| erasures.state(REGION, Uuid::from_u128(n)).unwrap();
        assert_eq!((state(1), state(2)), (ErasureState::Recorded, ErasureState::Done(ERASED)));
        assert_eq!(erasures.pending(REGION).len(), 1);
    }
}

#[test]
fn the_same_id_again_changes_nothing_and_other_subjects_are_refused() {
    let files = Memory::new();
    let (erasures, suppressed) = open(&files).unwrap();
    let mut again = erasure(5, &[1, 2]);
    erasures.record(REGION, &again).unwrap();
    again.asked_ms += 60_000;
    let before = names(&files);
    assert_eq!(before.len(), 2);
    for is_done in [false, true] {
        erasures.record(REGION, &again).unwrap();
        let other = erasures.record(REGION, &erasure(5, &[1, 3]));
        assert!(matches!(other, Err(StorageError::Erasure { .. })));
        if is_done {
            assert_eq!(erasures.state(REGION, again.id), Some(ErasureState::Done(ERASED)));
            assert!(now_suppressed(&suppressed).is_empty(), "what is done stays done");
        } else {
            assert_eq!((names(&files), now_suppressed(&suppressed)), (before.clone(), vec![1, 2]));
        }
        erasures.done(REGION, again.id, ERASED).unwrap();
        erasures.done(REGION, again.id, Erased { rows: 0, ..ERASED }).unwrap();
    }
    let (erasures, _) = open(&files).unwrap();
    assert_eq!(erasures.state(REGION, again.id), Some(ErasureState::Done(ERASED)));
}

#[test]
fn what_cannot_be_an_act_is_refused_and_leaves_nothing() {
    let files = Memory::new();
    let (erasures, suppressed) = open(&files).unwrap();
    let many: Vec<u128> = (0..=form::SUBJECTS_MAX as u128).collect();
    let at = |asked_ms| Erasure { asked_ms, ..erasure(1, &[1]) };
    for wrong in [erasure(1, &many), erasure(1, &[2, 1]), erasure(1, &[1, 1]), at(-1), at(10_000_000_000_000)]
    {
        assert!(matches!(erasures.record(REGION, &wrong), Err(StorageError::Erasure { .. })));
    }
    let nowhere = erasures.record(Region::Sg, &erasure(1, &[1]));
    assert!(matches!(nowhere, Err(StorageError::Erasure { .. })));
    let unknown = erasures.done(REGION, Uuid::from_u128(1), ERASED).unwrap_err().to_string();
    assert!(unknown.contains("00000000-0000-0000-0000-000000000001"), "{unknown}");
    assert!(names(&files).is_empty() && now_suppressed(&suppressed).is_empty());
    erasures.record(REGION, &erasure(1, &many[1..])).unwrap();
    assert_eq!(open(&files).unwrap().1.of(REGION).len(), form::SUBJECTS_MAX);
}

#[test]
fn what_failed_is_not_in_force_until_it_is_repeated() {
    let files = Faulty::<Memory>::default();
    let (erasures, suppressed) = open(&files).unwrap();
    files.fail_syncs_after(1);
    assert!(erasures.record(REGION, &erasure(1, &[1])).is_err(), "in one place alone");
    assert_eq!(erasures.state(REGION, Uuid::from_u128(1)), None);
    assert!(erasures.pending(REGION).is_empty() && now_suppressed(&suppressed).is_empty());
    assert!(erasures.done(REGION, Uuid::from_u128(1), ERASED).is_err());
    files.fail_syncs_after(100);
    let later = Erasure { asked_ms: 5_000, ..erasure(1, &[1]) };
    erasures.record(REGION, &later).unwrap();
    assert_eq!(names(&files).len(), 2, "under one name");
    assert_eq!((now_suppressed(&suppressed), now_suppressed(&open(&files).unwrap().1)), (vec![1], vec![1]));
    files.refuse_writes(Some(ErrorKind::StorageFull));
    assert!(erasures.done(REGION, Uuid::from_u128(1), ERASED).is_err());
    assert_eq!(now_suppressed(&suppressed), [1], "as long as it is not written down");
    files.refuse_writes(None);
    erasures.done(REGION, Uuid::from_u128(1), ERASED).unwrap();
    assert!(now_suppressed(&suppressed).is_empty());
}

/// Copies what is below a folder.
fn copy(from: &Memory, to: &Memory, folder: &str) {
    let entries = from.list(folder).unwrap();
    entries.iter().for_each(|entry| to.put(&entry.name, &from.read(&entry.name).unwrap()).unwrap());
}

#[test]
fn an_older_data_directory_does_again_what_came_after_it_and_a_lost_outside_place_is_filled() {
    let files = Memory::new();
    let (erasures, _) = open(&files).unwrap();
    erasures.record(REGION, &erasure(1, &[1])).unwrap();
    erasures.record(REGION, &erasure(2, &[2])).unwrap();
    erasures.done(REGION, Uuid::from_u128(1), ERASED).unwrap();
    let copied = Memory::new();
    copy(&files, &copied, "DE/inside");
    erasures.done(REGION, Uuid::from_u128(2), ERASED).unwrap();
    erasures.record(REGION, &erasure(3, &[3])).unwrap();
    erasures.done(REGION, Uuid::from_u128(3), ERASED).unwrap();

    let restored = Memory::new();
    copy(&files, &restored, "DE/outside");
    copy(&copied, &restored, "DE/inside");
    let (erasures, suppressed) = open(&restored).unwrap();
    assert_eq!(now_suppressed(&suppressed), [2, 3]);
    assert_eq!(erasures.state(REGION, Uuid::from_u128(1)), Some(ErasureState::Done(ERASED)));
    assert_eq!(restored.list("DE/inside/acts").unwrap().len(), 3);

    let lost = Memory::new();
    copy(&files, &lost, "DE/inside");
    let (_, suppressed) = open(&lost).unwrap();
    assert!(now_suppressed(&suppressed).is_empty());
    assert_eq!(names(&lost), names(&files));
    assert!(names(&files).iter().all(|name| lost.read(name).unwrap() == files.read(name).unwrap()));

    let emptied = Memory::new();
    copy(&files, &emptied, "DE/outside");
    assert_eq!(now_suppressed(&open(&emptied).unwrap().1), [1, 2, 3], "no mark is left");
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_the_file() {
    let files = Faulty::<Memory>::default();
    let (erasures, _) = open(&files).unwrap();
    erasures.record(REGION, &erasure(1, &[1])).unwrap();
    erasures.done(REGION, Uuid::from_u128(1), ERASED).unwrap();
    drop(erasures);
    assert_eq!(names(&files).len(), 3);
    for name in names(&files) {
        let bytes = files.read(&name).unwrap();
        for at in [0, 7, 8, bytes.len() - 1] {
            files.flip(&name, at);
            let error = open(&files).map(drop).unwrap_err();
            let told = matches!(error, StorageError::Damaged { .. } | StorageError::Format { .. });
            assert!(told && error.to_string().contains(&name), "{error}");
            files.flip(&name, at);
        }
        files.put(&name, b"").unwrap();
        assert!(open(&files).is_err());
        files.put(&name, &bytes).unwrap();
        let (folder, _) = name.rsplit_once('/').unwrap();
        if folder.ends_with("acts") {
            files.put(&format!("{folder}/note"), &bytes).unwrap();
            assert!(open(&files).map(drop).unwrap_err().to_string().contains("note"));
            files.remove(&[&format!("{folder}/note")]).unwrap();
        }
    }
    let name = "DE/outside/acts/0000000001001-00000000-0000-0000-0000-000000000001";
    files.put(name, &form::act_bytes(&erasure(1, &[2]))).unwrap();
    let error = open(&files).map(drop).unwrap_err().to_string();
    assert!(error.contains("its copy in the other place"), "{error}");
    let again = Erasure { asked_ms: 7, ..erasure(1, &[1]) };
    files.put(name, &form::act_bytes(&erasure(1, &[1]))).unwrap();
    files.put(&format!("DE/outside/acts/{}", form::name(7, again.id)), &form::act_bytes(&again)).unwrap();
    assert!(open(&files).map(drop).unwrap_err().to_string().contains("the id of another act"));
}

#[test]
fn those_that_are_done_and_old_are_forgotten_everywhere() {
    let files = Memory::new();
    let (erasures, suppressed) = open(&files).unwrap();
    for n in 1..=4 {
        erasures.record(REGION, &erasure(n, &[n])).unwrap();
    }
    erasures.record(Region::Us, &erasure(1, &[9])).unwrap();
    for n in [1, 2, 4] {
        erasures.done(REGION, Uuid::from_u128(n), ERASED).unwrap();
    }
    erasures.done(Region::Us, Uuid::from_u128(1), ERASED).unwrap();
    assert_eq!(erasures.prune(1_004).unwrap(), 3, "1 and 2, and that of the other region");
    assert_eq!(erasures.prune(1_004).unwrap(), 0);
    for (erasures, suppressed) in [(erasures, suppressed), open(&files).unwrap()] {
        let state = |n| erasures.state(REGION, Uuid::from_u128(n));
        assert_eq!((state(1), state(2), state(3)), (None, None, Some(ErasureState::Recorded)));
        assert_eq!(state(4), Some(ErasureState::Done(ERASED)));
        assert_eq!(now_suppressed(&suppressed), [3]);
    }
    assert_eq!(names(&files).len(), 5, "two acts, twice, and one mark");
}

/// What a process that is killed in the middle of a call has left can be seen, and a power cut may take it away.
#[test]
fn what_a_killed_process_has_left_is_durable_before_it_is_believed() {
    let id = Uuid::from_u128(1);
    for seed in 0..16 {
        let files = Memory::new();
        open(&files.dying()).unwrap().0.record(REGION, &erasure(1, &[1])).unwrap();
        open(&files).unwrap().0.record(REGION, &erasure(1, &[1])).unwrap();
        let files = files.after_power_cut(seed);
        assert_eq!(now_suppressed(&open(&files).unwrap().1), [1]);
        open(&files.dying()).unwrap().0.done(REGION, id, ERASED).unwrap();
        open(&files).unwrap().0.done(REGION, id, ERASED).unwrap();
        let files = files.after_power_cut(seed);
        assert!(now_suppressed(&open(&files).unwrap().1).is_empty());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Record(u128),
    Done(u128),
    Prune(i64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u128).prop_map(Step::Record),
        3 => (0..6_u128).prop_map(Step::Done),
        1 => (1_000..1_007_i64).prop_map(Step::Prune),
        1 => Just(Step::Reopen),
    ]
}

/// What may have become of an erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum May {
    None,
    Recorded,
    Done,
}

/// Two neighbours share a subject.
fn subjects(n: u128) -> Vec<u128> {
    vec![n, n + 1, n + 100]
}

/// Takes steps until one fails, and keeps what may be of each erasure.
fn take(files: &Faulty<Memory>, steps: &[Step], may: &mut BTreeMap<u128, BTreeSet<May>>) -> Result<()> {
    let mut erasures = open(files)?.0;
    for step in steps {
        match step {
            Step::Record(n) => {
                let before = may.get(n).cloned().unwrap_or_else(|| BTreeSet::from([May::None]));
                let mut after = before.clone();
                if after.remove(&May::None) {
                    after.insert(May::Recorded);
                }
                may.insert(*n, before.union(&after).copied().collect());
                erasures.record(REGION, &erasure(*n, &subjects(*n)))?;
                may.insert(*n, after);
            }
            Step::Done(n) => {
                let id = Uuid::from_u128(*n);
                if erasures.state(REGION, id).is_some() {
                    may.get_mut(n).unwrap().insert(May::Done);
                    erasures.done(REGION, id, ERASED)?;
                    may.insert(*n, BTreeSet::from([May::Done]));
                }
            }
            Step::Prune(before_ms) => {
                let over = |n: &u128, may: &BTreeSet<May>| {
                    erasure(*n, &[]).asked_ms < *before_ms && may.contains(&May::Done)
                };
                let over: Vec<u128> = may.iter().filter(|(n, may)| over(n, may)).map(|(n, _)| *n).collect();
                over.iter().for_each(|n| assert!(may.get_mut(n).unwrap().insert(May::None)));
                erasures.prune(*before_ms)?;
                over.iter().for_each(|n| drop(may.insert(*n, BTreeSet::from([May::None]))));
            }
            Step::Reopen => erasures = open(files)?.0,
        }
    }
    Ok(())
}

/// What was found is what may be, and exactly those are suppressed whose erasure is pending.
fn check(files: &Faulty<Memory>, may: &BTreeMap<u128, BTreeSet<May>>) {
    let (erasures, suppressed) = open(files).unwrap();
    let mut pending = BTreeSet::new();
    for (n, may) in may {
        let found = match erasures.state(REGION, Uuid::from_u128(*n)) {
            None => May::None,
            Some(ErasureState::Recorded) => May::Recorded,
            Some(ErasureState::Done(erased)) => {
                assert_eq!(erased, ERASED);
                May::Done
            }
        };
        assert!(may.contains(&found), "{n} is {found:?}, and may be {may:?}");
        if found == May::Recorded {
            pending.extend(subjects(*n));
        }
    }
    assert_eq!(now_suppressed(&suppressed), pending.into_iter().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_crash_anywhere_loses_nothing_that_was_answered_for(
        steps in prop::collection::vec(step(), 1..14),
        seed in any::<u64>(),
    ) {
        let whole = Faulty::<Memory>::default();
        let mut may = BTreeMap::new();
        take(&whole, &steps, &mut may).unwrap();
        let operations = whole.operations();
        prop_assert!(may.values().all(|may| may.len() == 1), "without a crash everything is known");
        check(&whole, &may);
        for at in 0..operations {
            let files = Faulty::<Memory>::default();
            files.crash_at(at);
            let mut may = BTreeMap::new();
            prop_assert!(take(&files, &steps, &mut may).is_err());
            let mut files = files.after_power_cut(seed);
            // The next start may die as well.
            files.crash_at(at % 5);
            let _ = open(&files);
            files = files.after_power_cut(seed);
            check(&files, &may);
            check(&files, &may);
        }
    }
}
