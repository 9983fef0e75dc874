//! The writer thread of one region's log: takes what is queued, decides what is new, writes, syncs, answers.
//!
//! One thread, so the order of decisions is the order of the log. A group is what waits when the disk is ready, up to
//! `group_bytes_max`: nobody waits for a group to fill.
//!
//! Invariants: an answer is given after the fdatasync that covers it, or the one that covered the first copy; after an
//! I/O error nothing is answered but `Stopped`, and the thread ends for good. Room for a whole group is made before its
//! ids are taken for known. A group, and the segment that it is written to, have the names of one set of definitions: where
//! others are in force, a segment ends. Not here: the handle (`mod.rs`), the format (`record.rs`).

use std::{
    io,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
};

use shoal_files::host;
use tokio::sync::{mpsc, oneshot};

use super::{
    encode::{Encoder, Rows},
    in_flight::Hold,
    record::Segment,
    segment::Active,
    shared::{Clock, Sealed, Shared},
    shelf::file_name,
};
use crate::{
    day_limit::OpenBatch, dedup::Window, dictionary::Dictionary, error::LogError, packed::packed_bytes,
};

/// What became of a batch. Rows that are not listed are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Slots of events that were accepted before.
    pub(crate) duplicates: Vec<u32>,
    /// Slots of events that are not kept, because their subject has as many of that day as it may.
    pub(crate) over_limit: Vec<u32>,
}

/// What the writer is asked.
pub(crate) enum Command {
    /// Keep a batch.
    Append(Box<Pending>),
    /// Seal the active segment, if it was begun at or before this time (of what is served) and holds anything.
    Seal { begun_ms_max: i64, done: oneshot::Sender<()> },
    /// The run of this segment is published.
    Forget(u64),
    /// Seal and end. What was queued before is kept.
    Stop { done: oneshot::Sender<()> },
}

/// A batch that waits.
pub(crate) struct Pending {
    pub(crate) batch: OpenBatch,
    pub(crate) reply: oneshot::Sender<Result<Receipt, LogError>>,
    pub(crate) hold: Hold,
}

impl Pending {
    /// Whether the positions in the rows of both mean the same.
    fn has_names_of(&self, other: &Pending) -> bool {
        self.batch.names().means_the_same(other.batch.names())
    }
}

/// What the writer thread owns.
pub(crate) struct Writer {
    pub(super) queue: mpsc::Receiver<Command>,
    pub(super) shared: Arc<Shared>,
    pub(super) window: Window,
    pub(super) next_sequence: u64,
    /// How long the data were served: the age of a segment and of its ids is counted in it.
    pub(super) served: Clock,
}

/// The thread's state.
struct Work {
    writer: Writer,
    active: Option<Active>,
    /// What the rows of the active segment, or of the last one, refer to.
    names: Option<Arc<Dictionary>>,
    encoder: Encoder,
    /// The rows of a group that are new, one after the other. They are copied here, because the compressor reads one slice
    /// and a group is several batches with their duplicates taken out.
    payload: Vec<u8>,
    /// Those of its covered batches that are not kept.
    unkept: Vec<u8>,
}

/// Why a group could not be written.
enum Trouble {
    DiskFull,
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Io(error)
    }
}

impl Writer {
    /// Until the log is stopped or fails.
    pub(super) async fn run(self) {
        let shared = Arc::clone(&self.shared);
        let encoder = Encoder::new(self.shared.shelf.writing_key());
        let (payload, unkept) = (Vec::new(), Vec::new());
        let mut work = Work { writer: self, active: None, names: None, encoder, payload, unkept };
        // It is dropped before the queue, which `work` has.
        let mut ending = Ending { shared, clean: false };
        match work.serve().await {
            Ok(()) => ending.clean = true,
            Err(error) => {
                tracing::error!(region = %ending.shared.region, %error, "the log has failed and stops")
            }
        }
    }
}

