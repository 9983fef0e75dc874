//! A request of a client that sends events or consents, as the pipeline takes it. Not here: its body's limits (`body.rs`).

use actix_web::HttpRequest;
use shoal_ingest::Request;
use shoal_schemas::Protocol;

use crate::state::State;

/// What the pipeline is given: the body and what the head of the request says about it.
pub(super) fn incoming<'a>(
    http: &'a HttpRequest,
    state: &State,
    protocol: Protocol,
    body: &'a [u8],
) -> Request<'a> {
    let text = |name: &str| http.headers().get(name).and_then(|v| v.to_str().ok());
    Request {
        protocol,
        content_type: text("content-type"),
        content_encoding: text("content-encoding"),
        body,
        peer: peer(http, state.config.http.trust_forwarded_for),
        received_ms: state.now_ms(),
    }
}

/// The client's address, for its country only.
fn peer(http: &HttpRequest, trust_forwarded_for: bool) -> Option<std::net::IpAddr> {
    if trust_forwarded_for
        && let Some(forwarded) = http.headers().get("x-forwarded-for").and_then(|v| v.to_str().ok())
    {
        return forwarded.rsplit(',').next()?.trim().parse().ok();
    }
    http.peer_addr().map(|a| a.ip())
}
