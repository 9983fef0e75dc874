//! Permissions, the key file and the audit. Not here: settings (`config`), the ledger and the journal (`ledger.rs`).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::process::geteuid;
use shoal_audit::verify_last;
use shoal_ingest::known_epochs;

use super::check::Check;
use crate::backup::names::check_finished;
use crate::config::Config;
use crate::error::Error;
use crate::file_keys::audit_place;
use crate::tables_place::TablesPlace;
use crate::{consent_files, key_check, key_file, startup};

/// Bits that others than the owner may not have.
const OTHERS: u32 = 0o077;
const MINUTE_MS: i64 = 60_000;
/// Directories nest no deeper.
const DEPTH_MAX: usize = 16;

/// Whose the files are, and who may read them.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    vec![
        permissions("permissions of data", &config.data_dir),
        permissions("permissions of budget marks", &config.marks_dir()),
        permissions("permissions of withdrawals", &config.journal_dir()),
        permissions("permissions of unit keys", &config.unit_key_dir()),
        data_keys(&config.data_key_dir()),
    ]
}

#[derive(Default)]
struct Seen {
    files: u64,
    open: u64,
    of_others: u64,
    unreadable: u64,
}

/// A service that has written no file of a table yet has made none.
fn data_keys(dir: &Path) -> Check {
    const CHECK: &str = "permissions of data keys";
    match dir.exists() {
        true => permissions(CHECK, dir),
        false => Check::ok(CHECK, format!("{}: the first file of a table makes it", dir.display())),
    }
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

/// Whether the place with the tables answers, where they are in one of their own.
pub(super) fn tables(config: &Config) -> Option<Check> {
    let check = "tables";
    let advice = "Look at storage.url, storage.endpoint, the keys in the environment and the store itself.";
    match TablesPlace::look(config).map(|place| place.answers()) {
        Ok(None) => None,
        Ok(Some(Ok(()))) => Some(Check::ok(check, "their place answers, and they are no other directory's")),
        Ok(Some(Err(error))) | Err(error) => Some(Check::fail(check, error.to_string(), advice)),
    }
}

/// Whether everything is there that a start wants to find.
pub(super) fn whole(config: &Config) -> Check {
    let check = "data";
    if let Err(error) = check_finished(&config.data_dir) {
        return Check::fail(check, error.to_string(), "docs/operations.md, section Backups, says how.");
    }
    let looked = TablesPlace::look(config);
    match looked.and_then(|place| consent_files::check(&config.data_dir, &**place.objects())) {
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
        key_file::open(config).and_then(|keyring| key_check::compare(&config.data_dir, path, &keyring));
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

/// Whether pseudonym epochs can be forgotten, and whether replicas of the key store are up to date.
pub(super) fn stored_keys(config: &Config, now_ms: i64) -> Vec<Check> {
    let mut checks = Vec::new();
    if let Ok(keyring) = key_file::open(config)
        && keyring.derives_epochs()
    {
        let found =
            format!("{} is of version 1: no pseudonym epoch can be forgotten", config.key_file.display());
        checks.push(Check::warn("epoch keys", found, "Stop the service, and run `shoal keys migrate`."));
    }
    checks.extend(key_store(config));
    for (replica, at_ms) in startup::key_place(config).escrowed_ms() {
        let shown = replica.display();
        checks.push(match at_ms.map(|at_ms| (now_ms.saturating_sub(at_ms)) / MINUTE_MS) {
            Some(minutes) if minutes <= 60 => {
                Check::ok("replica of data keys", format!("{shown}: up to date {minutes} minutes ago"))
            }
            Some(minutes) => Check::warn(
                "replica of data keys",
                format!("{shown}: not brought up to date for {minutes} minutes"),
                "Run the service, or `shoal keys escrow`, and see what it says.",
            ),
            None => Check::fail(
                "replica of data keys",
                format!("{shown}: it is not there, or is no replica"),
                "Mount its disk; an empty directory becomes a replica with `shoal keys escrow`. No key is destroyed meanwhile.",
            ),
        });
    }
    checks
}

/// Whether every key of the key store can be used.
fn key_store(config: &Config) -> Option<Check> {
    let (check, dir) = ("key store", config.data_key_dir());
    let keyring = key_file::open(config).ok()?;
    let advice = "Put it back from its copy or a replica, docs/operations.md, section Keys of what is stored, says how.";
    if !dir.is_dir() {
        let has_epochs = known_epochs(&config.data_dir).is_ok_and(|known| !known.is_empty());
        let found = format!("{} is not there, and data were made with its keys", dir.display());
        return has_epochs.then(|| Check::fail(check, found, advice));
    }
    let looked = || -> Result<(usize, Vec<String>), Error> {
        let keys = startup::build_data_keys(config, &keyring)?;
        let epochs = startup::build_epoch_keys(config, &keyring);
        let mut faults: Vec<String> = keys.faults().iter().map(ToString::to_string).collect();
        let scopes = epochs.list()?;
        faults.extend(scopes.iter().filter_map(|scope| epochs.read(*scope).err()).map(|e| e.to_string()));
        Ok((keys.list().len() + scopes.len(), faults))
    };
    Some(match looked() {
        Ok((keys, faults)) if faults.is_empty() => {
            Check::ok(check, format!("{}: {keys} keys, all can be used", dir.display()))
        }
        Ok((_, faults)) => {
            Check::fail(check, format!("{} keys cannot be used: {}", faults.len(), faults[0]), advice)
        }
        Err(error) => Check::fail(check, error.to_string(), advice),
    })
}

/// Whether the newest file of the audit is whole.
pub(super) fn audit(config: &Config) -> Check {
    let looked = audit_place(config)
        .map_err(|error| error.to_string())
        .and_then(|place| verify_last(&place, &mut |_| {}).map_err(|error| error.to_string()));
    match looked {
        Ok(whole) => Check::ok("audit", format!("its newest file is whole, {} lines in all", whole.count)),
        Err(error) => Check::fail(
            "audit",
            error.to_string(),
            "docs/operations.md, section Audit, says how to serve again. `shoal audit verify` reads all of it.",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shoal_ingest::{epoch_scope, note_epoch};
    use shoal_privacy::epoch_key::EpochKey;
    use shoal_schemas::Region;

    use super::*;
    use crate::doctor::check::Outcome;

    const NOW_MS: i64 = 1_796_000_000_000;

    /// How each check of the keys comes out.
    fn outcomes(config: &Config, now_ms: i64) -> Vec<(&'static str, Outcome)> {
        stored_keys(config, now_ms).iter().map(|check| (check.check, check.outcome)).collect()
    }

    #[test]
    fn keys_that_are_lost_or_damaged_and_replicas_that_are_away_or_old_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::embedded(dir.path()).unwrap();
        let keyring = key_file::open_or_create(&config).unwrap();
        let (scope, key) = (epoch_scope(Region::De, 230, 90), EpochKey::generate().unwrap());
        startup::build_epoch_keys(&config, &keyring).keep(scope, key.bytes()).unwrap();
        note_epoch(&config.data_dir, scope, &key).unwrap();
        assert_eq!(outcomes(&config, NOW_MS), [("key store", Outcome::Ok)]);

        let replica = dir.path().join("replica");
        config.data_key_replicas = vec![replica.clone()];
        let replicas =
            |now_ms| outcomes(&config, now_ms).into_iter().find(|(check, _)| check.starts_with("replica"));
        assert_eq!(replicas(NOW_MS), Some(("replica of data keys", Outcome::Fail)));
        startup::key_place(&config).escrow(NOW_MS, true).unwrap();
        assert_eq!(replicas(NOW_MS + 60 * MINUTE_MS), Some(("replica of data keys", Outcome::Ok)));
        assert_eq!(replicas(NOW_MS + 61 * MINUTE_MS), Some(("replica of data keys", Outcome::Warn)));

        let (store, away) = (config.data_key_dir(), dir.path().join("away"));
        let of_store = || outcomes(&config, NOW_MS)[0];
        fs::rename(&store, &away).unwrap();
        assert_eq!(of_store(), ("key store", Outcome::Fail), "it is lost");
        fs::rename(&away, &store).unwrap();
        let file = fs::read_dir(store.join("de/epochs")).unwrap().next().unwrap().unwrap().path();
        let mut bytes = fs::read(&file).unwrap();
        bytes[40] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(of_store(), ("key store", Outcome::Fail), "a bit was changed");
    }
}
