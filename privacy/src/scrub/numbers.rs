//! Checks of what is made of digits and letters and has no check digit: serial numbers, hardware addresses, dates.
//!
//! Not here: numbers with check digits (`validate.rs`), words (`words.rs`).

use std::ops::Range;

/// Fewest digits of a telephone number.
pub(super) const PHONE_DIGITS_MIN: usize = 7;
/// How far a second number is looked at, in bytes.
const SECOND_BYTES_MAX: usize = 24;

pub(super) fn whole(text: &str, valid: bool) -> Option<usize> {
    valid.then_some(text.len())
}

/// The digits of a text, without what separates them.
pub(super) fn digits(text: &str) -> Vec<u32> {
    text.bytes().filter(u8::is_ascii_digit).map(|b| u32::from(b - b'0')).collect()
}

/// Where the first of two telephone numbers ends that were taken for one: the second one begins with the zero of an area behind
/// a separator, and each of them has seven digits.
pub(super) fn first_of_two(text: &str, both: &Range<usize>) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut seen = 0;
    for at in both.clone() {
        let is_area = bytes[at] == b'0' && at > both.start && b" /(".contains(&bytes[at - 1]);
        if is_area && seen >= PHONE_DIGITS_MIN && digits_ahead(&bytes[at..]) >= PHONE_DIGITS_MIN {
            let last = bytes[both.start..at].iter().rposition(u8::is_ascii_digit)?;
            return Some(both.start + last + 1);
        }
        seen += usize::from(bytes[at].is_ascii_digit());
    }
    None
}

/// The digits of a number in groups at the beginning of some bytes.
pub(super) fn digits_ahead(bytes: &[u8]) -> usize {
    let number =
        bytes.iter().take(SECOND_BYTES_MAX).take_while(|b| b.is_ascii_digit() || b" ./()-".contains(b));
    number.filter(|b| b.is_ascii_digit()).count()
}

/// Statuses of HTTP, which stand behind numbers in logs.
#[rustfmt::skip]
const STATUSES: &[&str] = &[
    "200", "201", "202", "204", "206", "301", "302", "303", "304", "307", "308", "400", "401", "403", "404",
    "405", "408", "409", "410", "411", "412", "413", "415", "416", "422", "423", "425", "426", "429", "431",
    "500", "501", "502", "503", "504", "505",
];
/// What a number before a blank counts.
#[rustfmt::skip]
const UNITS: &[&str] = &[
    "%", "b", "bytes", "fps", "gb", "h", "items", "kb", "lines", "mb", "min", "ms", "ns", "rows", "s", "sec",
    "seconds", "times", "us",
];

/// Whether a group of a number is a status of HTTP.
pub(super) fn is_status(group: &str) -> bool {
    STATUSES.contains(&group)
}

/// Whether a blank and a unit are next: ` ms`.
pub(super) fn has_unit(after: &str) -> bool {
    let Some(after) = after.strip_prefix(' ') else { return false };
    let length = after.bytes().take(8).take_while(|b| b.is_ascii_alphabetic() || *b == b'%').count();
    let is_end = after.as_bytes().get(length).is_none_or(|b| !b.is_ascii_alphanumeric());
    is_end && UNITS.contains(&after[..length].to_ascii_lowercase().as_str())
}

/// Digits, small letters, capitals, and how often one kind follows another, of the letters and digits of a text.
pub(super) struct Makeup {
    pub(super) digits: usize,
    pub(super) small: usize,
    pub(super) capitals: usize,
    /// How often a letter follows a digit, or a digit a letter.
    pub(super) turns: usize,
}

impl Makeup {
    pub(super) fn of(text: &str) -> Makeup {
        let mut makeup = Makeup { digits: 0, small: 0, capitals: 0, turns: 0 };
        let mut before: Option<bool> = None;
        for byte in text.bytes().filter(u8::is_ascii_alphanumeric) {
            let is_digit = byte.is_ascii_digit();
            makeup.digits += usize::from(is_digit);
            makeup.small += usize::from(byte.is_ascii_lowercase());
            makeup.capitals += usize::from(byte.is_ascii_uppercase());
            makeup.turns += usize::from(before.is_some_and(|before| before != is_digit));
            before = Some(is_digit);
        }
        makeup
    }

