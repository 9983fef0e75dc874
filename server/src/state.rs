//! What a request can reach: the built parts of the service, shared by all workers.
//!
//! Not here: building them (`startup.rs`), serving (`http.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use shoal_audit::Audit;
use shoal_ingest::Ingest;
use shoal_query::Engine;
use shoal_retention::Retention;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::access_keys::LiveKeys;
use crate::config::Config;
use crate::http::body::Bodies;
use crate::http::connections::FailingKeys;
use crate::metrics::Metrics;

/// Milliseconds since 1970, UTC; tests move it.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The parts of a running service.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    pub(crate) keys: LiveKeys,
    pub(crate) engine: Arc<Engine>,
    /// Its last line is written before the store lets go of the data directory's lock, so it stands before the store's holders.
    pub(crate) audit: Arc<Audit>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) retention: Retention,
    /// What is shown to the next client, and can be another certificate later; `None` is plain text.
    pub(crate) tls: Option<Arc<ArcSwap<ServerConfig>>>,
    pub(crate) bodies: Bodies,
    pub(crate) failing_keys: FailingKeys,
    pub(crate) metrics: Metrics,
    pub(crate) registry: prometheus_client::registry::Registry,
    /// Where work goes on that a client's going away must not stop; not a worker's own thread.
    pub(crate) background: Handle,
    ready: AtomicBool,
    /// Closes when everything above is gone, so it stays last.
    _alive: mpsc::Sender<()>,
}

/// The built services, before they serve.
pub(crate) struct Services {
    pub(crate) keys: LiveKeys,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) retention: Retention,
    pub(crate) audit: Arc<Audit>,
    pub(crate) tls: Option<Arc<ArcSwap<ServerConfig>>>,
    pub(crate) metrics: Metrics,
    pub(crate) registry: prometheus_client::registry::Registry,
    pub(crate) background: Handle,
    /// Tells the one who waits for the end that nothing is left.
    pub(crate) alive: mpsc::Sender<()>,
}

impl State {
    pub(crate) fn new(config: Config, clock: Clock, services: Services) -> State {
        State {
            bodies: Bodies::new(&config),
            failing_keys: FailingKeys::new(Duration::from_millis(config.http.wrong_key_wait_ms_max)),
            tls: services.tls,
            config,
            clock,
            keys: services.keys,
            ingest: services.ingest,
            engine: services.engine,
            retention: services.retention,
            audit: services.audit,
            metrics: services.metrics,
            registry: services.registry,
            background: services.background,
            ready: AtomicBool::new(true),
            _alive: services.alive,
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.clock)()
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
