//! The two clocks of a service: the time of day, which somebody may set, and one that only ever goes forward.
//!
//! Invariant: whatever waits for a time to pass counts ticks; whatever asks which day it is asks the time of day.
//! Not here: how long the data have been served, and whether the time of day can be right (`served_time.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// How often ticks are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Ends the process when ticks go back. No kernel lets them, but a library that is put before the C library can (libfaketime does,
/// unless told otherwise), and a machine that is restored in the middle of its work. Whatever waits for a time then waits for
/// ever, or not at all, so the service would answer and do nothing. Its next start goes on from what is durable.
///
/// # Errors
/// When there can be no thread for it.
pub(crate) fn end_when_ticks_go_back(ticks: Clock) -> Result<(), Error> {
    let thread = std::thread::Builder::new().name("ticks".to_owned());
    let spawned = thread.spawn(move || {
        until_back(&ticks, LOOK);
        tracing::error!("the monotonic clock has gone back, so that nothing can wait any more: the service must be started again");
        std::process::exit(1);
    });
    spawned.map(drop).map_err(|error| Error::Service(format!("a thread for the clock: {error}")))
}

/// Returns when ticks have gone back between two looks.
fn until_back(ticks: &Clock, look: Duration) {
    let mut last = ticks();
    loop {
        // The thread is the system's own, since the runtime's timers are what would fail.
        std::thread::sleep(look);
        let now = ticks();
        if now < last {
            return;
        }
        last = now;
    }
}

/// The time of day of the operating system.
pub fn system_clock() -> Clock {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
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
    fn ticks_that_go_back_are_seen_and_those_that_jump_ahead_are_none() {
        let steps = [5, 5, 6, 1_440_000_006, 1_440_000_006, 1_440_000_005, i64::MAX];
        let looks = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = Arc::clone(&looks);
        let ticks: Clock =
            Arc::new(move || steps[counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed)]);
        until_back(&ticks, Duration::ZERO);
        assert_eq!(looks.load(std::sync::atomic::Ordering::Relaxed), 6);
    }

    #[test]
    fn ticks_begin_with_nothing_and_go_forward() {
        let clocks = Clocks::system();
        let first = (clocks.ticks)();
        assert!((0..60_000).contains(&first) && (clocks.ticks)() >= first);
    }
}