    pub(super) fn letters(&self) -> usize {
        self.small + self.capitals
    }
}

/// Letters of one case and digits that take turns, as in serial numbers, and seldom in names: at least four digits, two
/// letters and three turns. Builds of Samsung's (`S918BXXU3BWK5`) are none.
pub(super) fn serial(text: &str) -> Option<usize> {
    let makeup = Makeup::of(text);
    let one_case = makeup.small == 0 || makeup.capitals == 0;
    let is_build = text.contains("XXU") || text.contains("XXS");
    let mixed = makeup.digits >= 4 && makeup.letters() >= 2 && makeup.turns >= 3;
    whole(text, one_case && mixed && !is_build && !is_pointer(text))
}

/// An address in memory as Windows writes it in frames: `00007FF6A1B2C3D4`.
fn is_pointer(text: &str) -> bool {
    let is_hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex && (text.starts_with("00007F") || text.starts_with("00000"))
}

/// A serial number in groups: at least two of them have letters and digits, and none has more than two letters alone.
pub(super) fn serial_groups(text: &str) -> Option<usize> {
    let kinds = text.split('-').map(Makeup::of);
    let mut mixed = 0;
    for group in kinds {
        if group.digits == 0 && group.letters() > 2 {
            return None;
        }
        mixed += usize::from(group.digits > 0 && group.letters() > 0);
    }
    serial(text).filter(|_| mixed >= 2)
}

/// A letter and eight digits, which are no date.
pub(super) fn serial_short(text: &str) -> Option<usize> {
    let digits = digits(text);
    whole(text, !is_date(&digits) && digits.iter().any(|d| *d != digits[0]))
}

/// Twelve or sixteen hexadecimal digits in one case, with a letter and two digits among them: an address of hardware without
/// separators. A part of a hash looks the same, and goes as well.
pub(super) fn mac_bare(text: &str) -> Option<usize> {
    let makeup = Makeup::of(text);
    let one_case = makeup.small == 0 || makeup.capitals == 0;
    whole(text, one_case && makeup.digits >= 2 && makeup.letters() >= 1)
}

/// A hardware address behind its label. In groups of four it has a letter: others are telephone numbers and cards.
pub(super) fn mac_labelled(text: &str) -> Option<usize> {
    let has_groups = text.as_bytes().get(2).is_some_and(u8::is_ascii_hexdigit) && text.len() > 12;
    whole(text, !has_groups || Makeup::of(text).letters() > 0)
}

/// Six pairs, or three groups of four, in one case with a letter and two digits. More or fewer are a part of some data.
pub(super) fn mac_pairs(text: &str) -> Option<usize> {
    let is_whole =
        matches!(text.len(), 17 | 14) && Makeup::of(text).letters() + Makeup::of(text).digits == 12;
    mac_bare(text).filter(|_| is_whole)
}

/// What follows a label of a number that names somebody or something: at least five digits, and no decimal number as `123.456`.
pub(super) fn labelled_id(text: &str) -> Option<usize> {
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let is_decimal = text.split_once('.').is_some_and(|(integer, decimals)| {
        (1..=3).contains(&integer.len()) && is_number(integer) && is_number(decimals)
    });
    whole(text, Makeup::of(text).digits >= 5 && !is_decimal)
}

/// A part of a path that names one of many: four and more digits that are no year, or eight and more characters in which
/// letters and digits take turns.
pub(super) fn path_id(text: &str) -> Option<usize> {
    let makeup = Makeup::of(text);
    if makeup.letters() == 0 {
        let is_year = text.len() == 4 && (text.starts_with("19") || text.starts_with("20"));
        return whole(text, text.len() >= 4 && !is_year);
    }
    let one_case = makeup.small == 0 || makeup.capitals == 0;
    whole(text, text.len() >= 8 && one_case && makeup.digits >= 3 && makeup.turns >= 2)
}