/// Says that the thread has ended, and whether it had to, also when it panicked; leaves nobody waiting.
struct Ending {
    shared: Arc<Shared>,
    clean: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.clean {
            self.shared.fail();
        }
        self.shared.stopped.store(true, Ordering::SeqCst);
        // The queue is dropped next, with what is in it. Whoever sends after that sees `stopped` (see `Log::answer`).
        fence(Ordering::SeqCst);
    }
}

impl Work {
    async fn serve(&mut self) -> io::Result<()> {
        // The first batch with other names than those of the group before it.
        let mut others = None;
        loop {
            let mut next = match others.take() {
                Some(command) => Some(command),
                None => self.writer.queue.recv().await,
            };
            if next.is_none() {
                return self.seal();
            }
            let mut group: Vec<Pending> = Vec::new();
            let mut bytes = 0;
            while let Some(Command::Append(pending)) = next {
                if group.last().is_some_and(|before| !before.has_names_of(&pending)) {
                    next = Some(Command::Append(pending));
                    break;
                }
                bytes += pending.batch.weight();
                group.push(*pending);
                let full = bytes >= self.writer.shared.config.group_bytes_max as u64;
                next = if full { None } else { self.writer.queue.try_recv().ok() };
            }
            if !group.is_empty() {
                self.commit(group, bytes)?;
            }
            match next {
                Some(Command::Seal { begun_ms_max, done }) => {
                    let due = |a: &Active| a.rows > 0 && a.opened_ms <= begun_ms_max;
                    if self.active.as_ref().is_some_and(due) {
                        self.seal()?;
                    }
                    let _ = done.send(());
                }
                Some(Command::Forget(sequence)) => self.writer.window.forget(sequence),
                Some(Command::Stop { done }) => {
                    self.seal()?;
                    let _ = done.send(());
                    return Ok(());
                }
                Some(Command::Append(pending)) => others = Some(Command::Append(pending)),
                None => {}
            }
        }
    }

    /// One group: at most one write and one fdatasync.
    fn commit(&mut self, group: Vec<Pending>, bytes: u64) -> io::Result<()> {
        let names = group.first().map(|pending| Arc::clone(pending.batch.names()));
        let room = names.map_or(Ok(()), |names| self.make_room(names, bytes));
        let outcome = room.and_then(|()| Ok(self.write(&group)?));
        let shared = Arc::clone(&self.writer.shared);
        match outcome {
            Ok(receipts) => {
                shared.is_refusing.store(false, Ordering::Release);
                for (pending, receipt) in group.into_iter().zip(receipts) {
                    drop(pending.hold);
                    let _ = pending.reply.send(Ok(receipt));
                }
            }
            Err(Trouble::DiskFull) => {
                shared.is_refusing.store(true, Ordering::Release);
                shared.metrics.refused_disk_full.inc_by(group.len() as u64);
                for pending in group {
                    let _ = pending.reply.send(Err(LogError::DiskFull));
                }
                return Ok(());
            }
            Err(Trouble::Io(error)) => {
                shared.fail();
                for pending in group {
                    let _ = pending.reply.send(Err(LogError::Stopped));
                }
                return Err(error);
            }
        }
        let full = |a: &Active| a.payload_bytes >= shared.config.segment_bytes_max;
        if self.active.as_ref().is_some_and(full) {
            self.seal()?;
        }
        Ok(())
    }

