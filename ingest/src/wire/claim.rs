//! Consent as a body carries it: a claim of the native form, which vendors' messages may carry too.
//!
//! ```text
//! native       {"policy_version": "2026-1", "granted_at": time, "age": years, "granted": true, "status": "granted"}
//! ```
//! Invariants: what says that there is no consent is a refusal, whatever else it says; what stands in the place of an age, a date or
//! a decision and cannot be read makes the event a rejected one, and is never taken for absent; in the native form, so does a
//! member that is not known. Not here: the other places and spellings of a consent (`said.rs`), what follows from a claim
//! (`shoal_privacy::consent`), what consent managers say by category (`preferences.rs`).

use std::borrow::Cow;

use crate::{
    answer::{Code, Rejection},
    wire::{json::Json, spelled::is_spelled, time::Time},
};

/// Longest policy version, in bytes: no definition has a longer one. A claim of a batch is copied for each of its events.
const VERSION_BYTES_MAX: usize = 64;
/// In the place of a longer one: it is not empty, and none that a definition can have.
const NO_VERSION: &str = " ";
/// The name of a consent.
pub(super) const CONSENT: &str = "consent";
/// The oldest age that is one: a year of birth is none.
const AGE_MAX: f64 = 150.0;

/// Consent carried in a body.
#[derive(Clone)]
pub(crate) struct Claim<'a> {
    /// Empty when it names none.
    pub(crate) policy_version: Cow<'a, str>,
    pub(crate) granted_at_ms: Option<i64>,
    pub(crate) age: Option<u8>,
    /// Whether it says that there is no consent.
    pub(crate) is_refusal: bool,
}

/// A claim, or why there is none that can be read.
pub(crate) type ReadClaim<'a> = Result<Claim<'a>, BadClaim>;

/// What stands in the place of a claim and cannot be read as a whole.
#[derive(Clone)]
pub(crate) struct BadClaim {
    pub(crate) rejection: Rejection,
    pub(super) refusals: Refusals,
}

impl From<BadClaim> for Rejection {
    fn from(bad: BadClaim) -> Rejection {
        bad.rejection
    }
}

/// What of a claim may refuse, whatever else it says.
#[derive(Clone, Copy, Default)]
pub(super) struct Refusals {
    pub(super) age: Option<u8>,
    pub(super) is_refusal: bool,
}

impl Refusals {
    pub(super) fn of(claim: &ReadClaim<'_>) -> Refusals {
        match claim {
            Ok(claim) => Refusals { age: claim.age, is_refusal: claim.is_refusal },
            Err(bad) => bad.refusals,
        }
    }

    /// Those of two claims: either refuses, and the lesser age counts.
    pub(super) fn and(self, other: Refusals) -> Refusals {
        let age = match (self.age, other.age) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Refusals { age, is_refusal: self.is_refusal || other.is_refusal }
    }
}

impl<'a> Claim<'a> {
    /// Reads a claim; none where nothing stands. `strict`: members that are not known are refused.
    pub(crate) fn read(value: &Json<'a>, strict: bool) -> Option<ReadClaim<'a>> {
        let claim = match value {
            Json::Null => return None,
            Json::Boolean(false) => Ok(Claim::refusal()),
            Json::Map(members) => Claim::of_members(members, strict),
            other if strict => {
                let is_refusal = boolean(other) == Some(false) || status(other) == Some(false);
                let refusals = Refusals { is_refusal, ..Refusals::default() };
                Err(BadClaim { rejection: bad("consent must be an object"), refusals })
            }
            other => match decision(other) {
                Some(false) => Ok(Claim::refusal()),
                // Who agrees so says nothing of the version.
                Some(true) => return None,
                None => {
                    let rejection = bad("consent is neither an object nor a decision");
                    Err(BadClaim { rejection, refusals: Refusals::default() })
                }
            },
        };
        Some(claim)
    }

    /// That there is no consent.
    pub(crate) fn refusal() -> Claim<'a> {
        Claim { is_refusal: true, ..Claim::empty() }
    }