/// Germany's social insurance number: area, date of birth, initial, serial number.
pub(super) fn social_insurance(text: &str) -> Option<usize> {
    let digits = digits(text);
    if digits.len() != 11 {
        return None;
    }
    let pair = |at: usize| digits[at] * 10 + digits[at + 1];
    whole(text, (1..=31).contains(&pair(2)) && (1..=12).contains(&pair(4)))
}

/// A date of birth in any usual order, perhaps with the name of the month, or with a time behind it.
pub(super) fn date(text: &str) -> Option<usize> {
    let is_named = text.bytes().take(8).any(|b| b.is_ascii_alphabetic() || b >= 0x80);
    let date = digits(text.split_once('T').map_or(text, |(date, _)| date));
    let is_year = text.len() == 4 && matches!(date[..], [1, 9, ..] | [2, 0, ..]) && date.len() == 4;
    whole(text, is_named || is_date(&date) || date.len() == 6 || is_year || is_short_date(text))
}

/// A date without leading zeros: `31.1.90`.
fn is_short_date(text: &str) -> bool {
    let parts: Option<Vec<u32>> = text.split(['.', '/', '-']).map(|part| part.parse().ok()).collect();
    let Some([day, month, _]) = parts.as_deref() else { return false };
    (1..=31).contains(day) && (1..=12).contains(month)
}

/// What is on the plate of a car: four to nine letters and digits, some of each. Of four the first one is a letter: `12 MM`.
pub(super) fn plate(text: &str) -> Option<usize> {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let digits = digits(text).len();
    let fewest = if text.starts_with(|c: char| c.is_ascii_digit()) { 5 } else { 4 };
    whole(text, letters > 0 && (1..=6).contains(&digits) && (fewest..=9).contains(&(letters + digits)))
}

/// A number with decimals or a unit: `0.35s`, `120ms`, `12%`.
pub(super) fn is_measure(text: &str) -> bool {
    const UNITS: &[&str] =
        &["", "b", "fps", "gb", "h", "k", "kb", "m", "mb", "min", "ms", "ns", "s", "us", "x"];
    let number = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let unit = text[number..].to_ascii_lowercase();
    let has_decimals = text[..number].contains('.');
    number > 0 && (has_decimals || !unit.is_empty()) && UNITS.contains(&unit.as_str())
}

/// Whether a text begins like `05-01-2024` or `2024.11.22`, where a number follows another with the same separator.
pub(super) fn begins_with_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape: String =
        bytes.iter().take(10).map(|b| if b.is_ascii_digit() { '0' } else { char::from(*b) }).collect();
    let like = |form: &str| ["-", "/", "."].iter().any(|s| shape == form.replace('s', s));
    let ends = bytes.get(10).is_none_or(|b| !b.is_ascii_digit());
    ends && (like("00s00s0000") || like("0000s00s00")) && is_date(&digits(&text[..10]))
}

