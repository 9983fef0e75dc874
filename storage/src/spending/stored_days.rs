//! The last day of which events may be in a write-ahead log below a root, from times of files alone.
//!
//! ```text
//! <root>/<region>/log/<segment>      events that came in before it was written last
//! ```
//! The clock of a moment may be wrong, and so may have been the one under which events came in: what is stored tells.
//! Invariant: reads only. Not here: what follows from it (`ledger_files`, `day_limits`).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use shoal_schemas::Region;
use shoal_schemas::calendar::day_of;

use crate::error::{Result, StorageError};

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
        assert_eq!(last_of_logs(root.path()).unwrap(), None);
        for (name, day) in [("de", 30), ("sg", 40), ("us", 5)] {
            let dir = root.path().join(name).join("log");
            fs::create_dir_all(&dir).unwrap();
            let written = UNIX_EPOCH + Duration::from_secs(day * 86_400 + 7);
            fs::File::create(dir.join("1.segment")).unwrap().set_modified(written).unwrap();
        }
        assert_eq!(last_of_logs(root.path()).unwrap(), Some(40));
    }
}
