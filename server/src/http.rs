//! The HTTP server: sockets, TLS, limits on connections, and what happens around every request.
//!
//! Invariant: a request is logged as route pattern, method, status and time; never its path, query, headers, address or key.
//! Not here: what a refusal says (`problem.rs`).
//!
//! - `connections`: how many there may be, and how long each may take for what
//! - `bound`: a server that waits to be served; `routes`: what each path does; `auth`: what a request's key grants; `body`: reading a body within its limits
//! - `answers`: the answer in the form that a protocol's clients expect; `refusals`: the same in the OpenAPI description; `described`: bodies and answers in it
//! - `library_refusals`: what the HTTP library refuses by itself; `cors`: which web pages may send events, for the routes of apps
//! - `for_operators`: the metrics, on a socket of their own

pub(crate) mod answers;
pub(crate) mod auth;
pub(crate) mod body;
mod bound;
pub(crate) mod connections;
mod cors;
mod described;
mod for_operators;
mod library_refusals;
mod refusals;
pub(crate) mod retention_told;
mod routes;

use std::net::TcpListener;
use std::time::Instant;

use actix_server::Server;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, NormalizePath, TrailingSlash, from_fn};
use actix_web::{App, web};

use crate::config::{Config, HttpConfig};
use crate::error::Error;
use crate::metrics::{Route, RouteStatus};
use crate::own_process;
use crate::state::State;

pub(crate) use bound::Bound;
use connections::{Bounds, Entrance, Gate, limits};
pub(crate) use for_operators::bind_metrics;

/// Open files that are no connections of clients, at the most: tables, logs, ledgers, pipes.
const OTHER_FILES: u64 = 512;

/// Binds the address and makes the server.
///
/// # Errors
/// When the address cannot be bound.
pub(crate) fn bind(state: web::Data<State>) -> Result<Bound, Error> {
    let config: &Config = &state.config;
    let http = &config.http;
    let bounds = bounds(http, own_process::open_files_max());
    let listen = http.listen;
    let bound = |e: std::io::Error| Error::Service(format!("cannot listen on {listen}: {e}"));
    let listener = TcpListener::bind(listen).map_err(bound)?;
    let addr = listener.local_addr().map_err(bound)?;
    let builder = Server::build()
        .workers(http.workers)
        // The gate decides, before any worker is full.
        .max_concurrent_connections(bounds.most() + 1)
        .shutdown_timeout(http.stop_timeout_s)
        .disable_signals();
    let entrance = Entrance { gate: Gate::new(bounds), limits: limits(config), tls: state.tls.clone() };
    let server = connections::serve(builder, listener, entrance, move || {
        let (log, requests) = (state.clone(), state.clone());
        App::new()
            .app_data(state.clone())
            // The first is the innermost: the others see what it makes of a refusal.
            .wrap(from_fn(library_refusals::around))
            .wrap(from_fn(move |request, next| around(log.clone(), request, next)))
            .wrap(from_fn(move |request, next| connections::around(requests.clone(), request, next)))
            // Addresses that are put together of parts have slashes too many: `https://host/` and `/v1/events`.
            .wrap(NormalizePath::new(TrailingSlash::MergeOnly))
            .configure(routes::configure)
    });
    let server = server.map_err(bound)?;
    Ok(Bound { addr, handle: server.handle(), server })
}

/// How many connections there may be. Each is an open file, so the operating system's limit counts too.
fn bounds(http: &HttpConfig, files_max: u64) -> Bounds {
    let room = files_max.saturating_sub(OTHER_FILES + Bounds::BEYOND as u64).max(64);
    let all = http.connections_max.min(usize::try_from(room).unwrap_or(usize::MAX));
    if all < http.connections_max {
        let wanted = http.connections_max;
        tracing::warn!(wanted, all, "fewer connections than configured: the limit of open files is too low");
    }
    Bounds { all, of_network: http.strangers_per_address_max }
}

/// Counts, times and logs a request.
async fn around<B: MessageBody>(
    state: web::Data<State>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let start = Instant::now();
    let method = method_name(request.method());
    let answered = next.call(request).await;
    let seconds = start.elapsed().as_secs_f64();
    let (route, status) = match &answered {
        Ok(response) => (response.request().match_pattern(), response.status().as_u16()),
        Err(error) => (None, error.as_response_error().status_code().as_u16()),
    };
    let route = route.unwrap_or_else(|| "unmatched".to_owned());
    let ms = (seconds * 1e4).round() / 10.0;
    tracing::debug!(target: "shoal_server::requests", method, route, status, ms, "request");
    state.metrics.requests.get_or_create(&RouteStatus { route: route.clone(), status }).inc();
    state.metrics.request_seconds.get_or_create(&Route { route }).observe(seconds);
    answered
}

/// A method as a constant: a client may make up any other.
fn method_name(method: &actix_web::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "OPTIONS" => "OPTIONS",
        "HEAD" => "HEAD",
        _ => "other",
    }
}
