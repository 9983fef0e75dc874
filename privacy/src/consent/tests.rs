//! The table of all cases of consent, and what holds for all of them.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use shoal_schemas::ProgrammeDef;

use super::*;
use Basis as B;
use Withheld as W;

mod clocks;
mod in_force;

const MIN: i64 = 60_000;
/// When events of the table happen, unless a row says otherwise.
const NOW: i64 = 1_000 * MIN;

fn programme() -> ProgrammeDef {
    ProgrammeDef {
        programme: Programme::UserExperience,
        purpose: "p".to_owned(),
        policy_versions: vec!["v1".to_owned(), "v2".to_owned()],
        age_min: 16,
    }
}

/// An act as the service was told; times in minutes.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// A grant: version, claimed, received.
    Grant(&'static str, Option<i64>, i64),
    /// A withdrawal: claimed, received.
    Withdraw(Option<i64>, i64),
}
use Act::{Grant as G, Withdraw as X};

fn record(acts: &[Act]) -> ConsentRecord {
    let mut record = ConsentRecord::default();
    for act in acts {
        match *act {
            G(policy_version, claimed, received) => {
                let claimed_ms = claimed.map(|at| at * MIN);
                record.history.grant(&Grant { policy_version, claimed_ms, received_ms: received * MIN });
            }
            X(claimed, received) => record.history.withdraw(claimed.map(|at| at * MIN), received * MIN),
        }
    }
    record
}

fn at(claimed: i64, corrected: i64) -> Moment {
    Moment { claimed_ms: claimed * MIN, corrected_ms: corrected * MIN }
}

fn carried(policy_version: &str, granted: Option<i64>) -> Option<Carried<'_>> {
    let granted_at_ms = granted.map(|at| at * MIN);
    Some(Carried { policy_version, granted_at_ms, age: None, is_refusal: false })
}

fn asserted(policy_version: &str) -> Option<Asserted<'_>> {
    Some(Asserted { programme: Programme::UserExperience, policy_version })
}

fn decided(claims: Claims<'_>, records: &[ConsentRecord]) -> Result<Basis, Withheld> {
    decide(&programme(), &claims, records.iter())
}

/// One row of the table: what is recorded, carried, asserted, and the verdict about an event of minute 1000.
type Row<'a> = (&'a [Act], Option<Carried<'a>>, Option<Asserted<'a>>, Result<Basis, Withheld>);

