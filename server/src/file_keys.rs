//! With what the files of a service are sealed that are not tables, for whoever opens them: the service and commands.
//!
//! A command may run before there is a key file: what it writes is in the clear then, and read as ever.
//! Not here: the keys (`shoal-privacy`, `keyring.rs`), sealing (`shoal-files`), the keys of tables (`startup.rs`).

use std::path::Path;

use shoal_audit::{Audit, ChainPlace};
use shoal_files::Sealing;
use shoal_privacy::keyring::{Keyring, Sealed};

use crate::config::Config;
use crate::error::Error;
use crate::{key_check, key_file};

/// The keys, as far as there is a key file.
pub(crate) struct FileKeys {
    keyring: Option<Keyring>,
    is_writing: bool,
}

impl FileKeys {
    /// Those of a configuration.
    ///
    /// # Errors
    /// When there is a key file that cannot be used, or that is not the one that the data were made with.
    pub(crate) fn open(config: &Config) -> Result<FileKeys, Error> {
        let keyring = config.key_file.exists().then(|| key_file::open(config)).transpose()?;
        // Nothing is written with other keys than the data were made with.
        if let Some(keyring) = &keyring {
            key_check::compare(&config.data_dir, &config.key_file, keyring)?;
        }
        Ok(FileKeys { keyring, is_writing: config.storage.encrypt })
    }

    /// How files of a kind are kept.
    pub(crate) fn of(&self, files: Sealed) -> Option<Sealing> {
        let key = self.keyring.as_ref()?.sealing_key(files);
        Some(Sealing { key, is_writing: self.is_writing })
    }
}

/// The audit of the data directory of a configuration.
///
/// # Errors
/// As [`FileKeys::open`].
pub(crate) fn audit_place(config: &Config) -> Result<ChainPlace, Error> {
    audit_place_in(&config.data_dir, config)
}

/// The audit in a directory, kept as a configuration says.
///
/// # Errors
/// As [`FileKeys::open`].
pub(crate) fn audit_place_in(data_dir: &Path, config: &Config) -> Result<ChainPlace, Error> {
    Ok(Audit::place(data_dir).sealed(FileKeys::open(config)?.of(Sealed::Audit)))
}
