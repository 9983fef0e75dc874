//! Tests of the checks that pattern files name: known numbers pass, and one changed digit does not.

use super::*;

/// Every other check digit in the last place is refused.
fn only_last_digit(check: Validator, good: &str) {
    assert_eq!(check(good), Some(good.len()));
    let body = &good[..good.len() - 1];
    for digit in b'0'..=b'9' {
        let other = format!("{body}{}", char::from(digit));
        assert_eq!(check(&other).is_some(), other == good, "{other}");
    }
}

#[test]
fn check_digits_hold() {
    only_last_digit(luhn, "4111111111111111");
    only_last_digit(luhn, "5555555555554444");
    only_last_digit(imei, "490154203237518");
    only_last_digit(de_steuer_id, "86095742719");
    only_last_digit(de_steuer_id, "47036892816");
    only_last_digit(de_document, "T220001293");
    only_last_digit(de_document, "L01X00T471");
    only_last_digit(iban, "GB82WEST12345698765432");
}

#[test]
fn a_card_ends_where_a_group_of_digits_ends() {
    assert_eq!(luhn("4111 1111 1111 1111 12"), Some(19));
    assert_eq!(luhn("0000000000000000"), None);
}

#[test]
fn nric_letters_hold() {
    for good in ["S1234567D", "T0123456G", "F1234567N", "G1234567X", "s1234567d"] {
        assert_eq!(sg_nric(good), Some(9), "{good}");
        let body = &good[..8];
        let letters = (b'A'..=b'Z').filter(|c| sg_nric(&format!("{body}{}", char::from(*c))).is_some());
        assert_eq!(letters.count(), 1, "{good}");
    }
}

#[test]
fn dates_places_and_ranges_hold() {
    assert!(mykad("000229-14-5678").is_some());
    for bad in ["010229-14-5678", "900132-14-5678", "900431-14-5678", "900101-17-5678"] {
        assert!(mykad(bad).is_none(), "{bad}");
    }
    assert!(us_ssn("219-09-9999").is_some() && us_ssn("900-70-1234").is_some());
    assert!(us_ssn("900-10-1234").is_none() && us_ssn("666-10-1234").is_none());
    assert!(coordinates("-89.999, 179.999").is_some() && coordinates("89.999, 180.001").is_none());
    assert!(ipv6("::1").is_none() && ipv6("fe80::1").is_some() && ipv6("a::b").is_none());
}

#[test]
fn an_unknown_validator_is_refused() {
    assert!(named("luhn").is_some() && named("Luhn").is_none());
}