    /// The claim of an event beside that of its batch, which refuses for all events: no claim of one of them is an answer to that.
    pub(crate) fn with_refusals_of(self, of_batch: &ReadClaim<'_>) -> Claim<'a> {
        let own = Refusals { age: self.age, is_refusal: self.is_refusal };
        let Refusals { age, is_refusal } = own.and(Refusals::of(of_batch));
        Claim { age, is_refusal, ..self }
    }

    pub(super) fn empty() -> Claim<'a> {
        Claim { policy_version: Cow::Borrowed(""), granted_at_ms: None, age: None, is_refusal: false }
    }

    fn of_members(members: &[(Cow<'a, str>, Json<'a>)], strict: bool) -> ReadClaim<'a> {
        let mut claim = Claim::empty();
        let mut fault = None;
        for (name, value) in members.iter().filter(|(_, value)| !matches!(value, Json::Null)) {
            if let Err(rejection) = claim.member(name, value, strict) {
                fault.get_or_insert(rejection);
            }
        }
        match fault {
            None => Ok(claim),
            Some(rejection) => Err(BadClaim { rejection, refusals: Refusals::of(&Ok(claim)) }),
        }
    }

    fn member(&mut self, name: &str, value: &Json<'a>, strict: bool) -> Result<(), Rejection> {
        match name {
            "policy_version" => match value {
                Json::Text(version) if version.len() > VERSION_BYTES_MAX => {
                    self.policy_version = Cow::Borrowed(NO_VERSION);
                }
                Json::Text(version) => self.policy_version = version.clone(),
                _ => return Err(bad("policy_version must be a string")),
            },
            "granted_at" => match Time::millis(value).at() {
                Some(at) => self.granted_at_ms = Some(at),
                None => return Err(bad("granted_at is neither RFC 3339 nor milliseconds")),
            },
            "age" => self.age = Some(age(value).ok_or_else(|| bad("age must be a number of years"))?),
            "granted" => {
                let granted = boolean(value).ok_or_else(|| bad("granted must be true or false"))?;
                self.is_refusal |= !granted;
            }
            "status" => {
                let granted = status(value).ok_or_else(|| bad("status must be granted or denied"))?;
                self.is_refusal |= !granted;
            }
            _ if strict => return Err(bad("consent has a member that is not known")),
            _ => {}
        }
        Ok(())
    }
}

pub(super) fn bad(reason: &'static str) -> Rejection {
    Rejection::field(Code::BadConsent, "consent", reason)
}

/// Whole years of what stands in the place of an age: a number, or a text that is one.
pub(crate) fn age(value: &Json<'_>) -> Option<u8> {
    let years = match value {
        Json::Text(text) => text.trim().parse().ok()?,
        other => other.number()?,
    };
    (0.0..=AGE_MAX).contains(&years).then_some(years as u8)
}

/// A decision as consent managers and their bridges write it.
pub(super) fn boolean(value: &Json<'_>) -> Option<bool> {
    match value {
        Json::Boolean(flag) => Some(*flag),
        Json::Integer(0) => Some(false),
        Json::Integer(1) => Some(true),
        Json::Text(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Json::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

pub(super) fn status(value: &Json<'_>) -> Option<bool> {
    let word = value.text()?;
    match word.trim().eq_ignore_ascii_case("granted") {
        true => Some(true),
        false => denies(word).then_some(false),
    }
}

/// Words that say that somebody does not agree, or does not agree any more.
pub(crate) const DENIALS: [&str; 14] = [
    "withdraw",
    "withdrawn",
    "withdrawal",
    "revoke",
    "revoked",
    "deny",
    "denied",
    "refuse",
    "refused",
    "reject",
    "rejected",
    "declined",
    "opt_out",
    "opted_out",
];

/// Whether a word is one of [`DENIALS`], in whichever spelling.
pub(crate) fn denies(word: &str) -> bool {
    DENIALS.into_iter().any(|known| is_spelled(word, &[known]))
}

/// Whether a value is a decision by itself, and which.
pub(super) fn decision(value: &Json<'_>) -> Option<bool> {
    const AGREES: [&str; 7] = ["yes", "allowed", "accepted", "agreed", "given", "opt_in", "opted_in"];
    let agrees =
        || AGREES.into_iter().any(|known| value.text().is_some_and(|word| is_spelled(word, &[known])));
    boolean(value).or_else(|| status(value)).or_else(|| agrees().then_some(true))
}

/// The first part of a name with dots, and what is behind it.
pub(super) fn first_part(name: &str) -> (&str, Option<&str>) {
    name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)))
}

