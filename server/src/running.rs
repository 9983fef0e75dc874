//! A service that runs: how it is told that a part of it has died, and how it stops.
//!
//! The end: refuse new connections, let open requests end, stop the jobs, flush the log, wait until the directory is
//! released. Nothing acknowledged is lost by it. Not here: the start (`startup.rs`).

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::web;
use shoal_ingest::IngestError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::state::State;

/// A running service.
pub struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) state: web::Data<State>,
    pub(crate) handle: actix_web::dev::ServerHandle,
    pub(crate) server: JoinHandle<std::io::Result<()>>,
    pub(crate) jobs: JoinHandle<Result<(), Error>>,
    pub(crate) stop_jobs: watch::Sender<bool>,
    /// Closes when the last worker has let go of the state.
    pub(crate) gone: mpsc::Receiver<()>,
}

/// How long the end waits for a worker that does not let go.
const LET_GO: Duration = Duration::from_secs(10);

impl Running {
    /// The address it listens on, with the port that was taken.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until a part of the service has died, which is an error; never returns while all is well.
    ///
    /// # Errors
    /// What has died.
    pub async fn failed(&mut self) -> Result<(), Error> {
        tokio::select! {
            ended = &mut self.server => match ended {
                Ok(Err(e)) => Err(Error::Service(format!("the HTTP server has stopped: {e}"))),
                _ => Err(Error::Service("the HTTP server has stopped".into())),
            },
            ended = &mut self.jobs => match ended {
                Ok(Err(error)) => Err(error),
                _ => Err(Error::Service("the jobs have stopped".into())),
            },
            region = self.state.ingest.failed() => Err(IngestError::Failed(region).into()),
        }
    }

    /// Writes everything that is in the log into the tables now, and picks up changed access keys: for tests and the demo.
    ///
    /// # Errors
    /// When the flush fails; nothing is lost.
    pub async fn flush(&self) -> Result<(), Error> {
        self.state.keys.refresh();
        self.state.ingest.flush(self.state.now_ms(), true).await?;
        Ok(())
    }

    /// Stops: no new connections, open requests end, the log is flushed.
    ///
    /// # Errors
    /// When the last flush fails. What was acknowledged is in the log then, and the next start recovers it.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.state.close();
        self.handle.stop(true).await;
        let _ = self.stop_jobs.send(true);
        if !self.jobs.is_finished() {
            let _ = (&mut self.jobs).await;
        }
        self.state.ingest.stop().await?;
        let Running { state, mut gone, .. } = self;
        drop(state);
        // The directory can be opened again once this is over.
        if tokio::time::timeout(LET_GO, gone.recv()).await.is_err() {
            tracing::warn!("something still holds the data directory");
        }
        Ok(())
    }
}
