//! Directories whose entries survive a power cut.
//!
//! Invariants: a directory that [`make`] returned for has a synced entry in each directory above; an empty directory is
//! removed only by name, so that a file which appears in it at the same time stays; no listing passes over a symbolic link.
//! Not here: files (`draft`).

use std::fs::{self, DirBuilder, DirEntry, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::link::Link;

/// The directory that a path is in.
pub(super) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => Path::new("/"),
    }
}

/// Syncs the entries of a directory.
pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a directory and the missing ones above it, and syncs the entry of each one made.
pub(super) fn make(path: &Path, mode: u32) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    make(parent, mode)?;
    match DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    // Left in place, it would count as made by the next call.
    sync(parent).inspect_err(|_| drop(fs::remove_dir(path)))
}

/// Makes the removal of files from a directory durable, and removes it, and those above, when they are empty.
pub(super) fn prune(path: &Path, root: &Path) -> io::Result<()> {
    let is_inside = |path: &Path| path != root && path.starts_with(root);
    let mut path = path;
    while is_inside(path) && fs::remove_dir(path).is_ok() {
        path = parent_of(path);
    }
    loop {
        match sync(path) {
            // It was removed before; the one above may not be synced yet.
            Err(e) if e.kind() == ErrorKind::NotFound && is_inside(path) => path = parent_of(path),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
            synced => return synced,
        }
    }
}

/// Removes the empty directories below this one, and syncs every other.
pub(super) fn prune_below(path: &Path) -> io::Result<()> {
    for entry in entries(path)? {
        if entry.file_type()?.is_dir() {
            prune_below(&entry.path())?;
            // One that is not empty stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
    match sync(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

/// Visits every regular file in a directory and below; `folder` is what its names begin with. A file that goes
/// meanwhile is skipped, and so are names that are no text. A [`Link`] is an error.
pub(super) fn walk(
    path: &Path,
    folder: &str,
    visit: &mut dyn FnMut(String, &Metadata) -> io::Result<()>,
) -> io::Result<()> {
    for entry in entries(path)? {
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            return Err(Link(entry.path()).into());
        }
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if kind.is_dir() {
            walk(&entry.path(), &name, visit)?;
        } else if kind.is_file() {
            match entry.metadata() {
                Ok(metadata) => visit(name, &metadata)?,
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}

/// A [`Link`] at this path is an error.
pub(super) fn refuse_link(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(Link(path.to_path_buf()).into()),
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Every symbolic link in a directory and below, in the order of their paths. A directory below that may not be entered is
/// passed over: nothing in it can be read either.
pub(super) fn links(path: &Path) -> io::Result<Vec<Link>> {
    let mut found = Vec::new();
    let mut waiting = vec![path.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let listed = match entries(&directory) {
            Err(e) if e.kind() == ErrorKind::PermissionDenied && directory != path => continue,
            listed => listed?,
        };
        for entry in listed {
            let kind = entry.file_type()?;
            if kind.is_symlink() {
                found.push(Link(entry.path()));
            } else if kind.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// When a file was last written, by the file system's clock, in milliseconds since 1970.
pub(super) fn modified_ms(metadata: &Metadata) -> io::Result<i64> {
    let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// None when there is no such directory.
fn entries(path: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        found => found?.collect(),
    }
}
