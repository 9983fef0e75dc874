//! The body of `POST /v1/consents`: what it may say, and the changes that it asks for.
//!
//! Invariants: a refusal never holds content of the body, and does not depend on what is recorded. Not here: what becomes
//! of the changes (`recorded.rs`).

use serde::Deserialize;
use shoal_privacy::keyring::Keyring;
use shoal_schemas::{Country, IdentifierKind, Programme, Region, Registry};

use super::change::{Act, Change};
use crate::{
    config::Limits,
    grant::IngestGrant,
    refusal::{Refusal, RefusalCode},
    stages::inflate::{inflate, without_mark},
    wire::{batch::IDENTIFIER_BYTES_MAX, json::Json, protocol::Request, time::Time},
};

/// Changes in one request, at the most.
const CHANGES_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    Many(Vec<RawChange>),
    One(Box<RawChange>),
}

/// A change as it comes. No `Debug`.
#[derive(Deserialize)]
struct RawChange {
    action: String,
    programme: String,
    policy_version: Option<String>,
    user_id: Option<String>,
    install_id: Option<String>,
    device_id: Option<String>,
    serial_number: Option<String>,
    country: Option<String>,
    region: Option<String>,
    granted_at: Option<serde_json::Value>,
    age: Option<u8>,
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
    // By way of a value, so that of a key that stands twice the last counts, as everywhere.
    let value = serde_json::from_slice::<serde_json::Value>(without_mark(&body));
    let raws = match value.and_then(serde_json::from_value) {
        Ok(Body::Many(raws)) => raws,
        Ok(Body::One(raw)) => vec![*raw],
        Err(_) => {
            return Err(Refusal::new(
                RefusalCode::BadJson,
                "expected an object with action, programme, an identifier and a country; see the documentation",
            ));
        }
    };
    if raws.len() > CHANGES_MAX {
        return Err(Refusal::new(
            RefusalCode::TooManyChanges,
            format!("more than {CHANGES_MAX} changes in a request"),
        ));
    }
    raws.iter().map(|raw| change(raw, grant, registry, keyring, request.received_ms)).collect()
}

fn change(
    raw: &RawChange,
    grant: &IngestGrant,
    registry: &Registry,
    keyring: &Keyring,
    received_ms: i64,
) -> Result<Change, Refusal> {
    let programme = Programme::parse(&raw.programme).ok_or_else(|| {
        Refusal::new(RefusalCode::UnknownProgramme, "programme is user-experience or device-experience")
    })?;
    if grant.programme.is_some_and(|p| p != programme) {
        return Err(Refusal::new(RefusalCode::ProgrammeNotAllowed, "the key is for another programme"));
    }
    let (region, controller) = place(raw, grant, registry)?;
    let digester = keyring.consent_digester(region);
    let identifiers = [
        (IdentifierKind::User, &raw.user_id),
        (IdentifierKind::Install, &raw.install_id),
        (IdentifierKind::Device, &raw.device_id),
        (IdentifierKind::Serial, &raw.serial_number),
    ];
    let mut digests = Vec::new();
    for (kind, value) in identifiers {
        let Some(value) = value.as_deref().filter(|v| !v.trim().is_empty()) else { continue };
        if value.len() > IDENTIFIER_BYTES_MAX {
            let reason = format!("an identifier is longer than {IDENTIFIER_BYTES_MAX} bytes");
            return Err(Refusal::new(RefusalCode::BadIdentifier, reason));
        }
        digests.push(digester.digest(kind, value));
    }
    if digests.is_empty() {
        let reason = "none of user_id, install_id, device_id, serial_number";
        return Err(Refusal::new(RefusalCode::NoIdentifier, reason));
    }
    let act = act(raw, registry, programme, received_ms)?;
    Ok(Change { region, programme, controller, digests, act })
}

fn act(raw: &RawChange, registry: &Registry, programme: Programme, received_ms: i64) -> Result<Act, Refusal> {
    match raw.action.as_str() {
        "withdraw" => Ok(Act::Withdraw { at_ms: received_ms }),
        "grant" => {
            let def = registry.programme(programme);
            let version = raw.policy_version.as_deref().unwrap_or_default();
            if !def.policy_versions.iter().any(|v| v == version) {
                return Err(Refusal::new(
                    RefusalCode::PolicyVersion,
                    "not an accepted version of the programme's policy",
                ));
            }
            if raw.age.is_some_and(|age| age < def.age_min) {
                let reason = format!("the programme is not for people under {}", def.age_min);
                return Err(Refusal::new(RefusalCode::Minor, reason));
            }
            let at = raw.granted_at.as_ref().map_or(Time::Missing, read_time);
            if at == Time::Bad {
                return Err(Refusal::new(
                    RefusalCode::BadTime,
                    "granted_at is neither RFC 3339 nor milliseconds",
                ));
            }
            let at_ms = at.at().unwrap_or(received_ms).min(received_ms);
            Ok(Act::Grant { policy_version: version.to_owned(), at_ms })
        }
        _ => Err(Refusal::new(RefusalCode::UnknownAction, "action is grant or withdraw")),
    }
}

fn read_time(value: &serde_json::Value) -> Time {
    match value {
        serde_json::Value::Null => Time::Missing,
        serde_json::Value::String(text) => Time::millis(&Json::Text(text.as_str().into())),
        other => other.as_i64().map_or(Time::Bad, |ms| Time::millis(&Json::Integer(ms))),
    }
}

/// The region, and the controller that is recorded.
fn place(raw: &RawChange, grant: &IngestGrant, registry: &Registry) -> Result<(Region, String), Refusal> {
    let unknown = || {
        Refusal::new(RefusalCode::UnknownCountry, "not an ISO 3166-1 alpha-2 code that belongs to a region")
    };
    let region = match (&raw.country, &raw.region, grant.regions.as_slice()) {
        (Some(country), _, _) => {
            let country = Country::parse(country.trim()).ok_or_else(unknown)?;
            let region = registry.region_of(country).ok_or_else(unknown)?;
            let controller = registry.controller_of(country).unwrap_or(&registry.region(region).controller);
            return allowed(region, grant).map(|region| (region, controller.to_owned()));
        }
        (None, Some(region), _) => Region::parse(region)
            .ok_or_else(|| Refusal::new(RefusalCode::UnknownRegion, "region is US, DE, SG or MY"))?,
        (None, None, [only]) => *only,
        (None, None, _) => return Err(Refusal::new(RefusalCode::NoRegion, "neither country nor region")),
    };
    Ok((allowed(region, grant)?, registry.region(region).controller.clone()))
}

fn allowed(region: Region, grant: &IngestGrant) -> Result<Region, Refusal> {
    if grant.allows(region) {
        return Ok(region);
    }
    Err(Refusal::new(RefusalCode::RegionNotAllowed, "the key may not write to this region"))
}
