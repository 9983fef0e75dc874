//! The server's own metrics. Labels: the pattern of a route and a status, never anything that a client chose.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
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
}

/// A job of the loop.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct Job {
    pub(crate) job: &'static str,
}

const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            job_failures: Family::default(),
        };
        registry.register("server_requests", "Requests by route and status", metrics.requests.clone());
        registry.register(
            "server_request_seconds",
            "From the head of a request to its answer",
            metrics.request_seconds.clone(),
        );
        registry.register("server_job_failures", "Jobs that failed", metrics.job_failures.clone());
        metrics
    }
}
