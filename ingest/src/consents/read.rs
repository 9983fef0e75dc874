//! The body of `POST /v1/consents`: what it may say, and the changes that it asks for.
//!
//! Invariants: a refusal never holds content of the body, and does not depend on what is recorded; a withdrawal is never refused
//! for its place, because it is for every region that the key may write to. Not here: what becomes of the changes
//! (`recorded.rs`).

use std::cell::Cell;

use shoal_privacy::keyring::Keyring;
use shoal_schemas::{Country, IdentifierKind, Programme, Region, Registry};

use super::change::{Act, Change, Named, Place, digests};
use crate::{
    config::Limits,
    grant::IngestGrant,
    refusal::{Refusal, RefusalCode},
    stages::inflate::inflate,
    wire::{
        batch::IDENTIFIER_BYTES_MAX,
        claim::{self, Claim},
        json::{self, Bounds, Json},
        protocol::Request,
        time::{self, Time},
    },
};

/// Changes in one request, at the most.
const CHANGES_MAX: usize = 1000;

/// What changes are read by.
struct Reader<'r> {
    grant: &'r IngestGrant,
    registry: &'r Registry,
    keyring: &'r Keyring,
    received_ms: i64,
}

/// Reads the body of `POST /v1/consents`.
///
/// # Errors
/// When it is not as drawn above, is too large, or cannot count, and when the key may not say it.
pub(crate) fn read(
    request: &Request<'_>,
    grant: &IngestGrant,
    registry: &Registry,
    keyring: &Keyring,
    limits: &Limits,
) -> Result<Vec<Change>, Refusal> {
    let body = inflate(request.body, request.content_encoding, limits)?;
    let bounds = Bounds {
        depth_max: limits.depth_max,
        string_bytes_max: limits.string_bytes_max,
        strict: false,
        broken: Cell::new(None),
        values_left: Cell::new(limits.values_max),
    };
    let text = std::str::from_utf8(&body).map_err(|_| bad_json())?;
    let body = json::parse(text, &bounds).map_err(|_| bad_json())?;
    let changes = match &body {
        Json::List(changes) => changes.as_slice(),
        one => std::slice::from_ref(one),
    };
    if changes.len() > CHANGES_MAX {
        let reason = format!("more than {CHANGES_MAX} changes in a request");
        return Err(Refusal::new(RefusalCode::TooManyChanges, reason));
    }
    let reader = Reader { grant, registry, keyring, received_ms: request.received_ms };
    changes.iter().map(|change| reader.change(change)).collect()
}

fn bad_json() -> Refusal {
    let reason =
        "expected an object with action, programme, an identifier and a country; see the documentation";
    Refusal::new(RefusalCode::BadJson, reason)
}

fn text<'j>(of: &'j Json<'_>, name: &str) -> Option<&'j str> {
    of.get(name).and_then(Json::text).map(|text| &**text)
}

