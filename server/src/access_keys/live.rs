//! The keys a running service knows: replaced as a whole when the file changes, so that a request never sees half a change.
//! Beside them on which day each key was used last.
//!
//! Invariant: a file that cannot be read, is damaged, or is gone, changes nothing; the keys known before stay as they are, and the log
//! says so once. What could not be read is tried again; what is damaged stays so until the file changes.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use shoal_ingest::{IngestGrant, KeyKind};
use shoal_query::AnalystGrant;
use shoal_schemas::Region;
use shoal_schemas::calendar::day_of;

use super::uses::Uses;
use super::{KeyRecord, KeyStore, Role, Scope};
use crate::clocks::{Clock, system_clock};
use crate::error::Error;

/// What a key grants.
#[derive(Clone)]
pub(crate) enum Grant {
    Ingest(Arc<IngestGrant>),
    Account(Arc<AccountGrant>),
    Analyst(Arc<AnalystGrant>),
}

/// A service that may act on behalf of an app's persons.
pub(crate) struct AccountGrant {
    /// The key's public part.
    pub(crate) key_id: String,
    /// The regions it reaches.
    pub(crate) regions: Vec<Region>,
}

impl Grant {
    /// The id of the key.
    pub(crate) fn key_id(&self) -> &str {
        match self {
            Grant::Ingest(grant) => &grant.key_id,
            Grant::Account(grant) => &grant.key_id,
            Grant::Analyst(grant) => &grant.key_id,
        }
    }
}

/// What became of looking for a key.
pub(crate) enum Found {
    /// It is valid.
    Granted(Grant),
    /// It is right and has expired at this time, ms since 1970; what it granted.
    Expired(i64, Grant),
    /// It is the right one of an app's keys, and was revoked; what it granted.
    Revoked(Grant),
    /// There is none like it.
    Unknown,
}

/// All keys at one moment.
pub struct KeySet {
    by_id: HashMap<String, (KeyRecord, Grant)>,
    /// Keys that ship in apps and were revoked: apps that are out there still have them.
    revoked: HashMap<String, (KeyRecord, Grant)>,
}

impl KeySet {
    fn new(records: Vec<KeyRecord>) -> KeySet {
        let (mut by_id, mut revoked) = (HashMap::new(), HashMap::new());
        for record in records {
            let grant = grant(&record);
            let is_shipped = matches!(&grant, Grant::Ingest(grant) if grant.kind == KeyKind::Shipped);
            let of = match record.revoked_at_ms {
                None => &mut by_id,
                Some(_) if is_shipped => &mut revoked,
                Some(_) => continue,
            };
            of.insert(record.id.clone(), (record, grant));
        }
        KeySet { by_id, revoked }
    }

    /// The key that was presented, whether it has expired or not.
    fn presented(&self, presented: &str) -> Option<&(KeyRecord, Grant)> {
        right(&self.by_id, presented)
    }

    /// What the key that was presented granted before it was revoked, if it ships in apps.
    fn revoked(&self, presented: &str) -> Option<&Grant> {
        right(&self.revoked, presented).map(|(_, grant)| grant)
    }

    /// What this key, as it was presented, grants while it is valid.
    #[cfg(test)]
    pub(crate) fn grant(&self, presented: &str) -> Option<&Grant> {
        self.presented(presented).map(|(_, grant)| grant)
    }

    /// The active key of this id.
    pub(crate) fn record(&self, id: &str) -> Option<&KeyRecord> {
        self.by_id.get(id).map(|(record, _)| record)
    }

    /// All active keys, in the order of their ids.
    pub(crate) fn records(&self) -> Vec<&KeyRecord> {
        let mut records: Vec<&KeyRecord> = self.by_id.values().map(|(record, _)| record).collect();
        records.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        records
    }

    /// Active keys.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

/// The one of these keys that was presented.
fn right<'k>(
    keys: &'k HashMap<String, (KeyRecord, Grant)>,
    presented: &str,
) -> Option<&'k (KeyRecord, Grant)> {
    let (id, secret) = presented.split_once(['.', '_'])?;
    keys.get(id).filter(|(record, _)| record.hash.verify(secret))
}

fn grant(record: &KeyRecord) -> Grant {
    match &record.scope {
        Scope::Ingest { kind, app, regions, programme, policy, consent_category } => {
            Grant::Ingest(Arc::new(IngestGrant {
                key_id: record.id.clone(),
                kind: *kind,
                app: app.clone(),
                programme: *programme,
                asserted_policy: policy.clone(),
                consent_category: consent_category.clone(),
                regions: regions.clone(),
            }))
        }
        Scope::Account { regions, .. } => {
            let (key_id, regions) = (record.id.clone(), regions.clone());
            Grant::Account(Arc::new(AccountGrant { key_id, regions }))
        }
        Scope::Analyst { role, regions } => Grant::Analyst(Arc::new(AnalystGrant {
            key_id: record.id.clone(),
            role: match role {
                Role::Analyst => shoal_query::Role::Analyst,
                Role::Officer => shoal_query::Role::Officer,
            },
            regions: regions.clone(),
        })),
    }
}

