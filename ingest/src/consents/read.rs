//! The body of `POST /v1/consents`: what it may say, and the changes that it asks for.
//!
//! ```text
//! a change | a list of them | {"consents": [..]} | one a line       as a whole, with one bad value, or as far as it is whole
//! ```
//! Invariants: a refusal never holds content of the body, and does not depend on what is recorded; a withdrawal is never refused
//! for its place, because it is for every region that the key may write to, nor for what stands beside it in the body, nor
//! because the body is cut or has too many changes. The work of a body is bounded: its bytes are gone over a few times, whatever they are,
//! and no more than [`OBJECTS_MAX`] objects of it are looked at that may ask for a change. Not here: in which forms a change is understood (`forms.rs`), what becomes of
//! the changes (`recorded.rs`), who waits while others are read (`readers.rs`).

use std::cell::Cell;

use shoal_privacy::keyring::Keyring;
use shoal_schemas::{Country, Programme, Protocol, Region, Registry};

use super::{
    change::{Act, Change, Named, Place, digests, kinds},
    forms::{self, text},
    words::may_decide,
};
use crate::{
    config::Limits,
    grant::IngestGrant,
    refusal::{Refusal, RefusalCode},
    stages::inflate::{beginning, inflate, without_mark},
    wire::{
        self,
        claim::{self, Claim},
        json::{Bounds, Json},
        protocol::Request,
        stream,
        time::{self, Time},
        whole::{Within, objects},
    },
};

/// Changes in one request in which there is a grant, at the most; they are also recorded so many at a time.
pub(super) const CHANGES_MAX: usize = 1000;
/// Withdrawals in one request, at the most.
pub(crate) const WITHDRAWALS_MAX: usize = 10_000;
/// Objects of one body that are looked at because of their words, at the most.
pub(super) const OBJECTS_MAX: usize = 50_000;
/// No withdrawal has fewer bytes: `{"granted":0,"user":1}` has 22.
const WITHDRAWAL_BYTES_MIN: usize = 20;
/// Bytes that are decompressed of a body whose compression breaks off.
const BEGINNING_BYTES_MAX: usize = 1 << 20;

/// What changes are read by.
pub(crate) struct Reader<'r> {
    pub(crate) grant: &'r IngestGrant,
    pub(crate) registry: &'r Registry,
    pub(crate) keyring: &'r Keyring,
    pub(crate) limits: &'r Limits,
}

/// What a body asks for.
#[derive(Default)]
pub(crate) struct Body {
    /// What can be read.
    pub(crate) changes: Vec<Change>,
    /// Why the rest is refused, if there is a rest.
    pub(crate) refused: Option<Refusal>,
    /// Grants and withdrawals that were looked at, whatever became of them.
    looked_at: usize,
}

impl Body {
    /// Keeps the first reason.
    fn refuse(&mut self, refusal: Refusal) {
        self.refused.get_or_insert(refusal);
    }

    /// Counts one more that is looked at.
    fn look(&mut self) -> Result<(), Refusal> {
        self.looked_at += 1;
        if self.looked_at > OBJECTS_MAX { Err(too_many_objects()) } else { Ok(()) }
    }

    /// Whether one more change may come.
    fn room(&self, is_grant: bool) -> Result<(), Refusal> {
        let (most, what) = match is_grant {
            true => (CHANGES_MAX, "changes in a request that has grants"),
            false => (WITHDRAWALS_MAX, "withdrawals in a request"),
        };
        let reason = || format!("more than {most} {what}; send the others in a list of their own");
        match self.changes.len() < most {
            true => Ok(()),
            false => Err(Refusal::new(RefusalCode::TooManyChanges, reason())),
        }
    }
}

/// Reads the body of `POST /v1/consents`. A change that cannot be read, or may not be made, is refused by itself; of a
/// withdrawal that names one good identifier the others are refused by themselves. Of a body that is no JSON as a whole the changes that
/// are whole are read, and the rest is refused.
///
/// # Errors
/// When nothing in it is a change, or it is too large.
pub(crate) fn read(request: &Request<'_>, reader: &Reader<'_>) -> Result<Body, Refusal> {
    let of = Receipt { reader, received_ms: request.received_ms };
    match inflate(request.body, request.content_encoding, reader.limits) {
        Ok(body) => of.body(&body),
        Err(refusal) if refusal.code == RefusalCode::BadEncoding => {
            let begun = beginning(request.body, request.content_encoding, BEGINNING_BYTES_MAX);
            let Some((begun, _)) = begun else { return Err(refusal) };
            of.whole_objects(without_mark(&begun), refusal)
        }
        Err(refusal) => Err(refusal),
    }
}

fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        depth_max: limits.depth_max,
        string_bytes_max: limits.string_bytes_max,
        strict: false,
        broken: Cell::new(None),
        values_left: Cell::new(limits.values_max),
        held: Cell::new(0),
    }
}

