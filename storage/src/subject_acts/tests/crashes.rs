//! Any acts, any order, and a crash anywhere.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Record(u128),
    Done(u128),
    Lift(u128),
    Prune(i64),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u128).prop_map(Step::Record),
        3 => (0..6_u128).prop_map(Step::Done),
        3 => (0..6_u128).prop_map(Step::Lift),
        1 => (1_000..1_007_i64).prop_map(Step::Prune),
        1 => Just(Step::Reopen),
    ]
}

/// What may have become of an act: whether it is recorded, done and lifted.
type May = (bool, bool, bool);
const NOTHING: May = (false, false, false);

fn kind(n: u128) -> ActKind {
    [ActKind::Erase, ActKind::Exclude, RESTRICT][usize::try_from(n % 3).unwrap()]
}

/// Two neighbours share a subject.
fn subjects(n: u128) -> Vec<u128> {
    vec![n, n + 1, n + 100]
}

fn numbered(n: u128) -> SubjectAct {
    act(n, kind(n), &subjects(n))
}

/// How far such an act is.
fn state(n: u128, may: May) -> Option<ActState> {
    let (erased, lifted) = (may.1.then_some(ERASED), may.2.then_some(lifted(9_000)));
    let SubjectAct { number, asked_ms, by, kind, .. } = numbered(n);
    let programmes = vec![Programme::UserExperience];
    may.0.then_some(ActState { number, by, kind, programmes, asked_ms, erased, lifted })
}

/// What may be when a call that changes some states has ended, or before that.
fn change(
    may: &mut BTreeMap<u128, BTreeSet<May>>,
    n: u128,
    change: fn(May) -> May,
    call: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let before = may.entry(n).or_insert_with(|| BTreeSet::from([NOTHING])).clone();
    let after: BTreeSet<May> = before.iter().map(|may| change(*may)).collect();
    may.insert(n, before.union(&after).copied().collect());
    call()?;
    may.insert(n, after);
    Ok(())
}

/// Takes steps until one fails, and keeps what may be of each act.
fn take(files: &Faulty<Memory>, steps: &[Step], may: &mut BTreeMap<u128, BTreeSet<May>>) -> Result<()> {
    let mut acts = open(files)?.0;
    for step in steps {
        match *step {
            Step::Record(n) => {
                let record = || acts.record(REGION, &numbered(n));
                change(may, n, |(_, done, lifted)| (true, done, lifted), record)?;
            }
            Step::Done(n) if kind(n).erases() && acts.state(REGION, Uuid::from_u128(n)).is_some() => {
                let done = || acts.done(REGION, Uuid::from_u128(n), ERASED);
                change(may, n, |(recorded, _, lifted)| (recorded, true, lifted), done)?;
            }
            Step::Lift(n) if kind(n).can_be_lifted() && acts.state(REGION, Uuid::from_u128(n)).is_some() => {
                let lift = || acts.lift(REGION, Uuid::from_u128(n), lifted(9_000));
                change(may, n, |(recorded, done, _)| (recorded, done, true), lift)?;
            }
            Step::Done(_) | Step::Lift(_) => {}
            Step::Prune(before_ms) => prune(&acts, before_ms, may)?,
            Step::Reopen => acts = open(files)?.0,
        }
    }
    Ok(())
}

fn prune(acts: &SubjectActs, before_ms: i64, may: &mut BTreeMap<u128, BTreeSet<May>>) -> Result<()> {
    let is_over = |n: u128, may: May| {
        numbered(n).asked_ms < before_ms && state(n, may).is_some_and(|state| state.is_over())
    };
    let after = |(n, may): (&u128, &BTreeSet<May>)| {
        let of = |may: &May| if is_over(*n, *may) { NOTHING } else { *may };
        (*n, may.iter().map(of).collect::<BTreeSet<May>>())
    };
    let after: BTreeMap<u128, BTreeSet<May>> = may.iter().map(after).collect();
    for (n, more) in &after {
        may.entry(*n).or_default().extend(more.iter().copied());
    }
    acts.prune(before_ms)?;
    *may = after;
    Ok(())
}

/// What was found is what may be, and exactly those are suppressed and refused whom an act in force says.
fn check(files: &Faulty<Memory>, may: &BTreeMap<u128, BTreeSet<May>>) {
    let (acts, suppressed, refused) = open_all(files).unwrap();
    let (mut suppressing, mut refusing) = (BTreeSet::new(), BTreeSet::new());
    for (n, may) in may {
        let found = acts.state(REGION, Uuid::from_u128(*n));
        let is_one = may.iter().any(|may| state(*n, *may) == found);
        assert!(is_one, "{n} is {found:?}, and may be {may:?}");
        if found.as_ref().is_some_and(ActState::suppresses) {
            suppressing.extend(subjects(*n));
        }
        if found.as_ref().is_some_and(ActState::refuses) {
            refusing.extend(subjects(*n));
        }
    }
    assert_eq!(now_suppressed(&suppressed), suppressing.into_iter().collect::<Vec<_>>());
    for digest in 0..110 {
        assert_eq!(refused_of(&refused, digest).is_some(), refusing.contains(&digest), "{digest}");
    }
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
            files.crash_at(at % 7);
            let _ = open(&files);
            files = files.after_power_cut(seed);
            check(&files, &may);
            check(&files, &may);
        }
    }
}
