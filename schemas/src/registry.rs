//! All definitions, loaded and checked. A file that contradicts itself or another is refused with file, line and reason.
//!
//! Invariants: every kind has a table, every programme and region a definition, every pair of programme and kind a
//! retention; so no question about them can fail. Not here: reading and checking (`load`).

use std::path::Path;

use crate::load::Definitions;
use crate::{
    Country, CountryDef, EventDef, Kind, Programme, ProgrammeDef, Protocol, Region, RegionDef, SchemaError,
    TableDef, VendorMap, load,
};

/// Everything that may be collected.
#[derive(Clone, Debug)]
pub struct Registry {
    definitions: Definitions,
}

impl Registry {
    /// The embedded definitions, overlaid by the files of `overlay` (same layout as `defs/`).
    ///
    /// A file of the overlay that has the name of an embedded event, programme, region or of `common.toml` takes its
    /// place, and may only add to it; the entries of `countries.toml`, `retention.toml` and `vendors/*.toml` are merged
    /// into the embedded ones; new files add events.
    ///
    /// # Errors
    /// Every inconsistency found, with file and line.
    pub fn load(overlay: Option<&Path>) -> Result<Registry, Vec<SchemaError>> {
        Ok(Registry { definitions: load::load(overlay)? })
    }

    /// All events; [`EventDef::index`] is the position.
    pub fn events(&self) -> &[EventDef] {
        &self.definitions.events
    }

    /// The event of this name.
    pub fn event(&self, name: &str) -> Option<&EventDef> {
        let events = &self.definitions.events;
        let at = events.binary_search_by(|e| e.name.as_str().cmp(name)).ok()?;
        events.get(at)
    }

    /// The table of a kind.
    pub fn table(&self, kind: Kind) -> &TableDef {
        &self.definitions.tables[kind.index()]
    }

    /// A programme.
    pub fn programme(&self, programme: Programme) -> &ProgrammeDef {
        &self.definitions.programmes[programme.index()]
    }

    /// A region.
    pub fn region(&self, region: Region) -> &RegionDef {
        &self.definitions.regions[region.index()]
    }

    /// All countries, in the order of their codes.
    pub fn countries(&self) -> &[CountryDef] {
        &self.definitions.countries
    }

    /// The region that a country's data lives in; none when the code is not in the table.
    pub fn region_of(&self, country: Country) -> Option<Region> {
        self.country(country).map(|c| c.region)
    }

    /// The controller of a country's subjects, recorded with a consent.
    pub fn controller_of(&self, country: Country) -> Option<&str> {
        self.country(country).map(|c| c.controller.as_str())
    }

    /// Days that events of this programme and kind are kept: readable while `today - day <= days`.
    pub fn retention_days(&self, programme: Programme, kind: Kind) -> u32 {
        self.definitions.retention[programme.index()][kind.index()]
    }

    /// How the vendor of this protocol names things. Empty for the native protocol.
    pub fn vendor(&self, protocol: Protocol) -> &VendorMap {
        &self.definitions.vendors[protocol.index()]
    }

    fn country(&self, country: Country) -> Option<&CountryDef> {
        let countries = &self.definitions.countries;
        let at = countries.binary_search_by_key(&country, |c| c.country).ok()?;
        countries.get(at)
    }
}
