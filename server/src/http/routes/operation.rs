//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Metrics count events exactly, and an analyst must not see exact counts: they are for the same machine, or for an officer.

use actix_web::{HttpRequest, HttpResponse, web};
use shoal_ingest::RefusalCode;

use crate::http::auth::{self, Presented};
use crate::http::refusals::{self, refusals};
use crate::problem::{Problem, ProblemType};
use crate::state::State;

refusals!(
    /// Why new events are not taken.
    Ready, Native: &[ProblemType::Ingest(RefusalCode::Stopping)]
);

refusals!(
    /// Why metrics are not told.
    Metrics, Native: refusals::KEY, &[ProblemType::Failed]
);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation", summary = "Whether the process lives",
    responses((status = 200, description = "It lives")))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// New events are taken.
#[utoipa::path(get, path = "/readyz", tag = "operation", summary = "Whether new events are taken",
    responses((status = 200, description = "They are"),
        Ready))]
pub(super) async fn readyz(state: web::Data<State>) -> HttpResponse {
    if state.is_ready() {
        HttpResponse::Ok().body("ready\n")
    } else {
        let stopping = ProblemType::Ingest(RefusalCode::Stopping);
        Problem::new(stopping, "the service takes no new events").response()
    }
}

/// All metrics.
#[utoipa::path(get, path = "/metrics", tag = "operation", summary = "Metrics, in Prometheus' text format",
    description = "Without a key from the same machine only; from elsewhere with an officer's key.",
    responses((status = 200, description = "Metrics"),
        Metrics))]
pub(super) async fn metrics(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    if !is_local(&http)
        && let Err(problem) = auth::officer(&state.keys, Presented::in_header(&http))
    {
        return problem.response();
    }
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => HttpResponse::Ok().content_type(OPENMETRICS).body(text),
        Err(_) => Problem::new(ProblemType::Failed, "the metrics could not be written").response(),
    }
}

/// From this machine, and not through a proxy.
fn is_local(http: &HttpRequest) -> bool {
    let forwarded = ["forwarded", "x-forwarded-for", "via"].iter().any(|h| http.headers().contains_key(*h));
    !forwarded && http.peer_addr().is_some_and(|a| a.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_proxy_on_this_machine_is_not_this_machine() {
        let from = |peer: &str| TestRequest::default().peer_addr(peer.parse().unwrap());
        assert!(is_local(&from("127.0.0.1:9").to_http_request()));
        assert!(is_local(&from("[::1]:9").to_http_request()));
        assert!(is_local(&from("[::ffff:127.0.0.1]:9").to_http_request()));
        assert!(!is_local(&from("192.0.2.1:9").to_http_request()));
        let proxied = from("127.0.0.1:9").insert_header(("x-forwarded-for", "192.0.2.1"));
        assert!(!is_local(&proxied.to_http_request()));
    }
}
