//! One process: it starts on what the one before it has left, serves its callers, moves rows, merges, expires and purges, and ends.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use shoal_files::host;
use shoal_ingest::{Ingest, IngestConfig, IngestError, IngestParts, Metrics, UnitKeyConfig, open_consents};
use shoal_privacy::consent::ConsentRecord;
use shoal_schemas::{Kind, Region, Registry, calendar::day_of};
use shoal_storage::{CompactPolicy, Consents, EpochKeys, Refused, Snapshot, StorageError, Store, Table};
use tokio::time::{sleep, timeout};

use crate::{
    callers::Callers,
    chance::Chance,
    drive::{Drive, Drives},
    host::SimHost,
    ledger::Found,
    power::Power,
    world::World,
};

/// Longer than anything takes when nothing fails.
const PATIENCE: Duration = Duration::from_secs(3_600);

pub fn registry() -> &'static Arc<Registry> {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(|| Arc::new(Registry::load(None).unwrap()))
}

/// Consents are no part of the simulation, and nobody has recorded any: one file for all seeds.
fn consents() -> Arc<Consents<ConsentRecord>> {
    static CONSENTS: OnceLock<(tempfile::TempDir, Arc<Consents<ConsentRecord>>)> = OnceLock::new();
    let open = || {
        let root = tempfile::tempdir().unwrap();
        let consents = Arc::new(open_consents(root.path()).unwrap());
        (root, consents)
    };
    Arc::clone(&CONSENTS.get_or_init(open).1)
}

fn config(world: &World) -> IngestConfig {
    let mut config = IngestConfig { data_dir: PathBuf::from("/data"), ..IngestConfig::default() };
    config.unit_keys = UnitKeyConfig { dir: PathBuf::from("/unit-keys"), ..UnitKeyConfig::default() };
    config.log.segment_bytes_max = 1 << 16;
    config.log.group_bytes_max = world.shape.group_bytes_max;
    config.log.free_bytes_min = 1 << 20;
    config.log.is_encrypted = world.shape.is_encrypted;
    config.dedup.is_encrypted = world.shape.is_encrypted;
    config.day_limit.events_max = world.shape.events_max;
    config.flush_interval_ms = world.shape.flush_interval_ms;
    config
}

/// A process that runs.
pub struct Process {
    pub ingest: Arc<Ingest>,
    pub store: Store,
    pub power: Arc<Power>,
    pub callers: Arc<Callers>,
    host: Arc<SimHost>,
}

impl Process {
    /// Starts one.
    pub async fn start(world: &World, power: &Arc<Power>) -> Result<Process, IngestError> {
        let store = world.open_store(power).await?;
        let (host, served) = (Arc::clone(&world.host), Arc::clone(&world.host));
        let parts = IngestParts {
            definitions: Arc::clone(registry()).into(),
            keyring: Arc::clone(&world.keyring),
            epoch_keys: EpochKeys::ephemeral(),
            consents: consents(),
            refused: Refused::default(),
            store: store.clone(),
            clock: Arc::new(host::now_ms),
            served: Arc::new(move || served.true_ms()),
            settled: Arc::new(move || host.true_ms()),
            metrics: Metrics::register(&mut prometheus_client::registry::Registry::default()),
            geo: None,
        };
        let places = Arc::new(Drives(Drive::disk(&world.disk, power), world.callers.tables.clone()));
        let ingest = Arc::new(Ingest::open_in(config(world), parts, places).await?);
        Ok(Process {
            ingest,
            store,
            power: Arc::clone(power),
            callers: Arc::clone(&world.callers),
            host: Arc::clone(&world.host),
        })
    }

    async fn table(&self, (region, kind): (Region, Kind)) -> Result<Table, StorageError> {
        self.store.table(region, registry().table(kind)).await
    }

    fn note(&self, what: String) {
        self.callers.ledger.lock().unwrap().note(what);
    }

