//! The write-ahead log of one region: a batch is durable before it is answered, and there once.
//!
//! ```text
//! append -> bounded queue -> writer thread: group, decide what is new, write, fdatasync, answer
//! active segment -> sealed (full, or by time) -> flush reads it back -> tables -> file zeroed and used again
//! ```
//! - `record`: the bytes of a record; `segment`: a row of records, written and read back
//! - `writer`: the thread; `in_flight`: bytes in flight, bounded; `recover`: what is found at start
//!
//! Read in that order. Not here: files by position, and what durable means (`shoal-files`), which ids are known (`dedup`),
//! what happens to sealed segments (`flush`).

mod in_flight;
mod record;
mod recover;
mod segment;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
    thread::JoinHandle,
};

use crossbeam_channel::{Sender, TrySendError};
use shoal_files::Medium;
use shoal_schemas::Region;
use tokio::sync::{oneshot, watch};

use crate::{
    config::LogConfig, dedup::Fingerprints, error::LogError, metrics::Metrics, stages::clean::CleanBatch,
};

pub(crate) use in_flight::InFlight;
pub(crate) use record::Dictionary;
pub(crate) use recover::LogSetup;
pub(crate) use segment::{Extent, scan};
pub(crate) use writer::Receipt;
use writer::{Command, Pending, Writer};

/// The present, ms since 1970.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The first region whose thread has ended because it had to. The service must exit then: nothing will be acknowledged
/// there again.
pub(crate) type Failed = watch::Sender<Option<Region>>;

/// This many zeroed files wait to become segments.
const SPARES: usize = 2;

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
    Running(JoinHandle<()>),
    Ended,
}

/// What the handle, the writer thread and the flush have in common.
pub(crate) struct Shared {
    region: Region,
    medium: Arc<dyn Medium>,
    config: LogConfig,
    metrics: Metrics,
    sealed: Mutex<VecDeque<Arc<Sealed>>>,
    spares: Mutex<Vec<String>>,
    spare_names: AtomicU64,
    stopped: AtomicBool,
    failed: Failed,
}

/// A sealed segment that is not in the tables yet.
pub(crate) struct Sealed {
    pub(crate) extent: Extent,
    /// When it was sealed, ms since 1970.
    pub(crate) sealed_ms: i64,
    fingerprints: Mutex<Option<Arc<Fingerprints>>>,
}

impl Sealed {
    fn new(extent: Extent, sealed_ms: i64, fingerprints: Option<Arc<Fingerprints>>) -> Sealed {
        Sealed { extent, sealed_ms, fingerprints: Mutex::new(fingerprints) }
    }

    /// Its event ids, until their run is durable.
    pub(crate) fn fingerprints(&self) -> Option<Arc<Fingerprints>> {
        lock(&self.fingerprints).clone()
    }
}

impl Log {
    /// Keeps a batch. When it returns, every row of it is durable, this one or the one accepted before.
    ///
    /// # Errors
    /// Nothing of the batch was acknowledged; it may be sent again.
    pub(crate) async fn append(&self, batch: CleanBatch) -> Result<Receipt, LogError> {
        debug_assert_eq!(batch.region(), self.shared.region);
        let hold = self.in_flight.reserve(batch.bytes().len() as u64).map_err(LogError::Full)?;
        self.start();
        let (reply, answer) = oneshot::channel();
        let pending = Pending { batch, reply, hold };
        match self.queue.try_send(Command::Append(pending)) {
            Ok(()) => self.answer(answer).await.unwrap_or(Err(LogError::Stopped)),
            Err(TrySendError::Full(_)) => Err(LogError::Full(self.in_flight.held())),
            Err(TrySendError::Disconnected(_)) => Err(LogError::Stopped),
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

    /// Seals the active segment if it was begun at or before this time and holds anything.
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
        if let Thread::Running(handle) = thread {
            let (done, stopped) = oneshot::channel();
            if self.send(Command::Stop { done }).await {
                self.answer(stopped).await;
            }
            let _ = tokio::task::spawn_blocking(move || handle.join()).await;
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
        lock(&sealed.fingerprints).take();
        if self.is_running() {
            self.send(Command::Forget(sealed.extent.sequence)).await;
        } else if let Thread::Waiting(writer) = &mut *lock(&self.thread) {
            writer.window.forget(sealed.extent.sequence);
        }
    }

    /// False when the thread has ended.
    async fn send(&self, command: Command) -> bool {
        let queue = self.queue.clone();
        match queue.try_send(command) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(command)) => {
                let sent = tokio::task::spawn_blocking(move || queue.send(command).is_ok());
                sent.await.unwrap_or(false)
            }
        }
    }

