//! Tables in the clear, for other programs: a directory of its own, laid out as a data directory is.
//!
//! ```text
//! <DIR>/copy-unfinished                  while it is made: what stands beside it is only a part
//! <DIR>/<region>/tables/<kind>/          a Delta table
//! ```
//! ```json
//! {"seq":8,"prev":"..","at_ms":1795348800000,"act":"tables_copy","id":"<uuid>","key":null,"role":"operator",
//!  "outcome":"begun","in_the_clear":true,"tables":["DE/usage"],"files":0,"rows":0,"bytes":0,"unreadable_files":0,"hash":".."}
//! ```
//! The line that begins it is durable before anything is written, and another one of the same id says how it ended and how much was
//! copied. Invariants: without both lines nothing is left of a copy; a copy that fails leaves nothing; what an expiry hides from
//! questions is in no copy, nor is what an act on a person hides from them. Not here: how a table is copied (`shoal-storage`), the command (`cli/tables.rs`).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin, Role};
use shoal_files::{Disk, Objects as _};
use shoal_retention::is_expired;
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Region, Registry};
use shoal_storage::{LiveFile, TableCopied, TableCopies};
use uuid::Uuid;

use crate::backup::names::check_finished;
use crate::clocks::{self, Clock};
use crate::config::Config;
use crate::error::Error;
use crate::key_file::folder;
use crate::outside::check_outside;
use crate::tables_place::TablesPlace;
use crate::{definitions, startup, subjects};

/// A file that says that a copy was not finished.
const UNFINISHED: &str = "copy-unfinished";

/// What is copied, and where to.
pub(crate) struct Asked<'a> {
    /// A directory that is not there, or is empty.
    pub(crate) to: &'a Path,
    /// All that there are, if none is named.
    pub(crate) tables: &'a [(Region, Kind)],
}

/// The fields of a line.
#[derive(Clone, Serialize)]
struct Fields {
    in_the_clear: bool,
    tables: Vec<String>,
    files: u64,
    rows: u64,
    bytes: u64,
    unreadable_files: u64,
}

/// Copies tables in the clear.
///
/// # Errors
/// When the directory may not be used, a table cannot be copied, or the audit not be written: nothing is left of the copy then.
pub(crate) async fn copy(
    config: &Config,
    asked: Asked<'_>,
    clock: &Clock,
) -> Result<Vec<TableCopied>, Error> {
    check_finished(&config.data_dir)?;
    let to = std::path::absolute(asked.to).map_err(|e| Error::io(asked.to, e))?;
    check_outside("a copy of tables", &to, config)?;
    check_empty(&to)?;
    let place = TablesPlace::look(config)?;
    let copies = TableCopies::new(Arc::clone(place.objects()), startup::data_keys_to_read(config)?, &to);
    let copies = copies.without(subjects::suppressed(config)?);
    let tables = wanted(&copies, asked.tables, config)?;
    let registry = definitions::read(config.schemas_dir.as_deref())?;
    let lines = Lines::begin(config, &tables, clocks::checked(clock)?).await?;
    let place = Place { is_new: !to.exists(), dir: to };
    let made = made(&place, &copies, &tables, &|kind, file| expired(&registry, kind, file, clock)).await;
    let ended = lines.end(made.as_deref().ok(), clock()).await;
    match made.and_then(|made| ended.map(|()| made)) {
        Ok(made) => {
            place.disk().remove(&[UNFINISHED]).map_err(|e| Error::io(&place.dir, e))?;
            Ok(made)
        }
        Err(error) => {
            place.clear();
            Err(error)
        }
    }
}

/// Whether no question may read a file any more, from the second of its expiry on.
fn expired(registry: &Registry, kind: Kind, file: &LiveFile, clock: &Clock) -> bool {
    is_expired(registry, file.programme, kind, file.day, day_of(clock()))
}

async fn made(
    place: &Place,
    copies: &TableCopies,
    tables: &[(Region, Kind)],
    is_expired: &dyn Fn(Kind, &LiveFile) -> bool,
) -> Result<Vec<TableCopied>, Error> {
    place.begin()?;
    let mut made = Vec::with_capacity(tables.len());
    for (region, kind) in tables {
        made.push(copies.copy(*region, *kind, &|file| is_expired(*kind, file)).await?);
    }
    Ok(made)
}

