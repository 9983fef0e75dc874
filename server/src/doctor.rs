//! What could be wrong with a machine and its files, looked at without changing anything: for `shoal doctor`.
//!
//! Each check says whether all is well, and otherwise what to do. Invariants: no check makes or changes a file, and none quotes
//! what a file holds. A service that runs answers for what only it can see. Not here: how it is shown (`cli/doctor.rs`), the checks
//! of the settings (`config`).

mod check;
mod files;
mod ledger;
mod machine;

use crate::config::Config;
use crate::status::Status;

pub(crate) use check::{Check, Outcome};

/// All checks but that of the settings, which is made before there is a configuration. `serving` is what the service says that
/// runs here.
pub(crate) fn checks(config: &Config, serving: Option<&Status>, now_ms: i64) -> Vec<Check> {
    let mut all = files::checks(config);
    all.push(machine::clock(config, now_ms));
    all.push(machine::disk(config));
    all.push(machine::versions(serving));
    all.push(machine::core_files(serving));
    all.push(files::keys(config));
    all.push(files::audit(config));
    all.push(ledger::marks(config, serving.is_some()));
    all.push(ledger::withdrawals(config, serving.is_some()));
    all.extend(serving.map(machine::parts));
    all
}
