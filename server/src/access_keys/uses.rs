//! On which day each key was used last, for operators: in memory, and every hour and at the end of the service in
//! `<data_dir>/control/key-uses.json`.
//!
//! ```json
//! {"crc32":"<8 hex>", "version": 1, "days": {"ing0123456789": "2026-11-22"}}
//! ```
//! Invariants: no request writes a file; a day is all that is known, and no key is told it. What cannot be read, or is damaged, is
//! told to the log, and counts as not used: nothing else depends on it. Not here: the keys (`access_keys.rs`), the digest
//! (`checked_json.rs`).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use shoal_files::{Disk, Objects};

use crate::checked_json;
use crate::error::Error;

const VERSION: u32 = 1;
const FILE: &str = "key-uses.json";

/// Days since 1970, by the ids of keys.
type Days = BTreeMap<String, i32>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UsesFile {
    version: u32,
    days: BTreeMap<String, NaiveDate>,
}

/// The last days of a running service.
pub(crate) struct Uses {
    /// Where they are kept; nowhere in a command.
    disk: Option<Disk>,
    days: RwLock<Days>,
    /// As they were written last.
    written: Mutex<Days>,
}

impl Uses {
    /// Those of a command, which notes none.
    pub(super) fn of_nobody() -> Uses {
        Uses { disk: None, days: RwLock::default(), written: Mutex::default() }
    }

    /// Those of a data directory.
    pub(crate) fn open(data_dir: &Path) -> Uses {
        let days = last_uses(data_dir).unwrap_or_else(|error| {
            tracing::warn!(%error, "on which days keys were used last is not known");
            Days::new()
        });
        Uses { disk: Some(disk(data_dir)), written: Mutex::new(days.clone()), days: RwLock::new(days) }
    }

    /// A key was used on this day.
    pub(super) fn note(&self, id: &str, day: i32) {
        let is_known = self.days.read().unwrap_or_else(PoisonError::into_inner).get(id) == Some(&day);
        if !is_known {
            self.days.write().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), day);
        }
    }

    /// The day on which a key was used last.
    pub(super) fn last_day(&self, id: &str) -> Option<i32> {
        self.days.read().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    /// Whether any key is known to have been used.
    pub(super) fn is_any(&self) -> bool {
        !self.days.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Writes what has changed. Blocks until it is durable.
    ///
    /// # Errors
    /// When it cannot be written; it is tried again the next time.
    pub(super) fn write(&self) -> Result<(), Error> {
        let Some(disk) = &self.disk else { return Ok(()) };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let days = self.days.read().unwrap_or_else(PoisonError::into_inner).clone();
        if *written == days {
            return Ok(());
        }
        let shown = days.iter().filter_map(|(id, day)| Some((id.clone(), NaiveDate::from_epoch_days(*day)?)));
        let file = UsesFile { version: VERSION, days: shown.collect() };
        let text = checked_json::write(&file).map_err(|e| Error::Keys(e.to_string()))?;
        disk.put(FILE, &text).map_err(|e| Error::io(disk.path(FILE), e))?;
        *written = days;
        Ok(())
    }
}

fn disk(data_dir: &Path) -> Disk {
    Disk::new(data_dir.join("control")).private()
}

/// The last days as they were written, by the ids of keys.
///
/// # Errors
/// When the file cannot be read or is not one. No file is no error.
pub(crate) fn last_uses(data_dir: &Path) -> Result<BTreeMap<String, i32>, Error> {
    let disk = disk(data_dir);
    let text = match disk.read(FILE) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Days::new()),
        read => read.map_err(|e| Error::io(disk.path(FILE), e))?,
    };
    let content = checked_json::read(&text).filter(|content| content.is_checked);
    let file = content.and_then(|content| serde_json::from_slice::<UsesFile>(&content.json).ok());
    let file = file.filter(|file| file.version == VERSION);
    let file = file.ok_or_else(|| {
        Error::Keys(format!(
            "{}: this is no file of the last uses of keys, or it is damaged",
            disk.path(FILE).display()
        ))
    })?;
    Ok(file.days.into_iter().map(|(id, day)| (id, day.to_epoch_days())).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn last_days_are_kept_without_a_write_for_each_use() {
        let dir = tempfile::tempdir().unwrap();
        let uses = Uses::open(dir.path());
        let file = dir.path().join("control").join(FILE);
        uses.note("ing1", 20_779);
        uses.note("ana1", 20_778);
        assert!(!file.exists());
        uses.write().unwrap();
        let first = fs::metadata(&file).unwrap().modified().unwrap();
        uses.note("ing1", 20_779);
        uses.write().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), first, "nothing has changed");
        uses.note("ing1", 20_780);
        uses.write().unwrap();
        assert!(fs::read_to_string(&file).unwrap().contains("\"ing1\": \"2026-11-23\""));
        let again = Uses::open(dir.path());
        assert_eq!((again.last_day("ing1"), again.last_day("ana1")), (Some(20_780), Some(20_778)));
        assert_eq!(again.last_day("ing2"), None);
    }

    #[test]
    fn a_file_that_is_none_keeps_nothing_from_working() {
        let dir = tempfile::tempdir().unwrap();
        let uses = Uses::open(dir.path());
        uses.note("ing1", 20_779);
        uses.write().unwrap();
        let file = dir.path().join("control").join(FILE);
        fs::write(&file, "{\"version\":2,\"days\":{}}").unwrap();
        assert!(last_uses(dir.path()).is_err());
        let uses = Uses::open(dir.path());
        assert_eq!(uses.last_day("ing1"), None);
        uses.note("ing1", 20_780);
        uses.write().unwrap();
        assert_eq!(last_uses(dir.path()).unwrap(), Days::from([("ing1".to_owned(), 20_780)]));
    }
}
