//! What loading makes, for the registry. Not here: how it is made (the files beside this one).

use crate::{
    CountryDef, EventDef, Kind, Programme, ProgrammeDef, Protocol, Region, RegionDef, TableDef, VendorMap,
};

/// Days by programme and kind, in the order of their `ALL`.
pub(crate) type RetentionDays = [[u32; Kind::ALL.len()]; Programme::ALL.len()];

/// What loading makes; complete and consistent.
#[derive(Clone, Debug)]
pub(crate) struct Definitions {
    /// Sorted by name.
    pub(crate) events: Vec<EventDef>,
    /// In the order of [`Kind::ALL`].
    pub(crate) tables: [TableDef; Kind::ALL.len()],
    /// In the order of [`Programme::ALL`].
    pub(crate) programmes: [ProgrammeDef; Programme::ALL.len()],
    /// In the order of [`Region::ALL`].
    pub(crate) regions: [RegionDef; Region::ALL.len()],
    /// By programme and kind.
    pub(crate) retention: RetentionDays,
    /// Sorted by code.
    pub(crate) countries: Vec<CountryDef>,
    /// In the order of [`Protocol::ALL`].
    pub(crate) vendors: [VendorMap; Protocol::ALL.len()],
}
