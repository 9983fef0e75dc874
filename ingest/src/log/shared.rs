//! What the handle, the writer thread and the flush of a region's log have in common: its sealed segments and its spare
//! files.
//!
//! Invariant: a file has the name of a segment only while it holds one. Not here: what is in a segment (`segment.rs`, `scan.rs`), who
//! seals it (`writer.rs`).

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use shoal_files::{Medium, is_full, is_in_doubt};
use shoal_schemas::Region;
use tokio::sync::watch;

use super::{
    scan::{Extent, Tail},
    shelf::{Shelf, file_name},
};
use crate::{config::LogConfig, dedup::Fingerprints, metrics::Metrics};

/// The present, or how long the data were served, in milliseconds.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The first region whose thread has ended because it had to. The service must exit then: nothing will be acknowledged
/// there again.
pub(crate) type Failed = watch::Sender<Option<Region>>;

/// This many zeroed files wait to become segments.
const SPARES: usize = 2;

/// What the handle, the writer thread and the flush have in common.
pub(crate) struct Shared {
    pub(super) region: Region,
    pub(super) shelf: Shelf,
    pub(super) config: LogConfig,
    pub(super) metrics: Metrics,
    pub(super) sealed: Mutex<VecDeque<Arc<Sealed>>>,
    pub(super) tail: Mutex<Option<Tail>>,
    pub(super) spares: Mutex<Vec<String>>,
    pub(super) spare_names: AtomicU64,
    pub(super) stopped: AtomicBool,
    /// Whether what came last was refused for want of room.
    pub(super) is_refusing: AtomicBool,
    pub(super) failed: Failed,
}

/// A sealed segment that is not in the tables yet.
pub(crate) struct Sealed {
    pub(crate) extent: Extent,
    /// When it was sealed, in what is served, ms.
    pub(crate) sealed_ms: i64,
    fingerprints: Mutex<Option<Arc<Fingerprints>>>,
}

impl Sealed {
    pub(super) fn new(extent: Extent, sealed_ms: i64, fingerprints: Option<Arc<Fingerprints>>) -> Sealed {
        Sealed { extent, sealed_ms, fingerprints: Mutex::new(fingerprints) }
    }

    /// Its event ids, until their run is durable.
    pub(crate) fn fingerprints(&self) -> Option<Arc<Fingerprints>> {
        lock(&self.fingerprints).clone()
    }

    /// Lets go of its event ids: their run is durable.
    pub(super) fn forget_fingerprints(&self) {
        lock(&self.fingerprints).take();
    }
}

impl Shared {
    pub(crate) fn region(&self) -> Region {
        self.region
    }

    pub(crate) fn medium(&self) -> &dyn Medium {
        self.shelf.medium()
    }

    /// Whether its disk has less room than it must have, or was too full for what came last and still has no room for a segment. What
    /// cannot be asked is not full.
    pub(crate) fn is_full(&self) -> bool {
        let needed = match self.is_refusing.load(Ordering::Acquire) {
            true => self.config.free_bytes_min.max(self.config.segment_bytes_max),
            false => self.config.free_bytes_min,
        };
        self.medium().free_bytes().is_ok_and(|free| free < needed)
    }

    /// The files of its segments.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// The path of a segment, for messages.
    pub(crate) fn path(&self, sequence: u64) -> PathBuf {
        self.shelf.path(sequence)
    }

    /// Sealed segments, oldest first.
    pub(crate) fn sealed(&self) -> Vec<Arc<Sealed>> {
        lock(&self.sealed).iter().cloned().collect()
    }

    /// Everything durable, by segment, oldest first. A segment that is sealed meanwhile is there once: it is told to be
    /// sealed before it stops being the one that is written to, and that one is asked for first.
    pub(crate) fn extents(&self) -> Vec<Tail> {
        let tail = *lock(&self.tail);
        let sealed = self.sealed();
        let tail_of = |extent: &Extent| {
            let begun_ms = Some(extent.opened_ms);
            Tail { sequence: extent.sequence, end: extent.end, begun_ms }
        };
        let mut all: Vec<Tail> = sealed.iter().map(|s| tail_of(&s.extent)).collect();
        all.extend(tail.filter(|tail| all.iter().all(|other| other.sequence != tail.sequence)));
        all
    }

