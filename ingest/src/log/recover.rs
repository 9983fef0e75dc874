//! What is found at start: sealed segments that are not in the tables yet, and the event ids that have no run yet.
//!
//! Invariants: every segment but the newest has its seal; the newest gets it here; what is found is durable before anything follows
//! from it, also what a process has left that was killed before its sync. The next sequence is above every
//! one that was ever used, whatever is left of it: a segment, a run, or a table's transaction version. (Else a table
//! would take new rows for old ones and skip them.)
//! Not here: reading a segment (`scan.rs`), runs (`dedup/runs.rs`).

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64},
    },
};

use shoal_files::Source;
use shoal_schemas::Region;
use tokio::sync::mpsc;

use super::{
    Clock, Failed, InFlight, Log, Sealed, Shared, Thread,
    scan::{Scan, scan},
    segment::{repair, settle},
    shelf::{Shelf, file_name, sequence_of},
    writer::Writer,
};
use crate::{
    config::LogConfig,
    dedup::{Fingerprints, Runs, Window},
    error::IngestError,
    metrics::Metrics,
    stages::row,
};

/// No setting makes the files of segments shorter than this.
const MADE_BYTES_MIN: u64 = 4 << 20;

/// What a log is made of.
pub(crate) struct LogSetup {
    pub(crate) region: Region,
    pub(crate) shelf: Shelf,
    pub(crate) runs: Arc<Runs>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) config: LogConfig,
    /// How long the data were served.
    pub(crate) served: Clock,
    pub(crate) metrics: Metrics,
    /// Where it says that it has failed.
    pub(crate) failed: Failed,
    /// The highest transaction version of this log in any table.
    pub(crate) committed: Option<i64>,
}

impl Log {
    /// Recovers what is there.
    ///
    /// # Errors
    /// When a file cannot be read, or is damaged where it was durable.
    pub(crate) fn open(setup: LogSetup) -> Result<Log, IngestError> {
        let medium = setup.shelf.medium();
        let mut sequences = Vec::new();
        for entry in medium.list("").map_err(IngestError::io(medium.path("")))? {
            let name = entry.name;
            if name.ends_with(".spare") {
                medium.remove(&[&name]).map_err(IngestError::io(medium.path(&name)))?;
            }
            sequences.extend(sequence_of(&name));
        }
        sequences.sort_unstable();
        let committed = setup.committed.and_then(|v| u64::try_from(v).ok());
        let known = sequences.last().copied().max(setup.runs.last());
        // The tables would take the rows that are here for rows that they have.
        if let Some(committed) = committed
            && !sequences.is_empty()
            && known.is_some_and(|known| committed > known)
        {
            let reason =
                "a table has the transaction version of a segment that was never begun: its log is damaged";
            return Err(IngestError::Damaged { path: medium.path(""), offset: 0, reason });
        }
        let used = known.max(committed);
        let mut sealed = VecDeque::new();
        let mut sets = Vec::new();
        for (at, sequence) in sequences.iter().enumerate() {
            let newest = at + 1 == sequences.len();
            if let Some((segment, set)) = recover(&setup, *sequence, newest)? {
                sets.extend(set.map(|set| (*sequence, set)));
                sealed.push_back(Arc::new(segment));
            }
        }
        let (queue, commands) = mpsc::channel(setup.config.queue_batches_max);
        let shared = Arc::new(Shared {
            region: setup.region,
            shelf: setup.shelf,
            config: setup.config,
            metrics: setup.metrics,
            sealed: Mutex::new(sealed),
            tail: Mutex::new(None),
            spares: Mutex::new(Vec::new()),
            spare_names: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            is_refusing: AtomicBool::new(false),
            failed: setup.failed,
        });
        let writer = Box::new(Writer {
            queue: commands,
            shared: Arc::clone(&shared),
            window: Window::new(setup.runs, sets),
            next_sequence: used.map_or(1, |used| used + 1),
            served: setup.served,
        });
        Ok(Log {
            shared,
            queue,
            in_flight: setup.in_flight,
            thread: Mutex::new(Thread::Waiting(writer)),
            started: AtomicBool::new(false),
        })
    }
}

/// One segment: none when nothing in it was ever acknowledged.
fn recover(
    setup: &LogSetup,
    sequence: u64,
    newest: bool,
) -> Result<Option<(Sealed, Option<Arc<Fingerprints>>)>, IngestError> {
    let shelf = &setup.shelf;
    let path = shelf.path(sequence);
    let mut set = (!setup.runs.covers(sequence)).then(Fingerprints::default);
    let found = scan(shelf, sequence, &mut |_, payload| {
        if let Some(set) = &mut set {
            for row in row::rows(payload) {
                let head = row.and_then(row::decode).map(|(head, _)| head);
                let damaged =
                    |e: row::RowError| IngestError::Damaged { path: path.clone(), offset: 0, reason: e.0 };
                set.insert(head.map_err(damaged)?.fingerprint());
            }
        }
        Ok(())
    })?;
    let is_short =
        |file: Box<dyn Source>| Ok(file.length()? < setup.config.segment_bytes_max.min(MADE_BYTES_MIN));
    if found.is_none() && shelf.open(sequence).and_then(is_short).map_err(IngestError::io(&path))? {
        let reason = "the file is shorter than it was made";
        return Err(IngestError::Damaged { path, offset: 0, reason });
    }
    let found = match found {
        Some(found) if found.sealed || newest => Some(found),
        None if newest => None,
        _ => {
            let reason = "the end of the segment is missing, and a newer segment is there";
            let offset = found.map_or(0, |f: Scan| f.extent.end);
            return Err(IngestError::Damaged { path, offset, reason });
        }
    };
    match found {
        Some(mut found) if found.extent.rows > 0 => {
            let settled = if found.sealed { settle(shelf, &found.extent) } else { repair(shelf, &mut found) };
            settled.map_err(IngestError::io(&path))?;
            let set = set.map(Arc::new);
            let sealed = Sealed::new(found.extent, (setup.served)(), set.clone());
            Ok(Some((sealed, set)))
        }
        _ => {
            shelf.medium().remove(&[&file_name(sequence)]).map_err(IngestError::io(&path))?;
            Ok(None)
        }
    }
}
