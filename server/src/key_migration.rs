//! A key file of version 1 becomes one of version 2, with which epochs can be forgotten.
//!
//! ```text
//! 1  the keys of every epoch that data may have, as they were derived  -> the key store, wrapped with the key that stays
//! 2  the key file of version 2                                         -> <key_file>.new
//! 3  <key_file>.new                                                    -> <key_file>; the one of before is overwritten
//! 4  key-check                                                         made anew: that of before is of the root secrets of before
//! ```
//! A run that was cut off is begun again: step 1 finds what is there, and `<key_file>.new` is used if it is there. Before step 3 the
//! service can start with the key file of before, and from then on with the new one.
//!
//! Invariants: the keys of no purpose change but the root secrets, so that every pseudonym, digest and wrapped key is as it was; the line
//! of the audit is written before step 3; the new key file is wrapped as the one of before. Not here: what is in a key file (`shoal-privacy`, `keyring.rs`).

use std::io::{self, ErrorKind};
use std::sync::Arc;

use serde::Serialize;
use shoal_audit::{Act, ActOutcome, Actor, Audit, Origin, Role};
use shoal_custody::KeyFilePlace;
use shoal_files::{Disk, Medium as _, Objects as _};
use shoal_ingest::{epoch_scope, note_epoch};
use shoal_privacy::keyring::Keyring;
use shoal_privacy::pseudonym::PseudonymEpoch;
use shoal_schemas::calendar::day_of;
use shoal_schemas::{Kind, Programme, Region, Registry};
use shoal_storage::Kept;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::error::Error;
use crate::{key_check, key_file, startup};

/// For so many epochs a service may have been off, or been served before.
const EPOCHS_OFF_MAX: u32 = 60;

#[derive(Clone, Copy, Serialize)]
struct Fields {
    epochs: u64,
}

/// Migrates the key file of a data directory whose lock the caller holds. Answers how many epochs have keys of their own now; none when
/// there was nothing to migrate.
///
/// # Errors
/// When a file cannot be read or written: it can be repeated.
pub(crate) async fn migrate(
    config: &Config,
    audit: &Arc<Audit>,
    registry: &Registry,
    now_ms: i64,
) -> Result<Option<u64>, Error> {
    let _place = KeyFilePlace::lock(&config.key_file).map_err(|e| Error::io(&config.key_file, e))?;
    let before = key_file::open(config)?;
    key_file::check_kept(config)?;
    if !before.derives_epochs() {
        finish(config, &before, now_ms)?;
        return Ok(None);
    }
    key_check::compare(&config.data_dir, &config.key_file, &before)?;
    let after = next(config, &before)?;
    let epochs = keep_epochs(config, &before, &after, registry, now_ms)?;
    let actor = Actor { key: None, role: Role::Operator };
    let origin = Origin { at_ms: now_ms, act: Act::KeyFileMigrate, id: Uuid::new_v4(), actor };
    audit.begin(origin, Fields { epochs }).end(ActOutcome::Done).await?;
    replace(config)?;
    finish(config, &after, now_ms)?;
    Ok(Some(epochs))
}

