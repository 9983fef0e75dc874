//! `shoal keys list --stored`, `rotate`, `shred`, `escrow` and `migrate`: the keys that data are encrypted with, and those of pseudonym
//! epochs. A running service does what changes them.
//!
//! Not here: access keys (`keys.rs`), what an act does (`stored_keys.rs`), the migration (`key_migration.rs`).

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Args;
use prometheus_client::registry::Registry as MetricRegistry;
use serde::Deserialize as _;
use serde_json::{Value, json};
use shoal_language::calendar::{day_text, parse_day, time_text};
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Region};
use shoal_storage::{Kept, StorageError, Store};

use super::data_dir;
use super::output::{framed, print_either};
use crate::config::Config;
use crate::error::Error;
use crate::operator_socket::{self, Asked};
use crate::receipts::AllReceipts;
use crate::stored_keys::{KeyAct, KeysDone, StoredKeys};
use crate::{definitions, key_check, key_file, key_migration, startup};

#[derive(Args)]
pub(super) struct RotateArgs {
    /// Table of the day, as de/usage.
    #[arg(long, value_parser = table)]
    table: (Region, Kind),
    /// Day whose files get a new key, as 2026-11-22.
    #[arg(long, value_parser = day)]
    day: i32,
    /// Prints what was done as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ShredArgs {
    /// Table of the day whose keys are destroyed, as de/usage.
    #[arg(long, value_parser = table, requires = "day", conflicts_with = "epoch", required_unless_present = "epoch")]
    table: Option<(Region, Kind)>,
    /// Day whose keys are destroyed, as 2026-11-22.
    #[arg(long, value_parser = day, requires = "table")]
    day: Option<i32>,
    /// Pseudonym epoch whose keys are destroyed, as `shoal keys list --stored` shows it: de/2026-09-04.90
    #[arg(long, value_parser = epoch)]
    epoch: Option<(Region, i32, u32)>,
    /// Does it. Without this it only says what would be destroyed.
    #[arg(long)]
    yes: bool,
    /// Prints what was done as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct StoredArgs {
    /// Prints what was done as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

fn table(text: &str) -> Result<(Region, Kind), String> {
    let found = text.split_once('/').and_then(|(region, kind)| {
        Some((Region::parse(&region.to_ascii_uppercase())?, Kind::parse(&kind.to_ascii_lowercase())?))
    });
    found.ok_or_else(|| {
        "a table is a region and a kind, as de/usage; kinds are usage, crash, performance, device".into()
    })
}

fn day(text: &str) -> Result<i32, String> {
    parse_day(text).ok_or_else(|| "a day is written as 2026-11-22".to_owned())
}

fn epoch(text: &str) -> Result<(Region, i32, u32), String> {
    let found = text.split_once('/').and_then(|(region, rest)| {
        let (first, days) = rest.split_once('.')?;
        Some((Region::parse(&region.to_ascii_uppercase())?, parse_day(first)?, days.parse().ok()?))
    });
    found.ok_or_else(|| "an epoch is a region, its first day and its days, as de/2026-09-04.90".to_owned())
}

/// Prints the keys of the key store: which there are, and nothing of any.
pub(super) fn list(config: &Config, as_json: bool) -> Result<(), Error> {
    data_dir::is_there(config)?;
    let keyring = key_file::open(config)?;
    let keys = startup::build_data_keys(config, &keyring)?;
    let epochs = startup::build_epoch_keys(config, &keyring);
    let mut found: Vec<[String; 4]> = Vec::new();
    for (scope, id) in keys.list() {
        let table = format!("{}/{}", scope.region.as_str().to_ascii_lowercase(), scope.kind);
        let made = time_text(id.made_ms());
        found.push([table, day_text(scope.day), id.to_string(), format!("made {made}")]);
    }
    for scope in epochs.list()? {
        let region = scope.region.as_str().to_ascii_lowercase();
        let first = day_text(scope.first_day);
        let state = match epochs.read(scope) {
            Ok(Kept::Keys(_)) => "in use",
            Ok(Kept::Destroyed) => "destroyed",
            Ok(Kept::None) => continue,
            Err(_) => "cannot be read",
        };
        let days = format!("{first} to {}", day_text(scope.last_day()));
        found.push([
            "pseudonym epoch".into(),
            days,
            format!("{region}/{first}.{}", scope.days),
            state.into(),
        ]);
    }
    let value = || {
        let of = |[what, days, id, state]: &[String; 4]| json!({"of": what, "days": days, "id": id, "state": state});
        Value::Array(found.iter().map(of).collect())
    };
    let text = || {
        let mut shown = framed(["of", "days", "id", "state"]);
        for row in &found {
            shown.add_row(row);
        }
        let derived = match keyring.derives_epochs() {
            true => {
                "\nthe keys of pseudonym epochs are derived from the key file, so that none can be destroyed: `shoal keys migrate`"
            }
            false => "",
        };
        format!("{shown}{derived}")
    };
    print_either(as_json, value, text).map(drop)
}

/// Gives a day a new key.
pub(super) fn rotate(config: &Config, args: &RotateArgs) -> Result<(), Error> {
    let done = act(config, &KeyAct::Rotate(args.table.0, args.table.1, args.day))?;
    print_either(args.json, || json!(done), || {
        format!("{} files, {} rows, are written anew with a new key; the keys of before stay as long as the day, because \
                 backups need them", done.files, done.rows)
    })
    .map(drop)
}

/// Destroys keys, or says what would be destroyed.
pub(super) fn shred(config: &Config, args: &ShredArgs) -> Result<(), Error> {
    let (wanted, what) = match (args.table, args.day, args.epoch) {
        (Some((region, kind)), Some(day), _) => (
            KeyAct::ShredDay(region, kind, day),
            format!(
                "all events of {} in {}/{kind}: they leave the table, and can be read in no copy and no backup any more",
                day_text(day),
                region.as_str().to_ascii_lowercase()
            ),
        ),
        (_, _, Some((region, first, days))) => (
            KeyAct::ShredEpoch(region, first, days),
            format!(
                "the keys of the pseudonym epoch of {} that begins on {}: nobody can be found in its days any more, for export or \
                 erasure either, and events of these days that come later are rejected",
                region.as_str(),
                day_text(first)
            ),
        ),
        _ => return Err(Error::Usage("name a table and a day, or an epoch".into())),
    };
    if !args.yes {
        let value = || json!({"would_destroy": what});
        return print_either(args.json, value, || format!("this would destroy {what}\nadd --yes to do it"))
            .map(drop);
    }
    let done = act(config, &wanted)?;
    print_either(
        args.json,
        || json!(done),
        || {
            let KeysDone { keys, files, rows, .. } = done;
            let of_the_log = match wanted {
                KeyAct::ShredDay(..) => {
                    "\nevents of the day that a log still held, or that come later, have a new key"
                }
                _ => "",
            };
            format!("destroyed: {keys} keys, with {files} files of {rows} rows{of_the_log}")
        },
    )
    .map(drop)
}

/// Has an act done by the service, or does it where none runs.
pub(super) fn act(config: &Config, wanted: &KeyAct) -> Result<KeysDone, Error> {
    data_dir::is_there(config)?;
    if let Some(told) = operator_socket::ask(&config.data_dir, &Asked::StoredKey(wanted.clone()))? {
        return KeysDone::deserialize(told)
            .map_err(|e| Error::Remote(format!("this is no report of it: {e}")));
    }
    let now_ms = crate::clocks::checked(&crate::system_clock())?;
    crate::threads::runtime()?.block_on(async {
        let store = stopped(config).await?;
        let definitions = startup::build_definitions(config)?;
        let retention = startup::build_retention(&definitions, &store, &mut MetricRegistry::default());
        let keyring = key_file::open(config)?;
        key_check::compare(&config.data_dir, &config.key_file, &keyring)?;
        // Opens all tables.
        retention.plan(now_ms).await?;
        let epochs = startup::build_epoch_keys(config, &keyring);
        let audit = startup::build_audit(config)?;
        let receipts = Arc::new(AllReceipts::open(config, &keyring)?);
        let known_epochs = shoal_ingest::known_epochs(&config.data_dir);
        let stored = StoredKeys {
            store: retention.store(),
            epochs: &epochs,
            known_epochs: known_epochs.map_err(|e| Error::io(&config.data_dir, e))?,
            derives_epochs: keyring.derives_epochs(),
            audit: &audit,
            receipts: &receipts,
        };
        stored.act(wanted, now_ms).await
    })
}

/// The tables of a data directory that no service serves.
async fn stopped(config: &Config) -> Result<Store, Error> {
    match startup::open_store(config).await {
        Err(Error::Storage(StorageError::Locked(_))) => {
            Err(Error::Remote("a service runs here that has no socket for operators: it is starting".into()))
        }
        opened => opened,
    }
}

/// Brings the replicas of the key store up to date.
pub(super) fn escrow(config: &Config, args: &StoredArgs) -> Result<(), Error> {
    let place = startup::key_place(config);
    let replicas = place.replicas();
    if replicas.is_empty() {
        return Err(Error::Usage("there are no replicas: set data_key_replicas".into()));
    }
    let done = place.escrow(crate::clocks::checked(&crate::system_clock())?, true)?;
    let value = || json!({"replicas": replicas, "copied": done.copied, "destroyed": done.destroyed});
    print_either(args.json, value, || {
        let mut text = String::new();
        for replica in &replicas {
            let _ = writeln!(text, "{} is up to date", replica.display());
        }
        let _ = write!(
            text,
            "{} files of keys were copied, {} were destroyed there",
            done.copied, done.destroyed
        );
        text
    })
    .map(drop)
}

/// Replaces a key file of version 1.
pub(super) fn migrate(config: &Config, args: &StoredArgs) -> Result<(), Error> {
    data_dir::is_there(config)?;
    let now_ms = crate::clocks::checked(&crate::system_clock())?;
    let epochs = crate::threads::runtime()?.block_on(async {
        let _store = match startup::open_store(config).await {
            Err(Error::Storage(StorageError::Locked(_))) => {
                return Err(Error::Usage(
                    "a service is running here: stop it before its key file is replaced".into(),
                ));
            }
            opened => opened?,
        };
        let audit = startup::build_audit(config)?;
        let registry = definitions::read(config.schemas_dir.as_deref())?;
        key_migration::migrate(config, &audit, &registry, now_ms).await
    })?;
    let day = day_text(day_of(now_ms));
    print_either(args.json, || json!({"epochs": epochs}), || match epochs {
        None => "the key file is of version 2 already; nothing was changed".to_owned(),
        Some(epochs) => format!(
            "{} is of version 2 since {day}: {epochs} pseudonym epochs have keys of their own in {}. Put a copy of both into the safe, and \
             destroy every copy of the key file of before: as long as there is one, no epoch is forgotten",
            config.key_file.display(),
            config.data_key_dir().display()
        ),
    })
    .map(drop)
}
