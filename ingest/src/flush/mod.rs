//! Sealed segments go into the tables, exactly once, and their files are used again.
//!
//! ```text
//! seal what is due -> for each sealed segment: run of event ids durable -> ids leave memory
//! -> several small segments or one large: rows -> columns -> a day is full? the region waits, room is made without a lock
//! -> one commit a table, version = last segment's sequence -> files zeroed -> runs merged or dropped
//! ```
//! Invariants: a segment's file is emptied only after every table that has rows of it has committed them and its run is
//! durable; a table never gets rows of a segment that is not above its committed version. So any step may fail or be
//! cut off, and the next run goes on from there. One flush at a time over all regions: it is work beside the acks.
//!
//! - `columns`: rows become Arrow; `room`: full days; `sink`: the tables
//!
//! Not here: when it is called (`shoal-server`), Parquet and Delta (`shoal-storage`), merging of runs (`dedup/runs.rs`).

pub(crate) mod columns;
mod room;
mod sink;
#[cfg(test)]
pub(crate) mod tests;

use std::{io, sync::Arc};

use shoal_files::host;
use shoal_schemas::{InForce, Kind, Registry};
use shoal_storage::Part;

use self::sink::Span;
pub(crate) use self::sink::{Sink, Tables};
use self::{
    columns::{Columns, Translation},
    room::{Full, Wait},
};
use crate::{
    dedup::Runs,
    error::IngestError,
    log::{Log, Sealed, Shared, scan},
    metrics::Metrics,
};

/// So often rows are moved for a pause before it is given up. Between two times a flush of its own may leave others behind.
const PAUSE_TRIES_MAX: usize = 8;

/// What a flush did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlushReport {
    /// Segments that are in the tables now.
    pub segments: u64,
    /// Rows committed.
    pub rows: u64,
    /// Files committed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Merges of event-id runs.
    pub merges: u64,
}

/// One region's log and event ids.
pub(crate) struct Branch {
    pub(crate) log: Log,
    pub(crate) runs: Arc<Runs>,
    /// Held while rows of the region move from the log into the tables. Whoever holds it sees every row in one of them.
    pub(crate) moving: tokio::sync::Mutex<()>,
    /// Held by the flush that has the turn.
    wait: tokio::sync::Mutex<Wait>,
}

impl Branch {
    /// Whether ids are in a run while their rows may be in the log only.
    fn has_ids_without_rows(&self) -> bool {
        self.log.shared().sealed().iter().any(|segment| self.runs.covers(segment.extent.sequence))
    }

    pub(crate) fn new(log: Log, runs: Arc<Runs>) -> Branch {
        Branch { log, runs, moving: tokio::sync::Mutex::default(), wait: tokio::sync::Mutex::default() }
    }
}

/// The rows of tables.
type Rows = Vec<(Kind, Vec<Part>)>;
/// The version that each table has committed, by [`Kind::index`].
type Committed = Vec<Option<i64>>;

/// One call of the flush, and what it has done so far.
struct Run {
    /// How long the data were served, ms.
    served_ms: i64,
    force: bool,
    report: FlushReport,
    failure: Option<IngestError>,
}

/// Moves sealed segments into a sink.
pub(crate) struct Flusher<S> {
    definitions: InForce,
    sink: S,
    branches: Vec<Arc<Branch>>,
    interval_ms: i64,
    /// Bytes of rows that are turned into columns at once; a larger segment goes alone.
    rows_bytes_max: u64,
    metrics: Metrics,
    turn: tokio::sync::Mutex<()>,
}

impl<S: Sink> Flusher<S> {
    pub(crate) fn new(
        definitions: InForce,
        sink: S,
        branches: Vec<Arc<Branch>>,
        config: &crate::config::IngestConfig,
        metrics: Metrics,
    ) -> Flusher<S> {
        Flusher {
            definitions,
            sink,
            branches,
            interval_ms: i64::try_from(config.flush_interval_ms).unwrap_or(i64::MAX),
            rows_bytes_max: config.log.segment_bytes_max,
            metrics,
            turn: tokio::sync::Mutex::new(()),
        }
    }

