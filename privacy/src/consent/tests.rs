//! The truth table of consent, and what holds for all of it.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use Basis as B;
use Withheld as W;

fn programme() -> ProgrammeDef {
    ProgrammeDef {
        programme: Programme::UserExperience,
        purpose: "p".to_owned(),
        policy_versions: vec!["v1".to_owned(), "v2".to_owned()],
        age_min: 16,
    }
}

fn carried(policy_version: &str, granted_at_ms: Option<i64>) -> Option<Carried<'_>> {
    Some(Carried { policy_version, granted_at_ms, age: None })
}

fn record(version: &str, granted_at_ms: Option<i64>, withdrawn_at_ms: Option<i64>) -> Option<ConsentRecord> {
    Some(ConsentRecord {
        policy_version: version.into(),
        granted_at_ms,
        withdrawn_at_ms,
        controller: "c".into(),
        restricted: false,
        erased: false,
    })
}

fn asserted(policy_version: &str) -> Option<Asserted<'_>> {
    Some(Asserted { programme: Programme::UserExperience, policy_version })
}

/// One row of the table: carried, recorded, asserted, and the verdict.
type Row<'a> = (Option<Carried<'a>>, Option<ConsentRecord>, Option<Asserted<'a>>, Result<Basis, Withheld>);

fn check(rows: Vec<Row<'_>>) {
    for (at, (carried, recorded, asserted, wanted)) in rows.into_iter().enumerate() {
        let got = decide_under(&programme(), carried, recorded.as_ref(), asserted);
        assert_eq!(got, wanted, "row {at}");
    }
}

#[test]
fn one_way_alone() {
    check(vec![
        (None, None, None, Err(W::NoConsent)),
        (carried("v1", None), None, None, Ok(B::Carried)),
        (carried("v2", Some(5)), None, None, Ok(B::Carried)),
        (carried("v0", Some(5)), None, None, Err(W::PolicyVersion)),
        (carried("", Some(5)), None, None, Err(W::NoConsent)),
        (None, record("v1", Some(5), None), None, Ok(B::Recorded)),
        (None, record("v0", Some(5), None), None, Err(W::PolicyVersion)),
        (None, record("", None, None), None, Err(W::NoConsent)),
        (None, record("v1", Some(5), Some(6)), None, Err(W::Withdrawn)),
        (None, record("v1", Some(6), Some(6)), None, Err(W::Withdrawn)),
        (None, record("v1", Some(7), Some(6)), None, Ok(B::Recorded)),
        (None, record("v0", Some(7), Some(6)), None, Err(W::PolicyVersion)),
        (None, record("", None, Some(6)), None, Err(W::Withdrawn)),
        (None, None, asserted("v1"), Ok(B::Asserted)),
        (None, None, asserted("v0"), Err(W::PolicyVersion)),
    ]);
}

#[test]
fn carried_against_what_is_recorded() {
    check(vec![
        // A withdrawal in force: only a later grant counts.
        (carried("v1", None), record("v1", Some(5), Some(6)), None, Err(W::Withdrawn)),
        (carried("v1", Some(5)), record("v1", Some(5), Some(6)), None, Err(W::Withdrawn)),
        (carried("v1", Some(6)), record("", None, Some(6)), None, Err(W::Withdrawn)),
        (carried("v1", Some(7)), record("", None, Some(6)), None, Ok(B::Carried)),
        (carried("v0", Some(7)), record("", None, Some(6)), None, Err(W::PolicyVersion)),
        // A withdrawal with a later grant: a carried grant from before it does not count, the recorded one does.
        (carried("v1", Some(5)), record("v1", Some(7), Some(6)), None, Ok(B::Recorded)),
        (carried("v1", Some(5)), record("v0", Some(7), Some(6)), None, Err(W::Withdrawn)),
        (carried("v1", None), record("v1", Some(7), Some(6)), None, Ok(B::Carried)),
        // Under an old policy version, the recorded one can still count.
        (carried("v0", None), record("v1", Some(5), None), None, Ok(B::Recorded)),
        (carried("v1", None), record("v0", Some(5), None), None, Ok(B::Carried)),
        (carried("v0", None), record("v0", Some(5), None), None, Err(W::PolicyVersion)),
        (carried("v1", None), record("", None, None), None, Ok(B::Carried)),
    ]);
}

