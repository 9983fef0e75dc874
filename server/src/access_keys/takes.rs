//! What an ingest key takes and what it does not, in words, before it is made: so that nobody points an SDK at a key with which
//! it keeps nothing.
//!
//! The words follow the gate. Consent: `shoal_privacy::consent::decide`; country: `shoal-ingest`, `stages/country.rs`. Segment's and
//! Sentry's SDKs send neither by themselves; an app can add both. Pure.

use shoal_ingest::KeyKind;
use shoal_schemas::{Programme, Region};

use super::scope::Scope;

/// What decides beside the key.
pub(crate) struct Facts<'a> {
    /// Whether the service has a file that tells the country of an address (`country_mmdb`).
    pub(crate) has_country_file: bool,
    /// A policy version that is accepted, for the examples.
    pub(crate) policy: &'a str,
}

/// What a key takes.
pub(crate) struct Takes {
    /// Whole sentences, one a line.
    pub(crate) lines: Vec<String>,
    /// Why an SDK keeps nothing with it, whatever is recorded about people and whatever the app does, unless it adds to each event
    /// what SDKs do not send.
    pub(crate) keeps_nothing: Option<String>,
}

/// Where the consent of a key's events comes from, and where their country does.
struct Sources<'a> {
    kind: KeyKind,
    programme: Option<Programme>,
    asserted: Option<&'a str>,
    only_region: Option<Region>,
    is_by_address: bool,
}

impl Takes {
    /// What a key of this scope takes; none for keys of analysts.
    pub(crate) fn of(scope: &Scope, facts: &Facts<'_>) -> Option<Takes> {
        let Scope::Ingest { kind, regions, programme, policy, consent_category, .. } = scope else {
            return None;
        };
        let sources = Sources {
            kind: *kind,
            programme: *programme,
            asserted: policy.as_deref(),
            only_region: if let [only] = regions.as_slice() { Some(*only) } else { None },
            is_by_address: facts.has_country_file,
        };
        let names: Vec<&str> = regions.iter().map(|region| region.as_str()).collect();
        let mut lines = vec![
            sources.programmes(&names.join(", ")),
            sources.consent(consent_category.as_deref()),
            sources.country(),
            sources.sdks(facts),
        ];
        if *kind == KeyKind::Server {
            lines.push(
                "Whoever holds the key learns who has opted in: keep it on servers, never in an app."
                    .to_owned(),
            );
        }
        Some(Takes { lines, keeps_nothing: sources.keeps_nothing(facts) })
    }
}

