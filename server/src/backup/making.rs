//! A backup that is being made: what it has so far, and what the one before had.
//!
//! Invariants: a file of a table that the backup before had with the same length is not read again: no two have one name. All other
//! files are, because a data directory that was put back makes others under the names of before. Not here: the directory (`place`),
//! which files there are (`running`, `stopped`).

use std::collections::HashMap;
use std::io::ErrorKind;

use serde::{Deserialize, Serialize};
use shoal_files::{Disk, Objects as _, Source};
use shoal_language::calendar::day_text;
use shoal_retention::Retention;
use shoal_storage::{Captured, Table};

use super::manifest::{FileThen, Manifest, TableThen};
use super::place::Place;
use super::stopping::{Stopping, Watched};
use crate::error::Error;
use crate::key_file::folder;

/// A file that is not larger is read at once, so that it is of one moment.
const SMALL_BYTES_MAX: u64 = 64 << 20;

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// The moment whose state it holds, ms since 1970.
    pub(crate) made_at_ms: i64,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Events in its tables.
    pub(crate) rows: u64,
    /// What of it was not there from the backup before.
    pub(crate) copied_files: u64,
    pub(crate) copied_bytes: u64,
}

/// A backup that is being made.
pub(super) struct Making<'p> {
    place: &'p Place,
    before: HashMap<String, FileThen>,
    manifest: Manifest,
    stopping: Stopping,
    copied_files: u64,
    copied_bytes: u64,
}

/// A table and its directory in the data directory.
pub(super) struct CapturedTable {
    folder: String,
    then: TableThen,
    captured: Captured,
}

/// All tables as they are now.
///
/// # Errors
/// When a table cannot be read, or its checkpoint not be written.
pub(super) async fn capture(retention: &Retention) -> Result<Vec<CapturedTable>, Error> {
    let mut all = Vec::new();
    for table in retention.store().tables().await {
        all.push(captured(&table).await?);
    }
    Ok(all)
}

async fn captured(table: &Table) -> Result<CapturedTable, Error> {
    let captured = table.capture().await?;
    let files = captured.snapshot.files();
    let (region, kind) = (table.region(), table.kind());
    let then = TableThen {
        region,
        kind,
        version: captured.snapshot.version(),
        rows: files.iter().map(|file| file.rows).sum(),
        newest_day: files.iter().map(|file| file.day).max().map(day_text),
    };
    let folder = format!("{}/tables/{}", folder(region), kind.as_str());
    Ok(CapturedTable { folder, then, captured })
}

impl<'p> Making<'p> {
    pub(super) fn begin(place: &'p Place, made_at_ms: i64) -> Result<Making<'p>, Error> {
        let before = place.manifest()?.unwrap_or_default();
        let before = before.files.into_iter().map(|file| (file.path.clone(), file)).collect();
        let manifest =
            Manifest { shoal: env!("CARGO_PKG_VERSION").to_owned(), made_at_ms, ..Manifest::default() };
        let stopping = Stopping::default();
        Ok(Making { place, before, manifest, stopping, copied_files: 0, copied_bytes: 0 })
    }

    /// The same, but it stops when it is told to.
    pub(super) fn until(self, stopping: Stopping) -> Making<'p> {
        Making { stopping, ..self }
    }

    /// Adds a file whose name no other file ever has.
    fn fixed(
        &mut self,
        path: &str,
        bytes: u64,
        open: impl FnOnce() -> std::io::Result<Box<dyn Source>>,
    ) -> Result<(), Error> {
        self.stopping.look()?;
        if let Some(known) = self.before.get(path)
            && known.bytes == bytes
            && self.place.has(&known.digest, bytes)
        {
            self.manifest.files.push(known.clone());
            return Ok(());
        }
        let source = open().map_err(|e| Error::io(path, e))?;
        self.source(path, &*source)
    }

    /// Adds bytes that do not change meanwhile.
    pub(super) fn source(&mut self, path: &str, source: &dyn Source) -> Result<(), Error> {
        self.stopping.look()?;
        let bytes = source.length().map_err(|e| Error::io(path, e))?;
        let put = self.place.put(&Watched { source, stopping: &self.stopping });
        // Why it could not be read is told first, if it is that.
        let (digest, is_copied) = put.or_else(|error| self.stopping.look().and(Err(error)))?;
        if is_copied {
            self.copied_files += 1;
            self.copied_bytes += bytes;
        }
        self.manifest.files.push(FileThen { path: path.to_owned(), bytes, digest });
        Ok(())
    }

    /// Adds a file that is replaced or appended to, as it is read now. One that goes meanwhile was not needed any more. One that is
    /// too large for that must not change meanwhile.
    pub(super) fn small(&mut self, disk: &Disk, path: &str) -> Result<(), Error> {
        let io = |e| Error::io(disk.path(path), e);
        let source = match disk.open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(io)?,
        };
        let length = source.length().map_err(io)?;
        if length > SMALL_BYTES_MAX {
            return self.source(path, &*source);
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        source.read_at(0, &mut bytes).map_err(io)?;
        self.source(path, &bytes.as_slice())
    }

    /// Adds a file that was made as scratch.
    pub(super) fn scratch(&mut self, path: &str, name: &str) -> Result<(), Error> {
        let made = self.place.open_scratch(name)?;
        self.source(path, &*made)?;
        self.place.remove_scratch(name)
    }

    /// Adds a table.
    pub(super) fn table(&mut self, table: CapturedTable) -> Result<(), Error> {
        let CapturedTable { folder, then, captured } = table;
        for file in captured.snapshot.files() {
            let open = || captured.snapshot.source(file);
            self.fixed(&format!("{folder}/{}", file.path), file.bytes, open)?;
        }
        for file in &captured.log {
            self.source(&format!("{folder}/{}", file.path), &file.bytes.as_slice())?;
        }
        self.manifest.tables.push(then);
        Ok(())
    }

    /// Writes the manifest: from now on this is the backup.
    pub(super) fn finish(mut self) -> Result<Made, Error> {
        self.stopping.look()?;
        self.manifest.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.manifest.tables.sort_by_key(|table| (table.region, table.kind));
        self.place.finish(&self.manifest)?;
        let Manifest { made_at_ms, tables, files, .. } = &self.manifest;
        Ok(Made {
            made_at_ms: *made_at_ms,
            files: files.len() as u64,
            bytes: self.manifest.bytes(),
            rows: tables.iter().map(|table| table.rows).sum(),
            copied_files: self.copied_files,
            copied_bytes: self.copied_bytes,
        })
    }
}
