//! What a request can reach: the built parts of the service, shared by all workers.
//!
//! Not here: building them (`startup.rs`), serving (`http.rs`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use shoal_audit::Audit;
use shoal_ingest::Ingest;
use shoal_privacy::consent::ConsentRecord;
use shoal_query::Engine;
use shoal_retention::{Accepted, Permit, Retention, TableVersion};
use shoal_schemas::{InForce, Region};
use shoal_storage::{BudgetLedger, Consents, EpochKeys, Escrowed, SubjectActs, Trouble};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use crate::access_keys::LiveKeys;
use crate::account_room::AccountRoom;
use crate::clocks::Clocks;
use crate::config::Config;
use crate::error::Error;
use crate::flushes::Flushes;
use crate::http::body::Bodies;
use crate::http::connections::FailingKeys;
use crate::metrics::Metrics;
use crate::parts::Part;
use crate::receipts::AllReceipts;
use crate::retention_runs::RetentionRuns;
use crate::served_time::ServedTime;
use crate::stored_keys::{KeyAct, KeysDone, StoredKeys};

/// How long what was seen of the parts counts.
const LOOK_MS: i64 = 1_000;

/// The parts of a running service.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) clocks: Clocks,
    pub(crate) served: Arc<ServedTime>,
    /// What may be sent.
    pub(crate) definitions: InForce,
    pub(crate) keys: LiveKeys,
    /// What lies in the data directory is closed before the store lets go of its lock, so it stands before the store's holders.
    pub(crate) consents: Arc<Consents<ConsentRecord>>,
    pub(crate) ledger: BudgetLedger,
    pub(crate) engine: Arc<Engine>,
    /// Its last line is written before the store lets go of the data directory's lock, so it stands before the store's holders.
    pub(crate) audit: Arc<Audit>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) retention: Retention,
    pub(crate) retention_runs: RetentionRuns,
    pub(crate) subject_acts: Arc<SubjectActs>,
    pub(crate) account_room: AccountRoom,
    pub(crate) receipts: Arc<AllReceipts>,
    /// The tables of regions as they were before the erasures that have begun there.
    pub(crate) before_erasures: Mutex<BTreeMap<Region, Arc<Vec<TableVersion>>>>,
    /// Held while a person's data are put together.
    pub(crate) access_turn: tokio::sync::Mutex<()>,
    /// Told when there is an act on persons to carry out, or a receipt to write.
    pub(crate) acts_wait: Notify,
    epoch_keys: EpochKeys,
    derives_epochs: bool,
    /// What is shown to the next client, and can be another certificate later; `None` is plain text.
    pub(crate) tls: Option<Arc<ArcSwap<ServerConfig>>>,
    pub(crate) bodies: Bodies,
    pub(crate) failing_keys: FailingKeys,
    /// How the last flushes went.
    pub(crate) flushes: Flushes,
    pub(crate) metrics: Metrics,
    pub(crate) registry: prometheus_client::registry::Registry,
    /// Where work goes on that a client's going away must not stop; not a worker's own thread.
    pub(crate) background: Handle,
    ready: AtomicBool,
    /// The parts as they were seen last, and when by the clock that nobody can set, in milliseconds.
    looked: Mutex<Option<(i64, Vec<Part>)>>,
    /// When it began to serve, by the time of day, ms since 1970.
    pub(crate) since_ms: i64,
    /// Closes when everything above is gone, so it stays last.
    _alive: mpsc::Sender<()>,
}

/// The built services, before they serve.
pub(crate) struct Services {
    pub(crate) definitions: InForce,
    pub(crate) keys: LiveKeys,
    pub(crate) consents: Arc<Consents<ConsentRecord>>,
    pub(crate) ledger: BudgetLedger,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) retention: Retention,
    pub(crate) subject_acts: Arc<SubjectActs>,
    pub(crate) receipts: Arc<AllReceipts>,
    pub(crate) epoch_keys: EpochKeys,
    /// Whether the key file is of version 1.
    pub(crate) derives_epochs: bool,
    pub(crate) served: Arc<ServedTime>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) tls: Option<Arc<ArcSwap<ServerConfig>>>,
    pub(crate) metrics: Metrics,
    pub(crate) registry: prometheus_client::registry::Registry,
    pub(crate) background: Handle,
    /// Tells the one who waits for the end that nothing is left.
    pub(crate) alive: mpsc::Sender<()>,
}

