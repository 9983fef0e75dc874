//! `shoal worker`: the process in which the service runs analysts' postprocessing SQL. Started by the service, of no
//! use to people.
//!
//! Invariants: nothing happens before it (no threads, no configuration, no logs): it confines itself first. Not here: what
//! it does (`shoal_postprocess::run_worker`).

use std::process::ExitCode;

use clap::Args;
use shoal_postprocess::WorkerLimits;

use crate::error::Error;

/// Runs the postprocessing of questions for the service that starts it.
#[derive(Args)]
pub(super) struct WorkerArgs {
    /// Limits of the worker, as JSON.
    limits: String,
}

pub(super) fn run(args: &WorkerArgs) -> Result<ExitCode, Error> {
    let limits: WorkerLimits =
        serde_json::from_str(&args.limits).map_err(|e| Error::Usage(format!("limits: {e}")))?;
    shoal_postprocess::run_worker(limits).map_err(|e| Error::Service(format!("worker: {e}")))?;
    Ok(ExitCode::SUCCESS)
}
