//! How many bodies of `POST /v1/consents` are read at one time, how many long lists are recorded, and who waits for that.
//!
//! ```text
//! 4 KiB and less, decompressed too            -> a place of the small ones   -> read
//! all other bodies                            -> a place of the large ones   -> read
//! a long list (`room.rs`)                     -> the one place of those      -> recorded, in parts
//!                                                   \-> after a while: 503, nothing is recorded, to be sent again
//! ```
//! Invariants: a small body waits for small ones alone, however many and however expensive the large ones are, and for one part of one long
//! list where it is recorded; nobody waits without an
//! end, and whoever is sent away was not read; a place is taken until its body is read, whatever becomes of who has sent it, which
//! bounds the memory of what is decompressed. Not here: what is read (`read.rs`), the parts of a list (`recorded.rs`), room for what is recorded (`room.rs`), room for bodies as
//! they are sent (`shoal-server`, `http/body.rs`).

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{change::Change, room::is_long};
use crate::refusal::{Refusal, RefusalCode};

/// Bytes of a small body, as it is sent and decompressed: a few changes. A withdrawal has 200.
pub(crate) const SMALL_BYTES_MAX: usize = 4 << 10;
/// Small bodies that are read at one time.
const SMALL_AT_ONCE: usize = 8;
/// Other bodies that are read at one time, each decompressed to its limit at the most.
const LARGE_AT_ONCE: usize = 2;
/// Long lists that are recorded at one time: whoever has a short one finds one of them before it.
const LONG_AT_ONCE: usize = 1;
/// How long a body may wait for its place.
const WAIT: Duration = Duration::from_secs(5);
/// After how many seconds one that has waited for so long may come again.
const AFTER_S: u32 = 5;

/// The places of those who are read, and of long lists that are recorded.
pub(crate) struct Readers {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    long: Arc<Semaphore>,
    wait: Duration,
}

/// A place; free again when it is dropped.
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    pub(crate) fn new() -> Readers {
        Readers::with_wait(WAIT)
    }

    /// With another wait, for tests.
    pub(crate) fn with_wait(wait: Duration) -> Readers {
        let places = |at_once| Arc::new(Semaphore::new(at_once));
        Readers {
            small: places(SMALL_AT_ONCE),
            large: places(LARGE_AT_ONCE),
            long: places(LONG_AT_ONCE),
            wait,
        }
    }

    /// A place for a body that is small as it is sent.
    ///
    /// # Errors
    /// When there was none for too long.
    pub(crate) async fn small(&self) -> Result<Slot, Refusal> {
        self.place(&self.small).await
    }

    /// A place for any other body.
    ///
    /// # Errors
    /// When there was none for too long.
    pub(crate) async fn large(&self) -> Result<Slot, Refusal> {
        self.place(&self.large).await
    }

    /// A place for recording these, where they are a long list.
    ///
    /// # Errors
    /// When there was none for too long.
    pub(crate) async fn recording(&self, changes: &[Change]) -> Result<Option<Slot>, Refusal> {
        match is_long(changes) {
            true => self.place(&self.long).await.map(Some),
            false => Ok(None),
        }
    }

    async fn place(&self, of: &Arc<Semaphore>) -> Result<Slot, Refusal> {
        let permit = timeout(self.wait, Arc::clone(of).acquire_owned()).await;
        // Nobody closes them.
        let permit = permit.ok().and_then(Result::ok);
        permit.map(|permit| Slot { _permit: permit }).ok_or_else(|| {
            let reason = "others are before it for too long; nothing of it is recorded, send it again";
            Refusal { retry_after_s: Some(AFTER_S), ..Refusal::new(RefusalCode::Unavailable, reason) }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn who_waits_is_sent_away_in_the_end_and_small_bodies_wait_for_no_large_one() {
        let readers = Readers::with_wait(Duration::ZERO);
        let mut large = Vec::new();
        let refused = loop {
            match readers.large().await {
                Ok(place) => large.push(place),
                Err(refused) => break refused,
            }
        };
        assert_eq!((large.len(), refused.code), (LARGE_AT_ONCE, RefusalCode::Unavailable));
        assert!(refused.retry_after_s.is_some() && !refused.code.is_of_request(), "it may be sent again");
        let small = readers.small().await.unwrap();
        large.pop();
        assert!(readers.large().await.is_ok(), "a place is free again");
        drop(small);
        // Nor do large bodies wait for small ones.
        let mut small = Vec::new();
        while let Ok(place) = readers.small().await {
            small.push(place);
        }
        assert_eq!(small.len(), SMALL_AT_ONCE);
        assert!(readers.large().await.is_ok());
    }
}
