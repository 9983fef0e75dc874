//! A service that runs: how it is told that a part of it has died, that it shall read its configuration again, and how it stops.
//!
//! The end: refuse new connections, let open requests end, stop the jobs, flush the log, wait until the directory is
//! released. Nothing acknowledged is lost by it. Not here: the start (`startup.rs`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web;
use shoal_ingest::IngestError;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::error::Error;
use crate::http::Bound;
use crate::jobs::CHECKPOINT_COMMITS_MIN;
use crate::operator_socket::OperatorSocket;
use crate::reload::{By, Reload};
use crate::state::State;

/// A socket that is served.
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    handle: ServerHandle,
    server: JoinHandle<std::io::Result<()>>,
}

impl Listener {
    /// Begins to serve.
    pub(crate) fn of(bound: Bound) -> Listener {
        let Bound { addr, server, handle } = bound;
        Listener { addr, handle, server: tokio::spawn(server) }
    }

    /// Waits until it has died.
    async fn died(&mut self) -> Error {
        let ended = (&mut self.server).await;
        let reason = ended.ok().and_then(Result::err).map(|error| format!(": {error}"));
        let (addr, reason) = (self.addr, reason.unwrap_or_default());
        Error::Service(format!("the HTTP server at {addr} has stopped{reason}"))
    }
}

/// A running service.
pub struct Running {
    /// For apps and analysts.
    pub(crate) public: Listener,
    /// For operators, where there is one.
    pub(crate) metrics: Option<Listener>,
    /// For the commands of an operator on this machine; none where it cannot be.
    pub(crate) operators: Option<OperatorSocket>,
    /// How its configuration is read again; none where it was not read from a file or variables.
    pub(crate) reload: Option<Arc<Reload>>,
    /// Reloads by signal that are under way or wait.
    pub(crate) reloading: JoinSet<()>,
    pub(crate) state: web::Data<State>,
    pub(crate) jobs: JoinHandle<Result<(), Error>>,
    pub(crate) stop_jobs: watch::Sender<bool>,
    /// Closes when the last worker has let go of the state.
    pub(crate) gone: mpsc::Receiver<()>,
}

/// How long the end waits for a worker that does not let go.
const LET_GO: Duration = Duration::from_secs(10);

/// One that is under way, and one that reads what is there after it.
const RELOADS_MAX: usize = 2;

impl Running {
    /// The address it listens on, with the port that was taken.
    pub fn addr(&self) -> SocketAddr {
        self.public.addr
    }

    /// The address at which it shows its metrics, if it does.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.addr)
    }

    /// Waits until a part of the service has died, which is an error; never returns while all is well.
    ///
    /// # Errors
    /// What has died.
    pub async fn failed(&mut self) -> Result<(), Error> {
        let metrics = async {
            match &mut self.metrics {
                Some(metrics) => metrics.died().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            died = self.public.died() => Err(died),
            died = metrics => Err(died),
            ended = &mut self.jobs => match ended {
                Ok(Err(error)) => Err(error),
                _ => Err(Error::Service("the jobs have stopped".into())),
            },
            what = self.state.broken() => Err(Error::Service(format!(
                "{what} could not be written, and something of it may be lost: the next start reads what is there"
            ))),
            region = self.state.ingest.failed() => Err(IngestError::Failed(region).into()),
        }
    }

    /// Begins to read the configuration again. How that ends is in the log.
    pub(crate) fn reload(&mut self) {
        while self.reloading.try_join_next().is_some() {}
        if let Some(reload) = &self.reload
            && self.reloading.len() < RELOADS_MAX
        {
            let (reload, state) = (Arc::clone(reload), self.state.clone());
            self.reloading.spawn(async move { drop(reload.run(&state, By::Signal).await) });
        }
    }

    /// Writes everything that is in the log into the tables now, and picks up changed access keys: for tests and the demo.
    ///
    /// # Errors
    /// When the flush fails; nothing is lost.
    pub async fn flush(&self) -> Result<(), Error> {
        self.state.keys.refresh();
        self.state.ingest.flush(self.state.look().1, true).await?;
        Ok(())
    }

    /// Stops: no new connections, open requests end, the log is flushed.
    ///
    /// # Errors
    /// When the last flush fails. What was acknowledged is in the log then, and the next start recovers it.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.state.close();
        self.public.handle.stop(true).await;
        if let Some(metrics) = &self.metrics {
            metrics.handle.stop(true).await;
        }
        if let Some(operators) = self.operators.take() {
            operators.close().await;
        }
        self.reloading.shutdown().await;
        let _ = self.stop_jobs.send(true);
        if !self.jobs.is_finished() {
            let _ = (&mut self.jobs).await;
        }
        self.state.ingest.stop().await?;
        self.state.retention.checkpoint_once(CHECKPOINT_COMMITS_MIN).await;
        self.state.look();
        self.state.served.write()?;
        self.state.keys.end();
        let Running { state, mut gone, .. } = self;
        drop(state);
        // The directory can be opened again once this is over.
        if tokio::time::timeout(LET_GO, gone.recv()).await.is_err() {
            tracing::warn!("something still holds the data directory");
        }
        Ok(())
    }
}