/// The values of a body; none when it is no JSON, or empty.
fn parse<'b>(body: &'b [u8], bounds: &Bounds) -> Option<Vec<Json<'b>>> {
    let values = stream::parse_all(std::str::from_utf8(body).ok()?, bounds).ok()?;
    (!values.is_empty()).then_some(values)
}

fn bad_json() -> Refusal {
    let reason =
        "expected an object with action, programme, an identifier and a country; see the documentation";
    Refusal::new(RefusalCode::BadJson, reason)
}

fn too_many_objects() -> Refusal {
    let reason = format!(
        "more than {OBJECTS_MAX} objects with a word of a decision; send the others in a list of their own"
    );
    Refusal::new(RefusalCode::TooManyChanges, reason)
}

/// A body, and when it came.
struct Receipt<'r> {
    reader: &'r Reader<'r>,
    received_ms: i64,
}

impl Receipt<'_> {
    fn body(&self, body: &[u8]) -> Result<Body, Refusal> {
        let (limits, of_body) = (self.reader.limits, bounds(self.reader.limits));
        if let Some(values) = parse(body, &of_body) {
            let read = self.changes(&values);
            debug_assert!(read.changes.is_empty() || may_decide(body), "a change without a word of one");
            return Ok(read);
        }
        if !may_decide(body) {
            return Err(bad_json());
        }
        // One bad value costs itself, as in a body of events. What has too many values has them when it is repaired, too.
        if of_body.broken.get().is_none() {
            let repaired = wire::repaired(Protocol::Native, body, limits);
            if let Some(values) = repaired.as_ref().and_then(|body| parse(body, &bounds(limits))) {
                return Ok(self.changes(&values));
            }
        }
        self.whole_objects(body, bad_json())
    }

    fn changes(&self, values: &[Json<'_>]) -> Body {
        let mut read = Body::default();
        for value in values {
            let changes = match value {
                Json::List(changes) => changes.as_slice(),
                one => forms::listed(one).unwrap_or(std::slice::from_ref(one)),
            };
            for change in changes {
                self.take(change, &mut read);
                if read.looked_at > OBJECTS_MAX {
                    return Body { refused: Some(too_many_objects()), ..read };
                }
            }
        }
        // Whoever is granted something is granted it with the whole list, or not.
        if read.changes.len() > CHANGES_MAX
            && read.changes.iter().any(Change::is_grant)
            && let Err(refusal) = read.room(true)
        {
            read.refuse(refusal);
        }
        read
    }

    /// What is whole in a body that is refused for this as a whole. Each object has bounds of its own: what is too much in one takes
    /// nothing from the others.
    fn whole_objects(&self, body: &[u8], refusal: Refusal) -> Result<Body, Refusal> {
        let mut read = Body { refused: Some(refusal), ..Body::default() };
        let may_be_one = |object: &&[u8]| object.len() >= WITHDRAWAL_BYTES_MIN && may_decide(object);
        for (at, object) in objects(body, Within::Anywhere).filter(may_be_one).enumerate() {
            if at == OBJECTS_MAX {
                read.refused = Some(too_many_objects());
                break;
            }
            self.whole_object(object, &mut read);
            if read.changes.len() == WITHDRAWALS_MAX {
                break;
            }
        }
        match read.refused {
            Some(refused) if read.changes.is_empty() => Err(refused),
            refused => Ok(Body { refused, ..read }),
        }
    }

    fn whole_object(&self, object: &[u8], read: &mut Body) {
        let limits = self.reader.limits;
        if let Some(values) = parse(object, &bounds(limits)) {
            values.iter().for_each(|change| self.take(change, read));
        } else if let Some(repaired) = wire::repaired(Protocol::Native, object, limits)
            && let Some(values) = parse(&repaired, &bounds(limits))
        {
            values.iter().for_each(|change| self.take(change, read));
        }
    }

    /// Takes one change, or why it is none.
    fn take(&self, raw: &Json<'_>, read: &mut Body) {
        match self.change(raw, read) {
            Ok(changes) => {
                for change in changes {
                    match read.room(change.is_grant()) {
                        Ok(()) => read.changes.push(change),
                        Err(refusal) => read.refuse(refusal),
                    }
                }
            }
            Err(refusal) => read.refuse(refusal),
        }
    }

    /// One change, for each of its programmes. What is refused of a withdrawal that is made all the same is noted.
    fn change(&self, raw: &Json<'_>, read: &mut Body) -> Result<Vec<Change>, Refusal> {
        if !matches!(raw, Json::Map(_)) {
            return Err(bad_json());
        }
        let grant = self.reader.grant;
        let is_grant = forms::is_grant(raw)?;
        read.look()?;
        read.room(is_grant)?;
        let (programmes, bad_programme) = forms::programmes(raw, is_grant, grant.programme)?;
        // Whoever withdraws does so for the programme that is named. A key of another one says whose app that is, too.
        let is_of_key = |programme: &Programme| grant.programme.is_none_or(|of_key| of_key == *programme);
        if is_grant && !programmes.iter().all(is_of_key) {
            return Err(Refusal::new(RefusalCode::ProgrammeNotAllowed, "the key is for another programme"));
        }
        let regions = match is_grant {
            true => vec![self.place(raw)?],
            false => grant.regions.iter().map(|region| (*region, self.controller(raw, *region))).collect(),
        };
        let (named, bad) = forms::identifiers(raw, is_grant);
        match bad {
            Some(bad) if is_grant || named.is_empty() => return Err(bad),
            Some(bad) => read.refuse(bad),
            None if is_grant && forms::names_two(&named) => {
                let reason = "a grant names two identifiers of one kind";
                return Err(Refusal::new(RefusalCode::BadIdentifier, reason));
            }
            None => {}
        }
        let named: Vec<_> = named.iter().map(|(kind, value)| (*kind, Some(&**value))).collect();
        let places = self.places(regions, &named)?;
        let kinds = kinds(&named);
        let of = |programme: Programme| {
            let act = match is_grant {
                true => self.grant(raw, programme)?,
                false => Act::Withdraw { claimed_ms: None, received_ms: self.received_ms, is_told: false },
            };
            Ok(Change { programme, act, places: places.clone(), kinds })
        };
        let changes = programmes.into_iter().map(of).collect();
        bad_programme.into_iter().for_each(|bad| read.refuse(bad));
        changes
    }

    fn places(&self, regions: Vec<(Region, String)>, named: &Named<'_>) -> Result<Vec<Place>, Refusal> {
        let places: Vec<Place> = regions
            .into_iter()
            .map(|(region, controller)| {
                let digests = digests(&self.reader.keyring.consent_digester(region), named);
                Place { region, controller, digests }
            })
            .collect();
        if places.iter().any(|place| place.digests.is_empty()) {
            let reason = "none of user_id, install_id, device_id, serial_number beside action and programme, or in subject";
            return Err(Refusal::new(RefusalCode::NoIdentifier, reason));
        }
        Ok(places)
    }

    fn grant(&self, raw: &Json<'_>, programme: Programme) -> Result<Act, Refusal> {
        let def = self.reader.registry.programme(programme);
        let version = raw.get("policy_version").and_then(Json::text).map(|version| &**version);
        let Some(version) = version.filter(|version| def.policy_versions.iter().any(|v| v == version)) else {
            let reason = "not an accepted version of the programme's policy";
            return Err(Refusal::new(RefusalCode::PolicyVersion, reason));
        };
        if let Some(age) = forms::value(raw, "age") {
            let unreadable = || Refusal::new(RefusalCode::BadConsent, "age must be a number of years");
            if claim::age(age).ok_or_else(unreadable)? < def.age_min {
                let reason = format!("the programme is not for people under {}", def.age_min);
                return Err(Refusal::new(RefusalCode::Minor, reason));
            }
        }
        let claimed_ms = self.claimed_ms(raw)?;
        if forms::is_refusal(raw) || !matches!(Claim::read(raw, false), Some(Ok(claim)) if !claim.is_refusal)
        {
            return Err(Refusal::new(RefusalCode::BadConsent, "a grant that says that it is none"));
        }
        let policy_version = version.to_owned();
        Ok(Act::Grant { policy_version, claimed_ms, received_ms: self.received_ms, is_told: false })
    }

    fn claimed_ms(&self, raw: &Json<'_>) -> Result<Option<i64>, Refusal> {
        let [granted, sent_at] =
            ["granted_at", "sent_at"].map(|name| forms::value(raw, name).map_or(Time::Missing, Time::millis));
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
        let is_there = |name| forms::value(raw, name).is_some();
        let region = match (is_there("country"), is_there("region"), self.reader.grant.regions.as_slice()) {
            (true, ..) => self.country(raw).ok_or_else(unknown)?.1,
            (false, true, _) => text(raw, "region")
                .and_then(Region::parse)
                .ok_or_else(|| Refusal::new(RefusalCode::UnknownRegion, "region is US, DE, SG or MY"))?,
            (false, false, [only]) => *only,
            (false, false, _) => {
                return Err(Refusal::new(RefusalCode::NoRegion, "neither country nor region"));
            }
        };
        if !self.reader.grant.allows(region) {
            let reason = "the key may not write to this region";
            return Err(Refusal::new(RefusalCode::RegionNotAllowed, reason));
        }
        Ok((region, self.controller(raw, region)))
    }

    /// The country that is named, and its region.
    fn country(&self, raw: &Json<'_>) -> Option<(Country, Region)> {
        let country = Country::parse(text(raw, "country")?.trim())?;
        Some((country, self.reader.registry.region_of(country)?))
    }

    /// Who controls the data of this person in a region.
    fn controller(&self, raw: &Json<'_>, region: Region) -> String {
        let country = self.country(raw).filter(|(_, of)| *of == region);
        let of_country = country.and_then(|(country, _)| self.reader.registry.controller_of(country));
        of_country.unwrap_or(&self.reader.registry.region(region).controller).to_owned()
    }
}
