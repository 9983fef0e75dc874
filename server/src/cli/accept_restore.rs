//! `shoal budget accept-restore`: an officer accepts that files of the ledger of budgets are missing or older than they
//! were. It opens the data directory itself, since no service starts over a doubt.
//!
//! Not here: what counts as spent then (`ledger_start.rs`).

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use shoal_audit::{Actor, Role};
use shoal_storage::{StorageError, Store};

use super::output::print_either;
use crate::access_keys::{KeyStore, LiveKeys};
use crate::config::Config;
use crate::error::Error;
use crate::ledger_start::Accepted;
use crate::tables_place::TablesPlace;
use crate::{ledger_start, startup};

#[derive(Args)]
pub(super) struct AcceptRestoreArgs {
    /// Access key of the officer who accepts, for the line of the audit. Without it, the line names the operator.
    #[arg(long, env = "SHOAL_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Prints what was accepted as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: &Config, args: &AcceptRestoreArgs) -> Result<ExitCode, Error> {
    let actor = actor(config, args.key.as_deref())?;
    crate::threads::runtime()?.block_on(async {
        let _store = stopped(config).await?;
        let audit = startup::build_audit(config)?;
        let now_ms = crate::clocks::checked(&crate::system_clock())?;
        let place = TablesPlace::look(config)?;
        let accepted = ledger_start::accept(config, &**place.objects(), &audit, actor, now_ms).await?;
        let value = || match &accepted {
            None => json!({"doubts": []}),
            Some(Accepted { doubts, numbers_raised, blocks_possibly_spent }) => json!({"doubts": doubts,
                "numbers_raised": numbers_raised, "blocks_possibly_spent": blocks_possibly_spent}),
        };
        print_either(args.json, value, || match &accepted {
            None => "nothing is missing or older than it was; nothing was changed".to_owned(),
            Some(accepted) => text(accepted),
        })
    })
}

fn text(accepted: &Accepted) -> String {
    let Accepted { doubts, numbers_raised, blocks_possibly_spent } = accepted;
    let doubts: String = doubts.iter().map(|doubt| format!("accepted: {doubt}\n")).collect();
    format!(
        "{doubts}the most that any file says counts as spent ({numbers_raised} numbers raised), and so does what only the audit knows \
         ({blocks_possibly_spent} blocks)"
    )
}

/// The data directory of a service that does not run; nobody else has it while the value lives.
pub(super) async fn stopped(config: &Config) -> Result<Store, Error> {
    if !config.data_dir.is_dir() {
        return Err(Error::Usage(format!("data_dir {} does not exist", config.data_dir.display())));
    }
    match startup::open_store(config).await {
        Err(Error::Storage(StorageError::Locked(_))) => {
            let running = "a service is running here: it would not run if anything had to be accepted";
            Err(Error::Usage(running.into()))
        }
        opened => opened,
    }
}

/// Who accepts: the officer whose key it is, or whoever has a shell here.
pub(super) fn actor(config: &Config, key: Option<&str>) -> Result<Actor, Error> {
    let Some(key) = key else {
        return Ok(Actor { key: None, role: Role::Operator });
    };
    let keys = LiveKeys::open(KeyStore::new(&config.data_dir))?;
    let officer = keys.officer(key);
    officer.ok_or_else(|| Error::Usage("the key is not that of an officer".into()))
}