    /// Seals what is due when so much was served (everything, when forced) and moves what is sealed. A region that fails does
    /// not keep the others, nor does one whose tables have no room: its rows stay in the log for a later call, or, when forced,
    /// until the others are done.
    ///
    /// # Errors
    /// The first failure; nothing is lost, the next call goes on from there. [`IngestError::Failed`] once a log has failed: the
    /// next process goes on then.
    pub(crate) async fn run_once(&self, served_ms: i64, force: bool) -> Result<FlushReport, IngestError> {
        let mut run = Run { served_ms, force, report: FlushReport::default(), failure: None };
        let mut left: Vec<&Arc<Branch>> = self.branches.iter().collect();
        while !left.is_empty() {
            left = self.round(left, &mut run).await;
        }
        if force {
            for branch in &self.branches {
                let begun = branch.wait.lock().await.take();
                if let Some(making) = begun {
                    let _ = making.await;
                }
            }
        }
        run.failure.map_or(Ok(run.report), Err)
    }

    /// The turn of a flush, when no region has event ids in a run whose rows are in its log only: while it is held, nothing moves.
    /// Rows may stay behind their run for want of room on a full day, or when a table failed; they are moved first.
    ///
    /// # Errors
    /// When they cannot be moved; nothing is lost.
    pub(crate) async fn pause(&self, served_ms: i64) -> Result<tokio::sync::MutexGuard<'_, ()>, IngestError> {
        for _ in 0..PAUSE_TRIES_MAX {
            let turn = self.turn.lock().await;
            if !self.branches.iter().any(|branch| branch.has_ids_without_rows()) {
                return Ok(turn);
            }
            drop(turn);
            self.run_once(served_ms, true).await?;
        }
        Err(IngestError::Behind)
    }

    /// Each of these regions once. Those that could not move all of their rows, when these must move now: there is room for
    /// them by then.
    async fn round<'a>(&self, branches: Vec<&'a Arc<Branch>>, run: &mut Run) -> Vec<&'a Arc<Branch>> {
        let turn = self.turn.lock().await;
        let (mut left, mut all_full) = (Vec::new(), Vec::new());
        for branch in branches {
            let done = match branch.log.shared().has_failed() {
                Some(region) => Err(IngestError::Failed(region)),
                None => self.region(branch, run).await,
            };
            match done {
                Ok(full) if full.is_empty() => {}
                Ok(full) => {
                    all_full.extend(full);
                    left.push(branch);
                }
                Err(error) => {
                    let region = branch.log.shared().region();
                    tracing::warn!(%region, %error, "flush failed");
                    run.failure.get_or_insert(error);
                }
            }
            let waiting = branch.log.shared().sealed().len() as u64;
            self.metrics.set_held(branch.log.shared().region(), waiting, branch.runs.size());
        }
        drop(turn);
        room::make(&self.sink, &all_full).await;
        left
    }

    /// The full days for which room must be made at once; none when nothing is in the way, or there is time.
    async fn region(&self, branch: &Arc<Branch>, run: &mut Run) -> Result<Vec<Full>, IngestError> {
        let served_ms = run.served_ms;
        let due = if run.force { i64::MAX } else { served_ms.saturating_sub(self.interval_ms) };
        branch.log.seal(due).await;
        let sealed = branch.log.shared().sealed();
        self.remember(branch, &sealed).await?;
        let full = self.move_rows(branch, &sealed, run).await?;
        let kept = Arc::clone(branch);
        run.report.merges += blocking(branch.log.shared(), move || {
            if kept.log.is_running() {
                kept.log.shared().stock()?;
            }
            kept.runs.maintain(served_ms)
        })
        .await?;
        Ok(full)
    }

    /// Moves sealed segments into the tables, up to the first rows for which there is no room.
    async fn move_rows(
        &self,
        branch: &Arc<Branch>,
        sealed: &[Arc<Sealed>],
        run: &mut Run,
    ) -> Result<Vec<Full>, IngestError> {
        let region = branch.log.shared().region();
        let mut wait = branch.wait.lock().await;
        if wait.is_making() && !run.force {
            return Ok(Vec::new());
        }
        let mut rest = sealed;
        while !rest.is_empty() {
            let began = host::instant();
            let (group, later) = rest.split_at(self.group(rest));
            // Nobody but the flush that has the turn writes into the tables or empties segments.
            let (kinds, committed) = self.read(branch, group).await?;
            let full = room::full_days(&self.sink, region, &kinds).await?;
            if !full.is_empty() && wait.once_more() {
                if run.force {
                    return Ok(full);
                }
                wait.begin(&self.sink, full);
                return Ok(Vec::new());
            }
            let moving = branch.moving.lock().await;
            self.commit(branch, kinds, (&committed, last_version(group)), &mut run.report).await?;
            let (emptied, done) = (Arc::clone(branch), group.to_vec());
            blocking(branch.log.shared(), move || emptied.log.shared().recycle(&done)).await?;
            drop(moving);
            wait.over();
            run.report.segments += group.len() as u64;
            self.metrics.flush_seconds.observe(host::seconds_since(began));
            rest = later;
        }
        Ok(Vec::new())
    }

    /// The event ids of sealed segments go from memory to runs, also when the tables cannot be written at the moment.
    async fn remember(&self, branch: &Arc<Branch>, sealed: &[Arc<Sealed>]) -> Result<(), IngestError> {
        for segment in sealed {
            if let Some(set) = segment.fingerprints() {
                let (kept, of) = (Arc::clone(branch), Arc::clone(segment));
                blocking(branch.log.shared(), move || {
                    if kept.runs.covers(of.extent.sequence) {
                        return Ok(());
                    }
                    let added = kept.runs.add(of.extent.sequence, &set, of.sealed_ms);
                    added.inspect_err(|error| kept.log.shared().note(error))
                })
                .await?;
                branch.log.forget(segment).await;
            }
        }
        Ok(())
    }

    /// How many of these go into one commit.
    fn group(&self, sealed: &[Arc<Sealed>]) -> usize {
        let mut bytes = 0;
        let fits = |segment: &&Arc<Sealed>| {
            bytes += segment.extent.payload_bytes;
            bytes <= self.rows_bytes_max
        };
        sealed.iter().take_while(fits).count().max(1)
    }

    /// The rows of these segments that the tables do not have yet.
    async fn read(
        &self,
        branch: &Arc<Branch>,
        group: &[Arc<Sealed>],
    ) -> Result<(Rows, Committed), IngestError> {
        let shared = branch.log.shared();
        let region = shared.region();
        let mut committed = Vec::with_capacity(Kind::ALL.len());
        for kind in Kind::ALL {
            committed.push(self.sink.committed(region, *kind).await?);
        }
        // These know every name of the group: it was sealed before, and so what its rows were made by was in force before.
        let (registry, log, group) = (self.definitions.current(), Arc::clone(shared), group.to_vec());
        let build = move || Ok((build(&registry, &log, &group, &committed)?, committed));
        host::blocking(build).await.map_err(|_| IngestError::Failed(region))?
    }

    async fn commit(
        &self,
        branch: &Branch,
        kinds: Rows,
        (committed, version): (&Committed, i64),
        report: &mut FlushReport,
    ) -> Result<(), IngestError> {
        let region = branch.log.shared().region();
        for (kind, parts) in kinds {
            let span = Span { after: committed[kind.index()], version };
            let done = self.sink.append(region, kind, parts, span).await?;
            if done.overtaken {
                // An earlier commit has come late, and has some of the rows. The next call looks which.
                return Err(IngestError::Overtaken(region));
            }
            report.rows += done.rows;
            report.files += done.files;
            report.bytes += done.bytes;
            self.metrics.flush_rows.inc_by(done.rows);
            self.metrics.flush_bytes.inc_by(done.bytes);
        }
        Ok(())
    }
}

