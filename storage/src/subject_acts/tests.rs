//! Acts on persons over crashes, lost places, older directories and damage.
#![allow(clippy::unwrap_used)]

mod crashes;

use std::io::ErrorKind;
use std::sync::Arc;

use shoal_files::{Faulty, Folder, Memory, Objects};
use shoal_schemas::Programme;

use super::*;

const REGION: Region = Region::De;
const ERASED: Erased = Erased { done_ms: 77, files: 3, rows: 14 };

fn places<O: Objects + Clone + 'static>(region: Region, files: &O) -> ActPlaces {
    let folder = |name: &str| -> Arc<dyn Objects> {
        Arc::new(Folder::new(Arc::new(files.clone()), &format!("{region}/{name}")).unwrap())
    };
    ActPlaces { region, outside: folder("outside"), inside: folder("inside") }
}

fn open<O: Objects + Clone + 'static>(files: &O) -> Result<(SubjectActs, Suppressed)> {
    let (acts, suppressed, _) = open_all(files)?;
    Ok((acts, suppressed))
}

fn open_all<O: Objects + Clone + 'static>(files: &O) -> Result<(SubjectActs, Suppressed, Refused)> {
    let (suppressed, refused) = (Suppressed::default(), Refused::default());
    let both = vec![places(REGION, files), places(Region::Us, files)];
    Ok((SubjectActs::open(both, suppressed.clone(), refused.clone())?, suppressed, refused))
}

const USER: Programme = Programme::UserExperience;
const RESTRICT: ActKind = ActKind::Restrict(Restriction { ground: Ground::Accuracy, review_day: 20_000 });

/// The erasure of this number, which is asked for at a time of its own and names to the gate whom it erases.
fn erasure(n: u128, subjects: &[u128]) -> SubjectAct {
    act(n, ActKind::Erase, subjects)
}

fn act(n: u128, kind: ActKind, subjects: &[u128]) -> SubjectAct {
    let asked_ms = 1_000 + i64::try_from(n).unwrap();
    // Digests are of another kind: they only look like the subjects here.
    let named = subjects.iter().map(|subject| (USER, *subject)).collect();
    let (id, number) = (Uuid::from_u128(n), Uuid::from_u128(n + 1_000));
    let by = AskedBy::Officer;
    SubjectAct { id, number, asked_ms, by, kind, subjects: subjects.to_vec(), named }
}

fn lifted(at_ms: i64) -> Lifted {
    Lifted { at_ms, by: AskedBy::Operator }
}

/// What became of an act's rows; none where there is no such act.
fn erased(acts: &SubjectActs, region: Region, id: Uuid) -> Option<Option<Erased>> {
    acts.state(region, id).map(|state| state.erased)
}

const RECORDED: Option<Option<Erased>> = Some(None);
const DONE: Option<Option<Erased>> = Some(Some(ERASED));

fn refused_of(refused: &Refused, digest: u128) -> Option<Refusing> {
    refused.of(REGION, USER, digest.to_be_bytes())
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
        let pending = erasures.to_erase(REGION);
        let told: Vec<_> = pending.iter().map(|e| (e.id.as_u128(), e.asked_ms, e.subjects.clone())).collect();
        assert_eq!(told, [(1, 1_001, vec![10, 25]), (2, 1_002, vec![20, 25])], "the oldest first");
        assert_eq!((erasures.to_erase(Region::Us).len(), erasures.to_erase(Region::Sg).len()), (1, 0));
        assert_eq!(erased(&erasures, Region::Us, Uuid::from_u128(1)), RECORDED);
        assert_eq!(erased(&erasures, Region::Us, Uuid::from_u128(2)), None);
    }
    let (erasures, suppressed) = open(&files).unwrap();
    erasures.done(REGION, Uuid::from_u128(2), ERASED).unwrap();
    for (erasures, suppressed) in [(erasures, suppressed), open(&files).unwrap()] {
        assert_eq!(now_suppressed(&suppressed), [10, 25], "another pending one has 25, too");
        let state = |n| erased(&erasures, REGION, Uuid::from_u128(n)).unwrap();
        assert_eq!((state(1), state(2)), (None, Some(ERASED)));
        assert_eq!(erasures.to_erase(REGION).len(), 1);
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
        assert!(matches!(other, Err(StorageError::SubjectAct { .. })));
        if is_done {
            assert_eq!(erased(&erasures, REGION, again.id), DONE);
            assert!(now_suppressed(&suppressed).is_empty(), "what is done stays done");
        } else {
            assert_eq!((names(&files), now_suppressed(&suppressed)), (before.clone(), vec![1, 2]));
        }
        erasures.done(REGION, again.id, ERASED).unwrap();
        erasures.done(REGION, again.id, Erased { rows: 0, ..ERASED }).unwrap();
    }
    let (erasures, _) = open(&files).unwrap();
    assert_eq!(erased(&erasures, REGION, again.id), DONE);
}