impl Reader<'_> {
    fn change(&self, raw: &Json<'_>) -> Result<Change, Refusal> {
        if !matches!(raw, Json::Map(_)) {
            return Err(bad_json());
        }
        let programme = text(raw, "programme").and_then(Programme::parse).ok_or_else(|| {
            Refusal::new(RefusalCode::UnknownProgramme, "programme is user-experience or device-experience")
        })?;
        if self.grant.programme.is_some_and(|p| p != programme) {
            return Err(Refusal::new(RefusalCode::ProgrammeNotAllowed, "the key is for another programme"));
        }
        let is_grant = match text(raw, "action") {
            Some("grant") => true,
            Some("withdraw") => false,
            _ => return Err(Refusal::new(RefusalCode::UnknownAction, "action is grant or withdraw")),
        };
        let regions = match is_grant {
            true => vec![self.place(raw)?],
            false => {
                self.grant.regions.iter().map(|region| (*region, self.controller(raw, *region))).collect()
            }
        };
        let named = identifiers(raw)?;
        let named = named.each_ref().map(|(kind, value)| (*kind, value.as_deref()));
        let places = self.places(regions, &named)?;
        let act = match is_grant {
            true => self.grant(raw, programme)?,
            false => Act::Withdraw { claimed_ms: None, received_ms: self.received_ms, is_told: false },
        };
        Ok(Change { programme, act, places })
    }

    fn places(&self, regions: Vec<(Region, String)>, named: &Named<'_>) -> Result<Vec<Place>, Refusal> {
        let places: Vec<Place> = regions
            .into_iter()
            .map(|(region, controller)| {
                let digests = digests(&self.keyring.consent_digester(region), named);
                Place { region, controller, digests }
            })
            .collect();
        if places.iter().any(|place| place.digests.is_empty()) {
            let reason = "none of user_id, install_id, device_id, serial_number";
            return Err(Refusal::new(RefusalCode::NoIdentifier, reason));
        }
        Ok(places)
    }

    fn grant(&self, raw: &Json<'_>, programme: Programme) -> Result<Act, Refusal> {
        let def = self.registry.programme(programme);
        let version = text(raw, "policy_version").unwrap_or_default();
        if !def.policy_versions.iter().any(|v| v == version) {
            let reason = "not an accepted version of the programme's policy";
            return Err(Refusal::new(RefusalCode::PolicyVersion, reason));
        }
        if let Some(age) = raw.get("age").filter(|age| !matches!(age, Json::Null)) {
            let unreadable = || Refusal::new(RefusalCode::BadConsent, "age must be a number of years");
            if claim::age(age).ok_or_else(unreadable)? < def.age_min {
                let reason = format!("the programme is not for people under {}", def.age_min);
                return Err(Refusal::new(RefusalCode::Minor, reason));
            }
        }
        let claimed_ms = self.claimed_ms(raw)?;
        if !matches!(Claim::read(raw, false), Some(Ok(claim)) if !claim.is_refusal) {
            return Err(Refusal::new(RefusalCode::BadConsent, "a grant that says that it is none"));
        }
        let policy_version = version.to_owned();
        Ok(Act::Grant { policy_version, claimed_ms, received_ms: self.received_ms, is_told: false })
    }

    /// Of what the client says and its correction the earlier: neither is proof of a later time.
    fn claimed_ms(&self, raw: &Json<'_>) -> Result<Option<i64>, Refusal> {
        let time = |name| raw.get(name).map_or(Time::Missing, Time::millis);
        let granted = time("granted_at");
        if granted == Time::Bad {
            let reason = "granted_at is neither RFC 3339 nor milliseconds";
            return Err(Refusal::new(RefusalCode::BadTime, reason));
        }
        let skew_ms = time::skew_ms(time("sent_at"), self.received_ms);
        Ok(granted.at().map(|at| at.min(at.saturating_add(skew_ms))))
    }

    /// The region of a grant, and the controller that is recorded.
    fn place(&self, raw: &Json<'_>) -> Result<(Region, String), Refusal> {
        let unknown = || {
            let reason = "not an ISO 3166-1 alpha-2 code that belongs to a region";
            Refusal::new(RefusalCode::UnknownCountry, reason)
        };
        let is_there = |name| raw.get(name).is_some_and(|value| !matches!(value, Json::Null));
        let region = match (is_there("country"), is_there("region"), self.grant.regions.as_slice()) {
            (true, ..) => self.country(raw).ok_or_else(unknown)?.1,
            (false, true, _) => text(raw, "region")
                .and_then(Region::parse)
                .ok_or_else(|| Refusal::new(RefusalCode::UnknownRegion, "region is US, DE, SG or MY"))?,
            (false, false, [only]) => *only,
            (false, false, _) => {
                return Err(Refusal::new(RefusalCode::NoRegion, "neither country nor region"));
            }
        };
        if !self.grant.allows(region) {
            let reason = "the key may not write to this region";
            return Err(Refusal::new(RefusalCode::RegionNotAllowed, reason));
        }
        Ok((region, self.controller(raw, region)))
    }

    /// The country that is named, and its region.
    fn country(&self, raw: &Json<'_>) -> Option<(Country, Region)> {
        let country = Country::parse(text(raw, "country")?.trim())?;
        Some((country, self.registry.region_of(country)?))
    }

    /// Who controls the data of this person in a region.
    fn controller(&self, raw: &Json<'_>, region: Region) -> String {
        let country = self.country(raw).filter(|(_, of)| *of == region);
        let of_country = country.and_then(|(country, _)| self.registry.controller_of(country));
        of_country.unwrap_or(&self.registry.region(region).controller).to_owned()
    }
}

/// The identifiers that it names; a number is one in its decimal form.
fn identifiers<'j>(
    raw: &Json<'j>,
) -> Result<[(IdentifierKind, Option<std::borrow::Cow<'j, str>>); 4], Refusal> {
    let bad = |reason: String| Refusal::new(RefusalCode::BadIdentifier, reason);
    let mut named = [
        (IdentifierKind::User, None),
        (IdentifierKind::Install, None),
        (IdentifierKind::Device, None),
        (IdentifierKind::Serial, None),
    ];
    let fields = ["user_id", "install_id", "device_id", "serial_number"];
    for ((_, slot), field) in named.iter_mut().zip(fields) {
        let value = match raw.get(field) {
            None | Some(Json::Null) => continue,
            Some(Json::Text(text)) => text.clone(),
            Some(number) => number.identifier().ok_or_else(|| {
                bad("an identifier must be a string, or a whole number of less than 2^64".to_owned())
            })?,
        };
        if value.len() > IDENTIFIER_BYTES_MAX {
            return Err(bad(format!("an identifier is longer than {IDENTIFIER_BYTES_MAX} bytes")));
        }
        *slot = Some(value);
    }
    Ok(named)
}
