//! Times as clients send them, and the correction of their clocks.
//!
//! A time is RFC 3339 text, or a number of seconds, milliseconds, microseconds or nanoseconds since 1970: for the years 2001
//! to 2286 the number itself tells which. Other numbers are in the unit of the protocol: milliseconds (native, Segment) or
//! seconds (Sentry). A text without a zone is taken as UTC, and one of digits as a number: SDKs send such.
//!
//! A clock is corrected by `sent_at` when that differs from the receipt by no more than a week. A larger difference says that
//! `sent_at` is wrong (a zero, a text of another moment, a body that waited), and corrects a time only when that cannot be
//! true itself: of a device whose clock was never set, or runs ahead.
//!
//! Invariant: what is returned is within the years 1970 to 9999.
//! Not here: how old an event may be (`stages/validate.rs`).

use shoal_schemas::calendar::DAY_MS;

use crate::wire::json::Json;

/// Clocks that differ by less are left alone: the difference is the network's.
const SKEW_MIN_MS: i64 = 60_000;
/// No clock that was ever set, and no network, is further off.
const SKEW_MAX_MS: i64 = 7 * DAY_MS;
/// 2015-01-01T00:00:00Z: no app is older.
const EARLIEST_TRUE_MS: i64 = 1_420_070_400_000;
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
    /// Of text, or of a number that is milliseconds when it does not say otherwise.
    pub(crate) fn millis(value: &Json<'_>) -> Time {
        Time::of(value, 1.0)
    }

    /// Of text, or of a number that is seconds when it does not say otherwise.
    pub(crate) fn seconds(value: &Json<'_>) -> Time {
        Time::of(value, 1000.0)
    }

    fn of(value: &Json<'_>, unit_ms: f64) -> Time {
        let at = match value {
            Json::Null => return Time::Missing,
            Json::Text(text) => rfc3339(text).or_else(|| of_number(digits_only(text)?, unit_ms)),
            other => other.number().and_then(|number| of_number(number, unit_ms)),
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

/// Milliseconds of a number in the unit that it is in by its size, or else in this one.
fn of_number(number: f64, unit_ms: f64) -> Option<i64> {
    let unit_ms = match number {
        1e9..1e10 => 1000.0,
        1e12..1e13 => 1.0,
        1e15..1e16 => 1e-3,
        1e18..1e19 => 1e-6,
        _ => unit_ms,
    };
    // `as` saturates; what is out of range is refused by the caller. No number that a client means is lost in a float: one
    // of milliseconds has fewer digits, and of the smaller units the last digits are not kept.
    number.is_finite().then_some((number * unit_ms).round() as i64)
}

/// The number in a text of digits, with a fraction or without.
fn digits_only(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_number = text.len() <= 24 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|_| is_number)
}

/// What to add to a client's times: its clock was wrong by this much when it sent the batch.
pub(crate) fn skew_ms(sent_at: Time, received_ms: i64) -> i64 {
    match sent_at.at() {
        Some(sent) if (SKEW_MIN_MS + 1..=SKEW_MAX_MS).contains(&(received_ms - sent).abs()) => {
            received_ms - sent
        }
        _ => 0,
    }
}

/// The time of an event by the clock of the service.
pub(crate) fn corrected_ms(own_ms: i64, sent_at: Time, received_ms: i64) -> i64 {
    let skew_ms = skew_ms(sent_at, received_ms);
    let is_impossible = own_ms < EARLIEST_TRUE_MS || own_ms > received_ms + SKEW_MAX_MS;
    match sent_at.at() {
        // By one clock, which shows a time that never was: how long before it was sent is true all the same.
        Some(sent)
            if skew_ms == 0 && is_impossible && (-SKEW_MIN_MS..=SKEW_MAX_MS).contains(&(sent - own_ms)) =>
        {
            received_ms - (sent - own_ms)
        }
        _ => own_ms.saturating_add(skew_ms),
    }
}

/// When a body was sent, which may have waited since: by a clock that can be believed, and never after its receipt.
pub(crate) fn sent_ms(sent_at: Time, received_ms: i64) -> i64 {
    let plausible = |sent: &i64| received_ms.saturating_sub(*sent).saturating_abs() <= SKEW_MAX_MS;
    sent_at.at().filter(plausible).map_or(received_ms, |sent| sent.min(received_ms))
}

/// When a client says that something was decided: the earlier of what its clock says, and of how long before it sent the body,
/// which one clock tells and needs no other. Neither proves a later time, so no difference of the clocks is too small or too
/// large to count.
pub(crate) fn decided_ms(own_ms: i64, sent_at: Time, received_ms: i64) -> i64 {
    let by_age = |sent: i64| received_ms.saturating_sub(sent.saturating_sub(own_ms));
    sent_at.at().map_or(own_ms, |sent| own_ms.min(by_age(sent)))
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
        for unit in [Time::millis, Time::seconds] {
            for value in [
                Json::Float(1_795_317_552.512),
                Json::Integer(1_795_317_552_512),
                Json::Float(1_795_317_552_512.0),
                Json::Integer(1_795_317_552_512_345),
                Json::Integer(1_795_317_552_512_345_678),
                Json::Text("1795317552512".into()),
                Json::Text(" 1795317552.512".into()),
            ] {
                assert_eq!(unit(&value), Time::At(want));
            }
            assert_eq!(unit(&Json::Integer(1_795_317_552)), Time::At(want - 512));
        }
        assert_eq!(Time::millis(&Json::Integer(300_000)), Time::At(300_000), "a clock that was never set");
        assert_eq!(Time::seconds(&Json::Integer(300)), Time::At(300_000));
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
        for value in [
            Json::Boolean(true),
            Json::Integer(-1),
            Json::Float(1e300),
            Json::Float(f64::NAN),
            Json::List(vec![]),
        ] {
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

    #[test]
    fn a_sent_at_that_cannot_be_true_corrects_only_what_cannot_be_true_either() {
        let now = 1_795_348_800_000;
        let hour = 3_600_000;
        let corrected = |own, sent| corrected_ms(own, Time::At(sent), now);
        assert_eq!(corrected(now - hour, now), now - hour);
        assert_eq!(corrected(now + 9 * hour, now + 10 * hour), now - hour);
        // A zero, another moment, and a body that waited for a month.
        for sent in [0, now - 400 * DAY_MS, now + 400 * DAY_MS] {
            assert_eq!(corrected(now - hour, sent), now - hour, "{sent}");
        }
        assert_eq!(corrected(now - 30 * DAY_MS - hour, now - 30 * DAY_MS), now - 30 * DAY_MS - hour);
        // A clock that was never set, and one that is years ahead.
        assert_eq!(corrected(300_000, 300_000 + hour), now - hour);
        assert_eq!(corrected(now + 1000 * DAY_MS, now + 1000 * DAY_MS + hour), now - hour);
        assert_eq!(corrected(now + 1000 * DAY_MS, now - 1000 * DAY_MS), now + 1000 * DAY_MS);
        assert_eq!(corrected_ms(300_000, Time::Missing, now), 300_000);
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
