//! The queries that are not answered yet: who asked them, and how they are cancelled.
//!
//! Invariants: a query is here from before its text is read until its answer leaves, also while a finished answer waits for
//! its time; so neither the list, nor a cancellation, nor a seat that is taken tells how long the work took. A key sees its
//! own queries only, and a query of somebody else is answered for like one that does not exist; an officer may cancel any.
//! Two queries of one key with the same id are cancelled together.
//! Not here: stopping the work itself, which ends when its future is dropped (`engine.rs`); HTTP (`shoal-server`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::grant::{AnalystGrant, Role};

/// Queries that wait for a thread or for their time, for each one that works.
const SEATS_PER_PLACE: usize = 8;

/// The id of a query: a UUID, which the asker chooses or is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueryId(Uuid);

impl QueryId {
    /// One that nobody can guess.
    pub fn random() -> QueryId {
        QueryId(Uuid::new_v4())
    }

    /// As a number of 128 bits, for the audit.
    pub(crate) fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is no UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID")]
pub struct NoQueryId;

impl FromStr for QueryId {
    type Err = NoQueryId;

    fn from_str(text: &str) -> Result<QueryId, NoQueryId> {
        Uuid::try_parse(text).map(QueryId).map_err(|_| NoQueryId)
    }
}

impl Serialize for QueryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QueryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<QueryId, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A query that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RunningQuery {
    /// Its id.
    pub id: QueryId,
    /// When it was asked, ms since 1970, UTC.
    pub since_ms: i64,
}

struct RunningEntry {
    query: RunningQuery,
    key_id: String,
    stop: Arc<Notify>,
}

#[derive(Default)]
struct Asking {
    next: u64,
    queries: BTreeMap<u64, RunningEntry>,
}

/// All queries that are not answered yet.
pub(crate) struct Running {
    asking: Arc<Mutex<Asking>>,
    seats: usize,
}

impl Running {
    /// For so many queries that work at one time.
    pub(crate) fn new(concurrent_max: usize) -> Running {
        let seats = concurrent_max.max(1).saturating_mul(SEATS_PER_PLACE);
        Running { asking: Arc::default(), seats }
    }

    /// A seat for a query until the value is dropped; none when all are taken.
    pub(crate) fn enter(&self, id: QueryId, grant: &AnalystGrant, now_ms: i64) -> Option<Seat> {
        let mut asking = lock(&self.asking);
        if asking.queries.len() >= self.seats {
            return None;
        }
        let number = asking.next;
        asking.next += 1;
        let stop = Arc::new(Notify::new());
        let query = RunningQuery { id, since_ms: now_ms };
        let entry = RunningEntry { query, key_id: grant.key_id.clone(), stop: Arc::clone(&stop) };
        asking.queries.insert(number, entry);
        Some(Seat { asking: Arc::clone(&self.asking), number, stop })
    }

    /// Cancels; answers whether there was a query that this key may cancel.
    pub(crate) fn cancel(&self, id: QueryId, grant: &AnalystGrant) -> bool {
        let asking = lock(&self.asking);
        let may = |entry: &&RunningEntry| {
            entry.query.id == id && (entry.key_id == grant.key_id || grant.role == Role::Officer)
        };
        let mut any = false;
        for entry in asking.queries.values().filter(may) {
            entry.stop.notify_one();
            any = true;
        }
        any
    }

    /// The key's own queries, oldest first.
    pub(crate) fn list(&self, grant: &AnalystGrant) -> Vec<RunningQuery> {
        let asking = lock(&self.asking);
        asking
            .queries
            .values()
            .filter(|entry| entry.key_id == grant.key_id)
            .map(|entry| entry.query)
            .collect()
    }
}

/// The seat of one query; free again when it is dropped.
pub(crate) struct Seat {
    asking: Arc<Mutex<Asking>>,
    number: u64,
    stop: Arc<Notify>,
}

impl Seat {
    /// Comes back when the query is cancelled.
    pub(crate) async fn cancelled(&self) {
        self.stop.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        lock(&self.asking).queries.remove(&self.number);
    }
}

/// What is kept is whole after every statement, so a panic elsewhere does not matter.
fn lock(asking: &Mutex<Asking>) -> MutexGuard<'_, Asking> {
    asking.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures::FutureExt;

    fn key(key_id: &str, role: Role) -> AnalystGrant {
        AnalystGrant { key_id: key_id.to_owned(), role, regions: Vec::new() }
    }

    #[test]
    fn only_the_asker_and_officers_cancel_and_others_learn_nothing() {
        let running = Running::new(1);
        let (own, other) = (key("ana1", Role::Analyst), key("ana2", Role::Analyst));
        let id = QueryId::random();
        let seat = running.enter(id, &own, 7).unwrap();
        assert_eq!(running.list(&own), [RunningQuery { id, since_ms: 7 }]);
        assert_eq!(running.list(&other), []);
        assert!(!running.cancel(id, &other) && !running.cancel(QueryId::random(), &own));
        assert_eq!(seat.cancelled().now_or_never(), None);
        assert!(running.cancel(id, &own));
        assert_eq!(seat.cancelled().now_or_never(), Some(()));
        assert!(running.cancel(id, &key("off1", Role::Officer)));
        drop(seat);
        assert!(!running.cancel(id, &own) && running.list(&own).is_empty());
    }

    #[test]
    fn the_same_id_of_another_key_is_another_query() {
        let running = Running::new(1);
        let (own, other) = (key("ana1", Role::Analyst), key("ana2", Role::Analyst));
        let id = QueryId::random();
        let (mine, theirs) = (running.enter(id, &own, 1).unwrap(), running.enter(id, &other, 1).unwrap());
        assert!(running.cancel(id, &own));
        assert_eq!((mine.cancelled().now_or_never(), theirs.cancelled().now_or_never()), (Some(()), None));
    }

    #[test]
    fn seats_are_bounded_and_free_again() {
        let running = Running::new(2);
        let own = key("ana1", Role::Analyst);
        let seats: Vec<_> = (0..16).map(|_| running.enter(QueryId::random(), &own, 1).unwrap()).collect();
        assert!(running.enter(QueryId::random(), &own, 1).is_none());
        drop(seats);
        assert!(running.enter(QueryId::random(), &own, 1).is_some());
    }

    #[test]
    fn an_id_is_a_uuid() {
        let id = QueryId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("42".parse::<QueryId>(), Err(NoQueryId));
        assert_eq!(serde_json::to_value(id).unwrap(), id.to_string());
    }
}
