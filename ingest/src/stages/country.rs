//! Which country, and so which region, an event belongs to.
//!
//! Order: the event's country, the batch's, the address (with an optional MMDB file), the key's only region. The
//! address goes no further than this and the unit of an event that names nobody. A locale is not asked: `de-DE` is spoken anywhere.
//! Not here: the table of countries (`shoal-schemas`).

use std::{net::IpAddr, path::Path};

use arc_swap::ArcSwap;
use shoal_schemas::{Country, Region, Registry};

use crate::{
    answer::{Code, Rejection},
    error::IngestError,
    grant::IngestGrant,
};

/// The code stored when no country is known.
pub(crate) const UNKNOWN: &str = "ZZ";

/// Addresses to countries, from an MMDB file (GeoLite2-Country and its like). No `Debug`: it is large.
pub struct GeoDb {
    reader: ArcSwap<maxminddb::Reader<Vec<u8>>>,
}

impl GeoDb {
    /// Reads the file into memory.
    ///
    /// # Errors
    /// When it cannot be read, or is not an MMDB file.
    pub fn open(path: &Path) -> Result<GeoDb, IngestError> {
        let reader = maxminddb::Reader::open_readfile(path)
            .map_err(|e| IngestError::Config(format!("geo file {}: {e}", path.display())))?;
        Ok(GeoDb { reader: ArcSwap::from_pointee(reader) })
    }

    /// From now on the other's file is asked, by requests that come after this.
    pub fn replace_with(&self, other: &GeoDb) {
        self.reader.store(other.reader.load_full());
    }

    /// The country of an address.
    fn country(&self, address: IpAddr) -> Option<Country> {
        let reader = self.reader.load();
        let found = reader.lookup(address).ok()?;
        let path = [maxminddb::PathElement::Key("country"), maxminddb::PathElement::Key("iso_code")];
        Country::parse(found.decode_path::<&str>(&path).ok()??)
    }
}

/// Where an event belongs. The country is none when only the key said which region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) region: Region,
    pub(crate) country: Option<Country>,
}

/// What decides about the place of every event of a request.
pub(crate) struct Locator<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) grant: &'a IngestGrant,
    pub(crate) geo: Option<&'a GeoDb>,
    /// The address that the request came from, behind trusted proxies.
    pub(crate) peer: Option<IpAddr>,
}

impl Locator<'_> {
    /// The place of an event that names this country and address.
    ///
    /// # Errors
    /// A country that is in no region, no region at all, or one that the key may not write to.
    pub(crate) fn locate(&self, country: Option<&str>, address: Option<&str>) -> Result<Place, Rejection> {
        let place = match country {
            Some(text) => Some(self.named(text)?),
            None => self.by_address(address),
        };
        let place = match (place, self.grant.regions.as_slice()) {
            (Some(place), _) => place,
            (None, [only]) => Place { region: *only, country: None },
            (None, _) => {
                return Err(Rejection::event(
                    Code::NoRegion,
                    "neither a country nor an address that tells it, and the key is for several regions",
                ));
            }
        };
        if self.grant.allows(place.region) {
            return Ok(place);
        }
        Err(Rejection::field(
            Code::RegionNotAllowed,
            "country",
            "the key may not write to the region of this country",
        ))
    }

    fn named(&self, text: &str) -> Result<Place, Rejection> {
        let country = Country::parse(text.trim());
        let region = country.and_then(|c| self.registry.region_of(c));
        match (region, country) {
            (Some(region), country) => Ok(Place { region, country }),
            (None, _) => Err(Rejection::field(
                Code::UnknownCountry,
                "country",
                "not an ISO 3166-1 alpha-2 code that belongs to a region",
            )),
        }
    }

    fn by_address(&self, address: Option<&str>) -> Option<Place> {
        let geo = self.geo?;
        let address = address.and_then(|a| a.trim().parse().ok()).or(self.peer)?;
        let country = geo.country(address)?;
        Some(Place { region: self.registry.region_of(country)?, country: Some(country) })
    }
}
