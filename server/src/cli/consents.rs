//! `shoal consents`: what is to be done when files of consents are lost.
//!
//! Not here: when a start is refused for it (`consent_files.rs`), how a consent is recorded (`POST /v1/consents`).

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::accept_restore::{actor, stopped};
use super::output::print_either;
use crate::config::Config;
use crate::error::Error;
use crate::tables_place::TablesPlace;
use crate::{consent_files, startup};

#[derive(Subcommand)]
pub(super) enum ConsentsCommand {
    /// Accepts that the file of consents of a region is lost, with every withdrawal in it, and begins with an empty one. The service
    /// must be stopped. The audit has a line of it.
    AcceptLoss(AcceptLossArgs),
}

#[derive(Args)]
pub(super) struct AcceptLossArgs {
    /// Access key of the officer who accepts, for the line of the audit. Without it, the line names the operator.
    #[arg(long, env = "SHOAL_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Prints the regions as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, command: &ConsentsCommand) -> Result<ExitCode, Error> {
    let ConsentsCommand::AcceptLoss(args) = command;
    let actor = actor(config, args.key.as_deref())?;
    crate::threads::runtime()?.block_on(async {
        let _store = stopped(config).await?;
        let audit = startup::build_audit(config)?;
        let now_ms = crate::clocks::checked(&crate::system_clock())?;
        let place = TablesPlace::look(config)?;
        let regions = consent_files::accept(config, &**place.objects(), &audit, actor, now_ms).await?;
        print_either(args.json, || json!({"regions": regions}), || match regions.as_slice() {
            [] => "no file of consents is missing; nothing was changed".to_owned(),
            lost => format!(
                "accepted: the consents of {} are lost, and begin anew. The next start takes the withdrawals from their journal; record \
                 again whatever it does not know",
                consent_files::names(lost)
            ),
        })
    })
}
