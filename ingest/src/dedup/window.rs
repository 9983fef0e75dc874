//! Decides whether an event id is new: the ids of a region's segments in memory, and those of its runs on the disk.
//!
//! Invariant: an id leaves the memory only after the run that holds it is published. Not here: runs (`runs.rs`).

use std::{io, sync::Arc};

use super::{Fingerprints, runs::Runs};

/// All ids of one region; owned by the writer thread.
pub(crate) struct Window {
    active: Fingerprints,
    sealed: Vec<(u64, Arc<Fingerprints>)>,
    runs: Arc<Runs>,
    /// Ids that were only looked for. Nothing asks this set.
    probed: Fingerprints,
}

/// Ids that were only looked for, at the most.
const PROBED_MAX: usize = 1 << 16;

impl Window {
    /// With the sets of the segments that have no run yet, by sequence.
    pub(crate) fn new(runs: Arc<Runs>, sealed: Vec<(u64, Arc<Fingerprints>)>) -> Window {
        Window { active: Fingerprints::default(), sealed, runs, probed: Fingerprints::default() }
    }

    /// Whether the id is known.
    ///
    /// # Errors
    /// When a run cannot be read.
    pub(crate) fn is_known(&self, fingerprint: u64) -> io::Result<bool> {
        Ok(self.active.contains(&fingerprint)
            || self.sealed.iter().any(|(_, set)| set.contains(&fingerprint))
            || self.runs.contains(fingerprint)?)
    }

    /// Whether the event is known under its id, or under another that it may have had.
    ///
    /// # Errors
    /// When a run cannot be read.
    pub(crate) fn is_known_under(&self, fingerprint: u64, others: &[u64]) -> io::Result<bool> {
        for id in std::iter::once(&fingerprint).chain(others) {
            if self.is_known(*id)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The id is known from now on.
    pub(crate) fn insert(&mut self, fingerprint: u64) {
        self.active.insert(fingerprint);
    }

    /// Takes as long as to look for an id and to make it known, and remembers nothing: for an event that is not kept, of
    /// which nobody may know that it is not.
    ///
    /// # Errors
    /// When a run cannot be read.
    pub(crate) fn probe(&mut self, fingerprint: u64, others: &[u64]) -> io::Result<()> {
        if !self.is_known_under(fingerprint, others)? {
            self.probed.insert(fingerprint);
        }
        if self.probed.len() >= PROBED_MAX {
            self.probed.clear();
        }
        Ok(())
    }

    /// The active segment was sealed. Answers its ids, for the run.
    pub(crate) fn seal(&mut self, sequence: u64) -> Arc<Fingerprints> {
        let set = Arc::new(std::mem::take(&mut self.active));
        self.sealed.push((sequence, Arc::clone(&set)));
        set
    }

    /// The run of a segment is published: its set is not needed.
    pub(crate) fn forget(&mut self, sequence: u64) {
        self.sealed.retain(|(of, _)| *of != sequence);
    }
}