    /// Whatever fails has a cause, and what fails for none is wrong.
    fn judge<T, E: std::fmt::Display>(&self, what: &str, done: Result<T, E>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(_)
                if self.power.has_ended().is_some() || self.power.has_failed() || self.power.was_full() =>
            {
                None
            }
            Err(error) => {
                self.note(format!("{what} failed without a cause: {error}"));
                None
            }
        }
    }

    /// Serves for so long, or until it ends by itself.
    pub async fn serve(&self, chance: &mut Chance, events_max: u32, long: Duration) {
        let callers = (0..self.callers.all.len()).map(|at| {
            let of =
                Arc::clone(&self.callers).run(at, Arc::clone(&self.ingest), Arc::clone(&self.power), false);
            tokio::spawn(of)
        });
        let callers: Vec<_> = callers.collect();
        let jobs = (0..3).map(|_| {
            let mut chance = chance.fork();
            async move {
                loop {
                    sleep(Duration::from_millis(chance.below(6_000))).await;
                    self.job(&mut chance, events_max).await;
                }
            }
        });
        let jobs = futures::future::join_all(jobs);
        tokio::select! {
            biased;
            () = self.power.ended.notified() => {}
            _ = self.ingest.failed() => {}
            () = self.store.broken() => {}
            _ = jobs => {}
            () = sleep(long) => {}
        }
        callers.iter().for_each(|caller| caller.abort());
    }

    /// One of the things that are done beside the callers.
    async fn job(&self, chance: &mut Chance, events_max: u32) {
        let at = self.callers.tables[chance.below(self.callers.tables.len() as u64) as usize];
        let Some(table) = self.judge("opening a table", self.table(at).await) else { return };
        match chance.below(16) {
            0..=6 => self.flush(chance.one_in(6)).await,
            7..=9 => self.compact(&table).await,
            10 => {
                self.judge("a checkpoint", table.checkpoint(chance.below(4)).await);
            }
            11 => {
                self.judge("a purge", table.purge(host::now_ms()).await);
            }
            12 if chance.one_in(3) => {
                let before = day_of(host::now_ms()) - chance.below(4) as i32;
                self.callers.ledger.lock().unwrap().expire(at.0, at.1, before);
                self.judge("an expiry", table.expire(&|file| file.day < before).await);
            }
            13 => {
                self.judge("unit keys", self.ingest.renew_unit_keys().await);
            }
            14 => {
                if let Some(paused) = self.judge("a pause", self.ingest.pause().await) {
                    sleep(Duration::from_millis(chance.below(500))).await;
                    drop(paused);
                }
            }
            15 => self.power.set_full(chance.one_in(2)),
            _ => {
                let found = self.found().await;
                if let Some(found) = self.judge("reading the tables", found) {
                    self.callers.ledger.lock().unwrap().compare(&found, false, events_max);
                }
            }
        }
    }

    async fn flush(&self, force: bool) {
        self.judge("a flush", self.ingest.flush(self.host.true_ms(), force).await);
    }

    async fn compact(&self, table: &Table) {
        let policy = CompactPolicy { files_min: 2, ..CompactPolicy::default() };
        let Some(report) = self.judge("a compaction", table.compact(host::now_ms(), policy).await) else {
            return;
        };
        if report.duplicates > 0 {
            self.note(format!("{} events were there twice before a merge", report.duplicates));
        }
        for failed in report.failed {
            self.judge("a merge", Err::<(), _>(failed.reason));
        }
    }

    /// Every row of every table.
    pub async fn found(&self) -> Result<Found, StorageError> {
        let mut found = Found::new();
        for at in self.callers.tables.clone() {
            let snapshot = self.table(at).await?.snapshot().await?;
            read(&snapshot, at, &mut found)?;
        }
        Ok(found)
    }

    /// Serves until every caller was told of everything, moves all rows, and stops.
    pub async fn finish(&self, events_max: u32) {
        let callers = (0..self.callers.all.len()).map(|at| {
            Arc::clone(&self.callers).run(at, Arc::clone(&self.ingest), Arc::clone(&self.power), true)
        });
        let all = async {
            futures::future::join_all(callers).await;
            // What comes late has come by now, and a flush that it came between is repeated.
            while self.power.is_late() {
                self.power.settle();
            }
            self.flush(true).await;
            for at in self.callers.tables.clone() {
                if let Some(table) = self.judge("opening a table", self.table(at).await) {
                    self.compact(&table).await;
                    self.judge("a purge", table.purge(host::now_ms()).await);
                }
            }
            self.judge("stopping", self.ingest.stop().await);
            self.found().await
        };
        match timeout(PATIENCE, all).await {
            Ok(found) => {
                if let Some(found) = self.judge("reading the tables", found) {
                    self.callers.ledger.lock().unwrap().compare(&found, true, events_max);
                }
            }
            Err(_) => self.note("something waits for ever".to_owned()),
        }
    }
}

fn read(snapshot: &Snapshot, at: (Region, Kind), found: &mut Found) -> Result<(), StorageError> {
    for file in snapshot.files() {
        let mut rows = 0;
        for batch in snapshot.rows(file, &["duration_ms"], 1024)? {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            let column = batch.column(0);
            for row in 0..batch.num_rows() {
                let number = match column.as_primitive_opt::<Float64Type>() {
                    Some(numbers) => numbers.value(row) as u64,
                    None => column.as_primitive::<Int64Type>().value(row) as u64,
                };
                found.entry(number).or_default().push((at.0, at.1, file.day));
            }
        }
        assert_eq!(rows, file.rows, "a file has as many rows as its table's log says");
    }
    Ok(())
}