/// What tells one state of the file from another. The inode is new with each replacement.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

/// What is wrong with a file of keys that is gone: completes a sentence that begins with the file.
const LOST: &str = "is gone, and keys were in use. Put it back from a copy; if there is none, `shoal keys create` begins a new one, and \
    no key of before is valid any more";

/// The keys of a running service.
pub struct LiveKeys {
    store: KeyStore,
    current: ArcSwap<KeySet>,
    stamps: Mutex<Stamps>,
    clock: Clock,
    uses: Uses,
}

/// Which states of the file are known; none is no file.
struct Stamps {
    /// The state that need not be looked at again.
    seen: Option<Stamp>,
    /// The state of which the log has said that it cannot be used.
    refused: Option<Option<Stamp>>,
}

impl LiveKeys {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn open(store: KeyStore) -> Result<LiveKeys, Error> {
        let stamp = stamp(&store);
        let current = ArcSwap::from_pointee(KeySet::new(store.list()?));
        let stamps = Mutex::new(Stamps { seen: stamp, refused: None });
        let (clock, uses) = (system_clock(), Uses::of_nobody());
        Ok(LiveKeys { store, current, stamps, clock, uses })
    }

    /// The same for a service: with its clock, and with the last uses of its data directory.
    ///
    /// # Errors
    /// When keys were used there, and the file of keys is gone: every app would be refused for ever, and would delete what it has.
    pub(crate) fn serving(self, clock: Clock, uses: Uses) -> Result<LiveKeys, Error> {
        if uses.is_any() && self.store.list_there()?.is_none() {
            return Err(Error::Keys(format!("{} {LOST}", self.store.path().display())));
        }
        Ok(LiveKeys { clock, uses, ..self })
    }

    /// What this key, as it was presented, grants now.
    pub(crate) fn find(&self, presented: &str) -> Found {
        let keys = self.current();
        match keys.presented(presented) {
            None => keys.revoked(presented).cloned().map_or(Found::Unknown, Found::Revoked),
            Some((record, grant)) => match record.expires_at_ms {
                Some(at_ms) if record.is_expired((self.clock)()) => Found::Expired(at_ms, grant.clone()),
                _ => Found::Granted(grant.clone()),
            },
        }
    }

    /// Takes note that a key was used today.
    pub(crate) fn note_use(&self, id: &str) {
        self.uses.note(id, day_of((self.clock)()));
    }

    /// The day on which a key was used last.
    pub(crate) fn last_day(&self, id: &str) -> Option<i32> {
        self.uses.last_day(id)
    }

    /// Writes on which days keys were used, when that has changed. Blocks until it is durable.
    ///
    /// # Errors
    /// When it cannot be written; it is tried again the next time.
    pub(crate) fn write_uses(&self) -> Result<(), Error> {
        self.uses.write()
    }

    /// Who acts with this key, as it was presented, if it is an officer's.
    pub(crate) fn officer(&self, presented: &str) -> Option<shoal_audit::Actor> {
        match self.find(presented) {
            Found::Granted(Grant::Analyst(grant)) if grant.role == shoal_query::Role::Officer => {
                Some(grant.actor())
            }
            _ => None,
        }
    }

    /// The service ends: the last uses are written, and that they are not keeps it from nothing.
    pub(crate) fn end(&self) {
        if let Err(error) = self.write_uses() {
            tracing::warn!(%error, "on which days keys were used last could not be written");
        }
    }

    /// The keys now.
    pub fn current(&self) -> arc_swap::Guard<Arc<KeySet>> {
        self.current.load()
    }

    /// Reads the file again when it has changed.
    pub fn refresh(&self) {
        let mut stamps = self.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        let found = stamp(&self.store);
        if stamps.seen == found {
            return;
        }
        let lost = || Error::Keys(format!("{} {LOST}", self.store.path().display()));
        let is_known = !self.current().is_empty();
        let listed = self.store.list_there().and_then(|listed| match listed {
            None if is_known => Err(lost()),
            listed => Ok(listed.unwrap_or_default()),
        });
        match listed {
            Ok(records) => {
                let keys = KeySet::new(records);
                tracing::info!(active = keys.len(), "access keys changed");
                self.current.store(Arc::new(keys));
                *stamps = Stamps { seen: found, refused: None };
            }
            Err(error) => {
                if stamps.refused != Some(found) {
                    tracing::error!(%error, "access keys could not be read; those known before stay");
                    stamps.refused = Some(found);
                }
                if !matches!(error, Error::Io(..)) {
                    stamps.seen = found;
                }
            }
        }
    }
}

fn stamp(store: &KeyStore) -> Option<Stamp> {
    let meta = std::fs::metadata(store.path()).ok()?;
    Some(Stamp { inode: meta.ino(), length: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) })
}
