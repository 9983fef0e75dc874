//! `shoal serve`: until SIGTERM or Ctrl-C, or until a part has died.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::error::Error;
use crate::running::Running;
use crate::startup::start;

pub(super) fn run(config: Config) -> Result<ExitCode, Error> {
    crate::logs::start(&config.log);
    crate::threads::runtime()?.block_on(async {
        let running = start(config, crate::Clocks::system()).await?;
        until_told(running).await
    })
}

/// Serves until a signal, then stops in order.
///
/// # Errors
/// When a part of the service has died, or the last flush failed.
pub(crate) async fn until_told(mut running: Running) -> Result<ExitCode, Error> {
    let listen = |kind| signal(kind).map_err(|e| Error::Service(format!("signals: {e}")));
    let (mut term, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let died = tokio::select! {
        _ = term.recv() => None,
        _ = interrupt.recv() => None,
        died = running.failed() => died.err(),
    };
    if let Some(error) = died {
        tracing::error!(%error, "stopping: nothing more can be acknowledged");
        return Err(error);
    }
    tracing::info!("stopping");
    running.stop().await?;
    tracing::info!("stopped; everything acknowledged is in the tables");
    Ok(ExitCode::SUCCESS)
}
