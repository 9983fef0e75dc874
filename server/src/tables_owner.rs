//! Whose the tables are that lie apart from the data directory: one data directory's, whose service alone may write them.
//!
//! ```text
//! <data_dir>/control/tables-owner.json      a number of this directory's own, made at the first start over such a place
//! <place>/owner                             the same number, put where there was none
//! ```
//! What events are known already, who has withdrawn and what was spent lie in the data directory. A second service over the same tables
//! would know nothing of it, so it is refused before it reads or writes a table. The lock of the data directory sees to it that one
//! process serves the directory. Invariant: a number that is in the place is never replaced. Not here: the lock (`shoal-storage`).

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shoal_files::{Disk, Objects};
use uuid::Uuid;

use crate::checked_json;
use crate::error::Error;

const VERSION: u32 = 1;
const FILE: &str = "tables-owner.json";
/// Its name in the place.
const OWNER: &str = "owner";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    id: Uuid,
}

/// Makes the tables those of a data directory, or finds that they are. The caller holds the lock of the directory. Blocks.
///
/// # Errors
/// When they are another one's.
pub(crate) fn claim(data_dir: &Path, tables: &dyn Objects) -> Result<(), Error> {
    let control = control(data_dir);
    let own = match kept(&control)? {
        Some(own) => own,
        None => made(&control)?,
    };
    match tables.put_if_absent(OWNER, own.to_string().as_bytes()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => look(data_dir, tables),
        Err(error) => Err(Error::io(tables.path(OWNER), error)),
    }
}

/// Whether the tables are those of a data directory, or nobody's. Changes nothing. Blocks.
///
/// # Errors
/// When they are another one's, or cannot be looked at.
pub(crate) fn look(data_dir: &Path, tables: &dyn Objects) -> Result<(), Error> {
    let at = tables.path(OWNER);
    let owner = match tables.read(OWNER) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|e| Error::io(&at, e))?,
    };
    if kept(&control(data_dir))?.is_some_and(|own| own.to_string().as_bytes() == owner) {
        return Ok(());
    }
    Err(Error::Service(format!(
        "{}: the tables are those of another data directory than {}. One service at a time may have them: what it knows of events, \
         withdrawals and budgets is in its data directory. Start with that directory, or name another prefix in storage.url. If that \
         directory is lost, put a backup back, which brings its tables to a prefix of their own",
        at.display(),
        data_dir.display()
    )))
}

fn control(data_dir: &Path) -> Disk {
    Disk::new(data_dir.join("control")).private()
}

/// The number of a data directory; none when it has none yet.
fn kept(control: &Disk) -> Result<Option<Uuid>, Error> {
    let path = control.path(FILE);
    let text = match control.read(FILE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|e| Error::io(&path, e))?,
    };
    let damaged = || Error::Service(format!("{}: it is damaged: put it back from a copy", path.display()));
    let content = checked_json::read(&text).filter(|content| content.is_checked).ok_or_else(damaged)?;
    let kept: Kept = serde_json::from_slice(&content.json).map_err(|_| damaged())?;
    match kept.version {
        VERSION => Ok(Some(kept.id)),
        _ => Err(Error::Service(format!("{}: it is of another version of Shoal", path.display()))),
    }
}

fn made(control: &Disk) -> Result<Uuid, Error> {
    let id = Uuid::new_v4();
    let text =
        checked_json::write(&Kept { version: VERSION, id }).map_err(|e| Error::Service(e.to_string()))?;
    control.put_if_absent(FILE, &text).map_err(|e| Error::io(control.path(FILE), e))?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_files::Memory;

    use super::*;

    #[test]
    fn tables_are_one_data_directorys() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let tables = Memory::new();
        for _ in 0..2 {
            claim(one.path(), &tables).unwrap();
            look(one.path(), &tables).unwrap();
            assert!(look(other.path(), &tables).is_err());
            let told = claim(other.path(), &tables).unwrap_err().to_string();
            assert!(told.contains("another data directory") && told.contains("storage.url"), "{told}");
        }
        claim(other.path(), &Memory::new()).unwrap();
    }

    #[test]
    fn a_number_that_is_damaged_is_not_made_anew() {
        let (dir, tables) = (tempfile::tempdir().unwrap(), Memory::new());
        look(dir.path(), &tables).unwrap();
        assert!(!dir.path().join("control").exists(), "looking makes nothing");
        claim(dir.path(), &tables).unwrap();
        let path = dir.path().join("control").join(FILE);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(claim(dir.path(), &tables).unwrap_err().to_string().contains("damaged"));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
