//! A backup of a data directory that no service serves: the command holds its lock, and nothing changes meanwhile.
//!
//! What the logs hold is not in the tables yet, so they are copied as they are; a start goes on from them. Not here: a backup of a
//! service that runs (`running`).

use std::path::Path;

use prometheus_client::registry::Registry as MetricRegistry;
use shoal_audit::Act;
use shoal_files::{Disk, Objects as _};
use shoal_retention::Retention;
use shoal_storage::StorageError;

use super::line::BackupLine;
use super::making::{Made, Making, capture};
use super::names::{What, what};
use super::place::Place;
use super::running::{audit, fields, listed};
use crate::config::Config;
use crate::error::Error;
use crate::outside::check_outside;
use crate::startup;

/// Makes a backup in a directory, and writes the line of the audit; none when a service serves the data directory.
///
/// # Errors
/// When something cannot be read or written: the backup before is whole then.
pub(crate) async fn make(config: &Config, dir: &Path, now_ms: i64) -> Result<Option<Made>, Error> {
    let store = match startup::open_store(config).await {
        Err(Error::Storage(StorageError::Locked(_))) => return Ok(None),
        opened => opened?,
    };
    let definitions = startup::build_definitions(config)?;
    let retention = startup::build_retention(&definitions, &store, &mut MetricRegistry::default());
    // Opens all tables; one that cannot be read is an error.
    retention.plan(now_ms).await?;
    let of_audit = startup::build_audit(config)?;
    let line = BackupLine::begin(&of_audit, Act::BackupCreate, now_ms);
    let made = made(config, &retention, dir, now_ms).await;
    line.end(made, fields).await.map(Some)
}

async fn made(config: &Config, retention: &Retention, dir: &Path, now_ms: i64) -> Result<Made, Error> {
    check_outside("a backup", dir, config)?;
    let place = Place::to_write(dir)?;
    let mut making = Making::begin(&place, now_ms)?;
    for table in capture(retention).await? {
        making.table(table)?;
    }
    let disk = Disk::new(&config.data_dir);
    for path in listed(&disk)? {
        let open = || disk.open(&path);
        let io = |e| Error::io(disk.path(&path), e);
        match what(&path) {
            What::Nothing | What::Table | What::Audit => {}
            What::Run | What::Log | What::Consents(_) | What::Ledger => {
                making.source(&path, &*open().map_err(io)?)?;
            }
            What::Other => making.small(&disk, &path)?,
        }
    }
    audit(&mut making, &disk)?;
    making.finish()
}
