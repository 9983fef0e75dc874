//! Which file of a data directory is what, by its name: a backup treats them differently.
//!
//! Invariant: a name that is not known is copied as it is. Not here: copying.

use std::io::ErrorKind;
use std::path::Path;

use shoal_schemas::Region;

use crate::error::Error;
use crate::key_file::folder;

/// A file that says that a restore was not finished; a start is refused while it is there.
pub(super) const UNFINISHED: &str = "restore-unfinished";
/// It only says when the audit was looked at, and is root's where root has looked.
const AUDIT_CHECKED: &str = "ledger/audit.checked";

/// Refuses a directory into which a restore was not finished.
///
/// # Errors
/// What to do about it.
pub(crate) fn check_finished(data_dir: &Path) -> Result<(), Error> {
    match data_dir.join(UNFINISHED).symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Error::io(data_dir, e)),
        Ok(_) => Err(Error::Service(format!(
            "a restore into {} was not finished: empty it, and restore again",
            data_dir.display()
        ))),
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It says nothing: a lock, an empty segment, something unfinished.
    Nothing,
    /// Of a table.
    Table,
    /// A segment of a write-ahead log.
    Log,
    /// A run of event ids. It never changes.
    Run,
    /// The records of consent of a region.
    Consents(Region),
    /// The ledger of budgets.
    Ledger,
    /// The audit, or its head.
    Audit,
    /// Anything else: small, and replaced as a whole or appended to.
    Other,
}

/// What a file of this name is.
pub(super) fn what(name: &str) -> What {
    let is_lock = name == ".lock" || name.ends_with(".lock");
    let holds_room = name.ends_with(".room");
    if is_lock || holds_room || name == UNFINISHED || name == AUDIT_CHECKED {
        return What::Nothing;
    }
    let region = Region::ALL
        .iter()
        .find_map(|region| Some((*region, name.strip_prefix(&folder(*region))?.strip_prefix('/')?)));
    match region {
        Some((_, rest)) if rest.starts_with("tables/") => What::Table,
        Some((_, rest)) if rest.starts_with("log/") => match rest.ends_with(".log") {
            true => What::Log,
            false => What::Nothing,
        },
        Some((_, rest)) if rest.starts_with("dedup/") => match rest.ends_with(".run") {
            true => What::Run,
            false => What::Nothing,
        },
        Some((region, "ledger.redb")) => What::Consents(region),
        Some((_, "ledger.redb.new")) => What::Nothing,
        // What was erased is not erased in the tables of the backup, which may be older: a start over a restore does it again.
        Some((_, rest)) if rest.starts_with("erasures/done/") => What::Nothing,
        _ if name == "ledger/budget.redb" => What::Ledger,
        _ if name == "ledger/budget.redb.new" => What::Nothing,
        _ if name.starts_with("audit/") || name == "ledger/audit.head" => What::Audit,
        _ => What::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_data_directory_has_its_place() {
        for (name, expected) in [
            ("de/tables/usage/_delta_log/00000000000000000000.json", What::Table),
            ("de/log/0000000000000001.log", What::Log),
            ("de/log/0.spare", What::Nothing),
            ("us/dedup/1-2-3.run", What::Run),
            ("us/dedup/1.tmp", What::Nothing),
            ("my/ledger.redb", What::Consents(Region::My)),
            ("my/ledger.redb.new", What::Nothing),
            ("my/ledger.redb.lock", What::Nothing),
            ("my/budget.witness", What::Other),
            ("ledger/budget.redb", What::Ledger),
            ("ledger/audit.head", What::Audit),
            ("ledger/audit.lock", What::Nothing),
            ("ledger/audit.checked", What::Nothing),
            ("audit/00000000000000000001.jsonl", What::Audit),
            ("control/keys.json", What::Other),
            ("de/erasures/acts/1795348800000-5c1dd7a4", What::Other),
            ("de/erasures/done/1795348800000-5c1dd7a4", What::Nothing),
            ("day-limits", What::Other),
            ("ledger/budget.redb.room", What::Nothing),
            ("de/ledger.redb.room", What::Nothing),
            (".lock", What::Nothing),
        ] {
            assert_eq!(what(name), expected, "{name}");
        }
    }
}
