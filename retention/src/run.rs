//! Plans and runs over a store: expire, then purge, table by table.
//!
//! Invariants: rows leave only through a commit of their table; a file's bytes go only after the commit that removed it; a
//! table that fails does not keep the others from being done; two runs of one process never overlap; a run goes by the definitions
//! that were in force when it began.

use std::collections::BTreeMap;
use std::sync::Arc;

use shoal_schemas::calendar::{day_of, start_of};
use shoal_schemas::{InForce, Kind, Programme, Region, Registry};
use shoal_storage::{LiveFile, PurgeReport, Store, Table};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::RetentionError;
use crate::metrics::{Metrics, TableLabel};
use crate::permit::Permit;
use crate::plan::{Line, Plan, TableFiles, is_expired, plan};
use crate::report::{Failure, Purged, Report};

/// Whether a run changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reports what a run would do.
    Dry,
    /// Expires and purges, if that is permitted.
    Real(Permit),
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Tables done.
    pub tables_done: usize,
    /// Tables in all.
    pub tables: usize,
    /// Files that left the disk so far.
    pub files: u64,
}

/// Plans and runs. Cheap to clone; clones share the lock that keeps runs apart.
#[derive(Clone)]
pub struct Retention {
    pub(crate) store: Store,
    pub(crate) definitions: InForce,
    pub(crate) metrics: Metrics,
    running: Arc<Mutex<()>>,
}

impl Retention {
    /// Retention over all tables of a store.
    pub fn new(store: Store, definitions: impl Into<InForce>, metrics: Metrics) -> Retention {
        Retention { store, definitions: definitions.into(), metrics, running: Arc::new(Mutex::new(())) }
    }

