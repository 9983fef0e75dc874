//! The configuration: one TOML file and the environment, parsed once into a validated [`Config`].
//!
//! Order: default, then the file, then the environment. Every setting is declared once (`settings.rs`); a name that is not
//! is refused with the nearest one. All faults are told at once, each with its place. Nothing else in Shoal reads a file or a
//! variable for its settings, but for the token of a custody, which is a secret and no setting (`custody.rs`).
//! Not here: the access keys of apps and analysts (`access_keys.rs`).

mod check;
mod declare;
#[cfg(test)]
mod example;
pub(crate) mod faults;
mod key_settings;
mod loaded;
mod nearest;
mod read;
mod settings;
mod surroundings;
#[cfg(test)]
mod tests;
mod values;

use std::ffi::OsString;
use std::path::Path;

use loaded::read;
use read::{Read, Reader};

pub(crate) use check::{lies_with_the_key, resolved};
pub use faults::ConfigError;
pub use key_settings::KeySettings;
pub(crate) use loaded::Loaded;
pub use settings::{
    Config, HttpConfig, IngestSettings, LogConfig, MetricsConfig, QuerySettings, RetentionSettings,
    StorageSettings,
};
pub use values::LogFormat;

impl Config {
    /// Reads the file (when one is given) and the variables, and checks the values.
    ///
    /// # Errors
    /// Everything that is wrong, one line each.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Config, ConfigError> {
        let Read { config, faults, .. } = read(file, environment)?;
        faults.into_result().map(|()| config)
    }

    /// The same, and whether the service could use the files and directories that the settings name. Makes nothing.
    ///
    /// # Errors
    /// Everything that is wrong, one line each.
    pub fn load_for_service(
        file: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Config, ConfigError> {
        Loaded::for_service(file, environment).map(|loaded| loaded.config)
    }

    /// The defaults, with everything below `dir`: for the demo and for tests.
    ///
    /// # Errors
    /// Never with the defaults as they are.
    pub fn embedded(dir: &Path) -> Result<Config, ConfigError> {
        let mut config = Reader::defaults().finish()?.config;
        config.data_dir = dir.join("data");
        config.key_file = dir.join("shoal.key");
        Ok(config)
    }
}
