//! Metrics of the query side. For operators; no analyst sees them. No label holds anything of a text or of an event.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::error::QueryError;
use crate::failure::Failure;

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    /// `answered`, `dry_run`, `refused`, `not_allowed`, `busy` or `failed`.
    outcome: &'static str,
}

/// The class of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    /// `storage`, `memory`, `time`, `limit`, `worker`, `panic` or `internal`.
    cause: &'static str,
}

/// All metrics of this crate.
#[derive(Clone)]
pub struct Metrics {
    queries: Family<OutcomeLabel, Counter>,
    failures: Family<Cause, Counter>,
    blocks: Counter,
    running: Gauge,
    duration_seconds: Histogram,
    turn_used_ratio: Histogram,
}

impl Metrics {
    /// Registers everything.
    pub fn register(registry: &mut Registry) -> Metrics {
        let seconds = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
        let metrics = Metrics {
            queries: Family::default(),
            failures: Family::default(),
            blocks: Counter::default(),
            running: Gauge::default(),
            duration_seconds: Histogram::new(seconds),
            turn_used_ratio: Histogram::new([0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0]),
        };
        registry.register("query_queries", "Queries by outcome", metrics.queries.clone());
        let help = "Queries that failed after they had started, by the class of the cause";
        registry.register("query_failures", help, metrics.failures.clone());
        // A counter that comes to be with its first failure has grown by nothing in the eyes of an alert.
        for failure in Failure::ALL {
            metrics.failures.get_or_create(&Cause { cause: failure.as_str() }).inc_by(0);
        }
        registry.register("query_blocks", "Charged blocks (region, day)", metrics.blocks.clone());
        registry.register("query_running_queries", "Queries that run now", metrics.running.clone());
        let help = "Time of executed queries, until their answer leaves";
        registry.register("query_duration_seconds", help, metrics.duration_seconds.clone());
        let help = "Time that reading events took, as a share of the time that was planned for it before";
        registry.register("query_turn_used_ratio", help, metrics.turn_used_ratio.clone());
        metrics
    }

    pub(crate) fn ended(&self, error: Option<&QueryError>, dry_run: bool) {
        let outcome = match error {
            None if dry_run => "dry_run",
            None => "answered",
            Some(QueryError::Refused(_)) => "refused",
            Some(QueryError::NotAllowed(_)) => "not_allowed",
            Some(QueryError::Busy) => "busy",
            Some(QueryError::Failed) => "failed",
        };
        self.queries.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(crate) fn failed(&self, failure: Failure) {
        self.failures.get_or_create(&Cause { cause: failure.as_str() }).inc();
    }

    pub(crate) fn charged(&self, blocks: u64) {
        self.blocks.inc_by(blocks);
    }

    /// What share of the time that was planned for it the work of a turn took.
    pub(crate) fn turn_used(&self, ratio: f64) {
        self.turn_used_ratio.observe(ratio);
    }

    /// Counts a running query until the guard is dropped.
    pub(crate) fn run(&self) -> Running {
        self.running.inc();
        Running {
            running: self.running.clone(),
            duration_seconds: self.duration_seconds.clone(),
            since: std::time::Instant::now(),
        }
    }
}

/// A running query.
pub(crate) struct Running {
    running: Gauge,
    duration_seconds: Histogram,
    since: std::time::Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.running.dec();
        self.duration_seconds.observe(self.since.elapsed().as_secs_f64());
    }
}
