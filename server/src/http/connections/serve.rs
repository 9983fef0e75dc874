//! A server whose connections pass the gate and have limits of time.
//!
//! The HTTP library's own server takes streams of the operating system only, so its parts are put together here: its threads and
//! sockets, its protocol, and between them the gate, TLS and the counted stream.
//! Not here: routes (`http.rs`), what happens around a request (`requests.rs`).

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::body::MessageBody;
use actix_http::{Extensions, HttpService, KeepAlive, Protocol, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::gate::Gate;
use super::line::Line;
use super::network::Network;
use super::stream::{Inner, Stream};
use super::times::Limits;
use crate::config::Config;

/// Between requests of somebody with a key.
const QUIET: Duration = Duration::from_secs(75);
/// How long a client that was answered before the end of its body has to read that and to go away.
const CLOSING: Duration = Duration::from_secs(2);
/// HTTP/2: bytes that a client may send of a body that nobody reads yet, of one request and of all of a connection.
const WINDOW_BYTES: u32 = 64 << 10;
const WINDOWS_BYTES: u32 = 256 << 10;

/// What every connection passes.
#[derive(Clone)]
pub(in crate::http) struct Entrance {
    pub(in crate::http) gate: Arc<Gate>,
    pub(in crate::http) limits: Limits,
    /// The certificate that is shown to the next client; `None` is plain text.
    pub(in crate::http) tls: Option<Arc<ArcSwap<ServerConfig>>>,
}

/// What a connection may take, by the settings.
pub(in crate::http) fn limits(config: &Config) -> Limits {
    Limits {
        head: Duration::from_millis(config.http.header_timeout_ms),
        quiet: QUIET,
        closing: CLOSING,
        closing_bytes: config.ingest.body_bytes_max as u64,
        rate_min: config.http.body_rate_min_bytes_per_s,
    }
}

/// Serves an application on a socket.
///
/// # Errors
/// When the socket cannot be used.
pub(in crate::http) fn serve<F, I, S, B>(
    builder: ServerBuilder,
    listener: TcpListener,
    entrance: Entrance,
    app: F,
) -> io::Result<Server>
where
    F: Fn() -> I + Clone + Send + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    S::Service: 'static,
    <S::Service as Service<Request>>::Future: 'static,
    B: MessageBody + 'static,
{
    let stopping = builder.graceful_shutdown_signal();
    let factory = move || {
        let (app, entrance, stopping) = (app.clone(), entrance.clone(), stopping.clone());
        fn_factory(move || {
            let stopping = stopping.clone();
            let routes = app().into_factory().map_err(|error| error.into().error_response());
            let http = HttpService::<Stream, _, B>::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                // A connection's own limits end it (`times.rs`). Those of the library go by a time that it keeps by itself, which is late
                // for a while after a clock has jumped: then every request would be refused with 408. The one that is left waits for a
                // client that was answered early to read that.
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(entrance.limits.closing)
                // A client that hangs up ends its query. Without this it would go on until its time is over.
                .h1_allow_half_closed(false)
                .h2_initial_window_size(WINDOW_BYTES)
                .h2_initial_connection_window_size(WINDOWS_BYTES)
                .on_connect_ext(|stream: &Stream, data: &mut Extensions| {
                    data.insert(Rc::clone(stream.line()));
                })
                .finish::<_, B>(map_config(routes, |()| AppConfig::default()));
            let (http, entrance) = (http.new_service(()), entrance.clone());
            async move {
                let http = Rc::new(http.await?);
                Ok::<_, ()>(fn_service(move |socket: TcpStream| {
                    serve_one(entrance.clone(), Rc::clone(&http), socket)
                }))
            }
        })
    };
    Ok(builder.listen("shoal", listener, factory)?.run())
}

/// One connection, from the gate to its end.
async fn serve_one<H>(entrance: Entrance, http: Rc<H>, socket: TcpStream) -> Result<(), ()>
where
    H: Service<(Stream, Protocol, Option<SocketAddr>)>,
{
    let peer = socket.peer_addr().ok();
    let Some(seat) = entrance.gate.enter(Network::of(peer.map(|peer| peer.ip()))) else { return Ok(()) };
    let line = Rc::new(Line::new(seat, entrance.limits));
    let served = async {
        let (stream, protocol) = open(&entrance, &line, socket).await?;
        http.call((stream, protocol, peer)).await.map(drop).ok()
    };
    tokio::select! {
        _ = served => {}
        () = line.must_end() => {}
    }
    Ok(())
}

/// The stream that the HTTP library reads, after a handshake where there is one.
async fn open(entrance: &Entrance, line: &Rc<Line>, socket: TcpStream) -> Option<(Stream, Protocol)> {
    let Some(tls) = &entrance.tls else {
        return Some((Stream::new(Inner::Plain(socket), Rc::clone(line)), Protocol::Http1));
    };
    let tls = TlsAcceptor::from(tls.load_full()).accept(socket).await.ok()?;
    let protocol = match tls.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    if protocol == Protocol::Http2 {
        line.note(super::times::Times::multiplexed);
    }
    Some((Stream::new(Inner::Tls(Box::new(tls)), Rc::clone(line)), protocol))
}
