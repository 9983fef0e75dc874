//! Files with which a custody is opened: a PIN, a token, wrapping keys, certificates.
//!
//! Invariants: a secret is read into memory that is zeroised, at its full size at once; a file that everybody can read, or that a group
//! can change, is refused; no error has any of its content. A group may read it: container platforms hand secrets to one.

use std::io;
use std::path::Path;

use shoal_files::{Disk, Source as _};
use zeroize::Zeroizing;

/// No such file is longer than this, bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Bits of the mode that a secret may not have: everything of others, writing and executing of the group.
const REFUSED: u32 = 0o037;

/// Reads a secret. The error is a sentence without the content.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let file = opened(path)?;
    match file.mode().map_err(|e| unreadable(path, &e))? {
        mode if mode & REFUSED != 0 => {
            Err(format!("others can read or change {shown} (mode {mode:o}); run: chmod 600 {shown}"))
        }
        _ => text(path, &file),
    }
}

/// Reads what is no secret.
pub(crate) fn read_public(path: &Path) -> Result<Zeroizing<String>, String> {
    text(path, &opened(path)?)
}

/// Reads a secret that is one word, as a PIN or a token. White space around it does not count.
pub(crate) fn read_word(path: &Path) -> Result<Zeroizing<String>, String> {
    let text = read(path)?;
    match text.trim() {
        "" => Err(format!("{} is empty", path.display())),
        word if word.chars().any(char::is_control) => {
            Err(format!("{} has more than one line", path.display()))
        }
        word => Ok(Zeroizing::new(word.to_owned())),
    }
}

fn opened(path: &Path) -> Result<shoal_files::DiskFile, String> {
    let (disk, name) = Disk::of_file(path).map_err(|e| unreadable(path, &e))?;
    let file = disk.open_file(&name).map_err(|e| unreadable(path, &e))?;
    match file.is_regular().map_err(|e| unreadable(path, &e))? {
        true => Ok(file),
        false => Err(format!("{} is not a file", path.display())),
    }
}

fn text(path: &Path, file: &shoal_files::DiskFile) -> Result<Zeroizing<String>, String> {
    let length = file.length().map_err(|e| unreadable(path, &e))?;
    if length > FILE_BYTES_MAX {
        return Err(format!("{} is too long", path.display()));
    }
    let mut bytes = Zeroizing::new(vec![0; usize::try_from(length).unwrap_or_default()]);
    file.read_at(0, &mut bytes).map_err(|e| unreadable(path, &e))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| format!("{} is not text", path.display()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_read_when_others_cannot_read_it_and_no_error_shows_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pin");
        let put = |text: &str, mode| {
            let _ = fs::remove_file(&path);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for mode in [0o600, 0o400, 0o440, 0o640] {
            put(" s3cret\n", mode);
            assert_eq!(read_word(&path).unwrap().as_str(), "s3cret");
        }
        for mode in [0o644, 0o604, 0o660, 0o601, 0o610] {
            put("s3cret", mode);
            let told = read_word(&path).err().unwrap();
            assert!(told.contains("chmod 600") && !told.contains("s3cret"), "{told}");
            assert_eq!(read_public(&path).unwrap().as_str(), "s3cret");
        }
        for (text, part) in [("", "empty"), (" \n", "empty"), ("s3cret\nmore", "one line")] {
            put(text, 0o600);
            let told = read_word(&path).err().unwrap();
            assert!(told.contains(part) && !told.contains("s3cret"), "{told}");
        }
        put(&"x".repeat(70_000), 0o600);
        assert!(read_word(&path).err().unwrap().contains("too long"));
        assert!(read_word(dir.path()).err().unwrap().contains("not a file"));
        assert!(read_word(&dir.path().join("none")).err().unwrap().contains("cannot be read"));
    }
}
