//! `shoal serve`: until SIGTERM or Ctrl-C, or until a part has died. SIGHUP reads the configuration again.
//!
//! The signals are listened for before anything is read or made, so one that comes while the service starts ends the start in
//! order: what was being made is let go of as at a crash, which the next start knows how to go on from.

use std::mem::ManuallyDrop;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitCode, exit};
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::clocks::end_when_ticks_go_back;
use crate::config::Loaded;
use crate::error::Error;
use crate::own_process;
use crate::reload::Reload;
use crate::running::Running;
use crate::startup::start_with;

pub(super) fn run(file: Option<&Path>) -> Result<ExitCode, Error> {
    // It is never taken apart: after an end in order nothing is under way, and after a failure the rest is left as at a
    // crash. Libraries panic whose runtime goes while they wait for another piece of work.
    let runtime = ManuallyDrop::new(crate::threads::runtime()?);
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let started_with = Loaded::for_service(file, std::env::vars_os())?;
        let level = crate::logs::start(&started_with.config.log);
        own_process::allow_files();
        tracing::info!("starting");
        let config = started_with.config.clone();
        let reload = Reload::new(file.map(Path::to_path_buf), started_with, level);
        let clocks = crate::Clocks::system();
        end_when_ticks_go_back(Arc::clone(&clocks.ticks))?;
        let mut starting = pin!(start_with(config, clocks, Some(reload)));
        let started = tokio::select! {
            started = &mut starting => started?,
            () = signals.told_to_stop() => {
                tracing::info!("stopped before the service had started");
                // What a start is in the middle of is left as it is, like at a crash. Taking it apart piece by piece would
                // make libraries panic that wait for another piece.
                exit(0);
            }
        };
        tell_supervisor(NotifyState::Ready);
        serve(started, signals).await
    })
}

/// Tells systemd, where it has asked for it (`Type=notify`): a unit is started when the service serves, and not before.
fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "what supervises this process could not be told how it is");
    }
}

/// Serves until a signal, then stops in order.
///
/// # Errors
/// When a part of the service has died, or the last flush failed.
pub(crate) async fn until_told(running: Running) -> Result<ExitCode, Error> {
    serve(running, Signals::listen()?).await
}

async fn serve(mut running: Running, mut signals: Signals) -> Result<ExitCode, Error> {
    let died = loop {
        let Signals { terminate, interrupt, hangup } = &mut signals;
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            died = running.failed() => break died.err(),
            _ = hangup.recv() => {}
        }
        running.reload();
    };
    if let Some(error) = died {
        tracing::error!(%error, "stopping: nothing more can be acknowledged");
        return Err(error);
    }
    tracing::info!("stopping");
    tell_supervisor(NotifyState::Stopping);
    running.stop().await?;
    tracing::info!("stopped; everything acknowledged is in the tables");
    Ok(ExitCode::SUCCESS)
}

/// The signals that this process is sent.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Signals, Error> {
        let listen = |kind| signal(kind).map_err(|e| Error::Service(format!("signals: {e}")));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn told_to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