    /// The segments are in the tables and their ids in runs, durably: their files are emptied and wait to be used again.
    /// Renamed first: a segment with a name is never half empty; and no longer listed then, since whatever is listed has its file.
    ///
    /// # Errors
    /// When a file fails. For want of room nothing is lost, and the next call goes on; after anything else the log has failed.
    pub(crate) fn recycle(&self, done: &[Arc<Sealed>]) -> io::Result<()> {
        let recycled = done.iter().try_for_each(|sealed| self.recycle_one(&sealed.extent));
        recycled.inspect_err(|error| self.note(error))
    }

    fn recycle_one(&self, extent: &Extent) -> io::Result<()> {
        let name = file_name(extent.sequence);
        let is_kept = lock(&self.spares).len() < SPARES && extent.end <= self.config.segment_bytes_max;
        let spare = is_kept.then(|| self.spare_name());
        let taken = match &spare {
            Some(spare) => self.medium().rename(&name, spare),
            None => self.medium().remove(&[&name]),
        };
        let spare = match taken {
            Ok(()) => spare,
            // An earlier call that was told that there is no room has come so far.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        lock(&self.sealed).retain(|other| other.extent.sequence != extent.sequence);
        let Some(spare) = spare else { return Ok(()) };
        match self.zero(&spare, extent.end) {
            Ok(()) => lock(&self.spares).push(spare),
            // A disk on which zeros need new room: another one is made when there is some.
            Err(error) if is_full(&error) => self.medium().remove(&[&spare])?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes zeros over so much of a file, durably.
    fn zero(&self, name: &str, end: u64) -> io::Result<()> {
        let file = self.medium().edit(name)?;
        let zeros = vec![0; 1 << 18];
        for at in (0..end).step_by(zeros.len()) {
            let length = (end - at).min(zeros.len() as u64);
            file.write_at(at, &zeros[..length as usize])?;
        }
        file.sync()
    }

    /// A segment that could not be begun for want of room is given up: nothing in it was ever acknowledged.
    pub(super) fn give_up(&self, spare: &str, sequence: u64) -> io::Result<()> {
        self.medium().remove(&[spare, &file_name(sequence)])
    }

    /// A write or a sync beside the writer thread has failed. When nobody knows what is on the disk, the log has.
    pub(crate) fn note(&self, error: &io::Error) {
        if is_in_doubt(error) {
            self.fail();
        }
    }

    /// Whether a log has failed, of this region or another: the process must end.
    pub(crate) fn has_failed(&self) -> Option<Region> {
        *self.failed.borrow()
    }

    /// Makes spares ahead of need, away from the writer thread.
    ///
    /// # Errors
    /// When a file fails. After anything but a want of room the log has failed.
    pub(crate) fn stock(&self) -> io::Result<()> {
        self.stock_up().inspect_err(|error| self.note(error))
    }

    fn stock_up(&self) -> io::Result<()> {
        while lock(&self.spares).len() < SPARES
            && self.medium().free_bytes()? > self.config.free_bytes_min + self.config.segment_bytes_max
        {
            let spare = self.make_spare()?;
            lock(&self.spares).push(spare);
        }
        Ok(())
    }

    pub(super) fn fail(&self) {
        self.failed.send_if_modified(|failed| failed.is_none() && failed.replace(self.region).is_none());
    }

    pub(super) fn take_spare(&self) -> io::Result<String> {
        let spare = lock(&self.spares).pop();
        spare.map_or_else(|| self.make_spare(), Ok)
    }

    fn make_spare(&self) -> io::Result<String> {
        let name = self.spare_name();
        let made = self.medium().create(&name, self.config.segment_bytes_max);
        if made.is_err() {
            // On a full disk what was made of it takes the room that others need. A start removes what stays.
            let _ = self.medium().remove(&[&name]);
        }
        made.map(|_| name)
    }

    fn spare_name(&self) -> String {
        format!("{}.spare", self.spare_names.fetch_add(1, Ordering::Relaxed))
    }

    /// The segment that was written to is sealed.
    pub(super) fn push(&self, sealed: Sealed) {
        lock(&self.sealed).push_back(Arc::new(sealed));
        *lock(&self.tail) = None;
    }

    /// What is durable of the segment that is written to.
    pub(super) fn set_tail(&self, tail: Tail) {
        *lock(&self.tail) = Some(tail);
    }
}

/// A panic elsewhere leaves these values whole: every change is one call.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
