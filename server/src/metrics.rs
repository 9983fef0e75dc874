//! The server's own metrics. Labels: the pattern of a route and a status, never anything that a client chose.
//!
//! Not here: what the operating system counts of the process (`metrics/process.rs`).

pub(crate) mod process;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// A route and the status of an answer.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct RouteStatus {
    pub(crate) route: String,
    pub(crate) status: u16,
}

/// A route.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Route {
    pub(crate) route: String,
}

/// Requests, and jobs that failed.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    pub(crate) requests: Family<RouteStatus, Counter>,
    pub(crate) request_seconds: Family<Route, Histogram>,
    pub(crate) job_failures: Family<Job, Counter>,
    /// Set when they are shown.
    pub(crate) erasure_waits_seconds: Gauge,
    pub(crate) reviews_overdue: Gauge,
}

/// A job of the loop.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Job {
    pub(crate) job: &'static str,
}

/// Every job that can fail.
const JOBS: [&str; 7] =
    ["compaction", "escrow", "flush", "key_uses", "retention", "served_time", "unit_keys"];

const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            job_failures: Family::default(),
            erasure_waits_seconds: Gauge::default(),
            reviews_overdue: Gauge::default(),
        };
        registry.register("server_requests", "Requests by route and status", metrics.requests.clone());
        registry.register(
            "server_request_seconds",
            "From the head of a request to its answer",
            metrics.request_seconds.clone(),
        );
        registry.register("server_job_failures", "Jobs that failed", metrics.job_failures.clone());
        registry.register(
            "server_erasure_waits_seconds",
            "Since when the oldest request for an erasure waits for rows to go; 0 where none does",
            metrics.erasure_waits_seconds.clone(),
        );
        registry.register(
            "server_reviews_overdue",
            "Restrictions whose day of review is over",
            metrics.reviews_overdue.clone(),
        );
        // A counter that comes to be with its first failure has grown by nothing in the eyes of an alert.
        for job in JOBS {
            metrics.job_failures.get_or_create(&Job { job }).inc_by(0);
        }
        registry.register("build", "The build of this binary", Info::new(build()));
        metrics
    }
}

/// The version, the revision of the sources when the build was told it, and the platform.
fn build() -> [(&'static str, &'static str); 4] {
    [
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", option_env!("SHOAL_REVISION").unwrap_or("unknown")),
        ("os", std::env::consts::OS),
        ("arch", std::env::consts::ARCH),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The list of jobs is this file's; their names are said where they run.
    #[test]
    fn every_job_is_counted_from_the_start() {
        let text = include_str!("jobs.rs");
        let named: std::collections::BTreeSet<&str> =
            text.split("Job { job: \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(named.into_iter().collect::<Vec<_>>(), JOBS);
        let mut registry = Registry::default();
        Metrics::register(&mut registry);
        let mut shown = String::new();
        prometheus_client::encoding::text::encode(&mut shown, &registry).unwrap();
        assert!(shown.contains("server_job_failures_total{job=\"retention\"} 0"), "{shown}");
        assert!(shown.contains(concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"))), "{shown}");
    }
}
