//! What people tell a consent manager, and its SDK tells with every message: decisions about categories, of which the key names
//! the one that stands for the programme.
//!
//! | the category | with the message | recorded |
//! |---|---|---|
//! | denied | withheld | a withdrawal, in every region of the key |
//! | allowed | decided as without it | a grant, where the key asserts a policy version, of that version, and the body is whole |
//! | neither | withheld | nothing |
//!
//! What comes with every message is a state: that a category is allowed ends no withdrawal that was made elsewhere. The message
//! by which a manager tells a new decision is an act, and does.
//!
//! A key that names no category means `Analytics`; where preferences do not name that, one that is denied withholds, and nothing
//! is recorded. Invariant: what is recorded follows from the request and the key, never from what was recorded before, and is
//! durable before the request's events are decided about. Not here: how preferences are written (`wire/preferences.rs`).

use rustc_hash::FxHashMap;
use shoal_privacy::keyring::Keyring;
use shoal_schemas::{IdentifierKind, Programme, Registry};

use super::change::{Act, Change, Place, digests, kinds};
use crate::{
    answer::{Code, Outcome},
    stages::{country::Locator, identifiers::Identifiers},
    wire::{
        batch::{DecodedBatch, DecodedEvent, DecodedHead, OtherIdentifier},
        named::Also,
        preferences::{Decision, EVERY_CATEGORY, Preferences},
        time::{self, Time},
    },
};

/// The category of a key that names none.
const CATEGORY: &str = "Analytics";

/// What an event says about the programme of a key, or else its batch; none when neither does. What the batch says is read once
/// ([`of_programme`]) and not for each event: it may be as long as the body.
pub(crate) fn of_event(
    own: &Preferences<'_>,
    of_batch: Option<Decision>,
    category: Option<&str>,
) -> Option<Decision> {
    of_programme(own, category).or(of_batch)
}

/// What preferences say about the programme of a key; none when they do not say.
pub(crate) fn of_programme(preferences: &Preferences<'_>, category: Option<&str>) -> Option<Decision> {
    let wanted = category.unwrap_or(CATEGORY).trim();
    let (mut named, mut is_all_allowed) = (None::<Decision>, true);
    for (name, decision) in preferences {
        is_all_allowed &= *decision == Decision::Allowed;
        if name == EVERY_CATEGORY || is_same(name.trim(), wanted) {
            // What is said twice of one category is as strict as the strictest.
            named = named.max(Some(*decision));
        }
    }
    match (named, category) {
        (Some(decision), _) => Some(decision),
        (None, None) if !is_all_allowed => Some(Decision::Unclear),
        (None, _) => None,
    }
}

/// Whether two names are the same but for letter case.
fn is_same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || (!one.is_ascii() && one.to_lowercase() == other.to_lowercase())
}

/// What decides whose and when.
pub(crate) struct Hearing<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) keyring: &'a Keyring,
    pub(crate) locator: Locator<'a>,
    pub(crate) received_ms: i64,
}

/// A decision of an event's person.
struct Said<'e, 'a> {
    event: &'e DecodedEvent<'a>,
    /// Whose the event is, as the stages judge it.
    ids: Identifiers<'a>,
    is_grant: bool,
}

/// Who decided what: a message says it again and again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Who<'e> {
    named: [(IdentifierKind, Option<&'e str>); 4],
    others: &'e [OtherIdentifier<'e>],
    also: &'e [Also<'e>],
    programme: Programme,
    is_grant: bool,
    is_decision: bool,
}

impl<'e> Who<'e> {
    /// All names of the person.
    fn all(&self) -> Vec<(IdentifierKind, Option<&'e str>)> {
        let others = self.others.iter().filter_map(|other| Some((other.kind?, Some(&*other.value))));
        self.named.into_iter().chain(others).collect()
    }
}

/// The changes that a body asks for.
pub(crate) fn changes(batch: &DecodedBatch<'_>, hearing: &Hearing<'_>) -> Vec<Change> {
    let (head, _) = batch.parts();
    let said = hearing.said(batch);
    let mut known: FxHashMap<Who<'_>, usize> = FxHashMap::default();
    let mut changes: Vec<Change> = Vec::new();
    for Said { event, ids, is_grant } in &said {
        let (is_grant, is_decision) = (*is_grant, event.is_decision);
        let (named, others) = (ids.named(), ids.others.as_slice());
        // Nobody agrees for whoever else is named.
        let also = if is_grant { &[][..] } else { &ids.also };
        let who = Who { named, others, also, programme: hearing.programme(event), is_grant, is_decision };
        let claimed_ms = claimed_ms(event, head, hearing.received_ms);
        if let Some(at) = known.get(&who) {
            changes[*at].act.is_claimed_at(claimed_ms);
            continue;
        }
        let change = match is_grant {
            true => hearing.grant(event, head, &who),
            false => hearing.withdrawal(&who),
        };
        if let Some(mut change) = change {
            change.act.is_claimed_at(claimed_ms);
            // What comes after the opposite is no repetition of what was before it.
            for is_decision in [false, true] {
                known.remove(&Who { is_grant: !is_grant, is_decision, ..who });
            }
            known.insert(who, changes.len());
            changes.push(change);
        }
    }
    changes
}

/// Whether it is no event at all, as what is left of one that was cut.
fn is_unreadable(event: &DecodedEvent<'_>) -> bool {
    matches!(&event.decided, Some(Outcome::Rejected(rejection)) if rejection.code == Code::BadEvent)
}

