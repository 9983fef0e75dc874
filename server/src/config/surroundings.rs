//! Whether the files and directories that the settings name can be used, before anything starts.
//!
//! Invariants: nothing is made or changed; no fault quotes what a file holds. A file can change between this and the start:
//! the start opens everything again and refuses for itself.

use std::fs::File;
use std::path::Path;

use rustix::fs::{Access, access};
use shoal_files::Disk;
use shoal_ingest::GeoDb;
use shoal_schemas::Registry;

use crate::key_file::{self, KeyError};

use super::read::Read;

/// Notes every file and directory that the service could not use.
pub(super) fn inspect(read: &mut Read) {
    let config = read.config.clone();
    let data_dir = directory(&config.data_dir).and_then(|()| without_links(&config.data_dir));
    // A place that follows from data_dir has the same fault.
    if config.budget_marks_dir.is_some() || data_dir.is_ok() {
        note(read, "budget_marks_dir", directory(&config.marks_dir()));
    }
    if config.withdrawals_dir.is_some() || data_dir.is_ok() {
        note(read, "withdrawals_dir", directory(&config.journal_dir()));
    }
    note(read, "data_dir", data_dir);
    note(read, "key_file", key_file_at(&config.key_file, &config.data_dir));
    // By default it is beside the key file, which is not there yet when its directory was looked at.
    if config.unit_key_dir.is_some() || config.key_file.exists() {
        note(read, "unit_key_dir", directory(&config.unit_key_dir()));
    }
    if config.data_key_dir.is_some() || config.key_file.exists() {
        note(read, "data_key_dir", directory(&config.data_key_dir()));
    }
    if let Some(dir) = &config.schemas_dir {
        note(read, "schemas_dir", definitions(dir));
    }
    if let Some(file) = &config.country_mmdb {
        note(read, "country_mmdb", GeoDb::open(file).map(drop).map_err(|e| vec![e.to_string()]));
    }
    let mut readable = true;
    for (name, path) in [("http.tls_cert", &config.http.tls_cert), ("http.tls_key", &config.http.tls_key)] {
        if let Some(path) = path {
            let opened = regular_file(path);
            readable &= opened.is_ok();
            note(read, name, opened);
        }
    }
    if let Some((cert, key)) = config.http.tls().filter(|_| readable) {
        let usable = crate::tls::server_config(cert, key).map(drop).map_err(|e| vec![e.to_string()]);
        note(read, "http.tls_cert", usable);
    }
}

/// What is wrong, whole sentences.
type Inspected = Result<(), Vec<String>>;

fn note(read: &mut Read, name: &'static str, inspected: Inspected) {
    if read.faults.refused(&[name]) {
        return;
    }
    for reason in inspected.err().into_iter().flatten() {
        let place = read.place(name);
        read.faults.push(place, format!("`{name}`: {reason}"));
    }
}

fn regular_file(path: &Path) -> Inspected {
    let opened = File::open(path).and_then(|file| file.metadata());
    match opened {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(vec![format!("{} is not a file", path.display())]),
        Err(error) => Err(vec![format!("{} cannot be read: {error}", path.display())]),
    }
}

/// A directory that can be written, or that can be made.
fn directory(path: &Path) -> Inspected {
    let not_empty = |path: &Path| !path.as_os_str().is_empty();
    // The nearest directory that is there; the path's own, when it is.
    let there =
        path.ancestors().find(|p| not_empty(p) && p.symlink_metadata().is_ok()).unwrap_or(Path::new("."));
    let shown = there.display();
    let reason = match access(there, Access::WRITE_OK | Access::EXEC_OK) {
        _ if !there.is_dir() => format!("{shown} is not a directory"),
        Ok(()) => return Ok(()),
        Err(error) => format!("the directory {shown} cannot be written: {error}"),
    };
    Err(vec![reason])
}

/// A directory without symbolic links below it, or none at all.
fn without_links(path: &Path) -> Inspected {
    match Disk::new(path).links() {
        Ok(links) if links.is_empty() => Ok(()),
        Ok(links) => Err(links.iter().map(ToString::to_string).collect()),
        Err(error) => Err(vec![format!("{} cannot be read: {error}", path.display())]),
    }
}

/// A key file that the service would take, or a directory in which it can make one because there are no data yet.
fn key_file_at(path: &Path, data_dir: &Path) -> Inspected {
    // What cannot be looked at is told of data_dir.
    let is_there = path.symlink_metadata().is_ok();
    if !is_there && key_file::has_data(data_dir).unwrap_or(false) {
        let (path, data_dir) = (path.display().to_string(), data_dir.display().to_string());
        return Err(vec![KeyError::Missing { path, data_dir }.to_string()]);
    }
    if is_there {
        return key_file::look(path).map_err(|error| vec![error.to_string()]);
    }
    directory(path.parent().unwrap_or(Path::new(".")))
}

fn definitions(dir: &Path) -> Inspected {
    if !dir.is_dir() {
        return Err(vec![format!("{} is not a directory", dir.display())]);
    }
    Registry::load(Some(dir)).map(drop).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}
