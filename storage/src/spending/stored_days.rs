//! The last day of which events may be stored below a root, from names and times of files alone.
//!
//! ```text
//! <root>/<region>/tables/<kind>/day=2026-11-22/    events of that day
//! <root>/<region>/log/<segment>                    events that came in before it was written last
//! ```
//! The clock of a moment may be wrong, and so may have been the one under which events came in: what is stored tells.
//! Invariant: reads only. Not here: what follows from it (`ledger_files`, `day_limits`).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use shoal_schemas::Region;
use shoal_schemas::calendar::day_of;

use crate::days::parse_day;
use crate::error::{Result, StorageError};

/// With what the name of a day's directory begins.
const DAY: &str = "day=";

/// The last day that any table below a root has; a day whose name cannot be read is before all others. None when there is none.
pub(super) fn last_of_tables(root: &Path) -> Result<Option<i32>> {
    let mut last = None;
    for table in of_regions(root, "tables")? {
        for entry in listed(&table)? {
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(day) = name.strip_prefix(DAY) {
                last = last.max(Some(parse_day(day).unwrap_or(i32::MIN)));
            }
        }
    }
    Ok(last)
}

/// The day on which any region's write-ahead log below a root was written last. None when there is no log.
pub(super) fn last_of_logs(root: &Path) -> Result<Option<i32>> {
    let mut last = None;
    for segment in of_regions(root, "log")? {
        let written = match fs::metadata(&segment).and_then(|found| found.modified()) {
            // A segment that goes meanwhile has told nothing of its own.
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            written => written.map_err(StorageError::io(&segment))?,
        };
        let passed = written.duration_since(UNIX_EPOCH).unwrap_or_default();
        last = last.max(Some(day_of(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX))));
    }
    Ok(last)
}

/// What every region has in one of its directories.
fn of_regions(root: &Path, dir: &str) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for region in Region::ALL {
        all.extend(listed(&root.join(region.as_str().to_ascii_lowercase()).join(dir))?);
    }
    Ok(all)
}

fn listed(dir: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => {
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            paths.collect::<std::io::Result<_>>().map_err(StorageError::io(dir))
        }
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(e) => Err(StorageError::io(dir)(e)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_last_day_of_any_region_counts() {
        let root = tempfile::tempdir().unwrap();
        let last = || (last_of_tables(root.path()).unwrap(), last_of_logs(root.path()).unwrap());
        assert_eq!(last(), (None, None));
        let days = [
            "us/tables/usage/day=1970-01-08",
            "de/tables/crash/day=1970-01-21",
            "my/tables/usage/_delta_log",
        ];
        days.iter().for_each(|name| fs::create_dir_all(root.path().join(name)).unwrap());
        for (name, day) in [("de", 30), ("sg", 40), ("us", 5)] {
            let dir = root.path().join(name).join("log");
            fs::create_dir_all(&dir).unwrap();
            let written = UNIX_EPOCH + Duration::from_secs(day * 86_400 + 7);
            fs::File::create(dir.join("1.segment")).unwrap().set_modified(written).unwrap();
        }
        assert_eq!(last(), (Some(20), Some(40)));
    }

    #[test]
    fn a_day_of_another_name_is_a_day_all_the_same() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("us/tables/usage/day=0")).unwrap();
        assert_eq!(last_of_tables(root.path()).unwrap(), Some(i32::MIN));
    }
}