/// Eight digits: a year from 1900 to 2099 with a month and a day, before or after them.
fn is_date(digits: &[u32]) -> bool {
    if digits.len() != 8 {
        return false;
    }
    let pair = |at: usize| digits[at] * 10 + digits[at + 1];
    let day = |at: usize| (1..=31).contains(&pair(at));
    let month = |at: usize| (1..=12).contains(&pair(at));
    let year = |at: usize| matches!(pair(at), 19 | 20);
    (year(0) && month(4) && day(6)) || (year(4) && ((month(0) && day(2)) || (day(0) && month(2))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_told_from_models_and_builds() {
        for yes in [
            "7J0A123PAZ00001",
            "6K04C35PAG1A2B3",
            "4c03a2dpaj12345",
            "WVWZZZ1JZXW000001",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        ] {
            assert!(serial(yes).is_some(), "{yes}");
        }
        for no in ["S918BXXU3BWK5", "SHA256WITHRSA", "IPCHFW5842EZE", "Http2Client3V4", "21081111RG"] {
            assert!(serial(no).is_none(), "{no}");
        }
        assert!(serial_groups("7J0A-123P-AZ00-001").is_some());
        assert!(serial_groups("ECDHE-RSA-AES128-GCM-SHA256").is_none());
        assert!(serial_short("E48291034").is_some());
        assert!(serial_short("V20241122").is_none() && serial_short("R22112024").is_none());
    }

    #[test]
    fn dates_are_told_from_telephone_numbers() {
        for yes in ["05-01-2024", "2024.11.22", "22/11/2024 10"] {
            assert!(begins_with_date(yes), "{yes}");
        }
        for no in ["05-13-1234", "0151-12345678", "030.901820", "2024.11.221"] {
            assert!(!begins_with_date(no), "{no}");
        }
        for yes in ["1990-01-31", "31.01.90", "1990-01-31T00:00:00Z", "31 Jan 1990", "M\u{e4}rz 1990"] {
            assert!(date(yes).is_some(), "{yes}");
        }
        assert!(date("31.1.90").is_some() && date("1990").is_some() && date("32.1.90").is_none());
        assert!(date("12345").is_none() && date("1990-13-41").is_none());
        assert!(is_measure("0.35s") && is_measure("120ms") && is_measure("1.5"));
        assert!(!is_measure("4711") && !is_measure("12abc") && !is_measure("anna"));
        assert!(
            social_insurance("65 070649 M 003").is_some() && social_insurance("65 074949 M 003").is_none()
        );
    }

    #[test]
    fn the_second_of_two_telephone_numbers_begins_with_its_area() {
        for (both, first) in [
            ("030 901820 0151 12345678", "030 901820"),
            ("030 901820 / (0151) 12345678", "030 901820"),
            ("0151 12345678 030 901820", "0151 12345678"),
            ("030 901820 05.01.2024", "030 901820"),
        ] {
            assert_eq!(first_of_two(both, &(0..both.len())), Some(first.len()), "{both}");
        }
        for one in ["+1 415 555 0123", "+49 (0)151 12345678", "+49 151 1234 0567", "0151 12345678 01:02:03"] {
            assert_eq!(first_of_two(one, &(0..one.len())), None, "{one}");
        }
        let text = "0151 12345678 030 901820";
        assert_eq!(first_of_two(text, &(0..17)), Some(13), "what is behind the match counts");
    }

    #[test]
    fn parts_of_paths_that_name_one_of_many() {
        for yes in ["4711", "81723", "7f3a9c21", "7J0A123PAZ00001"] {
            assert!(path_id(yes).is_some(), "{yes}");
        }
        assert!(plate("B-AS 1234").is_some() && plate("SBA1234G").is_some());
        assert!(plate("12 MM").is_none() && plate("SUV").is_none() && plate("ABC1234567").is_none());
        for no in ["2024", "471", "aarch64", "Http2Client", "armv7", "x8664"] {
            assert!(path_id(no).is_none(), "{no}");
        }
        assert!(mac_bare("001a2b3c4d5e").is_some() && mac_bare("001A2b3c4d5e").is_none());
        assert!(mac_bare("deadbeefcafe").is_none() && mac_bare("001122334455").is_none());
        assert!(mac_pairs("00 1a 2b 3c 4d 5e").is_some() && mac_pairs("001A-2B3C-4D5E").is_some());
        assert!(mac_pairs("00 1a 2b 3c 4d").is_none() && mac_pairs("00 1a 2b 3c 4d 5e 6f 70").is_none());
        assert!(mac_labelled("00 11 22 33 44 55").is_some() && mac_labelled("4111 1111 1111").is_none());
        assert!(labelled_id("219099999").is_some() && labelled_id("version 12").is_none());
        assert!(labelled_id("0.707107").is_none() && labelled_id("900101.145678").is_some());
        assert!(serial("00007FF6A1B2C3D4").is_none() && serial("00A07FF6A1B2C3D4").is_some());
    }
}
