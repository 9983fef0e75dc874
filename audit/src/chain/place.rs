//! Where a chain is, which files it has, and whose turn it is to append.
//!
//! A line lies on the disk as it is, or sealed: `sealed:` and the base64 of it (RFC 4648, without padding). Both may be in one file.
//! Not here: what is in a file (`head.rs`, `scan.rs`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use shoal_files::{Disk, Lock, Medium, Sealing, has_room};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use crate::error::{AuditError, Result};

/// The folder of the files of lines.
pub(super) const FOLDER: &str = "audit";
/// The file of the head, in another folder.
pub(super) const HEAD: &str = "ledger/audit.head";
/// The file of the lock that whoever appends waits for.
const LOCK: &str = "ledger/audit.lock";
const SUFFIX: &str = ".jsonl";
const DIGITS: usize = 20;
/// What a sealed line begins with on the disk; one in the clear begins with `{`.
const SEALED_AT: &str = "sealed:";
/// The context that lines are sealed in. Their place in the chain is in them.
const SEALED: &[u8] = b"line of the audit";

/// Where a chain is.
#[derive(Clone)]
pub struct ChainPlace {
    pub(super) medium: Arc<dyn Medium>,
    /// A file that has this many bytes is followed by a new one.
    pub(super) file_bytes_max: u64,
    /// How lines are kept; none: in the clear.
    sealing: Option<Sealing>,
    /// Where the lock is, when other processes may append too.
    shared_on: Option<Disk>,
}

/// A file of a chain.
pub(super) struct ChainFile {
    /// The number of its first line.
    pub(super) first: u64,
    pub(super) name: String,
}

impl ChainFile {
    /// The file that begins with this line.
    pub(super) fn beginning_with(first: u64) -> ChainFile {
        ChainFile { first, name: format!("{FOLDER}/{first:0DIGITS$}{SUFFIX}") }
    }

    /// `None` for a file that is none of a chain.
    fn of(name: String) -> Option<ChainFile> {
        let digits = name.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(SUFFIX)?;
        let first = digits.parse().ok().filter(|_| digits.len() == DIGITS)?;
        Some(ChainFile { first, name })
    }
}

/// Does something while nobody appends, such as to copy the files. Whoever appends waits meanwhile.
///
/// # Errors
/// When it cannot be this caller's turn.
pub fn in_turn<T>(place: &ChainPlace, work: impl FnOnce() -> T) -> Result<T> {
    let _turn = place.turn()?;
    Ok(work())
}

impl ChainPlace {
    /// A chain on this disk, whose files are followed by a new one when they have so many bytes.
    pub(crate) fn on_disk(disk: Disk, file_bytes_max: u64) -> ChainPlace {
        ChainPlace { medium: Arc::new(disk.clone()), file_bytes_max, sealing: None, shared_on: Some(disk) }
    }

    /// A chain on a medium that no other process knows.
    #[cfg(test)]
    pub(super) fn alone(medium: Arc<dyn Medium>, file_bytes_max: u64) -> ChainPlace {
        ChainPlace { medium, file_bytes_max, sealing: None, shared_on: None }
    }

    /// The same chain, whose lines are sealed, or were.
    #[must_use]
    pub fn sealed(self, sealing: Option<Sealing>) -> ChainPlace {
        ChainPlace { sealing, ..self }
    }

    /// Puts a line behind others as it lies on the disk.
    pub(super) fn push(&self, line: &str, out: &mut String) -> Result<()> {
        match self.sealing.as_ref().filter(|sealing| sealing.is_writing) {
            None => out.push_str(line),
            Some(Sealing { key, .. }) => {
                let sealed = key.seal(SEALED, line.as_bytes()).map_err(self.io(FOLDER))?;
                out.push_str(SEALED_AT);
                BASE64.encode_string(sealed, out);
            }
        }
        out.push('\n');
        Ok(())
    }

    /// The line that lies on the disk as this, in its place.
    pub(super) fn open_line(&self, text: &mut Vec<u8>) -> std::result::Result<(), &'static str> {
        let Some(sealed) = text.strip_prefix(SEALED_AT.as_bytes()) else { return Ok(()) };
        let Some(Sealing { key, .. }) = &self.sealing else {
            return Err("the line is encrypted, and there is no key for it: put the key file back as it was");
        };
        let opened = BASE64.decode(sealed).ok().and_then(|sealed| key.open(SEALED, &sealed));
        let opened = opened.ok_or("the line was changed, or was encrypted with another key")?;
        text.clear();
        text.extend_from_slice(&opened);
        Ok(())
    }

    /// Whether other processes may append, too.
    pub(super) fn is_shared(&self) -> bool {
        self.shared_on.is_some()
    }

    /// Waits until nobody else appends. While the value lives, nobody else does.
    pub(super) fn turn(&self) -> Result<Option<Lock>> {
        self.shared_on.as_ref().map(|disk| disk.lock(LOCK)).transpose().map_err(self.io(LOCK))
    }

    /// The directory of the files of lines.
    pub fn dir(&self) -> PathBuf {
        self.medium.path(FOLDER)
    }

    /// The file of the head.
    pub fn head(&self) -> PathBuf {
        self.medium.path(HEAD)
    }

    /// The files of lines, in order.
    pub(super) fn files(&self) -> Result<Vec<ChainFile>> {
        let listed = self.medium.list(FOLDER).map_err(self.io(FOLDER))?;
        let mut files: Vec<ChainFile> =
            listed.into_iter().filter_map(|entry| ChainFile::of(entry.name)).collect();
        files.sort_by_key(|file| file.first);
        Ok(files)
    }

    /// Whether there is room for lines in the folder.
    pub(super) fn has_room(&self) -> bool {
        has_room(&*self.medium, &format!("{FOLDER}/lines"))
    }

    /// Removes what a crash left of a file that was being made. The caller is the only one who makes any.
    pub(super) fn sweep(&self) -> Result<()> {
        self.medium.sweep(FOLDER, i64::MAX).map(drop).map_err(self.io(FOLDER))
    }

    /// The error of an operation on a file or folder.
    pub(super) fn io(&self, name: &str) -> impl FnOnce(io::Error) -> AuditError + use<> {
        AuditError::io(self.medium.path(name))
    }

    /// The error of a line (0: none in particular) of a file.
    pub(super) fn broken(&self, name: &str, line: u64, reason: impl Into<String>) -> AuditError {
        AuditError::Chain { path: self.medium.path(name), line, reason: reason.into() }
    }

    /// The error of a chain that has lines but no head.
    pub(super) fn headless(&self) -> AuditError {
        self.broken(HEAD, 0, "there are lines, but the file of their head is missing")
    }
}
