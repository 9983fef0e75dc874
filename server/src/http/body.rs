//! Reading a body: never more than allowed, never more at one time than fits, never slower than the minimum.
//!
//! Invariants: the bytes of all bodies in memory are counted before they are read on, but for small changes of consent, whose
//! number the connections bound; what is counted is given back when the body is dropped. A body whose key is not known before it is read
//! counts in a room of its own, which is small, and is given up when nothing of it has come for two seconds: whoever has no key takes
//! nothing from those who have one.
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

/// A body may be slow for this long, and one of a stranger quiet.
const GRACE: Duration = Duration::from_secs(2);

/// Bodies of strangers have room of their own, beside that for all others: one such part of its size, and at least one whole body.
const STRANGERS_PART: usize = 8;

/// A body of a few changes of consent. As many of them as there may be connections are a small part of the memory.
const SMALL_BYTES: usize = 4 << 10;

/// The bodies in memory.
#[derive(Clone)]
pub(crate) struct Bodies {
    /// For whoever has shown a key.
    room: Room,
    /// For whose key may be in the body.
    strangers: Room,
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

/// Room for so many bytes of bodies at one time.
#[derive(Clone)]
struct Room {
    held: Arc<AtomicUsize>,
    max: usize,
}

impl Room {
    fn of(max: usize) -> Room {
        Room { held: Arc::default(), max }
    }

    /// A share of it, of nothing yet.
    fn share(&self) -> Share {
        Share { room: self.clone(), bytes: 0 }
    }
}

struct Share {
    room: Room,
    bytes: usize,
}

impl Share {
    fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let before = self.room.held.fetch_add(bytes, Ordering::AcqRel);
        self.bytes += bytes;
        if before + bytes > self.room.max {
            let detail = "too many bodies at one time; send again in a second";
            return Err(Problem::new(ProblemType::Busy, detail).retry_after(1));
        }
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.held.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

impl Bodies {
    pub(crate) fn new(config: &Config) -> Bodies {
        Bodies {
            room: Room::of(config.http.bodies_bytes_max),
            strangers: Room::of(
                (config.http.bodies_bytes_max / STRANGERS_PART).max(config.ingest.body_bytes_max),
            ),
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
        self.read_beyond(payload, 0, &self.room).await
    }

    /// The same when nobody knows yet who sends it, since the key may be in the body.
    ///
    /// # Errors
    /// As [`Bodies::read`].
    pub(crate) async fn read_of_stranger(&self, payload: web::Payload) -> Result<Body, Problem> {
        self.read_beyond(payload, 0, &self.strangers).await
    }

    /// The body of whoever is known by now, which leaves the room of strangers.
    ///
    /// # Errors
    /// When there are too many of those who are known.
    pub(crate) fn known(&self, body: Body) -> Result<Body, Problem> {
        let mut share = self.room.share();
        share.grow(body.len())?;
        Ok(Body { _share: share, ..body })
    }

    /// The same for changes of consent. A small body needs no share of the room for bodies, so that nothing that others send
    /// keeps a withdrawal out.
    ///
    /// # Errors
    /// As [`Bodies::read`].
    pub(crate) async fn read_consents(&self, payload: web::Payload) -> Result<Body, Problem> {
        self.read_beyond(payload, SMALL_BYTES, &self.room).await
    }

    /// Reads a body; only what it has beyond so many bytes is counted.
    async fn read_beyond(
        &self,
        mut payload: web::Payload,
        uncounted: usize,
        room: &Room,
    ) -> Result<Body, Problem> {
        let start = Instant::now();
        let is_of_stranger = Arc::ptr_eq(&room.held, &self.strangers.held);
        let mut share = room.share();
        let mut whole = BytesMut::new();
        loop {
            let by_rate = start + self.patience(whole.len() as u64);
            let end = if is_of_stranger { by_rate.min(Instant::now() + GRACE) } else { by_rate };
            let chunk = match timeout_at(end, payload.next()).await {
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
            share.grow(counted - share.bytes)?;
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
            room: Room::of(100),
            strangers: Room::of(50),
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
        let held = |room: &Room| room.held.load(Ordering::Acquire);
        let mut first = bodies.room.share();
        first.grow(60).unwrap();
        let mut second = bodies.room.share();
        assert_eq!(second.grow(60).unwrap_err().of, ProblemType::Busy);
        drop(second);
        assert_eq!(held(&bodies.room), 60);
        drop(first);
        assert_eq!(held(&bodies.room), 0);
    }

    #[test]
    fn strangers_take_no_room_from_who_is_known_and_leave_their_own_when_they_are() {
        let bodies = bodies();
        let held = |room: &Room| room.held.load(Ordering::Acquire);
        let body = |bytes: usize| {
            let mut share = bodies.strangers.share();
            share.grow(bytes).map(|()| Body { bytes: Bytes::from(vec![0; bytes]), _share: share })
        };
        let first = body(40).ok().unwrap();
        assert_eq!(body(40).err().unwrap().of, ProblemType::Busy, "their room is full");
        bodies.room.share().grow(100).unwrap();
        let first = bodies.known(first).ok().unwrap();
        assert_eq!((held(&bodies.strangers), held(&bodies.room)), (0, 40));
        drop(first);
        assert_eq!(held(&bodies.room), 0);
        let (whole, second) = (bodies.known(body(50).ok().unwrap()).ok().unwrap(), body(50).ok().unwrap());
        let mut third = bodies.room.share();
        third.grow(30).unwrap();
        assert_eq!(bodies.known(second).err().unwrap().of, ProblemType::Busy);
        drop((whole, third));
        assert_eq!((held(&bodies.strangers), held(&bodies.room)), (0, 0));
    }
}
