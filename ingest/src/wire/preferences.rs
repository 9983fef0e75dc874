//! What consent managers say in a message: decisions by category.
//!
//! ```text
//! Segment      {"categoryPreferences": {"Analytics": false, ..}}                        context.consent
//! RudderStack  {"allowedConsentIds": [..], "deniedConsentIds": [..]}                    context.consentManagement
//! ```
//! Invariants: what stands in the place of a decision and cannot be read is one that is unclear, and never taken for absent; a denial
//! is read in every spelling (`spelled.rs`) and beside the context too, an agreement where it is documented, and there alone.
//! Not here: whose decision is the programme's, and what follows from it (`consents/decisions.rs`).

use std::borrow::Cow;

use crate::wire::{
    claim::{boolean, status},
    json::Json,
    said::PLACES,
    spelled,
};

/// What a person has decided about one category of a consent manager; the strictest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Decision {
    Allowed,
    /// Something that is neither: it is no consent, and no withdrawal.
    Unclear,
    Denied,
}

/// In the place of a name: what stands there cannot be read, and may be about any category.
pub(crate) const EVERY_CATEGORY: &str = "";

/// Decisions by the name of their category.
pub(crate) type Preferences<'a> = Vec<(Cow<'a, str>, Decision)>;

/// What the context of a message says of categories, where it is documented.
pub(in crate::wire) fn preferences<'a>(context: &Json<'a>) -> Preferences<'a> {
    let mut found = Vec::new();
    if let Some(value) = context.path("consent.categoryPreferences") {
        categories(value, &mut found);
    }
    for (list, decision) in [("deniedConsentIds", Decision::Denied), ("allowedConsentIds", Decision::Allowed)]
    {
        if let Some(value) = context.get("consentManagement").and_then(|of| of.get(list)) {
            listed(value, decision, &mut found);
        }
    }
    found
}

/// What a message, or a body for all of its messages, denies anywhere, in whichever spelling.
pub(in crate::wire) fn denials<'a>(root: &Json<'a>) -> Preferences<'a> {
    let mut found = Vec::new();
    for place in PLACES {
        for value in spelled::at(root, &[place, &["categoryPreferences"]].concat()) {
            categories(value, &mut found);
        }
    }
    for place in
        [&["context", "consentManagement"][..], &["contexts", "consentManagement"], &["consentManagement"]]
    {
        for value in spelled::at(root, &[place, &["deniedConsentIds"]].concat()) {
            listed(value, Decision::Denied, &mut found);
        }
        let is_unreadable = |value: &&Json<'_>| !matches!(value, Json::Map(_) | Json::Null);
        found.extend(spelled::at(root, place).into_iter().filter(is_unreadable).map(|_| unreadable()));
    }
    found.retain(|(_, decision)| *decision != Decision::Allowed);
    found
}

/// What stands in the place of decisions and is none.
fn unreadable<'a>() -> (Cow<'a, str>, Decision) {
    (Cow::Borrowed(EVERY_CATEGORY), Decision::Unclear)
}

fn categories<'a>(value: &Json<'a>, found: &mut Preferences<'a>) {
    match value {
        Json::Map(categories) => found.extend(categories.iter().map(|(name, value)| match boolean(value) {
            _ if name.is_empty() => unreadable(),
            Some(true) => (name.clone(), Decision::Allowed),
            Some(false) => (name.clone(), Decision::Denied),
            None if status(value) == Some(false) => (name.clone(), Decision::Denied),
            None => (name.clone(), Decision::Unclear),
        })),
        Json::Null => {}
        _ => found.push(unreadable()),
    }
}

fn listed<'a>(value: &Json<'a>, decision: Decision, found: &mut Preferences<'a>) {
    match value {
        Json::List(ids) => found.extend(ids.iter().map(|id| match id.identifier() {
            Some(name) => (name, decision),
            None => unreadable(),
        })),
        Json::Null => {}
        _ => found.push(unreadable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::json::built::{object, text};
    use crate::wire::{claim::is_misspelled, said::of_vendor};

    fn refuses(root: &Json<'_>) -> bool {
        matches!(of_vendor(None, root), Some(Ok(claim)) if claim.is_refusal)
    }

    #[test]
    fn denials_are_found_in_every_spelling() {
        let categories =
            || object(&[("A", Json::Boolean(false)), ("B", Json::Boolean(true)), ("C", text("DENIED"))]);
        let preferences = || object(&[("category_preferences", categories())]);
        for root in [
            object(&[("context", object(&[("Consent", preferences())]))]),
            object(&[("context.consent.categoryPreferences", categories())]),
            object(&[("consent.categoryPreferences", categories())]),
            object(&[("consent", preferences())]),
        ] {
            let found = denials(&root);
            let found: Vec<_> = found.iter().map(|(name, decision)| (&**name, *decision)).collect();
            assert_eq!(
                found,
                [("A", Decision::Denied), ("C", Decision::Denied)],
                "an agreement is none here"
            );
            assert!(!refuses(&root));
        }
        for root in [
            object(&[("consent", Json::Boolean(false))]),
            object(&[("context", object(&[("CONSENT", object(&[("status", text("Revoked"))]))]))]),
        ] {
            assert!(refuses(&root) && denials(&root).is_empty());
        }
        let unreadable = denials(&object(&[("consent.categoryPreferences", text("none"))]));
        assert_eq!(unreadable, [(Cow::Borrowed(EVERY_CATEGORY), Decision::Unclear)]);
        let silent = object(&[
            ("properties", object(&[("consent", Json::Boolean(false))])),
            ("consents", categories()),
        ]);
        assert!(!refuses(&silent) && denials(&silent).is_empty());
        for (name, wanted) in [
            ("consent", false),
            ("Consent", true),
            ("consent.granted", true),
            (" consent", true),
            ("country", false),
            ("consents", false),
        ] {
            assert_eq!(is_misspelled(name), wanted, "{name}");
        }
    }

    #[test]
    fn preferences_of_both_forms_are_read() {
        let categories = object(&[
            ("Analytics", Json::Boolean(false)),
            ("Ads", Json::Boolean(true)),
            ("X", Json::Float(0.5)),
        ]);
        let context = object(&[("consent", object(&[("categoryPreferences", categories)]))]);
        let found = preferences(&context);
        let found: Vec<_> = found.iter().map(|(name, decision)| (&**name, *decision)).collect();
        assert_eq!(
            found,
            [("Analytics", Decision::Denied), ("Ads", Decision::Allowed), ("X", Decision::Unclear)]
        );
        let of = |list: &'static str, ids: &[&'static str]| {
            (list, Json::List(ids.iter().map(|id| text(id)).collect()))
        };
        let management = object(&[of("allowedConsentIds", &["a", "b"]), of("deniedConsentIds", &["b"])]);
        let context = object(&[("consentManagement", management)]);
        let found = preferences(&context);
        assert_eq!((&*found[0].0, found[0].1, found.len()), ("b", Decision::Denied, 3));
        assert!(preferences(&Json::Null).is_empty());
        let unreadable = |member: &'static str, value: Json<'static>| {
            let context = object(&[("consentManagement", object(&[(member, value.clone())]))]);
            let categories = object(&[("consent", object(&[("categoryPreferences", value)]))]);
            [preferences(&context), preferences(&categories)].map(|found| found[0].clone())
        };
        for value in [text("C0002"), Json::Integer(0)] {
            let found = unreadable("deniedConsentIds", value);
            assert_eq!(found, [(); 2].map(|()| (Cow::Borrowed(EVERY_CATEGORY), Decision::Unclear)));
        }
    }
}
