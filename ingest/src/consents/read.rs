//! The body of `POST /v1/consents`: what it may say, and the changes that it asks for.
//!
//! Invariants: a refusal never holds content of the body, and does not depend on what is recorded; a withdrawal is never refused
//! for its place, because it is for every region that the key may write to, nor for what stands beside it in the body. Not here: what becomes of the changes
//! (`recorded.rs`).

use std::{borrow::Cow, cell::Cell};

use shoal_privacy::keyring::Keyring;
use shoal_schemas::{Country, IdentifierKind, Programme, Protocol, Region, Registry};

use super::change::{Act, Change, Named, Place, digests};
use crate::{
    config::Limits,
    grant::IngestGrant,
    refusal::{Refusal, RefusalCode},
    stages::inflate::inflate,
    wire::{
        self,
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

/// What a body asks for.
pub(crate) struct Body {
    /// What can be read.
    pub(crate) changes: Vec<Change>,
    /// Why the rest is refused, if there is a rest.
    pub(crate) refused: Option<Refusal>,
}

/// Reads the body of `POST /v1/consents`. A change that cannot be read, or may not be made, is refused by itself; of a
/// withdrawal that names one good identifier the others are refused by themselves.
///
/// # Errors
/// When it is not JSON as drawn above, even when it is repaired, or too large.
pub(crate) fn read(
    request: &Request<'_>,
    grant: &IngestGrant,
    registry: &Registry,
    keyring: &Keyring,
    limits: &Limits,
) -> Result<Body, Refusal> {
    let body = inflate(request.body, request.content_encoding, limits)?;
    let repaired;
    let body = match parse(&body, limits) {
        Some(body) => body,
        // One bad value costs itself, as in a body of events.
        None => {
            repaired = wire::repaired(Protocol::Native, &body, limits).ok_or_else(bad_json)?;
            parse(&repaired, limits).ok_or_else(bad_json)?
        }
    };
    let changes = match &body {
        Json::List(changes) => changes.as_slice(),
        one => std::slice::from_ref(one),
    };
    if changes.len() > CHANGES_MAX {
        let reason = format!("more than {CHANGES_MAX} changes in a request");
        return Err(Refusal::new(RefusalCode::TooManyChanges, reason));
    }
    let reader = Reader { grant, registry, keyring, received_ms: request.received_ms };
    let mut read = Body { changes: Vec::with_capacity(changes.len()), refused: None };
    for raw in changes {
        match reader.change(raw, &mut read.refused) {
            Ok(change) => read.changes.push(change),
            Err(refusal) => {
                read.refused.get_or_insert(refusal);
            }
        }
    }
    Ok(read)
}

fn parse<'b>(body: &'b [u8], limits: &Limits) -> Option<Json<'b>> {
    let bounds = Bounds {
        depth_max: limits.depth_max,
        string_bytes_max: limits.string_bytes_max,
        strict: false,
        broken: Cell::new(None),
        values_left: Cell::new(limits.values_max),
    };
    json::parse(std::str::from_utf8(body).ok()?, &bounds).ok()
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
    /// One change. What is refused of a withdrawal that is made all the same is noted.
    fn change(&self, raw: &Json<'_>, refused: &mut Option<Refusal>) -> Result<Change, Refusal> {
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
        let (named, bad) = identifiers(raw);
        match bad {
            Some(bad) if is_grant || named.iter().all(|(_, value)| value.is_none()) => return Err(bad),
            Some(bad) => {
                refused.get_or_insert(bad);
            }
            None => {}
        }
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

    fn claimed_ms(&self, raw: &Json<'_>) -> Result<Option<i64>, Refusal> {
        let [granted, sent_at] =
            ["granted_at", "sent_at"].map(|name| raw.get(name).map_or(Time::Missing, Time::millis));
        if granted == Time::Bad {
            let reason = "granted_at is neither RFC 3339 nor milliseconds";
            return Err(Refusal::new(RefusalCode::BadTime, reason));
        }
        Ok(granted.at().map(|at| time::decided_ms(at, sent_at, self.received_ms)))
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

/// The identifiers that it names, and why one of them is none; a number is one in its decimal form.
fn identifiers<'j>(raw: &Json<'j>) -> ([(IdentifierKind, Option<Cow<'j, str>>); 4], Option<Refusal>) {
    let mut refused = None;
    let fields = [
        (IdentifierKind::User, "user_id"),
        (IdentifierKind::Install, "install_id"),
        (IdentifierKind::Device, "device_id"),
        (IdentifierKind::Serial, "serial_number"),
    ];
    let named = fields.map(|(kind, field)| {
        let value = identifier(raw.get(field)).unwrap_or_else(|bad| {
            refused.get_or_insert(bad);
            None
        });
        (kind, value)
    });
    (named, refused)
}

fn identifier<'j>(value: Option<&Json<'j>>) -> Result<Option<Cow<'j, str>>, Refusal> {
    let is_blank = |text: &Cow<'_, str>| text.trim().is_empty();
    let value = match value {
        None | Some(Json::Null) => return Ok(None),
        Some(value) if value.text().is_some_and(is_blank) => return Ok(None),
        Some(value) => value,
    };
    let bad = |reason: String| Refusal::new(RefusalCode::BadIdentifier, reason);
    let named = value.identifier().ok_or_else(|| {
        bad("an identifier must be a string, or a whole number of less than 2^64".to_owned())
    })?;
    if named.len() > IDENTIFIER_BYTES_MAX {
        return Err(bad(format!("an identifier is longer than {IDENTIFIER_BYTES_MAX} bytes")));
    }
    Ok(Some(named))
}
