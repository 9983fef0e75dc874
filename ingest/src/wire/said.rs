//! What a body says of consent in any place and spelling.
//!
//! ```text
//! {"context": {"consent": ..}}    {"contexts": {"consent": ..}}    {"consent": ..}    {"Context.CONSENT.Age": 12}
//! ```
//! Invariants: what refuses, an age, and what cannot be read count wherever they stand, and are never taken for absent; what agrees counts
//! where it is documented, and there alone. A native consent that stands in a context is one under another name. What does not speak
//! of consent is looked at once. Not here: a claim in its documented place (`claim.rs`), decisions by category (`preferences.rs`).

use std::borrow::Cow;

use crate::wire::{
    claim::{BadClaim, CONSENT, Claim, ReadClaim, Refusals, age, bad, decision, first_part},
    json::Json,
    spelled::{self, is_spelled},
};

/// The name of an object in which others have theirs; Sentry's is in the plural.
const CONTEXT: &str = "context";

/// What a vendor's message, or a body for all of its messages, says: the claim in its documented place, and what refuses, is an age
/// or cannot be read there and in the other places, in every spelling.
pub(in crate::wire) fn of_vendor<'a>(
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
    use crate::wire::json::built::{object, text};

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
}
