//! Whether the files of consents are there: one that is missing beside data would be made anew, and with it every withdrawal of its
//! region would be forgotten.
//!
//! ```json
//! {"seq":11,"prev":"..","at_ms":1795348800000,"act":"consents_accept_loss","id":"<uuid>","key":"off0123456789",
//!  "role":"officer","outcome":"done","regions":["DE"],"hash":".."}
//! ```
//! A start makes the files of all regions before anything else in them, so whatever was taken was taken with all of them. A start that
//! was cut off before has left no data, and the next one goes on. Records of one region are under its own keys: those of others cannot
//! stand for them. Invariants: nothing is made beside data until somebody accepts by name that it is lost; nothing is accepted
//! without its line; whoever calls holds the lock of the data directory.
//! Not here: the files (`shoal-storage`, `consents`), the key file (`key_file.rs`).

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin};
use shoal_files::Objects;
use shoal_privacy::keyring::Sealed;
use shoal_schemas::Region;
use shoal_storage::stored_days;
use uuid::Uuid;

use crate::config::Config;
use crate::error::Error;
use crate::file_keys::FileKeys;
use crate::key_file::folder;

const FILE: &str = "ledger.redb";

/// The fields of the line of what was accepted.
#[derive(Serialize)]
struct AcceptFields {
    regions: Vec<Region>,
}

/// Makes sure that none is missing beside data. A service may open them then, and make them in a new directory.
///
/// # Errors
/// When one is missing beside data; the error says what to do.
pub(crate) fn check(data_dir: &Path, tables: &dyn Objects) -> Result<(), Error> {
    let missing = missing(data_dir, tables)?;
    if missing.is_empty() {
        return Ok(());
    }
    let files: Vec<String> =
        missing.iter().map(|region| path(data_dir, *region).display().to_string()).collect();
    Err(Error::Service(format!(
        "the consents of {} are missing, and {} holds events that were taken with them. Put back {} from a copy, as new as there is: \
         without it the grants of that region are forgotten, and every withdrawal that the journal of withdrawals does not know. If \
         there is no copy, `shoal consents accept-loss` begins with an empty file, and the audit has a line of it",
        names(&missing),
        data_dir.display(),
        files.join(", ")
    )))
}

/// Accepts that the files which are missing are lost, and makes them. Returns whose they are: none when none is missing, and nothing
/// is changed then.
///
/// # Errors
/// When a file cannot be read or made, or there can be no line of it. It may be repeated.
pub(crate) async fn accept(
    config: &Config,
    tables: &dyn Objects,
    audit: &Arc<Audit>,
    actor: Actor,
    now_ms: i64,
) -> Result<Vec<Region>, Error> {
    let regions = missing(&config.data_dir, tables)?;
    if regions.is_empty() {
        return Ok(regions);
    }
    let origin = Origin { at_ms: now_ms, act: Act::ConsentsAcceptLoss, id: Uuid::new_v4(), actor };
    // Before anything is made: without its line there is no acceptance.
    audit.begin(origin, AcceptFields { regions: regions.clone() }).end(ActOutcome::Done).await?;
    let keys = FileKeys::open(config)?;
    shoal_ingest::open_sealed_consents(&config.data_dir, &|region| keys.of(Sealed::Consents(region)))?;
    Ok(regions)
}

/// As they are told: `DE, SG`.
pub(crate) fn names(regions: &[Region]) -> String {
    regions.iter().map(|region| region.as_str()).collect::<Vec<_>>().join(", ")
}

fn path(data_dir: &Path, region: Region) -> PathBuf {
    data_dir.join(folder(region)).join(FILE)
}

/// The regions whose files are missing beside data. One without any bytes is missing, too: it would be made as one that is not there.
fn missing(data_dir: &Path, tables: &dyn Objects) -> Result<Vec<Region>, Error> {
    let mut missing = Vec::new();
    for region in Region::ALL {
        let path = path(data_dir, *region);
        let bytes = match fs::metadata(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => 0,
            found => found.map_err(|e| Error::io(&path, e))?.len(),
        };
        if bytes == 0 {
            missing.push(*region);
        }
    }
    let has_data = !missing.is_empty() && has_data(data_dir, tables).map_err(|e| Error::io(data_dir, e))?;
    Ok(if has_data { missing } else { Vec::new() })
}

/// Whether a service has taken events in here, or could have: any region has a segment of a log, or a table with a day. Tables alone
/// are also made by commands.
fn has_data(data_dir: &Path, tables: &dyn Objects) -> io::Result<bool> {
    for region in Region::ALL {
        let dir = data_dir.join(folder(*region));
        if !entries(&dir.join("log"))?.is_empty() {
            return Ok(true);
        }
        if !stored_days(tables, *region)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What is in a directory; nothing when there is none.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_files::Disk;

    use super::*;

    fn refused(dir: &Path) -> Option<String> {
        let opened = check(dir, &Disk::new(dir)).and_then(|()| Ok(shoal_ingest::open_consents(dir)?));
        opened.err().map(|error| error.to_string())
    }

    #[test]
    fn a_file_of_consents_is_made_in_a_new_directory_and_never_beside_data() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(refused(dir.path()), None);
        // A first start that was cut off between the files of two regions.
        fs::remove_file(path(dir.path(), Region::Sg)).unwrap();
        fs::create_dir_all(dir.path().join("de/tables/usage/_delta_log")).unwrap();
        assert_eq!(refused(dir.path()), None);
        assert!(path(dir.path(), Region::Sg).exists());
        for evidence in ["us/log/0000000000000001.log", "de/tables/usage/day=2026-11-22/a.parquet"] {
            let evidence = dir.path().join(evidence);
            fs::create_dir_all(evidence.parent().unwrap()).unwrap();
            fs::write(&evidence, "").unwrap();
            assert_eq!(refused(dir.path()), None, "all are there");
            for missing in [&[Region::De][..], &[Region::My], Region::ALL] {
                let kept: Vec<Vec<u8>> =
                    missing.iter().map(|region| fs::read(path(dir.path(), *region)).unwrap()).collect();
                missing.iter().for_each(|region| fs::remove_file(path(dir.path(), *region)).unwrap());
                for _ in 0..2 {
                    let told = refused(dir.path()).unwrap();
                    assert!(told.contains("accept-loss") && told.contains(&names(missing)), "{told}");
                }
                assert!(missing.iter().all(|region| !path(dir.path(), *region).exists()), "none is made");
                missing.iter().for_each(|region| fs::write(path(dir.path(), *region), "").unwrap());
                assert!(refused(dir.path()).unwrap().contains(&names(missing)), "an empty one is missing");
                for (region, bytes) in missing.iter().zip(kept) {
                    fs::write(path(dir.path(), *region), bytes).unwrap();
                }
                assert_eq!(refused(dir.path()), None, "it was put back");
            }
            fs::remove_dir_all(evidence.parent().unwrap()).unwrap();
        }
    }
}
