//! Whether a backup is whole: every file is there with its digest, and the log of every table lists files that are there.
//!
//! Invariant: reads only. Not here: putting it back (`restore`).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use shoal_files::{Source, digest};
use shoal_schemas::{Kind, Region};
use shoal_storage::{LogFile, read_log};

use super::manifest::{FileThen, Manifest};
use super::place::Place;
use crate::error::Error;
use crate::key_file::folder;

/// What was found.
pub(crate) struct Verified {
    pub(crate) manifest: Manifest,
    /// Whole sentences without their end: what is missing or changed.
    pub(crate) faults: Vec<String>,
}

/// Looks at all of a backup.
///
/// # Errors
/// When there is no manifest that can be read.
pub(crate) async fn verify(dir: &Path) -> Result<Verified, Error> {
    let place = Place::to_read(dir);
    let manifest = manifest_of(&place, dir)?;
    Ok(verified(&place, manifest).await)
}

pub(super) async fn verified(place: &Place, manifest: Manifest) -> Verified {
    let mut faults: Vec<String> = manifest.files.iter().filter_map(|file| fault(place, file)).collect();
    for table in &manifest.tables {
        if let Err(reason) = table_fault(place, &manifest, table.region, table.kind).await {
            faults.push(format!("the table {}/{}: {reason}", table.region, table.kind));
        }
    }
    Verified { manifest, faults }
}

/// The manifest of a directory that should hold a backup.
pub(super) fn manifest_of(place: &Place, dir: &Path) -> Result<Manifest, Error> {
    place
        .manifest()?
        .ok_or_else(|| Error::Usage(format!("{} holds no backup: it has no manifest", dir.display())))
}

fn fault(place: &Place, file: &FileThen) -> Option<String> {
    let FileThen { path, bytes, digest: told } = file;
    let looked = place.open(file).and_then(|source| {
        let length = source.length()?;
        Ok((length, length == *bytes && digest(&*source)? == *told))
    });
    match looked {
        Ok((_, true)) => None,
        // Its name is that of the right bytes, so no backup writes it again while it is there.
        Ok((length, _)) => {
            let what = match length == *bytes {
                true => "was changed".to_owned(),
                false => format!("has {length} bytes, and had {bytes}"),
            };
            let object = place.path(told);
            Some(format!("{path} {what}: remove {}, and make the backup again", object.display()))
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Some(format!("{path} is missing")),
        Err(e) => Some(format!("{path} cannot be read: {e}")),
    }
}

/// What is wrong with a table's log, if something is.
async fn table_fault(place: &Place, manifest: &Manifest, region: Region, kind: Kind) -> Result<(), String> {
    let root = format!("{}/tables/{}/", folder(region), kind.as_str());
    let own: BTreeMap<&str, &FileThen> =
        manifest.files.iter().filter_map(|file| Some((file.path.strip_prefix(&root)?, file))).collect();
    let mut log = Vec::new();
    for (path, file) in own.iter().filter(|(path, _)| path.starts_with("_delta_log/")) {
        let read = place.open(file).and_then(|source| read_all(&*source));
        log.push(LogFile { path: (*path).to_owned(), bytes: read.map_err(|e| e.to_string())? });
    }
    let live = read_log(region, kind, log).await.map_err(|e| e.to_string())?;
    match live.iter().find(|file| own.get(file.path.as_str()).is_none_or(|own| own.bytes != file.bytes)) {
        Some(file) => Err(format!("its log lists {}, which is not in the backup as it was", file.path)),
        None => Ok(()),
    }
}

fn read_all(source: &dyn Source) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(source.length()?).map_err(std::io::Error::other)?];
    source.read_at(0, &mut bytes)?;
    Ok(bytes)
}
