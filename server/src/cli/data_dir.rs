//! Which data directory a command makes: the first command of a service may make it, one beside a service that runs elsewhere may not.

use std::path::{Path, absolute};

use crate::client::answering;
use crate::config::Config;
use crate::error::Error;

/// Makes sure that a data directory that does not exist is meant to be made, and says where it will be where a person reads it.
///
/// # Errors
/// When a service answers at the address of this configuration: it has a data directory, and this is another one.
pub(super) fn made_here(config: &Config, is_told: bool) -> Result<(), Error> {
    if config.data_dir.is_dir() {
        return Ok(());
    }
    let dir = whole(&config.data_dir);
    if let Some(url) = answering(config) {
        return Err(Error::Usage(format!(
            "there is no data directory {dir}, and the service that answers at {url} has another one. Run this in the directory in \
             which the service was started, or name its data directory in SHOAL_DATA_DIR or with --config"
        )));
    }
    if is_told {
        eprintln!(
            "Makes the data directory {dir}. Start the service with `shoal serve` in this same directory."
        );
    }
    Ok(())
}

fn whole(path: &Path) -> String {
    absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}