/// The keys of every epoch from that of the oldest day whose events are kept, and of every one that a start has seen, to that of tomorrow.
fn keep_epochs(
    config: &Config,
    before: &Keyring,
    after: &Keyring,
    registry: &Registry,
    now_ms: i64,
) -> Result<u64, Error> {
    let days = config.ingest.epoch_days;
    let of = |programme: &Programme| {
        Kind::ALL.iter().map(|kind| registry.retention_days(*programme, *kind)).max().unwrap_or_default()
    };
    let kept_days = Programme::ALL.iter().map(of).max().unwrap_or_default();
    let today = day_of(now_ms);
    let oldest = today.saturating_sub(i32::try_from(kept_days).unwrap_or(i32::MAX));
    let of_day = |day: i32| PseudonymEpoch::of_day(day, days).0;
    let seen = key_check::epochs(&config.data_dir)?;
    let current = of_day(today);
    let is_near =
        |epoch: u32| epoch <= current.saturating_add(1) && current.saturating_sub(epoch) <= EPOCHS_OFF_MAX;
    if seen.iter().max().is_some_and(|newest| !is_near(*newest)) {
        let told = format!(
            "ingest.epoch_days is {days}, and the data were made with epochs of another length: run this with the configuration of the \
             service"
        );
        return Err(Error::Usage(told));
    }
    let seen: Vec<u32> = seen.into_iter().filter(|epoch| is_near(*epoch)).collect();
    let first = seen.iter().copied().chain([of_day(oldest)]).min().unwrap_or_default();
    let last = seen.iter().copied().chain([of_day(today.saturating_add(1))]).max().unwrap_or_default();
    let store = startup::build_epoch_keys(config, after);
    for region in Region::ALL {
        for number in first..=last {
            let scope = epoch_scope(*region, number, days);
            let Some(derived) = before.derived_epoch(*region, PseudonymEpoch(number)) else { continue };
            match store.keep(scope, derived.bytes())? {
                Kept::Keys(kept) if kept[..] == *derived.bytes() => {
                    // Keys that are lost later are not made again, though no start has seen them.
                    let noted = note_epoch(&config.data_dir, scope, &derived);
                    noted.map_err(|e| Error::io(&config.data_dir, e))?;
                }
                _ => {
                    let told =
                        "the key store has other keys of an epoch than the key file: it is another service's";
                    return Err(Error::Service(told.into()));
                }
            }
        }
    }
    Ok(u64::from(last - first + 1) * Region::ALL.len() as u64)
}

/// The key file that takes the place: the one that a run before has made, or a new one.
fn next(config: &Config, before: &Keyring) -> Result<Keyring, Error> {
    let (disk, name) = place(config)?;
    let io = |e| Error::io(disk.path(&name), e);
    let fresh = before.migrated().map_err(|e| io(io::Error::other(e)))?;
    let custodies = key_file::of(&config.key_file, config)?;
    let text = key_file::wrapped(&config.key_file, &custodies, &fresh.to_text())?;
    match disk.put_if_absent(&name, text.as_bytes()) {
        Ok(()) => Ok(fresh),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let found = key_file::open_at(&disk.path(&name), config)?;
            match found.is_migrated_from(before) {
                true => Ok(found),
                false => {
                    let told = format!(
                        "{} is not of this key file. Move it away, if no other migration uses it",
                        disk.path(&name).display()
                    );
                    Err(Error::Service(told))
                }
            }
        }
        Err(e) => Err(io(e)),
    }
}

/// The file that is to become the key file.
fn place(config: &Config) -> Result<(Disk, String), Error> {
    let (disk, name) = Disk::of_file(&config.key_file).map_err(|e| Error::io(&config.key_file, e))?;
    Ok((disk.private(), format!("{name}.new")))
}

/// The new key file takes the place of the one of before, whose bytes are overwritten under a name of their own first.
fn replace(config: &Config) -> Result<(), Error> {
    let (disk, new) = place(config)?;
    let name = new.strip_suffix(".new").unwrap_or(&new);
    let io = |e| Error::io(disk.path(name), e);
    // Whoever opened it before the rename has the file, and it is this file that is overwritten.
    let before = disk.edit(name).map_err(io)?;
    disk.rename(&new, name).map_err(io)?;
    let zeros = Zeroizing::new(vec![0; usize::try_from(before.length().map_err(io)?).unwrap_or_default()]);
    before.write_at(0, &zeros).and_then(|()| before.sync()).map_err(io)
}

/// What is left when the new key file is in its place.
fn finish(config: &Config, keyring: &Keyring, now_ms: i64) -> Result<(), Error> {
    let epoch = PseudonymEpoch::of_day(day_of(now_ms), config.ingest.epoch_days);
    key_check::check(&config.data_dir, &config.key_file, keyring, epoch)?;
    Ok(())
}

#[cfg(test)]
mod tests;
