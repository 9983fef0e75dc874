//! Consent as a body carries it: a claim of the native form, which vendors' messages may carry too.
//!
//! ```text
//! native       {"policy_version": "2026-1", "granted_at": time, "age": years, "granted": true, "status": "granted"}
//! ```
//! Invariants: what says that there is no consent is a refusal, whatever else it says; what stands in the place of an age, a date or
//! a decision and cannot be read makes the event a rejected one, and is never taken for absent; in the native form, so does a
//! member that is not known. What refuses, an age, and what cannot be read count in every spelling (`spelled.rs`) and, in a vendor's
//! message, beside the context too; what agrees is read where it is documented, and there alone. A native consent that stands in a
//! context is one under another name. Not here: what follows from a claim (`shoal_privacy::consent`), what consent managers
//! say by category (`preferences.rs`).

use std::borrow::Cow;

use crate::{
    answer::{Code, Rejection},
    wire::{
        json::Json,
        spelled::{self, is_spelled},
        time::Time,
    },
};

/// Longest policy version, in bytes: no definition has a longer one. A claim of a batch is copied for each of its events.
const VERSION_BYTES_MAX: usize = 64;
/// In the place of a longer one: it is not empty, and none that a definition can have.
const NO_VERSION: &str = " ";
/// The name of a consent.
const CONSENT: &str = "consent";
/// The name of an object in which others have theirs; Sentry's is in the plural.
const CONTEXT: &str = "context";
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
    refusals: Refusals,
}

impl From<BadClaim> for Rejection {
    fn from(bad: BadClaim) -> Rejection {
        bad.rejection
    }
}

/// What of a claim may refuse, whatever else it says.
#[derive(Clone, Copy, Default)]
struct Refusals {
    age: Option<u8>,
    is_refusal: bool,
}

impl Refusals {
    fn of(claim: &ReadClaim<'_>) -> Refusals {
        match claim {
            Ok(claim) => Refusals { age: claim.age, is_refusal: claim.is_refusal },
            Err(bad) => bad.refusals,
        }
    }

    /// Those of two claims: either refuses, and the lesser age counts.
    fn and(self, other: Refusals) -> Refusals {
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

    /// What a vendor's message, or a body for all of its messages, says: the claim in its documented place, and what refuses, is an age
    /// or cannot be read there and in the other places, in every spelling.
    pub(in crate::wire) fn of_vendor(
        documented: Option<&Json<'a>>,
        root: &Json<'a>,
    ) -> Option<ReadClaim<'a>> {
        let mut said = Said::default();
        PLACES.into_iter().for_each(|place| said.hear(root, place));
        let Refusals { age, is_refusal } = said.refusals;
        if is_refusal {
            return Some(Ok(Claim { age, ..Claim::refusal() }));
        }
        let unclear = || BadClaim { rejection: bad("a consent cannot be read"), refusals: said.refusals };
        match documented.and_then(|value| Claim::read(value, false)) {
            Some(Err(claim)) => Some(Err(BadClaim { refusals: claim.refusals.and(said.refusals), ..claim })),
            _ if said.is_unclear => Some(Err(unclear())),
            // The least age, which may be the claim's own.
            Some(Ok(claim)) => Some(Ok(Claim { age, ..claim })),
            None => age.map(|age| Ok(Claim { age: Some(age), ..Claim::empty() })),
        }
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

    fn empty() -> Claim<'a> {
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

fn bad(reason: &'static str) -> Rejection {
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

/// Whether a word says that somebody does not agree, or does not agree any more.
pub(crate) fn denies(word: &str) -> bool {
    const WORDS: [&str; 14] = [
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
    WORDS.into_iter().any(|known| is_spelled(word, &[known]))
}

/// Whether a value is a decision by itself, and which.
fn decision(value: &Json<'_>) -> Option<bool> {
    const AGREES: [&str; 7] = ["yes", "allowed", "accepted", "agreed", "given", "opt_in", "opted_in"];
    let agrees =
        || AGREES.into_iter().any(|known| value.text().is_some_and(|word| is_spelled(word, &[known])));
    boolean(value).or_else(|| status(value)).or_else(|| agrees().then_some(true))
}

/// Where a vendor's message carries a consent, and where it should.
pub(super) const PLACES: [&[&str]; 3] = [&["context", "consent"], &["contexts", "consent"], &["consent"]];

/// Whether a message, or a body for all of its messages, may say something of consent at all. Most do not, and are looked at no further.
pub(in crate::wire) fn speaks_of_consent(root: &Json<'_>) -> bool {
    let is_named = |name: &str| name.split('.').any(|part| spelled::begins(part, CONSENT));
    let within = |of: &Json<'_>| of.members().iter().any(|(name, _)| is_named(name));
    let mut members = root.members().iter();
    members.any(|(name, value)| is_named(name) || (spelled::begins(name, CONTEXT) && within(value)))
}

/// What stands in the places of a consent, in every spelling: what refuses, and whether something cannot be read.
#[derive(Clone, Copy, Default)]
struct Said {
    refusals: Refusals,
    is_unclear: bool,
}

impl Said {
    /// Takes all that stands at a place of an object. The dots of the place, and of a member of the consent, may be in one name.
    fn hear(&mut self, of: &Json<'_>, place: &[&str]) {
        for (name, value) in of.members() {
            let (mut rest, mut left) = (Some(&**name), place);
            while let (Some(given), [wanted, more @ ..]) = (rest, left) {
                let (part, behind) = first_part(given);
                if !is_spelled(part, &[wanted]) {
                    break;
                }
                (rest, left) = (behind, more);
            }
            match (rest, left) {
                (None, []) => self.whole(value),
                (Some(member), []) => self.member(member, value),
                (None, more) => self.hear(value, more),
                (Some(_), _) => {}
            }
        }
    }

    fn whole(&mut self, value: &Json<'_>) {
        match value {
            Json::Map(members) => members.iter().for_each(|(name, value)| self.member(name, value)),
            other => self.decided(other),
        }
    }

    fn member(&mut self, name: &str, value: &Json<'_>) {
        /// Other words for `granted` and `status`: only what refuses is understood by them.
        const OTHERS: [&str; 10] = [
            "value", "state", "decision", "choice", "given", "allowed", "accepted", "agreed", "enabled",
            "opt_in",
        ];
        let is_called = |known: &str| is_spelled(name, &[known]);
        if is_called("age") && !matches!(value, Json::Null) {
            let years = age(value);
            self.is_unclear |= years.is_none();
            self.refusals = self.refusals.and(Refusals { age: years, is_refusal: false });
        } else if is_called("granted") || is_called("status") {
            self.decided(value);
        } else if OTHERS.into_iter().any(is_called) {
            self.refusals.is_refusal |= decision(value) == Some(false);
        }
    }

    fn decided(&mut self, value: &Json<'_>) {
        if !matches!(value, Json::Null) {
            let decision = decision(value);
            self.refusals.is_refusal |= decision == Some(false);
            self.is_unclear |= decision.is_none();
        }
    }
}

fn first_part(name: &str) -> (&str, Option<&str>) {
    name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)))
}

/// Whether a name is that of a native consent, or of a part of one, which is not spelled as it should be.
pub(in crate::wire) fn is_misspelled(name: &str) -> bool {
    // Most names begin with another letter, and this is asked of every field of an event.
    matches!(name.trim_start().bytes().next(), Some(b'c' | b'C'))
        && is_spelled(first_part(name).0, &[CONSENT])
        && name != CONSENT
}

/// What a member of a native event or batch that is no consent, or of its context, holds of one: in another spelling, or in the place
/// where others have theirs.
pub(in crate::wire) fn misplaced<'a>(name: &str, value: &Json<'a>) -> Vec<Json<'a>> {
    let is_spoken_of = spelled::begins(name, CONSENT) || spelled::begins(name, CONTEXT);
    if !is_spoken_of || matches!(value, Json::Null) {
        return Vec::new();
    }
    let (first, rest) = first_part(name);
    match rest {
        _ if is_spelled(first, &[CONSENT]) => vec![as_member(rest, value)],
        _ if !is_spelled(first, &[CONTEXT]) => Vec::new(),
        Some(rest) if is_spelled(first_part(rest).0, &[CONSENT]) => {
            vec![as_member(first_part(rest).1, value)]
        }
        Some(_) => Vec::new(),
        None => {
            let members = value.members().iter().filter(|(name, _)| spelled::begins(name, CONSENT));
            members.flat_map(|(name, value)| misplaced(name, value)).collect()
        }
    }
}

