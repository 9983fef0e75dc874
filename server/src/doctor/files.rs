//! Permissions, the key file and the audit. Not here: settings (`config`), the ledger and the journal (`ledger.rs`).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;
use shoal_audit::{Audit, verify_last};

use super::check::Check;
use crate::backup::names::check_finished;
use crate::config::Config;
use crate::{consent_files, key_check, key_file};

/// Bits that others than the owner may not have.
const OTHERS: u32 = 0o077;
/// Directories nest no deeper.
const DEPTH_MAX: usize = 16;

/// Whose the files are, and who may read them.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    vec![
        permissions("permissions of data", &config.data_dir),
        permissions("permissions of budget marks", &config.marks_dir()),
        permissions("permissions of withdrawals", &config.journal_dir()),
        permissions("permissions of unit keys", &config.unit_key_dir()),
    ]
}

#[derive(Default)]
struct Seen {
    files: u64,
    open: u64,
    of_others: u64,
    unreadable: u64,
}

fn permissions(check: &'static str, dir: &Path) -> Check {
    let shown = dir.display();
    if !dir.exists() {
        return Check::warn(check, format!("{shown} is not there yet"), "The first start makes it.");
    }
    let mut seen = Seen::default();
    look(dir, DEPTH_MAX, &mut seen);
    let Seen { files, open, of_others, unreadable } = seen;
    if unreadable > 0 || of_others > 0 {
        let found = format!(
            "{shown}: {of_others} of {files} files are another account's, {unreadable} cannot be read"
        );
        return Check::fail(
            check,
            found,
            "Run as the account of the service, or give it the files: chown -R.",
        );
    }
    match open {
        0 => Check::ok(check, format!("{shown}: {files} files, all for this account alone")),
        open => {
            let found = format!("{shown}: others may read {open} of {files} files");
            Check::warn(
                check,
                found,
                "The next start closes those of the data directory; else: chmod -R go= on it.",
            )
        }
    }
}

fn look(path: &Path, depth: usize, seen: &mut Seen) {
    let Ok(found) = path.symlink_metadata() else {
        seen.unreadable += 1;
        return;
    };
    // The operator names the root, which may be a link.
    let found = if depth == DEPTH_MAX { path.metadata().unwrap_or(found) } else { found };
    seen.files += 1;
    seen.open += u64::from(!found.is_symlink() && found.mode() & OTHERS != 0);
    seen.of_others += u64::from(found.uid() != geteuid().as_raw());
    if found.is_dir() && depth > 0 {
        match fs::read_dir(path) {
            Ok(entries) => entries.flatten().for_each(|entry| look(&entry.path(), depth - 1, seen)),
            Err(_) => seen.unreadable += 1,
        }
    }
}

/// Whether everything is there that a start wants to find.
pub(super) fn whole(config: &Config) -> Check {
    let check = "data";
    if let Err(error) = check_finished(&config.data_dir) {
        return Check::fail(check, error.to_string(), "docs/operations.md, section Backups, says how.");
    }
    match consent_files::check(&config.data_dir) {
        Ok(()) => Check::ok(check, "no restore is unfinished, and no file of consents is missing"),
        Err(error) => {
            let advice = "docs/operations.md, section Ledger, backup and restore, says more.";
            Check::fail(check, error.to_string(), advice)
        }
    }
}

/// Whether the key file is there and is the one that the data were made with.
pub(super) fn keys(config: &Config) -> Check {
    let (check, path) = ("key file", &config.key_file);
    match (path.exists(), key_file::has_data(&config.data_dir)) {
        (false, Ok(false)) => {
            let found = format!("{} is not there yet, nor are data", path.display());
            return Check::warn(check, found, "The first start makes it. Keep a copy of it in a safe then.");
        }
        (false, _) => {
            let found = format!("{} is missing, and there are data that were made with it", path.display());
            return Check::fail(check, found, "Put it back from its copy. Without it nobody is found again.");
        }
        _ => {}
    }
    let compared =
        key_file::open(path).and_then(|keyring| key_check::compare(&config.data_dir, path, &keyring));
    match compared {
        Ok(values) if values > 0 => {
            Check::ok(check, format!("{}: the data were made with it", path.display()))
        }
        Ok(_) => {
            let found = format!("{} can be read, and no check value is there yet", path.display());
            Check::warn(
                check,
                found,
                "The next start makes the check values: make sure that it is the right file.",
            )
        }
        Err(error) => Check::fail(check, error.to_string(), "Put the right key file back, with mode 0600."),
    }
}

/// Whether the newest file of the audit is whole.
pub(super) fn audit(config: &Config) -> Check {
    match verify_last(&Audit::place(&config.data_dir), &mut |_| {}) {
        Ok(whole) => Check::ok("audit", format!("its newest file is whole, {} lines in all", whole.count)),
        Err(error) => Check::fail(
            "audit",
            error.to_string(),
            "docs/operations.md, section Audit, says how to serve again. `shoal audit verify` reads all of it.",
        ),
    }
}
