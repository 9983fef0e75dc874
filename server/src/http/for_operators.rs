//! `GET /metrics`, on a socket of its own.
//!
//! Metrics count events exactly and time questions, which neither an app nor an analyst may learn, and behind a proxy on the
//! same machine everybody comes from this machine. So they are on no socket that apps and analysts reach, with no key, and
//! nothing else is on theirs. Not here: what is counted (each crate's `metrics.rs`).

use std::net::TcpListener;

use actix_server::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, web};

use crate::error::Error;
use crate::http::bound::Bound;
use crate::http::connections::{self, Bounds, Entrance, Gate, limits};
use crate::problem::{Problem, ProblemType};
use crate::state::State;
use crate::subjects;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// More than anybody needs who reads metrics.
const BOUNDS: Bounds = Bounds { all: 64, of_network: 64 };

/// Binds the address and makes the server; none where no address is configured.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn bind_metrics(state: &web::Data<State>) -> Result<Option<Bound>, Error> {
    let Some(listen) = state.config.metrics.listen else { return Ok(None) };
    let bound = |e: std::io::Error| Error::Service(format!("cannot listen on {listen} for metrics: {e}"));
    let listener = TcpListener::bind(listen).map_err(bound)?;
    let addr = listener.local_addr().map_err(bound)?;
    let http = &state.config.http;
    let builder = Server::build()
        .workers(1)
        .max_concurrent_connections(BOUNDS.most() + 1)
        .shutdown_timeout(http.stop_timeout_s)
        .disable_signals();
    let entrance = Entrance { gate: Gate::new(BOUNDS), limits: limits(&state.config), tls: None };
    let shared = state.clone();
    let server = connections::serve(builder, listener, entrance, move || {
        let requests = shared.clone();
        App::new()
            .app_data(shared.clone())
            .wrap(from_fn(move |request, next| connections::around(requests.clone(), request, next)))
            .route("/metrics", web::get().to(metrics))
            .default_service(web::to(unknown))
    });
    let server = server.map_err(bound)?;
    Ok(Some(Bound { addr, handle: server.handle(), server }))
}

async fn metrics(state: web::Data<State>) -> HttpResponse {
    subjects::count(&state);
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => HttpResponse::Ok().content_type(OPENMETRICS).body(text),
        Err(_) => Problem::new(ProblemType::Failed, "the metrics could not be written").response(),
    }
}

async fn unknown() -> HttpResponse {
    Problem::new(ProblemType::UnknownPath, "only GET /metrics is answered here").response()
}
