//! What could be wrong with a machine and its files, looked at without changing anything: for `shoal doctor`.
//!
//! Each check says whether all is well, and otherwise what to do. Invariants: no check makes or changes a file, and none quotes
//! what a file holds. A service that runs answers for what only it can see. Not here: how it is shown (`cli/doctor.rs`), the checks
//! of the settings (`config`).

mod check;
mod custody;
mod files;
mod ledger;
mod machine;
mod served;

use crate::config::Config;

pub(crate) use check::{Check, Outcome};
pub(crate) use served::Served;

/// All checks but that of the settings, which is made before there is a configuration.
pub(crate) fn checks(config: &Config, served: &Served, now_ms: i64) -> Vec<Check> {
    let mut all = files::checks(config);
    all.push(machine::clock(config, now_ms));
    all.push(machine::disk(config));
    all.push(machine::versions(served));
    all.push(machine::core_files(served));
    all.push(files::whole(config));
    all.extend(files::tables(config));
    all.push(files::keys(config));
    all.push(custody::custody(config));
    all.extend(files::stored_keys(config, now_ms));
    all.push(files::audit(config));
    all.push(ledger::marks(config, served));
    all.push(ledger::withdrawals(config, served));
    all.extend(served.status().map(machine::parts));
    all
}