fn check(rows: &[Row<'_>]) {
    for (row, (acts, carried, asserted, wanted)) in rows.iter().enumerate() {
        let moment = Moment { claimed_ms: NOW, corrected_ms: NOW };
        let claims = Claims { moment, carried: *carried, asserted: *asserted };
        let records = if acts.is_empty() { vec![] } else { vec![record(acts)] };
        assert_eq!(decided(claims, &records), *wanted, "row {row}");
    }
}

#[test]
fn one_way_alone() {
    check(&[
        (&[], None, None, Err(W::NoConsent)),
        (&[], carried("v1", None), None, Ok(B::Carried)),
        (&[], carried("v2", Some(999)), None, Ok(B::Carried)),
        (&[], carried("v2", Some(1000)), None, Ok(B::Carried)),
        (&[], carried("v2", Some(1001)), None, Err(W::NoConsent)),
        (&[], carried("v0", Some(5)), None, Err(W::PolicyVersion)),
        (&[], carried("", Some(5)), None, Err(W::NoConsent)),
        (&[], None, asserted("v1"), Ok(B::Asserted)),
        (&[], None, asserted("v0"), Err(W::PolicyVersion)),
        (&[G("v1", None, 5)], None, None, Ok(B::Recorded)),
        (&[G("v0", None, 5)], None, None, Err(W::PolicyVersion)),
        (&[X(None, 6)], None, None, Err(W::Withdrawn)),
        (&[G("v1", None, 5), X(None, 6)], None, None, Err(W::Withdrawn)),
        (&[X(None, 6), G("v1", None, 7)], None, None, Ok(B::Recorded)),
        (&[G("v1", None, 5), X(None, 6), G("v1", None, 7)], None, None, Ok(B::Recorded)),
        (&[X(None, 6), G("v0", None, 7)], None, None, Err(W::PolicyVersion)),
    ]);
}

#[test]
fn what_is_carried_or_asserted_against_what_is_recorded() {
    let other = Some(Asserted { programme: Programme::DeviceExperience, policy_version: "v1" });
    check(&[
        // After a recorded withdrawal nothing that is carried counts, whatever date it claims; nor does a key's assertion.
        (&[X(None, 6)], carried("v1", None), None, Err(W::Withdrawn)),
        (&[X(None, 6)], carried("v1", Some(5)), None, Err(W::Withdrawn)),
        (&[X(None, 6)], carried("v1", Some(900)), None, Err(W::Withdrawn)),
        (&[G("v1", None, 5), X(None, 6)], carried("v1", Some(900)), None, Err(W::Withdrawn)),
        (&[X(None, 6)], None, asserted("v1"), Err(W::Withdrawn)),
        (&[X(None, 6)], carried("v1", Some(900)), asserted("v1"), Err(W::Withdrawn)),
        // After the grant that is recorded then, that grant counts, and what is carried still does not.
        (&[X(None, 6), G("v1", None, 7)], carried("v1", Some(5)), None, Ok(B::Recorded)),
        (&[X(None, 6), G("v0", None, 7)], carried("v1", Some(900)), None, Err(W::PolicyVersion)),
        (&[X(None, 6), G("v0", None, 7)], None, asserted("v1"), Err(W::PolicyVersion)),
    ]);
    check(&[
        // Where the record says since when, it decides; where its version is not accepted any more, the others can count.
        (&[G("v1", None, 5)], carried("v0", None), None, Ok(B::Recorded)),
        (&[G("v1", None, 5)], None, asserted("v1"), Ok(B::Recorded)),
        (&[G("v0", None, 5)], carried("v1", None), None, Ok(B::Carried)),
        (&[G("v0", None, 5)], carried("v0", None), None, Err(W::PolicyVersion)),
        (&[G("v0", None, 5)], None, asserted("v1"), Ok(B::Asserted)),
        (&[G("v1", None, 1100)], carried("v1", None), None, Err(W::NoConsent)),
        (&[G("v1", None, 1100)], None, asserted("v1"), Err(W::NoConsent)),
        // Without any.
        (&[], carried("v1", None), asserted("v1"), Ok(B::Carried)),
        (&[], carried("v0", None), asserted("v1"), Err(W::PolicyVersion)),
        (&[], carried("v1", Some(1001)), asserted("v1"), Err(W::NoConsent)),
        (&[], carried("", None), asserted("v1"), Ok(B::Asserted)),
        (&[], None, other, Err(W::NoConsent)),
    ]);
}

/// One row: what is recorded, when the event happened by the client's clock and corrected, and the verdict.
type Timed<'a> = (&'a [Act], (i64, i64), Result<Basis, Withheld>);

