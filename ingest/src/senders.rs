//! What became of what came with each key, counted in memory: for the owner of the key, and for who sent it.
//!
//! ```text
//! owner    by key                       accepted, duplicate, withheld, rejected: by protocol, code and declared event
//! sender   by shipped key and network   taken, rejected: by protocol, and what is rejected by code and declared event too
//! ```
//! Anybody can read a shipped key out of an app, and whoever holds it may ask. So they see what came with it from their own
//! network only, in the words in which its answers told it there (`answer.rs`), and no name of what is taken: whoever
//! shares an address with others must not see what those do.
//!
//! Invariants: nothing that is recorded about anybody is in a sender's tally, because told outcomes are all that it is made of; counts
//! have codes, protocols and declared names, never a value of a request; memory is bounded; a network is known by a digest whose key no
//! other process has, and what came from it is shown to nobody once it has not been heard of for an hour of service, however the clock
//! is set.
//! Not here: who may ask (`shoal-server`), one tally and its form (`senders/tally.rs`), counts of all keys together (`metrics.rs`).

mod tally;
#[cfg(test)]
mod tests;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustc_hash::FxHashMap;
use shoal_privacy::unit_key::Network;
use shoal_schemas::{Protocol, calendar::HOUR_MS};

pub use tally::Counters;

use tally::{Batch, Names, Room, Tally, groups};

use crate::{
    answer::BatchAnswer,
    grant::{IngestGrant, KeyKind},
    refusal::{Refusal, RefusalCode},
};

/// Networks that are counted at one time, of all shipped keys together.
const NETWORKS_MAX: usize = 1024;
/// So long a network is remembered after its last request, ms of service.
const NETWORK_MS: i64 = HOUR_MS;
const OF_KEY: Room = Room { rows: 2048, reasons: 100 };
const OF_NETWORK: Room = Room { rows: 64, reasons: 16 };

/// What time it is: by the clock, which is shown, and by what was served, which is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) clock_ms: i64,
    pub(crate) served_ms: i64,
}

/// Where a request came from, with what, and when.
pub(crate) struct Came<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) grant: &'a IngestGrant,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) now: Now,
}

/// The counts of all keys since the start of the process.
pub(crate) struct Senders {
    /// Makes digests of networks; its key is random.
    digests: RandomState,
    begun_ms: i64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    names: Names,
    keys: FxHashMap<String, Tally>,
    networks: FxHashMap<u64, OfNetwork>,
    /// Requests from networks so far.
    requests: u64,
}

struct OfNetwork {
    tally: Tally,
    since_ms: i64,
    last_served_ms: i64,
    /// Which of all requests its last one was.
    last_request: u64,
}

impl Senders {
    pub(crate) fn new(now_ms: i64) -> Senders {
        Senders { digests: RandomState::new(), begun_ms: now_ms, held: Mutex::default() }
    }

    /// Counts what a request came to.
    pub(crate) fn count_request(&self, came: &Came<'_>, answer: &Result<BatchAnswer, Refusal>) {
        match answer {
            Ok(answer) => self.count(came, answer),
            Err(refusal) => self.count_refusal(came, refusal.code),
        }
    }

    /// Counts an answer that was given.
    fn count(&self, came: &Came<'_>, answer: &BatchAnswer) {
        let batch = |kind| Batch {
            protocol: came.protocol,
            at_ms: came.now.clock_ms,
            groups: groups(answer, kind),
            dropped_properties: answer.dropped_properties,
            skipped_items: answer.skipped_items,
        };
        let (for_owner, sender) = (batch(KeyKind::Server), self.sender(came));
        let for_sender = sender.map(|sender| (sender, batch(KeyKind::Shipped)));
        let held = &mut *self.held();
        of_key(&mut held.keys, &came.grant.key_id).add(&for_owner, &mut held.names);
        if let Some((sender, batch)) = for_sender {
            held.requests += 1;
            of_network(&mut held.networks, sender, came.now, held.requests).add(&batch, &mut held.names);
        }
    }