/// A consent of which a member was named alone.
fn as_member<'a>(name: Option<&str>, value: &Json<'a>) -> Json<'a> {
    let value = value.clone();
    match name {
        Some(name) => Json::Map(vec![(Cow::Owned(name.to_owned()), value)]),
        None => value,
    }
}

/// The claim of such a member, beside what is known already: nothing that it says can be relied on, but what refuses.
pub(in crate::wire) fn misspelled<'a>(value: &Json<'a>, known: Option<&ReadClaim<'a>>) -> ReadClaim<'a> {
    let mut said = Said::default();
    said.whole(value);
    let known = known.map_or_else(Refusals::default, Refusals::of);
    let refusals = known.and(said.refusals);
    Err(BadClaim { rejection: bad("a consent is an object with the name consent"), refusals })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn object<'a>(members: &[(&'a str, Json<'a>)]) -> Json<'a> {
        Json::Map(members.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())).collect())
    }

    fn text(text: &str) -> Json<'_> {
        Json::Text(Cow::Borrowed(text))
    }

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
    fn what_refuses_in_one_of_two_claims_refuses_in_both_and_the_lesser_age_counts() {
        let ages = [Json::Null, Json::Integer(12), Json::Integer(40)];
        let granted = [Json::Null, Json::Boolean(true), Json::Boolean(false)];
        let mut all = Vec::new();
        for (age, granted) in ages.iter().flat_map(|age| granted.iter().map(move |granted| (age, granted))) {
            for more in [("policy_version", text("2026-1")), ("granted_at", text("yesterday"))] {
                let members = object(&[("age", age.clone()), more, ("granted", granted.clone())]);
                all.push((age.number(), matches!(granted, Json::Boolean(false)), members));
            }
        }
        for (own_age, own_refuses, own) in &all {
            let Some(Ok(own)) = Claim::read(own, true) else { continue };
            for (age, refuses, of_batch) in &all {
                let refuses = *own_refuses || *refuses;
                let least = [*own_age, *age].into_iter().flatten().min_by(f64::total_cmp);
                let misspelled = misspelled(of_batch, None);
                for of_batch in [Claim::read(of_batch, true).unwrap(), misspelled] {
                    let both = own.clone().with_refusals_of(&of_batch);
                    assert_eq!((both.age.map(f64::from), both.is_refusal), (least, refuses));
                    assert_eq!(&*both.policy_version, "2026-1");
                }
            }
        }
        let known = Claim::read(&Json::Boolean(false), true).unwrap();
        for (said, known, refuses) in
            [(text("denied"), None, true), (text("yes"), None, false), (text("yes"), Some(&known), true)]
        {
            assert_eq!(Refusals::of(&misspelled(&said, known)).is_refusal, refuses);
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
