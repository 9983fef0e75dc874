//! Which data directory a command makes: the first command of a service may make it, one beside a service that runs elsewhere may not.

use std::path::{Path, absolute};

use crate::client::answering;
use crate::config::Config;
use crate::error::Error;

/// What is told where a person reads it when a command makes the data directory; none when it is there already.
///
/// # Errors
/// When a service answers at the address of this configuration: it has a data directory, and this is another one.
pub(super) fn made_here(config: &Config) -> Result<Option<String>, Error> {
    if config.data_dir.is_dir() {
        return Ok(None);
    }
    let dir = whole(&config.data_dir);
    match answering(config) {
        Some(url) => Err(Error::Usage(format!(
            "there is no data directory {dir}, and the service that answers at {url} has another one. {WHERE}"
        ))),
        None => Ok(Some(format!(
            "Makes the data directory {dir}. Start the service with `shoal serve` in this same directory."
        ))),
    }
}

/// Makes sure that there is a data directory, for a command that makes none.
///
/// # Errors
/// When there is none.
pub(super) fn is_there(config: &Config) -> Result<(), Error> {
    match config.data_dir.is_dir() {
        true => Ok(()),
        false => {
            let dir = whole(&config.data_dir);
            Err(Error::Usage(format!("there is no data directory {dir}. {WHERE}")))
        }
    }
}

const WHERE: &str = "Run this in the directory in which the service was started, or name its data directory in SHOAL_DATA_DIR or with \
    --config";

fn whole(path: &Path) -> String {
    absolute(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string()
}