impl Hearing<'_> {
    /// The decisions of a body, in its order.
    fn said<'e, 'a>(&self, batch: &'e DecodedBatch<'a>) -> Vec<Said<'e, 'a>> {
        let (head, events) = batch.parts();
        let category = self.locator.grant.consent_category.as_deref();
        let of_batch = of_programme(&head.defaults.preferences, category);
        // A part that cannot be read may say otherwise, so that nobody agrees in such a body.
        let is_whole = !events.iter().any(is_unreadable);
        let said = events.iter().filter_map(|event| {
            let is_grant = match of_event(&event.common.preferences, of_batch, category)? {
                Decision::Allowed if is_whole => true,
                Decision::Denied => false,
                Decision::Allowed | Decision::Unclear => return None,
            };
            let mut ids = Identifiers::of(&event.common, &head.defaults);
            if let Some(def) = event.name.as_deref().and_then(|name| self.registry.event(name)) {
                ids.take_all(def, batch.properties_of(event));
            }
            Some(Said { event, ids, is_grant })
        });
        said.collect()
    }

    /// The key's programme, or else the event's; what is no event is about the use of the app.
    fn programme(&self, event: &DecodedEvent<'_>) -> Programme {
        let of_event = || self.registry.event(event.name.as_deref()?).map(|def| def.programme);
        self.locator.grant.programme.or_else(of_event).unwrap_or(Programme::UserExperience)
    }

    fn withdrawal(&self, who: &Who<'_>) -> Option<Change> {
        let also = who.also.iter().map(|also| (also.kind, Some(&*also.value)));
        let named: Vec<_> = who.all().into_iter().chain(also).collect();
        let places = self.locator.grant.regions.iter().map(|region| Place {
            region: *region,
            controller: self.registry.region(*region).controller.clone(),
            digests: digests(&self.keyring.consent_digester(*region), &named),
        });
        let places: Vec<Place> = places.filter(|place| !place.digests.is_empty()).collect();
        let is_told = !who.is_decision;
        let act = Act::Withdraw { claimed_ms: None, received_ms: self.received_ms, is_told };
        let kinds = kinds(&named);
        (!places.is_empty()).then_some(Change { programme: who.programme, act, places, kinds })
    }

    /// Only for the version that the key itself asserts, and where it is known where the person is.
    fn grant(&self, event: &DecodedEvent<'_>, head: &DecodedHead<'_>, who: &Who<'_>) -> Option<Change> {
        let asserted =
            self.locator.grant.asserted().filter(|asserted| asserted.programme == who.programme)?;
        let accepted = &self.registry.programme(who.programme).policy_versions;
        let policy_version = accepted.iter().find(|version| *version == asserted.policy_version)?.clone();
        let (own, shared) = (&event.common, &head.defaults);
        let country = own.country.as_deref().or(shared.country.as_deref());
        let address = own.address.as_deref().or(shared.address.as_deref());
        let place = self.locator.locate(country, address).ok()?;
        let of_region = || self.registry.region(place.region).controller.as_str();
        let of_country = place.country.and_then(|country| self.registry.controller_of(country));
        let controller = of_country.unwrap_or_else(of_region).to_owned();
        let digests = digests(&self.keyring.consent_digester(place.region), &who.all());
        let is_told = !event.is_decision;
        let act = Act::Grant { policy_version, claimed_ms: None, received_ms: self.received_ms, is_told };
        let places = vec![Place { region: place.region, controller, digests }];
        let kinds = kinds(&who.named);
        (!places[0].digests.is_empty()).then_some(Change { programme: who.programme, act, places, kinds })
    }
}

fn claimed_ms(event: &DecodedEvent<'_>, head: &DecodedHead<'_>, received_ms: i64) -> Option<i64> {
    let at = event.time.unwrap_or(Time::Missing).at()?;
    Some(time::decided_ms(at, event.sent_at.unwrap_or(head.sent_at), received_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_category_that_the_key_names_decides() {
        use Decision::{Allowed, Denied, Unclear};
        let of = |list: &[(&'static str, Decision)], category| {
            let list: Preferences<'_> = list.iter().map(|(name, d)| ((*name).into(), *d)).collect();
            of_programme(&list, category)
        };
        let both = [("Advertising", Denied), ("analytics ", Allowed)];
        assert_eq!(of(&both, None), Some(Allowed));
        assert_eq!(of(&both, Some("Advertising")), Some(Denied));
        assert_eq!(of(&both, Some("Functional")), None, "it is not told");
        assert_eq!(of(&[("C0002", Denied)], Some("C0002")), Some(Denied));
        for twice in
            [[("analytics", Allowed), ("Analytics", Denied)], [("Analytics", Denied), ("Analytics", Allowed)]]
        {
            assert_eq!(of(&twice, None), Some(Denied), "the strictest");
        }
        assert_eq!(of(&[("C0002", Denied)], None), Some(Unclear), "it may be the programme's");
        assert_eq!(of(&[("C0002", Allowed)], None), None);
        assert_eq!(of(&[("Analytics", Unclear)], None), Some(Unclear));
        assert_eq!(of(&[], None), None);
        let unread = [("C0002", Allowed), (EVERY_CATEGORY, Unclear)];
        assert_eq!(of(&unread, Some("C0002")), Some(Unclear), "what cannot be read may be about it");
        let of_both = |own: &[(&'static str, Decision)]| {
            let list =
                |of: &[(&'static str, Decision)]| of.iter().map(|(name, d)| ((*name).into(), *d)).collect();
            of_event(&list(own), of_programme(&list(&[("Analytics", Denied)]), None), None)
        };
        assert_eq!(
            of_both(&[("Functional", Allowed)]),
            Some(Denied),
            "the event does not say, its batch does"
        );
        assert_eq!(of_both(&[("Analytics", Allowed)]), Some(Allowed));
    }
}
