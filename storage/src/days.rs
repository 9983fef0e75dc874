//! How days are written in the names of files and in partitions.

use chrono::{DateTime, NaiveDate};
use shoal_schemas::calendar::{DAY_MS, start_of};

/// A day as the partition value spells it.
pub(crate) fn day_text(day: i32) -> Option<String> {
    let date = DateTime::from_timestamp_millis(start_of(day))?.date_naive();
    (day >= 0 && date <= NaiveDate::from_ymd_opt(9999, 12, 31)?).then(|| date.format("%Y-%m-%d").to_string())
}

/// The day that a partition value spells.
pub(crate) fn parse_day(text: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    let ms = date.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis();
    i32::try_from(ms / DAY_MS).ok()
}
