//! What lies outside of the data so that no older copy of them brings anything back: high-water marks, and the journal of
//! withdrawals. Files are looked at by name: what they say is compared at each start.

use std::path::Path;

use shoal_schemas::Region;

use super::check::Check;
use super::served::Served;
use crate::config::Config;
use crate::consent_files;
use crate::key_file::folder;
use crate::tables_place::TablesPlace;

/// Whether the high-water marks are in both places.
pub(super) fn marks(config: &Config, served: &Served) -> Check {
    let check = "budget marks";
    if !config.data_dir.join("ledger/budget.redb").exists() {
        return Check::ok(check, "there is no ledger of budgets yet");
    }
    let missing = [config.data_dir.clone(), config.marks_dir()]
        .iter()
        .flat_map(|dir| missing(dir, "budget.witness"))
        .collect();
    let advice = "Put them back as they were last; if there is no copy: shoal budget accept-restore.";
    told(check, missing, served, advice)
}

/// Whether the journal of withdrawals is there.
pub(super) fn withdrawals(config: &Config, served: &Served) -> Check {
    let check = "withdrawals";
    // Where they are missing beside data, that is told by a check of its own, and the journal is all there is.
    let is_new = missing(&config.data_dir, "ledger.redb").len() == Region::ALL.len()
        && TablesPlace::look(config)
            .is_ok_and(|place| consent_files::check(&config.data_dir, &**place.objects()).is_ok());
    if is_new {
        return Check::ok(check, "there are no records of consent yet");
    }
    let advice =
        "Put them back as they were last. Without them the next start writes them anew from the records.";
    told(check, missing(&config.journal_dir(), "withdrawals"), served, advice)
}

fn missing(dir: &Path, file: &str) -> Vec<String> {
    let paths = Region::ALL.iter().map(|region| dir.join(folder(*region)).join(file));
    paths.filter(|path| !path.exists()).map(|path| path.display().to_string()).collect()
}

fn told(check: &'static str, missing: Vec<String>, served: &Served, advice: &str) -> Check {
    match (missing.first(), served) {
        (Some(first), _) => {
            Check::fail(check, format!("{} files are missing: {first}", missing.len()), advice)
        }
        (None, Served::By(_)) => Check::ok(check, "all files are there, and were compared at the start"),
        (None, Served::Not) => Check::ok(check, "all files are there; a start compares them"),
        (None, Served::Unknown) => Check::ok(check, "all files are there"),
    }
}
