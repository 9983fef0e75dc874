//! Checks that a regular expression cannot do: checksums, ranges, dates. Named in pattern files.
//!
//! A validator gets what matched and gives the length in bytes, from its start, that is valid; none refuses the match.

use std::net::Ipv6Addr;

use super::{
    hosts,
    numbers::{self, digits, whole},
    people, words,
};

/// What matched -> how much of it is valid.
pub(super) type Validator = fn(&str) -> Option<usize>;

/// The validator of this name.
pub(super) fn named(name: &str) -> Option<Validator> {
    Some(match name {
        "account" => people::account,
        "account_number" => people::account_number,
        "account_name" => people::account_name,
        "assigned" => words::assigned,
        "authorization" => authorization,
        "base64" => words::base64,
        "base64_short" => words::base64_short,
        "capital_name" => people::capital_name,
        "capital_names" => people::capital_names,
        "coordinates" => coordinates,
        "credential" => words::credential,
        "date" => numbers::date,
        "de_document" => de_document,
        "de_steuer_id" => de_steuer_id,
        "has_digit" => |text| whole(text, text.bytes().any(|b| b.is_ascii_digit())),
        "full_name" => people::full_name,
        "email" => hosts::email,
        "email_host" => hosts::email_host,
        "host" => hosts::host,
        "host_name" => hosts::host_name,
        "host_owned" => hosts::host_owned,
        "host_plain" => hosts::host_plain,
        "iban" => iban,
        "imei" => imei,
        "ipv6" => ipv6,
        "labelled_id" => numbers::labelled_id,
        "listed_person" => people::listed_person,
        "luhn" => luhn,
        "mail_name" => people::mail_name,
        "mac_bare" => numbers::mac_bare,
        "mac_labelled" => numbers::mac_labelled,
        "mac_pairs" => numbers::mac_pairs,
        "mykad" => mykad,
        "network_key" => people::network_key,
        "owner" => people::owner,
        "path_id" => numbers::path_id,
        "password" => words::password,
        "path_home" => words::path_home,
        "path_user" => words::path_user,
        "path_user_spaced" => words::path_user_spaced,
        "people" => people::people,
        "person" => people::person,
        "person_acting" => people::person_acting,
        "person_labelled" => people::person_labelled,
        "person_named" => people::person_named,
        "phone" => phone,
        "phone_long" => |text| phone(text).filter(|_| digits(text).len() >= 9),
        "plate" => numbers::plate,
        "quoted" => words::quoted,
        "random" => words::random,
        "route_value" => words::route_value,
        "serial" => numbers::serial,
        "serial_groups" => numbers::serial_groups,
        "serial_short" => numbers::serial_short,
        "sg_nric" => sg_nric,
        "social_insurance" => numbers::social_insurance,
        "street" => words::street,
        "us_ssn" => us_ssn,
        _ => return None,
    })
}

fn luhn_sum_is_zero(digits: &[u32]) -> bool {
    let doubled = |d: u32| if d > 4 { 2 * d - 9 } else { 2 * d };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(at, d)| if at % 2 == 1 { doubled(*d) } else { *d }).sum();
    sum.is_multiple_of(10)
}

/// A card number of 13 to 19 digits; the longest part from the start that ends where a group of digits ends.
fn luhn(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (1..=bytes.len())
        .rev()
        .filter(|end| bytes[end - 1].is_ascii_digit())
        .filter(|end| bytes.get(*end).is_none_or(|b| !b.is_ascii_digit()))
        .find(|end| {
            let digits = digits(&text[..*end]);
            (13..=19).contains(&digits.len())
                && digits.iter().any(|d| *d != digits[0])
                && luhn_sum_is_zero(&digits)
        })
}

/// 15 digits with a Luhn check digit; those that begin like an American Express card, or
/// with 00 like a telephone number, are left to those.
fn imei(text: &str) -> Option<usize> {
    let digits = digits(text);
    let card = digits.starts_with(&[3, 4]) || digits.starts_with(&[3, 7]);
    let phone = digits.starts_with(&[0, 0]);
    let all_equal = digits.iter().all(|d| *d == digits[0]);
    whole(text, digits.len() == 15 && !card && !phone && !all_equal && luhn_sum_is_zero(&digits))
}

/// ISO 13616: the first four characters moved to the end, letters as 10 to 35, is 1 modulo 97. The numbers of all countries have
/// six digits in a row.
pub(super) fn iban(text: &str) -> Option<usize> {
    let compact: Vec<u8> = text.bytes().filter(u8::is_ascii_alphanumeric).collect();
    let digits = compact.split(|b| !b.is_ascii_digit()).map(<[u8]>::len).max().unwrap_or(0);
    if !(15..=34).contains(&compact.len()) || digits < 6 {
        return None;
    }
    let remainder = compact[4..].iter().chain(&compact[..4]).fold(0u32, |sum, byte| {
        match char::from(*byte).to_digit(36).unwrap_or(0) {
            digit @ 0..=9 => (sum * 10 + digit) % 97,
            letter => (sum * 100 + letter) % 97,
        }
    });
    whole(text, remainder == 1)
}

/// Social Security numbers (no area 000, 666 or 9xx, no group 00, no serial 0000) and taxpayer numbers (area 9xx,
/// groups 50 to 65, 70 to 88, 90 to 92, 94 to 99).
fn us_ssn(text: &str) -> Option<usize> {
    let digits = digits(text);
    if digits.len() != 9 {
        return None;
    }
    let number = |range: &[u32]| range.iter().fold(0, |n, d| n * 10 + d);
    let (area, group, serial) = (number(&digits[..3]), number(&digits[3..5]), number(&digits[5..]));
    let social = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    let taxpayer = area >= 900 && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99);
    whole(text, social || taxpayer)
}

