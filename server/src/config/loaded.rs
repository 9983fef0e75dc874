//! A configuration together with the values that it was made of, so that two of them can be compared by the names of settings.
//!
//! Not here: what a change does (`reload.rs`).

use std::ffi::OsString;
use std::path::Path;

use toml::{Table, Value};

use super::check;
use super::faults::ConfigError;
use super::read::{Read, Reader};
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
        let mut read = read(file, environment)?;
        if !read.faults.is_file_unread() {
            surroundings::inspect(&mut read);
        }
        let Read { config, values, faults, .. } = read;
        faults.into_result().map(|()| Loaded { config, values })
    }

    /// The names of the settings that have another value in `other`.
    pub(crate) fn changed(&self, other: &Loaded) -> Vec<&'static str> {
        let differs = |name: &&str| value(&self.values, name) != value(&other.values, name);
        all().map(|setting| setting.name).filter(differs).collect()
    }
}

/// Reads the file (when one is given) and the variables, and checks the values.
///
/// # Errors
/// When the values do not fit their types, which they were judged to do. What is wrong with them, or with the file, is noted.
pub(super) fn read(
    file: Option<&Path>,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Read, ConfigError> {
    let mut reader = Reader::defaults();
    if let Some(path) = file {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => reader.overlay_file(&shown, &text),
            Err(error) => reader.file_unread(format!("{shown}: {error}")),
        }
    }
    reader.overlay_variables(environment);
    let mut read = reader.finish()?;
    if !read.faults.is_file_unread() {
        check::contradictions(&mut read);
    }
    Ok(read)
}

fn value<'v>(values: &'v Table, name: &str) -> Option<&'v Value> {
    match name.split_once('.') {
        None => values.get(name),
        Some((section, key)) => values.get(section)?.get(key),
    }
}
