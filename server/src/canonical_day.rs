//! From which day on pseudonyms are of the canonical forms of identifiers: kept as `<data_dir>/control/canonical_day.json`.
//!
//! ```json
//! {"version": 1, "first_day": "2027-01-31"}
//! ```
//! A new data directory begins with the canonical form. In one that an earlier version left, it begins with the next pseudonym
//! epoch, when every subject gets another pseudonym anyway, so that nobody becomes two subjects in between. Invariant: once
//! written the day never changes. Not here: the forms (`shoal-privacy`, `identifier.rs`).

use std::io::ErrorKind;
use std::path::Path;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use shoal_files::{Disk, Objects};
use shoal_ingest::Epochs;
use shoal_schemas::Region;
use shoal_schemas::calendar::day_of;

use crate::config::Config;
use crate::error::Error;

const VERSION: u32 = 1;
const FILE: &str = "canonical_day.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    first_day: NaiveDate,
}

/// Whether a data directory has tables of a region: asked before anything makes them.
pub(crate) fn has_tables(data_dir: &Path) -> Result<bool, Error> {
    for region in Region::ALL {
        let path = data_dir.join(region.as_str().to_ascii_lowercase());
        if path.try_exists().map_err(|e| Error::io(&path, e))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The day that is kept, or that is kept from now on. The caller holds the lock of the data directory.
pub(crate) fn open(config: &Config, had_tables: bool, now_ms: i64) -> Result<i32, Error> {
    let control = Disk::new(config.data_dir.join("control")).private();
    let path = control.path(FILE);
    match control.read(FILE) {
        Ok(text) => {
            let kept: Kept = serde_json::from_slice(&text)
                .map_err(|_| Error::Service(format!("{}: it holds no day", path.display())))?;
            if kept.version != VERSION {
                let reason = format!("{}: it is of another version of Shoal", path.display());
                return Err(Error::Service(reason));
            }
            Ok(kept.first_day.to_epoch_days())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let day = match had_tables {
                true => Epochs::next_first_day(config.ingest.epoch_days, day_of(now_ms)),
                false => 0,
            };
            let first_day = NaiveDate::from_epoch_days(day).unwrap_or(NaiveDate::MAX);
            let text = serde_json::to_vec(&Kept { version: VERSION, first_day })
                .map_err(|e| Error::Service(e.to_string()))?;
            control.put(FILE, &text).map_err(|e| Error::io(&path, e))?;
            Ok(first_day.to_epoch_days())
        }
        Err(error) => Err(Error::io(&path, error)),
    }
}