/// Refuses a directory that holds something.
fn check_empty(dir: &Path) -> Result<(), Error> {
    let refused = |told: &str| Err(Error::Usage(format!("{} {told}", dir.display())));
    let mut entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == ErrorKind::NotADirectory => return refused("is no directory"),
        entries => entries.map_err(|e| Error::io(dir, e))?,
    };
    match entries.next() {
        None => Ok(()),
        Some(_) if dir.join(UNFINISHED).exists() => {
            refused("holds a copy that was not finished: remove it, or name another directory")
        }
        Some(_) => refused("is not empty: name a directory that is not there, or an empty one"),
    }
}

fn wanted(
    copies: &TableCopies,
    named: &[(Region, Kind)],
    config: &Config,
) -> Result<Vec<(Region, Kind)>, Error> {
    let none = |what: &str| Error::Usage(format!("there is no {what} in {}", config.data_dir.display()));
    let kinds = |region: &'static Region| Kind::ALL.iter().map(|kind| (*region, *kind));
    let mut all = Vec::new();
    for (region, kind) in Region::ALL.iter().flat_map(kinds) {
        let is_named = named.contains(&(region, kind));
        if !is_named && !named.is_empty() {
            continue;
        }
        match copies.has(region, kind)? {
            true => all.push((region, kind)),
            false if is_named => return Err(none(&format!("table {}", name(region, kind)))),
            false => {}
        }
    }
    if all.is_empty() { Err(none("table")) } else { Ok(all) }
}

/// What a table is called, also on the command line.
pub(crate) fn name(region: Region, kind: Kind) -> String {
    format!("{}/{kind}", folder(region))
}

/// The directory of a copy.
struct Place {
    dir: PathBuf,
    /// Whether it was not there.
    is_new: bool,
}

impl Place {
    fn disk(&self) -> Disk {
        Disk::new(&self.dir).private()
    }

    /// Makes the directory, which is for its owner alone, and what says that the copy is not finished.
    fn begin(&self) -> Result<(), Error> {
        let io = |e| Error::io(&self.dir, e);
        let disk = self.disk();
        disk.make().map_err(io)?;
        if shoal_files::tighten(&self.dir).map_err(io)?.refused > 0 {
            let told =
                format!("{} belongs to somebody else: name a directory of your own", self.dir.display());
            return Err(Error::Usage(told));
        }
        disk.put(UNFINISHED, b"").map_err(io)
    }

    /// Removes what was made, as far as that can be done: the directory was empty.
    fn clear(&self) {
        let regions = Region::ALL.iter().map(|region| self.dir.join(folder(*region)));
        let removed = regions.filter(|dir| dir.exists()).try_for_each(std::fs::remove_dir_all);
        let removed = removed.and_then(|()| self.disk().remove(&[UNFINISHED]));
        if let Err(error) = removed {
            tracing::error!(%error, dir = %self.dir.display(), "what was copied could not be removed: remove it by hand");
        } else if self.is_new {
            // It is empty; one that stays does no harm.
            let _ = std::fs::remove_dir(&self.dir);
        }
    }
}

/// The two lines of a copy.
struct Lines {
    audit: Arc<Audit>,
    id: Uuid,
    fields: Fields,
}

impl Lines {
    /// Writes the first one.
    async fn begin(config: &Config, tables: &[(Region, Kind)], now_ms: i64) -> Result<Lines, Error> {
        let tables = tables.iter().map(|(region, kind)| format!("{region}/{kind}")).collect();
        let fields = Fields { in_the_clear: true, tables, files: 0, rows: 0, bytes: 0, unreadable_files: 0 };
        let lines = Lines { audit: startup::build_audit(config)?, id: Uuid::new_v4(), fields };
        lines.write(lines.fields.clone(), ActOutcome::Begun, now_ms).await?;
        Ok(lines)
    }

    /// Writes the second one: what was copied, or that it failed.
    async fn end(self, made: Option<&[TableCopied]>, now_ms: i64) -> Result<(), Error> {
        let mut fields = self.fields.clone();
        for table in made.unwrap_or_default() {
            fields.files += table.files;
            fields.rows += table.rows;
            fields.bytes += table.bytes;
            fields.unreadable_files += table.unreadable_files;
        }
        let outcome = if made.is_some() { ActOutcome::Done } else { ActOutcome::Failed };
        self.write(fields, outcome, now_ms).await
    }

    async fn write(&self, fields: Fields, outcome: ActOutcome, at_ms: i64) -> Result<(), Error> {
        let actor = Actor { key: None, role: Role::Operator };
        let origin = Origin { at_ms, act: Act::TablesCopy, id: self.id, actor };
        Ok(self.audit.begin(origin, fields).end(outcome).await?)
    }
}

#[cfg(test)]
mod tests;
