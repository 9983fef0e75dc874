//! Zones of the IANA database: how many hours a zone's clocks are ahead of UTC.
//!
//! Invariants: times of events are known to the hour, so only whole hours are told, and only where they are the same for all days
//! that are asked. Names alone are known: PostgreSQL reads `'+08'` as eight hours west of Greenwich, others as east.
//! Not here: what a statement does with a zone (`question/zoned.rs`).

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use shoal_schemas::calendar::{HOUR_MS, start_of};

use crate::private_query::DayRange;

const HOUR_S: i32 = 3_600;

/// Steps of finding a name among all: one for each 32 names.
pub(crate) const NAME_STEPS: u64 = chrono_tz::TZ_VARIANTS.len() as u64 / 32;

/// Steps of looking up the hours of these days: one for each hour of each.
pub(crate) fn hours_steps(days: DayRange) -> u64 {
    days.len().saturating_mul(24)
}

/// A zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Zone(Tz);

/// Why a zone has no whole number of hours for some days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHours {
    /// Its clocks change on this day.
    Change(i32),
    /// Its clocks are not whole hours from UTC.
    Part,
}

impl Zone {
    /// The zone of a name, in any case.
    pub(crate) fn of(name: &str) -> Option<Zone> {
        chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(name)).copied().map(Zone)
    }

    /// Its name as the database writes it.
    pub(crate) fn name(self) -> &'static str {
        self.0.name()
    }

    fn seconds(self, ms: i64) -> Option<i32> {
        let time = DateTime::from_timestamp_millis(ms)?;
        Some(self.0.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc())
    }

    /// How many hours its clocks are ahead of UTC on all of these UTC days.
    pub(crate) fn hours(self, days: DayRange) -> Result<i64, NoHours> {
        let first = self.seconds(start_of(days.first)).ok_or(NoHours::Part)?;
        for day in days.days() {
            for hour in 0..24 {
                if self.seconds(start_of(day) + hour * HOUR_MS) != Some(first) {
                    return Err(NoHours::Change(day));
                }
            }
        }
        if first % HOUR_S == 0 { Ok(i64::from(first / HOUR_S)) } else { Err(NoHours::Part) }
    }

    /// The UTC time, in milliseconds, of a time on its clocks; `None` for one that they have twice or not at all, and where they
    /// are not whole hours from UTC.
    pub(crate) fn utc_ms(self, local_ms: i64) -> Option<i64> {
        let local = DateTime::from_timestamp_millis(local_ms)?.naive_utc();
        let time = self.0.from_local_datetime(&local).single()?;
        let utc_ms = time.timestamp_millis();
        ((local_ms - utc_ms) % HOUR_MS == 0).then_some(utc_ms)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::calendar::{parse_day, parse_time};

    fn days(first: &str, last: &str) -> DayRange {
        DayRange { first: parse_day(first).unwrap(), last: parse_day(last).unwrap() }
    }

    #[test]
    fn hours_are_told_where_they_are_whole_and_the_same() {
        let hours = |zone: &str, first, last| Zone::of(zone).unwrap().hours(days(first, last));
        assert_eq!(hours("asia/singapore", "2026-01-01", "2026-11-22"), Ok(8));
        assert_eq!(hours("Europe/Berlin", "2026-11-01", "2026-11-22"), Ok(1));
        assert_eq!(hours("Europe/Berlin", "2026-07-01", "2026-07-22"), Ok(2));
        assert_eq!(hours("America/New_York", "2026-11-02", "2026-11-22"), Ok(-5));
        assert_eq!(hours("Asia/Kolkata", "2026-11-02", "2026-11-22"), Err(NoHours::Part));
        let change = parse_day("2026-10-25").unwrap();
        assert_eq!(hours("Europe/Berlin", "2026-10-01", "2026-11-22"), Err(NoHours::Change(change)));
        for name in ["+08", "UTC+8", "Singapore time", ""] {
            assert_eq!(Zone::of(name), None, "{name}");
        }
    }

    #[test]
    fn local_times_are_told_where_there_is_one() {
        let utc = |zone: &str, time: &str| Zone::of(zone).unwrap().utc_ms(parse_time(time).unwrap());
        assert_eq!(utc("Asia/Singapore", "2026-11-22"), parse_time("2026-11-21 16:00"));
        assert_eq!(utc("Europe/Berlin", "2026-07-01 12:30"), parse_time("2026-07-01 10:30"));
        assert_eq!(utc("Europe/Berlin", "2026-10-25 02:30"), None, "twice");
        assert_eq!(utc("Europe/Berlin", "2026-03-29 02:30"), None, "never");
        assert_eq!(utc("Asia/Kolkata", "2026-11-22"), None);
    }
}