#[test]
fn an_assertion_against_the_rest() {
    let other = Some(Asserted { programme: Programme::DeviceExperience, policy_version: "v1" });
    check(vec![
        (None, record("", None, Some(6)), asserted("v1"), Err(W::Withdrawn)),
        (None, record("v1", Some(5), Some(6)), asserted("v1"), Err(W::Withdrawn)),
        (None, record("v0", Some(7), Some(6)), asserted("v1"), Ok(B::Asserted)),
        (None, record("v1", Some(5), None), asserted("v1"), Ok(B::Recorded)),
        (None, record("", None, None), asserted("v1"), Ok(B::Asserted)),
        (carried("v1", None), None, asserted("v1"), Ok(B::Carried)),
        (carried("v0", None), None, asserted("v1"), Err(W::PolicyVersion)),
        (carried("", None), None, asserted("v1"), Ok(B::Asserted)),
        (carried("v1", Some(5)), record("", None, Some(6)), asserted("v1"), Err(W::Withdrawn)),
        (None, None, other, Err(W::NoConsent)),
    ]);
}

#[test]
fn erased_then_restricted_then_minor_come_before_everything() {
    let full = |erased, restricted, age| {
        let recorded = record("v1", Some(5), None).map(|r| ConsentRecord { erased, restricted, ..r });
        let carried = Some(Carried { policy_version: "v1", granted_at_ms: Some(9), age });
        decide_under(&programme(), carried, recorded.as_ref(), asserted("v1"))
    };
    assert_eq!(full(true, true, Some(3)), Err(W::Erased));
    assert_eq!(full(false, true, Some(3)), Err(W::Restricted));
    assert_eq!(full(false, false, Some(15)), Err(W::Minor));
    assert_eq!(full(false, false, Some(16)), Ok(B::Carried));
    assert_eq!(full(false, false, None), Ok(B::Carried));
    let age_alone = Some(Carried { policy_version: "", granted_at_ms: None, age: Some(15) });
    assert_eq!(decide_under(&programme(), age_alone, None, asserted("v1")), Err(W::Minor));
}

fn any_record() -> impl Strategy<Value = Option<ConsentRecord>> {
    let time = || prop::option::of(0i64..6);
    let version = prop::sample::select(&["", "v0", "v1"][..]);
    prop::option::of((version, time(), time(), any::<bool>(), any::<bool>()).prop_map(
        |(version, granted, withdrawn, restricted, erased)| {
            let record = record(version, granted, withdrawn).unwrap();
            ConsentRecord { restricted, erased, ..record }
        },
    ))
}

proptest! {
    #[test]
    fn nothing_passes_without_an_accepted_consent_after_the_last_withdrawal(
        policy in prop::sample::select(&["", "v0", "v1"][..]),
        is_carried in any::<bool>(),
        granted in prop::option::of(0i64..6),
        age in prop::option::of(10u8..20),
        recorded in any_record(),
        key in prop::option::of(prop::sample::select(&["v0", "v1"][..])),
    ) {
        let carried = is_carried.then_some(Carried { policy_version: policy, granted_at_ms: granted, age });
        let verdict = decide_under(&programme(), carried, recorded.as_ref(), key.and_then(asserted));
        if let Ok(basis) = verdict {
            prop_assert!(!recorded.as_ref().is_some_and(|r| r.erased || r.restricted));
            prop_assert!(!(is_carried && age.is_some_and(|a| a < 16)));
            let withdrawn = recorded.as_ref().and_then(|r| r.withdrawn_at_ms);
            let regranted = recorded.as_ref().and_then(|r| r.granted_at_ms);
            match basis {
                B::Carried => {
                    prop_assert_eq!(policy, "v1");
                    prop_assert!(withdrawn.is_none() || granted.or(regranted) > withdrawn);
                }
                B::Recorded => {
                    prop_assert_eq!(&*recorded.unwrap().policy_version, "v1");
                    prop_assert!(regranted > withdrawn);
                }
                B::Asserted => {
                    prop_assert_eq!(key, Some("v1"));
                    prop_assert!(withdrawn.is_none() || regranted > withdrawn);
                }
            }
        }
    }
}
