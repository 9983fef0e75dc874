//! A key that somebody wants to have: what it may do, what it is called, whose it is, and how long it is valid.
//!
//! Not here: making it (`access_keys.rs`).

use shoal_language::calendar::parse_day;
use shoal_schemas::calendar::{DAY_MS, start_of};

use super::scope::Scope;
use crate::error::Error;

const NAME_CHARS_MAX: usize = 64;
const OWNER_CHARS_MAX: usize = 128;
const DAYS_MAX: u32 = 36_500;

/// What is wanted of a new key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What it may do.
    pub scope: Scope,
    /// What people call it. By default that follows from the scope.
    pub name: Option<String>,
    /// Whose it is, in the operator's words, as the name of a team.
    pub owner: Option<String>,
    /// From when on it is refused, ms since 1970; none: never.
    pub expires_at_ms: Option<i64>,
}

impl From<Scope> for Wanted {
    fn from(scope: Scope) -> Wanted {
        Wanted { scope, name: None, owner: None, expires_at_ms: None }
    }
}

impl Wanted {
    /// # Errors
    /// When it makes no sense.
    pub(super) fn check(&self, now_ms: i64) -> Result<(), Error> {
        self.scope.check()?;
        let is_text = |text: &str, most: usize| {
            !text.trim().is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control)
        };
        let wrong = |reason: String| Err(Error::Keys(reason));
        if self.name.as_deref().is_some_and(|name| !is_text(name, NAME_CHARS_MAX)) {
            return wrong(format!("a key's name has 1 to {NAME_CHARS_MAX} characters on one line"));
        }
        if self.owner.as_deref().is_some_and(|owner| !is_text(owner, OWNER_CHARS_MAX)) {
            return wrong(format!("a key's owner has 1 to {OWNER_CHARS_MAX} characters on one line"));
        }
        if self.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms) {
            return wrong("the key would have expired already".to_owned());
        }
        Ok(())
    }
}

/// How long a key is valid, as it is written on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// For good.
    Never,
    /// For so many days of 24 hours.
    Days(u32),
    /// To the end of this day, UTC.
    LastDay(i32),
}

impl Expiry {
    /// Reads `never`, a number of days as `90d`, or the last day as `2027-01-31`.
    pub(crate) fn parse(text: &str) -> Result<Expiry, String> {
        let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
        let days = days.filter(|days| (1..=DAYS_MAX).contains(days)).map(Expiry::Days);
        let is_never = text.eq_ignore_ascii_case("never");
        let found =
            is_never.then_some(Expiry::Never).or(days).or_else(|| parse_day(text).map(Expiry::LastDay));
        found.ok_or_else(|| {
            "a key expires never, after days as 90d, or at the end of a day as 2027-01-31".to_owned()
        })
    }

    /// From when on a key that is made now is refused, ms since 1970.
    pub(crate) fn at_ms(self, now_ms: i64) -> Option<i64> {
        match self {
            Expiry::Never => None,
            Expiry::Days(days) => Some(now_ms.saturating_add(i64::from(days) * DAY_MS)),
            Expiry::LastDay(day) => Some(start_of(day.saturating_add(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOON_MS: i64 = 1_795_348_800_000;

    #[test]
    fn an_expiry_is_never_some_days_or_the_end_of_a_day() {
        let at_ms = |text: &str| Expiry::parse(text).map(|expiry| expiry.at_ms(NOON_MS));
        assert_eq!(at_ms("never"), Ok(None));
        assert_eq!(at_ms("90d"), Ok(Some(NOON_MS + 90 * DAY_MS)));
        assert_eq!(at_ms("2026-11-22"), Ok(Some(NOON_MS + DAY_MS / 2)), "the day itself is included");
        for text in ["", "d", "0d", "-1d", "90", "36501d", "99999999999d", "2026-02-30", "soon"] {
            assert!(at_ms(text).unwrap_err().contains("90d"), "{text}");
        }
    }
}
