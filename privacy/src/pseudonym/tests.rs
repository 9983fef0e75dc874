//! Tests of pseudonyms and digests.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;

fn pseudonymiser(byte: u8) -> Pseudonymiser {
    Pseudonymiser::new(Zeroizing::new([byte; 32]))
}

/// The definition, without the fast way.
fn by_definition(key: &[u8; 32], kind: &str, value: &str) -> [u8; 16] {
    let mut input = vec![u8::try_from(kind.len()).unwrap()];
    input.extend_from_slice(kind.as_bytes());
    input.extend_from_slice(&u32::try_from(value.len()).unwrap().to_le_bytes());
    input.extend_from_slice(value.as_bytes());
    blake3::keyed_hash(key, &input).as_bytes()[..16].try_into().unwrap()
}

#[test]
fn epochs_are_periods_of_days() {
    assert_eq!(PseudonymEpoch::of_day(0, 90), PseudonymEpoch(0));
    assert_eq!(PseudonymEpoch::of_day(89, 90), PseudonymEpoch(0));
    assert_eq!(PseudonymEpoch::of_day(90, 90), PseudonymEpoch(1));
    assert_eq!(PseudonymEpoch::of_day(-5, 90), PseudonymEpoch(0));
    assert_eq!(PseudonymEpoch::of_day(7, 0), PseudonymEpoch(7));
    assert_eq!(PseudonymEpoch::of_day(i32::MAX, 1), PseudonymEpoch(i32::MAX.unsigned_abs()));
}

#[test]
fn blanks_around_do_not_matter_and_case_does() {
    let p = pseudonymiser(1);
    let of = |value| p.pseudonym(IdentifierKind::User, value);
    assert!(of(" anna\n") == of("anna"));
    assert!(of("Anna") != of("anna"));
    assert!(of("") != of("a"));
}

#[test]
fn every_length_around_the_fast_way_is_as_defined() {
    let value = "x".repeat(2 * ON_STACK_BYTES);
    for length in 0..=value.len() {
        for kind in [IdentifierKind::User, IdentifierKind::Session] {
            let fast = pseudonymiser(3).pseudonym(kind, &value[..length]);
            let slow = by_definition(&[3; 32], kind.as_str(), &value[..length]);
            assert!(fast.into_bytes() == slow, "{length}");
        }
    }
}

proptest! {
    #[test]
    fn other_key_kind_or_value_is_another_pseudonym(
        inputs in prop::collection::vec((0u8..3, prop::sample::select(IdentifierKind::ALL), "[a-c]{0,4}|\\PC{0,300}"), 2..20),
    ) {
        let mut seen: HashMap<[u8; 16], (u8, IdentifierKind, String)> = HashMap::new();
        for (key, kind, value) in inputs {
            let pseudonym = pseudonymiser(key).pseudonym(kind, &value).into_bytes();
            prop_assert!(pseudonym == by_definition(&[key; 32], kind.as_str(), value.trim()));
            let input = (key, kind, value.trim().to_owned());
            prop_assert_eq!(seen.entry(pseudonym).or_insert_with(|| input.clone()), &input);
        }
    }

    #[test]
    fn a_digest_is_of_the_value_as_it_is(a in "\\PC{0,40}", b in "\\PC{0,40}") {
        let digester = Digester::new(Zeroizing::new([9; 32]));
        prop_assert_eq!(digester.digest(&a) == digester.digest(&b), a == b);
    }
}