fn check_times(rows: &[Timed<'_>]) {
    for (row, (acts, (claimed, corrected), wanted)) in rows.iter().enumerate() {
        let claims = Claims { moment: at(*claimed, *corrected), carried: None, asserted: None };
        assert_eq!(decided(claims, &[record(acts)]), *wanted, "row {row}");
    }
}

#[test]
fn the_events_own_time_must_lie_in_an_interval() {
    let twice: &[Act] = &[G("v1", None, 100), X(None, 200), G("v1", None, 300)];
    check_times(&[
        // A first grant: five minutes before it, and no more.
        (&[G("v1", None, 100)], (94, 94), Err(W::NoConsent)),
        (&[G("v1", None, 100)], (95, 95), Ok(B::Recorded)),
        (&[G("v1", Some(60), 100)], (54, 54), Err(W::NoConsent)),
        (&[G("v1", Some(60), 100)], (55, 55), Ok(B::Recorded)),
        (&[G("v1", Some(900), 100)], (95, 95), Ok(B::Recorded)),
        // Withdrawn and granted again: the time between counts for nothing, and no tolerance goes into it.
        (twice, (94, 94), Err(W::Withdrawn)),
        (twice, (95, 95), Ok(B::Recorded)),
        (twice, (199, 199), Ok(B::Recorded)),
        (twice, (200, 200), Err(W::Withdrawn)),
        (twice, (299, 299), Err(W::Withdrawn)),
        (twice, (300, 300), Ok(B::Recorded)),
        // Queued while withdrawn: a clock that looks slow does not bring it into the next interval, and a fast one neither.
        (twice, (250, 310), Err(W::Withdrawn)),
        (twice, (310, 250), Err(W::Withdrawn)),
        (twice, (150, 310), Ok(B::Recorded)),
        (&[G("v1", None, 100)], (50, 130), Err(W::NoConsent)),
        // While a withdrawal is in force nothing counts, also not what was granted for its time.
        (&[G("v1", None, 100), X(None, 200)], (150, 150), Err(W::Withdrawn)),
        // A withdrawal that was told late.
        (&[G("v1", None, 100), X(Some(160), 200), G("v1", None, 300)], (159, 159), Ok(B::Recorded)),
        (&[G("v1", None, 100), X(Some(160), 200), G("v1", None, 300)], (160, 160), Err(W::Withdrawn)),
        (&[G("v1", None, 100), X(Some(900), 200), G("v1", None, 300)], (200, 200), Err(W::Withdrawn)),
        // Versions one after the other: the one that was in force then.
        (&[G("v0", None, 100), G("v1", None, 200)], (150, 150), Err(W::PolicyVersion)),
        (&[G("v0", None, 100), G("v1", None, 200)], (200, 200), Ok(B::Recorded)),
        (&[G("v0", None, 100), G("v1", None, 200)], (150, 250), Err(W::PolicyVersion)),
        (&[G("v1", None, 200), G("v0", Some(100), 300)], (250, 250), Ok(B::Recorded)),
    ]);
}

#[test]
fn a_claim_from_before_a_withdrawal_changes_nothing() {
    let withdrawn: &[Act] = &[G("v1", None, 100), X(None, 200)];
    let after = |acts: &[Act]| record(&[withdrawn, acts].concat()).history;
    for claimed in [-900, 100, 199, 200] {
        assert_eq!(after(&[G("v2", Some(claimed), 300)]), after(&[]), "{claimed}");
    }
    // The same claim after it was granted anew changes nothing either.
    let anew = after(&[G("v1", None, 300)]);
    assert_eq!(after(&[G("v1", None, 300), G("v2", Some(150), 400)]), anew);
    for (claimed, from) in [(Some(201), 201), (Some(350), 300), (None, 300)] {
        let history = after(&[G("v2", claimed, 300)]);
        assert!(history.is_open());
        assert_eq!(history.intervals().last().unwrap().from_ms, from * MIN, "{claimed:?}");
    }
}

#[test]
fn an_older_claim_moves_no_interval_over_another_one() {
    // Version 0 was in force until minute 200. That version 1 claims to be from minute 50 changes nothing of that.
    let history = record(&[G("v0", None, 100), G("v1", None, 200), G("v1", Some(50), 300)]).history;
    assert_eq!(history.standing(at(150, 150)), Standing::Given(["v0", "v0"]));
    assert_eq!(history.standing(at(200, 200)), Standing::Given(["v1", "v1"]));
    // Nor does it make version 1 so old that an old message about version 0 ends it.
    let mut history = history;
    history.grant(&Grant { policy_version: "v0", claimed_ms: Some(150 * MIN), received_ms: 400 * MIN });
    assert_eq!(history.standing(at(150, 150)), Standing::Given(["v0", "v0"]));
    assert_eq!(history.standing(at(250, 250)), Standing::Given(["v1", "v1"]));
    assert_eq!(history.intervals().len(), 2);
}

#[test]
fn what_a_consent_manager_tells_again_and_again_ends_no_withdrawal_made_elsewhere() {
    let tell = |history: &mut History, minute: i64| {
        history.tell_grant(&Grant { policy_version: "v1", claimed_ms: None, received_ms: minute * MIN });
    };
    let mut history = History::default();
    tell(&mut history, 100);
    assert!(history.is_open(), "the first one counts");
    history.tell_withdrawal(None, 200 * MIN);
    tell(&mut history, 300);
    assert!(history.is_open(), "what was told is told otherwise");
    history.withdraw(None, 400 * MIN);
    for minute in [401, 402] {
        tell(&mut history, minute);
        assert!(history.is_withdrawn());
    }
    // Told once more by the manager, the withdrawal is still the one that was made elsewhere.
    history.tell_withdrawal(None, 410 * MIN);
    tell(&mut history, 411);
    assert!(history.is_withdrawn());
    history.grant(&Grant { policy_version: "v1", claimed_ms: None, received_ms: 500 * MIN });
    assert!(history.is_open());
    history.tell_withdrawal(None, 600 * MIN);
    tell(&mut history, 601);
    assert!(history.is_open());
}

#[test]
fn what_is_known_under_one_identifier_counts_beside_the_others() {
    let decided = |records: &[&[Act]], carried| {
        let records: Vec<ConsentRecord> = records.iter().map(|acts| record(acts)).collect();
        decided(Claims { moment: at(1000, 1000), carried, asserted: None }, &records)
    };
    let (granted, withdrawn, later): (&[Act], &[Act], &[Act]) =
        (&[G("v1", None, 5)], &[X(None, 6)], &[G("v1", None, 1100)]);
    assert_eq!(decided(&[granted, withdrawn], None), Err(W::Withdrawn));
    assert_eq!(decided(&[withdrawn, granted], None), Err(W::Withdrawn));
    assert_eq!(decided(&[granted, later], None), Ok(B::Recorded));
    assert_eq!(decided(&[&[], later], carried("v1", None)), Err(W::NoConsent));
    assert_eq!(decided(&[&[], &[]], carried("v1", None)), Ok(B::Carried));
}

#[test]
fn erased_then_restricted_then_minor_then_refused_come_before_everything() {
    let full = |erased, restricted, age, is_refusal| {
        let records = [ConsentRecord { erased, restricted, ..record(&[G("v1", None, 5)]) }];
        let carried = Some(Carried { policy_version: "v1", granted_at_ms: Some(9), age, is_refusal });
        decided(Claims { moment: at(1000, 1000), carried, asserted: asserted("v1") }, &records)
    };
    assert_eq!(full(true, true, Some(3), true), Err(W::Erased));
    assert_eq!(full(false, true, Some(3), true), Err(W::Restricted));
    assert_eq!(full(false, false, Some(15), true), Err(W::Minor));
    assert_eq!(full(false, false, Some(16), true), Err(W::NoConsent));
    assert_eq!(full(false, false, Some(16), false), Ok(B::Recorded));
    assert_eq!(full(false, false, None, false), Ok(B::Recorded));
    let age_alone =
        Some(Carried { policy_version: "", granted_at_ms: None, age: Some(15), is_refusal: false });
    let claims = Claims { moment: at(1000, 1000), carried: age_alone, asserted: asserted("v1") };
    assert_eq!(decided(claims, &[]), Err(W::Minor));
}

fn any_act() -> impl Strategy<Value = Act> {
    let time = || prop::option::of(-3i64..30);
    prop_oneof![
        (prop::sample::select(&["v0", "v1", "v2"][..]), time(), 0i64..30).prop_map(|(v, c, r)| G(v, c, r)),
        (time(), 0i64..30).prop_map(|(c, r)| X(c, r)),
    ]
}

proptest! {
    #[test]
    fn nothing_passes_without_an_accepted_consent_after_the_last_withdrawal(
        policy in prop::sample::select(&["", "v0", "v1"][..]),
        is_carried in any::<bool>(),
        granted in prop::option::of(0i64..30),
        age in prop::option::of(10u8..20),
        is_refusal in prop::bool::weighted(0.1),
        histories in prop::collection::vec((prop::collection::vec(any_act(), 0..6), prop::bool::weighted(0.05)), 0..3),
        key in prop::option::of(prop::sample::select(&["v0", "v1"][..])),
        claimed in -10i64..40,
        corrected in -10i64..40,
    ) {
        let granted_at_ms = granted.map(|at| at * MIN);
        let carried = is_carried.then_some(Carried { policy_version: policy, granted_at_ms, age, is_refusal });
        let records: Vec<ConsentRecord> = histories
            .iter()
            .map(|(acts, erased)| ConsentRecord { erased: *erased, ..record(acts) })
            .collect();
        let claims = Claims { moment: at(claimed, corrected), carried, asserted: key.and_then(asserted) };
        if let Ok(basis) = decided(claims, &records) {
            prop_assert!(!records.iter().any(|r| r.erased || r.history.is_withdrawn()));
            prop_assert!(!(is_carried && (age.is_some_and(|a| a < 16) || is_refusal)));
            let holding = |at: i64| {
                records.iter().flat_map(|r| r.history.intervals()).any(|i| {
                    i.from_ms <= at * MIN && i.until_ms.is_none_or(|until| at * MIN < until) && &*i.policy_version != "v0"
                })
            };
            let was_withdrawn = histories.iter().any(|(acts, _)| acts.iter().any(|a| matches!(a, X(..))));
            match basis {
                B::Recorded => prop_assert!(holding(claimed) && holding(corrected)),
                B::Carried => {
                    prop_assert!(!was_withdrawn && policy == "v1");
                    prop_assert!(granted.is_none_or(|at| at <= claimed));
                }
                B::Asserted => prop_assert!(!was_withdrawn && key == Some("v1")),
            }
        }
    }

    #[test]
    fn intervals_are_in_order_bounded_and_after_the_withdrawals(acts in prop::collection::vec(any_act(), 0..200)) {
        let (mut withdrawn, mut least_receipt) = (i64::MIN, i64::MAX);
        for end in 1..=acts.len() {
            let history = record(&acts[..end]).history;
            let intervals = history.intervals();
            prop_assert!(intervals.len() <= 64);
            prop_assert!(intervals.iter().all(|i| i.until_ms.is_none_or(|until| i.from_ms < until)));
            let closed = intervals.iter().take(intervals.len().saturating_sub(1));
            prop_assert!(closed.clone().all(|i| i.until_ms.is_some()), "only the last is open");
            let is_apart = |pair: &[Interval]| pair[0].until_ms.is_some_and(|until| until <= pair[1].from_ms);
            prop_assert!(intervals.windows(2).all(is_apart), "no moment is in two of them: {:?}", intervals);
            if let X(_, received) = acts[end - 1] {
                prop_assert!(history.is_withdrawn());
                withdrawn = withdrawn.max(received * MIN);
                least_receipt = i64::MAX;
            }
            if let G(_, _, received) = acts[end - 1] {
                least_receipt = least_receipt.min(received * MIN);
            }
            if history.is_open() && withdrawn > i64::MIN {
                // Where the clock went back since the withdrawal, its own receipt is after it.
                let open = &intervals[intervals.len() - 1];
                prop_assert!(open.from_ms >= withdrawn || open.from_ms >= least_receipt);
            }
        }
    }
}

#[test]
fn only_what_forbids_counts_for_whoever_is_named_beside() {
    let moment = |at: i64| Moment { claimed_ms: at * MIN, corrected_ms: at * MIN };
    let (granted, withdrawn) = ([G("v1", None, 10)], [G("v1", None, 10), X(None, 20)]);
    let again = [G("v1", None, 10), X(None, 20), G("v1", None, 30)];
    for (acts, at, forbids) in [
        (&[][..], 15, false),
        (&granted, 15, false),
        (&granted, 1, false),
        (&withdrawn, 15, true),
        (&withdrawn, 25, true),
        (&again, 25, true),
        (&again, 35, false),
    ] {
        assert_eq!(record(acts).forbids(moment(at)), forbids, "{acts:?} {at}");
    }
    assert!(ConsentRecord { restricted: true, ..record(&granted) }.forbids(moment(15)));
    assert!(ConsentRecord { erased: true, ..record(&granted) }.forbids(moment(15)));
}