    fn start(&self) {
        if self.started.load(Ordering::Acquire) {
            return;
        }
        let mut thread = lock(&self.thread);
        match std::mem::replace(&mut *thread, Thread::Ended) {
            Thread::Waiting(writer) => {
                let name = format!("log-{}", self.shared.region);
                match std::thread::Builder::new().name(name).spawn(move || writer.run()) {
                    Ok(handle) => *thread = Thread::Running(handle),
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

impl Shared {
    pub(crate) fn region(&self) -> Region {
        self.region
    }

    pub(crate) fn medium(&self) -> &dyn Medium {
        &*self.medium
    }

    /// The path of a segment, for messages.
    pub(crate) fn path(&self, sequence: u64) -> PathBuf {
        self.medium.path(&segment::file_name(sequence))
    }

    /// Sealed segments, oldest first.
    pub(crate) fn sealed(&self) -> Vec<Arc<Sealed>> {
        lock(&self.sealed).iter().cloned().collect()
    }

    /// The segments are in the tables and their ids in runs, durably: their files are emptied and wait to be used again.
    /// Renamed first: a segment with a name is never half empty.
    pub(crate) fn recycle(&self, done: &[Arc<Sealed>]) -> io::Result<()> {
        for sealed in done {
            let name = segment::file_name(sealed.extent.sequence);
            if lock(&self.spares).len() >= SPARES || sealed.extent.end > self.config.segment_bytes_max {
                self.medium.remove(&[&name])?;
            } else {
                let spare = self.spare_name();
                self.medium.rename(&name, &spare)?;
                let file = self.medium.edit(&spare)?;
                let zeros = vec![0; 1 << 18];
                for at in (0..sealed.extent.end).step_by(zeros.len()) {
                    let length = (sealed.extent.end - at).min(zeros.len() as u64);
                    file.write_at(at, &zeros[..length as usize])?;
                }
                file.sync()?;
                lock(&self.spares).push(spare);
            }
            lock(&self.sealed).retain(|other| other.extent.sequence != sealed.extent.sequence);
        }
        Ok(())
    }

    /// Makes spares ahead of need, away from the writer thread.
    pub(crate) fn stock(&self) -> io::Result<()> {
        while lock(&self.spares).len() < SPARES
            && self.medium.free_bytes()? > self.config.free_bytes_min + self.config.segment_bytes_max
        {
            let spare = self.make_spare()?;
            lock(&self.spares).push(spare);
        }
        Ok(())
    }

    fn fail(&self) {
        self.failed.send_if_modified(|failed| failed.is_none() && failed.replace(self.region).is_none());
    }

    fn take_spare(&self) -> io::Result<String> {
        let spare = lock(&self.spares).pop();
        spare.map_or_else(|| self.make_spare(), Ok)
    }

    fn make_spare(&self) -> io::Result<String> {
        let name = self.spare_name();
        self.medium.create(&name, self.config.segment_bytes_max)?;
        Ok(name)
    }

    fn spare_name(&self) -> String {
        format!("{}.spare", self.spare_names.fetch_add(1, Ordering::Relaxed))
    }

    fn push(&self, sealed: Sealed) {
        lock(&self.sealed).push_back(Arc::new(sealed));
    }
}

/// A panic elsewhere leaves these values whole: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
