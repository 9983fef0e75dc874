//! An append-only file of chained lines, for the audit: durable before it is answered, and a missing end is found.
//!
//! ```text
//! <dir>/00000000000000000001.jsonl     lines 1 .. n; named by its first line
//! <dir>/00000000000000041234.jsonl     begun when the one before it had reached its size
//! <head>                               how many lines there are, and the hash of the last (`head.rs`), in another directory
//!
//! append: group of waiting lines -> write -> fdatasync -> head -> fdatasync -> answer all of the group
//! ```
//! Invariants: a line is answered for only when the line and the head are synced, so lines that the head does not count were
//! never answered for; they are one group at the most, and in the last file. When a start finds such lines whole, they
//! stay and are counted; from the first byte that is not whole on they are cut off. Anything else that is not whole is
//! no crash but a change: the start is refused with the place, and nothing is touched. After a failed sync nothing is
//! appended any more, because nobody knows what the disk holds.
//!
//! - `head`: the count and the last hash; `scan`: reads lines in order; `writer`: the thread that appends
//!
//! Not here: the form of a line and its hash (`form.rs`), what lines say (`lib.rs`).

mod head;
mod scan;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::error::{AuditError, Result};
use crate::form::{self, LineHash};

use head::Head;
use scan::{Line, Scan, chain_files, scan};
use writer::{Asked, Writer};

/// Most lines that are synced together.
const GROUP_MAX: u64 = 1024;
/// Longest line, its hashes included.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Where a chain is.
#[derive(Clone)]
pub struct ChainPlace {
    /// The directory of its files.
    pub dir: PathBuf,
    /// The file of its head; in another directory.
    pub head: PathBuf,
    /// A file that has this many bytes is followed by a new one.
    pub file_bytes_max: u64,
}

/// A chain that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// Lines.
    pub count: u64,
    /// Hash of the last one, or what the first one will follow.
    pub hash: LineHash,
    /// Lines that the head does not count yet: a running service is at work, or a crash came before it.
    pub uncounted: u64,
    /// Bytes of a last line that has no end: as above.
    pub unfinished_bytes: u64,
}

/// A line and its place.
pub struct ChainLine<'a> {
    /// Its number, from 1.
    pub seq: u64,
    /// Its hash.
    pub hash: LineHash,
    /// The text, without line feed.
    pub text: &'a [u8],
}

/// A chain that lines are appended to. One process at a time holds one: the lock of the data directory sees to it.
pub(crate) struct Chain {
    queue: Option<mpsc::Sender<Asked>>,
    thread: Option<JoinHandle<()>>,
    cut_bytes: u64,
    dir: PathBuf,
}

impl Chain {
    /// Opens a chain, or begins it where there is none, and cuts off what a crash left behind.
    ///
    /// # Errors
    /// [`AuditError::Chain`] with the place when lines that the head counts are missing or changed.
    pub(crate) fn open(place: ChainPlace) -> Result<Chain> {
        let (writer, cut_bytes) = Writer::open(place)?;
        let dir = writer.dir().to_path_buf();
        let (queue, asked) = mpsc::channel();
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || writer.run(&asked)).map_err(AuditError::io(&dir))?;
        Ok(Chain { queue: Some(queue), thread: Some(thread), cut_bytes, dir })
    }

    /// Bytes of unfinished lines that were cut off when the chain was opened.
    pub(crate) fn cut_bytes(&self) -> u64 {
        self.cut_bytes
    }

    /// Appends a line with these fields (members of a JSON object, without braces) and answers its number when it is durable.
    ///
    /// # Errors
    /// When the line is too long or holds a control character, or cannot be written; the log line says why.
    pub(crate) async fn append(&self, fields: String) -> Result<u64> {
        let (tell, told) = oneshot::channel();
        self.enqueue(fields, Some(tell));
        match told.await {
            Ok(Some(seq)) => Ok(seq),
            Ok(None) | Err(_) => Err(AuditError::Chain {
                path: self.dir.clone(),
                line: 0,
                reason: "the line was not written".to_owned(),
            }),
        }
    }

    /// Appends a line that nobody waits for. It is written before a [`Chain`] is gone.
    pub(crate) fn append_unwatched(&self, fields: String) {
        self.enqueue(fields, None);
    }

    fn enqueue(&self, fields: String, tell: Option<oneshot::Sender<Option<u64>>>) {
        if let Some(queue) = &self.queue {
            // A writer that is gone drops `tell`, which is an error for the one who waits.
            let _ = queue.send(Asked { fields, tell });
        }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads a whole chain and gives each line; a service may be appending to it.
///
/// # Errors
/// [`AuditError::Chain`] with file and line of the first one that is not whole, or where lines are missing.
pub fn verify(place: &ChainPlace, each: &mut dyn FnMut(&ChainLine<'_>)) -> Result<Whole> {
    let before = Head::read(&place.head)?;
    let files = chain_files(&place.dir)?;
    let Some(before) = before else {
        return match files.first() {
            None => Ok(Whole { count: 0, hash: form::first(), uncounted: 0, unfinished_bytes: 0 }),
            Some(_) => Err(broken(&place.head, 0, "there are lines, but the file of their head is missing")),
        };
    };
    let scanned = scan(&files, 0, &before, each)?;
    if let Some(fault) = &scanned.fault
        && !(fault.is_unfinished && scanned.count >= before.count)
    {
        return Err(broken(&fault.path, fault.line, &fault.reason));
    }
    let after = Head::read(&place.head)?.unwrap_or(before);
    counted(place, &scanned, &before)?;
    let uncounted = scanned.count.saturating_sub(after.count);
    if uncounted > GROUP_MAX {
        let reason =
            format!("counts {} lines, but there are {}: it is an older one", after.count, scanned.count);
        return Err(broken(&place.head, 0, &reason));
    }
    let unfinished_bytes = scanned.fault.map_or(0, |fault| fault.bytes);
    Ok(Whole { count: scanned.count, hash: scanned.hash, uncounted, unfinished_bytes })
}

/// All lines that the head counts must be there.
fn counted(place: &ChainPlace, scanned: &Scan, head: &Head) -> Result<()> {
    if scanned.count >= head.count {
        return Ok(());
    }
    let missing = head.count - scanned.count;
    let reason = format!("the last {missing} of {} lines are missing", head.count);
    let (path, line) = scanned.last.as_ref().map_or((place.dir.as_path(), 0), |l| (l.path.as_path(), l.line));
    Err(broken(path, line, &reason))
}

fn broken(path: &Path, line: u64, reason: &str) -> AuditError {
    AuditError::Chain { path: path.to_path_buf(), line, reason: reason.to_owned() }
}

fn whole_line<'a>(line: &Line, text: &'a [u8]) -> ChainLine<'a> {
    ChainLine { seq: line.seq, hash: line.hash, text }
}
