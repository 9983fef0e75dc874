//! `GET /metrics`, on a socket of its own.
//!
//! Metrics count events exactly and time questions, which neither an app nor an analyst may learn, and behind a proxy on the
//! same machine everybody comes from this machine. So they are on no socket that apps and analysts reach, with no key, and
//! nothing else is on theirs. Not here: what is counted (each crate's `metrics.rs`).

use std::net::TcpListener;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};

use crate::error::Error;
use crate::http::bound::Bound;
use crate::problem::{Problem, ProblemType};
use crate::state::State;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// More than anybody needs who reads metrics.
const CONNECTIONS_MAX: usize = 64;

/// Binds the address and makes the server; none where no address is configured.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn bind_metrics(state: &web::Data<State>) -> Result<Option<Bound>, Error> {
    let Some(listen) = state.config.metrics.listen else { return Ok(None) };
    let bound = |e: std::io::Error| Error::Service(format!("cannot listen on {listen} for metrics: {e}"));
    let listener = TcpListener::bind(listen).map_err(bound)?;
    let addr = listener.local_addr().map_err(bound)?;
    let limits = &state.config.http;
    let shared = state.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .route("/metrics", web::get().to(metrics))
            .default_service(web::to(unknown))
    })
    .workers(1)
    .max_connections(CONNECTIONS_MAX)
    .client_request_timeout(Duration::from_millis(limits.header_timeout_ms))
    .shutdown_timeout(limits.stop_timeout_s)
    .disable_signals()
    .listen(listener)
    .map_err(bound)?
    .run();
    Ok(Some(Bound { addr, handle: server.handle(), server }))
}

async fn metrics(state: web::Data<State>) -> HttpResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => HttpResponse::Ok().content_type(OPENMETRICS).body(text),
        Err(_) => Problem::new(ProblemType::Failed, "the metrics could not be written").response(),
    }
}

async fn unknown() -> HttpResponse {
    Problem::new(ProblemType::UnknownPath, "only GET /metrics is answered here").response()
}
