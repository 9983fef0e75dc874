//! A backup of what a service serves, made by the service itself: it alone may read the stores while it has them open.
//!
//! ```text
//! flush -> ledger and records of consent, each as one transaction sees it -> no flush: tables and runs of event ids -> flush again
//!       -> files of tables, marks beside the tables, other files, then the audit in its turn -> manifest
//! ```
//! The order makes the copy one that a start takes: what is copied later may know more, and a start expects that of the marks and
//! the audit. Events that are in no table are not in it; their ids are not either, so that they may be sent again.
//! Not here: the directory (`place`), a directory that nobody serves (`stopped`).

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use actix_web::web;
use shoal_audit::{Act, Audit, in_turn};
use shoal_files::{Disk, Objects as _, Source};
use shoal_schemas::Region;

use super::line::{BackupLine, Fields};
use super::making::{Made, Making, capture, check_outside};
use super::names::{What, what};
use super::place::Place;
use crate::error::Error;
use crate::key_file::folder;
use crate::state::State;

const LEDGER: &str = "ledger/budget.redb";

/// Makes a backup in a directory, and writes the line of the audit.
///
/// # Errors
/// When something cannot be read or written: the backup before is whole then.
pub(crate) async fn make(state: &web::Data<State>, dir: &Path) -> Result<Made, Error> {
    let line = BackupLine::begin(&state.audit, Act::BackupCreate, state.now_ms());
    let made = made(state, dir).await;
    line.end(made, fields).await
}

pub(super) fn fields(made: &Made) -> Fields {
    let Made { made_at_ms, files, bytes, rows, .. } = *made;
    Fields { made_at_ms: Some(made_at_ms), files, bytes, rows }
}

async fn made(state: &web::Data<State>, dir: &Path) -> Result<Made, Error> {
    let (asked, dir) = (state.clone(), dir.to_path_buf());
    let place = blocking(move || place(&asked, &dir)).await?;
    state.ingest.flush(state.look().1, true).await?;
    let (asked, to) = (state.clone(), Arc::clone(&place));
    blocking(move || copy_stores(&asked, &to)).await?;
    let (made_at_ms, tables, runs) = {
        let _paused = state.ingest.pause().await?;
        let tables = capture(&state.retention).await?;
        let disk = Disk::new(&state.config.data_dir);
        (state.now_ms(), tables, blocking(move || runs(&disk)).await?)
    };
    let asked = state.clone();
    blocking(move || {
        let mut making = Making::begin(&place, made_at_ms)?;
        making.scratch(LEDGER, "budget.redb")?;
        for region in Region::ALL {
            let name = folder(*region);
            making.scratch(&format!("{name}/ledger.redb"), &name)?;
        }
        tables.into_iter().try_for_each(|table| making.table(table))?;
        for Run { path, source } in runs {
            let bytes = source.length().map_err(|e| Error::io(&path, e))?;
            making.fixed(&path, bytes, || Ok(source))?;
        }
        let disk = Disk::new(&asked.config.data_dir);
        for path in listed(&disk)? {
            if what(&path) == What::Other {
                making.small(&disk, &path)?;
            }
        }
        audit(&mut making, &disk)?;
        making.finish()
    })
    .await
}

fn place(state: &State, dir: &Path) -> Result<Arc<Place>, Error> {
    check_outside(dir, &state.config)?;
    Ok(Arc::new(Place::to_write(dir)?))
}

fn copy_stores(state: &State, place: &Place) -> Result<(), Error> {
    let (disk, name) = place.scratch("budget.redb");
    // First: high-water marks and audit, which are copied later, may know more than it and never less.
    state.ledger.copy_to(&disk, &name)?;
    for region in Region::ALL {
        let (disk, name) = place.scratch(&folder(*region));
        state.consents.copy_to(*region, &disk, &name)?;
    }
    Ok(())
}

/// A run of event ids, which stays readable when it is merged away.
struct Run {
    path: String,
    source: Box<dyn Source>,
}

fn runs(disk: &Disk) -> Result<Vec<Run>, Error> {
    let paths = listed(disk)?.into_iter().filter(|path| what(path) == What::Run);
    let open = |path: String| {
        let source = disk.open(&path).map_err(|e| Error::io(disk.path(&path), e))?;
        Ok(Run { path, source })
    };
    paths.map(open).collect()
}

/// The names of all files, in their order.
pub(super) fn listed(disk: &Disk) -> Result<Vec<String>, Error> {
    let listed = disk.list("").map_err(|e| Error::io(disk.path(""), e))?;
    let mut names: Vec<String> = listed.into_iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    Ok(names)
}

/// Adds the audit. All files but the last never change; that one and the head are read while nobody appends.
pub(super) fn audit(making: &mut Making<'_>, disk: &Disk) -> Result<(), Error> {
    const HEAD: &str = "ledger/audit.head";
    let lines = || -> Result<Vec<String>, Error> {
        Ok(listed(disk)?.into_iter().filter(|path| what(path) == What::Audit && path != HEAD).collect())
    };
    let mut done = HashSet::new();
    let mut older = lines()?;
    older.pop();
    for path in older {
        let bytes = disk.open(&path).and_then(|source| source.length());
        making.fixed(&path, bytes.map_err(|e| Error::io(disk.path(&path), e))?, || disk.open(&path))?;
        done.insert(path);
    }
    in_turn(&Audit::place(disk.path("").as_path()), || {
        for path in lines()?.into_iter().filter(|path| !done.contains(path)) {
            making.small(disk, &path)?;
        }
        match disk.open(HEAD) {
            Ok(_) => making.small(disk, HEAD),
            Err(_) => Ok(()),
        }
    })?
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::Service("the backup broke off".into())))
}
