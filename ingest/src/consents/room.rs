//! How many changes of consent may come: grants within a rate and within what the disk has, withdrawals always.
//!
//! Invariants: nothing that a grant does takes room from a withdrawal: each has seats of its own, a grant leaves the disk
//! what it needs, and who writes next is decided for the withdrawal (`shoal-storage`, `consents`). Only grants with a
//! shipped key have a rate, by address and key. Whether there is room does not depend on what is recorded.
//! Not here: the room for bodies (`shoal-server`, `http/body.rs`).

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{change::Change, rates::Rates, read::CHANGES_MAX};
use crate::{
    grant::{IngestGrant, KeyKind},
    refusal::{Refusal, RefusalCode},
};

/// Requests with grants that are under way at one time.
const GRANTING_MAX: usize = 32;
/// Requests with withdrawals alone that are under way at one time.
const WITHDRAWING_MAX: usize = 256;
/// Long lists of withdrawals that are under way at one time: their memory is bounded as well, and they take no seat from the others.
const LONG_MAX: usize = 16;
/// Records of a list that is not long: those of a thousand people with one identifier in four regions.
const RECORDS_MAX: usize = 4 * CHANGES_MAX;
/// After how many seconds a request without a seat may come again.
const SEAT_AFTER_S: u32 = 1;
/// After how many seconds a grant may come again when the disk is nearly full.
const DISK_AFTER_S: u32 = 60;

/// A seat of a request; free again when it is dropped.
pub(crate) struct Seat {
    _permit: OwnedSemaphorePermit,
}

/// Who sends changes, and when.
pub(crate) struct Caller<'a> {
    pub(crate) grant: &'a IngestGrant,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) now_ms: i64,
    /// Whether the disk has room for what may wait.
    pub(crate) is_disk_full: bool,
}

/// The room for changes of consent.
pub(crate) struct Room {
    rates: Mutex<Rates>,
    per_min: u32,
    granting: Arc<Semaphore>,
    withdrawing: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

impl Room {
    /// For so many grants in a minute from each address with a shipped key.
    pub(crate) fn new(per_min: u32) -> Room {
        Room {
            rates: Mutex::new(Rates::new(per_min)),
            per_min,
            granting: Arc::new(Semaphore::new(GRANTING_MAX)),
            withdrawing: Arc::new(Semaphore::new(WITHDRAWING_MAX)),
            long: Arc::new(Semaphore::new(LONG_MAX)),
        }
    }

    /// A seat for these changes.
    ///
    /// # Errors
    /// When they have to come later, or in smaller lists.
    pub(crate) fn enter(&self, changes: &[Change], caller: &Caller<'_>) -> Result<Seat, Refusal> {
        let grants = changes.iter().filter(|change| change.is_grant()).count();
        if grants == 0 {
            return seat(if is_long(changes) { &self.long } else { &self.withdrawing });
        }
        if caller.is_disk_full {
            let reason = "there is no room for a grant; send it again later";
            return Err(later(RefusalCode::DiskFull, reason, DISK_AFTER_S));
        }
        let seat = seat(&self.granting)?;
        if caller.grant.kind == KeyKind::Shipped {
            self.take(u32::try_from(grants).unwrap_or(u32::MAX), caller)?;
        }
        Ok(seat)
    }

    fn take(&self, grants: u32, caller: &Caller<'_>) -> Result<(), Refusal> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let who = rates.caller((network(caller.peer), &caller.grant.key_id));
        let per_min = self.per_min;
        rates.take(who, grants, caller.now_ms).map_err(|after| match after {
            Some(seconds) => {
                let reason =
                    format!("more than {per_min} grants a minute from one address; send it again later");
                later(RefusalCode::TooManyGrants, &reason, seconds)
            }
            None => {
                let reason = format!("a shipped key may send {per_min} grants in a request");
                Refusal::new(RefusalCode::TooManyChanges, reason)
            }
        })
    }
}

/// Whether there are more changes than there may be with grants, or as many records to write as those would make.
pub(super) fn is_long(changes: &[Change]) -> bool {
    changes.len() > CHANGES_MAX || changes.iter().map(Change::records).sum::<usize>() > RECORDS_MAX
}

fn seat(seats: &Arc<Semaphore>) -> Result<Seat, Refusal> {
    let permit = Arc::clone(seats).try_acquire_owned();
    let full =
        |_| later(RefusalCode::Overloaded, "too many consents at one time; send it again", SEAT_AFTER_S);
    permit.map(|permit| Seat { _permit: permit }).map_err(full)
}

fn later(code: RefusalCode, reason: &str, seconds: u32) -> Refusal {
    Refusal { retry_after_s: Some(seconds), ..Refusal::new(code, reason) }
}

/// What of an address one sender cannot change: all of an IPv4 address, and the first 64 bits of an IPv6 one.
fn network(peer: Option<IpAddr>) -> Option<u64> {
    Some(match peer?.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        // No IPv6 network that is in use has the form of an IPv4 address here.
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_network_is_one_sender() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::2"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(network(None), None);
    }
}
