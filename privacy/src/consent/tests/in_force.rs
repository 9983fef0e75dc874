//! What is told to be in force is what an event of this moment is kept by.

use super::*;

fn told(acts: &[&[Act]]) -> (ConsentState, Option<String>, bool) {
    let records: Vec<ConsentRecord> = acts.iter().map(|acts| record(acts)).collect();
    let InForce { state, policy_version, is_accepted } = in_force(&programme(), NOW, records.iter());
    (state, policy_version.map(str::to_owned), is_accepted)
}

#[test]
fn a_grant_is_told_with_the_newest_accepted_version_and_a_withdrawal_alone() {
    let granted = |version: &str, is_accepted| (ConsentState::Granted, Some(version.to_owned()), is_accepted);
    assert_eq!(told(&[]), (ConsentState::Unrecorded, None, false));
    assert_eq!(told(&[&[]]), (ConsentState::Unrecorded, None, false));
    assert_eq!(told(&[&[G("v1", None, 5)]]), granted("v1", true));
    assert_eq!(told(&[&[G("v0", None, 5)]]), granted("v0", false));
    assert_eq!(told(&[&[G("v2", None, 5)], &[G("v1", None, 6)], &[G("v0", None, 7)]]), granted("v2", true));
    assert_eq!(told(&[&[G("v1", None, 2_000)]]), (ConsentState::Unrecorded, None, false), "it is not so yet");
    assert_eq!(told(&[&[G("v2", None, 5)], &[X(None, 6)]]), (ConsentState::Withdrawn, None, false));
    assert_eq!(told(&[&[X(None, 6), G("v1", None, 7)]]), granted("v1", true));
}

proptest! {
    #[test]
    fn it_is_what_the_gate_goes_by(histories in prop::collection::vec(prop::collection::vec(any_act(), 0..6), 0..3), now in -10i64..40) {
        let records: Vec<ConsentRecord> = histories.iter().map(|acts| record(acts)).collect();
        let told = in_force(&programme(), now * MIN, records.iter());
        let decided = decided(Claims { moment: at(now, now), carried: None, asserted: None }, &records);
        prop_assert_eq!(told.is_accepted, decided == Ok(B::Recorded));
        prop_assert_eq!(told.state == ConsentState::Withdrawn, decided == Err(W::Withdrawn));
        prop_assert_eq!(told.state == ConsentState::Granted, told.policy_version.is_some());
    }
}
