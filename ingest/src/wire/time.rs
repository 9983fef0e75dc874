//! Times as clients send them, and the correction of their clocks.
//!
//! A time is RFC 3339 text, milliseconds since 1970 (native) or seconds since 1970 with a fraction (Sentry). A text
//! without a zone is taken as UTC: SDKs send such. Invariant: what is returned is within the years 1970 to 9999.
//! Not here: how old an event may be (`stages/validate.rs`).

use crate::wire::json::Json;

/// Clocks that differ by less are left alone: the difference is the network's.
const SKEW_MIN_MS: i64 = 60_000;
/// 9999-12-31T23:59:59.999Z
const LATEST_MS: i64 = 253_402_300_799_999;

/// A time field of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Time {
    #[default]
    Missing,
    /// Present, and not a time.
    Bad,
    /// Milliseconds since 1970, by the client's clock.
    At(i64),
}

impl Time {
    /// Of text, or of a number of milliseconds.
    pub(crate) fn millis(value: &Json<'_>) -> Time {
        Time::of(value, 1.0)
    }

    /// Of text, or of a number of seconds.
    pub(crate) fn seconds(value: &Json<'_>) -> Time {
        Time::of(value, 1000.0)
    }

    fn of(value: &Json<'_>, unit_ms: f64) -> Time {
        let at = match value {
            Json::Null => return Time::Missing,
            Json::Text(text) => rfc3339(text),
            Json::Integer(number) if unit_ms == 1.0 => Some(*number),
            // `as` saturates; the bounds below refuse what is out of range.
            other => other.number().map(|n| (n * unit_ms).round() as i64),
        };
        at.filter(|ms| (0..=LATEST_MS).contains(ms)).map_or(Time::Bad, Time::At)
    }

    /// The milliseconds, when it is a time.
    pub(crate) fn at(self) -> Option<i64> {
        match self {
            Time::At(ms) => Some(ms),
            Time::Missing | Time::Bad => None,
        }
    }
}

/// What to add to a client's times: its clock was wrong by this much when it sent the batch.
pub(crate) fn skew_ms(sent_at: Time, received_ms: i64) -> i64 {
    match sent_at.at() {
        Some(sent) if (received_ms - sent).abs() > SKEW_MIN_MS => received_ms - sent,
        _ => 0,
    }
}

/// Milliseconds since 1970 of `2026-11-22T03:19:12.512Z`, `+01:00` for `Z`, or without a zone.
pub(crate) fn rfc3339(text: &str) -> Option<i64> {
    let b = text.trim().as_bytes();
    if b.len() < 19 || b.len() > 40 || b[4] != b'-' || b[7] != b'-' || b[13] != b':' || b[16] != b':' {
        return None;
    }
    if !matches!(b[10], b'T' | b't' | b' ') {
        return None;
    }
    let (year, month, day) = (digits(&b[..4])?, digits(&b[5..7])?, digits(&b[8..10])?);
    let (hour, minute, second) = (digits(&b[11..13])?, digits(&b[14..16])?, digits(&b[17..19])?);
    if !(1..=12).contains(&month) || day < 1 || day > days_of_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (millis, zone) = fraction(&b[19..])?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(seconds * 1000 + millis - offset_minutes(zone)? * 60_000)
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
}

/// The milliseconds of `.123456`, and what follows.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(decimals) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let count = decimals.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let millis =
        (0..3).fold(0, |sum, i| sum * 10 + decimals[..count].get(i).map_or(0, |b| i64::from(b - b'0')));
    Some((millis, &decimals[count..]))
}

fn offset_minutes(zone: &[u8]) -> Option<i64> {
    match zone {
        [] | [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, rest @ ..] => {
            let hours = digits(&[*h1, *h2])?;
            let minutes = match rest {
                [] => 0,
                [b':', m @ ..] | m if m.len() == 2 => digits(m)?,
                _ => return None,
            };
            let offset = hours * 60 + minutes;
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'-' { -offset } else { offset })
        }
        _ => None,
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use chrono::{DateTime, SecondsFormat};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_real_clients_are_read() {
        let want = 1_795_317_552_512;
        for text in [
            "2026-11-22T03:19:12.512Z",
            "2026-11-22T03:19:12.512000+00:00",
            "2026-11-22T04:19:12.512+01:00",
            "2026-11-21T19:49:12.512999-0730",
            "2026-11-22 03:19:12.512",
        ] {
            assert_eq!(rfc3339(text), Some(want), "{text}");
        }
        assert_eq!(Time::seconds(&Json::Float(1_795_317_552.512_3)), Time::At(want));
        assert_eq!(Time::millis(&Json::Integer(want)), Time::At(want));
        assert_eq!(Time::millis(&Json::Null), Time::Missing);
    }

    #[test]
    fn what_is_no_time_is_bad() {
        for text in [
            "",
            "yesterday",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T03:19:12.Z",
            "2026-11-22T03:19:12+1",
            "2026-11-22T03:19:12Zx",
            "２026-11-22T03:19:12Z",
        ] {
            assert_eq!(rfc3339(text), None, "{text}");
        }
        for value in
            [Json::Boolean(true), Json::Integer(-1), Json::Float(f64::NAN.max(1e300)), Json::List(vec![])]
        {
            assert_eq!(Time::millis(&value), Time::Bad);
        }
        assert_eq!(Time::seconds(&Json::Float(-5.0)), Time::Bad);
    }

    #[test]
    fn a_wrong_clock_is_corrected_and_the_network_is_not() {
        assert_eq!(skew_ms(Time::At(1_000_000), 1_060_000), 0);
        assert_eq!(skew_ms(Time::At(1_000_000), 1_060_001), 60_001);
        assert_eq!(skew_ms(Time::At(2_000_000), 1_000_000), -1_000_000);
        assert_eq!(skew_ms(Time::Missing, 1_000_000), 0);
    }

    proptest! {
        #[test]
        fn agrees_with_chrono(ms in 0..=LATEST_MS) {
            let text = DateTime::from_timestamp_millis(ms).unwrap().to_rfc3339_opts(SecondsFormat::Millis, true);
            prop_assert_eq!(rfc3339(&text), Some(ms));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,45}") {
            let _ = rfc3339(&text);
        }
    }
}
