//! Where copies of the data may lie: nowhere where the data are, and nowhere where what must not be with them is.
//!
//! Not here: the settings themselves (`config.rs`), what is copied (`backup.rs`, `table_copies.rs`).

use std::path::Path;

use crate::config::{Config, lies_with_the_key, resolved};
use crate::error::Error;
use crate::tables_place;

/// Refuses a directory for `what` ("a backup") that lies where the data, or what must not be with them, are.
///
/// # Errors
/// Which.
pub(crate) fn check_outside(what: &str, dir: &Path, config: &Config) -> Result<(), Error> {
    let (own, data) = (resolved(dir), resolved(&config.data_dir));
    let others = [
        ("data_dir", config.data_dir.clone()),
        ("budget_marks_dir", config.marks_dir()),
        ("withdrawals_dir", config.journal_dir()),
        ("unit_key_dir", config.unit_key_dir()),
        ("data_key_dir", config.data_key_dir()),
    ];
    let tables = tables_place::directory(&config.storage).map(|dir| ("storage.url", dir));
    let replicas = config.data_key_replicas.iter().map(|replica| ("data_key_replicas", replica.clone()));
    for (setting, other) in others.into_iter().chain(replicas).chain(tables) {
        let other = resolved(&other);
        if own.starts_with(&other) || other.starts_with(&own) {
            let told = format!("{what} must lie outside of {setting} ({})", other.display());
            return Err(Error::Usage(told));
        }
    }
    let key = resolved(&config.key_file);
    match lies_with_the_key(&own, &key, &data) {
        true => {
            let told = format!("{what} must lie outside of the directory of key_file ({})", key.display());
            Err(Error::Usage(told))
        }
        false => Ok(()),
    }
}
