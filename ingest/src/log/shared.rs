//! What the handle, the writer thread and the flush of a region's log have in common: its sealed segments and its spare
//! files.
//!
//! Invariant: a file has the name of a segment only while it holds one. Not here: what is in a segment (`segment.rs`), who
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

use shoal_files::Medium;
use shoal_schemas::Region;
use tokio::sync::watch;

use super::segment::{Extent, Tail, file_name};
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
    pub(super) medium: Arc<dyn Medium>,
    pub(super) config: LogConfig,
    pub(super) metrics: Metrics,
    pub(super) sealed: Mutex<VecDeque<Arc<Sealed>>>,
    pub(super) tail: Mutex<Option<Tail>>,
    pub(super) spares: Mutex<Vec<String>>,
    pub(super) spare_names: AtomicU64,
    pub(super) stopped: AtomicBool,
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
        &*self.medium
    }

    /// The path of a segment, for messages.
    pub(crate) fn path(&self, sequence: u64) -> PathBuf {
        self.medium.path(&file_name(sequence))
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
    /// Renamed first: a segment with a name is never half empty.
    pub(crate) fn recycle(&self, done: &[Arc<Sealed>]) -> io::Result<()> {
        for sealed in done {
            let name = file_name(sealed.extent.sequence);
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

    pub(super) fn fail(&self) {
        self.failed.send_if_modified(|failed| failed.is_none() && failed.replace(self.region).is_none());
    }

    pub(super) fn take_spare(&self) -> io::Result<String> {
        let spare = lock(&self.spares).pop();
        spare.map_or_else(|| self.make_spare(), Ok)
    }

    fn make_spare(&self) -> io::Result<String> {
        let name = self.spare_name();
        let made = self.medium.create(&name, self.config.segment_bytes_max);
        if made.is_err() {
            // On a full disk what was made of it takes the room that others need. A start removes what stays.
            let _ = self.medium.remove(&[&name]);
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
