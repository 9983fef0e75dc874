//! An append-only file of chained lines, for the audit: durable before it is answered, and a missing end is found.
//!
//! ```text
//! <dir>/00000000000000000001.jsonl     lines 1 .. n; named by its first line
//! <dir>/00000000000000041234.jsonl     begun when the one before it had reached its size
//! <head>                               how many lines there are, and the hash of the last (`head.rs`), in another directory
//!
//! append: group of waiting lines -> wait for the turn -> write -> fdatasync -> head -> fdatasync -> answer all of the group
//! ```
//! Invariants: a line is answered for only when the line and the head are synced, so lines that the head does not count were
//! never answered for; they are one group at the most, and in the last file. When a start finds such lines whole, they
//! stay and are counted; from the first byte that is not whole on they are cut off. Anything else that is not whole is
//! no crash but a change: the start is refused with the place, and nothing is touched. After a failed sync nothing is
//! appended any more, because nobody knows what the disk holds, and the process must end. Several processes may append, one at a
//! time: a lock says whose turn it is, and whoever has it reads first what the others have written.
//!
//! - `place`: where it is, and its files; `head`: the count and the last hash; `scan`: reads lines in order; `verify`: whether
//!   it is whole; `writer`: the thread that appends
//!
//! Not here: what makes a file durable (`shoal-files`), the form of a line and its hash (`form.rs`), what lines say (`lib.rs`).

mod head;
mod place;
mod scan;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use crate::error::{AuditError, Result};

pub use place::{ChainPlace, in_turn};
pub use scan::ChainLine;
pub use verify::{Whole, last_at_ms, verify, verify_last, verify_since};
use writer::{AppendRequest, Writer};

/// A chain that lines are appended to. Several processes may hold one: each group is appended in its process's turn.
pub(crate) struct Chain {
    queue: Option<mpsc::Sender<AppendRequest>>,
    thread: Option<JoinHandle<()>>,
    cut_bytes: u64,
    dir: PathBuf,
    broken: watch::Receiver<bool>,
    full: Arc<AtomicBool>,
    place: ChainPlace,
}

impl Chain {
    /// Opens a chain, or begins it where there is none, and cuts off what a crash left behind.
    ///
    /// # Errors
    /// [`AuditError::Chain`] with the place when lines that the head counts are missing or changed.
    pub(crate) fn open(place: ChainPlace) -> Result<Chain> {
        let dir = place.dir();
        let (writer, cut_bytes) = Writer::open(place.clone())?;
        let (broken, full) = (writer.broken(), writer.full());
        let (queue, requests) = mpsc::channel();
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let thread = thread.spawn(move || writer.run(&requests)).map_err(AuditError::io(&dir))?;
        Ok(Chain { queue: Some(queue), thread: Some(thread), cut_bytes, dir, broken, full, place })
    }

    /// True from when a file failed so that something may be lost.
    pub(crate) fn broken(&self) -> watch::Receiver<bool> {
        self.broken.clone()
    }

    /// Whether there was no room for the last line, and there is none yet. Tries it, so it blocks.
    pub(crate) fn is_full(&self) -> bool {
        let is_full = self.full.load(Ordering::Acquire) && !self.place.has_room();
        if !is_full {
            self.full.store(false, Ordering::Release);
        }
        is_full
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
            let _ = queue.send(AppendRequest { fields, tell });
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
