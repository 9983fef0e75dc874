//! Days and hours of UTC, in milliseconds since 1970 and in days since 1970-01-01.
//!
//! No clock: the time is an argument. Not here: dates as text (each format is read and written where it is used).

/// Milliseconds of an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds of a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// The UTC day (days since 1970-01-01) of a time in milliseconds since 1970. A time beyond the range of days is in the
/// first or the last one.
pub fn day_of(time_ms: i64) -> i32 {
    i32::try_from(time_ms.div_euclid(DAY_MS)).unwrap_or(if time_ms < 0 { i32::MIN } else { i32::MAX })
}

/// The first millisecond of a day.
pub const fn start_of(day: i32) -> i64 {
    day as i64 * DAY_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_before_1970_are_days() {
        assert_eq!(day_of(-1), -1);
        assert_eq!(day_of(0), 0);
        assert_eq!(day_of(i64::MAX), i32::MAX);
        assert_eq!(day_of(i64::MIN), i32::MIN);
    }

    #[test]
    fn a_day_begins_at_its_midnight() {
        for day in [i32::MIN, -1, 0, 20_779, i32::MAX] {
            assert_eq!((day_of(start_of(day)), day_of(start_of(day) + DAY_MS - 1)), (day, day));
        }
    }
}