/// Whether a name is that of a native consent, or of a part of one, which is not spelled as it should be.
pub(in crate::wire) fn is_misspelled(name: &str) -> bool {
    // Most names begin with another letter, and this is asked of every field of an event.
    matches!(name.trim_start().bytes().next(), Some(b'c' | b'C'))
        && is_spelled(first_part(name).0, &[CONSENT])
        && name != CONSENT
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::json::built::{object, text};

    #[test]
    fn an_age_is_read_if_it_can_be_and_never_ignored() {
        for (value, years) in [
            (Json::Integer(12), Some(12)),
            (Json::Float(12.0), Some(12)),
            (Json::Float(12.9), Some(12)),
            (text("12"), Some(12)),
            (text(" 12.5 "), Some(12)),
            (Json::Integer(0), Some(0)),
            (Json::Boolean(true), None),
            (Json::List(vec![Json::Integer(12)]), None),
            (Json::Integer(-1), None),
            (Json::Integer(2014), None),
            (text("twelve"), None),
            (text(""), None),
            (text("NaN"), None),
            (text("inf"), None),
            (Json::Float(f64::NAN), None),
        ] {
            assert_eq!(age(&value), years);
            for strict in [true, false] {
                let claim = Claim::read(&object(&[("age", value.clone())]), strict).unwrap();
                assert_eq!(claim.ok().map(|claim| claim.age), years.map(Some), "never absent");
            }
        }
        let claim = Claim::read(&object(&[("age", Json::Null)]), true).unwrap().ok().unwrap();
        assert_eq!((claim.age, &*claim.policy_version), (None, ""));
    }

    #[test]
    fn a_policy_version_that_is_too_long_is_none_and_is_not_kept() {
        for (length, kept) in
            [(64, "v".repeat(64)), (65, NO_VERSION.to_owned()), (70_000, NO_VERSION.to_owned())]
        {
            let version = Json::Text(Cow::Owned("v".repeat(length)));
            let claim = Claim::read(&object(&[("policy_version", version)]), true).unwrap().ok().unwrap();
            assert_eq!((&*claim.policy_version, claim.is_refusal), (&*kept, false), "{length}");
        }
    }

    #[test]
    fn what_is_no_consent_is_a_refusal_and_what_is_unclear_is_rejected() {
        let version = || ("policy_version", text("2026-1"));
        let read = |member: (&'static str, Json<'static>), strict| {
            let claim = Claim::read(&object(&[version(), member]), strict).unwrap();
            claim.ok().map(|claim| claim.is_refusal)
        };
        for (name, value, is_refusal) in [
            ("granted", Json::Boolean(true), Some(false)),
            ("granted", Json::Boolean(false), Some(true)),
            ("granted", text("false"), Some(true)),
            ("granted", Json::Integer(0), Some(true)),
            ("granted", text("no"), None),
            ("granted", Json::Null, Some(false)),
            ("status", text("granted"), Some(false)),
            ("status", text("Denied"), Some(true)),
            ("status", text("withdrawn"), Some(true)),
            ("status", text("pending"), None),
            ("status", Json::Boolean(true), None),
            ("policy_version", Json::Integer(2026), None),
            ("granted_at", text("yesterday"), None),
        ] {
            for strict in [true, false] {
                assert_eq!(read((name, value.clone()), strict), is_refusal, "{name} {strict}");
            }
        }
        assert_eq!(read(("categoryPreferences", Json::Boolean(true)), false), Some(false));
        assert_eq!(read(("categoryPreferences", Json::Boolean(true)), true), None);
        assert!(Claim::read(&Json::Null, true).is_none());
        assert!(Claim::read(&Json::Boolean(false), true).unwrap().ok().unwrap().is_refusal);
        assert!(Claim::read(&text("yes"), true).unwrap().is_err());
        assert!(Claim::read(&text("yes"), false).is_none());
        for refusal in [text("denied"), text("false"), Json::Integer(0)] {
            assert!(Claim::read(&refusal, false).unwrap().ok().unwrap().is_refusal);
        }
    }
}