impl Sources<'_> {
    fn programmes(&self, regions: &str) -> String {
        match self.programme {
            Some(programme) => {
                format!(
                    "Takes events of {programme}, to {regions}. Others are rejected (programme_not_allowed)."
                )
            }
            None => format!("Takes events of both programmes, to {regions}."),
        }
    }

    fn consent(&self, category: Option<&str>) -> String {
        match (self.asserted, category) {
            (Some(policy), category) => {
                let category = category.unwrap_or("Analytics");
                format!(
                    "Consent: the key asserts it, under policy {policy}, so an app may send only after the person has opted \
                     in. A refusal that comes with an event (or with the category {category} of a consent manager) and a \
                     recorded withdrawal are stronger."
                )
            }
            (None, _) => "Consent: it must come with each event, or be recorded before (POST /v1/consents). What has none is \
                          withheld (no_consent)."
                .to_owned(),
        }
    }

    fn country(&self) -> String {
        match (self.only_region, self.is_by_address, self.kind) {
            (Some(only), ..) => {
                format!("Country: none is needed, because {only} is the only region. An event that names one of another region is rejected (region_not_allowed).")
            }
            (None, true, KeyKind::Shipped) => "Country: the event says it, or the address that it comes from tells it \
                                               (country_mmdb). What has none is rejected (no_region)."
                .to_owned(),
            (None, true, KeyKind::Server) => "Country: the event says it, or the address that the event states tells it \
                                              (country_mmdb); the server's own address does not count. What has none is \
                                              rejected (no_region)."
                .to_owned(),
            (None, false, _) => "Country: each event must say it, because it tells which of the regions it belongs to. What \
                                 has none is rejected (no_region)."
                .to_owned(),
        }
    }

    /// Whether the country of an event is known although an SDK says none. The address of a server is not that of the person.
    fn has_country(&self) -> bool {
        self.only_region.is_some() || (self.is_by_address && self.kind == KeyKind::Shipped)
    }

    fn sdks(&self, facts: &Facts<'_>) -> String {
        let policy = facts.policy;
        if self.programme == Some(Programme::DeviceExperience) {
            return "Segment and Sentry SDKs: what they send by themselves is of user-experience, and is rejected.".to_owned();
        }
        match (self.asserted, self.has_country()) {
            (Some(_), true) => "Segment and Sentry SDKs work as they are: what the definitions know of their events is \
                                kept."
                .to_owned(),
            (Some(_), false) => "Segment and Sentry SDKs send no country by themselves: their events are rejected unless the \
                                 app adds it (Segment: context.country; Sentry: user.geo.country_code). With one region none \
                                 is needed."
                .to_owned(),
            (None, true) => format!(
                "Segment and Sentry SDKs send no consent by themselves: their events are withheld until the person's consent is \
                 recorded. A key that asserts it: --programme user-experience --policy {policy}."
            ),
            (None, false) => format!(
                "Segment and Sentry SDKs send neither by themselves: they keep nothing. A key that works with them: one region, \
                 --programme user-experience --policy {policy}."
            ),
        }
    }

    /// Why nothing would be kept of what usually comes with such a key: SDKs come with those that ship in apps, and events that carry
    /// consent and country themselves with those of servers.
    fn keeps_nothing(&self, facts: &Facts<'_>) -> Option<String> {
        let policy = facts.policy;
        let is_for_sdks = self.kind == KeyKind::Shipped;
        (is_for_sdks && self.asserted.is_none() && !self.has_country()).then(|| {
            format!(
                "a Segment or Sentry SDK would keep nothing with this key: it has several regions and SDKs send no country, and \
                 nothing asserts the consent that SDKs do not send either.\n\
                 For an SDK name one region, and --programme user-experience --policy {policy}.\n\
                 For events that carry consent and country themselves (POST /v1/events) add --yes"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn takes(kind: KeyKind, regions: &[Region], policy: Option<&str>, has_country_file: bool) -> Takes {
        let programme = policy.map(|_| Programme::UserExperience);
        let policy = policy.map(str::to_owned);
        let (app, regions) = ("camera".to_owned(), regions.to_vec());
        let scope = Scope::Ingest { kind, app, regions, programme, policy, consent_category: None };
        Takes::of(&scope, &Facts { has_country_file, policy: "2026-1" }).unwrap()
    }

    #[test]
    fn only_what_has_neither_consent_nor_country_keeps_nothing() {
        let (one, two) = (&[Region::De][..], &[Region::De, Region::Us][..]);
        for kind in [KeyKind::Shipped, KeyKind::Server] {
            // An address tells the country of whoever has an app, and of no one behind a server.
            let is_app = kind == KeyKind::Shipped;
            let by_address = if is_app { "work as they are" } else { "rejected unless the app adds it" };
            let unasked =
                if is_app { "withheld until the person's consent is recorded" } else { "they keep nothing" };
            for (regions, policy, has_country_file, keeps, word) in [
                (one, Some("2026-1"), false, true, "work as they are"),
                (two, Some("2026-1"), true, true, by_address),
                (two, Some("2026-1"), false, true, "rejected unless the app adds it"),
                (one, None, false, true, "withheld until the person's consent is recorded"),
                (two, None, true, true, unasked),
                // A server has its own words for consent and country, and is told that SDKs have none.
                (two, None, false, !is_app, "they keep nothing"),
            ] {
                let takes = takes(kind, regions, policy, has_country_file);
                let text = takes.lines.join("\n");
                assert!(text.contains(word), "{text}");
                assert_eq!(takes.keeps_nothing.is_none(), keeps, "{text}");
                assert_eq!(text.contains("never in an app"), kind == KeyKind::Server, "{text}");
            }
        }
    }

    #[test]
    fn devices_use_no_sdk_of_apps_and_analysts_send_nothing() {
        let scope = Scope::Ingest {
            kind: KeyKind::Shipped,
            app: "firmware".to_owned(),
            regions: vec![Region::De],
            programme: Some(Programme::DeviceExperience),
            policy: Some("2026-1".to_owned()),
            consent_category: None,
        };
        let facts = Facts { has_country_file: false, policy: "2026-1" };
        assert!(Takes::of(&scope, &facts).unwrap().lines[3].contains("is rejected"));
        let analyst = Scope::Analyst { role: super::super::scope::Role::Analyst, regions: vec![Region::De] };
        assert!(Takes::of(&analyst, &facts).is_none());
    }
}
