//! The HTTP server: sockets, TLS, limits on connections, and what happens around every request.
//!
//! Invariant: a request is logged as route pattern, method, status and time; never its path, query, headers, address or key.
//! Not here: what a refusal says (`problem.rs`).
//!
//! - `bound`: a server that waits to be served; `routes`: what each path does; `auth`: what a request's key grants; `body`: reading a body within its limits
//! - `answers`: the answer in the form that a protocol's clients expect; `refusals`: the same in the OpenAPI description
//! - `library_refusals`: what the HTTP library refuses by itself; `cors`: which web pages may send events, for the routes of apps
//! - `for_operators`: the metrics, on a socket of their own

pub(crate) mod answers;
pub(crate) mod auth;
pub(crate) mod body;
mod bound;
mod cors;
mod for_operators;
mod library_refusals;
mod refusals;
mod routes;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, HttpServer, web};

use crate::config::Config;
use crate::error::Error;
use crate::metrics::{Route, RouteStatus};
use crate::state::State;
use crate::tls;

pub(crate) use bound::Bound;
pub(crate) use for_operators::bind_metrics;

/// Binds the address and makes the server.
///
/// # Errors
/// When the address cannot be bound, or a TLS file does not work.
pub(crate) fn bind(state: web::Data<State>) -> Result<Bound, Error> {
    let config: &Config = &state.config;
    let tls = match config.http.tls() {
        Some((cert, key)) => Some(tls::server_config(cert, key)?),
        None => None,
    };
    let listen = config.http.listen;
    let bound = |e: std::io::Error| Error::Service(format!("cannot listen on {listen}: {e}"));
    let listener = TcpListener::bind(listen).map_err(bound)?;
    let addr = listener.local_addr().map_err(bound)?;
    let limits = config.http.clone();
    let shared = state.clone();
    let server = HttpServer::new(move || {
        let log = shared.clone();
        App::new()
            .app_data(shared.clone())
            // The first is the innermost: the others see what it makes of a refusal.
            .wrap(from_fn(library_refusals::around))
            .wrap(from_fn(move |request, next| around(log.clone(), request, next)))
            .configure(routes::configure)
    })
    .workers(limits.workers)
    .max_connections(limits.connections_max.div_ceil(limits.workers))
    .client_request_timeout(Duration::from_millis(limits.header_timeout_ms))
    .client_disconnect_timeout(Duration::from_secs(2))
    // A client that hangs up ends its query. Without this it would go on until its time is over.
    .h1_allow_half_closed(false)
    .keep_alive(Duration::from_secs(75))
    .shutdown_timeout(limits.stop_timeout_s)
    .disable_signals();
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    let server = server.map_err(bound)?.run();
    Ok(Bound { addr, handle: server.handle(), server })
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
