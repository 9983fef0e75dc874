//! From which day on pseudonyms are of the canonical forms of identifiers: kept as `<data_dir>/control/canonical_day.json`.
//!
//! ```json
//! {"crc32":"<8 hexadecimal digits>", "version": 1, "first_day": "2027-01-31"}
//! ```
//! A new data directory begins with the canonical form. In one that an earlier version left, it begins with the next pseudonym
//! epoch, when every subject gets another pseudonym anyway, so that nobody becomes two subjects in between. Invariants: once
//! written the day never changes; it is after the epoch of every event that is kept, and a clock that is far beyond all that is known
//! of the time has no part in it; a file of before there were digests gets its own at the next start. Not here: the forms (`shoal-privacy`,
//! `identifier.rs`), the digest (`checked_json.rs`).

use std::io::ErrorKind;
use std::path::Path;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use shoal_files::{Disk, Objects};
use shoal_ingest::Epochs;
use shoal_retention::{KnownTimes, plausible};
use shoal_schemas::calendar::day_of;

use crate::checked_json;
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

/// The day that is kept, or that is kept from now on: after the epoch of the newest that is known, and of the clock where that can be
/// right. The caller holds the lock of the data directory.
pub(crate) fn open(config: &Config, had_tables: bool, known: &KnownTimes, now_ms: i64) -> Result<i32, Error> {
    let control = Disk::new(config.data_dir.join("control")).private();
    let path = control.path(FILE);
    let (first_day, is_checked) = match control.read(FILE) {
        Ok(text) => read(&path, &text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let newest_ms = known.newest_ms().unwrap_or(now_ms);
            let until_ms = if plausible(now_ms, known).is_ok() { newest_ms.max(now_ms) } else { newest_ms };
            let day = match had_tables {
                true => Epochs::next_first_day(config.ingest.epoch_days, day_of(until_ms)),
                false => 0,
            };
            (NaiveDate::from_epoch_days(day).unwrap_or(NaiveDate::MAX), false)
        }
        Err(error) => return Err(Error::io(&path, error)),
    };
    if !is_checked {
        let text = checked_json::write(&Kept { version: VERSION, first_day })
            .map_err(|e| Error::Service(e.to_string()))?;
        control.put(FILE, &text).map_err(|e| Error::io(&path, e))?;
    }
    Ok(first_day.to_epoch_days())
}

/// The day that a file says, and whether the file has a digest.
fn read(path: &Path, text: &[u8]) -> Result<(NaiveDate, bool), Error> {
    let damaged = || {
        let reason = "it is damaged: put it back from a copy. If there is none, move it away: spellings of one identifier are one \
                      subject from the next pseudonym epoch on then";
        Error::Service(format!("{}: {reason}", path.display()))
    };
    let content = checked_json::read(text).ok_or_else(damaged)?;
    let kept: Kept = serde_json::from_slice(&content.json).map_err(|_| damaged())?;
    if kept.version != VERSION {
        return Err(Error::Service(format!("{}: it is of another version of Shoal", path.display())));
    }
    Ok((kept.first_day, content.is_checked))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    const NOW_MS: i64 = 1_795_348_800_000;

    fn open(config: &Config, had_tables: bool, now_ms: i64) -> Result<i32, Error> {
        super::open(config, had_tables, &KnownTimes::default(), now_ms)
    }

    #[test]
    fn a_clock_that_is_wrong_changes_nothing_about_the_day_and_no_later_start_does() {
        let known =
            |newest_ms| KnownTimes { event_ms: Some(newest_ms), audit_ms: None, mark_ms: Some(newest_ms) };
        let years = 5 * 365 * 86_400_000;
        for clock_ms in [NOW_MS + years, NOW_MS - years, NOW_MS] {
            let dir = tempfile::tempdir().unwrap();
            let config = Config::embedded(dir.path()).unwrap();
            let day_at = |now_ms, newest_ms| super::open(&config, true, &known(newest_ms), now_ms).unwrap();
            let next = Epochs::next_first_day(config.ingest.epoch_days, day_of(NOW_MS));
            assert_eq!(day_at(clock_ms, NOW_MS), next, "{clock_ms}");
            // Also where the clock was right and the service had stood for years: rows have come under that day by now.
            assert_eq!(day_at(clock_ms, clock_ms.max(NOW_MS)), next, "{clock_ms}");
        }
    }

    #[test]
    fn a_day_that_is_damaged_is_an_error_and_one_without_a_digest_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::embedded(dir.path()).unwrap();
        let path = config.data_dir.join("control").join(FILE);
        let day = open(&config, true, NOW_MS).unwrap();
        assert!(day > day_of(NOW_MS) && open(&config, true, 0).unwrap() == day);
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &bytes).unwrap();
            let told = open(&config, true, NOW_MS).unwrap_err().to_string();
            assert!(told.contains(FILE) && told.contains("put it back"), "bit {bit}: {told}");
            assert_eq!(fs::read(&path).unwrap(), bytes, "nothing is written over it");
        }
        let first_day = NaiveDate::from_epoch_days(day).unwrap();
        fs::write(&path, format!("{{\"version\":1,\"first_day\":\"{first_day}\"}}")).unwrap();
        assert_eq!(open(&config, true, 0).unwrap(), day);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}
