//! Whether a redb file is sealed, and how one that is in the clear comes to be so.
//!
//! ```text
//! <name>, in the clear -> <name>.new, sealed: copied, synced, compared -> renamed to <name> -> opened -> the old bytes overwritten
//! ```
//! Invariants: under its name there is one whole file at any moment, in the clear or sealed. A file that is sealed is never put in
//! the clear. Not here: how bytes are sealed (`shoal-files`, `sealed_file`), what is in the file.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use shoal_files::{LogFile, Medium, SealedFile, Sealing, SealingKey, Source, is_not_authentic};

use crate::error::{Result, StorageError};

/// Bytes of a page of redb.
const PAGE_BYTES: usize = 4096;
/// Bytes that are copied together.
const PART_BYTES: usize = 1 << 20;

/// The name under which a file is made.
pub(super) fn new_name(name: &str) -> String {
    format!("{name}.new")
}

/// What could not be read of a file, or written to it.
pub(super) fn failed(path: PathBuf, error: io::Error) -> StorageError {
    match is_not_authentic(&error) {
        true => StorageError::Damaged {
            path,
            reason: "was encrypted with another key, or is not as it was written".to_owned(),
        },
        false => StorageError::Io { path, source: error },
    }
}

/// What is in a file, and whether it is sealed.
pub(super) fn opened(
    file: Box<dyn LogFile>,
    sealing: Option<&Sealing>,
    path: PathBuf,
) -> Result<(Box<dyn LogFile>, bool)> {
    match SealedFile::is_sealed(&*file) {
        Err(error) => Err(failed(path, error)),
        Ok(false) => Ok((file, false)),
        Ok(true) => {
            let Some(sealing) = sealing else { return Err(StorageError::Sealed(path)) };
            let opened = SealedFile::open(file, sealing.key.clone());
            Ok((Box::new(opened.map_err(|error| failed(path, error))?), true))
        }
    }
}

/// A new file of this name, sealed if files are.
pub(super) fn created(
    medium: &dyn Medium,
    name: &str,
    sealing: Option<&Sealing>,
) -> io::Result<Box<dyn LogFile>> {
    let file = medium.create(name, 0)?;
    match sealing.filter(|sealing| sealing.is_writing) {
        None => Ok(file),
        Some(sealing) => Ok(Box::new(SealedFile::create(file, sealing.key.clone())?)),
    }
}

/// Puts a sealed copy in the place of a file that is in the clear and that nobody changes. Answers the old file, which has no name
/// any more: its bytes are to be overwritten once the copy has been opened.
pub(super) fn seal(medium: &dyn Medium, name: &str, key: &SealingKey) -> Result<Box<dyn LogFile>> {
    let new = new_name(name);
    let sealed = medium.edit(name).and_then(|plain| {
        let copied = copy(&*plain, medium.create(&new, 0)?, key);
        if copied.is_err() {
            sweep(medium, name);
        }
        copied.and_then(|()| medium.rename(&new, name)).map(|()| plain)
    });
    sealed.map_err(|error| StorageError::io(medium.path(name))(error))
}

/// Removes what a start that was cut off has left of a new file.
pub(super) fn sweep(medium: &dyn Medium, name: &str) {
    let new = new_name(name);
    let is_there = !medium.open(&new).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if is_there && let Err(error) = medium.remove(&[&new]) {
        // It takes room and nothing else, and the next start tries again.
        tracing::warn!(file = %medium.path(&new).display(), %error, "an unfinished file could not be removed");
    }
}

fn copy(plain: &dyn Source, to: Box<dyn LogFile>, key: &SealingKey) -> io::Result<()> {
    let sealed = SealedFile::create(to, key.clone())?;
    sealed.set_length(plain.length()?)?;
    each_part(plain, |at, part| {
        // What is zeros there is so already, and takes no room.
        let is_zeros = |page: &[u8]| page.iter().all(|byte| *byte == 0);
        let pages: Vec<&[u8]> = part.chunks(PAGE_BYTES).collect();
        let mut at = at;
        for run in pages.chunk_by(|one, next| is_zeros(one) == is_zeros(next)) {
            let run = run.concat();
            if !is_zeros(&run) {
                sealed.write_at(at, &run)?;
            }
            at += run.len() as u64;
        }
        Ok(())
    })?;
    sealed.sync()?;
    // What is in the clear is overwritten soon.
    let mut again = Vec::new();
    each_part(plain, |at, part| {
        again.resize(part.len(), 0);
        sealed.read_at(at, &mut again)?;
        if again == part {
            Ok(())
        } else {
            Err(io::Error::other("the sealed copy is not what it was copied from"))
        }
    })
}

fn each_part(of: &dyn Source, mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let length = of.length()?;
    let (mut at, mut part) = (0, Vec::new());
    while at < length {
        part.resize(usize::try_from(length - at).unwrap_or(PART_BYTES).min(PART_BYTES), 0);
        of.read_at(at, &mut part)?;
        visit(at, &part)?;
        at += part.len() as u64;
    }
    Ok(())
}
