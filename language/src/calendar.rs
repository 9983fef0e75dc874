//! Days, hours and the coarser grains of the UTC calendar.
//!
//! Invariants: days are counted from 1970-01-01, times are milliseconds since then; weeks start on Monday, as
//! `date_trunc` has it. No clock here: `now` is an argument everywhere.

use chrono::{DateTime, Datelike, Days, NaiveDate};
use shoal_schemas::calendar::start_of;

/// How coarse time is shown. Nothing finer than an hour exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Grain {
    /// An hour.
    Hour,
    /// A UTC day.
    Day,
    /// A week, from Monday.
    Week,
    /// A calendar month.
    Month,
}

impl Grain {
    /// The grain of a name as `date_trunc` has it, in any case; `None` for every other.
    pub fn parse(text: &str) -> Option<Grain> {
        [Grain::Hour, Grain::Day, Grain::Week, Grain::Month]
            .into_iter()
            .find(|g| g.as_str().eq_ignore_ascii_case(text))
    }

    /// Its name as `date_trunc` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Grain::Hour => "hour",
            Grain::Day => "day",
            Grain::Week => "week",
            Grain::Month => "month",
        }
    }

    /// The first day of the bucket that a day is in.
    pub fn bucket(self, day: i32) -> i32 {
        match self {
            Grain::Hour | Grain::Day => day,
            // 1970-01-01 was a Thursday: Monday is three days before it.
            Grain::Week => day - (day + 3).rem_euclid(7),
            Grain::Month => date(day).with_day(1).map_or(day, day_of_date),
        }
    }
}

/// The days since 1970-01-01 of a date.
pub fn day_of_date(date: NaiveDate) -> i32 {
    date.to_epoch_days()
}

fn date(day: i32) -> NaiveDate {
    NaiveDate::from_epoch_days(day).unwrap_or(NaiveDate::MIN)
}

/// `2026-11-22`.
pub fn day_text(day: i32) -> String {
    date(day).format("%Y-%m-%d").to_string()
}

/// `2026-11-22T10:00:00Z`.
pub fn time_text(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |t| t.format("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The day of `2026-11-22`.
pub fn parse_day(text: &str) -> Option<i32> {
    NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok().map(day_of_date)
}

/// Milliseconds of RFC 3339, of `2026-11-22 10:00[:00]` (UTC), or of a day's first moment.
pub fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    formats
        .iter()
        .find_map(|f| chrono::NaiveDateTime::parse_from_str(text, f).ok())
        .map(|t| t.and_utc().timestamp_millis())
        .or_else(|| parse_day(text).map(start_of))
}

/// The same day so many months before, or the last one of a shorter month; `None` out of the calendar.
pub fn months_before(day: i32, months: u32) -> Option<i32> {
    date(day).checked_sub_months(chrono::Months::new(months)).map(day_of_date)
}

/// The same day so many months later, or the last one of a shorter month; `None` out of the calendar.
pub fn months_after(day: i32, months: u32) -> Option<i32> {
    date(day).checked_add_months(chrono::Months::new(months)).map(day_of_date)
}

/// A part of a day as `extract` has it, in any case; `None` for one that a day does not have.
pub(crate) fn part_of(day: i32, part: &str) -> Option<i64> {
    let date = date(day);
    Some(match part.to_ascii_lowercase().as_str() {
        "dow" => date.weekday().num_days_from_sunday().into(),
        "isodow" => date.weekday().number_from_monday().into(),
        "day" => date.day().into(),
        "week" => date.iso_week().week().into(),
        "month" => date.month().into(),
        "quarter" => (date.month0() / 3 + 1).into(),
        "year" => date.year().into(),
        _ => return None,
    })
}

/// The day `days` days later (earlier when negative); none out of the calendar.
pub fn days_after(day: i32, days: i32) -> Option<i32> {
    let date = date(day);
    let moved = match u64::try_from(days) {
        Ok(days) => date.checked_add_days(Days::new(days)),
        Err(_) => date.checked_sub_days(Days::new(u64::from(days.unsigned_abs()))),
    };
    moved.map(day_of_date)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_schemas::calendar::HOUR_MS;

    use super::*;

    #[test]
    fn buckets_start_on_mondays_and_firsts() {
        let sunday = parse_day("2026-11-22").unwrap();
        assert_eq!(day_text(Grain::Week.bucket(sunday)), "2026-11-16");
        assert_eq!(day_text(Grain::Week.bucket(sunday + 1)), "2026-11-23");
        assert_eq!(day_text(Grain::Month.bucket(sunday)), "2026-11-01");
        assert_eq!(Grain::Hour.bucket(sunday), sunday);
        assert_eq!(Grain::Week.bucket(-1), -3);
    }

    #[test]
    fn parts_of_a_day_are_those_of_the_calendar() {
        let sunday = parse_day("2026-11-22").unwrap();
        let parts = ["dow", "ISODOW", "day", "week", "month", "quarter", "year", "hour"];
        let found = parts.map(|part| part_of(sunday, part));
        let wanted = [0, 7, 22, 47, 11, 4, 2026].map(Some);
        assert_eq!(found[..7], wanted);
        assert_eq!(found[7], None);
        assert_eq!(part_of(parse_day("2027-01-01").unwrap(), "week"), Some(53), "of the year before");
    }

    #[test]
    fn times_in_all_their_forms() {
        let midnight = start_of(parse_day("2026-11-22").unwrap());
        assert_eq!(parse_time("2026-11-22"), Some(midnight));
        assert_eq!(parse_time("2026-11-22 01:00"), Some(midnight + HOUR_MS));
        assert_eq!(parse_time("2026-11-22T01:00:00+01:00"), Some(midnight));
        assert_eq!(parse_time("yesterday"), None);
    }
}
