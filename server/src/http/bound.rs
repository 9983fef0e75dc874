//! A server whose socket is bound. Not here: who binds which (`http.rs`, `for_operators.rs`), who serves it (`running.rs`).

use std::net::SocketAddr;

use actix_web::dev::{Server, ServerHandle};

/// A bound server that has not been polled yet.
pub(crate) struct Bound {
    pub(crate) addr: SocketAddr,
    pub(crate) server: Server,
    pub(crate) handle: ServerHandle,
}
