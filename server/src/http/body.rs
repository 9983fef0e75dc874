//! Reading a body: never more than allowed, never more at one time than fits, never slower than the minimum.
//!
//! Invariant: the bytes of all bodies in memory are counted before they are read on, but for small changes of consent, whose
//! number the connections bound; what is counted is given back when the body is dropped.
//! Not here: decompression and its caps (`shoal-ingest`, `inflate.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use shoal_ingest::RefusalCode;
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::problem::{Problem, ProblemType};

/// A body may be slow for this long.
const GRACE: Duration = Duration::from_secs(2);

/// A body of a few changes of consent. As many of them as there may be connections are a small part of the memory.
const SMALL_BYTES: usize = 4 << 10;

/// The bodies in memory.
#[derive(Clone)]
pub(crate) struct Bodies {
    held: Arc<AtomicUsize>,
    held_max: usize,
    body_max: usize,
    time: Duration,
    rate_min: u64,
}

/// A body, counted until it is dropped.
pub(crate) struct Body {
    bytes: Bytes,
    _share: Share,
}

impl std::ops::Deref for Body {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Body {
    /// The same bytes, for whoever reads them on another thread.
    pub(crate) fn shared(&self) -> Bytes {
        self.bytes.clone()
    }
}

struct Share {
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    fn grow(&mut self, bytes: usize, max: usize) -> Result<(), Problem> {
        let before = self.held.fetch_add(bytes, Ordering::AcqRel);
        self.bytes += bytes;
        if before + bytes > max {
            let detail = "too many bodies at one time; send again in a second";
            return Err(Problem::new(ProblemType::Busy, detail).retry_after(1));
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Bodies {
    pub(crate) fn new(config: &Config) -> Bodies {
        Bodies {
            held: Arc::default(),
            held_max: config.http.bodies_bytes_max,
            body_max: config.ingest.body_bytes_max,
            time: Duration::from_millis(config.http.body_timeout_ms),
            rate_min: config.http.body_rate_min_bytes_per_s,
        }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// When it breaks off, is too slow or too long, or when there are too many.
    pub(crate) async fn read(&self, payload: web::Payload) -> Result<Body, Problem> {
        self.read_beyond(payload, 0).await
    }

    /// The same for changes of consent. A small body needs no share of the room for bodies, so that nothing that others send
    /// keeps a withdrawal out.
    ///
    /// # Errors
    /// As [`Bodies::read`].
    pub(crate) async fn read_consents(&self, payload: web::Payload) -> Result<Body, Problem> {
        self.read_beyond(payload, SMALL_BYTES).await
    }

    /// Reads a body; only what it has beyond so many bytes is counted.
    async fn read_beyond(&self, mut payload: web::Payload, uncounted: usize) -> Result<Body, Problem> {
        let start = Instant::now();
        let mut share = Share { held: Arc::clone(&self.held), bytes: 0 };
        let mut whole = BytesMut::new();
        loop {
            let patience = self.patience(whole.len() as u64);
            let chunk = match timeout_at(start + patience, payload.next()).await {
                Err(_) => return Err(Problem::new(ProblemType::TooSlow, "the body came too slowly")),
                Ok(None) => break,
                Ok(Some(Err(_))) => return Err(Problem::new(ProblemType::BrokenBody, "the body broke off")),
                Ok(Some(Ok(chunk))) => chunk,
            };
            if whole.len() + chunk.len() > self.body_max {
                let reason = format!("the body is longer than {} bytes", self.body_max);
                return Err(Problem::new(ProblemType::Ingest(RefusalCode::TooLarge), reason));
            }
            whole.extend_from_slice(&chunk);
            let counted = whole.len().saturating_sub(uncounted);
            share.grow(counted - share.bytes, self.held_max)?;
        }
        Ok(Body { bytes: whole.freeze(), _share: share })
    }

    /// How long after its start a body may take for its next byte, when this many have come.
    fn patience(&self, bytes: u64) -> Duration {
        let paid = Duration::from_millis(bytes.saturating_mul(1000) / self.rate_min.max(1));
        (GRACE + paid).min(self.time)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bodies() -> Bodies {
        Bodies {
            held: Arc::default(),
            held_max: 100,
            body_max: 80,
            time: Duration::from_secs(10),
            rate_min: 1000,
        }
    }

    #[test]
    fn patience_grows_with_what_has_come_up_to_the_whole_time() {
        let bodies = bodies();
        assert_eq!(bodies.patience(0), GRACE);
        assert_eq!(bodies.patience(3000), GRACE + Duration::from_secs(3));
        assert_eq!(bodies.patience(u64::MAX), Duration::from_secs(10));
    }

    #[test]
    fn what_is_held_is_given_back() {
        let bodies = bodies();
        let mut first = Share { held: Arc::clone(&bodies.held), bytes: 0 };
        first.grow(60, bodies.held_max).unwrap();
        let mut second = Share { held: Arc::clone(&bodies.held), bytes: 0 };
        assert_eq!(second.grow(60, bodies.held_max).unwrap_err().of, ProblemType::Busy);
        drop(second);
        assert_eq!(bodies.held.load(Ordering::Acquire), 60);
        drop(first);
        assert_eq!(bodies.held.load(Ordering::Acquire), 0);
    }
}
