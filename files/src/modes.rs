//! Takes away what others than the owner may do with the files of a directory.
//!
//! Invariants: nothing is given to anybody; a link is neither followed nor changed, and a file that is exchanged for a link
//! meanwhile is not either; what is closed already is not opened. Not here: the modes of new files, which the process's mask
//! closes (`shoal-server`).

use std::io;
use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fchmod, fstat, openat, statat};
use rustix::io::Errno;

/// What others than the owner may do.
const OTHERS: u32 = 0o077;

/// How deep directories nest, at the most; what lies deeper is nobody's of Shoal.
const DEPTH_MAX: usize = 16;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tightened {
    /// Files and directories that others had a right to and have none now.
    pub closed: u64,
    /// Those that could not be changed: they are somebody else's.
    pub refused: u64,
}

/// Closes a directory and everything below it to others than the owner. A directory that is not there is closed.
///
/// # Errors
/// When the directory itself cannot be read.
pub fn tighten(root: &Path) -> io::Result<Tightened> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The operator names the root, so it may be a link.
    let root = match openat(CWD, root, flags, Mode::empty()) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(Tightened::default()),
        Err(error) => return Err(error.into()),
    };
    let mut done = Tightened::default();
    close(&root, &mut done);
    below(&root, DEPTH_MAX, &mut done)?;
    Ok(done)
}

/// Closes one open file or directory.
fn close(file: &OwnedFd, done: &mut Tightened) {
    let closed = fstat(file).and_then(|stat| {
        let is_open = stat.st_mode & OTHERS != 0;
        if is_open {
            fchmod(file, Mode::from_raw_mode(stat.st_mode & 0o7777 & !OTHERS))?;
        }
        Ok(is_open)
    });
    match closed {
        Ok(is_open) => done.closed += u64::from(is_open),
        Err(_) => done.refused += 1,
    }
}

fn below(directory: &OwnedFd, depth: usize, done: &mut Tightened) -> io::Result<()> {
    if depth == 0 {
        return Ok(());
    }
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // What goes away meanwhile needs no closing.
        let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_open = stat.st_mode & OTHERS != 0;
        let extra = match kind {
            FileType::Directory => OFlags::DIRECTORY,
            // Without waiting for a writer, should it have become a pipe.
            FileType::RegularFile if is_open => OFlags::NONBLOCK,
            _ => continue,
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | extra;
        match openat(directory.as_fd(), name, flags, Mode::empty()) {
            Ok(file) => {
                close(&file, done);
                if kind == FileType::Directory && below(&file, depth - 1, done).is_err() {
                    done.refused += 1;
                }
            }
            Err(Errno::NOENT) => {}
            Err(_) => done.refused += u64::from(is_open),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn others_lose_what_they_had_and_nobody_gains() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        fs::create_dir_all(root.join("de/tables")).unwrap();
        let modes =
            [("de/a", 0o644, 0o600), ("de/tables/b", 0o666, 0o600), ("c", 0o400, 0o400), ("d", 0o755, 0o700)];
        for (name, before, _) in modes {
            fs::write(root.join(name), "x").unwrap();
            set(&root.join(name), before);
        }
        set(&root, 0o755);
        set(&root.join("de"), 0o2755);
        set(&root.join("de/tables"), 0o777);
        assert_eq!(tighten(&root).unwrap(), Tightened { closed: 6, refused: 0 });
        for (name, _, after) in modes {
            assert_eq!(mode(&root.join(name)), after, "{name}");
        }
        let found = [mode(&root), mode(&root.join("de")), mode(&root.join("de/tables"))];
        assert_eq!(found, [0o700, 0o2700, 0o700]);
        assert_eq!(tighten(&root).unwrap(), Tightened::default(), "once is enough");
        assert_eq!(tighten(&dir.path().join("none")).unwrap(), Tightened::default());
    }

    #[test]
    fn what_a_link_leads_to_is_left_alone_but_for_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (dir.path().join("data"), dir.path().join("elsewhere"));
        fs::create_dir(&root).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(elsewhere.join("file"), "x").unwrap();
        fs::write(root.join("own"), "x").unwrap();
        for (path, mode) in
            [(&elsewhere, 0o755), (&elsewhere.join("file"), 0o644), (&root.join("own"), 0o644)]
        {
            set(path, mode);
        }
        symlink(&elsewhere, root.join("directory")).unwrap();
        symlink(elsewhere.join("file"), root.join("file")).unwrap();
        symlink(&root, dir.path().join("link")).unwrap();
        tighten(&dir.path().join("link")).unwrap();
        assert_eq!((mode(&elsewhere), mode(&elsewhere.join("file"))), (0o755, 0o644));
        assert_eq!((mode(&root), mode(&root.join("own"))), (0o700, 0o600));
    }
}