#[test]
fn what_cannot_be_an_act_is_refused_and_leaves_nothing() {
    let files = Memory::new();
    let (erasures, suppressed) = open(&files).unwrap();
    let many: Vec<u128> = (0..=form::SUBJECTS_MAX as u128).collect();
    let at = |asked_ms| SubjectAct { asked_ms, ..erasure(1, &[1]) };
    for wrong in [erasure(1, &many), erasure(1, &[2, 1]), erasure(1, &[1, 1]), at(-1), at(10_000_000_000_000)]
    {
        assert!(matches!(erasures.record(REGION, &wrong), Err(StorageError::SubjectAct { .. })));
    }
    let nowhere = erasures.record(Region::Sg, &erasure(1, &[1]));
    assert!(matches!(nowhere, Err(StorageError::SubjectAct { .. })));
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
    assert_eq!(erased(&erasures, REGION, Uuid::from_u128(1)), None);
    assert!(erasures.to_erase(REGION).is_empty() && now_suppressed(&suppressed).is_empty());
    assert!(erasures.done(REGION, Uuid::from_u128(1), ERASED).is_err());
    files.fail_syncs_after(100);
    let later = SubjectAct { asked_ms: 5_000, ..erasure(1, &[1]) };
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
    assert_eq!(erased(&erasures, REGION, Uuid::from_u128(1)), DONE);
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
    let again = SubjectAct { asked_ms: 7, ..erasure(1, &[1]) };
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
        let state = |n| erased(&erasures, REGION, Uuid::from_u128(n));
        assert_eq!((state(1), state(2), state(3)), (None, None, RECORDED));
        assert_eq!(state(4), DONE);
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

#[test]
fn a_restriction_is_in_force_until_it_is_lifted_and_an_exclusion_refuses_until_then() {
    let files = Memory::new();
    let (acts, suppressed, refused) = open_all(&files).unwrap();
    acts.record(REGION, &act(1, RESTRICT, &[10, 11])).unwrap();
    acts.record(REGION, &act(2, ActKind::Exclude, &[11, 20])).unwrap();
    acts.record(REGION, &act(3, ActKind::Erase, &[30])).unwrap();
    let why = |refused: &Refused| [10, 11, 20, 30].map(|digest| refused_of(refused, digest));
    let (erased, restricted) = (Some(Refusing::Erased), Some(Refusing::Restricted));
    for (acts, suppressed, refused) in [(acts, suppressed, refused), open_all(&files).unwrap()] {
        assert_eq!(acts.without_rows(REGION).len(), 1, "the restriction");
        assert_eq!(now_suppressed(&suppressed), [10, 11, 20, 30]);
        assert_eq!(why(&refused), [restricted, erased, erased, erased]);
        assert_eq!(refused.of(Region::Us, USER, 10_u128.to_be_bytes()), None);
        let ids = |acts: Vec<SubjectAct>| acts.iter().map(|act| act.id.as_u128()).collect::<Vec<_>>();
        assert_eq!(ids(acts.to_erase(REGION)), [2, 3], "a restriction erases nothing");
        let to_lift: Vec<u128> = acts.to_lift(REGION).iter().map(|(id, _)| id.as_u128()).collect();
        assert_eq!(to_lift, [1, 2]);
    }
    let (acts, ..) = open_all(&files).unwrap();
    for n in [2, 3] {
        acts.done(REGION, Uuid::from_u128(n), ERASED).unwrap();
    }
    assert!(matches!(acts.done(REGION, Uuid::from_u128(1), ERASED), Err(StorageError::SubjectAct { .. })));
    assert!(matches!(
        acts.lift(REGION, Uuid::from_u128(3), lifted(5_000)),
        Err(StorageError::SubjectAct { .. })
    ));
    let (acts, suppressed, refused) = open_all(&files).unwrap();
    assert_eq!(now_suppressed(&suppressed), [10, 11], "what is erased is not there to be read");
    assert_eq!(why(&refused), [restricted, erased, erased, None]);
    assert_eq!(acts.prune(10_000).unwrap(), 1, "what is in force is kept");
    acts.lift(REGION, Uuid::from_u128(1), lifted(5_000)).unwrap();
    acts.lift(REGION, Uuid::from_u128(1), lifted(6_000)).unwrap();
    for (acts, suppressed, refused) in [(acts, suppressed, refused), open_all(&files).unwrap()] {
        assert!(now_suppressed(&suppressed).is_empty());
        assert_eq!(why(&refused), [None, erased, erased, None]);
        assert_eq!(acts.state(REGION, Uuid::from_u128(1)).unwrap().lifted, Some(lifted(5_000)));
    }
    let (acts, _, refused) = open_all(&files).unwrap();
    acts.lift(REGION, Uuid::from_u128(2), lifted(7_000)).unwrap();
    assert_eq!(why(&refused), [None; 4]);
    assert_eq!(acts.without_rows(REGION).len(), 2, "and the exclusion that was lifted");
    assert_eq!((acts.prune(10_000).unwrap(), names(&files).len()), (2, 0), "nothing of them is left");
}

#[test]
fn what_was_restricted_or_lifted_after_a_copy_of_the_data_is_so_over_the_copy() {
    let files = Memory::new();
    let (acts, _) = open(&files).unwrap();
    acts.record(REGION, &act(1, RESTRICT, &[1])).unwrap();
    let copied = Memory::new();
    copy(&files, &copied, "DE/inside");
    acts.lift(REGION, Uuid::from_u128(1), lifted(5_000)).unwrap();
    acts.record(REGION, &act(2, RESTRICT, &[2])).unwrap();
    copy(&files, &copied, "DE/outside");
    let (acts, suppressed) = open(&copied).unwrap();
    assert_eq!(now_suppressed(&suppressed), [2]);
    assert_eq!(acts.state(REGION, Uuid::from_u128(1)).unwrap().lifted, Some(lifted(5_000)));
    assert_eq!(names(&copied), names(&files));
    // And where the place outside is lost, the data have all of it.
    let lost = Memory::new();
    copy(&files, &lost, "DE/inside");
    assert_eq!(now_suppressed(&open(&lost).unwrap().1), [2]);
    assert_eq!(names(&lost), names(&files));
}

#[test]
fn who_reads_beside_the_service_sees_whom_the_acts_suppress() {
    let files = Memory::new();
    let (acts, suppressed) = open(&files).unwrap();
    let look = |files: &Memory| SubjectActs::look(&places(REGION, files)).unwrap();
    assert!(look(&files).is_empty());
    for n in 1..=5 {
        acts.record(REGION, &act(n, if n % 2 == 0 { RESTRICT } else { ActKind::Erase }, &[n])).unwrap();
    }
    acts.done(REGION, Uuid::from_u128(1), ERASED).unwrap();
    acts.lift(REGION, Uuid::from_u128(2), lifted(5_000)).unwrap();
    let before = names(&files);
    assert_eq!(look(&files), *suppressed.of(REGION));
    // Data of before have no mark of what is done, and none of what is lifted: that is outside.
    let older = Memory::new();
    copy(&files, &older, "DE/outside");
    assert_eq!(look(&older), [1, 3, 4, 5].into_iter().collect());
    assert!(names(&older).iter().all(|name| name.starts_with("DE/outside")));
    assert_eq!((now_suppressed(&suppressed), names(&files)), (vec![3, 4, 5], before));
}

#[test]
fn a_lift_that_failed_is_repeated_with_its_first_time_and_is_not_believed_before() {
    let files = Faulty::<Memory>::default();
    let (acts, suppressed) = open(&files).unwrap();
    let id = Uuid::from_u128(1);
    acts.record(REGION, &act(1, RESTRICT, &[1])).unwrap();
    files.fail_syncs_after(1);
    assert!(acts.lift(REGION, id, lifted(5_000)).is_err(), "in one place alone");
    assert_eq!((now_suppressed(&suppressed), acts.state(REGION, id).unwrap().lifted), (vec![1], None));
    files.fail_syncs_after(100);
    acts.lift(REGION, id, lifted(6_000)).unwrap();
    assert!(now_suppressed(&suppressed).is_empty());
    assert_eq!(open(&files).unwrap().0.state(REGION, id).unwrap().lifted, Some(lifted(5_000)));
}