    /// Counts a request that was refused as a whole. What follows from the state of the service is the owner's to know.
    fn count_refusal(&self, came: &Came<'_>, code: RefusalCode) {
        let sender = self.sender(came).filter(|_| code.is_of_request());
        let held = &mut *self.held();
        of_key(&mut held.keys, &came.grant.key_id).add_refusal(came.protocol, code.as_str());
        if let Some(sender) = sender {
            held.requests += 1;
            let tally = of_network(&mut held.networks, sender, came.now, held.requests);
            tally.add_refusal(came.protocol, code.as_str());
        }
    }

    /// What has come with a key.
    pub(crate) fn of_key(&self, key_id: &str, now_ms: i64) -> Counters {
        let held = self.held();
        let empty = Tally::new(OF_KEY);
        let tally = held.keys.get(key_id).unwrap_or(&empty);
        tally.counters(KeyKind::Server, &held.names).between(self.begun_ms, now_ms)
    }

    /// What has come with a shipped key from the network of an address.
    pub(crate) fn of_sender(&self, key_id: &str, peer: IpAddr, now: Now) -> Counters {
        let sender = self.digest(key_id, peer);
        let held = self.held();
        let (empty, known) = (Tally::new(OF_NETWORK), held.networks.get(&sender));
        let (tally, since_ms) = match known.filter(|network| network.is_remembered(now)) {
            Some(network) => (&network.tally, network.since_ms),
            None => (&empty, self.begun_ms),
        };
        tally.counters(KeyKind::Shipped, &held.names).between(since_ms, now.clock_ms)
    }

    /// Whose request it is, when it came with a shipped key and from a network that is known.
    fn sender(&self, came: &Came<'_>) -> Option<u64> {
        let peer = came.peer.filter(|_| came.grant.kind == KeyKind::Shipped)?;
        Some(self.digest(&came.grant.key_id, peer))
    }

    fn digest(&self, key_id: &str, peer: IpAddr) -> u64 {
        match Network::of(peer) {
            Network::V4(bytes) => self.digests.hash_one((key_id, bytes)),
            Network::V6(bytes) => self.digests.hash_one((key_id, bytes)),
        }
    }

    /// Whatever is done under this lock leaves whole counts, so a panic elsewhere does not make them wrong.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfNetwork {
    fn new(now: Now) -> OfNetwork {
        let tally = Tally::new(OF_NETWORK);
        OfNetwork { tally, since_ms: now.clock_ms, last_served_ms: now.served_ms, last_request: 0 }
    }

    fn is_remembered(&self, now: Now) -> bool {
        now.served_ms.saturating_sub(self.last_served_ms) < NETWORK_MS
    }
}

/// The tally of a key. There are no more of them than keys.
fn of_key<'k>(keys: &'k mut FxHashMap<String, Tally>, key_id: &str) -> &'k mut Tally {
    keys.entry(key_id.to_owned()).or_insert_with(|| Tally::new(OF_KEY))
}

/// The tally of a sender, from which this request of all has come now. When there are too many, the half that was not heard of for
/// longest goes.
fn of_network(networks: &mut FxHashMap<u64, OfNetwork>, sender: u64, now: Now, request: u64) -> &mut Tally {
    if networks.len() >= NETWORKS_MAX && !networks.contains_key(&sender) {
        networks.retain(|_, network| network.is_remembered(now));
        if networks.len() >= NETWORKS_MAX {
            let mut last: Vec<u64> = networks.values().map(|network| network.last_request).collect();
            let (_, middle, _) = last.select_nth_unstable(NETWORKS_MAX / 2);
            let middle = *middle;
            networks.retain(|_, network| network.last_request > middle);
        }
    }
    let network = networks.entry(sender).or_insert_with(|| OfNetwork::new(now));
    if !network.is_remembered(now) {
        *network = OfNetwork::new(now);
    }
    // Another thread's request may have come later and be counted already.
    network.last_served_ms = network.last_served_ms.max(now.served_ms);
    network.last_request = request;
    &mut network.tally
}
