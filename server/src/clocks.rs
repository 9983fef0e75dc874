//! The two clocks of a service: the time of day, which somebody may set, and one that only ever goes forward.
//!
//! Invariant: whatever waits for a time to pass counts ticks; whatever asks which day it is asks the time of day.
//! Not here: how long the data have been served, and whether the time of day can be right (`served_time.rs`).

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

use crate::error::Error;

/// A number of milliseconds that is asked for; tests move it.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Both clocks.
#[derive(Clone)]
pub struct Clocks {
    /// Milliseconds since 1970, UTC, as far as the machine knows; negative before.
    pub wall: Clock,
    /// Milliseconds since some moment. Nobody can set it.
    pub ticks: Clock,
}

/// 2020-01-01: before Shoal was. A machine without a battery starts in 1970.
const EARLIEST_MS: i64 = 1_577_836_800_000;

impl Clocks {
    /// Those of the operating system.
    pub fn system() -> Clocks {
        let begun = Instant::now();
        let ticks = move || i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX);
        Clocks { wall: system_clock(), ticks: Arc::new(ticks) }
    }
}

/// The time of day of the operating system.
pub fn system_clock() -> Clock {
    let ms = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Arc::new(move || match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => ms(since),
        Err(before) => -ms(before.duration()),
    })
}

/// The time that a clock tells, if it can be used at all.
///
/// # Errors
/// When it says a time from before Shoal was.
pub(crate) fn checked(clock: &Clock) -> Result<i64, Error> {
    match clock() {
        now_ms if now_ms >= EARLIEST_MS => Ok(now_ms),
        early => {
            let told = DateTime::<Utc>::from_timestamp_millis(early).map(|at| at.to_rfc3339());
            let told = told.unwrap_or_else(|| "no time at all".to_owned());
            Err(Error::Service(format!("the clock of this machine says {told}: set it, and try again")))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_clock_from_before_shoal_is_an_error_that_says_what_it_told() {
        let at = |ms: i64| checked(&(Arc::new(move || ms) as Clock));
        assert_eq!(at(EARLIEST_MS).unwrap(), EARLIEST_MS);
        let refused = at(-1_000_000_000).unwrap_err().to_string();
        assert!(refused.contains("1969-12-20") && refused.contains("set it"), "{refused}");
        assert!(at(0).is_err() && at(i64::MIN).is_err());
        assert!(checked(&system_clock()).is_ok());
    }

    #[test]
    fn ticks_begin_with_nothing_and_go_forward() {
        let clocks = Clocks::system();
        let first = (clocks.ticks)();
        assert!((0..60_000).contains(&first) && (clocks.ticks)() >= first);
    }
}
