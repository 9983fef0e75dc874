//! What ingestion is made of, and how its parts are opened: tables, the log and event ids of each region, unit keys.
//!
//! Not here: what is done with them (`ingest.rs`), how each recovers (`log`, `dedup`, `unit_keys`).

use std::{path::PathBuf, sync::Arc};

use shoal_files::{Objects, Sealing, host};
use shoal_privacy::{
    consent::ConsentRecord,
    keyring::{Keyring, Sealed},
};
use shoal_schemas::{InForce, Kind, Programme, Region, calendar::HOUR_MS};
use shoal_storage::{Consents, EpochKeys, Refused, Store};

use super::places::Places;
use crate::{
    config::IngestConfig,
    dedup::{RunLimits, Runs},
    epoch_keys::{self, Calendar, Epochs},
    error::IngestError,
    flush::{Branch, Sink, Tables},
    key_times::Times,
    log::{Clock, Failed, InFlight, Log, LogSetup, Shelf},
    metrics::Metrics,
    stages::country::GeoDb,
    unit_keys::UnitKeys,
};

/// Runs of event ids are merged up to this many ids: a merge then takes a second or two.
const MERGE_KEYS_MAX: u64 = 16 << 20;

/// What ingestion needs from others.
pub struct IngestParts {
    /// What may be collected, and can be replaced while it runs once the tables have the columns.
    pub definitions: InForce,
    /// The keys of all regions.
    pub keyring: Arc<Keyring>,
    /// The keys of the pseudonym epochs of all regions.
    pub epoch_keys: EpochKeys,
    /// The consents recorded in all regions.
    pub consents: Arc<Consents<ConsentRecord>>,
    /// Of whom nothing is kept whatever they granted: they are being erased, may not take part, or processing is restricted.
    pub refused: Refused,
    /// The tables.
    pub store: Store,
    /// The present, ms since 1970.
    pub clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// How long the data were served, ms since some moment: it only goes forward, and on after a restart where it was.
    pub served: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// The time by which something may be destroyed for good, ms since 1970: it does not go with a clock that was set ahead.
    pub settled: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Where to count.
    pub metrics: Metrics,
    /// Addresses to countries, if there is a file.
    pub geo: Option<GeoDb>,
}

/// The keys of the units of events that name nobody, as they are needed now.
pub(super) async fn open_unit_keys(
    config: &IngestConfig,
    places: &Arc<dyn Places>,
    epochs: Epochs,
    times: Times,
) -> Result<Arc<UnitKeys>, IngestError> {
    let keys = places.private(&config.unit_keys.dir);
    let checks =
        |region: &Region| places.at(&directory(config, *region).join("unit-days")) as Arc<dyn Objects>;
    let checks = Region::ALL.iter().map(checks).collect();
    let unit_keys = Arc::new(UnitKeys::new(keys, checks, config.unit_keys.late_days, epochs));
    let opened = Arc::clone(&unit_keys);
    let made = host::blocking(move || opened.run_once(times)).await.and_then(|made| made);
    made.map_err(IngestError::io(&config.unit_keys.dir))?;
    Ok(unit_keys)
}

/// The keys of pseudonym epochs.
pub(super) fn epochs(config: &IngestConfig, parts: &IngestParts, places: &Arc<dyn Places>) -> Epochs {
    let (store, definitions) = (parts.store.clone(), parts.definitions.clone());
    let kept_days = move || {
        let registry = definitions.current();
        let kinds = Kind::ALL.iter();
        let of = |programme: &Programme| {
            kinds.clone().map(|kind| registry.retention_days(*programme, *kind)).max()
        };
        Programme::ALL.iter().filter_map(of).max().unwrap_or_default()
    };
    let calendar = Calendar {
        days: config.pipeline.epochs.days,
        kept_days: Arc::new(kept_days),
        stored_days: Arc::new(move |region| store.stored_days(region)),
    };
    let checks =
        |region: &Region| places.at(&epoch_keys::directory(&config.data_dir, *region)) as Arc<dyn Objects>;
    let checks = Region::ALL.iter().map(checks).collect();
    Epochs::new(parts.epoch_keys.clone(), checks, calendar, &parts.keyring)
}

