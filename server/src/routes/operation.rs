//! `/healthz`, `/readyz` and `/metrics`.
//!
//! Metrics count events exactly, and an analyst must not see exact counts: they are for the same machine, or for an officer.

use actix_web::{HttpRequest, HttpResponse, web};

use crate::answers::{self, Dialect};
use crate::auth::{self, Presented};
use crate::state::State;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "operation", summary = "Whether the process lives",
    responses((status = 200, description = "It lives")))]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().body("ok\n")
}

/// New events are taken.
#[utoipa::path(get, path = "/readyz", tag = "operation", summary = "Whether new events are taken",
    responses((status = 200, description = "They are"), (status = 503, description = "The service is stopping")))]
pub(super) async fn readyz(state: web::Data<State>) -> HttpResponse {
    if state.is_ready() {
        HttpResponse::Ok().body("ready\n")
    } else {
        HttpResponse::ServiceUnavailable().body("stopping\n")
    }
}

/// All metrics.
#[utoipa::path(get, path = "/metrics", tag = "operation", summary = "Metrics, in Prometheus' text format",
    description = "Without a key from the same machine only; from elsewhere with an officer's key.",
    responses((status = 200, description = "Metrics"), (status = 401, description = "An officer's key is needed")))]
pub(super) async fn metrics(http: HttpRequest, state: web::Data<State>) -> HttpResponse {
    if !is_local(&http)
        && let Err(refusal) = auth::officer(&state.keys, Presented::in_header(&http))
    {
        return answers::refusal(Dialect::Native, &refusal);
    }
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => HttpResponse::Ok().content_type(OPENMETRICS).body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
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
