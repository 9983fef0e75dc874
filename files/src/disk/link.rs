//! Symbolic links below a disk's directory. There may be none: a file behind one can be read by its name, but a listing does
//! not come to it, so that it would outlive everything that deletes what was listed.
//!
//! Not here: the directory of a disk itself, which may be a link.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A symbolic link where there may be none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link(pub(super) PathBuf);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.display();
        write!(
            f,
            "{path} is a symbolic link, and what is behind it would not be deleted when it should be: "
        )?;
        f.write_str("put the files themselves in its place")
    }
}

impl std::error::Error for Link {}

impl From<Link> for io::Error {
    fn from(link: Link) -> io::Error {
        io::Error::other(link)
    }
}