/// The transaction version of several segments together.
fn last_version(group: &[Arc<Sealed>]) -> i64 {
    version(group.last().map_or(0, |segment| segment.extent.sequence))
}

/// The transaction version of a segment.
pub(crate) fn version(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// The columns of the rows that the tables do not have yet.
fn build(
    registry: &Registry,
    log: &Shared,
    group: &[Arc<Sealed>],
    committed: &[Option<i64>],
) -> Result<Vec<(Kind, Vec<Part>)>, IngestError> {
    let mut columns = Columns::new(registry, log.region());
    for segment in group {
        let sequence = segment.extent.sequence;
        let wanted = |kind: Kind| committed[kind.index()].is_none_or(|done| version(sequence) > done);
        if !Kind::ALL.iter().any(|kind| wanted(*kind)) {
            continue;
        }
        let mut translation: Option<Translation> = None;
        let found = scan(log.shelf(), sequence, &mut |dictionary, payload| {
            let translation = translation.get_or_insert_with(|| columns.translation(dictionary));
            columns.add(translation, payload, &wanted)
        })?;
        if found.map(|found| found.extent) != Some(segment.extent) {
            return Err(IngestError::Damaged {
                path: log.path(sequence),
                offset: 0,
                reason: "the segment does not hold what was written to it",
            });
        }
    }
    columns.finish()
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(
    log: &Arc<Shared>,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, IngestError> {
    let path = log.medium().path("");
    let done = host::blocking(work).await;
    done.map_err(|_| IngestError::Failed(log.region()))?.map_err(IngestError::io(path))
}
