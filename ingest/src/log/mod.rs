//! The write-ahead log of one region: a batch is durable before it is answered, and there once.
//!
//! ```text
//! append -> bounded queue -> writer thread: group, decide what is new, write, fdatasync, answer
//! active segment -> sealed (full, or by time) -> flush reads it back -> tables -> file zeroed and used again
//! ```
//! - `record`: the bytes of a record, which `encode` makes and `decode` reads; `shelf`: the files and their key
//! - `segment`: a row of records that is written; `scan`: one that is read back
//! - `writer`: the thread; `shared`: what it has in common with the others; `in_flight`: bytes in flight, bounded;
//!   `recover`: what is found at start
//!
//! Read in that order. Not here: files by position, and what durable means (`shoal-files`), which ids are known (`dedup`),
//! what happens to sealed segments (`flush`).

mod decode;
mod encode;
mod in_flight;
mod record;
mod recover;
mod scan;
pub(crate) mod segment;
mod shared;
pub(crate) mod shelf;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering, fence},
};

use shoal_files::host;
use tokio::sync::{
    mpsc::{Sender, error::TrySendError},
    oneshot,
};

use crate::{day_limit::OpenBatch, error::LogError};

pub(crate) use in_flight::InFlight;
pub(crate) use recover::LogSetup;
pub(crate) use scan::{scan, scan_to};
use shared::lock;
pub(crate) use shared::{Clock, Failed, Sealed, Shared};
pub(crate) use shelf::Shelf;
pub(crate) use writer::Receipt;
use writer::{Command, Pending, Writer};

/// The handle of a region's log.
pub(crate) struct Log {
    shared: Arc<Shared>,
    queue: Sender<Command>,
    in_flight: Arc<InFlight>,
    thread: Mutex<Thread>,
    started: AtomicBool,
}

/// The thread is started with the first batch: a region without events costs nothing.
enum Thread {
    Waiting(Box<Writer>),
    /// Told when it has ended.
    Running(oneshot::Receiver<()>),
    Ended,
}

impl Log {
    /// Keeps a batch. When it returns, every row of it is durable, this one or the one accepted before, unless the receipt
    /// says that it is withheld.
    ///
    /// # Errors
    /// Nothing of the batch was acknowledged; it may be sent again.
    pub(crate) async fn append(&self, batch: OpenBatch) -> Result<Receipt, LogError> {
        debug_assert_eq!(batch.region(), self.shared.region);
        let hold = self.in_flight.reserve(batch.weight()).map_err(LogError::Full)?;
        self.start();
        let (reply, answer) = oneshot::channel();
        let pending = Box::new(Pending { batch, reply, hold });
        match self.queue.try_send(Command::Append(pending)) {
            Ok(()) => self.answer(answer).await.unwrap_or(Err(LogError::Stopped)),
            Err(TrySendError::Full(_)) => Err(LogError::Full(self.in_flight.held())),
            Err(TrySendError::Closed(_)) => Err(LogError::Stopped),
        }
    }

    /// Waits for the answer to what was just sent; none when the thread ended before it came to it.
    async fn answer<T>(&self, mut answer: oneshot::Receiver<T>) -> Option<T> {
        // The thread says that it has ended, then empties the queue. So what was sent before it said so is dropped, and
        // what was sent after is not waited for: it was answered before, or never will be.
        fence(Ordering::SeqCst);
        if self.shared.stopped.load(Ordering::SeqCst) {
            return answer.try_recv().ok();
        }
        answer.await.ok()
    }

    /// Seals the active segment if it was begun when no more than this was served, and holds anything.
    pub(crate) async fn seal(&self, begun_ms_max: i64) {
        if self.started.load(Ordering::Acquire) {
            let (done, sealed) = oneshot::channel();
            if self.send(Command::Seal { begun_ms_max, done }).await {
                self.answer(sealed).await;
            }
        }
    }

    /// Writes what is queued, seals, ends the thread. Batches that come later are refused.
    pub(crate) async fn stop(&self) {
        let thread = {
            let mut thread = lock(&self.thread);
            self.started.store(true, Ordering::Release);
            std::mem::replace(&mut *thread, Thread::Ended)
        };
        if let Thread::Running(ended) = thread {
            let (done, stopped) = oneshot::channel();
            if self.send(Command::Stop { done }).await {
                self.answer(stopped).await;
            }
            let _ = ended.await;
        }
        self.shared.stopped.store(true, Ordering::SeqCst);
    }

    /// Whether it runs: a batch has come since the start.
    pub(crate) fn is_running(&self) -> bool {
        self.started.load(Ordering::Acquire) && !self.shared.stopped.load(Ordering::Acquire)
    }

    /// What is shared with the flush.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The run of this segment is durable and published: its ids need not be in memory.
    pub(crate) async fn forget(&self, sealed: &Sealed) {
        sealed.forget_fingerprints();
        if self.is_running() {
            self.send(Command::Forget(sealed.extent.sequence)).await;
        } else if let Thread::Waiting(writer) = &mut *lock(&self.thread) {
            writer.window.forget(sealed.extent.sequence);
        }
    }

    /// False when the thread has ended.
    async fn send(&self, command: Command) -> bool {
        self.queue.send(command).await.is_ok()
    }

    fn start(&self) {
        if self.started.load(Ordering::Acquire) {
            return;
        }
        let mut thread = lock(&self.thread);
        match std::mem::replace(&mut *thread, Thread::Ended) {
            Thread::Waiting(writer) => {
                let name = format!("log-{}", self.shared.region);
                let (end, ended) = oneshot::channel();
                let life = async move {
                    writer.run().await;
                    let _ = end.send(());
                };
                match host::start(&name, life) {
                    Ok(()) => *thread = Thread::Running(ended),
                    // The queue went with the closure: every append finds it closed.
                    Err(_) => {
                        self.shared.fail();
                    }
                }
                self.started.store(true, Ordering::Release);
            }
            other => *thread = other,
        }
    }
}