/// Steuer-Identifikationsnummer: 11 digits, the first not 0; among the first ten one digit occurs two or three times;
/// check digit after ISO/IEC 7064, MOD 11,10.
fn de_steuer_id(text: &str) -> Option<usize> {
    let digits = digits(text);
    if digits.len() != 11 || digits[0] == 0 {
        return None;
    }
    let most = (0..10).map(|d| digits[..10].iter().filter(|x| **x == d).count()).max()?;
    let mut product = 10;
    for digit in &digits[..10] {
        let sum = match (digit + product) % 10 {
            0 => 10,
            sum => sum,
        };
        product = sum * 2 % 11;
    }
    whole(text, matches!(most, 2 | 3) && (11 - product) % 10 == digits[10])
}

/// Numbers of German identity cards and passports: nine characters without vowels, then a check digit (weights 7, 3, 1).
/// Without the check digit, three digits and a letter after the first are asked for, so that no word is taken.
fn de_document(text: &str) -> Option<usize> {
    let values: Vec<u32> = text.chars().filter_map(|c| c.to_digit(36)).collect();
    let body = values.get(..9)?;
    let numerals = body.iter().filter(|v| **v < 10).count();
    let valid = match values.get(9) {
        None => numerals >= 3 && body[1..].iter().any(|v| *v > 9),
        Some(check) => {
            let weighted: u32 = body.iter().zip([7, 3, 1].iter().cycle()).map(|(v, w)| v * w).sum();
            numerals >= 2 && weighted % 10 == *check
        }
    };
    whole(text, valid)
}

/// NRIC and FIN: a letter of the series, seven digits with weights 2, 7, 6, 5, 4, 3, 2, a check letter.
fn sg_nric(text: &str) -> Option<usize> {
    let upper = text.to_ascii_uppercase();
    let (first, last) = (upper.bytes().next()?, upper.bytes().last()?);
    let digits = digits(&upper);
    if digits.len() != 7 {
        return None;
    }
    let sum: u32 = digits.iter().zip([2, 7, 6, 5, 4, 3, 2]).map(|(d, w)| d * w).sum();
    let (offset, letters) = match first {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        // Issued since 2022; here the list is read from the other end.
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return None,
    };
    let at = usize::try_from((sum + offset) % 11).ok()?;
    whole(text, letters.get(at) == Some(&last))
}

/// MyKad: date of birth, place of birth, four digits.
fn mykad(text: &str) -> Option<usize> {
    let digits = digits(text);
    if digits.len() != 12 {
        return None;
    }
    let pair = |at: usize| digits[at] * 10 + digits[at + 1];
    let (year, month, day, place) = (pair(0), pair(2), pair(4), pair(6));
    let days = match month {
        2 if year % 4 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    // Places of birth that were never given out: 00, 17 to 20, 69, 70, 73, 80, 81, 94 to 97.
    let given = !matches!(place, 0 | 17..=20 | 69 | 70 | 73 | 80 | 81 | 94..=97);
    whole(text, (1..=days).contains(&day) && given)
}

/// 7 to 15 digits, not all equal, not one of the limits of machine integers, and not a date.
fn phone(text: &str) -> Option<usize> {
    if numbers::begins_with_date(text) {
        return None;
    }
    let length = text.len();
    // The zero of an area is left out abroad: `0049(0)151`.
    let text = if text.starts_with("00") { &text.replace("(0)", "") } else { text };
    let digits = digits(&text.replace("%20", " ").replace("%2D", "-").replace("%2d", "-"));
    let limit = matches!(text, "2147483647" | "2147483648" | "4294967295" | "4294967296");
    let all_equal = digits.iter().all(|d| *d == digits[0]);
    ((7..=15).contains(&digits.len()) && !all_equal && !limit).then_some(length)
}

/// What `std` takes for an IPv6 address, unless it may as well be a path in a program (`a::b`). A colon behind it is the
/// sentence's.
fn ipv6(text: &str) -> Option<usize> {
    let text = text.strip_suffix(':').filter(|own| !own.ends_with(':')).unwrap_or(text);
    let plain = text.replace("%3a", ":").replace("%3A", ":");
    plain.parse::<Ipv6Addr>().ok()?;
    let groups: Vec<&str> = plain.split(':').filter(|g| !g.is_empty()).collect();
    let numeric = plain.bytes().any(|b| b.is_ascii_digit());
    whole(text, groups.len() > 2 || (numeric && groups.len() == 2))
}

/// Two decimal numbers, separated by anything, that can be a latitude and a longitude, in either order.
fn coordinates(text: &str) -> Option<usize> {
    let numbers: Vec<f64> = text
        .replace("%2C", ",")
        .replace("%2c", ",")
        .split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))
        .filter(|part| !part.is_empty())
        .filter_map(|part| part.parse().ok())
        .collect();
    let [first, second] = numbers[..] else { return None };
    let in_range = first.abs() <= 180.0 && second.abs() <= 180.0;
    whole(text, in_range && (first.abs() <= 90.0 || second.abs() <= 90.0))
}

/// The value of a header: not the scheme alone, whose credential is gone already, and of a sentence the first word only.
fn authorization(text: &str) -> Option<usize> {
    const SCHEMES: &[&str] = &["basic", "bearer", "digest", "negotiate", "token"];
    let is_scheme = |word: &str| SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
    let (first, credential) = text.split_once(' ').unwrap_or((text, ""));
    match is_scheme(first) || words::credential(credential).is_some() {
        true => whole(text, !credential.is_empty()),
        false => Some(first.len()),
    }
}

#[cfg(test)]
mod tests;