pub(super) async fn open_tables(parts: &IngestParts, places: &dyn Places) -> Result<Tables, IngestError> {
    let (mut tables, registry) = (Vec::new(), parts.definitions.current());
    for region in Region::ALL {
        for kind in Kind::ALL.iter().filter(|kind| places.has_table(*region, **kind)) {
            tables.push(parts.store.table(*region, registry.table(*kind)).await?);
        }
    }
    Ok(Tables::new(tables))
}

/// What all regions are opened with.
#[derive(Clone, Copy)]
pub(super) struct Common<'c> {
    pub(super) config: &'c IngestConfig,
    pub(super) parts: &'c IngestParts,
    pub(super) places: &'c Arc<dyn Places>,
    pub(super) failed: &'c Failed,
    pub(super) in_flight: &'c Arc<InFlight>,
}

pub(super) async fn open_branches(
    common: Common<'_>,
    tables: &Tables,
) -> Result<Vec<Arc<Branch>>, IngestError> {
    let parts = common.parts;
    let mut branches = Vec::new();
    for region in Region::ALL {
        let mut committed = None;
        for kind in Kind::ALL.iter().filter(|kind| common.places.has_table(*region, **kind)) {
            committed = committed.max(tables.committed(*region, *kind).await?);
        }
        let opening = Opening {
            config: common.config.clone(),
            places: Arc::clone(common.places),
            region: *region,
            keyring: Arc::clone(&parts.keyring),
            in_flight: Arc::clone(common.in_flight),
            served: Arc::clone(&parts.served),
            metrics: parts.metrics.clone(),
            failed: common.failed.clone(),
            committed,
        };
        let opened = host::blocking(move || opening.open()).await;
        branches.push(Arc::new(opened.map_err(|_| IngestError::Failed(*region))??));
    }
    Ok(branches)
}

/// Where a region keeps everything.
fn directory(config: &IngestConfig, region: Region) -> PathBuf {
    config.data_dir.join(region.as_str().to_ascii_lowercase())
}

/// What opening a region takes.
struct Opening {
    config: IngestConfig,
    places: Arc<dyn Places>,
    region: Region,
    keyring: Arc<Keyring>,
    in_flight: Arc<InFlight>,
    served: Clock,
    metrics: Metrics,
    failed: Failed,
    committed: Option<i64>,
}

impl Opening {
    fn open(self) -> Result<Branch, IngestError> {
        let directory = directory(&self.config, self.region);
        let limits = RunLimits {
            window_ms: i64::from(self.config.dedup.window_h) * HOUR_MS,
            filter_bytes_max: self.config.dedup.filter_bytes_max / Region::ALL.len() as u64,
            merge_keys_max: MERGE_KEYS_MAX,
        };
        let sealing = |files: Sealed, is_writing: bool| {
            Some(Sealing { key: self.keyring.sealing_key(files), is_writing })
        };
        let ids = sealing(Sealed::EventIds(self.region), self.config.dedup.is_encrypted);
        let rows = sealing(Sealed::Log(self.region), self.config.log.is_encrypted);
        let runs = Arc::new(Runs::open(self.places.at(&directory.join("dedup")), ids, limits)?);
        let log = Log::open(LogSetup {
            region: self.region,
            shelf: Shelf::new(self.places.at(&directory.join("log")), rows),
            runs: Arc::clone(&runs),
            in_flight: self.in_flight,
            config: self.config.log,
            served: self.served,
            metrics: self.metrics,
            failed: self.failed,
            committed: self.committed,
        })?;
        Ok(Branch::new(log, runs))
    }
}
