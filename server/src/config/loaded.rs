//! A configuration together with the values that it was made of, so that two of them can be compared by the names of settings.
//!
//! Not here: what a change does (`reload.rs`).

use std::ffi::OsString;
use std::path::Path;

use toml::{Table, Value};

use super::faults::ConfigError;
use super::read::Read;
use super::settings::{Config, all};
use super::surroundings;

/// A configuration that the service can use, with its values.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    values: Table,
}

impl Loaded {
    /// Reads the file (when one is given) and the variables, and checks the values and what they name. Makes nothing.
    ///
    /// # Errors
    /// Everything that is wrong, one line each.
    pub(crate) fn for_service(
        file: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Loaded, ConfigError> {
        let mut read = super::read(file, environment)?;
        surroundings::inspect(&mut read);
        let Read { config, values, faults, .. } = read;
        faults.into_result().map(|()| Loaded { config, values })
    }

    /// The names of the settings that have another value in `other`.
    pub(crate) fn changed(&self, other: &Loaded) -> Vec<&'static str> {
        let differs = |name: &&str| value(&self.values, name) != value(&other.values, name);
        all().map(|setting| setting.name).filter(differs).collect()
    }
}

fn value<'v>(values: &'v Table, name: &str) -> Option<&'v Value> {
    match name.split_once('.') {
        None => values.get(name),
        Some((section, key)) => values.get(section)?.get(key),
    }
}