    /// The store of the tables.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What a run at `now_ms` would do.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub async fn plan(&self, now_ms: i64) -> Result<Plan, RetentionError> {
        let (mut tables, registry) = (Vec::new(), self.definitions.current());
        for (region, kind) in all_tables() {
            tables.push(self.files(&registry, region, kind).await?);
        }
        Ok(plan(&registry, &tables, now_ms))
    }

    /// Makes everything that is past its time at `now_ms` gone, and finishes what an earlier run left.
    ///
    /// # Errors
    /// A dry run: as [`Self::plan`]. A real run that is not permitted: [`RetentionError::Refused`], and nothing is changed. One
    /// that is reports a table that fails and goes on with the next.
    pub async fn run_once(
        &self,
        now_ms: i64,
        mode: Mode,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Report, RetentionError> {
        let _running = self.running.lock().await;
        let permit = match mode {
            Mode::Real(permit) => permit,
            Mode::Dry => {
                let expired = self.plan(now_ms).await?.lines;
                return Ok(Report { now_ms, dry_run: true, expired, purged: vec![], failed: vec![] });
            }
        };
        let registry = self.definitions.current();
        permit.check(&registry, &self.readable(&registry).await, now_ms)?;
        self.metrics.runs.inc();
        let mut report = Report { now_ms, dry_run: false, expired: vec![], purged: vec![], failed: vec![] };
        let tables = all_tables();
        for (done, (region, kind)) in tables.iter().copied().enumerate() {
            progress(self.progress(done, tables.len(), &report));
            if let Err(error) = self.run_table(&registry, region, kind, &mut report).await {
                self.metrics.failures.get_or_create(&TableLabel::new(region, kind)).inc();
                tracing::error!(%region, %kind, %error, "retention of a table did not finish");
                report.failed.push(Failure { region, kind, reason: error.to_string() });
            }
        }
        progress(self.progress(tables.len(), tables.len(), &report));
        report.expired.sort_by_key(|l| (l.region, l.programme, l.kind));
        if report.failed.is_empty() {
            self.metrics.last_success_seconds.set(now_ms / 1000);
        }
        Ok(report)
    }

    fn progress(&self, tables_done: usize, tables: usize, report: &Report) -> Progress {
        Progress { tables_done, tables, files: report.purged_total().0 }
    }

    async fn run_table(
        &self,
        registry: &Registry,
        region: Region,
        kind: Kind,
        report: &mut Report,
    ) -> Result<(), shoal_storage::StorageError> {
        let today = day_of(report.now_ms);
        let table = self.open(registry, region, kind).await?;
        let expired = |file: &LiveFile| is_expired(registry, file.programme, kind, file.day, today);
        let removed = table.expire(&expired).await?;
        let kept = table.snapshot().await?;
        let label = TableLabel::new(region, kind);
        self.metrics.expired_rows.get_or_create(&label).inc_by(removed.rows);
        report.expired.extend(lines(registry, &table, &removed.removed, kept.files()));
        let purged = table.purge(report.now_ms).await?;
        self.metrics.purged_files.get_or_create(&label).inc_by(purged.files);
        self.metrics.purged_bytes.get_or_create(&label).inc_by(purged.bytes);
        let (definitions, is_expired) = (self.definitions.current(), is_expired);
        let is_over = move |day| {
            Programme::ALL.iter().all(|programme| is_expired(&definitions, *programme, kind, day, today))
        };
        let keys = table.shred(is_over).await?;
        if keys > 0 {
            tracing::info!(%region, %kind, keys, "retention destroyed the keys of days that are over");
        }
        if purged.files > 0 || purged.log_entries > 0 || purged.pinned > 0 {
            let PurgeReport { files, bytes, log_entries, pinned } = purged;
            tracing::info!(%region, %kind, files, bytes, log_entries, pinned, "retention purged a table");
            report.purged.push(Purged { region, kind, files, bytes, log_entries, pinned });
        }
        Ok(())
    }

    /// The newest time that any event can have, by the newest day that a table has, in milliseconds since 1970.
    pub async fn newest_event_ms(&self) -> Option<i64> {
        let tables = self.readable(&self.definitions.current()).await;
        let days = tables.iter().flat_map(|table| &table.files).map(|file| file.day);
        days.max().map(|day| start_of(day.saturating_add(1)) - 1)
    }

    /// The files of the tables that can be read. One that cannot is reported by the run itself.
    pub(crate) async fn readable(&self, registry: &Arc<Registry>) -> Vec<TableFiles> {
        // Beside each other: reading the logs of all tables is most of a start.
        let mut reading = JoinSet::new();
        for (region, kind) in all_tables() {
            let (retention, registry) = (self.clone(), Arc::clone(registry));
            reading.spawn(async move { retention.files(&registry, region, kind).await });
        }
        let mut tables = Vec::new();
        while let Some(read) = reading.join_next().await {
            tables.extend(read.into_iter().flatten());
        }
        tables
    }

    async fn open(
        &self,
        registry: &Registry,
        region: Region,
        kind: Kind,
    ) -> Result<Table, shoal_storage::StorageError> {
        self.store.table(region, registry.table(kind)).await
    }

    async fn files(
        &self,
        registry: &Registry,
        region: Region,
        kind: Kind,
    ) -> Result<TableFiles, RetentionError> {
        let read = async {
            let snapshot = self.open(registry, region, kind).await?.snapshot().await?;
            Ok(TableFiles { region, kind, files: snapshot.files().to_vec() })
        };
        read.await.map_err(|source| RetentionError::Table { region, kind, source })
    }
}

/// The report's lines of one table, from the files that the commit removed and those that stay.
fn lines(registry: &Registry, table: &Table, removed: &[LiveFile], kept: &[LiveFile]) -> Vec<Line> {
    let mut lines: BTreeMap<Programme, Line> = BTreeMap::new();
    for (file, gone) in removed.iter().map(|f| (f, true)).chain(kept.iter().map(|f| (f, false))) {
        lines
            .entry(file.programme)
            .or_insert_with(|| Line::empty(registry, table.region(), file.programme, table.kind()))
            .count(file, gone);
    }
    lines.into_values().collect()
}

fn all_tables() -> Vec<(Region, Kind)> {
    let kinds = |region: &'static Region| Kind::ALL.iter().map(|kind| (*region, *kind));
    Region::ALL.iter().flat_map(kinds).collect()
}
