//! Where the columns are that the pipeline fills itself, the names of all columns, and the names of operating systems.
//!
//! Not here: the columns of declared properties (`PropertyDef::column`).

use std::sync::Arc;

use shoal_schemas::{ColumnRole, Domain, Kind, Registry, columns};

use crate::dictionary::Dictionary;

/// Column positions of one table.
#[derive(Clone, Copy, Default)]
pub(crate) struct Columns {
    pub(crate) country: u16,
    pub(crate) app: u16,
    pub(crate) app_version: u16,
    pub(crate) os: u16,
    pub(crate) os_version: u16,
    pub(crate) device_model: u16,
    /// Tables of crashes only.
    pub(crate) crash_group: Option<u16>,
    pub(crate) stack: Option<u16>,
    pub(crate) exception_type: Option<u16>,
}

/// The positions in all tables.
pub(crate) struct RowLayout {
    kinds: [Columns; Kind::ALL.len()],
    names: Arc<Dictionary>,
    systems: Vec<String>,
}

/// What clients call the systems, where that is not the listed name.
const SYSTEMS: [(&str, &str); 8] = [
    ("ipados", "ios"),
    ("iphone os", "ios"),
    ("mac os x", "macos"),
    ("mac os", "macos"),
    ("darwin", "macos"),
    ("windows nt", "windows"),
    ("win32", "windows"),
    ("gnu/linux", "linux"),
];

impl RowLayout {
    /// Of a registry; the system columns are in each of its tables.
    pub(crate) fn new(registry: &Registry) -> RowLayout {
        let mut kinds = [Columns::default(); Kind::ALL.len()];
        for kind in Kind::ALL {
            let table = registry.table(*kind);
            let at = |name| table.column(name).map(|(at, _)| at);
            // Every table has the system columns; the registry does not load without them.
            let system = |name| at(name).unwrap_or_default();
            kinds[kind.index()] = Columns {
                country: system(columns::COUNTRY),
                app: system(columns::APP),
                app_version: system(columns::APP_VERSION),
                os: system(columns::OS),
                os_version: system(columns::OS_VERSION),
                device_model: system(columns::DEVICE_MODEL),
                crash_group: at("crash_group"),
                stack: at("stack"),
                exception_type: at("exception_type"),
            };
        }
        let systems = match registry.table(Kind::Usage).column(columns::OS).map(|(_, column)| &column.role) {
            Some(ColumnRole::Dimension { domain: Domain::Listed(values), .. }) => values.clone(),
            _ => Vec::new(),
        };
        RowLayout { kinds, names: Arc::new(Dictionary::of(registry)), systems }
    }

    /// What the positions of events and columns are called.
    pub(crate) fn names(&self) -> &Arc<Dictionary> {
        &self.names
    }

    /// The positions in the table of a kind.
    pub(crate) fn kind(&self, kind: Kind) -> &Columns {
        &self.kinds[kind.index()]
    }

    /// The listed name of an operating system: itself in any letter case, a usual other name, or `other` where that is
    /// listed.
    pub(crate) fn os(&self, name: &str) -> Option<&str> {
        let name = name.trim();
        let alias =
            SYSTEMS.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map_or(name, |(_, own)| own);
        let listed = |wanted: &str| self.systems.iter().find(|s| s.eq_ignore_ascii_case(wanted));
        listed(alias).or_else(|| listed("other")).map(String::as_str)
    }
}
