//! The composition root: one short build function per crate, and the order in which things start.
//!
//! Definitions and keys, tables, consents, audit, ledger, log (which recovers), query, retention, jobs, socket.
//! Not here: settings (`config.rs`), what the jobs do (`jobs.rs`), the end (`running.rs`).

mod questions;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use prometheus_client::registry::Registry as MetricRegistry;
use shoal_audit::{Audit, last_at_ms};
use shoal_files::Disk;
use shoal_ingest::{
    AdmissionConfig, DayLimitConfig, DedupConfig, Epochs, GeoDb, Ingest, IngestConfig, IngestParts, Limits,
    LogConfig, PipelineConfig, UnitKeyConfig,
};
use shoal_privacy::consent::ConsentRecord;
use shoal_privacy::keyring::{Keyring, Sealed};
use shoal_privacy::pseudonym::PseudonymEpoch;
use shoal_query::Engine;
use shoal_retention::{KnownTimes, Retention, plausible};
use shoal_schemas::InForce;
use shoal_schemas::calendar::day_of;
use shoal_storage::{
    BudgetLedger, Consents, DataKeys, EpochKeys, KeyPlace, Opened, Refused, Store, SubjectActs, has_tables,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::questions::{query_config, worker_program};
use crate::access_keys::{KeyStore, LiveKeys, Uses};
use crate::backup::names::check_finished;
use crate::canonical_day;
use crate::clocks::{self, Clocks};
use crate::config::Config;
use crate::consent_files;
use crate::definitions;
use crate::error::Error;
use crate::file_keys::audit_place;
use crate::http;
use crate::jobs::Jobs;
use crate::ledger_start;
use crate::metrics::{Metrics, process};
use crate::operator_socket::OperatorSocket;
use crate::own_process;
use crate::receipts::AllReceipts;
use crate::reload::Reload;
use crate::running::{Listener, Running};
use crate::served_time::ServedTime;
use crate::state::{Services, State};
use crate::subjects;
use crate::tables_place::{self, TablesPlace};
use crate::tls;
use crate::{key_check, key_file, withdrawals_start};

/// What more than one part of the service needs.
struct Peers {
    definitions: InForce,
    keyring: Arc<Keyring>,
    epoch_keys: EpochKeys,
    audit: Arc<Audit>,
    consents: Arc<Consents<ConsentRecord>>,
    ledger: BudgetLedger,
    /// It holds the lock of the data directory, so what else lies there is closed before it.
    store: Store,
    retention: Retention,
    subject_acts: Arc<SubjectActs>,
    refused: Refused,
    receipts: Arc<AllReceipts>,
    served: Arc<ServedTime>,
    /// From which day on pseudonyms are of canonical identifiers.
    canonical_from_day: i32,
    clocks: Clocks,
}

/// Starts the service.
///
/// # Errors
/// Whatever keeps it from serving everything it is configured for.
pub async fn start(config: Config, clocks: Clocks) -> Result<Running, Error> {
    start_with(config, clocks, None).await
}

/// The same, with the way in which its configuration is read again.
pub(crate) async fn start_with(
    config: Config,
    clocks: Clocks,
    reload: Option<Reload>,
) -> Result<Running, Error> {
    let mut registry = MetricRegistry::default();
    let metrics = registry.sub_registry_with_prefix("shoal");
    let peers = build_peers(&config, clocks, metrics).await?;
    let keys = build_keys(&config, &peers)?;
    let tls = tls::open(config.http.tls())?;
    let ingest = build_ingest(&config, &peers, metrics).await?;
    let engine = build_engine(&config, &peers, metrics).await?;
    engine.warm().await;
    let Peers {
        definitions,
        audit,
        retention,
        subject_acts,
        receipts,
        served,
        clocks,
        consents,
        ledger,
        epoch_keys,
        keyring,
        ..
    } = peers;
    let own = Metrics::register(metrics);
    process::register(&mut registry);
    let (alive, gone) = mpsc::channel(1);
    let services = Services {
        definitions,
        keys,
        consents,
        ledger,
        ingest,
        engine,
        retention,
        subject_acts,
        receipts,
        epoch_keys,
        derives_epochs: keyring.derives_epochs(),
        served,
        audit,
        tls,
        metrics: own,
        registry,
        background: tokio::runtime::Handle::current(),
        alive,
    };
    let state = web::Data::new(State::new(config, clocks, services));
    let jobs = Jobs::new(state.clone())?;
    let metrics = http::bind_metrics(&state)?.map(Listener::of);
    let public = Listener::of(http::bind(state.clone())?);
    let (stop_jobs, stopping) = watch::channel(false);
    if let Some(metrics) = &metrics {
        tracing::info!(addr = %metrics.addr, "metrics for whoever can connect");
    }
    let reload = reload.map(Arc::new);
    let operators = OperatorSocket::listen(&state, reload.clone());
    tracing::info!(addr = %public.addr, tls = state.config.http.tls().is_some(), "serving");
    let jobs = tokio::spawn(jobs.run(stopping));
    let reloading = JoinSet::new();
    Ok(Running { public, metrics, operators, reload, reloading, state, jobs, stop_jobs, gone })
}

/// The definitions, embedded and overlaid, for as long as nothing replaces them.
pub(crate) fn build_definitions(config: &Config) -> Result<InForce, Error> {
    Ok(InForce::new(Arc::new(definitions::read(config.schemas_dir.as_deref())?)))
}

/// The tables of a data directory, which is made when there is none. Symbolic links below it are refused, and so is one into which a
/// restore was not finished.
pub(crate) async fn open_store(config: &Config) -> Result<Store, Error> {
    check_finished(&config.data_dir)?;
    open_store_of_restore(config).await
}

/// The same for the restore itself.
pub(crate) async fn open_store_of_restore(config: &Config) -> Result<Store, Error> {
    TablesPlace::open(config)?.store(data_keys_to_read(config)?).await
}

/// The keys of the files of tables, for whoever reads them beside a service.
pub(crate) fn data_keys_to_read(config: &Config) -> Result<Option<Arc<DataKeys>>, Error> {
    // A key file that is missing is missed by whoever reads an event, and not by whoever lists the files of tables.
    match config.key_file.exists() {
        true => Ok(Some(build_data_keys(config, &key_file::open(config)?)?)),
        false => Ok(None),
    }
}

/// Where data keys and the keys of pseudonym epochs are.
pub(crate) fn key_place(config: &Config) -> KeyPlace {
    let disk = |dir: &PathBuf| Disk::new(dir).private();
    KeyPlace::on_disk(disk(&config.data_key_dir()), config.data_key_replicas.iter().map(disk).collect())
}

/// The keys of the pseudonym epochs.
pub(crate) fn build_epoch_keys(config: &Config, keyring: &Keyring) -> EpochKeys {
    EpochKeys::new(key_place(config), |region| keyring.sealing_key(Sealed::DataKeys(region)))
}

/// The keys of the files of tables.
pub(crate) fn build_data_keys(config: &Config, keyring: &Keyring) -> Result<Arc<DataKeys>, Error> {
    let keys = DataKeys::open(key_place(config), |region| keyring.sealing_key(Sealed::DataKeys(region)))?;
    Ok(Arc::new(if config.storage.encrypt { keys } else { keys.reading_only() }))
}

/// The store comes before what lies in its directory, since it holds the directory's lock.
async fn build_peers(config: &Config, clocks: Clocks, metrics: &mut MetricRegistry) -> Result<Peers, Error> {
    let now_ms = clocks::checked(&clocks.wall)?;
    let definitions = build_definitions(config)?;
    let keyring = build_keyring(config)?;
    check_finished(&config.data_dir)?;
    let place = TablesPlace::open(config)?;
    place.probe()?;
    let store = place.store(Some(build_data_keys(config, &keyring)?)).await?;
    let tables = place.objects();
    let had_tables = has_tables(&**tables).map_err(|e| Error::io(tables.path(""), e))?;
    let epoch = PseudonymEpoch::of_day(day_of(now_ms), config.ingest.epoch_days);
    key_check::check(&config.data_dir, &config.key_file, &keyring, epoch)?;
    own_process::close_to_others(&config.data_dir);
    if let Some(tables) = tables_place::directory(&config.storage) {
        own_process::close_to_others(&tables);
    }
    consent_files::check(&config.data_dir, &**tables)?;
    let Opened { consents, journals } = withdrawals_start::open(config)?;
    let (consents, audit) = (Arc::new(consents), build_audit(config)?);
    let retention = build_retention(&definitions, &store, metrics);
    // Before anything else is written by the clock, which may be wrong.
    let served = Arc::new(open_served_time(config, &retention, now_ms).await?);
    served.look(now_ms, (clocks.ticks)());
    let canonical_from_day = canonical_day::open(config, had_tables, &served.known(), now_ms)?;
    withdrawals_start::note(&audit, &journals, now_ms).await?;
    // Before any question: who was erased is in no answer, also where older data were put back.
    let refused = Refused::default();
    let subject_acts = Arc::new(subjects::open(config, store.suppressed(), &refused)?);
    let receipts = Arc::new(AllReceipts::open(config, &keyring)?);
    // Before the log: a service over a ledger that is in doubt takes no events either.
    let ledger = ledger_start::open(config, &**tables, &audit, now_ms).await?;
    Ok(Peers {
        definitions,
        epoch_keys: build_epoch_keys(config, &keyring),
        keyring,
        store,
        retention,
        subject_acts,
        refused,
        receipts,
        served,
        consents,
        ledger,
        audit,
        canonical_from_day,
        clocks,
    })
}

/// What is known of the time in a data directory, and how long it was served. A clock that cannot be believed is told.
pub(crate) async fn open_served_time(
    config: &Config,
    retention: &Retention,
    now_ms: i64,
) -> Result<ServedTime, Error> {
    let audit_ms = last_at_ms(&audit_place(config)?)?;
    let known = KnownTimes { event_ms: retention.newest_event_ms().await, audit_ms, mark_ms: None };
    let served = ServedTime::open(&config.data_dir, &known, now_ms)?;
    if let Err(refused) = plausible(now_ms, &served.known()) {
        tracing::error!("retention will remove nothing: {refused}");
    }
    Ok(served)
}

fn build_keyring(config: &Config) -> Result<Arc<Keyring>, Error> {
    Ok(Arc::new(key_file::open_or_create(config)?))
}

/// The access keys, of the data directory whose lock the caller holds.
fn build_keys(config: &Config, peers: &Peers) -> Result<LiveKeys, Error> {
    let keys = LiveKeys::open(KeyStore::new(&config.data_dir))?;
    keys.serving(Arc::clone(&peers.clocks.wall), Uses::open(&config.data_dir))
}

/// The audit of the data directory, whose lock the caller holds.
pub(crate) fn build_audit(config: &Config) -> Result<Arc<Audit>, Error> {
    Ok(Arc::new(Audit::open_at(audit_place(config)?)?))
}

async fn build_ingest(
    config: &Config,
    peers: &Peers,
    metrics: &mut MetricRegistry,
) -> Result<Arc<Ingest>, Error> {
    let parts = IngestParts {
        definitions: peers.definitions.clone(),
        keyring: Arc::clone(&peers.keyring),
        epoch_keys: peers.epoch_keys.clone(),
        consents: Arc::clone(&peers.consents),
        refused: peers.refused.clone(),
        store: peers.store.clone(),
        clock: Arc::clone(&peers.clocks.wall),
        served: peers.served.clock(),
        settled: peers.served.settled_clock(),
        metrics: shoal_ingest::Metrics::register(metrics),
        geo: config.country_mmdb.as_deref().map(GeoDb::open).transpose()?,
    };
    Ok(Arc::new(Ingest::open(ingest_config(config, peers.canonical_from_day), parts).await?))
}

fn ingest_config(config: &Config, canonical_from_day: i32) -> IngestConfig {
    let settings = &config.ingest;
    IngestConfig {
        data_dir: config.data_dir.clone(),
        pipeline: PipelineConfig {
            limits: Limits {
                body_bytes_max: settings.body_bytes_max,
                inflated_bytes_max: settings.inflated_bytes_max,
                ratio_max: settings.ratio_max,
                zstd_window_log_max: settings.zstd_window_log_max,
                events_max: settings.events_max,
                properties_max: settings.properties_max,
                string_bytes_max: settings.string_bytes_max,
                depth_max: settings.depth_max,
                values_max: settings.values_max,
                scrub_steps_max: settings.scrub_steps_max,
            },
            epochs: Epochs { days: settings.epoch_days, canonical_from_day },
        },
        admission: admission_config(config),
        log: LogConfig {
            segment_bytes_max: settings.segment_bytes_max,
            in_flight_bytes_max: settings.in_flight_bytes_max,
            free_bytes_min: settings.free_bytes_min,
            is_encrypted: config.storage.encrypt,
            ..LogConfig::DEFAULT
        },
        dedup: DedupConfig {
            window_h: settings.dedup_window_h,
            is_encrypted: config.storage.encrypt,
            ..DedupConfig::DEFAULT
        },
        day_limit: DayLimitConfig { events_max: settings.subject_day_events_max, ..DayLimitConfig::DEFAULT },
        unit_keys: UnitKeyConfig { dir: config.unit_key_dir(), late_days: settings.unit_late_days },
        grants_per_min: settings.grants_per_min,
        flush_interval_ms: settings.flush_interval_ms,
    }
}

fn admission_config(config: &Config) -> AdmissionConfig {
    let wait = Duration::from_millis(config.ingest.wait_ms_max);
    AdmissionConfig {
        turns: config.ingest.threads,
        wait,
        standing_wait: wait / 5,
        ..AdmissionConfig::DEFAULT
    }
}

/// After the tables were opened, because what is asked without a first day does not begin before they were made.
async fn build_engine(
    config: &Config,
    peers: &Peers,
    metrics: &mut MetricRegistry,
) -> Result<Arc<Engine>, Error> {
    let metrics = shoal_query::Metrics::register(metrics);
    let ledger = peers.ledger.clone();
    let (store, definitions) = (peers.store.clone(), peers.definitions.clone());
    let engine = Engine::new(store, ledger, definitions, query_config(config), metrics);
    let engine = engine.with_audit(Arc::clone(&peers.audit)).with_first_days(peers.store.first_days().await);
    Ok(Arc::new(engine.with_workers(worker_program(config)?)))
}

pub(crate) fn build_retention(
    definitions: &InForce,
    store: &Store,
    metrics: &mut MetricRegistry,
) -> Retention {
    Retention::new(store.clone(), definitions.clone(), shoal_retention::Metrics::register(metrics))
}
