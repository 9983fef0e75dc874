//! The present, as far as it decides which keys there are, and days as the names of their files have them.
//!
//! Not here: which keys (`unit_keys`, `epoch_keys.rs`).

use std::io;

use chrono::{Datelike, NaiveDate};

/// Days from 0001-01-01 to 1970-01-01, the first one counted.
const DAYS_BEFORE_1970: i32 = 719_163;
/// What is known of the present, ms since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// By the clock: which days have keys that are open.
    pub(crate) now_ms: i64,
    /// By which keys may be destroyed, unless the clock says less.
    pub(crate) settled_ms: i64,
}

/// A day as names have it.
pub(crate) fn date(day: i32) -> io::Result<String> {
    let date = day.checked_add(DAYS_BEFORE_1970).and_then(NaiveDate::from_num_days_from_ce_opt);
    date.map(|date| date.to_string()).ok_or_else(|| io::Error::other("a day that has no date"))
}

/// The day of a name.
pub(crate) fn day_in(name: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(name, "%Y-%m-%d").ok()?;
    Some(date.num_days_from_ce() - DAYS_BEFORE_1970)
}
