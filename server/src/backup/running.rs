//! A backup of what a service serves, made by the service itself: it alone may read the stores while it has them open.
//!
//! ```text
//! flush -> ledger and records of consent, each as one transaction sees it -> no flush: tables and runs of event ids -> flush again
//!       -> files of tables, marks beside the tables, other files, then the audit in its turn -> manifest
//! ```
//! The order makes the copy one that a start takes: what is copied later may know more, and a start expects that of the marks and
//! the audit. Events that are in no table are not in it; their ids are not either, so that they may be sent again.
//! Invariants: it ends soon when the service ends, or when whoever has asked for it is gone; but a flush or a move of rows that has
//! begun by then goes on to its end, because the next one may not begin before. Not here: the directory (`place`), a directory that
//! nobody serves (`stopped`).

use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use actix_web::web;
use shoal_audit::{Act, Audit, in_turn};
use shoal_files::{Disk, Objects as _, Source};
use shoal_schemas::Region;

use super::line::{BackupLine, Fields};
use super::making::{Made, Making, capture};
use super::names::{What, what};
use super::place::{LEDGER_COPY, Place};
use super::stopping::Stopping;
use crate::error::Error;
use crate::key_file::folder;
use crate::outside::check_outside;
use crate::state::State;

const LEDGER: &str = "ledger/budget.redb";

/// Makes a backup in a directory, and writes the line of the audit.
///
/// # Errors
/// When something cannot be read or written: the backup before is whole then.
pub(crate) async fn make(state: &web::Data<State>, dir: &Path) -> Result<Made, Error> {
    // Before anything is copied: what came later may be lacking.
    let now_ms = state.now_ms();
    let line = BackupLine::begin(&state.audit, Act::BackupCreate, now_ms);
    let stopping = Stopping::default();
    let _wanted = stopping.unless_wanted();
    let made = made(state, dir, now_ms, stopping).await;
    line.end(made, fields).await
}

pub(super) fn fields(made: &Made) -> Fields {
    let Made { made_at_ms, files, bytes, rows, .. } = *made;
    Fields { made_at_ms: Some(made_at_ms), files, bytes, rows, accepted_lost: Vec::new() }
}

async fn made(state: &web::Data<State>, dir: &Path, now_ms: i64, stopping: Stopping) -> Result<Made, Error> {
    let (asked, dir) = (state.clone(), dir.to_path_buf());
    let place = blocking(move || place(&asked, &dir)).await?;
    let flushing = state.clone();
    to_its_end(async move { Ok(flushing.ingest.flush(flushing.look().1, true).await?) }).await?;
    let (asked, to, looking) = (state.clone(), Arc::clone(&place), stopping.clone());
    blocking(move || copy_stores(&asked, &to, &looking)).await?;
    let moving = state.clone();
    let (tables, runs) = to_its_end(async move {
        let _paused = moving.ingest.pause().await?;
        let tables = capture(&moving.retention).await?;
        let disk = Disk::new(&moving.config.data_dir);
        Ok((tables, blocking(move || runs(&disk)).await?))
    })
    .await?;
    let asked = state.clone();
    blocking(move || {
        let mut making = Making::begin(&place, now_ms)?.until(stopping);
        making.scratch(LEDGER, LEDGER_COPY)?;
        for region in Region::ALL {
            let name = folder(*region);
            making.scratch(&format!("{name}/ledger.redb"), &name)?;
        }
        tables.into_iter().try_for_each(|table| making.table(table))?;
        for Run { path, source } in runs {
            making.source(&path, &*source)?;
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
    check_outside("a backup", dir, &state.config)?;
    Ok(Arc::new(Place::to_write(dir)?))
}

fn copy_stores(state: &State, place: &Place, stopping: &Stopping) -> Result<(), Error> {
    let (medium, name) = place.scratch(LEDGER_COPY);
    // First: high-water marks and audit, which are copied later, may know more than it and never less.
    state.ledger.copy_to(medium, &name)?;
    for region in Region::ALL {
        stopping.look()?;
        let (medium, name) = place.scratch(&folder(*region));
        state.consents.copy_to(*region, medium, &name)?;
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

/// Adds the audit. All files but the last never change; that one and the head are read while nobody appends, and written after that:
/// the disk of the backup may be slow, and every act waits for its line.
pub(super) fn audit(making: &mut Making<'_>, disk: &Disk) -> Result<(), Error> {
    const HEAD: &str = "ledger/audit.head";
    let lines = || -> Result<Vec<String>, Error> {
        Ok(listed(disk)?.into_iter().filter(|path| what(path) == What::Audit && path != HEAD).collect())
    };
    let mut done = HashSet::new();
    let mut older = lines()?;
    older.pop();
    for path in older {
        let source = disk.open(&path).map_err(|e| Error::io(disk.path(&path), e))?;
        making.source(&path, &*source)?;
        done.insert(path);
    }
    let newest = in_turn(&Audit::place(disk.path("").as_path()), || -> Result<_, Error> {
        let mut read = BTreeMap::new();
        for path in lines()?.into_iter().filter(|path| !done.contains(path)).chain([HEAD.to_owned()]) {
            match disk.read(&path) {
                // An audit without lines has none.
                Err(e) if path == HEAD && e.kind() == ErrorKind::NotFound => {}
                found => drop(read.insert(path.clone(), found.map_err(|e| Error::io(disk.path(&path), e))?)),
            }
        }
        Ok(read)
    })??;
    newest.iter().try_for_each(|(path, bytes)| making.source(path, &bytes.as_slice()))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(broke_off()))
}

/// Runs something that goes on to its end also when nobody waits for it any more. A flush that is dropped half-way gives its turn back
/// while a thread still merges runs of event ids: the next flush would add a run of which that merge knows nothing.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|_| Err(broke_off()))
}

fn broke_off() -> Error {
    Error::Service("the backup broke off".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_flush_that_has_begun_ends_though_nobody_waits_for_the_backup_any_more() {
        let (go_on, may_go_on) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let mut flush = Box::pin(to_its_end(async move {
            may_go_on.await.unwrap();
            ended.send(()).unwrap();
            Ok(())
        }));
        assert!(flush.as_mut().now_or_never().is_none());
        drop(flush);
        go_on.send(()).unwrap();
        has_ended.await.unwrap();
    }
}
