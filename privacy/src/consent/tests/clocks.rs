//! The order is that in which the service was told, whatever its own clock said.

use super::*;

#[test]
fn a_withdrawal_ends_what_was_granted_whatever_the_clocks_said() {
    let next_year = 1000 + 365 * 24 * 60;
    // The service's clock was a year ahead when it recorded the grant.
    let history = record(&[G("v1", None, next_year), X(None, 1000)]).history;
    assert!(history.is_withdrawn() && history.intervals().is_empty(), "{history:?}");
    for minute in [1000, 1001, next_year, next_year + 1] {
        assert_eq!(history.standing(at(minute, minute)), Standing::Withdrawn);
    }
    let mut again = history.clone();
    again.grant(&Grant { policy_version: "v1", claimed_ms: None, received_ms: 1001 * MIN });
    assert_eq!(again.standing(at(1001, 1001)), Standing::Given(["v1", "v1"]));
    // It was ahead when it recorded the withdrawal: a grant after it counts, and from its own receipt on.
    let history = record(&[G("v1", None, 100), X(None, next_year), G("v1", None, 1000)]).history;
    assert!(history.is_open());
    assert_eq!(history.standing(at(999, 999)), Standing::Withdrawn);
    for minute in [1000, 1001, next_year, next_year + 1] {
        assert_eq!(history.standing(at(minute, minute)), Standing::Given(["v1", "v1"]));
    }
}

#[test]
fn a_clock_that_was_ahead_for_one_act_shuts_nobody_out() {
    let ahead = 1000 + 400 * 24 * 60;
    let kept = |acts: &[Act], minute: i64| {
        let claims = Claims { moment: at(minute, minute), carried: None, asserted: None };
        decided(claims, &[record(acts)])
    };
    for before in [&[][..], &[G("v1", None, 100)], &[G("v0", None, 100), X(None, 200), G("v1", None, 300)]] {
        let told = |acts: &[Act]| [before, &[X(None, ahead)], acts].concat();
        assert_eq!(kept(&told(&[]), 1000), Err(W::Withdrawn));
        // Whoever agrees takes part from then on, also under a version that comes later, and withdraws again.
        assert_eq!(kept(&told(&[G("v1", None, 1000)]), 1000), Ok(B::Recorded));
        assert_eq!(kept(&told(&[G("v1", None, 1000)]), 999), Err(W::Withdrawn));
        assert_eq!(kept(&told(&[G("v1", None, 1000)]), ahead + 1), Ok(B::Recorded));
        assert_eq!(kept(&told(&[G("v0", None, 1000), G("v1", None, 1010)]), 1010), Ok(B::Recorded));
        let again = told(&[G("v1", None, 1000), X(None, 1010)]);
        for minute in [1000, 1010, ahead, ahead + 1] {
            assert_eq!(kept(&again, minute), Err(W::Withdrawn), "{minute}");
        }
        let back = [&again[..], &[G("v1", None, 1020)]].concat();
        assert_eq!(kept(&back, 1005), Ok(B::Recorded));
        assert_eq!(kept(&back, 1015), Err(W::Withdrawn));
        assert_eq!(kept(&back, 1020), Ok(B::Recorded));
        // By a claim nobody knows whether it was before the withdrawal, so it brings nothing back; one that is after it does.
        for claimed in [-900, 100, 999, 1000, 1001, ahead] {
            assert_eq!(kept(&told(&[G("v1", Some(claimed), 1000)]), 1000), Err(W::Withdrawn), "{claimed}");
        }
        assert_eq!(kept(&told(&[G("v1", Some(ahead + 1), 1000)]), 1000), Ok(B::Recorded));
        // Nor does one that was told before the withdrawal, whatever its receipt says.
        let first = [before, &[G("v1", None, 900), X(None, ahead), X(None, 1000)]].concat();
        assert_eq!(kept(&first, 1000), Err(W::Withdrawn));
    }
    // A consent manager's state counts as an act does, where it may.
    let mut history = record(&[G("v1", None, 100)]).history;
    history.tell_withdrawal(None, ahead * MIN);
    history.tell_grant(&Grant { policy_version: "v1", claimed_ms: None, received_ms: 1000 * MIN });
    assert_eq!(history.standing(at(1000, 1000)), Standing::Given(["v1", "v1"]));
    history.withdraw(None, ahead * MIN);
    history.tell_grant(&Grant { policy_version: "v1", claimed_ms: None, received_ms: 1010 * MIN });
    assert_eq!(history.standing(at(1010, 1010)), Standing::Withdrawn);
    // A grant that the clock was ahead for keeps no later one out, of its own version or another.
    for version in ["v1", "v2"] {
        for claimed in [None, Some(999)] {
            assert_eq!(kept(&[G("v1", None, ahead), G(version, claimed, 1000)], 1000), Ok(B::Recorded));
        }
    }
    let versions = record(&[G("v0", None, ahead), G("v1", None, 1000), G("v2", None, 1010)]).history;
    assert_eq!(versions.standing(at(1005, 1005)), Standing::Given(["v1", "v1"]));
    assert_eq!(versions.standing(at(ahead, ahead)), Standing::Given(["v2", "v2"]));
}
