//! All definitions, loaded and checked. A file that contradicts itself or another is refused with file, line and reason.

use std::path::Path;

use crate::{
    Country, EventDef, Kind, Programme, ProgrammeDef, Protocol, Region, RegionDef, TableDef,
    VendorMap,
};

/// Why the definitions were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct SchemaError {
    /// The file, relative to its directory.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub reason: String,
}

/// Everything that may be collected.
#[derive(Clone, Debug)]
pub struct Registry {}

impl Registry {
    /// The embedded definitions, overlaid by the files of `overlay` (same layout as `defs/`).
    ///
    /// # Errors
    /// Every inconsistency found, with file and line.
    pub fn load(overlay: Option<&Path>) -> Result<Registry, Vec<SchemaError>> {
        let _ = overlay;
        todo!()
    }

    /// All events; [`EventDef::index`] is the position.
    pub fn events(&self) -> &[EventDef] {
        todo!()
    }

    /// The event of this name.
    pub fn event(&self, name: &str) -> Option<&EventDef> {
        let _ = name;
        todo!()
    }

    /// The table of a kind.
    pub fn table(&self, kind: Kind) -> &TableDef {
        let _ = kind;
        todo!()
    }

    /// A programme.
    pub fn programme(&self, programme: Programme) -> &ProgrammeDef {
        let _ = programme;
        todo!()
    }

    /// A region.
    pub fn region(&self, region: Region) -> &RegionDef {
        let _ = region;
        todo!()
    }

    /// The region that a country's data lives in; none when the code is not in the table.
    pub fn region_of(&self, country: Country) -> Option<Region> {
        let _ = country;
        todo!()
    }

    /// The controller of a country's subjects, recorded with a consent.
    pub fn controller_of(&self, country: Country) -> Option<&str> {
        let _ = country;
        todo!()
    }

    /// Days that events of this programme and kind are kept: readable while `today - day <= days`.
    pub fn retention_days(&self, programme: Programme, kind: Kind) -> u32 {
        let _ = (programme, kind);
        todo!()
    }

    /// How the vendor of this protocol names things. Empty for the native protocol.
    pub fn vendor(&self, protocol: Protocol) -> &VendorMap {
        let _ = protocol;
        todo!()
    }
}