    /// Decides, writes and syncs. Where a covered batch has rows that are not written, a cover is.
    fn write(&mut self, group: &[Pending]) -> io::Result<Vec<Receipt>> {
        self.payload.clear();
        self.unkept.clear();
        let (mut rows, mut cover_bytes) = (0, 0);
        let mut receipts = Vec::with_capacity(group.len());
        for pending in group {
            let bytes = pending.batch.bytes();
            let mut receipt = Receipt::default();
            let mut start = 0;
            cover_bytes += pending.batch.cover_bytes();
            for probe in pending.batch.probes() {
                self.writer.window.probe(probe.fingerprint, pending.batch.others(probe.others))?;
                pending.batch.probe(probe);
            }
            for span in pending.batch.rows() {
                let end = span.end as usize;
                let others = pending.batch.others(span.others);
                let is_kept = if self.writer.window.is_known_under(span.fingerprint, others)? {
                    receipt.duplicates.push(span.slot);
                    false
                } else if !pending.batch.admit(span) {
                    // Its id stays unknown: a resend is no duplicate of what was not kept.
                    receipt.over_limit.push(span.slot);
                    false
                } else {
                    true
                };
                if is_kept {
                    self.writer.window.insert(span.fingerprint);
                    self.payload.extend_from_slice(&bytes[start..end]);
                    rows += 1;
                } else if pending.batch.is_covered() {
                    self.unkept.extend_from_slice(&bytes[start..end]);
                }
                start = end;
            }
            receipts.push(receipt);
        }
        if !self.unkept.is_empty() {
            cover_bytes += packed_bytes(&self.unkept);
        }
        if let Some(active) = self.active.as_mut().filter(|_| rows > 0 || cover_bytes > 0) {
            let began = host::instant();
            let group = Rows { payload: &self.payload, count: rows, cover_bytes: cover_bytes as usize };
            let written = active.append(&group, &mut self.encoder)?;
            self.writer.shared.set_tail(active.tail());
            let metrics = &self.writer.shared.metrics;
            metrics.log_sync_seconds.observe(host::seconds_since(began));
            metrics.log_group_bytes.observe(self.payload.len() as f64);
            metrics.log_written_bytes.inc_by(written);
        }
        let keep = self.writer.shared.config.group_bytes_max * 2;
        if self.payload.capacity() > keep * 2 {
            self.payload.clear();
            self.payload.shrink_to(keep);
            self.encoder.shrink(keep);
        }
        if self.unkept.capacity() > keep * 2 {
            self.unkept = Vec::new();
        }
        Ok(receipts)
    }

    /// An active segment of these names that has room for so many bytes of rows and covers, each in a record of its own.
    fn make_room(&mut self, names: Arc<Dictionary>, bytes: u64) -> Result<(), Trouble> {
        let bytes_max = self.writer.shared.config.segment_bytes_max;
        let has_others = self.names.as_ref().is_none_or(|own| !own.means_the_same(&names));
        let is_full = |a: &Active| a.is_used && !a.fits(bytes, bytes_max);
        if self.active.as_ref().is_some_and(|active| has_others || is_full(active)) {
            self.seal()?;
        }
        if self.active.is_some() {
            return Ok(());
        }
        let shared = Arc::clone(&self.writer.shared);
        if shared.medium().free_bytes()? < shared.config.free_bytes_min {
            return Err(Trouble::DiskFull);
        }
        let spare = shared.take_spare().map_err(|error| match shoal_files::is_full(&error) {
            // Nothing of a segment was written: what was taken before is safe.
            true => Trouble::DiskFull,
            false => Trouble::Io(error),
        })?;
        let dictionary = names.opened((self.writer.served)());
        let of = Segment { sequence: self.writer.next_sequence, salt: host::random_u64()? };
        self.writer.next_sequence += 1;
        match Active::begin(&shared.shelf, &spare, of, &dictionary, &mut self.encoder) {
            Ok(active) => {
                (self.active, self.names) = (Some(active), Some(names));
                Ok(())
            }
            Err(error) if shoal_files::is_full(&error) => {
                shared.give_up(&spare, of.sequence)?;
                Err(Trouble::DiskFull)
            }
            Err(error) => Err(Trouble::Io(error)),
        }
    }

    fn seal(&mut self) -> io::Result<()> {
        let Some(active) = self.active.take() else {
            return Ok(());
        };
        let shared = &self.writer.shared;
        let extent = active.seal(&mut self.encoder)?;
        if extent.rows == 0 {
            return shared.medium().remove(&[&file_name(extent.sequence)]);
        }
        let set = self.writer.window.seal(extent.sequence);
        shared.push(Sealed::new(extent, (self.writer.served)(), Some(set)));
        Ok(())
    }
}
