//! What makes a file survive a power cut: its bytes are synced before its name exists, and the name is synced before anyone
//! is told.
//!
//! Invariant: a name in a directory always stands for complete, synced bytes; a name that ends in `#` and digits is
//! unfinished and belongs to nobody after a restart. Not here: who decides what is written (`chain`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// The unfinished name of a file.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{}", Uuid::new_v4().as_u128()));
    PathBuf::from(name)
}

/// Syncs the entries of a directory.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a directory and its missing parents, and syncs the entry of each one made.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    create_dir(parent)?;
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    sync_dir(parent)
}

/// Gives a complete, synced file its name, which must not exist, and syncs the name.
pub(crate) fn publish(unfinished: &Path, path: &Path) -> io::Result<()> {
    let linked = fs::hard_link(unfinished, path);
    // The name counts. A second, unfinished one that stays behind is harmless.
    let _ = fs::remove_file(unfinished);
    linked?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
}
