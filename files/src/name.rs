//! Names of objects: segments joined by `/`, relative to the root of whoever stores them.
//!
//! Invariants: a checked name stays below its root, is not hidden behind `.` or `..`, and is not one of the names that
//! unfinished objects have on a disk. Not here: how a store spells a name.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

/// Refuses a string that can be no object's name.
pub(crate) fn check(name: &str) -> io::Result<()> {
    let refuse = |reason: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    if name.split('/').any(|segment| matches!(segment, "" | "." | "..") || segment.contains('\0')) {
        return refuse("a name of an object has segments that are neither empty nor `.` nor `..`");
    }
    if is_unfinished(name) {
        return refuse("a name that ends in `#` and digits is that of an unfinished object");
    }
    Ok(())
}

/// Refuses a string that can be no folder's name. The empty string is the root.
pub(crate) fn check_folder(folder: &str) -> io::Result<()> {
    if folder.is_empty() { Ok(()) } else { check(folder) }
}

/// Whether an object with this name is in the folder, at any depth.
pub(crate) fn is_below(name: &str, folder: &str) -> bool {
    folder.is_empty() || name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a file of this name is an unfinished object. `object_store` uses the same form and hides such files, too.
pub(crate) fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, digits)| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The name of a new unfinished object that is to become `name`.
pub(crate) fn unfinished(name: &OsStr) -> PathBuf {
    let mut name = name.to_owned();
    name.push(format!("#{}", crate::host::random_id().as_u128()));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_names_are_known_again() {
        let draft = unfinished(OsStr::new("day=2026-01-01/ux-1.parquet"));
        let draft = draft.to_str().unwrap_or_default();
        assert!(is_unfinished(draft));
        assert!(!is_unfinished("ux-1.parquet"));
        assert!(!is_unfinished("a#b"));
        assert!(!is_unfinished("a#"));
        assert!(check(draft).is_err());
    }

    #[test]
    fn a_folder_holds_what_is_below_it_and_no_more() {
        assert!(is_below("a/b", "") && is_below("a/b", "a") && is_below("a/b/c", "a/b"));
        assert!(!is_below("ab/c", "a") && !is_below("a", "a") && !is_below("b/a", "a"));
        assert!(check_folder("").is_ok() && check_folder("a/b").is_ok());
        assert!(check_folder("/").is_err() && check_folder("a/").is_err() && check_folder("../a").is_err());
    }
}