impl State {
    pub(crate) fn new(config: Config, clocks: Clocks, services: Services) -> State {
        let (retention, receipts) = (services.retention.clone(), Arc::clone(&services.receipts));
        let retention_runs = RetentionRuns::new(retention, receipts, config.data_dir.clone());
        State {
            bodies: Bodies::new(&config),
            flushes: Flushes::default(),
            failing_keys: FailingKeys::new(Duration::from_millis(config.http.wrong_key_wait_ms_max)),
            tls: services.tls,
            config,
            served: services.served,
            definitions: services.definitions,
            keys: services.keys,
            consents: services.consents,
            ledger: services.ledger,
            ingest: services.ingest,
            engine: services.engine,
            retention_runs,
            retention: services.retention,
            subject_acts: services.subject_acts,
            account_room: AccountRoom::default(),
            receipts: services.receipts,
            before_erasures: Mutex::default(),
            access_turn: tokio::sync::Mutex::default(),
            acts_wait: Notify::new(),
            epoch_keys: services.epoch_keys,
            derives_epochs: services.derives_epochs,
            audit: services.audit,
            metrics: services.metrics,
            registry: services.registry,
            background: services.background,
            ready: AtomicBool::new(true),
            looked: Mutex::default(),
            since_ms: (clocks.wall)(),
            clocks,
            _alive: services.alive,
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.clocks.wall)()
    }

    /// Takes note of what the clocks say. Answers the time of day and what is served, both in milliseconds.
    pub(crate) fn look(&self) -> (i64, i64) {
        let now_ms = self.now_ms();
        (now_ms, self.served.look(now_ms, self.ticks_ms()))
    }

    /// The time by the clock that nobody sets, in milliseconds.
    pub(crate) fn ticks_ms(&self) -> i64 {
        (self.clocks.ticks)()
    }

    /// What a run of retention is measured by, when this much was accepted.
    pub(crate) fn permit(&self, accepted: Accepted) -> Permit {
        let percent_max = self.config.retention.removed_percent_max;
        Permit { known: self.served.known(), percent_max, accepted }
    }

    /// Acts on keys of the key store. Events that are on their way to a table are in it before.
    pub(crate) async fn act_on_stored_key(&self, act: &KeyAct) -> Result<KeysDone, Error> {
        let (now_ms, served_ms) = self.look();
        self.ingest.flush(served_ms, true).await?;
        let known_epochs = shoal_ingest::known_epochs(&self.config.data_dir);
        let stored = StoredKeys {
            store: self.retention.store(),
            epochs: &self.epoch_keys,
            known_epochs: known_epochs.map_err(|e| Error::io(&self.config.data_dir, e))?,
            derives_epochs: self.derives_epochs,
            audit: &self.audit,
            receipts: &self.receipts,
        };
        let done = stored.act(act, now_ms).await;
        // What is in memory of an epoch goes with its keys.
        self.ingest.renew_unit_keys().await?;
        done
    }

    /// Brings the replicas of the key store up to date.
    pub(crate) async fn escrow(&self) -> Result<Escrowed, Error> {
        let (keys, now_ms) = (self.epoch_keys.clone(), self.now_ms());
        let done = tokio::task::spawn_blocking(move || keys.place().escrow(now_ms, false)).await;
        Ok(done.map_err(|e| Error::Service(e.to_string()))??)
    }

    /// Notes that retention ran at this time, durably: what was accepted is known from now on.
    pub(crate) async fn ran(&self, now_ms: i64, accepted: Accepted) -> Result<(), Error> {
        if accepted.clock {
            self.served.accept(now_ms);
        }
        let served = Arc::clone(&self.served);
        let written = tokio::task::spawn_blocking(move || served.write()).await;
        let written =
            written.unwrap_or_else(|_| Err(Error::Service("the mark of a run was not written".into())));
        written.inspect_err(|error| tracing::error!(%error, "the mark of a run could not be written"))
    }

    /// Returns when a file has failed so that something may be lost, and which. The process must end then.
    pub(crate) async fn broken(&self) -> &'static str {
        tokio::select! {
            () = self.consents.broken() => "the consents of a region, or its journal of withdrawals",
            () = self.ledger.broken() => "the ledger of budgets or a high-water mark",
            () = self.audit.broken() => "the audit",
            () = self.retention.store().broken() => "a table",
        }
    }

    /// The parts of the service, and which of them does not work. Looked at once a second at the most, by one who asks, because
    /// anybody may ask, and looking can write. Blocks.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.ticks_ms();
        match &*looked {
            Some((at, parts)) if now.saturating_sub(*at) < LOOK_MS => parts.clone(),
            _ => looked.insert((now, self.look_at_parts())).1.clone(),
        }
    }

    /// Each file that is in trouble is tried first.
    fn look_at_parts(&self) -> Vec<Part> {
        let troubles = self.consents.troubles();
        let of = |region: Region| troubles.iter().find(|(of, _)| *of == region).map(|(_, trouble)| *trouble);
        let mut parts = vec![Part::events(self.ingest.is_disk_full())];
        parts.extend(Region::ALL.iter().map(|region| Part::consents(*region, of(*region))));
        parts.push(Part::questions(self.ledger.trouble()));
        parts.push(Part::tables(self.flushes.trouble(self.retention.store().is_broken())));
        let of_audit = self.audit.is_full().then_some(Trouble::Full);
        parts.push(Part::audit(self.audit.is_broken().then_some(Trouble::Broken).or(of_audit)));
        parts
    }

    /// Whether new events are taken.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// From now on `/readyz` says no.
    pub(crate) fn close(&self) {
        self.ready.store(false, Ordering::Release);
    }
}
