//! The numbers of the reservations of one question, for its line in the audit: what ledger and audit are compared by.
//!
//! Invariant: a number is noted where it is reserved, so that it is known also when nobody waits for the answer any more.
//! Not here: reserving (`ledger.rs`), the line (`audit.rs`), comparing (`shoal-server`).

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Serialize, Serializer};

/// Numbers of reservations. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Receipts(Arc<Mutex<Vec<u64>>>);

impl Receipts {
    /// Notes what was reserved.
    pub(crate) fn note(&self, reservation: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(reservation);
    }
}

impl Serialize for Receipts {
    /// What has been noted by now.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        numbers.serialize(serializer)
    }
}
