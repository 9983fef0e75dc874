//! The head of a chain: how many lines there are and the hash of the last, in a small file of two places that are written
//! in turn, so that a torn write leaves the one before it.
//!
//! ```text
//! byte 0      one place                "<count, 20 digits> <hash, 64 hex> <count, 20 digits>\n"
//! byte 4096   the other one            likewise
//! ```
//! The head is the place with the greater count. A write is one `pwrite` of less than a sector and one fdatasync.
//! Invariant: when [`HeadFile::write`] has answered, the head survives a power cut. Not here: the lines.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::broken;
use crate::durable::{create_dir, publish, unfinished};
use crate::error::{AuditError, Result};
use crate::form::LineHash;

const PLACE_BYTES: u64 = 4096;
const DIGITS: usize = 20;
const TEXT_BYTES: usize = DIGITS + 1 + 64 + 1 + DIGITS + 1;

/// How many lines there are, and the hash of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) count: u64,
    pub(super) hash: LineHash,
}

impl Head {
    /// The head in this file; none when there is no file.
    pub(super) fn read(path: &Path) -> Result<Option<Head>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(AuditError::io(path)(e)),
        };
        newest(&file, path).map(|(_, head)| Some(head))
    }

    fn text(&self) -> String {
        let digits: String = self.hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{0:020} {digits} {0:020}\n", self.count)
    }

    fn parse(text: &[u8]) -> Option<Head> {
        let text = std::str::from_utf8(text).ok()?;
        let mut parts = text.strip_suffix('\n')?.split(' ');
        let (count, digits, again) = (parts.next()?, parts.next()?, parts.next()?);
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        let head = Head { count: count.parse().ok()?, hash };
        (count == again && head.text() == text).then_some(head)
    }
}

/// The place that holds the head, and the head.
fn newest(file: &File, path: &Path) -> Result<(u64, Head)> {
    let places = [0, PLACE_BYTES].map(|at| {
        let mut text = [0; TEXT_BYTES];
        let head = file.read_exact_at(&mut text, at).ok().and_then(|()| Head::parse(&text));
        head.map(|head| (at, head))
    });
    let newest = places.into_iter().flatten().max_by_key(|(_, head)| head.count);
    newest.ok_or_else(|| broken(path, 0, "not the head of a chain"))
}

/// The file of a head, open for writing.
pub(super) struct HeadFile {
    file: File,
    /// The place that does not hold the head.
    next: u64,
    path: PathBuf,
}

impl HeadFile {
    /// Opens the file of a head.
    pub(super) fn open(path: &Path) -> Result<HeadFile> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(AuditError::io(path))?;
        let (at, _) = newest(&file, path)?;
        Ok(HeadFile { file, next: PLACE_BYTES - at, path: path.to_path_buf() })
    }

    /// Makes the file of the head of an empty chain.
    pub(super) fn create(path: &Path, head: Head) -> Result<HeadFile> {
        let write = || {
            create_dir(path.parent().unwrap_or(Path::new(".")))?;
            let draft = unfinished(path);
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
            let mut text = head.text().into_bytes();
            text.resize(2 * PLACE_BYTES as usize, 0);
            file.write_all(&text)?;
            file.sync_all()?;
            publish(&draft, path)
        };
        write().map_err(AuditError::io(path))?;
        HeadFile::open(path)
    }

    /// Writes the head, durably.
    pub(super) fn write(&mut self, head: Head) -> Result<()> {
        let written = self.file.write_all_at(head.text().as_bytes(), self.next);
        written.and_then(|()| self.file.sync_data()).map_err(AuditError::io(&self.path))?;
        self.next = PLACE_BYTES - self.next;
        Ok(())
    }
}
